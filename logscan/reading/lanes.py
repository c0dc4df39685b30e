"""Lanes: the parts of one log, rotated or cut, one after the other. Lanes lie side by side in time.

The time of each row is told here too, since only a row's neighbours in its lane show which pass of a repeated hour it is
from.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logscan.clocks.model import Solution
from logscan.clocks.wall import NEVER, Ints, Pass
from logscan.sources import rotation
from logscan.sources.source import Source

FEW = 32
"""Rows at a log's ends whose middle time is taken for its first or last: one absurd stamp says nothing."""

SEAM = 60 * 10**9
"""Parts of one log overlap by late lines; by more than this, and by half of the shorter, they are copies of each other."""


class Rows(NamedTuple):
    """The rows of event tables in the order of their lines, as arrays of one length.

    ``order`` (int64) are their places in the tables put one behind the other, in the order of their names.
    """

    source: npt.NDArray[np.int32]
    line: npt.NDArray[np.int32]
    time: Ints
    clock: Ints
    turn: npt.NDArray[np.int16]
    order: Ints

    @classmethod
    def of(cls, tables: Mapping[str, pa.Table]) -> Rows:
        """Return the rows of tables with ``source``, ``line``, ``time``, ``clock`` and ``turn``."""
        some = [tables[name] for name in sorted(tables)]
        columns: tuple[Any, ...] = tuple(
            np.concatenate([np.empty(0, dtype), *(each.column(name).to_numpy() for each in some)])
            for name, dtype in (
                ("source", np.int32), ("line", np.int32), ("time", np.int64), ("clock", np.int64), ("turn", np.int16)
            )
        )  # fmt: skip
        source, line, time, clock, turn = columns
        order = np.argsort(source.astype(np.int64) << 32 | line, kind="stable")
        return cls(source[order], line[order], time[order], clock[order], turn[order], order)

    def part(self, rows: slice) -> Rows:
        """Return some neighbouring rows."""
        some: tuple[Any, ...] = tuple(each[rows] for each in self)
        return Rows(*some)

    def by_table(self, values: Ints, tables: Mapping[str, pa.Table]) -> dict[str, Ints]:
        """Return values, one a row in this order, as they stand in each table."""
        placed = np.empty(len(values), np.int64)
        placed[self.order] = values
        names = sorted(tables)
        ends = np.cumsum([len(tables[name]) for name in names])
        return dict(zip(names, np.split(placed, ends[:-1]), strict=True)) if names else {}


@dataclass
class Lane:
    """One log: the numbers of its parts in their order, and about when it begins and ends (UTC ns)."""

    members: list[int] = field(default_factory=list)
    first: int = NEVER
    last: int = NEVER
    state: Pass = field(default_factory=Pass)
    ends: list[tuple[int, int]] = field(default_factory=list)
    """When each part begins and ends."""

    def goes_on(self, ends: tuple[int, int]) -> bool:
        """Whether a part that begins and ends then comes behind this lane, rather than beside it."""
        if NEVER in (*ends, self.last):
            return True
        shared = min(self.last, ends[1]) - max(self.first, ends[0])
        return not (shared > SEAM and 2 * shared >= min(self.last - self.first, ends[1] - ends[0]))

    def take(self, number: int, ends: tuple[int, int]) -> None:
        """Take a part in."""
        self.members.append(number)
        self.ends.append(ends)
        if ends[0] != NEVER:
            self.first = ends[0] if self.first == NEVER else min(self.first, ends[0])
            self.last = max(self.last, ends[1])

    def sort(self) -> None:
        """Put parts that names or the order they were given in have astray in the order of time."""
        firsts = [first for first, _ in self.ends]
        if NEVER not in firsts and any(after < before - SEAM for before, after in itertools.pairwise(firsts)):
            order = sorted(range(len(firsts)), key=lambda at: firsts[at])
            self.members, self.ends = [self.members[at] for at in order], [self.ends[at] for at in order]


class Clocked(Protocol):
    """What has the clocks of lines."""

    @property
    def time(self) -> Ints:
        """UTC ns where the lines tell it."""

    @property
    def clock(self) -> Ints:
        """Wall clocks, or -1."""

    @property
    def turn(self) -> npt.NDArray[np.int16]:
        """Their year turns."""


def utc_of(lines: Clocked, source: int, solution: Solution, state: Pass) -> Ints:
    """Return the lines' UTC times (ns, :data:`NEVER` where none is told), all being of one source and in its order."""
    wall = np.flatnonzero(lines.clock >= 0)
    if not len(wall):
        return lines.time
    time = lines.time.copy()
    told = solution.utc(source, lines.clock[wall], lines.turn[wall], state=state)
    time[wall] = np.where(time[wall] != NEVER, time[wall], told)
    return time


def ends_of(time: Ints) -> tuple[int, int]:
    """Return about when rows begin and end; the middle of the first and of the last few."""
    told = time[time != NEVER]
    if not len(told):
        return NEVER, NEVER
    return tuple(int(np.sort(some)[len(some) // 2]) for some in (told[:FEW], told[-FEW:]))  # type: ignore[return-value]


def laid(rows: Rows, sources: Sequence[Source], solution: Solution) -> tuple[Ints, list[Lane]]:
    """Return the rows' UTC times (ns, in their order), and the lanes that the sources make."""
    time = rows.time.copy()
    starts = np.searchsorted(rows.source, np.arange(len(sources) + 1))
    sets: dict[str, list[Lane]] = {}
    entered = {number for number, source in enumerate(sources) if source.start}
    for number, source in enumerate(sources):
        part = slice(starts[number], starts[number + 1])
        some = rows.part(part)
        lanes = sets.setdefault(rotation.parse(source.path).set, [])
        lane, told = _lane(lanes, some, number, solution, entered)
        time[part] = told
        lane.take(number, ends_of(told))
    every = [lane for lanes in sets.values() for lane in lanes]
    for lane in every:
        if entered.isdisjoint(lane.members):
            lane.sort()
    return time, every


def _lane(lanes: list[Lane], rows: Rows, number: int, solution: Solution, entered: Set[int]) -> tuple[Lane, Ints]:
    """Return the lane of a set that a part goes on, and the part's times as they are behind the lane's.

    Behind a file that is ``entered`` within comes the next one of its set, whatever the clock said meanwhile: what is gone
    on in is known by content, and copies were left out.
    """
    for lane in lanes:
        state = replace(lane.state)
        time = utc_of(rows, number, solution, state)
        if not entered.isdisjoint(lane.members) or lane.goes_on(ends_of(time)):
            lane.state = state
            return lane, time
    lanes.append(Lane())
    return lanes[-1], utc_of(rows, number, solution, lanes[-1].state)
