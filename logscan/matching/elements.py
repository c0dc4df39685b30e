"""Reads the elements of a grammar as nodes, with Python's own parser of regular expressions."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from logscan.grammar.formats import Tree
from logscan.matching.nodes import (
    DIGITS,
    UPPER,
    WORD,
    Alt,
    Atomic,
    Boundary,
    End,
    Eol,
    Group,
    Items,
    Lit,
    Look,
    Node,
    Odd,
    Rep,
    Routine,
    Set,
    Start,
    grouped,
    joined,
    members_of,
    weight,
)
from logscan.matching.ops import BYTES

try:  # Python's own parser of regular expressions, which has no public name
    from re import _constants as sre  # type: ignore[attr-defined]
    from re import _parser  # type: ignore[attr-defined]
except ImportError:  # a Python to come: everything is left to the patterns
    sre = _parser = None

AVAILABLE = _parser is not None

SHARED_FROM = 8
"""Nodes of an element that is written once for all programs."""

_CATEGORIES = {
    "CATEGORY_DIGIT": members_of(DIGITS),
    "CATEGORY_SPACE": members_of(b" \t\n\r\f\v"),
    "CATEGORY_WORD": WORD,
}
_CATEGORIES |= {name.replace("_", "_NOT_", 1): BYTES & ~members for name, members in _CATEGORIES.items()}


def _settled(node: Node) -> bool:
    """Whether a node has one way only."""
    if isinstance(node, Group):
        return all(_settled(each) for each in node.items)
    return not isinstance(node, Alt | Odd) and (not isinstance(node, Rep) or node.kind == "own")


def _closed(items: Items) -> Items:
    """Return a sequence that is never gone back into: its last repeat keeps what it takes."""
    if not items:
        return items
    last = items[-1]
    if isinstance(last, Rep) and last.kind == "greedy" and (last.single or last.least < 2):
        items = (*items[:-1], Rep(last.items, last.least, last.most, "own"))
    elif isinstance(last, Rep) and last.kind == "lazy" and last.single:
        items = (*items[:-1], Rep(last.items, last.least, last.least, "own"))
    elif isinstance(last, Group):
        items = (*items[:-1], Group(last.number, _closed(last.items)))
    return items if all(_settled(node) for node in items) else (Atomic(items),)


# --- from patterns -----------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def read(pattern: str) -> Items:
    """Return an element's pattern as nodes; its groups are numbered from 1."""
    return _shared(_items(_parser.parse(pattern.encode("ascii")), 0))


def _items(parsed: Iterable[Any], flags: int) -> Items:
    out: list[Node] = []
    text = bytearray()
    plain = not flags & sre.SRE_FLAG_IGNORECASE
    for kind, value in parsed:
        if kind is sre.LITERAL and plain:
            text.append(value)
            continue
        if text:
            out.append(Lit(bytes(text)))
            text.clear()
        out += _nodes(kind, value, flags)
    if text:
        out.append(Lit(bytes(text)))
    return joined(out)


def _nodes(kind: Any, value: Any, flags: int) -> Items:
    members = _set(kind, value, flags)
    if members is not None:
        return (Set(members),)
    if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        return _repeat(kind, value, flags)
    if kind is sre.ATOMIC_GROUP:
        return _closed(_items(value, flags))
    if kind in (sre.ASSERT, sre.ASSERT_NOT):
        back = value[1].getwidth()[0] if value[0] < 0 else None
        return (Look(_items(value[1], flags), kind is sre.ASSERT, back),)
    if kind is sre.BRANCH:
        return (Alt([_items(way, flags) for way in value[1]]),)
    if kind is sre.SUBPATTERN:
        number, add, remove, inner = value
        if add & ~(sre.SRE_FLAG_DOTALL | sre.SRE_FLAG_IGNORECASE) or remove:
            return (Odd(),)
        items = _items(inner, flags | add)
        return items if number is None else (Group(number, items),)
    return (_place(kind, value),)


def _place(kind: Any, value: Any) -> Node:
    if kind is sre.AT and value is sre.AT_END_STRING:
        return Eol()
    if kind is sre.AT and value is sre.AT_END:
        return Alt([(Eol(),), (Look((Lit(b"\n"), Eol()), wanted=True, back=None),)])
    if kind is sre.AT and value in (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING):
        return Start()
    if kind is sre.AT and value is sre.AT_BOUNDARY:
        return Boundary()
    return Odd()  # also what is between no words: Pythons differ in whether that is so in an empty line


