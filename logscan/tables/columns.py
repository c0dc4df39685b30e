"""Columns of a small table without a frame around them: pandas takes as long for ten rows as for a thousand.

A column is an array of numbers, an Arrow array of texts, or any other array that pandas knows (times, missing booleans).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.tables.grouping import combine, numbered, ordered
from logscan.tables.texts import STR, arrow, encoded

Ints = npt.NDArray[np.int64]

Column = Any
"""An array of numpy, an Arrow array of texts, or an extension array of pandas."""


def of_frame(frame: pd.DataFrame) -> dict[str, Column]:
    """Return the columns of a frame; categories become texts: those of one piece say nothing in another."""
    return {str(name): of_series(column) for name, column in frame.items()}


def of_series(column: pd.Series) -> Column:
    """Return a column of a frame."""
    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype):
        return _decoded(column)
    if isinstance(kind, pd.StringDtype):
        return arrow(column)
    return column.to_numpy() if isinstance(kind, np.dtype) and kind.kind in "iufb" else column.array


def _decoded(column: pd.Series) -> Column:
    """Return a category as text: only the values of its rows are looked at, of which a piece may have few."""
    words = column.cat.categories
    if not isinstance(words.dtype, pd.StringDtype):
        return arrow(column.astype("str"))
    codes = column.array.codes.astype(np.int64)
    return arrow(pd.Series(words)).take(pa.array(codes, mask=codes < 0))


def frame_of(columns: Mapping[str, Column]) -> pd.DataFrame:
    """Return the frame of some columns; texts are dtype str."""
    return pd.DataFrame({name: held(column) for name, column in columns.items()}, copy=False)


def held(column: Column) -> Any:
    """Return a column as a frame holds it."""
    if not isinstance(column, pa.Array):
        return column
    return STR.__from_arrow__(column if pa.types.is_large_string(column.type) else column.cast(pa.large_string()))


def length(columns: Mapping[str, Column]) -> int:
    """Return the number of rows."""
    for column in columns.values():
        return len(column)
    return 0


def taken(column: Column, rows: Ints) -> Column:
    """Return some rows, none of which is missing."""
    if isinstance(column, np.ndarray):
        return column[rows]
    return column.take(pa.array(rows) if isinstance(column, pa.Array) else rows)


def stacked(parts: Sequence[Mapping[str, Column]]) -> dict[str, Column]:
    """Put columns one below the other; empty ones don't change a column's type."""
    filled = [part for part in parts if length(part)]
    if len(filled) < 2:
        return dict(filled[0] if filled else parts[0])
    return {name: _stacked([part[name] for part in filled]) for name in filled[0]}


def _stacked(some: Sequence[Column]) -> Column:
    if all(isinstance(each, np.ndarray) for each in some):
        return np.concatenate(some)
    if all(isinstance(each, pa.Array) for each in some):
        if len({each.type for each in some}) > 1:
            some = [each.cast(pa.large_string()) for each in some]
        return pa.concat_arrays(some)
    return of_series(pd.concat([pd.Series(held(each)) for each in some], ignore_index=True))


def codes(column: Column) -> Ints:
    """Return a code for each row's value; -1 where it is missing. Whole numbers that lie close together are codes already."""
    if isinstance(column, pa.Array):
        return encoded(column)[0]
    if isinstance(column, np.ndarray) and column.dtype == np.int64 and len(column):
        numbers: Ints = column
        return numbers if int(numbers.max()) - int(numbers.min()) < LIKE_CODES else numbered(numbers)[0]
    factorised: Ints = pd.factorize(column)[0].astype(np.int64)
    return factorised


LIKE_CODES = 2**31
"""The range of whole numbers that are combined with others as they are."""


def ranks(column: Column) -> npt.NDArray[Any]:
    """Return numbers in the order of a column's values; what is missing comes last."""
    if isinstance(column, np.ndarray):
        return column
    if isinstance(column, pa.Array):
        of_row, words = encoded(column)
        rank = np.full(len(words) + 1, len(words), np.int64)
        rank[pc.array_sort_indices(words).to_numpy()] = np.arange(len(words))
        return rank[of_row]
    number: Ints = pd.factorize(column, sort=True)[0].astype(np.int64)
    return np.where(number < 0, len(column), number)


def firsts(some: Mapping[str, Column], size: int, by: Sequence[str], keys: Sequence[str] = ()) -> dict[str, Column]:
    """Return the first ``size`` rows of each key (of all, without keys) in the order of ``by``."""
    order = np.lexsort([ranks(some[name]) for name in reversed(by)])
    if keys and len(order):
        of_row = numbered(combine(*(codes(some[name]) for name in keys)))[0][order]
        together = ordered(of_row)
        begins = np.flatnonzero(np.append(True, np.diff(of_row[together]) != 0))
        nth = np.empty(len(order), np.int64)
        nth[together] = np.arange(len(order)) - np.repeat(begins, np.diff(np.append(begins, len(order))))
        order = order[nth < size]
    elif not keys:
        order = order[:size]
    return {name: taken(column, order) for name, column in some.items()}


def grouped(
    columns: dict[str, Column], sums: Sequence[str], least: Sequence[str], most: Sequence[str]
) -> dict[str, Column]:
    """Return one row a key (missing values are one), in the order in which they come: with sums and extremes of those named."""
    size, named = length(columns), {*sums, *least, *most}
    keys = [name for name in columns if name not in named]
    plain_numbers = all(isinstance(columns[name], np.ndarray) and columns[name].dtype == np.int64 for name in sums)
    if not size or (size == 1 and keys and plain_numbers):
        return columns
    of_row, first = numbered(combine(*(codes(columns[name]) for name in keys)) if keys else np.zeros(size, np.int64))
    if plain_numbers and len(first) == size and keys:
        return columns
    # In the order in which the keys come first, as a groupby without sorting has them.
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    of_row, first = rank[of_row], first[order]
    return {
        name: taken(column, first)
        if name not in named
        else _reduced(column, "sum" if name in sums else "min" if name in least else "max", of_row, first)
        for name, column in columns.items()
    }


def _reduced(column: Column, way: str, of_row: Ints, first: Ints) -> Column:
    """Return the sum or the extreme of each key's rows; missing ones don't count."""
    if isinstance(column, np.ndarray) and (column.dtype == np.int64 or (column.dtype == np.float64 and way != "sum")):
        if way == "sum":
            out = np.zeros(len(first), np.int64)
            np.add.at(out, of_row, column)
        else:
            out = column[first]
            (np.fmin if way == "min" else np.fmax).at(out, of_row, column)
        return out
    return of_series(pd.Series(held(column)).groupby(of_row, sort=True).agg(way))
