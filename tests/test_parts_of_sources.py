"""A part of a log is read as a file that holds just its lines, but for the numbers of lines, which are the log's."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from logscan.reading.line_texts import fetch
from logscan.reading.reads import SourceRead
from logscan.reading.stream import stream_sources
from logscan.reading.survey import survey
from logscan.reading.whole import read_sources
from logscan.samples import story
from logscan.sources.finding import discover
from logscan.sources.source import Source

FIRST, LAST = 700, 2000
"""The lines of the part, from 0."""

Tables = dict[str, pa.Table]
Reader = Callable[[list[Source]], tuple[Tables, list[SourceRead]]]


def whole(sources: list[Source]) -> tuple[Tables, list[SourceRead]]:
    read = read_sources(sources, jobs=1)
    return read.tables, read.sources


def windows(sources: list[Source]) -> tuple[Tables, list[SourceRead]]:
    """Read as a stream, after a look at a sample."""
    stream = stream_sources(sources, survey(sources, jobs=1, whole=0, sample=100_000), jobs=1, window=500)
    some = list(stream)
    names = sorted({name for each in some for name in each})
    tables = {
        name: pa.concat_tables([each[name] for each in some if name in each], promote_options="default")
        for name in names
    }
    return tables, stream.read.sources


def rows(tables: Tables, before: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Return tables as plain values, lines numbered from the first one of the part."""
    return {
        name: sorted(({**row, "line": row["line"] - before} for row in table.to_pylist()), key=repr)
        for name, table in tables.items()
        if len(table)
    }


def counts(read: SourceRead) -> Any:
    return read.lines, read.understood, read.noise, read.unknown, read.bounds, read.error, read.copies


def cut(source: Source, lines: list[bytes], first: int = FIRST, last: int = LAST) -> Source:
    """Return a part of a log with these lines."""
    start, stop = (sum(map(len, lines[:number])) for number in (first, last))
    size = None if source.compression else stop - start
    return replace(source, start=start, stop=stop, before=first, size=size)


@pytest.fixture
def lines() -> list[bytes]:
    return (story("mixed-day") / "mail.log.1").read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("reader", [whole, windows])
@pytest.mark.parametrize("packed", [False, True])
def test_a_part_is_read_as_a_file_with_its_lines(
    reader: Reader, packed: bool, lines: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logscan.reading.working.CHUNK", 40_000)
    text = b"".join(lines)
    (tmp_path / "mail.log").write_bytes(gzip.compress(text) if packed else text)
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "mail.log").write_bytes(b"".join(lines[FIRST:LAST]))
    os.utime(tmp_path / "alone" / "mail.log", ns=((tmp_path / "mail.log").stat().st_mtime_ns,) * 2)
    (source,) = discover([str(tmp_path / "mail.log")]).sources
    tables, (read,) = reader([cut(source, lines)])
    other_tables, (other,) = reader(discover([str(tmp_path / "alone" / "mail.log")]).sources)
    assert rows(tables, FIRST) == rows(other_tables)
    assert counts(read) == counts(other)
    assert read.lines == LAST - FIRST
    numbers = {FIRST + 1, FIRST + 500, LAST}
    found = fetch([read], {read.label: numbers})
    assert found == {(read.label, each): lines[each - 1].decode().rstrip("\n") for each in numbers}


@pytest.mark.parametrize("reader", [whole, windows])
def test_copies_are_told_between_parts(reader: Reader, lines: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_bytes(b"".join(lines))
    (tmp_path / "syslog").write_bytes(b"".join(lines[500:]))
    sources = {Path(each.path).name: each for each in discover([str(tmp_path)]).sources}
    parts = [cut(sources["mail.log"], lines), cut(sources["syslog"], lines[500:], FIRST - 500, LAST - 500 - 100)]
    tables, reads = reader(parts)
    alone, _ = reader(parts[:1])
    assert sorted(each.copies for each in reads) == [0, LAST - FIRST - 100]
    assert rows(tables, FIRST).keys() == rows(alone, FIRST).keys()
    assert {name: len(table) for name, table in tables.items()} == {name: len(table) for name, table in alone.items()}


@pytest.mark.parametrize(
    ("touched", "since"), [(True, "2020-12-31T22:00:00"), (False, "2020-12-31T22:00:00"), (False, None)]
)
def test_a_part_that_begins_before_new_year_is_told_its_years(touched: bool, since: str | None, tmp_path: Path) -> None:
    """By the line that it goes on behind, whatever the file's time says, else by that."""
    text = [
        *(f"Dec 31 {hour:02}:00:00 mx1 postfix/qmgr[7]: {hour:X}10A1B2C3D: removed\n".encode() for hour in range(24)),
        *(f"Jan  1 {hour:02}:00:00 mx1 postfix/qmgr[7]: {hour:X}20A1B2C3D: removed\n".encode() for hour in range(5)),
    ]
    path = tmp_path / "mail.log"
    path.write_bytes(b"".join(text))
    written = datetime(2021, 1, 1, 5, tzinfo=UTC) if not touched else datetime(2023, 3, 1, tzinfo=UTC)
    os.utime(path, (written.timestamp(),) * 2)
    (source,) = discover([str(path)]).sources
    part = cut(source, text, 23, 29)
    part.since = int(datetime.fromisoformat(f"{since}+00:00").timestamp()) * 10**9 if since else None
    read = read_sources([part], jobs=1, timezone="UTC")
    assert read.sources[0].bounds == (
        int(datetime(2020, 12, 31, 23, tzinfo=UTC).timestamp()) * 10**9,
        int(datetime(2021, 1, 1, 4, tzinfo=UTC).timestamp()) * 10**9,
    )
