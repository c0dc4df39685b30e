"""Operations that look ahead or search: for a stop, a boundary, the last of something."""

from __future__ import annotations

import numpy as np

from logscan.matching.operations import MOST_TURNS, WORD, Answer, Lines, One, Op, Span, Table, table_of
from logscan.matching.text import Ints


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
