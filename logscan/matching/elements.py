"""The elements of a grammar as nodes, read with Python's own parser of regular expressions, and what each can begin with.

What a node can begin with is a set of bytes, a number with a bit each and one for the line's end: ``own`` are those with
which it takes something, ``mask`` those before which it may match without taking anything.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from logscan.grammar.formats import Tree
from logscan.matching.ops import ALL, BYTES, END_BIT

try:  # Python's own parser of regular expressions, which has no public name
    from re import _constants as sre  # type: ignore[attr-defined]
    from re import _parser  # type: ignore[attr-defined]
except ImportError:  # a Python to come: everything is left to the patterns
    sre = _parser = None

AVAILABLE = _parser is not None


def _members(text: bytes) -> int:
    return sum(1 << byte for byte in set(text))


_DIGITS = b"0123456789"
_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WORD = _members(_DIGITS + _UPPER + _UPPER.lower() + b"_")
_CATEGORIES = {
    "CATEGORY_DIGIT": _members(_DIGITS),
    "CATEGORY_SPACE": _members(b" \t\n\r\f\v"),
    "CATEGORY_WORD": WORD,
}
_CATEGORIES |= {name.replace("_", "_NOT_", 1): BYTES & ~members for name, members in _CATEGORIES.items()}


SHARED_FROM = 8
"""Nodes of an element that is written once for all programs."""


class Node:
    """What takes a piece of a line. ``grouped``: it holds a group; ``ends``: nothing comes behind it."""

    __slots__ = ("ends", "grouped", "mask", "own")

    def __init__(self, own: int, mask: int, grouped: bool = False, ends: bool = False) -> None:
        self.own, self.mask, self.grouped, self.ends = own, mask, grouped, ends


Items = tuple[Node, ...]
"""A sequence."""


def begin(items: Iterable[Node]) -> tuple[int, int]:
    """Return what a sequence can begin with: ``own`` and ``mask``."""
    own, mask = 0, ALL
    for node in items:
        own |= mask & node.own
        mask &= node.mask
        if not mask:
            break
    return own, mask


def grouped(items: Iterable[Node]) -> bool:
    """Whether any of the nodes holds a group."""
    return any(node.grouped for node in items)


class Lit(Node):
    """A fixed text, not empty."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        super().__init__(1 << text[0], 0)
        self.text = text


class Set(Node):
    """One byte of a set."""

    __slots__ = ()

    def __init__(self, members: int) -> None:
        super().__init__(members, 0)


class Rep(Node):
    """A repeat, ``most`` may be None. ``kind`` is greedy, lazy, or own: it gives nothing back, nor does any round of it."""

    __slots__ = ("items", "kind", "least", "most")

    def __init__(self, items: Items, least: int, most: int | None, kind: str) -> None:
        own, mask = begin(items)
        super().__init__(own, mask if least else ALL, grouped(items))
        self.items, self.least, self.most, self.kind = items, least, most, kind

    @property
    def single(self) -> bool:
        """Whether it repeats one byte of a set."""
        return len(self.items) == 1 and type(self.items[0]) is Set


class Alt(Node):
    """The first of several ways that will do."""

    __slots__ = ("ways",)

    def __init__(self, ways: Sequence[Items]) -> None:
        own = mask = 0
        for way in ways:
            first, empty = begin(way)
            own, mask = own | first, mask | empty
        ends = all(way and way[-1].ends for way in ways)
        super().__init__(own, mask, any(grouped(way) for way in ways), ends)
        self.ways = tuple(ways)


class Atomic(Node):
    """What is never gone back into."""

    __slots__ = ("items",)

    def __init__(self, items: Items) -> None:
        super().__init__(*begin(items), grouped(items))
        self.items = items


class Routine(Atomic):
    """The same, written once for all programs that have it."""

    __slots__ = ()


class Group(Node):
    """What is a field, or a part of one."""

    __slots__ = ("items", "number")

    def __init__(self, number: int, items: Items) -> None:
        super().__init__(*begin(items), grouped=True)
        self.number, self.items = number, items


class Look(Node):
    """What must (``wanted``), or must not, come next, or stand ``back`` bytes back."""

    __slots__ = ("back", "items", "wanted")

    def __init__(self, items: Items, wanted: bool, back: int | None) -> None:
        own, mask = begin(items)
        may = ALL
        if back is None and wanted:
            may = own | mask
        elif back is None and len(items) == 1 and isinstance(items[0], Set | Eol):
            may = ALL & ~(own | mask)
        super().__init__(0, may, grouped(items))
        self.items, self.wanted, self.back = items, wanted, back


class Eol(Node):
    """The line's end."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(0, END_BIT)


class Start(Node):
    """The line's start."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(0, ALL)


class Boundary(Node):
    """Between a letter, digit or underscore and something else."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(0, ALL)


class Odd(Node):
    """What there is no op for: a line that comes to it is left to the pattern."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(ALL, ALL)


class End(Node):
    """The line's end, where a shape claims it."""

    __slots__ = ("shape",)

    def __init__(self, shape: int) -> None:
        super().__init__(END_BIT, 0, ends=True)
        self.shape = shape


def weight(items: Iterable[Node]) -> int:
    """Return how many nodes a sequence holds, in all; a routine is one."""
    total = 0
    for node in items:
        total += 1
        if isinstance(node, Alt):
            total += sum(weight(way) for way in node.ways)
        elif isinstance(node, Rep | Atomic | Group | Look) and not isinstance(node, Routine):
            total += weight(node.items)
    return total


def joined(items: Iterable[Node]) -> Items:
    """Return a sequence with neighbouring texts as one."""
    out: list[Node] = []
    for node in items:
        if out and isinstance(node, Lit) and isinstance(out[-1], Lit):
            out[-1] = Lit(out[-1].text + node.text)
        else:
            out.append(node)
    return tuple(out)


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
    upper, lower = _members(_UPPER), _members(_UPPER.lower())
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
