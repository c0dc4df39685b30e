"""A scan: everything that was read, joined, as DataFrames; what checks look at and users script on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, BinaryIO

import pandas as pd
import pyarrow as pa

from logscan.correlate import Correlated
from logscan.scan.options import Options
from logscan.tables.schema import EVENTS

__all__ = ["Options", "Scan"]

if TYPE_CHECKING:
    from pathlib import Path

    from logscan.reading.merging import Read, SourceRead
    from logscan.settings import Settings
    from logscan.settings.dspam_home import Inventory


@dataclass
class Scan:
    """The tables of one run.

    ``entries``, ``deliveries``, ``legs``, ``mails``, ``verdicts``, ``trainings`` are DataFrames described in
    ``docs/tables.md``; each event table of :mod:`logscan.tables.schema` is there under its own name, e.g. ``scan.logins``.
    """

    read: Read
    correlated: Correlated
    tables: dict[str, pa.Table]
    settings: Settings
    inventory: Inventory | None = None
    options: Options = field(default_factory=Options)
    notes: list[str] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)
    named: bool = True
    """Whether sources were named, rather than this host's own log looked for."""
    spool: Any = None
    """The temporary file that standard input was kept in."""
    modes: list[tuple[int, int]] = field(default_factory=list)
    """Mode and group of each file that was read."""
    zone: Any = None
    """The server's time zone (tzinfo), in which reports show times."""

    @property
    def entries(self) -> pd.DataFrame:
        """One row per life of a queue ID."""
        return self.correlated.entries

    @property
    def deliveries(self) -> pd.DataFrame:
        """One row per delivery attempt to one recipient."""
        return self.correlated.deliveries

    @property
    def legs(self) -> pd.DataFrame:
        """One row per entry that came out of another."""
        return self.correlated.legs

    @property
    def mails(self) -> pd.DataFrame:
        """One row per mail as its sender would count it."""
        return self.correlated.mails

    @property
    def verdicts(self) -> pd.DataFrame:
        """One row per verdict of a filter, copies dropped."""
        return self.correlated.verdicts

    @cached_property
    def trainings(self) -> pd.DataFrame:
        """One row per training call, with ``user`` (from DSPAM's path where it stands only there) and ``belongs_to``."""
        from logscan.scan.trainings import trainings

        return trainings(self)

    @property
    def sources(self) -> list[SourceRead]:
        """The files, with counts."""
        return self.read.sources

    def events(self, name: str) -> pd.DataFrame:
        """Return an event table as a DataFrame; ``time`` is datetime64[ns, UTC], ``source`` a number of ``sources``."""
        cache: dict[str, pd.DataFrame] = self.__dict__.setdefault("_frames", {})
        if name not in cache:
            table = self.tables[name]
            for column, kind in EVENTS[name].kinds().items():
                if kind == "str":
                    at = table.column_names.index(column)
                    table = table.set_column(at, column, table.column(column).cast(pa.string()))
            frame = table.to_pandas()
            frame["time"] = pd.to_datetime(frame["time"], unit="ns", utc=True)
            cache[name] = frame
        return cache[name]

    def __getattr__(self, name: str) -> pd.DataFrame:
        """Give event tables by name."""
        if name in EVENTS:
            return self.events(name)
        raise AttributeError(f"Scan has no table {name!r}")

    def label(self, source: int) -> str:
        """Return the name of a source as reports show it."""
        return self.read.sources[source].label

    @property
    def readers(self) -> int:
        """The mode of a new file that nobody may read who can't read every file that was read."""
        from logscan.writing import readers

        return readers(self.modes)

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
    internal = [c for c in ("client_row", "store_row", "verdict_row", "session_row") if c in frame.columns]
    shown = frame.drop(columns=internal)
    (names.table(shown) if names else shown).to_parquet(file, index=False)
