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
from logscan.machine import columns as machine
from logscan.machine.library import LIBRARY
from logscan.matching.text import Text
from logscan.matching.walking import places_of
from logscan.tables.schema import APART, EVENTS

Ints = npt.NDArray[np.int64]
Part = machine.Part

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

    def placed(self) -> Placed:
        """Return the fields as places in a text of their own."""
        values = pa.array(self.values, pa.binary())
        _, offsets, text = values.buffers()
        starts, ends = offsets.address, offsets.address + 4
        keep: list[Any] = [values]
        if values.null_count:
            told = np.frombuffer(offsets, np.int32, len(values))
            keep.append(np.where(values.is_null().to_numpy(zero_copy_only=False), np.int32(-1), told))
            starts = machine.address(keep[-1])
        fields = {name: Part(starts + 4 * at, ends + 4 * at) for at, name in enumerate(self.shape.fields)}
        return Placed(text.address if text else 0, text.size if text else 0, fields, keep, 0, self.width)


@dataclass
class Spans:
    """The same of lines that the machine matched: where in ``places`` each line's fields lie, starts and ends in ``text``."""

    shape: Shape
    text: Text
    places: npt.NDArray[np.int32]
    at: npt.NDArray[np.int32]
    index: Ints
    tags: Ints

    def column(self, name: str) -> pa.Array | None:
        """Return a field as a binary array, or None where the shape has none of that name."""
        if name not in self.shape.fields:
            return None
        return self.text.slices(*places_of(self.places, self.at, self.shape.fields.index(name)))

    def placed(self) -> Placed:
        """Return the fields as places in the text."""
        begin = machine.address(self.places)
        fields = {
            name: Part(begin + 8 * number, begin + 8 * number + 4) for number, name in enumerate(self.shape.fields)
        }
        return Placed(
            machine.address(self.text.data), self.text.end, fields, [self.text.data], machine.address(self.at), 0
        )


@dataclass
class Placed:
    """The address of a piece's text and its bytes, and where each field stands in it; ``keep`` is whose memory that is.

    ``at`` and ``step`` are what :class:`logscan.machine.columns.Piece` has.
    """

    text: int
    size: int
    fields: dict[str, Part]
    keep: list[Any]
    at: int
    step: int


def text_array(values: Sequence[bytes | None] | pa.Array) -> pa.Array:
    """Return a string array; bytes that aren't UTF-8 are shown as ``\\xNN``."""
    array = values if isinstance(values, pa.Array) else pa.array(values, pa.binary())
    try:
        return array.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array(
            [v if v is None else v.decode("utf-8", "backslashreplace") for v in array.to_pylist()], pa.string()
        )


def as_text(array: pa.Array) -> pa.Array:
    """Return a column as the machine makes it with its texts as strings, whatever bytes they hold."""
    if pa.types.is_binary(array.type):
        return text_array(array)
    return _worded(array) if pa.types.is_dictionary(array.type) and pa.types.is_binary(array.type.value_type) else array


def _worded(encoded: pa.DictionaryArray) -> pa.DictionaryArray:
    words = text_array(encoded.dictionary)
    if len(pc.unique(words)) < len(words):  # two spellings of bytes that aren't UTF-8 may be shown alike
        return pc.take(words, encoded.indices).dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices, words)


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
        return _worded(array.dictionary_encode())
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


class Pids:
    """Process IDs by tag, as numbers or as the texts of what may be none; some tags have none."""

    def __init__(self, told: Sequence[int | bytes | None]) -> None:
        odd = [at for at, each in enumerate(told) if isinstance(each, bytes)]
        read = dict(zip(odd, typed(pa.array([told[at] for at in odd], pa.binary()), "int").to_pylist(), strict=True))
        numbers = [read[at] if isinstance(each, bytes) else each for at, each in enumerate(told)]
        self.numbers: Ints = np.array([0 if each is None else each for each in numbers], np.int64)
        missing = np.array([each is None for each in numbers], np.bool_)
        self.missing = missing if missing.any() else None

    def of(self, tags: Ints) -> pa.Array:
        """Return the process IDs (int64) of rows with these tags."""
        return pa.array(self.numbers[tags], mask=None if self.missing is None else self.missing[tags])


