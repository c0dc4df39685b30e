"""Runs a program's grammar over many lines at once: each element is a few array operations instead of a match a line.

The third execution of a grammar, for the bulk of a large log. It takes the same tree of alternatives as the compiled
pattern, element by element: a literal is a comparison of words, a run of characters a search among the places of those
that end it. Elements never give back what they took, so a line needs no stack, only a position.

It claims a line only where the pattern would, with the same fields. What it can't decide (an element it has no operation
for, a choice inside an element that would have to be taken back) it leaves to the pattern, and so also everything that too
few lines have in common. A property test holds the two equal.
"""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logscan.grammar import Pattern, Tree

try:  # Python's own parser of regular expressions, which has no public name
    from re import _constants as sre  # type: ignore[attr-defined]
    from re import _parser  # type: ignore[attr-defined]
except ImportError:  # a Python to come: everything is left to the patterns
    sre = _parser = None

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Table = npt.NDArray[np.bool_]
"""Which of the 256 bytes belong to a class."""

PAD = 256
"""Zero bytes behind the text: what is compared may reach beyond its end."""

LEAST = 48
"""Lines below which arrays cost more than matching one by one (measured: some 20 operations of 2 µs a shape)."""

MOST_TURNS = 24
"""Rounds of a repeated element; lines with more are left to the pattern, so that none costs its length squared."""

FEW_STOPS = 12
"""Characters that a class lacks, up to which their places in the text are looked up; else bytes are classified."""

SCANNED = 50
"""Bytes that are scanned for all places of a character in the time that one line's next one takes to find (measured)."""

AVAILABLE = sys.byteorder == "little" and _parser is not None
"""Words are compared as little-endian numbers."""

END = 256
"""Stands for the end of the line in a set of first bytes."""

_NEWLINE, _NUL = 10, 0


