"""What a run hands to the next one: the event rows of mails that are open, the texts of their lines, what was learnt.

Event tables are stored as Arrow IPC streams. Rows tell where their line stands by the number of a source, which is another one
in each run: what is stored numbers the sources anew, and each run puts them behind its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain, count
from typing import Any

import numpy as np
import pyarrow as pa

from logscan.correlate.learnt import Learnt
from logscan.correlate.rows import empty
from logscan.correlate.windows import Open
from logscan.reading.line_texts import fetch
from logscan.reading.reads import SourceRead
from logscan.scan.log import Facts
from logscan.sources.opening import Opener
from logscan.sources.source import Source
from logscan.tables.schema import EVENTS

ROWS, LINES, REST = "open.", "open lines", "carried"
"""Names of the blobs: one a table behind ``open.``, the texts, and all that is small."""

NAMES = (*(ROWS + name for name in EVENTS), LINES, REST)

MOST_KNOWN = 10_000
"""Values of one fact that are carried on; where there are more, a run goes by what it learns itself."""

OF_ONE_RUN = ("fine", "silences")
"""Facts about the sources at hand: they aren't carried."""

LINE_COLUMNS = pa.schema([("source", pa.int32()), ("line", pa.int64()), ("text", pa.string())])


@dataclass
class Carried:
    """What the run before left."""

    open: Open = field(default_factory=Open)
    """Its ``source`` columns number ``labels``."""
    labels: list[str] = field(default_factory=list)
    texts: list[dict[int, str]] = field(default_factory=list)
    """By source, the lines by number."""
    learnt: Learnt = field(default_factory=Learnt)
    facts: Facts = field(default_factory=Facts)
    zone: str = ""
    """The server's time zone, as it was last told; empty where it never was."""
    before: dict[str, int] = field(default_factory=dict)
    """Rows by table that were written so far: the numbers of rows go on behind them."""

    def placed(self, first: int) -> Open:
        """Return what is open, its sources numbered from ``first`` on."""
        return Open(_moved(self.open.tables, np.arange(len(self.labels)) + first), self.open.now, self.open.last)

    def reads(self) -> list[SourceRead]:
        """Return the sources that the open rows are of, of which only those lines are there."""
        out = []
        for label, texts in zip(self.labels, self.texts, strict=True):
            source = Source(label, label, "remembered", Opener("kept", label))
            out.append(SourceRead(source, label, "remembered", texts=texts))
        return out


def carried(
    open_: Open,
    reads: Sequence[SourceRead],
    learnt: Learnt,
    facts: Facts,
    zone: str,
    before: Mapping[str, int],
    name: str,
) -> Carried:
    """Return what is to be handed on. Sources of this run are remembered by their label and ``name``, its day."""
    used = sorted({number for table in open_.tables.values() for number in np.unique(_source(table)).tolist()})
    wanted: dict[str, set[int]] = {}
    for table in open_.tables.values():
        source, line = _source(table), table.column("line").to_numpy()
        for number in np.unique(source).tolist():
            wanted.setdefault(reads[number].label, set()).update(line[source == number].tolist())
    found = fetch([reads[number] for number in used], wanted)
    labels = _labels([reads[number] for number in used], name)
    texts: list[dict[int, str]] = [
        {line: found[reads[number].label, line] for line in sorted(wanted[reads[number].label])} for number in used
    ]
    numbers = np.zeros(len(reads), np.int64)
    numbers[used] = np.arange(len(used))
    tables = _moved({each: table for each, table in open_.tables.items() if len(table)}, numbers)
    return Carried(Open(tables, open_.now, open_.last), labels, texts, learnt, facts, zone, dict(before))


def _labels(reads: Sequence[SourceRead], name: str) -> list[str]:
    """Return what sources are called by the next run, each by another: those of earlier runs keep what they are called."""
    taken = {read.label for read in reads if read.texts is not None}
    labels = []
    for read in reads:
        label = read.label
        if read.texts is None:
            said = f"{label} of {name}"
            label = next(each for each in chain([said], (f"{said} ({i})" for i in count(2))) if each not in taken)
            taken.add(label)
        labels.append(label)
    return labels


