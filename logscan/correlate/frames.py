"""Columns of the joined tables while they are worked on, and the frames made of them in the end, of those rows that are wanted.

A column that is an array stands for itself. Texts stand where they came from until then: making a frame takes each once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Ints, in_order, take
from logscan.correlate.events import Coded
from logscan.tables import texts


@dataclass(frozen=True, eq=False)
class Words:
    """Texts: of each row its place in ``values``, -1 where missing; row by row where ``at`` is None."""

    values: pa.Array
    at: Ints | None = None

    def __len__(self) -> int:
        return len(self.values if self.at is None else self.at)

    def of(self, rows: Ints) -> Words:
        """Return the texts of these rows, -1: missing."""
        return Words(self.values, rows if self.at is None else np.append(self.at, -1)[rows])

    def where(self, test: Callable[[pa.Array], pa.Array]) -> Bools:
        """Return where ``test`` holds, called with the texts that are referred to; not where one is missing."""
        found = pc.fill_null(test(self.values), False).to_numpy(zero_copy_only=False).astype(np.bool_)
        return found if self.at is None else np.append(found, False)[self.at]

    def known(self) -> Bools:
        """Return where there is a text."""
        return self.where(pc.is_valid)

    def array(self) -> pa.Array:
        """Return the texts as one string array."""
        if self.at is None:
            return self.values
        if self.values.null_count == len(self.values):
            return pa.nulls(len(self.at), self.values.type)
        return take(self.values, self.at)

    def coded(self) -> Coded:
        """Return them as codes of the distinct ones."""
        encoded = self.array().dictionary_encode()
        codes = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
        return Coded(codes, encoded.dictionary)


@dataclass(frozen=True, eq=False)
class Moments:
    """UTC nanoseconds; missing where ``known`` is False."""

    values: Ints
    known: Bools | None = None


@dataclass(frozen=True, eq=False)
class Category(Coded):
    """Codes (-1: missing) of a few values, which become the categories in this order."""

    kind: pd.CategoricalDtype | None = None
    """The type, where it is at hand."""


@dataclass(frozen=True, eq=False)
class Maybe:
    """Whole numbers or truth values; missing where ``known`` is False."""

    values: np.ndarray
    known: Bools

    def of(self, rows: Ints) -> Maybe:
        """Return these rows of it."""
        return Maybe(self.values[rows], self.known[rows])


Column = np.ndarray | Words | Moments | Category | Maybe
Draft = dict[str, Any]
"""Columns by name, of one length."""


@lru_cache(maxsize=256)
def _fixed(values: tuple[str, ...]) -> tuple[pa.Array, pd.CategoricalDtype]:
    return pa.array(values, pa.string()), pd.CategoricalDtype(pd.Index(values, dtype="str"))


def _kind(values: pa.Array) -> pd.CategoricalDtype:
    if len(values) <= FEW:
        return _fixed(tuple(values.to_pylist()))[1]
    return pd.CategoricalDtype(pd.Index(words(values)))


FEW = 32
"""Values of which a type is kept: windows have the same ones again and again."""


def coded_as(codes: Ints, values: tuple[str, ...]) -> Category:
    """Return a column of fixed values by their codes."""
    return Category(codes, *_fixed(values))


def category(column: Coded, rows: Ints | None = None) -> Category:
    """Return the column, or its ``rows`` (-1: missing), with values that are sorted and all in use."""
    some = (column if rows is None else Coded(np.append(column.codes, -1)[rows], column.words)).compact()
    (codes,), words = in_order([some.codes], some.words)
    return Category(codes, words)


def frame(draft: Mapping[str, Column], rows: Ints | None = None) -> pd.DataFrame:
    """Make the frame of a draft, of these rows alone where they are given."""
    made = {name: _made(column, rows) for name, column in draft.items()}
    size = len(next(iter(made.values()))) if made else 0
    return pd.DataFrame(made, index=pd.RangeIndex(size), copy=False)


def _made(column: Column, rows: Ints | None) -> Any:
    if isinstance(column, Words):
        return texts.STR.__from_arrow__((column if rows is None else column.of(rows)).array())
    if isinstance(column, Moments):
        return _moments(column, rows)
    if isinstance(column, Category):
        codes = column.codes if rows is None else column.codes[rows]
        kind = column.kind or _kind(column.words)
        return pd.Categorical.from_codes(codes, dtype=kind, validate=False)
    if isinstance(column, Maybe):
        values, known = (each if rows is None else each[rows] for each in (column.values, column.known))
        masked = pd.arrays.BooleanArray if values.dtype == np.bool_ else pd.arrays.IntegerArray
        return masked(values.copy() if rows is None else values, ~known)
    return column if rows is None else column[rows]


def _moments(column: Moments, rows: Ints | None) -> pd.DatetimeIndex:
    values = column.values if rows is None else column.values[rows]
    if column.known is not None:
        known = column.known if rows is None else column.known[rows]
        values = np.where(known, values, np.datetime64("NaT", "ns").astype(np.int64))
    return pd.DatetimeIndex(values.astype("M8[ns]", copy=rows is None), tz="UTC")


def words(values: pa.Array) -> pd.Series:
    """Return a string array as a column of dtype str."""
    return texts.series(values)
