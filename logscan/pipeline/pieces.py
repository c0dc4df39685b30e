"""Takes a log's windows one by one, and makes the report from what was seen in each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from logscan.checking.judging import concluded, settled, together, wanted
from logscan.pipeline.afar import Afar, Seen, seen
from logscan.pipeline.ways import Ways
from logscan.report import building, overview
from logscan.report.model import Report
from logscan.scan.log import Log
from logscan.scan.window import Window
from logscan.tables.partials import Partial, merged

if TYPE_CHECKING:
    from logscan.reading.workers import Crew

MOST_APART = 8
"""Windows whose partials are kept one by one; then they are put together."""

OF_OPEN = ("outages", "concerns")
"""Panels that are about what goes on: an outage that lasts past midnight is in the day's report."""


class Looking:
    """What was seen so far: partials of the checks and of the report's panels."""

    def __init__(self, log: Log, *, checks: Sequence[str] = (), skip: Sequence[str] = ()) -> None:
        self.log = log
        self.checks = wanted(checks, skip)
        self.names = [check.name for check in self.checks]
        self.of_checks: list[dict[str, Partial]] = []
        self.of_panels: list[dict[str, Partial]] = []
        self.ways = Ways(log)
        self.open_counts: dict[str, int] | None = None
        """Counts of the mails that are open, as the overview has them, where these were looked at."""
        self._afar: Afar | None = None
        self._waiting: deque[tuple[Callable[[], Seen], int | None]] = deque()

    def add(self, window: Window, frontier: int | None = None, crew: Crew | None = None) -> None:
        """Look at a window. All rows of windows still to come are of ``frontier`` (UTC ns) or later, where that is known.

        A crew of several workers looks meanwhile; what it saw is taken in the order of the windows.
        """
        if crew is None or crew.jobs == 1:
            self._take(seen(self.names, window), frontier)
            self.ways.add(window)
        else:
            self._afar = self._afar or Afar(self.log, crew, self.names)
            self._waiting.append((self._afar.look(window), frontier))
        while crew is not None and len(self._waiting) > crew.jobs:
            self._take_first()

    def of_closed(self) -> dict[str, Partial]:
        """Return what the checks saw in the windows so far, by name of the check."""
        while self._waiting:
            self._take_first()
        self.of_checks = [together(self.checks, self.of_checks)]
        return self.of_checks[0]

    def add_open(self, window: Window) -> None:
        """Look at what is open, as if the log ended here: checks see it as they see what is closed, and few panels do.

        Its mails aren't counted (:attr:`open_counts` does), since they will be when they are closed.
        """
        while self._waiting:
            self._take_first()
        found = seen(self.names, window)
        self.of_checks.append(found.checks)
        self.open_counts = overview.mails(found.panels["overview"])
        hosts = Partial({"hosts": found.panels["overview"].parts["hosts"]})
        panels = {name: found.panels[name] if name in OF_OPEN else Partial() for name in found.panels}
        self.of_panels.append(panels | {"overview": hosts})
        self.ways.add(window)

    def conclude(self, now: datetime | None = None) -> Report:
        """Return the report on all windows; aware ``now`` is when it is made."""
        while self._waiting:
            self._take_first()
        results = concluded(
            self.checks, self.of_checks, self.log, now.astimezone(self.log.zone).date() if now else None
        )
        panels = _together(self.of_panels)
        report = building.build(self.log, panels, results, now=now, still_open=self.open_counts)
        report.notes += [note for result in results for note in result.notes]
        self.ways.fill(report)
        return report

    def _take_first(self) -> None:
        got, frontier = self._waiting.popleft()
        self._take(got(), frontier)

    def _take(self, found: Seen, frontier: int | None) -> None:
        self.of_checks.append(found.checks)
        self.of_panels.append(found.panels)
        if found.ways is not None:
            self.ways.put(found.ways)
        if len(self.of_panels) > MOST_APART:
            self.of_panels = [_together(self.of_panels)]
            self.of_checks = [
                _together(self.of_checks) if frontier is None else settled(self.checks, self.of_checks, frontier)
            ]


def _together(some: Sequence[dict[str, Partial]]) -> dict[str, Partial]:
    """Return what several windows gave, by name of what looked."""
    return {name: merged(each[name] for each in some) for name in some[0]} if some else {}
