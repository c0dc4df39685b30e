"""A log as a stream: the same report as of the whole, to the byte of its JSON, whatever it was cut into and whoever worked."""

from __future__ import annotations

import functools
import gc
import weakref
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import logscan
from logscan.commands.outputs import made
from logscan.correlate.windows import Windows
from logscan.pipeline import streaming
from logscan.pipeline.ways import Ways
from logscan.reading import survey as surveying
from logscan.reading import working
from logscan.samples import stories, story

NOW = datetime(2026, 12, 1, tzinfo=UTC)
NAMES = list(stories())


def json_of(scan: Any) -> Any:
    return logscan.render(logscan.analyse(scan, now=NOW), "json")


@functools.cache
def whole(name: str) -> Any:
    return json_of(logscan.read(story(name), jobs=1))


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_of_one_window_says_what_the_whole_says(name: str) -> None:
    assert json_of(logscan.stream(story(name), jobs=1)) == whole(name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("window", [700])
def test_a_stream_of_many_windows_says_what_the_whole_says(name: str, window: int) -> None:
    assert json_of(logscan.stream(story(name), jobs=1, window=window)) == whole(name)


def test_a_stream_of_hundreds_of_windows_says_what_the_whole_says() -> None:
    stream = logscan.stream(story("mixed-day"), jobs=1, window=40)
    assert json_of(stream) == whole("mixed-day")
    count = sum(1 for _ in logscan.stream(story("mixed-day"), jobs=1, window=40))
    assert count > 100


def test_a_log_that_was_read_whole_is_one_window_unless_others_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "WINDOW", 500)
    assert sum(1 for _ in logscan.stream(story("mixed-day"), jobs=1)) == 1
    assert sum(1 for _ in logscan.stream(story("mixed-day"), jobs=1, window=500)) > 5
    monkeypatch.setattr(surveying, "WHOLE", 1)
    assert sum(1 for _ in logscan.stream(story("mixed-day"), jobs=1)) > 5


@pytest.mark.parametrize("jobs", [1, 2, 3, 4])
def test_chunks_and_workers_change_nothing(jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "CHUNK", 20_000 * jobs)
    monkeypatch.setattr(surveying, "WHOLE", 1)
    assert json_of(logscan.stream(story("mixed-day"), jobs=jobs, window=500)) == whole("mixed-day")


def test_where_rotated_files_were_cut_changes_no_verdict(tmp_path: Path) -> None:
    lines = (story("mixed-day") / "mail.log").read_bytes().splitlines(keepends=True)
    for folder, cuts in (("one", [len(lines)]), ("many", [*range(100, len(lines), 97), len(lines)])):
        (tmp_path / folder).mkdir()
        begin = 0
        for number, end in enumerate(cuts):
            name = "mail.log" + (f".{len(cuts) - 1 - number}" if number < len(cuts) - 1 else "")
            (tmp_path / folder / name).write_bytes(b"".join(lines[begin:end]))
            begin = end
    one, many = (
        logscan.analyse(logscan.stream(tmp_path / folder, jobs=1, window=700, year=2026), now=NOW)
        for folder in ("one", "many")
    )

    def told(report: Any) -> Any:
        return [(r.name, r.verdict, r.checked, r.eligible, [f.cases for f in r.findings]) for r in report.checks]

    assert told(one) == told(many)
    assert one.mails == many.mails
    assert one.traffic == many.traffic
    assert one.flow == many.flow


def test_a_window_is_gone_when_the_next_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    # The first one is kept as a whole, as long as it may be the only one.
    monkeypatch.setattr(Ways, "add", lambda self, window: None)
    monkeypatch.setattr(Windows, "feed", feed := _Feed(Windows.feed))
    check = ["alias-owns-hash"]
    logscan.analyse(logscan.stream(story("mixed-day"), jobs=1, window=1500), checks=check, now=NOW)
    gone, feed.gone, feed.last = feed.gone, [], []
    assert len(gone) >= 10
    assert all(gone)
    with ExitStack() as held:
        made(logscan.stream(story("mixed-day"), jobs=1, window=1500), {"checks": check, "skip": ()}, held)
    assert feed.gone == gone


class _Feed:
    """Notes, before windows are fed, whether the tables and frames of the one before are there no longer."""

    def __init__(self, feed: Any) -> None:
        self.feed = feed
        self.gone: list[bool] = []
        self.last: list[weakref.ref[Any]] = []

    def __get__(self, windows: Any, _: Any) -> Any:
        def fed(tables: Any) -> Any:
            gc.collect()
            self.gone += [ref() is None for ref in self.last]
            piece = self.feed(windows, tables)
            self.last = [weakref.ref(each) for each in (piece, piece.correlated, piece.tables["deliveries"])]
            self.last += [weakref.ref(piece.correlated.entries), weakref.ref(piece.correlated.deliveries)]
            return piece

        return fed
