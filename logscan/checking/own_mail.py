"""What became of mail that was handed in here: cases and counts that windows show, and what all of them tell together.

In look, :func:`look` gives what three checks share, :func:`cases` the rows that may be a case. In conclude,
:class:`OwnMail` knows ports, filters, the times that their logs cover and the names of the server, and so which rows are
cases and what was looked at.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.scan import covering, filters, ports
from logscan.scan.mail_hashes import chosen, mail_hashes
from logscan.scan.memo import none_once, per_window
from logscan.scan.mended import RELOADS, Ends, reload_times
from logscan.scan.submitted import at_home, own, own_names
from logscan.tables.partials import First, Keyed, Part, Partial, Rows
from logscan.tables.spans import FOLDED, Moments, numbers

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

COUNTED = ("came", *ports.DOOR, "outside", "passed", "kind", "mute")
"""What deliveries are counted by: origin and door of their mail, whether they went outside, what the filter did with them."""

MOST_FETCHED = 10_000
"""Rows of what may be strangers' mail, fetched from elsewhere, that are kept as long as not all names of the server are known.
Where there are more and one turns out to be the server's own, its later cases are missing."""

SPAM_FOLDERS = frozenset({"junk", "spam", "inbox.junk", "inbox.spam"})


@per_window
def look(window: Window, settings: Settings) -> dict[str, Part]:
    """Return the parts that three checks share: counts by key, and what tells of ports, filters, names and reloads."""
    mine = own(window, settings)
    columns = ["came", "root", "outside", "passed", "kind", "mute", "judged", "kept", "foreign", "time"]
    frame = mine.frame.loc[mine.frame["inside"], columns]
    frame = _with_doors(window, settings, frame, frame["root"].to_numpy())
    known = (frame["judged"] | frame["passed"]).to_numpy()
    strange = (frame["foreign"] != "").to_numpy()
    parts: dict[str, Part] = {"waiting": mine.waiting, RELOADS: reload_times(window)}
    for name, rows in (("own", ~strange), ("strange", strange)):
        keys = [*COUNTED, *(["foreign"] if name == "strange" else [])]
        some = frame[known & rows]
        sure = some[[*keys, "judged"]].assign(kept=some["kept"] != "", n=1, time=numbers(some["time"]))
        parts[f"{name}.known"] = Keyed.of(sure, sums=["n"], most=["time"])
        parts[f"{name}.open"] = _open(frame[~known & rows], tuple(keys), window, settings)
    names = pd.DataFrame({"name": pd.Series(sorted(own_names(window, settings)), dtype="str")})
    return {
        **parts,
        "own.names": Keyed.of(names),
        **ports.look(window, settings),
        **filters.look(window),
        **covering.look(window),
    }


def _open(frame: pd.DataFrame, keys: tuple[str, ...], window: Window, settings: Settings) -> Moments:
    """Return the rows that no filter is known to have met: whether one did follows from the times that its log covers."""
    if frame.empty:
        return _none_open(frame[list(keys)], keys)
    root = frame["root"].to_numpy()
    tag = covering.tags(window, root)
    tag = tag.where(tag.isin(covering.free_by_configuration(settings)), "")
    entries = window.entries[["host", "first"]].iloc[root]
    some = frame[list(keys)].reset_index(drop=True)
    some = some.assign(host=entries["host"].astype("str").array, tag=tag.array)
    some = some.assign(began=numbers(entries["first"]), time=numbers(frame["time"]))
    return _moments(some, keys)


def _moments(rows: pd.DataFrame, keys: tuple[str, ...]) -> Moments:
    return Moments.of(rows, ["began", "time"], [name for name in ("foreign", "process") if name in keys])


@none_once
def _none_open(rows: pd.DataFrame, keys: tuple[str, ...]) -> Moments:
    texts_ = {name: pd.Series([], dtype="str") for name in ("host", "tag")}
    times = {name: np.empty(0, np.int64) for name in ("began", "time")}
    return _moments(rows.reset_index(drop=True).assign(**texts_, **times), keys)


def _with_doors(window: Window, settings: Settings, frame: pd.DataFrame, entry: Ints, prefix: str = "") -> pd.DataFrame:
    """Add the door of each row's entry: columns :data:`logscan.scan.ports.DOOR`, their names behind a prefix."""
    code = ports.doors(window, settings).code[entry]
    made = _doors_and_none(window, settings).iloc[code]
    return frame.assign(**{f"{prefix}{name}": made[name].array for name in ports.DOOR})


