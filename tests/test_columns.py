"""Grammars run over many lines at once: what is claimed is what the compiled pattern says, field by field."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyparsing as pp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.grammar.atoms import last, queue_id, upto
from logscan.grammar.formats import LogFormat, Pattern, Sample, compile_program, formats_for, rest, rx
from logscan.grammar.programs import log_formats
from logscan.matching import operations
from logscan.matching import walking as columns
from logscan.reading import parsing as parse
from logscan.reading.parsed import Parsed
from logscan.samples import story

FORMATS = log_formats()
PROGRAMS = sorted({"/pipe" if each == "/*" else each for fmt in FORMATS for each in fmt.programs})
HEAD = b"h t: "

Found = tuple[str, dict[str, bytes]]


@functools.cache
def pattern(program: str) -> Pattern:
    return compile_program(formats_for(program, FORMATS))


@functools.cache
def samples(program: str) -> list[bytes]:
    return [sample.text.encode() for fmt in formats_for(program, FORMATS) for sample in fmt.samples]


@functools.cache
def every_sample() -> list[bytes]:
    return sorted({text for program in PROGRAMS for text in samples(program)})


def one_by_one(compiled: Pattern, text: bytes) -> Found | None:
    """Return format and fields by the compiled pattern."""
    found = compiled.match(text)
    if found is None:
        return None
    shape = compiled.shapes[found.lastindex or 0]
    fields = {name: found[group] for name, group in zip(shape.fields, shape.groups, strict=True)}
    return shape.format.name, {name: value for name, value in fields.items() if value is not None}


def at_once(compiled: Pattern, texts: list[bytes], least: int = 1) -> dict[int, Found]:
    """Return format and fields of the texts that were claimed, by their number."""
    bodies = [HEAD + text for text in texts]
    ends = np.cumsum([len(body) + 1 for body in bodies]) - 1
    starts = ends - [len(text) for text in texts]
    text = columns.Text(b"\n".join(bodies))
    lines = columns.run(compiled, text, starts.astype(np.int64), ends.astype(np.int64), least)
    out: dict[int, Found] = {}
    for number, rows in lines.found.items():
        shape = compiled.shapes[number]
        values: dict[str, list[bytes | None]] = {}
        for name, group in zip(shape.fields, shape.groups, strict=True):
            if group in lines.groups:
                values[name] = text.slices(*(each[rows] for each in lines.groups[group])).to_pylist()
        for at, row in enumerate(rows.tolist()):
            assert row not in out, "a line is claimed once"
            fields = {name: column[at] for name, column in values.items()}
            out[row] = shape.format.name, {name: value for name, value in fields.items() if value is not None}
    return out


def agree(compiled: Pattern, texts: list[bytes]) -> dict[int, Found]:
    found = at_once(compiled, texts)
    for row, claimed in found.items():
        assert claimed == one_by_one(compiled, texts[row]), texts[row]
    return found


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_sample_that_is_claimed_gives_its_fields(program: str) -> None:
    agree(pattern(program), samples(program))


@pytest.mark.parametrize(
    "name",
    [
        "postfix-client", "postfix-connect", "postfix-disconnect", "postfix-message-id", "postfix-queued", "postfix-removed",
        "postfix-delivery", "postfix-reject", "postfix-tls", "postfix-pickup", "postfix-notification", "dovecot-stored",
        "dovecot-login", "dovecot-lmtp-session", "dovecot-session-ended", "postscreen-connect", "dspam-verdict",
        "amavis-verdict", "opendkim-signed",
    ],
)  # fmt: skip
def test_what_fills_logs_is_claimed(name: str) -> None:
    """Else a change of a grammar could make reading slow without anybody noticing."""
    fmt = next(fmt for fmt in FORMATS if fmt.name == name)
    for program in ("/pipe" if each == "/*" else each for each in fmt.programs):
        found = agree(pattern(program), [sample.text.encode() for sample in fmt.samples])
        assert len(found) >= 0.7 * len(fmt.samples), (program, sorted(found))


def test_most_of_what_is_known_is_claimed() -> None:
    """Formats that catch what is left over (their weight is below zero) are of lines that are rare or odd."""
    claimed = total = 0
    for program in PROGRAMS:
        formats = [fmt for fmt in formats_for(program, FORMATS) if fmt.weight >= 0]
        texts = [sample.text.encode() for fmt in formats for sample in fmt.samples]
        claimed += len(at_once(pattern(program), texts))
        total += len(texts)
    assert claimed > 0.93 * total


# -- what strangers write ------------------------------------------------------------------------------------------------

PIECES = (
    b", relay=", b">, ", b"; from=<", b" to=<", b'"', b"\\", b"]", b"[", b"(", b")", b": ", b",", b" from ", b"'", b"z", b"Z",
    b"A", b"F423F", b">", b"<", b"=", b" ", b"\xff", b"\xc3\xa4", b"NOQUEUE", b"4PbC4x469Jz3tBr", b", session=<", b"msgid=",
    b"x" * 300, b", sasl_username=", b":25", b"-login: ", b" bytes) from ", b"\t", b"\x0b", b"...",
)  # fmt: skip


@st.composite
def lines_of(draw: st.DrawFn) -> tuple[str, list[bytes]]:
    """Draw a program and lines that look like its own: samples cut, joined and sprinkled."""
    program = draw(st.sampled_from(PROGRAMS))
    texts = []
    for _ in range(draw(st.integers(1, 12))):
        text = draw(st.sampled_from(samples(program)))
        for _ in range(draw(st.integers(0, 3))):
            at = draw(st.integers(0, len(text)))
            match draw(st.integers(0, 3)):
                case 0:
                    text = text[:at] + draw(st.sampled_from(PIECES)) + text[at:]
                case 1:
                    text = text[:at] + text[at + draw(st.integers(1, 9)) :]
                case 2:
                    other = draw(st.sampled_from(every_sample()))
                    text = text[:at] + other[draw(st.integers(0, len(other))) :]
                case _:
                    text = text[:at] + draw(st.binary(max_size=4)) + text[at:]
        texts.append(text.replace(b"\n", b" "))
    return program, texts


@settings(max_examples=300, deadline=None)
@given(lines_of())
def test_no_line_is_read_otherwise_than_by_the_pattern(drawn: tuple[str, list[bytes]]) -> None:
    program, texts = drawn
    agree(pattern(program), texts)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(PROGRAMS), st.lists(st.binary(max_size=60).map(lambda text: text.replace(b"\n", b"")), max_size=8)
)
def test_any_bytes_are_taken(program: str, texts: list[bytes]) -> None:
    agree(pattern(program), texts)


# -- elements ------------------------------------------------------------------------------------------------------------


def made(line: pp.ParserElement) -> Pattern:
    return compile_program([LogFormat("x", "title", "reference", ("p",), "removals", line, (Sample("a"),))])


@pytest.mark.parametrize(
    ("line", "texts", "claimed"),
    [
        # The last z of the word divides; a word that goes on is none.
        (
            queue_id("q") + ": x",
            [b"4PbC4x469Jz3tBr: x", b"4zzC4x469JzztBr: x", b"4PbC4x469Jz3tAr: x", b"4Pb: x"],
            {0, 1},
        ),
        (queue_id("q") + ": x", [b"5A609544187: x", b"F423F12: x", b"F424012: x", b"FACADE: x"], {0, 1}),
        (last("; from=<")("t") + "; from=<" + rest()("f"), [b"a; from=<b; from=<c", b"a", b"; from=<"], {0, 2}),
        (upto(", a=")("t") + pp.Opt(", a=" + rest()("u")), [b"x, b, a=c, a=d", b"x", b""], {0, 1, 2}),
        (rx("[a-z0-9-]+?(?=-login: )")("p") + "-login: ", [b"imap-login: ", b"a-login-login: ", b"-login: "], {0, 1}),
        (rx("(?:(?!, x=)(?s:.))+")("t") + pp.Opt(", x=" + rest()("u")), [b"a,, x=, x=b", b"a", b", x="], {0, 1}),
        (rx("(?:[^ ]+: )?using ")("t"), [b"a:b: using ", b"using ", b"using: using ", b"a using "], {0, 1, 2}),
        (rx("(?:re)?start")("t"), [b"restart", b"start", b"rest"], {0, 1}),
        (rx("(?i:pass|fail)")("t"), [b"PaSs", b"fail", b"pas"], {0, 1}),
        (rx(r"\d{2,3}")("t") + rest()("u"), [b"1", b"12", b"1234"], {1, 2}),
        (pp.OneOrMore(pp.Literal("ab"))("t") + "c", [b"abababc", b"c", b"abac"], {0}),
        (rx(r"\w+\b")("t") + rest()("u"), [b"ab cd", b" a"], {0}),
        (rx(r"[^>]*")("t") + ">", [b"a\0b>", b"\xff>", b">", b"a"], {0, 1, 2}),
    ],
)
def test_an_element_takes_what_the_pattern_takes(line: pp.ParserElement, texts: list[bytes], claimed: set[int]) -> None:
    compiled = made(line)
    assert {at for at, text in enumerate(texts) if compiled.match(text)} == claimed
    assert set(agree(compiled, texts)) == claimed


@pytest.mark.parametrize(
    ("line", "texts", "fields"),
    [
        (pp.Opt(rx("[^:]+")("t") + ": ") + rest()("u"), [b"a b", b"a: b"], [{"u": b"a b"}, {"t": b"a", "u": b"b"}]),
        (
            ((rx("[a-z]+")("t") + ":") | (rx("[a-z0-9]+")("u") + ";") | rest()("v")) + pp.StringEnd(),
            [b"ab:", b"ab;", b"ab"],
            [{"t": b"ab"}, {"u": b"ab"}, {"v": b"ab"}],
        ),
        (
            pp.MatchFirst([rx("a+")("t") + ":", rx("[ab]+")("u")]) + rest()("v"),
            [b"a:b", b"ab"],
            [{"t": b"a", "v": b"b"}, {"u": b"ab", "v": b""}],
        ),
    ],
)
def test_a_field_of_what_failed_after_all_is_not_told(
    line: pp.ParserElement, texts: list[bytes], fields: list[dict[str, bytes]]
) -> None:
    assert [
        found for _, (_, found) in sorted(agree(made("x" + line), [b"x" + text for text in texts]).items())
    ] == fields


@pytest.mark.parametrize(
    ("element", "texts"),
    [
        (r"(?:\d+\.?){2}", [b"12", b"1.2", b"1"]),
        (r"a(?:b*){2}", [b"a", b"ab", b"abb"]),
        (r"[a-z]*\b", [b"ab1", b"ab", b"1"]),
        (r"(?:|x)?y", [b"xy", b"y", b"x"]),
        (r"[a-z:]*z[a-y:]+\b", [b"azb:", b"azb:zc:", b"azb"]),
        (r"a(?!\n)", [b"a", b"ab"]),
        (r"a(?!\0)", [b"a", b"ab"]),
        (r"[^\0]*", [b"a\0b", b"ab"]),
        (r"a$", [b"a", b"ab"]),
        (r"(?:ab|a)(?:c|bcd)", [b"abcd", b"abc", b"ac"]),
        (r"[a-z:]+:x", [b"a:x" + b"b" * 900 + b":x", b"a:x", b"a:x" + b"b" * 900]),
        (r"[a-z]{10,}z[a-y]+\b", [b"a" * 12 + b"zb" + b"c" * 900 + b"zd", b"a" * 12 + b"zb"]),
        (r"(?:(?!:x)[a-z:])+", [b"a" * 900 + b":x", b"a:x"]),
    ],
)
def test_another_way_that_would_do_is_not_overlooked(element: str, texts: list[bytes]) -> None:
    agree(made((rx(element)("t") + rest()("v")) | rest()("u")), texts)


CLASSES = st.sampled_from(["[ab]", "[^b]", "[^ab1]", r"\w", r"\d", r"\S", "(?s:.)", ".", "[a-z]", r"\s", "[a:]"])
QUANTIFIERS = st.sampled_from(["?", "*", "+", "{2}", "{1,2}", "{0,2}", "{2,}"]).flatmap(
    lambda times: st.sampled_from([times, times + "+", times + "?"])
)
REGEXES = st.recursive(
    st.one_of(
        st.sampled_from(["a", "b", "ab", "a1", ":", " ", ": ", r"\b", r"\Z", "(?i:ab)"]),
        CLASSES,
        st.tuples(CLASSES, QUANTIFIERS).map("".join),
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda ways: f"(?:{'|'.join(ways)})"),
        st.tuples(inner, QUANTIFIERS).map(lambda both: f"(?:{both[0]}){both[1]}"),
        inner.map(lambda element: f"(?={element})"),
        inner.map(lambda element: f"(?!{element})"),
        inner.map(lambda element: f"(?>{element})"),
        st.tuples(inner, CLASSES).map(lambda both: f"(?:(?!{both[0]}){both[1]})*"),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(REGEXES, st.lists(st.text("ab1: A\0\xff", max_size=8), min_size=1, max_size=20))
def test_no_element_that_one_may_write_is_run_otherwise(element: str, texts: list[str]) -> None:
    agree(made((rx(element)("t") + rest()("v")) | rest()("u")), [text.encode("latin-1") for text in texts])


@settings(max_examples=150, deadline=None)
@given(REGEXES, st.lists(st.text("ab1: A", max_size=24), min_size=1, max_size=20))
def test_what_is_too_long_to_follow_is_left_to_the_pattern(element: str, texts: list[str]) -> None:
    """With limits so low that eight bytes or two rounds are too much."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "MOST_ROUNDS", 1)
        patch.setattr(operations, "MOST_TURNS", 2)
        agree(made((rx(element)("t") + rest()("v")) | rest()("u")), [text.encode() for text in texts])


