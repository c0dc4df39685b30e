"""One-to-one matching of hand-overs and the mails that came out of them, when many look alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from logscan.correlate.codes import Bools, Ints, numbered, ranked

BUDGET = 200_000
"""Places that are looked at together, so that memory follows the mails and not what garbled lines count."""

MOST = 16
"""Children that a hand-over is compared with at a time, however many are alike. No budget of the whole: a part of a log gives
what the whole gives."""

ROUNDS = 50
"""Times that a hand-over is compared with further ones, when none of those before was left for it."""

Fits = Callable[[Ints, Ints], Bools]
"""Takes positions of parents and children, side by side; returns which pairs may be."""

Note = Callable[[Ints, Ints], None]
"""Takes positions of parents and children, side by side, that can't be decided without each other."""


@dataclass
class Ranges:
    """The children that each parent may have: ``order[low:low + count]``; ``turn`` is its place among its own kind's.

    Parents that share children, directly or through others, are of one cluster: ``begin`` and ``end`` are its children's.
    """

    order: Ints
    low: Ints
    count: Ints
    turn: Ints
    begin: Ints
    end: Ints

    def pairs(self, parents: Ints, shift: int) -> tuple[Ints, Ints]:
        """Return positions (parent, child) of these parents: of each :data:`MOST` children, ``shift`` further on."""
        low, count = self.low[parents], self.count[parents]
        # Of many alike, those about as far along as the parent is among its own kind.
        begin = np.clip(self.turn[parents] + shift - MOST // 2, low, low + np.maximum(count - MOST, 0))
        some = np.minimum(count, MOST)
        left = np.repeat(parents, some)
        within = np.arange(len(left)) - np.repeat(np.cumsum(some) - some, some)
        return left, self.order[np.repeat(begin, some) + within]

    def clusters(self, parents: Ints) -> tuple[Ints, Ints]:
        """Return positions (parent, child) that hang the clusters of these parents together."""
        some = np.flatnonzero(np.isin(self.begin, self.begin[parents]) & (self.count > 0))
        first = some[np.unique(self.begin[some], return_index=True)[1]]
        size = self.end[first] - self.begin[first]
        left = np.repeat(first, size)
        within = np.arange(len(left)) - np.repeat(np.cumsum(size) - size, size)
        return np.r_[some, left], self.order[np.r_[self.begin[some], np.repeat(self.begin[first], size) + within]]


def ranges(key: tuple[Ints, Ints], window: tuple[Ints, Ints], opened: Ints) -> Ranges:
    """Find each parent's children: with its key, opened inside its window.

    Keys and seconds are searched together, so that a key shared by very many mails costs no more than its overlaps.
    """
    parents = len(key[0])
    dense = numbered(np.concatenate(key))[1]
    mine, theirs = dense[:parents], dense[parents:]
    start = int(opened.min())
    span = int(opened.max()) - start + 2
    place = theirs * span + (opened - start)
    order = np.argsort(place, kind="stable")
    ordered = place[order]
    base = mine * span
    low = np.searchsorted(ordered, base + np.clip(window[0] - start, 0, span - 1), "left")
    high = np.searchsorted(ordered, base + np.clip(window[1] - start, -1, span - 2), "right")
    count = np.maximum(high - low, 0)
    if count.max(initial=0) <= MOST:
        return Ranges(order, low, count, low, low, high)
    some = np.flatnonzero(count)
    some = some[np.lexsort((window[1][some], window[0][some], low[some]))]
    reach = np.maximum.accumulate(high[some])
    first = np.r_[True, low[some][1:] >= reach[:-1]]
    starts = np.flatnonzero(first)
    number = np.cumsum(first) - 1
    sizes = np.diff(np.r_[starts, len(some)])
    begin, end = low[some[starts]], np.maximum.reduceat(high[some], starts)
    nth = np.arange(len(some)) - starts[number]
    out = Ranges(order, low, count, low.copy(), low.copy(), high.copy())
    out.turn[some] = begin[number] + nth * (end - begin)[number] // sizes[number]
    out.begin[some], out.end[some] = begin[number], end[number]
    return out


def candidates(
    key: tuple[Ints, Ints], window: tuple[Ints, Ints], opened: Ints, note: Note | None = None
) -> tuple[Ints, Ints]:
    """Return positions (parent, child) of all pairs with equal keys where the child was opened inside the window.

    Of very many alike only those about as far along as the parent is; ``note`` is told of all these.
    """
    if not len(key[0]) or not len(key[1]):
        none = np.empty(0, np.int64)
        return none, none
    may = ranges(key, window, opened)
    some = np.flatnonzero(may.count)
    crowded = np.flatnonzero(may.count > MOST)
    if note and len(crowded):
        note(*may.clusters(crowded))
    return may.pairs(some, 0)


def match(
    key: tuple[Ints, Ints],
    window: tuple[Ints, Ints],
    opened: Ints,
    fits: Fits | None = None,
    owner: Ints | None = None,
    rank: Callable[[], tuple[Ints, Ints]] | None = None,
    note: Note | None = None,
) -> tuple[Ints, Ints, Bools]:
    """Match parents to children with the same key that were opened inside the parent's window, one to one.

    ``key`` are the keys of parents and children, ``window`` each parent's first and last second, ``opened`` each child's
    second; ``fits`` may rule pairs out; ``owner`` tells which children are one and the same under several keys: it is
    matched once. Returns positions of parents and children and whether the pair was the only possible one. Where several
    fit, owners of one key come first (the others have a choice), then children in order of time, and each gets the parent
    whose window closes first (which loses no match when windows are all that matters). ``rank``, asked for only then, orders
    parents and children that are alike in all this, so that the order of lines doesn't. Of very many alike, parents are
    compared with a few children at a time, again as long as none was left for them. ``note`` is told of pairs that had a choice.
    """
    if not len(key[0]) or not len(key[1]):
        none = np.empty(0, np.int64)
        return none, none, np.empty(0, np.bool_)
    may = ranges(key, window, opened)
    some = np.flatnonzero(may.count)
    crowded = may.count > MOST
    left, right = _fitting(may.pairs(some, 0), fits)
    owner = np.arange(len(key[1])) if owner is None else ranked(owner)[1]
    lefts, rights = np.bincount(left, minlength=1), np.bincount(owner[right], minlength=1)
    single = (lefts[left] == 1) & (rights[owner[right]] == 1) & ~crowded[left]
    if single.all() and not crowded.any():
        return left, right, single
    if note:
        note(left[~single], right[~single])
        if crowded.any():
            note(*may.clusters(np.flatnonzero(crowded)))
    ranks = (np.arange(len(key[0])), np.arange(len(key[1]))) if rank is None else rank()
    found = [(left[single], right[single])]
    served = np.zeros(int(owner.max()) + 1, np.bool_)
    served[owner[right[single]]] = True
    left, right = left[~single], right[~single]
    for turn in range(1, ROUNDS):
        found.append(_greedy((left, right), window, opened, owner, ranks))
        served[owner[found[-1][1]]] = True
        crowded[found[-1][0]] = False
        if not crowded.any():
            break
        # Those left over look further on, then further back, half a turn more each time.
        shift = (turn + 1) // 2 * (MOST // 2) * (1 if turn % 2 else -1)
        left, right = may.pairs(np.flatnonzero(crowded), shift)
        free = ~served[owner[right]]
        left, right = _fitting((left[free], right[free]), fits)
    left, right = (np.concatenate([pair[side] for pair in found]) for side in (0, 1))
    return left, right, np.arange(len(left)) < len(found[0][0])


def _fitting(pairs: tuple[Ints, Ints], fits: Fits | None) -> tuple[Ints, Ints]:
    left, right = pairs
    if fits is None or not len(left):
        return left, right
    ok = fits(left, right)
    return left[ok], right[ok]


def _greedy(
    pairs: tuple[Ints, Ints], window: tuple[Ints, Ints], opened: Ints, owner: Ints, rank: tuple[Ints, Ints]
) -> tuple[Ints, Ints]:
    left, right = pairs
    keys = np.bincount(owner)[owner[right]]
    order = np.lexsort(
        (left, rank[0][left], window[0][left], window[1][left], right, rank[1][right], opened[right], keys)
    )
    taken: set[int] = set()
    served: set[int] = set()
    out: list[tuple[int, int]] = []
    for parent, child in zip(left[order].tolist(), right[order].tolist(), strict=True):
        if (one := int(owner[child])) not in served and parent not in taken:
            taken.add(parent)
            served.add(one)
            out.append((parent, child))
    both = np.asarray(out, np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]
