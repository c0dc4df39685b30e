"""A file as it was when it was found: what was opened is what is read, whatever takes its name, or becomes of it, later."""

from __future__ import annotations

import os
import stat
import weakref
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any, ClassVar

MOST_OPEN = 200
"""Files held open at once; the ones that wait longest are closed, and known again by what they are."""

HEAD = 4096
"""First bytes by which a file is known again."""

OVERWRITTEN = "it was overwritten while it was read: what was read may be of both"
RESTAMPED = "its time stamps were set while it was read: whether its lines were changed can't be told"


class ChangedError(OSError):
    """The file isn't any more what it was when it was found; the message says what became of it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.strerror = message


class Pinned:
    """A regular file, held open, of the size that it had then: what is written behind that is another run's.

    Pickled it goes on working where the descriptor was inherited or the path still leads to the same file.
    """

    _held: ClassVar[OrderedDict[int, weakref.ref[Pinned]]] = OrderedDict()

    def __init__(self, path: str, fd: int | None = None) -> None:
        self.path = path
        self.kept = fd is not None
        """Whether there is no path that leads to it: it is never closed before it goes."""
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC) if fd is None else fd
        self.status = os.fstat(self._fd)
        if not stat.S_ISREG(self.status.st_mode):
            os.close(self._fd)
            self._fd = -1
            raise ChangedError("it is no regular file any more")
        self.size = self.status.st_size
        self._borrowed = False
        self._head = self._begins(self._fd)
        self._note()

    def _note(self) -> None:
        """Count this one among the open ones; close the one that waits longest."""
        if self.kept or self._borrowed:
            return
        held = Pinned._held
        held[id(self)] = weakref.ref(self)
        held.move_to_end(id(self))
        while len(held) > MOST_OPEN:
            waiting = held.popitem(last=False)[1]()
            if waiting is not None:
                waiting.close()

    def close(self) -> None:
        """Let go of the descriptor; what is read later is read from the path, if that is still this file."""
        if self._fd >= 0 and not self._borrowed:
            type(self)._held.pop(id(self), None)  # by the type: at the interpreter's end the module's names are gone
            os.close(self._fd)
        self._fd = -1

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0 and os is not None:
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_borrowed": True}

    def _begins(self, fd: int) -> int:
        return zlib.crc32(os.pread(fd, min(HEAD, self.size), 0))

    def pread(self, size: int, offset: int) -> bytes:
        """Return up to ``size`` bytes at ``offset``, none behind the size it had; fewer where it was cut since."""
        size = min(size, self.size - offset)
        if size <= 0:
            return b""
        fd = self._ready()
        out = os.pread(fd, size, offset)
        while out and len(out) < size and (more := os.pread(fd, size - len(out), offset + len(out))):
            out += more
        return out

    def change(self) -> str:
        """Return what became of it since it was opened, as a sentence; empty where only lines were added, or nothing was.

        What grew has new stamps as well. The time of the last change of status can't be set: where that alone is new and
        neither name nor mode nor owner is, somebody put back the stamp of the last writing.
        """
        try:
            fd = self._ready()
            now, then = os.fstat(fd), self.status
            if now.st_size < self.size or self._begins(fd) != self._head:
                return OVERWRITTEN
            if now.st_size > self.size or now.st_ctime_ns == then.st_ctime_ns:
                return ""
            if now.st_mtime_ns != then.st_mtime_ns:
                return OVERWRITTEN
            kept = all(
                getattr(now, each) == getattr(then, each) for each in ("st_mode", "st_uid", "st_gid", "st_nlink")
            )
            return RESTAMPED if kept and not self.kept and self._at_its_path() else ""
        except OSError:
            return OVERWRITTEN

    def _at_its_path(self) -> bool:
        """Whether the path still leads to it: a rotation gives it another name, and by that a new time of its status."""
        try:
            now = Path(self.path).stat()
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == (self.status.st_dev, self.status.st_ino)

    def _ready(self) -> int:
        """Return the descriptor: the one that was opened, in this process or in the one this comes from, or one like it."""
        if self._fd >= 0 and (not self._borrowed or self._is(self._fd)):
            self._note()
            return self._fd
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ChangedError("it was removed or renamed while it was read") from None
        if not self._is(fd):
            os.close(fd)
            raise ChangedError("another file took its place while it was read")
        size = os.fstat(fd).st_size
        if size < self.size or self._begins(fd) != self._head:
            os.close(fd)
            raise ChangedError(cut(size, self.size) if size < self.size else OVERWRITTEN)
        self._fd, self._borrowed = fd, False
        self._note()
        return fd

    def _is(self, fd: int) -> bool:
        """Whether the descriptor is of this file: descriptors' numbers are used again."""
        try:
            now = os.fstat(fd)
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == (self.status.st_dev, self.status.st_ino)

    def file(self, offset: int = 0, size: int | None = None) -> Window:
        """Return a reader of the whole, or of ``size`` bytes from ``offset``."""
        return Window(self, offset, self.size - offset if size is None else size)


class Window:
    """A part of a pinned file as a file object; it reads where nobody else's reading moves it."""

    MOST = 16 << 20
    """Bytes read at once at most: what asks for more was told so by a hostile archive."""

    def __init__(self, pinned: Pinned, offset: int, size: int) -> None:
        self.pinned, self.offset, self.size, self.at = pinned, offset, size, 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; raises :class:`ChangedError` where the file ends before the size it had."""
        left = self.size - self.at
        size = left if size < 0 else min(size, left)
        if size > self.MOST:
            raise ChangedError("a part of it claims to be beyond all sense")
        out = self.pinned.pread(size, self.offset + self.at)
        if len(out) < size and self.offset + self.at + len(out) < self.pinned.size and not out:
            raise ChangedError(cut(self.offset + self.at, self.pinned.size))
        self.at += len(out)
        return out

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move; returns the new place."""
        self.at = max(0, (0, self.at, self.size)[whence] + offset)
        return self.at

    def tell(self) -> int:
        """Return the place."""
        return self.at

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def cut(got: int, size: int) -> str:
    """Return the sentence about a file that became shorter."""
    return f"it was cut while it was read: {got:,} of {size:,} bytes were read"
