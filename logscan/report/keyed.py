"""The lists of the report over windows: counts by key of one window, put together, made to rows once.

A panel looks at a window with :mod:`logscan.report.tallies` and hands what it counted by group to :func:`counted`, which
gives a ``Keyed`` that can be merged. What may be added from window to window is: rows, whole numbers, and different mails,
as a mail lies in one window as a whole. What may come in many windows again (addresses, users, hosts) is part of the key
(:func:`hashed` keeps it short) and is counted by :func:`distinct` in the end. Seconds are counted by :func:`spread`; their
percentiles are right to 1 %. In the end, :func:`rows` gives what a ``Listing`` takes::

    by = groups(reason, hop)                                                             # look
    keyed = counted(by, ("reason", "hop"), {"recipients": by.count(), "mails": by.distinct(mail)}, times={"time": time})
    …
    frame = partial.frame("refused")                                                     # conclude
    listed, total = rows(frame, ("reason", "hop"), "recipients", "mails", moments(frame["time_first"], zone))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.report.tallies import MOST_ROWS, Groups, Ints, groups, moment
from logscan.tables.coded import Coded
from logscan.tables.coded import listed as texts_of
from logscan.tables.columns import Column, codes, of_series, ranks, stacked, taken
from logscan.tables.grouping import combine, numbered
from logscan.tables.partials import GAMMA, ZERO, Keyed, buckets

Floats = npt.NDArray[np.float64]

LIMITS = np.iinfo(np.int64)


def counted(
    by: Groups, names: Sequence[str], sums: Mapping[str, Ints], *, times: Mapping[str, Ints] | None = None
) -> Keyed:
    """Return the groups of one window by their values, columns ``names`` (str, a missing one is an empty text).

    ``sums`` hold one whole number a group. ``times`` hold UTC ns by row (0 and below: none): of each the first and the last
    are kept, as ``NAME_first`` and ``NAME_last``.
    """
    columns, once = keys_of(by, names)
    columns |= {name: np.asarray(each, np.int64) for name, each in sums.items()}
    for name, each in (times or {}).items():
        columns[f"{name}_first"], columns[f"{name}_last"] = extremes(by, each)
    least, most = ([f"{name}_{end}" for name in times or ()] for end in ("first", "last"))
    return Keyed.of(columns, sums=sums, least=least, most=most, once=once)


def keys_of(by: Groups, names: Sequence[str]) -> tuple[dict[str, Column], bool]:
    """Return the groups' values by column, and whether no two groups have the same: values of two codes may be one text."""
    columns: dict[str, Column] = {}
    once = True
    for name, each in zip(names, by.columns, strict=True):
        columns[name], different = _values(each, by.first)
        once &= different
    return columns, once


def values_of(column: Coded) -> Column:
    """Return a column's values, text or whole numbers (a missing one is an empty text, or -1)."""
    return _values(column, None)[0]


def _values(column: Coded, rows: Ints | None) -> tuple[Column, bool]:
    """Return the values of some rows (None: all), of one type always, and whether different codes have different ones.

    Whole numbers stay such, all else is text. Only the codes that these rows have are looked at: a piece may have few of many.
    """
    some = column if rows is None else column.take(rows)
    used, codes = some.used(), some.codes
    missing = len(codes) > 0 and int(codes.min()) < 0
    values = column.words.given
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
        numbers = values.astype(np.int64)
        found = numbers[used]
        return np.append(numbers, -1)[codes], len({*found.tolist(), *([-1] * missing)}) == len(used) + missing
    place = np.full(len(values) + 1, len(used), np.int64)
    place[used] = np.arange(len(used))
    if isinstance(values, pa.Array) and len(used) > FEW:
        words = pa.concat_arrays([values.take(pa.array(used)).cast(pa.string()), pa.array([""])])
        different = len(words.dictionary_encode().dictionary) == len(words)
        return words.take(pa.array(place[codes])), different or not missing
    every = column.values
    listed = texts_of([every[code] for code in used.tolist()])
    return (
        pa.array([*listed, ""], pa.string()).take(pa.array(place[codes])),
        len({*listed, *([""] * missing)}) == len(used) + missing,
    )


FEW = 1000
"""Values up to which a list of Python's is as fast."""


def extremes(by: Groups, times: Ints) -> tuple[Ints, Ints]:
    """Return each group's first and last time (UTC ns); int64's own limits where it has none above 0."""
    low, high = np.full(len(by), LIMITS.max), np.full(len(by), LIMITS.min)
    known = times > 0
    np.minimum.at(low, by.of_row[known], times[known])
    np.maximum.at(high, by.of_row[known], times[known])
    return low, high


def moments(times: pd.Series, zone: tzinfo | None) -> list[datetime | None]:
    """Return times of :func:`counted` as aware datetimes of the server's zone, whole seconds; None for none."""
    return [moment(value, zone) for value in times.tolist()]


def hashed(column: Coded) -> Coded:
    """Return the column with 64-bit hashes (int64) for values: to count different ones of what nobody shows.

    A missing value is one that is missing from what :func:`distinct` counts.
    """
    out = column.hashed_values()
    out[out == -1] = 0
    return Coded(column.codes, out)


