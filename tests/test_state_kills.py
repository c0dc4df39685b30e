"""What changes files of the state can be killed before any step: the next run finds what was there, or what was to be."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from state_runs import DAY, MORNING, partition, run, sighting, told

from logscan.store import upkeep
from logscan.store.forgetting import forget
from logscan.store.state import State

STEPS = frozenset(
    ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.link", "os.truncate", "sqlite3.connect")
)
"""What Python tells of before it is done (PEP 578)."""


class KilledError(BaseException):
    """Nothing more is done from here on."""


class _Killer:
    """Raises before one step and each later one: what is in ``finally`` is as dead as the rest."""

    def __init__(self) -> None:
        self.left: int | None = None

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if self.left is None or event not in STEPS:
            return
        if event == "open" and not int(args[2]) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return  # what is read changes nothing: killed before it is killed before the next step
        self.left -= 1
        if self.left < 0:
            raise KilledError


killer = _Killer()
sys.addaudithook(killer)


def killed_at_each_step(start: Path, place: Path, work: Callable[[Path], object]) -> Iterator[Path]:
    """Yield a copy of a state for each step before which ``work`` on it was killed, and at last one where it was done."""
    work(shutil.copytree(start, place / "first"))  # all that is imported is there
    for number in itertools.count():
        folder = shutil.copytree(start, place / str(number))
        killer.left = number
        try:
            with suppress(KilledError):
                work(folder)
            done = killer.left >= 0
        finally:
            killer.left = None
        yield folder
        shutil.rmtree(folder)
        if done:
            assert number > 3
            return


def rows(folder: Path) -> dict[str, list[str]]:
    with State.read(folder) as state:
        found: dict[str, list[str]] = {}
        for each in state.partitions():
            found.setdefault(each.day, []).extend(pq.read_table(folder / each.path)["sender"].to_pylist())
    return found


def files(folder: Path) -> int:
    return len(list(folder.glob("partitions*/*/*.parquet")))


@pytest.fixture(autouse=True, scope="module")
def unsynced() -> Iterator[None]:
    """What a killed program wrote is there all the same: waiting for the disk would only take time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("logscan.store.database.SYNCHRONOUS", "OFF")
        patch.setattr("os.fsync", lambda fd: None)
        yield


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills") / "state"
    with State.open(folder) as state:
        for number in range(4):
            day = f"2026-11-{26 + number % 2}"
            state.commit(
                run(
                    told(*(sighting(f"user{each}@example.com") for each in range(40)), day=day),
                    ended=MORNING - (4 - number) * DAY,
                    partitions=[
                        partition(folder, part=str(number), day=day, senders=("alice@example.com", f"b{number}@x.org"))
                    ],
                )
            )
    return folder


def test_a_repair(start: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(start, tmp_path / "broken")
    data = (broken / "logscan.db").read_bytes()
    at = data.index(b"user20@example.com") // 4096 * 4096
    (broken / "logscan.db").write_bytes(data[:at] + b"\xff" * 4096 + data[at + 4096 :])
    for folder in killed_at_each_step(broken, tmp_path, lambda folder: State.open(folder).close()):
        with State.open(folder) as state:
            assert len(state.runs(9)) == 4
            assert 0 < len(state.remembered()) < 40
            assert len(state.partitions()) == 4
            assert state.clear_leftovers() == []
        assert upkeep.copies(folder) != []
        with State.open(folder) as state:
            assert state.notes == []
            assert upkeep.verified(state) == []


def test_a_database_that_is_set_aside(start: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(start, tmp_path / "broken")
    (broken / "logscan.db").write_bytes(b"nothing of it")
    for folder in killed_at_each_step(broken, tmp_path, lambda folder: State.open(folder).close()):
        with State.open(folder) as state:
            assert state.runs(9) == []
            assert state.clear_leftovers() == []
            assert state.commit(run(told(sighting()))) == 1
        assert files(folder) == 4
        assert upkeep.copies(folder) != []


def test_a_first_run(tmp_path: Path) -> None:
    start = tmp_path / "start"
    start.mkdir(mode=0o700)
    for folder in killed_at_each_step(start, tmp_path, lambda folder: State.open(folder).close()):
        with State.open(folder) as state:
            assert state.notes == []
            assert state.commit(run(told(sighting()))) == 1
        assert sorted(path.name for path in folder.iterdir()) == ["lock", "logscan.db"]


def _compacted(folder: Path) -> None:
    with State.open(folder) as state:
        upkeep.compacted(state)


def test_a_compaction(start: Path, tmp_path: Path) -> None:
    before = rows(start)
    for folder in killed_at_each_step(start, tmp_path, _compacted):
        assert rows(folder) == before
        with State.open(folder) as state:
            state.clear_leftovers()
            assert state.notes == []
            assert upkeep.verified(state) == []
            assert files(folder) == len(state.partitions())
        assert rows(folder) == before


def _forgotten(folder: Path) -> None:
    with State.open(folder) as state:
        forget(state, "alice@example.com")


def test_forgetting(start: Path, tmp_path: Path) -> None:
    before = rows(start)
    after = {
        day: ["(forgotten)" if each == "alice@example.com" else each for each in senders]
        for day, senders in before.items()
    }
    for folder in killed_at_each_step(start, tmp_path, _forgotten):
        assert _sorted(rows(folder)) in (_sorted(before), _sorted(after))
        with State.open(folder) as state:
            state.clear_leftovers()
            assert upkeep.verified(state) == []
            assert files(folder) == len(state.partitions())
    # Files have names of chance: their order in a day says nothing.


def _sorted(found: dict[str, list[str]]) -> dict[str, list[str]]:
    return {day: sorted(senders) for day, senders in found.items()}


def _retained(folder: Path) -> None:
    with State.open(folder) as state:
        state.retain(1, MORNING)


def test_retention(start: Path, tmp_path: Path) -> None:
    for folder in killed_at_each_step(start, tmp_path, _retained):
        with State.open(folder) as state:
            state.clear_leftovers()
            assert upkeep.verified(state) == []
            assert files(folder) == len(state.partitions())
            state.retain(1, MORNING)
            assert len(state.partitions()) == 2


def test_a_reset(start: Path, tmp_path: Path) -> None:
    for folder in killed_at_each_step(start, tmp_path, upkeep.reset):
        upkeep.reset(folder)
        assert list(folder.iterdir()) == []
