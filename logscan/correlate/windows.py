"""Correlates a log window by window: open mails are carried over as plain event tables, closed ones are handed on.

What a window holds is correlated together with what was carried into it. A mail is closed when each of its lives was
removed (or never queued) and its last line lies :data:`SETTLE` before the window's end: nothing that can still come
belongs to it. So memory follows the open mails, not the log, and the pieces put together are what one go gives.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.build import Correlated, Known, completed, correlate
from logscan.correlate.codes import Bools, Ints, factorise, plain
from logscan.correlate.links import beginnings
from logscan.correlate.lives import RANKS, find_lives
from logscan.tables.schema import EVENTS
from logscan.tables.texts import literal

SETTLE = 3600 * 10**9
"""Nanoseconds after a mail's last line before it counts as closed: bounces, re-injections and late lines come sooner."""

KEEP = ("stores", "verdicts", "sessions", "rejects")
"""Tables without a life of their own that joins need: kept for as long as an open mail may ask for them."""


@dataclass
class Closed:
    """What one window handed on: the joined tables of its closed mails, numbered on from the windows before."""

    entries: pd.DataFrame
    deliveries: pd.DataFrame
    legs: pd.DataFrame
    mails: pd.DataFrame


class Windows:
    """Feeds event tables in order of time; see :meth:`feed` and :meth:`finish`."""

    def __init__(self, known: Known | None = None) -> None:
        known = known or Known()
        # Domains that windows teach are never all.
        self.known = replace(known, whole=known.whole and bool(known.local_domains))
        self.carried: dict[str, pa.Table] = {}
        self.entries = 0
        self.mails = 0
        self.deliveries = 0
        self.lives: dict[tuple[str, str, str], list[int]] = {}
        """When the lives of each queue ID that were handed on began, UTC ns, in order."""

    @property
    def open_rows(self) -> int:
        """How many event rows are carried: what memory follows."""
        return sum(len(table) for table in self.carried.values())

    def feed(self, tables: dict[str, pa.Table]) -> Closed:
        """Take the next window's event tables; returns the mails that are closed by now."""
        whole = self._joined(tables)
        low = _end(whole) - SETTLE
        return self._pass(whole, low)

    def finish(self) -> Closed:
        """Return all mails that are left, those still open at the log's end among them."""
        return self._pass(self._joined({}), None)

    def _joined(self, tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
        fresh = completed(tables)
        if not self.carried:
            return fresh
        both = {}
        for name, table in fresh.items():
            parts = [_plain_table(part) for part in (self.carried[name], table) if len(part)]
            both[name] = pa.concat_tables(parts, promote_options="permissive") if parts else table
        return both

    def _pass(self, whole: dict[str, pa.Table], low: int | None) -> Closed:
        self.known = replace(self.known, instances=self.known.instances | _instances(whole))
        found = correlate(whole, self.known)
        self._learn(found)
        closed = _closed(found, low)
        self.carried = _left(whole, self.known, found, closed, low) if low is not None else {}
        return self._hand_on(found, closed)

    def _learn(self, found: Correlated) -> None:
        """Remember which relays are filters and which domains are ours: a later window may hold too little to tell."""
        hops = found.deliveries[found.deliveries["hop"]]
        seen = {f"^{literal(relay)}$" for relay in hops["relay"].dropna().astype("str").unique()}
        legs = found.legs[found.legs["kind"] == "filter"]
        by_leg = found.deliveries["relay"].astype("object").reindex(legs.loc[legs["delivery"] >= 0, "delivery"])
        filters = {f"^{literal(str(relay))}$" for relay in by_leg.dropna().unique()} & seen
        domains = self.known.local_domains | found.local_domains
        self.known = replace(
            self.known, filters=tuple(dict.fromkeys((*self.known.filters, *sorted(filters)))), local_domains=domains
        )

    def _hand_on(self, found: Correlated, closed: Bools) -> Closed:
        """Cut the closed mails out and number them on."""
        rows = np.flatnonzero(closed)
        place = np.full(len(closed) + 1, -1, np.int64)
        place[rows] = np.arange(len(rows)) + self.entries
        entries = found.entries.iloc[rows].copy()
        deliveries = found.deliveries[closed[found.deliveries["entry"].to_numpy()]].copy()
        row_place = np.full(len(found.deliveries) + 1, -1, np.int64)
        row_place[deliveries.index] = np.arange(len(deliveries)) + self.deliveries
        mails = found.mails[closed[found.mails["entry"].to_numpy()]].copy()
        mail_place = np.full(len(found.mails) + 1, -1, np.int64)
        mail_place[mails.index] = np.arange(len(mails)) + self.mails
        legs = found.legs[closed[found.legs["child"].to_numpy()]].copy()
        for frame, column, to in (
            (entries, "root", place), (entries, "parent", place), (entries, "mail", mail_place),
            (deliveries, "entry", place), (deliveries, "mail", mail_place), (mails, "entry", place),
            (legs, "parent", place), (legs, "child", place), (legs, "delivery", row_place),
        ):  # fmt: skip
            frame[column] = to[frame[column].to_numpy()]
        entries["life"] = self._numbered(entries)
        for frame, start in ((entries, self.entries), (deliveries, self.deliveries), (mails, self.mails), (legs, 0)):
            frame.index = pd.RangeIndex(start, start + len(frame))
        self.entries += len(entries)
        self.deliveries += len(deliveries)
        self.mails += len(mails)
        return Closed(entries, deliveries, legs, mails)

    def _numbered(self, entries: pd.DataFrame) -> Ints:
        """Count a queue ID's lives on: those handed on before that began earlier, then those of this window."""
        out: Ints = entries["life"].to_numpy().copy()
        began = entries["first"].dt.as_unit("ns").astype("int64").tolist()
        keys = list(
            zip(entries["host"].astype("str"), entries["instance"].astype("str"), entries["queue_id"], strict=True)
        )
        for position, (key, first) in enumerate(zip(keys, began, strict=True)):
            out[position] += bisect_left(self.lives.get(key, ()), first)
        for key, first in zip(keys, began, strict=True):
            insort(self.lives.setdefault(key, []), first)
        return out


def correlated_windows(parts: Iterable[dict[str, pa.Table]], known: Known | None = None) -> Iterator[Closed]:
    """Correlate event tables window by window (in order of time); yields what each window closes, then what is left."""
    windows = Windows(known)
    for part in parts:
        yield windows.feed(part)
    yield windows.finish()


def joined(pieces: Iterable[Closed]) -> Closed:
    """Put pieces together."""
    every = list(pieces)
    frames = {
        name: pd.concat([getattr(piece, name) for piece in every], ignore_index=name == "legs")
        for name in ("entries", "deliveries", "legs", "mails")
    }
    return Closed(**frames)


def split_by_time(tables: dict[str, pa.Table], edges: Iterable[int]) -> Iterator[dict[str, pa.Table]]:
    """Cut event tables at UTC times (ns) into windows, in order of time."""
    low = np.iinfo(np.int64).min
    for high in (*sorted(edges), np.iinfo(np.int64).max):
        out = {}
        for name, table in tables.items():
            time = table.column("time").to_numpy()
            out[name] = table.filter(pa.array((time >= low) & (time < high)))
        yield out
        low = high


# --- what is closed, what is left ----------------------------------------------------------------------------------


def _instances(tables: dict[str, pa.Table]) -> frozenset[tuple[str, str]]:
    """Return (host, instance) of the lines that only a queue's own cleanup and qmgr write."""
    found: set[tuple[str, str]] = set()
    for name in ("message_ids", "queued"):
        pairs = tables[name].select(["host", "instance"]).group_by(["host", "instance"]).aggregate([]).to_pylist()
        found.update((str(each["host"]), str(each["instance"])) for each in pairs)
    return frozenset(found)


def _end(tables: dict[str, pa.Table]) -> int:
    ends = [pc.max(table.column("time")).as_py() for table in tables.values() if len(table)]
    return int(max((end for end in ends if end is not None), default=np.iinfo(np.int64).min))


def _closed(found: Correlated, low: int | None) -> Bools:
    """Return, per entry (and one more, False), whether its whole mail is closed."""
    entries = found.entries
    out = np.zeros(len(entries) + 1, np.bool_)
    if low is None:
        out[:-1] = True
        return out
    last = entries["last"].dt.as_unit("ns").astype("int64").to_numpy()
    # A requeued life never gets its `removed`: the mail goes on under the new queue ID.
    waiting = (entries["ending"] == "queued") & entries["queued"] | (entries["ending"] == "held")
    done = ~waiting.to_numpy() & (last < low)
    # A notification belongs to a mail of its own, but is found through the mail it is about: both go together.
    parent = entries["parent"].to_numpy()
    group = beginnings(np.where(parent >= 0, parent, np.arange(len(entries))))
    open_groups = np.unique(group[~done])
    out[:-1] = ~np.isin(group, open_groups)
    return out


def _left(whole: dict[str, pa.Table], known: Known, found: Correlated, closed: Bools, low: int) -> dict[str, pa.Table]:
    """Return the event rows that later windows need."""
    lives = find_lives(whole, known.instances)
    left: dict[str, pa.Table] = {}
    still = ~closed[:-1]
    first = found.entries["first"].dt.as_unit("ns").astype("int64").to_numpy()[still]
    since = min(low, int(first.min()) - SETTLE) if len(first) else low
    for name in EVENTS:
        table = whole[name]
        time = table.column("time").to_numpy()
        entry = lives.entry.get(name)
        if name in RANKS and entry is not None:
            keep = np.where(entry >= 0, ~closed[entry], time >= low)
        elif name in KEEP:
            keep = (time >= since) & ~_used(table, name, found, closed)
        else:
            keep = np.zeros(len(table), np.bool_)
        left[name] = table.filter(pa.array(keep))
    return left


def _used(table: pa.Table, name: str, found: Correlated, closed: Bools) -> Bools:
    """Return the rows that a closed mail was joined with: they are nobody else's."""
    gone = found.deliveries[closed[found.deliveries["entry"].to_numpy()]]
    if name == "stores":
        sessions = pa.array(gone["session"].dropna().astype("object").tolist(), pa.string())
        (mine, theirs), _ = factorise([plain(table.column("session")), sessions])
        return (mine >= 0) & np.isin(mine, theirs)
    return np.zeros(len(table), np.bool_)


def _plain_table(table: pa.Table) -> pa.Table:
    """Return the table with dictionaries decoded, so that windows with other values can be joined."""
    columns = {
        name: plain(column) if pa.types.is_dictionary(column.type) else column
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return pa.table(columns)
