"""The log formats: each sample gives its fields, and only its own format claims it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.grammar.atoms import LONG_DIGITS
from logscan.grammar.formats import LogFormat, Pattern, Sample, compile_program, formats_for, parse_slowly
from logscan.grammar.programs import log_formats, pattern_for
from logscan.reading.tags import resolve
from logscan.tables.schema import COMMON, EVENTS

FORMATS: tuple[LogFormat, ...] = log_formats()
BY_NAME = {each.name: each for each in FORMATS}
SAMPLES = [(fmt, sample) for fmt in FORMATS for sample in fmt.samples]
IDS = [f"{fmt.name}-{fmt.samples.index(sample)}" for fmt, sample in SAMPLES]
ANY_POSTFIX = "/pipe"
"""Stands for ``/*``: a Postfix daemon with no formats of its own."""


def programs(fmt: LogFormat) -> list[str]:
    return [ANY_POSTFIX if each == "/*" else each for each in fmt.programs]


PROGRAMS = sorted({program for fmt in FORMATS for program in programs(fmt)})


@cache
def pattern(program: str) -> Pattern:
    return compile_program(formats_for(program, FORMATS))


@cache
def own(name: str) -> Pattern:
    return compile_program([BY_NAME[name]])


def quickly(compiled: Pattern, text: str) -> tuple[str, dict[str, str]] | None:
    found = compiled.match(text.encode("latin-1"))
    if found is None:
        return None
    shape = compiled.shapes[found.lastindex or 0]
    fields = {name: found[group] for name, group in zip(shape.fields, shape.groups, strict=True)}
    return shape.format.name, {name: value.decode("latin-1") for name, value in fields.items() if value is not None}


def slowly(program: str, text: str) -> tuple[str, dict[str, str]] | None:
    for fmt in formats_for(program, FORMATS):
        for _, fields in parse_slowly(fmt, text):
            return fmt.name, fields
    return None


@pytest.mark.parametrize(("fmt", "sample"), SAMPLES, ids=IDS)
class TestSample:
    def test_gives_its_fields_through_the_compiled_pattern(self, fmt: LogFormat, sample: Sample) -> None:
        for program in programs(fmt):
            assert quickly(pattern(program), sample.text) == (fmt.name, dict(sample.fields))

    def test_gives_its_fields_through_pyparsing(self, fmt: LogFormat, sample: Sample) -> None:
        _, fields = next(iter(parse_slowly(fmt, sample.text)))
        assert fields == dict(sample.fields)

    def test_is_claimed_by_no_other_format(self, fmt: LogFormat, sample: Sample) -> None:
        """A format that catches what is left over (its weight is below zero) may claim it too; it comes later."""
        rivals = {each.name for program in programs(fmt) for each in formats_for(program, FORMATS) if each.weight >= 0}
        for name in rivals - {fmt.name}:
            assert quickly(own(name), sample.text) is None, name


@pytest.mark.parametrize("fmt", FORMATS, ids=[each.name for each in FORMATS])
class TestFormat:
    def test_has_a_sample_of_each_alternative(self, fmt: LogFormat) -> None:
        seen = {next(iter(parse_slowly(fmt, sample.text)))[0] for sample in fmt.samples}
        assert seen == set(range(len(fmt.alternatives())))

    def test_names_columns_of_its_table(self, fmt: LogFormat) -> None:
        columns = {each.name for each in (*COMMON, *(EVENTS[fmt.table].columns if fmt.table else ()))}
        named = {name for shape in own(fmt.name).shapes.values() for name in shape.fields}
        assert named | set(fmt.constants) <= columns
        assert fmt.table or not named | set(fmt.constants), "noise has no fields"
        assert not named & set(fmt.constants)

    def test_says_what_it_is_and_where_it_comes_from(self, fmt: LogFormat) -> None:
        assert fmt.title
        assert fmt.reference
        assert fmt.programs


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(FORMATS)


def test_a_format_of_any_postfix_daemon_is_one_of_a_daemon_nobody_knows() -> None:
    assert formats_for("/nobody", FORMATS) == formats_for(ANY_POSTFIX, FORMATS)
    assert all(each in formats_for("/smtpd", FORMATS) for each in formats_for("/nobody", FORMATS))
    assert formats_for("nobody", FORMATS) == ()


@pytest.mark.parametrize(
    ("program", "text", "fields"),
    [
        # formats.md section 8: what strangers put into a line.
        (
            "/lmtp",
            "7311C554A28: to=<x@example.com>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=4.0.0,"
            " status=deferred"
            " (host said: 450 to=<y>, relay=z, delay=2, status=sent (250 queued as ABCDEF1))",
            {"recipient": "x@example.com", "status": "deferred"},
        ),
        ("/smtp", "7311C554A28: to=<jürgen@example.com>, relay=none, delay=0, status=bounced (x)", {"relay": "none"}),
        (
            "/qmgr",
            "7311C554A28: from=<a, b c>d@example.com>, size=7, nrcpt=1 (queue active)",
            {"sender": "a, b c>d@example.com"},
        ),
        ("/smtpd", "connect from unknown[unknown]", {"client_address": "unknown"}),
        (
            "/smtpd",
            "NOQUEUE: reject: RCPT from x[192.0.2.1]: 450 4.7.1 <h>: Helo command rejected; see https://x/; from=<a>"
            " to=<b@c>; from=<q> to=<r> proto=SMTP helo=<h>",
            {"sender": "q", "recipient": "r"},
        ),
        ("/pipe", "warning: DEADBEEF: x", {"queue_id": "DEADBEEF", "text": "x"}),
        ("/pipe", "warning: FACADE: x", {"text": "FACADE: x"}),
        ("/pipe", "warning: statistics: x", {"text": "statistics: x"}),
    ],
)
def test_awkward_lines(program: str, text: str, fields: dict[str, str]) -> None:
    found = quickly(pattern(program), text)
    assert found is not None
    assert fields.items() <= found[1].items()


@pytest.mark.parametrize(
    ("program", "text", "name"),
    [
        # What looks like an event and is none.
        ("dovecot", "auth: Debug: passwd-file(bob,192.0.2.9,<a>): Performing passdb lookup", "dovecot-other"),
        ("dovecot", "auth: passwd-file(root,::1,master,<a>): Master user logging in as bob", "dovecot-other"),
        ("dovecot", "auth-worker(default): sql(bob,192.0.2.9): query: SELECT password FROM x", "dovecot-other"),
        ("dovecot", "imap-login: ID sent: name=x: user=<>, rip=192.0.2.9, lip=192.0.2.1", "dovecot-other"),
        (
            "dovecot",
            "imap-login: proxy(bob): disconnecting 192.0.2.7 (Disconnected by client): user=<bob>, method=PLAIN,"
            " rip=192.0.2.9, lip=192.0.2.1, session=<a>",
            "dovecot-other",
        ),
        (
            "dovecot",
            "imap-login: Warning: Auth process not responding, delayed sending initial response (greeting): user=<>,"
            " rip=192.0.2.9, lip=192.0.2.1",
            "dovecot-warning-other",
        ),
        ("/smtpd", "smtpd_check_addr: addr=bob@example.com", "postfix-verbose"),
        ("/smtpd", "private/rewrite socket: wanted attribute: flags", "postfix-verbose"),
        ("/trivial-rewrite", "`local' `bob' -> `bob@example.com'", "postfix-verbose"),
        ("/cleanup", "rec_get: type N len 70 data Received: fr", "postfix-verbose"),
        ("/smtp", "0000 16 03 01 00 75 01 00 00|71 03 01 ....u... q..", "postfix-tls-noise"),
        ("/smtpd", "SSL_accept:before/accept initialization", "postfix-tls-noise"),
        ("postfix", "Postfix is using backwards-compatible default settings", "postfix-compatibility"),
    ],
)
def test_what_looks_like_something_else(program: str, text: str, name: str) -> None:
    found = quickly(pattern(program), text)
    assert found is not None
    assert found[0] == name


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("/smtpd", "a sentence that no Postfix daemon writes"),
        ("/cleanup", "4A97F54A7D9: a sentence that no Postfix daemon writes"),
        ("dovecot", "lmtp(bob)<7><a>: sieve: msgid=<a@b>: an action of tomorrow"),
        ("dovecot", "imap-login: Login: a line of tomorrow"),
    ],
)
def test_what_nobody_knows_stays_unknown(program: str, text: str) -> None:
    """Catch-alls go by shape: a new kind of line is shown, where it could matter."""
    assert quickly(pattern(program), text) is None


@pytest.mark.parametrize(
    "word",
    ["statistics", "connect", "disconnect", "warning", "table", "address", "SSL_accept", "lost", "FFFFFF", "12345"],
)
def test_words_are_no_queue_ids(word: str) -> None:
    assert quickly(own("postfix-removed"), f"{word}: removed") is None


@pytest.mark.parametrize(
    "queue_id", ["B441A5445E6", "12345678", "F423F1", "DEADBEEF", "4dhRlh0sf8z9HdB", "3lBYYm2Gwsz4xfg", "zzzzzzzzzzzz1"]
)
def test_queue_ids(queue_id: str) -> None:
    assert quickly(pattern("/qmgr"), f"{queue_id}: removed") == ("postfix-removed", {"queue_id": queue_id})


HOLDS = re.compile(
    r"[Mm]essage-?[Ii][Dd][:=]|msgid=|[;,] id: <|stored mail|saved mail|\bsaid: [45]|refused|rejected|reject: |timed out"
    r"|lost connection|queued as|Logged in: |Login: |certificate verification failed|verify error"
    rf"|\b(?:[0-9A-F]{{9,14}}|[{LONG_DIGITS}z]{{10}}z[{LONG_DIGITS}y]{{3,5}}): "
)
"""A Message-ID, a store, a refusal, a login, a queue ID."""

DEBUG = {"postfix-verbose", "dspam-file-other"}
"""What a program tells for its developers holds everything, and nothing that isn't told elsewhere."""


def test_noise_holds_nothing() -> None:
    for fmt, sample in SAMPLES:
        if fmt.table is None and fmt.name not in DEBUG and "Debug: " not in sample.text:
            assert not HOLDS.search(sample.text), (fmt.name, sample.text)


def test_no_line_of_the_sample_logs_that_says_something_is_noise() -> None:
    seen = 0
    for path in sorted(Path(__file__).parent.parent.glob("sample_logs/*/*.log")):
        for line in path.read_bytes().splitlines():
            whole, _, text = line[16:].partition(b": ")
            head, _, name = whole.partition(b"[")[0].partition(b" ")
            compiled = pattern_for(resolve(head, name.rstrip(b":"))[1])
            found = compiled.match(text)
            if found is not None and found.lastindex:
                fmt = compiled.shapes[found.lastindex].format
                seen += fmt.table is None
                assert (
                    fmt.table or fmt.name in DEBUG or b"Debug: " in text or not HOLDS.search(text.decode("latin-1"))
                ), text
    assert seen or not (Path(__file__).parent.parent / "sample_logs").is_dir()


