"""Envelopes taken off in C: whatever a chunk holds, bodies, times and counts are those that Python finds."""

from __future__ import annotations

import random
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from logscan.envelopes import bodies as bodies_of
from logscan.envelopes import unwrapping
from logscan.envelopes.bodies import divided
from logscan.envelopes.lines import Lines
from logscan.envelopes.rows import WIDE
from logscan.machine import envelopes as machine
from logscan.machine.library import LIBRARY
from logscan.matching import walking
from logscan.reading import tabling
from logscan.reading.parsing import parse
from logscan.samples import story

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="the compiled part isn't here")

STAMPS = (
    b"Nov  8 06:25:01 ", b"Nov 08 06:25:01 ", b"Nov 8 06:25:01 ", b"Nov  8  06:25:01 ", b"Nov  8 06:25:01  ",
    b"Nov  8 06:25:01", b"Feb 29 23:59:60 ", b"Feb 30 00:00:00 ", b"Apr 31 00:00:00 ", b"Dec 31 24:00:00 ",
    b"Jan  0 00:00:00 ", b"Jan  1 00:60:00 ", b"Jan 1: 00:00:00 ", b"Jun /9 00:00:00 ", b"Jun 41 00:00:00 ",
    b"jun  1 00:00:00 ", b"Jxn  1 00:00:00 ", b"Jan\t 1 00:00:00 ", b"Jan  1 00:00:00\t", b"Jan  1 0a:00:00 ",
    b"Jan  1 00-00-00 ", b"Nov  8 06:25:01.123 ", b"Nov  8 2026 06:25:01 ", b"Fri Nov  8 06:25:01 ", b"2026-11-08T06:25:01 ",
    b"2026-11-08 06:25:01 ", b"2026-11-08T06:25:01Z ", b"2026-11-08T06:25:01z ", b"2026-11-08T06:25:01.123456+01:00 ",
    b"2026-11-08T06:25:01,5-0330 ", b"2026-11-08T06:25:01.123456789Z ", b"2026-11-08T06:25:01.1234567890Z ",
    b"2026-11-08T06:25:01.Z ", b"2026-11-08 06:25:01 +0100 ", b"2026-11-08 06:25:01 -x ", b"2026-11-08T06:25:01+99:99 ",
    b"2026-11-08T06:25:01+1:00 ", b"2026-11-08T06:25:01+01:00", b"2026-11-08T06:25:01+0100\t", b"2024-02-29T00:00:00Z ",
    b"2026-02-29T00:00:00Z ", b"2100-02-29T00:00:00Z ", b"2000-03-01T00:00:00Z ", b"1969-12-31T23:59:59Z ",
    b"1970-01-01T00:00:00+14:00 ", b"2261-12-31T23:59:60-14:00 ", b"2262-01-01T00:00:00Z ", b"0000-00-00T00:00:00Z ",
    b"9999-99-99T99:99:99Z ", b"2026-13-01T00:00:00Z ", b"2026-11-31T00:00:00Z ", b"2026/11/08T06:25:01Z ",
    b"2026-11-08t06:25:01Z ", b"2026-11-08T06:25:01.5 CET ", b"2026-11-08T06:25:01Z  ", b"1762583101.123456 ",
    b"<22>Nov  8 06:25:01 ", b"<22>1 2026-11-08T06:25:01Z ", b"<22>1 2026-11-08T06:25:01.123+01:00 ",
    b"@400000005f0f0f0f00000000 ", b"", b"web-1  | Nov  8 06:25:01 ", b"-- Boot ", b"{", b"12345678901234567890 ",
)  # fmt: skip
BODIES = (
    b"mx1 postfix/qmgr[7]: 4A97F54A7D9: removed", b"mx1 postfix/qmgr[8]: x", b"mx2 dovecot: imap(a): y", b"mx1 t: ",
    b"mx1 t:", b"", b"mx1  postfix/qmgr[7]: x", b" mx1 t[1]: x", b"mx1 last message repeated 2 times", b"mx1 a b[1]: x",
    b"mx1 a[1 2]: x", b"mx1 a[", b"mx1 a[12]]: x", b"mx1 a[]: x", b"mx1 [5]: x", b"mx1 : x", b"mx1 a[1234567890123456789]: x",
    b"mx1 a[123456789012345678]: x", b"mx1 a[x]: x", b"mx1 a[-1]: x", b"postfix/qmgr[7]: x", b"dovecot: x",
    b"#7(main) x; y: z", b"mx1: a: b", b": a b: c", b"a: b c: d", b"mx1 a::b[1]: x", b"mx1 a:b: c", b"fe80::1 a[1]: x: y",
    b"mx1 mail.info postfix/qmgr[7]: x", b"mx1 info postfix/qmgr[7]: x", b"mx1 relay postfix/qmgr[7]: x",
    b"mx1 t: [ID 197553 mail.info] x", b"mx1 t: Nov  8 06:25:02 mx3 u[1]: x", b"mx1 t: Jan 1 00:00:00",
    b"mx1 t[3]: 2026-11-08T06:25:02Z mx3 u[1]: x", b"mx1 t: 2026-11-08 06:25:02 mx3 u[1]: x", b"mx1 deliver(bob): x",
    b"mx1 deliver(bob smith): x", b"mx1 deliver(bob)[1]: x", b"mx1 postfix.service: x", b"mx1 postfix@-.service[7]: x: y",
    b"[info] mx1 t[1]: x", b"info mx1 t: x", b"<mail.info> mx1 t: x", b"(x) t: y", b"Info: imap-login: x",
    b"imap-login: Info: x", b"Nov  8 06:25:02 mx1 t[1]: x", b"2026-11-08T06:25:02Z mx1 t[1]: x", b"mx1 - - - - x",
    b"mx1 app 7 - - x", b"mx1 app - ID [a b=\"]\"] x", b"mx1\tt[1]: x", b"mx1 t\t[1]: x", b"mx1 t\v: [ID 1 a.b] x",
    b"m\xffx t\xfe[1]: \xff", b"mx1 t[1]: x\r", b"mx1 t[1]: \x00", b"\x1b[1mmx1\x1b[0m t: x", b"mx1 t[1]: " + b"y" * 70_000,
    b"y" * 70_000, b"mx1 amavis[1]: (1-2) a...", b"mx1 amavis[1]: (1-2) ...b", b"\xef\xbb\xbfmx1 t: x",
    b"mx1 t[1]: message repeated 2 times: [ x]", b"mx1  t[1]: message repeated 2 times: [ x]", b"mx1 t[1]: x: message repeated ",
    b"m[1 t[1]: x", b"[x1 t[1]: x", b"m[1] t: x",
)  # fmt: skip
ENDS = (
    b"",
    b"",
    b" ",
    b"\t \r",
    b" " * 9,
    *WIDE,
    b"\xa0",
    b"a\xa0",
    b"\xc2\xa0\xe3\x80\x80 ",
    b"\x80",
    b"\xe2\x80",
    b"\xe2\x80\xb0",
    b"\xc2",
    b"\x85",
)

