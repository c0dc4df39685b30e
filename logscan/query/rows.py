"""What a query is asked of: one row for each recipient's end, with the mail it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.query.fields import OUTCOMES
from logscan.tables import texts

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

Getter = Callable[[str], Any]
"""Gives a column by name, as pandas' or Arrow's; nothing is read before it is asked for."""


class Rows:
    """The recipients' ends of some mails.

    ``mails`` and ``deliveries`` give columns of these tables; ``number`` is each mail's number (int64, by row of ``mails``),
    ``ends`` are the rows of ``deliveries`` that are ends (int64), ``of`` their mails' rows. Recipients of whom no attempt is
    told (held, deleted by hand) have a row too, without an address. ``scores``: rows of mails, and what filters gave them.
    """

    def __init__(
        self,
        mails: Getter,
        deliveries: Getter,
        number: Ints,
        ends: Ints,
        of: Ints,
        scores: Callable[[], tuple[Ints, Floats]],
    ) -> None:
        self._mails, self._deliveries, self.number, self.scores = mails, deliveries, number, scores
        outcome, words = _coded(deliveries("outcome"))
        code = np.append(_codes_among(words), -1)[outcome[ends]]
        kept = (code >= 0) & (of >= 0)
        self._ends = ends[kept]
        extra, what = self._untried(of[kept], code[kept])
        self.of: Ints = np.r_[of[kept], extra]
        """The row of each row's mail."""
        self.outcome: Ints = np.r_[code[kept], what]
        """The place of each row's outcome in :data:`OUTCOMES`; -1 for a mail of which no end is told."""
        self._cache: dict[str, tuple[Ints, pa.Array]] = {}

    def __len__(self) -> int:
        return len(self.of)

    def _untried(self, of: Ints, code: Ints) -> tuple[Ints, Ints]:
        """Return mails' rows and outcomes of recipients whom the mail counts and no attempt tells of, one for each kind.

        A mail that has no row by then gets one without an outcome, so that each mail can be found by what is known of it.
        """
        count = len(self.number)
        found = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for place, name in enumerate(OUTCOMES):
            told = np.bincount(of[code == place], minlength=count)
            more = np.flatnonzero(numbers(self._mails(name)) > told)
            found[0].append(more)
            found[1].append(np.full(len(more), place))
        there = np.zeros(count, np.bool_)
        there[np.concatenate([of, *found[0]])] = True
        found[0].append(np.flatnonzero(~there))
        found[1].append(np.full(np.count_nonzero(~there), -1))
        return np.concatenate(found[0]), np.concatenate(found[1])

    def of_mails(self, name: str) -> tuple[Ints, pa.Array]:
        """Return a column of text of the mails: each mail's code (-1: missing), and the words by code."""
        return self._kept(f"mails.{name}", lambda: _coded(self._mails(name)))

    def of_ends(self, name: str) -> tuple[Ints, pa.Array]:
        """Return a column of text of the ends: each row's code (-1: missing), and the words by code."""

        def made() -> tuple[Ints, pa.Array]:
            codes, words = _coded(self._deliveries(name))
            return self._behind(codes[self._ends], -1), words

        return self._kept(f"ends.{name}", made)

    def mail_numbers(self, name: str) -> Floats:
        """Return a column of numbers of the mails."""
        return numbers(self._mails(name))

    def end_numbers(self, name: str) -> Floats:
        """Return a column of numbers (or flags) of the ends; NaN where nothing is told."""
        values: Floats = self._behind(numbers(self._deliveries(name))[self._ends], np.nan)
        return values

    def delays(self) -> Floats:
        """Return seconds from arrival to each end; of what didn't arrive, to the last attempt."""
        whole = self.end_numbers("total_delay")
        out: Floats = np.where(np.isnan(whole), self.end_numbers("delay"), whole)
        return out

    def first(self) -> Ints:
        """Return when each mail arrived (UTC ns; the least whole number where no line tells)."""
        return nanoseconds(self._mails("first"))

    def _behind(self, values: npt.NDArray[Any], missing: Any) -> Any:
        return np.r_[values, np.full(len(self) - len(values), missing, values.dtype)]

    def _kept(self, name: str, made: Callable[[], tuple[Ints, pa.Array]]) -> tuple[Ints, pa.Array]:
        if name not in self._cache:
            self._cache[name] = made()
        return self._cache[name]


def of_tables(mails: pd.DataFrame, deliveries: pd.DataFrame, verdicts: pd.DataFrame, entries: pd.DataFrame) -> Rows:
    """Return the rows of a window's tables, whose numbers of rows are places."""
    of = deliveries["mail"].to_numpy()
    ends = np.flatnonzero(deliveries["last"].to_numpy(np.bool_) & (of >= 0))

    def scores() -> tuple[Ints, Floats]:
        mail = np.append(entries["mail"].to_numpy(), -1)[verdicts["entry"].to_numpy()]
        return scored(mail, numbers(verdicts["score"]))

    return Rows(mails.__getitem__, deliveries.__getitem__, np.arange(len(mails)), ends, of[ends], scores)


def scored(mail: Ints, score: Floats) -> tuple[Ints, Floats]:
    """Return the mails and scores of verdicts that have both."""
    known = (mail >= 0) & ~np.isnan(score)
    return mail[known], score[known]


def numbers(column: Any) -> Floats:
    """Return a column of numbers or flags as float64, NaN where a value is missing."""
    if isinstance(column, pa.ChunkedArray | pa.Array):
        column = pc.cast(column, pa.uint8()) if pa.types.is_boolean(column.type) else column
        values = column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(False)
        return np.asarray(values, np.float64)
    return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))


def nanoseconds(column: Any) -> Ints:
    """Return a column of times as UTC ns, the least whole number where one is missing."""
    if isinstance(column, pa.ChunkedArray | pa.Array):
        whole = pc.cast(pc.cast(column, pa.timestamp("ns", "UTC")), pa.int64())
        return np.asarray(pc.fill_null(whole, np.iinfo(np.int64).min).to_numpy(), np.int64)
    return np.asarray(column.array.as_unit("ns").asi8)


def _coded(column: Any) -> tuple[Ints, pa.Array]:
    if isinstance(column, pa.ChunkedArray | pa.Array):
        whole = column.unify_dictionaries() if isinstance(column, pa.ChunkedArray) else column
        if not pa.types.is_dictionary(whole.type):
            whole = whole.dictionary_encode()
        whole = whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole
        if isinstance(whole, pa.ChunkedArray):
            whole = whole.chunk(0) if whole.num_chunks else pa.array([], whole.type)
        indices = pc.fill_null(whole.indices, -1) if whole.indices.null_count else whole.indices
        return indices.to_numpy(zero_copy_only=False).astype(np.int64), whole.dictionary
    codes, words = texts.coded(column)
    return codes, texts.arrow(words)


def _codes_among(words: pa.Array) -> Ints:
    place = {name: number for number, name in enumerate(OUTCOMES)}
    return np.fromiter((place.get(word, -1) for word in words.to_pylist()), np.int64, len(words))
