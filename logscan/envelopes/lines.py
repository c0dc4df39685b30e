"""What the envelopes of a chunk come to: bodies, times and clocks, and the offsets that stamps carry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logscan.envelopes.stamps import Ints
from logscan.machine.envelopes import Tags


class Bodies:
    """The bodies of a chunk's lines: most are bytes of the chunk itself and are cut out only when they are asked for.

    ``chunk[starts[i]:ends[i]]`` (int64) is body ``i``, unless ``changed`` has another one for it. Where bodies were made
    and not found (``chunk`` is empty), ``changed`` has them all. ``tags`` are those of the bodies that aren't changed, where
    they are known.
    """

    def __init__(
        self, chunk: bytes, starts: Ints, ends: Ints, changed: dict[int, bytes], tags: Tags | None = None
    ) -> None:
        self.chunk, self.starts, self.ends, self.changed, self.tags = chunk, starts, ends, changed, tags

    @classmethod
    def of(cls, bodies: list[bytes]) -> Bodies:
        """Return bodies that are no part of a chunk."""
        none = np.zeros(len(bodies), np.int64)
        return cls(b"", none, none, dict(enumerate(bodies)))

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, at: int) -> bytes:
        changed = self.changed.get(at)
        return self.chunk[self.starts[at] : self.ends[at]] if changed is None else changed

    def __setitem__(self, at: int, body: bytes) -> None:
        self.changed[at] = body

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.cut())

    def cut(self, rows: npt.NDArray[np.int64] | None = None) -> list[bytes]:
        """Return the bodies with these numbers, or all."""
        starts, ends = (self.starts, self.ends) if rows is None else (self.starts[rows], self.ends[rows])
        chunk = self.chunk
        bodies = [chunk[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        if self.changed:
            numbers = range(len(bodies)) if rows is None else rows.tolist()
            bodies = [self.changed.get(at, body) for at, body in zip(numbers, bodies, strict=True)]
        return bodies

    def any_ends(self, end: bytes) -> bool:
        """Whether any body ends so, told without a look at the rest."""
        data = np.frombuffer(self.chunk, np.uint8)
        ends = self.ends[self.ends - self.starts >= len(end)]
        for at, char in enumerate(reversed(end), 1):
            ends = ends[data[ends - at] == char]
        return len(ends) > 0 or any(body.endswith(end) for body in self.changed.values())

    def holding(self, text: bytes) -> list[int]:
        """Return the numbers, rising, of the bodies that ``text`` stands in."""
        found = {at for at, body in self.changed.items() if text in body}
        at = self.chunk.find(text)
        while at >= 0:
            row = int(np.searchsorted(self.ends, at, "right"))
            if row == len(self):
                break
            inside = self.starts[row] <= at
            if inside and row not in self.changed:
                found.add(row)
            at = self.chunk.find(text, int(self.ends[row] if inside else self.starts[row]))
        return sorted(found)

    def may_repeat(self) -> bool:
        """Whether the text of any body may say that a message was repeated; only tags can tell that none does."""
        tags = self.tags
        return tags is None or bool(tags.repeats or self.changed or (tags.tag < 0).any())

    def kept(self, rows: npt.NDArray[np.int64]) -> Bodies:
        """Return those with these numbers, in this order."""
        place = {old: new for new, old in enumerate(rows.tolist())} if self.changed else {}
        changed = {place[at]: body for at, body in self.changed.items() if at in place}
        tags = self.tags
        if tags is not None:
            tags = tags._replace(tag=tags.tag[rows], behind=tags.behind[rows], inner=tags.inner[rows])
        return Bodies(self.chunk, self.starts[rows], self.ends[rows], changed, tags)


@dataclass
class Lines:
    """The lines of one chunk behind their envelopes.

    ``bodies`` start at the host: ``mx1 postfix/qmgr[7]: 4A97F54A7D9: removed``; the host is ``-`` where none is told.
    The arrays run alongside: ``number`` (int32) is the line's offset in the chunk, from 0, never falling; ``time``
    (int64) UTC nanoseconds or :data:`NO_TIME`; ``clock`` (int64) nanoseconds of wall-clock time since 1 January 00:00
    of a leap year, or -1; ``turn`` (int16) how often the year changed since the chunk's first line with a wall clock.
    A line with both a time and a clock carries two stamps (docker behind syslog): the time holds, and the pair is an
    anchor.

    ``year`` is the calendar year of turn 0 where the lines tell it but not the zone (ISO without offset, rspamd's and
    DSPAM's own files), else 0. ``undecodable`` counts lines with no envelope, ``blank`` lines with nothing of their
    own: empty, or the rest of a record counted at its first line. So ``lines`` = distinct numbers + ``undecodable`` +
    ``blank``. ``lost`` holds (number, why) of records whose text the logging system dropped. ``offsets`` says what
    offsets from UTC the stamps carry, in the order of the lines.
    """

    bodies: Bodies
    number: npt.NDArray[np.int32]
    time: npt.NDArray[np.int64]
    clock: npt.NDArray[np.int64]
    turn: npt.NDArray[np.int16]
    lines: int
    kind: str
    undecodable: int = 0
    lost: tuple[tuple[int, str], ...] = ()
    blank: int = 0
    year: int = 0
    offsets: tuple[Offsets, ...] = ()


Offsets = tuple[int, int, int, int]
"""Lines that follow each other and tell the same offset: the offset (ns, or ``ZULU``), first and last UTC time (ns), and
how many they are."""
