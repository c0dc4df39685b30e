"""Repeats that give nothing back match alike on every Python 3.11, of which the first ones get possessive groups wrong."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logscan.grammar.formats import LogFormat, Sample, compile_program, parse_slowly, rx
from logscan.grammar.repeats import SOUND, atomic, sound

REWRITTEN = (
    (r"(?:ab?c)*+x", r"(?>(?:ab?c)*)x"),
    (r"[)](?:a|b)?+", r"[)](?>(?:a|b)?)"),
    (r"[]a)]*+(?:[^]b)]*+)++", r"[]a)]*+(?>(?:[^]b)]*+)+)"),
    (r"\((?:x){2,3}+", r"\((?>(?:x){2,3})"),
    (r"(?:a(?:b)*+)*+\)", r"(?>(?:a(?>(?:b)*))*)\)"),
    (r"[^\]()]++\)*+", r"[^\]()]++\)*+"),
)


@pytest.mark.parametrize(("pattern", "safe"), REWRITTEN)
def test_a_repeated_group_becomes_atomic_and_nothing_else(pattern: str, safe: str) -> None:
    assert atomic(pattern) == safe


def test_what_runs_here_takes_nothing_of_a_round_that_failed() -> None:
    assert re.compile(sound(r"(?:ab?c)*+")).match("ababc").end() == 0  # type: ignore[union-attr]
    assert re.compile(atomic(r"(?:ab?c)*+")).match("ababc").end() == 0  # type: ignore[union-attr]


@given(st.text("abcx", max_size=12))
def test_a_grammar_runs_the_same_as_a_pattern_and_by_pyparsing(text: str) -> None:
    line = rx(r"(?:ab?c)*+")("some") + rx(r"(?s:.*)")("rest")
    fmt = LogFormat("one", "One", "none", ("one",), None, line, (Sample("x", {"some": "", "rest": "x"}),))
    found = compile_program([fmt]).match(text.encode())
    ((_, slowly),) = parse_slowly(fmt, text)
    taken = re.match(r"(?:ac|abc)*", text)
    assert taken
    assert found
    assert (found[1].decode(), slowly.get("some", "")) == (taken[0], taken[0])


@pytest.mark.skipif(not SOUND, reason="only an engine that is right can be compared with")
@given(st.text('ab"\\>c @', max_size=20))
def test_both_spellings_match_the_same(text: str) -> None:
    pattern = r'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"(?=[@>]))?+[^>]*+(?:>(?!c)[^>]*+)*+'
    one, other = re.match(pattern, text), re.match(atomic(pattern), text)
    assert one
    assert other
    assert one.span() == other.span()
