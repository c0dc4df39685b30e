"""Answers queries from a state's tables of past days: days that can't be meant aren't read, nor columns that nobody asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from logscan.query.model import Node
from logscan.query.rows import Floats, Ints, Rows, numbers, scored
from logscan.query.times import bounds
from logscan.store import tables
from logscan.store.model import Partition
from logscan.store.state import State

AT_ONCE = 1_000_000
"""Mails that are looked at together, about."""

FILES = 200
"""Files that are open together, about."""

MAILS, ENTRIES, DELIVERIES, VERDICTS, LEGS = "mails", "entries", "deliveries", "verdicts", "legs"

OF_ENTRY = ("host", "queue_id", "message_id", "sender", "size", "client", "client_address", "sasl_username", "first")
"""Columns of mails that their first entries have."""

UNDATED = "undated"


class Searching:
    """The rows that a query is to be asked of, some days at a time; ``errors`` says which tables can't be read."""

    def __init__(self, state: State, query: Node, zone: Any) -> None:
        assert state.folder is not None
        self.folder = state.folder
        self.errors: list[tuple[str, str]] = []
        self._parts = sorted(state.partitions(), key=lambda each: (each.day, each.path))
        low, high = bounds(query, zone)
        # Days are the server's: one more on either side holds whatever its zone is.
        first, last = _day(low, -1), _day(high, 1)
        told = sorted({each.day for each in self._parts if each.table == MAILS})
        self.days = [day for day in told if (day == UNDATED and not low) or (day != UNDATED and first <= day <= last)]
        """Days of which mails are looked at."""
        self.known = [day for day in told if day != UNDATED]
        """Days of which there are mails."""

    def __iter__(self) -> Iterator[Rows]:
        """Yield rows; what can't be read is left out and noted in ``errors``."""
        for days in self._groups():
            with ExitStack() as held:
                rows = self._rows(days, held)
                if rows is not None:
                    yield rows
                del rows

    def _groups(self) -> Iterator[list[str]]:
        group: list[str] = []
        mails = files = 0
        for day in self.days:
            parts = [each for each in self._parts if each.day == day]
            count = sum(each.rows for each in parts if each.table == MAILS)
            if group and (mails + count > AT_ONCE or files + len(parts) > FILES):
                yield group
                group, mails, files = [], 0, 0
            group.append(day)
            mails, files = mails + count, files + len(parts)
        if group:
            yield group

    def _rows(self, days: Sequence[str], held: ExitStack) -> Rows | None:
        """Return the rows of the mails that arrived on some days."""
        mails = self._table(MAILS, lambda day: day in days, held)
        entries = self._table(ENTRIES, lambda day: day in days, held)
        # The entry that a mail began as: it came out of none, or tells a sender that one bounced.
        leg = pc.fill_null(pc.cast(entries.column("leg"), pa.string()), "")
        first = pc.or_(pc.equal(leg, ""), pc.equal(leg, "bounce"))
        entries.keep(np.flatnonzero(first.to_numpy()))
        root, at = (_whole(each) for each in (entries.column("root"), mails.column("entry")))
        if not len(root) or not len(at):
            return None
        order = np.argsort(root, kind="stable")
        place = order[np.minimum(np.searchsorted(root[order], at), len(root) - 1)]
        known = root[place] == at
        mails.keep(np.flatnonzero(known))
        entries.keep(place[known])
        number = _whole(entries.column("mail"))
        low, high = (int(number.min()), int(number.max())) if len(number) else (0, -1)
        # What goes on behind midnight is filed under the next day; numbers tell which parts of a file hold any of it.
        deliveries = self._table(DELIVERIES, lambda day: day >= days[0] or UNDATED in days, held, ("mail", low, high))
        by_number = np.full(high - low + 2, -1, np.int64)
        by_number[number - low] = np.arange(len(number))
        mail = _whole(deliveries.column("mail"))
        of = by_number[np.where((mail >= low) & (mail <= high), mail - low, -1)]
        ends = np.flatnonzero(deliveries.column("last").to_numpy() & (of >= 0))

        def column(name: str) -> Any:
            return (entries if name in OF_ENTRY else mails).column(name)

        def scores() -> tuple[Ints, Floats]:
            return self._scores(days, held, _whole(mails.column("entry")))

        return Rows(column, deliveries.column, number, ends, of[ends], scores)

    def _scores(self, days: Sequence[str], held: ExitStack, roots: Ints) -> tuple[Ints, Floats]:
        """Return what filters gave mails, by the numbers of the entries that these began as (``roots``, int64)."""

        def later(day: str) -> bool:
            return day >= days[0] or UNDATED in days

        if not len(roots):
            return np.empty(0, np.int64), np.empty(0, np.float64)
        verdicts = self._table(VERDICTS, later, held)
        legs = self._table(LEGS, later, held, ("child", int(roots.min()), 1 << 62))
        entry, score = _whole(verdicts.column("entry")), numbers(verdicts.column("score"))
        joins = ~np.asarray(pc.equal(pc.cast(legs.column("kind"), pa.string()), "bounce").to_numpy(), np.bool_)
        child, parent = (_whole(legs.column(name))[joins] for name in ("child", "parent"))
        order = np.argsort(child, kind="stable")
        child, parent = child[order], parent[order]
        top = entry.copy()
        for _ in range(len(child) + 1):
            above = _looked_up(child, parent, top)
            if not (above >= 0).any():
                break
            top = np.where(above >= 0, above, top)
        order = np.argsort(roots, kind="stable")
        return scored(_looked_up(roots[order], order, top), score)

    def _table(
        self, name: str, meant: Callable[[str], bool], held: ExitStack, between: tuple[str, int, int] | None = None
    ) -> _Table:
        found = _Table()
        for each in self._parts:
            if each.table == name and meant(each.day):
                try:
                    found.add(self.folder, each, held, between)
                except (OSError, ValueError, pa.ArrowException) as error:
                    self.errors.append((str(self.folder / each.path), tables.why(error)))
        return found


