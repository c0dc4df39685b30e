"""Finds what to read: files, folders, globs, standard input, the journal, URLs; each recognised by its content."""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from logscan.envelopes.sniffing import sniff
from logscan.sources import rotation
from logscan.sources.naming import dspam_user, unique
from logscan.sources.opening import Opener, OpenError, journal, local, remote, shown, streamed
from logscan.sources.source import HEAD, MOST_NULS, ConfigFile, Source, why
from logscan.sources.unpacking import NAMES, compression, unpack

DEFAULT_LOGS = ("/var/log/mail.log*", "/var/log/maillog*")
SKIPPED_FOLDERS = (".sig", ".frag")
"""Endings of folders in a DSPAM home that hold one file a message and no log."""

NOT_LOGS = {"binary": "not a text file", "mbox": "a mailbox", "empty": "empty"}


class PassedOver(NamedTuple):
    """A file that isn't read: its path, how it is called in notes, and why."""

    path: str
    label: str
    why: str

    def __str__(self) -> str:
        """Return a note."""
        return f"{self.label}: {self.why}"


@dataclass
class Discovery:
    """What was found: ``sources`` in order of time within each set, ``errors`` as (what was named, what is wrong)."""

    sources: list[Source] = field(default_factory=list)
    configs: list[ConfigFile] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)
    modes: list[tuple[int, int]] = field(default_factory=list)
    """Mode and group of each local file that was opened."""


def discover(args: Sequence[str], *, stdin: BinaryIO | None = None) -> Discovery:
    """Find what ``args`` name: files, folders, globs, ``-``, ``journal:``, URLs; none of these: this host's mail log.

    ``stdin`` is read for ``-`` (default: standard input). Nothing is raised: see :class:`Discovery`.
    """
    finder = _Finder(stdin)
    if not args:
        args = [path for pattern in DEFAULT_LOGS for path in _matches(pattern)] or ["journal:"]
    for arg in args:
        finder.take(arg)
    return finder.finish()


def order(sources: Sequence[Source]) -> list[Source]:
    """Return ``sources`` with each rotated set together, its oldest file first.

    Times told by the lines decide where every file of a set has one, else dates and numbers in the names.
    """
    sets: dict[str, list[Source]] = {}
    for source in sources:
        sets.setdefault(rotation.parse(source.path).set, []).append(source)
    out: list[Source] = []
    for members in sets.values():
        if all(each.first_time is not None for each in members):
            members.sort(key=lambda each: (each.first_time or 0, rotation.parse(each.path).age))
        else:
            members.sort(key=lambda each: rotation.parse(each.path).age)
        out += members
    return out


