"""Counts for the report's lists: how often each value or combination of values comes, worked on as codes.

Event tables are read column by column from Arrow: most of a large log's text is never decoded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import factorise
from logscan.tables import cells, texts
from logscan.tables.grouping import combine

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MOST_ROWS = 100
"""Rows of a list; the rest lies in the exported tables."""


@dataclass(frozen=True)
class Coded:
    """A column as codes (int64, -1 where missing) and the values by code."""

    codes: Ints
    values: Sequence[Any]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    def take(self, rows: Ints | Bools) -> Coded:
        """Return some rows."""
        return Coded(self.codes[rows], self.values)

    def is_in(self, *names: str) -> Bools:
        """Return which rows have one of these values."""
        found = np.array([value in names for value in [*self.values, None]], np.bool_)
        out: Bools = found[self.codes]
        return out

    def having(self, test: Any) -> Bools:
        """Return for which rows ``test`` (of one value) holds; False where there is none."""
        found = np.array([*map(bool, map(test, self.values)), False], np.bool_)
        out: Bools = found[self.codes]
        return out

    def changed(self, change: Any) -> Coded:
        """Return what ``change`` makes of each value; what it makes the same, and the same text, is one value."""
        names = [change(value) for value in self.values]
        place = {name: code for code, name in enumerate(dict.fromkeys(name for name in names if name is not None))}
        codes = np.array([-1 if name is None else place[name] for name in [*names, None]], np.int64)
        return Coded(codes[self.codes], list(place))


def column(scan: Window, table: str, name: str) -> Coded:
    """Return a column of an event table as codes."""
    if not len(scan.tables[table]):
        return Coded(np.empty(0, np.int64), [])
    (codes,), values = factorise([scan.tables[table].column(name)])
    return Coded(codes, values.to_pylist())


def number(scan: Window, table: str, name: str) -> Ints:
    """Return a column of whole numbers or times (UTC ns) of an event table; -1 where there is none."""
    array = scan.tables[table].column(name)
    if array.null_count:
        array = pc.fill_null(array, -1)
    out: Ints = array.to_numpy().astype(np.int64)
    return out


def ns(times: pd.Series) -> Ints:
    """Return times of a joined table as UTC ns; those missing are far below 0."""
    return cells.ns(times)


def of(series: pd.Series) -> Coded:
    """Return a column of a joined table as codes."""
    if isinstance(series.dtype, pd.CategoricalDtype) and isinstance(series.cat.categories.dtype, pd.StringDtype):
        return Coded(series.cat.codes.to_numpy().astype(np.int64), series.cat.categories.tolist())
    codes, values = texts.coded(series)
    return Coded(codes, values.tolist())


@dataclass(frozen=True)
class Groups:
    """Rows by combination of values: each row's group, and the first row of each group."""

    of_row: Ints
    columns: tuple[Coded, ...]
    first: Ints

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self.first)

    def name(self, group: int) -> tuple[str, ...]:
        """Return a group's values; a missing one is an empty text."""
        codes = [(each, int(each.codes[self.first[group]])) for each in self.columns]
        return tuple(str(each.values[code]) if code >= 0 else "" for each, code in codes)

    def count(self, rows: Bools | None = None) -> Ints:
        """Return how many rows (of those given) each group has."""
        some = self.of_row if rows is None else self.of_row[rows]
        return np.bincount(some, minlength=len(self))

    def total(self, weights: npt.NDArray[Any]) -> Ints:
        """Return the sum of whole numbers by group."""
        return np.bincount(self.of_row, weights=weights, minlength=len(self)).astype(np.int64)

    def distinct(self, codes: Ints, rows: Bools | None = None) -> Ints:
        """Return how many different codes (of 0 and above) each group has."""
        known = codes >= 0 if rows is None else (codes >= 0) & rows
        group = self.of_row[known]
        if not len(group):
            return np.zeros(len(self), np.int64)
        once = np.unique(combine(group, codes[known]), return_index=True)[1]
        return np.bincount(group[once], minlength=len(self))


