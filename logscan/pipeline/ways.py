"""Keeps what the whole ways of mails are told from, until it is known which mails findings name.

Which cases come first is known when all windows are seen, and then the windows are gone. So of each window the columns that
:mod:`logscan.report.tracing` tells a way by are kept: in memory of the only window there is, in a temporary file of many.
"""

from __future__ import annotations

import functools
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.build import Correlated
from logscan.report.refusals import NOQUEUE
from logscan.report.tracing import way
from logscan.scan.window import Window

if TYPE_CHECKING:
    from logscan.report.model import Report
    from logscan.scan.log import Log

MOST_MAILS = 200
"""Mails whose whole way a report holds."""

MOST_CASES = 5
"""Cases of a finding whose mails' ways a report holds."""

COLUMNS = {
    "entries": (
        "host", "queue_id", "first", "last", "root", "parent", "leg", "mail", "service", "program", "client", "client_address",
        "sasl_username", "uid", "sender", "message_id", "size", "opened", "removed", "ending", "origin",
    ),
    "deliveries": (
        "entry", "time", "recipient", "original_recipient", "relay", "status", "outcome", "hop", "final", "outside",
        "reply", "delay", "mailbox", "folder", "spam", "signature",
    ),
    "legs": ("parent", "child", "kind", "known_by", "confidence"),
    "mails": ("entry", "direction", "opened_before", "open"),
}  # fmt: skip
"""Columns of the joined tables that ways are told by."""

EVENTS = ("rejects", "expirations", "requeues", "removals", "milters")
"""Event tables that ways are told by: what was done to mails beside delivering them. Few of their rows are."""

Place = tuple[int, int]
"""Where a table lies in the file, and its length."""


class Kept(NamedTuple):
    """A window in the file: the places of its joined tables and of its event tables, by name."""

    joined: dict[str, Place]
    events: dict[str, Place]


class Packed(NamedTuple):
    """The same on its way there: the tables' bytes."""

    joined: dict[str, bytes]
    events: dict[str, bytes]


def packed(window: Window) -> Packed:
    """Return what is kept of a window."""
    return Packed(
        {name: _bytes(_columns(getattr(window, name), names)) for name, names in COLUMNS.items()},
        {name: _bytes(_acted(window, name)) for name in EVENTS},
    )


class Ways:
    """The windows of a log, for telling the ways of mails in the end."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.only: Window | None = None
        self.kept: list[Kept] = []
        self.failed = ""
        """Why ways can't be told: there was no room for them."""
        self._file: Any = None

    def add(self, window: Window) -> None:
        """Keep a window."""
        if self.failed:
            return
        if self._file is None and self.only is None:
            self.only = window
            return
        first, self.only = self.only, None
        for each in (first, window):
            if each is not None:
                self.put(packed(each))

    def put(self, window: Packed) -> None:
        """Keep what was packed of a window of many."""
        if self.failed:
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="logscan-")  # noqa: SIM115 - closed with this object
                weakref.finalize(self, self._file.close)
            joined, events = ({name: self._write(data) for name, data in part.items()} for part in window)
            self.kept.append(Kept(joined, events))
        except OSError as error:
            self.failed = error.strerror or str(error)
            self.kept = []

    def fill(self, report: Report) -> None:
        """Give the report the whole ways of the first mails that findings name, by queue ID."""
        wanted = _wanted(report)
        found: dict[str, tuple[Any, list[str]]] = {}
        for window, rows in self._windows(list(wanted)):
            names = window.entries["queue_id"].astype("str").to_numpy()
            hosts = window.entries["host"].astype("str").to_numpy()
            for entry in rows:
                life = window.entries["first"].iat[entry], window.entries["last"].iat[entry]
                # IDs are used again: it is the life that the case lies in, else the last one.
                rank = any(life[0] <= at <= life[1] for at in wanted[names[entry]]), life[0], hosts[entry]
                if names[entry] not in found or found[names[entry]][0] < rank:
                    found[names[entry]] = rank, way(window, entry)
        report.paths = {name: found[name][1] for name in wanted if name in found}
        if self.failed and wanted:
            report.notes.append(
                f"the whole ways of mails are left out, a temporary file can't be written: {self.failed}"
            )

    def _windows(self, names: list[str]) -> Iterator[tuple[Window, list[int]]]:
        """Return the windows that hold entries with these queue IDs, each with their rows."""
        if self.only is not None:
            yield self.only, _rows(self.only.entries["queue_id"], names)
        for kept in self.kept:
            ids = self._read(kept.joined["entries"], ["queue_id"]).to_pandas()["queue_id"]
            if rows := _rows(ids, names):
                yield self._window(kept), rows

    def _window(self, kept: Kept) -> Window:
        frames = {name: self._read(place).to_pandas() for name, place in kept.joined.items()}
        none = self._read(kept.joined["legs"]).to_pandas().iloc[:0]
        tables = {name: self._read(place) for name, place in kept.events.items()}
        return Window(self.log, Correlated(**frames, verdicts=none, local_domains=frozenset()), tables)

    def _write(self, data: bytes) -> Place:
        start: int = self._file.seek(0, 2)
        self._file.write(data)
        return start, len(data)

    def _read(self, place: Place, columns: list[str] | None = None) -> pa.Table:
        start, size = place
        self._file.seek(start)
        with pa.ipc.open_file(pa.BufferReader(self._file.read(size))) as whole:
            if columns is None:
                return whole.read_all()
            wanted = [whole.schema.get_field_index(name) for name in columns]
        self._file.seek(start)
        options = pa.ipc.IpcReadOptions(included_fields=wanted)
        with pa.ipc.open_file(pa.BufferReader(self._file.read(size)), options=options) as some:
            return some.read_all()


