"""Reads sources into event tables: parses chunks (in worker processes where it pays), solves clocks, drops copies."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import warnings
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logscan.clocks import solving as clock
from logscan.clocks.anchors import anchors
from logscan.envelopes import unwrapping as envelope
from logscan.reading import copies
from logscan.reading.parsing import Head, Parsed, parse
from logscan.sources.finding import Source
from logscan.tables.grouping import by_code
from logscan.tables.schema import APART, ARROW, EVENTS

CHUNK = 8 << 20
"""Bytes per chunk: large enough to amortise a table, small enough to stay in cache and to spread over workers."""

PARALLEL_FROM = 32 << 20
"""Bytes from which worker processes pay for their start (measured: 0.3 s each against 1 µs a line)."""

PACKED = 8
"""Times that a log is about as large as its compressed file."""

MOST_OFFSETS = 1000
"""Stretches of one offset kept per source: summer time makes two a year."""

SET_BACK = 1800 * 10**9
"""A wall clock that falls by this much within a file has been set back (summer time ends by an hour, somewhere by half)."""

Progress = Callable[[int, int, int], None]
"""Called with bytes parsed and lines so far, and the bytes there are in all (0 where packed files hide that)."""


@dataclass
class SourceRead:
    """One source after parsing: counts, chunk index, clocks."""

    source: Source
    label: str
    kind: str = ""
    lines: int = 0
    understood: int = 0
    noise: int = 0
    unknown: int = 0
    undecodable: int = 0
    copies: int = 0
    error: str = ""
    index: list[tuple[int, int, int]] = field(default_factory=list)
    """(number of the line before, byte offset, length) of each chunk of an uncompressed file."""
    digests: list[int] = field(default_factory=list)
    """What each chunk is known again by."""
    chunk: int = 0
    """Bytes of a chunk, where there is no index."""
    clock: clock.SourceClock | None = None
    utc: tuple[int, int] | None = None
    offsets: list[envelope.Offsets] = field(default_factory=list)
    """The offsets from UTC that its stamps carry, in the order of its lines."""
    bounds: tuple[int, int] | None = None
    """First and last time of its rows, UTC ns, once clocks are solved."""

    def is_chunk(self, number: int, data: bytes) -> bool:
        """Whether this is what was parsed as that chunk."""
        return number < len(self.digests) and zlib.crc32(data) == self.digests[number]


@dataclass
class Read:
    """All that was read: event tables with resolved times, and how well it went."""

    tables: dict[str, pa.Table]
    sources: list[SourceRead]
    programs: dict[str, list[int]]
    templates: dict[tuple[str, str], tuple[int, int, int, str]]
    """(program, template) → count, source, line, example."""
    formats: dict[str, int]
    solution: clock.Solution


def _jobs(source_bytes: int, jobs: int | None) -> int:
    if jobs is not None:
        return max(1, jobs)
    if source_bytes < PARALLEL_FROM:
        return 1
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@dataclass
class Worked:
    """A chunk's rows, what it can be known again by, and why it could not be read to its end."""

    parsed: Parsed
    digest: int
    error: str = ""


def _work(source: Source, span: tuple[int, int] | None, chunk: bytes | None) -> Worked:
    source.error = ""
    data = source.read_span(*span) if span is not None else chunk or b""
    return Worked(parse(data, source.kind, source.context), zlib.crc32(data), source.error)


Task = tuple[int, tuple[int, int] | None, bytes | None]


def _tasks(sources: Sequence[Source]) -> Iterator[Task]:
    for number, source in enumerate(sources):
        spans = source.spans(CHUNK)
        if spans is not None:
            for span in spans:
                yield number, span, None
        else:
            for chunk in source.chunks(CHUNK):
                yield number, None, chunk