class _Table:
    """Columns of several files, each read when it is asked for; texts come coded."""

    def __init__(self) -> None:
        self._files: list[tuple[pq.ParquetFile, list[int], frozenset[str]]] = []
        self._kept: Ints | None = None
        self._columns: dict[str, pa.ChunkedArray] = {}

    def add(self, folder: Path, part: Partition, held: ExitStack, between: tuple[str, int, int] | None) -> None:
        """Take a file in, and of it the groups of rows that may have numbers in a range. Raises as tables.parquet."""
        file = held.enter_context(tables.parquet(folder, part.path, coded=True))
        groups = list(range(file.num_row_groups))
        if between is not None:
            groups = [each for each in groups if _may_hold(file, each, *between)]
        if groups:
            self._files.append((file, groups, frozenset(file.schema_arrow.names)))

    def keep(self, rows: Ints) -> None:
        """Let only some rows be there from now on, in this order."""
        self._kept = rows if self._kept is None else self._kept[rows]
        self._columns.clear()

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column; empty texts where the files are an earlier version's. Raises OSError, pyarrow.ArrowException."""
        if name not in self._columns:
            chunks: list[pa.Array] = []
            for file, groups, names in self._files:
                if name in names:
                    chunks += file.read_row_groups(groups, columns=[name]).column(0).chunks
                else:
                    count = sum(file.metadata.row_group(each).num_rows for each in groups)
                    chunks.append(pa.nulls(count, _missing(name)))
            whole = _together(chunks, name)
            self._columns[name] = whole if self._kept is None else whole.take(pa.array(self._kept))
        return self._columns[name]


def _together(chunks: list[pa.Array], name: str) -> pa.ChunkedArray:
    if not chunks:
        return pa.chunked_array([], _missing(name))
    found = pa.chunked_array(chunks) if len({each.type for each in chunks}) == 1 else _one_type(chunks)
    return found.unify_dictionaries() if pa.types.is_dictionary(found.type) else found


def _one_type(chunks: list[pa.Array]) -> pa.ChunkedArray:
    """Return chunks of several types as one column, as text where they are text of any kind."""
    plain = [each.dictionary_decode() if pa.types.is_dictionary(each.type) else each for each in chunks]
    kind = next((each.type for each in plain if not pa.types.is_null(each.type)), pa.null())
    return pa.chunked_array([each.cast(kind) for each in plain], kind)


def _missing(name: str) -> pa.DataType:
    """Return the type of a column that no file has."""
    from logscan.tables.joined import JOINED

    for table in (MAILS, ENTRIES, DELIVERIES, VERDICTS, LEGS):
        kind = JOINED[table].kinds().get(name)
        if kind:
            plain = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "time": pa.timestamp("ns", "UTC")}
            return plain.get(kind.rstrip("?"), pa.string())
    return pa.string()


def _may_hold(file: pq.ParquetFile, group: int, name: str, low: int, high: int) -> bool:
    """Whether a group of rows may have numbers in a range, by what the file says of it."""
    rows = file.metadata.row_group(group)
    for place in range(rows.num_columns):
        column = rows.column(place)
        if column.path_in_schema == name and column.is_stats_set and column.statistics.has_min_max:
            return bool(column.statistics.min <= high and column.statistics.max >= low)
    return True


def _looked_up(keys: Ints, values: Ints, wanted: Ints) -> Ints:
    """Return the value of each wanted key (sorted ``keys``), -1 where there is none."""
    if not len(keys):
        return np.full(len(wanted), -1, np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    out: Ints = np.where((keys[place] == wanted) & (wanted >= 0), values[place], -1)
    return out


def _whole(column: pa.ChunkedArray) -> Ints:
    found: npt.NDArray[np.int64] = np.asarray(pc.fill_null(column, -1).to_numpy(), np.int64)
    return found


def _day(ns: int | None, more: int) -> str:
    """Return the day of a time (UTC ns), and ``more`` days later; for none, one before or behind all others."""
    if ns is None:
        return "" if more < 0 else "9999-12-31"
    day: date = pd.Timestamp(ns, tz=UTC).date()
    return (day + timedelta(days=more)).isoformat()
