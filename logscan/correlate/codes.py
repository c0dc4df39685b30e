"""Strings as integer codes, and joins over them: the tools that keep correlation vectorised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def plain(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return the column as one string array (dictionaries decoded)."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks == 1 else pa.concat_arrays(array.chunks)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.cast(pa.string())


def factorise(columns: Sequence[pa.Array]) -> tuple[list[Ints], pa.Array]:
    """Code several string columns alike: int64 codes, -1 for null, and the values by code."""
    whole = pa.chunked_array([plain(column) for column in columns], pa.string()).combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], pa.string())
    encoded = whole.dictionary_encode()
    codes: Ints = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    out, start = [], 0
    for column in columns:
        out.append(codes[start : start + len(column)])
        start += len(column)
    return out, encoded.dictionary


def first_index(group: Ints, size: int) -> Ints:
    """Return, for each group number below ``size``, the first position that holds it, or -1."""
    first = np.full(size, -1, np.int64)
    first[group[::-1]] = np.arange(len(group) - 1, -1, -1)
    return first


def last_index(group: Ints, size: int) -> Ints:
    """Return, for each group number below ``size``, the last position that holds it, or -1."""
    last = np.full(size, -1, np.int64)
    last[group] = np.arange(len(group))
    return last


def combine(*codes: Ints) -> Ints:
    """Return one code for each combination of codes (-1 counts as a value); equal rows get equal codes."""
    if not len(codes[0]):
        return np.empty(0, np.int64)
    total = codes[0] + 1
    for code in codes[1:]:
        width = int(code.max()) + 2
        if int(total.max()) > (2**62) // width:
            total = np.unique(total, return_inverse=True)[1].astype(np.int64)
        total = total * width + (code + 1)
    return total


def pairs(left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """Join two key columns: return positions (left, right) of all equal pairs, in the order of left."""
    order = np.argsort(right, kind="stable")
    ordered = right[order]
    low = np.searchsorted(ordered, left, "left")
    high = np.searchsorted(ordered, left, "right")
    count = high - low
    lefts = np.repeat(np.arange(len(left)), count)
    within = np.arange(len(lefts)) - np.repeat(np.cumsum(count) - count, count)
    return lefts, order[np.repeat(low, count) + within]


def lower(values: pa.Array) -> pa.Array:
    """Return strings in lower case (ASCII and beyond), nulls kept."""
    return pc.utf8_lower(values)


def take(values: pa.Array, index: Ints) -> pa.Array:
    """Take by position; -1 gives null."""
    return pc.take(values, pa.array(index, mask=index < 0))
