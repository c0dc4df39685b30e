"""A broken state is mended as far as that can be done, every step is said, and nothing raises a traceback."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from state_runs import MORNING, cursor, loss, mail, partition, run, sighting, told

from logscan.store import schema
from logscan.store.state import State, StateError


@pytest.fixture(autouse=True, scope="module")
def unsynced() -> Iterator[None]:
    """No power fails here: waiting for the disk would only take time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("logscan.store.database.SYNCHRONOUS", "OFF")
        patch.setattr("os.fsync", lambda fd: None)
        yield


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state after some runs, closed; its write-ahead log is in the file."""
    folder = tmp_path_factory.mktemp("filled") / "state"
    with State.open(folder) as state:
        for number in range(12):
            part = partition(folder, part=str(number), day=f"2026-11-{number + 10}")
            found = [sighting(f"user{each}@example.com") for each in range(number, number + 20)]
            state.commit(
                run(
                    told(*found, day=f"2026-11-{number + 10}", json=os.urandom(3000)),
                    blobs={"open.entries": os.urandom(6000), "carried": b"{}"},
                    cursors=[cursor(f"/var/log/mail.{each}") for each in range(10)],
                    partitions=[part],
                    losses=[loss()],
                    outgoing=[mail(f"<{number}@mx>")],
                )
            )
        state.acknowledge("mail-stuck:user3@example.com", "2026-12-31", "known", "root", MORNING)
    return folder


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def all_read(state: State) -> None:
    """Ask everything there is to ask, and commit: none of it may raise."""
    state.cursors(), state.remembered(), state.acknowledgements(), state.figures(30), state.strip(30)
    state.runs(100), state.report(), state.partitions(), state.losses(), state.outbox()
    for name in state.blobs():
        state.blob(name)
    assert state.clear_leftovers() is not None
    number = state.commit(run(told(sighting())))
    assert state.runs(1)[0].number == number
    assert state.report() == told().json
    assert state.blob("carried") == b"{}"
    assert state.cursors() == [cursor()]
    state.retain(90, MORNING)


damage = st.lists(
    st.tuples(st.sampled_from(("flip", "zero", "cut")), st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=6
)


def broken(path: Path, how: list[tuple[str, float, int]]) -> None:
    data = bytearray(path.read_bytes())
    for kind, where, value in how:
        at = min(int(where * len(data)), max(len(data) - 1, 0))
        if kind == "flip" and data:
            data[at] ^= value
        elif kind == "zero":
            data[at : at + value * 16] = bytes(len(data[at : at + value * 16]))
        elif kind == "cut":
            del data[at:]
    path.write_bytes(data)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(how=damage)
def test_a_broken_file_is_never_a_traceback_and_the_state_can_be_used_after_it(
    filled: Path, how: list[tuple[str, float, int]]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = copied(filled, Path(place) / "state")
        before = (folder / "logscan.db").read_bytes()
        broken(folder / "logscan.db", how)
        changed = (folder / "logscan.db").read_bytes() != before
        with State.open(folder) as state:
            notes = list(state.notes)
            kept = len(state.runs(100))
            all_read(state)
            assert len(list(folder.glob("partitions*/*/*.parquet"))) == 12
            if kept < 12 or list(folder.glob("logscan.db.broken-*")):
                assert changed
                assert notes
        with State.open(folder) as state:
            assert state.notes == []


def test_the_head_s_bytes_one_by_one(filled: Path, tmp_path: Path) -> None:
    for at in range(100):
        folder = copied(filled, tmp_path / str(at))
        data = bytearray((folder / "logscan.db").read_bytes())
        data[at] ^= 0x55
        (folder / "logscan.db").write_bytes(data)
        with State.open(folder) as state:
            assert len(state.runs(100)) == 12 or state.notes, at
            all_read(state)
        shutil.rmtree(folder)


def test_tables_of_past_days_that_no_row_names_any_more_are_set_aside_not_deleted(filled: Path, tmp_path: Path) -> None:
    folder = copied(filled, tmp_path / "state")
    with closing(sqlite3.connect(folder / "logscan.db")) as connection, connection:
        connection.execute(
            "UPDATE partitions SET path = 'partitions/2026-11-10/other.parquet' WHERE day = '2026-11-10'"
        )
    with State.open(folder) as state:
        state.clear_leftovers()
        assert any("not all rows are there" in note for note in state.notes)
        assert any("1 table of past days set aside" in note for note in state.notes)
        assert len(state.runs(100)) == 12
    assert [path.name for path in folder.glob("partitions.broken-*/*/*")] == ["mails-0.parquet"]
    assert len(list(folder.glob("partitions/*/*"))) == 11


def test_where_nobody_can_tell_whether_rows_are_missing_nothing_is_removed(filled: Path, tmp_path: Path) -> None:
    folder = copied(filled, tmp_path / "state")
    with closing(sqlite3.connect(folder / "logscan.db")) as connection, connection:
        connection.execute("DELETE FROM seals WHERE name <> 'version'")
        connection.execute("DELETE FROM partitions WHERE day = '2026-11-10'")
    with State.open(folder) as state:
        assert any("nobody can tell whether all tables of past days are there" in note for note in state.notes)
        state.clear_leftovers()
        assert len(state.cursors()) == 10
    assert [path.name for path in folder.glob("partitions.broken-*/*/*")] == ["mails-0.parquet"]
    with State.open(folder) as state:
        assert state.notes == []


def test_a_row_that_changed_within_a_sound_file_is_left_out_and_said(filled: Path, tmp_path: Path) -> None:
    folder = copied(filled, tmp_path / "state")
    with State.open(folder) as state:
        before = len(state.remembered())
    with closing(sqlite3.connect(folder / "logscan.db")) as connection, connection:
        connection.execute("UPDATE findings SET body = replace(body, 'problem', 'warning') WHERE id LIKE '%user5@%'")
        connection.execute("UPDATE blobs SET content = x'00' WHERE name = 'open.entries'")
        connection.execute("UPDATE reports SET json = x'00' WHERE number = 12")
    with State.open(folder) as state:
        assert len(state.remembered()) == before - 1
        assert state.blob("open.entries") is None
        assert state.blob("carried") == b"{}"
        assert state.report() is None
        assert len(state.notes) == 3


def test_a_database_without_anything_readable_is_set_aside_with_its_tables(filled: Path, tmp_path: Path) -> None:
    folder = copied(filled, tmp_path / "state")
    (folder / "logscan.db").write_bytes(b"\0" * 100_000)
    with State.open(folder) as state:
        assert [word in " ".join(state.notes) for word in ("is broken", "set aside", "a new state was begun")] == [
            True
        ] * 3
        assert state.runs(9) == []
        assert state.partitions() == []
        state.clear_leftovers()
    assert len(list(folder.glob("partitions.broken-*/*/*"))) == 12
    assert len(list(folder.glob("logscan.db.broken-*"))) == 1
    assert oct((folder / "logscan.db").stat().st_mode & 0o777) == "0o600"


def test_a_database_that_is_gone_leaves_no_table_that_counts(filled: Path, tmp_path: Path) -> None:
    folder = copied(filled, tmp_path / "state")
    (folder / "logscan.db").unlink()
    with State.open(folder) as state:
        assert any("is gone" in note for note in state.notes)
        assert state.clear_leftovers() == []
    assert len(list(folder.glob("partitions.broken-*/*/*"))) == 12


def test_a_repair_that_was_killed_is_brought_to_its_end(filled: Path, tmp_path: Path) -> None:
    for killed in ("building", "built", "old one away"):
        folder = copied(filled, tmp_path / killed)
        (folder / "logscan.db.new").write_bytes(b"half of it")
        if killed != "building":
            shutil.copy(folder / "logscan.db", folder / "logscan.db.restored")
            (folder / "logscan.db").write_bytes(b"broken")
            (folder / "logscan.db-wal").write_bytes(b"not of this file")
        if killed == "old one away":
            (folder / "logscan.db").rename(folder / "logscan.db.broken-20261128T000000")
        with State.open(folder) as state:
            assert len(state.runs(100)) == 12
            assert state.clear_leftovers() == []
        assert sorted(path.name for path in folder.iterdir() if "broken" not in path.name) == [
            "lock",
            "logscan.db",
            "partitions",
        ]


def test_a_newer_database_is_refused_and_left_as_it_is(filled: Path, tmp_path: Path) -> None:
    folder = copied(filled, tmp_path / "state")
    with closing(sqlite3.connect(folder / "logscan.db")) as connection, connection:
        connection.execute("UPDATE seals SET digest = ? WHERE name = 'version'", (str(schema.VERSION + 1).encode(),))
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    before = (folder / "logscan.db").read_bytes()
    for way in (State.open, State.read):
        with pytest.raises(StateError, match="a newer logscan wrote it"):
            way(folder)
    assert (folder / "logscan.db").read_bytes() == before
    assert not list(folder.glob("*broken*"))


def test_what_is_in_a_write_ahead_log_of_a_killed_run_counts(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with State.open(folder) as state:
        state.commit(run(told(sighting())))
        state.commit(run(told(sighting())))
        copied(folder, tmp_path / "killed")
    assert (tmp_path / "killed" / "logscan.db-wal").stat().st_size
    with State.read(tmp_path / "killed") as state:
        assert len(state.runs(9)) == 2
    with State.open(tmp_path / "killed") as state:
        assert state.notes == []
        assert len(state.runs(9)) == 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(how=damage)
def test_a_broken_write_ahead_log_is_no_traceback_either(filled: Path, how: list[tuple[str, float, int]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = copied(filled, Path(place) / "state")
        with State.open(folder) as state:
            state.commit(run(told(sighting())))
            copied(folder, Path(place) / "killed")
        folder = Path(place) / "killed"
        broken(folder / "logscan.db-wal", how)
        with State.open(folder) as state:
            assert len(state.runs(100)) in (12, 13) or state.notes
            all_read(state)


def test_a_failing_repair_says_so(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copied(filled, tmp_path / "state")
    (folder / "logscan.db").write_bytes(b"\0" * 5000)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(folder / "logscan.db.new"))

    monkeypatch.setattr("logscan.store.repair.synced", full)
    with pytest.raises(StateError, match="No space left on device"):
        State.open(folder)
    monkeypatch.undo()
    with State.open(folder) as state:
        all_read(state)


def test_rows_before_and_behind_a_broken_page_are_saved(tmp_path: Path) -> None:
    subjects = [f"user{number:04}@example.com" for number in range(400)]
    with State.open(tmp_path / "whole") as state:
        state.commit(run(told(*(sighting(each) for each in subjects))))
    data = (tmp_path / "whole" / "logscan.db").read_bytes()
    at = data.index(b"user0200@example.com") // 4096 * 4096
    folder = copied(tmp_path / "whole", tmp_path / "state")
    (folder / "logscan.db").write_bytes(data[:at] + b"\xff" * 4096 + data[at + 4096 :])
    with State.open(folder) as state:
        left = [each.sighting.subject for each in state.remembered()]
        assert any("rows are missing of: findings" in note for note in state.notes)
        assert len(state.runs(9)) == 1
    assert (left[0], left[-1]) == (subjects[0], subjects[-1])
    assert 380 < len(left) < 400
