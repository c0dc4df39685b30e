"""A window: a piece of a log, correlated; what checks and the report look at.

A window holds whole mails: each row of the log, and each mail, is in exactly one window. Numbers of rows (``entry``, ``mail``,
``parent``, ``root``, ``client_row``, ``store_row``, ``verdict_row``) are places in the window's own tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from logscan.correlate.build import Correlated
from logscan.correlate.rows import concatenated
from logscan.scan.log import Facts, Log
from logscan.tables import texts
from logscan.tables.schema import EVENTS

if TYPE_CHECKING:
    from logscan.scan.options import Options
    from logscan.settings import Settings
    from logscan.settings.dspam_home import Inventory

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

POINTERS: tuple[tuple[str, str, str], ...] = (
    ("entries", "root", "entries"),
    ("entries", "parent", "entries"),
    ("entries", "mail", "mails"),
    ("entries", "client_row", "clients"),
    ("deliveries", "entry", "entries"),
    ("deliveries", "mail", "mails"),
    ("deliveries", "store_row", "stores"),
    ("deliveries", "verdict_row", "verdicts"),
    ("verdicts", "entry", "entries"),
    ("mails", "entry", "entries"),
    ("legs", "parent", "entries"),
    ("legs", "child", "entries"),
    ("legs", "delivery", "deliveries"),
)
"""Columns that hold places: (table, column, table that it points into); ``verdicts`` and ``deliveries`` are the joined ones."""

JOINED = ("entries", "deliveries", "legs", "mails", "verdicts")


class Window:
    """The tables of a piece of a log, and the log it is of.

    ``entries``, ``deliveries``, ``legs``, ``mails``, ``verdicts`` are DataFrames described in ``docs/tables.md``; each event
    table of :mod:`logscan.tables.schema` is there under its own name, e.g. ``window.logins``.
    """

    def __init__(
        self, log: Log, correlated: Correlated, tables: dict[str, pa.Table], facts: Facts | None = None
    ) -> None:
        self.log = log
        self.correlated = correlated
        self.tables = tables
        self.facts = log.facts if facts is None else facts
        """What the survey fixed, and what this window shows itself (:func:`logscan.scan.facts.facts_of`)."""
        self._frames: dict[str, pd.DataFrame] = {}

    @property
    def entries(self) -> pd.DataFrame:
        """One row per life of a queue ID."""
        return self.correlated.entries

    @property
    def deliveries(self) -> pd.DataFrame:
        """One row per delivery attempt to one recipient."""
        return self.correlated.deliveries

    @property
    def legs(self) -> pd.DataFrame:
        """One row per entry that came out of another."""
        return self.correlated.legs

    @property
    def mails(self) -> pd.DataFrame:
        """One row per mail as its sender would count it."""
        return self.correlated.mails

    @property
    def verdicts(self) -> pd.DataFrame:
        """One row per verdict of a filter, copies dropped."""
        return self.correlated.verdicts

    @property
    def settings(self) -> Settings:
        """What the configuration says."""
        return self.log.settings

    @property
    def inventory(self) -> Inventory | None:
        """DSPAM's home."""
        return self.log.inventory

    @property
    def options(self) -> Options:
        """What the user asked for."""
        return self.log.options

    @property
    def zone(self) -> Any:
        """The server's time zone (tzinfo), in which reports show times."""
        return self.log.zone

    def events(self, name: str) -> pd.DataFrame:
        """Return an event table as a DataFrame; ``time`` is datetime64[ns, UTC], ``source`` a number of the log's sources."""
        if name not in self._frames:
            self._frames[name] = self._read(name, self.tables[name].column_names)
        return self._frames[name]

    def columns(self, name: str, *columns: str) -> pd.DataFrame:
        """Return some columns of an event table, as in :meth:`events`; the others aren't decoded."""
        if name in self._frames:
            return self._frames[name][list(columns)]
        return self._read(name, columns)

    def rows(self, name: str, rows: Ints, *columns: str) -> pd.DataFrame:
        """Return some rows of some columns of an event table, as in :meth:`events`; nothing else is decoded."""
        some = self.tables[name].select(list(columns)).take(pa.array(rows))
        return self._read(name, columns, some)

    def _read(self, name: str, columns: Sequence[str], table: pa.Table | None = None) -> pd.DataFrame:
        table, kinds = self.tables[name] if table is None else table, EVENTS[name].kinds()
        found: dict[str, Any] = {}
        for column in columns:
            values = table.column(column)
            if kinds.get(column) == "str":
                found[column] = texts.STR.__from_arrow__(values.cast(pa.string()))
            elif column == "time" and not values.null_count:
                found[column] = pd.DatetimeIndex(values.to_numpy().view("M8[ns]"), tz="UTC")
            elif column == "time":
                found[column] = pd.to_datetime(values.to_pandas(), unit="ns", utc=True)
            else:
                found[column] = values.to_pandas()
        return pd.DataFrame(found, index=pd.RangeIndex(len(table)), copy=False)

    def __getattr__(self, name: str) -> pd.DataFrame:
        """Give event tables by name."""
        if name in EVENTS:
            return self.events(name)
        raise AttributeError(f"{type(self).__name__} has no table {name!r}")

    def label(self, source: int) -> str:
        """Return the name of a source as reports show it."""
        return self.log.read.sources[source].label

    def part(self, entries: Bools, events: dict[str, Bools], verdicts: Bools | None = None) -> Window:
        """Return the window that holds some entries with all that was joined to them, and some rows of the event tables.

        ``entries`` must hold whole mails with their notifications. Each of ``events`` must hold the rows that these entries
        were joined from, and no row that others were; verdicts that no delivery was joined with are those of ``verdicts``.
        """
        found = self.correlated
        kept: dict[str, Bools] = {"entries": entries}
        kept["deliveries"] = _with(entries, found.deliveries["entry"], events.get("deliveries"))
        kept["legs"] = entries[found.legs["child"].to_numpy()]
        kept["mails"] = entries[found.mails["entry"].to_numpy()]
        judged = np.zeros(len(found.verdicts) + 1, np.bool_)
        mine = found.deliveries["verdict_row"].to_numpy()
        judged[mine[kept["deliveries"]]] = True
        free = np.ones(len(found.verdicts) + 1, np.bool_)
        free[mine] = False
        entry = found.verdicts["entry"].to_numpy()
        by_entry = np.append(entries, False)[entry]
        other = np.zeros(len(found.verdicts), np.bool_) if verdicts is None else verdicts
        kept["verdicts"] = judged[:-1] | (free[:-1] & np.where(entry >= 0, by_entry, other))
        frames = {name: getattr(found, name)[kept[name]].copy() for name in JOINED}
        tables = {name: table.filter(pa.array(events[name])) for name, table in self.tables.items()}
        places = {name: _places(mask) for name, mask in {**events, **kept}.items()}
        for name, column, to in POINTERS:
            frames[name][column] = places[to][frames[name][column].to_numpy()]
        frames = {name: frame.reset_index(drop=True) for name, frame in frames.items()}
        return Window(self.log, replace(found, **frames), tables, self.facts)

    def of_mails(self, mails: Bools) -> Window:
        """Return the window of some mails alone (bool by row of ``mails``), with the lines that opened them and stored them."""
        entries = np.append(mails, False)[self.entries["mail"].to_numpy()]
        deliveries = _with(entries, self.deliveries["entry"], None)
        events = {name: np.zeros(len(table), np.bool_) for name, table in self.tables.items()}
        for frame, column, name in (
            (self.entries[entries], "client_row", "clients"),
            (self.deliveries[deliveries], "store_row", "stores"),
        ):
            rows = frame[column].to_numpy()
            events[name][rows[rows >= 0]] = True
        return self.part(entries, events)