def test_what_has_to_be_given_back_is_left_to_the_pattern() -> None:
    compiled = made(rx("[a-c]+[b-d]")("t"))
    assert compiled.match(b"abc") is not None
    assert at_once(compiled, [b"abc", b"abd"]) == {1: ("x", {"t": b"abd"})}


def test_few_lines_are_left_to_the_pattern() -> None:
    compiled = made("a" + rest()("t"))
    assert len(at_once(compiled, [b"a1"] * 10, least=10)) == 10
    assert at_once(compiled, [b"a1"] * 9, least=10) == {}


def test_a_long_line_costs_no_more_than_others() -> None:
    """After some words it is searched for what ends it, or left to the pattern."""
    texts = [b"1" * 5000, b"1" * 50, b"a" * 5000 + b">", b"a>"]
    assert set(at_once(made(rx(r"\d+")("t")), texts[:2])) == {1}
    assert set(agree(made(rx("[^>]*")("t") + ">"), texts[2:])) == {0, 1}


def test_a_line_full_of_what_ends_an_element_costs_no_time() -> None:
    """It is left to the pattern, which is linear, after a bounded number of rounds."""
    compiled = made(upto(", a=")("t") + ", a=" + rest()("u"))
    text = b", " * 50_000
    assert agree(compiled, [text, b"x, a=y"]) == {1: ("x", {"t": b"x", "u": b"y"})}