def _wanted(report: Report) -> dict[str, list[pd.Timestamp]]:
    """Return the queue IDs of the first mails that findings name, each with the times of its cases."""
    out: dict[str, list[pd.Timestamp]] = {}
    for finding in report.found:
        for case in finding.cases[:MOST_CASES]:
            ids = case.get("queue_ids") or [case.get("queue_id")]
            if ids and ids[0]:
                times = out.setdefault(str(ids[0]), [])
                times += pd.to_datetime([at for at in (case.get("time"),) if at], utc=True, format="ISO8601")
    return dict(list(out.items())[:MOST_MAILS])


def _rows(queue_ids: pd.Series, names: Iterable[str]) -> list[int]:
    rows: list[int] = np.flatnonzero(queue_ids.isin(list(names)).to_numpy()).tolist()
    return rows


def _columns(frame: pd.DataFrame, names: Sequence[str]) -> pa.Table:
    """Return some columns as Arrow has them, with what pandas needs to read them as they were."""
    columns = [frame[name] for name in names]
    arrays = [pa.array(column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array) for column in columns]
    kinds = tuple("category" if isinstance(each.dtype, pd.CategoricalDtype) else each.dtype for each in columns)
    return pa.table(arrays, names=list(names), metadata=_metadata(tuple(names), kinds))


@functools.lru_cache(maxsize=16)
def _metadata(names: tuple[str, ...], kinds: tuple[Any, ...]) -> dict[bytes, bytes]:
    """Return what pandas notes of such columns: the same for each window, and to find it out takes longer than to write them."""
    empty = pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in zip(names, kinds, strict=True)})
    found: dict[bytes, bytes] = pa.Table.from_pandas(empty, preserve_index=False).schema.metadata
    return found


def _bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def _acted(window: Window, name: str) -> pa.Table:
    """Return the rows of an event table that ways are told by."""
    table = window.tables[name]
    if not len(table):
        return table
    ids = table.column("queue_id").cast(pa.string())
    some = pc.and_(pc.is_valid(ids), pc.not_equal(ids, NOQUEUE))
    if name == "removals":
        reason = table.column("reason").cast(pa.string())
        some = pc.and_(some, pc.greater(pc.utf8_length(reason), 0))
    if name == "milters":
        some = pc.and_(some, pc.is_valid(table.column("result")))
        some = pc.and_(some, pc.equal(table.column("filter").cast(pa.string()), "mailscanner"))
    return table.filter(pc.fill_null(some, False))
