"""The op machine: what it claims is what the compiled pattern says, field by field, and it stays within all bounds."""

from __future__ import annotations

import functools
import gzip
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyparsing as pp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.grammar.atoms import last, queue_id, upto
from logscan.grammar.formats import (
    LONGEST_KEPT,
    FormatError,
    LogFormat,
    Pattern,
    Sample,
    compile_program,
    formats_for,
    rest,
    rx,
)
from logscan.grammar.programs import log_formats, pattern_for
from logscan.grammar.repeats import SOUND
from logscan.matching import translating, walking
from logscan.matching.assembling import Listing
from logscan.matching.ops import HEADER, NAMES, OPS
from logscan.matching.text import Text
from logscan.reading import parsing as parse
from logscan.reading.parsed import Parsed
from logscan.reading.tags import resolve
from logscan.samples import story

pytestmark = pytest.mark.skipif(not walking.AVAILABLE, reason=f"there is no machine: {walking.WHY_NOT}")

FORMATS = log_formats()
PROGRAMS = sorted({"/pipe" if each == "/*" else each for fmt in FORMATS for each in fmt.programs})

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


@functools.lru_cache(maxsize=512)
def image_of(compiled: Pattern) -> walking.Image:
    """Return the machine's program of a grammar, alone."""
    return walking.Library().image([compiled])[0]


def one_by_one(compiled: Pattern, text: bytes) -> Found | None:
    """Return format and fields by the compiled pattern."""
    found = compiled.match(text)
    if found is None:
        return None
    shape = compiled.shapes[found.lastindex or 0]
    if not shape.format.table:  # noise: nobody asks what its fields are
        return shape.format.name, {}
    fields = {name: found[group] for name, group in zip(shape.fields, shape.groups, strict=True)}
    return shape.format.name, {name: value for name, value in fields.items() if value is not None}


def at_once(
    compiled: Pattern, texts: list[bytes], image: walking.Image | None = None, behind: bytes = b""
) -> list[Found | int | None]:
    """Return format and fields by the machine, None where no shape takes a text, LEFT where it is left to the pattern.

    The texts stand one behind the other, so what is read beyond one's end is another's; ``behind`` is what lies behind them.
    """
    text = Text(b"".join(texts))
    text.data = np.frombuffer(b"".join(texts) + behind + bytes(8), np.uint8)
    ends = np.cumsum([len(each) for each in texts])
    which = np.zeros(len(texts), np.int32)
    matched = walking.run(image or image_of(compiled), which, text, ends - [len(each) for each in texts], ends)
    out: list[Found | int | None] = [None if each == walking.NONE else int(each) for each in matched.shape]
    for claimed in matched.claimed():
        fields = {name: text.slices(*places).to_pylist() for name, places in claimed.fields.items()}
        for at, row in enumerate(claimed.rows.tolist()):
            values = {name: column[at] for name, column in fields.items() if column[at] is not None}
            out[row] = claimed.shape.format.name, values
    return out


def agree(compiled: Pattern, texts: list[bytes]) -> list[Found | int | None]:
    """Hold the machine to the pattern; returns what it found."""
    found = at_once(compiled, texts)
    for text, mine in zip(texts, found, strict=True):
        assert mine in (walking.LEFT, one_by_one(compiled, text)), text
    return found


def ops_of(image: walking.Image) -> list[str]:
    return [name for _, name in Listing(image.words).ops()]


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_sample_is_claimed_and_gives_its_fields(program: str) -> None:
    """None is left to the pattern, and no element is without its op."""
    assert walking.LEFT not in agree(pattern(program), [*samples(program), *every_sample()])
    assert "UNKNOWN" not in ops_of(image_of(pattern(program)))


# -- what strangers write ------------------------------------------------------------------------------------------------

PIECES = (
    b", relay=", b">, ", b"; from=<", b" to=<", b'"', b"\\", b"]", b"[", b"(", b")", b": ", b",", b" from ", b"'", b"z", b"Z",
    b"A", b"F423F", b">", b"<", b"=", b" ", b"\xff", b"\xc3\xa4", b"NOQUEUE", b"4PbC4x469Jz3tBr", b", session=<", b"msgid=",
    b"x" * 300, b", sasl_username=", b":25", b"-login: ", b" bytes) from ", b"\t", b"\x0b", b"...", b"\0", b"; ", b" helo=<",
)  # fmt: skip


