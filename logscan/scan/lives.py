"""Which life of a queue ID a line is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import pairs, plain
from logscan.scan.columns import NO_TIME, column, moments, values
from logscan.tables import texts
from logscan.tables.grouping import combine

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]

NOQUEUE = "NOQUEUE"
"""What Postfix logs in place of a queue ID before there is one."""


def entry_of(window: Window, table: str, rows: Ints) -> Ints:
    """Return the entry of each of some rows of an event table by its host, queue ID and time; -1 for none.

    IDs are reused: it is the life that the line lies in.
    """
    out = np.full(len(rows), -1, np.int64)
    queue_id = column(window, table, "queue_id").take(rows)
    named = np.flatnonzero((queue_id.codes >= 0) & ~queue_id.is_in(NOQUEUE))
    if not len(named) or not len(window.entries):
        return out
    mine = plain(window.tables[table].column("queue_id").take(pa.array(rows[named])))
    theirs = plain(texts.arrow(window.entries["queue_id"]))
    some = np.flatnonzero(pc.is_in(theirs, value_set=mine.unique()).to_numpy(zero_copy_only=False))
    if not len(some):
        return out
    hosts = plain(window.tables[table].column("host").take(pa.array(rows[named])))
    own_hosts = plain(texts.arrow(window.entries["host"].iloc[some].astype("str")))
    ids = texts.encoded(pa.concat_arrays([mine, theirs.take(pa.array(some))]))[0]
    key = combine(ids, texts.encoded(pa.concat_arrays([hosts, own_hosts]))[0])
    line, life = pairs(key[: len(named)], key[len(named) :])
    time = moments(window, table)[rows[named]][line]
    first, last = (values(window, "entries", name)[some][life] for name in ("first", "last"))
    inside = np.flatnonzero((first > NO_TIME) & (first <= time) & (time <= last))
    inside = inside[np.lexsort((life[inside], first[inside], line[inside]))]
    # The last of each line's is the latest.
    out[named[line[inside]]] = some[life[inside]]
    return out
