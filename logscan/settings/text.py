"""Cuts configuration texts: the logical lines of a Postfix file, lists, the name of a file."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Logical:
    """A logical line of a Postfix file: its text, and where each character of it stands.

    ``pieces`` are (line, offset in the file, text) of the physical lines; ``text`` joins them with line feeds.
    """

    pieces: tuple[tuple[int, int, str], ...]
    text: str
    starts: tuple[int, ...]
    span: tuple[int, int]

    @property
    def line(self) -> int:
        """Line on which it begins, from 1."""
        return self.pieces[0][0]

    def place(self, position: int) -> tuple[int, int]:
        """Return (line, offset in the file) of the character at ``position`` of :attr:`text`."""
        index = bisect_right(self.starts, position) - 1
        number, offset, _ = self.pieces[index]
        return number, offset + position - self.starts[index]

    def extent(self, begin: int, end: int) -> tuple[int, int] | None:
        """Return the offsets in the file of ``text[begin:end]``; None when other lines may lie between."""
        if bisect_right(self.starts, begin) != bisect_right(self.starts, max(begin, end - 1)):
            return None
        first = self.place(begin)[1]
        return first, first + end - begin


def logical_lines(text: str) -> Iterator[Logical]:
    """Yield the logical lines of a Postfix file (readlline(3)): continuations joined, comments and blanks left out."""
    pieces: list[tuple[int, int, str]] = []
    end = offset = 0
    for number, line in enumerate(text.split("\n"), 1):
        body = line.rstrip("\r")
        bare = body.strip(" \t\r\v\f")
        if bare and not bare.startswith("#"):
            if pieces and body[0] not in " \t\v\f":
                yield _logical(pieces, end)
                pieces = []
            pieces.append((number, offset, body))
            end = min(offset + len(line) + 1, len(text))
        offset += len(line) + 1
    if pieces:
        yield _logical(pieces, end)


def _logical(pieces: list[tuple[int, int, str]], end: int) -> Logical:
    starts: list[int] = []
    at = 0
    for _, _, body in pieces:
        starts.append(at)
        at += len(body) + 1
    return Logical(tuple(pieces), "\n".join(body for _, _, body in pieces), tuple(starts), (pieces[0][1], end))


def split_list(value: str) -> list[str]:
    """Split a Postfix list at commas and blanks; text in braces stays in one piece."""
    items: list[str] = []
    depth = begin = 0
    for at, char in enumerate(value):
        if char == "{":
            depth += 1
        elif char == "}":
            depth = max(0, depth - 1)
        elif not depth and (char == "," or char.isspace()):
            items.append(value[begin:at])
            begin = at + 1
    items.append(value[begin:])
    return [each for each in items if each]


def base_name(label: str) -> str:
    """Return the last part of a file's label."""
    return re.split(r"[/\\]", label)[-1]
