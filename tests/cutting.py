"""Cuts a log at times of its lines, the windows in any order: what is seen of them must be what is seen of the whole."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator

import numpy as np

from logscan.scan.window import Window, windows_of
from logscan.tables.partials import Partial


def cut(scan: Window, count: int, seed: int) -> list[Window]:
    """Return at most ``count`` windows, cut before or after any line."""
    times = np.unique(np.concatenate([table.column("time").to_numpy() for table in scan.tables.values()]))
    times = times[times > 0]
    every = np.concatenate([times, times + 1])
    cuts = np.sort(np.random.default_rng(seed).choice(every, min(count - 1, len(every)), replace=False))
    some = windows_of(scan, lambda first: np.searchsorted(cuts, first))
    random.Random(seed).shuffle(some)
    return some


def partials(scan: Window, look: Callable[[Window], Partial]) -> Iterator[Partial]:
    """Yield what is seen of the log in pieces, put together in several ways."""
    for count, seed in ((2, 1), (9, 2)):
        some = [look(window) for window in cut(scan, count, seed)]
        half = len(some) // 2
        left, right = (functools.reduce(lambda a, b: a + b, part) for part in (some[: half or 1], some[half:]))
        yield right + left if half else right
