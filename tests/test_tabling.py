"""Columns of event tables: what the compiled part makes of places in texts is what Python makes of the values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyparsing as pp
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from logscan.envelopes.lines import Bodies, Lines
from logscan.grammar.formats import LogFormat, Shape
from logscan.machine import columns as machine
from logscan.machine.library import LIBRARY
from logscan.matching.text import Text
from logscan.reading import assembling, tabling
from logscan.reading.tabling import Pids, Rows, Spans

compiled = pytest.mark.skipif(LIBRARY is None, reason="the compiled part isn't here")

FIELDS = ("queue_id", "message_id", "filter", "signature", "score", "required", "seconds", "spam", "user")
"""Of the table verdicts: str, cat, float and bool."""

NUMBERS = (
    b"0", b"-0", b"007", b"1.5", b"-.5", b"5.", b"1e3", b"+5", b"0x1F", b"-", b".", b"1.2.3", b"--1", b"nan", b"inf", b"-inf",
    b"9223372036854775807", b"9223372036854775808", b"999999999999999999", b"-99999999999999999", b"-999999999999999999",
    b"123456789012345.5", b"99999999999999.9", b"1000000000", b"1000000000.1", b"-1000000001", b"0.1", b"12.345678901234",
    b"1" * 400, b"1_0", b" 7", b"7 ", "٣".encode(), b"", b"1\x002",
)  # fmt: skip
TEXTS = (
    b"", b"a", b"true", b"T", b"1", b"yes", b"tru", b"\xff", b"\\xff", b"\xc3\xa4", b"\xc3", b"\x00", b"\x00\x00", b"\r",
    b"A1B2C3D4E5F", b"x" * 7, b"x" * 8, b"x" * 9, b"y" * 70_000, b"<1@example.org>", "\ud800".encode("utf-8", "surrogatepass"),
)  # fmt: skip

VALUES = st.one_of(st.none(), st.sampled_from(NUMBERS), st.sampled_from(TEXTS), st.binary(max_size=12))
PLAIN = st.one_of(st.none(), st.from_regex(rb"-?[0-9]{1,9}(\.[0-9]{1,5})?", fullmatch=True), st.just(b""))


@st.composite
def pieces_of(draw: st.DrawFn) -> list[tuple[Rows, dict[str, str]]]:
    """Draw what some shapes matched: rows with any values, and constants."""
    out = []
    for _ in range(draw(st.integers(1, 3))):
        fields = tuple(draw(st.lists(st.sampled_from(FIELDS), unique=True, max_size=6)))
        constants = draw(
            st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(("", "T", "ham", "1.5", "é", "x")), max_size=3)
        )
        size = draw(st.integers(1, 6))
        values = draw(st.sampled_from((VALUES, PLAIN, st.none())))
        width = max(len(fields), 2)
        rows = Rows(Shape(form(constants), fields, tuple(range(1, len(fields) + 1))), width)
        rows.values = draw(st.lists(values, min_size=size * width, max_size=size * width))
        rows.index = sorted(draw(st.lists(st.integers(0, 30), min_size=size, max_size=size)))
        rows.tags = draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
        out.append((rows, constants))
    return out


def form(constants: dict[str, str]) -> LogFormat:
    return LogFormat("some", "", "", ("x",), "verdicts", pp.Literal("x"), (), constants)


def as_spans(rows: Rows, more: int) -> Spans:
    """Return the same rows as places in a text, those of each row somewhere."""
    data, places, at = b"head", [99] * more, []
    fields = len(rows.shape.fields)
    for row in range(len(rows.index)):
        at.append(len(places))
        for value in rows.values[row * rows.width : row * rows.width + fields]:
            start = len(data)
            data += b"\xff;" if value is None else value + b"\xff;"
            places += (-1, -1) if value is None else (start, start + len(value))
        places += [-7] * more
    index, tags = np.asarray(rows.index, np.int64), np.asarray(rows.tags, np.int64)
    return Spans(rows.shape, Text(data), np.array([*places, 0], np.int32), np.array(at, np.int32), index, tags)


def lines(count: int = 31) -> Lines:
    none = np.zeros(count, np.int64)
    each = none + np.arange(count)
    bodies = Bodies(b"", none, none, {})
    return Lines(bodies, each.astype(np.int32), each * 10**9, each - 1, none.astype(np.int16), count, "syslog")


def made(pieces: list[Any], monkeypatch: pytest.MonkeyPatch, *, pure: bool, name: str = "verdicts") -> pa.Table:
    with monkeypatch.context() as patch:
        if pure:
            patch.setattr(tabling, "LIBRARY", None)
        return tabling.table(name, pieces, lines(), np.array([5, 6, 7], np.int32), Pids([None, b"1", b"2"]))


def same(one: pa.Table, other: pa.Table) -> None:
    assert one.schema == other.schema
    for name in one.column_names:
        mine, theirs = one.column(name).combine_chunks(), other.column(name).combine_chunks()
        assert mine.is_valid().equals(theirs.is_valid()), name
        if pa.types.is_dictionary(mine.type):
            assert mine.dictionary.equals(theirs.dictionary), name
            assert mine.indices.drop_null().equals(theirs.indices.drop_null()), name
        assert mine.equals(theirs) or mine.drop_null().to_pylist() == theirs.drop_null().to_pylist(), name
        mine.validate(full=True)


@compiled
@settings(max_examples=150, deadline=None)
@given(found=pieces_of(), more=st.integers(0, 3))
def test_the_compiled_part_makes_the_same_columns(found: list[tuple[Rows, dict[str, str]]], more: int) -> None:
    monkeypatch = pytest.MonkeyPatch()
    rows = [each for each, _ in found]
    want = made(rows, monkeypatch, pure=True)
    same(want, made(rows, monkeypatch, pure=False))
    same(want, made([as_spans(each, more) for each in rows], monkeypatch, pure=False))
    same(want, made([as_spans(each, more) for each in rows], monkeypatch, pure=True))
    coded = made(rows, monkeypatch, pure=True, name="sessions")
    same(coded, made(rows, monkeypatch, pure=False, name="sessions"))


def column(kind: str, values: list[bytes | None]) -> pa.Array | None:
    """Return what the compiled part alone makes of values."""
    text = np.frombuffer(b"".join(value or b"" for value in values) + b"!", np.uint8)
    ends = np.cumsum([len(value or b"") for value in values])
    starts = np.where([value is None for value in values], -1, ends - [len(value or b"") for value in values])
    starts, ends = starts.astype(np.int32), ends.astype(np.int32)
    part = machine.Part(machine.address(starts), machine.address(ends))
    rank = np.arange(len(values))
    piece = machine.Piece(machine.address(text), len(text) - 1, len(values), machine.address(rank))
    return machine.columns([piece], [(kind, [part])], len(values))[0]


@compiled
@pytest.mark.parametrize("kind", ["int", "float"])
@given(text=st.one_of(st.sampled_from(NUMBERS), st.from_regex(rb"-?[0-9]{0,19}(\.[0-9]{0,16})?", fullmatch=True)))
@example(text=b"0.3")
@example(text=b"99999999.9999999")
@settings(max_examples=200, deadline=None)
def test_a_number_is_read_to_the_bit_or_left_to_others(kind: str, text: bytes) -> None:
    read = column(kind, [text])
    if read is not None:
        want = tabling.typed(pa.array([text], pa.binary()), kind)
        assert want.to_pylist() == read.to_pylist()
        assert str(want[0]) == str(read[0])


@compiled
def test_what_fills_logs_is_read_without_help() -> None:
    for kind, text in [
        ("int", b"1234567"),
        ("int", b"-7"),
        ("float", b"0.02"),
        ("float", b"-15.123"),
        ("float", b"99"),
    ]:
        assert column(kind, [text, None]) is not None


@compiled
def test_what_another_number_than_most_is_has_them_all_left_to_others() -> None:
    assert column("int", [b"12", b"0x1F"]) is None
    assert column("float", [b"12", b"1e3"]) is None


@compiled
def test_many_distinct_values_get_codes_of_their_own() -> None:
    values: list[bytes | None] = [b"%x" % (each * 2654435761 % 2**32) for each in range(40_000)]
    coded = column("cat", [*values, None, *values[::-1]])
    assert coded is not None
    assert coded.dictionary.to_pylist() == [(value or b"").decode() for value in values]
    assert coded.indices.to_pylist() == [*range(40_000), None, *range(39_999, -1, -1)]


@compiled
@pytest.mark.parametrize(("start", "end"), [(0, 5), (3, 2), (5, 6), (2**31 - 1, 2**31 - 1)])
def test_a_place_outside_the_text_is_refused(start: int, end: int) -> None:
    starts, ends = np.array([start], np.int32), np.array([end], np.int32)
    part = machine.Part(machine.address(starts), machine.address(ends))
    text, rank = np.zeros(8, np.uint8), np.zeros(1, np.int64)
    piece = machine.Piece(machine.address(text), 4, 1, machine.address(rank))
    with pytest.raises(ValueError, match="a place"):
        machine.columns([piece], [("str", [part])], 1)


@compiled
@pytest.mark.parametrize("rank", [-1, 1])
def test_a_row_outside_the_table_is_refused(rank: int) -> None:
    part, ranks = machine.Part(0, 0, 0, -1), np.array([rank])
    piece = machine.Piece(machine.address(np.zeros(8, np.uint8)), 4, 1, machine.address(ranks))
    with pytest.raises(ValueError, match="a place"):
        machine.columns([piece], [("cat", [part])], 1)


@compiled
def test_places_of_a_row_may_lie_anywhere() -> None:
    """So the matcher hands them over: the places of all fields of all lines in one array, and where each line's begin."""
    text = np.frombuffer(b"ab12cd7ef", np.uint8)
    places = np.array([9, 9, 4, 6, 6, 7, 0, 2, 2, 4, 7, 9, -1, -1], np.int32)
    at, rank = np.array([6, 2, 10], np.int32), np.array([0, 1, 2])
    begin = machine.address(places)
    piece = machine.Piece(machine.address(text), len(text), 3, machine.address(rank), machine.address(at))
    parts = [machine.Part(begin + 8 * each, begin + 8 * each + 4) for each in range(2)]
    name, number = machine.columns([piece], [("cat", parts[:1]), ("int", parts[1:])], 3)
    assert name is not None
    assert number is not None
    assert name.to_pylist() == ["ab", "cd", "ef"]
    assert number.to_pylist() == [12, 7, None]


