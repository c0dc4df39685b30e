"""What a log may hold any number of costs time and memory in proportion: bytes of a line, hosts, instances, sources.

Ratios of this process's processor time, and memory by the byte: never the clock's time, which other programs share.
"""

from __future__ import annotations

import importlib
import re
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyparsing as pp
import pytest

import logscan
from logscan.grammar import formats as grammar
from logscan.grammar.formats import LogFormat, Pattern, compile_program
from logscan.grammar.programs import log_formats, pattern_for
from logscan.grammar.repeats import SOUND
from logscan.reading import whole as reading
from logscan.report import keyed
from logscan.scan.columns import of
from logscan.sources.finding import discover
from logscan.tables import texts

# Python has no public name for the tree of a pattern.
opcodes: Any = importlib.import_module("re._constants")
parser: Any = importlib.import_module("re._parser")
FORMATS = {each.name: each for each in log_formats()}
CLIENT = "NOQUEUE: reject: RCPT from x[192.0.2.1]: 554 "


def test_a_long_text_is_unknown_where_each_round_of_a_repeat_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar, "SOUND", False)
    match = compile_program([FORMATS["postfix-reject-odd"]]).match
    text = CLIENT + "; from=<a> to=<b> " * 10
    assert match(text.encode())
    assert match((text * 1_000).encode()) is None


def elements(element: pp.ParserElement) -> Iterator[pp.ParserElement]:
    yield element
    inner = getattr(element, "exprs", None) or [getattr(element, "expr", None)]
    for each in inner:
        if each is not None:
            yield from elements(each)


def goes_back(pattern: Any) -> Iterator[int]:
    """Yield the bound of each repeat of more than one character that may give back what it took: a frame a repeat."""
    for operation, value in pattern:
        if operation in (opcodes.MAX_REPEAT, opcodes.MIN_REPEAT, opcodes.POSSESSIVE_REPEAT):
            _, most, body = value
            single = len(body) == 1 and body[0][0] in (opcodes.LITERAL, opcodes.NOT_LITERAL, opcodes.IN, opcodes.ANY)
            if operation is not opcodes.POSSESSIVE_REPEAT and not single:
                yield int(most)
            yield from goes_back(body)
        elif operation is opcodes.BRANCH:
            for each in value[1]:
                yield from goes_back(each)
        elif operation in (opcodes.SUBPATTERN, opcodes.ASSERT, opcodes.ASSERT_NOT):
            yield from goes_back(value[-1])
        elif operation is opcodes.ATOMIC_GROUP:
            yield from goes_back(value)


@pytest.mark.parametrize("name", FORMATS)
def test_no_grammar_repeats_a_group_that_may_be_given_back(name: str) -> None:
    """Such a repeat costs Python kilobytes a byte of the line, 2.6 GB for a line of 1 MB."""
    for element in elements(FORMATS[name].line):
        if isinstance(element, pp.Regex):
            assert all(most <= 100 for most in goes_back(parser.parse(str(element.pattern)))), element.pattern


def used(match: Callable[[bytes], Any], text: bytes) -> tuple[float, int]:
    """Return seconds and bytes that matching takes."""
    before = time.thread_time()
    match(text)
    seconds = time.thread_time() - before
    tracemalloc.start()
    try:
        match(text)
        return seconds, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not SOUND, reason="this Python keeps each round of a repeat")