class Text:
    """The bytes of a chunk and the places of characters in it."""

    def __init__(self, chunk: bytes) -> None:
        self.data: npt.NDArray[np.uint8] = np.frombuffer(chunk + bytes(PAD), np.uint8)
        size = len(self.data) - 7
        self.words: npt.NDArray[np.uint64] = np.ndarray((size,), "<u8", self.data, strides=(1,))
        """The eight bytes from each place on, as a number."""
        self.end = len(chunk)
        self._places: dict[bytes, Ints] = {}
        self._asked: dict[bytes, int] = {}

    def places(self, chars: bytes) -> Ints:
        """Return where any of ``chars`` stands, in ascending order, and at last the text's end."""
        found = self._places.get(chars)
        if found is None:
            text = self.data[: self.end]
            some = text == chars[0]
            for char in chars[1:]:
                some |= text == char
            found = self._places[chars] = np.append(np.flatnonzero(some), self.end)
        return found

    def pays(self, chars: bytes, lines: int) -> bool:
        """Whether to look for all places of ``chars``, now that so many more lines ask for the next one."""
        if chars in self._places:
            return True
        self._asked[chars] = self._asked.get(chars, 0) + lines
        return self._asked[chars] * SCANNED > self.end

    def next(self, chars: bytes, pos: Ints) -> Ints:
        """Return the first place from ``pos`` on of any of ``chars``, or the text's end."""
        places = self.places(chars)
        return places[np.searchsorted(places, pos)]

    def slices(self, starts: Ints, ends: Ints) -> pa.Array:
        """Return the bytes from ``starts`` to ``ends`` (both rising) as a binary array; null where a start is below 0."""
        size = len(starts)
        offsets = np.empty(2 * size + 1, np.int32)
        offsets[:-1:2], offsets[1::2] = starts, ends
        offsets[-1] = self.end
        missing = starts < 0
        some = bool(missing.any())
        if some:
            offsets[:-1:2][missing] = offsets[1::2][missing] = 0
            np.maximum.accumulate(offsets, out=offsets)
        # Values and the gaps between them are one array over the text; every other one is a value.
        whole = pa.Array.from_buffers(pa.binary(), 2 * size, [None, pa.py_buffer(offsets), pa.py_buffer(self.data)])
        index = pa.array(np.arange(0, 2 * size, 2, dtype=np.int32), mask=missing if some else None)
        return whole.take(index)


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
    """One element. ``choice``: it took the first of several ways, and a backtracking match might come back for another.

    ``only_taken``: only where it took something.
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
        self.stops = bytes(at for at in range(256) if not table[at] and at not in (_NEWLINE, _NUL))
        self.all = self.over_end and not self.stops
        self.few = self.over_end and len(self.stops) <= FEW_STOPS
        self.strange = (~table).astype(np.uint8)

    def run(self, lines: Lines, rows: Ints, pos: Ints) -> Answer:
        """Find the next character that doesn't belong."""
        if self.all:
            new = lines.end[rows]
        elif self.few and lines.text.pays(self.stops, len(rows)):
            new = np.minimum(lines.text.next(self.stops, pos), lines.end[rows])
        else:
            new = self._classified(lines, rows, pos)
        if self.most is not None:
            new = np.minimum(new, pos + self.most)
        return (new - pos >= self.least if self.least else None), new

    def _classified(self, lines: Lines, rows: Ints, pos: Ints) -> Ints:
        """Classify eight bytes at a time, until a strange one comes or there are enough."""
        new = pos.copy()
        left: Ints | None = None
        here = pos
        end = lines.end[rows] if self.over_end else None
        while True:
            word = lines.text.words[np.minimum(here, len(lines.text.words) - 1)]
            strange = self.strange[word.view(np.uint8)].view("<u8")
            # The lowest bit set is in the first strange byte; the bits below it, by eight, are the bytes before it.
            count = (np.bitwise_count((strange & -strange) - np.uint64(1)) >> 3).astype(np.int64)
            here = here + count
            if left is None:
                new = here
            else:
                new[left] = here
            go_on = count == 8
            if self.most is not None:
                go_on &= here - (pos if left is None else pos[left]) < self.most
            if end is not None:
                go_on &= here < (end if left is None else end[left])
            some = np.flatnonzero(go_on)
            if not len(some):
                break
            left = some if left is None else left[some]
            if new is here:
                new = here.copy()
            here = here[some]
        return np.minimum(new, end) if end is not None else new


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
    """An element from ``least`` to ``most`` times (None: without limit)."""

    def __init__(self, op: Op, least: int, most: int | None, choice: bool) -> None:
        self.op, self.least, self.most, self.choice = op, least, most, choice
        self.only_taken = not least
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
            times[left] += 1
            left = left[moved]  # what takes nothing would do so for ever
            if not len(left):
                break
        else:
            if self.most is None:
                lines.done[rows[left]] = True
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
        left = np.flatnonzero(end - pos > self.least)
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
        self.to_stop = Span(~_table(bytes([char])), 0, None, choice=False)
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
        return _WORD[data[pos - 1]] != _WORD[data[pos]], pos


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
        self.run = op.run  # type: ignore[method-assign]


# --- from the pattern's text to operations -------------------------------------------------------------------------


def _table(chars: bytes) -> Table:
    table = np.zeros(256, np.bool_)
    table[list(chars)] = True
    return table


_DIGITS = b"0123456789"
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_WORD = _table(_DIGITS + _LETTERS + b"_")
_CATEGORIES = {
    "CATEGORY_DIGIT": _table(_DIGITS),
    "CATEGORY_NOT_DIGIT": ~_table(_DIGITS),
    "CATEGORY_SPACE": _table(b" \t\n\r\f\v"),
    "CATEGORY_NOT_SPACE": ~_table(b" \t\n\r\f\v"),
    "CATEGORY_WORD": _WORD,
    "CATEGORY_NOT_WORD": ~_WORD,
}
Item = tuple[Any, Any]