TAGGED = re.compile(rb"[^ \[]+ [^ \[]+(?:\[|\Z)")
LINES = st.builds(
    lambda *parts: b"".join(parts), st.sampled_from(STAMPS), st.sampled_from(BODIES), st.sampled_from(ENDS)
)
HOSTILE = st.one_of(
    LINES,
    LINES,
    LINES,
    st.binary(max_size=30),
    st.builds(lambda s, b: s + b, st.sampled_from(STAMPS), st.binary(max_size=20)),
)
KINDS = st.sampled_from(("syslog", "syslog", "dovecot", "journal-cat", "stdin"))


def pure(chunk: bytes, kind: str) -> Lines:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unwrapping, "LIBRARY", None)
        return unwrapping.unwrap(chunk, kind, {})


def agree(chunk: bytes, kind: str = "syslog") -> Lines:
    """Look that both say the same, and that what is told of tags is so."""
    found, want = unwrapping.unwrap(chunk, kind, {}), pure(chunk, kind)
    assert list(found.bodies) == list(want.bodies)
    for name in ("number", "time", "clock", "turn"):
        mine, theirs = getattr(found, name), getattr(want, name)
        assert mine.dtype == theirs.dtype
        assert mine.tolist() == theirs.tolist(), name
    for name in ("lines", "kind", "undecodable", "lost", "blank", "year", "offsets"):
        assert getattr(found, name) == getattr(want, name), name
    assert want.bodies.tags is None
    tags = found.bodies.tags
    assert tags is not None
    texts = [divided(body)[1] for body in found.bodies]
    assert found.bodies.may_repeat() or not any(text.startswith(b"message repeated ") for text in texts)
    for at, body in enumerate(found.bodies):
        if at in found.bodies.changed:
            continue
        whole, colon, _ = body.partition(b": ")
        tag, behind = int(tags.tag[at]), int(tags.behind[at])
        assert (tag >= 0) == bool(colon and TAGGED.match(whole))
        if not tags.inner[at]:
            assert bodies_of.INNER.match(body) is None
        if tag < 0:
            assert (behind, tags.inner[at]) == (-1, True)
            continue
        first = int(tags.first[tag])
        text = found.bodies.chunk
        assert text[first : first + int(tags.length[tag])] == whole == divided(body)[0]
        assert behind == found.bodies.starts[at] + len(whole)
        program, bracket, pid = whole.partition(b"[")
        pid = pid.partition(b"]")[0]
        assert tags.names[tags.name[tag]] == program
        plain = re.fullmatch(rb"[0-9]{1,18}", pid)
        assert tags.pid[tag] == (int(pid) if plain else -2 if bracket and pid else -1)
    assert len(set(tags.names)) == len(tags.names)
    return found


