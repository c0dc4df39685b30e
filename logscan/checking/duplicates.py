"""Copies of one mail for one person: which belong together, in whatever windows they lie, and why there are several."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.tables.recent import hashed

Ints = npt.NDArray[np.int64]

CAUSES = (
    "double-alias-expansion",
    "filter-reinjected-twice",
    "retry-after-lost-reply",
    "unknown",
    "overlapping-aliases",
    "by-list-and-directly",
    "sender-resent",
)
"""The gravest first: a case with several is counted under the first."""

SAME_SIZE = 512
"""Bytes by which two arrivals of one mail may differ (Received lines of another way); beyond, they are two mails."""

SECOND = 10**9

AT_ONCE = pd.Timedelta(minutes=1)
"""Within which one pass of the queue delivers to the recipients of one life; beyond, a copy was delivered anew."""

SAME_DAY = 24 * 3600 * SECOND
"""Nanoseconds within which a list sends on what it got."""

HORIZON = 5 * 24 * 3600 * SECOND
"""Nanoseconds of log time within which two mails may be one that came twice: as long as queues keep a mail that waits."""

KEY = ("ident", "mailbox")
"""What any two copies of one mail agree in, whatever their ways."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy. ``row``, ``entry``, ``root``, ``top`` are lines (:func:`logscan.checking.copies.places`).

    ``broken`` and ``told_by`` (lines, else -1) tell of a copy that was stored although its reply got lost.
    """

    row: int
    entry: int
    root: int
    top: int
    size: int
    time: pd.Timestamp
    message_id: str
    mailbox: str
    recipient: str
    asked: str
    asked_first: str
    handed: str
    relay: str
    top_relay: str
    queue_id: str
    filtered: bool
    outside: bool
    spoke: int
    broken: int
    told_by: int


def alone(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which copies can have others only in their own mail."""
    found: npt.NDArray[np.bool_] = ((frame["ident"] == "") | frame["outside"]).to_numpy(dtype=np.bool_)
    return found


def ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """Return copies in the order of their lines, those outside last; ``era`` tells those apart that lie beyond the horizon."""
    frame = frame.sort_values(["outside", "row", "mailbox", "recipient"], kind="stable", ignore_index=True)
    return frame.assign(era=_eras(frame))


def _eras(frame: pd.DataFrame) -> Ints:
    """Number, in each group, the times between which more than :data:`HORIZON` lies; a mail's copies lie in one."""
    out = np.zeros(len(frame), np.int64)
    time = frame.groupby("group")["time"]
    long = (time.transform("max") - time.transform("min") > HORIZON).to_numpy() & ~alone(frame)
    if not long.any():
        return out
    some = frame[long].groupby(["group", "root"], as_index=False)["time"].agg(["min", "max"])
    some = some.sort_values(["group", "min", "max"], ignore_index=True)
    reached = some.groupby("group")["max"].cummax().groupby(some["group"]).shift(fill_value=np.iinfo(np.int64).max)
    some["era"] = (some["min"] > np.minimum(reached, np.iinfo(np.int64).max - HORIZON) + HORIZON).astype("int64")
    some["era"] = some.groupby("group")["era"].cumsum()
    found = frame.loc[long, ["group", "root"]].merge(some[["group", "root", "era"]], on=["group", "root"], how="left")
    out[long] = found["era"].to_numpy()
    return out


def several(frame: pd.DataFrame) -> list[list[Copy]]:
    """Return the copies of each mail and mailbox that has more than one, in the order of the first one.

    ``frame`` is :func:`ordered`, behind it what no reply tells of. Copies are of one mail by message-id and sender. What a
    command took lies in no mailbox, however often it came.
    """
    frame = frame[frame["mailbox"].notna()]
    keyed = frame.assign(of=frame["root"].where(alone(frame), -1))
    key = ["ident", "sender", "mailbox", "of", "era"]
    distinct = keyed.drop_duplicates([*key, "store"])
    groups = _grouped(distinct[distinct.duplicated(key, keep=False)], key)
    return [rows for group in groups for rows in _same_mail(group) if len(rows) > 1]


def by_other_ways(frame: pd.DataFrame, listed: pd.DataFrame) -> list[list[Copy]]:
    """Return the copies of mails of which each mailbox got one from each of several senders: the author, a list, a forward.

    ``frame`` is :func:`ordered`. A message-id alone doesn't make them one mail: one of its lives went to a command (a
    list's), or they are of one mail. ``listed`` are those lives: ``key`` (the hash of ``ident``) and ``time``.
    """
    key = [*KEY, "era"]
    keyed = frame[~alone(frame)].drop_duplicates([*key, "store"])
    keyed = keyed[keyed.duplicated(key, keep=False)]
    if keyed.empty:
        return []
    groups = keyed.groupby(key)
    apart = (groups["sender"].transform("nunique") == groups["sender"].transform("size")).to_numpy()
    first, last = groups["time"].transform("min").to_numpy(), groups["time"].transform("max").to_numpy()
    one = (groups["root"].transform("nunique") == 1).to_numpy() | _listed(keyed, first, last, listed)
    return _grouped(keyed[apart & one & (last - first <= SAME_DAY)], key)


