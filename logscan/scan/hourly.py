"""How many mails, refusals and failed attempts there were in each hour, by host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from logscan.scan.activity import by_host
from logscan.scan.columns import column
from logscan.scan.memo import per_window
from logscan.tables.columns import frame_of
from logscan.tables.partials import SECOND, Keyed

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]

HOUR = 3600 * SECOND
HOURS = "hours"
"""The part of a partial that holds what :func:`look` returns."""

MEASURES = ("mails", "refused", "deferred", "bounced")
"""What is counted: mails that were opened (each life in the queue), recipients and connections refused, attempts put off, and
recipients bounced."""


@per_window
def look(window: Window) -> Keyed:
    """Return ``host``, ``hour`` (UTC hours since 1970) and a count of each of :data:`MEASURES`."""
    counts: dict[tuple[str, int], list[int]] = {}
    for nth, (table, name, value) in enumerate(
        (
            ("clients", "", ""),
            ("rejects", "", ""),
            ("deliveries", "status", "deferred"),
            ("deliveries", "status", "bounced"),
        )
    ):
        for host, time, rows in by_host(window, table):
            mine = time[column(window, table, name).is_in(value)[rows]] if name else time
            for hour, count in _by_hour(mine):
                counts.setdefault((host, hour), [0] * len(MEASURES))[nth] = count
    numbers = np.array(list(counts.values()), np.int64).reshape(-1, len(MEASURES))
    columns = {
        "host": np.array([host for host, _ in counts], object),
        "hour": np.array([hour for _, hour in counts], np.int64),
        **{name: numbers[:, nth] for nth, name in enumerate(MEASURES)},
    }
    return Keyed.of(frame_of(columns).astype({"host": "str"}), sums=MEASURES)


def _by_hour(time: Ints) -> list[tuple[int, int]]:
    """Return how many of some times, which are in order, lie in each hour that has any."""
    if not len(time):
        return []
    low, high = int(time[0]) // HOUR, int(time[-1]) // HOUR
    if high - low > len(time):
        hours, count = np.unique(time // HOUR, return_counts=True)
        return list(zip(hours.tolist(), count.tolist(), strict=True))
    ends = np.searchsorted(time, np.arange(low, high + 2) * HOUR)
    return [(low + i, int(count)) for i, count in enumerate(np.diff(ends).tolist()) if count]