def _plain(items: Iterable[Item], flags: int) -> list[Item]:
    """Return a parsed pattern without flags: what they change is spelt out, groups that only set them are dissolved."""
    out: list[Item] = []
    for kind, value in items:
        if kind is sre.ANY:
            out.append((sre.ANY_ALL if flags & sre.SRE_FLAG_DOTALL else sre.ANY, None))
        elif flags & sre.SRE_FLAG_IGNORECASE and kind in (sre.LITERAL, sre.NOT_LITERAL, sre.IN):
            both = {ord(chr(value).lower()), ord(chr(value).upper())} if kind is sre.LITERAL and value < 128 else set()
            out.append((sre.IN, [(sre.LITERAL, one) for one in sorted(both)]) if both else (sre.FAILURE, None))
        elif kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            out.append((kind, (value[0], value[1], _plain(value[2], flags))))
        elif kind is sre.ATOMIC_GROUP:
            out.append((kind, _plain(value, flags)))
        elif kind in (sre.ASSERT, sre.ASSERT_NOT):
            out.append((kind, (value[0], _plain(value[1], flags))))
        elif kind is sre.BRANCH:
            out.append((kind, [_plain(way, flags) for way in value[1]]))
        elif kind is sre.SUBPATTERN:
            number, add, remove, inner = value
            if add & ~(sre.SRE_FLAG_DOTALL | sre.SRE_FLAG_IGNORECASE):
                out.append((sre.FAILURE, None))
            elif number is None:
                out += _plain(inner, (flags | add) & ~remove)
            else:
                out.append((kind, (number, _plain(inner, (flags | add) & ~remove))))
        else:
            out.append((kind, value))
    return out


def _class(item: Item) -> Table | None:
    """Return the bytes that a single-character item takes, or None for any other item."""
    kind, value = item
    if kind is sre.LITERAL:
        return _table(bytes([value]))
    if kind is sre.NOT_LITERAL:
        return ~_table(bytes([value]))
    if kind is sre.ANY_ALL:
        return np.ones(256, np.bool_)
    if kind is sre.ANY:
        return ~_table(b"\n")
    if kind is not sre.IN:
        return None
    table, negate = np.zeros(256, np.bool_), False
    for part, what in value:
        if part is sre.NEGATE:
            negate = True
        elif part is sre.LITERAL:
            table[what] = True
        elif part is sre.RANGE:
            table[what[0] : what[1] + 1] = True
        elif part is sre.CATEGORY:
            table |= _CATEGORIES[what.name]
        else:
            return None
    return ~table if negate else table


def _first(items: Sequence[Item]) -> frozenset[int] | None:
    """Return the bytes (and END) that a sequence can begin with; None where it may be empty, or that can't be told."""
    if not items:
        return None
    kind, value = items[0]
    table = _class(items[0])
    if table is not None:
        return frozenset(np.flatnonzero(table).tolist())
    if kind is sre.AT:
        return frozenset({END}) if value in (sre.AT_END_STRING, sre.AT_END) else None
    if kind in (sre.MAX_REPEAT, sre.POSSESSIVE_REPEAT, sre.MIN_REPEAT):
        inner = _first(value[2])
        if value[0] or inner is None:
            return inner if value[0] else None
        behind = _first(items[1:])
        return None if behind is None else inner | behind
    if kind is sre.ATOMIC_GROUP:
        return _first(value)
    if kind is sre.SUBPATTERN:
        return _first(value[1])
    if kind is sre.ASSERT:
        return _first(value[1]) if value[0] > 0 else None
    if kind is sre.ASSERT_NOT:
        return _first(items[1:])
    if kind is sre.BRANCH:
        each = [_first(one) for one in value]
        return None if any(one is None for one in each) else frozenset().union(*(one for one in each if one))
    return None


