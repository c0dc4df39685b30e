"""The tables of past days on the disk: read through no link, looked at, and written anew as one file."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from logscan.store import places
from logscan.store.model import Partition
from logscan.writing import save

MODE = 0o600

ROWS = 65_536
"""Rows that a group of a file has, so that what is read of it stays small."""

Change = Callable[[pa.Table], pa.Table]


@contextmanager
def parquet(folder: Path, path: str, *, coded: bool = False) -> Iterator[pq.ParquetFile]:
    """Open a partition, texts as codes and words if so wished; raises OSError, ValueError, pyarrow.ArrowException."""
    with os.fdopen(places.opened(folder, path), "rb") as file, pq.ParquetFile(file) as found:
        if not coded:
            yield found
            return
        with pq.ParquetFile(file, metadata=found.metadata, read_dictionary=string_columns(found.schema_arrow)) as known:
            yield known


def fault(folder: Path, partition: Partition) -> str:
    """Return what is wrong with a partition, or an empty string: all of it is read."""
    try:
        with os.fdopen(places.opened(folder, partition.path), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != partition.size:
                return f"it has {size:,} bytes, and {partition.size:,} were written"
            with pq.ParquetFile(file) as found:
                rows = sum(len(found.read_row_group(number)) for number in range(found.num_row_groups))
        if rows != partition.rows:
            return f"it has {rows:,} rows, and {partition.rows:,} were written"
    except FileNotFoundError:
        return "it is gone"
    except (OSError, ValueError, pa.ArrowException) as error:
        return f"it can't be read: {why(error)}"
    return ""


def why(error: Exception) -> str:
    """Return what an error says, in a line."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (said or type(error).__name__).partition("\n")[0]


def groups(folder: Path, paths: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the rows of several partitions, some at a time, all with the columns of all. Raises as :func:`parquet`."""
    schema = together(folder, paths)
    for path in paths:
        with parquet(folder, path) as found:
            for number in range(found.num_row_groups):
                yield fitted(found.read_row_group(number), schema)


def together(folder: Path, paths: Sequence[str]) -> pa.Schema:
    """Return the columns of several partitions: an earlier version's may have fewer. Raises as :func:`parquet`."""
    schemas = []
    for path in paths:
        with parquet(folder, path) as found:
            schemas.append(found.schema_arrow.remove_metadata())
    return pa.unify_schemas(schemas, promote_options="permissive")


def fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with exactly these columns; those it doesn't have are empty."""
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def writer(where: Path | BinaryIO, schema: pa.Schema) -> pq.ParquetWriter:
    """Return what writes a partition: numbers and times by their differences, texts by code. Raises OSError."""
    packed = [each.name for each in schema if pa.types.is_integer(each.type) or pa.types.is_timestamp(each.type)]
    return pq.ParquetWriter(
        where,
        schema,
        compression="zstd",
        compression_level=9,
        use_dictionary=[each.name for each in schema if each.name not in packed],
        column_encoding=dict.fromkeys(packed, "DELTA_BINARY_PACKED"),
    )


def written(file: BinaryIO, schema: pa.Schema, tables: Iterator[pa.Table]) -> int:
    """Write tables as one Parquet file, in groups of a fair size; return the rows. Raises OSError, pyarrow.ArrowException."""
    rows = 0
    with writer(file, schema) as found:
        held: list[pa.Table] = []
        for table in tables:
            rows += len(table)
            held.append(table)
            if sum(map(len, held)) >= ROWS:
                found.write_table(pa.concat_tables(held), row_group_size=ROWS)
                held = []
        if held:
            found.write_table(pa.concat_tables(held), row_group_size=ROWS)
    return rows


def made_one(folder: Path, parts: Sequence[Partition], change: Change | None = None) -> Partition:
    """Write the rows of partitions of one table and day into a file of its own, changed; it counts once a row names it.

    The disk has it when this returns. Raises OSError, ValueError, pyarrow.ArrowException.
    """
    first, paths = parts[0], [part.path for part in parts]
    path = f"{Path(first.path).parent.as_posix()}/{first.table}-{secrets.token_hex(8)}.parquet"
    places.below(path)
    rows = 0

    def content(file: BinaryIO) -> None:
        nonlocal rows
        tables = groups(folder, paths)
        rows = written(file, together(folder, paths), map(change, tables) if change else tables)

    save(content, folder / path, MODE)
    places.synced((folder / path).parent)
    return Partition(path, first.table, first.day, rows, (folder / path).stat().st_size)


def string_columns(schema: pa.Schema) -> list[str]:
    """Return the names of columns that hold texts, also as dictionaries or lists."""
    return [field.name for field in schema if _texts(field.type)]


def _texts(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _texts(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _texts(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