def _parsed(
    sources: Sequence[Source], jobs: int, meanwhile: Callable[[], None] | None = None
) -> Generator[tuple[Task, Worked], None, None]:
    """Yield the chunks' results in order; at most twice as many chunks as workers are under way at once."""
    if jobs == 1:
        for task in _tasks(sources):
            yield task, _work(sources[task[0]], task[1], task[2])
        return
    # Forking is quick while this process is small and has one thread; elsewhere a fresh interpreter is the safe way.
    method = "fork" if threading.active_count() == 1 and hasattr(os, "fork") else "spawn"
    context = multiprocessing.get_context(method)
    held, leash = context.Pipe(duplex=False)
    with warnings.catch_warnings(), held, leash:
        warnings.simplefilter("ignore", DeprecationWarning)
        forked = leash if method == "fork" else None
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_leashed, initargs=(held, forked)) as pool:
            try:
                waiting: deque[tuple[Task, Future[Worked]]] = deque()
                for task in _tasks(sources):
                    waiting.append((task, pool.submit(_work, sources[task[0]], task[1], task[2])))
                    if len(waiting) >= 2 * jobs:
                        if meanwhile:
                            meanwhile()
                            meanwhile = None
                        yield _result(sources, *waiting.popleft())
                if meanwhile:
                    meanwhile()
                while waiting:
                    yield _result(sources, *waiting.popleft())
            except BaseException:
                _ended(pool)  # nobody waits for what they are doing
                raise


def _ended(pool: ProcessPoolExecutor) -> None:
    """End the workers now, whatever they are at; an orderly end would wait for their pieces."""
    for worker in list((getattr(pool, "_processes", None) or {}).values()):
        worker.kill()
    pool.shutdown(wait=False, cancel_futures=True)


def _result(sources: Sequence[Source], task: Task, future: Future[Worked]) -> tuple[Task, Worked]:
    done = future.result()
    if done.error and task[1] is not None:
        # Where a worker can't reach the file any more, this process may: it has held it open from the beginning.
        done = _work(sources[task[0]], task[1], None)
    return (task[0], task[1], None), done