class _Compiler:
    """Turns the parsed pattern of one element into operations; ``numbers`` are its groups' numbers in the whole pattern."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = numbers

    def sequence(self, items: Sequence[Item], behind: Sequence[Item] = ()) -> Op:
        """Return an operation for a sequence; ``behind`` is what follows it where it may still be gone back into."""
        ops: list[Op] = []
        at = 0
        while at < len(items):
            literal = bytearray()
            while at < len(items) and items[at][0] is sre.LITERAL:
                literal.append(items[at][1])
                at += 1
            if literal:
                ops.append(Literal(bytes(literal)))
                continue
            here, after = items[at], items[at + 1 :]
            rest = self._last(here, after, behind) or self._lazy(here, after, behind)
            if rest is None:
                op = self._one(here, [*after, *behind])
                if isinstance(op, Repeat) and op.choice and op.most == 1 and not op.op.choice:
                    # With it, else without it: what a match that goes back would try.
                    others = self.sequence(after, behind)
                    rest = Branch([Seq([op.op, others]), others], choice=True)
                else:
                    ops.append(op)
                    at += 1
                    continue
            ops.append(rest)
            break
        return ops[0] if len(ops) == 1 else Seq(ops) if ops else Nothing()

    def _last(self, item: Item, after: Sequence[Item], behind: Sequence[Item]) -> Op | None:
        """Return an operation for a greedy run followed by one of its own characters, which it must give back: `.*x…`.

        The whole rest of the sequence is part of it.
        """
        kind, value = item
        if kind is not sre.MAX_REPEAT or not after:
            return None
        least, most, inner = value
        table = _class(inner[0]) if len(inner) == 1 else None
        first = _first(after)
        if table is None or most is not sre.MAXREPEAT or first is None or len(first) != 1 or END in first:
            return None
        (char,) = first
        if not table[char]:
            return None
        if _ends_word(table, char, after):
            return LastInWord(table, least, char, after[1][1][0])
        # Where a character that isn't one of the run's comes next, only the run's end will do.
        single = len(after) > 1 and after[0][0] is sre.LITERAL and after[1][0] is sre.LITERAL and not table[after[1][1]]
        op = self.sequence(after, behind)
        return LastOf(char, op, None if table.all() else table, least, choice=op.choice or not single)

    def _until(self, items: Sequence[Item]) -> tuple[Table, int] | None:
        """Return class and first character of `(?!x…)[class]`, what a run that ends before x repeats; None for all else."""
        if len(items) != 2 or items[0][0] is not sre.ASSERT_NOT or items[0][1][0] < 0:
            return None
        table, first = _class(items[1]), _first(items[0][1][1])
        if table is None or first is None or len(first) != 1 or END in first:
            return None
        return table, next(iter(first))

    def _lazy(self, item: Item, after: Sequence[Item], behind: Sequence[Item]) -> Op | None:
        """Return an operation for a run that takes as little as it must; the whole rest of the sequence is part of it."""
        kind, value = item
        if kind is not sre.MIN_REPEAT:
            return None
        least, most, inner = value
        table = _class(inner[0]) if len(inner) == 1 else None
        if table is None or most is not sre.MAXREPEAT:
            return Unknown()
        return Lazy(table, least, self.sequence(after, behind))

    def _one(self, item: Item, behind: Sequence[Item]) -> Op:
        kind, value = item
        table = _class(item)
        if table is not None:
            return One(table)
        if kind in (sre.MAX_REPEAT, sre.POSSESSIVE_REPEAT):
            return self._repeat(item, behind)
        if kind is sre.ATOMIC_GROUP:
            return Atomic(self.sequence(value))
        if kind is sre.SUBPATTERN:
            return Group(self.numbers[value[0] - 1], self.sequence(value[1], behind))
        if kind is sre.BRANCH:
            ops = [self.sequence(way, behind) for way in value]
            return Branch(ops, any(op.choice for op in ops) or not _exclusive(value))
        if kind in (sre.ASSERT, sre.ASSERT_NOT) and value[0] > 0:
            return Look(self.sequence(value[1]), kind is sre.ASSERT)
        if kind is sre.AT and value in (sre.AT_END_STRING, sre.AT_END):
            return LineEnd()
        if kind is sre.AT and value is sre.AT_BOUNDARY:
            return Boundary()
        return Unknown()

    def _repeat(self, item: Item, behind: Sequence[Item]) -> Op:
        kind, (least, most, inner) = item
        limit = None if most is sre.MAXREPEAT else int(most)
        greedy = kind is sre.MAX_REPEAT and least != most
        table = _class(inner[0]) if len(inner) == 1 else None
        if table is not None:
            return Span(table, least, limit, greedy and not _keeps(table, behind))
        until = self._until(inner) if limit is None else None
        if until is not None:
            return Until(*until, self.sequence(inner[0][1][1]), least, greedy)
        op = self.sequence(inner, behind if greedy and limit == 1 else ())
        if op.groups and limit != 1:
            return Unknown()  # which turn a group is from, the pattern knows
        if kind is sre.POSSESSIVE_REPEAT:
            return Repeat(op, least, limit, choice=False)
        inside, after = _first(inner), _first(behind)
        kept = inside is not None and after is not None and not inside & after
        return Repeat(op, least, limit, op.choice or (greedy and not kept))


def _keeps(table: Table, behind: Sequence[Item]) -> bool:
    """Whether a run of that class never has to give back anything: what follows can't begin with one of its characters."""
    if not behind:
        return False
    if behind[0] == (sre.AT, sre.AT_BOUNDARY):
        return bool(_WORD[table].all())
    first = _first(behind)
    return first is not None and not any(byte != END and table[byte] for byte in first)


