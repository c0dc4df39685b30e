"""What a decoder of records finds, and what of their ends says nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from logscan.envelopes.stamps import Moment

WHITE = b" \t\r\v\f"
"""What says nothing at the end of a line: pages, terminals and templates leave it there."""

WIDE = tuple(
    chr(each).encode()
    for each in (0x85, 0xA0, 0x1680, *range(0x2000, 0x200C), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF)
)
"""White space beyond ASCII in UTF-8 (Unicode's White_Space, and two of no width): web pages and word processors put it there."""

LAST = frozenset({*WHITE, *(each[-1] for each in WIDE)})
"""Bytes that a line with white space at its end ends in."""

LATIN = 0xA0
"""The no-break space of Latin-1: behind ASCII it can't be part of a UTF-8 character."""


def white_from(text: bytes, start: int, end: int) -> int:
    """Return where the white space at the end of ``text[start:end]`` begins."""
    while end > start and text[end - 1] in LAST:
        if text[end - 1] in WHITE:
            end -= 1
        elif text.endswith(WIDE, start, end):
            end -= 2 if text[end - 2] == 0xC2 else 3
        elif text[end - 1] == LATIN and end - start > 1 and text[end - 2] < 0x80:
            end -= 1
        else:
            break
    return end


def trimmed(text: bytes) -> bytes:
    """Return ``text`` without the white space at its end."""
    return text[: white_from(text, 0, len(text))] if text and text[-1] in LAST else text


@dataclass
class Rows:
    """What a decoder found; the lists run alongside (see :class:`logscan.envelopes.unwrapping.Lines` for their meaning)."""

    bodies: list[bytes] = field(default_factory=list)
    number: list[int] = field(default_factory=list)
    time: list[int] = field(default_factory=list)
    clock: list[int] = field(default_factory=list)
    year: list[int] = field(default_factory=list)
    offset: list[int] = field(default_factory=list)
    lost: list[tuple[int, str]] = field(default_factory=list)
    lines: int = 0
    undecodable: int = 0
    blank: int = 0

    def add(self, number: int, body: bytes, when: Moment) -> None:
        """Append one body that starts in line ``number``, without the white space at its end."""
        self.bodies.append(trimmed(body))
        self.number.append(number)
        self.time.append(when[0])
        self.clock.append(when[1])
        self.year.append(when[2])
        self.offset.append(when[3])


def split(chunk: bytes) -> list[bytes]:
    """Return the lines of a chunk."""
    lines = chunk.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines
