"""Fixes for all sources, before the first row is joined, what must not be learnt late: kinds, clocks, lanes, copies.

Where all sources together are small, the survey is the whole log. Else it is a sample: the ends of each source, stretches
and probes of it. What it comes to is a function of the content alone, not of chunks or workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from logscan.clocks.model import Solution
from logscan.reading import working
from logscan.reading.keeping import keep
from logscan.reading.lanes import Lane
from logscan.reading.merging import Merger
from logscan.reading.probing import Probed, probe
from logscan.reading.reads import Read
from logscan.reading.settling import settle
from logscan.reading.twins import pairs
from logscan.reading.workers import Lost, crew
from logscan.reading.working import Worked, in_order, jobs_for, work
from logscan.sources.source import Source

WHOLE = 40 << 20
"""Bytes of all sources together, unpacked, up to which the survey is the whole log."""

SAMPLE = 32 << 20
"""Bytes of all sources together that a sample is about, shared by the sources; a smaller source is looked at whole."""

MOST_OF_ONE, LEAST_OF_ONE = 8 << 20, 256 << 10

Progress = Callable[[int, int, int], None]
"""Called with bytes parsed and lines so far, and the bytes there are in all (0 where packed files hide that)."""


@dataclass
class Survey:
    """What is known of a log before it is read.

    ``read`` has the event tables of all that was looked at, with resolved times: the whole log where ``whole``, its copies
    dropped, else a sample of it (from which filters and domains may be told by correlating it; its line numbers count the
    lines of the sample). ``read.solution`` has years and zones, ``read.sources`` kinds and counts. ``lanes`` are the logs
    that lie side by side, each with its parts (numbers of sources) in order.
    """

    sources: list[Source]
    read: Read
    lanes: list[Lane]
    whole: bool
    twins: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """By lane (its place in ``lanes``): the lanes whose lines win over equal ones of it; none where the survey is whole."""
    year: int | None = None
    timezone: str | None = None

    @property
    def solution(self) -> Solution:
        """Years and zones."""
        return self.read.solution


def survey(
    sources: Sequence[Source],
    *,
    jobs: int | None = None,
    year: int | None = None,
    timezone: str | None = None,
    whole: int | None = None,
    sample: int | None = None,
    progress: Progress | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> Survey:
    """Look into ``sources``, which are in the order of :func:`logscan.sources.finding.order`.

    ``year``, ``timezone`` and ``jobs`` are what :func:`logscan.reading.whole.read_sources` takes; ``whole`` and ``sample``
    are the bounds :data:`WHOLE` and :data:`SAMPLE`. Sources that can be read only once are kept on disk from here on.
    Raises ValueError for a zone that doesn't exist.
    """
    logs = list(sources)
    for source in logs:
        keep(source)
    merger = _whole(logs, WHOLE if whole is None else whole, jobs, progress, meanwhile)
    if merger is not None:
        settle(merger.ledger)
        merged = merger.finish(year=year, timezone=timezone)
        return Survey(logs, merged.read, merged.lanes, True, year=year, timezone=timezone)
    merged = _sampled(logs, SAMPLE if sample is None else sample, jobs).finish(
        year=year, timezone=timezone, drop_copies=False
    )
    twins = pairs(merged.lanes, merged.read)
    return Survey(logs, merged.read, merged.lanes, False, twins, year, timezone)


def _whole(
    sources: list[Source],
    most: int,
    jobs: int | None,
    progress: Progress | None,
    meanwhile: Callable[[], None] | None,
) -> Merger | None:
    """Read all sources; None where they are larger than that."""
    if sum(source.size or 0 for source in sources if not source.compression) > most:
        return None
    merger = Merger(sources)
    plain = all(source.size is not None and not source.compression for source in sources)
    total = sum(source.size or 0 for source in sources) if plain else 0
    done = 0
    workers = crew(work, jobs_for(sources, jobs))
    try:
        for task, worked in in_order(sources, workers, meanwhile):
            merger.add(task.number, task.span, worked, working.CHUNK)
            done += task.size
            if done > most:
                for source in sources:
                    source.error = ""
                return None
            if progress:
                progress(done, sum(read.lines for read in merger.ledger.reads), total)
    finally:
        workers.close()
    return merger


def _sampled(sources: list[Source], sample: int, jobs: int | None) -> Merger:
    """Read a sample of the sources."""
    merger = Merger(sources)
    most = min(max(sample // max(len(sources), 1), min(LEAST_OF_ONE, sample)), MOST_OF_ONE)
    workers = crew(probe, min(jobs_for(sources, jobs), max(len(sources), 1)))
    found: dict[int, Probed | Lost] = {}
    try:
        given = 0
        while len(found) < len(sources):
            while given < len(sources) and given - len(found) < 2 * workers.jobs:
                workers.give(given, sources[given], most)
                given += 1
            number, probed = workers.take()
            found[number] = probed
    finally:
        workers.close()
    for number, source in enumerate(sources):
        probed = found[number]
        if isinstance(probed, Lost):
            continue  # the same will be said where it is read
        if probed.error:  # a worker may not reach what this process holds open
            probed = probe(source, most)
        for parsed in probed.pieces:
            merger.add(number, None, Worked(parsed, 0), 0)
    return merger
