"""Columns as codes say what rows say one by one: groups, orders, folded texts, lives of queue IDs, sessions' lines."""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.pipeline import ways
from logscan.report.encryption import Lines
from logscan.report.people import domain
from logscan.report.tallies import FOLDS, folded
from logscan.scan.columns import of
from logscan.tables import columns
from logscan.tables.coded import Coded, either
from logscan.tables.grouping import numbered, ordered
from logscan.tables.latest import repeated
from logscan.tables.partials import Keyed, together

WORDS = st.lists(st.one_of(st.none(), st.sampled_from(["", "a", "B", "é", "a\0b", "zz", "İ"])), max_size=30)
NUMBERS = st.one_of(st.lists(st.integers(-3, 40), max_size=60), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=60))


@settings(max_examples=100, deadline=None)
@given(numbers=NUMBERS)
def test_rows_of_one_code_have_one_number_and_the_first_of_them_is_told(numbers: list[int]) -> None:
    of_row, first = numbered(np.array(numbers, np.int64))
    assert len(first) == len(set(numbers))
    assert [numbers[first[number]] for number in of_row.tolist()] == numbers
    assert all(numbers.index(numbers[at]) == at for at in first.tolist())


@settings(max_examples=60, deadline=None)
@given(numbers=st.lists(st.one_of(st.integers(0, 5), st.integers(0, 2**32 - 1)), max_size=60))
def test_codes_are_put_in_order_and_equal_ones_stay_as_they_stood(numbers: list[int]) -> None:
    codes = np.array(numbers, np.int64)
    assert ordered(codes).tolist() == np.argsort(codes, kind="stable").tolist()


@settings(max_examples=60, deadline=None)
@given(words=WORDS)
def test_a_column_as_codes_says_what_its_rows_say(words: list[str | None]) -> None:
    column = of(pd.Series(words, dtype="str"))
    assert column.texts().to_pylist() == words
    assert column.is_in("a", "é").tolist() == [word in ("a", "é") for word in words]
    assert column.having(lambda word: len(word) > 1).tolist() == [word is not None and len(word) > 1 for word in words]
    upper = column.changed(lambda word: word.upper() or None)
    assert upper.texts().to_pylist() == [(word or "").upper() or None for word in words]
    hashes = column.hashed().tolist()
    assert len(set(zip(words, hashes, strict=True))) == len(set(words)) == len({*zip(hashes, strict=True)})
    assert [each == 0 for each in hashes] == [word is None for word in words]


@settings(max_examples=60, deadline=None)
@given(words=WORDS, seed=st.integers(0, 2**30))
def test_of_two_columns_each_row_has_the_one_that_is_chosen(words: list[str | None], seed: int) -> None:
    chosen = np.random.default_rng(seed).random(len(words)) < 0.5
    other: list[str | None] = words[::-1]
    found = either(of(pd.Series(words, dtype="str")), of(pd.Series(other, dtype="str")), chosen).texts().to_pylist()
    assert found == [b if yes else a for a, b, yes in zip(words, other, chosen.tolist(), strict=True)]


@settings(max_examples=40, deadline=None)
@given(words=WORDS)
def test_texts_rank_by_the_alphabet_and_what_is_missing_comes_last(words: list[str | None]) -> None:
    rank = columns.ranks(pa.array(words, pa.string())).tolist()
    by_rank = [word for _, word in sorted(zip(rank, words, strict=True), key=lambda pair: pair[0])]
    assert by_rank == [*sorted(word for word in words if word is not None), *[None] * words.count(None)]


@settings(max_examples=40, deadline=None)
@given(words=WORDS)
def test_repeated_texts_are_categories_as_pandas_makes_them(words: list[str | None]) -> None:
    series = pd.Series(words, dtype="str", index=range(5, 5 + len(words)))
    pd.testing.assert_series_equal(repeated(series), series.astype("category"))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 9)), max_size=30),
    size=st.integers(1, 4),
    keys=st.sampled_from([(), ("a",), ("a", "b")]),
)
def test_the_first_rows_of_each_key_are_those_a_groupby_finds(
    rows: list[Any], size: int, keys: tuple[str, ...]
) -> None:
    frame = pd.DataFrame(rows, columns=["a", "b", "c"], dtype="int64").drop_duplicates(ignore_index=True)
    found = columns.frame_of(columns.firsts(columns.of_frame(frame), size, ("c", "a", "b"), keys))
    in_order = frame.sort_values(["c", "a", "b"], ignore_index=True)
    expected = in_order.groupby(list(keys)).head(size) if keys else in_order.head(size)
    pd.testing.assert_frame_equal(found, expected.reset_index(drop=True))


