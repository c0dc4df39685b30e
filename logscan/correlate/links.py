"""Legs as data: which entry came out of which, of what kind, how that is known, and what hangs together by them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from logscan.correlate.codes import Bools, Floats, Ints, first_rows

KINDS = ("filter", "bounce", "forward", "requeue", "proxy", "redirect", "relay", "list")
KNOWN_BY = (
    "queued as",
    "orig_queue_id",
    "amavis",
    "forwarded as",
    "orig_id",
    "notification",
    "inferred",
    "sieve",
    "requeue",
)

FIELDS = ("parent", "child", "kind", "known_by", "confidence", "row")


@dataclass
class Legs:
    """Parallel arrays, one leg each; ``row`` is the hand-over's row in deliveries, or -1."""

    parent: Ints
    child: Ints
    kind: Ints
    known_by: Ints
    confidence: Ints
    """2 high, 1 medium, 0 low."""
    row: Ints

    @classmethod
    def of(cls, parent: Ints, child: Ints, kind: str, known_by: str, confidence: Ints | int, row: Ints | int) -> Legs:
        """Return legs of one kind."""
        size = len(parent)
        full = np.full(size, 0, np.int64)
        return cls(
            parent.astype(np.int64),
            child.astype(np.int64),
            full + KINDS.index(kind),
            full + KNOWN_BY.index(known_by),
            full + confidence,
            full + row,
        )

    @classmethod
    def joined(cls, parts: list[Legs]) -> Legs:
        """Return all legs, a child's first (best known) parent only."""
        parts = [part for part in parts if len(part)] or parts[:1]
        whole = (
            cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in FIELDS))
            if parts[1:]
            else parts[0]
        )
        keep = first_rows(whole.child)
        return whole if len(keep) == len(whole) else cls(*(getattr(whole, name)[keep] for name in FIELDS))

    def __len__(self) -> int:
        return len(self.parent)


def some(legs: Legs, mask: Bools) -> Legs:
    """Return some of the legs."""
    return Legs(*(getattr(legs, name)[mask] for name in FIELDS))


def acyclic(size: int, legs: Legs) -> Legs:
    """Drop the legs of any circle: hostile or garbled lines may make a mail come out of itself."""
    parent = np.arange(size)
    parent[legs.child] = legs.parent
    above = parent
    for _ in range(max(1, size.bit_length())):
        above = above[above]
    # Whoever is not at a beginning after that many doublings runs in a circle, or hangs from one.
    endless = parent[above] != above
    if not endless.any():
        return legs
    return some(legs, ~endless[legs.child])


def roots(size: int, legs: Legs) -> Ints:
    """Return, per entry, the entry its mail began with: legs followed up, bounces beginning a mail of their own."""
    return beginnings(parents(size, legs))


def parents(size: int, legs: Legs) -> Ints:
    """Return, per entry, the entry it came out of, itself where of none: a bounce is a mail of its own."""
    parent = np.arange(size)
    joins = legs.kind != KINDS.index("bounce")
    parent[legs.child[joins]] = legs.parent[joins]
    return parent


def beginnings(parent: Ints) -> Ints:
    """Return, per entry, where going up by ``parent`` (itself at the top, no circles) ends."""
    while True:
        above = parent[parent]
        if np.array_equal(above, parent):
            return above
        parent = above


def nearest(parent: Ints, values: Ints) -> Ints:
    """Return, per entry, its own value or that of the nearest entry above it that has one (-1: none)."""
    while True:
        values = np.where(values >= 0, values, values[parent])
        above = parent[parent]
        if np.array_equal(above, parent):
            return values
        parent = above


def summed(parent: Ints, values: Floats) -> Floats:
    """Return, per entry, the sum of its own value and those of all entries above it; the topmost's counts once.

    The last axis of ``values`` is that of entries.
    """
    top = parent == np.arange(len(parent))
    # Each round takes in twice as many entries; at the top there is nothing more to add.
    below, at = np.where(top, 0, values), parent
    while True:
        below = below + below[..., at]
        above = at[at]
        if np.array_equal(above, at):
            found: Floats = below + values[..., at]
            return found
        at = above
