"""Where the daily run goes on in the journal: its cursor is tested before it is believed, and a gap is said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from logscan.reading.whole import read_sources
from logscan.sources.finding import discover
from logscan.store.cursors import Continuation, continued
from logscan.store.model import Cursor

BEGIN = 1_795_132_800_000_000
"""Microseconds of the first record."""

REMOTE = next(
    (
        each
        for each in map(Path, ("/usr/lib/systemd/systemd-journal-remote", "/lib/systemd/systemd-journal-remote"))
        if each.exists()
    ),
    None,
)

FAKE = """#!{python}
import json, pathlib, sys
records, after, first, most, exact = [], None, None, None, None
args = iter(sys.argv[1:])
for arg in args:
    name, _, value = arg.partition("=")
    if name == "--directory": folder = value
    elif name == "--cursor": exact = value
    elif name == "--after-cursor": after = value
    elif name == "--since": first = float(value[1:])
    elif name == "-n": most = int(next(args))
for file in sorted(pathlib.Path(folder).glob("*.json")):
    records += map(json.loads, file.read_text().splitlines())
at = lambda record: int(record["__REALTIME_TIMESTAMP"]) / 1e6
for wanted, skip in ((exact, 0), (after, 1)):
    if wanted is not None:
        places = [n for n, record in enumerate(records) if record["__CURSOR"] == wanted]
        records = records[(places[0] if places else 0) + skip:]
if first is not None:
    records = [record for record in records if at(record) >= first - 1e-7]
for record in records[:most]:
    print(json.dumps(record))
"""
"""As journalctl does it: behind a cursor that isn't there any more it goes on somewhere else, and skips a record."""


class Journal:
    """A journal in a folder, with a file for each part that is written."""

    def __init__(self, folder: Path, *, real: bool) -> None:
        self.folder, self.real = folder, real
        self.parts = self.count = 0
        self.source = "1"
        self.cursors: list[Cursor] = []
        self.last = Continuation()

    def write(self, count: int) -> None:
        """Add records, in a file of their own."""
        self.parts += 1
        records = [
            {
                "__REALTIME_TIMESTAMP": str(BEGIN + number * 1_000_000),
                "__MONOTONIC_TIMESTAMP": str(1_000_000 + number),
                "_BOOT_ID": f"{1:032x}",
                "_HOSTNAME": "mx1",
                "SYSLOG_IDENTIFIER": "postfix/qmgr",
                "SYSLOG_PID": "7",
                "MESSAGE": f"{number:05X}0A1B2: removed",
            }
            for number in range(self.count, self.count + count)
        ]
        self.count += count
        if self.real:
            text = "".join("".join(f"{name}={value}\n" for name, value in each.items()) + "\n" for each in records)
            name = f"remote@{self.parts:032x}-{1:016x}-{BEGIN + self.parts:016x}.journal"
            command = [str(REMOTE), "-o", str(self.folder / name), "-"]
            subprocess.run(command, input=text.encode(), check=True, stderr=subprocess.DEVNULL)
        else:
            kept = [
                {**each, "__CURSOR": f"s={self.source};i={int(each['__MONOTONIC_TIMESTAMP']):x}"} for each in records
            ]
            (self.folder / f"{self.parts}.json").write_text("".join(f"{json.dumps(each)}\n" for each in kept))

    def vacuum(self) -> None:
        """Let go of the oldest file."""
        if self.real:
            size = sum(each.stat().st_blocks * 512 for each in self.folder.iterdir())
            subprocess.run(
                ["journalctl", "-D", str(self.folder), f"--vacuum-size={size - 1}"],
                check=True,
                stderr=subprocess.DEVNULL,
            )
        else:
            min(self.folder.glob("*.json")).unlink()

    def run(self) -> list[int]:
        """Read what is new; return the numbers of the records."""
        self.last = continued(discover([f"journal:{self.folder}"]).sources, self.cursors)
        read = read_sources(self.last.sources, jobs=1)
        assert not [each.error for each in read.sources if each.error]
        lines = b"".join(chunk for source in self.last.sources for chunk in source.chunks()).splitlines()
        self.cursors = self.last.after(read.sources)
        return [int(json.loads(each)["MESSAGE"][:5], 16) for each in lines]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "journalctl").write_text(FAKE.replace("{python}", sys.executable))
    (tmp_path / "bin" / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "fake").mkdir()
    return Journal(tmp_path / "fake", real=False)


@pytest.fixture(params=["real", "fake"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    if request.param == "fake":
        made = request.getfixturevalue("fake")
        assert isinstance(made, Journal)
        return made
    if REMOTE is None or shutil.which("journalctl") is None:
        pytest.skip("there is no systemd-journal-remote to write a journal with")
    (tmp_path / "journal").mkdir()
    return Journal(tmp_path / "journal", real=True)


def test_each_record_is_read_once(journal: Journal) -> None:
    journal.write(5)
    assert journal.run() == [0, 1, 2, 3, 4]
    assert journal.run() == []
    journal.write(2)
    assert journal.run() == [5, 6]
    assert journal.last.sources[0].before == 5
    assert journal.run() == []
    assert not journal.last.losses


def test_a_journal_that_let_go_of_records_goes_on_by_time_and_says_so(journal: Journal) -> None:
    journal.write(3)
    journal.run()
    journal.write(3)
    journal.write(3)
    journal.vacuum()
    journal.vacuum()
    assert journal.run() == [6, 7, 8]
    (loss,) = journal.last.losses
    assert (loss.kind, loss.since, loss.until) == ("vacuumed", (BEGIN + 2_000_000) * 1000, (BEGIN + 6_000_000) * 1000)
    assert journal.run() == []
    assert not journal.last.losses


def test_a_journal_that_let_go_of_what_was_read_is_read_on_without_a_record_twice(journal: Journal) -> None:
    journal.write(3)
    journal.run()
    journal.source = "2"
    journal.write(3)
    journal.vacuum()
    assert journal.run() == [3, 4, 5]
    assert [each.kind for each in journal.last.losses] == ["vacuumed"]


def test_a_journal_that_is_not_there_keeps_its_cursor(journal: Journal) -> None:
    journal.write(3)
    journal.run()
    journal.folder.rename(journal.folder.parent / "elsewhere")
    assert journal.run() == []
    (journal.folder.parent / "elsewhere").rename(journal.folder)
    journal.write(1)
    assert journal.run() == [3]
    assert not journal.last.losses


def test_numbers_in_cursors_tell_that_nothing_is_missing(fake: Journal) -> None:
    fake.write(3)
    fake.run()
    fake.write(3)
    fake.vacuum()
    assert fake.run() == [3, 4, 5]
    assert not fake.last.losses
    fake.write(2)
    fake.write(1)
    for _ in range(2):
        fake.vacuum()
    assert fake.run() == [8]
    assert "2 records" in fake.last.losses[0].why
