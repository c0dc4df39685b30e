"""Looks into a source before it is read: its ends, some stretches, and small probes all over it.

Where two probes differ in what a clock says (another offset, weeks between them), more are taken in between, so that the
place of a change is known to some lines, and no turn of a year is missed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from logscan.envelopes.records import DECODERS
from logscan.envelopes.stamps import DAY
from logscan.envelopes.unwrapping import unwrap
from logscan.reading.parsed import Parsed
from logscan.reading.parsing import parse
from logscan.sources.cutting import LONGEST
from logscan.sources.source import Source

PROBE = 32 << 10
"""Bytes of a probe: some 300 lines."""

BLOCK = 1 << 20
"""Bytes between two probes of what can't be entered anywhere."""

MOST_BETWEEN = 64
"""Probes taken between others, where those differ."""

WEEKS = 45 * DAY
"""Between probes that lie this far apart a year might turn unseen."""

TOGETHER = 2 << 20
"""Bytes of pieces that are parsed in one go."""

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
        end = source.opener.pinned.size if source.stop is None else min(source.stop, source.opener.pinned.size)
        out = _anywhere(source, end, most)
    else:
        out = _through(source, most)
    out.error = source.error
    source.error = ""
    return out


def _clocks(source: Source, data: bytes) -> Parsed:
    """Return what the clocks of a piece say, and nothing else of it."""
    found = unwrap(data, source.kind, source.context)
    walls = found.clock[found.clock >= 0]
    clock = (int(walls[0]), int(walls[-1]), 0, 0, 0) if len(walls) else None
    return Parsed(found.kind, found.lines, offsets=found.offsets, clock=clock)


class _Piece(NamedTuple):
    """Some whole lines, and what their clocks say."""

    data: bytes
    clocks: Parsed


def _parsed(source: Source, pieces: Iterable[_Piece]) -> list[Parsed]:
    """Parse pieces, in their order, neighbours in one go: what a chunk costs in any case is much for three hundred lines.

    Not where something changes between two, nor records of several lines or of places.
    """
    runs: list[list[_Piece]] = []
    size = 0
    for piece in pieces:
        last = runs[-1][-1] if runs else None
        size += len(piece.data)
        alone = source.kind in DECODERS or last is None or not last.data.endswith(b"\n")
        if last is None or alone or size > TOGETHER or differ(last.clocks, piece.clocks):
            runs.append([])
            size = len(piece.data)
        runs[-1].append(piece)
    return [parse(b"".join(piece.data for piece in run), source.kind, source.context) for run in runs]


# --- files that can be entered anywhere ----------------------------------------------------------------------------


def _anywhere(source: Source, stop: int, most: int) -> Probed:
    size = max(stop - source.start, 0)
    if size <= most:
        whole = parse(source.read_span(source.start, size), source.kind, source.context) if size else None
        return Probed([whole] if whole else [], whole=True)
    seen: list[tuple[int, int, _Piece]] = []
    end = source.start
    for at, length in _plan(size, most):
        start = source.start + at
        begin = max(start, end)
        data, begin = _lines(source, begin, start + length - begin, stop)
        if data:
            end = begin + len(data)
            seen.append((begin, end, _Piece(data, _clocks(source, data))))
    return Probed(_parsed(source, _refined(source, seen, stop)))


