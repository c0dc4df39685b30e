"""Tar archives: each member a file of its own, whatever it is called. A packed archive is unpacked once, on disk."""

from __future__ import annotations

import lzma
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from logscan.sources.opening import Opener, OpenError
from logscan.sources.pinned import Pinned
from logscan.sources.unpacking import compression, unpack

DAMAGED = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, OverflowError)
"""What tarfile raises for a damaged archive."""

MOST_MEMBERS = 50_000
"""Members that are looked at."""

MOST_UNPACKED = 4 << 30
"""Bytes of a packed archive that are unpacked to disk."""

MOST_NAME = 200
"""Characters of a member's name that are shown."""


MOST_PASSED = 20
"""Members that are named one by one where they aren't read."""


def members(archive: Opener, passed: list[str]) -> Iterator[tuple[Opener, str]]:
    """Yield an opener for each file in a tar archive, packed or not, and its name; raises :class:`OpenError`.

    What isn't read is said in ``passed``. Of a sparse file, as a log is that was cut under its writer (copytruncate), the
    holes are left out: its stored pieces lie one behind the other.
    """
    held = archive.pinned
    assert held is not None
    errors: list[str] = []
    left_out = 0
    if compression(held.pread(512, 0)):
        held = _unpacked(archive, errors)
    try:
        file: Any = held.file()
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for number, member in enumerate(tar):
                # tarfile keeps all it has seen: millions of empty members would fill the memory.
                tar.members = []  # type: ignore[attr-defined]
                if number >= MOST_MEMBERS:
                    raise OpenError(f"the archive has more than {MOST_MEMBERS:,} members: the others weren't looked at")
                size = _stored(member)
                if size < 0:
                    raise OpenError(f"the archive is damaged: a member of {member.size} bytes")
                if why := _why_not(member):
                    left_out += 1
                    if left_out <= MOST_PASSED:
                        passed.append(f"{member.name[:MOST_NAME]}: {why}")
                elif member.isreg():
                    path = f"{archive.path}/{member.name[:MOST_NAME]}"
                    opener = Opener("tar", path, size, member.mtime, pinned=held, part=(member.offset_data, size))
                    yield opener, member.name
    except (*DAMAGED, OSError) as error:
        raise OpenError(errors[0] if errors else f"the archive is damaged: {error}") from error
    finally:
        if left_out > MOST_PASSED:
            passed.append(f"{left_out - MOST_PASSED:,} more members: not regular files, or hidden")
    if errors:
        raise OpenError(errors[0])


def _stored(member: tarfile.TarInfo) -> int:
    """Return how many bytes the archive holds of a member; fewer than its size where that has holes."""
    sparse: Any = getattr(member, "sparse", None)
    if sparse is None:
        return member.size
    return -1 if any(size < 0 for _, size in sparse) else sum(size for _, size in sparse)


def _why_not(member: tarfile.TarInfo) -> str:
    """Return why a member isn't read, or an empty string."""
    if member.isdir():
        return ""
    if not member.isreg():
        return "a link in the archive" if member.issym() or member.islnk() else "not a regular file"
    return "its name begins with a dot" if _hidden(member.name) else ""


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts if part not in (".", ".."))


def _unpacked(archive: Opener, errors: list[str]) -> Pinned:
    """Unpack to a file without a name, which goes with its last reader."""
    try:
        with tempfile.TemporaryFile(prefix="logscan-") as file:
            size = 0
            for block in unpack(archive.pieces(1 << 20), errors):
                size += len(block)
                if size > MOST_UNPACKED:
                    raise OpenError(
                        f"the archive holds more than {MOST_UNPACKED >> 30} GB: unpack it yourself and name the folder"
                    )
                file.write(block)
            file.flush()
            return Pinned(archive.path, os.dup(file.fileno()))
    except OSError as error:
        raise OpenError(f"the archive can't be unpacked to {tempfile.gettempdir()}: {error.strerror}") from error
