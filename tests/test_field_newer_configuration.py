"""The configuration given is newer than the log: what the log shows is found, and nothing is changed that is right by now."""

from __future__ import annotations

from pathlib import Path

import pytest

import logscan
from logscan.report.model import Report

CASE = Path(__file__).parent / "data" / "field" / "dup-config-newer"


@pytest.fixture(scope="module")
def report() -> Report:
    return logscan.analyse(logscan.read(CASE, jobs=1))


def test_doubled_aliases_are_found_and_mapping_is_not_switched_off_on_both_sides(report: Report) -> None:
    found = [each for each in report.found if each.cause == "double-alias-expansion"]
    assert {each.subject for each in found} >= {"root@example.com", "monitoring@example.com"}
    for each in found:
        assert "neither side" not in each.why
        assert each.remedy
        assert each.remedy.diff is None
        assert "newer than the log" in each.remedy.text
        assert "Don't add it behind the filter too" in each.remedy.text
    assert len({each.remedy.key for each in found if each.remedy}) == 1


def test_nothing_that_counts_leads_to_a_change_of_what_is_right_by_now(report: Report) -> None:
    """Only a note could be mended by a patch here, and of notes none is made."""
    assert not [each for each in report.found if each.counts and each.remedy and each.remedy.diff]
    assert report.plan is None
