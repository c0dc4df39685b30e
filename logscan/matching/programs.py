"""Compiles an element's regular expression to operations, read with Python's own parser of regular expressions."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from logscan.matching.operations import (
    DIGITS,
    WORD,
    Branch,
    Literal,
    One,
    Op,
    Repeat,
    Seq,
    Span,
    Table,
    Unknown,
    table_of,
)
from logscan.matching.searches import Atomic, Boundary, Group, LastInWord, LastOf, Lazy, LineEnd, Look, Nothing, Until

try:  # Python's own parser of regular expressions, which has no public name
    from re import _constants as sre  # type: ignore[attr-defined]
    from re import _parser  # type: ignore[attr-defined]
except ImportError:  # a Python to come: everything is left to the patterns
    sre = _parser = None

AVAILABLE = _parser is not None

END = 256
"""Stands for the end of the line in a set of first bytes."""

_CATEGORIES = {
    "CATEGORY_DIGIT": table_of(DIGITS),
    "CATEGORY_NOT_DIGIT": ~table_of(DIGITS),
    "CATEGORY_SPACE": table_of(b" \t\n\r\f\v"),
    "CATEGORY_NOT_SPACE": ~table_of(b" \t\n\r\f\v"),
    "CATEGORY_WORD": WORD,
    "CATEGORY_NOT_WORD": ~WORD,
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
        return table_of(bytes([value]))
    if kind is sre.NOT_LITERAL:
        return ~table_of(bytes([value]))
    if kind is sre.ANY_ALL:
        return np.ones(256, np.bool_)
    if kind is sre.ANY:
        return ~table_of(b"\n")
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
                # A line's text has neither, but what stands behind it.
                strange = b"\n" in literal or b"\0" in literal
                ops.append(Unknown() if strange else Literal(bytes(literal)))
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
            return Span(table, least, limit, greedy and not _keeps(table, least, behind))
        until = self._until(inner) if limit is None else None
        if until is not None:
            return Until(*until, self.sequence(inner[0][1][1]), least, greedy)
        op = self.sequence(inner, behind if greedy and limit == 1 else ())
        if op.groups and limit != 1:
            return Unknown()  # which turn a group is from, the pattern knows
        inside, after = _first(inner), _first(behind)
        kept = inside is not None and after is not None and not inside & after
        choice = kind is sre.MAX_REPEAT and (op.choice or (greedy and not kept))
        return Repeat(op, least, limit, choice, some=inside is not None)


def _keeps(table: Table, least: int, behind: Sequence[Item]) -> bool:
    """Whether a run of that class never has to give back anything: what follows can't begin with one of its characters.

    Nor is there a word's end within a run of letters, but before it there may be one.
    """
    if not behind:
        return False
    if behind[0] == (sre.AT, sre.AT_BOUNDARY):
        return least > 0 and bool(WORD[table].all())
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
    return end is not None and bool((end == without).all()) and bool(WORD[table].all())


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


@functools.lru_cache(maxsize=4096)
def compiled(pattern: str, numbers: tuple[int, ...]) -> Op:
    """Return the operation of one element, whose groups have these numbers in the whole pattern."""
    return _Compiler(numbers).sequence(_plain(_parser.parse(pattern.encode("ascii")), 0))
