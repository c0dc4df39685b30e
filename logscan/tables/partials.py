"""What is kept of a piece of a log, so that pieces can be put together in any grouping: the parts of a partial.

Each part's merge is exactly associative and commutative in what it holds: rows are kept, or counted by key with sums of whole
numbers and with extremes, or the first few of each key are kept by an order of their own. The order of the rows tells nothing:
whoever concludes sorts by something that the rows themselves hold.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.tables import columns
from logscan.tables.columns import Column

Ints = npt.NDArray[np.int64]

MOST_KEYS = 100_000
"""Keys that one table counts exactly; beyond that the keys with the smallest hashes are kept, and the others as one sum."""

GAMMA = 1.02
"""The ratio of neighbouring bounds of :func:`buckets`: a percentile read from them is right to 1 %."""

ZERO = -(2**31)
"""The bucket of 0 and below."""

SECOND = 10**9

MOST_POINTS = 200_000
"""Points that are kept; of more than these, the first of each second and key are, of each two seconds, four, eight ..."""

WIDEST = 2**20
"""Seconds of the widest span: twelve days."""


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame without an index and without categories: those of one piece say nothing in another."""
    coded = {
        str(name): columns.held(columns.of_series(frame[name]))
        for name, kind in zip(frame.columns, frame.dtypes.tolist(), strict=True)
        if isinstance(kind, pd.CategoricalDtype)
    }
    index = frame.index
    if isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1 and index.name is None:
        return frame.assign(**coded) if coded else frame.copy(deep=False)
    return frame.assign(**coded).reset_index(drop=True) if coded else frame.reset_index(drop=True)


