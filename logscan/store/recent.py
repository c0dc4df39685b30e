"""The last lines that were read of a log, by a number each: where they go on in a file that was written anew.

DSPAM's dspam_logrotate writes a log anew without its oldest lines, and a backup that is put back lacks the newest ones: then
neither head nor place say where new lines begin, but the lines do, one after the other.
"""

from __future__ import annotations

import base64
import zlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from logscan.store.contents import Content
    from logscan.store.model import Cursor

    Numbers = npt.NDArray[np.uint32]

MOST = 50_000
"""Lines of one log that are kept in mind: half a day of a busy server, in 250 kB."""

MOST_ALL = 1_000_000
"""Lines of all logs together that are kept in mind: DSPAM may have a log for each of ten thousand users."""

MOST_BYTES = 16 << 20
"""Bytes of a log's end that are looked through for them."""

LEAST = 2
"""Lines that must be the same, where one may be a line that was written twice, or have the number of another."""


def unpacked(text: str) -> Numbers:
    """Return the numbers of lines from what a cursor keeps; none where that isn't what was written."""
    try:
        return np.frombuffer(base64.b85decode(text), "<u4")
    except ValueError:
        return np.empty(0, np.uint32)


def packed(numbers: Numbers) -> str:
    """Return what a cursor keeps: the last :data:`MOST` numbers."""
    return base64.b85encode(numbers[-MOST:].astype("<u4").tobytes()).decode()


def numbered(content: Content, start: int, stop: int) -> Numbers:
    """Return the numbers of the last lines between two places of a plain file, both behind a newline."""
    begin = max(start, stop - MOST_BYTES)
    lines = content.part(begin, stop).split(b"\n")[:-1]
    if begin > start:  # it may be within a line
        lines = lines[1:]
    return np.fromiter(map(zlib.crc32, lines[-MOST:]), np.uint32)


def added(cursor: Cursor | None, content: Content, start: int, stop: int) -> str:
    """Return what the cursor is to keep of a log whose lines between two places were read now."""
    new = numbered(content, start, stop)
    before = unpacked(cursor.recent) if cursor is not None and cursor.recent else new[:0]
    return packed(np.concatenate((before, new)))


def bounded(cursors: Sequence[Cursor]) -> list[Cursor]:
    """Return cursors that keep no more than :data:`MOST_ALL` lines together, the same number each."""
    most = MOST_ALL
    left = sorted(len(each.recent) // 5 for each in cursors if each.recent)
    if sum(left) <= most:
        return list(cursors)
    share = most // len(left)
    return [replace(each, recent=packed(unpacked(each.recent)[-share:])) if each.recent else each for each in cursors]


def goes_on(content: Content, cursor: Cursor, *, gone: bool) -> tuple[int, int, bool] | None:
    """Return behind which place, and how many lines, of a file that was written anew the new lines begin.

    The third value says whether the line that was read last is among them.
    ``gone`` says that what was read is nowhere else, so that even one line is more than chance.
    None where it doesn't begin with lines that were read: those must stand in it in the order in which they were read.
    """
    known = unpacked(cursor.recent)
    if not len(known):
        return None
    whole = len(known) >= cursor.lines
    least = 1 if gone and whole else LEAST
    places: dict[int, list[int]] = {}
    for at, number in enumerate(known.tolist()):
        places.setdefault(number, []).append(at)
    at = same = read = offset = behind = 0
    for lines, text in enumerate(content.each_line(), 1):
        offset += len(text)
        some = places.get(zlib.crc32(text[:-1]), [])
        next_one = bisect_left(some, at)
        if next_one < len(some):
            at, same = some[next_one] + 1, same + 1
            read, behind = lines, offset
        elif whole or same:
            break
    return (behind, read, bool(known[at - 1] == known[-1])) if same >= least else None
