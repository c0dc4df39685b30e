"""What is known of the sources once they are read, beside the event tables: counts, clocks, where chunks lie."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import pyarrow as pa

from logscan.clocks.model import Solution, SourceClock
from logscan.envelopes.lines import Offsets
from logscan.sources.source import Source


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
    reached: int = 0
    """Up to which byte of a plain file something could be read."""
    missed: int = 0
    """Bytes before that which couldn't."""
    chunk: int = 0
    """Bytes of a chunk, where there is no index."""
    clock: SourceClock | None = None
    utc: tuple[int, int] | None = None
    offsets: list[Offsets] = field(default_factory=list)
    """The offsets from UTC that its stamps carry, in the order of its lines."""
    bounds: tuple[int, int] | None = None
    """First and last time of its rows, UTC ns, once clocks are solved."""
    texts: dict[int, str] | None = None
    """By number, the lines that were kept of a source that isn't read any more: it was read by an earlier run."""

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
    solution: Solution
    notes: list[str] = field(default_factory=list)
    """Sentences about what was bounded, or turned out otherwise than the survey had it."""
