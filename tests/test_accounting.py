"""Any bytes in: nothing is raised, and each line is counted once, as understood, noise, unknown or without an envelope."""

from __future__ import annotations

import functools
import json
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import logscan
from logscan.grammar.programs import log_formats
from logscan.pipeline.running import render
from logscan.samples import story
from logscan.scan.scan import Scan

LINES = 60
"""Lines of a genuine log that are mutated at once."""

FEW = settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
"""Analysing takes half a second whatever there is: few examples, each of several files, and no search for smaller ones."""


def accounted(scan: Scan) -> Any:
    """Analyse and render; check that the counts add up everywhere; return the JSON document."""
    report = logscan.analyse(scan)
    text = render(report, "text")
    page = render(report, "json")
    assert isinstance(text, str)
    assert isinstance(page, str)
    document = json.loads(page)
    assert [each["path"] for each in document["sources"]] == [each.label for each in scan.sources]
    for told, each in zip(document["sources"], scan.sources, strict=True):
        counts = (each.understood, each.noise, each.unknown, each.undecodable)
        assert each.lines == sum(counts), (each.label, each.lines, counts)
        assert min(counts) >= 0
        assert 0 <= each.copies <= each.lines
        for name in ("lines", "understood", "noise", "unknown", "undecodable", "copies"):
            assert told[name] == getattr(each, name), name
    by_program = scan.read.programs.values()
    total = [sum(counts[n] for counts in by_program) for n in range(3)]
    assert total[0] == sum(each.understood for each in scan.sources)
    assert total[2] == sum(each.unknown for each in scan.sources)
    assert sum(count for count, *_ in scan.read.templates.values()) == total[2]
    assert total[1] <= sum(each.noise for each in scan.sources), "blank lines are noise of no program"
    return document


def newlines(data: bytes) -> int:
    """Return the number of lines, the last one perhaps without its end."""
    data = data.replace(b"\0", b"")
    return data.count(b"\n") + (not data.endswith(b"\n") and bool(data))


def read(*contents: tuple[str, bytes], **options: Any) -> Scan:
    """Read files of that content; without a header that says so, they are logs by their names."""
    folder = Path(tempfile.mkdtemp(prefix="logscan-test-"))
    try:
        for name, data in contents:
            (folder / name).write_bytes(data)
        scan = logscan.read(*(folder / name for name, _ in contents), jobs=1, **options)
        accounted(scan)
        return scan
    finally:
        shutil.rmtree(folder)


# -- arbitrary bytes -------------------------------------------------------------------------------------------------


@FEW
@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=8))
def test_any_bytes(files: list[bytes]) -> None:
    read(*((f"{n}.log", data) for n, data in enumerate(files)))


HEADS = (
    b"Nov 22 19:03:45 mx1 postfix/qmgr[7]: 4A97F54A7D9: removed\n",
    b"2026-11-22T19:03:45.123456+00:00 mx1 postfix/smtpd[7]: 4A97F54A7D9: client=a[192.0.2.1]\n",
    b"<22>1 2026-11-22T19:03:45Z mx1 postfix/qmgr 7 - - 4A97F54A7D9: removed\n",
    b"1795374178\tC\tx0@spam.invalid\t\tPrince\t0.010189\tbob\t\t<1@x>\n",
    b'{"__REALTIME_TIMESTAMP":"1795374225000000","_HOSTNAME":"mx1","SYSLOG_IDENTIFIER":"postfix/qmgr","MESSAGE":"x"}\n',
    b'{"log":"Nov 22 19:03:45 mx1 postfix/qmgr[7]: 4A97F54A7D9: removed\\n","stream":"stdout","time":"2026-11-22T19:03:45Z"}\n',
    b"2026-11-22T19:03:45.123456789Z stdout F Nov 22 19:03:45 mx1 postfix/qmgr[7]: 4A97F54A7D9: removed\n",
    b"__CURSOR=x\n__REALTIME_TIMESTAMP=1795374225000000\nSYSLOG_IDENTIFIER=postfix/qmgr\nMESSAGE=4A97F54A7D9: removed\n\n",
    b"mail-1  | Nov 22 19:03:45 mx1 postfix/qmgr[7]: 4A97F54A7D9: removed\n",
    b"Nov 22 19:03:45 lmtp(bob@example.com)<12><aB/c>: Info: msgid=<1@x>: saved mail to INBOX\n",
    b"126: [11/22/2026 19:13:47] pass-thru: \n",
    b"2026-11-22 19:03:45 #7664(main) <xb1xtb>; cfg; rspamd_init: digest: 458\n",
)
"""A line of each sort of log, by which a file is recognised."""


@FEW
@given(
    st.lists(st.lists(st.binary(max_size=60), max_size=12), min_size=len(HEADS), max_size=len(HEADS)),
    st.sampled_from([b"\n", b"\r\n", b"\0", b""]),
)
def test_any_bytes_behind_a_line_that_is_a_log(files: list[list[bytes]], between: bytes) -> None:
    data = [head * 3 + between.join(pieces) for head, pieces in zip(HEADS, files, strict=True)]
    scan = read(*((f"{n}.log", each) for n, each in enumerate(data)))
    for each in scan.sources:
        if each.kind != "journal-export":
            assert each.lines == newlines(data[int(each.label.removesuffix(".log"))])


# -- genuine lines, broken --------------------------------------------------------------------------------------------


