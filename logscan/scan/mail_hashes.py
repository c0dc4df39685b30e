"""Numbers that tell mails apart across windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.tables.spans import numbers

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]


def chosen(column: pd.Series, rows: Ints) -> Ints:
    """Return the whole numbers of a column at some rows, -1 where the row is -1."""
    out = np.full(len(rows), -1, np.int64)
    some = rows >= 0
    out[some] = column.to_numpy()[rows[some]]
    return out


def mail_hashes(window: Window, entry: Ints) -> Ints:
    """Return a hash for each entry: of host, queue ID, time and line by which it came in; the same in each window."""
    if not len(entry):
        return np.empty(0, np.int64)
    once, of_row = np.unique(entry, return_inverse=True)
    some = window.entries.iloc[once]
    clients, row = window.events("clients"), some["client_row"].to_numpy()
    key = pd.DataFrame(
        {
            "host": some["host"].astype("str").fillna("").array,
            "queue_id": some["queue_id"].astype("str").fillna("").array,
            "first": numbers(some["first"]),
            "source": chosen(clients["source"], row),
            "line": chosen(clients["line"], row),
        }
    )
    # Lives of one second and ID that no line tells apart lie in one window.
    key["nth"] = key.groupby(list(key), sort=False, dropna=False).cumcount()
    hashes: Ints = pd.util.hash_pandas_object(key, index=False).to_numpy(dtype=np.uint64).view(np.int64)
    return hashes[of_row]
