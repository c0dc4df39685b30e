"""Envelopes: every shape gives its body and time, and any bytes are taken."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.envelopes.sniffing import sniff
from logscan.envelopes.stamps import DAY, SECOND, STAMP, Layout, moment
from logscan.envelopes.unwrapping import NO_TIME, Lines, turn_between, unwrap

QMGR = b"mx1 postfix/qmgr[7]: 4A97F54A7D9: removed"


def utc(text: str) -> int:
    """Return nanoseconds since 1970 of an ISO time."""
    whole, _, fraction = text.partition(".")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    return seconds * SECOND + int(fraction.ljust(9, "0")) if fraction else seconds * SECOND


def wall(text: str) -> int:
    """Return the wall clock of ``MM-DD HH:MM:SS`` in a leap year."""
    text, leap = (text[:-2] + "59", SECOND) if text.endswith(":60") else (text, 0)
    return utc(f"2024-{text}") - utc("2024-01-01 00:00:00") + leap


def one(line: bytes, kind: str = "") -> tuple[bytes, int, int]:
    """Return body, time and clock of a chunk with one line."""
    found = unwrap(line + b"\n", kind, {})
    assert (found.lines, len(found.bodies)) == (1, 1), found
    return found.bodies[0], int(found.time[0]), int(found.clock[0])


def accounted(found: Lines) -> None:
    """Check what every result promises."""
    assert len(found.bodies) == len(found.number) == len(found.time) == len(found.clock) == len(found.turn)
    assert len(np.unique(found.number)) + found.undecodable + found.blank == found.lines
    assert (np.diff(found.number) >= 0).all()
    assert not len(found.number) or 0 <= found.number[0] <= found.number[-1] < found.lines
    assert [found.number.dtype, found.time.dtype, found.clock.dtype, found.turn.dtype] == [
        np.int32,
        np.int64,
        np.int64,
        np.int16,
    ]


CLOCKED = {
    "bsd, blank-padded day": (b"Nov  2 19:03:45 " + QMGR, QMGR, "11-02 19:03:45"),
    "postfix's own file, zero-padded day": (b"Nov 02 19:03:45 " + QMGR, QMGR, "11-02 19:03:45"),
    "busybox, with facility and level": (
        b"Nov  2 19:03:45 mx1 mail.info postfix/qmgr[7]: 4A97F54A7D9: removed",
        QMGR,
        "11-02 19:03:45",
    ),
    "a relay's name before the host's": (
        b"Nov  2 19:03:45 192.0.2.7 mx1 postfix/qmgr[7]: 4A97F54A7D9: removed",
        QMGR,
        "11-02 19:03:45",
    ),
    "Dovecot 1's deliver under its own tag": (
        b"Nov  2 19:03:45 mx1 deliver(bob@example.com): msgid=<a@b>: saved mail to INBOX",
        b"mx1 dovecot: deliver(bob@example.com): msgid=<a@b>: saved mail to INBOX",
        "11-02 19:03:45",
    ),
    "unpadded day": (b"Nov 2 19:03:45 " + QMGR, QMGR, "11-02 19:03:45"),
    "29 February": (b"Feb 29 00:00:01 " + QMGR, QMGR, "02-29 00:00:01"),
    "leap second": (b"Dec 31 23:59:60 " + QMGR, QMGR, "12-31 23:59:60"),
    "PRI": (b"<22>Nov 22 19:03:45 " + QMGR, QMGR, "11-22 19:03:45"),
    "journalctl short-precise": (b"Nov 22 19:03:45.000250 " + QMGR, QMGR, "11-22 19:03:45.000250"),
    "verbose BSD syslogd": (b"Nov 22 19:03:45 <mail.info> " + QMGR, QMGR, "11-22 19:03:45"),
    "docker compose": (b"postfix-1  | Nov 22 19:03:45 " + QMGR, QMGR, "11-22 19:03:45"),
    "Solaris message ID": (
        b"Nov 22 19:03:45 sun sendmail[9]: [ID 702911 mail.info] x: to=<a@b>",
        b"sun sendmail[9]: x: to=<a@b>",
        "11-22 19:03:45",
    ),
    "two stamps": (
        b"May 02 22:56:18 XXX docker[32360]: May  2 20:56:17 mail postfix/smtpd[1]: connect from a[1.2.3.4]",
        b"mail postfix/smtpd[1]: connect from a[1.2.3.4]",
        "05-02 22:56:18",
    ),
    "two stamps, dovecot within": (
        b"May 02 22:56:18 XXX docker[32360]: May 02 20:56:17 imap-login: Info: Login: user=<a>",
        b"XXX dovecot: imap-login: Info: Login: user=<a>",
        "05-02 22:56:18",
    ),
    "dovecot's own file": (
        b"Nov 22 19:03:45 lmtp(bob@example.com)<12><aB/c>: Info: msgid=<1@x>: saved mail to INBOX",
        b"- dovecot: lmtp(bob@example.com)<12><aB/c>: Info: msgid=<1@x>: saved mail to INBOX",
        "11-22 19:03:45",
    ),
    "no host": (b"Nov 22 19:03:45 postfix/qmgr[7]: 4A97F54A7D9: removed", b"- " + QMGR[4:], "11-22 19:03:45"),
    "rspamd's own file": (
        b"2026-11-22 19:03:45 #7664(main) <xb1xtb>; cfg; rspamd_init: digest: 458",
        b"- rspamd[7664]: (main) <xb1xtb>; cfg; rspamd_init: digest: 458",
        "11-22 19:03:45",
    ),
    "ISO without offset": (b"2026-11-22 19:03:45,25 " + QMGR, QMGR, "11-22 19:03:45.25"),
    "spamd's own file": (
        b"Sun Nov 22 19:03:45 2026 [123] info: spamd: result: Y 5 - X",
        b"- spamd[123]: spamd: result: Y 5 - X",
        "11-22 19:03:45",
    ),
    "dspam.debug": (
        b"126: [11/22/2026 19:13:47] pass-thru: ",
        b"- dspam.file[126]: pass-thru:",
        "11-22 19:13:47",
    ),
    "sql.errors": (b"[11/22/2026 19:13:47] 12: ERROR: x", b"- dspam.file[12]: ERROR: x", "11-22 19:13:47"),
}

TIMED = {
    "rsyslog, microseconds": (b"2026-11-22T19:03:45.123456+00:00 " + QMGR, QMGR, "2026-11-22 19:03:45.123456"),
    "milliseconds, comma": (b"2026-11-22T19:03:45,123Z " + QMGR, QMGR, "2026-11-22 19:03:45.123"),
    "nanoseconds": (b"2026-11-22T19:03:45.123456789Z " + QMGR, QMGR, "2026-11-22 19:03:45.123456789"),
    "no fraction, old systemd's offset": (b"2026-01-01T00:30:00+0100 " + QMGR, QMGR, "2025-12-31 23:30:00"),
    "west, half an hour": (b"2026-03-01T00:30:00.5-03:30 " + QMGR, QMGR, "2026-03-01 04:00:00.5"),
    "blank for T": (b"2024-02-29 12:00:00+00:00 " + QMGR, QMGR, "2024-02-29 12:00:00"),
    "blank before the offset": (b"2026-11-22 19:03:45 +0000 " + QMGR, QMGR, "2026-11-22 19:03:45"),
    "journalctl short-unix": (b"1795374225.060843 " + QMGR, QMGR, "2026-11-22 19:03:45.060843"),
    "RFC 5424": (b"<6>1 2026-11-22T19:03:45Z mx1 postfix/qmgr 7 - - 4A97F54A7D9: removed", QMGR, "2026-11-22 19:03:45"),
    "RFC 5424 with data and BOM": (
        b'<22>1 2026-11-22T19:03:45Z mx1 postfix/qmgr 7 ID [a@1 b="]\\""] \xef\xbb\xbf4A97F54A7D9: removed',
        QMGR,
        "2026-11-22 19:03:45",
    ),
    "ISO within BSD": (
        b"Nov 22 20:03:46 host docker[1]: 2026-11-22T19:03:45Z " + QMGR,
        QMGR,
        "2026-11-22 19:03:45",
    ),
    "rspamd as JSON": (
        json.dumps({"ts": 1795374225.5, "pid": 9, "worker_type": "normal", "id": "abc", "module": "task",
                    "function": "f", "message": "id: <x>"}).encode(),
        b"- rspamd[9]: (normal) <abc>; task; f: id: <x>",
        "2026-11-22 19:03:45.5",
    ),
}  # fmt: skip

NOT_DECODED = [
    "Απρ 15 12:20:28 mx1 postfix/qmgr[7]: x".encode(),
    b"Feb 30 12:00:00 " + QMGR,
    b"Nov 22 24:00:00 " + QMGR,
    b"2025-02-29T12:00:00Z " + QMGR,
    b"2026-13-01T12:00:00Z " + QMGR,
    b"F3D3530C4: client=a[127.0.0.1]Jun  9 00:26:01",
    b"Nov 22 19:03:45",
    b"{not json",
    b"some words",
]


@pytest.mark.parametrize("name", CLOCKED)
def test_a_line_without_year_or_zone_has_a_wall_clock(name: str) -> None:
    line, body, clock = CLOCKED[name]
    assert one(line) == (body, NO_TIME, wall(clock))


@pytest.mark.parametrize("name", TIMED)
def test_a_line_with_year_and_zone_has_a_time(name: str) -> None:
    line, body, time = TIMED[name]
    assert one(line)[:2] == (body, utc(time))


@pytest.mark.parametrize("line", NOT_DECODED)
def test_a_line_without_an_envelope_is_counted(line: bytes) -> None:
    found = unwrap(line + b"\n", "", {})
    assert (list(found.bodies), found.undecodable, found.lines) == ([], 1, 1)


def test_all_shapes_in_one_file_are_read_as_alone() -> None:
    """Vectorised and single reading agree, whatever stands between."""
    lines = [case[0] for case in (*CLOCKED.values(), *TIMED.values())] * 3
    lines += [*NOT_DECODED, b"", b"  "]
    found = unwrap(b"\n".join(lines), "syslog-bsd", {})
    accounted(found)
    assert (found.undecodable, found.blank) == (len(NOT_DECODED), 2)
    for i, number in enumerate(found.number):
        assert (found.bodies[i], int(found.time[i]), int(found.clock[i])) == one(lines[number])


def test_years_told_without_a_zone_are_kept() -> None:
    found = unwrap(
        b"2025-12-31 23:59:59 a x[1]: y\n2026-01-01 00:00:01 a x[1]: y\n2028-01-01 00:00:01 a x[1]: y\n", "", {}
    )
    assert found.year == 2025
    assert found.turn.tolist() == [0, 1, 3]


def test_new_year_turns_and_a_late_line_turns_back() -> None:
    stamps = [b"Dec 31 23:59:59", b"Jan  1 00:00:01", b"Dec 31 23:59:58", b"Jan  1 00:00:02", b"Jan  1 00:00:00"]
    found = unwrap(b"".join(stamp + b" " + QMGR + b"\n" for stamp in stamps), "syslog-bsd", {})
    assert found.turn.tolist() == [0, 1, 0, 1, 1]


def test_jitter_and_quiet_months_turn_nothing() -> None:
    assert turn_between(5 * DAY, 5 * DAY - 7 * SECOND) == 0
    assert turn_between(40 * DAY, 330 * DAY) == 0


def test_crlf_nul_and_a_missing_newline_make_no_difference() -> None:
    found = unwrap(b"\0\0\0Nov 22 19:03:45 " + QMGR + b"\r\nNov 22 19:03:46 " + QMGR, "syslog-bsd", {})
    assert list(found.bodies) == [QMGR, QMGR]
    assert found.lines == 2


def test_an_empty_chunk_has_no_lines() -> None:
    for kind in ("syslog-bsd", "journal-json", "journal-export", "dspam-system-log"):
        accounted(unwrap(b"", kind, {}))


def test_the_journal_as_json_gives_text_bytes_and_losses() -> None:
    base = {
        "__REALTIME_TIMESTAMP": "1795374225060843",
        "_HOSTNAME": "mx1",
        "SYSLOG_IDENTIFIER": "postfix/qmgr",
        "_PID": "7",
    }
    lines = [
        json.dumps(base | {"MESSAGE": "4A97F54A7D9: removed"}),
        json.dumps(base | {"MESSAGE": [ord(char) for char in "4A97F54A7D9: removed"]}),
        json.dumps(base | {"MESSAGE": None}),
        json.dumps(base | {"MESSAGE": "a\nb"}),
        "",
        "{",
    ]
    found = unwrap("\n".join(lines).encode(), "journal-json", {})
    accounted(found)
    assert list(found.bodies) == [QMGR, QMGR, b"mx1 postfix/qmgr[7]:", b"mx1 postfix/qmgr[7]: a#012b"]
    assert int(found.time[0]) == utc("2026-11-22 19:03:45.060843")
    assert [number for number, _ in found.lost] == [2]


def test_the_journal_s_export_format_is_read_with_binary_values() -> None:
    entry = (
        b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795374225060843\n_HOSTNAME=mx1\nSYSLOG_IDENTIFIER=postfix/qmgr\n_PID=7\n"
    )
    text = b"4A97F54A7D9: removed"
    binary = b"MESSAGE\n" + len(text).to_bytes(8, "little") + text + b"\n"
    found = unwrap(entry + b"MESSAGE=" + text + b"\n\n" + entry + binary + b"\n", "journal-export", {})
    accounted(found)
    assert list(found.bodies) == [QMGR, QMGR]
    assert found.number.tolist() == [5, 7]


def test_docker_s_pieces_are_joined() -> None:
    time = "2026-11-22T19:03:45.5Z"
    lines = [
        json.dumps({"log": "Nov 22 19:03:45 " + QMGR.decode() + "\n", "stream": "stdout", "time": time}),
        json.dumps({"log": "Nov 22 19:03:45 mx1 postfix/qmgr[7]: ", "stream": "stdout", "time": time}),
        json.dumps({"log": "imap-login: Info: Login: user=<a>\n", "stream": "stderr", "time": time}),
        json.dumps({"log": "4A97F54A7D9: removed\n", "stream": "stdout", "time": time}),
    ]
    found = unwrap("\n".join(lines).encode(), "docker-json", {})
    accounted(found)
    assert list(found.bodies) == [QMGR, QMGR, b"- dovecot: imap-login: Info: Login: user=<a>"]
    assert found.number.tolist() == [0, 1, 2]
    assert set(found.time.tolist()) == {utc("2026-11-22 19:03:45.5")}


def test_cri_s_pieces_are_joined() -> None:
    chunk = b"2026-11-22T19:03:45.5Z stdout P Nov 22 19:03:45 mx1 postfix/qmgr[7]: \n"
    found = unwrap(chunk + b"2026-11-22T19:03:45.6Z stdout F 4A97F54A7D9: removed\n", "cri", {})
    accounted(found)
    assert (list(found.bodies), found.time.tolist()) == ([QMGR], [utc("2026-11-22 19:03:45.5")])


def test_dspam_s_glued_and_folded_records_are_put_right() -> None:
    record = b"1795374178\tS\tx0@spam.invalid\t6b033c6d55689130513392\tsubject\t0.010189\tbob\tTagged\t<1@x>"
    long = record[:-6].ljust(1023, b".")  # what DSPAM's buffer holds: the newline is lost
    chunk = record + b"\n" + long + record + b"\n" + record[:-5] + b"\n <1@x>\nodd\n"
    found = unwrap(chunk, "dspam-system-log", {})
    accounted(found)
    head = b"- dspam.system: "
    assert list(found.bodies) == [head + record, head + long, head + record, head + record[:-5] + b" <1@x>"]
    assert found.number.tolist() == [0, 1, 1, 2]
    assert (found.undecodable, found.blank) == (1, 1)
    assert set(found.time.tolist()) == {1795374178 * SECOND}


def test_a_dspam_user_log_names_its_user() -> None:
    record = b"1795374178\tS\tx0@spam.invalid\t6b03\tsubject\tTagged\t<1@x>"
    found = unwrap(record + b"\n\n", "dspam-user-log", {"user": "bob@example.com"})
    accounted(found)
    assert list(found.bodies) == [b"- dspam.user: bob@example.com\t" + record]
    assert found.blank == 1


KINDS = [
    "syslog-bsd", "syslog-iso", "syslog-5424", "journal-json", "journal-export", "docker-json", "cri", "dovecot",
    "rspamd",
    "dspam-system-log", "dspam-user-log", "dspam-debug", "bare",
]  # fmt: skip
PIECES = [*(case[0] for case in (*CLOCKED.values(), *TIMED.values())), *NOT_DECODED, b"\n", b"\r\n", b"\0", b" ", b"\t"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=40)), max_size=30), st.sampled_from(KINDS))
def test_any_bytes_are_taken(pieces: list[bytes], kind: str) -> None:
    accounted(unwrap(b"\n".join(pieces), kind, {}))
    accounted(unwrap(b"".join(pieces), kind, {}))


# Without the parts of free length, which take long to generate.
COMPOSE = rb"(?P<compose>[\w.-]+[ ]*\|[ ]{1,2})?"
SHORTER = re.compile(STAMP.pattern.replace(COMPOSE, rb"(?P<compose>a-1[ ]?\|[ ])?"), re.VERBOSE)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.from_regex(SHORTER, fullmatch=True), min_size=1, max_size=6))
def test_columns_and_single_lines_are_read_alike(stamps: list[bytes]) -> None:
    rows = [stamp + b"." * 90 for stamp in stamps if b"\n" not in stamp and stamp.isascii()]
    for line in rows:
        found = STAMP.match(line)
        assert found
        layout = Layout.of(found)
        data = np.frombuffer(b"\n".join(rows), np.uint8)
        starts = np.cumsum([0, *(len(row) + 1 for row in rows)])[:-1]
        fits, time, clock, year, offset = layout.read(data, starts)
        for i, row in enumerate(rows):
            other = STAMP.match(row)
            assert other
            if fits[i]:
                assert moment(other) == (time[i], clock[i], year[i], offset[i])
        assert fits[rows.index(line)] == (moment(found) is not None)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("syslog-bsd", CLOCKED["PRI"][0]),
        ("syslog-iso", TIMED["rsyslog, microseconds"][0]),
        ("syslog-5424", TIMED["RFC 5424"][0]),
        ("journal-short-unix", TIMED["journalctl short-unix"][0]),
        ("docker-compose", CLOCKED["docker compose"][0]),
        ("dovecot", CLOCKED["dovecot's own file"][0]),
        ("rspamd", CLOCKED["rspamd's own file"][0]),
        ("rspamd-json", TIMED["rspamd as JSON"][0]),
        ("spamd", CLOCKED["spamd's own file"][0]),
        ("dspam-debug", CLOCKED["dspam.debug"][0]),
        ("dspam-system-log", b"1795374178\tC\tx0@x\t\tPrince\t0.010189\tglobaluser\t\t<1@x>"),
        ("dspam-user-log", b"1795374178\tC\tx0@x\t\tPrince\tDelivered\t<1@x>"),
        ("cri", b"2026-11-22T19:03:45.5Z stdout F Nov 22 19:03:45 mx1 postfix/qmgr[7]: x"),
        ("docker-json", b'{"log":"x\\n","stream":"stdout","time":"2026-11-22T19:03:45.5Z"}'),
        ("journal-json", b'{"__REALTIME_TIMESTAMP":"1795374225060843","MESSAGE":"x"}'),
        ("bare", b"imap-login: Info: Login: user=<a>"),
        ("text", b"myhostname = mx1.example.com"),
        ("text", b"2026-11-22 19:03:45 startup archives unpack"),
        ("text", b"d\t4096\t2026-11-22T19:13:47.61\t./data"),
        ("mbox", b"From QUARANTINE Sun Nov 22 19:03:45 2026"),
        ("binary", bytes(range(256))),
    ],
)
def test_a_file_is_recognised_by_its_lines(kind: str, line: bytes) -> None:
    assert sniff((line + b"\n") * 3, whole=True) == kind
