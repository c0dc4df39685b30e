"""A log or configuration to read: gives its content, unpacked, in whole lines, and says what can't be read of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from logscan.envelopes.records import BOUNDARIES
from logscan.sources.cutting import cut_behind, whole_lines
from logscan.sources.opening import Opener, OpenError
from logscan.sources.pinned import cut
from logscan.sources.unpacking import unpack

HEAD = 65_536
"""Bytes by which a file is recognised."""

MOST_NULS = 64 << 20
"""NUL bytes skipped at the head of a file in search of text."""

BLOCK = 1 << 20
"""Bytes read at once, beyond what they were recognised by."""


@dataclass
class ConfigFile:
    """A text file that is no log, so perhaps a configuration; ``label`` as for :class:`Source`."""

    path: str
    label: str
    opener: Opener = field(repr=False)

    @property
    def head(self) -> bytes:
        """The first 64 KiB, unpacked; empty where it can't be read."""
        return self.read(HEAD)

    def read(self, limit: int = 64 << 20) -> bytes:
        """Return the content, unpacked, up to ``limit`` bytes; empty where it can't be read."""
        out = bytearray()
        for block in blocks(self.opener, []):
            out += block
            if len(out) >= limit:
                break
        return bytes(out[:limit])


@dataclass
class Source:
    """One log to read.

    ``label`` is a short unique name; ``kind`` what wrote it (see :mod:`logscan.envelopes.sniffing`); ``compression`` gzip,
    bzip2, xz, zstd or empty; ``size`` its bytes as stored, where known; ``mtime`` in epoch seconds; ``first_time`` the
    UTC time (ns) of its first line where that tells it; ``context`` what :func:`logscan.envelopes.unwrapping.unwrap` needs (the
    user of a DSPAM user log). ``error`` says after reading why not all could be read.

    A source may be a part of what lies there: from byte ``start`` up to byte ``stop`` (None: its end) of the unpacked
    content, NUL bytes counted; both stand behind a newline. ``before`` is the number of lines before that part, ``since``
    the UTC time (ns) of the last of them, where known. ``size`` is that of the part where it isn't packed; ``first_time`` stays
    the whole file's, so that rotated sets keep their order when a clock is set back.
    """

    path: str
    label: str
    kind: str
    opener: Opener = field(repr=False)
    compression: str = ""
    size: int | None = None
    mtime: float | None = None
    first_time: int | None = None
    context: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    start: int = 0
    stop: int | None = None
    before: int = 0
    since: int | None = None

    def chunks(self, size: int = 4 << 20) -> Iterator[bytes]:
        """Yield the content, unpacked, in pieces of whole lines of about ``size`` bytes; the last may lack its newline.

        A line longer than 1 MiB is cut there. Nothing is raised: what can't be read is told in ``error``. Streams can
        be read once, beyond what they were recognised by.
        """
        errors: list[str] = []
        pieces = self.raw(errors, min(size, BLOCK))
        if self.kind != "journal-export":
            # A log cut to nothing while its writer stays at the old place (copytruncate) starts with a run of NULs.
            endless = self.opener.kind in ("stream", "remote", "journal", "kept")
            pieces = _without_nuls(pieces, errors, MOST_NULS if endless else None)
        yield from whole_lines(pieces, size, self.boundary)
        if errors:
            self.error = errors[0]

    def raw(self, errors: list[str], size: int = BLOCK) -> Iterator[bytes]:
        """Yield the bytes from ``start`` to ``stop``, unpacked, NULs among them; what can't be read is added to ``errors``."""
        if self.start and not self.compression and self.opener.pinned is not None:
            return _between(entered(self.opener, self.start, errors, size), 0, self._length)
        return _between(blocks(self.opener, errors, size), self.start, self._length)

    @property
    def _length(self) -> int | None:
        return None if self.stop is None else max(self.stop - self.start, 0)

    @property
    def boundary(self) -> tuple[bytes, ...]:
        """What pieces end and begin with; see :data:`logscan.envelopes.records.BOUNDARIES`."""
        return BOUNDARIES.get(self.kind, (b"\n",))

    def spans(self, size: int = 4 << 20) -> list[tuple[int, int]] | None:
        """Return (offset, length) of pieces of whole lines, or None where the content must be read in sequence.

        Only plain local files have spans; offsets are those in the file. It is taken to end where it ended when it was
        found.
        """
        if self.compression or self.opener.kind != "local" or self.kind in BOUNDARIES:
            return None
        out: list[tuple[int, int]] = []
        held = self.opener.pinned
        if held is None:
            return None
        try:
            start, total = self.start, held.size if self.stop is None else min(self.stop, held.size)
            while start < total:
                end = min(start + size, total)
                if end < total:
                    found = cut_behind(held.pread, end, total)
                    if found is None and (self.stop is None or held.pread(1, total - 1)):
                        return None
                    end = found or total  # the rest is gone: reading it says so
                out.append((start, end - start))
                start = end
        except OSError as error:
            self.error = why(error)
        return out

    def read_span(self, offset: int, length: int) -> bytes:
        """Return the piece that :meth:`spans` named; what there is of it, with ``error`` set, where it can't be read."""
        held = self.opener.pinned
        try:
            found = held.pread(length, offset) if held is not None else b""
        except OSError as error:
            self.error = why(error)
            return b""
        if len(found) < length and held is not None:
            self.error = cut(offset + len(found), held.size)
            if self.stop is not None:  # what is gone on in later must not begin within a line
                found = found[: found.rfind(b"\n") + 1]
        return found

    def settled(self) -> None:
        """Look, once all is read, whether the file stayed what it was; else say so in ``error``."""
        held = self.opener.pinned
        if held is not None and not self.error:
            self.error = held.change()