@functools.cache
def genuine(name: str, file: str) -> tuple[bytes, ...]:
    """Return some lines of a log, from its whole length, the order kept."""
    lines = (story(name) / file).read_bytes().splitlines()
    chosen = sorted(random.Random(5).sample(range(len(lines)), min(len(lines), 400)))
    return tuple(lines[at] for at in chosen)


LOGS = (
    ("mixed-day", "mail.log"),
    ("training-user-without-domain-debug", "mail.log"),
    ("amavis-double-alias-expansion", "mail.log"),
    ("rspamd-outgoing-tagged-spam", "rspamd.log"),
)

Mutation = Callable[[bytes, int], bytes]

MUTATIONS: dict[str, Mutation] = {
    "cut": lambda line, at: line[: at % (len(line) + 1)],
    "head lost": lambda line, at: line[at % (len(line) + 1) :],
    "a byte lost": lambda line, at: line[: at % (len(line) + 1)] + line[at % (len(line) + 1) + 1 :],
    "NUL": lambda line, at: line[: at % (len(line) + 1)] + b"\0" * (at % 40) + line[at % (len(line) + 1) :],
    "no UTF-8": lambda line, at: line[: at % (len(line) + 1)] + b"\xff\xfe\xc3(" + line[at % (len(line) + 1) :],
    "CR": lambda line, at: line + b"\r",
    "3000 bytes": lambda line, at: line[: at % (len(line) + 1)] + b"x<>[]:, =" * 350 + line[at % (len(line) + 1) :],
    "newline within": lambda line, at: line[: at % (len(line) + 1)] + b"\n" + line[at % (len(line) + 1) :],
    "twice in a line": lambda line, at: line + line,
    "another digit": lambda line, at: line.replace(b"%d" % (at % 10), b"%d" % (at // 10 % 10)),
    "repeated": lambda line, at: line.replace(b"]: ", b"]: message repeated %d times: [ " % at, 1) + b"]",
    "number too large": lambda line, at: line.replace(b"=1", b"=" + b"9" * (at % 60)),
    "time that isn't": lambda line, at: line.replace(b":", b":9", 1),
    "empty": lambda line, at: b" " * (at % 3),
}

BROKEN = st.lists(
    st.tuples(st.integers(0, LINES - 1), st.sampled_from(sorted(MUTATIONS)), st.integers(0, 400)), max_size=40
)


def broken(name: str, file: str, start: int, cuts: list[tuple[int, str, int]]) -> list[bytes]:
    """Return :data:`LINES` lines of a genuine log from ``start`` on, some of them mutated."""
    lines = list(genuine(name, file))
    some = lines[start % len(lines) :][:LINES]
    for at, mutation, place in cuts:
        if some:
            some[at % len(some)] = MUTATIONS[mutation](some[at % len(some)], place)
    return some


@FEW
@given(st.integers(0, 10_000), st.lists(BROKEN, min_size=len(LOGS), max_size=len(LOGS)), st.booleans())
def test_broken_lines_of_genuine_logs(start: int, files: list[list[tuple[int, str, int]]], ended: bool) -> None:
    data = [b"\n".join(broken(*log, start, cuts)) + b"\n" * ended for log, cuts in zip(LOGS, files, strict=True)]
    scan = read(*((f"{n}.log", each) for n, each in enumerate(data)))
    for each in scan.sources:
        assert each.lines == newlines(data[int(each.label.removesuffix(".log"))])


@FEW
@given(st.integers(0, 10_000), BROKEN, BROKEN)
def test_two_copies_broken_in_different_places(
    start: int, left: list[tuple[int, str, int]], right: list[tuple[int, str, int]]
) -> None:
    one, two = (b"\n".join(broken(*LOGS[0], start, cuts)) for cuts in (left, right))
    scan = read(("mail.log", one), ("syslog", two), ("main.cf", two[:500]))
    assert min((each.copies for each in scan.sources), default=0) == 0, "one of the copies is kept whole"


SAMPLES = [
    (program.replace("/*", "/smtp"), sample.text)
    for fmt in log_formats()
    for program in fmt.programs[:1]
    for sample in fmt.samples
]


@FEW
@given(
    st.lists(st.tuples(st.sampled_from(SAMPLES), st.sampled_from(sorted(MUTATIONS)), st.integers(0, 400)), max_size=60)
)
def test_broken_samples_of_every_format(chosen: list[tuple[tuple[str, str], str, int]]) -> None:
    lines = []
    for (program, text), mutation, place in chosen:
        tag = f"postfix{program}[7]" if program.startswith("/") else program
        line = f"Nov 22 19:03:45 mx1 {tag}: {text}".encode("utf-8", "backslashreplace")
        lines.append(MUTATIONS[mutation](line, place))
    read(("mail.log", HEADS[0] + b"\n".join(lines)))


LINES_OF_SAMPLES = [
    f"Nov 22 19:03:45 mx1 {f'postfix{program}[7]' if program.startswith('/') else program}: {text}".encode()
    for program, text in SAMPLES
    if "\n" not in text
]


@pytest.mark.parametrize(("most", "step"), [(1, 60), (7, 90), (60, 120), (len(LINES_OF_SAMPLES), 10_000)])
def test_samples_of_formats_make_a_log(most: int, step: int) -> None:
    """Every format's row goes through every later stage, some of them alone and with a few others."""
    for at in range(0, len(LINES_OF_SAMPLES), step):
        some = LINES_OF_SAMPLES[at : at + most]
        scan = read(("mail.log", b"\n".join(some) + b"\n"))
        assert (scan.sources[0].lines, scan.sources[0].undecodable) == (len(some), 0)
