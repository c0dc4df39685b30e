"""Copies between lanes that are read as a stream: what :mod:`logscan.reading.copies` drops of whole sources.

Which lanes may hold the same lines is told by the survey: they cover the same time and name a host in common. The lines of
both are kept for as long as one of them may still meet its twin, which stands at the same place of the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from logscan.clocks.wall import Ints
from logscan.envelopes.unwrapping import unwrap
from logscan.reading.copies import NOT_LOGS, mixed, nth
from logscan.reading.copies import SEAM as MOMENT
from logscan.reading.lanes import Lane
from logscan.reading.reads import Read
from logscan.sources.source import Source

SLACK = 120 * 10**9
"""Stream time by which twins lie apart at most: what one logger writes later, or a stamp is late."""

ENDLESS = np.iinfo(np.int64).max
Keys = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]


@dataclass
class Lines:
    """The lines of a chunk with what they are compared by: number from 0, text's hash (uint64), and their clocks."""

    number: npt.NDArray[np.int32]
    text: Keys
    time: Ints
    clock: Ints
    turn: npt.NDArray[np.int16]

    @classmethod
    def of(cls, source: Source, data: bytes) -> Lines:
        """Return the lines of a chunk."""
        found = unwrap(data, source.kind, source.context)
        digests = b"".join(blake2b(body, digest_size=8).digest() for body in found.bodies.cut())
        return cls(found.number, np.frombuffer(digests, np.uint64), found.time, found.clock, found.turn)


def pairs(lanes: Sequence[Lane], read: Read) -> dict[int, tuple[int, ...]]:
    """Return, by lane, the lanes whose lines win over equal ones of it: of finer clocks, else earlier ones."""
    hosts: dict[int, set[str]] = {rank: set() for rank in range(len(lanes))}
    fine = dict.fromkeys(range(len(lanes)), False)
    of_source = np.zeros(len(read.sources) + 1, np.int64)
    for rank, lane in enumerate(lanes):
        of_source[lane.members] = rank
    for table in read.tables.values():
        lane_of = of_source[table.column("source").to_numpy()]
        host = table.column("host").combine_chunks()
        codes = host.indices.to_numpy()
        names = host.dictionary.to_pylist()
        for pair in np.unique(lane_of * len(names) + codes).tolist() if len(names) else []:
            hosts[pair // len(names)].add(names[pair % len(names)])
        for rank in np.unique(lane_of[table.column("time").to_numpy() % 10**9 != 0]).tolist():
            fine[rank] = True
    logs = [rank for rank, lane in enumerate(lanes) if read.sources[lane.members[0]].kind not in NOT_LOGS]
    logs.sort(key=lambda rank: (not fine[rank], rank))
    out = {}
    for at, rank in enumerate(logs):
        better = [each for each in logs[:at] if hosts[each] & hosts[rank] and _together(lanes[each], lanes[rank])]
        if better:
            out[rank] = tuple(better)
    return out


def _together(one: Lane, other: Lane) -> bool:
    """Whether two lanes cover the same time, by more than a moment."""
    shared = min(one.last, other.last) - max(one.first, other.first)
    shorter = min(one.last - one.first, other.last - other.first)
    return shared >= 0 and (shared > MOMENT or 2 * shared >= shorter)


@dataclass
class Seen:
    """The lines of a lane that may have twins, in their order: key (part and line), text and second mixed, the same with
    how many like it stood before (all 64 bits), and the place in the stream once that is told.
    """

    key: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    base: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    full: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    stream: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    looked: int = -1
    """The last line of which it was told whether it is a copy."""

    def take(self, member: int, line: Ints, text: Keys, time: Ints) -> None:
        """Take a chunk's lines: numbers from 1, texts' hashes, UTC times (ns)."""
        base = mixed(text, time)
        every = np.concatenate((self.base, base))
        self.key = np.concatenate((self.key, line | member << 32))
        self.full = np.concatenate((self.full, (every + nth(every) * np.uint64(0xFF51AFD7ED558CCD))[len(self.base) :]))
        self.base = every
        self.stream = np.concatenate((self.stream, np.full(len(line), ENDLESS, np.int64)))

    def settle(self, key: Ints, stream: Ints, front: int, *, over: bool) -> None:
        """Tell the places of lines from those of rows, settled now; a line without rows stands where the row before does."""
        begin = int(np.searchsorted(self.stream, ENDLESS))
        end = len(self.key) if over else int(np.searchsorted(self.key, key[-1], "right")) if len(key) else begin
        at = np.searchsorted(key, self.key[begin:end], "right")
        self.stream[begin:end] = np.concatenate(([front], stream))[at]

    def copies(self, upto: int, betters: Sequence[Seen]) -> Ints:
        """Return the keys of lines, up to one, that a better lane has too; each is asked about once."""
        begin, end = np.searchsorted(self.key, (self.looked, upto), "right")
        self.looked = max(self.looked, upto)
        mine = self.full[begin:end]
        again = np.zeros(len(mine), np.bool_)
        for better in betters:
            again |= np.isin(mine, better.full[better.stream < ENDLESS])
        return self.key[begin:end][again]

    def forget(self, before: int) -> None:
        """Let go of the lines that stand before a place in the stream and were looked at."""
        gone = int(np.searchsorted(self.stream, before))
        self.key, self.stream = self.key[gone:], self.stream[gone:]
        self.base, self.full = self.base[gone:], self.full[gone:]
