"""How much is usual on a server at an hour, told by its own days before, and which hours stand out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.scan.hourly import MEASURES

Numbers = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SECONDS = 3600
WEEK = 7


class Limits(Protocol):
    """Thresholds of whoever asks."""

    @property
    def days(self) -> int:
        """Earlier days of the same kind that must be there."""

    @property
    def weeks(self) -> int:
        """Earlier weeks from which on the hour of the week is compared, instead of the hour of working days or weekends."""

    @property
    def memory(self) -> int:
        """Days before that are looked at."""

    @property
    def least(self) -> int:
        """By how many an hour must differ."""

    @property
    def times(self) -> int:
        """How many times more, or less, than usual."""

    @property
    def score(self) -> int:
        """How many usual deviations more."""

    @property
    def peak(self) -> float:
        """How many times more than the largest hours before, whenever they were."""

    @property
    def longest(self) -> int:
        """Days that are judged, the last ones."""


@dataclass(frozen=True)
class Days:
    """The hours of one host by local day (rows) and hour of the day: one matrix for each of MEASURES."""

    host: str
    weekday: Ints
    counts: dict[str, Numbers]
    heard: Bools
    """Which hours had any line that is counted."""
    known: Bools
    """Which hours the log covers whole."""
    utc: Ints
    """The UTC hour of each; -1 where a clock that was set forward left it out."""


class Odd(NamedTuple):
    """An hour that stands out: its UTC hour, what was counted, how many, and how many are usual."""

    hour: int
    measure: str
    more: bool
    seen: int
    usual: float


def days_of(host: str, hours: pd.DataFrame, zone: Any) -> Days | None:
    """Return the hours of one host by day; ``hours`` has ``hour`` and :data:`~logscan.scan.hourly.MEASURES`. None for too few."""
    hour = hours["hour"].to_numpy(np.int64)
    first, last = int(hour.min()), int(hour.max())
    if last - first < 24:
        return None
    every = np.arange(first, last + 1)
    local = every + _offsets(every, zone)
    day = local // 24
    start = int(day[0])
    size = int(day[-1]) - start + 1
    at = day - start, local % 24
    counts = {}
    for name in MEASURES:
        flat = np.zeros(last - first + 1)
        flat[hour - first] = hours[name].to_numpy(np.float64)
        counts[name] = np.zeros((size, 24))
        np.add.at(counts[name], at, flat)
    known, utc = np.zeros((size, 24), np.bool_), np.full((size, 24), -1, np.int64)
    utc[at] = every
    # The first hour and the last are there in part only.
    known[at[0][1:-1], at[1][1:-1]] = True
    heard = np.add.reduce(list(counts.values())) > 0
    # 1970-01-01 was a Thursday.
    weekday = (np.arange(start, start + size) + 3) % WEEK
    return Days(host, weekday, counts, heard, known, utc)


def _offsets(hours: Ints, zone: Any) -> Ints:
    """Return by how many whole hours the server's clock was ahead of UTC at each, told once for half a day."""
    if zone is None:
        return np.zeros(len(hours), np.int64)
    halves, of_hour = np.unique(hours // 12, return_inverse=True)
    out = []
    for half in halves.tolist():
        ahead = datetime.fromtimestamp((half * 12 + 6) * SECONDS, UTC).astimezone(zone).utcoffset()
        out.append(int(ahead.total_seconds()) // SECONDS if ahead is not None else 0)
    return np.array(out, np.int64)[of_hour]


def odd_hours(days: Days, limits: Limits) -> tuple[list[Odd], int, int]:
    """Return the hours that stand out, how many hours of the last day there are, and how many of these could be judged."""
    found: list[Odd] = []
    size = len(days.weekday)
    newest = np.flatnonzero(days.known.ravel())[-24:]
    judged: set[int] = set()
    for day in range(max(1, size - limits.longest), size):
        past = np.arange(max(0, day - limits.memory), day)
        past = past[days.known[past].mean(axis=1) > 0.5]
        alike = past[(days.weekday[past] >= 5) == (days.weekday[day] >= 5)]
        if len(alike) < limits.days:
            continue
        judged.update(range(day * 24, day * 24 + 24))
        same = past[days.weekday[past] == days.weekday[day]]
        for measure in MEASURES:
            found += _of_day(days, measure, day, past, same if len(same) >= limits.weeks else alike, limits)
    return found, len(newest), len(judged.intersection(newest.tolist()))


def _of_day(days: Days, measure: str, day: int, past: Ints, alike: Ints, limits: Limits) -> Iterator[Odd]:
    counts = days.counts[measure]
    here, known = counts[day], days.known[day]
    usual, spread = _usual(counts[alike], pooled=bool((days.weekday[alike] == days.weekday[day]).all()))
    peak = float(np.quantile(counts[past], 0.995))
    more = (here >= limits.times * usual) & (here > usual + limits.score * spread) & (here > limits.peak * peak)
    more &= known & (here - usual >= limits.least)
    less = (here * limits.times <= usual) & (usual >= limits.least) & (here * 2 < counts[past].min(axis=0))
    less &= known & days.heard[day]
    for hour in np.flatnonzero(more | less).tolist():
        yield Odd(int(days.utc[day, hour]), measure, bool(more[hour]), int(here[hour]), float(usual[hour]))


def _usual(counts: Numbers, pooled: bool) -> tuple[Numbers, Numbers]:
    """Return the median of each hour of the day, and the deviation that is usual (of the median absolute one).

    Where few weeks are compared, the hours next to it are taken along. No deviation is less than chance alone makes (the
    square root), nor than a third: mail comes in bunches.
    """
    if pooled:
        counts = np.concatenate([np.roll(counts, shift, axis=1) for shift in (-1, 0, 1)])
    median = np.median(counts, axis=0)
    spread = 1.4826 * np.median(np.abs(counts - median), axis=0)
    return median, np.maximum(np.maximum(spread, np.sqrt(median + 1)), median / 3)


def runs(found: list[Odd]) -> list[list[Odd]]:
    """Return hours of one measure and direction that follow each other (an hour may be missing between them)."""
    out: list[list[Odd]] = []
    for each in sorted(found, key=lambda odd: (odd.measure, odd.more, odd.hour)):
        last = out[-1][-1] if out else None
        if last and (last.measure, last.more) == (each.measure, each.more) and each.hour - last.hour <= 2:
            out[-1].append(each)
        else:
            out.append([each])
    return sorted(out, key=lambda run: (run[0].hour, run[0].measure))
