"""A scan: everything that was read, joined, as DataFrames; what users script on."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, BinaryIO

from logscan.scan.options import Options
from logscan.scan.trainings import trainings
from logscan.scan.window import Window
from logscan.tables.schema import EVENTS

__all__ = ["Options", "Scan"]

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from logscan.reading.reads import Read, SourceRead

INTERNAL = ("client_row", "store_row", "verdict_row", "session_row")
"""Columns that tell the rows that others have within logscan."""


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

    @property
    def readers(self) -> int:
        """The mode of a new file that nobody may read who can't read every file that was read."""
        from logscan.writing import readers

        return readers(self.log.modes)

    def write_tables(self, folder: Path, names: Any = None) -> list[Path]:
        """Write every table as Parquet, one file each, people replaced by ``names``; returns the paths. Raises OSError."""
        from logscan.writing import save

        frames = {name: self.events(name) for name in EVENTS if name not in ("deliveries", "verdicts", "trainings")}
        frames |= {
            name: getattr(self, name) for name in ("entries", "legs", "mails", "deliveries", "verdicts", "trainings")
        }
        save(
            {f"{name}.parquet": partial(_parquet, frame, names) for name, frame in frames.items()}, folder, self.readers
        )
        return [folder / f"{name}.parquet" for name in frames]


def _parquet(frame: pd.DataFrame, names: Any, file: BinaryIO) -> None:
    """Write a table as it is shown: without the rows that others have within logscan, people replaced by ``names``."""
    shown = frame.drop(columns=[name for name in INTERNAL if name in frame.columns])
    (names.table(shown) if names else shown).to_parquet(file, index=False)