def mutated(dice: random.Random, text: bytes) -> bytes:
    """Return a text like one of a log, cut, joined to another, sprinkled, repeated."""
    for _ in range(dice.randrange(4)):
        at = dice.randrange(len(text) + 1)
        match dice.randrange(6):
            case 0:
                text = text[:at] + dice.choice(PIECES) + text[at:]
            case 1:
                text = text[:at] + text[at + dice.randrange(1, 9) :]
            case 2:
                other = dice.choice(every_sample())
                text = text[:at] + other[dice.randrange(len(other) + 1) :]
            case 3:
                text = text[:at] + dice.randbytes(dice.randrange(4)) + text[at:]
            case 4:
                text = text[:at]
            case _:
                begin = dice.randrange(len(text) + 1)
                text = text[:at] + text[begin : begin + dice.randrange(40)] + text[at:]
    return text.replace(b"\n", b" ")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PROGRAMS), st.integers(0, 2**32))
def test_no_line_is_read_otherwise_than_by_the_pattern(program: str, seed: int) -> None:
    dice = random.Random(seed)
    texts = [mutated(dice, dice.choice(samples(program))) for _ in range(40)]
    assert walking.LEFT not in agree(pattern(program), texts)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(PROGRAMS), st.lists(st.binary(max_size=60).map(lambda text: text.replace(b"\n", b"")), max_size=8)
)
def test_any_bytes_are_taken(program: str, texts: list[bytes]) -> None:
    agree(pattern(program), texts)


@pytest.mark.parametrize("program", ["/smtpd", "dovecot"])
def test_what_stands_beyond_a_line_or_the_text_changes_nothing(program: str) -> None:
    """A text ends where it ends, be that in the middle of what is compared at once."""
    dice = random.Random(7)
    for text in [mutated(dice, each)[: dice.randrange(200)] for each in samples(program) for _ in range(4)]:
        alone = at_once(pattern(program), [text])
        for more in (b"=<>: " * 9, b"0" * 40, b", relay=x"):
            assert at_once(pattern(program), [text, more])[:1] == alone
            assert at_once(pattern(program), [text], behind=more) == alone


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
    assert {at for at, found in enumerate(agree(compiled, texts)) if found} == claimed


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
    assert agree(made("x" + line), [b"x" + text for text in texts]) == [("x", each) for each in fields]


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
    assert walking.LEFT not in agree(made((rx(element)("t") + rest()("v")) | rest()("u")), texts)


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
        st.sampled_from(["(?<=a)", "(?<!a)", r"(?<![\w:])", "(?<=ab)", "(?<! b)"]),
        st.tuples(inner, CLASSES).map(lambda both: f"(?:(?!{both[0]}){both[1]})*"),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(REGEXES, st.lists(st.text("ab1: A\0\xff", max_size=8), min_size=1, max_size=20))
def test_no_element_that_one_may_write_is_run_otherwise(element: str, texts: list[str]) -> None:
    agree(made((rx(element)("t") + rest()("v")) | rest()("u")), [text.encode("latin-1") for text in texts])


@st.composite
def grammars(draw: st.DrawFn, depth: int = 3) -> pp.ParserElement:
    """Draw a grammar as formats write them: sequences, choices, options, repeats, fields in any of them."""
    if not depth or draw(st.booleans()):
        text = draw(st.sampled_from(["a", "ab", "b1", ":"]))
        element = pp.Literal(text).leave_whitespace() if draw(st.booleans()) else rx(draw(REGEXES))
    else:
        parts = draw(st.lists(grammars(depth - 1), min_size=1, max_size=3))
        element = draw(st.sampled_from([pp.And, pp.MatchFirst]))(parts)
        around = draw(st.sampled_from([None, None, pp.Opt, pp.OneOrMore, pp.ZeroOrMore]))
        element = around(element) if around else element
    return element(f"f{draw(st.integers(0, 10**9))}") if draw(st.booleans()) else element


@settings(max_examples=300, deadline=None)
@given(grammars(), grammars(), st.lists(st.text("ab1: A", max_size=8), min_size=1, max_size=20))
def test_no_grammar_that_one_may_write_is_run_otherwise(
    first: pp.ParserElement, second: pp.ParserElement, texts: list[str]
) -> None:
    try:
        compiled = made(first | second | rest()("u"))
        compiled.match(b"")
    except FormatError:
        return
    agree(compiled, [text.encode() for text in texts])


