"""Lists that count rows by what they hold: looked at window by window, put together, shown once.

A list says once what it is (:class:`ByKey`); a look at a window fills it, and its parts of a ``Partial`` carry its key::

    STORES = ByKey("stores", "Mailbox outcomes", "…", by=("outcome",), numbers=("lines", "users"))
    …
    parts |= STORES.look((action,), {"lines": None}, {"users": user})  # of one window
    …
    listing = STORES.listing(partial, zone)  # of all windows
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.report.keyed import (
    counted,
    distinct,
    first_rows,
    hashed,
    keys_of,
    left_out,
    moments,
    percentiles,
    rows,
    same_keys,
    spread,
)
from logscan.report.model import Listing
from logscan.report.tallies import Bools, Groups, Ints, groups
from logscan.tables.coded import Coded
from logscan.tables.grouping import combine, numbered
from logscan.tables.partials import Keyed, Part, Partial

Floats = npt.NDArray[np.float64]

VALUE = "_value"
"""The column with the hash of what is counted once a key."""

ENDS, SPREAD = "ends of seconds", "spread of seconds"

RIGHT_TO = " The percentiles are right to 1 %."


@dataclass(frozen=True)
class ByKey:
    """A list of counts by key. ``by`` are the heads of the key's columns, ``numbers`` those of the counts.

    The first number ranks. ``first`` and ``last`` among the numbers are times, ``shares`` those that are percentiles of seconds.
    """

    key: str
    title: str
    help: str
    by: tuple[str, ...]
    numbers: tuple[str, ...]
    shares: tuple[tuple[str, float], ...] = ()
    """(head, share of 0 to 100): the greatest (100) is exact, the others are right to 1 %."""
    digits: int = 2
    """Decimals of seconds."""

    def look(
        self,
        columns: Sequence[Coded],
        sums: Mapping[str, Ints | Bools | None],
        different: Mapping[str, Coded] | None = None,
        times: Ints | None = None,
        seconds: Floats | None = None,
    ) -> dict[str, Part]:
        """Return what one window counts; no parts where it has no rows.

        Each of ``sums`` is a whole number by row, or which rows count, or None: all do. ``different`` are columns of what
        counts once a key in the whole log (users, addresses). ``times`` are UTC ns by row, ``seconds`` what the shares are of.
        """
        if not len(columns[0]):
            return {}
        by = groups(*columns)
        numbers = {name: _sums(by, each) for name, each in sums.items()}
        when = {} if times is None else {"time": times}
        parts: dict[str, Part] = {self.key: counted(by, self.by, numbers, times=when)}
        for name, each in (different or {}).items():
            parts[self._part(name)] = counted(_pairs(by, each), (*self.by, VALUE), {})
        if seconds is not None:
            parts |= self._spread(by, seconds)
        return parts

    def _spread(self, by: Groups, seconds: Floats) -> dict[str, Part]:
        low, high = np.full(len(by), np.inf), np.full(len(by), -np.inf)
        np.minimum.at(low, by.of_row, seconds)
        np.maximum.at(high, by.of_row, seconds)
        keys, different = keys_of(by, self.by)
        ends = {**keys, "low": low, "high": high}
        parts: dict[str, Part] = {self._part(ENDS): Keyed.of(ends, least=("low",), most=("high",), once=different)}
        if any(share < 100 for _, share in self.shares):
            parts[self._part(SPREAD)] = spread(by.columns, self.by, seconds)
        return parts

    def listing(self, partial: Partial, zone: tzinfo | None, keep: Bools | None = None) -> Listing | None:
        """Return the list of all windows; None where none had a row. ``keep``: rows of the frame that are shown."""
        if self.key not in partial:
            return None
        frame = partial.frame(self.key)
        frame = frame if keep is None else frame[keep].reset_index(drop=True)
        # Most of what a list counts isn't shown: the rest is asked of the rows that are.
        shown, total = first_rows(frame, self.by, frame[self.numbers[0]].to_numpy())
        frame = frame.iloc[shown].reset_index(drop=True)
        listed, _ = rows(frame, self.by, *self.columns(partial, frame, zone))
        return Listing(self.key, self.title, self.help + self.more(partial), (*self.by, *self.numbers), listed, total)

    def columns(self, partial: Partial, frame: pd.DataFrame, zone: tzinfo | None) -> list[Any]:
        """Return the numbers' values, one a row of the frame."""
        out: list[Any] = []
        for name in self.numbers:
            if name in frame.columns:
                out.append(frame[name].to_numpy())
            elif name in ("first", "last"):
                out.append(moments(frame[f"time_{name}"], zone))
            elif name in dict(self.shares):
                out.append(self._share(partial, frame, dict(self.shares)[name]))
            else:
                out.append(self._different(partial, name, frame))
        return out

    def more(self, partial: Partial) -> str:
        """Return what the help has to add: what was left out where there were too many keys."""
        part = partial.parts[self.key]
        assert isinstance(part, Keyed)
        said = RIGHT_TO if any(share < 100 for _, share in self.shares) else ""
        said += left_out(part)
        for name in self.numbers:
            each = partial.parts.get(self._part(name))
            if isinstance(each, Keyed) and each.limit < 2**64:
                said += f" The {name} are estimated from {len(each.frame):,} of them."
        return said

    def _share(self, partial: Partial, frame: pd.DataFrame, share: float) -> list[float]:
        """Return a percentile, one a row of the frame: never outside of what was seen."""
        ends = partial.frame(self._part(ENDS))
        rows, mine, wanted = same_keys(ends, self.by, frame)
        place = np.full(len(ends) + len(frame) + 1, -1, np.int64)
        place[mine] = rows
        low, high = (np.append(ends[name].to_numpy(), np.nan)[place[wanted]] for name in ("low", "high"))
        if share < 100:
            found = percentiles(partial.frame(self._part(SPREAD)), self.by, frame, share)
            high = np.clip(found, low, high)
        return [round(float(each), self.digits) for each in high]

    def _part(self, name: str) -> str:
        return f"{self.key}: {name}"

    def _different(self, partial: Partial, name: str, frame: pd.DataFrame) -> Ints:
        part = partial.parts.get(self._part(name))
        if not isinstance(part, Keyed):
            return np.zeros(len(frame), np.int64)
        counts = distinct(part.frame, self.by, VALUE, frame)
        # Of too many, those with the smallest hashes are kept: the share that they are tells how many there were.
        return counts if part.limit == 2**64 else np.rint(counts * (2**64 / part.limit)).astype(np.int64)


def once(columns: Sequence[Coded], codes: Ints) -> Bools:
    """Return which rows are the first of their key with that code: for different ones of what lies in one window as a whole."""
    out = np.zeros(len(codes), np.bool_)
    known = np.flatnonzero(codes >= 0)
    by = groups(*columns)
    out[known[numbered(combine(by.of_row[known], codes[known]))[1]]] = True
    return out


def _pairs(by: Groups, each: Coded) -> Groups:
    """Return the groups of those rows that have a value, by the value's hash too."""
    known = np.flatnonzero(each.codes >= 0)
    codes = each.codes[known]
    of_row, first = numbered(combine(by.of_row[known], codes))
    return Groups(of_row, (*(column.take(known) for column in by.columns), hashed(Coded(codes, each.words))), first)


def _sums(by: Groups, each: Ints | Bools | None) -> Ints:
    return by.count() if each is None else by.total(each)


def listings(lists: Iterable[ByKey], partial: Partial, zone: tzinfo | None) -> Iterable[Listing]:
    """Return those of the lists that any window had rows for."""
    for each in lists:
        listing = each.listing(partial, zone)
        if listing is not None:
            yield listing
