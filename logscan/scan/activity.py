"""When a host's mail system wrote anything at all: spans of about a minute with their first and last line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from logscan.scan.columns import NO_TIME, column, moments, number
from logscan.scan.memo import per_window
from logscan.tables.columns import frame_of
from logscan.tables.partials import SECOND, Keyed, Partial, Points, hashes

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.tables.partials import Part

Ints = npt.NDArray[np.int64]

DAY = 86_400 * SECOND

SPAN = 64
"""Seconds of a span: the width that :class:`~logscan.tables.partials.Points` comes to where they are many."""

TABLES = (
    *("clients", "message_ids", "queued", "deliveries", "removals", "rejects", "sessions"),
    *("logins", "stores", "moves", "service_events"),
)
"""Event tables of what Postfix and Dovecot write as they work, all through one logging system."""

POINTS, HOSTS, ORDER = "activity", "active hosts", "queue order"


@per_window
def look(window: Window) -> dict[str, Part]:
    """Return the spans in which each host wrote, and, by qmgr's lines, in which order of lines.

    ``activity``: points of the first line of a span, and of the last, which stands there as -1 - time; ``active hosts``: their
    names; ``queue order``: points of qmgr's first line of a span with its ``place`` (source and line number as one).
    """
    at: dict[str, list[Ints]] = {}
    order: list[tuple[str, Ints, Ints]] = []
    for table in TABLES:
        for host, time, rows in by_host(window, table):
            first = _firsts(time)
            last = np.r_[first[1:] - 1, len(time) - 1]
            at.setdefault(host, []).extend((time[first], -1 - time[last]))
            if table == "queued":
                source, line = (number(window, table, name)[rows[first]] for name in ("source", "line"))
                order.append((host, time[first], (source << 32) + line))
    names = list(at)
    keys = hashes(names)
    parts = [(key, _thinned(np.concatenate(at[name]))) for key, name in zip(keys.tolist(), names, strict=True)]
    key_of = dict(zip(names, keys.tolist(), strict=True))
    points = {
        "key": _stacked([np.full(len(time), key, np.int64) for key, time in parts]),
        "at": _stacked([time for _, time in parts]),
    }
    ordered = {
        "key": _stacked([np.full(len(time), key_of[host], np.int64) for host, time, _ in order]),
        "at": _stacked([time for _, time, _ in order]),
        "place": _stacked([place for *_, place in order]),
    }
    return {
        POINTS: Points.of(points, size=1),
        ORDER: Points.of(ordered, size=1),
        HOSTS: Keyed.of(
            frame_of({"host": np.array(names, object), "seen": np.ones(len(names), np.int64)}), sums=["seen"]
        ),
    }


PAST_DAYS = 17
"""Days that a past tells of: silences are compared with the fifteen days before (:mod:`logscan.checking.silences`)."""

MOST_REMEMBERED = 100_000
"""Points that a past has: some three bytes each, as they are in order; two a minute, so seventeen days of two busy servers."""


def remember(partial: Partial, now: int) -> dict[str, Part]:
    """Return when each host wrote, to the second."""
    if POINTS not in partial or HOSTS not in partial:
        return {}
    points = partial.parts[POINTS]
    assert isinstance(points, Points)
    key, at = points.columns["key"], points.columns["at"]
    last = at < 0
    # Seconds are enough, and take less room than what is told in nanoseconds; none is moved away from the others of its span.
    second = np.where(last, -1 - at, at) // SECOND * SECOND
    order = np.lexsort((second, last, key))
    order = order[second[order] >= now - PAST_DAYS * DAY]
    if len(order) > MOST_REMEMBERED:
        order = order[second[order] > np.sort(second[order])[-MOST_REMEMBERED - 1]]
    kept = {"key": key[order], "at": np.where(last, -1 - second, second)[order]}
    hosts = partial.frame(HOSTS)
    there = np.isin(hashes(hosts["host"]), kept["key"])
    return {
        POINTS: Points(kept, points.size, points.most, points.width),
        HOSTS: Keyed.of(hosts[there], sums=["seen"], once=True),
    }


def by_host(window: Window, table: str) -> list[tuple[str, Ints, Ints]]:
    """Return each host of a table with the times of its lines, in order, and their rows."""
    if not len(window.tables[table]):
        return []
    time, host = moments(window, table), column(window, table, "host")
    known = None if len(time) and time[0] != NO_TIME and bool((np.diff(time) >= 0).all()) else time != NO_TIME
    out = []
    used = [*host.used().tolist(), *([-1] if (host.codes < 0).any() else [])]
    for code in used:
        mine = known if len(used) == 1 else (host.codes == code) & (True if known is None else known)
        rows = np.arange(len(time)) if mine is None else np.flatnonzero(mine)
        if known is not None:
            rows = rows[np.argsort(time[rows], kind="stable")]
        if len(rows):
            out.append(("" if code < 0 else str(host.values[code]), time if mine is None else time[rows], rows))
    return out


def _firsts(time: Ints) -> Ints:
    """Return the places of the first of each span among times in order."""
    size = SPAN * SECOND
    low, high = int(time[0]) // size, int(time[-1]) // size
    if high - low > len(time):
        return np.flatnonzero(np.r_[True, np.diff(time // size) > 0])
    found: Ints = np.unique(np.searchsorted(time, np.arange(low, high + 1) * size))
    return found[found < len(time)]


def _thinned(time: Ints) -> Ints:
    """Return the first of each span."""
    ordered = np.sort(time)
    return ordered[np.r_[True, np.diff(ordered // (SPAN * SECOND)) > 0]] if len(ordered) else ordered


def _stacked(parts: list[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


@dataclass(frozen=True)
class Active:
    """When one host wrote: the first and the last line of each span in which it wrote any (UTC ns), in order."""

    host: str
    first: Ints
    last: Ints
    order: tuple[Ints, Ints]
    """Time and place (:func:`look`) of qmgr's first line of spans, in order of time."""

    def silences(self, longer: int) -> list[tuple[int, int]]:
        """Return the times without a line that are longer than so many ns: from the last line before to the next."""
        found = np.flatnonzero(self.first[1:] - self.last[:-1] > longer)
        return [(int(self.last[i]), int(self.first[i + 1])) for i in found.tolist()]

    def before(self, moment: int) -> int | None:
        """Return the last line before a moment, to a span; None where there is none."""
        at = int(np.searchsorted(self.first, moment)) - 1
        if at < 0:
            return None
        return int(self.last[at]) if self.last[at] < moment else int(self.first[at])


