"""What the configuration says must happen, as it is shown: one entry for each fault, not for each address it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from logscan.findings import Prediction, Remedy, Result
from logscan.report.model import Report


@dataclass(frozen=True)
class Foreseen:
    """Predictions of one fault: the same check, cause and place, and the same sentence but for the subject."""

    check: Result
    every: tuple[Prediction, ...]

    @property
    def first(self) -> Prediction:
        """The one whose sentence is shown."""
        return self.every[0]

    @property
    def place(self) -> str:
        """File and line, e.g. ``master.cf, line 13``; empty where there is none."""
        one = self.first
        return f"{one.file}{f', line {one.line}' if one.line else ''}" if one.file else ""

    @property
    def others(self) -> tuple[str, ...]:
        """The subjects of which the same holds."""
        return tuple(each.subject for each in self.every[1:])

    def seen(self, audit: bool) -> str:
        """Return whether the log shows it too, in words; empty where there is no log."""
        if audit:
            return ""
        count = sum(each.seen for each in self.every)
        if not count:
            return "not seen in this log yet"
        return "seen in this log" if count == len(self.every) else f"seen in this log for {count} of {len(self.every)}"


def foreseen(report: Report) -> list[Foreseen]:
    """Return the faults in the order of the checks."""
    groups: dict[tuple[str, ...], tuple[Result, list[Prediction]]] = {}
    for check, each in report.predictions:
        sentence = each.text.replace(each.subject, "\0")
        key = (check.name, each.cause, str(each.file), str(each.line), sentence)
        groups.setdefault(key, (check, []))[1].append(each)
    return [Foreseen(check, tuple(every)) for check, every in groups.values()]


def cures(report: Report) -> list[Remedy]:
    """Return the changes after which the configuration says none of it, each once; for an audit."""
    found: dict[str, Remedy] = {}
    for _, each in report.predictions:
        if each.remedy and not each.remedy.absent:
            found.setdefault(each.remedy.key or each.remedy.text, each.remedy)
    return list(found.values())


def faults(report: Report) -> Sequence[tuple[str, str]]:
    """Return the faults that the configuration has: what one change mends is one, whatever it does to whom."""
    every = (
        (each.cause, each.remedy.key if each.remedy else f"{each.file}:{each.line}") for _, each in report.predictions
    )
    return tuple(dict.fromkeys(every))
