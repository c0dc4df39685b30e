"""The event tables of one correlation, and what is asked of their columns again and again, made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Ints, factorise, plain
from logscan.correlate.replies import Saved, saved


@dataclass(frozen=True, eq=False)
class Coded:
    """A column as codes (int64, -1 where missing) of its distinct ``words``."""

    codes: Ints
    words: pa.Array

    def code(self, word: str) -> int:
        """Return the code of a word, -2 where no row has it."""
        at: int = pc.index(self.words, word).as_py()
        return at if at >= 0 else -2

    def equal(self, *names: str) -> Bools:
        """Return where the column has one of these values."""
        if len(names) == 1:
            same: Bools = self.codes == self.code(names[0])
            return same
        return self.where(lambda words: pc.is_in(words, pa.array(names, pa.string())))

    def of(self, rows: Ints) -> Coded:
        """Return these rows of it."""
        return Coded(self.codes[rows], self.words)

    def compact(self) -> Coded:
        """Return it with the words alone that some row has, in the same order."""
        used = np.flatnonzero(np.bincount(self.codes[self.codes >= 0], minlength=len(self.words)))
        place = np.full(len(self.words) + 1, -1, np.int64)
        place[used] = np.arange(len(used))
        return Coded(place[self.codes], self.words.take(pa.array(used)))

    def where(self, test: Callable[[pa.Array], pa.Array]) -> Bools:
        """Return where ``test`` holds, called with the distinct values; not where the value is missing."""
        found = pc.fill_null(test(self.words), False).to_numpy(zero_copy_only=False).astype(np.bool_)
        out: Bools = np.append(found, False)[self.codes]
        return out


class Events(dict[str, pa.Table]):
    """Event tables by name; nothing may change them."""

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        super().__init__(tables)
        self._made: dict[tuple[str, str, str], object] = {}

    @classmethod
    def of(cls, tables: Mapping[str, pa.Table]) -> Events:
        """Return these tables as such, themselves where they are."""
        return tables if isinstance(tables, cls) else cls(tables)

    def forget(self) -> None:
        """Let go of what was made of columns."""
        self._made.clear()

    def _once(self, kind: str, table: str, column: str, make: Callable[[pa.ChunkedArray], object]) -> object:
        key = kind, table, column
        if key not in self._made:
            self._made[key] = make(self[table].column(column))
        return self._made[key]

    def plain(self, table: str, column: str) -> pa.Array:
        """Return a column as one string array."""
        return self._once("plain", table, column, plain)

    def coded(self, table: str, column: str) -> Coded:
        """Return a column as codes."""
        found = self._once("coded", table, column, _coded)
        assert isinstance(found, Coded)
        return found

    def together(self, tables: Sequence[str], column: str) -> tuple[list[Ints], pa.Array]:
        """Return a column of few values as codes, alike in several tables, and the values by code."""
        columns = [self.coded(table, column) for table in tables]
        words, values = factorise([each.words for each in columns])
        return [np.append(new, -1)[each.codes] for new, each in zip(words, columns, strict=True)], values

    def ints(self, table: str, column: str, missing: int = 0) -> Ints:
        """Return a column of whole numbers as int64, ``missing`` where there is none."""
        found = self._once(f"ints {missing}", table, column, lambda values: _ints(values, missing))
        assert isinstance(found, np.ndarray)
        return found

    def saved(self) -> Saved:
        """Return what the deliveries' replies say of mail that a mailbox server took."""
        key = "saved", "deliveries", "reply"
        if key not in self._made:
            self._made[key] = saved(self.plain("deliveries", "reply"))
        found = self._made[key]
        assert isinstance(found, Saved)
        return found

    def time(self, table: str) -> Ints:
        """Return the rows' times, UTC ns."""
        return self.ints(table, "time")


def _coded(column: pa.ChunkedArray) -> Coded:
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if pa.types.is_dictionary(array.type):
        words = array.dictionary.cast(pa.string())
        if isinstance(array, pa.ChunkedArray) or words.null_count or len(words.unique()) < len(words):
            (codes,), words = factorise([column])
            return Coded(codes, words)
    else:
        array = plain(array).dictionary_encode()
        words = array.dictionary
    at = array.indices
    if at.null_count:
        at = at.fill_null(-1)
    return Coded(at.to_numpy().astype(np.int64), words)


def _ints(column: pa.ChunkedArray, missing: int) -> Ints:
    if column.null_count:
        column = pc.fill_null(column, missing)
    found: Ints = column.to_numpy().astype(np.int64, copy=False)
    return found