def _repeat(kind: Any, value: Any, flags: int) -> Items:
    least, most, inner = value
    items = _items(inner, flags)
    limit = None if most is sre.MAXREPEAT else int(most)
    if not items or limit == 0:
        return ()
    if least == limit == 1:
        return _closed(items) if kind is sre.POSSESSIVE_REPEAT else items
    single = (
        len(items) == 1 and isinstance(items[0], Set | Lit) and (isinstance(items[0], Set) or len(items[0].text) == 1)
    )
    if single:
        items = (Set(items[0].own),)
    own = kind is sre.POSSESSIVE_REPEAT or (single and least == limit)
    return (Rep(items, least, limit, "own" if own else "greedy" if kind is sre.MAX_REPEAT else "lazy"),)


def _set(kind: Any, value: Any, flags: int) -> int | None:
    """Return the bytes that a single-character item takes, or None for any other item."""
    folded = bool(flags & sre.SRE_FLAG_IGNORECASE)
    if kind is sre.LITERAL or kind is sre.NOT_LITERAL:
        members = _folded(1 << value, folded)
        return members if kind is sre.LITERAL else BYTES & ~members
    if kind is sre.ANY:
        return BYTES if flags & sre.SRE_FLAG_DOTALL else BYTES & ~(1 << 10)
    if kind is not sre.IN:
        return None
    members, negate = 0, False
    for part, what in value:
        if part is sre.NEGATE:
            negate = True
        elif part is sre.LITERAL:
            members |= 1 << what
        elif part is sre.RANGE:
            members |= (1 << what[1] + 1) - (1 << what[0])
        else:
            members |= _CATEGORIES[what.name]
    members = _folded(members, folded)
    return BYTES & ~members if negate else members


def _folded(members: int, folded: bool) -> int:
    """Return a set with both cases of its letters."""
    if not folded:
        return members
    upper, lower = members_of(UPPER), members_of(UPPER.lower())
    return members | (members & upper) << 32 | (members & lower) >> 32


def _shared(items: Items) -> Items:
    """Return an element in which what is larger, and no part of it a field, is a routine.

    Nothing gives anything back there, whatever it is a part of: see :mod:`logscan.grammar.formats`.
    """
    if grouped(items):
        return tuple(_inside(node) if node.grouped else node for node in items)
    head = items[:1] if items and isinstance(items[0], Lit) else ()
    return (*head, Routine(items[len(head) :])) if weight(items) >= SHARED_FROM else items


def _inside(node: Node) -> Node:
    match node:
        case Group():
            return Group(node.number, _shared(node.items))
        case Rep():
            return Rep(_shared(node.items), node.least, node.most, node.kind)
        case Alt():
            return Alt([_shared(way) for way in node.ways])
        case Atomic():
            return Atomic(_shared(node.items))
    return node


# --- from trees --------------------------------------------------------------------------------------------------------


def _numbered(items: Items, numbers: Sequence[int]) -> Items:
    """Return a sequence whose groups have their numbers in the whole pattern."""
    return tuple(_renumbered(node, numbers) if node.grouped else node for node in items)


def _renumbered(node: Node, numbers: Sequence[int]) -> Node:
    match node:
        case Group():
            return Group(numbers[node.number - 1], _numbered(node.items, numbers))
        case Rep():
            return Rep(_numbered(node.items, numbers), node.least, node.most, node.kind)
        case Alt():
            return Alt([_numbered(way, numbers) for way in node.ways])
        case Atomic():
            return Atomic(_numbered(node.items, numbers))
        case Look():
            return Look(_numbered(node.items, numbers), node.wanted, node.back)
    return node


def nodes_of(tree: Tree, places: dict[int, int]) -> Items:
    """Return a program's tree of alternatives as one sequence; ``places`` has the place of each shape's number."""
    ways: list[Items] = []
    for step in tree:
        if isinstance(step, int):
            ways.append((End(places[step]),))
        else:
            items = read(step.pattern)
            if step.groups:
                items = _numbered(items, step.groups)
            ways.append(joined((*items, *nodes_of(step.behind, places))))
    return ways[0] if len(ways) == 1 else (Alt(ways),)
