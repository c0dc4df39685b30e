"""The daily run: what is new since the last one, joined to what was open then, looked at, and made ready to be remembered.

Nothing is remembered before :meth:`logscan.store.state.State.commit`; what is written by then counts only if that is reached.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from logscan.checking.remembering import pasts_of, remembered
from logscan.correlate.build import completed
from logscan.pipeline.continuing import SECOND, NewLines
from logscan.pipeline.memory import give_back
from logscan.pipeline.opening import Opened
from logscan.pipeline.pieces import Looking
from logscan.scan.options import Options
from logscan.sources.finding import order
from logscan.sources.losses import Loss
from logscan.store.carried import NAMES, REST, Carried, from_blobs, to_blobs
from logscan.store.cursors import Continuation, continued
from logscan.store.model import Cursor, Partition
from logscan.store.partitions import NUMBERED, PartitionWriter

if TYPE_CHECKING:
    from logscan.reading.survey import Progress
    from logscan.report.anonymise import Anonymiser
    from logscan.report.model import Report
    from logscan.scan.log import Log
    from logscan.store.state import State

PASTS = "pasts"
"""The blob of what checks remember."""

FORGOTTEN = "{what} of the last run can't be used, and is left out: {why}"


@dataclass
class Made:
    """A report of a run, and the time of its lines (UTC ns; None where there was no new one)."""

    report: Report
    since: int | None
    until: int | None
    last: bool = True
    """Whether it is the last one of this run."""


@dataclass
class Daily:
    """One run; :meth:`reports` gives its reports, the other methods what is to be remembered of it once they are made."""

    state: State
    sources: Sequence[str | Path] = ()
    config: Sequence[str | Path] = ()
    dspam_home: str | Path | None = None
    options: Options = field(default_factory=Options)
    jobs: int | None = None
    year: int | None = None
    timezone: str | None = None
    ran: int | None = None
    """When the run before ended, UTC ns by this host's clock."""
    progress: Progress | None = None
    window: int | None = None
    checks: Sequence[str] = ()
    skip: Sequence[str] = ()
    anonymise: bool = False
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.opened = Opened(self.sources, self.config, self.dspam_home, self.options, None)
        self.continuation: Continuation = continued(self.opened.logs, self.state.cursors())
        self.opened.logs = order(self.continuation.sources)
        self.notes += self.continuation.notes
        self._writer: PartitionWriter | None = None
        self._unwritten: OSError | None = None
        """Why tables couldn't be written: the report is made all the same, and nothing is remembered of the run."""
        self._pasts = self._known_pasts()
        self._kept = b""
        self.cursors: list[Cursor] = []
        """Where the logs are left off, once the last report is made."""
        self.lines: NewLines | None = None
        self.names: Anonymiser | None = None
        """Learns the names that are to be replaced in what is shown; the state keeps them as they are."""

    @property
    def losses(self) -> list[Loss]:
        """Lines that were written and never read."""
        return self.continuation.losses

    @property
    def log(self) -> Log:
        """What is known of the log."""
        assert self.lines is not None
        return self.lines.log

    def reports(self, *, by_day: bool = False, now: datetime | None = None) -> Iterator[Made]:
        """Yield the report on all new lines; ``by_day``, one for each day of them. There always is one."""
        self.lines = lines = NewLines(
            self.opened,
            self._carried(),
            jobs=self.jobs,
            year=self.year,
            timezone=self.timezone,
            ran=self.ran,
            progress=self.progress,
            window=self.window,
        )
        lines.log.pasts = self._pasts
        if self.anonymise:
            from logscan.report.anonymise import Anonymiser

            self.names = Anonymiser(lines.log)
        if self.state.folder is not None:
            self._writer = PartitionWriter(self.state.folder, lines.log.zone or UTC, lines.before.before)
        day = looking = None
        for each, tables in lines.pieces(by_day=by_day):
            if looking is not None and each != day:
                yield self._made(looking, now, last=False)
                looking = None
            looking, day = looking or self._looking(), each
            self._look(looking, tables)
            del tables
            give_back()
        if looking is None:
            looking = self._looking()
            self._look(looking, completed({}))
        yield self._made(looking, now)

    def blobs(self) -> dict[str, bytes]:
        """Return what is carried to the next run."""
        assert self.lines is not None
        before = self._writer.before if self._writer is not None else self.lines.before.before
        return to_blobs(self.lines.carry(before)) | {PASTS: self._kept}

    def partitions(self) -> list[Partition]:
        """Make the tables' files last; raises OSError."""
        if self._unwritten is not None:
            raise self._unwritten
        return self._writer.finish() if self._writer is not None else []

    def kept(self) -> None:
        """Hear that the run is remembered: from here on :meth:`abandon` takes nothing away."""
        self._writer = None

    def abandon(self) -> None:
        """Take away what was written, where it isn't to be remembered."""
        if self._writer is not None:
            self._writer.abandon()

    def _looking(self) -> Looking:
        return Looking(self.log, checks=self.checks, skip=self.skip)

    def _look(self, looking: Looking, tables: dict[str, pa.Table]) -> None:
        assert self.lines is not None
        window = self.lines.feed(tables)
        looking.add(window, self.lines.frontier, self.lines.crew)
        if self._writer is not None and self._unwritten is None:
            try:
                self._writer.add(window)
            except OSError as error:
                # Arrow's words don't say where.
                self._unwritten = OSError(error.errno, os.strerror(error.errno or 0), str(self._writer.folder))
                self._writer.abandon()
        if self.names is not None:
            self.names.learn(window)

    def _made(self, looking: Looking, now: datetime | None, *, last: bool = True) -> Made:
        lines = self.lines
        assert lines is not None
        lines.settle()
        if last:
            self.cursors = self.continuation.after(lines.log.read.sources[: len(self.opened.logs)])
            lines.log.losses = self.losses
        lines.log.notes[:] = [*self.state.notes, *self.notes, *lines.log.notes]
        closed = looking.of_closed()
        self._kept = remembered(looking.checks, closed, self._pasts, lines.now)
        window = lines.open_now()
        looking.add_open(window)
        if self.names is not None:
            self.names.learn(window)
        report = looking.conclude(now)
        zone = lines.log.zone or UTC
        first, until = (_moment(each, zone) for each in (lines.first, lines.last))
        report.period = replace(report.period, first=first, last=until)
        made = Made(report, lines.first, lines.last, last)
        lines.first = lines.last = None
        self._pasts = lines.log.pasts = pasts_of(self._kept)
        return made

    def _carried(self) -> Carried:
        blobs = {name: blob for name in NAMES if (blob := self.state.blob(name)) is not None}
        if REST in blobs:
            try:
                return from_blobs(blobs)
            except ValueError as error:
                self.notes.append(FORGOTTEN.format(what="The open mails", why=error))
        # Rows' numbers go on behind any that can have been written by then: there were fewer than a row a microsecond.
        return Carried(before=dict.fromkeys(NUMBERED, self.ran // 1000) if self.ran is not None else {})

    def _known_pasts(self) -> Any:
        blob = self.state.blob(PASTS)
        if blob is None:
            return {}
        try:
            return pasts_of(blob)
        except ValueError as error:
            self.notes.append(FORGOTTEN.format(what="What checks remember", why=error))
            return {}


def _moment(ns: int | None, zone: Any) -> datetime | None:
    return None if ns is None else datetime.fromtimestamp(ns // SECOND, UTC).astimezone(zone)
