"""Where lines lie, their stamps and their tags, told by ``envelopes.c``; what it leaves alone is left to Python."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from logscan.machine.columns import address
from logscan.machine.library import LIBRARY, SEED

Ints = npt.NDArray[np.int64]

if LIBRARY is not None:
    _pointer, _number = ctypes.c_void_p, ctypes.c_int64
    LIBRARY.logscan_lines.restype = _number
    LIBRARY.logscan_lines.argtypes = [_pointer, _number, _pointer, _pointer, _number]
    LIBRARY.logscan_stamps.restype = _number
    LIBRARY.logscan_stamps.argtypes = [_pointer, _number, *[_pointer] * 7]
    LIBRARY.logscan_tags.restype = ctypes.c_int
    LIBRARY.logscan_tags.argtypes = [_pointer, _number, *[_pointer] * 8, ctypes.c_uint64]

SHORT = 48
"""Bytes that lines have at least on average in any usual log; where they are shorter, they are counted first."""


def lines(chunk: bytes) -> tuple[Ints, Ints]:
    """Return where the lines of a chunk start, and where they end without the white space at their ends."""
    assert LIBRARY is not None
    room = len(chunk) // SHORT + 1
    while True:
        starts, ends = np.empty(room, np.int64), np.empty(room, np.int64)
        count = LIBRARY.logscan_lines(chunk, len(chunk), address(starts), address(ends), room)
        if count >= 0:
            return starts[:count], ends[:count]
        room = chunk.count(b"\n") + 1


class Stamps(NamedTuple):
    """The stamps of lines, all int64: ``width`` of each (0 where it is left to others), and what it says (see
    :class:`logscan.envelopes.stamps.Layout`); ``left`` says how many lines that hold anything were left.
    """

    width: Ints
    time: Ints
    clock: Ints
    year: Ints
    offset: Ints
    left: int


def stamps(chunk: bytes, starts: Ints, ends: Ints) -> Stamps:
    """Return the stamps of lines: those of syslog and of ISO 8601."""
    assert LIBRARY is not None
    lie = _within(chunk, starts, ends)
    width, time, clock, year, offset = made = [np.empty(len(starts), np.int64) for _ in range(5)]
    left = LIBRARY.logscan_stamps(chunk, len(starts), *lie, *(address(each) for each in made))
    return Stamps(width, time, clock, year, offset, left)


class Tags(NamedTuple):
    """What lines have for "host tag[pid]".

    ``tag`` (int32) is the number of each line's, -1 where something else stands there; ``behind`` the place of the colon;
    ``inner`` (bool) whether another envelope may follow, or something else stands there. By tag: where it first stood
    (``first``, ``length``), the number of its "host tag" in ``names`` (int32), and its ``pid``: -1 for none, -2 where that
    isn't plain digits. ``repeats`` says of how many lines the text begins with ``message repeated``.
    """

    tag: npt.NDArray[np.int32]
    behind: Ints
    inner: npt.NDArray[np.bool_]
    first: Ints
    length: Ints
    name: npt.NDArray[np.int32]
    pid: Ints
    names: list[bytes]
    repeats: int


def tags(chunk: bytes, starts: Ints, ends: Ints, wanted: npt.NDArray[np.bool_]) -> Tags:
    """Return the tags of the bodies from ``starts`` to ``ends``, of those that are ``wanted``."""
    assert LIBRARY is not None
    count = len(starts)
    lie = _within(chunk, starts, ends)
    tag, behind, inner = np.empty(count, np.int32), np.empty(count, np.int64), np.empty(count, np.bool_)
    first, length, pid, name_length, name_tag = (np.empty(count, np.int64) for _ in range(5))
    name = np.full(count, -1, np.int32)
    by_tag = np.array([address(each) for each in (first, length, name, pid, name_length, name_tag)], np.intp)
    counts = np.zeros(3, np.int64)
    wanted = np.ascontiguousarray(wanted)
    of_line = [address(each) for each in (wanted, tag, behind, inner)]
    if LIBRARY.logscan_tags(chunk, count, *lie, *of_line, address(by_tag), address(counts), SEED):
        raise MemoryError
    size, names, repeats = counts.tolist()
    begins = first[name_tag[:names]]
    texts = [chunk[at : at + n] for at, n in zip(begins.tolist(), name_length[:names].tolist(), strict=True)]
    return Tags(tag, behind, inner, first[:size], length[:size], name[:size], pid[:size], texts, repeats)


def _within(chunk: bytes, starts: Ints, ends: Ints) -> tuple[int, int]:
    """Return the addresses of places, once it is sure that they lie in the chunk."""
    if len(starts) != len(ends) or not (starts.flags.c_contiguous and ends.flags.c_contiguous):
        raise ValueError("each line has a start and an end")
    if len(starts) and (starts.min() < 0 or (starts > ends).any() or ends.max() > len(chunk)):
        raise ValueError("a line isn't in its chunk")
    return address(starts), address(ends)
