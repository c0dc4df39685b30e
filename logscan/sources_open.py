"""Opens what a source lies in (file, archive, stream, URL, journal) and unpacks it, told by its first bytes."""

from __future__ import annotations

import bz2
import lzma
import os
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"]\x00\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x1f\x9d", "compress"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
)
NAMES = {"lz4": "lz4", "compress": "compress", "zip": "zip", "7z": "7-Zip"}
"""Packers that are recognised only to be named."""

MOST = 4 << 20
"""Bytes unpacked at once, so that a bomb fills no memory."""


DAMAGED = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)
"""What tarfile and the packers below it raise for a damaged archive."""


class OpenError(Exception):
    """Something named can't be opened; the message says what is wrong and what to do."""


def compression(head: bytes) -> str:
    """Return how a file starting with ``head`` is packed, or an empty string."""
    return next((name for magic, name in MAGIC if head.startswith(magic)), "")


@dataclass
class Opener:
    """How to get at bytes. ``kind``: local, tar, stream, remote or journal. Only streams can't be opened twice."""

    kind: str
    path: str
    size: int | None = None
    mtime: float | None = None
    start: bytes = b""
    stream: BinaryIO | None = field(default=None, repr=False)
    extra: Any = field(default=None, repr=False)

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

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield the stored bytes in pieces of up to ``size``; raises OSError or :class:`OpenError`."""
        if self.kind == "stream":
            yield from self._streamed(size)
            return
        with self._open() as file:
            while piece := file.read(size):
                yield piece

    def _streamed(self, size: int) -> Iterator[bytes]:
        """Yield what was read for recognition, then the rest; the latter once."""
        yield from (self.start[at : at + size] for at in range(0, len(self.start), size))
        stream = self.stream
        if stream is None:
            return
        while piece := stream.read(size):
            if self.stream is not None:
                # From here on the stream is used up: a second reading must not pretend to start at the head.
                self.stream, self.start = None, b""
            yield piece

    def _open(self) -> Any:
        if self.kind == "local":
            return Path(self.path).open("rb")
        if self.kind == "tar":
            return _Member(*self.path.rsplit("!", 1))
        if self.kind == "remote":
            import fsspec

            try:
                return fsspec.open(self.path, "rb").open()
            except Exception as error:  # fsspec's back ends raise errors of their own, unrelated types
                raise OpenError(f"it could not be opened: {error}") from error
        return _Journal()


class _Member:
    """A member of a tar archive as a file."""

    def __init__(self, archive: str, name: str) -> None:
        try:
            self._tar = tarfile.open(archive)  # noqa: SIM115 -- closed with the member
            file = self._tar.extractfile(name)
        except (*DAMAGED, KeyError) as error:
            raise OpenError(f"the archive is damaged: {error}") from error
        if file is None:
            raise OpenError(f"{name} is no file")
        self._file = file

    def read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except DAMAGED as error:
            raise OpenError(f"the archive is damaged: {error}") from error

    def __enter__(self) -> _Member:
        return self

    def __exit__(self, *_: object) -> None:
        self._tar.close()


class _Journal:
    """The output of journalctl; ``--all`` because JSON leaves out fields of 4096 bytes and more without it."""

    def __enter__(self) -> _Journal:
        command = ["journalctl", "-o", "json", "--all", "--no-pager", "--quiet"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return self

    def read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.read(size)

    def __exit__(self, *_: object) -> None:
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.terminate()
        self._process.wait()


def local(path: Path, status: os.stat_result) -> Opener:
    """Return the opener of a local file."""
    return Opener("local", str(path), status.st_size, status.st_mtime)


def streamed(stream: BinaryIO, size: int, path: str = "-") -> Opener:
    """Return the opener of a stream; its first ``size`` bytes are read at once, to recognise it by."""
    start = b""
    while len(start) < size and (piece := stream.read(size - len(start))):
        start += piece
    return Opener("stream", path, start=start, stream=stream)


def journal() -> Opener:
    """Return the opener of this host's journal; raises :class:`OpenError` where there is no journalctl."""
    if shutil.which("journalctl") is None:
        raise OpenError("there is no journalctl on this host; name a log file instead")
    return Opener("journal", "journal:")


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
            yield Opener("remote", full, info.get("size"), known), name.rsplit("/", 1)[-1]
    except OpenError:
        raise
    except FileNotFoundError as error:
        raise OpenError("there is no such file; check the address") from error
    except Exception as error:  # fsspec's back ends raise errors of their own, unrelated types
        raise OpenError(f"it could not be opened: {error}") from error


def tar_member(archive: Opener) -> Iterator[Opener]:
    """Yield an opener for each file in a tar archive, packed or not; raises :class:`OpenError` for a damaged one."""
    try:
        with tarfile.open(archive.path) as tar:
            for member in tar:
                if member.isfile() and not any(part.startswith(".") for part in Path(member.name).parts if part != "."):
                    yield Opener("tar", f"{archive.path}!{member.name}", member.size, float(member.mtime))
    except (*DAMAGED, OSError) as error:
        raise OpenError(f"the archive is damaged: {error}") from error


# --- unpacking -----------------------------------------------------------------------------------------------------


def unpack(pieces: Iterator[bytes], errors: list[str]) -> Iterator[bytes]:
    """Yield ``pieces`` unpacked as their first bytes say. A damaged or cut archive gives what it can, and an error."""
    first = b""
    for piece in pieces:
        first += piece
        if len(first) >= 8:
            break
    packed = compression(first)
    rest = _chain(first, pieces)
    makers: dict[str, Callable[[], Any]] = {"gzip": _gzip, "bzip2": bz2.BZ2Decompressor, "xz": _xz, "zstd": _zstd}
    if packed in makers:
        yield from _inflate(rest, makers[packed], packed, errors)
    else:
        yield from rest


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _gzip() -> Any:
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.decompressobj(wbits=31)
    return isal_zlib.decompressobj(wbits=31)


def _xz() -> Any:
    return lzma.LZMADecompressor(lzma.FORMAT_AUTO)


def _zstd() -> Any:
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj()


def _inflate(pieces: Iterator[bytes], make: Callable[[], Any], packed: str, errors: list[str]) -> Iterator[bytes]:
    """Unpack members that follow each other, as ``cat a.gz b.gz`` leaves them."""
    inflater: Any = None
    for piece in pieces:
        # zstandard can't bound its output: small input does.
        for at in range(0, len(piece), 1 << 15):
            data = piece[at : at + (1 << 15)]
            while data:
                if inflater is None:
                    data = data.lstrip(b"\0")
                    if not data:
                        break
                    inflater = make()
                try:
                    yield from _step(inflater, data, packed)
                except Exception as error:  # each packer raises an error type of its own
                    errors.append(f"the {packed} archive is damaged ({error}); what stands before was read")
                    return
                data = inflater.unused_data if inflater.eof else b""
                if inflater.eof:
                    inflater = None
    if inflater is not None:
        errors.append(f"the {packed} archive is cut off; what there is was read")


def _step(inflater: Any, data: bytes, packed: str) -> Iterator[bytes]:
    if packed == "gzip":
        while True:
            out = inflater.decompress(data, MOST)
            data = inflater.unconsumed_tail
            if out:
                yield out
            if inflater.eof or not data:
                return
    if packed == "zstd":
        if out := inflater.decompress(data):
            yield out
        return
    out = inflater.decompress(data, MOST)
    while out or not (inflater.needs_input or inflater.eof):
        yield out
        if inflater.needs_input or inflater.eof:
            return
        out = inflater.decompress(b"", MOST)
