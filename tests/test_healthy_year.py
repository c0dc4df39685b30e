"""A healthy server stays healthy: of days on which nothing is wrong no problem is said (the whole year: benchmarks/year.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.year import TRUE, reported, written


@pytest.mark.parametrize(("days", "length"), [(3, 1), (14, 7), (21, 21)])
def test_nothing_is_found_on_a_healthy_server_but_that_passwords_are_guessed(
    days: int, length: int, tmp_path: Path
) -> None:
    found, said, reports = reported(written(seed=7, days=days), length, tmp_path)
    assert reports == days // length
    assert said == []
    assert {check for _, check, _ in found} == TRUE
