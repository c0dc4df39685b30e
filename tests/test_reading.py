"""The reading stage from end to end: the same events give the same tables, whatever wrote, cut, copied or rotated them."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import random
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

import logscan
from logscan.clocks import solving as clock
from logscan.reading import working as reading
from logscan.scan.scan import Scan
from logscan.tables.schema import COMMON, EVENTS


class Event(NamedTuple):
    """One line: when (UTC), where, and what stands behind the envelope."""

    at: datetime
    host: str
    tag: str
    pid: int
    text: str


START = datetime(2026, 11, 22, 19, 3, 45, 123456, UTC)

STORY = """\
postfix/postscreen 12 CONNECT from [203.0.113.9]:4711 to [198.51.100.10]:25
postfix/smtpd 20 connect from mail.example.org[203.0.113.26]
postfix/smtpd 20 Anonymous TLS connection established from mail.example.org[203.0.113.26]: TLSv1.3 with \
cipher TLS_AES_256_GCM_SHA384 (256/256 bits)
postfix/smtpd 20 4A97F54A7D9: client=mail.example.org[203.0.113.26]
postfix/cleanup 21 4A97F54A7D9: message-id=<1@example.org>
postfix/qmgr 7 4A97F54A7D9: from=<sam@example.org>, size=1416, nrcpt=2 (queue active)
postfix/lmtp 22 4A97F54A7D9: to=<bob@example.com>, orig_to=<info@example.com>, \
relay=mx1[private/dovecot-lmtp], delay=0.5, delays=0.1/0/0.1/0.3, dsn=2.0.0, status=sent (250 2.0.0 \
<bob@example.com> aB3/cdEFgHIjKLmnOPqrSQ Saved)
dovecot 0 lmtp(bob@example.com)<33><aB3/cdEFgHIjKLmnOPqrSQ>: msgid=<1@example.org>: saved mail to INBOX
postfix/smtp 23 4A97F54A7D9: to=<jörg@example.net>, relay=mx.example.net[203.0.113.200]:25, delay=3, \
delays=0.1/0/2/0.9, dsn=4.2.0, status=deferred (host mx.example.net[203.0.113.200] said: 450 4.2.0 Greylisted \
(in reply to RCPT TO command))
postfix/smtpd 20 disconnect from mail.example.org[203.0.113.26] ehlo=2 starttls=1 mail=1 rcpt=2 data=1 quit=1 \
commands=8
postfix/submission/smtpd 31 connect from unknown[203.0.113.92]
postfix/submission/smtpd 31 warning: unknown[203.0.113.92]: SASL PLAIN authentication failed: UGFzc3dvcmQ6
postfix/submission/smtpd 31 NOQUEUE: reject: RCPT from unknown[203.0.113.92]: 554 5.7.1 <x@example.net>: \
Relay access denied; from=<a@example.org> to=<x@example.net> proto=ESMTP helo=<h>
postfix/submission/smtpd 31 lost connection after RCPT from unknown[203.0.113.92]
postfix/submission/smtpd 31 disconnect from unknown[203.0.113.92] ehlo=1 auth=0/1 commands=1/2
postfix/submission/smtpd 32 5B97F54A7DA: client=home.example.com[203.0.113.77], sasl_method=PLAIN, \
sasl_username=alice@example.com
postfix/pickup 40 6C97F54A7DB: uid=1000 from=<cron@example.com>
postfix/cleanup 21 6C97F54A7DB: message-id=<20261122190345.6C97F54A7DB@mx1.example.com>
postfix-out/qmgr 8 7D97F54A7DC: removed
dovecot 0 imap-login: Login: user=<bob@example.com>, method=PLAIN, rip=203.0.113.77, lip=198.51.100.10, \
mpid=44, TLS, session=<xYz+abc>
opendkim 50 4A97F54A7D9: DKIM-Signature field added (s=mail, d=example.com)
dspam 60 Unable to open file for reading: /var/spool/dspam/data/bob/bob.sig/6927f3a11234511874207.sig: No \
such file or directory
postfix/smtpd 20 some line that nobody knows
postfix/bounce 70 4A97F54A7D9: sender delay notification: 8E97F54A7DD
postfix/qmgr 7 4A97F54A7D9: removed
"""


def events(start: datetime = START, times: int = 1) -> list[Event]:
    """Return the story, ``times`` over, a line every 700 milliseconds."""
    out: list[Event] = []
    for n in range(times):
        for line in STORY.strip().splitlines():
            tag, pid, text = line.split(" ", 2)
            at = start + timedelta(milliseconds=700 * len(out))
            out.append(Event(at, "mx1", tag, int(pid), text.replace("97F54A7D", f"97F54{n % 4096:03X}")))
    return out


# -- envelopes -------------------------------------------------------------------------------------------------------


def tag(one: Event) -> str:
    return f"{one.tag}[{one.pid}]" if one.pid else one.tag


def bsd(one: Event, zone: Any = UTC) -> str:
    at = one.at.astimezone(zone)
    return f"{at:%b} {at.day:2} {at:%H:%M:%S} {one.host} {tag(one)}: {one.text}"


def iso(one: Event) -> str:
    return f"{one.at.isoformat(timespec='microseconds')} {one.host} {tag(one)}: {one.text}"


def iso_offset(one: Event) -> str:
    at = one.at.astimezone(ZoneInfo("Asia/Kolkata"))
    return f"{at.isoformat(timespec='microseconds')} {one.host} {tag(one)}: {one.text}"


def journal(one: Event) -> str:
    micro = int(one.at.timestamp()) * 10**6 + one.at.microsecond
    fields: dict[str, Any] = {"__REALTIME_TIMESTAMP": str(micro), "_HOSTNAME": one.host, "SYSLOG_IDENTIFIER": one.tag}
    fields |= {"SYSLOG_PID": str(one.pid)} if one.pid else {}
    message = one.text if one.text.isascii() else list(one.text.encode())
    return json.dumps(fields | {"MESSAGE": message})


def journal_export(one: Event) -> str:
    fields = json.loads(journal(one)) | {"MESSAGE": one.text}
    return "__CURSOR=s=1\n" + "".join(f"{key}={value}\n" for key, value in fields.items())


def short_unix(one: Event) -> str:
    return f"{int(one.at.timestamp())}.{one.at.microsecond:06} {one.host} {tag(one)}: {one.text}"


def stamp(one: Event) -> str:
    return f"{one.at:%Y-%m-%dT%H:%M:%S}.{one.at.microsecond:06}000Z"


def docker(one: Event) -> str:
    return json.dumps({"log": bsd(one) + "\n", "stream": "stdout", "time": stamp(one)})


def cri(one: Event) -> str:
    line = bsd(one)
    at = len(line) // 2
    whole = f"{stamp(one)} stdout F {line}"
    return whole if one.pid % 2 else f"{stamp(one)} stdout P {line[:at]}\n{stamp(one)} stdout F {line[at:]}"


def rfc5424(one: Event) -> str:
    at = one.at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return f"<22>1 {at} {one.host} {one.tag} {one.pid or '-'} - - {one.text}"


def solaris(one: Event) -> str:
    head, _, text = bsd(one).partition(": ")
    return f"{head}: [ID 197553 mail.info] {text}"


ENVELOPES: dict[str, tuple[Callable[[Event], str], bool]] = {
    "syslog-bsd": (bsd, False),
    "PRI": (lambda one: "<22>" + bsd(one), False),
    "Solaris": (solaris, False),
    "docker compose": (lambda one: "mail-1  | " + bsd(one), False),
    "no year, fraction": (
        lambda one: bsd(one).replace(f"{one.at:%H:%M:%S}", f"{one.at:%H:%M:%S}.{one.at.microsecond:06}", 1),
        True,
    ),
    "syslog-iso": (iso, True),
    "syslog-iso, another zone": (iso_offset, True),
    "RFC 5424": (rfc5424, True),
    "journalctl short-unix": (short_unix, True),
    "journalctl json": (journal, True),
    "journalctl export": (journal_export, True),
    "docker json-file": (docker, True),
    "CRI": (cri, True),
}
"""What writes a line, and whether its clock has fractions of a second."""


def write(path: Path, lines: Iterable[str], *, mtime: datetime | None = None) -> Path:
    data = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    if mtime is not None:
        os.utime(path, (mtime.timestamp(), mtime.timestamp()))
    return path


def read(*sources: Path | str, jobs: int = 1, stdin: Any = None) -> Scan:
    return logscan.read(*sources, jobs=jobs, timezone="UTC", year=2026, stdin=stdin)


def rows(scan: Scan, *, fine: bool = True, line: bool = True) -> dict[str, list[tuple[Any, ...]]]:
    """Return every event table as rows of plain values, with times to the second when not ``fine``."""
    out = {}
    for name, table in EVENTS.items():
        found = []
        for row in scan.tables[name].to_pylist():
            values = {key: row[key] for key in (*(column.name for column in COMMON), *table.kinds())}
            values["time"] = row["time"] if fine else row["time"] // 10**9
            values["source"] = scan.label(row["source"]) if line else ""
            values["line"] = row["line"] if line else 0
            found.append(tuple(values.values()))
        out[name] = sorted(found, key=repr)
    return out


def mails(scan: Scan) -> list[tuple[Any, ...]]:
    """Return the mails as plain values; the order of rows may differ."""
    frame = scan.mails.drop(columns="entry")
    return sorted(frame.astype("object").where(frame.notna(), None).itertuples(index=False, name=None), key=repr)


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_envelope_changes_nothing(name: str, tmp_path: Path) -> None:
    story = events(times=3)
    form, fine = ENVELOPES[name]
    plain = read(write(tmp_path / "a.log", map(iso, story)))
    scan = read(write(tmp_path / "b.log", map(form, story)))
    assert rows(scan, fine=fine, line=False) == rows(plain, fine=fine, line=False)
    counts = [(each.understood, each.unknown, each.undecodable) for each in (plain.sources[0], scan.sources[0])]
    assert counts[0] == counts[1]
    assert counts[0][1:] == (3, 0), "one line of the story is one that nobody knows"
    assert sum(map(len, rows(plain).values())) >= 3 * 20, "the story's lines become rows"


@pytest.mark.parametrize("name", [name for name in ENVELOPES if name not in ("journalctl export", "CRI")])
def test_a_row_names_its_line(name: str, tmp_path: Path) -> None:
    story = events(times=3)
    scan = read(write(tmp_path / "b.log", map(ENVELOPES[name][0], story)))
    for row in scan.deliveries.itertuples():
        assert story[row.line - 1].text.startswith(f"{row.queue_id}: to=<{row.recipient}>")


def test_all_envelopes_in_one_file_are_each_read_as_what_they_are(tmp_path: Path) -> None:
    forms = [form for form, _ in ENVELOPES.values() if form not in (journal_export, cri)]
    story = events(times=len(forms))
    lines = [form(one) for one, form in zip(story, itertools.cycle(forms), strict=False)]
    mixed = read(write(tmp_path / "a.log", lines))
    plain = read(write(tmp_path / "a.log", map(iso, story)))
    assert rows(mixed, fine=False) == rows(plain, fine=False)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_compression_and_line_ends_change_nothing(packed: bool, ending: str, tmp_path: Path) -> None:
    lines = [bsd(one) for one in events()]
    plain = read(write(tmp_path / "mail.log", lines))
    data = ending.join(lines).encode()
    path = tmp_path / ("other.log.gz" if packed else "other.log")
    path.write_bytes(gzip.compress(data) if packed else data)
    assert rows(read(path), line=False) == rows(plain, line=False)


def test_standard_input_is_read_like_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "mail.log", map(bsd, events()))
    for data in (path.read_bytes(), gzip.compress(path.read_bytes())):
        scan = read("-", stdin=io.BytesIO(data))
        assert rows(scan, line=False) == rows(read(path), line=False)
        assert len(scan.sources) == 1
        assert not any("/" in each.label for each in scan.sources), "no name of a temporary file"
        if scan.log.spool:
            scan.log.spool.close()


# -- pieces, workers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 777])
@pytest.mark.parametrize("name", ["syslog-bsd", "syslog-iso", "journalctl json", "journalctl export"])
def test_where_a_file_is_cut_changes_nothing(
    name: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = events(times=4)
    path = write(tmp_path / "mail.log", map(ENVELOPES[name][0], story))
    packed = write(tmp_path / "packed.log.gz", map(ENVELOPES[name][0], story))
    whole, whole_packed = read(path), read(packed)
    monkeypatch.setattr(reading, "CHUNK", size)
    for before, after in ((whole, read(path)), (whole_packed, read(packed))):
        assert rows(after) == rows(before)
        assert after.read.formats == before.read.formats
        assert after.read.templates == before.read.templates
        assert after.read.programs == before.read.programs
        assert [vars(each)["lines"] for each in after.sources] == [vars(each)["lines"] for each in before.sources]


def test_new_year_between_two_pieces_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = events(datetime(2025, 12, 31, 23, 59, 50, tzinfo=UTC), 2)
    path = write(tmp_path / "mail.log", map(bsd, story))
    whole = read(path)
    monkeypatch.setattr(reading, "CHUNK", 150)
    pieces = read(path)
    assert rows(pieces) == rows(whole)
    assert sorted({at.year for at in pieces.events("deliveries")["time"]}) == [2025, 2026]


def test_workers_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK", 4000)
    story = events(times=10)
    paths = [
        write(tmp_path / "mail.log.1", map(bsd, story[:120])),
        write(tmp_path / "mail.log", map(bsd, story[120:])),
        write(tmp_path / "old.log.gz", map(iso, events(START - timedelta(days=1), 3))),
    ]
    one, two = read(*paths), read(*paths, jobs=2)
    assert rows(two) == rows(one)
    assert [(each.label, each.lines, each.understood) for each in two.sources] == [
        (each.label, each.lines, each.understood) for each in one.sources
    ]
    pd.testing.assert_frame_equal(two.mails, one.mails)
    assert two.read.templates == one.read.templates


# -- rotated sets and copies -----------------------------------------------------------------------------------------


def test_a_rotated_set_is_read_in_its_order_however_it_is_named(tmp_path: Path) -> None:
    story = events(times=3)
    paths = [
        write(tmp_path / "mail.log.2.gz", map(bsd, story[:25])),
        write(tmp_path / "mail.log.1", map(bsd, story[25:50])),
        write(tmp_path / "mail.log", map(bsd, story[50:])),
    ]
    expected = read(write(tmp_path / "whole.txt", map(bsd, story)))
    for order in itertools.permutations(paths):
        scan = read(*order)
        assert [each.label for each in scan.sources] == ["mail.log.2.gz", "mail.log.1", "mail.log"]
        assert rows(scan, line=False) == rows(expected, line=False)
        assert mails(scan) == mails(expected)
    folder = read(tmp_path / "mail.log*")
    assert rows(folder, line=False) == rows(expected, line=False)


def test_a_set_over_new_year_gets_both_years_in_any_order(tmp_path: Path) -> None:
    story = events(datetime(2025, 12, 31, 23, 59, 40, tzinfo=UTC), 3)
    paths = [
        write(tmp_path / "mail.log.1", map(bsd, story[:20])),
        write(tmp_path / "mail.log", map(bsd, story[20:])),
    ]
    expected = rows(read(write(tmp_path / "x.log", map(iso, story))), fine=False, line=False)
    for order in itertools.permutations(paths):
        assert rows(read(*order), fine=False, line=False) == expected


def test_a_traditional_log_beside_an_iso_one_is_read_once_and_the_finer_clock_wins(tmp_path: Path) -> None:
    story = events(times=3)
    coarse = write(tmp_path / "mail.log", map(bsd, story))
    fine = write(tmp_path / "mail-iso.log", map(iso, story))
    for order in ((coarse, fine), (fine, coarse)):
        scan = read(*order)
        assert rows(scan, line=False) == rows(read(fine), line=False)
        assert {each.label: each.copies for each in scan.sources} == {"mail.log": len(story), "mail-iso.log": 0}
        assert f"mail.log: {len(story)} of {len(story)} lines stand in another file too and are read once" in scan.notes


def test_mail_log_beside_syslog_is_read_once(tmp_path: Path) -> None:
    story = events(times=3)
    others = [bsd(Event(one.at, "mx1", "CRON", 9000 + n, "(root) CMD (true)")) for n, one in enumerate(story)]
    mail = write(tmp_path / "mail.log", map(bsd, story))
    everything = write(tmp_path / "syslog", [line for one in zip(map(bsd, story), others, strict=True) for line in one])
    scan = read(mail, everything)
    assert rows(scan, line=False) == rows(read(mail), line=False)
    assert {each.label: each.copies for each in scan.sources} == {"mail.log": 0, "syslog": len(story)}


def test_repeats_within_a_file_stay(tmp_path: Path) -> None:
    story = [one for one in events() for _ in range(3)]
    once = read(write(tmp_path / "a.log", map(bsd, story)))
    twice = read(tmp_path / "a.log", write(tmp_path / "b.log", map(iso, story)))
    assert len(once.events("deliveries")) == 6
    assert rows(twice, fine=False, line=False) == rows(once, fine=False, line=False)
    assert sum(each.copies for each in twice.sources) == len(story)


def test_lines_that_only_one_of_two_copies_has_are_kept(tmp_path: Path) -> None:
    story = events(times=2)
    some = random.Random(3).sample(range(len(story)), 30)
    left = [bsd(one) for n, one in enumerate(story) if n not in some[:15]]
    right = [iso(one) for n, one in enumerate(story) if n not in some[15:]]
    scan = read(write(tmp_path / "a.log", left), write(tmp_path / "b.log", right))
    whole = read(write(tmp_path / "c.log", map(iso, story)))
    assert rows(scan, fine=False, line=False) == rows(whole, fine=False, line=False)


def test_the_same_line_a_second_later_or_of_another_host_is_no_copy(tmp_path: Path) -> None:
    story = events()
    later = [one._replace(at=one.at + timedelta(seconds=1)) for one in story]
    other = [one._replace(host="mx2") for one in story]
    scan = read(*(write(tmp_path / f"{n}.log", map(bsd, some)) for n, some in enumerate((story, later, other))))
    assert len(scan.events("deliveries")) == 6
    assert not any(each.copies for each in scan.sources)


# -- message repeated ------------------------------------------------------------------------------------------------


def test_repeated_refusals_and_logins_count_and_other_lines_do_not(tmp_path: Path) -> None:
    story = events()
    again = [one._replace(text=f"message repeated 4 times: [ {one.text}]") for one in story]
    both = [one for pair in zip(story, again, strict=True) for one in pair]
    plain, scan = read(write(tmp_path / "a.log", map(bsd, story))), read(write(tmp_path / "b.log", map(bsd, both)))
    counted = ("rejects", "logins", "sessions")
    for name, before in rows(plain, line=False).items():
        if name != "losses":
            assert len(scan.events(name)) == (5 if name in counted else 1) * len(before), name
    wrapped = sum(len(plain.events(name)) for name in counted)
    assert len(scan.losses) == len(story) - wrapped
    refused = next(n for n, one in enumerate(story) if "reject" in one.text)
    assert sorted(scan.rejects["line"]) == [2 * refused + 1, *[2 * refused + 2] * 4]
    assert (scan.sources[0].unknown, scan.sources[0].undecodable) == (1, 0)
    assert scan.sources[0].understood + scan.sources[0].noise == len(both) - 1
    assert mails(scan) == mails(plain)


def test_a_repeated_line_that_was_cut_is_read_all_the_same(tmp_path: Path) -> None:
    line = next(one for one in events() if "reject" in one.text)
    cut = line._replace(text=f"message repeated 3 times: [ {line.text}")
    assert len(read(write(tmp_path / "a.log", [bsd(cut)])).rejects) == 3


# -- years and zones -------------------------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")
DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """This host is in New York, and it is the time that is told."""
    monkeypatch.setenv("TZ", "America/New_York")

    def now(at: datetime) -> None:
        monkeypatch.setattr(clock, "current_time", at.timestamp)

    now(datetime(2031, 6, 1, tzinfo=UTC))
    return now


def blindly(*sources: Path, **options: Any) -> Scan:
    """Read without being told year and zone."""
    return logscan.read(*sources, jobs=1, **options)


def times(scan: Scan, name: str = "removals") -> list[datetime]:
    return sorted(at.to_pydatetime().replace(microsecond=0) for at in scan.events(name)["time"])


def base52(number: int, least: int) -> str:
    out = ""
    while number or len(out) < least:
        number, digit = divmod(number, 52)
        out = DIGITS[digit] + out
    return out


def plain_mails(start: datetime, count: int = 8, every: timedelta = timedelta(hours=5)) -> list[Event]:
    """Return mails whose lines tell neither year nor zone."""
    out = []
    for n in range(count):
        at, queue_id = start + n * every, f"B{n:04X}5445E6"
        out += [
            Event(at, "mx1", "postfix/smtpd", 20, f"{queue_id}: client=mail.example.org[203.0.113.26]"),
            Event(at, "mx1", "postfix/cleanup", 21, f"{queue_id}: message-id=<{n}@example.org>"),
            Event(at, "mx1", "postfix/qmgr", 7, f"{queue_id}: from=<sam@example.org>, size=1, nrcpt=1 (queue active)"),
            Event(at, "mx1", "postfix/lmtp", 22, f"{queue_id}: to=<bob@example.com>, relay=127.0.0.1[127.0.0.1]:24,"
                  f" delay=0.1, delays=0/0/0/0.1, dsn=2.6.0, status=sent (250 2.6.0 <bob@example.com> Message accepted"
                  " for delivery)"),
            Event(at, "mx1", "postfix/qmgr", 7, f"{queue_id}: removed"),
        ]  # fmt: skip
    return out


def made_ids(story: Sequence[Event]) -> list[Event]:
    """Give the mails message-ids that Postfix made."""
    out = []
    for one in story:
        queue_id, told, _ = one.text.partition(": message-id=")
        text = f"{queue_id}{told}<{one.at:%Y%m%d%H%M%S}.{queue_id}@mx1.example.com>" if told else one.text
        out.append(one._replace(text=text))
    return out


def long_ids(story: Sequence[Event]) -> list[Event]:
    """Give the mails long queue IDs."""
    out = []
    for one in story:
        _, _, text = one.text.partition(": ")
        queue_id = f"{base52(int(one.at.timestamp()), 6)}{base52(one.at.microsecond, 4)}z{'4b2D'}"
        out.append(one._replace(text=f"{queue_id}: {text}"))
    return out


SUMMER = datetime(2023, 6, 30, 20, 10, 0, 250_000, UTC)
WINTER = datetime(2022, 12, 30, 20, 10, 0, 250_000, UTC)


@pytest.mark.parametrize("start", [SUMMER, WINTER], ids=["summer", "over New Year"])
@pytest.mark.parametrize("told", [made_ids, long_ids])
def test_ids_tell_year_and_zone(
    told: Callable[[Sequence[Event]], list[Event]],
    start: datetime,
    tmp_path: Path,
    elsewhere: Callable[[datetime], None],
) -> None:
    story = told(plain_mails(start, 24))
    scan = blindly(write(tmp_path / "mail.log", (bsd(one, BERLIN) for one in story)))
    expected = sorted(one.at.replace(microsecond=0) for one in story if one.text.endswith(": removed"))
    assert times(scan) == expected
    assert not scan.read.solution.inferred_year
    assert not scan.read.solution.inferred_zone
    assert any("as lines with a known time show" in note for note in scan.notes)


def test_dspam_s_own_log_tells_year_and_zone(tmp_path: Path, elsewhere: Callable[[datetime], None]) -> None:
    story = plain_mails(SUMMER)
    system = [
        f"{int(one.at.timestamp())}\tI\tsam@example.org\t{int(one.at.timestamp()):x}1234511874207\tsubject\t0.01"
        f"\tbob@example.com\tDelivered\t<{n}@example.org>"
        for n, one in enumerate(one for one in story if "message-id=" in one.text)
    ]
    scan = blindly(
        write(tmp_path / "mail.log", (bsd(one, BERLIN) for one in story)), write(tmp_path / "system.log", system)
    )
    assert {each.kind for each in scan.sources} == {"syslog-bsd", "dspam-system-log"}
    assert times(scan) == [one.at.replace(microsecond=0) for one in story if one.text.endswith(": removed")]
    assert not scan.read.solution.inferred_zone


def test_the_signature_of_a_failed_training_tells_the_year(
    tmp_path: Path, elsewhere: Callable[[datetime], None]
) -> None:
    story = plain_mails(SUMMER)
    made = int((SUMMER - timedelta(days=3)).timestamp())
    path = f"/var/spool/dspam/data/bob/bob.sig/{made:x}1234511874207.sig"
    story.append(Event(SUMMER + timedelta(days=2), "mx1", "dspam", 9,
                       f"Unable to open file for reading: {path}: No such file or directory"))  # fmt: skip
    scan = blindly(write(tmp_path / "mail.log", map(bsd, story)), timezone="UTC")
    assert {at.year for at in times(scan)} == {2023}
    assert not scan.read.solution.inferred_year
    assert not [note for note in scan.notes if "year" in note]


def test_an_iso_copy_of_some_of_the_lines_tells_year_and_zone(
    tmp_path: Path, elsewhere: Callable[[datetime], None]
) -> None:
    story = plain_mails(SUMMER, 12)
    scan = blindly(
        write(tmp_path / "mail.log", (bsd(one, BERLIN) for one in story)),
        write(tmp_path / "iso.log", map(iso, story[:30])),
    )
    assert times(scan) == [one.at.replace(microsecond=0) for one in story if one.text.endswith(": removed")]


@pytest.mark.parametrize(
    ("start", "now", "year"),
    [
        (datetime(2025, 12, 20, tzinfo=UTC), datetime(2026, 1, 5, tzinfo=UTC), 2025),
        (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 5, tzinfo=UTC), 2026),
    ],
)
def test_december_read_in_january(
    start: datetime, now: datetime, year: int, tmp_path: Path, elsewhere: Callable[[datetime], None]
) -> None:
    elsewhere(now)
    scan = blindly(write(tmp_path / "mail.log", map(bsd, plain_mails(start)), mtime=now), timezone="UTC")
    assert {at.year for at in times(scan)} == {year}
    assert scan.read.solution.inferred_year
    assert any(note.startswith("No line tells the year of ") and "mail.log" in note for note in scan.notes)


def test_several_years_in_one_set(tmp_path: Path, elsewhere: Callable[[datetime], None]) -> None:
    """Three files, the middle one over New Year; copied, so that their file times say nothing."""
    elsewhere(datetime(2026, 3, 1, tzinfo=UTC))
    starts = [datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 11, 1, tzinfo=UTC), datetime(2025, 9, 1, tzinfo=UTC)]
    stories = [plain_mails(start, 20, timedelta(days=8)) for start in starts]
    names = ["mail.log.2.gz", "mail.log.1", "mail.log"]
    copied = datetime(2026, 2, 20, tzinfo=UTC)
    paths = [write(tmp_path / name, map(bsd, story), mtime=copied) for name, story in zip(names, stories, strict=True)]
    expected = sorted(one.at for story in stories for one in story if one.text.endswith(": removed"))
    for order in itertools.permutations(paths):
        assert times(blindly(*order, timezone="UTC")) == expected


def test_several_years_in_one_file(tmp_path: Path, elsewhere: Callable[[datetime], None]) -> None:
    elsewhere(datetime(2026, 3, 1, tzinfo=UTC))
    story = plain_mails(datetime(2023, 5, 1, tzinfo=UTC), 60, timedelta(days=17))
    scan = blindly(write(tmp_path / "mail.log", map(bsd, story), mtime=story[-1].at), timezone="UTC")
    assert times(scan) == [one.at for one in story if one.text.endswith(": removed")]


def test_a_year_that_is_given_is_that_of_the_last_line(tmp_path: Path, elsewhere: Callable[[datetime], None]) -> None:
    story = plain_mails(datetime(2017, 12, 31, 12, tzinfo=UTC))
    scan = blindly(write(tmp_path / "mail.log", map(bsd, story)), timezone="UTC", year=2018)
    assert times(scan) == [one.at for one in story if one.text.endswith(": removed")]
    assert any("as given with --year" in note for note in scan.notes)


def test_a_zone_that_is_given_holds(tmp_path: Path, elsewhere: Callable[[datetime], None]) -> None:
    story = plain_mails(SUMMER.replace(microsecond=0))
    path = write(tmp_path / "mail.log", (bsd(one, BERLIN) for one in story))
    scan = blindly(path, timezone="Europe/Berlin", year=2023)
    assert times(scan) == [one.at for one in story if one.text.endswith(": removed")]
    assert str(scan.zone) == "Europe/Berlin"
    assert not scan.read.solution.inferred_zone


def test_the_notes_say_what_was_inferred_and_nothing_else(
    tmp_path: Path, elsewhere: Callable[[datetime], None]
) -> None:
    story = plain_mails(SUMMER)
    dated = blindly(write(tmp_path / "mail.log-20230705", map(bsd, story)))
    assert {at.year for at in times(dated)} == {2023}
    assert any("taken from the date in the file's name" in note for note in dated.notes)
    assert any("this host's, America/New_York, is assumed" in note for note in dated.notes)
    sure = blindly(write(tmp_path / "iso.log", map(iso, story)))
    assert sure.notes == []
    assert times(sure) == [one.at.replace(microsecond=0) for one in story if one.text.endswith(": removed")]


def test_a_line_that_is_late_by_minutes_moves_nothing(tmp_path: Path, elsewhere: Callable[[datetime], None]) -> None:
    story = made_ids(plain_mails(datetime(2025, 12, 31, 20, tzinfo=UTC), 20, timedelta(minutes=30)))
    shuffled = list(story)
    chance = random.Random(7)
    for at in range(0, len(shuffled) - 3, 7):
        shuffled[at], shuffled[at + 2] = shuffled[at + 2], shuffled[at]
    chance.shuffle(shuffled[36:44])
    scan = blindly(write(tmp_path / "mail.log", map(bsd, shuffled)), timezone="UTC")
    assert times(scan) == sorted(one.at for one in story if one.text.endswith(": removed"))
