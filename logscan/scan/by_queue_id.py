"""Mails and what milters and signers said of them, joined by queue ID and hour.

Such lines are handed on sooner than their mails, so that both may lie in different windows: then a key joins them. Short queue
IDs are used again, though seldom within an hour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.scan.columns import some_joined, values
from logscan.tables import texts
from logscan.tables.coded import Coded
from logscan.tables.partials import Ints, mixed

if TYPE_CHECKING:
    from logscan.scan.window import Window

HOUR = 3600 * 10**9


def key(queue_id: Ints, time: Ints, shift: int = 0) -> Ints:
    """Return the key of a queue ID (a hash) in the hour of a time (UTC ns), ``shift`` hours on."""
    return mixed(queue_id, time // HOUR + shift)


def keys(queue_id: Ints, time: Ints) -> Ints:
    """Return all keys, three a line, under which the mail may be that a line speaks of: it may have come in the hour before."""
    return np.stack([key(queue_id, time, shift) for shift in (0, -1, 1)])


def keys_of_entries(window: Window, entry: Ints) -> Ints:
    """Return the key of each of some entries."""
    return key(some_joined(window, "entries", "queue_id", entry).hashed(), values(window, "entries", "first")[entry])


def entries_of(window: Window, queue_id: Coded, time: Ints) -> Ints:
    """Return the entry of this window that each line speaks of, -1 where there is none."""
    out = np.full(len(time), -1, np.int64)
    if not len(out) or not len(window.entries):
        return out
    ids = texts.arrow(window.entries["queue_id"])
    wanted = queue_id.texts().drop_null().cast(ids.type)
    entry = np.flatnonzero(pc.is_in(ids, value_set=pc.unique(wanted)).to_numpy(zero_copy_only=False))
    if not len(entry):
        return out
    known = keys_of_entries(window, entry)
    order = np.argsort(known, kind="stable")
    known = known[order]
    for each in keys(queue_id.hashed(), time):
        at = np.minimum(np.searchsorted(known, each), len(known) - 1)
        hit = (out < 0) & (known[at] == each)
        out[hit] = entry[order[at[hit]]]
    return out


def coded(queue_ids: pa.Array) -> Coded:
    """Return queue IDs as codes."""
    return Coded(*texts.encoded(queue_ids))
