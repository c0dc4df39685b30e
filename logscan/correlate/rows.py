"""Event tables put together and parted, their dictionaries kept: only the few values of a dictionary are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Bools
from logscan.tables.schema import APART, ARROW, COMMON, EVENTS

INDEX = pa.dictionary(pa.int32(), pa.string())


def put_together(parts: Sequence[dict[str, pa.Table]]) -> dict[str, pa.Table]:
    """Return the tables of all parts as one each, rows in order of source and line; the last part has every table."""
    names = parts[-1]
    return {name: in_order(concatenated([part[name] for part in parts if name in part], name), name) for name in names}


def concatenated(tables: Sequence[pa.Table], name: str) -> pa.Table:
    """Return these tables as one, rows in the order of tables; ``name`` is that of the event table."""
    some = [table for table in tables if len(table)]
    if len(some) <= 1:
        return some[0] if some else tables[-1]
    columns = {}
    for column in tables[-1].column_names:
        columns[column] = _column([table.column(column) for table in some], apart=name in APART)
    return pa.table(columns)


def _column(pieces: list[pa.ChunkedArray], *, apart: bool) -> pa.ChunkedArray:
    """Return one column of all pieces; coded where one of them is."""
    if any(pa.types.is_dictionary(piece.type) for piece in pieces):
        chunks = [_coded(chunk) for piece in pieces for chunk in piece.chunks]
        whole = pa.chunked_array(chunks, INDEX).unify_dictionaries()
    else:
        whole = pa.chunked_array([chunk for piece in pieces for chunk in piece.chunks], pieces[0].type)
    if apart or whole.num_chunks <= 1:
        return whole
    return pa.chunked_array([pa.concat_arrays(whole.chunks)])


def _coded(chunk: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(chunk.type):
        return chunk if chunk.type == INDEX else chunk.cast(INDEX)
    return chunk.dictionary_encode().cast(INDEX)


def in_order(table: pa.Table, name: str) -> pa.Table:
    """Return the rows in order of source and line: what comes first in a file comes first, however it was read.

    Not those of tables by which nothing is joined.
    """
    if name in APART:
        return table
    line = table.column("line").to_numpy().astype(np.int64)
    place = (table.column("source").to_numpy().astype(np.int64) << 32) + line
    if len(place) < 2 or (place[1:] >= place[:-1]).all():
        return table
    return table.take(pa.array(np.argsort(place, kind="stable")))


def run_of(mask: Bools) -> tuple[int, int] | None:
    """Return where the chosen ones begin and end, if they stand side by side: they needn't be copied then."""
    if not mask.any():
        return 0, 0
    begin, end = int(mask.argmax()), len(mask) - int(mask[::-1].argmax())
    return (begin, end) if mask[begin:end].all() else None


@cache
def empty(name: str) -> pa.Table:
    """Return the event table of that name without a row."""
    types = {"time": pa.int64(), "pid": pa.int64(), "source": pa.int32(), "line": pa.int32()}
    columns = {c.name: pa.array([], types.get(c.name, ARROW["cat"])) for c in COMMON}
    columns |= {c.name: pa.array([], ARROW[c.kind]) for c in EVENTS[name].columns}
    return pa.table(columns)


def chosen(table: pa.Table, mask: Bools, *, compact: bool = False) -> pa.Table:
    """Return some rows; ``compact``: with dictionaries of not much more than their values, since these rows stay."""
    if not len(table):
        return table
    if compact and not mask.any():
        return table.schema.empty_table()
    if not compact and (run := run_of(mask)) is not None:
        return table.slice(run[0], run[1] - run[0])
    rows = np.flatnonzero(mask)
    some = table.take(pa.array(rows)) if len(rows) * 8 < len(mask) else table.filter(pa.array(mask))
    if not compact:
        return some
    most = 2 * len(rows) + SPARE
    columns = {}
    for name, column in zip(some.column_names, some.columns, strict=True):
        large = pa.types.is_dictionary(column.type) and max(len(each.dictionary) for each in column.chunks) > most
        columns[name] = _compact(column) if large else column
    return pa.table(columns)


SPARE = 64
"""Values that a dictionary may have beyond two for each row: fewer aren't worth looking which of them are used."""


def _compact(column: pa.ChunkedArray) -> pa.ChunkedArray:
    array = column.combine_chunks()
    array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
    used = pc.unique(array.indices.drop_null())
    words = array.dictionary.take(used).cast(pa.string())
    return pa.chunked_array([pa.DictionaryArray.from_arrays(pc.index_in(array.indices, used), words)])