def test_slices_are_the_bytes_between_and_null_where_there_is_none() -> None:
    text = columns.Text(b"abcdef")
    array = text.slices(np.array([0, -1, 3, 6]), np.array([2, 0, 3, 6]))
    assert array.to_pylist() == [b"ab", None, b"", b""]
    assert text.slices(np.array([-1]), np.array([0])).to_pylist() == [None]


# -- whole chunks --------------------------------------------------------------------------------------------------------


def rows_of(parsed: Parsed) -> dict[str, Any]:
    """Return all that a chunk became in a form that doesn't depend on the order in which its lines were matched."""
    out: dict[str, Any] = {}
    for name, table in parsed.tables.items():
        values = {column: table.column(column) for column in table.column_names}
        plain = {k: v.cast(pa.string()) if pa.types.is_dictionary(v.type) else v for k, v in values.items()}
        listed = pa.table(plain).to_pylist()
        for row in listed:
            row["head"] = parsed.heads[row["head"]]
        out[name] = sorted(listed, key=repr)
    counts = {name: getattr(parsed, name) for name in ("lines", "understood", "noise", "unknown", "undecodable")}
    return {**out, **counts, "programs": parsed.programs, "formats": parsed.formats, "templates": parsed.templates}


STORIES = (
    ("mixed-day", "syslog-bsd"),
    ("training-user-without-domain", "syslog-iso"),
    ("amavis-outgoing-tagged-spam", "syslog-bsd"),
)


