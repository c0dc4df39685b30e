"""Opens what a source lies in: a file, an archive's member, a stream, a URL, the journal."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

from logscan.sources.pinned import Pinned
from logscan.visible import without_secrets

LATEST = 7_258_118_400
"""Seconds from 1970 to 2200: what says that it was changed later says nothing."""


class OpenError(Exception):
    """Something named can't be opened; the message says what is wrong and what to do."""


@dataclass
class Opener:
    """How to get at bytes. ``kind``: local, tar, stream, remote, journal, or kept (one of those, on disk).

    Only streams can't be opened twice.

    ``path`` is what is shown of the place; a URL's secrets stand in ``extra`` alone. ``part`` is (offset, size) of a tar
    archive's member within the pinned file.
    """

    kind: str
    path: str
    size: int | None = None
    mtime: float | None = None
    start: bytes = b""
    stream: BinaryIO | None = field(default=None, repr=False)
    extra: Any = field(default=None, repr=False)
    pinned: Pinned | None = field(default=None, repr=False)
    part: tuple[int, int] | None = None
    owned: bool = False
    """Whether the stream was opened for this, rather than given."""
    broken: str = ""
    """Why what was kept of it isn't all."""

    def __post_init__(self) -> None:
        # What an archive's header or a server says of a time may be any number, or none.
        if self.mtime is not None and not 0 <= self.mtime < LATEST:
            self.mtime = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "stream": None, "start": b"", "extra": None}

    def head(self, size: int) -> bytes:
        """Return the first bytes as stored."""
        out = b""
        for piece in self.pieces(size):
            out += piece
            if len(out) >= size:
                break
        return out[:size]

    def pieces(self, size: int, start: int = 0) -> Iterator[bytes]:
        """Yield the stored bytes in pieces of up to ``size``; raises OSError or :class:`OpenError`.

        What is pinned can be entered at byte ``start``.
        """
        if self.kind == "stream":
            yield from self._streamed(size)
            return
        with self._open() as file:
            if start:
                file.seek(start)
            while piece := file.read(size):
                yield piece
        if self.broken:
            raise OpenError(self.broken)

    def _streamed(self, size: int) -> Iterator[bytes]:
        """Yield what was read for recognition, then the rest; the latter once."""
        yield from (self.start[at : at + size] for at in range(0, len(self.start), size))
        stream = self.stream
        if stream is None:
            return
        try:
            while piece := stream.read(size):
                if self.stream is not None:
                    # From here on the stream is used up: a second reading must not pretend to start at the head.
                    self.stream, self.start = None, b""
                yield piece
            if self.owned:
                self.stream = None
        finally:
            if self.owned and self.stream is None:
                stream.close()

    def close(self) -> None:
        """Let go of a stream that nobody will read, where it was opened for this."""
        if self.stream is not None and self.owned:
            self.stream.close()
            self.stream = None

    def _open(self) -> Any:
        if self.pinned is not None:
            offset, size = self.part or (0, self.pinned.size)
            return self.pinned.file(offset, size)
        if self.kind == "remote":
            import fsspec

            try:
                return fsspec.open(self.extra, "rb").open()
            except Exception as error:  # fsspec's back ends raise errors of their own, unrelated types
                raise OpenError(f"it could not be opened: {_words(error, self.extra)}") from error
        return _Journal(self.extra or ())


class _Journal:
    """The output of journalctl; ``--all`` because JSON leaves out fields of 4096 bytes and more without it."""

    def __init__(self, options: tuple[str, ...]) -> None:
        self._options = options
        self._any = any(each.startswith(("--after-cursor=", "--since=")) for each in options)
        """Whether there was a record, or need be none."""

    def __enter__(self) -> _Journal:
        command = ["journalctl", *self._options, "-o", "json", "--all", "--no-pager", "--quiet"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return self

    def read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        found = self._process.stdout.read(size)
        if not found and (status := self._process.wait()):
            raise OpenError(f"journalctl ended with status {status}; what it said before was read")
        if not found and not self._any:
            raise OpenError(
                "journalctl showed no record: read it as root or as a member of the group systemd-journal, or name a log file"
            )
        self._any = True
        return found

    def __exit__(self, *_: object) -> None:
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.terminate()
        self._process.wait()


def local(path: Path) -> Opener:
    """Return the opener of a local file, which is held open from here on; raises OSError."""
    held = Pinned(str(path))
    return Opener("local", str(path), held.size, held.status.st_mtime, pinned=held)


def streamed(stream: BinaryIO, size: int, path: str = "-", *, owned: bool = False) -> Opener:
    """Return the opener of a stream; its first ``size`` bytes are read at once, to recognise it by."""
    start = b""
    while len(start) < size and (piece := stream.read(size - len(start))):
        start += piece
    return Opener("stream", path, start=start, stream=stream, owned=owned)


def journal(folder: str = "") -> Opener:
    """Return the opener of this host's journal, or of the one in a folder; raises :class:`OpenError` without journalctl.

    ``extra`` are the options that journalctl is given.
    """
    if shutil.which("journalctl") is None:
        raise OpenError("there is no journalctl on this host; name a log file instead")
    if folder and not Path(folder).is_dir():
        raise OpenError("there is no such folder; check the path")
    return Opener("journal", f"journal:{folder}", extra=(f"--directory={folder}",) if folder else ())


def shown(url: str) -> str:
    """Return what may be shown of a URL: neither user and password nor what stands behind ``?``, ``#`` or ``;``."""
    return "::".join(without_secrets(part) for part in url.split("::"))


def _words(error: Exception, url: str) -> str:
    """Return what a back end said, without the secrets of the URL it may have said it of."""
    said = str(error)
    for part in {url, *url.split("::")}:
        said = said.replace(part, shown(part))
        place = part.partition("://")[2].rpartition("@")[0]
        for secret in (place, place.partition(":")[2], part.partition("?")[2]):
            for form in {secret, unquote(secret)}:
                said = said.replace(form, "…") if len(form) > 2 else said
    return shown(said)


def remote(url: str) -> Iterator[tuple[Opener, str]]:
    """Yield (opener, label) of each file at a URL that fsspec reads: one, all below a folder, or those of a glob."""
    try:
        import fsspec

        fs, path = fsspec.core.url_to_fs(url)
        if "*" in path:
            names = fs.glob(path)
        elif fs.isdir(path):
            names = fs.find(path)
        else:
            names = [path]
        if not names:
            raise OpenError("nothing lies there; check the address")
        for name in sorted(names):
            info = fs.info(name)
            mtime = info.get("mtime") or info.get("LastModified") or info.get("last_modified") or info.get("created")
            seconds = mtime.timestamp() if hasattr(mtime, "timestamp") else mtime
            full = url if name == path else fs.unstrip_protocol(name)
            known = float(seconds) if isinstance(seconds, int | float) else None
            label = shown(full).rstrip("/").rpartition("/")[2] or shown(full)
            yield Opener("remote", shown(full), info.get("size"), known, extra=full), label
    except OpenError:
        raise
    except FileNotFoundError as error:
        raise OpenError("there is no such file; check the address") from error
    except Exception as error:  # fsspec's back ends raise errors of their own, unrelated types
        raise OpenError(f"it could not be opened: {_words(error, url)}") from error