@settings(max_examples=300, deadline=None)
@given(lines=st.lists(HOSTILE, max_size=12), kind=KINDS, last=st.booleans())
@example(lines=[], kind="syslog", last=True)
@example(lines=[b"", b"", b""], kind="syslog", last=False)
def test_whatever_lines_there_are(lines: list[bytes], kind: str, last: bool) -> None:
    agree(b"\n".join(lines) + b"\n" * last, kind)


@pytest.mark.parametrize("stamp", STAMPS)
def test_each_stamp_alone_and_among_common_ones(stamp: bytes) -> None:
    for body in BODIES:
        agree(stamp + body)
    agree(b"".join(each + b"mx1 t[1]: x\n" for each in (STAMPS[0], stamp, STAMPS[24], stamp)))


@pytest.mark.parametrize("end", ENDS)
def test_each_end_of_a_line(end: bytes) -> None:
    for line in (b"Nov  8 06:25:01 mx1 t: x", b"Nov  8 06:25:01 ", b"", b"\xe2\x80"):
        agree(line + end + b"\n" + line + end)


def everything(chunk: bytes) -> dict[str, Any]:
    """Return all that a chunk becomes, but for the order in which heads were numbered."""
    parsed = parse(chunk, "syslog")
    out: dict[str, Any] = {
        name: getattr(parsed, name) for name in ("lines", "understood", "noise", "unknown", "undecodable")
    }
    for name, table in parsed.tables.items():
        rows = table.to_pylist()
        for row in rows:
            row["head"] = parsed.heads[row["head"]]
        out[name] = [{key: value for key, value in row.items() if value is not None} for row in rows]
    return out | {"programs": parsed.programs, "formats": parsed.formats, "templates": parsed.templates}


@pytest.mark.parametrize("seed", range(6))
def test_a_log_that_is_torn_and_sprinkled_becomes_the_same(seed: int) -> None:
    dice = random.Random(seed)
    log = bytearray((story("mixed-day") / "mail.log").read_bytes()[:150_000])
    for _ in range(300 * 3**seed // 9):
        log[dice.randrange(len(log))] = dice.choice(b"\n\n\0\xff :[]<>Z9-\r\xa0\x80.'\"=")
    mine = everything(bytes(log))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unwrapping, "LIBRARY", None)
        patch.setattr(tabling, "LIBRARY", None)
        patch.setattr(walking, "AVAILABLE", False)
        theirs = everything(bytes(log))
    assert mine == theirs


def test_common_lines_are_read_in_c() -> None:
    lines = [
        b"Nov  8 06:25:01 mx1 t[1]: x",
        b"2026-11-08T06:25:01.123456+01:00 mx1 t[1]: x",
        b"2026-11-08 06:25:01 mx1 t: x",
    ]
    chunk = b"\n".join(lines)
    starts, ends = machine.lines(chunk)
    stamps = machine.stamps(chunk, starts, ends)
    assert (stamps.width.tolist(), stamps.left) == ([16, 33, 20], 0)


def test_many_short_lines_and_many_tags() -> None:
    found = agree(
        b"\n" * 5000 + b"".join(b"Nov  8 06:25:01 h%d t%d[%d]: x\n" % (n % 7, n % 11, n) for n in range(3000))
    )
    assert found.bodies.tags is not None
    assert (len(found.bodies.tags.first), len(found.bodies.tags.names)) == (3000, 77)


@pytest.mark.parametrize(("text", "repeats"), [(b"message repeated 2 times: [x]", 1), (b"message repeats", 0)])
def test_whether_a_message_was_repeated_is_told_with_the_tags(text: bytes, repeats: int) -> None:
    found = agree(b"Nov  8 06:25:01 mx1 t[1]: x\nNov  8 06:25:01 mx1 t[1]: " + text)
    assert found.bodies.tags is not None
    assert found.bodies.tags.repeats == found.bodies.may_repeat() == repeats


def test_years_turn_the_same() -> None:
    stamps = (
        b"Dec 31 23:59:59 ",
        b"Jan  1 00:00:00 ",
        b"Dec 31 23:59:58 ",
        b"Jul  1 00:00:00 ",
        b"2027-01-01 00:00:00 ",
        b"Jan  2 00:00:00 ",
    )
    for count in range(1, len(stamps) + 1):
        agree(b"\n".join(each + b"mx1 t[1]: x" for each in stamps[:count]))


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (3, 2), (0, 4)])
def test_a_line_outside_its_chunk_is_refused(start: int, end: int) -> None:
    starts, ends = np.array([start]), np.array([end])
    with pytest.raises(ValueError, match="in its chunk"):
        machine.stamps(b"abc", starts, ends)
    with pytest.raises(ValueError, match="in its chunk"):
        machine.tags(b"abc", starts, ends, np.ones(1, np.bool_))
