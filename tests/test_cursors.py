"""Where the daily run goes on: each line once, whatever becomes of the files meanwhile, and what is missing is said."""

from __future__ import annotations

import gzip
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from logscan.reading.whole import read_sources
from logscan.sources.finding import discover
from logscan.store.cursors import Continuation, continued
from logscan.store.model import Cursor, Loss

START = datetime(2026, 11, 20, tzinfo=UTC)


def line(number: int) -> str:
    """Return a log line that is like no other."""
    at = START + timedelta(seconds=number)
    return f"{at:%Y-%m-%dT%H:%M:%S}+00:00 mx1 postfix/qmgr[7]: {number:05X}0A1B2: removed"


class Logs:
    """A folder of logs that are written, rotated and read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
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

    def run(self) -> list[str]:
        """Read what is new; return its lines."""
        found = discover([str(self.folder)])
        self.last = continued(found.sources, self.cursors)
        read = read_sources(self.last.sources, jobs=1)
        out = [
            each.rstrip("\n")
            for source in self.last.sources
            for each in b"".join(source.chunks()).decode().splitlines(keepends=True)
        ]
        assert sum(each.lines for each in read.sources) == len(out)
        self.cursors = self.last.after(read.sources)
        self.read += out
        return out

    @property
    def losses(self) -> list[Loss]:
        """What the last run missed."""
        return self.last.losses

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
