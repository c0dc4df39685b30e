"""Runs op programs over the lines of a chunk, in C."""

from __future__ import annotations

import ctypes
import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from logscan.grammar.formats import Pattern, Shape
from logscan.machine.library import LIBRARY
from logscan.machine.library import WHY_NOT as WHY_NO_LIBRARY
from logscan.matching import elements
from logscan.matching.ops import Words
from logscan.matching.text import Ints, Text
from logscan.matching.translating import translated

__all__ = ["AVAILABLE", "LEFT", "NONE", "WHY_NOT", "BadProgramError", "Text", "checked", "program_of", "run"]

Int32s = npt.NDArray[np.int32]

AVAILABLE = LIBRARY is not None and elements.AVAILABLE

WHY_NOT = WHY_NO_LIBRARY or "Python's own parser of patterns isn't where it was; a newer logscan may know it"
"""Why every line is matched by itself, where that is so."""

NONE, LEFT = -1, -2
"""No shape takes the line; the line is left to the pattern."""

PLACES, LEAST_PLACES = 12, 4096
"""Places that room is made for, a line and in any case, before it is known how many there are; a shape has fewer than 4096."""


def _function(name: str, answer: Any, arguments: str) -> Callable[..., int]:
    """Return a function of the library; its arguments are addresses (p), int64s (l) and int32s (i)."""
    if LIBRARY is None:
        return lambda *_: -1
    found = getattr(LIBRARY, name)
    kinds = {"p": ctypes.c_void_p, "l": ctypes.c_int64, "i": ctypes.c_int32}
    found.restype, found.argtypes = answer, [kinds[each] for each in arguments]
    return cast("Callable[..., int]", found)


_CHECK = _function("logscan_check", ctypes.c_int, "pl")
_MATCH = _function("logscan_match", ctypes.c_int64, "plppp" + "ll" + "ppi" + "pppl" + "p")


class BadProgramError(Exception):
    """An op program that isn't one."""


_PROGRAMS: weakref.WeakKeyDictionary[Pattern, Words] = weakref.WeakKeyDictionary()


def program_of(pattern: Pattern) -> Words:
    """Return the op program of a program's grammar, checked; made when first asked for."""
    found = _PROGRAMS.get(pattern)
    if found is None:
        found = _PROGRAMS[pattern] = checked(translated(pattern))
    return found


def checked(program: Words) -> Words:
    """Return an op program that can run; raises :class:`BadProgramError` for any other."""
    program = np.ascontiguousarray(program, np.uint32)
    if not _CHECK(program.ctypes.data, len(program)):
        raise BadProgramError
    return program


@dataclass(frozen=True)
class Claimed:
    """The lines that one shape claimed: their numbers, rising, and by line where in ``places`` its fields lie, start (-1: none)
    and end of each.
    """

    shape: Shape
    rows: Ints
    places: Int32s
    at: Int32s

    @property
    def fields(self) -> dict[str, tuple[Ints, Ints]]:
        """Where each field starts and ends."""
        if not self.shape.format.table:
            return {}
        some = enumerate(self.shape.fields)
        return {name: places_of(self.places, self.at, number) for number, name in some}


def places_of(places: Int32s, at: Int32s, number: int) -> tuple[Ints, Ints]:
    """Return where the field of that number starts and ends, by line."""
    return places[at + 2 * number].astype(np.int64), places[at + 2 * number + 1].astype(np.int64)


@dataclass(frozen=True)
class Matched:
    """What became of each line: ``shape`` is its shape's place in its program, NONE or LEFT.

    ``offset`` says where in ``places`` its fields lie, start and end of each.
    """

    shape: Int32s
    offset: Int32s
    places: Int32s

    def claimed(self, patterns: Sequence[Pattern], which: Int32s) -> Iterator[Claimed]:
        """Yield the lines of each shape; ``which`` is the place of each line's pattern."""
        shapes = [list(pattern.shapes.values()) for pattern in patterns]
        first = np.cumsum([0, *map(len, shapes)])
        flat = [shape for each in shapes for shape in each]
        rows = np.flatnonzero(self.shape >= 0)
        key = first[which[rows]] + self.shape[rows]
        key = key.astype(np.uint16 if len(flat) < 1 << 16 else np.int64)
        order = np.argsort(key, kind="stable")
        rows, key = rows[order], key[order]
        bounds = [0, *(np.flatnonzero(np.diff(key)) + 1).tolist(), len(key)]
        for begin, end in itertools.pairwise(bounds):
            if begin < end:
                mine = rows[begin:end]
                yield Claimed(flat[key[begin]], mine, self.places, self.offset[mine])


def run(programs: Sequence[Words], which: Int32s, text: Text, starts: Ints, ends: Ints) -> Matched:
    """Match the lines from ``starts`` to ``ends`` (int64) of a text; ``which`` (int32) is the place of each line's program.

    The programs are :func:`checked`.
    """
    count = len(starts)
    given = [np.ascontiguousarray(starts, np.int64), np.ascontiguousarray(ends, np.int64)]
    which = np.ascontiguousarray(which, np.int32)
    if not len(given[1]) == len(which) == count:
        raise ValueError("each line has a start, an end and a program")
    shape, offset = np.empty(count, np.int32), np.empty(count, np.int32)
    places = np.empty(PLACES * count + LEAST_PLACES, np.int32)
    addresses = (ctypes.c_void_p * len(programs))(*(each.ctypes.data for each in programs))
    sizes = np.asarray([len(each) for each in programs], np.int64)
    taken = ctypes.c_int64(0)
    lines = (text.data.ctypes.data, text.end, *(each.ctypes.data for each in given), which.ctypes.data)
    line = 0
    while True:
        filled = (shape.ctypes.data, offset.ctypes.data, places.ctypes.data, len(places), ctypes.byref(taken))
        line = _MATCH(*lines, line, count, addresses, sizes.ctypes.data, len(programs), *filled)
        if line < 0:
            raise MemoryError
        if line == count:
            return Matched(shape, offset, places)
        places = np.concatenate([places, np.empty_like(places)])
