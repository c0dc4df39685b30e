"""Mail that this server's own people and programs handed in, and what its filter did with it: what three checks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.scan.aliases import through_filter
from logscan.scan.kept import kept_at_the_door, kept_in_queue
from logscan.scan.memo import per_window
from logscan.tables import texts

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings

Bools = npt.NDArray[np.bool_]

INSIDE = ("authenticated", "local", "network")
"""Origins of mail that people or programs of this server handed in."""

AFTER_DATA = r"\(in reply to (?:end of )?DATA|BDAT"
"""A remote host that refuses after DATA has read the tagged mail."""


@dataclass(frozen=True)
class Own:
    """What became of mail that was submitted here: one row a recipient's last attempt, with how its mail came in.

    Columns: :data:`TAKEN` (of ``window.deliveries``), ``row`` (of deliveries, -1 for what a milter stopped before the
    queue), ``reject`` (of rejects, else -1), ``root`` (entry), ``inside`` (origin is one of :data:`INSIDE`), ``direction``,
    ``came`` (the origin), ``user``, ``client``, ``sender``, ``message_id``, ``passed`` (it was handed to a filter behind the
    queue), ``kept`` (what the filter did that kept it back: discarded, quarantined, refused; else empty), ``reason`` (why,
    where it wasn't as spam: virus ...), ``foreign`` (:func:`foreign`), ``kind`` of the filter whose verdict it has (else
    empty), ``tagged`` (that verdict is spam), ``judged`` (it says whether it is, or the mail was kept back), ``mute`` (amavis
    took it for spam, and doesn't say whether it tagged it). What follows from the whole log is for conclude: the port of a
    login, whether the filter's log covers the time, and whether what was kept back was for a name of this server.
    """

    frame: pd.DataFrame
    waiting: int
    """Recipients of such mail that is still on its way."""


@per_window
def own(window: Window, settings: Settings) -> Own:
    """Gather what became of mail with an origin inside, and of what was forwarded from outside to outside. For look."""
    deliveries, mails = window.deliveries, window.mails
    entry = deliveries["entry"].to_numpy()
    of_mail = deliveries["mail"].to_numpy()
    # Foreign mail to people here is no concern of these checks, and most of the log.
    concerns = texts.equal(mails["origin"], *INSIDE) | texts.equal(mails["direction"], "forwarded")
    mine = (of_mail >= 0) & (entry >= 0) & np.append(concerns, False)[of_mail]
    kept = kept_in_queue(window, np.flatnonzero(mine))
    reached = deliveries["final"].to_numpy().copy()
    refused = np.flatnonzero(mine & texts.equal(deliveries["status"], "bounced"))
    reached[refused] |= deliveries["reply"].iloc[refused].str.contains(AFTER_DATA, regex=True, na=False).to_numpy()
    reached[kept.index] = True
    frame = deliveries.loc[reached & mine, list(TAKEN)]
    kept = kept.reindex(frame.index)
    passed = through_filter(window)[frame["entry"].to_numpy()] | kept["kept"].notna().to_numpy()
    frame = frame.assign(row=frame.index, reject=-1, passed=passed, **{name: kept[name].array for name in kept})
    stopped = kept_at_the_door(window, settings, INSIDE)
    if len(stopped):
        frame = pd.concat([frame, stopped[list(frame.columns)]])
    frame = _once(_described(window, settings, frame))
    waiting = mine & deliveries["last"].to_numpy() & texts.equal(deliveries["status"], "deferred")
    return Own(frame, int(np.count_nonzero(waiting)))


TAKEN = (
    *("time", "entry", "mail", "queue_id", "recipient", "relay", "session", "folder", "signature", "spam", "outside"),
    "verdict_row",
)
"""Columns of deliveries that are taken: fewer are quicker to cut."""


def _described(window: Window, settings: Settings, frame: pd.DataFrame) -> pd.DataFrame:
    """Add how each row's mail came in, and what the filter's verdict says."""
    mail, entry = frame["mail"].to_numpy(), frame["entry"].to_numpy()
    root = np.where(mail >= 0, np.append(window.mails["entry"].to_numpy(), -1)[mail], entry)
    columns = ["origin", "sender", "message_id", "sasl_username", "client", "client_address", "program", "uid"]
    entries = window.entries[columns].iloc[root].set_axis(frame.index)
    came = entries["origin"].astype("str")
    client = entries["client"] + "[" + entries["client_address"] + "]"
    away = frame["away"].astype("boolean")
    code, directions = texts.coded(window.mails["direction"])
    # None, and behind it that there is no mail.
    direction = pd.Series([*directions, None, ""], dtype="str").array
    of_mail = np.append(np.where(code >= 0, code, len(directions)), len(directions) + 1)[mail]
    made = {
        "root": root,
        "direction": direction.take(of_mail),
        "came": came,
        "inside": came.isin(INSIDE),
        "sender": entries["sender"],
        "message_id": entries["message_id"],
        "user": entries["sasl_username"],
        "client": client.where(entries["program"] != "pickup", "uid " + entries["uid"]),
        "kept": frame["kept"].fillna("").astype("str"),
        "reason": frame["reason"].fillna("").astype("str"),
        "outside": frame["outside"].astype(bool).mask(away.notna(), away.fillna(False).astype(bool)),
        "passed": frame["passed"].astype(bool),
        **_verdicts(window, frame),
    }
    frame = frame.drop(columns="away").assign(**made)
    return frame.assign(foreign=foreign(frame, own_names(window, settings)))


def _verdicts(window: Window, frame: pd.DataFrame) -> dict[str, pd.Series]:
    """Return ``tagged``, ``judged``, ``kind`` and ``mute`` of each row."""
    row = frame["verdict_row"].to_numpy(dtype=np.int64)
    given = window.verdicts[["filter", "result"]].iloc[row[row >= 0]].astype("str")
    kind = pd.Series("", index=frame.index, dtype="str")
    kind[row >= 0] = given["filter"].replace(KIND_OF).fillna("").array
    mute = np.zeros(len(frame), np.bool_)
    mute[row >= 0] = given["result"].str.startswith("Passed SPAM").fillna(False).to_numpy(dtype=np.bool_)
    return {
        "kind": kind,
        "mute": pd.Series(mute, index=frame.index),
        "tagged": frame["spam"].fillna(False).astype(bool),
        "judged": frame["spam"].notna() | frame["kept"].notna(),
    }


KIND_OF = {"spamd": "spamassassin", "spampd": "spamassassin"}
"""The filter behind a verdict's program, where they differ."""


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


@per_window
def own_names(window: Window, settings: Settings) -> frozenset[str]:
    """Return this server's names, lower case, as far as a window and the configuration tell.

    They are its domains, localhost, its host names as Postfix writes them. For look.
    """
    names = {name for name in window.correlated.local_domains if name}
    names |= {"localhost", "localhost.localdomain"}
    # Postfix writes its own name before the path of a socket.
    relays = pd.Series(window.deliveries["relay"].cat.categories, dtype="str")
    names |= set(relays.str.extract(r"^([^\[]+)\[(?:/|private/|public/)", expand=False).dropna().str.lower())
    # What sendmail was called with, and what became of it: Postfix adds myorigin to a bare name.
    clients = window.events("clients")
    bare = clients[texts.equal(clients["program"], "pickup")]
    bare = bare[~bare["sender"].str.contains("@", regex=False, na=True).to_numpy(dtype=np.bool_)]
    if len(bare):
        by_row = window.entries[window.entries["client_row"].isin(bare.index)]
        local = clients["sender"].reindex(by_row["client_row"]).to_numpy()
        parts = by_row["sender"].str.extract(r"^(.*)@([^@]*)$")
        made = parts[(parts[0] == pd.Series(local, index=parts.index)).to_numpy()]
        names |= set(made[1].dropna().str.lower())
    for key in ("myhostname", "mydomain", "myorigin"):
        fact = settings.postfix.fact(key) if settings.known("postfix") else None
        if fact and "/" not in fact.value:
            names.add(settings.postfix.get(key).strip().lower())
    return frozenset(names - {""})


def at_home(address: pd.Series, names: frozenset[str]) -> Bools:
    """Return which addresses are of this server's names, or names below them; False where there is none."""
    ends = tuple(f".{name}" for name in names)

    def test(address: pd.Series) -> pd.Series:
        domain = address.str.replace(r"(?s)^.*@", "", regex=True).str.lower()
        return ~address.str.contains("@", regex=False) | domain.isin(names) | domain.str.endswith(ends)

    return texts.where(address, test)


def foreign(frame: pd.DataFrame, names: frozenset[str]) -> pd.Series:
    """Return the domain (``@example.org``) of mail that may be strangers', handed in from this host (fetchmail); else empty.

    It has a sender of a domain that isn't among ``names``, and no login.
    """
    asked = frame["user"].isna() & ~frame["client"].str.startswith("uid ", na=False) & frame["sender"].notna()
    chosen = asked.to_numpy(dtype=np.bool_) & ~at_home(frame["sender"], names)
    out = pd.Series("", index=frame.index, dtype="str")
    out[chosen] = texts.each(frame["sender"][chosen], _domain)
    return out


def _domain(address: pd.Series) -> pd.Series:
    return address.str.replace(r"(?s)^.*@", "@", regex=True).str.lower()


__all__ = ["INSIDE", "Own", "at_home", "foreign", "mail_of", "own", "own_names"]