def _ends_word(table: Table, char: int, behind: Sequence[Item]) -> bool:
    """Whether a character of the class comes next, then all but that one up to a word's end: the word's last one, then."""
    if len(behind) != 3 or behind[0] != (sre.LITERAL, char) or behind[2] != (sre.AT, sre.AT_BOUNDARY):
        return False
    kind, value = behind[1]
    if kind is not sre.MAX_REPEAT or value[0] < 1 or value[1] is not sre.MAXREPEAT or len(value[2]) != 1:
        return False
    end, without = _class(value[2][0]), table.copy()
    without[char] = False
    return end is not None and bool((end == without).all()) and bool(_WORD[char])


def _exclusive(ways: Sequence[Sequence[Item]]) -> bool:
    """Whether no two alternatives can match at one place: by the text they begin with, or by their first byte."""
    begins = [(_literal(way), _first(way)) for way in ways]
    for (text, first), (other, after) in itertools.combinations(begins, 2):
        size = min(len(text), len(other))
        if text[:size] == other[:size] and (first is None or after is None or first & after):
            return False
    return True


def _literal(items: Sequence[Item]) -> bytes:
    return bytes(value for _, value in itertools.takewhile(lambda item: item[0] is sre.LITERAL, items))


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
        long = np.flatnonzero(end - pos > self.least + self.tail)
        if len(long):
            begin, stop = pos[long], end[long]
            places = lines.text.places(self.char)
            at = np.searchsorted(places, stop) - 1
            last = np.where(at >= 0, places[at], -1)
            ok, _ = self.end.run(lines, rows[long], stop)
            assert ok is not None
            matched[long] = ok & (last - begin >= self.least) & (stop - last - 1 >= self.tail)
        return matched, end


@functools.lru_cache(maxsize=4096)
def compiled(pattern: str, numbers: tuple[int, ...]) -> Op:
    """Return the operation of one element, whose groups have these numbers in the whole pattern."""
    return _Compiler(numbers).sequence(_plain(_parser.parse(pattern.encode("ascii")), 0))


def run(pattern: Pattern, text: Text, starts: Ints, ends: Ints, least: int | None = None) -> Lines:
    """Run a program's grammar over the lines from ``starts`` to ``ends`` (rising, int64); a blank stands before each.

    In what is returned, ``found`` has the numbers of the lines that each shape claimed, rising, by the shape's number, and
    ``groups`` the places of its fields. The other lines are the pattern's to match.
    """
    lines = Lines(text, ends, LEAST if least is None else least)
    _walk(lines, pattern.tree, np.arange(len(ends)), starts)
    return lines


def _walk(lines: Lines, tree: Tree, rows: Ints, pos: Ints) -> None:
    for step in tree:
        if len(rows) < lines.least:
            lines.done[rows] = True
            return
        if isinstance(step, int):
            claimed = rows[pos == lines.end[rows]]
            lines.found[step] = claimed
            lines.done[claimed] = True
        else:
            ok, new = compiled(step.pattern, step.groups).run(lines, rows, pos)
            if ok is None:
                _walk(lines, step.behind, rows, new)
            elif ok.any():
                _walk(lines, step.behind, rows[ok], new[ok])
        left = ~lines.done[rows]
        rows, pos = rows[left], pos[left]
