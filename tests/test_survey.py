"""The survey by sample tells what the whole log tells: years, zones, lanes, copies; and what contradicts it is said."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from logscan.clocks import solving
from logscan.clocks.zones import zone_name
from logscan.reading import parsing, probing, working
from logscan.reading.parsed import Parsed
from logscan.reading.stream import stream_sources
from logscan.reading.survey import Survey, survey
from logscan.reading.whole import read_sources
from logscan.sources.finding import discover, order
from logscan.sources.source import Source

BERLIN = ZoneInfo("Europe/Berlin")
DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
SAMPLE = 24_000


def base52(number: int, least: int) -> str:
    out = ""
    while number or len(out) < least:
        number, digit = divmod(number, 52)
        out = DIGITS[digit] + out
    return out


def long_id(at: datetime) -> str:
    return f"{base52(int(at.timestamp()), 6)}{base52(at.microsecond, 4)}z4b2D"


def times(start: datetime, days: float, count: int) -> Iterator[datetime]:
    for n in range(count):
        yield start + timedelta(days=days * n / count, microseconds=n % 977)


Id = Callable[[int, datetime], str]


def short(n: int, _: datetime) -> str:
    return f"{0xB0000000000 + n:X}"


def long(_: int, at: datetime) -> str:
    return long_id(at)


def mails(at: Iterator[datetime], name: Id = short, *, made: bool = False) -> list[tuple[datetime, str]]:
    """Return lines of small mails; ``made`` says that Postfix made their Message-IDs."""
    out = []
    for n, when in enumerate(at):
        queue_id = name(n, when)
        message_id = f"{when:%Y%m%d%H%M%S}.{queue_id}@mx1.example.com" if made else f"{n}@example.org"
        out += [
            (when, f"postfix/smtpd[20]: {queue_id}: client=mail.example.org[203.0.113.26]"),
            (when, f"postfix/cleanup[21]: {queue_id}: message-id=<{message_id}>"),
            (when, f"postfix/qmgr[7]: {queue_id}: removed"),
        ]
    return out


def bsd(lines: list[tuple[datetime, str]], zone: ZoneInfo = BERLIN) -> bytes:
    there = [(at.astimezone(zone), text) for at, text in lines]
    return "".join(f"{at:%b} {at.day:2} {at:%H:%M:%S} mx1 {text}\n" for at, text in there).encode()


def iso(lines: list[tuple[datetime, str]], zone: ZoneInfo = BERLIN) -> bytes:
    return "".join(f"{at.astimezone(zone).isoformat()} mx1 {text}\n" for at, text in lines).encode()


def write(path: Path, data: bytes, mtime: datetime) -> None:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    os.utime(path, (mtime.timestamp(), mtime.timestamp()))


SPRING, END = datetime(2025, 2, 3, 7, tzinfo=UTC), datetime(2026, 1, 20, 9, tzinfo=UTC)


def queue_ids(folder: Path) -> None:
    write(folder / "mail.log", bsd(mails(times(SPRING, 340, 2000), long)), END)


def queue_ids_packed(folder: Path) -> None:
    write(folder / "mail.log.gz", bsd(mails(times(SPRING, 340, 2000), long)), END)


def message_ids(folder: Path) -> None:
    write(folder / "mail.log", bsd(mails(times(SPRING, 340, 2000), made=True)), END)


def years_in_one_file(folder: Path) -> None:
    write(
        folder / "mail.log",
        bsd(mails(times(datetime(2020, 5, 1, tzinfo=UTC), 1900, 3000))),
        datetime(2025, 8, 1, tzinfo=UTC),
    )


def years_in_one_packed_file(folder: Path) -> None:
    write(
        folder / "mail.log.gz",
        bsd(mails(times(datetime(2020, 5, 1, tzinfo=UTC), 1900, 3000))),
        datetime(2025, 8, 1, tzinfo=UTC),
    )


def a_quiet_year_beside_busy_ones(folder: Path) -> None:
    """Nearly all lines are of one week; three years pass in the few others."""
    some = [*times(datetime(2021, 3, 1, tzinfo=UTC), 7, 3000), *times(datetime(2021, 3, 9, tzinfo=UTC), 1200, 120)]
    write(folder / "mail.log", bsd(mails(iter(some))), datetime(2024, 7, 1, tzinfo=UTC))


def stamps_of_a_neighbour(folder: Path) -> None:
    """The ISO log tells year and zone, summer time and all, of a traditional one."""
    write(folder / "mail.log", iso(mails(times(SPRING, 340, 2000))), END)
    write(folder / "auth.log", bsd(mails(times(SPRING, 340, 1500), lambda n, _: f"{0xC0000000000 + n:X}")), END)


def a_rotated_set(folder: Path) -> None:
    for number in range(5):
        start = SPRING + timedelta(days=68 * (4 - number))
        name = f"mail.log.{number}.gz" if number > 1 else "mail.log.1" if number else "mail.log"
        write(
            folder / name,
            bsd(mails(times(start, 68, 700), long if number == 3 else short)),
            datetime(2027, 5, 1, tzinfo=UTC),
        )


def dspam_s_epochs(folder: Path) -> None:
    """DSPAM's system.log has epochs; the mail log has lines of the same mails."""
    lines, system = [], []
    for n, at in enumerate(times(SPRING, 340, 1500)):
        text = "status=sent (250 2.6.0 <bob@example.com> Message accepted for delivery)"
        lines += [
            (at, f"postfix/cleanup[21]: B{n:04X}5445E6: message-id=<{n}@example.org>"),
            (at, f"postfix/lmtp[9]: B{n:04X}5445E6: to=<bob@example.com>, relay=127.0.0.1[127.0.0.1]:24, delay=0.1, "
             f"delays=0/0/0/0.1, dsn=2.6.0, {text}"),
        ]  # fmt: skip
        system.append(
            f"{int(at.timestamp())}\tI\tsam@example.org\t{n:x}\thello\t0.1\tbob@example.com\tDelivered\t<{n}@example.org>\n"
        )
    write(folder / "mail.log", bsd(lines), datetime(2031, 1, 1, tzinfo=UTC))
    write(folder / "system.log", "".join(system).encode(), datetime(2031, 1, 1, tzinfo=UTC))


