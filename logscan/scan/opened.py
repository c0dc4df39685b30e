"""The line that opened each entry: smtpd client=, pickup uid=."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from logscan.scan.columns import values
from logscan.tables.partials import Ints

if TYPE_CHECKING:
    from logscan.scan.window import Window

LINE_BITS = 32
"""As :data:`logscan.checking.copies.LINE_BITS`."""


def opened_at(window: Window, entry: Ints) -> Ints:
    """Return the line that opened each of some entries: source and line number as one number, -1 where there is none."""
    row = values(window, "entries", "client_row")[entry]
    out = np.full(len(entry), -1, np.int64)
    some = row >= 0
    if some.any():
        lines = window.rows("clients", row[some], "source", "line")
        out[some] = (lines["source"].to_numpy(np.int64) << LINE_BITS) + lines["line"].to_numpy(np.int64)
    return out
