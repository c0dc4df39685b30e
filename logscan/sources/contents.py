"""A source's bytes, to be searched: wherever one likes, forwards and backwards, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from logscan.envelopes.records import BOUNDARIES
from logscan.sources.source import Source

MOST_UNPACKED = 256 << 20
"""Bytes of a compressed log that are unpacked in memory."""

BLOCK = 8 << 20
"""Bytes searched at once."""

OVER = 1 << 10
"""Bytes of the longest string that is searched for."""

HELD = 3
"""Blocks that are kept in memory."""

Line = tuple[int, int]
"""Where a line begins, and where it ends behind its newline."""


class Content:
    """A source's bytes: read from the file as they are asked for, or unpacked in memory.

    Not mapped: a file that is cut while it is mapped ends the process.
    """

    def __init__(self, pinned: Any, data: bytes | None = None) -> None:
        self.pinned = pinned
        self.unpacked = data
        self.size = pinned.size if data is None else len(data)
        self._counted = (0, 0)
        self._blocks: dict[int, bytes] = {}

    @classmethod
    def of(cls, source: Source) -> Content | None:
        """Return the content; None where it can't be entered anywhere, or is too large when unpacked."""
        if source.kind in BOUNDARIES or source.opener.kind != "local" or source.opener.pinned is None:
            return None
        if not source.compression:
            return cls(source.opener.pinned)
        out = bytearray()
        for chunk in source.chunks():
            out += chunk
            if len(out) > MOST_UNPACKED:
                return None
        return None if source.error else cls(source.opener.pinned, bytes(out))

    def read(self, begin: int, end: int) -> bytes:
        """Return the bytes of a part."""
        begin, end = max(begin, 0), min(end, self.size)
        if end <= begin:
            return b""
        if self.unpacked is not None:
            return self.unpacked[begin:end]
        number = begin // BLOCK
        if end <= number * BLOCK + BLOCK:
            return self._block(number)[begin - number * BLOCK : end - number * BLOCK]
        found: bytes = self.pinned.pread(end - begin, begin)
        return found

    def _block(self, number: int) -> bytes:
        """Return a block and the beginning of the next, in which a string may end; the last ones asked for are kept."""
        found = self._blocks.pop(number, None)
        if found is None:
            found = self.pinned.pread(min(BLOCK + OVER, self.size - number * BLOCK), number * BLOCK)
            while len(self._blocks) >= HELD:
                del self._blocks[next(iter(self._blocks))]
        self._blocks[number] = found
        return found

    def line_at(self, place: int) -> Line:
        """Return begin and end (behind its newline) of the line that a place lies in."""
        begin = self.rfind(b"\n", 0, place) + 1
        end = self.find(b"\n", place, self.size)
        return begin, self.size if end < 0 else end + 1

    def find(self, needle: bytes, begin: int, end: int) -> int:
        """Return the first place of a string of up to :data:`OVER` bytes, or -1."""
        if self.unpacked is not None:
            return self.unpacked.find(needle, begin, end)
        while begin < end:
            number = begin // BLOCK
            base = number * BLOCK
            at = self._block(number).find(needle, begin - base, end - base)
            if at >= 0:
                return base + at
            begin = base + BLOCK
        return -1

    def rfind(self, needle: bytes, begin: int, end: int) -> int:
        """Return the last place of a string of up to :data:`OVER` bytes, or -1."""
        if self.unpacked is not None:
            return self.unpacked.rfind(needle, begin, end)
        # A string that begins in a block may end in what is kept of the next.
        for number in range((end - 1) // BLOCK if end > begin else -1, -1, -1):
            base = number * BLOCK
            at = self._block(number).rfind(needle, max(begin - base, 0), end - base)
            if at >= 0:
                return base + at
            if begin >= base:
                break
        return -1

    def lines(self, needle: bytes, begin: int, end: int) -> Iterator[Line]:
        """Yield the lines that hold a string, each once, from the first on."""
        at = self.find(needle, begin, end)
        while at >= 0:
            line = self.line_at(at)
            yield line
            at = self.find(needle, line[1], end)

    def lines_back(self, needle: bytes, end: int) -> Iterator[Line]:
        """Yield the lines that hold a string, each once, from the last on."""
        at = self.rfind(needle, 0, end)
        while at >= 0:
            line = self.line_at(at)
            yield line
            at = self.rfind(needle, 0, line[0])

    def lines_before(self, place: int) -> int:
        """Return how many lines end before a place; quick where places are asked for in rising order."""
        at, count = self._counted if self._counted[0] <= place else (0, 0)
        while at < place:
            upto = min(at + BLOCK, place)
            count += self.read(at, upto).count(b"\n")
            at = upto
        self._counted = (at, count)
        return count