@pytest.mark.parametrize("size", [64_000, 1_000_000])
@pytest.mark.parametrize(
    "piece", ["; from=<a> to=<b> ", "; from=<a> helo=<b> ", " helo=<b", "; ", ": ", "<", '"', "; proto=x"]
)
def test_a_refusal_of_any_length_takes_memory_by_the_byte(piece: str, size: int) -> None:
    text = (CLIENT + piece * (size // len(piece))).encode()
    assert used(pattern_for("/smtpd").match, text)[1] < 4 * size + 100_000


PIECE = re.compile(r"[;,:]? [A-Za-z_-]+[=:]<?[^ ;,]*|[\[\]()<>\"':;,]+ ?[A-Za-z<]?")
LONG = 8_000
SLOW = 0.006
"""Seconds for that many bytes, from which it is looked whether twice as many take twice as long."""


def least(match: Callable[[bytes], Any], text: bytes) -> float:
    return min(used(match, text)[0] for _ in range(3))


@pytest.mark.skipif(not SOUND, reason="this Python keeps each round of a repeat")
@pytest.mark.parametrize("name", FORMATS)
def test_a_line_of_its_own_delimiters_costs_no_more_than_its_length(name: str) -> None:
    """Each piece of a sample, repeated where it stands."""
    fmt: LogFormat = FORMATS[name]
    for program in fmt.programs[:2]:
        pattern: Pattern = pattern_for(program)
        for sample in fmt.samples[:3]:
            for piece in dict.fromkeys(PIECE.findall(sample.text)):
                at = sample.text.index(piece) + len(piece)
                one, two = (
                    (sample.text[:at] + piece * (count // len(piece)) + sample.text[at:]).encode()
                    for count in (LONG, 4 * LONG)
                )
                seconds, memory = used(pattern.match, one)
                assert memory < 16 * LONG + 100_000, piece
                if seconds > SLOW:
                    assert least(pattern.match, two) < 10 * least(pattern.match, one), piece


@pytest.mark.skipif(not SOUND, reason="this Python keeps each round of a repeat")
def test_the_last_place_before_a_word_is_found_in_memory_by_the_byte() -> None:
    line = "auth: sql(x,y" + ",1" * 20_000 + ",192.0.2.9): unknown user (given password: x)"
    assert used(pattern_for("dovecot").match, line.encode())[1] < 16 * len(line)
    assert compile_program([FORMATS["dovecot-auth"]]).match(line.encode())


MAIL = """\
postfix/smtpd[{pid}]: {id:X}: client=x.example.net[203.0.113.9]
postfix/cleanup[{pid}]: {id:X}: message-id=<{id}@x.net>
postfix/qmgr[99]: {id:X}: from=<a@x.net>, size=1000, nrcpt=1 (queue active)
postfix/lmtp[{pid}]: {id:X}: to=<u@example.com>, relay={host}.example.com[private/dovecot-lmtp], delay=0.1, \
delays=0/0/0/0.1, dsn=2.0.0, status=sent (250 2.0.0 <u@example.com> abc Saved)
postfix/qmgr[99]: {id:X}: removed
""".splitlines()


def mails(count: int, change: Callable[[int, str], str]) -> list[str]:
    out = []
    for n in range(count):
        names = {"id": 0xABCDE00000 + n, "pid": 100 + n % 50, "host": f"h{n}"}
        out += [f"Nov 22 18:{n // 60 % 60:02}:{n % 60:02} {change(n, line.format(**names))}" for line in MAIL]
    return out


KINDS: dict[str, Callable[[int, str], str]] = {
    "hosts": lambda n, line: f"h{n} {line}",
    "instances": lambda n, line: f"mx {line.replace('postfix/', f'postfix-{n}/', 1)}",
    "a service of its own name on each host": lambda n, line: f"h{n} {line.replace('postfix/smtpd', 'in/smtpd', 1)}",
    "services": lambda n, line: f"mx {line.replace('postfix/smtpd', f'postfix/s{n}/smtpd', 1)}",
    "relays": lambda n, line: f"mx {line.replace('private/dovecot-lmtp', f'198.51.100.{n % 250}')}",
}


@pytest.mark.parametrize("kind", KINDS)
def test_twice_as_many_names_take_twice_as_long(kind: str, tmp_path: Path) -> None:
    seconds = []
    for count in (10, 1_500, 6_000):  # the first for what is made once
        path = tmp_path / f"mail{count}.log"
        path.write_text("\n".join(mails(count, KINDS[kind])) + "\n", "utf-8")
        took = []
        for _ in range(2):  # the machine may have been busy with others' work the first time
            before = time.process_time()
            logscan.read(path, jobs=1, year=2026)
            took.append(time.process_time() - before)
        seconds.append(min(took))
    assert seconds[2] < 7 * seconds[1], "four times as many: sixteen times as long would be each with each"


def test_twice_as_many_files_take_twice_as_long(tmp_path: Path) -> None:
    seconds = []
    for count in (20, 60, 240):  # the first for what is made once
        folder = tmp_path / str(count)
        folder.mkdir()
        for number, line in enumerate(mails(count // 5, KINDS["hosts"])):
            (folder / f"mail{number}.log").write_text(f"{line}\n", "utf-8")
        before = time.process_time()
        read = reading.read_sources(discover([str(folder)]).sources, jobs=1)
        seconds.append(time.process_time() - before)
        assert len(read.sources) == count
    assert seconds[2] < 7 * seconds[1]


def test_percentiles_by_group_are_numpys_within_one_percent() -> None:
    random = np.random.default_rng(1)
    words = pd.Series(random.choice(["a", "b", "c"], 500), dtype="str")
    seconds = np.append(random.integers(0, 2_000, 499) / 1000, 9.0)
    counted = keyed.spread((of(words),), ("word",), seconds).frame
    among = pd.DataFrame({"word": pd.Series(["a", "b", "c"], dtype="str")})
    for share in (50, 90, 100):
        found = keyed.percentiles(counted, ("word",), among, share)
        exact = [np.percentile(seconds[words == word], share) for word in "abc"]
        assert found == pytest.approx(exact, rel=0.0101, abs=0.006)


def test_what_is_among_others_is_found_without_missing_values() -> None:
    column, wanted = pd.Series(["a", None, "b"], dtype="str"), pd.Series(["b", None], dtype="str")
    assert texts.among(column, wanted).tolist() == [False, False, True]
    assert texts.among(column, wanted[:0]).tolist() == [False] * 3
    assert texts.among(column.astype("category"), wanted).tolist() == [False, False, True]
