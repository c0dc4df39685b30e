"""What is kept of a piece of a log, so that pieces can be put together in any grouping: the parts of a partial.

Each part's merge is exactly associative and commutative in what it holds: rows are kept, or counted by key with sums of whole
numbers and with extremes, or the first few of each key are kept by an order of their own. The order of the rows tells nothing:
whoever concludes sorts by something that the rows themselves hold.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.tables.grouping import combine

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
        name: _decoded(frame[name])
        for name, kind in zip(frame.columns, frame.dtypes, strict=True)
        if isinstance(kind, pd.CategoricalDtype)
    }
    index = frame.index
    if isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1 and index.name is None:
        return frame.assign(**coded) if coded else frame.copy(deep=False)
    return frame.assign(**coded).reset_index(drop=True) if coded else frame.reset_index(drop=True)


def _decoded(column: pd.Series) -> pd.Series:
    """Return a category as text: only the values of its rows are looked at, of which a piece may have few."""
    words = column.cat.categories
    if not isinstance(words.dtype, pd.StringDtype):
        return column.astype("str")
    codes = column.cat.codes.to_numpy().astype(np.int64)
    return pd.Series(words.array.take(codes, allow_fill=True), column.index, name=column.name).astype("str")


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

    frame: pd.DataFrame
    sums: tuple[str, ...] = ()
    least: tuple[str, ...] = ()
    most: tuple[str, ...] = ()
    limit: int = 2**64
    rest: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        *,
        sums: Iterable[str] = (),
        least: Iterable[str] = (),
        most: Iterable[str] = (),
        once: bool = False,
    ) -> Keyed:
        """Return the part for the rows of one piece; ``sums`` are columns of whole numbers.

        ``once``: no two rows have the same key, and the frame has no index.
        """
        added, low, high = tuple(sums), tuple(least), tuple(most)
        grouped = frame if once else _grouped(plain(frame), added, low, high)
        return cls(grouped, added, low, high, 2**64, (0,) * len(added))._bounded()

    @property
    def keys(self) -> list[str]:
        """The columns that are the key."""
        return [str(name) for name in self.frame.columns if name not in (*self.sums, *self.least, *self.most)]

    def merged(self, others: Sequence[Keyed]) -> Keyed:
        """Return the sums and extremes of all."""
        every = (self, *others)
        frame = _grouped(together([each.frame for each in every]), self.sums, self.least, self.most)
        rest = tuple(sum(values) for values in zip(*(each.rest for each in every), strict=True))
        limit = min(each.limit for each in every)
        return Keyed(frame, self.sums, self.least, self.most, limit, rest)._bounded()

    def _bounded(self) -> Keyed:
        """Leave out what lies beyond the limit, which falls where there are too many keys."""
        if self.limit == 2**64 and len(self.frame) <= MOST_KEYS:
            return self
        hashes = pd.util.hash_pandas_object(self.frame[self.keys], index=False).to_numpy(dtype=np.uint64)
        limit = self.limit
        if np.count_nonzero(hashes < limit) > MOST_KEYS if limit < 2**64 else len(hashes) > MOST_KEYS:
            limit = int(np.partition(hashes, MOST_KEYS)[MOST_KEYS])
        keep = hashes < limit
        left = self.frame.loc[~keep, list(self.sums)].sum()
        rest = tuple(before + int(left[name]) for before, name in zip(self.rest, self.sums, strict=True))
        return Keyed(self.frame[keep].reset_index(drop=True), self.sums, self.least, self.most, limit, rest)


def _grouped(frame: pd.DataFrame, sums: tuple[str, ...], least: tuple[str, ...], most: tuple[str, ...]) -> pd.DataFrame:
    """Return one row a key. Most frames are small: this works on arrays, as a groupby takes milliseconds for any of them."""
    if not len(frame.columns) or not len(frame):
        return frame
    named = {*sums, *least, *most}
    keys = [name for name in frame.columns if name not in named]
    plain_numbers = all(frame[name].dtype == np.int64 for name in sums)
    if plain_numbers and len(frame) == 1 and keys:
        return frame
    of_row = _numbered(frame, keys)
    size = int(of_row.max()) + 1
    if plain_numbers and size == len(frame) and keys:
        return frame
    first = np.full(size, len(frame), np.int64)
    np.minimum.at(first, of_row, np.arange(len(frame)))
    order = np.argsort(of_row, kind="stable")
    starts = np.searchsorted(of_row[order], np.arange(size))
    columns = {
        name: frame[name].array.take(first)
        if name not in named
        else _reduced(frame[name], "sum" if name in sums else "min" if name in least else "max", of_row, order, starts)
        for name in frame.columns
    }
    return pd.DataFrame(columns, copy=False)


def _numbered(frame: pd.DataFrame, keys: Sequence[str]) -> Ints:
    """Return the number of each row's key, in the order in which they come; missing values are one value."""
    if not keys:
        return np.zeros(len(frame), np.int64)
    codes = [pd.factorize(frame[name].array)[0].astype(np.int64) for name in keys]
    of_row: Ints = codes[0]
    if len(codes) > 1 or int(of_row.min()) < 0:
        of_row = pd.factorize(combine(*codes))[0].astype(np.int64)
    return of_row


