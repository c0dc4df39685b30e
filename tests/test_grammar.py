"""The compiler from pyparsing to regular expressions."""

from __future__ import annotations

import pyparsing as pp
import pytest

from logscan.grammar.formats import (
    FormatError,
    LogFormat,
    Sample,
    compile_program,
    formats_for,
    parse_slowly,
    rest,
    rx,
    word,
)


def make(line: pp.ParserElement, name: str = "x", weight: int = 0, programs: tuple[str, ...] = ("p",)) -> LogFormat:
    return LogFormat(name, "title", "reference", programs, "removals", line, (Sample("a"),), weight=weight)


def fields(line: pp.ParserElement, text: str) -> dict[str, str] | None:
    """Return what both executions find, after comparing them."""
    fmt = make(line)
    compiled = compile_program([fmt])
    found = compiled.match(text.encode("latin-1"))
    slow = next(iter(parse_slowly(fmt, text)), None)
    if found is None:
        assert slow is None
        return None
    shape = compiled.shapes[found.lastindex or 0]
    pairs = zip(shape.fields, shape.groups, strict=True)
    quick = {name: found[group].decode("latin-1") for name, group in pairs if found[group] is not None}
    assert slow is not None
    assert slow[1] == quick
    return quick


ELEMENTS = [
    (pp.Literal("a b") + rest()("t"), "a b  c ", {"t": "  c "}),
    (word()("t") + " " + word(",")("u"), "a b", {"t": "a", "u": "b"}),
    (pp.Opt(word(":")("t") + ": ") + rest()("u"), "a: b", {"t": "a", "u": "b"}),
    (pp.Opt(word(":")("t") + ": ") + rest()("u"), "a b", {"u": "a b"}),
    (pp.ZeroOrMore(pp.Literal("ab")) + rest()("t"), "ababc", {"t": "c"}),
    (pp.OneOrMore(pp.Literal("ab")) + rest()("t"), "abc", {"t": "c"}),
    (pp.OneOrMore(pp.Literal("ab")) + rest()("t"), "c", None),
    (pp.CharsNotIn(",")("t") + ",", "a b,", {"t": "a b"}),
    (pp.CharsNotIn(",", min=2, max=3)("t") + ",", "abc,", {"t": "abc"}),
    (pp.Word("ab")("t") + "c", "abac", {"t": "aba"}),
    (pp.CaselessLiteral("From") + pp.Empty() + rest()("t"), "fROM x", {"t": " x"}),
    (pp.FollowedBy(rx("a+b")("t")) + rest()("u"), "aab", {"t": "aab", "u": "aab"}),
    (~pp.Literal("ab") + rest()("t"), "abc", None),
    (~pp.Literal("ab") + rest()("t"), "acb", {"t": "acb"}),
    (rx("a*")("t") + pp.StringEnd(), "", {"t": ""}),
    (rx("[a-z]+")("t") + rx("[a-z]")("u"), "abc", None),  # an element gives nothing back
    ((pp.Literal("a") | "ab")("t") + "c", "abc", None),  # an alternative once taken is not left
    ((pp.Literal("ab") | "a")("t") + "c", "abc", {"t": "ab"}),
    (pp.Opt(rx("[a-z]+")("t")) + "c", "abc", None),
    (rx(r"\d+")("t") + rest(), "1\xb2", {"t": "1"}),
    (rx(r"\w+\b")("t") + rest(), "a\xe4", {"t": "a"}),
    (word()("t") + pp.Opt(" ") + rest()("u"), "a\xa0b \t", {"t": "a\xa0b", "u": "\t"}),
]


@pytest.mark.parametrize(("line", "text", "expected"), ELEMENTS, ids=[str(number) for number in range(len(ELEMENTS))])
def test_both_executions_take_the_same(line: pp.ParserElement, text: str, expected: dict[str, str] | None) -> None:
    assert fields(line, text) == expected


def test_top_level_alternatives_are_shapes_of_their_own_and_may_share_names() -> None:
    fmt = make(("a" + rest()("t")) | ("b" + rest()("t")) | ("c" + rest()("u")))
    compiled = compile_program([fmt])
    assert [shape.fields for shape in compiled.shapes.values()] == [("t",), ("t",), ("u",)]
    found = compiled.match(b"bx")
    assert found is not None
    assert found[compiled.shapes[found.lastindex or 0].groups[0]] == b"x"


def test_the_weightiest_format_comes_first_then_the_name() -> None:
    formats = [make(rest(), "c"), make(rest(), "b"), make(rest(), "a", -1), make(rest(), "d", 9)]
    assert [each.name for each in formats_for("p", formats)] == ["d", "b", "c", "a"]


def test_a_postfix_daemon_has_the_formats_of_all_daemons_too() -> None:
    formats = [make(rest(), "smtpd", programs=("/smtpd",)), make(rest(), "any", programs=("/*",)), make(rest(), "p")]
    assert [each.name for each in formats_for("/smtpd", formats)] == ["any", "smtpd"]
    assert [each.name for each in formats_for("/lmtp", formats)] == ["any"]
    assert [each.name for each in formats_for("smtpd", formats)] == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (rx("(a)")("t"), "capturing group"),
        (word()("t") + word()("t"), "named twice"),
        (pp.Literal("a") ^ pp.Literal("b"), "can't be compiled"),
        (rx("é")("t"), "x: "),
    ],
)
def test_what_can_not_be_translated_is_refused_by_name(line: pp.ParserElement, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        compile_program([make(line)])


def test_no_formats_match_nothing() -> None:
    assert compile_program([]).match(b"x") is None
