"""Columns of a window as codes and as arrays, each made once: the panels and checks ask for the same ones again and again.

Event tables are read column by column from Arrow: most of a large log's text is never decoded.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import factorise
from logscan.tables import cells, texts
from logscan.tables.coded import Coded

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Made = TypeVar("Made")

NO_TIME = np.iinfo(np.int64).min
"""The UTC ns of what tells no time."""

_MADE: weakref.WeakKeyDictionary[Window, dict[tuple[str, str, str], Any]] = weakref.WeakKeyDictionary()


def _once(make: Callable[[Window, str, str], Made]) -> Callable[[Window, str, str], Made]:
    """Let a column be made once for each window."""

    def found(window: Window, table: str, name: str) -> Made:
        made = _MADE.get(window)
        if made is None:
            made = _MADE[window] = {}
        key = make.__name__, table, name
        if key not in made:
            made[key] = make(window, table, name)
        there: Made = made[key]
        return there

    return functools.update_wrapper(found, make)


@_once
def column(window: Window, table: str, name: str) -> Coded:
    """Return a column of an event table as codes."""
    if not len(window.tables[table]):
        return Coded(np.empty(0, np.int64), [])
    array = window.tables[table].column(name)
    if pa.types.is_dictionary(array.type):
        chunks = (array.unify_dictionaries() if array.num_chunks > 1 else array).chunks
        words = chunks[0].dictionary
        # Of a dictionary in which a value stands twice, or none, the codes must be made anew.
        if not words.null_count and len(words.dictionary_encode().dictionary) == len(words):
            return Coded(np.concatenate([_indices(chunk) for chunk in chunks]), words.cast(pa.string()))
    (found,), values = factorise([array])
    return Coded(found, values)


def _indices(chunk: pa.DictionaryArray) -> Ints:
    codes = pc.fill_null(chunk.indices, -1) if chunk.null_count else chunk.indices
    out: Ints = codes.to_numpy(zero_copy_only=False).astype(np.int64)
    return out


@_once
def number(window: Window, table: str, name: str) -> Ints:
    """Return a column of whole numbers or times (UTC ns) of an event table; -1 where there is none."""
    array = window.tables[table].column(name)
    if array.null_count:
        array = pc.fill_null(array, -1)
    out: Ints = array.to_numpy().astype(np.int64)
    return out


def moments(window: Window, table: str) -> Ints:
    """Return the times of an event table's lines (UTC ns), :data:`NO_TIME` where a line tells none."""
    return _moments(window, table, "time")


@_once
def _moments(window: Window, table: str, name: str) -> Ints:
    array = window.tables[table].column(name)
    out: Ints = (pc.fill_null(array, NO_TIME) if array.null_count else array).to_numpy()
    return out


@_once
def joined(window: Window, table: str, name: str) -> Coded:
    """Return a column of texts of a joined table as codes."""
    return of(getattr(window, table)[name])


def some_joined(window: Window, table: str, name: str, rows: Ints) -> Coded:
    """Return some rows of a column of texts of a joined table as codes: where they are few, only their texts are looked at."""
    series = getattr(window, table)[name]
    known = (joined.__name__, table, name) in _MADE.get(window, {})
    if known or isinstance(series.dtype, pd.CategoricalDtype) or 2 * len(rows) > len(series):
        return joined(window, table, name).take(rows)
    return Coded(*texts.encoded(texts.arrow(series).take(pa.array(rows))))


@_once
def values(window: Window, table: str, name: str) -> npt.NDArray[Any]:
    """Return a column of numbers, flags or times of a joined table as an array: times as UTC ns, missing ones the least number.

    Missing whole numbers are -1, missing flags are no.
    """
    series = getattr(window, table)[name]
    kind = series.dtype
    out: npt.NDArray[Any]
    if isinstance(kind, pd.DatetimeTZDtype):
        out = cells.ns(series)
    elif isinstance(kind, pd.BooleanDtype):
        out = series.array.to_numpy(dtype=np.bool_, na_value=False)
    elif kind == np.dtype(object):  # flags some of which are missing, of an event table
        out = (series.to_numpy() == True).astype(np.bool_)  # noqa: E712 - None is no flag
    elif isinstance(kind, np.dtype):
        out = series.to_numpy()
    else:
        out = series.array.to_numpy(dtype=np.int64, na_value=-1)
    return out


def of(series: pd.Series) -> Coded:
    """Return a column of texts as codes."""
    if not len(series):
        return Coded(np.empty(0, np.int64), pa.array([], pa.string()))
    if isinstance(series.dtype, pd.CategoricalDtype) and isinstance(series.cat.categories.dtype, pd.StringDtype):
        return Coded(series.array.codes.astype(np.int64), texts.arrow(pd.Series(series.cat.categories)))
    if isinstance(series.dtype, pd.StringDtype):
        return Coded(*texts.encoded(texts.arrow(series)))
    codes, words = texts.coded(series)
    return Coded(codes, words.tolist())
