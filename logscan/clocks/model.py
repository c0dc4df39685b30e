"""What is known of clocks: of each source's, of lines whose time something tells, and what year and zone they come to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo

import numpy as np
import numpy.typing as npt

from logscan.clocks.wall import Ints, Pass, to_utc
from logscan.clocks.zones import zone_name


@dataclass
class SourceClock:
    """The wall clocks of one source: ``name`` is its path (rotated sets and dates in names are told from it).

    ``first`` and ``last`` are its first and last wall clock (ns within a leap year); ``turns`` is the last line's turn,
    ``low`` and ``high`` the lowest and highest (see :class:`logscan.envelopes.unwrapping.Lines`); ``mtime`` the file time (epoch
    seconds); ``year`` the calendar year of turn 0 where the lines tell it, else 0; ``leap_turns`` the turns in which a
    29 February was seen; ``since`` the UTC time (ns) of the line before the first, where that is known.
    """

    name: str
    first: int
    last: int
    turns: int = 0
    low: int = 0
    high: int = 0
    mtime: float | None = None
    year: int = 0
    leap_turns: tuple[int, ...] = ()
    since: int | None = None


@dataclass(frozen=True)
class Anchor:
    """The line of ``source`` at this clock and turn was written in [utc - slack_before, utc + slack_after] (all ns)."""

    source: int
    clock: int
    turn: int
    utc: int
    slack_before: int
    slack_after: int


@dataclass
class Solution:
    """Year and zone of each source with wall clocks, by the source's key.

    ``base_year`` is the year of turn 0. ``zone`` is the zone most sources have (the one to show times in), ``zones``
    each source's own. ``year_from`` and ``zone_from`` say in a word or two where they are from; ``notes`` are
    sentences.
    """

    base_year: dict[int, int]
    zones: dict[int, tzinfo]
    zone: tzinfo
    inferred_year: bool = False
    inferred_zone: bool = False
    notes: list[str] = field(default_factory=list)
    year_from: dict[int, str] = field(default_factory=dict)
    zone_from: dict[int, str] = field(default_factory=dict)

    @property
    def zone_name(self) -> str:
        """The name of ``zone``: that of a zone file, ``UTC`` or an offset such as ``+02:00``."""
        return zone_name(self.zone)

    def utc(self, source: int, clock: Ints, turn: npt.NDArray[np.int16], *, state: Pass | None = None) -> Ints:
        """Return UTC nanoseconds (int64) of a source's lines in file order; see :func:`logscan.clocks.wall.to_utc`."""
        return to_utc(clock, turn, self.base_year[source], self.zones.get(source, self.zone), state=state)
