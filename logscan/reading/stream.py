"""Reads a log as a stream: window by window, in order of time, all sources that lie side by side in step.

The order of lines is that of (stream time, lane, line), see :mod:`logscan.reading.strands`. A window closes after a number
of rows in that order, so what windows hold is a function of the logs' content alone: not of chunks, of where rotated files
were cut, or of workers. Memory holds about one window, and the chunks that are under way.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from logscan.clocks import solving
from logscan.clocks.model import Solution
from logscan.clocks.wall import NEVER, Pass, beginning, naive
from logscan.reading import working
from logscan.reading.assembling import Share, assembled
from logscan.reading.doubts import Doubts
from logscan.reading.dropping import Dropping
from logscan.reading.lanes import Lane, Rows, utc_of
from logscan.reading.ledger import Ledger, Place
from logscan.reading.merging import by_head, final, placed
from logscan.reading.reads import Read, SourceRead
from logscan.reading.settling import settle
from logscan.reading.strands import ENDLESS, Piece, Settled, Strand
from logscan.reading.survey import Progress, Survey
from logscan.reading.workers import Crew, Lost, crew
from logscan.reading.working import Task, Worked, jobs_for, settled, tasks_of, work
from logscan.sources.source import Source

WINDOW = 150_000
"""Rows of a window: some 20 MB of a log. Twice as many save 5 % of the time for 90 MB more (measured on a million lines)."""

LEAST_CHUNK = 64 << 10
"""Bytes of a chunk where very many lanes lie side by side."""


def stream_sources(
    sources: Sequence[Source],
    survey: Survey,
    *,
    jobs: int | None = None,
    window: int = WINDOW,
    progress: Progress | None = None,
) -> Stream:
    """Return the log's windows, to be iterated over once.

    Each is what :func:`logscan.reading.whole.read_sources` gives as ``tables``, of some of the rows: event tables by name
    with the columns of :mod:`logscan.tables.schema`, COMMON first; ``time`` int64 UTC ns, ``source`` a number of
    ``sources``, ``line`` from 1, copies dropped. Each row is in exactly one window; rows are in the order of the stream; a
    window has ``window`` rows and the last one's line whole, the last window has fewer. A log without rows has no window.

    :attr:`Stream.read` has all else that was read, complete once the last window was given.
    """
    if len(sources) != len(survey.sources):
        raise ValueError("the survey is of other sources")
    return Stream(survey, jobs=jobs, window=window, progress=progress)


class Stream:
    """The windows of a log; see :func:`stream_sources`."""

    def __init__(self, survey: Survey, *, jobs: int | None, window: int, progress: Progress | None) -> None:
        self.survey = survey
        self.jobs, self.window, self.progress = jobs, max(1, window), progress
        self.ledger = Ledger(survey.sources)
        old = survey.solution
        self.solution: Solution = replace(old, base_year=dict(old.base_year), zones=dict(old.zones))
        self.doubts = Doubts(self.solution)
        self.crew: Crew | None = None
        """Those who read, while a log is read that is larger than a window."""
        self._notes: list[str] = []

    @property
    def read(self) -> Read:
        """What was read so far but for the rows: counts by source, program and format, unknown lines, clocks, notes."""
        if self.survey.whole:
            return replace(self.survey.read, tables={})
        ledger = self.ledger
        counted = ledger.programs.result(), ledger.templates.result(), ledger.formats
        return Read({}, ledger.reads, *counted, self.solution, [*ledger.notes(), *self._notes])

    @property
    def sources(self) -> list[SourceRead]:
        """The sources with their counts so far."""
        return self.survey.read.sources if self.survey.whole else self.ledger.reads

    def __iter__(self) -> Iterator[dict[str, pa.Table]]:
        yield from _of_tables(self.survey, self.window) if self.survey.whole else _Reading(self).windows()


def _next_window(strands: Sequence[Strand], most: int, *, last: bool, cap: int = ENDLESS) -> list[Share] | None:
    """Return what the strands hand on to the next window, of what stands before ``cap`` in the stream.

    None where the window isn't full, and isn't the ``last``.
    """
    if sum(each.held for each in strands) < most and not last:
        return None
    # Behind the front of any other strand, rows may still come that stand before a strand's own.
    fronts = [(each.front, each.rank) for each in strands if not each.over]
    first, second = ([*heapq.nsmallest(2, fronts), (ENDLESS, len(strands)), (ENDLESS, len(strands))])[:2]
    counts = [each.ready(min(second if each.rank == first[1] else first, (cap, -1))) for each in strands]
    ready = [each.settled.cut(count)[0] for each, count in zip(strands, counts, strict=True)]
    total = sum(int(each.rows.sum()) for each in ready)
    if total < most and not (last and total):
        return None
    if total > most:
        counts = _cut(ready, most)
    shares = [Share(each.rank, *each.hand_on(count)) for each, count in zip(strands, counts, strict=True)]
    return [share for share in shares if share.pieces]


def _cut(ready: Sequence[Settled], most: int) -> list[int]:
    """Return how many lines of each strand are the first that have ``most`` rows together."""
    lane = np.repeat(np.arange(len(ready)), [len(each.stream) for each in ready])
    order = np.lexsort((lane, np.concatenate([each.stream for each in ready])))
    rows = np.cumsum(np.concatenate([each.rows for each in ready])[order])
    first = order[: int(np.searchsorted(rows, most)) + 1]
    counts: list[int] = np.bincount(lane[first], minlength=len(ready)).tolist()
    return counts


def _of_tables(survey: Survey, most: int) -> Iterator[dict[str, pa.Table]]:
    """Yield the windows of a log that is there whole."""
    tables = survey.read.tables
    strands = [Strand(lane, rank, iter(())) for rank, lane in enumerate(survey.lanes)]
    for strand in strands:
        for at, number in enumerate(strand.lane.members):
            mine = {name: _of_source(table, number) for name, table in tables.items()}
            _take(strand, at, {name: table for name, table in mine.items() if len(table)})
        strand.end()
    while (shares := _next_window(strands, most, last=True)) is not None:
        yield assembled(shares)


def _of_source(table: pa.Table, number: int) -> pa.Table:
    """Return a source's rows: sources stand one behind the other."""
    begin, end = np.searchsorted(table.column("source").to_numpy(), (number, number + 1))
    return table.slice(begin, end - begin)


