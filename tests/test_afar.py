"""Workers look at windows: the report is the one that this process alone would make, whatever becomes of the workers."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import logscan
from logscan.checking import judging
from logscan.reading import survey as surveying
from logscan.reading import workers, working
from logscan.samples import story

NOW = datetime(2026, 12, 1, tzinfo=UTC)
HERE = os.getpid()


def report(jobs: int, **how: Any) -> Any:
    stream = logscan.stream(story("mixed-day"), jobs=jobs, window=2500)
    return logscan.render(logscan.analyse(stream, now=NOW, **how), "json")


@pytest.fixture(autouse=True)
def _in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "CHUNK", 100_000)
    monkeypatch.setattr(surveying, "WHOLE", 1)


def look_and(how: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = judging.looked

    def around(checks: Any, window: Any) -> Any:
        how()
        return looked(checks, window)

    monkeypatch.setattr(judging, "looked", around)


def test_only_workers_look_where_there_are_any(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def mark() -> None:
        (tmp_path / str(os.getpid())).touch()

    look_and(mark, monkeypatch)
    report(2)
    looked = {int(path.name) for path in tmp_path.iterdir()}
    assert looked - {HERE}  # the last window comes when all is read and the workers have gone home


@pytest.mark.parametrize("checks", [(), ("duplicate-delivery",)])
def test_what_workers_see_makes_the_same_report(checks: tuple[str, ...]) -> None:
    assert report(2, checks=checks) == report(1, checks=checks)


def test_a_worker_that_dies_at_a_window_is_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    expected = report(1)

    def die_once() -> None:
        mark = tmp_path / "died"
        if os.getpid() != HERE and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    look_and(die_once, monkeypatch)
    assert report(2) == expected
    assert (tmp_path / "died").exists()


def test_where_all_workers_die_this_process_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    expected = report(1)
    monkeypatch.setattr(workers, "ATTEMPTS", 1)

    def die() -> None:
        if os.getpid() != HERE:
            (tmp_path / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    look_and(die, monkeypatch)
    assert report(2) == expected
    assert (tmp_path / "died").exists()


def test_what_fails_in_a_worker_is_no_silent_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        if os.getpid() != HERE:
            raise MemoryError("no room")

    look_and(fail, monkeypatch)
    with pytest.raises(MemoryError):
        report(2)
