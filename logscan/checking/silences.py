"""Times without a line: whether a host was idle as usual then, or ought to have written something."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from logscan.scan.activity import SPAN
from logscan.tables.partials import SECOND

if TYPE_CHECKING:
    from logscan.scan.activity import Active

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DAY = 86_400 * SECOND
HOUR = 3600 * SECOND
LONG = 20 * HOUR
"""Silences longer than this are compared with the same days of other weeks only."""

NEAREST = 15
"""Days to either side that a silence is compared with: what was usual long ago says little."""

MOST = 5_000
"""Silences that are judged, the longest ones: a host that writes little has one after each line."""

Usual = Literal["unusual", "idle", "unknown"]


class Limits(Protocol):
    """Thresholds of whoever asks."""

    @property
    def silence(self) -> int:
        """Seconds without a line that are looked at."""

    @property
    def days(self) -> int:
        """Comparable days that have to be there."""

    @property
    def spans(self) -> int:
        """Spans with lines that each of them has to have at that time."""

    @property
    def dense(self) -> float:
        """The share of the minutes of a silence shorter than an hour in which each of them must have lines."""

    @property
    def filled(self) -> float:
        """The same for a longer silence."""

    @property
    def share(self) -> float:
        """The share of the usual lines that must be there before or after a silence."""

    @property
    def steady(self) -> int:
        """How many times longer than every other nearby silence one must be where there are no comparable days."""


@dataclass(frozen=True)
class Silence:
    """A time without a line (UTC ns: the last line before, the next one), and what it is."""

    start: int
    until: int
    usual: Usual
    days: int
    """Comparable days."""
    least: int
    """Spans with lines on the quietest of these."""


def judged(active: Active, zone: Any, limits: Limits) -> list[Silence]:
    """Return the silences of a host in order of time."""
    found = active.silences(limits.silence * SECOND)
    if not found:
        return []
    found = sorted(sorted(found, key=lambda each: each[0] - each[1])[:MOST])
    start, until = (np.array(each, np.int64) for each in zip(*found, strict=True))
    shift, kept = _shifts(active, start, until, zone)
    counts = _counted(active, start[:, None] + shift, until[:, None] + shift)
    days = kept.sum(axis=1)
    least = np.sort(np.where(kept, counts, np.iinfo(np.int64).max), axis=1)[:, :2]
    # Where days are many, one of them may have been silent for the same reason.
    lowest = np.where(days > 1, np.where(days >= 2 * limits.days, least[:, 1], least[:, 0]), 0)
    share = np.where(until - start < HOUR, limits.dense, limits.filled)
    idle = (days > 1) & (lowest < np.maximum(limits.spans, share * (until - start) / (SPAN * SECOND)))
    enough = days >= np.where(until - start > LONG, 2, limits.days)
    out = []
    for nth, (begin, end) in enumerate(found):
        usual: Usual = "unknown"
        if idle[nth]:
            usual = "idle"
        elif enough[nth]:
            usual = "unusual" if _as_usual(active, begin, end, shift[nth][kept[nth]], limits) else "idle"
        elif _steady(active, begin, end, limits):
            usual = "unusual"
        out.append(Silence(begin, end, usual, int(days[nth]), int(lowest[nth])))
    return out


def _shifts(active: Active, start: Ints, until: Ints, zone: Any) -> tuple[Ints, Bools]:
    """Return, per silence and day, by how many ns the same time of day lies apart, and which days can be compared.

    A working day is compared with working days, a weekend with weekends, what takes about a day or longer with the same days
    of other weeks; each of these times the log must hold whole.
    """
    long = (until - start > LONG)[:, None]
    days = np.arange(-NEAREST, NEAREST + 1)
    days = days[days != 0][None, :] * np.where(long, 7, 1)
    offset = _offsets(start, zone)[:, None]
    shift = days * DAY + offset - _offsets(start[:, None] + days * DAY, zone)
    begin, end = start[:, None], until[:, None]
    kept = (begin + shift >= active.first[0]) & (end + shift <= active.last[-1]) & (np.abs(shift) >= end - begin)
    alike = _weekend(begin + offset + days * DAY) == _weekend(begin + offset)
    alike &= _weekend(end + offset + days * DAY) == _weekend(end + offset)
    return shift, kept & (long | alike)


def _offsets(moment: Ints, zone: Any) -> Ints:
    """Return by how many ns the server's clock was ahead of UTC at each moment, give or take the hours of a change."""
    if zone is None:
        return np.zeros(moment.shape, np.int64)
    halves, of_moment = np.unique(moment // (DAY // 2), return_inverse=True)
    ahead = np.array([_ahead(half, zone) for half in halves.tolist()], np.int64)
    return ahead[of_moment].reshape(moment.shape)


@functools.lru_cache(20_000)
def _ahead(half: int, zone: Any) -> int:
    """Return it for the middle of half a day: the zone of a log is slow to ask."""
    found = datetime.fromtimestamp((2 * half + 1) * 21_600, UTC).astimezone(zone).utcoffset()
    return int(found.total_seconds()) * SECOND if found is not None else 0


def _weekend(local: Any) -> Any:
    # 1970-01-01 was a Thursday.
    return (local // DAY + 3) % 7 >= 5


def _counted(active: Active, start: Ints, until: Ints) -> Ints:
    """Return the spans with lines between two times each."""
    out: Ints = np.searchsorted(active.first, until) - np.searchsorted(active.last, start, "right")
    return np.maximum(out, 0)


def _as_usual(active: Active, start: int, until: int, shifts: Ints, limits: Limits) -> bool:
    """Whether about as much was written right before or after as on other days: else the whole day was a quiet one."""
    width = max(HOUR, min(until - start, 6 * HOUR))
    sides: Sequence[tuple[int, int]] = ((start - width, start), (until, until + width))
    usual = [float(np.median(_counted(active, low + shifts, high + shifts))) for low, high in sides]
    here = [int(_counted(active, np.array([low]), np.array([high]))[0]) for low, high in sides]
    told = [(mine, other) for mine, other in zip(here, usual, strict=True) if other >= limits.spans]
    return bool(told) and all(mine >= limits.share * other for mine, other in told)


def _steady(active: Active, start: int, until: int, limits: Limits) -> bool:
    """Whether lines stand close to each other long before and after, so that a silence breaks off what had no pause."""
    length = until - start
    low, high = start - 3 * length, until + 3 * length
    if low < active.first[0] or high > active.last[-1]:
        return False
    gaps = active.first[1:] - active.last[:-1]
    near = (active.first[1:] > low) & (active.last[:-1] < high) & (active.last[:-1] != start)
    return bool(gaps[near].max(initial=0) <= length // limits.steady)
