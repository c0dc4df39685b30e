"""Turns what shapes matched in a chunk into the columns of event tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logscan.envelopes import unwrapping as envelope
from logscan.grammar.formats import Shape
from logscan.matching import walking as columns
from logscan.tables.schema import APART, EVENTS

Ints = npt.NDArray[np.int64]

LARGEST = 1e9
"""No delay (thirty years) and no score is larger: what is, is garbled."""


@dataclass
class Rows:
    """What one shape matched in a chunk: ``values`` row after row, ``index`` (of bodies) and ``tags`` a row each.

    Lines that carry nothing have only ``tags``. Flat lists, since a tuple kept for each row would cost more than the rest.
    """

    shape: Shape
    width: int
    values: list[bytes | None] = field(default_factory=list)
    index: list[int] = field(default_factory=list)
    tags: list[int] = field(default_factory=list)

    def column(self, name: str) -> pa.Array | None:
        """Return a field as a binary array, or None where the shape has none of that name."""
        if name not in self.shape.fields:
            return None
        return pa.array(self.values[self.shape.fields.index(name) :: self.width], pa.binary())


@dataclass
class Spans:
    """The same of lines read as columns: ``fields`` are the places of each field in ``text``."""

    shape: Shape
    text: columns.Text
    fields: dict[str, tuple[Ints, Ints]]
    index: Ints
    tags: Ints

    def column(self, name: str) -> pa.Array | None:
        """Return a field as a binary array, or None where the shape has none of that name."""
        if name not in self.shape.fields:
            return None
        return self.text.slices(*self.fields[name]) if name in self.fields else pa.nulls(len(self.index), pa.binary())


def text_array(values: Sequence[bytes | None] | pa.Array) -> pa.Array:
    """Return a string array; bytes that aren't UTF-8 are shown as ``\\xNN``."""
    array = values if isinstance(values, pa.Array) else pa.array(values, pa.binary())
    try:
        return array.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array(
            [v if v is None else v.decode("utf-8", "backslashreplace") for v in array.to_pylist()], pa.string()
        )


def _numbers(array: pa.Array, to: pa.DataType, read: Callable[[str], Any]) -> pa.Array:
    """Return texts as numbers, those that are none as null."""
    try:
        return pc.cast(array, to)
    except pa.ArrowInvalid:
        return pa.array([_number(v, read) for v in array.to_pylist()], to)


def _number(value: str | None, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(value[:18]) if value else None
    except ValueError:
        return None


def typed(array: pa.Array, kind: str) -> pa.Array:
    """Return a binary array as a column of that kind."""
    if kind == "cat":
        encoded = array.dictionary_encode()
        words = text_array(encoded.dictionary)
        if len(pc.unique(words)) < len(words):  # two spellings of bytes that aren't UTF-8 may be shown alike
            return pc.take(words, encoded.indices).dictionary_encode()
        return pa.DictionaryArray.from_arrays(encoded.indices, words)
    array = text_array(array)
    if kind == "int":
        return _numbers(array, pa.int64(), int)
    if kind == "float":
        numbers = _numbers(array, pa.float64(), float)
        told = pc.and_(pc.greater_equal(numbers, -LARGEST), pc.less_equal(numbers, LARGEST))
        return pc.if_else(told, numbers, None)
    if kind == "bool":
        return pc.is_in(array, pa.array(["true", "yes", "T", "Y", "1"]))
    return array


def _column(column: str, kind: str, pieces: Sequence[Rows | Spans]) -> pa.Array | None:
    """Return one column of all pieces: fields and constants of the formats; None where no piece has any value."""
    arrays = []
    constants = [piece.shape.format.constants.get(column) for piece in pieces]
    told = [piece.column(column) for piece in pieces]
    if not any(each is not None for each in told) and len(set(constants)) == 1:
        value = constants[0]
        if value is None and kind != "bool":  # what isn't said to be is not
            return None
        size = sum(len(piece.index) for piece in pieces)
        one = pa.array([None if value is None else value.encode()], pa.binary())
        return pc.take(typed(one, kind), pa.array(np.zeros(size, np.int32)))
    for piece, array, value in zip(pieces, told, constants, strict=True):
        constant = pa.scalar(None if value is None else value.encode(), pa.binary())
        arrays.append(pa.repeat(constant, len(piece.index)) if array is None else array)
    whole = arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays)
    return None if whole.null_count == len(whole) and kind != "bool" else typed(whole, kind)


def table(
    name: str, pieces: Sequence[Rows | Spans], found: envelope.Lines, heads: npt.NDArray[np.int32], pids: pa.Array
) -> pa.Table:
    """Return the event table ``name`` of a chunk: line, head, pid and clocks, and the columns that have any value.

    Rows are in the order of the lines. ``heads`` and ``pids`` (int64) are by tag; types are told at
    :class:`logscan.reading.parsed.Parsed`.
    """
    index = np.concatenate([np.asarray(piece.index, np.int64) for piece in pieces])
    tags = np.concatenate([np.asarray(piece.tags, np.int64) for piece in pieces])
    arrays: dict[str, pa.Array] = {
        "line": pa.array(found.number[index].astype(np.int32)),
        "head": pa.array(heads[tags]),
        "pid": pc.take(pids, pa.array(tags)),
        "time": pa.array(found.time[index]),
        "clock": pa.array(found.clock[index]),
        "turn": pa.array(found.turn[index]),
    }
    for column, kind in EVENTS[name].kinds().items():
        array = _column(column, "cat" if kind == "str" and name in APART else kind, pieces)
        if array is not None:
            arrays[column] = array
    whole = pa.table(arrays)
    if len(pieces) > 1 and np.any(np.diff(index) < 0):
        return whole.take(pa.array(np.argsort(index, kind="stable")))
    return whole