def _listed(keyed: pd.DataFrame, first: Ints, last: Ints, listed: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which copies are of a mail that went to a command within the horizon of them all."""
    spans = pd.DataFrame({"key": hashed(keyed["ident"]), "first": first, "last": last, "at": np.arange(len(keyed))})
    both = spans.merge(listed[["key", "time"]], on="key")
    near = both[(both["time"] >= both["first"] - HORIZON) & (both["time"] <= both["last"] + HORIZON)]
    out = np.zeros(len(keyed), np.bool_)
    out[near["at"].to_numpy(np.int64)] = True
    return out


def _grouped(some: pd.DataFrame, key: list[str]) -> list[list[Copy]]:
    """Return the copies by what is equal in some columns, in the order of the first one."""
    some = some.assign(time=pd.to_datetime(some["time"], unit="ns", utc=True))
    for name in ("broken", "told_by"):
        some[name] = some[name].fillna(-1).astype("int64") if name in some else -1
    columns = [some[name].tolist() for name in Copy.__slots__]
    out: dict[Any, list[Copy]] = {}
    for same, *values in zip(zip(*(some[name].tolist() for name in key), strict=True), *columns, strict=True):
        out.setdefault(same, []).append(Copy(*values))
    return list(out.values())


def _same_mail(copies: list[Copy]) -> list[list[Copy]]:
    """Split copies whose mails came in with different sizes: a constant Message-ID doesn't make them one mail."""
    if len({copy.root for copy in copies}) == 1:
        return [copies]
    copies = sorted(copies, key=lambda copy: (copy.size, copy.time))
    out = [[copies[0]]]
    for before, copy in itertools.pairwise(copies):
        if copy.size - before.size > SAME_SIZE:
            out.append([])
        out[-1].append(copy)
    return out


class Ways:
    """How entries came out of others (:func:`logscan.checking.copies.chains`), to look at one by one."""

    def __init__(self, chains: pd.DataFrame) -> None:
        columns = [chains[name].tolist() for name in ("entry", "above", "to", "row")]
        self._up = {entry: way for entry, *way in zip(*columns, strict=True)}

    def twice(self, copies: Iterable[Copy]) -> bool:
        """Whether one recipient of one entry came out of the filter more than once, in different attempts."""
        handed: dict[tuple[int, int], int] = {}
        seen: set[int] = set()
        for copy in copies:
            at = copy.entry
            while at in self._up and at not in seen:
                seen.add(at)
                above, to, row = self._up[at]
                if row >= 0 and handed.setdefault((above, to), row) != row:
                    return True
                at = above
        return False


def causes(ways: Ways, copies: list[Copy]) -> tuple[list[str], str]:
    """Return the causes, gravest first, and what to act on: the address that doubles, the filter (or nothing)."""
    found: dict[str, str] = {}
    if any(copy.broken >= 0 for copy in copies):
        found["retry-after-lost-reply"] = copies[0].relay
    mails = _by(copies, "root")
    for rows in mails:
        if len(rows) < 2:
            continue
        explained = 1
        doubled = _doubled([copy for copy in rows if copy.filtered])
        if doubled:
            found["double-alias-expansion"], twice = doubled
            explained = max(explained, twice)
        if ways.twice(rows):
            found["filter-reinjected-twice"] = str(rows[0].top_relay)
            explained = len(rows)
        by_design = len({copy.asked_first for copy in rows}) > 1 or _one_life(rows)
        if by_design and explained < len(rows) and not any(copy.broken >= 0 for copy in rows):
            found["overlapping-aliases"] = ""
    if len(mails) > 1:
        found["sender-resent"] = ""
    ordered = [cause for cause in CAUSES if cause in found] or ["unknown"]
    return ordered, found.get(ordered[0], "")


def _by(copies: list[Copy], name: str) -> list[list[Copy]]:
    out: dict[Any, list[Copy]] = {}
    for copy in copies:
        out.setdefault(getattr(copy, name), []).append(copy)
    return list(out.values())


def _one_life(copies: list[Copy]) -> bool:
    """Whether all copies left one queue entry that no filter handed back: two recipients of it are one person."""
    return len({copy.entry for copy in copies}) == 1 and not copies[0].filtered and _at_once(copies)


def _at_once(copies: list[Copy]) -> bool:
    times = [copy.time for copy in copies]
    return bool(max(times) - min(times) <= AT_ONCE)


def _doubled(copies: list[Copy]) -> tuple[str, int] | None:
    """Return the address whose second expansion, behind the filter, doubled copies of one mail, and how many they are.

    ``copies`` came through a filter. An alias: copies of one address of the envelope came by several hand-overs, and one
    was expanded behind the filter. A BCC: behind the filter a recipient was added that the hand-over didn't name, and that
    had one of its own; or one life behind it has the same recipient twice, of which the hand-over named one.
    """
    if len({copy.asked != copy.handed for copy in copies}) > 1:
        return copies[0].mailbox, len(copies)
    for some in _by(copies, "asked_first"):
        behind = any(copy.asked != copy.recipient for copy in some)
        if len(some) > 1 and len({copy.handed for copy in some}) > 1 and behind:
            return some[0].asked_first, len(some)
    for some in _by(copies, "entry"):
        if len(some) > 1 and len({(copy.recipient, copy.asked) for copy in some}) == 1 and _at_once(some):
            return some[0].mailbox, len(some)
    return None
