"""From sources to a report: read → correlate → look → conclude. The one module that knows every stage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logscan.report.model import Report
from logscan.scan.options import Options

if TYPE_CHECKING:
    from logscan.pipeline.streaming import Stream
    from logscan.reading.survey import Progress
    from logscan.rendering.renderers import Rendered
    from logscan.scan.scan import Scan


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
    """Read and correlate logs whole; returns a :class:`logscan.scan.scan.Scan`. For logs that fit in memory.

    ``sources`` are what the command line takes (files, folders, globs, ``-``, ``journal:``); with none, this host's own
    mail log. Files that can't be read are named in ``scan.errors``; nothing is raised for what a log holds.
    """
    from logscan.pipeline.opening import Opened

    opened = Opened(sources, config, dspam_home, options or Options(), stdin)
    return opened.scan(jobs=jobs, year=year, timezone=timezone, progress=progress)


def stream(
    *sources: str | Path,
    config: Sequence[str | Path] = (),
    dspam_home: str | Path | None = None,
    year: int | None = None,
    timezone: str | None = None,
    jobs: int | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
    stdin: Any = None,
    window: int | None = None,
) -> Stream:
    """Survey logs, and return a :class:`logscan.pipeline.streaming.Stream`: their windows, to be iterated over once.

    Takes what :func:`read` takes. A window has ``window`` event rows; where nothing is said, some 150,000, and a log that was
    surveyed whole (up to 40 MB) is one. Memory follows it and the mails that are open, not the log.
    """
    from logscan.pipeline.opening import Opened
    from logscan.pipeline.streaming import Stream

    opened = Opened(sources, config, dspam_home, options or Options(), stdin)
    return Stream(opened, jobs=jobs, year=year, timezone=timezone, progress=progress, window=window)


def audit(
    *config: str | Path,
    dspam_home: str | Path | None = None,
    options: Options | None = None,
    now: datetime | None = None,
) -> Report:
    """Return a report on the configuration alone: files and folders named; logs among them aren't read."""
    return analyse(unlogged(*config, dspam_home=dspam_home, options=options), now=now)


def unlogged(*config: str | Path, dspam_home: str | Path | None = None, options: Options | None = None) -> Scan:
    """Return the scan of no log, with the configuration that was named."""
    from logscan.pipeline.opening import Opened

    opened = Opened((), config, dspam_home, options or Options(), None, logs=False)
    return opened.scan(jobs=1, year=None, timezone=None, progress=None)


def analyse(
    scan: Scan | Stream,
    *,
    checks: Sequence[str] = (),
    skip: Sequence[str] = (),
    now: datetime | None = None,
) -> Report:
    """Run the checks (all, or those named, without those in ``skip``) and return the :class:`Report`.

    ``scan`` is a whole log, or the windows of one: the report is the same.
    """
    from logscan.pipeline.pieces import Looking
    from logscan.scan.scan import Scan

    looking = Looking(scan.log, checks=checks, skip=skip)
    if isinstance(scan, Scan):
        looking.add(scan)
    else:
        for window in scan:
            looking.add(window, scan.frontier, scan.crew)
            del window  # not held while the next one is made
    return looking.conclude(now)


def render(report: Report, name: str, **options: Any) -> Rendered:
    """Return the report as ``html``, ``text``, ``json`` ...; see :func:`logscan.rendering.renderers.render`."""
    from logscan.rendering.renderers import render as rendered

    return rendered(report, name, **options)


__all__ = ["analyse", "audit", "read", "render", "stream", "unlogged"]
