"""Possessive repeats of groups, written so that every Python 3.11 matches them alike.

Before 3.11.5 the engine goes on from a wrong place after a repeat of a group whose last round failed (CPython issue 106052):
``(?:ab?c)*+`` takes the ``a`` of ``ababc``. An atomic group around a greedy repeat means the same and is right everywhere, but
keeps what each round might give back until it ends; so it is used only where the engine needs it.
"""

from __future__ import annotations

import re

SOUND = re.match(r"(?:ab?c)*+", "ababc")[0] == ""  # type: ignore[index]
"""Whether this Python matches possessive repeats of groups as it should."""

_QUANTIFIER = re.compile(r"([*+?]|\{\d*,?\d*\})\+", re.ASCII)


def sound(pattern: str) -> str:
    """Return ``pattern`` as this Python matches it rightly."""
    return pattern if SOUND else atomic(pattern)


def atomic(pattern: str) -> str:
    """Return ``pattern`` with ``(?>(?:…)*)`` for each ``(?:…)*+``; single characters and classes stay possessive."""
    out: list[str] = []
    begins: list[int] = []
    at = 0
    while at < len(pattern):
        piece = _piece(pattern, at)
        at += len(piece)
        if piece == "(":
            begins.append(len(out))
        out.append(piece)
        if piece == ")" and begins:
            begin = begins.pop()
            if repeat := _QUANTIFIER.match(pattern, at):
                out[begin:] = ["(?>", *out[begin:], repeat[1], ")"]
                at = repeat.end()
    return "".join(out)


def _piece(pattern: str, at: int) -> str:
    """Return the escape, the class or the character that begins there."""
    if pattern[at] == "\\":
        return pattern[at : at + 2]
    if pattern[at] != "[":
        return pattern[at]
    end = at + 1
    end += pattern[end] == "^"
    end += pattern[end] == "]"  # first in its class it is a character like others
    while pattern[end] != "]":
        end += 2 if pattern[end] == "\\" else 1
    return pattern[at : end + 1]
