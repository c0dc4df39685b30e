"""Unpacks what is packed, told by its first bytes, in bounded steps: a bomb fills no memory and comes to an end."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any

MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"]\x00\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    *((bytes([low]) + b"\x2a\x4d\x18", "zstd") for low in range(0x50, 0x60)),  # a frame to be skipped (RFC 8878, 3.1.2)
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x1f\x9d", "compress"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
)
NAMES = {"lz4": "lz4", "compress": "compress", "zip": "zip", "7z": "7-Zip"}
"""Packers that are recognised only to be named."""

MOST = 4 << 20
"""Bytes unpacked at once, so that a bomb fills no memory."""

MOST_XZ = 256 << 20
"""Bytes of memory that an xz archive may ask for (``xz -9`` needs 65 MB)."""

STEP = 1 << 15
"""Packed bytes looked at in one go."""

STEP_ZSTD = 1 << 10
"""The same for zstandard, which can't bound its output: four bytes of it can be 128 kB, so this can be 32 MB."""

BOMB_FROM, BOMB_RATIO = 256 << 20, 500
"""What unpacks to more bytes than the first, and to more than so many times its size, is no log but a bomb.

Real logs pack to a tenth, at best to a hundredth: their times and IDs differ from line to line.
"""


def compression(head: bytes) -> str:
    """Return how a file starting with ``head`` is packed, or an empty string."""
    return next((name for magic, name in MAGIC if head.startswith(magic)), "")


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
    return lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=MOST_XZ)


def _zstd() -> Any:
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj()


def _inflate(pieces: Iterator[bytes], make: Callable[[], Any], packed: str, errors: list[str]) -> Iterator[bytes]:
    """Unpack members that follow each other, as ``cat a.gz b.gz`` leaves them."""
    inflater: Any = None
    step = STEP_ZSTD if packed == "zstd" else STEP
    stored = made = 0
    for piece in pieces:
        for at in range(0, len(piece), step):
            data = piece[at : at + step]
            stored += len(data)
            while data:
                if inflater is None:
                    data = data.lstrip(b"\0")
                    if not data:
                        break
                    inflater = make()
                try:
                    for out in _step(inflater, data, packed):
                        made += len(out)
                        yield out
                        if made > BOMB_FROM and made > BOMB_RATIO * stored:
                            errors.append(
                                f"the {packed} archive unpacks to more than {BOMB_RATIO} times its size, as no log does: "
                                f"its first {made >> 20} MB were read"
                            )
                            return
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