PIECES = (
    "2026-12-04 07:36:08", "04/12/2026", "Fri, 04 Dec 2026 07:36:08 +0000", "4 Dec", "Dec  4", "x", " ", "12:34:56", "1:02",
    "300s", "12 kB", "7 days", "٣٤٥٦٧", "4BxZ12ab9", "abcdefgh", "abcdefg1", "_", "1234", "é12345678", "…", "5.7.1",
)  # fmt: skip
FIELDS = st.lists(st.sampled_from(PIECES), max_size=8)


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(FIELDS.map("".join), min_size=1, max_size=5))
def test_what_arrow_finds_unlikely_to_fold_no_pattern_folds(texts: list[str]) -> None:
    found = folded(Coded(np.arange(len(texts)), texts))
    patterns = [re.compile(pattern) for pattern in FOLDS]
    for text, code in zip(texts, found.codes.tolist(), strict=True):
        assert found.values[code] == functools.reduce(lambda words, pattern: pattern.sub("…", words), patterns, text)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.sampled_from("aAbİẞ@.\n"), max_size=8), min_size=1))
def test_domains_are_what_stands_behind_the_last_at_sign(addresses: list[str]) -> None:
    expected = [each.rpartition("@")[2].lower() if "@" in each else "(none)" for each in addresses]
    assert domain(pa.array(addresses, pa.string())).to_pylist() == expected


POINTS = st.lists(st.tuples(st.sampled_from([-(2**62), 7, 2**62]), st.integers(0, 6), st.booleans()), max_size=25)


@settings(max_examples=100, deadline=None)
@given(lines=POINTS, asked=POINTS)
def test_the_last_lines_before_a_time_are_found(lines: list[Any], asked: list[Any]) -> None:
    key, at = (np.array([line[place] for line in lines], np.int64) for place in (0, 1))
    version = Coded(np.array([0 if line[2] else -1 for line in lines], np.int64), ["TLSv1.3"])
    wanted, when = (np.array([each[place] for each in asked], np.int64) for place in (0, 1))
    found = Lines(key, at, version).before(wanted, when)
    for tls, places in zip((True, False), found, strict=True):
        for (who, then, _), place in zip(asked, places.tolist(), strict=True):
            before = [(line[1], row) for row, line in enumerate(lines) if line[::2] == (who, tls) and line[1] <= then]
            assert place == max(before, default=(0, -1))[1]


@pytest.mark.parametrize("kind", ["str", "int64", "float64", "boolean", "datetime64[ns, UTC]", "category"])
def test_a_frame_comes_back_from_its_columns(kind: str) -> None:
    values = {"float64": [1.5, None], "boolean": [True, None], "int64": [3, 4]}.get(kind, ["2026-01-01", None])
    frame = pd.DataFrame({"x": pd.Series(values, dtype=kind)}).iloc[::-1]
    found = columns.frame_of(columns.of_frame(frame))
    expected = frame.astype("str") if kind == "category" else frame
    pd.testing.assert_frame_equal(found, expected.reset_index(drop=True))
    part = Keyed.of(frame)
    whole = part.merged([part, Keyed.of(frame.iloc[:0])])
    assert len(whole) == 2
    pd.testing.assert_frame_equal(whole.frame, together([expected.reset_index(drop=True)]))


@pytest.mark.parametrize("size", [0, 3])
def test_what_ways_are_told_from_is_read_as_it_was_kept(size: int) -> None:
    columns_of = {
        "name": pd.Series(["a", None, "é"], dtype="str"),
        "kind": pd.Series(["x", None, "x"], dtype="category"),
        "first": pd.to_datetime(pd.Series([1, None, 2]), unit="s", utc=True),
        "size": pd.Series([1, None, 3], dtype="Int64"),
        "spam": pd.Series([True, None, False], dtype="boolean"),
        "delay": [0.5, np.nan, 1.0],
        "mail": [1, -1, 2],
        "open": [True, False, True],
    }
    frame = pd.DataFrame(columns_of).assign(other=1).iloc[:size]
    pd.testing.assert_frame_equal(ways._columns(frame, list(columns_of)).to_pandas(), frame[list(columns_of)])
