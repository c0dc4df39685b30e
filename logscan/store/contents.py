"""What lies in a log, asked by content: digests of its head and of what stands before a place, unpacked.

A plain file is asked at its places, some kilobytes each; what is packed has to be gone through, once for all places asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING

from logscan.sources.cutting import goes_on
from logscan.sources.source import blocks, why

if TYPE_CHECKING:
    from logscan.sources.source import Source

ENDS = 4096
"""Bytes of a head, and of what stands before a place, by which they are known."""

LONGEST = 16 << 20
"""Bytes of a journal's record that are looked through for its cursor."""

OVER = {"journal-export": b"\n\n", "json-pretty": b"\n}\n"}
"""What a record of several lines ends with."""

STEP = 64 << 10
"""Bytes looked through at once for a line's end."""


def digest(data: bytes) -> str:
    """Return what bytes are known by."""
    return blake2b(data, digest_size=16).hexdigest()


def placed(path: str) -> str:
    """Return where a file lies, from wherever that is looked at; addresses stay what they are."""
    return path if "://" in path or path.startswith("journal:") else os.path.abspath(path)  # noqa: PTH100 -- links keep their names


class Content:
    """The content of one source, as it was found; nothing is raised, see ``error``."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.path = placed(source.path)
        self.error = source.opener.broken
        """Why not all of it can be read."""
        self.packed = bool(source.compression) or source.opener.pinned is None
        self._base = 0
        self._head: bytes | None = None
        self._around: dict[int, bytearray] = {}
        self._size = -1
        self._last = b""
        held = source.opener.pinned
        if not self.packed and held is not None:
            self._base, self._size = source.opener.part or (0, held.size)

    @property
    def inode(self) -> tuple[int, int] | None:
        """Device and inode of a file."""
        held = self.source.opener.pinned
        if held is None or self.source.opener.kind != "local":
            return None
        return held.status.st_dev, held.status.st_ino

    @property
    def stored(self) -> str:
        """What a packed file is known by without unpacking it: its stored size and ends, with the packer's checksum."""
        held = self.source.opener.pinned
        if not self.source.compression or held is None:
            return ""
        base, size = self.source.opener.part or (0, held.size)
        try:
            ends = held.pread(ENDS, base), held.pread(ENDS, base + max(size - ENDS, 0))
        except OSError as error:
            self.error = why(error)
            return ""
        return digest(b"%d\n%b%b" % (size, *ends))

    @property
    def head(self) -> bytes:
        """The first :data:`ENDS` bytes; fewer where there are no more."""
        if self._head is None:
            if self.packed:
                self._head = self._first()
            else:
                self._head = self._pread(0, min(ENDS, self._size))
        return self._head

    @property
    def size(self) -> int:
        """Its bytes; what is packed is gone through for that."""
        if self._size < 0:
            self._walk(())
        return self._size

    def before(self, offset: int, size: int) -> bytes | None:
        """Return the ``size`` bytes (:data:`ENDS` at most) before a place; None where the content ends before it."""
        size = min(size, ENDS, offset)
        if self.packed:
            if offset not in self._around:
                self._walk((offset,))
            if offset > self._size:
                return None
            around = self._around[offset]
            middle = min(offset, ENDS)
            return bytes(around[middle - size : middle])
        if offset > self._size:
            return None
        found = self._pread(offset - size, size)
        return found if len(found) == size else None

    def behind(self, offset: int) -> bytes:
        """Return up to :data:`ENDS` bytes behind a place."""
        if self.packed:
            if offset not in self._around:
                self._walk((offset,))
            return bytes(self._around[offset][min(offset, ENDS) :])
        return self._pread(offset, max(min(ENDS, self._size - offset), 0))

    def ask(self, offsets: Iterable[int]) -> None:
        """Say which places will be asked for, so that what is packed is gone through once."""
        if self.packed:
            new = [offset for offset in offsets if offset not in self._around]
            if new:
                self._walk(new)

    def whole_lines(self, start: int) -> int:
        """Return where the last line behind ``start`` ends that is whole, and isn't gone on with in a line to come.

        Records of several lines count as one line; where nothing tells whether the last one is whole, it is left.
        """
        boundary = self.source.boundary
        end = self.size
        if boundary != (b"\n",):
            over = OVER.get(self.source.kind)
            whole = over is not None and end > start and self.before(end, len(over)) == over
            return end if whole else self._last_of(boundary, start, end)
        first = place = self._last_of((b"\n",), start, end)
        window = (self.before(place, ENDS) or b"") + self.behind(place)[:1]
        at = min(place, ENDS) - 1
        while place > start and goes_on(window, at):
            previous = window.rfind(b"\n", 0, at)
            if previous < 0:
                return first
            place -= at - previous
            at = previous
        return max(place, start)

    def _last_of(self, boundary: tuple[bytes, ...], start: int, end: int) -> int:
        """Return the last place up to ``end`` behind which a piece may begin; ``start`` where there is none."""
        keep = boundary[0].rindex(b"\n") + 1
        if self.packed:
            found = max(self._last.rfind(each) for each in boundary)
            return max(start, self._size - len(self._last) + found + keep) if found >= 0 else start
        longest = max(map(len, boundary)) - 1
        while end > start:
            begin = max(start - keep, end - STEP, 0)
            window = self._pread(begin, end - begin)
            found = max(window.rfind(each) for each in boundary)
            if found >= 0:
                return max(start, begin + found + keep)
            if begin <= start:
                break
            end = begin + longest
        return start

    def count(self, stop: int) -> int:
        """Return how many newlines stand before a place."""
        errors: list[str] = []
        lines = 0
        for block in blocks(self.source.opener, errors):
            lines += block[: max(stop, 0)].count(b"\n")
            stop -= len(block)
        return lines

    def part(self, start: int, stop: int) -> bytes:
        """Return the bytes between two places of a plain file."""
        return self._pread(start, max(min(stop, self._size) - start, 0))

    def each_line(self) -> Iterator[bytes]:
        """Yield the whole lines, with their newlines, up to one that has no end."""
        rest = b""
        for block in blocks(self.source.opener, [], STEP):
            whole, newline, rest = (rest + block).rpartition(b"\n")
            yield from (line + b"\n" for line in whole.split(b"\n")) if newline else ()
            if len(rest) > LONGEST:
                return

    def known(self, size: int) -> None:
        """Believe that a packed content has so many bytes: it was gone through before."""
        self._size = size

    def leading(self, byte: bytes) -> int:
        """Return how many such bytes a plain file begins with."""
        at = 0
        while window := self._pread(at, min(STEP, self._size - at)):
            rest = window.lstrip(byte)
            at += len(window) - len(rest)
            if rest:
                break
        return at

    def head_line(self) -> bytes:
        """Return the first line, as far as :data:`LONGEST` bytes go."""
        return self._pread(0, min(LONGEST, self.size)).split(b"\n", 1)[0]

    def last_line(self, stop: int) -> bytes:
        """Return the line that ends with the newline before a place."""
        begin = self._last_of((b"\n",), max(stop - LONGEST, 0), stop - 1)
        return self._pread(begin, max(stop - 1 - begin, 0))

    def _pread(self, offset: int, size: int) -> bytes:
        held = self.source.opener.pinned
        try:
            return held.pread(size, self._base + offset) if held is not None and size > 0 else b""
        except OSError as error:
            self.error = why(error)
            return b""

    def _first(self) -> bytes:
        errors: list[str] = []
        out = b""
        for block in blocks(self.source.opener, errors, STEP):
            out += block
            if len(out) >= ENDS:
                break
        else:
            self._size = len(out)
            self._last = out[-ENDS:]
            self.error = errors[0] if errors else self.error
        return out[:ENDS]

    def _walk(self, offsets: Iterable[int]) -> None:
        """Go through what is packed, and keep what lies around some places and at the end."""
        around: dict[int, bytearray] = {offset: bytearray() for offset in offsets}
        errors: list[str] = []
        at, last = 0, b""
        for block in blocks(self.source.opener, errors):
            end = at + len(block)
            for offset, kept in around.items():
                begin, stop = max(offset - ENDS, at, 0), min(offset + ENDS, end)
                if begin < stop:
                    kept.extend(block[begin - at : stop - at])
            last = block[-ENDS:] if len(block) >= ENDS else (last + block)[-ENDS:]
            at = end
        self._size, self._last = at, last
        self.error = errors[0] if errors else self.error
        self._around |= around
