"""Columns of a window as numbers: each text's code, and the distinct texts, so that looks compare numbers and not texts.

Texts are asked for where a row becomes a case; all rows of a window hold few different ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import factorise, take
from logscan.scan.memo import per_window
from logscan.tables import texts

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Coded(NamedTuple):
    """A column of texts: ``codes`` (int64 by row, -1 where there is none) and ``words``, the texts by code."""

    codes: Ints
    words: pa.Array

    def equal(self, *wanted: str) -> Bools:
        """Return which rows have one of a few texts."""
        codes = [code for each in wanted if (code := self.words.index(each).as_py()) >= 0]
        if len(codes) > 1:
            return np.isin(self.codes, codes)
        return self.codes == codes[0] if codes else np.zeros(len(self.codes), np.bool_)

    def among(self, chosen: npt.ArrayLike) -> Bools:
        """Return which rows have a text for which ``chosen`` (bool by code) holds; those without a text never."""
        out: Bools = np.append(np.asarray(chosen, np.bool_), False)[self.codes]
        return out

    def at(self, rows: Any) -> Any:
        """Return the texts of some rows (numbers, or bool by row) as a column of dtype str."""
        return told(self.words, self.codes[rows])


def told(words: pa.Array, codes: Ints) -> Any:
    """Return the texts of some codes as an array of dtype str, missing where a code is -1."""
    return text(take(words, codes))


def text(array: pa.Array) -> Any:
    """Return an Arrow array of strings as an array of dtype str."""
    return texts.STR.__from_arrow__(array.cast(pa.large_string()))


def words(values: list[str]) -> Any:
    """Return some texts as an array of dtype str."""
    return text(pa.array(values, pa.large_string()))


def joined(*parts: pa.Array | str) -> pa.Array:
    """Return texts put together row by row, missing where one part is."""
    kind = pa.large_string()
    return pc.binary_join_element_wise(
        *(pa.scalar(part, kind) if isinstance(part, str) else part.cast(kind) for part in parts), pa.scalar("", kind)
    )


@per_window
def event(window: Window, table: str, column: str) -> Coded:
    """Return a column of texts of an event table: where the log was read with codes, nothing is decoded."""
    (codes,), values = factorise([window.tables[table].column(column)])
    return Coded(codes, values)


def numbers(window: Window, table: str, column: str) -> npt.NDArray[Any]:
    """Return a column of whole numbers of an event table, ``time`` in UTC ns; the least one where there is none."""
    values = window.tables[table].column(column)
    found: npt.NDArray[Any] = (pc.fill_null(values, MISSING) if values.null_count else values).to_numpy()
    return found


MISSING = np.iinfo(np.int64).min
"""The number of a time that there isn't."""


def of(column: pd.Series) -> Coded:
    """Return a column of a frame, whose dtype is str or a category of texts."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        categories = column.cat.categories
        values = texts.arrow(pd.Series(categories, dtype="str"))
        return Coded(column.array.codes.astype(np.int64), values)
    array = texts.arrow(column)
    # An empty table's columns may have no type.
    encoded = (array.cast(pa.large_string()) if pa.types.is_null(array.type) else array).dictionary_encode()
    codes = encoded.indices.cast(pa.int64())
    return Coded(pc.fill_null(codes, -1).to_numpy(zero_copy_only=False), encoded.dictionary)


def of_rows(column: pd.Series, rows: Ints) -> Coded:
    """Return some rows of a column of dtype str."""
    (codes,), values = factorise([texts.arrow(column).take(pa.array(rows))])
    return Coded(codes, values)


def times(ns: Ints) -> Any:
    """Return UTC ns as an array of times."""
    return pd.DatetimeIndex(ns.view("M8[ns]"), tz="UTC").array


def category(words: pa.Array, codes: Ints) -> pd.Categorical:
    """Return the texts of some codes as categories, of which each is used."""
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(words)))
    place = np.full(len(words) + 1, -1, np.int64)
    place[used] = np.arange(len(used))
    return pd.Categorical.from_codes(place[codes], pd.Index(text(words.take(pa.array(used)))), validate=False)


def ranked(values: npt.NDArray[Any]) -> Ints:
    """Return the number of each value among the distinct ones: a code for times and hashes, which have too many bits for one."""
    found: Ints = np.unique(values, return_inverse=True)[1].astype(np.int64)
    return found


def dictionary(words: pa.Array, codes: Ints) -> pa.DictionaryArray:
    """Return the texts of some codes (-1: missing) as an Arrow array that holds each once."""
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(words)))
    # Where there are few, narrow codes: they are written and packed in less time.
    kind = np.int16 if len(used) < 2**15 else np.int32
    place = np.full(len(words) + 1, -1, kind)
    place[used] = np.arange(len(used), dtype=kind)
    missing = codes < 0
    index = pa.array(place[codes], mask=missing if missing.any() else None)
    return pa.DictionaryArray.from_arrays(index, words.take(pa.array(used)).cast(pa.large_string()))


def plain_text(array: pa.Array) -> Any:
    """Return an Arrow array of texts, with codes or without, as an array of dtype str."""
    return text(array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array)
