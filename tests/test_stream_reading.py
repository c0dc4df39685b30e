"""A log read as a stream: window by window the rows that reading it whole gives, whatever chunks, cuts and workers."""

from __future__ import annotations

import gzip
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from logscan.clocks.wall import NEVER
from logscan.reading import working
from logscan.reading.line_texts import GONE, fetch
from logscan.reading.reads import Read
from logscan.reading.stream import Stream, stream_sources
from logscan.reading.survey import survey
from logscan.reading.whole import read_sources
from logscan.samples import story
from logscan.sources import pinned
from logscan.sources.finding import discover, order
from logscan.sources.source import Source

Table = list[tuple[Any, ...]]


def sources(paths: Iterable[Path]) -> list[Source]:
    return order(discover([str(path) for path in paths]).sources)


def rows(tables: dict[str, pa.Table], *, place: bool = True) -> dict[str, Table]:
    """Return tables as plain values in their order; without source and line where files were cut."""
    left = () if place else ("source", "line")
    return {
        name: [tuple((key, value) for key, value in row.items() if key not in left) for row in table.to_pylist()]
        for name, table in tables.items()
        if len(table)
    }


def joined(windows: Sequence[dict[str, Table]]) -> dict[str, Table]:
    """Put windows together; rows in an order of their own, since a whole table has them source by source."""
    out: dict[str, Table] = {}
    for window in windows:
        for name, table in window.items():
            out.setdefault(name, []).extend(table)
    return {name: sorted(table, key=repr) for name, table in out.items()}


def streamed(
    paths: Iterable[Path], *, window: int, jobs: int = 1, whole: int = 0
) -> tuple[Stream, list[dict[str, pa.Table]]]:
    """Read in windows; by default after a survey by sample."""
    found = sources(paths)
    surveyed = survey(found, jobs=jobs, whole=whole)
    assert surveyed.whole == (whole > 0) or not sum(source.size or 0 for source in found)
    stream = stream_sources(found, surveyed, jobs=jobs, window=window)
    return stream, list(stream)


def counts(read: Read) -> Any:
    return (
        read.programs,
        read.templates,
        read.formats,
        [
            (each.label, each.lines, each.understood, each.noise, each.unknown, each.undecodable)
            for each in read.sources
        ],
        [(each.bounds, each.error) for each in read.sources],
    )


@pytest.fixture(params=["mixed-day", "rspamd-healthy", "dspam-crash", "amavis-healthy"])
def folder(request: pytest.FixtureRequest) -> Path:
    return Path(story(request.param))


