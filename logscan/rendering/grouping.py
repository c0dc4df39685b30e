"""Findings as they are acted on: what has one cause and one cure is one group, whoever it happened to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from logscan.amounts import plural
from logscan.findings import SEVERITIES, Confidence, Finding, Remedy, Result, Severity
from logscan.report.model import Report

CONFIDENCES: tuple[Confidence, ...] = ("high", "medium", "low")


def cure_of(finding: Finding) -> tuple[Any, ...] | None:
    """Return what tells a finding's cure from another; None without one."""
    remedy = remedy_of(finding)
    return None if remedy is None else (remedy.key or remedy.text, remedy.file, remedy.line, remedy.diff)


def remedy_of(finding: Finding) -> Remedy | None:
    """Return what is to do about a finding; nothing where it is mended, or the late case of something mended."""
    return finding.remedy if finding.state == "active" else None


@dataclass(frozen=True)
class Group:
    """Findings of one check with one cause, severity and cure; the largest first."""

    check: Result
    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        """The one that stands for all where they are alike."""
        return self.findings[0]

    @property
    def several(self) -> bool:
        """Whether more than one finding is in it."""
        return len(self.findings) > 1

    @property
    def severity(self) -> Severity:
        """The severity of each of them."""
        return self.first.severity

    @property
    def confidence(self) -> str:
        """The confidence, or the range of it: ``low to high``."""
        found = [each for each in reversed(CONFIDENCES) if any(one.confidence == each for one in self.findings)]
        return found[0] if len(found) == 1 else f"{found[0]} to {found[-1]}"

    @property
    def summary(self) -> str:
        """What is wrong, in one sentence."""
        if not self.several:
            return self.first.summary
        words = self.check.many.get(self.first.cause, "")
        count = len(self.findings)
        return words.format(n=f"{count:,}") if words else f"{self.check.title or self.check.name}: {count:,} of them"

    @property
    def count(self) -> int:
        """Cases of all."""
        return sum(each.count for each in self.findings)

    @property
    def mails(self) -> int:
        """Mails of all; one that several findings are about counts for each."""
        return sum(each.mails for each in self.findings)

    @property
    def recipients(self) -> int:
        """Their recipients, likewise."""
        return sum(each.recipients for each in self.findings)

    @property
    def since(self) -> datetime | None:
        """When the first case was."""
        return min((each.first for each in self.findings if each.first), default=None)

    @property
    def last(self) -> datetime | None:
        """When the last case was."""
        return max((each.last or each.first for each in self.findings if each.first), default=None)

    @property
    def why(self) -> str:
        """Why it happens, where that is the same for all."""
        return self.first.why if len({each.why for each in self.findings}) == 1 else ""

    @property
    def remedy(self) -> Remedy | None:
        """What is to be done, once for all."""
        return remedy_of(self.first)

    @property
    def ids(self) -> tuple[str, ...]:
        """The findings' ids."""
        return tuple(each.id for each in self.findings)

    def counted(self) -> str:
        """Return what it counts: ``57 cases (57 mails to 61 recipients)``; each number's unit is said."""
        return counted(self.count, self.mails, self.recipients)


def counted(cases: int, mails: int, recipients: int) -> str:
    """Return ``6 cases (3 mails to 6 recipients)``; each number's unit is said."""
    text = plural(cases, "case")
    if not mails:
        return text
    to = f" to {plural(recipients, 'recipient')}" if recipients else ""
    return f"{text} ({plural(mails, 'mail')}{to})"


def groups(report: Report, findings: Iterable[Finding]) -> list[Group]:
    """Return the findings in groups: the gravest first, then those that most mails and cases are about.

    The order within a group is the same; ties keep the order of the checks.
    """
    check_of = {check.name: check for check in report.checks}
    owner = {id(finding): check for check in report.checks for finding in check.findings}
    order = {check.name: place for place, check in enumerate(report.checks)}
    found: dict[tuple[Any, ...], list[Finding]] = {}
    for each in findings:
        check = owner.get(id(each)) or check_of.setdefault(each.check, Result(name=each.check))
        key = (check.name, each.cause, each.severity, each.state, cure_of(each))
        found.setdefault(key, []).append(each)
    made = [
        Group(
            owner.get(id(some[0])) or check_of[some[0].check],
            tuple(sorted(some, key=lambda each: (-each.mails, -each.count))),
        )
        for some in found.values()
    ]
    return sorted(
        made,
        key=lambda each: (
            SEVERITIES.index(each.severity),
            -each.mails,
            -each.count,
            order.get(each.check.name, len(order)),
        ),
    )


def shared_cures(some: Iterable[Group]) -> dict[str, int]:
    """Return, by the id of a group's first finding, the number (from 1) of the group before it that has the same cure."""
    first: dict[Any, int] = {}
    same: dict[str, int] = {}
    for number, group in enumerate(some, 1):
        key = cure_of(group.first)
        if key is None:
            continue
        if key in first:
            same[group.first.id] = first[key]
        else:
            first[key] = number
    return same
