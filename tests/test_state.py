"""The state: what runs say is remembered, all of a run or nothing, for one run at a time, in a folder that is shut to others."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from state_runs import DAY, MORNING, cursor, loss, mail, partition, run, sighting, told

from logscan.store import database, recording, schema
from logscan.store.model import Acknowledgement, Judged, Partition
from logscan.store.state import State, StateError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_what_a_run_says_is_remembered(folder: Path) -> None:
    part = None
    with State.open(folder) as state:
        assert (state.runs(9), state.report(), state.cursors(), state.blob("carried"), state.remembered()) == (
            [],
            None,
            [],
            None,
            [],
        )
        part = partition(folder)
        number = state.commit(run(told(sighting()), partitions=[part], losses=[loss()], outgoing=[mail()]))
    for way in (State.read, State.open):
        with way(folder) as state:
            (ran,) = state.runs(9)
            assert (ran.number, ran.since, ran.lines, ran.reports, ran.version) == (number, MORNING, 7, 1, "0.2.0")
            assert state.cursors() == [cursor()]
            assert (state.blob("carried"), state.blob("nothing")) == (b"{}", None)
            assert state.report() == state.report(number) == told().json
            assert state.report(number + 1) is None
            assert state.partitions() == [part]
            assert state.losses() == state.losses(number) == [loss()]
            assert state.figures(30) == [("2026-11-28", {"mails.total": 3.0, "delay.p50": 1.5})]
            assert state.strip(30) == {"mail-stuck": [("2026-11-28", "found")]}
            (found,) = state.remembered()
            assert (found.sighting, found.first_run, found.last_run, found.gone_run) == (sighting(), 1, 1, None)
            assert found.first_seen == told().until, "its lines are older than the run"
            (waiting,) = state.outbox()
            assert (waiting.mail, waiting.run, waiting.attempts, waiting.error) == (mail(), number, 0, "")
            assert state.notes == []


def test_bytes_that_are_no_utf_8_are_remembered_as_they_were(folder: Path) -> None:
    odd = "caf\udce9\x00\n\u202e'; DROP TABLE runs; --"
    with State.open(folder) as state:
        state.commit(
            run(
                told(sighting(odd, id="0badcafe", summary=odd)),
                cursors=[cursor(odd)],
                losses=[loss(odd)],
                outgoing=[replace(mail(), recipients=(odd,))],
            )
        )
        state.failed(1, odd)
        state.acknowledge("0badcafe", "", odd, odd, MORNING)
        assert state.remembered()[0].sighting.subject == odd
        assert state.remembered()[0].ack == Acknowledgement("0badcafe", "", odd, odd, MORNING)
        assert state.cursors()[0].path == state.losses()[0].path == odd
        assert state.outbox()[0].mail.recipients == (odd,)
        assert state.outbox()[0].attempts == 1


@pytest.mark.parametrize(
    ("verdict", "seen", "gone"),
    [
        ("clear", None, True),
        ("found", None, True),
        ("not-applicable", None, True),
        ("blind", None, False),
        ("found", "active", False),
        ("found", "residual", True),
        ("clear", "suppressed", False),
        ("clear", "mended", True),
    ],
)
def test_a_finding_is_gone_where_its_check_could_look_and_found_it_no_more(
    folder: Path, verdict: str, seen: str | None, gone: bool
) -> None:
    with State.open(folder) as state:
        state.commit(run(told(sighting())))
        state.commit(run(told(*([sighting(state=seen)] if seen else []), verdict=verdict)))
        (found,) = state.remembered()
        assert found.gone_run == (2 if gone else None)
        assert found.last_run == (2 if seen else 1)


def test_a_finding_of_a_check_that_a_report_doesn_t_have_stays(folder: Path) -> None:
    with State.open(folder) as state:
        state.commit(run(told(sighting())))
        state.commit(run(told(check="log-gap", verdict="clear")))
        state.commit(run())
        assert state.remembered()[0].gone_run is None


def test_a_finding_that_comes_back_is_there_again_and_known_as_back(folder: Path) -> None:
    with State.open(folder) as state:
        state.commit(run(told(sighting())))
        state.commit(run(told(verdict="clear")))
        state.commit(run(told(verdict="clear")))
        assert state.remembered()[0].gone_run == 2
        state.commit(run(told(sighting(count=5))))
        (found,) = state.remembered()
        assert (found.first_run, found.last_run, found.gone_run, found.back_run) == (1, 4, None, 4)
        assert found.sighting.count == 5
        state.commit(run(told(sighting())))
        assert state.remembered()[0].back_run == 4


def test_several_reports_of_one_run_are_taken_one_after_the_other(folder: Path) -> None:
    with State.open(folder) as state:
        days = [told(sighting(), day="2026-11-26"), told(day="2026-11-27", verdict="clear", json=b"{}", lines=0)]
        state.commit(run(*days))
        (found,) = state.remembered()
        assert (found.first_run, found.gone_run) == (1, 1)
        assert state.report() == b"{}"
        assert state.strip(30) == {"mail-stuck": [("2026-11-26", "found"), ("2026-11-27", "clear")]}
        assert state.runs(1)[0].reports == 2


def test_the_gravest_verdict_stands_for_a_day(folder: Path) -> None:
    order = ["not-applicable", "clear", "blind", "found", "blind", "clear", "not-applicable"]
    strips = []
    with State.open(folder) as state:
        for verdict in order:
            state.commit(run(told(verdict=verdict)))
            strips.append(state.strip(1)["mail-stuck"][0][1])
    assert strips == ["not-applicable", "clear", "blind", "found", "found", "found", "found"]


def test_figures_and_strip_go_back_from_the_newest_day(folder: Path) -> None:
    with State.open(folder) as state:
        for day in ("2026-10-01", "2026-11-01", "2026-11-20", "2026-11-20", "2026-11-28", "undated"):
            state.commit(run(told(day=day)))
        assert [day for day, _ in state.figures(9)] == ["2026-11-20", "2026-11-20", "2026-11-28", "undated"]
        assert [day for day, _ in state.strip(28)["mail-stuck"]] == ["2026-11-01", "2026-11-20", "2026-11-28"]


def test_what_is_carried_is_replaced_by_each_run(folder: Path) -> None:
    with State.open(folder) as state:
        state.commit(run(cursors=[cursor("/a"), cursor("/b")], blobs={"open.mails": b"x", "past": b"y"}))
        state.commit(run(cursors=[cursor("/b", 5)], blobs={"past": b""}))
        assert state.cursors() == [cursor("/b", 5)]
        assert state.blobs() == ["past"]
        assert state.blob("past") == b""


def test_a_mail_is_put_in_once_and_stays_until_it_is_sent(folder: Path) -> None:
    with State.open(folder) as state:
        state.commit(run(outgoing=[mail("<1@mx>"), mail("<2@mx>"), mail("<1@mx>")]))
        state.failed(1, "connection refused")
        state.failed(1, "connection timed out")
        assert [(each.number, each.attempts, each.error) for each in state.outbox()] == [
            (1, 2, "connection timed out"),
            (2, 0, ""),
        ]
        state.sent(1, MORNING)
        state.commit(run(outgoing=[mail("<1@mx>")]))
        assert [each.mail.message_id for each in state.outbox()] == ["<2@mx>"]


def test_acknowledgements_last_until_they_are_taken_back(folder: Path) -> None:
    with State.open(folder) as state:
        state.commit(run(told(sighting())))
        state.acknowledge(sighting().id, "2026-12-01", "known", "root", MORNING)
        state.acknowledge(sighting().id, "2026-12-31", "still known", "root", MORNING)
        assert [each.until for each in state.acknowledgements()] == ["2026-12-31"]
        state.commit(run(told(sighting())))
        ack = state.remembered()[0].ack
        assert ack is not None
        assert ack.why == "still known"
        assert (state.unacknowledge(sighting().id), state.unacknowledge(sighting().id)) == (True, False)
        assert state.remembered()[0].ack is None


@pytest.mark.parametrize("where", ["_report", "_verdicts", "_findings", "_carried", "partitions", "seal"])
def test_a_run_that_fails_in_the_middle_leaves_all_as_it_was(
    folder: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with State.open(folder) as state:
        state.commit(run(told(sighting()), outgoing=[mail()]))
        before = list(state.connection.iterdump())
        whole = getattr(recording, where)

        def failing(*args: object) -> None:
            whole(*args)
            raise KeyboardInterrupt

        monkeypatch.setattr(recording, where, failing)
        changed = run(
            told(sighting(), sighting("bob@example.com")),
            cursors=[],
            blobs={},
            losses=[loss()],
            partitions=[partition(folder)],
            outgoing=[mail("<2@mx>")],
        )
        with pytest.raises(KeyboardInterrupt):
            state.commit(changed)
        assert list(state.connection.iterdump()) == before
        monkeypatch.undo()
        assert state.commit(changed) == 2


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "partitions/../logscan.db", "partitions", "partitions//x", "other/x", "a\0b"]
)
def test_a_partition_lies_in_its_folder_or_nowhere(folder: Path, path: str) -> None:
    with State.open(folder) as state:
        with pytest.raises(ValueError, match="no path of a partition"):
            state.commit(run(partitions=[Partition(path, "mails", "2026-11-28", 1, 1)]))
        assert state.runs(9) == []


def test_what_a_killed_run_left_is_removed_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("another's")
    with State.open(folder) as state:
        kept = partition(folder)
        state.commit(run(partitions=[kept]))
        left = partition(folder, part="killed", day="2026-11-27")
        (folder / "partitions" / "2026-11-28" / ".mails.parquet.0123").write_bytes(b"half")
        (folder / "partitions" / "link").symlink_to(outside)
        (folder / "foreign").write_text("another's")
        (folder / "partitions" / "notes.txt").write_text("another's")
        assert state.clear_leftovers() == ["2 files that a killed run left behind removed"]
        assert state.clear_leftovers() == []
    assert not (folder / left.path).exists()
    assert not (folder / left.path).parent.exists()
    assert (folder / kept.path).exists()
    assert (folder / "foreign").exists()
    assert (folder / "partitions" / "notes.txt").exists()
    assert (outside / "kept").exists()


def test_what_is_too_old_is_forgotten_rows_first_then_files(folder: Path) -> None:
    with State.open(folder) as state:
        for number in range(10):
            day = f"2026-11-{number + 19}"
            state.commit(
                run(
                    told(sighting(f"user{number}@example.com"), day=day),
                    ended=MORNING - (9 - number) * DAY,
                    partitions=[partition(folder, day=day)],
                    losses=[loss()],
                    outgoing=[mail(f"<{number}@mx>")],
                )
            )
            if number:
                state.sent(number, MORNING - (9 - number) * DAY)
        done = state.retain(5, MORNING)
        assert "4 reports forgotten" in done
        assert "4 tables of past days removed" in done
        assert [each.day for each in state.partitions()] == [f"2026-11-{day}" for day in range(23, 29)]
        assert len(list(folder.glob("partitions/*/*.parquet"))) == 6
        assert len(state.strip(30)["mail-stuck"]) == 6
        # A finding that is there, and a mail that waits, don't become too old.
        assert [each.sighting.subject for each in state.remembered() if each.gone_run is None] == ["user9@example.com"]
        assert [each.mail.message_id for each in state.outbox()] == ["<9@mx>"]
        assert state.retain(5, MORNING) == []
        assert state.retain(1, MORNING + 100 * DAY)
        assert [each.number for each in state.runs(99)] == [10]
        assert state.notes == []


def test_a_partition_that_became_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mails-1.parquet").write_text("another's")
    with State.open(folder) as state:
        state.commit(run(partitions=[partition(folder)]))
        shutil.rmtree(folder / "partitions" / "2026-11-28")
        (folder / "partitions" / "2026-11-28").symlink_to(outside)
        done = state.retain(1, MORNING + 90 * DAY)
    assert any("can't be removed" in each for each in done)
    assert (outside / "mails-1.parquet").exists()


def test_a_second_run_waits_or_says_who_is_at_work(folder: Path) -> None:
    with State.open(folder):
        with pytest.raises(StateError, match=rf"another run \(pid {os.getpid()}\) has been at work since 20"):
            State.open(folder)
        with pytest.raises(StateError, match="another run"):
            State.open(folder, wait=0.05)
        with State.read(folder) as state:
            assert state.runs(9) == []
    with State.open(folder):
        pass


def test_two_processes_at_once_come_one_after_the_other(folder: Path) -> None:
    with State.open(folder):
        pass
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_runs, args=(folder, 5)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    with State.open(folder) as state:
        assert len(state.runs(99)) == 15
        assert state.notes == []


def _runs(folder: Path, times: int) -> None:
    for _ in range(times):
        with State.open(folder, wait=60) as state:
            state.commit(run(told(sighting())))


def test_the_lock_of_a_killed_run_is_free(folder: Path) -> None:
    with State.open(folder):
        pass
    code = (
        "import sys; from pathlib import Path; from logscan.store.state import State\n"
        "state = State.open(Path(sys.argv[1])); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(StateError, match=rf"pid {process.pid}\)"):
            State.open(folder)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with State.open(folder) as state:
            assert state.notes == []


def test_a_worker_that_outlives_a_killed_run_doesn_t_hold_the_lock(folder: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from logscan.store.state import State\n"
        "state = State.open(Path(sys.argv[1])); worker = os.fork()\n"
        "os.write(1, b'%d\\n' % worker)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        worker = max(int(process.stdout.readline()) for _ in range(2))  # both have come back from the fork
        with pytest.raises(StateError, match=rf"pid {process.pid}\)"):
            State.open(folder)
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.kill(worker, 0)
        with State.open(folder) as state:
            assert state.notes == []
        os.kill(worker, signal.SIGKILL)


def test_the_folder_and_what_is_in_it_are_the_owner_s_alone(folder: Path) -> None:
    before = os.umask(0)
    try:
        with State.open(folder) as state:
            state.commit(run(told(sighting())))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.iterdir()]}
    finally:
        os.umask(before)
    assert modes.pop("state") == 0o700
    assert set(modes.values()) == {0o600}


def test_a_folder_that_others_could_read_is_shut_and_one_that_others_could_write_refused(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    with State.open(folder) as state:
        assert any("it is 0700 now" in note for note in state.notes)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o770)
    for way in (State.open, State.read):
        with pytest.raises(StateError, match="others can write the state's folder"):
            way(folder)


def test_a_folder_with_other_files_is_left_as_it_is(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    (folder / "thesis.tex").write_text("")
    with pytest.raises(StateError, match="a folder of its own"):
        State.open(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


def test_a_folder_that_others_could_replace_is_refused(folder: Path) -> None:
    with State.open(folder):
        pass
    folder.parent.chmod(0o777)
    with pytest.raises(StateError, match="others can write: they could put another in its place"):
        State.open(folder)
    folder.parent.chmod(0o1777)
    with State.open(folder):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused_with_the_way_to_run_as_him(folder: Path) -> None:
    with State.open(folder):
        pass
    os.chown(folder, 65534, -1)
    for way in (State.open, State.read):
        with pytest.raises(StateError, match=r"belongs to .*: run logscan as that user"):
            way(folder)


@pytest.mark.parametrize("name", ["logscan.db", "logscan.db-wal", "lock", "logscan.db.new"])
def test_a_link_in_a_file_s_place_is_not_followed(folder: Path, tmp_path: Path, name: str) -> None:
    with State.open(folder):
        pass
    (tmp_path / "target").write_bytes(b"another's")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(tmp_path / "target")
    with pytest.raises(StateError):
        State.open(folder)
    assert (tmp_path / "target").read_bytes() == b"another's"


def test_where_there_is_no_state_that_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="there is no state in"):
        State.read(folder)
    assert not folder.exists()
    (tmp_path / "file").write_text("")
    for name in ("file", "file/state"):
        with pytest.raises(StateError):
            State.open(tmp_path / name)


def test_a_state_in_memory_serves_a_run_that_can_t_use_its_folder() -> None:
    with State.volatile("the disk is full") as state:
        assert state.folder is None
        assert state.clear_leftovers() == []
        assert state.commit(run(told(sighting()))) == 1
        assert state.retain(90, MORNING) == []
        assert state.report() == told().json
        assert state.notes == ["the disk is full; this run knows nothing of earlier ones, and remembers nothing"]


def test_a_run_that_can_t_write_goes_on_where_the_last_one_left_off(folder: Path, tmp_path: Path) -> None:
    with State.open(folder) as state:
        state.commit(run(told(sighting()), outgoing=[mail()]))
        shutil.copytree(folder, tmp_path / "killed")  # with a write-ahead log
    for place in (folder, tmp_path / "killed"):
        before = (place / "logscan.db").read_bytes()
        with State.volatile("the disk is full", place) as state:
            assert state.folder is None
            assert state.cursors() == [cursor()]
            assert state.outbox() == []
            assert state.commit(run(told(sighting()))) == 2
            assert state.notes == [
                "the disk is full; this run goes on where the last one left off, and remembers nothing"
            ]
        assert (place / "logscan.db").read_bytes() == before
    (folder / "logscan.db").write_bytes(b"broken")
    with State.volatile("the disk is full", folder) as state:
        assert state.cursors() == []
        assert state.commit(run(told(sighting()))) == 1


def test_a_reader_can_change_nothing(folder: Path) -> None:
    with State.open(folder) as state:
        state.commit(run(told(sighting())))
    with State.read(folder) as state:
        with pytest.raises(StateError, match="can't be written"):
            state.commit(run())
        with pytest.raises(StateError, match="can't be written"):
            state.acknowledge("x", "", "", "", 1)
        assert len(state.runs(9)) == 1


def test_a_reader_sees_what_was_there_while_a_run_writes(folder: Path) -> None:
    with State.open(folder) as state:
        state.commit(run(told(sighting())))
        with state.transaction() as connection, State.read(folder) as reader:
            connection.execute("DELETE FROM runs")
            assert len(reader.runs(9)) == 1


def _in_child(code: str, folder: Path) -> str:
    """Run code in a process of its own, whose files can't grow beyond what it says itself; return what it printed."""
    start = (
        "import resource, signal, sys\nfrom pathlib import Path\n"
        "from logscan.store.state import State, StateError\nfrom state_runs import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nfolder = Path(sys.argv[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", start + code, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), *sys.path))},
    )
    assert done.stderr == ""
    return done.stdout


