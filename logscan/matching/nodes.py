"""The nodes that a grammar's elements are read into, and what each can begin with.

What a node can begin with is a set of bytes, a number with a bit each and one for the line's end: ``own`` are those with
which it takes something, ``mask`` those before which it may match without taking anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from logscan.matching.ops import ALL, END_BIT


def members_of(text: bytes) -> int:
    """Return the set of a text's bytes."""
    return sum(1 << byte for byte in set(text))


DIGITS = b"0123456789"
UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WORD = members_of(DIGITS + UPPER + UPPER.lower() + b"_")


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
