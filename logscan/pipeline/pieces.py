"""Takes a log's windows one by one, and makes the report from what was seen in each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from logscan.checking.judging import concluded, looked, wanted
from logscan.pipeline.ways import Ways
from logscan.report import building
from logscan.report.model import Report
from logscan.scan.log import Log
from logscan.scan.window import Window, joined
from logscan.tables.partials import Partial, merged


class Looking:
    """What was seen so far: partials of the checks and of the report's panels."""

    def __init__(self, log: Log, *, checks: Sequence[str] = (), skip: Sequence[str] = ()) -> None:
        self.log = log
        self.checks = wanted(checks, skip)
        self.of_checks: list[dict[str, Partial]] = []
        self.of_panels: list[dict[str, Partial]] = []
        self.ways = Ways(log)
        self.windows: list[Window] = []
        """Kept for what looks at a log only as a whole."""

    def add(self, window: Window) -> None:
        """Look at a window."""
        self.of_checks.append(looked(self.checks, window))
        self.of_panels.append(building.looked(window))
        self.ways.add(window)
        self.windows.append(window)

    def conclude(self, now: datetime | None = None) -> Report:
        """Return the report on all windows; aware ``now`` is when it is made."""
        whole = joined(self.windows)
        results = concluded(self.checks, self.of_checks, self.log, whole)
        panels = {name: merged(each[name] for each in self.of_panels) for name in building.PANELS}
        report = building.build(self.log, panels, results, whole, now=now)
        self.ways.fill(report)
        return report
