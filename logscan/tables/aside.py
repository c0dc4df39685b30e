"""Bytes laid aside in a temporary file: what is kept for long and hardly ever looked at again needn't fill memory."""

from __future__ import annotations

import os
import tempfile
import weakref
from dataclasses import dataclass

import pyarrow as pa

FULL = 2**28
"""Bytes after which another file is begun: the room of one comes free when nothing in it is wanted any more."""


class Shelf:
    """A temporary file without a name, which is gone when nothing that was laid into it is referred to any more."""

    def __init__(self) -> None:
        """Begin a file. Raises OSError."""
        self._file = tempfile.TemporaryFile(prefix="logscan-")  # noqa: SIM115 - closed with this object
        weakref.finalize(self, self._file.close)
        self._end = 0

    @property
    def full(self) -> bool:
        """Whether nothing more is to be laid into it."""
        return self._end >= FULL

    def lay(self, data: pa.Buffer) -> Laid:
        """Write bytes; they are told by what this returns. Raises OSError, and then nothing is changed."""
        view, start = memoryview(data), self._end
        written = 0
        while written < len(view):
            written += os.pwrite(self._file.fileno(), view[written:], start + written)
        self._end = start + written
        return Laid(self, start, written)

    def read(self, start: int, size: int) -> bytes:
        """Return some bytes. Raises OSError."""
        parts: list[bytes] = []
        while size:
            parts.append(os.pread(self._file.fileno(), size, start))
            if not parts[-1]:
                raise OSError("a temporary file of logscan's ends too early")
            start, size = start + len(parts[-1]), size - len(parts[-1])
        return b"".join(parts)


@dataclass(frozen=True, eq=False)
class Laid:
    """Bytes in a file."""

    shelf: Shelf
    start: int
    size: int

    def read(self) -> pa.Buffer:
        """Return them. Raises OSError."""
        return pa.py_buffer(self.shelf.read(self.start, self.size))
