"""A filter that hands one transaction back in several, and names one of them in its reply: the rest stands in its own log."""

from __future__ import annotations

from pathlib import Path

import logscan

CASE = Path(__file__).parent / "data" / "field" / "one-transaction-handed-back-twice"


def test_an_alias_expanded_behind_it_once_more_doubles_the_copy_outside() -> None:
    report = logscan.analyse(logscan.read(CASE, jobs=1))
    check = next(each for each in report.checks if each.name == "duplicate-delivery")
    assert [(each.cause, each.subject, each.severity) for each in check.findings] == [
        ("double-alias-expansion", "list@example.com", "problem")
    ]
    assert [case["mailbox"] for case in check.findings[0].cases] == ["me@example.net"]
