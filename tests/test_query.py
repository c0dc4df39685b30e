"""The language of ``logscan search``: what a text means, and where it points when it means nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.query import words
from logscan.query.fields import FIELDS
from logscan.query.language import DEEPEST, LONGEST, MOST_TERMS, parse
from logscan.query.model import And, Moment, Node, Not, Number, Or, Pattern, QueryError, Term, Word, terms

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def term(field: str, *parts: str) -> Term:
    return Term(field, Pattern(parts))


A, B, C = term("", "a"), term("", "b"), term("", "c")

TREES: list[tuple[str, Node]] = [
    ("a", A),
    ("a b", And((A, B))),
    ("a and b", And((A, B))),
    ("a AND b c", And((A, B, C))),
    ("a or b c", Or((A, And((B, C))))),
    ("(a or b) c", And((Or((A, B)), C))),
    ("(a)(b)", And((A, B))),
    ("not a b", And((Not(A), B))),
    ("not (a b)", Not(And((A, B)))),
    ("not not a", A),
    ("not not not a", Not(A)),
    ("a or not b", Or((A, Not(B)))),
    ("((a))", A),
    ("order android notes", And((term("", "order"), term("", "android"), term("", "notes")))),
    ('"and"', term("", "and")),
    ('"a b"', term("", "a b")),
    ("to:@example.com", term("to", "@example.com")),
    ("FROM:news*@example.com", term("from", "news", "@example.com")),
    ("from:a**b", term("from", "a", "b")),
    ('from:"a*b"', term("from", "a*b")),
    ('from:""', term("from", "")),
    ('reason:"mailbox full (quota)"', term("reason", "mailbox full (quota)")),
    ("client:2001:db8::1", term("client", "2001:db8::1")),
    ("client:192.0.2.7/24", Term("client", Word("192.0.2.0/24"))),
    ("relay:mx.example.net", term("relay", "mx.example.net")),
    ("status:Bounced", Term("status", Word("bounced"))),
    ("status:sent", Term("status", Word("delivered"))),
    ("status:5.1.*", term("status", "5.1.", "")),
    ("verdict:ham", Term("verdict", Word("innocent"))),
    ("score:>5", Term("score", Number(">", 5))),
    ("score:<=-1.5", Term("score", Number("<=", -1.5))),
    ("size:>5M", Term("size", Number(">", 5 << 20))),
    ("size:1200", Term("size", Number("=", 1200))),
    ("delay:>=10m", Term("delay", Number(">=", 600))),
    ("delay:<1.5h", Term("delay", Number("<", 5400))),
    ("since:2026-11-22T07:00", Term("since", Moment(datetime(2026, 11, 22, 7, tzinfo=UTC)))),
    ('since:"2026-11-22 07:00"', Term("since", Moment(datetime(2026, 11, 22, 7, tzinfo=UTC)))),
    ("until:yesterday", Term("until", Moment(datetime(2026, 11, 27, tzinfo=UTC)))),
    ("since:-2h", Term("since", Moment(datetime(2026, 11, 28, 10, tzinfo=UTC)))),
    ("direction:outbound", Term("direction", Word("outbound"))),
    ("tls:no", Term("tls", Word("no"))),
    ("a\tb\u00a0c\n", And((A, B, C))),
]


@pytest.mark.parametrize(("text", "tree"), TREES, ids=[text for text, _ in TREES])
def test_a_query_is_read(text: str, tree: Node) -> None:
    assert parse(text, UTC, NOW) == tree


WRONG = [
    ("", "", "empty"),
    ("  ", " ", "empty"),
    ("a form:x", "form", "did you mean from:"),
    ("sender:x", "sender", "write from:"),
    ("-to:x", "-to", "not to:x"),
    ("id:4A97F54A7D9", "id", "logscan trace"),
    ("a status:bouncd", "bouncd", "did you mean bounced"),
    ("status:rejected", "rejected", "logscan trace"),
    ("verdict:spma", "spma", "did you mean spam"),
    ("size:>5X", "5X", "units: b, k"),
    ("score:>many", "many", "score:>5"),
    ("delay:>1y", "1y", "delay:>10m"),
    ("from:>a", "a", "only size, delay and score"),
    ("since:lately", "lately", "yesterday, -30m"),
    ("since:2500-01-01", "2500-01-01", "a year from"),
    ("client:192.0.2.0/99", "192.0.2.0/99", "no network"),
    ("from: alice", "from:", "right behind it"),
    ("a or", "", "query ends"),
    ("not", "", "query ends"),
    ("a or or b", "or", "stands between"),
    ("and a", "and", "stands between"),
    ("(a or )", ")", "is expected"),
    ("()", "()", "between the brackets"),
    ("((a) (b", "(", "no end"),
    ("a) or (b", ")", "no beginning"),
    ('from:"alice', '"', "no end"),
    ('a"b"', "a", "around a whole value"),
    ("*".join("ab" * 40), None, "wildcards"),
    ("(" * (DEEPEST + 1) + "a" + ")" * (DEEPEST + 1), "(", "brackets within"),
    ("a " * (MOST_TERMS + 1), "a", f"more than {MOST_TERMS}"),
    ("a" * (LONGEST + 1), "a", "characters at most"),
]


@pytest.mark.parametrize(("text", "at", "said"), WRONG, ids=[text[:30] for text, _, _ in WRONG])
def test_an_error_points_at_the_place_and_helps(text: str, at: str | None, said: str) -> None:
    with pytest.raises(QueryError) as raised:
        parse(text, UTC, NOW)
    error = raised.value
    assert said in error.message
    assert at is None or text[error.place : error.place + error.size] == at


PIECES = st.sampled_from(
    ["and", "or", "not", "(", ")", '"', " ", ":", "*", ">", "<=", "5M", "\t", "\u2003", "é", "\ud800", "a@b.example", "-2h",
     "2026-11-22", "bounced", *(f"{name}:" for name in FIELDS)]
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60), st.lists(PIECES, max_size=30).map("".join), st.lists(PIECES, max_size=30).map(" ".join)
    )
)
def test_any_text_is_a_query_or_an_error_that_points_into_it(text: str) -> None:
    wrong, tree = None, None
    try:
        tree = parse(text, UTC, NOW)
    except QueryError as error:
        wrong = error
    if wrong is None:
        assert tree is not None
        assert terms(tree)
        hash(tree)
    else:
        assert 0 <= wrong.place <= len(text)
        assert wrong.size >= 1
        assert wrong.place + wrong.size <= max(len(text), wrong.place + 1)
        assert wrong.message


TERMS = st.sampled_from(["a", "from:b", "size:>5", "status:held"])
NODES = st.recursive(
    TERMS.map(lambda word: (word, parse(word))),
    lambda inner: st.one_of(
        inner.map(lambda each: (f"not ({each[0]})", ("not", each[1]))),
        st.tuples(inner, inner).map(lambda two: (f"({two[0][0]}) or ({two[1][0]})", ("or", two[0][1], two[1][1]))),
        st.tuples(inner, inner).map(lambda two: (f"({two[0][0]}) ({two[1][0]})", ("and", two[0][1], two[1][1]))),
    ),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(NODES, st.dictionaries(st.sampled_from(["a", "from:b", "size:>5", "status:held"]), st.booleans()))
def test_what_is_put_together_means_what_its_parts_mean(made: tuple[str, Any], true: dict[str, bool]) -> None:
    text, meant = made
    holds = {parse(word): true.get(word, False) for word in ("a", "from:b", "size:>5", "status:held")}

    def expected(node: Any) -> bool:
        if isinstance(node, Term):
            return holds[node]
        kind, parts = node[0], node[1:]
        values = [expected(each) for each in parts]
        return not values[0] if kind == "not" else any(values) if kind == "or" else all(values)

    def found(node: Node) -> bool:
        match node:
            case Not(part):
                return not found(part)
            case And(parts):
                return all(found(each) for each in parts)
            case Or(parts):
                return any(found(each) for each in parts)
            case _:
                return holds[node]

    assert found(parse(text)) == expected(meant)


ADDRESSES = ["Alice@Example.com", "alice@mail.example.com", "bob@example.com.invalid", "malice@example.com", "alice", "",
             "first.last@example.org", "odd\n@example.com"]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("alice@example.com", {0}),
        ("@example.com", {0, 3, 7}),
        ("alice@", {0, 1}),
        ("example.com", {0, 1, 3, 7}),
        ("alice", {0, 1, 4}),
        ("*alice*", {0, 1, 3, 4}),
        ("*@example.*", {0, 2, 3, 6, 7}),
        ("*.invalid", {2}),
        ("first.last", {6}),
        ("e.ample.com", set()),
        ("[a-z]*", set()),
    ],
)
def test_an_address_may_be_named_in_part(text: str, meant: set[int]) -> None:
    value = parse(f"from:{text}").value  # type: ignore[union-attr]
    assert isinstance(value, Pattern)
    assert set(words.addresses(pa.array(ADDRESSES), value).nonzero()[0]) == meant


def test_the_empty_sender_may_be_named() -> None:
    assert set(words.addresses(pa.array(ADDRESSES), Pattern(("",))).nonzero()[0]) == {5}


HOSTS = ["mx.example.net[192.0.2.7]:25", "example.net", "notexample.net", "192.0.2.7", "::ffff:192.0.2.8", "local",
         "mx1[/run/dspam.sock]", "2001:db8::1"]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("example.net", {0, 1}),
        ("mx.example.net", {0}),
        ("192.0.2.7", {0, 3}),
        ("192.0.2.*", {0, 3}),
        ("local", {5}),
        ("mx1", {6}),
        ("*dspam*", {6}),
        ("2001:db8::1", {7}),
    ],
)
def test_a_host_may_be_named_in_part(text: str, meant: set[int]) -> None:
    value = parse(f"relay:{text}").value  # type: ignore[union-attr]
    assert isinstance(value, Pattern)
    assert set(words.names(pa.array(HOSTS), value).nonzero()[0]) == meant


def test_a_network_holds_addresses() -> None:
    assert set(words.within(pa.array(HOSTS), "192.0.2.0/24").nonzero()[0]) == {0, 3, 4}
    assert set(words.within(pa.array(HOSTS), "2001:db8::/32").nonzero()[0]) == {7}