@per_window
def _doors_and_none(window: Window, settings: Settings) -> pd.DataFrame:
    """Return the doors by code, and behind them that of an entry without a login."""
    none = pd.DataFrame(
        {"service": pd.Series([""], dtype="str"), "handed_over": False, "filtered": False, "process": 0}
    )
    return pd.concat([ports.doors(window, settings).kinds, none], ignore_index=True)


@per_window
def cases(window: Window, settings: Settings) -> pd.DataFrame:
    """Return the rows that may be a case of a check, with all that a finding tells of them; the index counts for nothing.

    ``mail`` (int64, a hash) tells mails apart, ``tagged`` whether it carries a spam verdict, ``filed`` whether it was filed as
    spam without one, ``at_door`` that it never came into the queue; ``opened``, ``told``, ``stopped`` and ``done`` with
    ``_source`` and ``_line`` are its evidence (-1: none), ``place_...`` the entry that it was delivered from.
    """
    frame = own(window, settings).frame
    folders = {name.lower() for name in settings.dovecot.spam_folders} | SPAM_FOLDERS
    filed = frame["passed"] & frame["spam"].isna() & frame["folder"].str.lower().isin(folders).astype(bool)
    local = (frame["came"] == "local") & frame["passed"]
    chosen_ = (frame["tagged"] | (frame["kept"] != "") | filed | local).to_numpy()
    if not chosen_.any():
        return _no_cases()
    frame = frame[chosen_].assign(filed=filed[chosen_], at_door=frame["row"][chosen_] < 0)
    frame = frame.assign(mail=mail_hashes(window, frame["root"].to_numpy()))
    root, entry = frame["root"].to_numpy(), frame["entry"].to_numpy()
    frame = _with_doors(window, settings, frame, root)
    frame = _with_doors(window, settings, frame, entry, "place_")
    made: dict[str, Any] = {"program": window.entries["program"].iloc[root].astype("str").array}
    for name in ("service", "program", "origin", "leg"):
        made[f"from_{name}"] = window.entries[name].iloc[entry].astype("str").fillna("").array
    for name, table, row in (
        ("opened", window.events("clients"), window.entries["client_row"].to_numpy()[root]),
        ("told", window.verdicts, frame["verdict_row"].to_numpy(dtype=np.int64)),
        ("stopped", window.events("rejects"), frame["reject"].to_numpy(dtype=np.int64)),
        ("done", window.deliveries, frame["row"].to_numpy(dtype=np.int64)),
    ):
        for column in ("source", "line"):
            made[f"{name}_{column}"] = chosen(table[column], row)
    frame = frame.assign(**made)
    # Most are texts already; to say so of each again takes longer than all else.
    plain = {name: frame[name].astype("str") for name in TEXTS if frame[name].dtype != "str"}
    return frame.assign(**plain)[[*TEXTS, *OTHERS]]


TEXTS = (
    *("came", "direction", "user", "sender", "recipient", "client", "relay", "message_id", "signature", "queue_id"),
    *("kept", "reason", "kind", "foreign", "program", "service", "place_service"),
    *("from_service", "from_program", "from_origin", "from_leg"),
)
OTHERS = (
    *("time", "mail", "inside", "outside", "passed", "tagged", "filed", "at_door"),
    *(f"{prefix}{name}" for prefix in ("", "place_") for name in ports.DOOR[1:]),
    *(f"{name}_{column}" for name in ("opened", "told", "stopped", "done") for column in ("source", "line")),
)


@functools.cache
def _no_cases() -> pd.DataFrame:
    kinds = dict.fromkeys(OTHERS, "int64") | dict.fromkeys(TEXTS, "str") | {"time": "datetime64[ns, UTC]"}
    kinds |= {name: "bool" for name in OTHERS if name.endswith(FLAGS)}
    return pd.DataFrame({name: pd.Series([], dtype=kinds[name]) for name in (*TEXTS, *OTHERS)})


FLAGS = ("inside", "outside", "passed", "tagged", "filed", "at_door", "handed_over", "filtered")


@none_once
def kept_of(rows: pd.DataFrame) -> dict[str, Part]:
    """Return the parts for cases (rows of :func:`cases`); of strangers' mail that is perhaps none, the first ones."""
    doubtful = ((rows["foreign"] != "") & ~(rows["outside"] & (rows["kept"] == ""))).to_numpy()
    order = (
        "time",
        *(f"{name}_{column}" for name in ("done", "stopped") for column in ("source", "line")),
        "recipient",
    )
    return {"cases": Rows.of(rows[~doubtful]), "doubtful": First.of(rows[doubtful], MOST_FETCHED, order)}


