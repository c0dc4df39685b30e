"""Puts amavis's split lines together: long texts come in pieces of 980 bytes that end, and go on, with three dots.

Each piece carries the same ``(id)`` (amavisd-new Log.pm); the joined text takes the place of the first piece, and the others
stay as they are: known, and nothing of their own.
"""

from __future__ import annotations

import re

CONTINUED = re.compile(rb"(\(\S{1,40}\) )\.\.\.", re.DOTALL)
"""A continuation: its ID, the three dots."""

OPENED = re.compile(rb"\(\S{1,40}\) ")

LONGEST = 64 << 10
"""Bytes a joined line may have: recipients of one mail fill a few thousand at most."""


def joined(bodies: dict[int, bytes]) -> dict[int, bytes]:
    """Return what becomes of some bodies, by their numbers (rising): split ones joined, in the place of their first piece."""
    out: dict[int, bytes] = {}
    rest: dict[tuple[bytes, bytes], bytes] = {}
    for i, body in reversed(bodies.items()):
        if b"amavis" not in body[:200]:
            continue
        head, _, text = body.partition(b": ")
        found = OPENED.match(text)
        if not found:
            continue
        key = (head, found[0])
        whole = text
        if text.endswith(b"...") and key in rest:
            whole = text[:-3] + rest.pop(key)
        more = CONTINUED.match(text)
        if more:
            rest[key] = whole[more.end() :][:LONGEST]
        elif whole is not text:
            out[i] = head + b": " + whole[:LONGEST]
    return out
