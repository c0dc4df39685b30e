"""What a chunk of lines becomes: event tables, heads, counts, clocks."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from logscan.envelopes.lines import Offsets
from logscan.reading.bounded import Seen, Template


@dataclass(frozen=True)
class Head:
    """What a "host tag" says: host, Postfix instance, service, program."""

    host: str
    instance: str
    service: str
    program: str


@dataclass
class Parsed:
    """What one chunk became.

    ``tables`` have ``line`` (int32, from 0 in the chunk), ``head`` (int32, an index of ``heads``), ``pid``, the clocks
    ``time``, ``clock``, ``turn`` (see :class:`logscan.envelopes.lines.Lines`) and those of the table's own columns that
    have any value.
    """

    kind: str
    lines: int
    understood: int = 0
    noise: int = 0
    unknown: int = 0
    undecodable: int = 0
    heads: list[Head] = field(default_factory=list)
    tables: dict[str, pa.Table] = field(default_factory=dict)
    programs: dict[str, list[int]] = field(default_factory=dict)
    templates: dict[Template, Seen] = field(default_factory=dict)
    """Unknown lines; their source is 0, their line is counted from 0 in the chunk."""
    formats: dict[str, int] = field(default_factory=dict)
    clock: tuple[int, int, int, int, int] | None = None
    """First and last wall clock, last turn, lowest and highest turn; None where no line had one."""
    year: int = 0
    """Calendar year of turn 0, where the lines tell it."""
    leap_turns: tuple[int, ...] = ()
    """Turns in which a 29 February was seen."""
    utc: tuple[int, int] | None = None
    """Lowest and highest UTC time (ns) of the lines that had one."""
    offsets: tuple[Offsets, ...] = ()
    """The offsets from UTC that the stamps carry, in the order of the lines."""
