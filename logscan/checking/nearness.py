"""Which rows of a window lie near what they belong to, or so near the ends of its time that this may be in another window.

Windows follow each other in time: what a window doesn't cover lies before its first line or behind its last. So a look that
keeps the rows near what it saw itself, and those near its ends, keeps all that may belong together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from logscan.scan.columns import NO_TIME, moments
from logscan.tables.kept import close

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FREE = ("sessions", "filter_errors", "service_events", "logins")
"""Tables whose rows belong to no mail, and lie in the window of their own time."""


class Near:
    """Tells which times are within ``reach`` (ns) of some of a window's, or of the ends of what it covers."""

    def __init__(self, window: Window, at: Ints, reach: int) -> None:
        self.at, self.reach = np.sort(at), reach
        times = [moments(window, table) for table in FREE if len(window.tables[table])]
        known = [some[some > NO_TIME] for some in times]
        ends = [(int(some.min()), int(some.max())) for some in known if len(some)]
        self.first = min((each[0] for each in ends), default=None)
        self.last = max((each[1] for each in ends), default=None)

    def __call__(self, at: Ints) -> Bools:
        """Return which of some times (UTC ns) are near."""
        known: Bools = at > NO_TIME
        if self.first is None or self.last is None:
            return known
        ends = (at <= self.first + self.reach) | (at >= self.last - self.reach)
        return known & (ends | close(at, self.at, self.reach))
