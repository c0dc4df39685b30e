"""Columns of a table from places in texts, made by ``columns.c``: without a value array, two calls a table."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logscan.machine.library import LIBRARY, SEED

KINDS = {"cat": 0, "str": 1, "int": 2, "float": 3, "bool": 4}

WIDE = {"cat": 4, "str": 0, "int": 8, "float": 8, "bool": 0}
"""Bytes of a value; those of ``bool`` are bits, and ``str`` has none of its own."""

LARGEST = 2**31 - 1
"""Bytes of a column's text that 32-bit offsets reach."""

_TOLD = 9
"""Numbers of a column in what is handed over: kind and four addresses, then the four that come back."""

if LIBRARY is not None:
    LIBRARY.logscan_columns.restype = ctypes.c_int
    LIBRARY.logscan_columns.argtypes = [
        ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint64
    ]  # fmt: skip
    LIBRARY.logscan_texts.restype = None
    LIBRARY.logscan_texts.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    LIBRARY.logscan_renumber.restype = ctypes.c_int64
    LIBRARY.logscan_renumber.argtypes = [
        ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, *[ctypes.c_void_p] * 3
    ]  # fmt: skip


class Part(NamedTuple):
    """What one piece has of a column: the addresses of its places' starts (below 0: no value) and ends, all int32; or, with
    both 0, a constant's address and size (below 0: none).
    """

    starts: int
    ends: int
    constant: int = 0
    size: int = 0


class Piece(NamedTuple):
    """Bytes that places are in: their address and how many; how many rows there are, and the address of the row of the table
    (int64) that each is.

    A row's places lie so many int32s behind the addresses of the parts: as many as stand at ``at`` (int32 a row), or, where
    that is 0, ``step`` times its number.
    """

    text: int
    size: int
    rows: int
    rank: int
    at: int = 0
    step: int = 1


def address(array: npt.NDArray[Any]) -> int:
    """Return where an array's first element stands in memory, for as long as the array does."""
    found: int = array.__array_interface__["data"][0]
    return found


