"""Findings that the administrator knows of, by the settings file or by name: they are shown as such, and don't count."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logscan.findings import Finding, Result, Suppression


def suppress(result: Result, suppressions: Sequence[Suppression], today: date) -> None:
    """Mark the findings of a check that are suppressed; say which suppression has ended, where a finding shows again.

    Only what would count is marked: notes and what is mended stay what they are.
    """
    mine = [each for each in suppressions if each.check == result.name]
    for finding in result.findings if mine else ():
        fitting = [each for each in mine if finding.counts and _fits(each, finding)]
        lasting = [each for each in fitting if each.until is None or today <= each.until]
        if lasting:
            finding.state, finding.suppressed = "suppressed", lasting[0]
        elif fitting:
            last = max(fitting, key=lambda each: each.until or date.min)
            what = "acknowledgement" if last.by else "suppression"
            reason = f" (reason: {last.reason})" if last.reason else ""
            result.notes.append(f"{result.name}, {finding.subject}: its {what} ended on {last.until}{reason}")


def _fits(suppression: Suppression, finding: Finding) -> bool:
    """Whether subject and cause are as the suppression has them: ``*`` and ``?`` stand for anything, case for nothing.

    What was acknowledged is one finding, by its very name.
    """
    if suppression.by:
        return (finding.subject, finding.cause) == (suppression.subject, suppression.cause)
    pairs = ((finding.subject, suppression.subject), (finding.cause, suppression.cause))
    return all(fnmatchcase(text.lower(), pattern.lower()) for text, pattern in pairs)
