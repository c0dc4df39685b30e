"""Partials as bytes: what one run keeps for the next comes back as exactly what it was, or is refused.

A blob begins with :data:`MAGIC`, the version of its form and a digest of the rest, which is one Arrow IPC stream, compressed:
a table of parts, each with a description (JSON) and its columns as a stream of its own. Nothing in it is ever run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from logscan.tables.aside import Laid
from logscan.tables.kept import Kept
from logscan.tables.latest import Latest
from logscan.tables.latest import stacked as stacked_latest
from logscan.tables.partials import First, Keyed, Part, Partial, Points, Rows, together
from logscan.tables.recent import Block, Recent
from logscan.tables.spans import Moments, Spans
from logscan.tables.stored_columns import flat, frame_of, held, of_frame

MAGIC = b"logscan partial\n"
VERSION = 1
"""Of the form. One that isn't this is refused: what a check keeps is made anew by what comes."""

KINDS: Mapping[str, type[Any]] = {
    kind.__name__: kind for kind in (Rows, Latest, Keyed, First, Points, Recent, Spans, Moments, Kept)
}

_DIGEST = 16
_OPTIONS = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 3))
_PLAIN = pa.ipc.IpcWriteOptions(compression=None)

DAMAGED = "what earlier runs kept is damaged"


def packed(partial: Partial) -> bytes:
    """Return a partial as bytes; parts that are one object are written once. TypeError for a part of an unknown kind.

    OSError where rows lie in a file that can't be read any more.
    """
    names: list[str] = []
    told: list[str] = []
    tables: list[bytes] = []
    rows: list[int] = []
    known: dict[int, int] = {}
    for name, part in partial.parts.items():
        names.append(name)
        if isinstance(part, int) or id(part) not in known:
            written: list[bytes] = []
            told.append(json.dumps(_described(part, written)))
            tables.append(_framed(written))
            if not isinstance(part, int):
                known[id(part)] = len(told) - 1
            rows.append(len(told) - 1)
        else:
            rows.append(known[id(part)])
    whole = pa.table(
        {"told": pa.array(told, pa.large_string()), "tables": pa.array(tables, pa.large_binary())}
    ).replace_schema_metadata({"names": json.dumps([names, rows])})
    rest = _stream(whole, _OPTIONS)
    head = MAGIC + bytes([VERSION])
    return head + hashlib.blake2b(head + rest, digest_size=_DIGEST).digest() + rest