@pytest.mark.parametrize(
    ("program", "text", "table"),
    [
        ("/smtp", "8828C54A70D: host mx[203.0.113.2] said: 450 4.2.0 Greylisted (in reply to RCPT TO command)", "sessions"),
        ("/smtp", "8828C54A70D: host mx[203.0.113.2]:25 refused to talk to me: 554 no", "sessions"),
        ("/smtp", "8828C54A70D: lost connection with mx[203.0.113.2] while receiving the initial server greeting", "sessions"),
        ("/lmtp", "8828C54A70D: conversation with mx[private/x] timed out while sending end of data", "sessions"),
        ("/smtp", "certificate verification failed for mx[203.0.113.2]:25: untrusted issuer /CN=x", "sessions"),
        ("/smtp", "server certificate verification failed for mx[203.0.113.2]:25: num=20:unable to get", "sessions"),
        ("/smtpd", "warning: TLS library problem: error:14094418:SSL routines:tlsv1 alert unknown ca:", "sessions"),
        ("/postsuper", "8828C54A70D: removed", "removals"),
        ("/postsuper", "8828C54A70D: placed on hold", "requeues"),
        ("/postsuper", "Deleted: 4 messages", "service_events"),
        ("/cleanup", "8828C54A70D: hold: header Subject: x from mx[203.0.113.2]; from=<a@b> to=<b@c> proto=SMTP", "rejects"),
        ("opendmarc", "B441A5445E6: SPF(mailfrom): example.org pass", "milters"),
        ("spamd", "spamd: identified spam (9.0/5.0) for bob:1000 in 0.5 seconds, 1234 bytes.", "milters"),
        ("postfwd", "[RULES] rule=3, id=X, client=x[192.0.2.1], action=REJECT no", "milters"),
    ],
)  # fmt: skip
def test_what_was_refused_lost_or_held_is_an_event(program: str, text: str, table: str) -> None:
    found = quickly(pattern(program), text)
    assert found is not None
    assert BY_NAME[found[0]].table == table


