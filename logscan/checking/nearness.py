"""Which rows of a window lie near what they belong to, or so near the ends of its time that this may be in another window.

Windows follow each other in time: what a window doesn't cover lies before its first line or behind its last. So a look that
keeps the rows near what it saw itself, and those near its ends, keeps all that may belong together.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.scan.columns import NO_TIME, moments
from logscan.tables import columns
from logscan.tables.columns import Column

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FREE = ("sessions", "filter_errors", "service_events", "logins")
"""Tables whose rows belong to no mail, and lie in the window of their own time."""


def close(at: Ints, others: Ints, reach: int) -> Bools:
    """Return which times (UTC ns) are within ``reach`` of one of the others, which are in order."""
    if not len(others):
        return np.zeros(len(at), np.bool_)
    place = np.minimum(np.searchsorted(others, at - reach), len(others) - 1)
    found: Bools = np.abs(others[place] - at) <= reach
    return found


class Near:
    """Tells which times are within ``reach`` (ns) of some of a window's, or of the ends of what it covers."""

    def __init__(self, window: Window, at: Ints, reach: int) -> None:
        self.at, self.reach = np.sort(at), reach
        times = [moments(window, table) for table in FREE if len(window.tables[table])]
        known = [some[some > NO_TIME] for some in times]
        ends = [(int(some.min()), int(some.max())) for some in known if len(some)]
        self.first = min((each[0] for each in ends), default=None)
        self.last = max((each[1] for each in ends), default=None)

    def __call__(self, at: Ints) -> Bools:
        """Return which of some times (UTC ns) are near."""
        known: Bools = at > NO_TIME
        if self.first is None or self.last is None:
            return known
        ends = (at <= self.first + self.reach) | (at >= self.last - self.reach)
        return known & (ends | close(at, self.at, self.reach))


@dataclass(frozen=True)
class Kept:
    """Rows with ``at`` (UTC ns) that are kept as columns: most parts of most windows are never looked at as a frame."""

    columns: Mapping[str, Column]

    @functools.cached_property
    def frame(self) -> pd.DataFrame:
        """The rows; their order tells nothing."""
        return columns.frame_of(self.columns)

    def merged(self, others: Sequence[Kept]) -> Kept:
        """Return the rows of all."""
        return Kept(columns.stacked([each.columns for each in (self, *others)]))

    def settled(self, others: Ints, reach: int, frontier: int) -> Kept:
        """Return the rows within ``reach`` of some times, which are in order, or of what comes from ``frontier`` on."""
        at = np.asarray(self.columns["at"], np.int64)
        keep = (at >= frontier - 2 * reach) | close(at, others, reach)
        if keep.all():
            return self
        rows = np.flatnonzero(keep)
        return Kept({name: columns.taken(column, rows) for name, column in self.columns.items()})
