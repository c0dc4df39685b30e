"""Keeps the books on what was parsed: lines by source, program and format, where chunks lie, when years turned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from logscan.clocks.model import SourceClock
from logscan.envelopes.unwrapping import turn_between
from logscan.reading.bounded import OTHER_PROGRAMS, Programs, Templates
from logscan.reading.parsed import Parsed
from logscan.reading.reads import SourceRead
from logscan.reading.working import Span, Worked
from logscan.sources.source import Source

MOST_OFFSETS = 1000
"""Stretches of one offset kept per source: summer time makes two a year."""


class Place(NamedTuple):
    """Where a chunk stands in its file: how many lines are before it, and the year turn of its first wall clock."""

    before: int
    turn: int


class Ledger:
    """Counts chunk by chunk; the chunks of one source come in their order."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.reads = [SourceRead(source, source.label, source.kind) for source in sources]
        self.programs = Programs()
        self.templates = Templates()
        self.formats: dict[str, int] = {}
        self.last: dict[int, tuple[int, int]] = {}
        """By source: its last wall clock so far, and the turn of that."""

    def add(self, number: int, span: Span | None, worked: Worked, chunk: int) -> Place:
        """Count a chunk of source ``number``, cut by ``chunk`` bytes."""
        read, parsed = self.reads[number], worked.parsed
        read.digests.append(worked.digest)
        read.chunk = chunk
        read.error = read.error or worked.error
        before = read.source.before + read.lines
        if span is not None:
            read.index.append((before, *span))
            if worked.size:
                read.missed += span[0] - max(read.reached, read.source.start)
                read.reached = span[0] + worked.size
        if parsed.lines and read.lines == 0:
            read.kind = parsed.kind
        for count in ("lines", "understood", "noise", "unknown", "undecodable"):
            setattr(read, count, getattr(read, count) + getattr(parsed, count))
        place = Place(before, self._turn(number, parsed))
        self._stamps(read, parsed)
        self.programs.add(parsed.programs)
        for name, lines in parsed.formats.items():
            self.formats[name] = self.formats.get(name, 0) + lines
        for key, (lines, _, line, text) in parsed.templates.items():
            self.templates.put(key, (lines, number, before + 1 + line, text))
        return place

    def notes(self) -> list[str]:
        """Return a sentence for each bound that was reached."""
        out = []
        if OTHER_PROGRAMS in self.programs.result():
            most = self.programs.others.most
            out.append(f"More than {most:,} names of programs: those beyond are counted as {OTHER_PROGRAMS}.")
        if self.templates.some.rest is not None:
            most = self.templates.some.most
            out.append(f"More than {most:,} kinds of unknown lines: those beyond are counted together.")
        many = [read.label for read in self.reads if len(read.offsets) == MOST_OFFSETS]
        if many:
            some = ", ".join(many[:3]) + (f" and {len(many) - 3} more" if len(many) > 3 else "")
            out.append(
                f"The stamps of {some} change their offset very often: the first {MOST_OFFSETS:,} were looked at."
            )
        return out

    def _stamps(self, read: SourceRead, parsed: Parsed) -> None:
        for run in parsed.offsets:
            other = read.offsets[-1] if read.offsets else None
            if other and other[0] == run[0]:
                read.offsets[-1] = (run[0], min(other[1], run[1]), max(other[2], run[2]), other[3] + run[3])
            elif len(read.offsets) < MOST_OFFSETS:
                read.offsets.append(run)
        if parsed.utc:
            low, high = read.utc or parsed.utc
            read.utc = min(low, parsed.utc[0]), max(high, parsed.utc[1])

    def _turn(self, number: int, parsed: Parsed) -> int:
        """Return the year turn of the chunk's first wall clock, relative to the source's first."""
        if parsed.clock is None:
            return 0
        first, last, turns, low, high = parsed.clock
        turn = 0
        read = self.reads[number]
        if number in self.last:
            before, turn = self.last[number]
            turn += turn_between(before, first)
            if parsed.year and read.clock is not None and read.clock.year:  # the lines themselves tell it
                turn = parsed.year - read.clock.year
        self.last[number] = (last, turn + turns)
        if read.clock is None:
            read.clock = SourceClock(
                name=read.source.path,
                first=first,
                last=last,
                turns=turns,
                low=low,
                high=high,
                mtime=read.source.mtime,
                since=read.source.since,
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
