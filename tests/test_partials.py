"""What is kept of pieces of a log is put together in any grouping and order, and says what one piece would have said."""

from __future__ import annotations

import functools
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logscan.report import keyed
from logscan.report.tallies import groups
from logscan.scan.columns import of
from logscan.tables import partials
from logscan.tables.coded import Coded
from logscan.tables.partials import First, Keyed, Partial, Rows, buckets, merged, percentiles

NAMES = ("", "ann", "bob", "é", "zed", "Ann", "a\x00b")
ROW = st.tuples(st.sampled_from(NAMES), st.integers(0, 3), st.integers(-(2**40), 2**40), st.integers(0, 2**40))
PIECES = st.lists(st.lists(ROW, max_size=12), min_size=1, max_size=7)


def frame(rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    columns: dict[str, Any] = {"name": pd.Series([row[0] for row in rows], dtype="str")}
    for at, name in enumerate(("kind", "n", "time"), 1):
        columns[name] = np.array([row[at] for row in rows], np.int64)
    return pd.DataFrame(columns)


def partial(rows: Sequence[tuple[Any, ...]], **more: Any) -> Partial:
    one = frame(rows)
    return Partial(
        {
            "rows": Rows.of(one),
            "keyed": Keyed.of(one.assign(until=one["time"]), sums=("n",), least=("time",), most=("until",)),
            "names": Keyed.of(one[["name"]]),
            "span": Keyed.of(one[["time"]].assign(until=one["time"]), least=("time",), most=("until",)),
            "first": First.of(one, 2, ("time", "n", "name", "kind"), ("name",)),
            "count": len(one),
            **more,
        }
    )


def told(one: Partial) -> dict[str, Any]:
    """Return what a partial holds, whatever the order of its rows."""
    out: dict[str, Any] = {"count": one.count("count")}
    for name in ("rows", "keyed", "names", "span", "first"):
        some = one.frame(name)
        out[name] = sorted(map(tuple, some[sorted(some.columns)].to_numpy(dtype=object).tolist()))
        part = one.parts[name]
        if isinstance(part, Keyed):
            out[name] = out[name], part.limit, part.rest
    return out


@pytest.mark.parametrize("most", [100_000, 3, 1])
@settings(max_examples=25, deadline=None)
@given(pieces=PIECES, seed=st.integers(0, 10))
def test_partials_are_merged_in_any_grouping_and_order(most: int, pieces: list[list[Any]], seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partials, "MOST_KEYS", most)
        some = [partial(piece) for piece in pieces]
        expected = told(partial([row for piece in pieces for row in piece]))
        assert told(merged(some)) == expected
        assert told(functools.reduce(lambda a, b: a + b, some)) == expected
        assert told(functools.reduce(lambda a, b: b + a, some)) == expected
        random.Random(seed).shuffle(some)
        half = len(some) // 2
        assert told(merged([merged(some[half:]), merged(some[:half])])) == expected


@settings(max_examples=25, deadline=None)
@given(pieces=PIECES, most=st.integers(1, 30))
def test_what_is_kept_beyond_the_bound_is_exact_and_the_rest_adds_up(pieces: list[list[Any]], most: int) -> None:
    rows = [row for piece in pieces for row in piece]
    expected: Counter[tuple[str, int]] = Counter()
    for name, kind, n, _ in rows:
        expected[name, kind] += n
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partials, "MOST_KEYS", most)
        part = merged(partial(piece) for piece in pieces).parts["keyed"]
    assert isinstance(part, Keyed)
    kept = {(row["name"], row["kind"]): row["n"] for row in part.frame.to_dict("records")}
    assert len(kept) == min(most, len(expected))
    assert all(expected[key] == n for key, n in kept.items())
    assert sum(kept.values()) + part.rest[0] == sum(expected.values())
    assert bool(keyed.left_out(part)) == (len(expected) > most)


SECONDS = st.lists(
    st.one_of(st.just(0.0), st.floats(0.01, 1e6), st.sampled_from([0.02, 1.0, 3.5])), min_size=1, max_size=60
)


