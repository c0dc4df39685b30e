"""Which address each delivery was for before and after each expansion, and when an alias' trouble ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.correlate.links import beginnings, nearest
from logscan.scan.hops import dspam_hops
from logscan.scan.memo import per_window
from logscan.scan.mended import Ends, Mended
from logscan.tables import grouping, texts

if TYPE_CHECKING:
    from logscan.scan.window import Window

__all__ = [
    "Mended",
    "Owned",
    "alias_states",
    "asked",
    "mended_since",
    "owned_aliases",
    "owned_rows",
    "owning",
    "reloads",
    "through_filter",
    "top_rows",
]


def top_rows(scan: Window) -> npt.NDArray[np.int64]:
    """Return, per delivery, the first delivery row of its chain: the hand-over from which, leg by leg, it came.

    A delivery of an entry that came out of nothing is its own.
    """
    deliveries, legs = scan.deliveries, scan.legs
    size = len(scan.entries)
    hand_over = np.full(size + 1, -1, np.int64)
    usable = legs["kind"].isin(["filter", "relay", "forward"]).to_numpy()
    hand_over[legs["child"].to_numpy()[usable]] = legs["delivery"].to_numpy()[usable]
    above = hand_over[deliveries["entry"].to_numpy()]
    return beginnings(np.where(above >= 0, above, np.arange(len(above))))


def asked(frame: pd.DataFrame) -> pd.Series:
    """Return the address each delivery was for as it came in, lower case."""
    return texts.lower(texts.either(frame["original_recipient"], frame["recipient"]))


@per_window
def through_filter(scan: Window) -> npt.NDArray[np.bool_]:
    """Return, per entry, whether it, or one that it came out of, came back from a filter."""
    came_back = (scan.entries["leg"] == "filter").to_numpy()
    place = np.arange(len(came_back))
    parent = scan.entries["parent"].to_numpy()
    out: npt.NDArray[np.bool_] = nearest(np.where(parent >= 0, parent, place), np.where(came_back, place, -1)) >= 0
    return out


@per_window
def reloads(scan: Window) -> pd.DataFrame:
    """Return ``time`` and ``event`` (start, reload) of Postfix's master, in the order of time."""
    return Ends.within(scan).reloads.sort_values("time")


def mended_since(scan: Window, last_bad: pd.Timestamp, good: pd.Series, reloaded: bool = True) -> Mended | None:
    """Return :meth:`logscan.scan.mended.Ends.mended` by the reloads of one window."""
    return Ends(reloads(scan), scan.zone).mended(last_bad, good, reloaded)


@per_window
def owned_aliases(scan: Window) -> pd.DataFrame:
    """Return hand-overs to a filter that learns per recipient, one row each.

    Columns: ``time``, ``entry``, ``host``, ``mail``, ``user`` (the recipient as the filter saw it), ``asked``, ``child``
    (entry or -1),
    ``expanded`` (behind the filter it became other addresses), ``kept`` (it is a mailbox, or lists itself),
    ``known`` (what came out of the filter is in the log), ``people`` (tuple of mailboxes, where expanded), ``by_local``
    (local(8) expanded it, from aliases(5), which no option before the filter can do), ``row``.
    """
    deliveries = scan.deliveries
    rows = np.flatnonzero(dspam_hops(scan))
    frame = deliveries[["time", "entry", "recipient", "mailbox", "outside"]].iloc[rows].copy()
    frame["row"] = rows
    frame["host"] = scan.entries["host"].astype("str").to_numpy()[frame["entry"].to_numpy()]
    frame["mail"] = deliveries["mail"].to_numpy()[rows]
    frame["asked"] = asked(deliveries[["recipient", "original_recipient"]].iloc[rows]).to_numpy()
    child_of = np.full(len(deliveries) + 1, -1, np.int64)
    filters = scan.legs[(scan.legs["kind"] == "filter") & (scan.legs["delivery"] >= 0)]
    child_of[filters["delivery"].to_numpy()] = filters["child"].to_numpy()
    frame["child"] = child_of[rows]
    frame["user"] = frame["recipient"].astype("str")
    columns = ["entry", "recipient", "original_recipient", "mailbox", "program"]
    ends = deliveries.loc[(deliveries["entry"] >= 0) & (deliveries["final"] | deliveries["last"]), columns]
    ends = ends.assign(asked=asked(ends), to=texts.lower(ends["recipient"]))
    merged = frame[["row", "child", "user"]].merge(
        ends[["entry", "asked", "to", "mailbox", "program"]], left_on="child", right_on="entry"
    )
    user = texts.lower(merged["user"])
    merged["mine"] = merged["asked"] == user
    merged["self"] = merged["to"] == user
    some = merged[merged["mine"]]
    by = some.groupby("row")
    frame = frame.set_index("row", drop=False)
    frame["known"] = by.size().reindex(frame.index).fillna(0) > 0
    kept = by["self"].any().reindex(frame.index)
    frame["kept"] = kept.fillna(False).astype(bool)
    by_local = (some["program"].astype("str") == "local").groupby(some["row"]).all().reindex(frame.index)
    frame["by_local"] = by_local.fillna(False).astype(bool)
    frame["expanded"] = frame["known"] & ~frame["kept"]
    frame["people"] = _tuples(some[some["row"].isin(frame.index[frame["expanded"]])]).reindex(frame.index)
    return frame.reset_index(drop=True)


