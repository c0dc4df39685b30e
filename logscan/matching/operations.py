"""The elements of a grammar as operations on many lines at once: where each line stands goes in, where it goes on comes out.

Elements never give back what they took, so a line needs no stack, only a position. Where Python's matching would come back
for another way (a ``choice``) and it isn't certain that none would do, the line is left to the compiled pattern.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from logscan.matching.text import Ints, Text

Bools = npt.NDArray[np.bool_]
Table = npt.NDArray[np.bool_]
"""Which of the 256 bytes belong to a class."""

MOST_TURNS = 24
"""Rounds of a repeated element; lines with more are left to the pattern, so that none costs its length squared."""

MOST_ROUNDS = 64
"""Words of eight bytes that are classified one after the other: Postfix' fields are shorter."""

FEW_STOPS = 12
"""Characters that a class lacks, up to which their places in the text are looked up; else bytes are classified."""

_NEWLINE, _NUL = 10, 0


def table_of(chars: bytes) -> Table:
    """Return the class of these characters."""
    table = np.zeros(256, np.bool_)
    table[list(chars)] = True
    return table


DIGITS = b"0123456789"
LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
WORD = table_of(DIGITS + LETTERS + b"_")


class Lines:
    """Lines on their way through a tree: where each ends, what its groups hold, who has claimed it."""

    def __init__(self, text: Text, end: Ints, least: int) -> None:
        self.text, self.end, self.least = text, end, least
        self.done = np.zeros(len(end), np.bool_)
        """Claimed by a shape, or left to the pattern."""
        self.groups: dict[int, tuple[Ints, Ints]] = {}
        self.found: dict[int, Ints] = {}

    def group(self, number: int) -> tuple[Ints, Ints]:
        """Return starts (-1: took no part) and ends of a group."""
        if number not in self.groups:
            size = len(self.end)
            self.groups[number] = np.full(size, -1, np.int64), np.zeros(size, np.int64)
        return self.groups[number]

    def forget(self, numbers: Iterable[int], rows: Ints) -> None:
        """Take back what an element that failed after all had put into its groups."""
        for number in numbers:
            if number in self.groups:
                self.groups[number][0][rows] = -1


Answer = tuple[Bools | None, Ints]
"""Which lines matched (None: all), and where each goes on (meaningless where it failed)."""


class Op:
    """One element.

    ``choice`` says that it took the first of several ways, and that a match which goes back might come for another: what
    fails behind it (and it itself, where it fails after a choice of its own) must be marked as done, for the pattern to
    decide. ``only_taken`` promises that there is no other way where it took nothing. ``groups`` are those it may fill.
    """

    choice = False
    only_taken = False
    groups: tuple[int, ...] = ()

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Match at ``pos`` in the lines ``rows`` (neither is empty)."""
        raise NotImplementedError


class Unknown(Op):
    """What there is no operation for: its lines are left to the pattern."""

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Leave all."""
        lines.done[rows] = True
        return np.zeros(len(rows), np.bool_), pos


class Literal(Op):
    """A fixed text."""

    def __init__(self, text: bytes) -> None:
        self.size = len(text)
        starts = [0] if self.size <= 8 else [*range(0, self.size - 8, 8), self.size - 8]
        self.words = []
        for start in starts:
            part = text[start : start + 8]
            mask = None if len(part) == 8 else np.uint64((1 << 8 * len(part)) - 1)
            self.words.append((start, mask, np.uint64(int.from_bytes(part, "little"))))

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Compare eight bytes at a time."""
        ok: Bools | None = None
        for start, mask, value in self.words:
            word = lines.text.words[pos + start if start else pos]
            if mask is not None:
                word &= mask
            same = word == value
            ok = same if ok is None else ok & same
        return ok, pos + self.size


class One(Op):
    """One character of a class."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.check_end = bool(table[_NEWLINE] or table[_NUL])

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Look the byte up."""
        ok = self.table[lines.text.data[pos]]
        return (ok & (pos < lines.end[rows]) if self.check_end else ok), pos + 1


class Span(Op):
    """As many characters of a class as there are, from ``least`` to ``most``."""

    def __init__(self, table: Table, least: int, most: int | None, choice: bool) -> None:
        self.least, self.most, self.choice = least, most, choice
        self.only_taken = not least
        self.over_end = bool(table[_NEWLINE] or table[_NUL])
        self.stops = bytes(at for at in range(256) if not table[at] and at != _NEWLINE)
        self.all = self.over_end and not self.stops
        self.few = self.over_end and len(self.stops) <= FEW_STOPS
        self.strange = (~table).astype(np.uint8)

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Find the next character that doesn't belong."""
        ok: Bools | None = None
        if self.all:
            new = lines.end[rows]
        elif self.few and lines.text.pays(self.stops, len(rows)):
            new = self._to_stop(lines, rows, pos)
        else:
            new, longer = self._classified(lines, rows, pos)
            if len(longer) and self.few:
                new[longer] = self._to_stop(lines, rows[longer], new[longer])
            elif len(longer):
                lines.done[rows[longer]] = True
                ok = np.ones(len(rows), np.bool_)
                ok[longer] = False
        if self.most is not None:
            new = np.minimum(new, pos + self.most)
        if self.least:
            enough = new - pos >= self.least
            ok = enough if ok is None else ok & enough
        return ok, new

    def _to_stop(self, lines: Lines, rows: Ints, pos: Ints) -> Ints:
        return np.minimum(lines.text.next(self.stops, pos), lines.end[rows])

    def _classified(self, lines: Lines, rows: Ints, pos: Ints) -> tuple[Ints, Ints]:
        """Classify eight bytes at a time, until a strange one comes or there are enough.

        Returns where each line goes on, and which are longer than :data:`MOST_ROUNDS` reach: one long line would cost what
        all others do.
        """
        new = pos.copy()
        left, here = np.arange(len(rows)), pos
        end = lines.end[rows] if self.over_end else None
        for _ in range(MOST_ROUNDS):
            word = lines.text.words[np.minimum(here, len(lines.text.words) - 1)]
            strange = self.strange[word.view(np.uint8)].view("<u8")
            # The lowest bit set is in the first strange byte; the bits below it, by eight, are the bytes before it.
            count = (np.bitwise_count((strange & -strange) - np.uint64(1)) >> 3).astype(np.int64)
            here = here + count
            new[left] = here
            go_on = count == 8
            if self.most is not None:
                go_on &= here - pos[left] < self.most
            if end is not None:
                go_on &= here < end[left]
            left, here = left[go_on], here[go_on]
            if not len(left):
                break
        return (np.minimum(new, end) if end is not None else new), left


