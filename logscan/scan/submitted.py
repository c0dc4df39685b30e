"""Mail that this server's own people and programs handed in, and what its filter did with it: what three checks share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.scan.aliases import through_filter
from logscan.scan.filters import covered, filters, spared
from logscan.scan.kept import kept_at_the_door, kept_in_queue
from logscan.scan.ports import entry_ports
from logscan.tables import texts

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings

INSIDE = ("authenticated", "local", "network")
"""Origins of mail that people or programs of this server handed in."""

AFTER_DATA = r"\(in reply to (?:end of )?DATA|BDAT"
"""A remote host that refuses after DATA has read the tagged mail."""


@dataclass
class Own:
    """What became of mail that was submitted here: one row a recipient's last attempt, with how its mail came in.

    Columns of ``scan.deliveries`` and: ``row`` (of deliveries, -1 for what a milter stopped before the queue), ``reject``
    (of rejects, else -1), ``root`` (entry), ``inside`` (origin is one of :data:`INSIDE`), ``direction``, ``origin`` (see
    the contract), ``local`` (a program of this host), ``port`` (that a login came in by, 0 where nothing tells), ``user``,
    ``client``, ``sender``, ``message_id``, ``passed`` (it was handed to a filter behind the queue), ``looked`` (whether the
    filter tagged it is known), ``kept`` (what the filter did that kept it back: discarded, quarantined, refused; else
    empty), ``reason`` (why, where it wasn't as spam: virus ...).
    """

    frame: pd.DataFrame
    waiting: int
    """Recipients of such mail that is still on its way."""


def own(scan: Window, settings: Settings) -> Own:
    """Gather what became of mail with an origin inside, and of what was forwarded from outside to outside."""
    cache: Own | None = scan.__dict__.get("_own")
    if cache is None:
        cache = scan.__dict__["_own"] = _own(scan, settings)
    return cache


def _own(scan: Window, settings: Settings) -> Own:
    deliveries, mails = scan.deliveries, scan.mails
    entry = deliveries["entry"].to_numpy()
    of_mail = deliveries["mail"].to_numpy()
    # Foreign mail to people here is no concern of these checks, and most of the log.
    concerns = (mails["origin"].isin(INSIDE) | (mails["direction"] == "forwarded")).to_numpy()
    mine = (of_mail >= 0) & (entry >= 0) & np.append(concerns, False)[of_mail]
    kept = kept_in_queue(scan, np.flatnonzero(mine))
    reached = deliveries["final"].to_numpy().copy()
    refused = np.flatnonzero((deliveries["status"] == "bounced").to_numpy())
    reached[refused] |= deliveries["reply"].iloc[refused].str.contains(AFTER_DATA, regex=True, na=False).to_numpy()
    reached[kept.index] = True
    frame = deliveries[reached & mine].copy()
    frame["row"] = frame.index
    frame["reject"] = -1
    for name in ("kept", "reason", "away"):
        frame[name] = kept[name].reindex(frame.index)
    frame["passed"] = through_filter(scan)[frame["entry"].to_numpy()] | frame["kept"].notna()
    stopped = kept_at_the_door(scan, settings, INSIDE)
    frame = pd.concat([frame, stopped]) if len(stopped) else frame
    frame = _described(scan, settings, frame)
    inside = deliveries[mine & deliveries["last"].to_numpy() & (deliveries["status"] == "deferred").to_numpy()]
    return Own(_once(frame), len(inside))


def _described(scan: Window, settings: Settings, frame: pd.DataFrame) -> pd.DataFrame:
    """Add how each row's mail came in, and whether it is known what the filter said."""
    mail, entry = frame["mail"].to_numpy(), frame["entry"].to_numpy()
    root = np.where(mail >= 0, np.append(scan.mails["entry"].to_numpy(), -1)[mail], entry)
    frame["root"] = root
    entries = scan.entries.iloc[root]
    frame["direction"] = np.append(scan.mails["direction"].astype("str").to_numpy(dtype=object), "")[mail]
    frame["inside"] = entries["origin"].isin(INSIDE).to_numpy()
    frame["local"] = (entries["origin"] == "local").to_numpy()
    frame["sender"] = entries["sender"].array
    frame["message_id"] = entries["message_id"].array
    frame["user"] = entries["sasl_username"].array
    client = entries["client"] + "[" + entries["client_address"] + "]"
    by_uid = entries["program"] == "pickup"
    frame["client"] = client.where(~by_uid, "uid " + entries["uid"]).array
    frame["port"] = np.where(frame["user"].notna(), np.asarray(entry_ports(scan, settings)[0])[root], 0)
    frame["origin"] = _origins(scan, settings, root, frame["port"].to_numpy())
    frame["kept"] = frame["kept"].fillna("").astype("str")
    frame["reason"] = frame["reason"].fillna("").astype("str")
    away = frame["away"].astype("boolean")
    frame["outside"] = frame["outside"].astype(bool).mask(away.notna(), away.fillna(False).astype(bool))
    frame["outside"] &= ~((frame["kept"] != "") & texts.where(frame["recipient"], _of(own_names(scan, settings))))
    known = filters(scan, settings)
    judged = frame["spam"].notna() | (frame["kept"] != "")
    seen = not known.door or covered(scan, settings, root) | spared(scan, settings, root)
    frame["looked"] = judged | (~frame["passed"] & seen)
    return frame.drop(columns="away")


def _once(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop rows that tell of one copy again: one session, or one mail's recipient that two expansions lead to."""
    session = texts.coded(frame["session"])[0]
    copy = np.where(session >= 0, session, -1 - np.arange(len(frame)))
    recipient = texts.coded(texts.lower(frame["recipient"]))[0]
    again = pd.DataFrame({"m": mail_of(frame), "r": recipient, "c": copy}).duplicated()
    return frame[~again.to_numpy()]


def mail_of(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return a number for each row's mail, of those too that never came into the queue."""
    mail: npt.NDArray[np.int64] = np.where(frame["mail"] >= 0, frame["mail"], -2 - frame["entry"])
    return mail


def _origins(
    scan: Window, settings: Settings, root: npt.NDArray[np.int64], port: npt.NDArray[np.int64]
) -> npt.NDArray[np.object_]:
    """Return each entry's origin as the contract names them."""
    everything = settings.known("postfix") and bool(settings.postfix.get("content_filter").strip())
    origin = scan.entries["origin"].astype("str").to_numpy(dtype=object)[root]
    login = origin == "authenticated"
    here = np.isin(origin, ["local", "network"])
    whole = np.full(len(root), everything)
    found: npt.NDArray[np.object_] = np.select(
        [login & (port == 25), (login | here) & whole, login, here],
        ["authenticated-port-25", "all-filtered", "submission-filtered", "local-script"],
        origin,
    ).astype(object)
    return found


def own_names(scan: Window, settings: Settings) -> frozenset[str]:
    """Return this server's names, lower case: its domains, localhost, its host names as Postfix writes them."""
    cache: frozenset[str] | None = scan.__dict__.get("_own_names")
    if cache is None:
        cache = scan.__dict__["_own_names"] = _own_names(scan, settings)
    return cache


def _own_names(scan: Window, settings: Settings) -> frozenset[str]:
    names = {name for name in scan.correlated.local_domains if name}
    names |= {"localhost", "localhost.localdomain"}
    # Postfix writes its own name before the path of a socket.
    relays = pd.Series(scan.deliveries["relay"].cat.categories, dtype="str")
    names |= set(relays.str.extract(r"^([^\[]+)\[(?:/|private/|public/)", expand=False).dropna().str.lower())
    # What sendmail was called with, and what became of it: Postfix adds myorigin to a bare name.
    clients = scan.events("clients")
    bare = clients[(clients["program"] == "pickup") & ~clients["sender"].str.contains("@", regex=False, na=True)]
    if len(bare):
        by_row = scan.entries[scan.entries["client_row"].isin(bare.index)]
        local = clients["sender"].reindex(by_row["client_row"]).to_numpy()
        parts = by_row["sender"].str.extract(r"^(.*)@([^@]*)$")
        made = parts[(parts[0] == pd.Series(local, index=parts.index)).to_numpy()]
        names |= set(made[1].dropna().str.lower())
    for key in ("myhostname", "mydomain", "myorigin"):
        fact = settings.postfix.fact(key) if settings.known("postfix") else None
        if fact and "/" not in fact.value:
            names.add(settings.postfix.get(key).strip().lower())
    return frozenset(names - {""})


def _of(names: frozenset[str]) -> Callable[[pd.Series], pd.Series]:
    ends = tuple(f".{name}" for name in names)

    def test(address: pd.Series) -> pd.Series:
        domain = address.str.replace(r"(?s)^.*@", "", regex=True).str.lower()
        return ~address.str.contains("@", regex=False) | domain.isin(names) | domain.str.endswith(ends)

    return test


def fetched(scan: Window, settings: Settings, frame: pd.DataFrame) -> pd.Series:
    """Return which rows are foreign mail handed in from this host (fetchmail): a sender of another domain, no login."""
    ours = _of(own_names(scan, settings))
    found: pd.Series = frame["user"].isna() & ~frame["client"].str.startswith("uid ", na=False)
    return found & texts.where(frame["sender"], lambda sender: ~ours(sender))


def groups_of_mail(frame: pd.DataFrame) -> tuple[int, int]:
    """Return how many mails these rows are of, and how many recipients they have (each mail's counted by itself)."""
    mail = mail_of(frame)
    recipient = texts.coded(texts.lower(frame["recipient"]))[0]
    pairs = pd.DataFrame({"mail": mail, "recipient": recipient}).drop_duplicates()
    return int(pairs["mail"].nunique()), len(pairs)


__all__ = ["INSIDE", "Own", "fetched", "groups_of_mail", "mail_of", "own", "own_names"]