LOGS = [
    queue_ids, queue_ids_packed, message_ids, years_in_one_file, years_in_one_packed_file, a_quiet_year_beside_busy_ones,
    stamps_of_a_neighbour, a_rotated_set, dspam_s_epochs,
]  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """This host is in New York, in 2031; probes are small."""
    monkeypatch.setenv("TZ", "America/New_York")
    monkeypatch.setattr(solving, "current_time", datetime(2031, 6, 1, tzinfo=UTC).timestamp)
    monkeypatch.setattr(probing, "PROBE", 1500)
    monkeypatch.setattr(probing, "BLOCK", 8000)


def sources(folder: Path) -> list[Source]:
    return order(discover([str(folder)]).sources)


def sampled(folder: Path, sample: int = SAMPLE) -> Survey:
    return survey(sources(folder), jobs=1, whole=0, sample=sample)


@pytest.mark.parametrize("build", LOGS)
def test_pieces_parsed_in_one_go_say_what_each_says_alone(
    build: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path)
    parsed: list[int] = []
    parse = parsing.parse

    def counted(data: bytes, *args: Any) -> Parsed:
        parsed.append(len(data))
        return parse(data, *args)

    monkeypatch.setattr(probing, "parse", counted)
    together = sampled(tmp_path)
    chunks, parsed[:] = parsed[:], []
    monkeypatch.setattr(probing, "TOGETHER", 0)
    alone = sampled(tmp_path)
    assert sum(chunks) == sum(parsed)
    assert len(chunks) <= len(parsed)
    if build in (queue_ids, message_ids):
        assert len(chunks) < len(parsed) / 3
    one, other = together.solution, alone.solution
    assert (one.base_year, one.year_from, one.zone_from) == (other.base_year, other.year_from, other.zone_from)
    assert zone_name(one.zone) == zone_name(other.zone)
    assert together.read.tables.keys() == alone.read.tables.keys()
    for name, table in together.read.tables.items():
        assert table.to_pylist() == alone.read.tables[name].to_pylist()
    for mine, theirs in zip(together.read.sources, alone.read.sources, strict=True):
        told = ("lines", "understood", "noise", "unknown", "undecodable", "clock", "offsets", "utc", "bounds")
        assert [getattr(mine, each) for each in told] == [getattr(theirs, each) for each in told]


@pytest.mark.parametrize("build", LOGS)
def test_a_sample_tells_years_and_zones_as_the_whole_does(build: Callable[[Path], None], tmp_path: Path) -> None:
    build(tmp_path)
    whole = read_sources(sources(tmp_path), jobs=1)
    some = sampled(tmp_path)
    assert sum(read.lines for read in some.read.sources) < sum(read.lines for read in whole.sources) / 2
    assert some.solution.base_year == whole.solution.base_year
    assert {n: zone_name(zone) for n, zone in some.solution.zones.items()} == {
        n: zone_name(zone) for n, zone in whole.solution.zones.items()
    }
    stream = stream_sources(some.sources, some, jobs=1, window=1000)
    windows = list(stream)
    assert stream.read.notes == []
    for name, table in whole.tables.items():
        got = sorted(
            (time, source, line)
            for window in windows
            if name in window
            for time, source, line in zip(
                *(window[name].column(c).to_pylist() for c in ("time", "source", "line")), strict=True
            )
        )
        want = sorted(zip(*(table.column(c).to_pylist() for c in ("time", "source", "line")), strict=True))
        assert got == want


# -- a survey that is wrong ------------------------------------------------------------------------------------------

TOKYO = ZoneInfo("Asia/Tokyo")


def hidden(folder: Path, lines: bytes, others: bytes) -> None:
    """Put ``others`` where no probe looks."""
    every = lines.splitlines(keepends=True)
    at = len(every) * 48 // 100
    write(folder / "mail.log", b"".join([*every[:at], others, *every[at:]]), END)


