"""Each check against small logs: one that has the fault, one that looks like it and is right (``tests/data/cases``)."""

from __future__ import annotations

import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from matrix import filter_of, on_record

import logscan
from logscan.checking.check import Check, all_checks
from logscan.sources.losses import Loss

FOLDER = Path(__file__).parent / "data" / "cases"
CASES = [
    pytest.param(path.stem, case, id=f"{path.stem}: {case['name']}")
    for path in sorted(FOLDER.glob("*.toml"))
    for case in tomllib.loads(path.read_text())["case"]
]


@pytest.mark.parametrize(("check", "case"), CASES)
def test_a_check_says_of_a_small_log_what_is_true(check: str, case: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_text(case["log"].lstrip("\n"))
    for name, text in case.get("config", {}).items():
        (tmp_path / name).write_text(text.lstrip("\n"))
    scan = logscan.read(tmp_path, jobs=1, year=2026, timezone="UTC")
    scan.log.losses = [_loss(**each) for each in case.get("loss", [])]
    assert {each.unknown for each in scan.sources} == {0}
    (result,) = logscan.analyse(scan, checks=[check]).checks
    assert result.verdict == case["verdict"], result
    on_record(f"case: {check}: {case['name']}", filter_of(scan), {check: result.verdict})
    found = [{"cause": each.cause, "subject": each.subject, "count": each.count} for each in result.findings]
    assert found == [{key: each[key] for key in ("cause", "subject", "count")} for each in case["findings"]]
    for finding, expected in zip(result.findings, case["findings"], strict=True):
        for key in expected.keys() - {"cause", "subject", "count"}:
            assert getattr(finding, key) == expected[key], key


def _loss(kind: Any, why: str, path: str = "mail.log", size: int | None = None, **times: datetime) -> Loss:
    """Return a loss as a case names it; it may leave out its size and its times."""
    since, until = (int(times[at].timestamp()) * 10**9 if at in times else None for at in ("since", "until"))
    return Loss(kind, path, size, since, until, why)


def test_every_check_has_cases_and_none_is_of_a_check_there_is_not() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} == {check.name for check in all_checks()}


def causes(check: str) -> set[str]:
    cases = tomllib.loads((FOLDER / f"{check}.toml").read_text())["case"]
    return {finding["cause"] for case in cases for finding in case["findings"]}


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.name)
def test_each_cause_that_a_check_names_is_shown_by_a_case_and_no_other(check: Check) -> None:
    assert causes(check.name) == set(check.causes)
    cases = tomllib.loads((FOLDER / f"{check.name}.toml").read_text())["case"]
    assert {"found", "clear", "blind"} <= {case["verdict"] for case in cases}
