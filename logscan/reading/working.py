"""A chunk of a source as a piece of work: what workers are given, what they do with it, and what comes back."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from logscan.reading.parsed import Parsed
from logscan.reading.parsing import parse
from logscan.reading.twins import Lines
from logscan.reading.workers import Crew, Lost, cores
from logscan.sources.source import Source

CHUNK = 4 << 20
"""Bytes per chunk: large enough to amortise a table, small enough to stay in cache and to spread over workers."""

PARALLEL_FROM = 32 << 20
"""Bytes from which worker processes pay for their start (measured: 0.3 s each against 1 µs a line)."""

PACKED = 8
"""Times that a log is about as large as its compressed file."""

Span = tuple[int, int]
"""Offset and length of a chunk in a plain file."""


@dataclass
class Worked:
    """A chunk's rows, what it can be known again by, and why it could not be read to its end."""

    parsed: Parsed
    digest: int
    error: str = ""
    lines: Lines | None = None
    """What its lines are compared with others by, where that was asked for."""
    size: int = 0
    """Its bytes that could be read."""


@dataclass(frozen=True)
class Task:
    """A chunk of ``sources[number]``: a place in a plain file, or what was unpacked."""

    number: int
    span: Span | None
    chunk: bytes | None

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.span[1] if self.span else len(self.chunk or b"")


def work(source: Source, span: Span | None, chunk: bytes | None, twins: bool = False) -> Worked:
    """Read a chunk where it isn't given, and parse it; ``twins`` says that its lines may stand elsewhere too."""
    if span is not None:  # else it is read elsewhere, and what went wrong there stays said
        source.error = ""
    data = source.read_span(*span) if span is not None else chunk or b""
    parsed = parse(data, source.kind, source.context)
    lines = Lines.of(source, data) if twins else None
    return Worked(parsed, zlib.crc32(data), source.error if span else "", lines, len(data))


def settled(source: Source, task: Task, done: Worked | Lost) -> Worked:
    """Return what came of a task once this process has done its part.

    Where a worker can't reach the file any more, this process may: it has held it open from the beginning. Where workers
    died, the chunk's lines are only counted, so that the numbers of those behind it stay right.
    """
    if isinstance(done, Lost):
        data = source.read_span(*task.span) if task.span is not None else task.chunk or b""
        lines = data.count(b"\n") + (bool(data) and not data.endswith(b"\n"))
        why = f"{lines:,} lines were not read: {done.why}"
        return Worked(Parsed(source.kind, lines), zlib.crc32(data), why, size=len(data))
    again = done.error and task.span is not None
    return work(source, task.span, None, done.lines is not None) if again else done


def tasks(sources: Sequence[Source], size: int | None = None) -> Iterator[Task]:
    """Yield the chunks of all sources, one after the other."""
    for number, source in enumerate(sources):
        yield from tasks_of(number, source, size or CHUNK)


def tasks_of(number: int, source: Source, size: int) -> Iterator[Task]:
    """Yield the chunks of one source."""
    spans = source.spans(size)
    if spans is not None:
        for span in spans:
            yield Task(number, span, None)
    else:
        for chunk in source.chunks(size):
            yield Task(number, None, chunk)


def jobs_for(sources: Sequence[Source], jobs: int | None) -> int:
    """Return how many workers are to read the sources: as many as are asked for, else as many as pay."""
    if jobs is not None:
        return max(1, jobs)
    size = sum((source.size or 0) * (PACKED if source.compression else 1) for source in sources)
    return cores() if size >= PARALLEL_FROM else 1


def in_order(
    sources: Sequence[Source], crew: Crew, meanwhile: Callable[[], None] | None = None
) -> Iterator[tuple[Task, Worked]]:
    """Yield the chunks' results in order; at most twice as many chunks as workers are under way at once."""
    waiting: dict[int, Task] = {}
    done: dict[int, Worked | Lost] = {}
    given = taken = 0

    def next_one() -> tuple[Task, Worked]:
        nonlocal taken
        while taken not in done:
            key, result = crew.take()
            done[key] = result
        task = waiting.pop(taken)
        result = settled(sources[task.number], task, done.pop(taken))
        taken += 1
        return Task(task.number, task.span, None) if task.span else task, result

    most = 1 if crew.jobs == 1 else 2 * crew.jobs
    for task in tasks(sources):
        waiting[given] = task
        crew.give(given, sources[task.number], task.span, task.chunk)
        given += 1
        if given - taken >= most:
            if meanwhile and crew.jobs > 1:
                meanwhile()
                meanwhile = None
            yield next_one()
    if meanwhile and crew.jobs > 1:
        meanwhile()
    while taken < given:
        yield next_one()
