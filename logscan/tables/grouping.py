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


def numbered(codes: Ints) -> tuple[Ints, Ints]:
    """Return the number of each row's code (from 0, in no order that tells anything), and the first row of each number.

    Codes that lie close together are looked up, as most do; the others are hashed. To sort them takes ten times as long.
    """
    size = len(codes)
    if not size:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    lowest = int(codes.min())
    width = int(codes.max()) - lowest + 1
    if width > NEAR * size + 256:
        of_row, values = pd.factorize(codes)
        first = np.empty(len(values), np.int64)
        first[of_row[::-1]] = np.arange(size - 1, -1, -1)
        return of_row.astype(np.int64), first
    at = codes - lowest if lowest else codes
    first = np.full(width, -1, np.int64)
    first[at[::-1]] = np.arange(size - 1, -1, -1)
    there = np.flatnonzero(first >= 0)
    if len(there) < width:
        place = np.empty(width, np.int64)
        place[there] = np.arange(len(there))
        at = place[at]
    return at, first[there]


def ordered(codes: Ints) -> Ints:
    """Return the rows in the order of their codes, from 0 to below 2**32; those of one code keep theirs.

    Numpy sorts numbers of 16 bits by counting, in a tenth of the time.
    """
    order = np.argsort((codes & 0xFFFF).astype(np.uint16), kind="stable")
    if int(codes.max(initial=0)) > 0xFFFF:
        order = order[np.argsort((codes[order] >> 16).astype(np.uint16), kind="stable")]
    return order


NEAR = 4
"""Codes lie close together where their range is no more than so many times their number."""


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
