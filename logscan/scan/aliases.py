"""Which address each delivery was for before and after each expansion, and when an alias' trouble ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.correlate.links import nearest
from logscan.scan.hops import dspam_hops
from logscan.tables import grouping, texts

if TYPE_CHECKING:
    from logscan.scan.window import Window


def top_rows(scan: Window) -> npt.NDArray[np.int64]:
    """Return, per delivery, the first delivery row of its chain: the hand-over from which, leg by leg, it came.

    A delivery of an entry that came out of nothing is its own.
    """
    deliveries, legs = scan.deliveries, scan.legs
    size = len(scan.entries)
    hand_over = np.full(size + 1, -1, np.int64)
    usable = legs["kind"].isin(["filter", "relay", "forward"]).to_numpy()
    hand_over[legs["child"].to_numpy()[usable]] = legs["delivery"].to_numpy()[usable]
    entry = deliveries["entry"].to_numpy()
    at = np.arange(len(deliveries))
    for _ in range(16):
        above = hand_over[entry[at]]
        above = np.where(entry[at] >= 0, above, -1)
        if (above < 0).all():
            break
        at = np.where(above >= 0, above, at)
    return at


def asked(frame: pd.DataFrame) -> pd.Series:
    """Return the address each delivery was for as it came in, lower case."""
    return texts.lower(texts.either(frame["original_recipient"], frame["recipient"]))


def through_filter(scan: Window) -> npt.NDArray[np.bool_]:
    """Return, per entry, whether it, or one that it came out of, came back from a filter."""
    came_back = (scan.entries["leg"] == "filter").to_numpy()
    place = np.arange(len(came_back))
    parent = scan.entries["parent"].to_numpy()
    out: npt.NDArray[np.bool_] = nearest(np.where(parent >= 0, parent, place), np.where(came_back, place, -1)) >= 0
    return out


@dataclass(frozen=True, slots=True)
class Mended:
    """Since when something goes right, and in words what mended it."""

    since: pd.Timestamp
    words: str


def reloads(scan: Window) -> pd.DataFrame:
    """Return ``time`` and ``event`` (start, reload) of Postfix's master, in the order of time; made once."""
    cache: pd.DataFrame | None = scan.__dict__.get("_reloads")
    if cache is None:
        events = scan.events("service_events")
        wanted = events[(events["program"] == "master") & events["event"].isin(["start", "reload"])]
        cache = scan.__dict__["_reloads"] = wanted[["time", "event"]].sort_values("time")
    return cache


def mended_since(scan: Window, last_bad: pd.Timestamp, good: pd.Series, reloaded: bool = True) -> Mended | None:
    """Return since when it goes right: the reload between the last bad and the first good case, else that case.

    ``good`` are the times at which the same situation came up and went right. None when it never did after ``last_bad``.
    ``reloaded`` is whether Postfix's reload may be what mended it.
    """
    later = good[good > last_bad] if len(good) else good
    if not len(later):
        return None
    first = later.min()
    between = reloads(scan)
    between = between[(between["time"] > last_bad) & (between["time"] <= first)]
    if between.empty or not reloaded:
        return Mended(first, f"mended since {_clock(scan, first, last_bad)}")
    since, last = between["time"].iloc[0], between["time"].iloc[-1]
    name = "restart" if (between["event"] == "start").all() else "reload"
    if len(between) == 1:
        return Mended(since, f"mended by the {name} at {_clock(scan, since, last_bad)}")
    return Mended(
        since,
        f"mended by one of the {name}s between {_clock(scan, since, last_bad)} and {_clock(scan, last, last_bad)}",
    )


def _clock(scan: Window, time: pd.Timestamp, near: pd.Timestamp) -> str:
    """Return the time of day on the server's clock, with the date where it isn't the day of ``near``."""
    here, there = (each.tz_convert(scan.zone or "UTC") for each in (time, near))
    return f"{here:%H:%M}" if here.date() == there.date() else f"{here:%H:%M} on {here.day} {here:%B %Y}"


def owned_aliases(scan: Window) -> pd.DataFrame:
    """Return :func:`_owned_aliases` of this scan, made once."""
    cache: pd.DataFrame | None = scan.__dict__.get("_owned_aliases")
    if cache is None:
        cache = scan.__dict__["_owned_aliases"] = _owned_aliases(scan)
    return cache


def _owned_aliases(scan: Window) -> pd.DataFrame:
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