def log_of(name: str) -> bytes:
    import gzip

    found = b""
    for path in sorted(Path(str(story(name))).iterdir()):
        if path.name.startswith("mail") and "log" in path.name:
            data = path.read_bytes()
            found += gzip.decompress(data) if path.suffix == ".gz" else data
    return found


@pytest.mark.parametrize(("name", "kind"), STORIES, ids=[name for name, _ in STORIES])
@pytest.mark.parametrize("prefix", [b"", b"svc-1  | "], ids=["verbatim", "behind a container's name"])
def test_a_chunk_becomes_the_same_at_once_and_line_by_line(
    name: str, kind: str, prefix: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(name)
    assert log.count(b"\n") > 300
    chunk = b"".join(prefix + line for line in log.splitlines(keepends=True))
    monkeypatch.setattr(parse, "FROM", 10**9)
    slow = rows_of(parse.parse(chunk, kind))
    monkeypatch.setattr(parse, "FROM", 1)
    monkeypatch.setattr(columns, "LEAST", 1)
    quick = rows_of(parse.parse(chunk, kind))
    assert quick == slow


def test_repeats_and_split_lines_are_unwrapped_before(monkeypatch: pytest.MonkeyPatch) -> None:
    head = b"Nov 22 18:44:26 mx1 postfix/smtpd[7]: "
    refused = b"NOQUEUE: reject: RCPT from x[192.0.2.1]: 550 5.1.1 <a@b>: no; from=<c@d> to=<a@b> proto=SMTP helo=<x>"
    chunk = head + refused + b"\n" + head + b"message repeated 3 times: [ " + refused + b"]\n"
    amavis = b"Nov 22 18:44:27 mx1 amavis[9]: (9-1) "
    chunk += amavis + b"Passed CLEAN, [192.0.2.1] <c@d> -> <a@b>, Message-ID: <1...\n"
    chunk += amavis + b"...@x>, mail_id: abc, Hits: 0.1, queued_as: 5A609544187, 120 ms\n"
    monkeypatch.setattr(parse, "FROM", 1)
    monkeypatch.setattr(columns, "LEAST", 1)
    found = parse.parse(chunk, "syslog-bsd")
    assert len(found.tables["rejects"]) == 4
    assert found.tables["verdicts"].column("message_id").to_pylist() == ["<1@x>"]
    assert found.unknown == 0
