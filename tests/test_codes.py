"""Codes and columns: the quick ways give what the plain ones do."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.correlate.codes import among, extracted, first_rows, numbered, ranked, spread
from logscan.correlate.events import Coded, Events
from logscan.correlate.facts import _makers, bare_ids
from logscan.correlate.frames import Category, Draft, Maybe, Moments, Words, category, coded_as, frame
from logscan.correlate.links import Legs, summed
from logscan.correlate.lives import _order
from logscan.correlate.mailboxes import mailboxes

CODES = st.lists(st.one_of(st.integers(-1, 9), st.integers(-(2**62), 2**62)), max_size=30)
TEXTS = st.lists(st.one_of(st.none(), st.sampled_from(["", "a", "b", "ä", "Zz"])), max_size=12)


def ints(values: list[int]) -> np.ndarray:
    return np.asarray(values, np.int64)


@settings(deadline=None)
@given(CODES)
def test_codes_are_numbered_by_the_values_there_are(values: list[int]) -> None:
    codes = ints(values)
    if codes.size and int(codes.max()) - int(codes.min()) >= 2**63:
        codes = codes // 4
    names, place = ranked(codes)
    assert names.tolist() == sorted(set(codes.tolist()))
    assert names[place].tolist() == codes.tolist()
    names, place = numbered(codes)
    assert sorted(names.tolist()) == sorted(set(codes.tolist()))
    assert names[place].tolist() == codes.tolist()
    assert first_rows(codes).tolist() == sorted(codes.tolist().index(one) for one in set(codes.tolist()))


@given(st.lists(st.integers(-1, 6)), st.lists(st.integers(-1, 6)))
def test_codes_are_among_others_or_not(codes: list[int], wanted: list[int]) -> None:
    assert among(ints(codes), ints(wanted), 7).tolist() == [one in wanted for one in codes]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200_000), st.integers(-3, 40), st.integers(0, 7)), max_size=40))
def test_the_order_of_lives_is_by_key_second_and_rank(rows: list[tuple[int, int, int]]) -> None:
    key, second, rank = (ints([row[at] for row in rows]) for at in range(3))
    assert _order(key, second, rank).tolist() == np.lexsort((rank, second, key)).tolist()


@given(TEXTS, st.integers(0, 3))
def test_what_is_found_in_some_rows_is_spread_over_all(texts: list[str | None], gap: int) -> None:
    rows = np.arange(len(texts)) * (gap + 1)
    whole: list[str | None] = [None] * (len(texts) * (gap + 1))
    for row, text in zip(rows.tolist(), texts, strict=True):
        whole[row] = text
    assert spread(pa.array(texts, pa.string()), rows, len(whole)).to_pylist() == whole


def test_a_word_that_starts_a_text_is_looked_for_only_there() -> None:
    texts = pa.array(["forwarded as AB", "x forwarded as AB", None])
    assert extracted(texts, r"forwarded as (?P<q>\w+)", "forwarded as ").to_pylist() == ["AB", "AB", None]
    assert extracted(texts, r"forwarded as (?P<q>\w+)", "forwarded as ", starts=True).to_pylist() == ["AB", None, None]


@settings(deadline=None)
@given(TEXTS, st.booleans(), st.integers(0, 3))
def test_a_column_is_coded_alike_whatever_arrow_keeps_it_as(texts: list[str | None], few: bool, cut: int) -> None:
    values = pa.array(texts, pa.string())
    chunks = [values.slice(0, cut), values.slice(cut)]
    columns = [pa.chunked_array([chunk.dictionary_encode() for chunk in chunks]) if few else pa.chunked_array(chunks)]
    columns.append(pa.chunked_array([values.dictionary_encode() if few else values]))
    for column in columns:
        found = Events({"t": pa.table({"c": column})}).coded("t", "c")
        words = found.words.to_pylist()
        assert len(set(words)) == len(words)
        assert [words[code] if code >= 0 else None for code in found.codes.tolist()] == texts
        assert found.equal("a").tolist() == [text == "a" for text in texts]
        assert found.equal("b", "Zz", "q").tolist() == [text in ("b", "Zz") for text in texts]
        assert set(found.compact().words.to_pylist()) == {text for text in texts if text is not None}


def test_a_dictionary_that_has_a_value_twice_is_one_code() -> None:
    twice = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 1], pa.int32()), pa.array(["a", "a"]))
    assert Events({"t": pa.table({"c": twice})}).coded("t", "c").codes.tolist() == [0, 0, -1, 0]


@settings(deadline=None)
@given(TEXTS, st.data())
def test_a_frame_of_some_rows_is_those_rows_of_the_whole(texts: list[str | None], data: st.DataObject) -> None:
    size = len(texts)
    values = pa.array(texts, pa.string())
    coded = Words(values).coded()
    number = np.arange(size)
    draft: Draft = {
        "plain": Words(values),
        "by place": Words(values, number[::-1].copy()),
        "few": category(coded),
        "fixed": coded_as(number % 3 - 1, ("z", "y")),
        "moment": Moments(number * 10**9, number % 2 == 0),
        "maybe": Maybe(number, number % 3 > 0),
        "truth": Maybe(number % 2 == 0, number % 3 > 0),
        "number": number,
    }
    whole = frame(draft)
    expected = pd.Series(texts, dtype="str")
    assert whole["plain"].equals(expected)
    assert whole["by place"].equals(expected.iloc[::-1].reset_index(drop=True))
    assert list(whole["few"].cat.categories) == sorted({text for text in texts if text is not None})
    assert whole["few"].astype("str").equals(expected)
    assert whole["maybe"].isna().tolist() == [each % 3 == 0 for each in range(size)]
    assert whole["moment"].isna().tolist() == [each % 2 == 1 for each in range(size)]
    rows = ints(data.draw(st.lists(st.integers(0, size - 1)) if size else st.just([])))
    pd.testing.assert_frame_equal(frame(draft, rows), whole.iloc[rows].reset_index(drop=True))


def test_a_category_has_no_value_that_no_row_has() -> None:
    column = Coded(ints([2, -1, 0]), pa.array(["b", "unused", "a"]))
    found = category(column)
    assert isinstance(found, Category)
    assert (found.words.to_pylist(), found.codes.tolist()) == (["a", "b"], [0, -1, 1])
    assert category(column, ints([1, 2, -1])).codes.tolist() == [-1, 0, -1]


def test_sums_up_to_the_beginning_are_the_same_side_by_side() -> None:
    parent = ints([0, 0, 1, 2, 4])
    values = np.asarray([[1.0, 2, 4, 8, 16], [0.5, 0, 1, 0, 2]])
    assert summed(parent, values).tolist() == [[1, 3, 7, 15, 16], [0.5, 0.5, 1.5, 1.5, 2]]
    assert summed(parent, values[0]).tolist() == [1, 3, 7, 15, 16]


def test_the_first_leg_of_a_child_is_the_one_that_stays() -> None:
    first = Legs.of(ints([1, 2]), ints([5, 6]), "filter", "queued as", 2, 0)
    second = Legs.of(ints([3, 4, 4]), ints([6, 7, 7]), "filter", "inferred", 1, 1)
    none = Legs.of(ints([]), ints([]), "filter", "inferred", 1, -1)
    whole = Legs.joined([none, first, second])
    assert (whole.parent.tolist(), whole.child.tolist()) == ([1, 2, 4], [5, 6, 7])
    assert Legs.joined([none, second]).child.tolist() == [6, 7]
    assert len(Legs.joined([none, none])) == 0


ADDRESSES = st.one_of(st.none(), st.text("ab+-@É.", max_size=9))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(ADDRESSES, ADDRESSES), min_size=1, max_size=8), st.sampled_from(["", "+", "-", "+-"]))
def test_a_mailbox_is_the_owner_s_else_the_recipient_s_without_extension(
    rows: list[tuple[str | None, str | None]], delimiter: str
) -> None:
    def one(recipient: str | None, owner: str | None) -> str | None:
        address = None if recipient is None else recipient.lower()
        if address is not None and delimiter:
            found = re.match(rf"^([^@]+?)[{re.escape(delimiter)}][^@]*(@.*)?$", address)
            address = found[1] + (found[2] or "") if found else address
        if owner is not None:
            domain = address.rpartition("@")[2] if address is not None and "@" in address else ""
            address = owner.lower() if "@" in owner else f"{owner.lower()}@{domain}"
        return None if address is None else address.removesuffix("@")

    to, by = (Words(pa.array([row[at] for row in rows], pa.string())).coded() for at in (0, 1))
    assert mailboxes(to, by, delimiter).array().to_pylist() == [one(*row) for row in rows]


@pytest.mark.parametrize(
    ("logged", "bare"),
    [
        ("<a@b>", "a@b"),
        (" <a@b> ", "a@b"),
        ("<a@b>#011", "a@b"),
        ("<a@b> (added by x@y)", "a@b"),
        ("a@b", "a@b"),
        ("<>", ""),
        ("<", "<"),
        ("", ""),
        ("<é@b>", "é@b"),
    ],
)
def test_a_message_id_is_bare_without_brackets_and_additions(logged: str, bare: str) -> None:
    assert bare_ids(pa.array([logged])).to_pylist() == [bare]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(["20261128110640", ".", "4B2C1D", "A", "@", "h.example", "é"])).map("".join)))
def test_who_made_a_message_id_is_what_the_expression_says(ids: list[str]) -> None:
    found = [re.match(r"(?:[0-9]{14}\.)?([0-9A-Za-z]{6,})@", each) for each in ids]
    assert _makers(pa.array(ids, pa.string())).to_pylist() == [each[1] if each else None for each in found]
