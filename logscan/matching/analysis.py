"""What can be told of nodes before any line is matched: whether they may fail, what may come behind them, which ways are open."""

from __future__ import annotations

from collections.abc import Container, Sequence

from logscan.matching.nodes import (
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
    Rep,
    Set,
    begin,
)
from logscan.matching.ops import ALL, END_BIT


def fails(node: Node, known: int) -> bool:
    """Whether a node may fail where the next byte is known to be one of a set."""
    match node:
        case Lit():
            return len(node.text) > 1 or bool(known & ~node.own)
        case Set():
            return bool(known & ~node.own)
        case Rep():
            return node.least > 0 and (node.least > 1 or any_fails(node.items, known))
        case Alt():
            return all(any_fails(way, known) for way in node.ways)
        case Atomic() | Group():
            return any_fails(node.items, known)
        case Look(wanted=False, back=None):
            own, mask = begin(node.items)
            return bool(known & (own | mask))
        case Eol() | End():
            return bool(known & ~END_BIT)
    return True


def any_fails(items: Sequence[Node], known: int) -> bool:
    """Whether any of a sequence may fail."""
    for node in items:
        if fails(node, known):
            return True
        known = after(node, known)
    return False


def after(node: Node, known: int) -> int:
    """Return what may come next behind a node, before which one of ``known`` was."""
    if not node.own:
        return known & node.mask
    if isinstance(node, Rep) and node.kind == "own" and node.single and node.most is None:
        return ALL & ~node.own
    return ALL


def parted(ways: Sequence[Items], follow: int, keep: bool, known: int) -> list[tuple[int, list[int]]]:
    """Return for each set of next bytes which of the ways may match there."""
    cases: list[tuple[int, list[int], bool]] = [(known, [], False)]
    for number, way in enumerate(ways):
        own, mask = begin(way)
        first = own | mask & follow
        split = []
        for members, found, sure in cases:
            inside, outside = members & first, members & ~first
            if sure or not inside:
                split.append((members, found, sure))
                continue
            split.append((inside, [*found, number], not keep and not any_fails(way, inside)))
            if outside:
                split.append((outside, found, False))
        cases = split
    merged: dict[tuple[int, ...], int] = {}
    for members, found, _ in cases:
        merged[tuple(found)] = merged.get(tuple(found), 0) | members
    return [(members, list(found)) for found, members in merged.items()]


def to_boundary(node: Rep, behind: Node) -> bool:
    """Whether a run of letters and digits comes to a word's end: there is none within it."""
    single = node.single and node.kind == "greedy" and node.least > 0 and not node.own & ~WORD
    return single and isinstance(behind, Boundary)


def factored(ways: Sequence[tuple[int, Items]], apart: Container[int]) -> list[tuple[int, Items]]:
    """Return the ways of an arm, neighbours that begin with the same text as one, whose number is -1."""
    out: list[tuple[int, Items]] = []
    run: list[Items] = []
    for number, way in ways:
        text = way[0].text if way and isinstance(way[0], Lit) and number not in apart else b""
        if run and text[:1] != run[0][0].text[:1]:  # type: ignore[attr-defined]
            out.append(_together(run))
            run = []
        if text:
            run.append(way)
        else:
            out.append((number, way))
    if run:
        out.append(_together(run))
    return out


def _together(ways: Sequence[Items]) -> tuple[int, Items]:
    if len(ways) == 1:
        return -1, ways[0]
    texts: list[bytes] = [way[0].text for way in ways]  # type: ignore[attr-defined]
    low, high = min(texts), max(texts)
    size = next((at for at in range(min(len(low), len(high))) if low[at] != high[at]), min(len(low), len(high)))
    rests = [(Lit(text[size:]), *way[1:]) if text[size:] else way[1:] for text, way in zip(texts, ways, strict=True)]
    return -1, (Lit(texts[0][:size]), Alt(rests))