def test_a_full_disk_is_said_and_leaves_all_as_it_was(folder: Path) -> None:
    with State.open(folder) as state:
        state.commit(run(told(sighting())))
    said = _in_child(
        "with State.open(folder) as state:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, -1))\n"
        "    import os\n"
        "    try:\n"
        "        state.commit(run(told(sighting('bob@example.com')), blobs={'open': os.urandom(1_000_000)}))\n"
        "    except StateError as error:\n"
        "        print(error)\n"
        "    print(len(state.runs(9)), len(state.remembered()))\n",
        folder,
    )
    assert "full" in said.splitlines()[0]
    assert said.splitlines()[1] == "1 1"
    with State.open(folder) as state:
        assert state.notes == []
        assert len(state.runs(9)) == 1


def test_a_disk_without_any_room_is_said(folder: Path) -> None:
    said = _in_child(
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, -1))\n"
        "try:\n    State.open(folder)\nexcept StateError as error:\n    print(error)\n",
        folder,
    )
    assert "the state can't be used" in said
    assert "full" in said
    with State.open(folder) as state:
        assert state.notes == []


def _mounted(folder: Path, options: str) -> bool:
    folder.mkdir(mode=0o700)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    return done.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="only root mounts")
def test_a_real_small_disk_that_is_full_or_read_only(folder: Path) -> None:
    if not _mounted(folder, "size=400k,mode=0700"):
        pytest.skip("mounting isn't allowed here")
    try:
        with State.open(folder) as state:
            state.commit(run(told(sighting())))
            with pytest.raises(StateError, match="full"):
                state.commit(run(blobs={"open": os.urandom(1_000_000)}))
            assert len(state.runs(9)) == 1
        (folder / "filler").write_bytes(b"")
        with pytest.raises(OSError, match="space"):
            (folder / "filler").write_bytes(bytes(1_000_000))
        with pytest.raises(StateError, match="full"):
            State.open(folder)
        for state in (State.read(folder), State.volatile("the disk is full", folder)):
            with state:
                assert state.cursors() == [cursor()]
        (folder / "filler").unlink()
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        with pytest.raises(StateError, match="Read-only file system"):
            State.open(folder)
        with State.read(folder) as state:
            assert len(state.runs(9)) == 1
    finally:
        subprocess.run(["umount", str(folder)], check=True)


