"""From sources to a report: read → correlate → check → report. The one module that knows every stage."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logscan.pipeline.configuration import configuration, foreign, unknown_texts
from logscan.pipeline.known import known_of
from logscan.pipeline.narrowing import aliased, between, zone_of
from logscan.report.model import Report
from logscan.scan.options import Options

if TYPE_CHECKING:
    from logscan.reading.whole import Progress
    from logscan.rendering.renderers import Rendered
    from logscan.scan.scan import Scan
    from logscan.sources.source import ConfigFile, Source


def _warm() -> None:
    """Import what the next stages need, while worker processes parse."""
    import logscan.checking.check
    import logscan.correlate
    import logscan.report.building

    logscan.checking.check.all_checks()


def read(
    *sources: str | Path,
    config: Sequence[str | Path] = (),
    dspam_home: str | Path | None = None,
    year: int | None = None,
    timezone: str | None = None,
    jobs: int | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
    stdin: Any = None,
) -> Scan:
    """Read and correlate logs; returns a :class:`logscan.scan.scan.Scan`.

    ``sources`` are what the command line takes (files, folders, globs, ``-``, ``journal:``); with none, this host's own
    mail log. Files that can't be read are named in ``scan.errors``; nothing is raised for what a log holds.
    """
    from logscan.reading.whole import read_sources
    from logscan.sources.finding import discover, order
    from logscan.sources.spool import spooled

    spool = spooled(stdin) if stdin is not None else None
    found = discover([spool.name if spool and str(source) == "-" else str(source) for source in sources])
    if spool:
        kept: list[Source | ConfigFile] = [*found.sources, *found.configs]
        for each in kept:
            if each.path == spool.name:
                each.path, each.label = "-", "stdin"
        found.errors = [("standard input" if path == spool.name else path, why) for path, why in found.errors]
        found.passed_over = [
            each._replace(label="standard input") if each.path == spool.name else each for each in found.passed_over
        ]
    logs = order(found.sources)
    got = read_sources(logs, jobs=jobs, year=year, timezone=timezone, progress=progress, meanwhile=_warm)
    from logscan.correlate import correlate
    from logscan.correlate.build import completed
    from logscan.pipeline import queues
    from logscan.scan.facts import facts_of
    from logscan.scan.log import Log
    from logscan.scan.scan import Scan

    options = options or Options()
    listings = queues.queues(found)
    settings, inventory, notes = configuration(found, config, dspam_home, options)
    tables = between(aliased(completed(got.tables), options), options, zone_of(got.solution.zone))
    known = known_of(settings, options, listings)
    log = Log(
        got,
        settings,
        inventory,
        options,
        notes,
        named=bool(sources),
        modes=found.modes,
        zone=zone_of(got.solution.zone),
    )
    scan = Scan(log, correlate(tables, known), tables)
    log.facts = scan.facts = facts_of(scan)
    if spool:
        log.spool = spool
        weakref.finalize(log, spool.close)
    log.errors += [*found.errors, *((read.source.path, read.error) for read in got.sources if read.error)]
    log.errors += foreign(sources, found, settings)
    log.notes += [*map(str, found.passed_over), *unknown_texts(sources, found, settings), *got.solution.notes]
    log.notes += queues.notes(listings, scan)
    for one in got.sources:
        if one.copies:
            log.notes.append(
                f"{one.label}: {one.copies} of {one.lines} lines stand in another file too and are read once"
            )
    return scan


def analyse(
    scan: Scan,
    *,
    checks: Sequence[str] = (),
    skip: Sequence[str] = (),
    now: datetime | None = None,
) -> Report:
    """Run the checks (all, or those named, without those in ``skip``) and return the :class:`Report`."""
    from logscan.pipeline.pieces import Looking

    looking = Looking(scan.log, checks=checks, skip=skip)
    looking.add(scan)
    return looking.conclude(now)


def render(report: Report, name: str, **options: Any) -> Rendered:
    """Return the report as ``html``, ``text``, ``json`` ...; see :func:`logscan.rendering.renderers.render`."""
    from logscan.rendering.renderers import render as rendered

    return rendered(report, name, **options)


__all__ = ["analyse", "read", "render"]
