"""What a power cut leaves of a run: its writes, syncs and renames, as the shim wrote them down, with the unsynced ones dropped.

A kill leaves all that was written in the kernel's hands; a power cut doesn't. By POSIX a file's bytes are safe once it was
synced, and a name once the folder it stands in was; a file's creation also once the file was (what Linux' file systems do).
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

HEAD = struct.Struct("=5q")
SECTOR = 512
Mode = Literal["data", "names", "both", "torn"]
MODES: tuple[Mode, ...] = ("data", "names", "both", "torn")
"""Bytes not synced are dropped; names (created, renamed, removed) not synced are; both; of bytes only some sectors are kept."""


@dataclass(frozen=True)
class Operation:
    """``what``: w(rite), t(runcate), s(ync), c(reate), r(ename), u(nlink), d: mkdir."""

    what: str
    path: str
    other: str
    offset: int
    data: bytes


def operations(record: Path) -> Iterator[Operation]:
    """Read what the shim wrote down."""
    content = record.read_bytes() if record.exists() else b""
    place = 0
    while place < len(content):
        what, offset, one, two, size = HEAD.unpack_from(content, place)
        place += HEAD.size
        path, other = content[place : place + one], content[place + one : place + one + two]
        place += one + two
        yield Operation(chr(what), path.decode(), other.decode(), offset, content[place : place + size])
        place += size


@dataclass
class _File:
    safe: bytes
    """Content that was synced."""
    since: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Writes since; None for the bytes: cut or filled up to the offset."""

    def content(self, *, keep: bool, chance: random.Random | None = None) -> bytes:
        found = bytearray(self.safe)
        for offset, data in self.since if keep or chance else ():
            if data is None:
                if chance is None or chance.random() < 0.5:
                    found = found[:offset] + bytes(max(0, offset - len(found)))
                continue
            for start in range(0, len(data), SECTOR):
                if chance is not None and chance.random() < 0.5:
                    continue
                piece, place = data[start : start + SECTOR], offset + start
                found += bytes(max(0, place - len(found)))
                found[place : place + len(piece)] = piece
        return bytes(found)


@dataclass
class _Naming:
    what: str
    path: str
    other: str
    file: _File | None
    safe: bool = False


class Disk:
    """A folder's files as they were before a run, and what the run did to them so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._first = {
            str(path): _File(path.read_bytes())
            for path in sorted(folder.rglob("*"))
            if path.is_file() and _kept(str(path))
        }
        self._folders = {str(path) for path in folder.rglob("*") if path.is_dir()} | {str(folder)}
        self._now = dict(self._first)
        self._namings: list[_Naming] = []

    def apply(self, done: Operation) -> None:
        """Do what the run did next."""
        path = done.path.removesuffix(" (deleted)")
        if not _kept(path) or path != done.path:
            return
        if done.what == "d":
            self._folders.add(path)
        elif done.what == "c":
            self._now[path] = _File(b"")
            self._namings.append(_Naming("c", path, "", self._now[path]))
        elif done.what == "s":
            self._synced(path)
        elif done.what == "r" and path in self._now:
            self._now[done.other] = self._now.pop(path)
            self._namings.append(_Naming("r", path, done.other, self._now[done.other]))
        elif done.what == "u" and path in self._now:
            self._namings.append(_Naming("u", path, "", self._now.pop(path)))
        elif done.what in "wt" and path in self._now:
            self._now[path].since.append((done.offset, done.data if done.what == "w" else None))

    def _synced(self, path: str) -> None:
        if path in self._now:
            file = self._now[path]
            file.safe, file.since = file.content(keep=True), []
            for each in self._namings:
                each.safe |= each.what == "c" and each.file is file
        else:
            for each in self._namings:
                each.safe |= path in {str(Path(each.path).parent), str(Path(each.other).parent)}

    def left(self, mode: Mode, seed: int = 0) -> dict[str, bytes]:
        """Return the files, by path, that a power cut now leaves."""
        chance = random.Random(seed) if mode == "torn" else None
        names = dict(self._first)
        for each in self._namings:
            if each.safe or mode in ("data", "torn"):
                _named(names, each)
        keep = mode == "names"
        return {path: file.content(keep=keep, chance=chance) for path, file in names.items()}

    def lay(self, files: dict[str, bytes]) -> None:
        """Write these files into the folder, which is empty."""
        for path in sorted(self._folders):
            Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, content in files.items():
            Path(path).write_bytes(content)
            Path(path).chmod(0o600)


def _kept(path: str) -> bool:
    """SQLite's -shm is mapped, not written, and made anew after a crash."""
    return not path.endswith("-shm")


def _named(names: dict[str, _File], done: _Naming) -> None:
    assert done.file
    if done.what == "c":
        names[done.path] = done.file
    elif done.what == "u":
        names.pop(done.path, None)
    elif (file := names.pop(done.path, None)) is not None:
        names[done.other] = file


def unsafe(done: Sequence[Operation]) -> list[int]:
    """Return after how many operations a power cut can leave something new: all but those that only follow a sync."""
    return [number for number in range(1, len(done) + 1) if done[number - 1].what != "d"]