FIRST = Path(__file__).parent / "data" / "state" / "version-1.sql"
"""A database as the first version that was released wrote it."""


def test_a_database_of_version_1_becomes_one_of_the_newest_with_all_it_knew(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with closing(sqlite3.connect(folder / "logscan.db")) as old:
        old.executescript(FIRST.read_text())
    with State.open(folder) as state:
        assert state.notes == []
        assert schema.version(state.connection) == schema.VERSION
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
            schema.migrate(fresh)
            assert database.shape(state.connection) == database.shape(fresh)
        assert state.cursors() == [cursor()]
        assert state.blob("carried") == b"{}"
        assert [each.sighting for each in state.remembered()] == [sighting()]
        assert state.report() == told().json
        assert state.outbox()[0].mail == mail()
        assert state.commit(run(told(sighting()))) == 2


def test_the_steps_of_a_migration_are_made_together_or_not_at_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with State.open(folder) as state:
        state.commit(run(told(sighting())))
    added = "ALTER TABLE runs ADD COLUMN host TEXT NOT NULL DEFAULT ''"
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, added, "INSERT INTO nothing VALUES (1)"))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 2)
    with closing(sqlite3.connect(folder / "logscan.db", isolation_level=None)) as connection:
        before = list(connection.iterdump())
        with pytest.raises(sqlite3.OperationalError):
            schema.migrate(connection)
        assert list(connection.iterdump()) == before
    monkeypatch.setattr(schema, "STEPS", schema.STEPS[:-1])
    monkeypatch.setattr(schema, "VERSION", schema.VERSION - 1)
    with pytest.raises(StateError, match="an earlier logscan's"):
        State.read(folder)
    with State.open(folder) as state:
        assert state.connection.execute("SELECT host FROM runs").fetchall() == [("",)]
        assert len(state.runs(9)) == 1


