"""A log as a stream of windows: surveyed first, then read, joined and handed on piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from logscan.correlate.build import correlate
from logscan.correlate.windows import Windows
from logscan.pipeline.opening import Opened, warm
from logscan.pipeline.queues import listed
from logscan.reading.stream import WINDOW, stream_sources
from logscan.reading.survey import survey
from logscan.scan.facts import facts_of
from logscan.scan.window import Window

if TYPE_CHECKING:
    from logscan.correlate.pieces import Piece
    from logscan.reading.survey import Progress
    from logscan.reading.workers import Crew


class Stream:
    """The windows of a log, to be iterated over once; ``log`` tells the rest, all of it once the last window was given."""

    def __init__(
        self,
        opened: Opened,
        *,
        jobs: int | None,
        year: int | None,
        timezone: str | None,
        progress: Progress | None,
        window: int | None,
    ) -> None:
        self.opened = opened
        surveyed = survey(opened.logs, jobs=jobs, year=year, timezone=timezone, progress=progress, meanwhile=warm)
        self.log = opened.log(surveyed.read)
        self._sample = opened.narrowed(surveyed.read.tables, self.log)
        found = correlate(self._sample, opened.known)
        self.log.facts = facts_of(Window(self.log, found, self._sample))
        size = WINDOW if window is None else window
        # What was read and joined whole for the survey isn't taken apart and joined again, unless somebody asked for windows.
        self._whole = found if surveyed.whole and (window is None or self.log.rows <= size) else None
        self._windows = Windows(replace(opened.known, learnt=found.learnt))
        if not surveyed.whole:
            # The sample has told what it is for, and is large.
            self._sample = {}
            surveyed.read.tables.clear()
        self._pieces = stream_sources(opened.logs, surveyed, jobs=jobs, window=size, progress=progress)

    def __iter__(self) -> Iterator[Window]:
        """Yield each window: the mails that are closed by then, with the lines of their time."""
        for window in self._windowed():
            self.opened.waiting |= listed(window)
            yield window
            # The next window is made when this one is gone: nobody holds two of them.
            del window
        self.opened.settle(self.log, self._pieces.read)

    def _windowed(self) -> Iterator[Window]:
        if self._whole is not None:
            yield Window(self.log, self._whole, self._sample)
        else:
            self.log.rows = 0
            # What is mapped isn't held meanwhile, as a variable of a loop is.
            yield from map(self._joined, self._pieces)
            yield self._window(self._windows.finish())

    def _joined(self, tables: dict[str, pa.Table]) -> Window:
        """Join the next event tables, which nobody else has; they are let go of as soon as they are put behind what was open."""
        narrowed = [self.opened.narrowed(tables, self.log)]
        tables.clear()
        return self._window(self._windows.feed(narrowed.pop()))

    @property
    def crew(self) -> Crew | None:
        """Those who read the log, and have time for other work; None where it is read already."""
        return self._pieces.crew

    @property
    def frontier(self) -> int:
        """UTC ns before which no row of the windows still to come was written."""
        return self._windows.open.frontier

    def _window(self, piece: Piece) -> Window:
        window = Window(self.log, piece.correlated, piece.tables)
        window.facts = self.log.facts | facts_of(window)
        return window