def test_process_ids_are_numbers_whatever_stands_in_the_brackets() -> None:
    pids = Pids([7, None, b"8", b"x", b"0x1F", b"1234567890123456789012", b"-5", b"9" * 18])
    assert pids.of(np.arange(8)).to_pylist()[:4] == [7, None, 8, None]
    assert (
        Pids([7, b"0x1F"]).of(np.arange(2)).to_pylist() == tabling.typed(pa.array([b"7", b"0x1F"]), "int").to_pylist()
    )
    assert Pids([]).of(np.arange(0)).to_pylist() == []


@pytest.mark.parametrize("pure", [True, False])
def test_rows_are_in_the_order_of_lines_whatever_came_again(pure: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows(Shape(form({}), ("filter", "user"), (1, 2)), 2)
    rows.values, rows.index, rows.tags = [b"b", b"x", b"a", None, b"b", b"y"], [3, 5, 3], [0, 1, 0]
    table = made([rows], monkeypatch, pure=pure)
    assert table.column("line").to_pylist() == [3, 3, 5]
    assert table.column("filter").to_pylist() == ["b", "b", "a"]
    assert table.column("user").to_pylist() == ["x", "y", None]
    assert table.column("filter").chunk(0).dictionary.to_pylist() == ["b", "a"]


@compiled
@settings(max_examples=200, deadline=None)
@given(
    codes=st.lists(st.one_of(st.none(), st.integers(0, 4)), max_size=40),
    begin=st.integers(0, 20),
    typed=st.sampled_from((pa.int32(), pa.int8())),
)
def test_dictionaries_are_made_anew_alike(codes: list[int | None], begin: int, typed: pa.DataType) -> None:
    """Also of a part of a column, whose codes and bits begin somewhere in its memory."""
    words = pa.array(["a", "b", "", "é", "a b"])
    part = pa.DictionaryArray.from_arrays(pa.array(codes, typed), words)[begin:]
    monkeypatch = pytest.MonkeyPatch()
    mine = assembling.recoded(part)
    with monkeypatch.context() as patch:
        patch.setattr(assembling, "LIBRARY", None)
        theirs = assembling.recoded(part)
    mine.validate(full=True)
    assert mine.to_pylist() == theirs.to_pylist() == part.to_pylist()
    assert mine.dictionary.equals(theirs.dictionary)
    assert mine.indices.equals(theirs.indices)


@compiled
@pytest.mark.parametrize("code", [2, -1])
def test_a_code_beyond_its_dictionary_is_refused(code: int) -> None:
    wrong = pa.DictionaryArray.from_arrays(pa.array([0, code], pa.int32()), pa.array(["a", "b"]), safe=False)
    with pytest.raises(ValueError, match="beyond"):
        machine.renumbered(wrong)
