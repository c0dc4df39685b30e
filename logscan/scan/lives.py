"""Which life of a queue ID a line is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from logscan.scan.window import Window


def entry_of(window: Window, lines: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the entry (int64) of each line by its host, queue ID and time; -1 for none.

    ``lines`` have columns ``host``, ``queue_id`` and ``time``. IDs are reused: it is the life that the line lies in.
    """
    if not len(lines) or not lines["queue_id"].notna().any() or not len(window.entries):
        return np.full(len(lines), -1, np.int64)
    named = lines[["host", "queue_id"]].astype("str").assign(time=lines["time"].to_numpy(), row=np.arange(len(lines)))
    entries = window.entries
    some = entries["queue_id"].isin(set(named["queue_id"])).to_numpy()
    known = entries.loc[some, ["host", "queue_id"]].astype("str")
    known = known.assign(first=entries["first"].to_numpy()[some], last=entries["last"].to_numpy()[some])
    known = known.assign(entry=np.flatnonzero(some)).sort_values(["first", "entry"])
    both = named.merge(known, on=["host", "queue_id"])
    inside = both[(both["first"] <= both["time"]) & (both["time"] <= both["last"])]
    latest = inside.sort_values(["row", "first", "entry"]).drop_duplicates("row", keep="last")
    out = np.full(len(lines), -1, np.int64)
    out[latest["row"].to_numpy()] = latest["entry"].to_numpy()
    return out
