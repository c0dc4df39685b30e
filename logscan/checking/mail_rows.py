"""Attempts to deliver as the catalogue's checks keep them: what tells their mail in any window, and a case made of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.copies import LINE_BITS, places_of
from logscan.scan import columns
from logscan.scan.mail_hashes import mail_hashes
from logscan.tables import cells
from logscan.tables.columns import Column

if TYPE_CHECKING:
    from datetime import datetime

    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]


def mail_rows(window: Window, rows: Ints) -> dict[str, Column]:
    """Return some deliveries of mails, by column.

    Whole numbers: ``line`` (:func:`logscan.checking.copies.places`), ``time`` (UTC ns), ``mail`` (a hash, the same in any
    window). Texts: ``host``, ``queue_id``, ``message_id``, ``sender``, ``recipient`` (lower case), ``mailbox``.
    """
    entry = columns.values(window, "deliveries", "entry")[rows]
    root = columns.values(window, "entries", "root")[entry]
    return {
        "line": delivery_lines(window, rows),
        "time": columns.values(window, "deliveries", "time")[rows],
        "mail": mail_hashes(window, root),
        "host": columns.joined(window, "entries", "host").take(root).texts(),
        "queue_id": taken(window, "deliveries", "queue_id", rows),
        "message_id": taken(window, "entries", "message_id", root),
        "sender": taken(window, "entries", "sender", root),
        "recipient": pc.utf8_lower(taken(window, "deliveries", "recipient", rows)),
        "mailbox": taken(window, "deliveries", "mailbox", rows),
    }


def delivery_lines(window: Window, rows: Ints) -> Ints:
    """Return the lines of some deliveries (:func:`logscan.checking.copies.places`)."""
    source, line = (columns.values(window, "deliveries", name)[rows].astype(np.int64) for name in ("source", "line"))
    out: Ints = (source << LINE_BITS) + line
    return out


def taken(window: Window, table: str, name: str, rows: Ints) -> pa.Array:
    """Return some rows' texts of a joined table, an empty text where there is none."""
    return pc.fill_null(columns.some_joined(window, table, name, rows).texts().cast(pa.string()), "")


def event_texts(window: Window, table: str, name: str, rows: Ints) -> pa.Array:
    """Return some rows' texts of an event table, an empty text where there is none."""
    array = window.tables[table].column(name).take(pa.array(rows)).combine_chunks()
    return pc.fill_null(array.cast(pa.string()), "")


def event_lines(window: Window, table: str, rows: Ints) -> Ints:
    """Return the lines of some rows of an event table (:func:`logscan.checking.copies.places`)."""
    return places_of(window.rows(table, rows, "source", "line"))


def moment(ns: int) -> datetime | None:
    """Return a time (UTC ns) as a datetime; None for one that isn't told."""
    return cells.moment(pd.Timestamp(int(ns), tz="UTC")) if ns > columns.NO_TIME else None


def iso(ns: int) -> str | None:
    """Return a time (UTC ns) as in a case."""
    return cells.iso(moment(ns))


def told(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return a case without what nothing tells."""
    return {key: value for key, value in case.items() if value is not None and value != ""}


def named(names: Iterable[str], most: int = 3) -> str:
    """Return ``a, b, c and 4 more`` of names in their order."""
    every = list(names)
    more = len(every) - most
    return ", ".join(every[:most]) + (f" and {more:,} more" if more > 0 else "")
