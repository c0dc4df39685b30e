"""Times in a partial, without a row for each: stretches in which something went on, and counts by moment.

Both follow from all times there were, in whatever order and grouping they came.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.tables import columns
from logscan.tables.columns import Column
from logscan.tables.grouping import combine, numbered
from logscan.tables.partials import plain, together

Ints = npt.NDArray[np.int64]

SECOND = 10**9
STEPS = (1, SECOND, 60 * SECOND, 600 * SECOND, 3600 * SECOND, 86_400 * SECOND, 0)
"""What :class:`Moments` round times down to (ns), each a multiple of the one before; 0 is no time at all."""

MOST_MOMENTS = 50_000
"""Different moments that are counted as exactly as the log tells them; with more, all are rounded to the next step."""

NEVER = -(2**62)
"""The number of a missing time; no rounding takes it out of what 64 bits hold."""


def numbers(times: pd.Series) -> Ints:
    """Return times (datetime) as UTC ns, :data:`NEVER` where there is none."""
    out: Ints = np.maximum(times.dt.as_unit("ns").astype("int64").to_numpy(), NEVER)
    return out


@dataclass(frozen=True)
class Spans:
    """Stretches of time by key, ``begin`` and ``end`` (UTC ns): in none of them two times lie further apart than ``apart``.

    Their number is bounded by the time that the log covers, over ``apart``, for each key.
    """

    columns: Mapping[str, Column]
    apart: int

    @classmethod
    def of(cls, frame: pd.DataFrame, apart: int) -> Spans:
        """Return the part for rows of one piece: ``time`` (UTC ns), the other columns are the key."""
        rows = columns.of_frame(frame)
        time = rows.pop("time")
        return cls(_spans({**rows, "begin": time, "end": time}, apart), apart)

    @functools.cached_property
    def frame(self) -> pd.DataFrame:
        """The stretches; their order tells nothing."""
        return columns.frame_of(self.columns)

    def merged(self, others: Sequence[Spans]) -> Spans:
        """Return the stretches of all times together."""
        return Spans(_spans(columns.stacked([each.columns for each in (self, *others)]), self.apart), self.apart)


def _spans(some: Mapping[str, Column], apart: int) -> dict[str, Column]:
    begin, end = (np.asarray(some[name], np.int64) for name in ("begin", "end"))
    if not len(begin):
        return {**some, "begin": begin, "end": end}
    keys = [columns.codes(column) for name, column in some.items() if name not in ("begin", "end")]
    code = numbered(combine(*keys))[0] if keys else np.zeros(len(begin), np.int64)
    order = np.lexsort((begin, code))
    code, begin = code[order], begin[order]
    reached = _reached(code, end[order])
    first = np.ones(len(order), np.bool_)
    first[1:] = (code[1:] != code[:-1]) | (begin[1:] - reached[:-1] > apart)
    last = np.append(first[1:], True)
    rows = order[first]
    return {name: reached[last] if name == "end" else columns.taken(column, rows) for name, column in some.items()}


def _reached(code: Ints, end: Ints) -> Ints:
    """Return the latest of the ends so far among those of one code; codes are in order."""
    times, rank = np.unique(end, return_inverse=True)
    below = code * len(times)
    found: Ints = times[np.maximum.accumulate(below + rank) - below]
    return found


@dataclass(frozen=True)
class Moments:
    """Counts ``n`` by key and times (UTC ns): exact while there are few, else at a coarser step of :data:`STEPS`.

    The step is the finest with which no more than ``size`` rows are left. Where even without times there are more, the
    columns ``folded`` are emptied: a text to :data:`FOLDED`, a number to 0.
    """

    frame: pd.DataFrame
    times: tuple[str, ...]
    folded: tuple[str, ...] = ()
    size: int = MOST_MOMENTS
    level: int = 0
    """The place in :data:`STEPS`; behind its end, the columns ``folded`` are emptied too."""

    @classmethod
    def of(
        cls, frame: pd.DataFrame, times: Sequence[str], folded: Sequence[str] = (), size: int | None = None
    ) -> Moments:
        """Return the part for rows of one piece; all columns but ``times`` are the key."""
        most = MOST_MOMENTS if size is None else size
        return cls(plain(frame).assign(n=1), tuple(times), tuple(folded), most)._bounded()

    @property
    def step(self) -> int:
        """What times are rounded down to (ns); 0 where none are kept."""
        return STEPS[min(self.level, len(STEPS) - 1)]

    def merged(self, others: Sequence[Moments]) -> Moments:
        """Return the counts of all, at the coarsest of their steps, or a coarser one."""
        every = (self, *others)
        level = max(each.level for each in every)
        frames = [each.frame if each.level == level else _at(each, level) for each in every]
        return Moments(together(frames), self.times, self.folded, self.size, level)._bounded()

    def _bounded(self) -> Moments:
        found = replace(self, frame=_summed(self.frame))
        while len(found.frame) > self.size and found.level < len(STEPS):
            found = replace(found, frame=_summed(_at(found, found.level + 1)), level=found.level + 1)
        return found


FOLDED = "\0"
"""Stands for all values of a column that had too many. No text of a log is this one alone."""


def _at(moments: Moments, level: int) -> pd.DataFrame:
    """Return the rows with their times rounded down to a coarser step."""
    step = STEPS[min(level, len(STEPS) - 1)]
    frame = moments.frame
    changed = {
        name: frame[name] // step * step if step else np.full(len(frame), NEVER, np.int64) for name in moments.times
    }
    if level >= len(STEPS):
        for name in moments.folded:
            text = frame[name].dtype.kind not in "iufb"
            changed[name] = pd.Series(FOLDED if text else 0, index=frame.index, dtype=frame[name].dtype)
    return frame.assign(**changed)


def _summed(frame: pd.DataFrame) -> pd.DataFrame:
    if not len(frame):
        return frame
    return columns.frame_of(columns.grouped(columns.of_frame(frame), ("n",), (), ()))
