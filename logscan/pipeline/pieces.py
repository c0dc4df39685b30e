"""Takes a log's windows one by one, and makes the report from what was seen in each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from logscan.checking.judging import concluded, looked, settled, wanted
from logscan.pipeline.ways import Ways
from logscan.report import building
from logscan.report.model import Report
from logscan.scan.log import Log
from logscan.scan.window import Window
from logscan.tables.partials import Partial, merged

MOST_APART = 8
"""Windows whose partials are kept one by one; then they are put together."""


class Looking:
    """What was seen so far: partials of the checks and of the report's panels."""

    def __init__(self, log: Log, *, checks: Sequence[str] = (), skip: Sequence[str] = ()) -> None:
        self.log = log
        self.checks = wanted(checks, skip)
        self.of_checks: list[dict[str, Partial]] = []
        self.of_panels: list[dict[str, Partial]] = []
        self.ways = Ways(log)

    def add(self, window: Window, frontier: int | None = None) -> None:
        """Look at a window. All rows of windows still to come are of ``frontier`` (UTC ns) or later, where that is known."""
        self.of_checks.append(looked(self.checks, window))
        self.of_panels.append(building.looked(window))
        self.ways.add(window)
        if len(self.of_panels) > MOST_APART:
            self.of_panels = [_together(self.of_panels)]
            self.of_checks = [
                _together(self.of_checks) if frontier is None else settled(self.checks, self.of_checks, frontier)
            ]

    def conclude(self, now: datetime | None = None) -> Report:
        """Return the report on all windows; aware ``now`` is when it is made."""
        results = concluded(self.checks, self.of_checks, self.log)
        report = building.build(self.log, _together(self.of_panels), results, now=now)
        report.notes += [note for result in results for note in result.notes]
        self.ways.fill(report)
        return report


def _together(some: Sequence[dict[str, Partial]]) -> dict[str, Partial]:
    """Return what several windows gave, by name of what looked."""
    return {name: merged(each[name] for each in some) for name in some[0]} if some else {}