def joined(windows: Sequence[Window]) -> Window:
    """Put windows of one log together: the whole log, if they are all."""
    if len(windows) == 1:
        return windows[0]
    start: dict[str, list[int]] = {}
    sizes = [
        {
            **{name: len(table) for name, table in each.tables.items()},
            **{name: len(getattr(each, name)) for name in JOINED},
        }
        for each in windows
    ]
    for name in sizes[0]:
        start[name] = [0, *np.cumsum([size[name] for size in sizes]).tolist()]
    frames = {}
    for name in JOINED:
        parts = []
        for number, each in enumerate(windows):
            frame: pd.DataFrame = getattr(each, name).copy()
            for table, column, to in POINTERS:
                if table == name:
                    rows = frame[column].to_numpy()
                    frame[column] = np.where(rows >= 0, rows + start[to][number], rows)
            parts.append(frame)
        frames[name] = _stacked(parts)
    tables = {name: concatenated([each.tables[name] for each in windows], name) for name in windows[0].tables}
    domains = frozenset().union(*(each.correlated.local_domains for each in windows))
    facts = windows[0].facts
    for each in windows[1:]:
        facts |= each.facts
    return Window(windows[0].log, Correlated(**frames, local_domains=domains), tables, facts)


def _stacked(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put frames one below the other; a column with categories keeps a common set of them."""
    filled = [part for part in parts if len(part)] or list(parts[:1])
    whole = pd.concat(filled, ignore_index=True)
    for name in filled[0].columns:
        if all(isinstance(part[name].dtype, pd.CategoricalDtype) for part in filled):
            whole[name] = whole[name].astype("category")
    return whole


def _with(entries: Bools, entry: pd.Series, free: Bools | None) -> Bools:
    """Return the rows that belong to some entries, and the rows of none that are among ``free``."""
    at = entry.to_numpy()
    other = np.zeros(len(at), np.bool_) if free is None or len(free) != len(at) else free
    out: Bools = np.where(at >= 0, np.append(entries, False)[at], other)
    return out


def _places(mask: Bools) -> Ints:
    """Return, per row (and one more, for none), its place among those kept; -1 for the others."""
    out = np.full(len(mask) + 1, -1, np.int64)
    out[:-1][mask] = np.arange(np.count_nonzero(mask))
    return out


def windows_of(window: Window, of_group: Any) -> list[Window]:
    """Split a window into several, in order: a way for tests to see that looks may be cut anywhere.

    ``of_group(first)`` gets the UTC ns at which each group of mails that belong together began, and each row without a mail
    was written; it returns the number of the window (int64, from 0) for each.
    """
    from logscan.correlate.links import beginnings
    from logscan.correlate.lives import find_lives

    entries, deliveries = window.entries, window.deliveries
    parent = entries["parent"].to_numpy()
    top = beginnings(np.where(parent >= 0, parent, np.arange(len(entries))))
    number = np.asarray(of_group(_ns(entries["first"])), np.int64)[top]
    lives = find_lives(window.tables, frozenset())
    of_rows: dict[str, Ints] = {}
    for name, table in window.tables.items():
        entry = lives.entry.get(name, np.full(len(table), -1, np.int64))
        own = np.asarray(of_group(table.column("time").to_numpy()), np.int64)
        of_rows[name] = np.where(entry >= 0, np.append(number, -1)[entry], own)
    for frame, column, name, entry in (
        (entries, "client_row", "clients", np.arange(len(entries))),
        (deliveries, "store_row", "stores", deliveries["entry"].to_numpy()),
    ):
        rows = frame[column].to_numpy()
        known = (rows >= 0) & (entry >= 0)
        of_rows[name][rows[known]] = number[entry[known]]
    judged = np.asarray(of_group(_ns(window.verdicts["time"])), np.int64)
    last = max([0, *(int(rows.max(initial=0)) for rows in (*of_rows.values(), number, judged))])
    return [
        window.part(number == at, {name: rows == at for name, rows in of_rows.items()}, judged == at)
        for at in range(last + 1)
    ]


def _ns(times: pd.Series) -> Ints:
    out: Ints = times.dt.as_unit("ns").astype("int64").to_numpy()
    return out