def _tuples(some: pd.DataFrame) -> pd.Series:
    """Return the mailboxes of each ``row``, sorted and each once, as tuples by row; made by slices, since rows are many."""
    named = some[["row", "mailbox"]].dropna().drop_duplicates().sort_values(["row", "mailbox"])
    rows = np.unique(some["row"].to_numpy())
    ends = np.searchsorted(named["row"].to_numpy(), rows, "right").tolist()
    names = named["mailbox"].tolist()
    return pd.Series([tuple(names[a:b]) for a, b in zip([0, *ends], ends, strict=False)], index=rows, dtype="object")


def alias_states(scan: Window) -> dict[tuple[str, str], Mended | None]:
    """Return, by alias and host, since when an alias that the filter learned under no longer owns its mail.

    Mended is what later came to the filter expanded.
    """
    frame = owned_aliases(scan)
    user = texts.lower(frame["user"])
    bad = frame[frame["expanded"]].groupby([user, "host"], sort=False)["time"].max()
    right = frame[(frame["asked"] != user).to_numpy() & frame["asked"].isin(bad.index.get_level_values(0)).to_numpy()]
    good = dict(iter(right.groupby(["asked", "host"])["time"]))
    out: dict[tuple[str, str], Mended | None] = {}
    for (alias, host), last in bad.items():
        times = good.get((alias, host))
        out[str(alias), str(host)] = mended_since(scan, last, times) if times is not None else None
    return out


Owned = dict[str, tuple[Mended | None, frozenset[str]]]
"""By alias that owns a dictionary: since when it no longer learns there, and the people behind it."""


def owned_rows(scan: Window) -> pd.DataFrame:
    """Return the rows of :func:`owned_aliases` whose user is an alias that keeps nothing on that host, with ``alias``."""
    frame = owned_aliases(scan)
    user = texts.lower(frame["user"])
    pair = frame["host"].astype("str") + "\0" + user
    mine = frame["expanded"] & ~texts.among(pair, pair[frame["kept"]])
    return frame[mine].assign(alias=user[mine])


def owning(scan: Window) -> Owned:
    """Return who owns a dictionary; where several hosts have an alias, it is mended when it is on each."""
    states = alias_states(scan)
    out: Owned = {}
    for (alias, host), rows in grouping.groups(owned_rows(scan), ["alias", "host"]):
        mended = states[str(alias), str(host)]
        people = frozenset(name for names in rows["people"] for name in names)
        if (before := out.get(str(alias))) is not None:
            people |= before[1]
            ended = [each for each in (before[0], mended) if each is not None]
            mended = max(ended, key=lambda each: each.since) if len(ended) == 2 else None
        out[str(alias)] = (mended, people)
    return out
