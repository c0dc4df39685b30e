"""Times without a line: whether a host was idle as usual then, or ought to have written something."""

from __future__ import annotations

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
    return [_judged(active, start, until, zone, limits) for start, until in found]


def _judged(active: Active, start: int, until: int, zone: Any, limits: Limits) -> Silence:
    shifts = _shifts(active, start, until, zone)
    counts = _counted(active, start + shifts, until + shifts)
    days, length = len(shifts), until - start
    # Where days are many, one of them may have been silent for the same reason.
    least = int(np.partition(counts, 1)[1] if days >= 2 * limits.days else counts.min()) if days > 1 else 0
    share = limits.dense if length < HOUR else limits.filled
    usual: Usual = "unknown"
    if days > 1 and least < max(limits.spans, share * length / (SPAN * SECOND)):
        usual = "idle"
    elif days >= (2 if length > LONG else limits.days):
        usual = "unusual" if _as_usual(active, start, until, shifts, limits) else "idle"
    elif _steady(active, start, until, limits):
        usual = "unusual"
    return Silence(start, until, usual, days, least)


def _shifts(active: Active, start: int, until: int, zone: Any) -> Ints:
    """Return by how many ns the same time of day lies apart, on days of the same kind that the log holds whole.

    A working day is compared with working days, a weekend with weekends, what takes about a day or longer with the same days of
    other weeks.
    """
    long = until - start > LONG
    days = np.arange(-NEAREST, NEAREST + 1)
    days = days[days != 0] * (7 if long else 1)
    offset = _offset(start, zone)
    moved = np.array([offset - _offset(start + int(day) * DAY, zone) for day in days], np.int64)
    shift = days * DAY + moved
    kept = (start + shift >= active.first[0]) & (until + shift <= active.last[-1])
    kept &= np.abs(shift) >= until - start
    if not long:
        kept &= (_weekend(start + offset + days * DAY) == _weekend(start + offset)) & (
            _weekend(until + offset + days * DAY) == _weekend(until + offset)
        )
    out: Ints = shift[kept]
    return out


def _offset(moment: int, zone: Any) -> int:
    """Return by how many ns the server's clock was ahead of UTC."""
    if zone is None:
        return 0
    ahead = datetime.fromtimestamp(moment // SECOND, UTC).astimezone(zone).utcoffset()
    return int(ahead.total_seconds()) * SECOND if ahead is not None else 0


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
