"""A log read as a stream: window by window the rows that reading it whole gives, whatever chunks, cuts and workers."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from logscan.reading import working
from logscan.reading.reads import Read
from logscan.reading.stream import Stream, stream_sources
from logscan.reading.survey import survey
from logscan.reading.whole import read_sources
from logscan.samples import story
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
    assert surveyed.whole == (whole > 0)
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