def blocks(opener: Opener, errors: list[str], size: int = BLOCK) -> Iterator[bytes]:
    """Yield what lies there, unpacked; what can't be read is added to ``errors``."""
    try:
        yield from unpack(opener.pieces(size), errors)
    except (OSError, OpenError) as error:
        errors.append(why(error) if isinstance(error, OSError) else str(error))


def entered(opener: Opener, start: int, errors: list[str], size: int = BLOCK) -> Iterator[bytes]:
    """Yield what lies there, as stored, from byte ``start`` on; what can't be read is added to ``errors``."""
    try:
        yield from opener.pieces(size, start)
    except (OSError, OpenError) as error:
        errors.append(why(error) if isinstance(error, OSError) else str(error))


def _between(pieces: Iterator[bytes], start: int, length: int | None) -> Iterator[bytes]:
    """Yield ``length`` bytes of a stream (None: all) from byte ``start`` on."""
    at, end = 0, None if length is None else start + length
    for piece in pieces:
        begin, at = at, at + len(piece)
        if at > start or begin >= start:
            part = piece[max(start - begin, 0) : None if end is None else max(end - begin, 0)]
            if part:
                yield part
        if end is not None and at >= end:
            return


def _without_nuls(blocks: Iterator[bytes], errors: list[str], most: int | None) -> Iterator[bytes]:
    """Yield blocks without their NULs; what is nothing else for ``most`` bytes ends there, since it may have no end."""
    run = 0
    for block in blocks:
        text = block.translate(None, b"\0") if b"\0" in block else block
        run = run + len(block) if not text else 0
        if most is not None and run > most:
            errors.append(f"nothing but NUL bytes for {most >> 20} MB: what stands before was read")
            return
        if text:
            yield text


def why(error: OSError) -> str:
    """Return a sentence: what is wrong, and what to do."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file or folder; check the path"
    if isinstance(error, PermissionError):
        return "it may not be read by this user; run as root or as a member of the group adm"
    return f"it could not be read: {error.strerror or error}"