def test_repeats_that_take_nothing_or_many_rounds_are_left_to_the_pattern() -> None:
    for element in ("(?:a?b?)*a", "(?:ab){100}x", "(?:ab)*?a"):
        compiled = made(rx(element)("t"))
        text = b"ab" * 100 + b"x"
        assert at_once(compiled, [text]) == [walking.LEFT]


# -- bounds --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("element", "text", "longer"),
    [
        (r"[^>]*", b"a" * 65_535, b"a" * 65_536),
        # The stack, the steps.
        (r"(?:a|ab)*c", b"a" * 900 + b"c", b"a" * 1100 + b"c"),
        (r"(?>(?:(?=(?:a*b|a*c|a*d))a)*)x?", b"a" * 20 + b"d", b"a" * 20_000 + b"d"),
    ],
)
def test_what_is_more_than_the_machine_holds_is_left_to_the_pattern(element: str, text: bytes, longer: bytes) -> None:
    compiled = made(rx(element)("t") + rest()("v"))
    # Where each round of a repeat is kept, the pattern takes no text as long as the machine does.
    compared = SOUND or len(text) <= LONGEST_KEPT
    assert (agree if compared else at_once)(compiled, [text]) not in ([walking.LEFT], [None])
    assert at_once(compiled, [longer]) == [walking.LEFT]


