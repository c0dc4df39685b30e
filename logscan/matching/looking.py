"""Writes the ops for what is looked at without being taken: the next byte, what must come next, what must not."""

from __future__ import annotations

from collections.abc import Sequence

from logscan.matching.analysis import parted
from logscan.matching.assembling import Code, Label
from logscan.matching.nodes import Alt, Eol, Items, Lit, Look, Node, Set, begin
from logscan.matching.ops import ALL, END_BIT, REGISTERS


class TooLargeError(Exception):
    """A grammar is more than the machine holds."""


class Looks:
    """The part of the translator for looks."""

    def __init__(self) -> None:
        self.out = Code()
        self.failing = Label()
        self.depth = 0

    def sequence(self, items: Sequence[Node], follow: int, keep: bool, known: int) -> bool:
        """Write a sequence; returns whether it may leave something on the stack."""
        raise NotImplementedError

    def register(self, count: int) -> int:
        """Take so many registers, the first of which is returned; they are given back by making ``depth`` less."""
        at = self.depth
        self.depth += count
        if self.depth > REGISTERS:
            raise TooLargeError
        return at

    def test(self, members: int, known: int, out: Label) -> int:
        """Go to ``out`` unless one of the set comes next; returns what is known then."""
        if known & ~members:
            self.out.emit("TESTEND" if members & END_BIT else "TEST", members, out)
        return known & members

    def branch(self, arms: Sequence[tuple[int, list[int]]]) -> list[Label]:
        """Write the way to each arm; returns where they are to be placed."""
        labels = [Label() if found else self.failing for _, found in arms]
        if len(arms) == 1 and not arms[0][1]:
            self.out.emit("JMP", self.failing)
        elif len(arms) == 2:
            # What is written first, behind the test, is the first arm that isn't empty.
            at = 0 if arms[0][1] else 1
            self.out.emit("TESTEND" if arms[at][0] & END_BIT else "TEST", arms[at][0], labels[1 - at])
        elif len(arms) > 2:
            end = next(
                (label for (members, _), label in zip(arms, labels, strict=True) if members & END_BIT), self.failing
            )
            self.out.emit("DISPATCH", [(arm[0], label) for arm, label in zip(arms, labels, strict=True)], end)
        return labels

    def look(self, node: Look, out: Label | None, known: int) -> None:
        """Write a look; where it isn't so, go on at ``out`` (None: fail)."""
        if node.wanted:
            self._wanted(node, out, known)
            return
        passed = Label()
        self._unwanted(node.items, node.back, out, known, passed)
        self.out.place(passed)

    def _wanted(self, node: Look, out: Label | None, known: int) -> None:
        own, mask = begin(node.items)
        if node.back is None and len(node.items) == 1 and isinstance(node.items[0], Set | Eol):
            self.test(own | mask, known, out or self.failing)
            return
        register = self.register(2)
        if out is None:
            self.out.emit("HOLD", register)
        else:
            if node.back is None:
                known = self.test(own | mask, known, out)
            self.out.emit("MARK", register)
            self.out.emit("CHOICE", out)
        if node.back is not None:
            self.out.emit("BACK", node.back)
        self.sequence(node.items, ALL, keep=False, known=known if node.back is None else ALL)
        self.out.emit("RETURN" if out is None else "LOOKBACK", register)
        self.depth -= 2

    def _unwanted(self, items: Items, back: int | None, out: Label | None, known: int, passed: Label) -> None:
        """Write what must not be; goes on behind, or at ``passed``, where it isn't."""
        emit = self.out.emit
        own, mask = begin(items)
        first = own | mask if back is None else ALL
        if not known & first:
            return
        if back is None and len(items) == 1:
            only = items[0]
            if isinstance(only, Set | Eol) or (isinstance(only, Lit) and len(only.text) == 1):
                self.test(ALL & ~first, known, out or self.failing)
                return
            if isinstance(only, Lit) and len(only.text) <= 8:
                emit("NOTLIT", only.text, out or self.failing)
                return
            if isinstance(only, Alt):
                self._none_of(only.ways, out, known, passed)
                return
        if back is None:
            known = self.test(first, known, passed)
        register = self.register(1)
        mark = emit("MARK", register)
        here = Label()
        emit("CHOICE", here)
        if back is not None:
            emit("BACK", back)
        left = self.sequence(items, ALL, keep=False, known=known if back is None else ALL)
        self.depth -= 1
        if out is not None:
            emit("LOOKOUT", register, out)
        elif left:
            emit("CUTFAIL", register)
        else:
            self.out.code[mark] = None
            emit("POPFAIL")
        self.out.place(here)

    def _none_of(self, ways: Sequence[Items], out: Label | None, known: int, passed: Label) -> None:
        arms = parted(ways, ALL, keep=True, known=known)
        labels = self._passing(arms, passed)
        for (members, found), label in zip(arms, labels, strict=True):
            if not found:
                continue
            self.out.place(label)
            for number in found:
                each = Label()
                self._unwanted(ways[number], None, out, members, each)
                self.out.place(each)
            self.out.emit("JMP", passed)

    def _passing(self, arms: Sequence[tuple[int, list[int]]], passed: Label) -> list[Label]:
        """Write the way to each arm, where an empty one is what is wanted."""
        failing, self.failing = self.failing, passed
        labels = self.branch(arms)
        self.failing = failing
        return labels