class _Room:
    """Memory for many arrays at once, each beginning where Arrow likes it to."""

    def __init__(self, sizes: Sequence[int], *, zero: bool = False) -> None:
        self.starts = [0]
        for size in sizes:
            self.starts.append(self.starts[-1] + (size + 63) // 64 * 64)
        self.sizes = sizes
        array = (np.zeros if zero else np.empty)(self.starts[-1], np.uint8)
        self.address = address(array)
        self.buffer = pa.py_buffer(array)

    def at(self, number: int) -> int:
        """Return the address of an array."""
        return self.address + self.starts[number]

    def part(self, number: int) -> pa.Buffer:
        """Return an array."""
        return self.buffer.slice(self.starts[number], self.sizes[number])


def columns(pieces: Sequence[Piece], wanted: Sequence[tuple[str, Sequence[Part]]], rows: int) -> list[pa.Array | None]:
    """Return columns of ``rows`` rows of some kinds (:data:`KINDS`), each with its parts, one a piece.

    ``cat`` gives codes with their values in the order of the rows that they first stand in; texts with a byte beyond ASCII
    are ``binary``, all others ``string``. A column without any value is all null (``bool``: all false). None stands for
    numbers of which one is written in another way than ``-12.5``, and for more text than 32-bit offsets reach.
    """
    assert LIBRARY is not None
    if not wanted:
        return []
    kinds = [kind for kind, _ in wanted]
    bits = (rows + 7) // 8
    values = _Room([rows * WIDE[kind] for kind in kinds])
    valid = _Room([bits] * len(kinds), zero=True)
    scratch = _Room([8 * rows if kind in ("cat", "str") else 0 for kind in kinds for _ in range(2)])
    told = np.array(
        [
            (
                KINDS[kind],
                valid.at(each) if kind == "bool" else values.at(each),
                valid.at(each),
                scratch.at(2 * each),
                scratch.at(2 * each + 1),
                *(0, 0, 0, 0),
            )
            for each, kind in enumerate(kinds)
        ],
        np.int64,
    )
    some, parts = np.array(pieces, np.int64), np.array([parts for _, parts in wanted], np.int64)
    failed = LIBRARY.logscan_columns(address(some), len(pieces), address(parts), address(told), len(kinds), rows, SEED)
    if failed:
        raise MemoryError if failed == -1 else ValueError("a place isn't in its text")
    came = told[:, _TOLD - 4 :].tolist()
    texts = iter(_texts(kinds, scratch, rows, came))
    out: list[pa.Array | None] = []
    for each, (kind, (missing, _, size, odd)) in enumerate(zip(kinds, came, strict=True)):
        if odd or size > LARGEST:
            out.append(None)
        elif kind == "bool":
            out.append(pa.Array.from_buffers(pa.bool_(), rows, [None, valid.part(each)], 0))
        elif kind == "str":
            text, offsets, data = next(texts)
            known = valid.part(each) if missing else None
            out.append(pa.Array.from_buffers(text, rows, [known, offsets, data], missing))
        elif kind == "cat":
            text, offsets, data = next(texts)
            known = valid.part(each) if missing else None
            codes = pa.Array.from_buffers(pa.int32(), rows, [known, values.part(each)], missing)
            words = pa.Array.from_buffers(text, came[each][1], [None, offsets, data], 0)
            out.append(pa.DictionaryArray.from_arrays(codes, words, safe=False))
        else:
            number = pa.int64() if kind == "int" else pa.float64()
            out.append(pa.Array.from_buffers(number, rows, [valid.part(each), values.part(each)]))
    return out


def _texts(
    kinds: Sequence[str], scratch: _Room, rows: int, came: Sequence[Sequence[int]]
) -> list[tuple[pa.DataType, pa.Buffer, pa.Buffer]]:
    """Return the type, offsets and bytes of each column of texts that isn't too large, in their order."""
    assert LIBRARY is not None
    some = [each for each, kind in enumerate(kinds) if kind in ("cat", "str") and came[each][2] <= LARGEST]
    if not some:
        return []
    counts = [rows if kinds[each] == "str" else came[each][1] for each in some]
    offsets = _Room([4 * (count + 1) for count in counts])
    data = _Room([came[each][2] for each in some])
    told = np.array(
        [
            (scratch.at(2 * each), scratch.at(2 * each + 1), count, offsets.at(at), data.at(at), 0)
            for at, (each, count) in enumerate(zip(some, counts, strict=True))
        ],
        np.int64,
    )
    LIBRARY.logscan_texts(address(told), len(some))
    beyond = told[:, -1].tolist()
    return [(pa.binary() if each else pa.string(), offsets.part(at), data.part(at)) for at, each in enumerate(beyond)]


def renumbered(array: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return a column of int32 codes whose dictionary has its values alone, in the order they first stand in."""
    assert LIBRARY is not None
    indices, words = array.indices, len(array.dictionary)
    rows, missing = len(indices), indices.null_count
    valid = indices.is_valid().buffers()[1] if missing else None
    codes = np.frombuffer(indices.buffers()[1], np.int32, rows, 4 * indices.offset) if rows else np.empty(0, np.int32)
    out, place, used = np.empty(rows, np.int32), np.empty(words, np.int32), np.empty(words, np.int32)
    count = LIBRARY.logscan_renumber(
        address(codes), valid.address if valid else 0, rows, words, address(out), address(place), address(used)
    )
    if count < 0:
        raise ValueError("a code is beyond its dictionary")
    new = pa.Array.from_buffers(pa.int32(), rows, [valid, pa.py_buffer(out)], missing)
    return pa.DictionaryArray.from_arrays(new, array.dictionary.take(pa.array(used[:count])), safe=False)
