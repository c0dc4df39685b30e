"""Counts for the report's lists: how often each value or combination of values comes, worked on as codes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logscan.tables.coded import Coded
from logscan.tables.grouping import combine, numbered

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MOST_ROWS = 100
"""Rows of a list; the rest lies in the exported tables."""


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
        once = numbered(combine(group, codes[known]))[1]
        return np.bincount(group[once], minlength=len(self))


def moment(value: int, zone: tzinfo | None) -> datetime | None:
    """Return a time in UTC ns as an aware datetime of the server's zone, whole seconds; None for none."""
    limits = np.iinfo(np.int64)
    if value in (limits.min, limits.max, -1):
        return None
    return datetime.fromtimestamp(int(value) // 10**9, UTC).astimezone(zone or UTC)


def groups(*columns: Coded) -> Groups:
    """Return the groups of rows with the same values in all columns."""
    codes = columns[0].codes if len(columns) == 1 else combine(*(each.codes for each in columns))
    of_row, first = numbered(codes)
    return Groups(of_row, columns, first)


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

LIKELY = (
    rf"[0-9]-[0-9][0-9]-[0-9]|[0-9]/[0-9]|[0-9][ -]{MONTHS}|{MONTHS} +[0-9]",
    "[0-9]:[0-9][0-9]:[0-9][0-9]",
    "[0-9] ?(?:s|ms|secs?|seconds?|mins?|minutes?|hours?|days?|[kMG]?i?B|bytes|octets)",
    "|".join(f"[0-9A-Za-z]{{{at}}}[0-9][0-9A-Za-z]{{{7 - at}}}" for at in range(8)),
    "[0-9]{4}",
)
"""What a text has in it in which one of :data:`FOLDS` finds something: Arrow looks for it in no time."""

OTHER_LETTERS = "[^\\x00-\\x7f…]"
"""A letter beyond ASCII may be a number too, as Python counts them."""


def folded(replies: Coded) -> Coded:
    """Return replies by template: addresses, times, numbers and IDs folded."""
    used = replies.used()
    if not len(used):
        return Coded(np.full(len(replies), -1, np.int64), [])
    given = replies.words.given
    texts = given.take(pa.array(used)) if isinstance(given, pa.Array) else pa.array([given[at] for at in used.tolist()])
    words = pc.utf8_slice_codeunits(texts.cast(pa.string()), 0, 300)
    words = pc.replace_substring_regex(words, "<[^<>]*>", "<…>")
    words = pc.replace_substring_regex(words, r"\[[0-9A-Fa-f.:]+\](?::\d+)?", "[…]").dictionary_encode()
    names = _without_numbers(words.dictionary)
    place = {name: code for code, name in enumerate(dict.fromkeys(names))}
    of_word = np.full(len(replies.words) + 1, -1, np.int64)
    of_word[used] = np.array([place[name] for name in names], np.int64)[words.indices.to_numpy()]
    return Coded(of_word[replies.codes], list(place))


def _without_numbers(words: pa.Array) -> list[str]:
    """Return texts with :data:`FOLDS` folded."""
    found: list[str] = words.to_pylist()
    foreign = pc.match_substring_regex(words, OTHER_LETTERS).to_numpy(zero_copy_only=False)
    for pattern, likely in zip(FOLDS, LIKELY, strict=True):
        replace, array = re.compile(pattern).sub, pa.array(found, pa.string())
        rows = foreign | pc.match_substring_regex(array, likely).to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(rows).tolist():
            found[row] = replace("…", found[row])
    return found