def unpacked(data: bytes) -> Partial:
    """Return the partial that was packed. ValueError where it is of another version, or isn't what was written."""
    start = len(MAGIC) + 1
    head, digest, rest = data[:start], data[start : start + _DIGEST], data[start + _DIGEST :]
    if len(head) < start or not head.startswith(MAGIC):
        raise ValueError(f"{DAMAGED}: it doesn't begin as it should")
    if head[-1] != VERSION:
        raise ValueError(f"what earlier runs kept is of the form {head[-1]}; this version reads {VERSION}")
    if hashlib.blake2b(head + rest, digest_size=_DIGEST).digest() != digest:
        raise ValueError(f"{DAMAGED}: its digest is another")
    try:
        whole = pa.ipc.open_stream(rest).read_all()
        parts = [
            _made(json.loads(told), _unframed(tables))
            for told, tables in zip(whole["told"].to_pylist(), whole["tables"].to_pylist(), strict=True)
        ]
        names, rows = json.loads(whole.schema.metadata[b"names"])
        return Partial({name: parts[row] for name, row in zip(names, rows, strict=True)})
    except (pa.ArrowException, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Written by a version whose parts were others: its form's number should have told.
        raise ValueError(f"what earlier runs kept can't be read by this version: {error}") from error


def _described(part: Part, written: list[bytes]) -> Any:
    """Return what a part is as JSON; its columns go behind what is written, in the order of their mention."""
    if isinstance(part, int):
        return int(part)
    name = type(part).__name__
    if KINDS.get(name) is not type(part):
        raise TypeError(f"a partial holds a part of the kind {name}, which can't be stored")
    fields = {each.name: _field(part, each.name, written) for each in dataclasses.fields(part)}  # type: ignore[arg-type]
    return [name, fields]


def _field(part: Any, name: str, written: list[bytes]) -> Any:
    value = getattr(part, name)
    if name == "columns":
        return _laid(value, written)
    if name == "frames":
        whole = stacked_latest(value) if isinstance(part, Latest) else together(value)
        return _laid(of_frame(whole.reset_index(drop=True)), written)
    if isinstance(value, pd.DataFrame):
        return _laid(of_frame(value.reset_index(drop=True)), written)
    if name == "blocks":
        return [_block(block, written) for block in value]
    return value


def _laid(columns: Mapping[str, Any], written: list[bytes]) -> list[Any]:
    """Write columns, and return what each was."""
    kinds, arrays = [], {}
    for name, column in columns.items():
        kind, arrays[name] = flat(column)
        kinds.append([name, kind])
    written.append(_stream(pa.table(arrays), _PLAIN))
    return kinds


def _block(block: Block, written: list[bytes]) -> int:
    """Write rows that are packed already, as they are, behind their keys; returns the latest of their times."""
    rows = block.packed.read() if isinstance(block.packed, Laid) else block.packed
    written += [block.keys.astype("<u8").tobytes(), bytes(memoryview(rows))]
    return block.last


def _made(told: Any, written: Iterator[bytes]) -> Part:
    if isinstance(told, int):
        return told
    name, fields = told
    made = {key: _value(key, value, name, written) for key, value in fields.items()}
    part: Part = KINDS[name](**made)
    return part


def _value(key: str, value: Any, kind: str, written: Iterator[bytes]) -> Any:
    if key == "columns":
        return _columns(value, written)
    if key == "frames":
        return (frame_of(_columns(value, written)),)
    if key in ("frame", "empty"):
        return frame_of(_columns(value, written))
    if key == "blocks":
        return tuple(_block_of(last, written) for last in value)
    return tuple(value) if isinstance(value, list) else value


def _columns(kinds: list[Any], written: Iterator[bytes]) -> dict[str, Any]:
    table = pa.ipc.open_stream(next(written)).read_all()
    arrays = [column.combine_chunks() if column.num_chunks != 1 else column.chunk(0) for column in table.columns]
    return {name: held(kind, array) for (name, kind), array in zip(kinds, arrays, strict=True)}


def _block_of(last: int, written: Iterator[bytes]) -> Block:
    keys = np.frombuffer(next(written), "<u8").astype(np.uint64)
    return Block(keys, pa.py_buffer(next(written)), last)


def _stream(table: pa.Table, options: pa.ipc.IpcWriteOptions) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(memoryview(sink.getvalue()))


def _framed(pieces: list[bytes]) -> bytes:
    """Return several pieces as one, each behind its length."""
    return b"".join(each for piece in pieces for each in (len(piece).to_bytes(8, "little"), piece))


def _unframed(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 8], "little")
        yield data[at + 8 : at + 8 + size]
        at += 8 + size


def retold(data: bytes, table: Callable[[pa.Table], pa.Table], value: Callable[[Any], Any]) -> bytes:
    """Return a packed partial with its tables and the values beside them changed; ``data`` itself where nothing was.

    ValueError where it isn't what was written.
    """
    unpacked(data)
    start = len(MAGIC) + 1
    whole = pa.ipc.open_stream(data[start + _DIGEST :]).read_all()
    told, framed = whole["told"].to_pylist(), whole["tables"].to_pylist()
    now = [json.dumps(value(json.loads(each))) for each in told]
    new = [_framed([_retold(piece, table) for piece in _unframed(pieces)]) for pieces in framed]
    if (now, new) == (told, framed):
        return data
    arrays = [pa.array(now, pa.large_string()), pa.array(new, pa.large_binary())]
    rest = _stream(pa.Table.from_arrays(arrays, schema=whole.schema), _OPTIONS)
    return data[:start] + hashlib.blake2b(data[:start] + rest, digest_size=_DIGEST).digest() + rest


def _retold(piece: bytes, change: Callable[[pa.Table], pa.Table]) -> bytes:
    """Return a piece with its table changed; keys, which are no table, as they are."""
    try:
        before = pa.ipc.open_stream(piece).read_all()
    except (pa.ArrowException, OSError):
        return piece
    after = change(before)
    return piece if after is before else _stream(after, _PLAIN)
