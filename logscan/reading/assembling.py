"""Makes a window's event tables of the rows that lanes hand on: in the order of the stream, with dictionaries of their own.

What a table holds, its order and its dictionaries depend on the rows alone, not on the chunks they came in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.clocks.wall import Ints
from logscan.machine.columns import renumbered
from logscan.machine.library import LIBRARY
from logscan.reading.merging import HEAD
from logscan.reading.strands import Piece, Settled
from logscan.tables.schema import APART, ARROW, EVENTS

CODED = ARROW["cat"]


@dataclass
class Share:
    """What one lane hands on to a window."""

    rank: int
    settled: Settled
    pieces: list[Piece]


def assembled(shares: Sequence[Share]) -> dict[str, pa.Table]:
    """Return the event tables of what lanes hand on; those that have rows."""
    names = sorted(
        {name for share in shares for piece in share.pieces for name, lines in piece.lines.items() if len(lines)}
    )
    several = sum(bool(share.pieces) for share in shares) > 1
    return {name: _table(name, shares, several) for name in names}


def _table(name: str, shares: Sequence[Share], several: bool) -> pa.Table:
    parts: list[pa.Table] = []
    streams: list[Ints] = []
    ranks: list[Ints] = []
    for share in shares:
        for piece in share.pieces:
            lines = piece.lines.get(name)
            if lines is None or not len(lines):
                continue
            parts.append(piece.tables.pop(name))  # what is assembled is let go of
            if several:
                key = lines.astype(np.int64) | piece.member << 32
                streams.append(share.settled.stream[np.searchsorted(share.settled.key, key)])
                ranks.append(np.full(len(lines), share.rank, np.int64))
    order = np.lexsort((np.concatenate(ranks), np.concatenate(streams))) if several else None
    return complete(name, pa.concat_tables(parts, promote_options="default"), order)


def complete(name: str, table: pa.Table, order: Ints | None = None) -> pa.Table:
    """Return a table with all its columns, contiguous, in the order given, its dictionaries made anew."""
    whole = table.unify_dictionaries()
    moved = order is not None and np.any(np.diff(order) != 1)
    kinds = EVENTS[name].kinds()
    columns: dict[str, pa.Array] = {}
    for column in ("time", *HEAD, "pid", "source", "line", *kinds):
        kind = CODED if kinds.get(column) == "str" and name in APART else ARROW[kinds.get(column, "str")]
        if column not in whole.column_names:
            columns[column] = pa.nulls(len(whole), kind)
            continue
        chunks = whole.column(column).chunks
        array = pa.concat_arrays(chunks) if chunks else pa.array([], whole.schema.field(column).type)
        if moved:
            array = pc.take(array, pa.array(order))
        if pa.types.is_dictionary(kind) and not pa.types.is_dictionary(array.type):
            array = array.dictionary_encode()
        columns[column] = recoded(array) if pa.types.is_dictionary(array.type) else array
    return pa.table(columns)


def recoded(array: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return a column whose dictionary has its values alone, in the order they first stand in."""
    if LIBRARY is not None and array.indices.type == pa.int32():
        return renumbered(array)
    used = pc.unique(array.indices).drop_null()
    place = np.zeros(max(len(array.dictionary), 1), np.int32)
    place[used.to_numpy()] = np.arange(len(used), dtype=np.int32)
    codes = pc.take(pa.array(place), array.indices)
    return pa.DictionaryArray.from_arrays(codes, array.dictionary.take(used))
