"""Correlates a log window by window: what is open is carried over as plain event tables, what is closed is handed on.

What a window holds is correlated together with what was carried into it; :mod:`logscan.correlate.closing` says what is over.
So memory follows the open mails and the lines of the last minutes, not the log, and the pieces put together are what one go
gives, whatever the cuts. What is learnt from a log as a whole is fixed by a :func:`survey` before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.build import completed, correlate, joined_up
from logscan.correlate.closing import gone
from logscan.correlate.events import Events
from logscan.correlate.known import NEVER, Known
from logscan.correlate.learnt import Learnt
from logscan.correlate.pieces import Piece, cut, joined
from logscan.correlate.rows import chosen, put_together
from logscan.tables.schema import EVENTS

NO_TIME = np.iinfo(np.int64).min

DAY = 86_400 * 10**9


@dataclass
class Open:
    """What is carried from window to window: event rows of open mails, and those somebody may still claim.

    Plain tables and numbers, so that it can be stored and taken up later.
    """

    tables: dict[str, pa.Table] = field(default_factory=dict)
    now: int = NO_TIME
    """The latest line that was fed, UTC ns."""
    last: int = NO_TIME
    """The latest line of a mail that was fed, UTC ns."""

    @property
    def rows(self) -> int:
        """How many event rows are carried: what memory follows."""
        return sum(len(table) for table in self.tables.values())

    @property
    def frontier(self) -> int:
        """UTC ns before which no row that is still to come was written: the oldest line that is carried, less a day.

        A clock that was set back may give later lines earlier stamps.
        """
        first = [pc.min(table.column("time")).as_py() for table in self.tables.values() if len(table)]
        known = [each for each in first if each is not None and each > NO_TIME]
        return int(min([*known, self.now])) - DAY


class Windows:
    """Correlates event tables that come in order of time; see :meth:`feed` and :meth:`finish`."""

    def __init__(self, known: Known | None = None, open_: Open | None = None) -> None:
        """``known`` may hold what a :func:`survey` fixed, else the first window is one; ``open_`` is taken up from before."""
        self.known = replace(known or Known(), end=NEVER)
        self.open = open_ or Open()

    @property
    def open_rows(self) -> int:
        """How many event rows are carried."""
        return self.open.rows

    def feed(self, tables: dict[str, pa.Table]) -> Piece:
        """Take the next window's event tables, as :func:`logscan.correlate.build.completed` has them; returns what is closed.

        No line is earlier than those of the windows before; within the window they come in any order.
        """
        now = max(self.open.now, _latest(tables))
        events = Events(put_together([self.open.tables, completed(tables)]))
        del tables  # with most of its memory, where the caller has let go of it
        piece, self.open, learnt = _pass(events, self.open, self.known, now)
        self.known = replace(self.known, learnt=learnt)
        return piece

    def finish(self) -> Piece:
        """Return all that is left, mails still open at the log's end among them."""
        piece = self.provisional()
        self.open = Open(now=self.open.now, last=self.open.last)
        return piece

    def provisional(self) -> Piece:
        """Return what is open, as if the log ended here; changes nothing."""
        known = replace(self.known, end=None if self.open.last == NO_TIME else self.open.last)
        return _pass(Events(put_together([self.open.tables, completed({})])), self.open, known, None)[0]


def _pass(events: Events, before: Open, known: Known, now: int | None) -> tuple[Piece, Open, Learnt]:
    """Correlate what is at hand, and part it into what is closed at ``now`` and what stays open; leaves ``events`` empty."""
    found = joined_up(events, known)
    lives, learnt = found.facts.lives, found.learnt
    parted = gone(events, found.entries["ending"].codes, found.facts, found.of_legs, now)
    last = int(lives.last.max(initial=before.last))
    correlated = cut(found, events["verdicts"], parted)
    # Table by table, so that none is there twice for long.
    del found, lives
    events.forget()
    tables, left = {}, {}
    for name in EVENTS:
        table, rows = events.pop(name), parted.rows[name]
        tables[name] = chosen(table, rows)
        if now is not None:
            left[name] = chosen(table, ~rows, compact=True)
        del table
    return Piece(correlated, tables), before if now is None else Open(left, now, last), learnt


def survey(tables: dict[str, pa.Table], known: Known) -> Known:
    """Learn from a sample of a log (or all of it) what holds for the whole; see :class:`logscan.correlate.learnt.Learnt`."""
    return replace(known, learnt=correlate(completed(tables), replace(known, learnt=None)).learnt)


def correlated_windows(parts: Iterable[dict[str, pa.Table]], known: Known | None = None) -> Iterator[Piece]:
    """Correlate event tables window by window (in order of time); yields what each window closes, then what is left."""
    windows = Windows(known)
    for part in parts:
        yield windows.feed(part)
    yield windows.finish()


def split_by_time(tables: dict[str, pa.Table], edges: Iterable[int]) -> Iterator[dict[str, pa.Table]]:
    """Cut event tables at UTC times (ns) into windows, in order of time."""
    low = NO_TIME
    for high in (*sorted(edges), np.iinfo(np.int64).max):
        out = {}
        for name, table in tables.items():
            time = table.column("time").to_numpy()
            out[name] = table.filter(pa.array((time >= low) & (time < high)))
        yield out
        low = high


def _latest(tables: dict[str, pa.Table]) -> int:
    ends = [pc.max(table.column("time")).as_py() for table in tables.values() if len(table)]
    return int(max((end for end in ends if end is not None), default=NO_TIME))


__all__ = ["Open", "Piece", "Windows", "correlated_windows", "joined", "split_by_time", "survey"]
