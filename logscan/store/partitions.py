"""Writes the tables of closed mails as Parquet files by day of arrival; a file counts once the state names it."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from datetime import tzinfo
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from logscan.scan.exporting import fixed_schema, numbered, table_of
from logscan.scan.trainings import calls, known, owned_calls
from logscan.scan.window import Window
from logscan.store.model import Partition
from logscan.store.tables import writer

FOLDER = "partitions"

MOST_OPEN = 64
"""Files that are written to at once; the one that waits longest is finished."""

STORED = ("entries", "deliveries", "legs", "mails", "verdicts", "trainings", "rejects", "logins", "moves")
"""The tables that are stored: mails as they were joined, and what belongs to no mail. The lines that mails were joined from say
nothing beyond that."""

ELSEWHERE = {
    "entries": ("pid", "instance"),
    "deliveries": ("session", "queue_id", "host", "source", "line", "pid", "instance"),
    "legs": ("parent_queue_id", "child_queue_id", "host"),
    "mails": ("host", "queue_id", "message_id", "sender", "size", "client", "client_address", "sasl_username", "first"),
    "verdicts": ("source", "line", "pid", "instance"),
    "trainings": ("source", "line", "pid", "instance"),
    "rejects": ("source", "line", "pid", "instance"),
    "logins": ("source", "line", "pid", "instance"),
    "moves": ("source", "line", "pid", "instance"),
}
"""By table, columns that aren't stored: the entry has them, whose number is there, or they lead to a line of a file that was
rotated since. Measured on generated mail: 150 bytes a mail instead of 610."""

NUMBER = "number"
"""The column that tells a row's own number, by which others name it (``entry``, ``mail``, ``delivery`` …)."""

NUMBERED = ("entries", "mails", "deliveries")

MODE = 0o600


class PartitionWriter:
    """Takes windows one by one (:meth:`add`); :meth:`finish` makes the files last, :meth:`abandon` takes them away."""

    def __init__(self, folder: Path, zone: tzinfo, before: dict[str, int]) -> None:
        self.folder = folder
        self.zone = zone
        self.before = dict.fromkeys(NUMBERED, 0) | before
        """Rows written so far by all runs: what numbers of rows go on behind."""
        self._open: dict[tuple[str, str], tuple[Path, pq.ParquetWriter]] = {}
        self._rows: dict[Path, list[Any]] = {}

    def add(self, window: Window) -> None:
        """Write a window's rows; raises OSError."""
        for name in STORED:
            frame = _table(window, name)
            if not len(frame):
                continue
            day = self._days(window, name, frame)
            frame = _without(name, numbered(name, frame, self.before))
            if name in NUMBERED:
                frame[NUMBER] = np.arange(len(frame)) + self.before[name]
            for each in sorted(set(day.tolist())):
                self._write(name, each, frame[day == each])
        for name in NUMBERED:
            self.before[name] += len(getattr(window, name))

    def finish(self) -> list[Partition]:
        """Close the files and make them last; raises OSError. They count once the state names them."""
        for key in list(self._open):
            self._close(key)
        folders = set()
        for path in self._rows:
            _sync(path)
            folders.add(path.parent)
        for each in (*folders, self.folder / FOLDER, self.folder):
            if each.exists():
                _sync(each)
        return [
            Partition(str(path.relative_to(self.folder)), name, day, rows, path.stat().st_size)
            for path, (name, day, rows) in self._rows.items()
        ]

    def abandon(self) -> None:
        """Take the files away."""
        for key in list(self._open):
            with suppress(OSError, pa.ArrowException):
                self._close(key)
        for path in self._rows:
            with suppress(OSError):
                path.unlink()
        self._rows.clear()

    def _days(self, window: Window, name: str, frame: pd.DataFrame) -> npt.NDArray[np.object_]:
        """Return the day (``2026-11-28``) on which the mail of each row arrived; for other rows that of their line."""
        first = window.entries["first"].dt.tz_convert(self.zone)
        days = first.dt.strftime("%Y-%m-%d").to_numpy(object)
        if name == "entries":
            return _told(days)
        entry = {"mails": "entry", "deliveries": "entry", "verdicts": "entry", "legs": "child"}.get(name)
        number = frame[entry].to_numpy() if entry else np.full(len(frame), -1)
        if "time" not in frame or (number >= 0).all():
            return _told(days[number])
        own = frame["time"].dt.tz_convert(self.zone).dt.strftime("%Y-%m-%d").to_numpy(object)
        return _told(np.where(number >= 0, _with_none(days)[number], own))

    def _write(self, name: str, day: str, frame: pd.DataFrame) -> None:
        key = (name, day)
        if key not in self._open:
            if len(self._open) >= MOST_OPEN:
                self._close(next(iter(self._open)))
            self._open[key] = self._begin(name, day, frame)
        path, file = self._open[key] = self._open.pop(key)
        file.write_table(pa.Table.from_pandas(frame, file.schema, preserve_index=False))
        self._rows[path][2] += len(frame)

    def _begin(self, name: str, day: str, frame: pd.DataFrame) -> tuple[Path, pq.ParquetWriter]:
        folder = self.folder / FOLDER / day
        for each in (folder.parent, folder):
            each.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{name}-{secrets.token_hex(8)}.parquet"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE))
        self._rows[path] = [name, day, 0]
        schema = fixed_schema(frame).remove_metadata()
        return path, writer(path, schema)

    def _close(self, key: tuple[str, str]) -> None:
        self._open.pop(key)[1].close()


def _table(window: Window, name: str) -> pd.DataFrame:
    if name == "trainings":
        frame = calls(window)
        return owned_calls(frame, known(window), window.log) if len(frame) else frame
    return table_of(window, name)


def _without(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table without what stands elsewhere; of a delivery within this server the reply says what the next leg does."""
    if name == "deliveries":
        inside = (frame["hop"] | frame["mailbox"].notna()) & (frame["status"].astype("str") == "sent")
        frame = frame.assign(reply=frame["reply"].where(~inside))
    return frame.drop(columns=[each for each in ELSEWHERE[name] if each in frame])


def _with_none(days: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Return the days with a row more, which number -1 leads to."""
    out = np.full(len(days) + 1, None, object)
    out[:-1] = days
    return out


def _told(days: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Return the days, a text where there is none."""
    out: npt.NDArray[np.object_] = np.where(pd.isna(days), "undated", days)
    return out


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
