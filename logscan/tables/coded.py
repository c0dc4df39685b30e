"""A column as codes and the values by code: most of what is asked of a column is asked once of each value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logscan.tables import texts
from logscan.tables.partials import hashes

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Words:
    """Values by code: texts of Arrow (a list only where somebody asks for one), a list, or an array of whole numbers."""

    __slots__ = ("_listed", "given")

    def __init__(self, given: Any) -> None:
        self.given = given
        self._listed: Any = None if isinstance(given, pa.Array) else given

    @property
    def listed(self) -> Sequence[Any]:
        """The values as Python's, or as the array of whole numbers that they are."""
        if self._listed is None:
            self._listed = self.given.to_numpy(zero_copy_only=False).tolist()
        there: Sequence[Any] = self._listed
        return there

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.given)


class Coded:
    """A column as codes (int64, -1 where missing) and the values by code."""

    __slots__ = ("codes", "words")

    def __init__(self, codes: Ints, values: Sequence[Any] | pa.Array | npt.NDArray[Any] | Words) -> None:
        self.codes = codes
        self.words = values if isinstance(values, Words) else Words(values)

    @property
    def values(self) -> Sequence[Any]:
        """The values by code; some of them may be no row's."""
        return self.words.listed

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    def take(self, rows: Ints | Bools) -> Coded:
        """Return some rows."""
        return Coded(self.codes[rows], self.words)

    def used(self) -> Ints:
        """Return the codes that some row has, in order: a piece may have few of many."""
        if not len(self.codes):
            return np.empty(0, np.int64)
        seen = np.zeros(len(self.words) + 1, np.bool_)
        seen[self.codes] = True
        return np.flatnonzero(seen[:-1])

    def is_in(self, *names: str) -> Bools:
        """Return which rows have one of these values."""
        found = [code for code, value in enumerate(self.values) if value in names]
        if len(found) < 2:
            none: Bools = np.zeros(len(self.codes), np.bool_)
            return self.codes == found[0] if found else none
        mine = np.zeros(len(self.words) + 1, np.bool_)
        mine[found] = True
        out: Bools = mine[self.codes]
        return out

    def having(self, test: Callable[[Any], Any]) -> Bools:
        """Return for which rows ``test`` (of one value) holds; False where there is none."""
        found, used, values = np.zeros(len(self.words) + 1, np.bool_), self.used(), self.values
        found[used] = [bool(test(values[code])) for code in used.tolist()]
        out: Bools = found[self.codes]
        return out

    def changed(self, change: Callable[[Any], Any]) -> Coded:
        """Return what ``change`` makes of each value; what it makes the same, and the same text, is one value."""
        used, values = self.used(), self.values
        names = [change(values[code]) for code in used.tolist()]
        place: dict[Any, int] = {}
        codes = np.full(len(self.words) + 1, -1, np.int64)
        codes[used] = [-1 if name is None else place.setdefault(name, len(place)) for name in names]
        return Coded(codes[self.codes], list(place))

    def texts(self) -> pa.Array:
        """Return each row's text, null where it is missing."""
        words = _texts(self.words)
        return words.take(pa.array(self.codes, mask=self.codes < 0))

    def hashed(self) -> Ints:
        """Return a 64-bit hash of each row's text, the same in every window; 0 where it is missing."""
        return np.append(self.hashed_values(), 0)[self.codes]

    def hashed_values(self) -> Ints:
        """Return, by code, a 64-bit hash of each text that some row has; 0 for the others."""
        out, used = np.zeros(len(self.words), np.int64), self.used()
        given = self.words.given
        if isinstance(given, pa.Array):
            words = given if len(used) == len(given) else given.take(pa.array(used))
            out[used] = hashes(words.to_numpy(zero_copy_only=False))
        else:
            out[used] = hashes([str(given[code]) for code in used.tolist()])
        return out

    def matching(self, test: Callable[[pa.Array], pa.Array]) -> Bools:
        """Return for which rows ``test`` holds, called once with all texts that some row has; False where there is none."""
        found, used = np.zeros(len(self.words) + 1, np.bool_), self.used()
        if len(used):
            found[used] = test(_texts(self.words).take(pa.array(used))).to_numpy(zero_copy_only=False)
        out: Bools = found[self.codes]
        return out

    def made(self, change: Callable[[pa.Array], pa.Array]) -> Coded:
        """Return what ``change`` makes of all texts that some row has, as one Arrow array; the same text is one value."""
        used = self.used()
        if not len(used):
            return Coded(np.full(len(self.codes), -1, np.int64), pa.array([], pa.string()))
        of_word, words = texts.encoded(change(_texts(self.words).take(pa.array(used))))
        codes = np.full(len(self.words) + 1, -1, np.int64)
        codes[used] = of_word
        return Coded(codes[self.codes], words)


def either(column: Coded, other: Coded, chosen: Bools) -> Coded:
    """Return, per row, the value of the first column, and where ``chosen`` that of the other; the same text is one value."""
    every, size = pa.concat_arrays([_texts(column.words), _texts(other.words)]), len(column.words)
    if not len(every):
        return Coded(np.full(len(column), -1, np.int64), every)
    codes = np.where(chosen, np.where(other.codes >= 0, other.codes + size, -1), column.codes)
    of_word, words = texts.encoded(every)
    return Coded(np.append(of_word, -1)[codes], words)


def _texts(words: Words) -> pa.Array:
    array = words.given if isinstance(words.given, pa.Array) else pa.array(listed(words.given), pa.string())
    return array.cast(pa.string())


def listed(values: Iterable[Any]) -> list[str]:
    """Return values as texts, a missing one as an empty one."""
    return ["" if value is None else str(value) for value in values]
