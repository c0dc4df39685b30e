"""Reads sources whole: all event tables at once, for logs that fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from logscan.reading import working
from logscan.reading.merging import Merger
from logscan.reading.reads import Read
from logscan.reading.settling import settle
from logscan.reading.workers import crew
from logscan.reading.working import in_order, jobs_for, work
from logscan.sources.source import Source

Progress = Callable[[int, int, int], None]
"""Called with bytes parsed and lines so far, and the bytes there are in all (0 where packed files hide that)."""


def read_sources(
    sources: Sequence[Source],
    *,
    jobs: int | None = None,
    year: int | None = None,
    timezone: str | None = None,
    progress: Progress | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> Read:
    """Parse all sources; returns event tables by name with the columns of logscan.tables.schema (COMMON first).

    ``time`` is int64, UTC nanoseconds (:data:`logscan.clocks.wall.NEVER` where a line has none). ``meanwhile`` is
    called once while workers parse (not in one process): the place for imports that the caller needs next.
    """
    merger = Merger(sources)
    plain = all(source.size is not None and not source.compression for source in sources)
    total = sum(source.size or 0 for source in sources) if plain else 0
    done = 0
    workers = crew(work, jobs_for(sources, jobs))
    try:
        for task, worked in in_order(sources, workers, meanwhile):
            merger.add(task.number, task.span, worked, working.CHUNK)
            done += task.size
            if progress:
                progress(done, sum(read.lines for read in merger.ledger.reads), total)
    finally:
        workers.close()
    settle(merger.ledger)
    return merger.finish(year=year, timezone=timezone).read