NO_ORDER = Points(dict.fromkeys(("key", "at", "place"), np.empty(0, np.int64)), size=1)
"""What is remembered tells no line."""


def activity(partial: Partial) -> list[Active]:
    """Return what :func:`look` saw, by host in the order of their names."""
    if HOSTS not in partial:
        return []
    points, order = partial.parts[POINTS], partial.parts.get(ORDER, NO_ORDER)
    assert isinstance(points, Points)
    assert isinstance(order, Points)
    size = max(SPAN, points.width) * SECOND
    out = []
    for name in sorted(partial.frame(HOSTS)["host"].astype(str).tolist()):
        (key,) = hashes([name]).tolist()
        at = points.times(key)
        first, last = at[at >= 0], np.sort(-1 - at[at < 0])
        if len(first) and len(last):
            mine = order.columns["key"] == key
            time, place = order.columns["at"][mine], order.columns["place"][mine]
            by_time = np.lexsort((place, time))
            first, last = _paired(first[_starts(first, size)], last[_ends(last, size)], size)
            out.append(Active(name, first, last, (time[by_time], place[by_time])))
    return out


def _starts(time: Ints, size: int) -> Ints:
    return np.flatnonzero(np.r_[True, np.diff(time // size) > 0])


def _paired(first: Ints, last: Ints, size: int) -> tuple[Ints, Ints]:
    """Return the spans that have both: of the span in which a past begins, only the last line may be remembered."""
    if len(first) == len(last):
        return first, last
    _, begins, ends = np.intersect1d(first // size, last // size, assume_unique=True, return_indices=True)
    return first[begins], last[ends]


def _ends(time: Ints, size: int) -> Ints:
    return np.flatnonzero(np.r_[np.diff(time // size) > 0, True])