def _take(strand: Strand, member: int, tables: dict[str, pa.Table]) -> None:
    """Give a strand tables with final times, each in the order of its lines."""
    names = sorted(tables)
    lines = {name: tables[name].column("line").to_numpy() for name in names}
    line = np.concatenate([np.empty(0, np.int32), *(lines[name] for name in names)])
    time = np.concatenate([np.empty(0, np.int64), *(tables[name].column("time").to_numpy() for name in names)])
    order = np.argsort(line, kind="stable")
    last = int(line[order[-1]]) if len(line) else 0
    strand.take(Piece(member, last, tables, lines), time[order], line[order])


@dataclass
class _Under:
    """A chunk under way."""

    strand: Strand
    member: int
    task: Task


class _Read(NamedTuple):
    """A chunk that was parsed, its tables not yet told their times."""

    under: _Under
    worked: Worked
    place: Place
    tables: dict[str, pa.Table]
    rows: Rows


class _Reading:
    """The state of one pass over a log that is larger than a window."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.ledger = stream, stream.ledger
        self.sources = stream.survey.sources
        lanes = stream.survey.lanes
        self.chunk = min(working.CHUNK, max(LEAST_CHUNK, 4 * working.CHUNK // max(len(lanes), 1)))
        self.strands = [Strand(replace(lane, state=Pass()), rank, self._tasks(lane)) for rank, lane in enumerate(lanes)]
        self.member = {number: at for lane in lanes for at, number in enumerate(lane.members)}
        self.open = list(self.strands)
        """Strands that have chunks left to be given out."""
        self.under: dict[int, _Under] = {}
        self.done: dict[int, Worked | Lost] = {}
        self.given = self.bytes = 0
        self.twins = Dropping(self.strands, stream.survey.twins, self.ledger.reads)
        self.crew = stream.crew = crew(work, jobs_for(self.sources, stream.jobs))

    def windows(self) -> Iterator[dict[str, pa.Table]]:
        """Yield the windows."""
        try:
            while True:
                self._give()
                last = not self.under
                while (
                    shares := _next_window(self.strands, self.stream.window, last=last, cap=self.twins.cap())
                ) is not None:
                    yield assembled(self.twins.without(shares))
                if last:
                    self.twins.without([])
                    break
                self._take_one()
            self.crew.rest()
        finally:
            self.crew.close()
        settle(self.ledger)
        survey = self.stream.survey
        self.stream._notes += self.stream.doubts.notes(self.ledger, survey.year, survey.timezone)

    def _tasks(self, lane: Lane) -> Iterator[Task]:
        return chain.from_iterable(tasks_of(number, self.sources[number], self.chunk) for number in lane.members)

    def _give(self) -> None:
        """Give out chunks of the strands that the stream waits for first."""
        most = 1 if self.crew.jobs == 1 else 3 * self.crew.jobs
        while self.open and len(self.under) < most:
            strand = min(self.open, key=lambda each: (each.expected(), each.rank))
            task = next(strand.tasks, None)
            if task is None:
                self.open.remove(strand)
                if not strand.waiting:
                    self._end(strand)
                continue
            self.under[self.given] = _Under(strand, self.member[task.number], task)
            strand.waiting.append(self.given)
            self.crew.give(self.given, self.sources[task.number], task.span, task.chunk, strand.seen is not None)
            self.given += 1

    def _take_one(self) -> None:
        """Take what is done next, and all that waited for it."""
        key, result = self.crew.take()
        self.done[key] = result
        strand = self.under[key].strand
        while strand.waiting and strand.waiting[0] in self.done:
            key = strand.waiting.popleft()
            self._absorb(self.under.pop(key), self.done.pop(key))
        if not strand.waiting and strand not in self.open:
            self._end(strand)

    def _absorb(self, under: _Under, done: Worked | Lost) -> None:
        task, strand = under.task, under.strand
        number = task.number
        worked = settled(self.sources[number], task, done)
        place = self.ledger.add(number, task.span, worked, self.chunk)
        read = self.ledger.reads[number]
        if read.clock is not None and number not in self.stream.solution.base_year:
            self._late_clock(number)
        tables = placed(worked.parsed, number, place)
        strand.early.append(_Read(under, worked, place, tables, Rows.of(tables)))
        if strand.begun or self._begins(strand):
            self._flush(strand)
        self.bytes += task.size
        if self.stream.progress:
            plain = all(source.size is not None and not source.compression for source in self.sources)
            total = sum(source.size or 0 for source in self.sources) if plain else 0
            self.stream.progress(self.bytes, sum(each.lines for each in self.ledger.reads), total)

    def _begins(self, strand: Strand) -> bool:
        """Whether it can be told in which pass of a repeated hour the lane begins; then that is its state."""
        solution = self.stream.solution
        clocks = [np.empty(0, np.int64)]
        for each in strand.early:
            wall = each.rows.clock >= 0
            if wall.any():
                base = solution.base_year[each.under.task.number]
                clocks.append(naive(each.rows.clock[wall], each.rows.turn[wall], base))
        local = np.concatenate(clocks)
        if not len(local):
            return bool(len(strand.early[-1].rows.line))
        number = strand.early[-1].under.task.number
        state = beginning(local, solution.zones.get(number, solution.zone))
        if state is None:
            return False
        strand.lane.state, strand.lines_state, strand.begun = state, replace(state), True
        return True

    def _end(self, strand: Strand) -> None:
        """Settle all that is left of a strand."""
        self._flush(strand)
        strand.end()

    def _flush(self, strand: Strand) -> None:
        """Give the strand the chunks that waited for their pass, mostly one."""
        early, strand.early = strand.early, []
        for each in early:
            self._hand(strand, each)

    def _hand(self, strand: Strand, chunk: _Read) -> None:
        under, worked, place, tables, rows = chunk
        number, parsed = under.task.number, worked.parsed
        time = utc_of(rows, number, self.stream.solution, strand.lane.state)
        _widen(self.ledger.reads[number], time)
        self.stream.doubts.look(number, tables)
        if strand.seen is not None and worked.lines is not None:
            lines = worked.lines
            lines.turn = (lines.turn + place.turn).astype(np.int16)
            told = utc_of(lines, number, self.stream.solution, strand.lines_state)
            strand.seen.take(under.member, lines.number.astype(np.int64) + place.before + 1, lines.text, told)
        times = rows.by_table(time, tables)
        heads = by_head(parsed.heads)
        whole = {name: pa.table(final(name, table, times[name], heads)) for name, table in tables.items()}
        numbers = {name: table.column("line").to_numpy() for name, table in whole.items()}
        last = int(rows.line[-1]) if len(rows.line) else 0
        strand.take(Piece(under.member, last, whole, numbers), time, rows.line)

    def _late_clock(self, number: int) -> None:
        """Tell the year of a source of which the survey saw no wall clock."""
        clock = self.ledger.reads[number].clock
        assert clock is not None
        spans = [read.utc for read in (*self.stream.survey.read.sources, *self.ledger.reads) if read.utc]
        survey = self.stream.survey
        found = solving.solve({number: clock}, [], spans, year=survey.year, timezone=survey.timezone)
        solution = self.stream.solution
        solution.base_year[number] = found.base_year[number]
        solution.zones[number] = solution.zone
        year = found.base_year[number]
        self.stream._notes.append(
            f"{clock.name}: no sample had a stamp without a year; such lines are taken to be of {year}."
        )


def _widen(read: SourceRead, time: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    told = time[time > NEVER]
    if len(told):
        low, high = int(told.min()), int(told.max())
        read.bounds = (min(low, read.bounds[0]), max(high, read.bounds[1])) if read.bounds else (low, high)
