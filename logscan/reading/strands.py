"""A lane being read: the places of its lines in the stream, told as its chunks come in.

The *stream time* of a line is the latest time that was told in its lane up to there; a line without a time, or a late one,
stands where it was written. A time is believed only if most of the lines behind it are not earlier, and if it doesn't lie
behind the lane's end: a stamp of 2099 moves its own line, and no other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logscan.clocks.wall import NEVER, Ints, Pass
from logscan.envelopes.stamps import DAY
from logscan.reading.lanes import Lane
from logscan.reading.twins import Seen
from logscan.reading.working import Task

WITNESSES = 32
"""Rows behind a row that say whether its time is to be believed."""

NEAR = 4096
"""Rows within which witnesses are looked for; where most rows have no time, there may be none."""

ENDLESS = np.iinfo(np.int64).max
Bools = npt.NDArray[np.bool_]


@dataclass
class Piece:
    """The event tables of a chunk, final but for their place; rows by line. ``member`` counts the parts of the lane."""

    member: int
    last: int
    tables: dict[str, pa.Table]
    lines: dict[str, npt.NDArray[np.int32]]


@dataclass
class Settled:
    """Lines whose place in the stream is told, in their order: stream time, key (part and line), rows (all int64)."""

    stream: Ints
    key: Ints
    rows: Ints

    @classmethod
    def none(cls) -> Settled:
        """Return no lines."""
        return cls(*(np.empty(0, np.int64) for _ in range(3)))

    def __add__(self, other: Settled) -> Settled:
        return Settled(
            np.concatenate((self.stream, other.stream)),
            np.concatenate((self.key, other.key)),
            np.concatenate((self.rows, other.rows)),
        )

    def cut(self, at: int) -> tuple[Settled, Settled]:
        """Return the first ``at`` lines, and the others."""
        return (
            Settled(self.stream[:at], self.key[:at], self.rows[:at]),
            Settled(self.stream[at:], self.key[at:], self.rows[at:]),
        )


def believed(time: Ints, until: int) -> Bools:
    """Return which times (UTC ns) are borne out by those behind them; the last have few behind them, and need none."""
    out = time != NEVER
    places = np.flatnonzero(out)
    told = time[places]
    later = np.minimum.accumulate(told[::-1])[::-1]
    odd = np.flatnonzero(told[:-1] > later[1:]) if len(told) else np.empty(0, np.int64)
    if len(odd):
        for_it, of_all = np.zeros(len(odd), np.int64), np.zeros(len(odd), np.int64)
        for step in range(1, WITNESSES + 1):
            at = np.minimum(odd + step, len(told) - 1)
            there = (odd + step < len(told)) & (places[at] - places[odd] <= NEAR)
            of_all += there
            for_it += there & (told[at] >= told[odd])
        out[places[odd]] = 2 * for_it >= of_all
    found: Bools = out & (time <= until)
    return found


@dataclass
class Strand:
    """A lane while it is read. ``front`` is a stream time that no line to come stands before."""

    lane: Lane
    rank: int
    tasks: Iterator[Task]
    front: int = NEVER
    over: bool = False
    waiting: deque[int] = field(default_factory=deque)
    """Keys of the chunks that are being parsed."""
    pieces: deque[Piece] = field(default_factory=deque)
    settled: Settled = field(default_factory=Settled.none)
    seen: Seen | None = None
    """Its lines, where another lane may have them too."""
    lines_state: Pass = field(default_factory=Pass)
    early: list[Any] = field(default_factory=list)
    """Chunks that are not taken yet, since it can't be told in which pass of a repeated hour the lane begins."""
    begun: bool = False
    held: int = 0
    """Rows that are settled and not handed on."""
    chunks: int = 0
    began: int = NEVER

    def __post_init__(self) -> None:
        self._time = np.empty(0, np.int64)
        self._key = np.empty(0, np.int64)
        self.until = self.lane.last + DAY if self.lane.last != NEVER else ENDLESS

    def take(self, piece: Piece, time: Ints, line: npt.NDArray[np.int32]) -> None:
        """Take a chunk's rows in the order of their lines."""
        self.chunks += 1
        if len(time):
            self.pieces.append(piece)
            self._time = np.concatenate((self._time, time))
            self._key = np.concatenate((self._key, line.astype(np.int64) | piece.member << 32))
        self._settle(self._ripe())

    def end(self) -> None:
        """Settle what is left: nothing comes any more."""
        self._settle(len(self._time))
        self.over = True
        if self.seen is not None:
            self.seen.settle(np.empty(0, np.int64), np.empty(0, np.int64), self.front, over=True)

    def expected(self) -> int:
        """Return about where the stream will be when what is under way is there, for planning only."""
        if not self.waiting or self.front == NEVER:
            return self.front if not self.waiting else ENDLESS - 1
        return self.front + len(self.waiting) * (self.front - self.began) // max(self.chunks, 1)

    def ready(self, limit: tuple[int, int]) -> int:
        """Return how many settled lines stand before a place in the stream: (stream time, rank)."""
        return int(np.searchsorted(self.settled.stream, limit[0], "right" if self.rank < limit[1] else "left"))

    def hand_on(self, lines: int) -> tuple[Settled, list[Piece]]:
        """Return the first settled lines, with their rows."""
        gone, self.settled = self.settled.cut(lines)
        self.held -= int(gone.rows.sum())
        out: list[Piece] = []
        if not lines:
            return gone, out
        member, line = int(gone.key[-1]) >> 32, int(gone.key[-1]) & 0xFFFFFFFF
        while self.pieces and (self.pieces[0].member, self.pieces[0].last) <= (member, line):
            out.append(self.pieces.popleft())
        if self.pieces and self.pieces[0].member == member:
            out.append(_split(self.pieces[0], line))
        return gone, out

    def _ripe(self) -> int:
        """Return how many rows have all their witnesses; no line is torn."""
        ripe = max(0, len(self._time) - NEAR)
        told = np.flatnonzero(self._time != NEVER)
        if len(told) > WITNESSES:
            ripe = max(ripe, int(told[-WITNESSES - 1]) + 1)
        return int(np.searchsorted(self._key, self._key[ripe])) if ripe < len(self._key) else ripe

    def _settle(self, count: int) -> None:
        if not count:
            return
        time = np.where(believed(self._time, self.until)[:count], self._time[:count], NEVER)
        stream = np.maximum(np.maximum.accumulate(time), self.front)
        key = self._key[:count]
        ends = np.flatnonzero(np.append(key[1:] != key[:-1], True))
        fresh = Settled(stream[ends], key[ends], np.diff(ends, prepend=-1))
        if self.seen is not None:
            self.seen.settle(fresh.key, fresh.stream, self.front, over=False)
        self.settled += fresh
        self.held += count
        self.front = int(stream[-1])
        if self.began == NEVER:
            self.began = self.front
        self._time, self._key = self._time[count:], self._key[count:]


def _split(piece: Piece, line: int) -> Piece:
    """Cut off the rows up to a line; ``piece`` keeps the others."""
    tables, lines = {}, {}
    for name, numbers in piece.lines.items():
        at = int(np.searchsorted(numbers, line, "right"))
        tables[name], lines[name] = piece.tables[name].slice(0, at), numbers[:at]
        piece.tables[name], piece.lines[name] = piece.tables[name].slice(at), numbers[at:]
    return Piece(piece.member, line, tables, lines)
