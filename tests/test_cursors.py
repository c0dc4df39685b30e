"""Where the daily run goes on: each line once, whatever becomes of the files meanwhile, and what is missing is said."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from logscan.reading.survey import survey
from logscan.reading.whole import read_sources
from logscan.sources.finding import discover
from logscan.sources.losses import Loss
from logscan.sources.opening import local
from logscan.sources.pinned import Pinned
from logscan.sources.source import Source
from logscan.store import recent
from logscan.store.contents import Content
from logscan.store.cursors import Continuation, continued
from logscan.store.model import Cursor

START = datetime(2026, 11, 20, tzinfo=UTC)


def line(number: int) -> str:
    """Return a log line that is like no other."""
    at = START + timedelta(seconds=number)
    return f"{at:%Y-%m-%dT%H:%M:%S}+00:00 mx1 postfix/qmgr[7]: {number:05X}0A1B2: removed"


def stamp(text: str) -> int:
    """Return the UTC time (ns) of a line."""
    return int(datetime.fromisoformat(text[:25]).timestamp()) * 10**9


def pieces(source: Source) -> list[bytes]:
    """Return what a source gives."""
    spans = source.spans(4_000)
    return [source.read_span(*each) for each in spans] if spans is not None else list(source.chunks())


class Logs:
    """A folder of logs that are written, rotated and read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.named: list[str] = []
        self.written: list[str] = []
        self.read: list[str] = []
        self.cursors: list[Cursor] = []
        self.last = Continuation()

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def write(self, count: int, name: str = "mail.log", end: str = "\n") -> None:
        """Append lines."""
        new = [line(len(self.written) + at) for at in range(count)]
        self.written += new
        with (self / name).open("a") as file:
            file.write("\n".join(new) + end)

    def run(self, meanwhile: Callable[[], object] = lambda: None) -> list[str]:
        """Read what is new; return its lines. Something may go on ``meanwhile``."""
        found = discover(self.named or [str(self.folder)])
        self.last = continued(found.sources, self.cursors)
        meanwhile()
        read = read_sources(self.last.sources, jobs=1)
        out = [
            each.rstrip("\n")
            for source in self.last.sources
            for each in b"".join(pieces(source)).decode().splitlines(keepends=True)
        ]
        assert sum(each.lines for each in read.sources) == len(out)
        self.cursors = self.last.after(read.sources)
        self.read += out
        return out

    @property
    def losses(self) -> list[Loss]:
        """What the last run missed."""
        return [each for each in self.last.losses if each.kind != "window"]

    def pack(self, name: str) -> None:
        """Compress a file, as logrotate does."""
        path = self / name
        (self / f"{name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path)


def test_only_what_is_new_is_read(logs: Logs) -> None:
    logs.write(3)
    assert len(logs.run()) == 3
    assert logs.run() == []
    logs.write(2)
    assert logs.run() == logs.written[3:]
    assert logs.last.sources[0].before == 3
    assert not logs.losses
    assert not logs.last.notes


@pytest.mark.parametrize("count", [3, 400])
@pytest.mark.parametrize("late", [0, 2])
@pytest.mark.parametrize("scheme", ["create", "copytruncate", "dateext", "compress", "delaycompress", "twice"])
def test_rotation_between_two_runs(logs: Logs, scheme: str, late: int, count: int) -> None:
    def rotate() -> None:
        for number in (3, 2, 1):
            for end in ("", ".gz"):
                old = logs / f"mail.log.{number}{end}"
                if old.exists():
                    old.rename(logs / f"mail.log.{number + 1}{end}")
        if scheme == "delaycompress" and (logs / "mail.log.2").exists():
            logs.pack("mail.log.2")
        if scheme == "copytruncate":
            shutil.copy2(logs / "mail.log", logs / "mail.log.1")
            os.truncate(logs / "mail.log", 0)
        elif scheme == "dateext":
            day = len(list(logs.folder.iterdir()))
            (logs / "mail.log").rename(logs / f"mail.log-202611{20 + day}")
        else:
            (logs / "mail.log").rename(logs / "mail.log.1")
        if scheme == "compress":
            logs.pack("mail.log.1")
        (logs / "mail.log").touch()

    for _ in range(4):
        logs.write(count)
        logs.run()
        if late:
            logs.write(late)
        rotate()
        if scheme == "twice":
            logs.write(1)
            rotate()
        logs.write(5)
        logs.run()
        assert logs.read == logs.written
        assert logs.losses == []
    assert len([each for each in logs.cursors if each.live]) == 1


def test_a_half_line_waits_for_its_newline(logs: Logs) -> None:
    logs.write(2)
    logs.write(1, end="")
    assert logs.run() == logs.written[:2]
    with (logs / "mail.log").open("a") as file:
        file.write("\n")
    logs.write(1)
    assert logs.run() == logs.written[2:]


def test_a_half_line_of_a_log_that_was_rotated_is_read_once(logs: Logs) -> None:
    logs.write(2)
    logs.write(1, end="")
    logs.run()
    (logs / "mail.log").rename(logs / "mail.log.1")
    assert logs.run() == []  # its writer may still be at it
    logs.write(1)
    assert logs.run() == logs.written[2:]
    assert logs.run() == []
    assert not logs.losses


def test_a_line_is_ended_in_a_log_that_was_rotated_meanwhile(logs: Logs) -> None:
    logs.write(2)
    logs.write(1, end="")
    (logs / "mail.log").rename(logs / "mail.log.1")
    logs.write(1)
    half = logs.written.pop(2)
    assert logs.run() == logs.written
    with (logs / "mail.log.1").open("a") as file:
        file.write(" at last\n")
    assert logs.run() == [f"{half} at last"]
    assert logs.run() == []
    assert logs.losses == []


def test_a_half_line_that_nobody_ends_is_read_once(logs: Logs) -> None:
    logs.write(2)
    logs.write(1, end="")
    (logs / "mail.log").rename(logs / "mail.log.1")
    logs.write(1)
    half = logs.written[2]
    assert half not in logs.run()
    assert logs.run() == [half]
    assert logs.run() == []


def test_a_text_that_goes_on_in_the_next_line_is_read_whole(logs: Logs) -> None:
    logs.write(2)
    begun = "2026-11-20T01:00:00+00:00 mx1 amavis[5]: (00005-01) Passed CLEAN {RelayedInbound}, <a@example.com> ..."
    with (logs / "mail.log").open("a") as file:
        file.write(f"{begun}\n")
    assert logs.run() == logs.written
    with (logs / "mail.log").open("a") as file:
        file.write("2026-11-20T01:00:00+00:00 mx1 amavis[5]: (00005-01) ...-> <b@example.com>, Hits: 1\n")
    assert len(logs.run()) == 2


@pytest.mark.parametrize("inode", ["same", "other"])
def test_a_log_that_was_cut_without_a_copy_is_a_loss(logs: Logs, inode: str) -> None:
    logs.write(50)
    logs.run()
    logs.write(10)
    lost = logs.written[50:]
    if inode == "same":
        os.truncate(logs / "mail.log", 0)
    else:
        (logs / "mail.log").rename(logs.folder.parent / "elsewhere")
    logs.write(70)
    assert logs.run() == logs.written[60:]
    (loss,) = logs.losses
    assert loss.kind == ("cut" if inode == "same" else "gone")
    assert loss.since is not None
    assert loss.until is not None
    assert loss.since < stamp(lost[0]) < loss.until == stamp(logs.written[60])
    logs.run()
    assert not logs.losses


def test_the_bytes_that_a_cut_took_are_known_where_the_writer_stayed_at_its_place(logs: Logs) -> None:
    with (logs / "mail.log").open("w") as file:
        for number in range(10):
            print(line(number), file=file)
        file.flush()
        logs.run()
        print(line(10), file=file)
        file.flush()
        shutil.copy2(logs / "mail.log", logs / "mail.log.1")
        print(line(11), file=file)
        file.flush()
        os.truncate(logs / "mail.log", 0)
        print(line(12), file=file)
    assert sorted(each.strip("\0") for each in logs.run()) == [line(10), line(12)]
    (loss,) = logs.losses
    assert (loss.kind, loss.size) == ("cut", len(line(11)) + 1)
    assert logs.run() == []


def test_what_nobody_can_know_of_a_cut_is_said(logs: Logs) -> None:
    logs.write(10)
    logs.run()
    logs.write(1)
    shutil.copy2(logs / "mail.log", logs / "mail.log.1")
    os.truncate(logs / "mail.log", 0)
    logs.write(1)
    assert logs.run() == logs.written[10:]
    assert not logs.losses
    (window,) = logs.last.losses
    assert (window.kind, window.size) == ("window", None)
    assert "copytruncate" in window.why


@pytest.mark.parametrize("count", [6, 400])
def test_a_backup_that_was_put_back_is_not_read_again(logs: Logs, count: int) -> None:
    logs.write(count)
    shutil.copy2(logs / "mail.log", logs.folder.parent / "backup")
    logs.write(5)
    logs.run()
    logs.write(2)
    shutil.copy2(logs.folder.parent / "backup", logs / "mail.log")
    before = len(logs.written)
    logs.write(1)
    assert logs.run() == logs.written[before:]
    assert [each.kind for each in logs.losses] == ["overwritten"]
    assert "older content" in logs.last.notes[0]
    logs.write(20)
    assert logs.run() == logs.written[before + 1 :]
    assert not logs.losses


def test_a_rotated_log_may_go_on_with_lines_like_those_that_were_read(logs: Logs) -> None:
    """Within one second, what names no mail is written again and again in the same words."""
    logs.write(20)
    same = logs.written[-3:-1]
    logs.run()
    logs.pack("mail.log")
    (logs / "mail.log").write_text("".join(f"{each}\n" for each in same))
    logs.write(4)
    assert logs.run() == [*same, *logs.written[-4:]]
    assert not logs.last.notes


def test_a_backup_beside_the_log_is_read_once(logs: Logs) -> None:
    logs.write(300)
    shutil.copy2(logs / "mail.log", logs / "mail.log.bak")
    logs.write(3)
    assert logs.run() == logs.written
    assert "it is read there" in logs.last.notes[0]
    logs.write(3)
    assert logs.run() == logs.written[303:]
    shutil.copy2(logs / "mail.log", logs / "mail.log.bak")
    logs.write(3)
    assert logs.run() == logs.written[306:]


@pytest.mark.parametrize("first", [True, False])
def test_a_log_beside_its_packed_copy_is_read_once(logs: Logs, first: bool) -> None:
    logs.write(300)
    if not first:
        logs.run()
    logs.write(3)
    (logs / "mail.log").rename(logs / "mail.log.1")
    packed = gzip.compress((logs / "mail.log.1").read_bytes())
    (logs / "mail.log.1.gz").write_bytes(packed[: len(packed) // 2])  # gzip is at it
    logs.write(3)
    logs.run()
    assert logs.read == logs.written
    (logs / "mail.log.1.gz").write_bytes(packed)
    assert logs.run() == []
    (logs / "mail.log.1").unlink()
    assert logs.run() == []
    assert not logs.losses


def test_logs_with_the_same_head_are_told_apart_by_what_follows(logs: Logs) -> None:
    logs.write(100, "mail.log.1")
    shutil.copy2(logs / "mail.log.1", logs / "mail.log.2")
    logs.write(20, "mail.log.1")
    assert len(logs.run()) == 120
    shutil.copy2(logs / "mail.log.2", logs / "mail.log")
    logs.written += [line(900 + at) for at in range(40)]
    with (logs / "mail.log").open("a") as file:
        file.write("".join(f"{each}\n" for each in logs.written[-40:]))
    assert logs.run() == logs.written[-40:]


def test_an_inode_that_is_used_again_says_nothing(logs: Logs) -> None:
    logs.write(300)
    logs.run()
    shutil.copy2(logs / "mail.log", logs / "mail.log.1")
    other = "".join(f"{line(1000 + at)}\n" for at in range(500))
    with (logs / "mail.log").open("r+") as file:
        file.write(other)
    assert logs.run() == other.splitlines()


def test_rotated_files_that_logrotate_removed_are_no_loss(logs: Logs) -> None:
    for _ in range(3):
        logs.write(50)
        logs.run()
        (logs / "mail.log").rename(logs / "mail.log.1")
        logs.write(1)
        logs.run()
        (logs / "mail.log.1").unlink()
        assert logs.run() == []
        assert not logs.losses
    assert logs.read == logs.written


def test_a_folder_of_old_logs_gets_no_lines_any_more(logs: Logs) -> None:
    (logs / "old").mkdir()
    for day in range(3):
        logs.write(50)
        logs.run()
        for old in (logs / "old").iterdir():
            old.unlink()
        (logs / "mail.log").rename(logs / "old" / f"mail.log-2026112{day}")
        logs.write(1)
        logs.run()
        assert not logs.losses
    assert logs.read == logs.written


def test_a_log_that_is_gone_with_unread_lines_is_a_loss_and_goes_on_when_it_is_back(logs: Logs) -> None:
    logs.write(100)
    logs.run()
    logs.write(5)
    (logs / "mail.log").rename(logs.folder.parent / "elsewhere")
    assert logs.run() == []
    assert [each.kind for each in logs.losses] == ["gone"]
    assert logs.run() == []
    assert not logs.losses
    (logs.folder.parent / "elsewhere").rename(logs / "mail.log")
    assert logs.run() == logs.written[100:]


def test_a_log_that_may_not_be_read_any_more_is_said_each_time(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    logs.write(100)
    logs.run()
    logs.write(5)
    real = os.open

    def denied(path: str, *args: int, **more: int) -> int:
        if str(path).endswith("mail.log"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", denied)
        for _ in range(2):
            assert logs.run() == []
            (loss,) = logs.losses
            assert (loss.kind, loss.size) == ("unreadable", 5 * (len(line(0)) + 1))
    assert logs.run() == logs.written[100:]


def test_the_oldest_lines_may_be_taken_away(logs: Logs) -> None:
    """As DSPAM's dspam_logrotate does: it writes the log anew, and leaves out lines of which it can't read the time."""
    logs.write(300)
    logs.run()
    logs.write(3)
    lines = (logs / "mail.log").read_text().splitlines(keepends=True)
    (logs / "mail.log.out").write_text("".join([*lines[50:120], *lines[122:]]))
    (logs / "mail.log.out").rename(logs / "mail.log")
    assert logs.run() == logs.written[300:]
    assert not logs.losses
    assert logs.last.sources[0].before == 248
    logs.write(3)
    assert logs.run() == logs.written[303:]


def test_standard_input_is_refused(logs: Logs) -> None:
    with pytest.raises(ValueError, match="standard input"):
        continued(discover(["-"], stdin=io.BytesIO(line(0).encode())).sources, [])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress])
def test_a_packed_log_is_gone_through_once(
    logs: Logs, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.write(500)
    logs.run()
    logs.write(3)
    (logs / "mail.log.1.x").write_bytes(pack((logs / "mail.log").read_bytes()))
    (logs / "mail.log").unlink()
    assert logs.run() == logs.written[500:]
    assert logs.last.sources[0].before == 500
    monkeypatch.setattr(Content, "_walk", lambda *_: pytest.fail("it was unpacked again"))
    (logs / "mail.log.1.x").rename(logs / "mail.log.2.x")
    assert logs.run() == []


def test_a_damaged_archive_is_a_loss_and_read_as_far_as_it_goes(logs: Logs) -> None:
    logs.write(3000)
    packed = gzip.compress((logs / "mail.log").read_bytes())
    (logs / "mail.log").unlink()
    (logs / "mail.log.1.gz").write_bytes(packed[: len(packed) // 2])
    part = logs.run()
    assert part[:-1] == logs.written[: len(part) - 1]
    assert [each.kind for each in logs.losses] == ["unreadable"]
    assert logs.run() == []
    (logs / "mail.log.1.gz").write_bytes(packed)
    assert logs.run() == logs.written[len(part) - 1 :]


EXPORTED = """\
__CURSOR=s=1;i={0:x}
__REALTIME_TIMESTAMP={1}
SYSLOG_IDENTIFIER=postfix/qmgr
MESSAGE={0:05X}0A1B2: removed

"""
PRETTY = """\
{{
\t"__REALTIME_TIMESTAMP" : "{1}",
\t"SYSLOG_IDENTIFIER" : "postfix/qmgr",
\t"MESSAGE" : "{0:05X}0A1B2: removed"
}}
"""
VERBOSE = """\
Thu 2026-11-19 00:{0:02}:00.000000 UTC [s=1;i={0:x}]
    SYSLOG_IDENTIFIER=postfix/qmgr
    MESSAGE={0:05X}0A1B2: removed
"""


@pytest.mark.parametrize("record", [EXPORTED, PRETTY, VERBOSE], ids=["export", "pretty", "verbose"])
@pytest.mark.parametrize("cut", [1, 20, 60, 90])
def test_records_of_several_lines_are_read_whole(logs: Logs, record: str, cut: int) -> None:
    records = [record.format(number, 1_790_000_000_000_000 + number) for number in range(5)]
    with (logs / "mail.log").open("a") as file:
        file.write("".join(records[:3]) + records[3][:cut])
    first = logs.run()
    with (logs / "mail.log").open("a") as file:
        file.write(records[3][cut:] + records[4])
    second = logs.run()
    (logs / "mail.log").rename(logs / "mail.log.1")
    logs.write(1)
    logs.run()
    assert logs.read[:-1] == "".join(records).splitlines()
    for part in (first, second):
        begins = record.splitlines()[0][:7].format(0, 0)
        assert part[0].startswith(begins)
    assert not logs.losses


@pytest.mark.parametrize("left", [0, 60, 5_000, 20_000])
def test_a_log_that_is_cut_while_it_is_read_goes_on_in_its_copy(
    logs: Logs, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logscan.reading.working.CHUNK", 4_000)
    logs.write(10)
    logs.run()
    logs.write(500)

    def rotate() -> None:
        shutil.copy2(logs / "mail.log", logs / "mail.log.1")
        os.truncate(logs / "mail.log", left)

    logs.run(rotate)
    (loss,) = logs.losses
    size = sum(len(each) + 1 for each in logs.written[len(logs.read) :])
    assert (loss.kind, loss.size) == ("unreadable", size if left > 1000 else loss.size)
    os.truncate(logs / "mail.log", 0)
    logs.write(3)
    logs.run()
    assert logs.read == logs.written
    assert not logs.losses


def test_what_is_written_while_it_is_read_is_the_next_runs(logs: Logs) -> None:
    logs.write(10)
    assert logs.run(lambda: logs.write(5)) == logs.written[:10]
    assert logs.run() == logs.written[10:]


def test_a_log_that_is_rotated_and_packed_while_it_is_read_is_read(logs: Logs) -> None:
    logs.write(10)

    def rotate() -> None:
        (logs / "mail.log").rename(logs / "mail.log.1")
        logs.pack("mail.log.1")

    logs.run(rotate)
    logs.write(3)
    logs.run()
    assert logs.read == logs.written
    assert not logs.losses


def test_a_log_that_is_not_named_this_time_is_no_loss(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    logs.write(100)
    logs.run()
    logs.write(3)
    (logs / "other.log").write_text(f"{line(5000)}\n")
    logs.named = [str(logs / "other.log")]
    assert logs.run() == [line(5000)]
    assert not logs.losses
    assert "isn't among the logs" in logs.last.notes[0]
    monkeypatch.chdir(logs.folder)
    logs.named = ["mail.log"]
    assert logs.run() == logs.written[100:]


def test_state_is_bounded(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logscan.store.recent.MOST_ALL", 100)
    monkeypatch.setattr("logscan.store.cursors.MOST_AWAY", 3)
    for name in ("mail.log", "other.log"):
        logs.write(300, name)
    logs.run()
    assert {len(each.recent) for each in logs.cursors} == {50 * 5}
    for _ in range(6):
        logs.write(1)
        logs.run()
        (logs / "mail.log").rename(logs / "mail.log.1")
        logs.write(1)
        logs.run()
        (logs / "mail.log.1").unlink()
        logs.run()
    assert len(logs.cursors) == 2 + 3
    assert logs.run() == []


@given(st.lists(st.integers(0, 6), max_size=12), st.lists(st.integers(0, 6), max_size=12), st.integers(0, 12))
def test_lines_that_were_read_are_told_by_their_order(known: list[int], new: list[int], gone: int) -> None:
    """What a log keeps of the lines that were read, with others behind it, begins anew behind the last of these."""
    kept = known[gone:]
    numbers = np.fromiter((zlib.crc32(b"%d" % each) for each in known), np.uint32)
    cursor = Cursor("mail.log", "", "", 0, 1, "", 0, len(known), recent=recent.packed(numbers))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mail.log"
        path.write_bytes(b"".join(b"%d\n" % each for each in [*kept, *(each + 7 for each in new)]))
        source = Source(str(path), "mail.log", "syslog-iso", local(path))
        found = recent.goes_on(Content(source), cursor, gone=False)
    if len(kept) >= recent.LEAST:
        assert found == (2 * len(kept), len(kept), True)
    else:
        assert found is None


def test_what_cannot_be_looked_at_now_is_not_taken_for_new(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    logs.write(300)
    logs.run()
    logs.write(3)

    def broken(self: Pinned, size: int, offset: int) -> bytes:
        raise OSError(5, "Input/output error")

    def read(self: Content) -> str:
        monkeypatch.setattr(Pinned, "pread", broken)
        return ""

    with monkeypatch.context() as patched:
        patched.setattr(Content, "stored", property(read))
        assert logs.run(monkeypatch.undo) == []
    assert [each.kind for each in logs.losses] == ["unreadable"]
    assert logs.run() == logs.written[300:]


def test_files_keep_their_order_when_the_clock_is_set_back(logs: Logs) -> None:
    """A clock that goes an hour back makes the new file begin before what is left of the old one."""

    def write(first: int, last: int) -> None:
        logs.written += [line(60 * at) for at in range(first, last)]
        with (logs / "mail.log").open("a") as file:
            file.write("".join(f"{each}\n" for each in logs.written[-(last - first) :]))

    write(0, 400)
    logs.run()
    write(400, 460)
    (logs / "mail.log").rename(logs / "mail.log.1")
    write(400, 500)
    assert logs.run() == logs.written[400:]
    surveyed = survey(logs.last.sources, jobs=1)
    assert [lane.members for lane in surveyed.lanes] == [[0, 1]]


def test_a_backup_that_was_put_back_beside_what_it_replaced_is_not_read_again(logs: Logs) -> None:
    logs.write(300)
    shutil.copy2(logs / "mail.log", logs.folder.parent / "backup")
    logs.write(5)
    logs.run()
    logs.write(2)
    (logs / "mail.log").rename(logs / "mail.log.broken")
    shutil.copy2(logs.folder.parent / "backup", logs / "mail.log")
    logs.write(3)
    assert sorted(logs.run()) == logs.written[305:]
    assert not logs.losses