def _leashed(held: Connection, leash: Connection | None) -> None:
    """Let a worker end when the process that started it does, however that ends: then the pipe between them closes."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever is in charge decides
    if leash is not None:
        leash.close()

    def watch() -> None:
        with contextlib.suppress(OSError, EOFError):
            held.poll(None)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class _Merger:
    """Puts the chunks' tables together: heads made global, lines counted on, year turns carried over."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.reads = [SourceRead(source, source.label, source.kind) for source in sources]
        self.heads: dict[Head, int] = {}
        self.tables: dict[str, list[pa.Table]] = {}
        self.programs: dict[str, list[int]] = {}
        self.templates: dict[tuple[str, str], tuple[int, int, int, str]] = {}
        self.formats: dict[str, int] = {}
        self.last: dict[int, tuple[int, int]] = {}

    def add(self, number: int, span: tuple[int, int] | None, worked: Worked) -> None:
        read, parsed = self.reads[number], worked.parsed
        read.digests.append(worked.digest)
        read.chunk = CHUNK
        read.error = read.error or worked.error
        before = read.lines
        if span is not None:
            read.index.append((before, *span))
        if parsed.lines and read.lines == 0:
            read.kind = parsed.kind
        read.lines += parsed.lines
        read.understood += parsed.understood
        read.noise += parsed.noise
        read.unknown += parsed.unknown
        read.undecodable += parsed.undecodable
        turn = self._turn(number, parsed)
        for run in parsed.offsets:
            other = read.offsets[-1] if read.offsets else None
            if other and other[0] == run[0]:
                read.offsets[-1] = (run[0], min(other[1], run[1]), max(other[2], run[2]), other[3] + run[3])
            elif len(read.offsets) < MOST_OFFSETS:
                read.offsets.append(run)
        if parsed.utc:
            low, high = read.utc or parsed.utc
            read.utc = min(low, parsed.utc[0]), max(high, parsed.utc[1])
        heads = np.asarray([self.heads.setdefault(head, len(self.heads)) for head in parsed.heads], np.int32)
        for name, table in parsed.tables.items():
            columns = {column: table.column(column) for column in table.column_names}
            columns["line"] = pa.array((table.column("line").to_numpy() + (before + 1)).astype(np.int32))
            columns["head"] = pa.array(heads[table.column("head").to_numpy()])
            columns["turn"] = pa.array((table.column("turn").to_numpy() + turn).astype(np.int16))
            columns["source"] = pa.array(np.full(len(table), number, np.int32))
            self.tables.setdefault(name, []).append(pa.table(columns))
        for program, counts in parsed.programs.items():
            total = self.programs.setdefault(program, [0, 0, 0])
            for i, count in enumerate(counts):
                total[i] += count
        for name, count in parsed.formats.items():
            self.formats[name] = self.formats.get(name, 0) + count
        for key, (count, line, text) in parsed.templates.items():
            seen = self.templates.get(key)
            self.templates[key] = (seen[0] + count, *seen[1:]) if seen else (count, number, before + 1 + line, text)

    def _turn(self, number: int, parsed: Parsed) -> int:
        """Return the year turn of the chunk's first wall clock, relative to the source's first."""
        if parsed.clock is None:
            return 0
        first, last, turns, low, high = parsed.clock
        turn = 0
        read = self.reads[number]
        if number in self.last:
            before, turn = self.last[number]
            turn += envelope.turn_between(before, first)
        self.last[number] = (last, turn + turns)
        if read.clock is None:
            read.clock = clock.SourceClock(
                name=read.source.path,
                first=first,
                last=last,
                turns=turns,
                low=low,
                high=high,
                mtime=read.source.mtime,
                year=parsed.year,
                leap_turns=parsed.leap_turns,
            )
        else:
            read.clock.last, read.clock.turns = last, turn + turns
            read.clock.low = min(read.clock.low, turn + low)
            read.clock.high = max(read.clock.high, turn + high)
            read.clock.year = read.clock.year or (parsed.year - turn if parsed.year else 0)
            leaps = {*read.clock.leap_turns, *(turn + each for each in parsed.leap_turns)}
            read.clock.leap_turns = tuple(sorted(leaps))
        return turn


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

    ``time`` is int64, UTC nanoseconds (:data:`logscan.envelopes.unwrapping.NO_TIME` where a line has none). ``meanwhile`` is
    called once while workers parse (not in one process): the place for imports that the caller needs next.
    """
    merger = _Merger(sources)
    workers = _jobs(sum((source.size or 0) * (PACKED if source.compression else 1) for source in sources), jobs)
    done = 0
    plain = all(source.size is not None and not source.compression for source in sources)
    total = sum(source.size or 0 for source in sources) if plain else 0
    with contextlib.closing(_parsed(sources, workers, meanwhile)) as chunks:
        for (number, span, chunk), worked in chunks:
            merger.add(number, span, worked)
            done += span[1] if span else len(chunk or b"")
            if progress:
                progress(done, sum(read.lines for read in merger.reads), total)
    for read in merger.reads:
        read.source.error = read.error or read.source.error
        read.source.settled()
        read.error = read.source.error
    return _finish(merger, year=year, timezone=timezone)


def _finish(merger: _Merger, *, year: int | None, timezone: str | None) -> Read:
    heads = _heads(merger.heads)
    names = list(merger.tables)
    with ThreadPoolExecutor(2) as pool:  # Arrow copies without holding the interpreter
        tables = dict(zip(names, pool.map(lambda name: _joined(name, merger.tables.pop(name)), names), strict=True))
    reads = merger.reads
    clocks = {number: read.clock for number, read in enumerate(reads) if read.clock is not None}
    solution = clock.solve(
        clocks,
        anchors(tables),
        [read.utc for read in reads if read.utc],
        year=year,
        timezone=timezone,
        offsets={number: read.offsets for number, read in enumerate(reads) if read.offsets},
        names={number: read.source.path for number, read in enumerate(reads)},
    )
    times = {name: _times(table, solution) for name, table in tables.items()}
    _repeated_hours(tables, times, solution)
    for values, table in zip(times.values(), tables.values(), strict=True):
        _bounds(reads, values, table)
    result: dict[str, pa.Table] = {}
    drop = copies.find(reads, solution)
    for name, table in tables.items():
        columns: dict[str, Any] = {"time": pa.array(times[name])}
        head = table.column("head").to_numpy()
        for key, (codes, names) in heads.items():
            columns[key] = pa.DictionaryArray.from_arrays(pa.array(codes[head]), pa.array(names, pa.string()))
        columns["pid"] = table.column("pid")
        columns["source"] = table.column("source")
        columns["line"] = table.column("line")
        columns |= {column: table.column(column) for column in EVENTS[name].kinds()}
        full = pa.table(columns)
        keep = copies.keep(drop, full)
        result[name] = full if keep is None else full.filter(pa.array(keep))
    return Read(result, reads, merger.programs, merger.templates, merger.formats, solution)


def _heads(heads: dict[Head, int]) -> dict[str, tuple[npt.NDArray[np.int32], list[str]]]:
    """Return, for host, instance, service and program, the code of each head and the values."""
    out: dict[str, tuple[npt.NDArray[np.int32], list[str]]] = {}
    for key in ("host", "instance", "service", "program"):
        values: dict[str, int] = {}
        codes = [values.setdefault(getattr(head, key), len(values)) for head in heads]
        out[key] = np.asarray(codes, np.int32), list(values)
    return out


def _joined(name: str, parts: Iterable[pa.Table]) -> pa.Table:
    whole = pa.concat_tables(list(parts), promote_options="default")
    for column, kind in EVENTS[name].kinds().items():
        if column not in whole.column_names:
            whole = whole.append_column(column, pa.nulls(len(whole), ARROW[kind]))
    return whole if name in APART else whole.unify_dictionaries().combine_chunks()


def _times(table: pa.Table, solution: clock.Solution) -> npt.NDArray[np.int64]:
    time: npt.NDArray[np.int64] = table.column("time").to_numpy().copy()
    wall = table.column("clock").to_numpy()
    turn = table.column("turn").to_numpy()
    source = table.column("source").to_numpy()
    for number, rows in by_code(source, (wall >= 0) & (time == clock.NEVER)).items():
        time[rows] = solution.utc(number, wall[rows], turn[rows])
    return time


def _repeated_hours(
    tables: dict[str, pa.Table], times: dict[str, npt.NDArray[np.int64]], solution: clock.Solution
) -> None:
    """Convert again, all tables' lines together in file order, the sources whose clock was set back in a zone with summer time.

    Which pass of the repeated hour a line belongs to shows only among its neighbours.
    """
    for number in solution.base_year:
        zone = solution.zones.get(number, solution.zone)
        if not isinstance(zone, ZoneInfo) or zone.utcoffset(datetime(2026, 1, 1)) == zone.utcoffset(
            datetime(2026, 7, 1)
        ):
            continue
        parts = []
        for name, table in tables.items():
            wall = table.column("clock").to_numpy()
            rows = np.flatnonzero((table.column("source").to_numpy() == number) & (wall >= 0))
            parts.append(
                (name, rows, table.column("line").to_numpy()[rows], wall[rows], table.column("turn").to_numpy()[rows])
            )
        line = np.concatenate([part[2] for part in parts])
        order = np.argsort(line, kind="stable")
        wall = np.concatenate([part[3] for part in parts])[order]
        step = np.diff(wall)
        if not np.any((step < -SET_BACK) & (step > -4 * SET_BACK)):
            continue
        utc = np.empty(len(line), np.int64)
        utc[order] = solution.utc(number, wall, np.concatenate([part[4] for part in parts])[order])
        start = 0
        for name, rows, *_ in parts:
            known = times[name][rows]
            stamped = tables[name].column("time").to_numpy()[rows] != clock.NEVER
            times[name][rows] = np.where(stamped, known, utc[start : start + len(rows)])
            start += len(rows)


def _bounds(reads: Sequence[SourceRead], time: npt.NDArray[np.int64], table: pa.Table) -> None:
    source = table.column("source").to_numpy()
    for number, rows in by_code(source, time > clock.NEVER).items():
        low, high = int(time[rows].min()), int(time[rows].max())
        before = reads[number].bounds
        reads[number].bounds = (min(low, before[0]), max(high, before[1])) if before else (low, high)
