"""Counts by name that don't grow with the log: beyond a bound, names are kept by their hash, and the rest is one name.

Which are kept depends on the names alone: the same whatever the pieces, the workers and the order they are merged in. The
counts of those that are kept are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Generic, TypeVar

from logscan.grammar.programs import known_programs

V = TypeVar("V")

MOST_TEMPLATES = 5000
"""Templates of unknown lines kept; a server has some hundreds, and each takes about 1 kB."""

MOST_PROGRAMS = 2000
"""Names of programs kept beside those that formats know; a server has some dozens."""

OTHER_LINES = "(other lines)"
OTHER_PROGRAMS = "(other programs)"
"""Names for all beyond the bounds."""

Template = tuple[str, str]
"""A program and a text with numbers and addresses folded."""


def rank(text: str) -> int:
    """Return what names are ordered by (64 bits): a hash, since their own order says something about them."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


class Bounded(Generic[V]):
    """Values by text, ``most`` of them at the end; those of lower rank stay. ``add`` puts two values of a key together."""

    def __init__(self, most: int, add: Callable[[V, V], V]) -> None:
        self.most, self.add = most, add
        self.values: dict[str, V] = {}
        self.highest = 1 << 64
        """What ranks as high, or higher, isn't kept any more."""
        self.rest: V | None = None

    def put(self, key: str, value: V) -> None:
        """Add a value to its key's."""
        before = self.values.get(key)
        if before is not None:
            self.values[key] = self.add(before, value)
        elif self.highest < 1 << 64 and rank(key) >= self.highest:
            self.rest = value if self.rest is None else self.add(self.rest, value)
        else:
            self.values[key] = value
            if len(self.values) > 2 * self.most:
                self.cut()

    def cut(self) -> None:
        """Keep ``most`` values, and put the others together."""
        if len(self.values) <= self.most:
            return
        ranked = sorted(self.values, key=rank)
        self.highest = rank(ranked[self.most])
        for key in ranked[self.most :]:
            value = self.values.pop(key)
            self.rest = value if self.rest is None else self.add(self.rest, value)


Counts = list[int]
"""Lines understood, noise, unknown."""

Seen = tuple[int, int, int, str]
"""How many lines, and the first of them: source, line, text."""


def _more(one: Counts, other: Counts) -> Counts:
    return [a + b for a, b in zip(one, other, strict=True)]


def _seen(one: Seen, other: Seen) -> Seen:
    return (one[0] + other[0], *min(one[1:], other[1:]))


class Programs:
    """Lines by program: those that formats know by a name of their own are always kept."""

    def __init__(self) -> None:
        self.known: dict[str, Counts] = {}
        self.others: Bounded[Counts] = Bounded(MOST_PROGRAMS, _more)

    def add(self, counts: Mapping[str, Counts]) -> None:
        """Add a chunk's counts."""
        for name, some in counts.items():
            if name in known_programs():
                self.known[name] = _more(self.known[name], some) if name in self.known else list(some)
            else:
                self.others.put(name, list(some))

    def result(self) -> dict[str, Counts]:
        """Return the counts by name."""
        self.others.cut()
        out = {**self.known, **self.others.values}
        if self.others.rest is not None:
            out[OTHER_PROGRAMS] = self.others.rest
        return out


class Templates:
    """Lines that no format knows, by program and template."""

    def __init__(self, most: int = MOST_TEMPLATES) -> None:
        self.some: Bounded[Seen] = Bounded(most, _seen)

    def put(self, key: Template, seen: Seen) -> None:
        """Add lines of one template; what was left over elsewhere stays left over."""
        if key[1] == OTHER_LINES:
            self.some.rest = seen if self.some.rest is None else _seen(self.some.rest, seen)
        else:
            self.some.put(f"{key[0]}\0{key[1]}", seen)

    def result(self) -> dict[Template, Seen]:
        """Return the templates with their lines."""
        self.some.cut()
        out: dict[Template, Seen] = {}
        for key, seen in self.some.values.items():
            program, _, template = key.partition("\0")
            out[program, template] = seen
        if self.some.rest is not None:
            out[OTHER_PROGRAMS, OTHER_LINES] = self.some.rest
        return out
