"""Rows that one mail leaves for another: kept packed, and only for a horizon of log time.

What needs two mails together (two copies of one mail, say) can't know, of the first, whether the second will come. Its row is
kept packed, found by a hash of 64 bits, until nothing that is still to come can lie within the horizon; nearly all rows are
never looked at again, so where they are many they lie in a file. :meth:`Recent.aged` takes out those that are past it. Until
somebody does so nothing is left out, so that what is put together follows from the rows alone, in whatever order and grouping
they came.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from logscan.tables import texts
from logscan.tables.aside import Laid, Shelf

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

WORTH = 4
"""Rows are taken out where they are at least one of so many: each is then looked at a few times in all, not once a window."""

FOR_GOOD = np.iinfo(np.int64).max
"""The time of rows that are never too old."""

_OPTIONS = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1))


def hashed(*columns: pd.Series) -> Hashes:
    """Return 64 bits for what texts or whole numbers of a row say together, the same in every run; never 0."""
    return joined(*(_of_rows(column) for column in columns))


def _of_rows(column: pd.Series) -> Hashes:
    if column.dtype.kind in "iub":
        return of_numbers(column.to_numpy())
    codes, words = texts.coded(column)
    return of_texts(texts.arrow(words))[codes]


def of_numbers(values: npt.NDArray[Any]) -> Hashes:
    """Return 64 bits for each of some whole numbers, to be :func:`joined`."""
    found: Hashes = pd.util.hash_array(values)
    return found


def of_texts(words: pa.Array) -> Hashes:
    """Return 64 bits for each text, and behind the last for one that is missing, to be :func:`joined`."""
    values = words.to_numpy(zero_copy_only=False)
    known = pd.util.hash_array(values, categorize=False) if len(values) else np.empty(0, np.uint64)
    return np.append(known, np.uint64(1)).astype(np.uint64)


def joined(*parts: Hashes) -> Hashes:
    """Return 64 bits for what the parts of a row are together; never 0."""
    out = np.zeros(len(parts[0]), np.uint64)
    for part in parts:
        out = (out ^ part) * np.uint64(0x9E3779B97F4A7C15)
        out ^= out >> np.uint64(29)
    return np.maximum(out, np.uint64(1))


def repeated(*keys: Hashes) -> Hashes:
    """Return the keys that come more than once in all arrays together, in order."""
    every = np.sort(np.concatenate(keys)) if keys else np.empty(0, np.uint64)
    again = every[1:][every[1:] == every[:-1]]
    found: Hashes = np.unique(again[again > 0])
    return found


def among(keys: Hashes, wanted: Hashes) -> npt.NDArray[np.bool_]:
    """Return which keys are among those wanted, which are in order."""
    if not len(wanted):
        return np.zeros(len(keys), np.bool_)
    at = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    found: npt.NDArray[np.bool_] = wanted[at] == keys
    return found


@dataclass(frozen=True, eq=False)
class Block:
    """Rows of one window: ``keys`` (uint64; 0 for a row that was taken out), the rows packed, the latest of their times."""

    keys: Hashes
    packed: pa.Buffer | Laid
    last: int
    """UTC ns of the latest row of the mails in it."""

    def rows(self, mask: npt.NDArray[np.bool_] | None = None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the rows, or some of them, with ``key``."""
        packed = self.packed.read() if isinstance(self.packed, Laid) else self.packed
        options = pa.ipc.IpcReadOptions()
        if columns is not None:
            names = pa.ipc.open_stream(packed).schema.names
            options = pa.ipc.IpcReadOptions(included_fields=[names.index(name) for name in columns])
        table = pa.ipc.open_stream(packed, options=options).read_all()
        if mask is not None:
            table = table.filter(pa.array(mask))
        for at, field in enumerate(table.schema):
            if pa.types.is_dictionary(field.type):
                table = table.set_column(at, field.name, table.column(at).cast(pa.string()))
        keys = self.keys if mask is None else self.keys[mask]
        return table.to_pandas().assign(key=keys)

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self.keys.nbytes + (0 if isinstance(self.packed, Laid) else int(self.packed.size))