def united(before: Learnt, now: Learnt) -> Learnt:
    """Return what was known before and what is learnt now, together."""
    out: dict[str, Any] = {}
    for each in fields(Learnt):
        old, new = getattr(before, each.name), getattr(now, each.name)
        out[each.name] = new if each.name in OF_ONE_RUN or len(old | new) > MOST_KNOWN else old | new
    return Learnt(**out)


def to_blobs(state: Carried) -> dict[str, bytes]:
    """Return the blobs by name."""
    out = {ROWS + name: to_bytes(table) for name, table in state.open.tables.items()}
    rows = [(number, line, text) for number, texts in enumerate(state.texts) for line, text in sorted(texts.items())]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    out[LINES] = to_bytes(
        pa.table(
            [pa.array(column, kind.type) for column, kind in zip(columns, LINE_COLUMNS, strict=True)], LINE_COLUMNS
        )
    )
    rest = {
        "now": state.open.now,
        "last": state.open.last,
        "labels": state.labels,
        "zone": state.zone,
        "before": state.before,
        "learnt": _as_lists(state.learnt),
        "facts": _as_lists(state.facts),
    }
    out[REST] = json.dumps(rest, sort_keys=True).encode("ascii")
    return out


def from_blobs(blobs: Mapping[str, bytes]) -> Carried:
    """Return what the blobs hold; raises ValueError for what can't be read."""
    if REST not in blobs:
        return Carried()
    try:
        rest = json.loads(blobs[REST])
        tables = {name: from_bytes(blobs[ROWS + name]) for name in EVENTS if ROWS + name in blobs}
        strange = [name for name in tables if not set(empty(name).column_names) <= set(tables[name].column_names)]
        if strange:
            raise ValueError(f"what was open is of another version: {', '.join(strange)}")
        texts: list[dict[int, str]] = [{} for _ in rest["labels"]]
        for row in from_bytes(blobs[LINES]).to_pylist():
            texts[row["source"]][row["line"]] = row["text"]
        return Carried(
            Open(tables, int(rest["now"]), int(rest["last"])),
            [str(each) for each in rest["labels"]],
            texts,
            Learnt(**_as_sets(rest["learnt"], Learnt)),
            Facts(**_as_sets(rest["facts"], Facts)),
            str(rest["zone"]),
            {str(name): int(count) for name, count in rest["before"].items()},
        )
    except (KeyError, TypeError, IndexError, AttributeError, pa.ArrowInvalid) as error:
        raise ValueError(f"what was open can't be read: {error}") from error


def to_bytes(table: pa.Table) -> bytes:
    """Return a table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def from_bytes(data: bytes) -> pa.Table:
    """Return the table that :func:`to_bytes` stored; raises pyarrow.ArrowInvalid."""
    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()


def _source(table: pa.Table) -> np.ndarray[Any, np.dtype[np.int32]]:
    found: np.ndarray[Any, np.dtype[np.int32]] = table.column("source").to_numpy()
    return found


def _moved(tables: Mapping[str, pa.Table], numbers: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, pa.Table]:
    """Return tables whose ``source`` is ``numbers[source]``; dictionaries hold what is used alone."""
    out = {}
    for name, table in tables.items():
        if len(table):
            moved = pa.array(numbers[_source(table)].astype(np.int32))
            out[name] = table.set_column(table.column_names.index("source"), "source", moved)
    return out


def _as_lists(facts: Any) -> dict[str, list[Any]]:
    return {each.name: sorted(getattr(facts, each.name)) for each in fields(facts)}


def _as_sets(lists: Mapping[str, Any], kind: type[Any]) -> dict[str, frozenset[Any]]:
    known = {each.name for each in fields(kind)}
    return {
        name: frozenset(tuple(each) if isinstance(each, list) else each for each in values)
        for name, values in lists.items()
        if name in known
    }