def test_what_a_field_in_a_repeat_holds_is_the_patterns_to_say() -> None:
    """Python keeps there what a round that failed had begun."""
    compiled = made(pp.ZeroOrMore(rx("[ab]")("t") + ":") + rest()("v"))
    assert at_once(compiled, [b"a:b:x"]) == [walking.LEFT]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_line_full_of_what_ends_an_element_costs_no_more_than_its_length(program: str) -> None:
    """None takes a step more than its budget, so nothing here is slow; most need none of it."""
    for piece in (b", ", b"; from=<a> to=<b> ", b": ", b'"', b"<", b"(", b"> ", b" a=b"):
        for sample in samples(program)[:6]:
            middle = len(sample) // 2
            agree(pattern(program), [sample[:middle] + piece * (3000 // len(piece)) + sample[middle:]])


def test_lines_that_lie_outside_the_text_are_left() -> None:
    compiled = made(rest()("t"))
    program = image_of(compiled)
    places = np.array([[0, 3], [0, 4], [-1, 2], [2, 1], [5, 6], [3, 3]])
    which = np.zeros(len(places), np.int32)
    matched = walking.run(program, which, Text(b"abc"), places[:, 0], places[:, 1])
    assert matched.shape.tolist() == [0, *[walking.LEFT] * 4, 0]
    which[:] = 1, -1, 7, 0, 0, 0
    matched = walking.run(program, which, Text(b"abc"), places[:, 0] * 0, places[:, 0] * 0)
    assert matched.shape.tolist() == [*[walking.LEFT] * 3, 0, 0, 0]


def test_fields_are_told_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The buffer is made larger until all have room."""
    monkeypatch.setattr(walking, "PLACES", 0)
    monkeypatch.setattr(walking, "LEAST_PLACES", 1)
    compiled = made(rx("[a-z]")("t") + pp.Opt(rx("[0-9]")("u")) + rest()("v"))
    texts = [b"a1x", b"b"] * 500
    assert agree(compiled, texts) == [("x", {"t": b"a", "u": b"1", "v": b"x"}), ("x", {"t": b"b", "v": b""})] * 500


# -- faults --------------------------------------------------------------------------------------------------------------


def small() -> tuple[Pattern, list[bytes]]:
    """A grammar in which each kind of op comes up, and lines that reach them."""
    line = (
        queue_id("q")
        + ": "
        + upto(", a=", "; b")("t")
        + pp.Opt(", a=" + rx(r"\d{1,3}")("n"))
        + pp.Opt("; b" + rest()("r"))
        | rx("(?:[^ ]+: )?using ")("w") + last("; x=")("u") + rest()
        | rx("[a-z]+?(?=-login: )")("p") + "-login: " + rx(r"(?:ab|a)*b(?<!aab)")("z") + pp.ZeroOrMore(rx("[;,]"))
        | rx(r"(?:(?!: <|=\d\d)(?s:.))+")("v") + rx(r"(?=.{2}).\d*(?:pass|fail|path){1,2}+(?:a?b??)*+")
        | "a text of more than twenty-four bytes" + rx(r"(?=ab|\d{2}x|$)(?!abc|\db*c)(?:ab?)?")("y") + rest()
    )
    texts = [
        b"4PbC4x469Jz3tBr: x, b; c, a=12; bcd", b"F423F12: ", b"a: using b; x=c; x=d", b"using ", b"imap-login: aababb;,;",
        b"abc: <failpath", b"xy=12failaa", b"ab=12", b"a text of more than twenty-four bytes",
        b"a text of more than twenty-four bytesab", b"a text of more than twenty-four bytesabc", b"",
    ]  # fmt: skip
    return made(line), texts


def test_the_small_grammar_has_almost_every_op() -> None:
    compiled, texts = small()
    assert [bool(each) for each in agree(compiled, texts)] == [
        *[True] * 5,
        False,
        True,
        False,
        True,
        True,
        False,
        False,
    ]
    assert set(OPS) - set(ops_of(image_of(compiled))) <= {
        "UNKNOWN",
        "START",
        "TESTEND",
        "LOOKBACK",
        "CUTFAIL",
    }


def test_a_program_in_which_any_word_is_wrong_is_refused_or_stays_within_bounds() -> None:
    """Whatever it then says of a line; and a good part of the faults is noticed, by the check or by what is said."""
    compiled, texts = small()
    whole = image_of(compiled)
    program = whole.words
    right = at_once(compiled, texts)
    shapes = len(compiled.shapes)
    text, ends = Text(b"".join(texts)), np.cumsum([len(each) for each in texts])
    refused = wrong = 0
    dice = random.Random(3)
    code = range(HEADER + int(program[1]))
    changes = [(at, value) for at in [*code, len(program) - 1] for value in (0, 1, 0xFFFFFFFF)]
    changes += [(at, dice.randrange(1 << 32)) for at in code]
    changes += [(at, int(program[at]) ^ 1 << dice.randrange(24)) for at in [*code, *code]]
    for at, value in changes:
        broken = program.copy()
        broken[at] = value
        try:
            walking.checked(broken)
        except walking.BadImageError:
            refused += 1
            continue
        image = walking.Image(broken, whole.shapes)
        matched = walking.run(image, np.zeros(len(texts), np.int32), text, ends - [len(each) for each in texts], ends)
        assert set(matched.shape.tolist()) <= set(range(walking.LEFT, shapes))
        if matched.shape.max() < 0 or (broken[:HEADER] != program[:HEADER]).any():
            wrong += 1
            continue
        wrong += at_once(compiled, texts, image) != right
    assert refused > 0.4 * len(changes)
    assert wrong > 0.05 * len(changes)


@pytest.mark.parametrize("size", [0, 1, HEADER, HEADER + 1])
def test_what_is_no_program_is_refused(size: int) -> None:
    program = image_of(small()[0]).words
    for words in (np.zeros(size, np.uint32), program[:size], program[:-1], np.append(program, np.uint32(0))):
        with pytest.raises(walking.BadImageError):
            walking.checked(words)


def test_random_words_are_refused() -> None:
    numbers = np.random.default_rng(1)
    program = image_of(small()[0]).words
    for _ in range(300):
        words = program.copy()
        some = numbers.integers(HEADER, HEADER + int(program[1]), 40)
        words[some] = numbers.integers(0, 1 << 32, 40, np.uint32)
        with pytest.raises(walking.BadImageError):
            walking.checked(words)


@pytest.mark.parametrize(
    "fault",
    [
        ("fails", lambda node, known: False),
        ("any_fails", lambda items, known: False),
        ("after", lambda node, known: known),
        ("to_boundary", lambda node, behind: node.single),
    ],
    ids=lambda fault: fault[0],
)
def test_a_fault_of_the_translator_is_noticed(fault: tuple[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translating, *fault)
    dice = random.Random(5)
    differ = 0
    for program in ("/smtpd", "/qmgr", "dovecot"):
        compiled = compile_program(formats_for(program, FORMATS))  # not the one that is translated already
        texts = [mutated(dice, each) for each in samples(program) for _ in range(5)]
        differ += at_once(compiled, texts) != [one_by_one(compiled, text) for text in texts]
    assert differ


# -- listings ------------------------------------------------------------------------------------------------------------


def test_a_listing_shows_each_op() -> None:
    program = image_of(made("ab: " + rx("[a-c]+")("t") + (pp.Literal(":x") | ";" | rx(r"\Z")) + rest()("u")))
    assert list(Listing(program.words).lines()) == [
        "0: LIT8 b'ab: '",
        "3: CAPSPAN [a-c] 1 1 4294967295",
        "7: DISPATCH [:-;] -> 13 [] -> 23 [^:-;] -> 29 END -> 23",
        "13: TEST [:] -> 20",
        "15: LIT8 b':x'",
        "18: JMP -> 21",
        "20: SKIP",
        "21: JMP -> 24",
        "23: EOL",
        "24: CAPSPAN [^] 2 0 4294967295",
        "28: END 0",
        "29: FAIL",
    ]


def test_a_listing_reads_every_op_of_every_program() -> None:
    seen: set[str] = set()
    for program in PROGRAMS:
        seen |= set(ops_of(image_of(pattern(program))))
    assert seen >= set(OPS) - {"START", "UNKNOWN", "HERE", "MOVED"}
    assert {OPS[name].number for name in OPS} == set(range(len(OPS))) == set(NAMES)


def test_slices_are_the_bytes_between_and_null_where_there_is_none() -> None:
    text = Text(b"abcdef")
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
    found = b""
    for path in sorted(Path(str(story(name))).iterdir()):
        if path.name.startswith("mail") and "log" in path.name:
            data = path.read_bytes()
            found += gzip.decompress(data) if path.suffix == ".gz" else data
    return found


@pytest.mark.parametrize(
    "folder",
    sorted(Path(str(story("mixed-day"))).parent.glob("*/mail*log*")),
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_every_line_of_a_story_is_read_as_by_the_pattern(folder: Path) -> None:
    """By whichever program would have written it: the tag is the last word before the text."""
    data = gzip.decompress(folder.read_bytes()) if folder.suffix == ".gz" else folder.read_bytes()
    texts: dict[str, set[bytes]] = {}
    for line in data.splitlines():
        head, colon, text = line.partition(b": ")
        if colon:
            texts.setdefault(resolve(b"h", head.split(b" ")[-1].partition(b"[")[0])[1], set()).add(text)
    assert sum(map(len, texts.values())) > 50
    found = [each for name, some in texts.items() for each in agree(pattern_for(name), sorted(some))]
    assert walking.LEFT not in found
    assert sum(each is not None for each in found) > 0.95 * len(found)


@pytest.mark.parametrize(("name", "kind"), STORIES, ids=[name for name, _ in STORIES])
@pytest.mark.parametrize("prefix", [b"", b"svc-1  | "], ids=["verbatim", "behind a container's name"])
def test_a_chunk_becomes_the_same_at_once_and_line_by_line(
    name: str, kind: str, prefix: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(name)
    assert log.count(b"\n") > 300
    chunk = b"".join(prefix + line for line in log.splitlines(keepends=True))
    some = rows_of(parse.parse(chunk, kind))  # few lines of a program are the pattern's
    monkeypatch.setattr(walking, "PAYS", 0)
    quick = rows_of(parse.parse(chunk, kind))
    assert quick == some
    monkeypatch.setattr(walking, "AVAILABLE", False)
    slow = rows_of(parse.parse(chunk, kind))
    assert quick == slow


def test_a_grammar_is_translated_once_there_are_lines_enough_for_it() -> None:
    library = walking.Library()
    one, other = pattern_for("/smtpd"), pattern_for("/qmgr")
    assert [library.pays(one, walking.PAYS // 2 - 1) for _ in range(3)] == [False, False, True]
    assert not library.pays(other, 1)
    assert library.image([one])[1] == [0]
    assert library.pays(one, 1)


def test_repeats_and_split_lines_are_unwrapped_before() -> None:
    head = b"Nov 22 18:44:26 mx1 postfix/smtpd[7]: "
    refused = b"NOQUEUE: reject: RCPT from x[192.0.2.1]: 550 5.1.1 <a@b>: no; from=<c@d> to=<a@b> proto=SMTP helo=<x>"
    chunk = head + refused + b"\n" + head + b"message repeated 3 times: [ " + refused + b"]\n"
    amavis = b"Nov 22 18:44:27 mx1 amavis[9]: (9-1) "
    chunk += amavis + b"Passed CLEAN, [192.0.2.1] <c@d> -> <a@b>, Message-ID: <1...\n"
    chunk += amavis + b"...@x>, mail_id: abc, Hits: 0.1, queued_as: 5A609544187, 120 ms\n"
    found = parse.parse(chunk, "syslog-bsd")
    assert len(found.tables["rejects"]) == 4
    assert found.tables["verdicts"].column("message_id").to_pylist() == ["<1@x>"]
    assert found.unknown == 0
