"""How values lie in the database: as JSON or packed bytes, each beside its digest, so that what is read back can be believed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar

import zstandard

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

One = TypeVar("One")
Made = TypeVar("Made", bound="DataclassInstance")

LARGEST = 1 << 30
"""Bytes that one packed value may have: SQLite's own limit, about."""


def digest(content: bytes) -> bytes:
    """Return 16 bytes that tell whether ``content`` is what was written."""
    return hashlib.blake2b(content, digest_size=16).digest()


def text(value: DataclassInstance | Mapping[str, Any] | list[Any]) -> tuple[str, bytes]:
    """Return a value as JSON and the digest of that; ASCII only, so that bytes that are no UTF-8 survive (PEP 383)."""
    plain = asdict(value) if not isinstance(value, Mapping | list) else value
    body = json.dumps(plain, separators=(",", ":"))
    return body, digest(body.encode())


def value(body: Any, said: Any, made: Callable[[Any], One]) -> One | None:
    """Return what :func:`text` wrote; None where it isn't what was written."""
    if not isinstance(body, str) or digest(body.encode("utf-8", "surrogatepass")) != said:
        return None
    try:
        return made(json.loads(body))
    except (ValueError, TypeError, KeyError):
        return None


def of(kind: type[Made]) -> Callable[[Mapping[str, Any]], Made]:
    """Return what makes a dataclass of its fields; fields that this version doesn't know are left out."""
    known = {each.name for each in fields(kind)}

    def made(plain: Mapping[str, Any]) -> Made:
        listed = {name: tuple(part) if isinstance(part, list) else part for name, part in plain.items()}
        return kind(**{name: part for name, part in listed.items() if name in known})

    return made


def packed(content: bytes) -> tuple[bytes, bytes]:
    """Return bytes as zstd packs them, and the digest of that."""
    small = zstandard.ZstdCompressor(level=3).compress(content)
    return small, digest(small)


def unpacked(small: Any, said: Any) -> bytes | None:
    """Return what :func:`packed` packed; None where it isn't what was written."""
    if not isinstance(small, bytes) or digest(small) != said:
        return None
    try:
        return bytes(zstandard.ZstdDecompressor().decompress(small, max_output_size=LARGEST))
    except zstandard.ZstdError:
        return None


def plain(said: str) -> str:
    """Return a text that SQLite takes: bytes that are no UTF-8 as escapes."""
    return said.encode("utf-8", "backslashreplace").decode()
