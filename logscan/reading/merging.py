"""Puts the chunks of all sources together into whole event tables: heads made global, times told, copies dropped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logscan.clocks import solving
from logscan.clocks.anchors import anchors
from logscan.clocks.model import Solution
from logscan.clocks.wall import NEVER, Ints
from logscan.reading import copies
from logscan.reading.lanes import Lane, Rows, laid
from logscan.reading.ledger import Ledger, Place
from logscan.reading.parsed import Head, Parsed
from logscan.reading.reads import Read, SourceRead
from logscan.reading.working import Span, Worked
from logscan.sources.source import Source
from logscan.tables.grouping import by_code
from logscan.tables.schema import APART, ARROW, EVENTS

HEAD = ("host", "instance", "service", "program")
"""What a head says, each a column."""


def placed(parsed: Parsed, number: int, place: Place) -> dict[str, pa.Table]:
    """Return a chunk's tables with their ``source`` and the lines and year turns of that."""
    out = {}
    for name, table in parsed.tables.items():
        columns = {column: table.column(column) for column in table.column_names}
        columns["line"] = pa.array((table.column("line").to_numpy() + (place.before + 1)).astype(np.int32))
        columns["turn"] = pa.array((table.column("turn").to_numpy() + place.turn).astype(np.int16))
        columns["source"] = pa.array(np.full(len(table), number, np.int32))
        out[name] = pa.table(columns)
    return out


def by_head(heads: Iterable[Head]) -> dict[str, tuple[npt.NDArray[np.int32], pa.Array]]:
    """Return, for host, instance, service and program, the code of each head (int32) and the values (string)."""
    out: dict[str, tuple[npt.NDArray[np.int32], pa.Array]] = {}
    for key in HEAD:
        values: dict[str, int] = {}
        codes = [values.setdefault(getattr(head, key), len(values)) for head in heads]
        out[key] = np.asarray(codes, np.int32), pa.array(list(values), pa.string())
    return out


def final(
    name: str, table: pa.Table, time: Ints, heads: dict[str, tuple[npt.NDArray[np.int32], pa.Array]]
) -> dict[str, Any]:
    """Return the columns of an event table as it is handed on: those of COMMON first; ``time`` is UTC ns (int64)."""
    columns: dict[str, Any] = {"time": pa.array(time)}
    head = table.column("head").to_numpy()
    for key, (codes, values) in heads.items():
        columns[key] = pa.DictionaryArray.from_arrays(pa.array(codes[head]), values, safe=False)
    for column in ("pid", "source", "line"):
        columns[column] = table.column(column)
    columns |= {column: table.column(column) for column in EVENTS[name].kinds() if column in table.column_names}
    return columns


def solved(
    reads: Sequence[SourceRead], tables: dict[str, pa.Table], year: int | None, timezone: str | None
) -> Solution:
    """Find years and zones from what was counted, and from the anchors in tables that still have ``clock`` and ``turn``."""
    return solving.solve(
        {number: read.clock for number, read in enumerate(reads) if read.clock is not None},
        anchors(tables),
        [read.utc for read in reads if read.utc],
        year=year,
        timezone=timezone,
        offsets={number: read.offsets for number, read in enumerate(reads) if read.offsets},
        names={number: read.source.path for number, read in enumerate(reads)},
    )


@dataclass
class Merged:
    """Whole tables, and the lanes that the sources make."""

    read: Read
    lanes: list[Lane]


class Merger:
    """Takes chunks in the order of the sources, those of one source in theirs."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        self.ledger = Ledger(sources)
        self.heads: dict[Head, int] = {}
        self.tables: dict[str, list[pa.Table]] = {}

    def add(self, number: int, span: Span | None, worked: Worked, chunk: int) -> None:
        """Take a chunk of source ``number``, cut by ``chunk`` bytes."""
        place = self.ledger.add(number, span, worked, chunk)
        heads = [self.heads.setdefault(head, len(self.heads)) for head in worked.parsed.heads]
        codes = np.asarray(heads, np.int32)
        for name, table in placed(worked.parsed, number, place).items():
            at = table.column_names.index("head")
            head = pa.array(codes[table.column("head").to_numpy()])
            self.tables.setdefault(name, []).append(table.set_column(at, "head", head))

    def finish(self, *, year: int | None, timezone: str | None, drop_copies: bool = True) -> Merged:
        """Return the whole."""
        names = list(self.tables)
        with ThreadPoolExecutor(2) as pool:  # Arrow copies without holding the interpreter
            joined = pool.map(lambda name: _joined(name, self.tables.pop(name)), names)
            tables = dict(zip(names, joined, strict=True))
        ledger, reads = self.ledger, self.ledger.reads
        solution = solved(reads, tables, year, timezone)
        rows = Rows.of(tables)
        time, lanes = laid(rows, self.sources, solution)
        times = rows.by_table(time, tables)
        _bounds(reads, rows.source, time)
        heads = by_head(self.heads)
        drop = copies.find(reads, solution) if drop_copies else {}
        result: dict[str, pa.Table] = {}
        for name in names:
            full = pa.table(final(name, tables.pop(name), times[name], heads))
            keep = copies.keep(drop, full, reads)
            result[name] = full if keep is None else full.filter(pa.array(keep))
        counted = ledger.programs.result(), ledger.templates.result(), ledger.formats
        return Merged(Read(result, reads, *counted, solution, ledger.notes()), lanes)


def _joined(name: str, parts: Iterable[pa.Table]) -> pa.Table:
    whole = pa.concat_tables(list(parts), promote_options="default")
    for column, kind in EVENTS[name].kinds().items():
        if column not in whole.column_names:
            whole = whole.append_column(column, pa.nulls(len(whole), ARROW[kind]))
    return whole if name in APART else whole.unify_dictionaries().combine_chunks()


def _bounds(reads: Sequence[SourceRead], source: npt.NDArray[np.int32], time: Ints) -> None:
    for number, rows in by_code(source, time > NEVER).items():
        reads[number].bounds = int(time[rows].min()), int(time[rows].max())
