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


class Look(Op):
    """What must, or must not, come next."""

    def __init__(self, op: Op, wanted: bool) -> None:
        self.op, self.wanted = op, wanted
        self.groups = op.groups if wanted else ()

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Match and stay."""
        ok, _ = self.op.run(lines, rows, pos)
        if ok is None:
            ok = np.ones(len(rows), np.bool_)
        if self.wanted:
            return ok, pos
        lines.forget(self.op.groups, rows)
        return ~ok & ~lines.done[rows], pos


class LastOf(Op):
    """A run of a class (None: anything), given back to the last place where what begins with one of its characters matches."""

    def __init__(self, char: int, op: Op, table: Table | None, least: int, choice: bool) -> None:
        self.char, self.op, self.least, self.choice = bytes([char]), op, least, choice
        self.span = None if table is None else Span(table, 0, None, choice=False)
        self.groups = op.groups

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Try from the end of the run backwards."""
        matched, new = np.zeros(len(rows), np.bool_), pos.copy()
        end = lines.end[rows] if self.span is None else self.span.run(lines, rows, pos)[1]
        # A run too long to follow is left to the pattern, and has no end here.
        left = np.flatnonzero((end - pos > self.least) & ~lines.done[rows])
        if not len(left):
            return matched, new
        places = lines.text.places(self.char)
        at = np.searchsorted(places, end) - 1
        for _ in range(MOST_TURNS):
            left = left[at[left] >= 0]
            left = left[places[at[left]] >= pos[left] + self.least]
            if not len(left):
                return matched, new
            ok, to = self.op.run(lines, rows[left], places[at[left]])
            if ok is None:
                ok = np.ones(len(left), np.bool_)
            matched[left[ok]], new[left[ok]] = True, to[ok]
            left = left[~ok & ~lines.done[rows[left]]]
            at[left] -= 1
            if not len(left):
                return matched, new
        lines.done[rows[left]] = True
        return matched, new


class Until(Op):
    """Characters of a class up to where an element that begins with one certain character matches."""

    def __init__(self, table: Table, char: int, op: Op, least: int, choice: bool) -> None:
        self.span, self.op = Span(table, 0, None, choice=False), op
        self.to_stop = Span(~table_of(bytes([char])), 0, None, choice=False)
        self.least, self.choice, self.only_taken = least, choice, not least

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Go from one such character to the next."""
        _, end = self.span.run(lines, rows, pos)
        new = end.copy()
        left, here = np.arange(len(rows)), pos
        for _ in range(MOST_TURNS):
            _, at = self.to_stop.run(lines, rows[left], here)
            inside = at < end[left]
            left, at = left[inside], at[inside]
            if not len(left):
                break
            ok, _ = self.op.run(lines, rows[left], at)
            if ok is None:
                ok = np.ones(len(left), np.bool_)
            new[left[ok]] = at[ok]
            more = ~ok & ~lines.done[rows[left]]
            left, here = left[more], at[more] + 1
            if not len(left):
                break
        else:
            lines.done[rows[left]] = True
        return (new - pos >= self.least) & ~lines.done[rows], new


class Lazy(Op):
    """As few characters of a class as will do for what follows."""

    def __init__(self, table: Table, least: int, op: Op) -> None:
        self.char, self.least, self.op = One(table), least, op
        self.groups = op.groups
        self.choice = True

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Try what follows, else take one more."""
        matched, new = np.zeros(len(rows), np.bool_), pos.copy()
        left, here = np.arange(len(rows)), pos
        for turn in range(MOST_TURNS):
            if turn >= self.least:
                ok, to = self.op.run(lines, rows[left], here)
                if ok is None:
                    ok = np.ones(len(left), np.bool_)
                matched[left[ok]], new[left[ok]] = True, to[ok]
                more = ~ok & ~lines.done[rows[left]]
                left, here = left[more], here[more]
                if not len(left):
                    return matched, new
            belongs, here = self.char.run(lines, rows[left], here)
            assert belongs is not None
            left, here = left[belongs], here[belongs]
            if not len(left):
                return matched, new
        lines.done[rows[left]] = True
        return matched, new


class Group(Op):
    """An element whose text is a field."""

    def __init__(self, number: int, op: Op) -> None:
        self.number, self.op = number, op
        self.choice = op.choice
        self.groups = (number, *op.groups)

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Match and remember from where to where."""
        ok, new = self.op.run(lines, rows, pos)
        starts, ends = lines.group(self.number)
        if ok is None:
            starts[rows], ends[rows] = pos, new
        else:
            some = rows[ok]
            starts[some], ends[some] = pos[ok], new[ok]
        return ok, new


class Boundary(Op):
    """Between a letter, digit or underscore and something else. A line's text has a blank before it."""

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Compare both sides."""
        data = lines.text.data
        return WORD[data[pos - 1]] != WORD[data[pos]], pos


class LineEnd(Op):
    """The end of the line."""

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Compare places."""
        return pos == lines.end[rows], pos


class Nothing(Op):
    """An empty element."""

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Stay."""
        return None, pos


class Atomic(Op):
    """An element that is never gone back into: its first way is its only one."""

    def __init__(self, op: Op) -> None:
        self.op, self.groups = op, op.groups

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Match as the element does."""
        return self.op.run(lines, rows, pos)


class LastInWord(Op):
    """A run of a class up to the last of one certain character in it, that character, and the rest, to a word's end."""

    def __init__(self, table: Table, least: int, char: int, tail: int) -> None:
        self.whole = Span(table, 0, None, choice=False)
        self.end = Boundary()
        self.least, self.tail, self.char = least, tail, bytes([char])

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Look back from the run's end."""
        _, end = self.whole.run(lines, rows, pos)
        matched = np.zeros(len(rows), np.bool_)
        long = np.flatnonzero((end - pos > self.least + self.tail) & ~lines.done[rows])
        if len(long):
            begin, stop = pos[long], end[long]
            places = lines.text.places(self.char)
            at = np.searchsorted(places, stop) - 1
            last = np.where(at >= 0, places[at], -1)
            ok, _ = self.end.run(lines, rows[long], stop)
            assert ok is not None
            matched[long] = ok & (last - begin >= self.least) & (stop - last - 1 >= self.tail)
        return matched, end