@dataclass(frozen=True, eq=False)
class Recent:
    """Rows of some windows; ``empty`` has their columns and no row."""

    blocks: tuple[Block, ...]
    empty: pd.DataFrame

    @classmethod
    def of(cls, rows: Mapping[str, npt.NDArray[Any] | pa.Array], keys: Hashes, last: int) -> Recent:
        """Return the part for the rows of one piece; ``last`` is the latest time (UTC ns) of the mails that they are of.

        Columns are arrays of numbers, or Arrow arrays of texts, with codes where they repeat.
        """
        kinds = tuple((name, "str" if isinstance(column, pa.Array) else column.dtype) for name, column in rows.items())
        return cls((Block(keys, _packed(rows), last),) if len(keys) else (), _empty(kinds))

    @property
    def frame(self) -> pd.DataFrame:
        """All rows that weren't taken out, with ``key``."""
        return self._rows([block.keys > 0 for block in self.blocks])

    @property
    def keys(self) -> Hashes:
        """The keys of all rows; 0 for those that were taken out."""
        return np.concatenate([np.empty(0, np.uint64), *(block.keys for block in self.blocks)])

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return sum(block.size for block in self.blocks)

    def merged(self, others: Sequence[Recent]) -> Recent:
        """Return the rows of all."""
        return Recent(tuple(block for each in (self, *others) for block in each.blocks), self.empty)

    def among(self, wanted: Hashes) -> pd.DataFrame:
        """Return the rows whose key is among those wanted, which are in order."""
        return self._rows([among(block.keys, wanted) for block in self.blocks])

    def column(self, *names: str) -> pd.DataFrame:
        """Return some columns of all rows, those taken out too; with ``key``."""
        parts = [block.rows(columns=names) for block in self.blocks]
        return pd.concat(parts, ignore_index=True) if parts else self.empty[[*names, "key"]]

    def without(self, wanted: Hashes) -> Recent:
        """Return it with the rows taken out whose key is among those wanted, which are in order."""
        blocks = []
        for block in self.blocks:
            out = among(block.keys, wanted)
            blocks.append(replace(block, keys=np.where(out, np.uint64(0), block.keys)) if out.any() else block)
        return replace(self, blocks=tuple(blocks))

    def old(self, before: int) -> int:
        """Return how many rows are of windows whose last is before a time (UTC ns)."""
        return sum(len(block.keys) for block in self.blocks if block.last < before)

    def aged(self, before: int) -> tuple[pd.DataFrame, Recent]:
        """Return the rows of windows whose last is before a time (UTC ns), and the part that is left."""
        gone = replace(self, blocks=tuple(block for block in self.blocks if block.last < before))
        left = replace(self, blocks=tuple(block for block in self.blocks if block.last >= before))
        return gone.frame, left

    def settled(self, before: int, wanted: Hashes) -> Recent:
        """Return it without the rows of windows whose last is before a time (UTC ns), but for keys wanted, in order."""
        old = replace(self, blocks=tuple(block for block in self.blocks if block.last < before))
        left = tuple(block for block in self.blocks if block.last >= before)
        some = old.among(wanted)
        if len(some):
            for_good = Block(some["key"].to_numpy(np.uint64), _packed(_columns(some)), FOR_GOOD)
            left = (*left, for_good)
        return replace(self, blocks=left)

    def changed(self, change: Callable[[dict[str, npt.NDArray[Any] | pa.Array]], Mapping[str, Any]]) -> Recent:
        """Return it with the columns of each window's rows as ``change`` makes them."""
        blocks = []
        for block in self.blocks:
            made = change(_columns(block.rows()))
            blocks.append(replace(block, packed=_packed(made)))
        return replace(self, blocks=tuple(blocks))

    def laid(self, shelf: Shelf) -> Recent:
        """Return it with what is packed laid into a file: memory holds the keys. Raises OSError."""
        blocks = [
            block if isinstance(block.packed, Laid) else replace(block, packed=shelf.lay(block.packed))
            for block in self.blocks
        ]
        return replace(self, blocks=tuple(blocks))

    @property
    def count(self) -> int:
        """How many rows there are, those taken out too."""
        return sum(len(block.keys) for block in self.blocks)

    @property
    def shelf(self) -> Shelf | None:
        """The file that its last rows lie in, if they lie in one."""
        packed = [block.packed for block in self.blocks if isinstance(block.packed, Laid)]
        return packed[-1].shelf if packed else None

    def bounded(self, most: int) -> tuple[Recent, int]:
        """Return no more than so many rows, without those of the windows whose last is the oldest, and how many went."""
        left = self.count
        gone: set[int] = set()
        for block in sorted(self.blocks, key=lambda block: block.last):
            if left <= most or block.last == FOR_GOOD:
                break
            gone.add(id(block))
            left -= len(block.keys)
        if not gone:
            return self, 0
        out = [block for block in self.blocks if id(block) in gone]
        kept = tuple(block for block in self.blocks if id(block) not in gone)
        return replace(self, blocks=kept), sum(int(np.count_nonzero(block.keys)) for block in out)

    def _rows(self, masks: Sequence[npt.NDArray[np.bool_]]) -> pd.DataFrame:
        parts = [block.rows(mask) for block, mask in zip(self.blocks, masks, strict=True) if mask.any()]
        return pd.concat(parts, ignore_index=True) if parts else self.empty


@functools.lru_cache(maxsize=64)
def _empty(kinds: tuple[tuple[str, Any], ...]) -> pd.DataFrame:
    """Return no row of some columns and ``key``: made once, as windows all have the same."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in (*kinds, ("key", "uint64"))})


def _columns(frame: pd.DataFrame) -> dict[str, npt.NDArray[Any] | pa.Array]:
    """Return the columns of rows that were taken out, but for ``key``."""
    return {str(name): column_of(column) for name, column in frame.items() if name != "key"}


def column_of(column: pd.Series) -> npt.NDArray[Any] | pa.Array:
    """Return a column of rows as :meth:`Recent.of` takes it."""
    return column.to_numpy() if column.dtype.kind in "iufb" else texts.arrow(column).dictionary_encode()


def _packed(rows: Mapping[str, npt.NDArray[Any] | pa.Array]) -> pa.Buffer:
    """Return the rows as an Arrow stream, all of it compressed."""
    table = pa.table({name: pa.array(column) for name, column in rows.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table)
    return sink.getvalue()