class _Finder:
    """Collects what the arguments name."""

    def __init__(self, stdin: BinaryIO | None) -> None:
        self.found = Discovery()
        self.stdin = stdin
        self.seen: set[tuple[int, int]] = set()

    def take(self, arg: str) -> None:
        """Add what one argument names."""
        if arg == "-":
            stream = self.stdin or sys.stdin.buffer
            self._add(streamed(stream, HEAD), "-", "standard input", explicit=True)
        elif arg.startswith("journal:"):
            self._journal(arg)
        elif "://" in arg:
            self._remote(arg)
        else:
            self._local(arg)

    def finish(self) -> Discovery:
        """Return what was found, ordered, with unique labels."""
        self.found.sources = order(self.found.sources)
        unique([*self.found.sources, *self.found.configs])
        return self.found

    def _journal(self, arg: str) -> None:
        try:
            opener = journal(arg.removeprefix("journal:"))
            self._add(opener, opener.path, "journal", explicit=True, kind="journal-json")
        except OpenError as error:
            self.found.errors.append((arg, str(error)))

    def _remote(self, arg: str) -> None:
        try:
            for opener, label in remote(arg):
                self._add(opener, opener.path, label, explicit=True)
        except OpenError as error:
            self.found.errors.append((shown(arg), str(error)))

    def _local(self, arg: str) -> None:
        path = Path(arg).expanduser()
        paths = [path]
        if glob.has_magic(arg) and not os.path.lexists(path):
            paths = [Path(each) for each in _matches(str(path))]
            if not paths:
                self.found.errors.append(
                    (arg, "no file matches this pattern; check the folder, and quote it for the shell")
                )
        for each in paths:
            try:
                mode = each.stat().st_mode
            except OSError as error:
                self.found.errors.append((str(each), why(error)))
                continue
            if stat.S_ISDIR(mode):
                self._folder(each)
            else:
                self._file(each, each.name, explicit=True)

    def _folder(self, top: Path) -> None:
        visited: set[tuple[int, int]] = set()

        def failed(error: OSError) -> None:
            self.found.errors.append((str(error.filename), why(error)))

        for folder, folders, files in os.walk(top, followlinks=True, onerror=failed):
            here = Path(folder).stat()
            if (here.st_dev, here.st_ino) in visited:
                folders.clear()
                continue
            visited.add((here.st_dev, here.st_ino))
            folders[:] = sorted(
                each for each in folders if not each.startswith(".") and not each.endswith(SKIPPED_FOLDERS)
            )
            for name in sorted(each for each in files if not each.startswith(".")):
                path = Path(folder) / name
                self._file(path, str(path.relative_to(top)), explicit=False)

    def _file(self, path: Path, label: str, *, explicit: bool) -> None:
        try:
            status = path.stat()
        except OSError as error:
            if explicit or not path.is_symlink():
                self.found.errors.append((str(path), why(error)))
            return
        if not stat.S_ISREG(status.st_mode):
            if explicit and (stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode)):
                try:
                    stream = streamed(path.open("rb"), HEAD, str(path), owned=True)
                    self._add(stream, str(path), label, explicit=True)
                except OSError as error:
                    self.found.errors.append((str(path), why(error)))
                    return
                kept: list[Source | ConfigFile] = [*self.found.sources, *self.found.configs]
                if all(each.opener is not stream for each in kept):
                    stream.close()
                if not stream.start:
                    self.found.errors.append((str(path), "it is empty"))
            else:
                self._pass(str(path), label, "not a regular file")
            return
        if (status.st_dev, status.st_ino) in self.seen:
            return
        self.seen.add((status.st_dev, status.st_ino))
        try:
            opener = local(path)
        except OSError as error:
            self.found.errors.append((str(path), why(error)))
            return
        self._add(opener, str(path), label, explicit=explicit)

    def _add(self, opener: Opener, path: str, label: str, *, explicit: bool, kind: str = "") -> None:
        errors: list[str] = []
        try:
            packed = compression(opener.head(512)) if not kind else ""
            head, whole = (b"", True) if kind else _head(opener, errors)
        except (OSError, OpenError) as error:
            self.found.errors.append((path, why(error) if isinstance(error, OSError) else str(error)))
            return
        if packed in NAMES:
            self._pass(path, label, f"compressed with {NAMES[packed]}, which logscan can't unpack")
            return
        if head[257:262] == b"ustar":
            if opener.kind == "local":
                self._tar(opener, path, label)
            else:
                what = "a tar archive within another" if opener.kind == "tar" else "a tar archive that is no local file"
                self.found.errors.append((path, f"it is {what}: unpack it and name the folder"))
            return
        kind = kind or sniff(head, whole=whole)
        if opener.pinned is not None:
            self.found.modes.append((opener.pinned.status.st_mode, opener.pinned.status.st_gid))
        if kind == "empty" and errors:
            self.found.errors.append((path, errors[0]))
        elif kind == "text":
            self.found.configs.append(ConfigFile(path, label, opener))
        elif kind in ("binary", "mbox") or (kind == "empty" and not explicit and "log" not in Path(label).name):
            self._pass(path, label, NOT_LOGS[kind])
        else:
            source = Source(path, label, kind, opener, packed, opener.size, opener.mtime, first_time(head, kind))
            if kind == "dspam-user-log":
                source.context["user"] = dspam_user(path)
            self.found.sources.append(source)

    def _tar(self, opener: Opener, path: str, label: str) -> None:
        from logscan.sources.archives import MOST_NAME, members

        passed: list[str] = []
        try:
            for member, name in members(opener, passed):
                self._add(member, member.path, f"{label}/{name[:MOST_NAME]}", explicit=False)
        except OpenError as error:
            self.found.errors.append((path, str(error)))
        for each in passed:
            name, _, reason = each.rpartition(": ")
            self._pass(path, f"{label}/{name}" if name else label, reason)

    def _pass(self, path: str, label: str, reason: str) -> None:
        self.found.passed_over.append(PassedOver(path, label, reason))


def first_time(head: bytes, kind: str) -> int | None:
    """Return the UTC time (ns) of the first line that tells it, of those within the first bytes of some lines."""
    from logscan.envelopes.unwrapping import NO_TIME, unwrap

    end = head.rfind(b"\n", 0, 4096) + 1
    found = unwrap(head[: end or len(head)], kind, {})
    times = found.time[found.time != NO_TIME]
    return int(times[0]) if len(times) else None


def _head(opener: Opener, errors: list[str]) -> tuple[bytes, bool]:
    """Return the first :data:`HEAD` bytes, unpacked, and whether that is all."""
    out, skipped = b"", 0
    for block in unpack(opener.pieces(HEAD), errors):
        text = block if out else block.lstrip(b"\0")
        skipped += len(block) - len(text)
        out += text
        if len(out) >= HEAD or skipped > MOST_NULS:
            return out[:HEAD] or b"\0", False
    return out or b"\0" * min(skipped, 1), True


def _matches(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 -- Path.glob takes no absolute pattern
