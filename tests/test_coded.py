"""Columns as codes: what looks compare in place of texts says what the texts say."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.checks.authenticated_port_25 import _quoted
from logscan.scan import coded, covering
from logscan.scan.judged import _last_part
from logscan.scan.message_ids import message_ids, trimmed
from logscan.scan.submitted import at_home
from logscan.tables.recent import hashed, joined, of_texts
from logscan.tables.spans import Spans

TEXT = st.one_of(
    st.none(), st.sampled_from(["", "a", "A", "ß", "a\x00b", 'q"\\', "é\n", "<x@y.example>", " <x@y.example>"])
)
COLUMN = st.lists(TEXT, max_size=12)


@given(COLUMN, st.booleans())
def test_a_column_and_its_codes_hold_the_same_texts(values: list[str | None], category: bool) -> None:
    column = pd.Series(values, dtype="str")
    found = coded.of(column.astype("category") if category else column)
    rows = np.arange(len(values))
    assert pd.Series(found.at(rows)).equals(column)
    assert pd.Series(coded.category(found.words, found.codes)).astype("str").equals(column)
    assert pd.Series(coded.plain_text(coded.dictionary(found.words, found.codes))).equals(column)
    for wanted in (("a",), ("", "ß", "nowhere"), ()):
        assert found.equal(*wanted).tolist() == [value in wanted for value in values]
    assert set(coded.category(found.words, found.codes).categories) == {value for value in values if value is not None}


@given(COLUMN, COLUMN)
def test_texts_are_put_together_where_no_part_is_missing(first: list[str | None], second: list[str | None]) -> None:
    size = min(len(first), len(second))
    one, two = (pa.array(each[:size], pa.string()) for each in (first, second))
    expected = [
        None if a is None or b is None else f"{a}[{b}]" for a, b in zip(first[:size], second[:size], strict=True)
    ]
    assert coded.joined(one, "[", two, "]").to_pylist() == expected


@given(st.lists(st.text(max_size=8), max_size=12))
def test_texts_stand_in_json_as_json_writes_them(words: list[str]) -> None:
    words = [word.encode("utf-8", "replace").decode() for word in words]
    assert [json.loads(each) for each in _quoted(pa.array(words, pa.string())).to_pylist()] == words


@given(COLUMN, COLUMN)
def test_a_hash_of_words_is_that_of_their_rows(first: list[str | None], second: list[str | None]) -> None:
    size = min(len(first), len(second))
    columns = [pd.Series(each[:size], dtype="str") for each in (first, second)]
    codes = [coded.of(column) for column in columns]
    by_word = joined(*(of_texts(each.words)[each.codes] for each in codes))
    assert by_word.tolist() == hashed(*columns).tolist()
    pairs = list(zip(first[:size], second[:size], strict=True))
    assert len(set(by_word.tolist())) == len(set(pairs))


@given(COLUMN, COLUMN)
def test_message_ids_are_known_with_brackets_and_without(entries: list[str | None], verdicts: list[str | None]) -> None:
    def frame(values: list[str | None]) -> pd.DataFrame:
        return pd.DataFrame({"message_id": pd.Series(values, dtype="str")})

    class Window:
        """What may stand for a window: it can be looked up."""

    window: Any = Window()
    window.entries, window.verdicts = frame(entries), frame(verdicts)
    found = message_ids(window)
    for codes, values in ((found.entries, entries), (found.verdicts, verdicts)):
        assert found.words.take(pa.array(codes)).to_pylist() == [value or "" for value in values]
        bare = trimmed(pa.array(values, pa.string())).to_pylist()
        hashes = found.hashes[found.bare[codes]].tolist()
        assert [each == 0 for each in hashes] == [text == "" for text in bare]
        assert len(set(zip(bare, hashes, strict=True))) == len(set(bare)) == len(set(hashes))


@pytest.mark.parametrize(
    ("delays", "seconds"),
    [
        ("0.1/2/3/4.5", 4.5),
        ("7", 7),
        ("1/2/", 0),
        ("1/2/3.4.5", 0),
        (None, 0),
        ("1/.5", 0.5),
        ("1/99999999999", 99999999999),
    ],
)
def test_the_last_part_of_delays_is_a_number_or_none(delays: str | None, seconds: float) -> None:
    assert _last_part(pa.array([delays], pa.string())).tolist() == [seconds]
    assert _last_part(pa.array(["0/0/0/1.25", delays], pa.string())).tolist() == [1.25, seconds]


@pytest.mark.parametrize(
    ("address", "home"),
    [
        ("ann@example.org", True),
        ("ann@MX.Example.Org", True),
        ("ann@badexample.org", False),
        ("ann@example.org@example.net", False),
        ("root", True),
        ("", True),
        (None, False),
    ],
)
def test_an_address_is_at_home_by_its_last_part(address: str | None, home: bool) -> None:
    assert at_home(pd.Series([address], dtype="str"), frozenset({"example.org"})).tolist() == [home]


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 40)), max_size=20))
def test_stretches_are_those_of_all_times_of_a_host(rows: list[tuple[str, int]]) -> None:
    near = covering.NEAR // 10
    hosts = pd.Series([host for host, _ in rows], dtype="str")
    times = np.array([minute * near for _, minute in rows], np.int64)
    entries = pd.DataFrame({"host": hosts.astype("category"), "first": pd.to_datetime(times, utc=True)})
    window: Any = SimpleNamespace(entries=entries)
    found = covering._spans(window, np.arange(len(rows)))
    expected = Spans.of(pd.DataFrame({"host": hosts, "time": times}), covering.NEAR)
    key = ["host", "begin", "end"]
    for one in (found, found.merged([found])):
        assert sorted(map(tuple, one.frame[key].to_numpy(dtype=object))) == sorted(
            map(tuple, expected.frame[key].to_numpy(dtype=object))
        )
