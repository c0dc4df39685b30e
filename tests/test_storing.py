"""Partials as bytes: they come back as exactly what they were, or are refused."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import logscan
from logscan.checking.check import all_checks
from logscan.checking.judging import concluded, looked
from logscan.samples import stories, story
from logscan.scan.window import windows_of
from logscan.tables.partials import First, Keyed, Part, Partial, Points, Rows, merged
from logscan.tables.recent import Block, Recent
from logscan.tables.stored_columns import flat, held
from logscan.tables.storing import KINDS, MAGIC, packed, unpacked

LAB = Path(__file__).parent / "data" / "lab"
SOME = [*list(stories())[::5], *sorted(path.name for path in LAB.iterdir() if path.is_dir())[::9]]


@functools.cache
def _halves(name: str) -> tuple[Any, list[dict[str, Partial]]]:
    """Return a log, and what all checks saw in its two halves."""
    scan = logscan.read(story(name) if name in stories() else LAB / name)
    times = np.sort(scan.deliveries["time"].dt.as_unit("ns").astype("int64").to_numpy())
    cut = times[len(times) // 2] if len(times) else 0
    return scan.log, [looked(all_checks(), window) for window in windows_of(scan, lambda first: (first >= cut) * 1)]


def same(one: Any, other: Any) -> bool:
    """Whether two parts are one in every field, the types of their columns among it."""
    if type(one) is not type(other):
        return False
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
        return True
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        return bool(pd.Series(one).equals(pd.Series(other)))
    if isinstance(one, (pa.Array, pa.Buffer)):
        return (getattr(one, "type", 0) == getattr(other, "type", 0)) and one.equals(other)
    if isinstance(one, pd.api.extensions.ExtensionArray):
        assert one.dtype == other.dtype
        return bool(one.equals(other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, tuple) and one and not isinstance(one[0], str):
        return len(one) == len(other) and all(map(same, one, other))
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, each.name), getattr(other, each.name)) for each in dataclasses.fields(one))
    return bool(one == other)


@pytest.mark.parametrize("name", SOME)
def test_all_that_checks_make_comes_back(name: str) -> None:
    log, halves = _halves(name)
    back = [{key: unpacked(packed(partial)) for key, partial in half.items()} for half in halves]
    for half, again in zip(halves, back, strict=True):
        for check, partial in half.items():
            assert list(partial.parts) == list(again[check].parts)
            for part, value in partial.parts.items():
                whole = dataclasses.replace(value, frames=(value.frame,)) if isinstance(value, Rows) else value
                assert same(whole, again[check].parts[part]), (check, part)
    checks = all_checks()
    assert concluded(checks, back, log) == concluded(checks, halves, log)
    assert concluded(checks, [halves[0], back[1]], log) == concluded(checks, halves, log)


def test_each_kind_of_part_comes_up_in_the_samples() -> None:
    made = {
        type(part).__name__
        for name in SOME
        for half in _halves(name)[1]
        for partial in half.values()
        for part in partial.parts.values()
    }
    assert made == {*KINDS, "int"}


TEXTS = st.lists(st.none() | st.text(max_size=8), max_size=12)
INTS = npst.arrays(np.int64, st.integers(0, 12))


@given(TEXTS, INTS, st.integers(-(2**70), 2**70))
def test_any_texts_and_numbers_come_back(words: list[str | None], numbers: Any, number: int) -> None:
    sound = [each if each is None else each.encode("utf-8", "replace").decode() for each in words]
    parts: dict[str, Part] = {
        "keyed": Keyed.of({"word": pa.array(sound, pa.large_string())}),
        "points": Points.of({"key": numbers, "at": numbers}),
        "first": First.of({"key": numbers}, 3, ("key",)),
        "rows": Rows.of(pd.DataFrame({"word": pd.Series(sound, dtype="str")})),
        "n": number,
    }
    again = unpacked(packed(Partial(parts)))
    assert all(same(parts[name], again.parts[name]) for name in parts)
    twice = merged([again, Partial(parts)])
    assert all(same(twice.parts[name], part) for name, part in merged([Partial(parts)] * 2).parts.items())


@pytest.mark.parametrize(
    "column",
    [
        np.array([1.5, np.nan, -0.0]),
        np.array([1, 2], np.uint64) << np.uint64(63),
        np.array([], np.int32),
        np.array([True, False]),
        np.array([("a", 1), None, "x", ["y"], frozenset({2, 1}), 0.1, float("inf")], object),
        pd.array([True, None], dtype="boolean"),
        pd.array([1, None], dtype="Int64"),
        pd.array(np.array([1, np.iinfo(np.int64).min], "datetime64[ns]")),
        pd.Series(pd.to_datetime([1, None], utc=True)).array,
        pd.Categorical.from_codes([0, -1], pd.Index(["used", "never"], dtype="str")),
        pd.Categorical.from_codes([], pd.Index([], dtype=object)),
        pa.array(["a", None], pa.string()),
        pa.array(["a", "a", None]).dictionary_encode(),
    ],
    ids=lambda column: f"{type(column).__name__}-{getattr(column, 'dtype', getattr(column, 'type', ''))}",
)
def test_each_kind_of_column_comes_back(column: Any) -> None:
    kind, array = flat(column)
    again = held(kind, array)
    if isinstance(column, np.ndarray) and column.dtype.kind == "O":
        assert repr(again.tolist()) == repr(column.tolist())
    else:
        assert same(column, again)


def test_a_part_that_is_shared_is_written_once() -> None:
    numbers = np.random.default_rng(1).integers(0, 2**60, 5000)
    part = Points.of({"key": numbers, "at": numbers})
    once = packed(Partial({"a": part}))
    both = packed(Partial({"a": part, "b": part, "one": 1, "more": 1}))
    assert len(both) < len(once) + 300
    again = unpacked(both)
    assert again.parts["a"] is again.parts["b"]
    assert again.count("more") == 1


def test_what_is_damaged_is_refused() -> None:
    numbers = np.arange(500)
    data = packed(Partial({"a": Keyed.of({"key": numbers, "n": numbers}, sums=["n"]), "n": 7}))
    for at in range(0, len(data), 7):
        with pytest.raises(ValueError, match="what earlier runs kept"):
            unpacked(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        with pytest.raises(ValueError, match="what earlier runs kept"):
            unpacked(data[:at])


def test_what_another_version_wrote_is_refused() -> None:
    data = packed(Partial({"n": 1}))
    with pytest.raises(ValueError, match="of the form 9; this version reads 1"):
        unpacked(data[: len(MAGIC)] + b"\x09" + data[len(MAGIC) + 1 :])


@pytest.mark.parametrize("value", [object(), 2j, b"bytes"])
def test_what_nobody_can_store_is_said_when_it_is_written(value: object) -> None:
    with pytest.raises(TypeError, match="can't be stored"):
        packed(Partial({"rows": Rows.of(pd.DataFrame({"odd": pd.Series([value], dtype=object)}))}))


def test_rows_of_windows_may_be_taken_out_when_they_come_back() -> None:
    part = Recent.of({"time": np.array([5, 6])}, np.array([1, 2], np.uint64), 6)
    again = unpacked(packed(Partial({"right": part}))).parts["right"]
    assert isinstance(again, Recent)
    assert [type(each) for each in again.blocks] == [Block]
    assert again.without(np.array([1], np.uint64)).frame["time"].tolist() == [6]


def test_an_object_column_that_pandas_wrapped_comes_back_as_its_values() -> None:
    for values in ([], ["mx1", None, 3]):
        column = pd.array(np.array(values, dtype=object), dtype=np.dtype(object))
        kind, array = flat(column)
        back = held(kind, array)
        assert isinstance(back, np.ndarray)
        assert back.tolist() == values