def _plan(size: int, most: int) -> list[tuple[int, int]]:
    """Return (offset, length) of what to look at: a quarter at the head, an eighth at the tail and in two stretches each,
    and the rest in small probes, all over the source.
    """
    eighth = max(most // 8, PROBE)
    count = max(1, most * 3 // 8 // PROBE)
    some = [(size * (n + 1) // (count + 1), PROBE) for n in range(count)]
    some += [(0, 2 * eighth), (size // 3, eighth), (size * 2 // 3, eighth), (size - eighth, eighth)]
    return sorted(some)


def _lines(source: Source, start: int, length: int, stop: int) -> tuple[bytes, int]:
    """Return the whole lines of a part of a file, and where they begin."""
    if length <= 0:
        return b"", start
    inside = start > source.start
    data = source.read_span(start - inside, length + inside)
    if inside:
        first = data.find(b"\n")
        if first < 0:
            return b"", start
        data, start = data[first + 1 :], start + first
    if start + len(data) < stop:
        last = data.rfind(b"\n")
        if last < 0 and len(data) < LONGEST:
            return b"", start
        data = data[: last + 1] if last >= 0 else data
    return data, start


def _refined(source: Source, seen: list[tuple[int, int, _Piece]], stop: int) -> Iterator[_Piece]:
    """Yield the pieces with others in between where neighbours differ."""
    left = MOST_BETWEEN
    todo = seen[::-1]
    while todo:
        one = todo.pop()
        while todo and left and (gap := todo[-1][0] - one[1]) > 0 and differ(one[2].clocks, todo[-1][2].clocks):
            left -= 1
            length = PROBE if gap > 3 * PROBE else gap
            data, begin = _lines(source, one[1] + (gap - length) // 2, length, stop)
            if not data:
                break
            todo.append((begin, begin + len(data), _Piece(data, _clocks(source, data))))
        yield one[2]


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
    size = max(min(BLOCK, most // 8), 1)
    for chunk in source.chunks(size):
        for block in _blocks(chunk, size, source.boundary):
            walk.take(block)
    return walk.result()


def _blocks(chunk: bytes, size: int, boundaries: tuple[bytes, ...]) -> Iterator[bytes]:
    """Cut what was unpacked at once, which may be much, where pieces may end."""
    keep = boundaries[0].rindex(b"\n") + 1
    start = 0
    while start < len(chunk):
        ends = [at + keep for each in boundaries if (at := chunk.find(each, start + size)) >= 0]
        end = min(ends, default=len(chunk))
        yield chunk[start:end]
        start = end


class _Block(NamedTuple):
    """A piece of what goes by, and what the clocks of its first lines say."""

    number: int
    data: bytes
    clocks: Parsed


class _Walk:
    """Keeps pieces of what goes by: all up to ``most`` bytes, beyond that the ends, and probes ever further apart."""

    def __init__(self, source: Source, most: int) -> None:
        self.source, self.most = source, most
        self.head: list[bytes] = []
        self.tail: deque[_Block] = deque()
        self.probes: list[_Block] = []
        self.edges: dict[int, bytes] = {}
        self.blocks = self.size = self.kept = 0
        self.every = 1

    def take(self, data: bytes) -> None:
        """Look at the next block."""
        number, self.blocks = self.blocks, self.blocks + 1
        self.size += len(data)
        if sum(map(len, self.head)) < self.most // 4:
            self.head.append(data)
            return
        block = _Block(number, data, _clocks(self.source, _first_lines(data)))
        before = self.tail[-1] if self.tail else None
        if before and len(self.edges) < MOST_BETWEEN and differ(before.clocks, block.clocks):
            self.edges[before.number] = before.data  # something changed within it
        self.tail.append(block)
        self.kept += len(data)
        while self.kept - len(self.tail[0].data) >= self.most * 3 // 4:  # till then it may be all there is
            gone = self.tail.popleft()
            self.kept -= len(gone.data)
            self._probe(gone)

    def _probe(self, block: _Block) -> None:
        """Keep the beginning of a block that isn't kept whole, if it is far from the one before."""
        last = self.probes[-1] if self.probes else None
        if block.number % self.every == 0 or (last and differ(last.clocks, block.clocks)):
            self.probes.append(block._replace(data=_first_lines(block.data)))
        if len(self.probes) > self.every_most:
            self.every *= 2
            left = self.probes[:1]
            for at, each in enumerate(self.probes[1:-1], 1):
                if each.number % self.every == 0 or differ(left[-1].clocks, self.probes[at + 1].clocks):
                    left.append(each)
            self.probes = [*left, self.probes[-1]]

    @property
    def every_most(self) -> int:
        """Probes that are kept: more where they would differ."""
        return max(2, self.most * 3 // 8 // PROBE) + (MOST_BETWEEN if self.every > 1 else 0)

    def result(self) -> Probed:
        """Return the pieces, in order and parsed."""
        pieces = {-1: b"".join(self.head)}
        whole = self.size <= self.most
        left = self.most if whole else self.most // 8
        tail: dict[int, bytes] = {}
        while self.tail and left > 0:
            block = self.tail.pop()
            tail[block.number] = block.data
            left -= len(block.data)
        for block in self.tail:
            self._probe(block)
        pieces |= {block.number: block.data for block in self.probes} | self.edges | tail
        some = [pieces[at] for at in sorted(pieces) if pieces[at]]
        return Probed(_parsed(self.source, (_Piece(data, _clocks(self.source, data)) for data in some)), whole)


def _first_lines(block: bytes) -> bytes:
    end = block.rfind(b"\n", 0, PROBE) + 1
    return block[: end or PROBE]
