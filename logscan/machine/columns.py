"""Columns of a table from places in texts, made by ``columns.c``: without a value array, and one call a table."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logscan.machine.library import LIBRARY, SEED

Ints = npt.NDArray[np.int64]

KINDS = {"cat": 0, "str": 1, "int": 2, "float": 3, "bool": 4}

_COLUMN = 9
"""Numbers of a column in what is handed over: kind and four addresses, then the four that come back."""

if LIBRARY is not None:
    LIBRARY.logscan_columns.restype = ctypes.c_int
    LIBRARY.logscan_columns.argtypes = [
        ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint64
    ]  # fmt: skip
    LIBRARY.logscan_texts.restype = ctypes.c_int
    LIBRARY.logscan_texts.argtypes = [
        ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p
    ]  # fmt: skip


class Part(NamedTuple):
    """What one piece has of a column: the addresses of its places' starts (below 0: no value) and ends, the bytes from one
    to the next, and the bytes of one (4 or 8); or, with all those 0, a constant's address and size (below 0: none).
    """

    starts: int
    ends: int
    step: int
    wide: int
    constant: int
    size: int


@dataclass
class Piece:
    """Bytes that places are in, and the row of the table (int64) that each of its rows is."""

    text: npt.NDArray[np.uint8]
    size: int
    rank: Ints


def address(array: npt.NDArray[np.generic]) -> int:
    """Return where an array's first element stands in memory, for as long as the array does."""
    found: int = array.__array_interface__["data"][0]
    return found


class _Made:
    """The memory of one column, and the numbers that describe it."""

    def __init__(self, kind: str, rows: int) -> None:
        self.kind, self.rows = kind, rows
        bits = (rows + 7) // 8
        self.values: npt.NDArray[np.generic] | None = None
        self.valid = np.zeros(bits, np.uint8)
        self.at: Ints | None = None
        self.length: Ints | None = None
        if kind == "cat":
            self.values = np.empty(rows, np.int32)
        elif kind == "bool":
            self.values = np.zeros(bits, np.uint8)
        elif kind != "str":
            self.values = np.empty(rows, np.int64 if kind == "int" else np.float64)
        if kind in ("cat", "str"):
            self.at, self.length = np.empty(rows, np.int64), np.empty(rows, np.int64)

    def told(self) -> list[int]:
        """Return the column's numbers."""
        arrays = (self.values, self.valid, self.at, self.length)
        return [KINDS[self.kind], *(0 if each is None else address(each) for each in arrays), 0, 0, 0, 0]

    def array(self, missing: int, distinct: int, size: int) -> pa.Array:
        """Return the filled column."""
        valid = pa.py_buffer(self.valid) if missing else None
        if self.kind == "str":
            return self._texts(self.rows, size, valid, missing)
        values = pa.py_buffer(self.values)
        if self.kind == "cat":
            codes = pa.Array.from_buffers(pa.int32(), self.rows, [valid, values], missing)
            return pa.DictionaryArray.from_arrays(codes, self._texts(distinct, size, None, 0), safe=False)
        if self.kind == "bool":
            return pa.Array.from_buffers(pa.bool_(), self.rows, [None, values], 0)
        kind = pa.int64() if self.kind == "int" else pa.float64()
        return pa.Array.from_buffers(kind, self.rows, [pa.py_buffer(self.valid), values])

    def _texts(self, count: int, size: int, valid: pa.Buffer | None, missing: int) -> pa.Array:
        assert LIBRARY is not None
        assert self.at is not None
        assert self.length is not None
        offsets, data = np.empty(count + 1, np.int32), np.empty(size, np.uint8)
        beyond = LIBRARY.logscan_texts(address(self.at), address(self.length), count, address(offsets), address(data))
        kind = pa.binary() if beyond else pa.string()
        return pa.Array.from_buffers(kind, count, [valid, pa.py_buffer(offsets), pa.py_buffer(data)], missing)


LARGEST = 2**31 - 1
"""Bytes of a column's text that 32-bit offsets reach."""


def columns(pieces: Sequence[Piece], wanted: Sequence[tuple[str, Sequence[Part]]], rows: int) -> list[pa.Array | None]:
    """Return columns of ``rows`` rows of some kinds (:data:`KINDS`), each with its parts, one a piece.

    ``cat`` gives codes with their values in the order of the rows that they first stand in; texts with a byte beyond ASCII
    are ``binary``, all others ``string``. A column without any value is all null (``bool``: all false). None stands for
    numbers of which one is written in another way than ``-12.5``, and for more text than 32-bit offsets reach.
    """
    assert LIBRARY is not None
    numbers = [
        number for piece in pieces for number in (address(piece.text), piece.size, len(piece.rank), address(piece.rank))
    ]
    places = [number for _, parts in wanted for part in parts for number in part]
    made = [_Made(kind, rows) for kind, _ in wanted]
    told = np.array([each.told() for each in made], np.int64).reshape(-1, _COLUMN)
    told_pieces, told_parts = np.array(numbers, np.int64), np.array(places, np.int64)
    failed = LIBRARY.logscan_columns(
        address(told_pieces), len(pieces), address(told_parts), address(told), len(made), rows, SEED
    )
    if failed:
        raise MemoryError if failed == -1 else ValueError("a place isn't in its text")
    out: list[pa.Array | None] = []
    for each, (missing, distinct, size, odd) in zip(made, told[:, _COLUMN - 4 :].tolist(), strict=True):
        out.append(None if odd or size > LARGEST else each.array(missing, distinct, size))
    return out
