"""A log as a stream: the same report as of the whole, to the byte of its JSON, whatever it was cut into and whoever worked."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import logscan
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
