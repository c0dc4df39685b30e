"""The lab's stories of the catalogue: the right verdict a check, every case found, no quiet case, and nothing else found."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from matrix import filter_of, on_record

import logscan
from benchmarks.accuracy import told as scored
from benchmarks.accuracy import truth_of
from logscan.checking.check import all_checks
from logscan.report.model import Report

LAB = Path(__file__).parent / "data" / "lab"
STORIES = sorted(path.name for path in LAB.iterdir() if path.is_dir())

TRUE_TOO: dict[str, set[str]] = {
    "password-guessing": {"stale-password"},  # a device tries last year's password
    "rspamd-learning": {"training-without-effect"},  # two calls fail while rspamd is away
}
"""What is found beside what a story is about, and is true."""


@functools.cache
def truth(name: str) -> dict[str, Any]:
    return truth_of(LAB / name)


@functools.cache
def told(name: str) -> tuple[str, Report]:
    scan = logscan.read(LAB / name, jobs=1, year=2026)
    return filter_of(scan), logscan.analyse(scan)


def report(name: str) -> Report:
    return told(name)[1]


def expected(name: str) -> dict[str, str]:
    return {each["check"]: each["verdict"] for each in truth(name)["expected"] if "check" in each}


@pytest.mark.parametrize("name", STORIES)
def test_each_check_that_a_story_is_about_says_what_is_true(name: str) -> None:
    said = {check.name: check.verdict for check in report(name).checks}
    assert {check: said[check] for check in expected(name)} == expected(name)


@pytest.mark.parametrize("name", STORIES)
def test_each_verdict_is_the_one_on_record(name: str) -> None:
    seen, made = told(name)
    on_record(f"lab: {name}", seen, {check.name: check.verdict for check in made.checks})


@pytest.mark.parametrize("name", STORIES)
def test_nothing_else_is_found(name: str) -> None:
    found = {check.name for check in report(name).checks if check.verdict == "found"}
    assert found - expected(name).keys() - TRUE_TOO.get(name, set()) == set()


ABOUT = [(name, check) for name in STORIES for check in expected(name)]


@pytest.mark.parametrize(("name", "check"), ABOUT, ids=[f"{name}: {check}" for name, check in ABOUT])
def test_every_case_is_found_and_no_other(name: str, check: str) -> None:
    score = scored(truth(name), report(name), check)
    assert dict(score.expected - score.reported) == {}, "missing"
    assert dict(score.reported - score.expected) == {}, "too much"
    assert score.expected


def ids(finding: Any) -> set[str]:
    return {str(case.get("message_id")) for case in finding.cases}


@pytest.mark.parametrize("name", STORIES)
def test_no_quiet_case_is_found(name: str) -> None:
    for quiet in truth(name)["quiet_cases"]:
        for check in report(name).checks:
            if check.name == quiet["check"]:
                told = [finding for finding in check.findings if finding.severity != "note"]
                hit = {each for finding in told for each in ids(finding)} & set(quiet.get("message_ids", ()))
                assert hit == set(), (check.name, quiet["why"])


def test_the_stories_are_about_half_of_the_catalogue() -> None:
    assert {check for _, check in ABOUT} <= {check.name for check in all_checks()}
    assert len({check for _, check in ABOUT}) >= 13
