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

from logscan.pinned import Pinned
from logscan.sources_open import Opener, OpenError
from logscan.unpacking import compression, unpack

DAMAGED = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, OverflowError)
"""What tarfile raises for a damaged archive."""

MOST_MEMBERS = 50_000
"""Members that are looked at."""

MOST_UNPACKED = 4 << 30
"""Bytes of a packed archive that are unpacked to disk."""

MOST_NAME = 200
"""Characters of a member's name that are shown."""


def members(archive: Opener) -> Iterator[tuple[Opener, str]]:
    """Yield an opener for each file in a tar archive, packed or not, and its name; raises :class:`OpenError`."""
    held = archive.pinned
    assert held is not None
    errors: list[str] = []
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
                if member.isreg() and not member.issparse() and not _hidden(member.name):
                    part = (member.offset_data, member.size)
                    path = f"{archive.path}/{member.name[:MOST_NAME]}"
                    yield Opener("tar", path, member.size, float(member.mtime), pinned=held, part=part), member.name
    except (*DAMAGED, OSError) as error:
        raise OpenError(errors[0] if errors else f"the archive is damaged: {error}") from error
    if errors:
        raise OpenError(errors[0])


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
