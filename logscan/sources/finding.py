"""Finds what to read: files, folders, globs, standard input, the journal, URLs; each recognised by its content."""

from __future__ import annotations

import glob
import itertools
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from logscan.envelopes.records import BOUNDARIES
from logscan.envelopes.sniffing import sniff
from logscan.sources import rotation
from logscan.sources.opening import Opener, OpenError, journal, local, remote, shown, streamed
from logscan.sources.pinned import cut
from logscan.sources.unpacking import NAMES, compression
from logscan.sources.unpacking import unpack as unpacked

HEAD = 65_536
"""Bytes by which a file is recognised."""

MOST_NULS = 64 << 20
"""NUL bytes skipped at the head of a file in search of text."""

BLOCK = 1 << 20
"""Bytes read at once, beyond what they were recognised by."""

LONGEST = 1 << 20
"""Bytes of a line that are kept; what a program wrote beyond this in one line isn't a log line."""

DEFAULT_LOGS = ("/var/log/mail.log*", "/var/log/maillog*")
SKIPPED_FOLDERS = (".sig", ".frag")
"""Endings of folders in a DSPAM home that hold one file a message and no log."""

NOT_LOGS = {"binary": "not a text file", "mbox": "a mailbox", "empty": "empty"}


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
        for block in _blocks(self.opener, []):
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

    def chunks(self, size: int = 4 << 20) -> Iterator[bytes]:
        """Yield the content, unpacked, in pieces of whole lines of about ``size`` bytes; the last may lack its newline.

        A line longer than 1 MiB is cut there. Nothing is raised: what can't be read is told in ``error``. Streams can
        be read once, beyond what they were recognised by.
        """
        errors: list[str] = []
        blocks = _blocks(self.opener, errors, min(size, BLOCK))
        if self.kind != "journal-export":
            # A log cut to nothing while its writer stays at the old place (copytruncate) starts with a run of NULs.
            endless = self.opener.kind in ("stream", "remote", "journal")
            blocks = _without_nuls(blocks, errors, MOST_NULS if endless else None)
        yield from _whole_lines(blocks, size, self._boundary)
        if errors:
            self.error = errors[0]

    @property
    def _boundary(self) -> tuple[bytes, ...]:
        return BOUNDARIES.get(self.kind, (b"\n",))

    def spans(self, size: int = 4 << 20) -> list[tuple[int, int]] | None:
        """Return (offset, length) of pieces of whole lines, or None where the content must be read in sequence.

        Only plain local files have spans. The file is taken to end where it ended when it was found.
        """
        if self.compression or self.opener.kind != "local" or self.kind in BOUNDARIES:
            return None
        out: list[tuple[int, int]] = []
        held = self.opener.pinned
        if held is None:
            return None
        try:
            start, total = 0, held.size
            while start < total:
                end = min(start + size, total)
                if end < total:
                    window = held.pread(LONGEST, end - 1)
                    if (at := window.find(b"\n")) < 0 and end - 1 + len(window) < total:
                        return None
                    end = end + at if at >= 0 else total
                out.append((start, end - start))
                start = end
        except OSError as error:
            self.error = _why(error)
        return out

    def read_span(self, offset: int, length: int) -> bytes:
        """Return the piece that :meth:`spans` named; what there is of it, with ``error`` set, where it can't be read."""
        held = self.opener.pinned
        try:
            found = held.pread(length, offset) if held is not None else b""
        except OSError as error:
            self.error = _why(error)
            return b""
        if len(found) < length and held is not None:
            self.error = cut(offset + len(found), held.size)
        return found

    def settled(self) -> None:
        """Look, once all is read, whether the file stayed what it was; else say so in ``error``."""
        held = self.opener.pinned
        if held is not None and not self.error:
            self.error = held.change()


@dataclass
class Discovery:
    """What was found: ``sources`` in order of time within each set, ``errors`` as (what was named, what is wrong)."""

    sources: list[Source] = field(default_factory=list)
    configs: list[ConfigFile] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
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
            members.sort(key=lambda each: each.first_time or 0)
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
        elif arg == "journal:" or arg.startswith("journal:"):
            self._journal(arg)
        elif "://" in arg:
            self._remote(arg)
        else:
            self._local(arg)

    def finish(self) -> Discovery:
        """Return what was found, ordered, with unique labels."""
        self.found.sources = order(self.found.sources)
        _unique([*self.found.sources, *self.found.configs])
        return self.found

    def _journal(self, arg: str) -> None:
        try:
            self._add(journal(), "journal:", "journal", explicit=True, kind="journal-json")
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
                self.found.errors.append((str(each), _why(error)))
                continue
            if stat.S_ISDIR(mode):
                self._folder(each)
            else:
                self._file(each, each.name, explicit=True)

    def _folder(self, top: Path) -> None:
        visited: set[tuple[int, int]] = set()

        def failed(error: OSError) -> None:
            self.found.errors.append((str(error.filename), _why(error)))

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
                self.found.errors.append((str(path), _why(error)))
            return
        if not stat.S_ISREG(status.st_mode):
            if explicit and (stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode)):
                try:
                    stream = streamed(path.open("rb"), HEAD, str(path), owned=True)
                    self._add(stream, str(path), label, explicit=True)
                except OSError as error:
                    self.found.errors.append((str(path), _why(error)))
                    return
                kept: list[Source | ConfigFile] = [*self.found.sources, *self.found.configs]
                if all(each.opener is not stream for each in kept):
                    stream.close()
                if not stream.start:
                    self.found.errors.append((str(path), "it is empty"))
            else:
                self.found.passed_over.append(f"{label}: not a regular file")
            return
        if (status.st_dev, status.st_ino) in self.seen:
            return
        self.seen.add((status.st_dev, status.st_ino))
        try:
            opener = local(path)
        except OSError as error:
            self.found.errors.append((str(path), _why(error)))
            return
        self._add(opener, str(path), label, explicit=explicit)

    def _add(self, opener: Opener, path: str, label: str, *, explicit: bool, kind: str = "") -> None:
        errors: list[str] = []
        try:
            packed = compression(opener.head(512)) if not kind else ""
            head, whole = (b"", True) if kind else _head(opener, errors)
        except (OSError, OpenError) as error:
            self.found.errors.append((path, _why(error) if isinstance(error, OSError) else str(error)))
            return
        if packed in NAMES:
            self.found.passed_over.append(f"{label}: compressed with {NAMES[packed]}, which logscan can't unpack")
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
            self.found.passed_over.append(f"{label}: {NOT_LOGS[kind]}")
        else:
            source = Source(path, label, kind, opener, packed, opener.size, opener.mtime, _first_time(head, kind))
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
        self.found.passed_over += [f"{label}/{each}" for each in passed]