def distinct(frame: pd.DataFrame, names: Sequence[str], of: str, among: pd.DataFrame) -> Ints:
    """Return, for each row of ``among`` (its key is ``names``), how many different values ``of`` the frame has for that key.

    The frame is a ``Keyed``'s with ``of`` in its key, from :func:`counted`; missing values ("" and -1) don't count.
    """
    rows, mine, wanted = same_keys(frame, names, among)
    values = of_series(frame[of])
    value = codes(values.take(pa.array(rows)) if isinstance(values, pa.Array) else values[rows])
    known = frame[of].to_numpy()[rows] != ("" if isinstance(values, pa.Array) else -1)
    mine, value = mine[known], value[known]
    first = numbered(combine(mine, numbered(value)[0]))[1]
    counts: Ints = np.bincount(mine[first], minlength=int(wanted.max(initial=-1)) + 1)[wanted]
    return counts


def same_keys(frame: pd.DataFrame, names: Sequence[str], among: pd.DataFrame) -> tuple[Ints, Ints, Ints]:
    """Return the rows of a frame that have a key of ``among``, the number of each one's key, and of each of ``among``.

    A list shows few of many keys: of the others little is looked at. Without ``names`` all rows have one key.
    """
    asked, own = [of_series(among[name]) for name in names], [of_series(frame[name]) for name in names]
    kept = np.ones(len(frame), np.bool_)
    for few, many in zip(asked, own, strict=True):
        if isinstance(few, pa.Array) and isinstance(many, pa.Array):
            kept &= pc.is_in(many, value_set=few.cast(many.type)).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(kept)
    both = [codes(stacked([{"": few}, {"": taken(many, rows)}])[""]) for few, many in zip(asked, own, strict=True)]
    number = numbered(combine(*both))[0] if names else np.zeros(len(among) + len(rows), np.int64)
    return rows, number[len(among) :], number[: len(among)]


def spread(columns: Sequence[Coded], names: Sequence[str], seconds: Floats) -> Keyed:
    """Return seconds by key and bucket, column ``n``; see :func:`percentiles`."""
    found = buckets(seconds)
    code, first = numbered(found)
    by = groups(*columns, Coded(code, found[first]))
    return counted(by, (*names, "bucket"), {"n": by.count()})


def percentiles(frame: pd.DataFrame, names: Sequence[str], among: pd.DataFrame, share: float) -> Floats:
    """Return, for each row of ``among`` (its key is ``names``), the percentile of what :func:`spread` counted for that key.

    It lies between two values in proportion (numpy's way), each right to 1 %, and is rounded to hundredths; NaN of none.
    Without ``names`` each row gets the percentile of all.
    """
    out = np.full(len(among), np.nan)
    rows, mine, wanted = same_keys(frame, names, among)
    if not len(rows):
        return out
    bucket, n = frame["bucket"].to_numpy()[rows], frame["n"].to_numpy()[rows]
    order = np.lexsort((bucket, mine))
    mine, bucket, n = mine[order], bucket[order], n[order]
    value = np.where(bucket == ZERO, 0.0, 2 * GAMMA ** np.where(bucket == ZERO, 0, bucket).astype(float) / (GAMMA + 1))
    ends = np.cumsum(n)
    start = np.searchsorted(mine, wanted, "left")
    stop = np.searchsorted(mine, wanted, "right")
    some = np.flatnonzero(stop > start)
    before = np.append(0, ends)[start[some]]
    place = (ends[stop[some] - 1] - before - 1) * (share / 100)
    low = value[np.searchsorted(ends, before + np.floor(place), "right")]
    high = value[np.searchsorted(ends, before + np.ceil(place), "right")]
    part = place - np.floor(place)
    out[some] = [round(float(each), 2) for each in low + (high - low) * part]
    return out


def rows(
    frame: pd.DataFrame, names: Sequence[str], *numbers: str | Sequence[Any] | npt.NDArray[Any], most: int = MOST_ROWS
) -> tuple[tuple[tuple[Any, ...], ...], int]:
    """Return (values of ``names`` ..., numbers ...), the greatest first number first, then by name; and how many there are.

    ``numbers`` are columns' names, or one value a row of the frame. Rows whose first number is 0 are none.
    """
    values = [frame[each].tolist() if isinstance(each, str) else _plain(each) for each in numbers]
    order, total = first_rows(frame, names, np.asarray(values[0]), most)
    keys = [frame[name].iloc[order].tolist() for name in names]
    at = order.tolist()
    columns = [*keys, *([value[row] for row in at] for value in values)]
    return tuple(zip(*columns, strict=True)), total


def first_rows(
    frame: pd.DataFrame, names: Sequence[str], rank: npt.NDArray[Any], most: int = MOST_ROWS
) -> tuple[Ints, int]:
    """Return the places of the first rows by rank, the greatest first, then by name; and how many have one that is not 0."""
    there = np.flatnonzero(rank)
    chosen = there[rank[there] >= np.sort(rank[there])[-most]] if len(there) > most else there
    keys = [ranks(of_series(frame[name].iloc[chosen])) for name in names]
    order = chosen[np.lexsort((*reversed(keys), -rank[chosen]))][:most]
    return order, len(there)


def _plain(values: Any) -> list[Any]:
    listed: list[Any] = values.tolist() if hasattr(values, "tolist") else list(values)
    return listed


def left_out(part: Keyed) -> str:
    """Return what a list says where there were more keys than are counted exactly; empty where there were not."""
    if part.limit == 2**64:
        return ""
    return (
        f" There were more different ones than are counted one by one: these are {len(part.frame):,} taken at random, and "
        f"{max(part.rest, default=0):,} others belong to the rest."
    )