def _reduced(column: pd.Series, way: str, of_row: Ints, order: Ints, starts: Ints) -> Any:
    """Return the sum or the extreme of each key's rows; missing ones don't count."""
    if column.dtype == np.int64 or (column.dtype == np.float64 and way != "sum"):
        reduce: np.ufunc = {"sum": np.add, "min": np.fmin, "max": np.fmax}[way]
        return reduce.reduceat(column.to_numpy()[order], starts)
    return column.groupby(of_row, sort=True).agg(way).array


@dataclass(frozen=True)
class First:
    """The first ``size`` rows of each key (of all, without keys) in the order of ``by``, which tells any two rows apart."""

    frame: pd.DataFrame
    size: int
    by: tuple[str, ...]
    keys: tuple[str, ...] = ()

    @classmethod
    def of(cls, frame: pd.DataFrame, size: int, by: Sequence[str], keys: Sequence[str] = ()) -> First:
        """Return the part for the rows of one piece."""
        return cls(_firsts(plain(frame), size, tuple(by), tuple(keys)), size, tuple(by), tuple(keys))

    def merged(self, others: Sequence[First]) -> First:
        """Return the first of all."""
        frame = together([each.frame for each in (self, *others)])
        return First(_firsts(frame, self.size, self.by, self.keys), self.size, self.by, self.keys)


def _firsts(frame: pd.DataFrame, size: int, by: tuple[str, ...], keys: tuple[str, ...]) -> pd.DataFrame:
    frame = frame.sort_values(list(by), kind="stable", ignore_index=True)
    if not keys:
        return frame.head(size)
    nth = frame.groupby(list(keys), sort=False, dropna=False, observed=True).cumcount()
    return frame[(nth < size).to_numpy()].reset_index(drop=True)


def hashes(words: Iterable[str]) -> Ints:
    """Return a 64-bit hash of each text, the same in every window."""
    array = np.array([*words, ""], object)[:-1]
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

    frame: pd.DataFrame
    size: int = 3
    most: int = MOST_POINTS
    width: int = 0

    @classmethod
    def of(cls, frame: pd.DataFrame, size: int = 3, most: int = MOST_POINTS) -> Points:
        """Return the part for the rows of one piece."""
        return cls(frame.reset_index(drop=True), size, most)._bounded()

    def merged(self, others: Sequence[Points]) -> Points:
        """Return the points of all."""
        every = (self, *others)
        width = max(each.width for each in every)
        frame = together([each.frame for each in every])
        return Points(frame if not width else self._firsts(frame, width), self.size, self.most, width)._bounded()

    def times(self, key: int) -> Ints:
        """Return the times of one key in order."""
        found: Ints = np.sort(self.frame["at"].to_numpy()[self.frame["key"].to_numpy() == key])
        return found

    def _bounded(self) -> Points:
        frame, width = self.frame, self.width
        while len(frame) > self.most and width < WIDEST:
            width = max(1, 2 * width)
            frame = self._firsts(frame, width)
        return Points(frame, self.size, self.most, width)

    def _firsts(self, frame: pd.DataFrame, width: int) -> pd.DataFrame:
        """Return the first points of each key and span."""
        others = [name for name in frame.columns if name not in ("key", "at")]
        frame = frame.sort_values(["key", "at", *others], ignore_index=True)
        span = frame["at"].to_numpy() // (width * SECOND)
        key = frame["key"].to_numpy()
        new = np.r_[True, (key[1:] != key[:-1]) | (span[1:] != span[:-1])]
        start = np.flatnonzero(new)
        nth = np.arange(len(frame)) - start[np.cumsum(new) - 1]
        return frame[nth < self.size].reset_index(drop=True)


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
