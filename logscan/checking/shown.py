"""How many findings a check makes: as many as anybody can act on, whatever number of names strangers write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from logscan.findings import Result

MOST = 300
"""Findings of one check of names that others can invent: more are no list of things to do, and each takes milliseconds."""


def most_seen(
    rows: pd.DataFrame, by: Sequence[str], result: Result, told: str, first: pd.Series | None = None
) -> pd.DataFrame:
    """Return the rows of the :data:`MOST` groups that have most rows, all where there are fewer.

    ``told`` is what the check and its groups are called, for a note. Where any row of a group is ``first``, it goes before.
    """
    groups = rows.groupby(list(by), sort=True, dropna=False)
    count = groups.size().to_numpy()
    if len(count) <= MOST:
        return rows
    ahead = np.zeros(len(count), np.bool_)
    number = groups.ngroup().to_numpy()
    if first is not None:
        ahead[number[first.to_numpy(dtype=np.bool_)]] = True
    # Sorted by their names before, so that none depends on how a log was cut.
    shown = np.lexsort((np.arange(len(count)), -count, ~ahead))[:MOST]
    result.notes.append(f"{told}: of {len(count):,} the {MOST} that were seen most are shown")
    return rows[np.isin(number, shown)]
