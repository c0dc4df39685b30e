"""The tags of a chunk's lines, "host tag[pid]", and what they say: head, process, and the program's grammar."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from logscan.grammar.formats import Pattern
from logscan.grammar.programs import pattern_for
from logscan.machine import envelopes as machine
from logscan.matching.text import Text
from logscan.reading.parsed import Head, Parsed
from logscan.reading.tabling import Rows, Spans

Ints = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Adders = tuple[tuple[int, ...] | None, Callable[[Any], None], Callable[[int], None], Callable[[int], None]]
"""The groups to ask for, and what adds to the lists of :class:`Rows`."""


@functools.lru_cache(maxsize=65_536)
def resolve(host: bytes, tag: bytes) -> tuple[Head, str]:
    """Split a tag; returns the head and the name under which formats know the program."""
    text = tag.decode("utf-8", "backslashreplace")
    name = host.decode("utf-8", "backslashreplace")
    path, slash, daemon = text.rpartition("/")
    if slash:  # with an empty syslog_name nothing stands before it
        return Head(name, path.split("/", 1)[0], path, daemon), f"/{daemon}"
    program = daemon or text
    return Head(name, "", program, program), program


def _pid(whole: bytes) -> bytes | None:
    return whole.partition(b"[")[2].partition(b"]")[0] or None


class Tags:
    """The tags of a chunk and the rows found so far, by pattern and shape."""

    def __init__(self, parsed: Parsed) -> None:
        self.parsed = parsed
        self.tags: dict[bytes, tuple[Pattern, dict[int, Adders], int]] = {}
        """By "host tag[pid": the pattern, its shapes' adders, and the tag's number."""
        self.heads: list[int] = []
        self.pids: list[int | bytes | None] = []
        self.rows: dict[int, tuple[dict[int, Rows], dict[int, Adders]]] = {}
        self.spans: list[Spans] = []
        self._programs: dict[bytes, tuple[int, Pattern]] = {}

    def tag(self, whole: bytes) -> tuple[Pattern, dict[int, Adders], int]:
        """Return the entry of ``tags``, made when it is new."""
        known = self.tags.get(whole)
        if known is not None:
            return known
        head, pattern = self.program(whole.partition(b"[")[0])
        self.heads.append(head)
        self.pids.append(_pid(whole))
        found = self.tags[whole] = pattern, self._adders(pattern), len(self.heads) - 1
        return found

    def program(self, tag: bytes) -> tuple[int, Pattern]:
        """Return the number of a "host tag"'s head, and its program's pattern."""
        found = self._programs.get(tag)
        if found is None:
            host, _, name = tag.partition(b" ")
            head, known_as = resolve(host, name.rstrip(b":"))
            self.parsed.heads.append(head)
            found = self._programs[tag] = len(self.parsed.heads) - 1, pattern_for(known_as)
        return found

    def number(
        self, text: Text, tags: machine.Tags, of_line: npt.NDArray[np.int32]
    ) -> tuple[Ints, Int32s, list[Pattern]]:
        """Return, by tag, the number that those of some lines are given, and its pattern's place in a list.

        ``of_line`` are the lines' tags in ``text``; what none of them has stays 0.
        """
        used = np.flatnonzero(np.bincount(of_line, minlength=len(tags.first)))
        names = tags.name[used]
        programs = {name: self.program(tags.names[name]) for name in np.unique(names).tolist()}
        patterns = list({id(pattern): pattern for _, pattern in programs.values()}.values())
        place = {id(pattern): at for at, pattern in enumerate(patterns)}
        head_of, pattern_of = np.zeros(len(tags.names), np.int64), np.zeros(len(tags.names), np.int32)
        for name, (head, pattern) in programs.items():
            head_of[name], pattern_of[name] = head, place[id(pattern)]
        numbers = np.zeros(len(tags.first), np.int64)
        numbers[used] = np.arange(len(self.heads), len(self.heads) + len(used))
        self.heads += head_of[names].tolist()
        told = zip(tags.pid[used].tolist(), tags.first[used].tolist(), tags.length[used].tolist(), strict=True)
        self.pids += [pid if pid >= 0 else _pid(text.chunk[at : at + size]) for pid, at, size in told]
        return numbers, pattern_of[tags.name], patterns

    def pieces(self) -> list[Rows | Spans]:
        """Return what was found, one piece a shape and way."""
        found: list[Rows | Spans] = [*self.spans]
        found += [each for shapes, _ in self.rows.values() for each in shapes.values() if each.tags]
        return found

    def _adders(self, pattern: Pattern) -> dict[int, Adders]:
        if id(pattern) not in self.rows:
            rows: dict[int, Rows] = {}
            adders: dict[int, Adders] = {}
            for number, shape in pattern.shapes.items():
                # group(a, b) makes a tuple, group(a) a bare value and group() the whole match: ask for two at least.
                groups = shape.groups + (number,) * max(0, 2 - len(shape.groups)) if shape.format.table else None
                to = rows[number] = Rows(shape, len(groups or ()))
                adders[number] = groups, to.values.extend, to.index.append, to.tags.append
            self.rows[id(pattern)] = rows, adders
        return self.rows[id(pattern)][1]
