"""Translates the nodes of a program's grammar to an op program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from logscan.grammar.formats import Pattern, Shape
from logscan.matching.analysis import after, any_fails, factored, fails, parted, to_boundary
from logscan.matching.assembling import Assembler, Code, Label
from logscan.matching.elements import nodes_of
from logscan.matching.looking import Looks, TooLargeError
from logscan.matching.nodes import (
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
    Rep,
    Routine,
    Set,
    Start,
    begin,
    weight,
)
from logscan.matching.ops import ALL, BYTES, END_BIT, MOST_GROUPS, NO_LIMIT, Words

MOST_COPIES = 64
"""Rounds of a repeat that are written out one after the other."""

SMALL = 6
"""Nodes of a way that is written out for each arm that leads to it; a larger one is written once."""

LIT_BYTES = 24
"""Bytes of a text that are compared eight at a time."""


class Translator(Looks):
    """Writes ops for nodes.

    ``follow`` is what may come behind a node where it can still be gone back into, ``known`` what may come next where it
    begins. ``keep`` says that it may be gone back into: what it might take or give back has to lie on the stack. Without, it
    need not; what is left there all the same is told, and taken off by :meth:`closed`.
    """

    def __init__(self, assembler: Assembler, routines: dict[Node, Label]) -> None:
        super().__init__()
        self.assembler, self.routines = assembler, routines

    def sequence(self, items: Sequence[Node], follow: int, keep: bool, known: int) -> bool:
        """Write a sequence; returns whether it may leave something on the stack."""
        follows, held = [], []
        for node in reversed(items):
            follows.append(follow)
            held.append(keep)
            follow = node.own | node.mask & follow
            keep = keep or fails(node, ALL)
        left = False
        for at, node in enumerate(items):
            kept = held[-1 - at]
            if kept and isinstance(node, Rep) and at + 1 < len(items) and to_boundary(node, items[at + 1]):
                kept = False
            left |= self.node(node, follows[-1 - at], kept, known)
            known = after(node, known)
        return left

    def node(self, node: Node, follow: int, keep: bool, known: int) -> bool:
        """Write one node; returns whether it may leave something on the stack."""
        emit = self.out.emit
        match node:
            case Lit():
                self._literal(node.text, known)
            case Set():
                emit(*(("ONE", node.own) if known & ~node.own else ("SKIP",)))
            case Rep():
                return self._span(node, follow, keep) if node.single else self._repeat(node, follow, keep, known)
            case Alt():
                return self._choose(node.ways, follow, keep, known)
            case Routine():
                emit("CALL", self.depth, self._routine(node))
            case Atomic():
                self.closed(node.items, known)
            case Group():
                return self._group(node, follow, keep, known)
            case Look():
                self.look(node, None, known)
            case Eol():
                emit("EOL")
            case Start():
                emit("START")
            case Boundary():
                emit("WORDB")
            case End():
                emit("END", node.shape)
            case _:
                emit("UNKNOWN")
        return False

    def closed(self, items: Sequence[Node], known: int) -> None:
        """Write a sequence that is never gone back into, and leaves nothing on the stack."""
        mark = self.out.emit("MARK", self.register(1))
        left = self.sequence(items, ALL, keep=False, known=known)
        self.depth -= 1
        if left:
            self.out.emit("CUT", self.depth)
        else:
            self.out.code[mark] = None

    def whole(self, items: Items) -> Code:
        """Return the code of a whole program."""
        self.sequence(items, ALL, keep=True, known=ALL)
        self.out.place(self.failing)
        self.out.emit("FAIL")
        return self.out

    def _routine(self, node: Routine) -> Label:
        """Return where a routine is, written before this code when it is first called."""
        label = self.routines.get(node)
        if label is None:
            label = self.routines[node] = Label()
            writer = Translator(self.assembler, self.routines)
            writer.out.place(label)
            writer.closed(node.items, ALL)
            writer.out.emit("RET")
            writer.out.place(writer.failing)
            writer.out.emit("FAIL")
            self.assembler.add(writer.out)
        return label

    def _literal(self, text: bytes, known: int) -> None:
        emit = self.out.emit
        if len(text) > LIT_BYTES:
            emit("LITN", len(text), text)
        elif len(text) == 1:
            emit(*(("LIT1", text[0]) if known & ~(1 << text[0]) else ("SKIP",)))
        else:
            for at in range(0, len(text), 8):
                part = text[at : at + 8]
                emit(*(("LIT8", part) if len(part) > 1 else ("LIT1", part[0])))

    def _group(self, node: Group, follow: int, keep: bool, known: int) -> bool:
        inner = node.items[0] if len(node.items) == 1 else None
        if isinstance(inner, Rep) and inner.single and (inner.kind == "own" or (inner.kind == "greedy" and not keep)):
            most = NO_LIMIT if inner.most is None else inner.most
            self.out.emit("CAPSPAN", inner.own, node.number, inner.least, most)
            return False
        self.out.emit("OPEN", node.number)
        left = self.sequence(node.items, follow, keep, known)
        self.out.emit("CLOSE", node.number)
        return left

    # --- repeats -------------------------------------------------------------------------------------------------------

    def _span(self, node: Rep, follow: int, keep: bool) -> bool:
        emit, members, least, most = self.out.emit, node.own, node.least, node.most
        if node.kind == "lazy" and not keep:
            most = least
        elif node.kind != "own" and keep and (node.kind == "lazy" or follow & members):
            emit(
                "GSPAN" if node.kind == "greedy" else "LSPAN",
                members,
                least,
                NO_LIMIT if most is None else most,
                follow,
            )
            return True
        if most is None and members == BYTES and not least:
            emit("ALL")
        elif most is None and least < 2:
            emit("SPAN1" if least else "SPAN", members)
        else:
            emit("SPANMAX", members, least, NO_LIMIT if most is None else most)
        return False

    def _repeat(self, node: Rep, follow: int, keep: bool, known: int) -> bool:
        """Write a repeat of more than one byte."""
        more = None if node.most is None else node.most - node.least
        if max(more or 0, node.least) > MOST_COPIES or (node.grouped and node.most != 1):
            self.out.emit("UNKNOWN")  # which round a group is of, the pattern knows
            return False
        if node.kind == "own" or (node.kind == "greedy" and not keep and node.least < 2):
            for _ in range(node.least):
                self.closed(node.items, known)
                known = ALL
            self._rounds(node.items, more, ALL, keep=False, known=known)
            return False
        own, mask = begin(node.items)
        if node.kind == "lazy" or (mask and node.most != 1 and more != 0):
            self.out.emit("UNKNOWN")  # nor is it known here in which round nothing was taken
            return False
        follow |= own
        for _ in range(node.least):
            self.sequence(node.items, follow, keep=True, known=known)
            known = ALL
        self._rounds(node.items, more, follow, keep=True, known=known)
        return True

    def _rounds(self, items: Items, more: int | None, follow: int, keep: bool, known: int) -> None:
        """Write what may come so many times more (None: any number)."""
        out = Label()
        if more is None:
            _, mask = begin(items)
            loop = Label()
            self.out.place(loop)
            if mask:
                here = self.register(1)
                self.out.emit("HERE", here)
            self._attempt(items, out, follow, keep, ALL)
            if mask:
                self.depth -= 1
                self.out.emit("MOVED", here, loop)
            else:
                self.out.emit("AGAIN", loop)
        else:
            for _ in range(more):
                self._attempt(items, out, follow, keep, known)
                known = ALL
        self.out.place(out)

    # --- choices -------------------------------------------------------------------------------------------------------

    def _attempt(self, items: Items, out: Label, follow: int, keep: bool, known: int) -> bool:
        """Write a sequence that goes on at ``out``, from where it began, where it fails.

        With ``keep`` that is also tried when something behind it fails. Returns whether it may leave something on the stack.
        """
        own, mask = begin(items)
        if not (items and isinstance(items[0], Lit) and 1 < len(items[0].text) <= 8):
            known = self.test(own | mask & follow, known, out)
        at = 0
        while at < len(items) and isinstance(items[at], Look | Eol) and not items[at].grouped:
            node = items[at]
            if isinstance(node, Look):
                self.look(node, out, known)
            else:
                self.test(END_BIT, known, out)
            known &= node.mask
            at += 1
        rest = items[at:]
        if not keep and not any_fails(rest, known):
            self.closed(rest, known)
            return False
        mark = -1 if keep else self.out.emit("MARK", self.register(1))
        text = rest[0].text[:8] if rest and isinstance(rest[0], Lit) and len(rest[0].text) > 1 else None
        if text is not None:
            behind: Items = rest[1:] if len(rest[0].text) <= 8 else (Lit(rest[0].text[8:]), *rest[1:])  # type: ignore[attr-defined]
            sure = not keep and not any_fails(behind, ALL)
            self.out.emit("IFLIT" if sure else "TRYLIT", text, out)
            left = self.sequence(behind, follow, keep, ALL)
        else:
            sure = False
            self.out.emit("CHOICE", out)
            left = self.sequence(rest, follow, keep, known)
        if keep:
            return True
        self.depth -= 1
        if left:
            self.out.emit("CUT", self.depth)
        else:
            self.out.code[mark] = None
            if not sure:
                self.out.emit("POP")
        return False

    def _choose(self, ways: Sequence[Items], follow: int, keep: bool, known: int) -> bool:
        """Write ordered choice, by the next byte where that tells."""
        arms = parted(ways, follow, keep, known)
        uses = Counter(number for _, found in arms for number in found)
        blocks = {number: Label() for number, count in uses.items() if count > 1 and weight(ways[number]) > SMALL}
        reach = dict.fromkeys(blocks, 0)
        join, left = Label(), False
        for (members, found), label in zip(arms, self.branch(arms), strict=True):
            if not found:
                continue
            self.out.place(label)
            written = factored([(number, ways[number]) for number in found], blocks)
            for number, way in written[:-1]:
                following = Label()
                if number in blocks:
                    reach[number] |= members
                    self.out.emit("CHOICE", following)
                    self.out.emit("JMP", blocks[number])
                    left = True
                else:
                    left |= self._attempt(way, following, follow, keep, members)
                    self._leave(way, join)
                self.out.place(following)
            number, way = written[-1]
            if number in blocks:
                reach[number] |= members
                self.out.emit("JMP", blocks[number])
            else:
                left |= self.sequence(way, follow, keep, members)
                self._leave(way, join)
        for number, label in blocks.items():
            self.out.place(label)
            left |= self.sequence(ways[number], follow, keep, reach[number])
            self._leave(ways[number], join)
        self.out.place(join)
        return left

    def _leave(self, way: Items, join: Label) -> None:
        if not (way and way[-1].ends):
            self.out.emit("JMP", join)


class Programs:
    """The op programs of some grammars in one image; the routines that several call are in it once."""

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        """By their number in the image."""
        self._assembler = Assembler()
        self._routines: dict[Node, Label] = {}

    def add(self, pattern: Pattern) -> int:
        """Translate a program's grammar; returns the number of its entry. A grammar that is too large is all left."""
        numbers = {number: place for place, number in enumerate(pattern.shapes, len(self.shapes))}
        writer = Translator(self._assembler, self._routines)
        try:
            if max(pattern.shapes, default=0) >= MOST_GROUPS:
                raise TooLargeError
            code = writer.whole(nodes_of(pattern.tree, numbers))
        except TooLargeError:
            code = Code()
            code.emit("UNKNOWN")
        self.shapes += pattern.shapes.values()
        # What noise holds nobody asks.
        self._assembler.shapes += [shape.groups if shape.format.table else () for shape in pattern.shapes.values()]
        self._assembler.entries.append(self._assembler.add(code))
        return len(self._assembler.entries) - 1

    def image(self) -> Words:
        """Return them for the machine."""
        return self._assembler.image()