class Seq(Op):
    """Elements one after the other."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self.ops = ops
        self.choice = any(op.choice for op in ops)
        self.groups = tuple(group for op in ops for group in op.groups)

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Go on with the lines that matched; behind a choice, a failure is the pattern's to decide."""
        size = len(rows)
        kept: Ints | None = None
        chosen: Bools | None = None
        for op in self.ops:
            before = pos
            ok, pos = op.run(lines, rows, pos)
            if op.choice:
                risky = pos != before if op.only_taken else np.ones(len(rows), np.bool_)
            if ok is not None and not ok.all():
                if chosen is not None:
                    lines.done[rows[chosen & ~ok]] = True
                some = np.flatnonzero(ok)
                kept = some if kept is None else kept[some]
                rows, pos = rows[some], pos[some]
                if not len(rows):
                    break
                if op.choice:
                    risky = risky[some]
                if chosen is not None:
                    chosen = chosen[some]
            if op.choice:
                chosen = risky if chosen is None else chosen | risky
        if kept is None:
            return None, pos
        matched, new = np.zeros(size, np.bool_), np.zeros(size, np.int64)
        matched[kept], new[kept] = True, pos
        return matched, new


class Branch(Op):
    """The first of several alternatives."""

    def __init__(self, ops: Sequence[Op], choice: bool) -> None:
        self.ops, self.choice = ops, choice
        self.groups = tuple(group for op in ops for group in op.groups)

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Try each on those that none has taken yet."""
        matched, new = np.zeros(len(rows), np.bool_), pos.copy()
        left = np.arange(len(rows))
        for op in self.ops:
            ok, to = op.run(lines, rows[left], pos[left])
            if ok is None:
                matched[left], new[left] = True, to
                break
            matched[left[ok]], new[left[ok]] = True, to[ok]
            left = left[~ok]
            lines.forget(op.groups, rows[left])
            left = left[~lines.done[rows[left]]]
            if not len(left):
                break
        return matched, new


class Repeat(Op):
    """An element from ``least`` to ``most`` times (None: without limit); ``some``: it never takes nothing."""

    def __init__(self, op: Op, least: int, most: int | None, choice: bool, some: bool) -> None:
        self.op, self.least, self.most, self.choice = op, least, most, choice
        self.only_taken = not least and (some or not op.choice)
        self.groups = op.groups

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Go round with the lines that still match."""
        new = pos.copy()
        times = np.zeros(len(rows), np.int64)
        left = np.arange(len(rows))
        for turn in range(MOST_TURNS if self.most is None else self.most):
            ok, to = self.op.run(lines, rows[left], new[left])
            if ok is not None:
                if turn == 0:
                    lines.forget(self.groups, rows[left[~ok]])
                left, to = left[ok], to[ok]
            moved = to > new[left]
            new[left] = to
            # What takes nothing would do so for ever: as often as it must.
            times[left] = np.where(moved, times[left] + 1, max(self.least, 1))
            left = left[moved]
            if not len(left):
                break
        else:
            if self.most is None:
                lines.done[rows[left]] = True
        if self.op.choice:
            lines.done[rows[times < self.least]] = True
        ok = ~lines.done[rows]
        return (ok & (times >= self.least) if self.least else ok), new
