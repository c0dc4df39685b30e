"""Strings as integer codes, and joins over them: the tools that keep correlation vectorised."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.tables.slices import contains

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
    if columns and all(pa.types.is_dictionary(column.type) for column in columns):
        return _unified(columns)
    chunks = [chunk.cast(pa.string()) for column in columns for chunk in _chunks(column)]
    encoded = pa.chunked_array([*chunks, pa.array([], pa.string())]).dictionary_encode()
    if not len(encoded):
        return [np.empty(0, np.int64) for _ in columns], pa.array([], pa.string())
    codes = np.concatenate([_indices(chunk) for chunk in encoded.chunks])
    ends = np.cumsum([0, *(len(column) for column in columns)])
    # All chunks share one dictionary.
    return [codes[start:end] for start, end in itertools.pairwise(ends)], encoded.chunks[-1].dictionary


def _chunks(column: pa.ChunkedArray | pa.Array) -> list[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def _indices(encoded: pa.DictionaryArray) -> Ints:
    codes: Ints = encoded.indices.cast(pa.int64()).to_numpy(zero_copy_only=False)
    if encoded.indices.null_count:
        codes = np.where(encoded.is_valid().to_numpy(zero_copy_only=False), codes, -1).astype(np.int64)
    return codes


def _unified(columns: Sequence[pa.Array]) -> tuple[list[Ints], pa.Array]:
    """Code columns that have codes already, each chunk its own: only their few values are compared."""
    pieces = [_chunks(column) for column in columns]
    words = [chunk.dictionary.cast(pa.string()) for some in pieces for chunk in some]
    (of_words, values) = factorise(words) if words else ([], pa.array([], pa.string()))
    place = iter(of_words)
    out = []
    for some in pieces:
        codes = [np.append(next(place), -1)[_indices(chunk)] for chunk in some]
        out.append(np.concatenate(codes) if codes else np.empty(0, np.int64))
    return out, values


def in_order(codes: list[Ints], values: pa.Array) -> tuple[list[Ints], pa.Array]:
    """Return codes that follow the alphabet, so that they don't depend on which value comes first in a log."""
    order = pc.array_sort_indices(values)
    rank = np.full(len(values) + 1, -1, np.int64)
    rank[order.to_numpy()] = np.arange(len(values))
    return [rank[one] for one in codes], values.take(order)


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


def distinct(codes: Ints) -> Ints:
    """Return the values there are, sorted; numpy's unique hashes them, which takes five times as long."""
    ordered = np.sort(codes)
    return ordered[np.r_[True, ordered[1:] != ordered[:-1]]] if len(ordered) else ordered


def ranked(codes: Ints) -> tuple[Ints, Ints]:
    """Return the values there are, sorted, and each row's place among them; by a table where the values lie close."""
    if not len(codes):
        return codes, np.empty(0, np.int64)
    low = int(codes.min())
    width = int(codes.max()) - low + 1
    if width > CLOSE * len(codes) + CLOSE:
        values, place = np.unique(codes, return_inverse=True)
        return values, place.astype(np.int64, copy=False)
    seen = np.zeros(width, np.bool_)
    seen[codes - low] = True
    values = np.flatnonzero(seen)
    at = np.empty(width, np.int64)
    at[values] = np.arange(len(values))
    return values + low, at[codes - low]


CLOSE = 8
"""A table may have so many times the places that there are rows."""


def numbered(codes: Ints) -> tuple[Ints, Ints]:
    """Return the values there are, in no order that means anything, and each row's place among them."""
    place, values = pd.factorize(codes)
    return values, place.astype(np.int64, copy=False)


def first_rows(codes: Ints) -> Ints:
    """Return the row in which each value stands first, in the order of rows."""
    if len(codes) < 2:
        return np.arange(len(codes))
    found: Ints = np.flatnonzero(~pd.Index(codes).duplicated())
    return found


def among(codes: Ints, wanted: Ints, size: int) -> Bools:
    """Return which codes, all below ``size``, are among ``wanted``; -1 only where it is wanted."""
    mask = np.zeros(size + 1, np.bool_)
    mask[wanted] = True
    found: Bools = mask[codes]
    return found


def matched(values: pa.Array, pattern: str, **hints: str | tuple[str, ...]) -> Bools:
    """Return which texts a regular expression finds something in; missing ones never.

    ``starts``, ``ends`` and ``contains`` are texts of which a match has one: only such values are looked at closer.
    """
    tests = {"starts": pc.starts_with, "ends": pc.ends_with}
    likely = np.zeros(len(values), np.bool_)
    for name, words in hints.items():
        for word in (words,) if isinstance(words, str) else words:
            if name == "contains":
                likely |= contains(values, word)
            else:
                likely |= pc.fill_null(tests[name](values, word), False).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(likely)
    out = np.zeros(len(values), np.bool_)
    if len(rows):
        out[rows] = pc.match_substring_regex(values.take(pa.array(rows)), pattern).to_numpy(zero_copy_only=False)
    return out


def extracted(values: pa.Array, pattern: str, word: str, *, starts: bool = False) -> pa.Array:
    """Return what the one group of a regular expression holds; only values that contain ``word`` are looked at.

    ``starts``: only those that start with it.
    """
    if starts:
        rows = np.flatnonzero(pc.fill_null(pc.starts_with(values, word), False).to_numpy(zero_copy_only=False))
    else:
        rows = np.flatnonzero(contains(values, word))
    return spread(pc.struct_field(pc.extract_regex(values.take(pa.array(rows)), pattern), [0]), rows, len(values))


def spread(values: pa.Array, rows: Ints, size: int) -> pa.Array:
    """Return an array of that size with ``values`` at ``rows``, missing elsewhere."""
    if not len(rows):
        return pa.nulls(size, values.type)
    if len(rows) == size:
        return values
    place = np.full(size, -1, np.int64)
    place[rows] = np.arange(len(rows))
    return take(values, place)


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


def category(column: pa.ChunkedArray | pa.Array, rows: Ints | None = None) -> pd.Series:
    """Return the column, or its ``rows`` (-1: missing), as a pandas category whose values are sorted and all in use."""
    (codes,), values = factorise([column])
    if rows is not None:
        codes = np.append(codes, -1)[rows]
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(values)))
    words = np.asarray(values.take(pa.array(used)).to_pylist(), dtype=object)
    order = np.argsort(words) if len(words) else used
    place = np.full(len(values) + 1, -1, np.int64)
    place[used[order]] = np.arange(len(used))
    return pd.Series(pd.Categorical.from_codes(place[codes], pd.Index(words[order], dtype="str")))


def take(values: pa.Array, index: Ints) -> pa.Array:
    """Take by position; -1 gives null."""
    missing = index < 0
    return pc.take(values, pa.array(index, mask=missing) if missing.any() else pa.array(index))