@pytest.mark.parametrize(("chunk", "jobs"), [(8 << 20, 1), (20_000, 3)])
def test_windows_together_are_the_whole(folder: Path, chunk: int, jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_sources(sources([folder]), jobs=1)
    monkeypatch.setattr(working, "CHUNK", chunk)
    for limit in (0, 1 << 30):
        stream, windows = streamed([folder], window=700, jobs=jobs, whole=limit)
        assert joined([rows(each) for each in windows]) == joined([rows(whole.tables)])
        assert counts(stream.read) == counts(whole)
        sizes = [sum(map(len, each.values())) for each in windows]
        assert len(sizes) > 1
        assert all(700 <= size < 750 for size in sizes[:-1])


def test_what_a_window_holds_is_told_by_the_log_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks, workers and the kind of survey change no row, no order and no dictionary."""
    found: list[list[dict[str, pa.Table]]] = []
    for chunk, jobs, whole in ((8 << 20, 1, 0), (9000, 1, 0), (30_000, 2, 0), (50_000, 4, 0), (8 << 20, 1, 1 << 30)):
        monkeypatch.setattr(working, "CHUNK", chunk)
        found.append(streamed([folder], window=500, jobs=jobs, whole=whole)[1])
    for other in found[1:]:
        assert [sorted(window) for window in other] == [sorted(window) for window in found[0]]
        for window, same in zip(other, found[0], strict=True):
            for name, table in same.items():
                assert window[name].schema == table.schema
                assert window[name].equals(table)


@pytest.mark.parametrize("parts", [2, 5])
def test_where_a_log_is_rotated_changes_no_window(folder: Path, parts: int, tmp_path: Path) -> None:
    log = max((path for path in folder.rglob("*.log")), key=lambda path: path.stat().st_size)
    lines = log.read_bytes().splitlines(keepends=True)
    one, several = tmp_path / "one", tmp_path / "several"
    for each in (one, several):
        each.mkdir()
    (one / "mail.log").write_bytes(b"".join(lines))
    for number in range(parts):
        part = b"".join(lines[len(lines) * number // parts : len(lines) * (number + 1) // parts])
        left = parts - 1 - number
        name, data = (
            (f"mail.log.{left}.gz", gzip.compress(part))
            if left > 1
            else (f"mail.log.{left}" if left else "mail.log", part)
        )
        (several / name).write_bytes(data)
    windows = [streamed([each], window=60)[1] for each in (one, several)]
    plain = [[rows(window, place=False) for window in each] for each in windows]
    assert len(plain[0]) > 2
    assert plain[1] == plain[0]


def copied(log: Path, folder: Path) -> list[Path]:
    """Write a log as mail.log, in a traditional copy that has other lines too, and some of its lines as mail.warn."""
    lines = gzip.decompress(log.read_bytes()).decode().splitlines(keepends=True)
    folder.mkdir()
    other = [line.replace(": ", ": other ", 1) for line in lines[::7]]
    paths = [folder / "mail.log", folder / "syslog", folder / "mail.warn"]
    paths[0].write_text("".join(lines))
    both = [text for at, line in enumerate(lines) for text in ([other[at // 7], line] if at % 7 == 0 else [line])]
    paths[1].write_text("".join(both))
    paths[2].write_text("".join(line for line in lines if "warning" in line or "reject" in line or "status=" in line))
    return paths


@pytest.mark.parametrize("chunk", [8 << 20, 9000])
def test_lines_that_stand_in_several_logs_are_read_once(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = copied(Path(story("dspam-crash")) / "mail.log.gz", tmp_path / "logs")
    whole = read_sources(sources(paths), jobs=1)
    assert sum(read.copies for read in whole.sources) > 100
    monkeypatch.setattr(working, "CHUNK", chunk)
    found = []
    for window in (40, 10**6):
        stream, windows = streamed(paths, window=window)
        assert joined([rows(each) for each in windows]) == joined([rows(whole.tables)])
        assert [read.copies for read in stream.sources] == [read.copies for read in whole.sources]
        found.append(len(windows))
    assert found[0] > 3
    assert found[1] == 1


# -- the order of lines ----------------------------------------------------------------------------------------------


def bsd_mails(first: int, count: int, start: datetime, every: timedelta, host: str = "mx1") -> list[str]:
    """Return lines of mails, three each."""
    out = []
    for n in range(count):
        at, queue_id = start + n * every, f"{0xA00000 + first + n:X}"
        head = f"{at.isoformat()} {host} postfix"
        out += [
            f"{head}/smtpd[20]: {queue_id}: client=mail.example.org[203.0.113.26]\n",
            f"{head}/cleanup[21]: {queue_id}: message-id=<{first + n}@example.org>\n",
            f"{head}/qmgr[7]: {queue_id}: removed\n",
        ]
    return out


START = datetime(2026, 11, 22, 19, tzinfo=UTC)


def times_of(window: dict[str, pa.Table]) -> list[int]:
    return sorted(time for table in window.values() for time in table.column("time").to_pylist())


def test_lanes_are_read_in_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "CHUNK", 20_000)
    every = timedelta(seconds=10)
    for number in range(3):
        lines = bsd_mails(
            number * 10_000, 300 if number else 3000, START, every if not number else 10 * every, f"mx{number}"
        )
        (tmp_path / f"mx{number}.log").write_text("".join(lines))
    _, windows = streamed([tmp_path], window=900)
    spans = [(times_of(window)[0], times_of(window)[-1]) for window in windows]
    assert len(spans) == 12
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))


@pytest.mark.parametrize("year", ["2099", "1971"])
@pytest.mark.parametrize("run", [1, 12])
def test_an_absurd_stamp_moves_no_other_line(year: str, run: int, tmp_path: Path) -> None:
    lines = bsd_mails(0, 1000, START, timedelta(seconds=10))
    odd = f"{year}-01-01T00:00:00+00:00 mx1 postfix/qmgr[7]: B0B0B0B0: removed\n"
    for at in (0, 500, 1700, 2990):
        lines[at:at] = [odd] * run
    (tmp_path / "mail.log").write_text("".join(lines))
    (tmp_path / "other.log").write_text("".join(bsd_mails(5000, 1000, START, timedelta(seconds=10), "mx2")))
    _, windows = streamed([tmp_path], window=600)
    plain = [
        [time for time in times_of(window) if int(START.timestamp()) <= time // 10**9 < 2_000_000_000]
        for window in windows
    ]
    assert len(plain) > 9
    assert all(one[-1] <= other[0] for one, other in itertools.pairwise(plain) if one and other)


def test_rows_without_a_time_stand_where_they_were_written(tmp_path: Path) -> None:
    lines = [line.split(": ", 1)[1] for line in bsd_mails(0, 3000, START, timedelta(seconds=10))]
    (tmp_path / "journal.log").write_text("".join(lines))  # as journalctl -o cat writes them
    _, windows = streamed([tmp_path / "journal.log"], window=1000)
    numbers = [
        sorted(line for table in window.values() for line in table.column("line").to_pylist()) for window in windows
    ]
    assert len(numbers) > 5
    assert all(one[-1] < other[0] for one, other in itertools.pairwise(numbers))
    assert times_of(windows[0])[-1] == NEVER


def test_more_lanes_than_a_machine_has_files_open_are_read_in_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinned, "MOST_OPEN", 10)
    for number in range(40):
        lines = bsd_mails(number * 100, 30, START, timedelta(minutes=1), f"mx{number}")
        (tmp_path / f"mx{number}.log").write_text("".join(lines))
    stream, windows = streamed([tmp_path], window=500)
    assert sum(sum(map(len, window.values())) for window in windows) == 40 * 90
    assert [read.error for read in stream.sources] == [""] * 40
    spans = [(times_of(window)[0], times_of(window)[-1]) for window in windows]
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))


# -- what goes wrong -------------------------------------------------------------------------------------------------


def long_log(path: Path, user: str = "bob") -> None:
    lines = bsd_mails(0, 2000, START, timedelta(seconds=1))
    path.write_text("".join(line.replace("example.org", f"{user}.example.org") for line in lines))


Change = Callable[[Path], None]


def replaced(path: Path) -> None:
    long_log(path.parent / "new", "mallory")
    (path.parent / "new").rename(path)


def rotated(path: Path) -> None:
    path.rename(f"{path}.1")
    long_log(path, "mallory")


def cut(path: Path) -> None:
    os.truncate(path, 100_000)


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"x" * 5000)


def during(path: Path, change: Change, jobs: int) -> tuple[Stream, list[dict[str, pa.Table]]]:
    """Read a log that changes after its first window."""
    found = sources([path])
    stream = stream_sources(found, survey(found, jobs=jobs, whole=0), jobs=jobs, window=500)
    windows: list[dict[str, pa.Table]] = []
    for window in stream:
        if not windows:
            change(path)
        windows.append(window)
    return stream, windows


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(working, "CHUNK", 30_000)
    long_log(tmp_path / "mail.log")
    return tmp_path / "mail.log"


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("change", [rotated, replaced, Path.unlink])
def test_a_log_that_is_replaced_is_read_on_to_its_end(log: Path, change: Change, jobs: int) -> None:
    stream, windows = during(log, change, jobs)
    assert [(read.error, read.lines) for read in stream.sources] == [("", 6000)]
    ids = [value for window in windows for value in window["message_ids"].column("message_id").to_pylist()]
    assert len(ids) == 2000
    assert all("bob" in value for value in ids)
    texts = fetch(stream.sources, {"mail.log": {2, 3002, 6000}})
    assert "mallory" not in "".join(texts.values())
    assert "@bob.example.org" in texts["mail.log", 3002]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_log_that_is_cut_is_an_error_that_says_how_much_was_read(log: Path, jobs: int) -> None:
    size = log.stat().st_size
    stream, windows = during(log, cut, jobs)
    (read,) = stream.sources
    assert f"of {size:,} bytes were read" in read.error
    assert 0 < read.lines < 6000
    assert sum(sum(map(len, window.values())) for window in windows) > 500
    assert fetch(stream.sources, {"mail.log": {5999}})["mail.log", 5999] == GONE


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_log_that_is_overwritten_is_an_error_and_proves_nothing(log: Path, jobs: int) -> None:
    stream, _ = during(log, overwritten, jobs)
    assert "it was overwritten while it was read" in stream.sources[0].error
    assert fetch(stream.sources, {"mail.log": {2}})["mail.log", 2] == GONE


def test_a_packed_log_that_is_damaged_is_an_error_and_the_rest_is_read(tmp_path: Path) -> None:
    long_log(tmp_path / "mail.log")
    data = gzip.compress((tmp_path / "mail.log").read_bytes())
    (tmp_path / "old.log.gz").write_bytes(data[: len(data) // 2])
    stream, windows = streamed([tmp_path], window=1000)
    errors = {read.label: read.error for read in stream.sources}
    assert "is cut off" in errors["old.log.gz"]
    assert errors["mail.log"] == ""
    assert sum(sum(map(len, window.values())) for window in windows) == 6000, (
        "what was read of it stands in mail.log too"
    )
    assert 1000 < sum(read.copies for read in stream.sources) < 6000


def test_what_can_be_read_once_is_kept_and_shown_again(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.log")
    writer = threading.Thread(target=lambda: long_log(tmp_path / "pipe.log"))
    writer.start()
    found = sources([tmp_path / "pipe.log"])
    stream = stream_sources(found, survey(found, jobs=1, whole=0), jobs=1, window=1000)
    assert sum(sum(map(len, window.values())) for window in stream) == 6000
    writer.join()
    assert "@bob.example.org" in fetch(stream.sources, {"pipe.log": {5}})["pipe.log", 5]


def test_a_log_without_lines_has_no_window(tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_bytes(b"")
    for whole in (0, 1 << 20):
        stream, windows = streamed([tmp_path / "mail.log"], window=10, whole=whole)
        assert (windows, [read.lines for read in stream.sources]) == ([], [0])
