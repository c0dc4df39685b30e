"""A scan: everything that was read, joined, as DataFrames; what users script on."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from logscan.scan.options import Options
from logscan.scan.trainings import trainings
from logscan.scan.window import Window

__all__ = ["Options", "Scan"]

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from logscan.reading.reads import Read, SourceRead


class Scan(Window):
    """A whole log as one window; ``trainings`` is a table too."""

    @cached_property
    def trainings(self) -> pd.DataFrame:
        """One row per training call, with ``user`` (from DSPAM's path where it stands only there) and ``belongs_to``."""
        return trainings(self)

    @property
    def read(self) -> Read:
        """What was read: sources, programs, unknown lines, clocks."""
        return self.log.read

    @property
    def sources(self) -> list[SourceRead]:
        """The files, with counts."""
        return self.log.read.sources

    @property
    def notes(self) -> list[str]:
        """What a reader of the report should know."""
        return self.log.notes

    @property
    def errors(self) -> list[tuple[str, str]]:
        """What could not be read, each with the reason."""
        return self.log.errors

    def search(self, query: str) -> pd.DataFrame:
        """Return the mails that a query means (``"to:@example.com status:bounced size:>5M"``), in the order of their arrival.

        One row a mail: ``mail`` (its row in ``mails``) and the columns of :data:`logscan.query.hits.COLUMNS`; ``to``,
        ``status``, ``relay``, ``reason``, ``verdict``, ``mailbox``, ``folder`` are tuples about the recipients who are meant.
        ``attrs["unclear"]`` is the number of mails of which the logs don't tell what was asked, ``attrs["why"]`` names the
        fields. Raises :class:`logscan.query.model.QueryError` (a ValueError), which points at the place.
        """
        from logscan.query.hits import Found
        from logscan.query.language import parse
        from logscan.query.rows import of_tables

        tree = parse(query)
        found = Found()
        found.add(tree, of_tables(self.mails, self.deliveries, self.verdicts, self.entries), self.zone, "time")
        table = found.table
        table.attrs |= {"unclear": found.unclear, "why": sorted(found.why)}
        return table

    def write_tables(self, folder: Path, names: Any = None) -> list[Path]:
        """Write every table as Parquet, one file each, people replaced by ``names``; returns the paths. Raises OSError."""
        from logscan.scan.exporting import TableWriter

        writer = TableWriter()
        try:
            writer.add(self)
            return writer.put(folder, self.log.readers, names.table if names else None)
        finally:
            writer.close()