@dataclass(frozen=True)
class OwnMail:
    """What all windows told of own mail."""

    settings: Settings
    log: Log
    filters: filters.Filters
    ports: ports.Ports
    ends: Ends
    waiting: int
    uncounted: int
    """Deliveries of more kinds (:data:`COUNTED`) than are counted one by one."""
    step: int
    """What times are rounded down to (ns) where no filter is known to have met a mail; 0: to none."""
    counts: pd.DataFrame
    """Deliveries of mail with an origin inside: :data:`COUNTED`, ``origin`` (as the contract names it), ``fetched`` (strangers'
    mail, if it stays here), ``looked``, ``filtered``, ``kept``, ``time`` (UTC ns, the latest of those counted), ``n``."""
    cases: pd.DataFrame
    """Rows of :func:`cases` in the order of time, with ``port``, ``origin``, ``fetched``; ``outside`` is final."""

    @classmethod
    def of(cls, partial: Partial, log: Log) -> OwnMail:
        """Return what is known when all windows are seen."""
        settings = log.settings
        names = frozenset(partial.frame("own.names")["name"].tolist())
        known, doors = filters.concluded(partial, settings), ports.concluded(partial, log)
        counts = _counts(partial, settings, names, known, doors)
        rows = pd.concat([partial.frame("cases"), partial.frame("doubtful")], ignore_index=True)
        at_home_ = (rows["kept"] != "").to_numpy() & at_home(rows["recipient"], names)
        rows = _told(settings, doors, rows).assign(fetched=_fetched(rows["foreign"], names))
        rows["outside"] = rows["outside"].to_numpy(dtype=np.bool_) & ~at_home_
        order = ["at_door", "time", "done_source", "done_line", "stopped_source", "stopped_line", "recipient"]
        rows = rows.sort_values(order, kind="stable", ignore_index=True)
        return cls(
            settings,
            log,
            known,
            doors,
            Ends.of(partial, log),
            partial.count("waiting"),
            *_bounds(partial),
            counts,
            rows,
        )


def _bounds(partial: Partial) -> tuple[int, int]:
    """Return what wasn't counted, and the coarsest step of times."""
    known = partial.parts["own.known"]
    steps = [part.step for part in partial.parts.values() if isinstance(part, Moments)]
    return sum(known.rest) if isinstance(known, Keyed) else 0, 0 if 0 in steps else max(steps)


def _counts(
    partial: Partial, settings: Settings, names: frozenset[str], known: filters.Filters, doors: ports.Ports
) -> pd.DataFrame:
    covers = covering.Covering(partial, settings)
    parts = []
    for name in ("own", "strange"):
        sure, left = partial.frame(f"{name}.known"), partial.frame(f"{name}.open")
        seen = np.ones(len(left), np.bool_)
        if known.door:
            seen = covers.covered(left["host"], left["began"].to_numpy()) | covers.spared(left["tag"])
        parts += [
            sure.assign(looked=sure["judged"].to_numpy(dtype=np.bool_), filtered=True),
            left.assign(looked=seen, filtered=False, kept=False),
        ]
    frame = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    strange = frame["foreign"].fillna("") if "foreign" in frame else pd.Series("", index=frame.index, dtype="str")
    return _told(settings, doors, frame).assign(fetched=_fetched(strange, names))


def _fetched(strange: pd.Series, names: frozenset[str]) -> Bools:
    """Return which rows are foreign mail handed in from this host (fetchmail), all names of the server known."""
    given = (strange != "").to_numpy(dtype=np.bool_)
    found: Bools = given & ~((strange != FOLDED).to_numpy(dtype=np.bool_) & at_home(strange.astype("str"), names))
    return found


def _told(settings: Settings, doors: ports.Ports, frame: pd.DataFrame) -> pd.DataFrame:
    """Add ``port`` and ``origin`` (as the contract names it)."""
    port = doors.of(frame).port
    everything = settings.known("postfix") and bool(settings.postfix.get("content_filter").strip())
    came = frame["came"].to_numpy(dtype=object)
    login = came == "authenticated"
    here = np.isin(came, ["local", "network"])
    whole = np.full(len(frame), everything)
    origin = np.select(
        [login & (port == 25), (login | here) & whole, login, here],
        ["authenticated-port-25", "all-filtered", "submission-filtered", "local-script"],
        came,
    )
    return frame.assign(port=port, origin=pd.Series(origin, index=frame.index, dtype="str"))