def test_a_file_system_without_a_write_ahead_log_is_written_with_a_journal(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with State.open(folder) as state:
        state.connection.execute("PRAGMA journal_mode = DELETE")
    monkeypatch.setattr(database, "WRITE_AHEAD", "DELETE")
    with State.open(folder) as state:
        state.commit(run(told(sighting())))
        assert state.connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert not (folder / "logscan.db-wal").exists()
    with State.read(folder) as state:
        assert len(state.runs(9)) == 1


def test_a_half_written_file_is_not_read_until_a_run_has_undone_it(folder: Path, tmp_path: Path) -> None:
    with State.open(folder) as state:
        state.commit(run(told(sighting())))
        connection = state.connection
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        for number in range(200):
            connection.execute("INSERT INTO runs (begun, ended, version) VALUES (1, 1, ?)", (str(number) * 500,))
        shutil.copytree(folder, tmp_path / "killed")
        connection.execute("ROLLBACK")
    assert (tmp_path / "killed" / "logscan.db-journal").stat().st_size
    with pytest.raises(StateError, match="a run was stopped while it wrote"):
        State.read(tmp_path / "killed")
    with State.volatile("the disk is full", tmp_path / "killed") as state:
        assert state.runs(9) == []
    with State.open(tmp_path / "killed") as state:
        assert state.notes == []
        assert len(state.runs(999)) == 1


def test_a_run_that_writes_where_there_is_no_write_ahead_log_is_not_taken_for_a_stopped_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY", 0.05)
    with State.open(folder) as state:
        state.commit(run(told(sighting())))
        state.connection.execute("PRAGMA journal_mode = DELETE")
        state.connection.execute("BEGIN EXCLUSIVE")
        state.connection.execute("DELETE FROM runs")
        with pytest.raises(StateError, match="another program holds it open"):
            State.read(folder)
        state.connection.execute("ROLLBACK")


def test_cases_add_up_over_a_day(folder: Path) -> None:
    with State.open(folder) as state:
        for _ in range(2):
            state.commit(run(told(judged=(Judged("mail-stuck", "clear", 3, 4), Judged("log-gap", "blind", 0, 0)))))
        found = state.connection.execute("SELECT name, checked, eligible FROM verdicts ORDER BY name").fetchall()
        assert found == [("log-gap", 0, 0), ("mail-stuck", 6, 8)]


def test_a_day_s_state_is_small(folder: Path) -> None:
    """What doesn't follow the mails: some kilobytes a run, the report packed."""
    page = resource.getpagesize()
    with State.open(folder) as state:
        for number in range(30):
            state.commit(
                run(told(*(sighting(f"{each}@example.com") for each in range(20)), day=f"2026-11-{number + 1:02}"))
            )
    assert (folder / "logscan.db").stat().st_size < 40 * page
