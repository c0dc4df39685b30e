"""What was named, found and opened: the sources with their configuration, ready to be read whole or as a stream."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logscan.matching import walking
from logscan.pipeline import queues
from logscan.pipeline.configuration import configuration, foreign, unknown_texts
from logscan.pipeline.known import known_of
from logscan.pipeline.narrowing import aliased, between, zone_of
from logscan.scan.log import Log
from logscan.scan.options import Options
from logscan.sources.finding import Discovery, discover, order
from logscan.sources.spool import spooled

if TYPE_CHECKING:
    import pyarrow as pa

    from logscan.reading.reads import Read
    from logscan.reading.survey import Progress
    from logscan.scan.scan import Scan
    from logscan.sources.source import ConfigFile, Source


class Opened:
    """Sources and configuration, as they were found."""

    def __init__(
        self,
        sources: Sequence[str | Path],
        config: Sequence[str | Path],
        dspam_home: str | Path | None,
        options: Options,
        stdin: Any,
        *,
        logs: bool = True,
    ) -> None:
        self.logless = not logs
        """Whether no log is to be read: the configuration alone speaks."""
        self.configured = bool(config)
        self.named = [str(source) for source in sources]
        self.options = options
        self.spool = spooled(stdin) if stdin is not None else None
        self.found = self._found()
        self.logs = order(self.found.sources)
        self.listings = queues.queues(self.found)
        self.waiting: set[str] = set()
        """Queue IDs that a listing has too."""
        mine = not (self.named or self.configured or self.logless)
        self.settings, self.inventory, self.notes = configuration(self.found, config, dspam_home, options, own=mine)
        self.known = known_of(self.settings, options, self.listings)

    def _found(self) -> Discovery:
        spool = self.spool
        if self.logless:
            return Discovery()
        found = discover([spool.name if spool and source == "-" else source for source in self.named])
        if spool:
            kept: list[Source | ConfigFile] = [*found.sources, *found.configs]
            for each in kept:
                if each.path == spool.name:
                    each.path, each.label = "-", "stdin"
            found.errors = [("standard input" if path == spool.name else path, why) for path, why in found.errors]
            found.passed_over = [
                each._replace(label="standard input") if each.path == spool.name else each for each in found.passed_over
            ]
        return found

    def log(self, read: Read) -> Log:
        """Return what is known of the log when ``read`` is all that is known of its lines."""
        log = Log(
            read,
            self.settings,
            self.inventory,
            self.options,
            named=bool(self.named),
            configured=self.configured,
            modes=self.found.modes,
            zone=zone_of(read.solution.zone),
        )
        if self.spool:
            log.spool = self.spool
            weakref.finalize(log, self.spool.close)
        return log

    def settle(self, log: Log, read: Read) -> None:
        """Set what is known of the log once all is read: counts, errors, notes."""
        log.read = read
        log.errors[:] = [*self.found.errors, *((each.source.path, each.error) for each in read.sources if each.error)]
        log.errors += foreign(self.named, self.found, self.settings)
        log.notes[:] = [*self.notes, *map(str, self.found.passed_over)]
        log.notes += [*unknown_texts(self.named, self.found, self.settings), *read.solution.notes, *read.notes]
        if not walking.AVAILABLE:
            log.notes.append(f"lines are read line by line, several times slower: {walking.WHY_NOT}")
        log.notes += queues.notes(self.listings, self.waiting)
        log.notes += [
            f"{each.label}: {each.copies} of {each.lines} lines stand in another file too and are read once"
            for each in read.sources
            if each.copies
        ]

    def narrowed(self, tables: dict[str, pa.Table], log: Log) -> dict[str, pa.Table]:
        """Return the event tables as they are to be joined: one for each name, hosts renamed, between the times asked for."""
        from logscan.correlate.build import completed

        narrowed = between(aliased(completed(tables), self.options), self.options, log.zone)
        log.rows += sum(map(len, narrowed.values()))
        return narrowed

    def scan(self, *, jobs: int | None, year: int | None, timezone: str | None, progress: Progress | None) -> Scan:
        """Read all, and join it in one go."""
        from logscan.correlate.build import correlate
        from logscan.reading.whole import read_sources
        from logscan.scan.facts import facts_of
        from logscan.scan.scan import Scan

        read = read_sources(self.logs, jobs=jobs, year=year, timezone=timezone, progress=progress, meanwhile=warm)
        log = self.log(read)
        tables = self.narrowed(read.tables, log)
        scan = Scan(log, correlate(tables, self.known), tables)
        log.facts = scan.facts = facts_of(scan)
        self.waiting |= queues.listed(scan)
        self.settle(log, read)
        return scan


def warm() -> None:
    """Import what the next stages need, while worker processes parse."""
    import logscan.checking.check
    import logscan.correlate
    import logscan.report.building

    logscan.checking.check.all_checks()
