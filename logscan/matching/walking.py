"""Runs op programs over the lines of a chunk, in C."""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections import Counter
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
from logscan.matching.translating import Programs

__all__ = ["AVAILABLE", "LEFT", "NONE", "WHY_NOT", "BadImageError", "Image", "Library", "Text", "checked", "run"]

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
_MATCH = _function("logscan_match", ctypes.c_int64, "plppp" + "ll" + "pl" + "pppl" + "p")


class BadImageError(Exception):
    """What should be an image of op programs isn't one."""


@dataclass(frozen=True)
class Image:
    """Op programs that the machine can run: the words, checked, and what its shapes are."""

    words: Words
    shapes: Sequence[Shape]


def checked(words: Words) -> Words:
    """Return an image that can run; raises :class:`BadImageError` for any other."""
    words = np.ascontiguousarray(words, np.uint32)
    if _CHECK(words.ctypes.data, len(words)) != 1:
        raise BadImageError
    return words


PAYS = 4000
"""Lines of a program from which its grammar is translated: that takes some 50 ms, a line 3 µs more by the pattern (measured)."""


class Library:
    """Translates grammars when they are first asked for, and keeps them."""

    def __init__(self) -> None:
        self._programs = Programs()
        self._met: Counter[Pattern] = Counter()
        self._entries: dict[Pattern, int] = {}
        self._image = Image(np.zeros(0, np.uint32), ())
        self._lock = threading.Lock()

    def pays(self, pattern: Pattern, lines: int) -> bool:
        """Whether to have so many more lines of a program read by the machine, rather than by the pattern."""
        self._met[pattern] += lines
        return pattern in self._entries or self._met[pattern] >= PAYS

    def image(self, patterns: Sequence[Pattern]) -> tuple[Image, list[int]]:
        """Return an image in which all of these grammars are, and the number of each one's entry."""
        with self._lock:
            new = [pattern for pattern in patterns if pattern not in self._entries]
            for pattern in new:
                self._entries[pattern] = self._programs.add(pattern)
            if new:
                self._image = Image(checked(self._programs.image()), tuple(self._programs.shapes))
            return self._image, [self._entries[pattern] for pattern in patterns]


SHARED = Library()
"""For the grammars of :mod:`logscan.grammar.programs`, of which there are as many as programs are known."""


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
    """What became of each line: ``shape`` is its place in ``shapes``, NONE or LEFT.

    ``offset`` says where in ``places`` its fields lie, start and end of each.
    """

    shapes: Sequence[Shape]
    shape: Int32s
    offset: Int32s
    places: Int32s

    def claimed(self) -> Iterator[Claimed]:
        """Yield the lines of each shape."""
        rows = np.flatnonzero(self.shape >= 0)
        key = self.shape[rows]
        if len(self.shapes) < 1 << 15:
            key = key.astype(np.int16)  # sorted by counting
        order = np.argsort(key, kind="stable")
        rows, key = rows[order], key[order]
        for begin, end in itertools.pairwise([0, *(np.flatnonzero(np.diff(key)) + 1).tolist(), len(key)]):
            if begin < end:
                mine = rows[begin:end]
                yield Claimed(self.shapes[key[begin]], mine, self.places, self.offset[mine])


def run(image: Image, which: Int32s, text: Text, starts: Ints, ends: Ints) -> Matched:
    """Match the lines from ``starts`` to ``ends`` (int64) of a text; ``which`` (int32) is the entry of each line's program."""
    count = len(starts)
    given = [np.ascontiguousarray(starts, np.int64), np.ascontiguousarray(ends, np.int64)]
    which = np.ascontiguousarray(which, np.int32)
    if not len(given[1]) == len(which) == count:
        raise ValueError("each line has a start, an end and a program")
    shape, offset = np.empty(count, np.int32), np.empty(count, np.int32)
    places = np.empty(PLACES * count + LEAST_PLACES, np.int32)
    taken = ctypes.c_int64(0)
    lines = (text.data.ctypes.data, text.end, *(each.ctypes.data for each in given), which.ctypes.data)
    line = 0
    while True:
        filled = (shape.ctypes.data, offset.ctypes.data, places.ctypes.data, len(places), ctypes.byref(taken))
        line = _MATCH(*lines, line, count, image.words.ctypes.data, len(image.words), *filled)
        if line < 0:
            raise MemoryError
        if line == count:
            return Matched(image.shapes, shape, offset, places)
        places = np.concatenate([places, np.empty_like(places)])
