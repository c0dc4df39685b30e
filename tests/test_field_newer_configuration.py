"""The configuration given is newer than the log: what the log shows is found, and nothing is changed that is right by now."""

from __future__ import annotations

from pathlib import Path

import pytest

import logscan
from logscan.report import Report

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


def test_the_one_change_leaves_the_side_behind_the_filter_alone(report: Report) -> None:
    assert report.plan
    assert "no_address_mappings" not in "".join(
        line for line in report.plan.diff().split("\n") if line.startswith(("+", "-"))
    )
    assert not {each.id for each in report.found if each.cause == "double-alias-expansion"} & set(report.plan.findings)
