"""Columns of text, worked on once per distinct value: logs repeat themselves, and pandas' text methods go row by row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

STR = pd.Series(dtype="str").dtype
"""The type of columns of text."""


def literal(text: str) -> str:
    """Return a pattern for exactly ``text``, inside a class of characters too, in Python's and in Arrow's syntax (RE2)."""
    return "".join(char if char.isalnum() or ord(char) > 127 else f"\\x{ord(char):02x}" for char in text)


def arrow(column: pd.Series) -> pa.Array:
    """Return a column of dtype str as one Arrow string array."""
    array = pa.array(column.array)
    if isinstance(array, pa.ChunkedArray):
        if array.num_chunks == 1:
            return array.chunk(0)
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    return array


def series(array: pa.Array, like: pd.Series | None = None) -> pd.Series:
    """Return an Arrow string array as a column of dtype str, with the index of ``like``; the texts aren't copied."""
    text = array if pa.types.is_large_string(array.type) else array.cast(pa.large_string())
    return pd.Series(STR.__from_arrow__(text), index=None if like is None else like.index, copy=False)


def coded(column: pd.Series) -> tuple[Ints, pd.Series]:
    """Return each row's code (int64, -1 where missing) and, by code, the distinct values (dtype str)."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.array.codes.astype(np.int64), pd.Series(column.cat.categories, dtype="str")
    codes, words = encoded(arrow(column))
    return codes, series(words)


def encoded(array: pa.Array) -> tuple[Ints, pa.Array]:
    """Return the code of each text of an Arrow array (int64, -1 where missing), and the distinct ones by code."""
    both = array.dictionary_encode()
    indices = pc.fill_null(both.indices, -1) if both.indices.null_count else both.indices
    return indices.to_numpy(zero_copy_only=False).astype(np.int64), both.dictionary


def used(column: pd.Series) -> pd.Series:
    """Return the values that some row has (dtype str)."""
    codes, words = coded(column)
    found = np.unique(codes)
    return words.iloc[found[found >= 0]]


def equal(column: pd.Series, *wanted: str) -> Bools:
    """Return which rows have one of a few values: for categories, by their codes."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        words = column.array.categories
        code = column.array.codes
        found = np.zeros(len(code), np.bool_)
        for at in (
            [at for at, word in enumerate(words) if word in wanted] if len(words) < FEW else words.get_indexer(wanted)
        ):
            if at >= 0:
                found |= code == at
        return found
    if not isinstance(column.dtype, pd.StringDtype):
        out: Bools = column.isin(wanted).to_numpy(dtype=np.bool_)
        return out
    array = arrow(column)
    same: Bools = pc.is_in(array, value_set=pa.array(wanted, array.type)).to_numpy(zero_copy_only=False)
    return same


FEW = 100
"""Categories that are compared one by one: pandas makes a table of hashes to find a few among any number."""


def values(column: pd.Series) -> set[str]:
    """Return the distinct values."""
    return set(coded(column)[1])


def each(column: pd.Series, change: Callable[[pd.Series], pd.Series]) -> pd.Series:
    """Return what ``change`` makes of each value, called with the distinct ones; what is missing stays so."""
    codes, words = coded(column)
    made = pa.array(change(words).astype("str").array)
    return series(pc.take(made, pa.array(codes, mask=codes < 0)).cast(pa.string()), column)


def where(column: pd.Series, test: Callable[[pd.Series], pd.Series]) -> Bools:
    """Return for which rows ``test`` holds, called with the distinct values; False where there is none."""
    codes, words = coded(column)
    found = np.append(test(words).fillna(False).to_numpy(dtype=np.bool_), False)
    out: Bools = found[codes]
    return out


def among(column: pd.Series, wanted: pd.Series) -> Bools:
    """Return which rows' values are among ``wanted``; pandas makes a Python object of each of those to look."""
    found: Bools = pc.is_in(arrow(column), value_set=arrow(wanted).drop_null()).to_numpy(zero_copy_only=False)
    return found


def lower(column: pd.Series) -> pd.Series:
    """Return the column in lower case."""
    return series(pc.utf8_lower(arrow(column)), column)


def either(first: pd.Series, second: pd.Series) -> pd.Series:
    """Return ``first``, and ``second`` where that is missing."""
    return series(pc.coalesce(arrow(first), arrow(second)), first)
