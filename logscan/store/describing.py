"""What a state holds and how much room it takes, as plain values."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logscan.store import database, places, schema, upkeep
from logscan.store.exporting import waiting

if TYPE_CHECKING:
    from logscan.store.state import State

MAILS = "mails"
"""The table that has a row for each mail."""

LAST = 10
"""Runs that are told one by one."""


def described(state: State) -> dict[str, Any]:
    """Return what a state holds; times are ns, sizes bytes. Raises StateError."""
    assert state.folder is not None
    partitions, remembered = state.partitions(), state.remembered()
    tables: dict[str, dict[str, int]] = defaultdict(lambda: {"files": 0, "rows": 0, "bytes": 0})
    for each in partitions:
        table = tables[each.table]
        table["files"] += 1
        table["rows"] += each.rows
        table["bytes"] += each.size
    mails = tables[MAILS]["rows"] if MAILS in tables else 0
    sizes = {"database": _database(state.folder), "tables": sum(each.size for each in partitions)}
    return {
        "folder": str(state.folder),
        "version": schema.VERSION,
        "counts": {**_counts(state), "mails": mails},
        "runs": [asdict(each) for each in state.runs(LAST)],
        "days": sorted({each.day for each in partitions}),
        "tables": dict(sorted(tables.items())),
        "findings": {
            "there": sum(each.gone_run is None for each in remembered),
            "gone": sum(each.gone_run is not None for each in remembered),
            "acknowledged": sum(each.ack is not None for each in remembered),
        },
        "acknowledgements": [asdict(each) for each in state.acknowledgements()],
        "outbox": [waiting(each) for each in state.outbox()],
        "carried": _carried(state),
        "sizes": {**sizes, "per_mail": sizes["tables"] / mails if mails else None},
        "set_aside": {name: _size(state.folder / name) for name in upkeep.copies(state.folder)},
        "notes": list(state.notes),
    }


def _counts(state: State) -> dict[str, int]:
    with database.worded(state.path):
        return {
            name: int(state.connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0])  # noqa: S608 - our names
            for name in schema.TABLES
            if name != "seals"
        }


def _carried(state: State) -> dict[str, int]:
    """Return what is carried to the next run by name, in bytes as they lie in the file."""
    with database.worded(state.path):
        return dict(state.connection.execute("SELECT name, length(content) FROM blobs ORDER BY name").fetchall())


def _database(folder: Path) -> int:
    found = 0
    for name in (places.DATABASE, f"{places.DATABASE}-wal"):
        with suppress(FileNotFoundError):
            found += (folder / name).stat().st_size
    return found


def _size(path: Path) -> int:
    """Return the bytes of what was set aside."""
    if path.is_dir():
        return sum(each.lstat().st_size for each in path.rglob("*") if each.is_file())
    return path.lstat().st_size
