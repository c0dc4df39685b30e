"""The one way to write files: aside, then renamed, so that a file is whole or as it was; never through a stranger's link."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

from logscan import trust

EVERYBODY = 0o666
"""The mode of a new file, before the umask and the logs' own modes take from it."""

One = str | bytes | Callable[[BinaryIO], None]
Content = One | Mapping[str, One]
"""Text, bytes, several files by name, or what writes them into an open file."""


def save(content: Content, path: Path, readers: int = EVERYBODY) -> None:
    """Write ``content`` to ``path`` (a folder for several files), each file whole or not at all.

    An existing file keeps owner and mode; a new one can be read by those whom the umask and ``readers`` let. A link is
    followed where it is root's or ours. Raises OSError, whose text says why.
    """
    if isinstance(content, Mapping):
        made(path, readers)
        _save([(path / name, each) for name, each in sorted(content.items())], readers)
    else:
        _save([(path, content)], readers)


def _save(contents: list[tuple[Path, One]], readers: int) -> None:
    """Write all aside first, then see to it that the disk has them, then rename: the disk is waited for once, about."""
    with ExitStack() as stack:
        written = []
        for given, content in contents:
            path = Path(os.path.abspath(given))  # noqa: PTH100 - links stay
            _walked(path)
            if _is_device(path):
                with path.open("wb") as file:
                    _fill(content, file)
                continue
            path = path.resolve() if path.is_symlink() else path
            parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, parent)
            written.append((*_aside(content, path.name, parent, readers, stack), path.name, parent))
        for fd, *_ in written:
            # Without it a power cut leaves a file that was renamed, and is empty.
            os.fsync(fd)
        for _, aside, name, parent in written:
            os.replace(aside, name, src_dir_fd=parent, dst_dir_fd=parent)


def made(folder: Path, readers: int = EVERYBODY) -> None:
    """Make a folder and those above it, where they aren't there; raises OSError for a stranger's link to one."""
    _walked(folder)
    if not folder.is_dir():
        above = 0o111 & readers >> 2
        folder.mkdir(mode=0o777 & (readers | above | 0o700), parents=True, exist_ok=True)


def _is_device(path: Path) -> bool:
    """Whether it is no place for a file: a FIFO, a terminal, ``/dev/stdout``, whatever that leads to."""
    if not path.is_dir() and path.exists() and (not path.is_file() or path.is_relative_to("/dev/")):
        return True
    return path.is_symlink() and path.is_relative_to("/proc")


def _walked(path: Path) -> None:
    """Raise OSError where a part of the path is a link that belongs to somebody else."""
    if not hasattr(os, "geteuid"):
        return
    for part in (*reversed(path.absolute().parents), path.absolute()):
        with suppress(FileNotFoundError, NotADirectoryError):
            status = part.lstat()
            if stat.S_ISLNK(status.st_mode) and not trust.ours(status):
                raise OSError(errno.ELOOP, f"{part} is a link that belongs to another user, and isn't followed")


def _aside(content: One, name: str, parent: int, readers: int, stack: ExitStack) -> tuple[int, str]:
    """Write beside ``name``; return the open file's descriptor and its name. ``stack`` closes it, and removes what is left."""
    before = _before(name, parent)
    aside = f".{name[:200]}.{secrets.token_hex(6)}"
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent)
    stack.callback(_removed, aside, parent)
    stack.callback(os.close, fd)
    with os.fdopen(fd, "wb", closefd=False) as file:
        _fill(content, file)
        file.flush()
        _owned(fd, before, readers)
    return fd, aside


def _removed(aside: str, parent: int) -> None:
    """Take away a file that was not renamed."""
    with suppress(OSError):
        os.unlink(aside, dir_fd=parent)


def _before(name: str, parent: int) -> os.stat_result | None:
    """Return what lies there already; raises OSError where it isn't ours to write to."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    folder = os.fstat(parent)
    if hasattr(os, "geteuid") and trust.writable(folder) and not trust.ours(found) and found.st_uid != folder.st_uid:
        raise PermissionError(errno.EPERM, "another user's file lies there, in a folder that others can write")
    return found


def _fill(content: One, file: BinaryIO) -> None:
    if callable(content):
        content(file)
    else:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


def _owned(fd: int, before: os.stat_result | None, readers: int) -> None:
    """Give a file the owner and mode of the one it takes the place of; a new one those that its readers may have."""
    if before is None:
        os.fchmod(fd, readers & ~_umask() | 0o600)
        return
    own = os.fstat(fd)
    if (before.st_uid, before.st_gid) != (own.st_uid, own.st_gid):
        try:
            os.fchown(fd, before.st_uid, before.st_gid)
        except OSError:  # not root: a new owner then must not let more people read
            os.fchmod(fd, before.st_mode & 0o606 | 0o600)
            return
    os.fchmod(fd, before.st_mode & 0o7777)


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def readers(modes: list[tuple[int, int]]) -> int:
    """Return the mode that a report on files with these modes and groups may have: nobody reads it who can't read each.

    A group's right holds for that group; a new file has the writer's.
    """
    allowed = EVERYBODY
    for mode, group in modes:
        if not mode & stat.S_IROTH:
            allowed &= ~0o006
            if not mode & stat.S_IRGRP or group != os.getegid():
                allowed &= ~0o060
    return allowed
