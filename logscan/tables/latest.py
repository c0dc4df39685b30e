"""Rows of a partial of which the latest are kept: what one mail tells that another may ask for much later.

Columns of texts that repeat may be categories: their values are put together where partials are. A text that is only
compared is kept as a number of 64 bits (:func:`hashed`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.tables import texts
from logscan.tables.partials import Rows

Hashes = npt.NDArray[np.uint64]

MOST_LATEST = 1_000_000
"""Rows kept of one kind; 13 to 40 bytes each."""


@dataclass(frozen=True)
class Latest(Rows):
    """The last ``size`` rows by their time; of rows of one time all are kept or none.

    What is left out follows from all rows there were, in whatever order they came.
    """

    time: str = "time"
    """The column that tells it: datetime64[ns], or whole numbers."""
    size: int = MOST_LATEST
    left: int = 0
    """Rows left out."""
    until: int | None = None
    """The latest time of a row left out, as a number (UTC ns of a datetime); None where none was."""

    @classmethod
    def latest(cls, frame: pd.DataFrame, size: int | None = None, *, time: str = "time") -> Latest:
        """Return the part for the rows of one piece."""
        return cls((frame.reset_index(drop=True),), time, MOST_LATEST if size is None else size)._bounded()

    def merged(self, others: Sequence[Rows]) -> Latest:
        """Return the latest rows of all."""
        every = [self, *(each for each in others if isinstance(each, Latest))]
        frame = stacked([frame for each in every for frame in each.frames])
        ends = [each.until for each in every if each.until is not None]
        left = sum(each.left for each in every)
        size = min(each.size for each in every)
        return Latest((frame,), self.time, size, left, max(ends, default=None))._bounded()

    def _bounded(self) -> Latest:
        frame = self.frame
        if self.until is None and len(frame) <= self.size:
            return self
        column = frame[self.time]
        times = (column.dt.as_unit("ns") if column.dtype.kind == "M" else column).astype("int64").to_numpy()
        until = np.iinfo(np.int64).min if self.until is None else self.until
        keep = times > until
        if np.count_nonzero(keep) > self.size:
            until = int(np.partition(times, len(times) - self.size - 1)[len(times) - self.size - 1])
            keep = times > until
        kept = frame[keep].reset_index(drop=True)
        return Latest((kept,), self.time, self.size, self.left + len(frame) - len(kept), until)


def stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put frames of the same columns one below the other; categories become those of all."""
    filled = [frame for frame in frames if len(frame)]
    if len(filled) < 2:
        return filled[0] if filled else frames[0]
    coded = [name for name in filled[0].columns if isinstance(filled[0][name].dtype, pd.CategoricalDtype)]
    columns = filled[0].columns
    whole = pd.concat([frame.drop(columns=coded) for frame in filled], ignore_index=True)
    for name in coded:
        whole[name] = pd.api.types.union_categoricals([frame[name] for frame in filled], sort_categories=True)
    return whole[list(columns)]


def repeated(column: pd.Series) -> pd.Series:
    """Return a column of texts as categories, of which each is used."""
    codes, words = texts.coded(column)
    used = np.flatnonzero(np.bincount(codes + 1, minlength=len(words) + 1)[1:])
    array = texts.arrow(words).take(pa.array(used))
    order = pc.array_sort_indices(array)
    place = np.full(len(words) + 1, -1, np.int64)
    place[used[order.to_numpy()]] = np.arange(len(used))
    categories = pd.Index(texts.series(array.take(order)))
    return pd.Series(pd.Categorical.from_codes(place[codes], categories, validate=False), column.index)


def hashed(column: pd.Series) -> Hashes:
    """Return 64 bits for each text, the same in every run; 0 for an empty one and where there is none."""
    codes, words = texts.coded(column)
    values = words.to_numpy(dtype=object)
    found = pd.util.hash_array(values, categorize=False) if len(values) else np.empty(0, np.uint64)
    found = np.append(np.where(values == "", np.uint64(0), found), np.uint64(0)).astype(np.uint64)
    out: Hashes = found[codes]
    return out


def seconds(times: pd.Series) -> npt.NDArray[np.uint32]:
    """Return times as whole seconds since 1970 (uint32, up to 2106); 0 where there is none."""
    ns = times.dt.as_unit("ns").astype("int64").to_numpy()
    out: npt.NDArray[np.uint32] = np.clip(ns // 10**9, 0, 2**32 - 1).astype(np.uint32)
    return out