def zone_of_some(folder: Path) -> None:
    lines = mails(times(SPRING, 340, 2000), long)
    some = mails(times(SPRING + timedelta(days=163), 1, 120), long)
    hidden(folder, bsd(lines), bsd(some, TOKYO))


def year_of_some(folder: Path) -> None:
    old = mails(times(SPRING + timedelta(days=163 - 730), 1, 120), long)
    hidden(folder, bsd(mails(times(SPRING, 340, 2000))), bsd(old))


def years_that_lines_tell(folder: Path) -> None:
    some = iso(mails(times(SPRING + timedelta(days=163), 1, 120))).replace(b"+02:00", b"").replace(b"2025-", b"2023-")
    hidden(folder, bsd(mails(times(SPRING, 340, 2000))), some.replace(b"+01:00", b""))


def the_29_february(folder: Path) -> None:
    start = datetime(2025, 1, 3, tzinfo=UTC)
    hidden(
        folder, bsd(mails(times(start, 340, 2000))), b"Feb 29 10:00:00 mx1 postfix/qmgr[7]: B0B0B0B0B0B: removed\n" * 40
    )


def traditional_lines(folder: Path) -> None:
    hidden(folder, iso(mails(times(SPRING, 340, 2000))), bsd(mails(times(SPRING + timedelta(days=163), 1, 60))))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (zone_of_some, "contradict the year and the zone"),
        (year_of_some, "contradict the year and the zone"),
        (years_that_lines_tell, "its lines tell the year 2023"),
        (the_29_february, "it has a 29 February"),
        (traditional_lines, "no sample had a stamp without a year"),
    ],
)
def test_what_contradicts_a_sample_is_said(build: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    build(tmp_path)
    notes = []
    for chunk in (8 << 20, 7000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(working, "CHUNK", chunk)
            some = sampled(tmp_path)
            stream = stream_sources(some.sources, some, jobs=1, window=1000)
            assert sum(sum(map(len, window.values())) for window in stream) > 6000
            notes.append(stream.read.notes)
    assert [words in note and "mail.log" in note for note in notes[0]] == [True]
    assert notes[1] == notes[0], "whatever the chunks"


def test_years_that_pass_between_probes_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "WEEKS", probing.YEAR)
    a_quiet_year_beside_busy_ones(tmp_path)
    some = sampled(tmp_path)
    stream = stream_sources(some.sources, some, jobs=1)
    assert list(stream)
    assert ["all its lines together would begin in 2021" in note for note in stream.read.notes] == [True]


# -- repeated hours, and lanes ---------------------------------------------------------------------------------------


def window_times(folder: Path, chunk: int) -> list[tuple[int, str]]:
    """Return (UTC ns, queue ID) of all mails that left, in the order of the stream."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(working, "CHUNK", chunk)
        some = survey(sources(folder), jobs=1, whole=0, timezone="Europe/Berlin")
        windows = list(stream_sources(some.sources, some, jobs=1, window=500))
    return [
        pair
        for window in windows
        for pair in zip(window["removals"]["time"].to_pylist(), window["removals"]["queue_id"].to_pylist(), strict=True)
    ]


@pytest.mark.parametrize("chunk", [1500, 8 << 20])
@pytest.mark.parametrize("begin", ["2025-10-25 22:00", "2025-10-26 00:20", "2025-10-26 01:10", "2025-10-26 01:55"])
@pytest.mark.parametrize("parts", [1, 2, 5])
def test_the_hour_that_is_repeated_is_told_wherever_a_log_begins_or_is_cut(
    begin: str, parts: int, chunk: int, tmp_path: Path
) -> None:
    start = datetime.fromisoformat(f"{begin}+00:00")
    lines = mails(times(start, 1 / 6, 400))
    for part in range(parts):
        some = lines[len(lines) * part // parts : len(lines) * (part + 1) // parts]
        left = parts - 1 - part
        write(tmp_path / (f"mail.log.{left}" if left else "mail.log"), bsd(some), start + timedelta(hours=4))
    want = [(int(at.timestamp()) * 10**9, text.split(": ")[1]) for at, text in lines if text.endswith(": removed")]
    assert window_times(tmp_path, chunk) == want


def test_a_copy_of_a_rotated_part_lies_beside_it_and_is_read_once(tmp_path: Path) -> None:
    lines = mails(times(SPRING, 2, 900))
    write(tmp_path / "mail.log.2", bsd(lines[:1200]), END)
    write(tmp_path / "mail.log.2.gz", bsd(lines[:1200]), END)
    write(tmp_path / "mail.log.1", bsd(lines[1200:]), END)
    some = survey(sources(tmp_path), jobs=1, whole=0)
    assert sorted(len(lane.members) for lane in some.lanes) == [1, 2]
    stream = stream_sources(some.sources, some, jobs=1)
    assert sum(sum(map(len, window.values())) for window in stream) == 2700
    assert sum(read.copies for read in stream.sources) == 1200