def dspam_user(path: str) -> str:
    """Return the DSPAM user whose log lies at ``path``: ``alice@example.com``, or ``alice`` in the domain ``local``.

    Reads DSPAM's layouts (``_ds_userdir_path``, util.c): data/DOMAIN/USER, data/USER, data/U/S/USER and data/U/USER.
    """
    parts = PurePath(path).parts
    folders = list(parts[:-1])
    user = rotation.NUMBERED.sub("", rotation.COMPRESSED.sub("", parts[-1])).removesuffix(".log")
    if "data" in folders:
        folders = folders[len(folders) - folders[::-1].index("data") :]
    if folders and parts[-1].startswith(f"{folders[-1]}.log"):
        user = folders[-1]
    if not folders or folders[-1] != user:
        return user
    above = folders[-2] if len(folders) > 1 else ""
    scaled = len(above) == 1 and above in user[:2]
    if "data" not in parts and "." not in above:
        return user
    return user if not above or above == "local" or scaled else f"{user}@{above}"


def _first_time(head: bytes, kind: str) -> int | None:
    from logscan.envelopes.unwrapping import NO_TIME, unwrap

    end = head.rfind(b"\n", 0, 4096) + 1
    found = unwrap(head[: end or len(head)], kind, {})
    times = found.time[found.time != NO_TIME]
    return int(times[0]) if len(times) else None


def _head(opener: Opener, errors: list[str]) -> tuple[bytes, bool]:
    """Return the first :data:`HEAD` bytes, unpacked, and whether that is all."""
    out, skipped = b"", 0
    for block in unpacked(opener.pieces(HEAD), errors):
        text = block if out else block.lstrip(b"\0")
        skipped += len(block) - len(text)
        out += text
        if len(out) >= HEAD or skipped > MOST_NULS:
            return out[:HEAD] or b"\0", False
    return out or b"\0" * min(skipped, 1), True


def _blocks(opener: Opener, errors: list[str], size: int = BLOCK) -> Iterator[bytes]:
    try:
        yield from unpacked(opener.pieces(size), errors)
    except (OSError, OpenError) as error:
        errors.append(_why(error) if isinstance(error, OSError) else str(error))


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


def _whole_lines(blocks: Iterator[bytes], size: int, boundaries: tuple[bytes, ...]) -> Iterator[bytes]:
    """Cut a stream behind newlines every ``size`` bytes or so.

    Each of the ``boundaries`` starts with the bytes that end a piece, equally many newlines, and goes on with what begins
    the next one.
    """
    parts: list[bytes] = []
    held = 0
    keep = boundaries[0].rindex(b"\n") + 1
    skipping = False
    for incoming in blocks:
        block = incoming
        if skipping:
            at = block.find(b"\n")
            if at < 0:
                continue
            block, skipping = block[at:], False
        parts.append(block)
        held += len(block)
        if held < size:
            continue
        whole = b"".join(parts)
        at = max(whole.rfind(boundary) for boundary in boundaries)
        if at >= 0:
            yield whole[: at + keep]
            whole = whole[at + keep :]
        elif keep == 1 and len(whole) > LONGEST:
            whole, skipping = whole[:LONGEST], True
        parts, held = [whole], len(whole)
    whole = b"".join(parts)
    if whole:
        yield whole


def _matches(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 -- Path.glob takes no absolute pattern


def _unique(found: Sequence[Source | ConfigFile]) -> None:
    """Make labels unique: equal ones grow by the folders before them, at last by a number."""
    for _ in range(64):
        counts: dict[str, list[Source | ConfigFile]] = {}
        for each in found:
            counts.setdefault(each.label, []).append(each)
        equal = [group for group in counts.values() if len(group) > 1]
        if not equal:
            return
        for each in itertools.chain.from_iterable(equal):
            parts = Path(os.path.abspath(each.path)).parts  # noqa: PTH100 -- links keep their names
            more = len(Path(each.label).parts) + 1
            each.label = str(Path(*parts[-more:])) if more <= len(parts) and "://" not in each.path else each.path
    numbers: dict[str, int] = {}
    for each in found:
        numbers[each.label] = numbers.get(each.label, 0) + 1
        if numbers[each.label] > 1:
            each.label += f" #{numbers[each.label]}"


def _why(error: OSError) -> str:
    """Return a sentence: what is wrong, and what to do."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file or folder; check the path"
    if isinstance(error, PermissionError):
        return "it may not be read by this user; run as root or as a member of the group adm"
    return f"it could not be read: {error.strerror or error}"
