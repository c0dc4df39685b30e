"""Cuts a source into pieces of whole lines, and never through what goes on in the next line.

A line that begins with white space goes on with the one before (a folded Message-ID in DSPAM's system.log), and amavis
splits long texts into lines that end in three dots: a piece ends before or behind these, so that where it is cut changes
nothing that is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

LONGEST = 1 << 20
"""Bytes of a line that are kept; what a program wrote beyond this in one line isn't a log line."""

NEAR = 4096
"""Bytes before a cut in which a text that goes on may end: others' lines stand between its pieces."""

AMAVIS = re.compile(rb"amavis[^:]*: \((\S{1,40})\) ")
"""The beginning of amavis's texts, with the ID that the lines of one text share."""

TRIES = 200
"""Places looked at for a cut; where all lines go on, one of them is cut."""

STEP = 64 << 10
"""Bytes looked at behind a place for a line's end, at first."""


def cut_behind(read: Callable[[int, int], bytes], place: int, total: int) -> int | None:
    """Return the first place at or behind ``place`` where a file of ``total`` bytes may be cut; None in an endless line.

    ``read(size, offset)`` gives its bytes. The cut is behind a newline, or at the file's end.
    """
    begin = max(place - 1 - NEAR, 0)
    first: int | None = None
    for step in (STEP, LONGEST):
        window = read(place - 1 - begin + step, begin)
        at = place - 2 - begin
        for _ in range(TRIES):
            at = window.find(b"\n", at + 1)
            if at < 0 or begin + at + 1 >= total:
                break
            first = begin + at + 1 if first is None else first
            if at + 1 < len(window) and not goes_on(window, at):
                return begin + at + 1
        if begin + len(window) >= total:
            return first or total
        if first is not None:
            return first
    return None


def goes_on(data: bytes, at: int) -> bool:
    """Whether what ends in the newline at ``at`` may go on behind it."""
    if data[at + 1 : at + 2] in (b" ", b"\t"):
        return True
    begin = max(0, at - NEAR)
    if data.find(b"...\n", begin, at + 1) < 0:
        return False
    waiting: set[bytes] = set()
    for line in data[begin:at].split(b"\n"):
        found = AMAVIS.search(line)
        if found:
            (waiting.add if line.endswith(b"...") else waiting.discard)(found[1])
    return bool(waiting)


def _last_cut(data: bytes, boundaries: tuple[bytes, ...]) -> int:
    """Return where the last boundary begins behind which a piece may end; -1 where there is none."""
    plain = boundaries == (b"\n",)
    last = at = max(data.rfind(boundary) for boundary in boundaries)
    for _ in range(TRIES if plain else 0):
        if at < 0 or (at + 1 < len(data) and not goes_on(data, at)):
            return at
        at = data.rfind(b"\n", 0, at)
    return last


def whole_lines(blocks: Iterator[bytes], size: int, boundaries: tuple[bytes, ...]) -> Iterator[bytes]:
    """Cut a stream behind newlines every ``size`` bytes or so.

    Each of the ``boundaries`` starts with the bytes that end a piece, equally many newlines, and goes on with what begins
    the next one.
    """
    parts: list[bytes] = []
    held = 0
    keep = boundaries[0].rindex(b"\n") + 1
    skipping = False
    for incoming in blocks:
        block = incoming
        if skipping:
            at = block.find(b"\n")
            if at < 0:
                continue
            block, skipping = block[at:], False
        parts.append(block)
        held += len(block)
        if held < size:
            continue
        whole = b"".join(parts)
        at = _last_cut(whole, boundaries)
        if at >= 0:
            yield whole[: at + keep]
            whole = whole[at + keep :]
        elif keep == 1 and len(whole) > LONGEST:
            whole, skipping = whole[:LONGEST], True
        parts, held = [whole], len(whole)
    whole = b"".join(parts)
    if whole:
        yield whole
