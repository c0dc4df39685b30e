"""Writes the correlated tables as Parquet while windows go by; memory holds one window's, and files come whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from logscan.scan.trainings import calls, known, owned_calls
from logscan.scan.window import POINTERS, Window
from logscan.tables import texts
from logscan.tables.joined import JOINED
from logscan.tables.partials import Partial, merged
from logscan.tables.schema import EVENTS
from logscan.visible import without_passwords
from logscan.writing import save

if TYPE_CHECKING:
    from collections.abc import Mapping

    from logscan.scan.log import Log

INTERNAL = ("client_row", "store_row", "verdict_row", "session_row")
"""Columns that tell the rows that others have within logscan."""

TABLES = tuple(name for name in EVENTS if name not in JOINED) + tuple(JOINED)
"""The tables that are written, each under its name."""

TRAININGS, CALLS = "trainings", "calls"
"""A table that is written when all windows are seen, and what of it lies aside until then."""

MOST_CALLS = 1_000_000
"""Training calls that are put in order and freed of copies all at once; of more, each window's by themselves."""

MOST_APART = 8
"""Windows whose partials are kept one by one; then they are put together."""

Change = Callable[[pd.DataFrame], pd.DataFrame]


class TableWriter:
    """Takes windows one by one (:meth:`add`), and puts the files in their folder at the end (:meth:`put`).

    Until then they grow in a temporary folder: people's names, where they are to be replaced, are known only when all is read.
    """

    def __init__(self) -> None:
        self._held = ExitStack()
        self._aside = Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="logscan-")))
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._failed: OSError | None = None
        self._before = dict.fromkeys(("entries", "mails", "deliveries"), 0)
        self._log: Log | None = None
        self._known: list[Partial] = []
        """What windows told of the mails that training calls may be about."""

    def add(self, window: Window) -> None:
        """Write a window's rows; numbers of rows go on from window to window. What fails is raised by :meth:`put`."""
        if self._failed is not None:
            return
        try:
            for name in TABLES:
                frame = calls(window) if name == TRAININGS else table_of(window, name)
                self._write(CALLS if name == TRAININGS else name, numbered(name, frame, self._before))
        except OSError as error:
            self._failed = error
            return
        for name in self._before:
            self._before[name] += len(getattr(window, name))
        self._log = window.log
        self._known.append(known(window))
        if len(self._known) > MOST_APART:
            self._known = [merged(self._known)]

    def put(self, folder: Path, readers: int, change: Change | None = None) -> list[Path]:
        """Put the files in ``folder``, each table changed (a part at a time); returns their paths. Raises OSError."""
        if self._failed is not None:
            raise self._failed
        if self._log is not None:
            self._trainings(self._log)
        for writer in self._writers.values():
            writer.close()
        contents: Mapping[str, Any] = {
            f"{name}.parquet": partial(_copied, self._aside / f"{name}.parquet", change) for name in self._writers
        }
        save(contents, folder, readers)
        return [folder / name for name in contents]

    def _trainings(self, log: Log) -> None:
        """Write the training calls, whose mails may lie in any window; where they are very many, not all at once."""
        self._writers.pop(CALLS).close()
        path, partial = self._aside / f"{CALLS}.parquet", merged(self._known)
        with pq.ParquetFile(path) as source:
            groups, few = source.num_row_groups, source.metadata.num_rows <= MOST_CALLS
            for some in [list(range(groups))] if few else [[number] for number in range(groups)]:
                self._write(TRAININGS, owned_calls(source.read_row_groups(some).to_pandas(), partial, log))
        path.unlink()

    def close(self) -> None:
        """Take away what is left aside."""
        for writer in self._writers.values():
            with suppress(OSError):
                writer.close()
        self._held.close()

    def _write(self, name: str, frame: pd.DataFrame) -> None:
        if name not in self._writers:
            self._writers[name] = pq.ParquetWriter(self._aside / f"{name}.parquet", fixed_schema(frame))
        schema = self._writers[name].schema
        self._writers[name].write_table(pa.Table.from_pandas(frame, schema, preserve_index=False))


def table_of(window: Window, name: str) -> pd.DataFrame:
    """Return a table of a window as it is written: without passwords."""
    frame: pd.DataFrame = getattr(window, name) if name in JOINED else window.events(name)
    told = {column: _without_passwords(frame[column]) for column in ("text", "reason") if column in frame}
    return frame.assign(**told)


def numbered(name: str, frame: pd.DataFrame, before: Mapping[str, int]) -> pd.DataFrame:
    """Return a window's table whose numbers of rows go on behind those of the windows ``before``, by table."""
    frame = frame.drop(columns=[column for column in INTERNAL if column in frame.columns])
    for table, column, to in POINTERS:
        if table == name and column in frame.columns and before.get(to):
            rows = frame[column].to_numpy()
            frame[column] = np.where(rows >= 0, rows + before[to], rows)
    return frame


def _without_passwords(column: pd.Series) -> pd.Series:
    """Return texts without passwords; of most columns none holds any."""
    array = texts.arrow(column.astype("str"))
    some = pc.fill_null(pc.match_substring_regex(array, "(?i)pass|resp|credentials|cache hit"), False)
    if not pc.any(some).as_py():
        return column
    return texts.each(column, lambda words: words.map(without_passwords))


def fixed_schema(frame: pd.DataFrame) -> pa.Schema:
    """Return a schema that holds whatever a later window has: a column's type doesn't depend on what stands in it."""
    found = pa.Schema.from_pandas(frame, preserve_index=False)
    for number, field in enumerate(found):
        kind = field.type
        if pa.types.is_dictionary(kind):
            kind = pa.dictionary(pa.int32(), pa.string())
        elif pa.types.is_null(kind) or pa.types.is_string(kind):
            kind = pa.large_string()
        found = found.set(number, pa.field(field.name, kind))
    return found


def _copied(path: Path, change: Change | None, file: BinaryIO) -> None:
    """Write a finished table into an open file, changed a part at a time."""
    with pq.ParquetFile(path) as source, pq.ParquetWriter(file, source.schema_arrow) as target:
        for part in range(source.num_row_groups):
            table = source.read_row_group(part)
            if change is not None:
                table = pa.Table.from_pandas(change(table.to_pandas()), source.schema_arrow, preserve_index=False)
            target.write_table(table)