@settings(max_examples=80, deadline=None)
@given(values=SECONDS, share=st.sampled_from([1, 25, 50, 90, 95, 99, 100]))
def test_percentiles_from_buckets_are_right_to_one_per_cent(values: list[float], share: int) -> None:
    numbers = np.array(values)
    bucket, count = np.unique(buckets(numbers), return_counts=True)
    (found,) = percentiles(bucket, count, share)
    exact = np.percentile(numbers, share, method="inverted_cdf")
    assert abs(found - exact) <= 0.01 * exact + 1e-9


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from(NAMES), st.floats(0.0, 1e5)), min_size=1, max_size=80),
    cut=st.integers(0, 80),
    share=st.sampled_from([50, 90, 100]),
)
def test_percentiles_by_key_are_numpys_to_one_per_cent(rows: list[tuple[str, float]], cut: int, share: int) -> None:
    parts = []
    for some in (rows[:cut], rows[cut:]):
        name = of(pd.Series([row[0] for row in some], dtype="str"))
        parts.append(Partial({"x": keyed.spread([name], ["name"], np.array([row[1] for row in some], float))}))
    names = pd.DataFrame({"name": pd.Series([*sorted({row[0] for row in rows}), "nobody"], dtype="str")})
    spread = (parts[1] + parts[0]).frame("x")
    found = dict(zip(names["name"], keyed.percentiles(spread, ["name"], names, share), strict=True))
    assert np.isnan(found.pop("nobody"))
    for name, value in found.items():
        exact = np.percentile([row[1] for row in rows if row[0] == name], share)
        assert abs(value - exact) <= 0.01 * exact + 0.0051
    exact = np.percentile([row[1] for row in rows], share)
    assert abs(keyed.percentiles(spread, [], names, share)[0] - exact) <= 0.01 * exact + 0.0051


def looked(rows: Sequence[tuple[Any, ...]]) -> Partial:
    one = frame(rows)
    by = groups(of(one["name"]), of(one["kind"].astype("str")))
    user = Coded(one["n"].to_numpy() % 5, ["u0", "u1", "u2", "u3", "u4"])
    every = groups(of(one["name"]), keyed.hashed(user))
    counts = keyed.counted(by, ("name", "kind"), {"n": by.count()}, times={"time": one["time"].to_numpy()})
    return Partial({"list": counts, "users": keyed.counted(every, ("name", "user"), {"n": every.count()})})


@settings(max_examples=25, deadline=None)
@given(pieces=PIECES)
def test_a_list_says_the_same_of_one_piece_and_of_many(pieces: list[list[Any]]) -> None:
    whole = [row for piece in pieces for row in piece]
    part = merged(looked(piece) for piece in reversed(pieces))
    listed = part.frame("list")
    users = keyed.distinct(part.frame("users"), ["name"], "user", listed)
    found, total = keyed.rows(listed, ("name", "kind"), "n", users, "time_first", "time_last", most=4)
    expected = []
    for name, kind in {row[:2] for row in whole}:
        mine = [row for row in whole if row[:2] == (name, kind)]
        times = [row[3] for row in mine if row[3] > 0]
        ends = (min(times), max(times)) if times else (2**63 - 1, -(2**63))
        seen = len({row[2] % 5 for row in whole if row[0] == name})
        expected.append((name, str(kind), len(mine), seen, *ends))
    expected.sort(key=lambda row: (-row[2], row[0], row[1]))
    assert (found, total) == (tuple(expected[:4]), len(expected))


@given(
    st.lists(
        st.tuples(
            st.sampled_from((*NAMES, None)),
            st.sampled_from((1.5, float("nan"))),
            st.integers(-(2**62), 2**62),
            st.one_of(st.none(), st.integers(0, 9)),
            st.booleans(),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 3),
)
def test_rows_of_one_key_are_one_as_a_groupby_makes_them(rows: list[tuple[Any, ...]], keys: int) -> None:
    name, part, number, second, flag = zip(*rows, strict=True)
    time = pd.Series(pd.to_datetime(pd.Series(second, dtype="Int64"), unit="s", utc=True))
    whole = pd.DataFrame(
        {
            "name": pd.Series(name, dtype="str"),
            "part": np.array(part, np.float64),
            "number": np.array(number, np.int64) % 3,
            "sum": np.array(number, np.int64) // 16,
            "flag": np.array(flag, np.bool_),
            "low": time,
            "high": np.array(part, np.float64),
        }
    )
    whole = whole[[*("name", "part", "number")[:keys], "sum", "flag", "low", "high"]]
    ways: Any = {"sum": "sum", "flag": "sum", "low": "min", "high": "max"}
    expected = whole.groupby(list(whole.columns[:keys]), sort=False, dropna=False, as_index=False).agg(ways)
    found = Keyed.of(whole, sums=("sum", "flag"), least=("low",), most=("high",)).frame
    pd.testing.assert_frame_equal(found, expected)