def mutations(text: str, cuts: list[tuple[int, int, str]]) -> str:
    for place, length, new in cuts:
        at = place % (len(text) + 1)
        text = text[:at] + new + text[at + length :]
    return text


CUTS = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.integers(0, 12),
        st.one_of(
            st.text(st.characters(max_codepoint=255), max_size=3),
            st.sampled_from(
                [">, relay=", "; from=<", "<", ">", '"', "\\", ": ", ", ", "'", "\t", "]), len: ", "4dhRlh0sf8z9HdB: "]
            ),
        ),
    ),
    max_size=3,
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SAMPLES), CUTS, st.data())
def test_both_executions_agree(
    chosen: tuple[LogFormat, Sample], cuts: list[tuple[int, int, str]], data: st.DataObject
) -> None:
    fmt, sample = chosen
    program = data.draw(st.sampled_from(programs(fmt)))
    text = mutations(sample.text, cuts)
    assert quickly(pattern(program), text) == slowly(program, text)


def long_lines() -> Iterator[tuple[str, str]]:
    pieces = [
        "a",
        " ",
        '"',
        "\\",
        ">, relay=",
        "; from=<",
        ">, ",
        "; ",
        "<",
        "]), ",
        ": ",
        "'",
        "\t",
        ", ",
        "z" * 7,
        "]",
    ]
    for fmt, sample in SAMPLES:
        for piece in pieces:
            for at in (len(sample.text) // 3, len(sample.text) * 2 // 3, len(sample.text) - 1):
                yield programs(fmt)[0], sample.text[:at] + piece * (8000 // len(piece)) + sample.text[at:]


def test_no_line_takes_long() -> None:
    """Eight thousand stranger's characters in any place: milliseconds, not minutes."""
    worst = (0.0, "")
    for program, text in long_lines():
        match, line = pattern(program).match, text.encode("latin-1")
        start = time.thread_time()
        match(line)
        worst = max(worst, (time.thread_time() - start, text[:200]))
    assert worst[0] < 0.5, worst
