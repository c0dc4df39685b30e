"""The numbers of a report that stand beside their own past, and what is usual for each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from statistics import median
from typing import TYPE_CHECKING

from logscan.report.memory import Past

if TYPE_CHECKING:
    from logscan.report.model import Report

WEEKS = 8
"""Weeks back in which the same weekday is looked for: a season further back says nothing of today."""

LEAST_WEEKDAYS = 4
"""Days of the same weekday from which they are compared with: fewer have no spread to speak of."""

DAYS = 28
"""Days back of any weekday, where there are too few of the same."""

LEAST_DAYS = 7
"""Days of any weekday below which nothing is said: a week has its own ups and downs."""

FAR = 3.5
"""Deviations from the median from which a figure is far outside.

Iglewicz and Hoaglin's modified z-score, as NIST's handbook has it: 1.3.5.17, Detection of Outliers.
"""

TO_SIGMA = 1.4826
"""The median absolute deviation times this is the standard deviation, where values are normally distributed."""

LEAST_SHARE = 0.02
"""A share's least spread: two parts in a hundred are nothing to speak of."""

LEAST_SECONDS = 1.0
"""A delay's least spread; a tenth of its median where that is more."""

DELAYS = {"median": "delay.p50", "90 %": "delay.p90", "99 %": "delay.p99"}
"""Columns of the list of delays that are figures, by name."""


def figures_of(report: Report, *, lines: bool = True) -> dict[str, float]:
    """Return the report's numbers by name.

    ``mails.NAME`` as :attr:`Report.mails` has them, ``delay.p50`` … in seconds, ``tagged.share`` (0 to 1) of those
    recipients that a filter judged, ``lines`` and ``lines.unknown``, ``findings`` that count. Lines are counted by run: not
    ``lines`` where it has several reports.
    """
    found: dict[str, float] = {f"mails.{name}": float(value) for name, value in report.mails.items()}
    if lines:
        found["lines"] = float(sum(each.lines - each.copies for each in report.sources))
        found["lines.unknown"] = float(sum(each.unknown for each in report.sources))
    found["findings"] = float(sum(each.counts for each in report.found))
    found |= _delays(report)
    judged = {each.name: sum(each.values) for each in report.traffic.tagged}
    tagged, clean = judged.get("tagged", 0), judged.get("untagged", 0)
    if tagged + clean:
        found["tagged.share"] = tagged / (tagged + clean)
    return found


def _delays(report: Report) -> dict[str, float]:
    for listing in report.traffic.listings:
        if listing.key == "delays":
            for row in listing.rows:
                told = dict(zip(listing.columns, row, strict=False))
                if row[0] == "in all":
                    return {name: float(told[head]) for head, name in DELAYS.items() if _number(told.get(head))}
    return {}


def _number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def pasts(today: Mapping[str, float], figures: Sequence[tuple[str, Mapping[str, float]]], day: date) -> dict[str, Past]:
    """Return each figure beside its past, where it has enough of one. ``figures``: (day, values by name) of each report.

    A day of several reports is left out, a part of a day being no measure of a day; so is one that this is one more of.
    """
    reports = Counter(key for key, _ in figures)
    if day.isoformat() in reports:
        return {}
    dated = {date.fromisoformat(key): values for key, values in figures if reports[key] == 1}
    same = [dated[each] for each in (day - timedelta(weeks=back) for back in range(1, WEEKS + 1)) if each in dated]
    every = [dated[each] for each in (day - timedelta(days=back) for back in range(1, DAYS + 1)) if each in dated]
    found = {}
    for name, value in today.items():
        for some, least, weekday in ((same, LEAST_WEEKDAYS, True), (every, LEAST_DAYS, False)):
            before = [each[name] for each in some if name in each]
            if len(before) >= least:
                found[name] = _past(name, value, before, weekday)
                break
    return found


def _past(name: str, value: float, before: Sequence[float], weekday: bool) -> Past:
    middle = median(before)
    spread = FAR * max(TO_SIGMA * median(abs(each - middle) for each in before), _least(name, middle))
    usual = [each for each in before if abs(each - middle) <= spread]
    return Past(name, value, middle, min(usual), max(usual), len(before), weekday, abs(value - middle) > spread)


def _least(name: str, middle: float) -> float:
    """Return the spread that a figure has at least: what has been the same each day may yet differ by chance."""
    if name.endswith(".share"):
        return LEAST_SHARE
    if name.startswith("delay."):
        return max(LEAST_SECONDS, middle / 10)
    return math.sqrt(max(middle, 1.0))  # counts scatter by that even where nothing changes (Poisson)
