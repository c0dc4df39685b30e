"""Columns of partials as Arrow arrays, and back as exactly what they were: what a type is called travels beside the values."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from logscan.tables import texts
from logscan.tables.columns import Column

Kind = str | list[Any]
"""What a column was, as JSON: how it was held, and its type."""


def flat(column: Column) -> tuple[Kind, pa.Array]:
    """Return what a column is, and its values. TypeError for a kind of values that no partial has."""
    if isinstance(column, pa.Array):
        return "arrow", column
    if isinstance(column, pd.arrays.NumpyExtensionArray):
        column = column.to_numpy()  # pandas' wrapping has no way back from Arrow
    if isinstance(column, np.ndarray):
        if column.dtype.kind == "O":
            return "values", pa.array([json.dumps(_plain(value)) for value in column.tolist()], pa.large_string())
        return ["numpy", column.dtype.str], pa.array(column)
    if isinstance(column, pd.Categorical):
        kind, words = flat(_held(column.categories))
        codes = column.codes.astype(np.int64)
        return ["category", kind, bool(column.ordered)], pa.DictionaryArray.from_arrays(
            pa.array(codes, pa.int64(), mask=codes < 0), words
        )
    if isinstance(column.dtype, np.dtype):
        # Times without a zone.
        return ["pandas", column.dtype.str], pa.array(column.to_numpy())
    return ["extension", str(column.dtype)], texts.arrow(pd.Series(column))


def held(kind: Kind, array: pa.Array) -> Column:
    """Return the column that :func:`flat` took. ValueError for a kind that this version doesn't know."""
    if kind == "arrow":
        return array
    if kind == "values":
        out = np.empty(len(array), object)
        out[:] = [_value(json.loads(text)) for text in array.to_pylist()]
        return out
    assert isinstance(kind, list)
    name, *told = kind
    if name in ("numpy", "pandas"):
        values = np.array(array.to_numpy(zero_copy_only=False), np.dtype(told[0]))
        return values if name == "numpy" else pd.array(values)
    if name == "category":
        words = pd.Index(held(told[0], array.dictionary), copy=False)
        codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return pd.Categorical.from_codes(codes, words, ordered=told[1])
    if name == "extension":
        # dtypes that pandas makes of Arrow's arrays all have this method.
        return pd.api.types.pandas_dtype(told[0]).__from_arrow__(array)
    raise ValueError(f"a column of the kind {name!r}, which this version doesn't know")


def of_frame(frame: pd.DataFrame) -> dict[str, Column]:
    """Return the columns of a frame, each as it is held there."""
    return {str(name): _held(column) for name, column in frame.items()}


def frame_of(columns: dict[str, Column]) -> pd.DataFrame:
    """Return the frame of columns."""
    return pd.DataFrame(columns, copy=False)


def _held(column: Any) -> Column:
    """Return the array of a series or an index."""
    kind = column.dtype
    return column.to_numpy() if isinstance(kind, np.dtype) and kind.kind in "iufbO" else column.array


def _plain(value: Any) -> Any:
    """Return a value of a column of values as JSON has it: tuples and sets are told from lists."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return {"float": repr(value)}
    if isinstance(value, np.integer):
        return int(value)
    for name, kind in (("tuple", tuple), ("list", list), ("frozenset", frozenset)):
        if isinstance(value, kind):
            some = sorted(value) if kind is frozenset else value
            return {name: [_plain(each) for each in some]}
    raise TypeError(f"a partial holds a {type(value).__name__}, which can't be stored")


def _value(plain: Any) -> Any:
    if not isinstance(plain, dict):
        return plain
    ((name, given),) = plain.items()
    if name == "float":
        return float(given)
    return {"tuple": tuple, "list": list, "frozenset": frozenset}[name](_value(each) for each in given)
