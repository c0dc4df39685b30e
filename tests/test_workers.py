"""Workers that die are replaced, and what they died of is said; nothing waits for ever."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from logscan.reading import workers
from logscan.reading.workers import Lost, crew


def double(number: int) -> int:
    return 2 * number


def dies_first(number: int, marks: str) -> int:
    """Die at odd numbers, the first time that each is met."""
    mark = Path(marks) / str(number)
    if number % 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def dies(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def fails(number: int) -> int:
    raise MemoryError(str(number))


def sleeps(number: int) -> int:
    time.sleep(60)
    return number


def done(do: Any, jobs: int, *more: Any, count: int = 8) -> dict[int, Any]:
    some = crew(do, jobs)
    try:
        for number in range(count):
            some.give(number, number, *more)
        return dict(some.take() for _ in range(count))
    finally:
        some.close()


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_all_work_is_done(jobs: int) -> None:
    assert done(double, jobs) == {number: 2 * number for number in range(8)}


def test_work_at_which_a_worker_died_is_done_by_another(tmp_path: Path) -> None:
    assert done(dies_first, 2, str(tmp_path), count=4) == {number: 2 * number for number in range(4)}
    assert len(list(tmp_path.iterdir())) == 2


def test_work_at_which_all_workers_die_is_lost_and_the_rest_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "ATTEMPTS", 2)
    found = done(dies, 2)
    assert isinstance(found.pop(3), Lost)
    assert found == {number: 2 * number for number in range(8) if number != 3}


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_the_work_raises_is_raised(jobs: int) -> None:
    with pytest.raises(MemoryError):
        done(fails, jobs)


def test_workers_end_at_once_when_they_are_told_to() -> None:
    some = crew(sleeps, 2)
    for number in range(4):
        some.give(number, number)
    begin = time.monotonic()
    some.close()
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize("jobs", [1, 2])
def test_other_work_is_done_beside_what_the_crew_is_for(jobs: int) -> None:
    some = crew(double, jobs)
    try:
        asked = [some.ask(pow, number, 3) for number in range(8)]
        for number in range(8):
            some.give(number, number)
        assert dict(some.take() for _ in range(8)) == {number: 2 * number for number in range(8)}
        some.rest()
        assert all(each.done() for each in asked)
        with pytest.raises(MemoryError):
            some.ask(fails, 3).result(60)
    finally:
        some.close()
    assert [each.result(60) for each in asked] == [number**3 for number in range(8)]
    assert some.ask(double, 4).result(60) == 8
