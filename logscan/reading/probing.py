"""Looks into a source before it is read: its ends, some stretches, and small probes all over it.

Where two probes differ in what a clock says (another offset, weeks between them), more are taken in between, so that the
place of a change is known to some lines, and no turn of a year is missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from logscan.envelopes.stamps import DAY
from logscan.envelopes.unwrapping import unwrap
from logscan.reading.parsed import Parsed
from logscan.reading.parsing import parse
from logscan.sources.source import LONGEST, Source

PROBE = 32 << 10
"""Bytes of a probe: some 300 lines."""

BLOCK = 1 << 20
"""Bytes between two probes of what can't be entered anywhere."""

MOST_BETWEEN = 64
"""Probes taken between others, where those differ."""

WEEKS = 45 * DAY
"""Between probes that lie this far apart a year might turn unseen."""

YEAR = 366 * DAY
JITTER = 2 * DAY


@dataclass
class Probed:
    """What was seen of a source: parsed pieces in their order, whether they are all of it, and why it could not be read."""

    pieces: list[Parsed] = field(default_factory=list)
    whole: bool = False
    error: str = ""


def probe(source: Source, most: int) -> Probed:
    """Look into a source; about ``most`` bytes of it, all where it has no more."""
    source.error = ""
    if source.size is not None and source.spans(1 << 62) is not None and source.opener.pinned is not None:
        out = _anywhere(source, source.opener.pinned.size, most)
    else:
        out = _through(source, most)
    out.error = source.error
    source.error = ""
    return out


def _parsed(source: Source, data: bytes) -> Parsed:
    return parse(data, source.kind, source.context)


# --- files that can be entered anywhere ----------------------------------------------------------------------------


def _anywhere(source: Source, size: int, most: int) -> Probed:
    if size <= most:
        return Probed([_parsed(source, source.read_span(0, size))] if size else [], whole=True)
    seen = []
    end = 0
    for start, length in _plan(size, most):
        begin = max(start, end)
        data, begin = _lines(source, begin, start + length - begin, size)
        if data:
            end = begin + len(data)
            seen.append((begin, end, _parsed(source, data)))
    return Probed([parsed for _, _, parsed in _refined(source, seen, size)])


def _plan(size: int, most: int) -> list[tuple[int, int]]:
    """Return (offset, length) of what to look at: a quarter at the head, an eighth at the tail and in two stretches each,
    and the rest in small probes, all over the source.
    """
    eighth = max(most // 8, PROBE)
    count = max(1, most * 3 // 8 // PROBE)
    some = [(size * (n + 1) // (count + 1), PROBE) for n in range(count)]
    some += [(0, 2 * eighth), (size // 3, eighth), (size * 2 // 3, eighth), (size - eighth, eighth)]
    return sorted(some)


def _lines(source: Source, start: int, length: int, size: int) -> tuple[bytes, int]:
    """Return the whole lines of a part of a file, and where they begin."""
    if length <= 0:
        return b"", start
    data = source.read_span(max(start - 1, 0), length + min(start, 1))
    if start:
        first = data.find(b"\n")
        if first < 0:
            return b"", start
        data, start = data[first + 1 :], start + first
    if start + len(data) < size:
        last = data.rfind(b"\n")
        if last < 0 and len(data) < LONGEST:
            return b"", start
        data = data[: last + 1] if last >= 0 else data
    return data, start


def _refined(source: Source, seen: list[tuple[int, int, Parsed]], size: int) -> Iterator[tuple[int, int, Parsed]]:
    """Yield the pieces with others in between where neighbours differ."""
    left = MOST_BETWEEN
    todo = seen[::-1]
    while todo:
        one = todo.pop()
        while todo and left and todo[-1][0] - one[1] > PROBE and differ(one[2], todo[-1][2]):
            left -= 1
            gap = todo[-1][0] - one[1]
            length = min(PROBE, gap // 2)
            data, begin = _lines(source, one[1] + (gap - length) // 2, length, size)
            if not data:
                break
            todo.append((begin, begin + len(data), _parsed(source, data)))
        yield one


def differ(before: Parsed, after: Parsed) -> bool:
    """Whether something may have changed between two pieces: the offset in the stamps, or weeks, so perhaps years, passed."""
    if before.offsets and after.offsets and before.offsets[-1][0] != after.offsets[0][0]:
        return True
    if before.clock is None or after.clock is None:
        return False
    return WEEKS < (after.clock[0] - before.clock[1]) % YEAR < YEAR - JITTER


# --- files that must be gone through -------------------------------------------------------------------------------


def _through(source: Source, most: int) -> Probed:
    """Go through a source, unpacking it, and parse some of it."""
    walk = _Walk(source, most)
    for block in source.chunks(min(BLOCK, most)):
        walk.take(block)
    return walk.result()


class _Walk:
    """Keeps pieces of what goes by: all up to ``most`` bytes, beyond that the ends, and probes ever further apart."""

    def __init__(self, source: Source, most: int) -> None:
        self.source, self.most = source, most
        self.head: list[bytes] = []
        self.tail: list[tuple[int, bytes]] = []
        self.probes: dict[int, bytes] = {}
        self.edges: dict[int, bytes] = {}
        self.blocks = self.size = 0
        self.every = 1
        self.last: Parsed | None = None
        self.before = b""

    def take(self, block: bytes) -> None:
        """Look at the next block."""
        number, self.blocks = self.blocks, self.blocks + 1
        self.size += len(block)
        if sum(map(len, self.head)) < self.most // 4:
            self.head.append(block)
            self.before = b""
            return
        self._edge(number, block)
        self.tail.append((number, block))
        kept = sum(len(each) for _, each in self.tail)
        while kept - len(self.tail[0][1]) >= self.most * 3 // 4:  # as long as it may still be all there is
            gone, data = self.tail.pop(0)
            kept -= len(data)
            if gone % self.every == 0:
                self.probes[gone] = _first_lines(data)
        while len(self.probes) > max(1, self.most * 3 // 8 // PROBE):
            self.every *= 2
            self.probes = {at: data for at, data in self.probes.items() if at % self.every == 0}

    def _edge(self, number: int, block: bytes) -> None:
        """Keep the block before this one whole, where something changed within it."""
        found = unwrap(_first_lines(block), self.source.kind, self.source.context)
        now = Parsed(found.kind, found.lines, offsets=found.offsets)
        walls = found.clock[found.clock >= 0]
        if len(walls):
            now.clock = (int(walls[0]), int(walls[-1]), 0, 0, 0)
        if self.last is not None and self.before and len(self.edges) < MOST_BETWEEN and differ(self.last, now):
            self.edges[number - 1] = self.before
        self.last, self.before = now, block

    def result(self) -> Probed:
        """Return the pieces, in order and parsed."""
        pieces = {-1: b"".join(self.head)}
        whole = self.size <= self.most
        keep = self.most if whole else self.most // 8
        tail: dict[int, bytes] = {}
        for number, data in reversed(self.tail):
            if sum(map(len, tail.values())) >= keep:
                self.probes.setdefault(number, _first_lines(data))
            else:
                tail[number] = data
        pieces |= self.probes | self.edges | tail
        return Probed([_parsed(self.source, pieces[at]) for at in sorted(pieces) if pieces[at]], whole)


def _first_lines(block: bytes) -> bytes:
    end = block.rfind(b"\n", 0, PROBE) + 1
    return block[: end or PROBE]