def together(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put frames of the same columns one below the other; empty ones don't change a column's type."""
    filled = [frame for frame in frames if len(frame)]
    if len(filled) < 2:
        return filled[0] if filled else frames[0]
    return pd.concat(filled, ignore_index=True)


@dataclass(frozen=True)
class Rows:
    """Rows that are kept as they are: cases, and what may become one."""

    frames: tuple[pd.DataFrame, ...]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Rows:
        """Return the part for the rows of one piece."""
        return cls((plain(frame),))

    @functools.cached_property
    def frame(self) -> pd.DataFrame:
        """All rows; their order tells nothing."""
        return together(self.frames)

    def merged(self, others: Sequence[Rows]) -> Rows:
        """Return the rows of all."""
        return Rows((together([frame for each in (self, *others) for frame in each.frames]),))


@dataclass(frozen=True)
class Keyed:
    """One row a key: whole numbers summed, extremes. All columns but those named are the key.

    Beyond :data:`MOST_KEYS` keys those with the smallest hashes are kept (``limit`` is the first hash left out), the sums of the
    others are in ``rest`` (by column of ``sums``).
    """

    columns: Mapping[str, Column]
    """By name, as in :mod:`logscan.tables.columns`: most parts of most windows are never looked at as a frame."""
    sums: tuple[str, ...] = ()
    least: tuple[str, ...] = ()
    most: tuple[str, ...] = ()
    limit: int = 2**64
    rest: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        rows: pd.DataFrame | Mapping[str, Column],
        *,
        sums: Iterable[str] = (),
        least: Iterable[str] = (),
        most: Iterable[str] = (),
        once: bool = False,
    ) -> Keyed:
        """Return the part for the rows of one piece, a frame or columns of one length; ``sums`` are columns of whole numbers.

        ``once``: no two rows have the same key.
        """
        added, low, high = tuple(sums), tuple(least), tuple(most)
        some = columns.of_frame(rows) if isinstance(rows, pd.DataFrame) else dict(rows)
        whole = some if once else columns.grouped(some, added, low, high)
        return cls(whole, added, low, high, 2**64, (0,) * len(added))._bounded()

    @functools.cached_property
    def frame(self) -> pd.DataFrame:
        """The rows; their order tells nothing."""
        return columns.frame_of(self.columns)

    @property
    def keys(self) -> list[str]:
        """The columns that are the key."""
        return [name for name in self.columns if name not in (*self.sums, *self.least, *self.most)]

    def __len__(self) -> int:
        """Return the number of keys."""
        return columns.length(self.columns)

    def merged(self, others: Sequence[Keyed]) -> Keyed:
        """Return the sums and extremes of all."""
        every = (self, *others)
        whole = columns.grouped(columns.stacked([each.columns for each in every]), self.sums, self.least, self.most)
        rest = tuple(sum(values) for values in zip(*(each.rest for each in every), strict=True))
        limit = min(each.limit for each in every)
        return Keyed(whole, self.sums, self.least, self.most, limit, rest)._bounded()

    def _bounded(self) -> Keyed:
        """Leave out what lies beyond the limit, which falls where there are too many keys."""
        if self.limit == 2**64 and len(self) <= MOST_KEYS:
            return self
        hashes = pd.util.hash_pandas_object(self.frame[self.keys], index=False).to_numpy(dtype=np.uint64)
        limit = self.limit
        if np.count_nonzero(hashes < limit) > MOST_KEYS if limit < 2**64 else len(hashes) > MOST_KEYS:
            limit = int(np.partition(hashes, MOST_KEYS)[MOST_KEYS])
        keep = hashes < limit
        left = self.frame.loc[~keep, list(self.sums)].sum()
        rest = tuple(before + int(left[name]) for before, name in zip(self.rest, self.sums, strict=True))
        rows = np.flatnonzero(keep)
        kept = {name: columns.taken(column, rows) for name, column in self.columns.items()}
        return Keyed(kept, self.sums, self.least, self.most, limit, rest)


@dataclass(frozen=True)
class First:
    """The first ``size`` rows of each key (of all, without keys) in the order of ``by``, which tells any two rows apart."""

    columns: Mapping[str, Column]
    size: int
    by: tuple[str, ...]
    keys: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, rows: pd.DataFrame | Mapping[str, Column], size: int, by: Sequence[str], keys: Sequence[str] = ()
    ) -> First:
        """Return the part for the rows of one piece, a frame or columns of one length."""
        some = columns.of_frame(rows) if isinstance(rows, pd.DataFrame) else rows
        return cls(columns.firsts(some, size, by, keys), size, tuple(by), tuple(keys))

    @functools.cached_property
    def frame(self) -> pd.DataFrame:
        """The rows, in order."""
        return columns.frame_of(self.columns)

    def merged(self, others: Sequence[First]) -> First:
        """Return the first of all."""
        some = columns.stacked([each.columns for each in (self, *others)])
        return First(columns.firsts(some, self.size, self.by, self.keys), self.size, self.by, self.keys)


def hashes(words: Iterable[str] | npt.NDArray[np.object_]) -> Ints:
    """Return a 64-bit hash of each text, the same in every window."""
    if isinstance(words, np.ndarray):
        array = words
    else:
        array = words.to_numpy(dtype=object) if isinstance(words, pd.Series) else np.array([*words, ""], object)[:-1]
    if not len(array):
        return np.empty(0, np.int64)
    found: Ints = pd.util.hash_array(array, categorize=False).view(np.int64)
    return found


def mixed(*numbers: Ints) -> Ints:
    """Return one hash for each row of several columns of whole numbers, the same in every window."""
    out = np.zeros(len(numbers[0]), np.uint64)
    for each in numbers:
        out = (out ^ each.astype(np.int64).view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        out ^= out >> np.uint64(29)
    return out.view(np.int64)


@dataclass(frozen=True)
class Points:
    """Rows with the columns ``key`` (int64) and ``at`` (int64, UTC ns), and others that are whole numbers.

    Of each key and span of ``width`` seconds the first ``size`` are kept; 0: all are. The width is the smallest power of two
    at which no more than ``most`` are left. So the points don't depend on how they were put together: what is the first of
    a span is the first of each of its halves.
    """

    columns: Mapping[str, Ints]
    size: int = 3
    most: int = MOST_POINTS
    width: int = 0

    @classmethod
    def of(cls, rows: pd.DataFrame | Mapping[str, Ints], size: int = 3, most: int = MOST_POINTS) -> Points:
        """Return the part for the rows of one piece, a frame or columns of one length."""
        some = columns.of_frame(rows) if isinstance(rows, pd.DataFrame) else rows
        return cls(some, size, most)._bounded()

    @functools.cached_property
    def frame(self) -> pd.DataFrame:
        """The rows; their order tells nothing."""
        return columns.frame_of(self.columns)

    def merged(self, others: Sequence[Points]) -> Points:
        """Return the points of all."""
        every = (self, *others)
        width = max(each.width for each in every)
        some = columns.stacked([each.columns for each in every])
        return Points(some if not width else self._firsts(some, width), self.size, self.most, width)._bounded()

    def times(self, key: int) -> Ints:
        """Return the times of one key in order."""
        found: Ints = np.sort(self.columns["at"][self.columns["key"] == key])
        return found

    def _bounded(self) -> Points:
        some, width = self.columns, self.width
        while len(some["at"]) > self.most and width < WIDEST:
            width = max(1, 2 * width)
            some = self._firsts(some, width)
        return Points(some, self.size, self.most, width)

    def _firsts(self, some: Mapping[str, Ints], width: int) -> Mapping[str, Ints]:
        """Return the first points of each key and span."""
        others = [some[name] for name in some if name not in ("key", "at")]
        order = np.lexsort((*reversed(others), some["at"], some["key"]))
        key, span = some["key"][order], some["at"][order] // (width * SECOND)
        new = np.concatenate([[True], (key[1:] != key[:-1]) | (span[1:] != span[:-1])])
        start = np.flatnonzero(new)
        nth = np.arange(len(order)) - start[np.cumsum(new) - 1]
        kept = order[nth < self.size]
        return {name: column[kept] for name, column in some.items()}


class Mergeable(Protocol):
    """What is kept of a piece as rows."""

    @property
    def frame(self) -> pd.DataFrame:
        """The rows; their order tells nothing."""

    def merged(self, others: Sequence[Any], /) -> Any:
        """Return what all hold; the others are parts of the same kind."""


Part = Mergeable | int
"""A part of a partial (:class:`Rows`, :class:`Keyed`, :class:`First` ...); numbers are summed."""


@dataclass(frozen=True)
class Partial:
    """What one look at a window returned, or several looks together: parts by name."""

    parts: dict[str, Part] = field(default_factory=dict)

    def frame(self, name: str) -> pd.DataFrame:
        """Return the rows of a part."""
        part = self.parts[name]
        assert not isinstance(part, int)
        return part.frame

    def count(self, name: str) -> int:
        """Return a number; 0 where no window had any."""
        part = self.parts.get(name, 0)
        assert isinstance(part, int)
        return part

    def __contains__(self, name: str) -> bool:
        """Whether any window had this part."""
        return name in self.parts

    def __add__(self, other: Partial) -> Partial:
        """Return what both hold."""
        return merged([self, other])


def merged(partials: Iterable[Partial]) -> Partial:
    """Put partials of one look together; those of no window at all are an empty one."""
    parts: dict[str, list[Part]] = {}
    for partial in partials:
        for name, part in partial.parts.items():
            parts.setdefault(name, []).append(part)
    return Partial({name: _merged(some) for name, some in parts.items()})


def _merged(parts: Sequence[Any]) -> Part:
    first = parts[0]
    if isinstance(first, int):
        return int(sum(parts))
    whole: Part = first.merged(parts[1:]) if len(parts) > 1 else first
    return whole


def buckets(values: npt.NDArray[np.float64]) -> Ints:
    """Return the logarithmic bucket (int64) of each value, for a column of a :class:`Keyed`; below a millionth it is 0."""
    out = np.full(len(values), ZERO, np.int64)
    large = values > 1e-6
    out[large] = np.ceil(np.log(values[large]) / math.log(GAMMA)).astype(np.int64)
    return out


def percentiles(bucket: Ints, count: Ints, *wanted: float) -> tuple[float, ...]:
    """Return percentiles (0 to 100) of values counted by :func:`buckets`, right to 1 %; NaN of none.

    The rank is the nearest one above: of two values the 50th is the lower.
    """
    total = int(count.sum())
    if not total:
        return (math.nan,) * len(wanted)
    order = np.argsort(bucket, kind="stable")
    below = np.cumsum(count[order])
    at = [int(np.searchsorted(below, max(1, math.ceil(total * each / 100)))) for each in wanted]
    return tuple(0.0 if bucket[order[i]] == ZERO else 2 * GAMMA ** float(bucket[order[i]]) / (GAMMA + 1) for i in at)