def moment(value: int, zone: tzinfo | None) -> datetime | None:
    """Return a time in UTC ns as an aware datetime of the server's zone, whole seconds; None for none."""
    limits = np.iinfo(np.int64)
    if value in (limits.min, limits.max, -1):
        return None
    return datetime.fromtimestamp(int(value) // 10**9, UTC).astimezone(zone or UTC)


def groups(*columns: Coded) -> Groups:
    """Return the groups of rows with the same values in all columns."""
    if not len(columns[0]):
        return Groups(np.empty(0, np.int64), columns, np.empty(0, np.int64))
    codes = columns[0].codes if len(columns) == 1 else combine(*(each.codes for each in columns))
    _, first, of_row = np.unique(codes, return_index=True, return_inverse=True)
    return Groups(of_row.astype(np.int64), columns, first.astype(np.int64))


MONTHS = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
CLOCK = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?"
ZONE = r"(?: ?(?:[+-]\d\d:?\d\d|Z|UTC|GMT)\b)?"
FOLDS = (
    # 2026-12-04 07:36:08, 04/12/2026, Fri, 04 Dec 2026 07:36:08 +0000, Fri Dec  4 07:36:08 2026, 4 Dec, 07:36:08
    rf"\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? +)?(?:\d{{4}}-\d\d-\d\d|\d{{1,4}}/\d{{1,2}}/\d{{1,4}}|\d{{1,2}}[ -]{MONTHS}"
    rf"(?:[ -]\d{{2,4}}\b)?|{MONTHS} +\d{{1,2}}\b(?:, \d{{4}})?)(?:,?[ T]+{CLOCK}{ZONE}(?: \d{{4}}\b)?)?",
    rf"(?<![\d.:])\d{{1,3}}:\d\d:\d\d(?:[.,]\d+)?{ZONE}(?![\d:])",
    r"(?<![\d.])\d+(?:\.\d+)?(?= ?(?:s|ms|secs?|seconds?|mins?|minutes?|hours?|days?|[kMG]?i?B|bytes|octets)\b)",
    r"\b(?=\w*\d)[0-9A-Za-z]{8,}\b",
    r"\d{4,}",
)
"""Dates, times, spans, sizes, IDs and numbers, folded out of replies so that like reasons count together."""

FEW = 1000
"""Texts up to which Python's own patterns are as fast."""


def folded(replies: Coded) -> Coded:
    """Return replies by template: addresses, times, numbers and IDs folded."""
    used = np.flatnonzero(np.bincount(replies.codes + 1, minlength=len(replies.values) + 1)[1:])
    if not len(used):
        return Coded(np.full(len(replies), -1, np.int64), [])
    words = pc.utf8_slice_codeunits(pa.array([replies.values[code] for code in used.tolist()], pa.string()), 0, 300)
    words = pc.replace_substring_regex(words, "<[^<>]*>", "<…>")
    words = pc.replace_substring_regex(words, r"\[[0-9A-Fa-f.:]+\](?::\d+)?", "[…]").dictionary_encode()
    names = _without_numbers(words.dictionary)
    place = {name: code for code, name in enumerate(dict.fromkeys(names))}
    of_word = np.full(len(replies.values) + 1, -1, np.int64)
    of_word[used] = np.array([place[name] for name in names], np.int64)[words.indices.to_numpy()]
    return Coded(of_word[replies.codes], list(place))


def _without_numbers(words: pa.Array) -> list[str]:
    """Return texts with :data:`FOLDS` folded; pandas takes longer to look at the patterns than a few texts take."""
    if len(words) > FEW:
        names = pd.Series(words.to_pandas(), dtype="str")
        for pattern in FOLDS:
            names = names.str.replace(pattern, "…", regex=True)
        folded_names: list[str] = names.tolist()
        return folded_names
    few: list[str] = words.to_pylist()
    for pattern in FOLDS:
        replace = re.compile(pattern).sub
        few = [replace("…", word) for word in few]
    return few
