"""Rows of a partial that are kept as columns, until nothing that is still to come can lie near them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.tables import columns
from logscan.tables.columns import Column

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def close(at: Ints, others: Ints, reach: int) -> Bools:
    """Return which times (UTC ns) are within ``reach`` of one of the others, which are in order."""
    if not len(others):
        return np.zeros(len(at), np.bool_)
    place = np.minimum(np.searchsorted(others, at - reach), len(others) - 1)
    found: Bools = np.abs(others[place] - at) <= reach
    return found


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
