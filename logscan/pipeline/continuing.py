"""The lines that are new since the last run, joined to the mails that were open then, day by day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from logscan.correlate.build import completed, correlate
from logscan.correlate.rows import put_together
from logscan.correlate.windows import DAY, NO_TIME, Windows
from logscan.pipeline.opening import Opened, warm
from logscan.reading.stream import WINDOW, stream_sources
from logscan.reading.survey import survey
from logscan.scan.facts import facts_of
from logscan.scan.window import Window
from logscan.store.carried import Carried, carried, united

if TYPE_CHECKING:
    from logscan.correlate.pieces import Piece
    from logscan.reading.survey import Progress
    from logscan.reading.workers import Crew

SECOND = 10**9

FAR = 200 * DAY
"""Between what was read last and what is read next, where runs were closer: the year was told wrongly."""


class NewLines:
    """The new lines of a log as pieces (:meth:`pieces`), each to be joined by :meth:`feed`; ``log`` tells the rest."""

    def __init__(
        self,
        opened: Opened,
        before: Carried,
        *,
        jobs: int | None = None,
        year: int | None = None,
        timezone: str | None = None,
        ran: int | None = None,
        progress: Progress | None = None,
        window: int | None = None,
    ) -> None:
        self.opened, self.before = opened, before
        if not opened.logs and timezone is None:
            timezone = before.zone or None
        surveyed = survey(opened.logs, jobs=jobs, year=year, timezone=timezone, progress=progress, meanwhile=warm)
        if year is None and (other := _other_year(surveyed.read.tables, before.open.now, ran)) is not None:
            surveyed = survey(opened.logs, jobs=jobs, year=other, timezone=timezone)
        self.log = opened.log(surveyed.read)
        self._pieces = stream_sources(
            opened.logs, surveyed, jobs=jobs, window=WINDOW if window is None else window, progress=progress
        )
        place = len(opened.logs)
        for reads in (surveyed.read.sources, self._pieces.ledger.reads):
            reads.extend(before.reads())
        open_ = before.placed(place)
        sample = put_together([open_.tables, opened.narrowed(surveyed.read.tables, self.log)])
        found = correlate(sample, opened.known)
        self.learnt = united(before.learnt, found.learnt)
        self.facts = self.log.facts = before.facts | facts_of(Window(self.log, found, sample))
        if not surveyed.whole:
            surveyed.read.tables.clear()
        del sample, found
        self.log.rows = 0
        self.windows = Windows(replace(opened.known, learnt=self.learnt), open_)
        self.first: int | None = None
        self.last: int | None = None
        """The first and the last line of each day's pieces so far, UTC ns."""

    def pieces(self, *, by_day: bool) -> Iterator[tuple[str, dict[str, pa.Table]]]:
        """Yield (day, event tables) in order; the day is the same for all, the last one's, unless ``by_day``."""
        end = NO_TIME
        """When the day ends that is being read."""
        day = ""
        for tables in self._pieces:
            narrowed = self.opened.narrowed(tables, self.log)
            tables.clear()
            if not by_day:
                yield "", narrowed
                continue
            while narrowed:
                if not day:
                    day, end = self._day(_earliest(narrowed, NO_TIME))
                now, narrowed = _split(narrowed, end)
                if now:
                    yield day, now
                if narrowed:
                    day, end = self._day(_earliest(narrowed, end - 1))

    def feed(self, tables: dict[str, pa.Table]) -> Window:
        """Join a piece to what is open, and return what is closed by it."""
        for table in tables.values():
            time = table.column("time").to_numpy()
            time = time[time > NO_TIME]
            if len(time):
                self.first = min(int(time.min()), self.first if self.first is not None else int(time.min()))
                self.last = max(int(time.max()), self.last if self.last is not None else int(time.max()))
        return self._window(self.windows.feed(tables))

    def open_now(self) -> Window:
        """Return what is open, as if the log ended here."""
        return self._window(self.windows.provisional())

    def settle(self) -> None:
        """Set what is known of the log by what was read so far: counts, errors, notes."""
        self.opened.settle(self.log, self._pieces.read)

    def carry(self, before: dict[str, int]) -> Carried:
        """Return what is to be handed to the next run; ``before`` counts the rows written by then."""
        moment = self.now
        name = self._day(moment)[0] if moment > NO_TIME else "before"
        zone = str(self.log.zone) if self.log.zone is not None else self.before.zone
        open_ = replace(self.windows.open, now=moment, last=min(self.windows.open.last, moment))
        return carried(open_, self._pieces.sources, self.learnt, self.facts, zone, before, name)

    @property
    def now(self) -> int:
        """The latest line, UTC ns; one that a clock wrote which was far ahead doesn't make all the later runs believe it."""
        return min(self.windows.open.now, time_ns())

    @property
    def frontier(self) -> int:
        """UTC ns before which no row of the windows still to come was written."""
        return self.windows.open.frontier

    @property
    def crew(self) -> Crew | None:
        """Those who read the log, and have time for other work; None where it is read already."""
        return self._pieces.crew

    def _window(self, piece: Piece) -> Window:
        window = Window(self.log, piece.correlated, piece.tables)
        window.facts = self.facts | facts_of(window)
        return window

    def _day(self, moment: int) -> tuple[str, int]:
        """Return the day of a moment (UTC ns) in the server's zone, and when it ends (UTC ns)."""
        zone = self.log.zone or UTC
        day = datetime.fromtimestamp(moment // SECOND, UTC).astimezone(zone).date()
        after = datetime.combine(day + timedelta(days=1), datetime.min.time(), zone)
        return day.isoformat(), int(after.timestamp()) * SECOND


def _other_year(tables: dict[str, pa.Table], before: int, ran: int | None) -> int | None:
    """Return the year of the last line, where stamps were taken to be of another year than what they go on from.

    What is new was written since the last run, which ended at ``ran`` and had read lines up to ``before`` (UTC ns).
    """
    times = [time[time > NO_TIME] for time in (table.column("time").to_numpy() for table in tables.values())]
    known = [time for time in times if len(time)]
    if not known or before == NO_TIME or ran is None or time_ns() - ran > FAR:
        return None
    first, last = (
        datetime.fromtimestamp(int(each) // SECOND, UTC) for each in (min(map(np.min, known)), max(map(np.max, known)))
    )
    then = datetime.fromtimestamp(before // SECOND, UTC)
    off = round((first - then).days / 365.25)
    return last.year - off if abs((first - then).days) > FAR // DAY else None


def _earliest(tables: dict[str, pa.Table], least: int) -> int:
    """Return the earliest time above ``least``."""
    found = [time[time > least] for time in (table.column("time").to_numpy() for table in tables.values())]
    return int(min((time.min() for time in found if len(time)), default=0))


def _split(tables: dict[str, pa.Table], end: int) -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
    """Return what was written before ``end`` (UTC ns), or has no time, and the rest; each empty where there is none."""
    masks = {name: table.column("time").to_numpy() < end for name, table in tables.items()}
    parts = []
    for wanted in (True, False):
        some = {name: table.filter(pa.array(masks[name] == wanted)) for name, table in tables.items()}
        parts.append(completed(some) if any(map(len, some.values())) else {})
    return parts[0], parts[1]


__all__ = ["NewLines"]
