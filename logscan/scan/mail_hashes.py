"""Numbers that tell mails apart across windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from logscan.scan import coded
from logscan.tables import cells, texts
from logscan.tables.latest import hashed
from logscan.tables.partials import mixed
from logscan.tables.spans import NEVER

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]


def chosen(column: pd.Series | npt.NDArray[Any], rows: Ints) -> Ints:
    """Return the whole numbers of a column at some rows, -1 where the row is -1."""
    out = np.full(len(rows), -1, np.int64)
    some = rows >= 0
    out[some] = np.asarray(column)[rows[some]]
    return out


def mail_hashes(window: Window, entry: Ints) -> Ints:
    """Return a hash for each entry: of host, queue ID, time and line by which it came in; the same in each window."""
    if not len(entry):
        return np.empty(0, np.int64)
    once, of_row = np.unique(entry, return_inverse=True)
    entries = window.entries
    row = entries["client_row"].to_numpy()[once]
    host, first = coded.of(entries["host"]), np.maximum(cells.ns(entries["first"])[once], NEVER)
    names = (coded.told(host.words, host.codes[once]), texts.arrow(entries["queue_id"]).take(pa.array(once)))
    told = [hashed(name).view(np.int64) for name in (pd.Series(names[0]), texts.series(names[1]))]
    told += [first, *(chosen(coded.numbers(window, "clients", name), row) for name in ("source", "line"))]
    # Lives of one second and ID that no line tells apart lie in one window.
    key = mixed(*told)
    hashes = mixed(key, _nth(key))
    return hashes[of_row]


def _nth(key: Ints) -> Ints:
    """Return how many rows before each have the same key."""
    order = np.argsort(key, kind="stable")
    begins = np.flatnonzero(np.r_[True, key[order][1:] != key[order][:-1]])
    out = np.empty(len(key), np.int64)
    out[order] = np.arange(len(key)) - np.repeat(begins, np.diff(np.r_[begins, len(key)]))
    return out
