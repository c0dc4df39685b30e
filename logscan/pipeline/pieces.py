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

TOGETHER = 8
"""Windows whose partials are put together at once."""


class Looking:
    """What was seen so far: partials of the checks and of the report's panels."""

    def __init__(self, log: Log, *, checks: Sequence[str] = (), skip: Sequence[str] = ()) -> None:
        self.log = log
        self.checks = wanted(checks, skip)
        self.of_checks = Gathered()
        self.of_panels = Gathered()
        self.ways = Ways(log)
        self.windows: list[Window] = []
        """Kept for what looks at a log only as a whole."""

    def add(self, window: Window) -> None:
        """Look at a window."""
        self.of_checks.add(looked(self.checks, window))
        self.of_panels.add(building.looked(window))
        self.ways.add(window)
        if any(each.whole for each in self.checks):
            self.windows.append(window)

    def conclude(self, now: datetime | None = None) -> Report:
        """Return the report on all windows; aware ``now`` is when it is made."""
        whole = joined(self.windows) if self.windows else None
        results = concluded(self.checks, [self.of_checks.all()], self.log, whole)
        panels = self.of_panels.all()
        report = building.build(self.log, panels, results, now=now)
        self.ways.fill(report)
        return report


class Gathered:
    """Partials by name of what looked; those of many windows are put together while windows go by."""

    def __init__(self) -> None:
        self.some: list[dict[str, Partial]] = []

    def add(self, partials: dict[str, Partial]) -> None:
        """Take in what one window gave."""
        self.some.append(partials)
        if len(self.some) >= TOGETHER:
            self.some = [self.all()]

    def all(self) -> dict[str, Partial]:
        """Return what all windows gave."""
        return {name: merged(each[name] for each in self.some) for name in self.some[0]} if self.some else {}
