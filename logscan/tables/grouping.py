"""Rows by a code of theirs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]


def by_code(codes: npt.NDArray[np.integer], chosen: npt.NDArray[np.bool_]) -> dict[int, npt.NDArray[np.int64]]:
    """Return the chosen rows (int64, in their order) by their code: one pass for all codes, as a log may hold any number."""
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return {}
    of_row = codes[rows]
    if of_row.min() == of_row.max():
        return {int(of_row[0]): rows}
    order = np.argsort(of_row, kind="stable")
    values, starts = np.unique(of_row[order], return_index=True)
    return dict(zip(values.tolist(), np.split(rows[order], starts[1:]), strict=True))


def groups(frame: pd.DataFrame, by: str | list[str]) -> Iterable[tuple[Any, pd.DataFrame]]:
    """Return groups in the order of their first row."""
    found: Iterable[tuple[Any, pd.DataFrame]] = frame.groupby(by, sort=False, dropna=False, observed=True)
    return found


def combine(*codes: Ints) -> Ints:
    """Return one code for each combination of codes (negative ones count as values); equal rows get equal codes."""
    if not len(codes[0]):
        return np.empty(0, np.int64)
    total = codes[0] - min(int(codes[0].min()), -1)
    for code in codes[1:]:
        lowest = min(int(code.min()), -1)
        width = int(code.max()) - lowest + 1
        if int(total.max()) > (2**62) // width:
            total = np.unique(total, return_inverse=True)[1].astype(np.int64)
        total = total * width + (code - lowest)
    return total
