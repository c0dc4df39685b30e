"""Fetches the text of log lines by source and number: evidence is looked up at the end, for the few lines shown."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from typing import TYPE_CHECKING

from logscan.visible import without_passwords

if TYPE_CHECKING:
    from logscan.reading.reads import SourceRead

CHUNK = 4 << 20
"""Bytes read at once where there is no index."""

LONGEST = 4096
"""Bytes of a line that are kept."""

GONE = "(this line can't be shown: what it was read from isn't there any more, or can be read only once)"


def fetch(reads: Iterable[SourceRead], wanted: dict[str, set[int]]) -> dict[tuple[str, int], str]:
    """Return the lines by (label, number from 1); in the place of one that isn't there any more stands :data:`GONE`.

    An uncompressed file is entered where the wanted line's chunk begins; others are read from their start. A chunk that
    isn't what it was when it was parsed proves nothing: its lines are gone.
    """
    out: dict[tuple[str, int], str] = {}
    for read in reads:
        numbers = sorted(wanted.get(read.label, ()))
        if numbers and read.texts is not None:
            out.update(((read.label, number), read.texts.get(number, GONE)) for number in numbers)
        elif numbers:
            out.update(((read.label, number), GONE) for number in numbers)
            for number, line in _lines(read, numbers):
                text = line.rstrip(b"\r\n")[:LONGEST].decode("utf-8", "backslashreplace")
                out[read.label, number] = without_passwords(text)
    return out


def _lines(read: SourceRead, numbers: list[int]) -> Iterable[tuple[int, bytes]]:
    if read.index:
        starts = [before for before, _, _ in read.index]
        by_chunk: dict[int, list[int]] = {}
        for number in numbers:
            by_chunk.setdefault(bisect.bisect_left(starts, number) - 1, []).append(number)
        for chunk, some in by_chunk.items():
            if chunk >= 0:
                before, offset, length = read.index[chunk]
                data = read.source.read_span(offset, length)
                if read.is_chunk(chunk, data):
                    yield from _cut(data, before, some)
        return
    before, left = read.source.before, list(numbers)
    for chunk, data in enumerate(read.source.chunks(read.chunk or CHUNK)):
        if not read.is_chunk(chunk, data):
            return
        lines = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
        some = [number for number in left if number <= before + lines]
        if some:
            yield from _cut(data, before, some)
            left = left[len(some) :]
        before += lines
        if not left:
            return


def _cut(data: bytes, before: int, numbers: list[int]) -> Iterable[tuple[int, bytes]]:
    lines = data.split(b"\n")
    for number in numbers:
        if number - before - 1 < len(lines):
            yield number, lines[number - before - 1]
