"""One-to-one matching of hand-overs and the mails that came out of them, when many look alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from logscan.correlate.codes import Bools, Ints

MOST = 400
"""Children of one key and window that a hand-over is compared with: beyond, a flood of mails alike would cost its square."""

Fits = Callable[[Ints, Ints], Bools]
"""Takes positions of parents and children, side by side; returns which pairs may be."""


def candidates(key: tuple[Ints, Ints], window: tuple[Ints, Ints], opened: Ints) -> tuple[Ints, Ints]:
    """Return positions (parent, child) of all pairs with equal keys where the child was opened inside the window.

    Keys and seconds are searched together, so that a key shared by very many mails costs no more than its overlaps.
    """
    parents, children = len(key[0]), len(key[1])
    none = np.empty(0, np.int64)
    if not parents or not children:
        return none, none
    dense = np.unique(np.concatenate(key), return_inverse=True)[1].astype(np.int64)
    start = int(opened.min())
    span = int(opened.max()) - start + 2
    place = dense[parents:] * span + (opened - start)
    order = np.argsort(place, kind="stable")
    ordered = place[order]
    base = dense[:parents] * span
    low = np.searchsorted(ordered, base + np.clip(window[0] - start, 0, span - 1), "left")
    high = np.searchsorted(ordered, base + np.clip(window[1] - start, -1, span - 2), "right")
    count = np.maximum(high - low, 0)
    crowded = count > MOST
    if crowded.any():
        # So many alike in one window: look at those about as far along as the parent is among its own kind.
        turn = np.lexsort((window[0], dense[:parents]))
        at = np.empty(parents, np.int64)
        first = np.r_[True, np.diff(dense[:parents][turn]) != 0]
        at[turn] = np.arange(parents) - np.maximum.accumulate(np.where(first, np.arange(parents), 0))
        low = np.where(crowded, low + np.clip(at - MOST // 2, 0, count - MOST), low)
        count = np.minimum(count, MOST)
    left = np.repeat(np.arange(parents), count)
    within = np.arange(len(left)) - np.repeat(np.cumsum(count) - count, count)
    return left, order[np.repeat(low, count) + within]


def match(
    key: tuple[Ints, Ints],
    window: tuple[Ints, Ints],
    opened: Ints,
    fits: Fits | None = None,
    owner: Ints | None = None,
    rank: Callable[[], tuple[Ints, Ints]] | None = None,
) -> tuple[Ints, Ints, Bools]:
    """Match parents to children with the same key that were opened inside the parent's window, one to one.

    ``key`` are the keys of parents and children, ``window`` each parent's first and last second, ``opened`` each child's
    second; ``fits`` may rule pairs out; ``owner`` tells which children are one and the same under several keys: it is
    matched once. Returns positions of parents and children and whether the pair was the only possible one. Where several
    fit, owners of one key come first (the others have a choice), then children in order of time, and each gets the parent
    whose window closes first (which loses no match when windows are all that matters). ``rank``, asked for only then, orders
    parents and children that are alike in all this, so that the order of lines doesn't.
    """
    left, right = candidates(key, window, opened)
    if fits is not None and len(left):
        ok = fits(left, right)
        left, right = left[ok], right[ok]
    if not len(left):
        return left, right, np.empty(0, np.bool_)
    owner = np.arange(len(key[1])) if owner is None else np.unique(owner, return_inverse=True)[1]
    lefts = np.bincount(left)
    rights = np.bincount(owner[right])
    single = (lefts[left] == 1) & (rights[owner[right]] == 1)
    if single.all():
        return left, right, single
    ranks = (np.arange(len(key[0])), np.arange(len(key[1]))) if rank is None else rank()
    chosen = _greedy((left[~single], right[~single]), window, opened, owner, ranks)
    return (
        np.concatenate([left[single], chosen[0]]),
        np.concatenate([right[single], chosen[1]]),
        np.concatenate([np.ones(int(single.sum()), np.bool_), np.zeros(len(chosen[0]), np.bool_)]),
    )


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