def _kinds(name: str) -> dict[str, str]:
    """Return the kinds of a table's columns as a chunk has them: texts that nothing is joined by stay coded."""
    return {column: "cat" if kind == "str" and name in APART else kind for column, kind in EVENTS[name].kinds().items()}


def _whole(column: str, pieces: Sequence[Rows | Spans], order: Ints | None) -> pa.Array:
    """Return a column's values of all pieces as one binary array in the order of the rows."""
    arrays = []
    for piece in pieces:
        array = piece.column(column)
        if array is None:
            value = piece.shape.format.constants.get(column)
            constant = pa.scalar(None if value is None else value.encode(), pa.binary())
            array = pa.repeat(constant, len(piece.index))
        arrays.append(array)
    whole = arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays)
    return whole if order is None else whole.take(pa.array(order))


NOTHING = Part(0, 0, 0, -1)


def _part(column: str, piece: Rows | Spans, placed: Placed) -> Part:
    """Return what a piece has of a column."""
    if column in placed.fields:
        return placed.fields[column]
    value = None if column in piece.shape.fields else piece.shape.format.constants.get(column)
    if value is None:
        return NOTHING
    text = np.frombuffer(value.encode() + b"\0", np.uint8)
    placed.keep.append(text)
    return Part(0, 0, machine.address(text), len(text) - 1)


def _filled(
    kinds: dict[str, str], pieces: Sequence[Rows | Spans], order: Ints | None, rows: int
) -> dict[str, pa.Array]:
    """Return the columns that may have a value, made by the machine."""
    ranks = np.arange(rows)
    if order is not None:
        ranks[order] = np.arange(rows)
    placed = [piece.placed() for piece in pieces]
    some, begin = [], machine.address(ranks)
    for piece, each in zip(pieces, placed, strict=True):
        some.append(machine.Piece(each.text, each.size, len(piece.index), begin, each.at, each.step))
        begin += 8 * len(piece.index)
    wanted = [
        (kind, [_part(column, *each) for each in zip(pieces, placed, strict=True)]) for column, kind in kinds.items()
    ]
    made = dict(zip(kinds, machine.columns(some, wanted, rows), strict=True))
    return {
        column: typed(_whole(column, pieces, order), kinds[column]) if array is None else as_text(array)
        for column, array in made.items()
    }


def _columns(name: str, pieces: Sequence[Rows | Spans], order: Ints | None, rows: int) -> dict[str, pa.Array]:
    """Return the columns of a table that have any value, and those that say whether something is so."""
    known = {column for piece in pieces for column in (*piece.shape.fields, *piece.shape.format.constants)}
    kinds = {column: kind for column, kind in _kinds(name).items() if column in known or kind == "bool"}
    if LIBRARY is not None:
        arrays = _filled(kinds, pieces, order, rows)
    else:
        arrays = {column: typed(_whole(column, pieces, order), kind) for column, kind in kinds.items()}
    return {column: array for column, array in arrays.items() if array.null_count < rows}


def table(
    name: str, pieces: Sequence[Rows | Spans], found: envelope.Lines, heads: npt.NDArray[np.int32], pids: Pids
) -> pa.Table:
    """Return the event table ``name`` of a chunk: line, head, pid and clocks, and the columns that have any value.

    Rows are in the order of the lines. ``heads`` and ``pids`` are by tag; types are told at
    :class:`logscan.reading.parsed.Parsed`.
    """
    index = np.concatenate([np.asarray(piece.index, np.int64) for piece in pieces])
    tags = np.concatenate([np.asarray(piece.tags, np.int64) for piece in pieces])
    order = None
    if np.any(np.diff(index) < 0):
        order = np.argsort(index, kind="stable")
        index, tags = index[order], tags[order]
    arrays: dict[str, pa.Array] = {
        "line": pa.array(found.number[index].astype(np.int32)),
        "head": pa.array(heads[tags]),
        "pid": pids.of(tags),
        "time": pa.array(found.time[index]),
        "clock": pa.array(found.clock[index]),
        "turn": pa.array(found.turn[index]),
    }
    return pa.table(arrays | _columns(name, pieces, order, len(index)))
