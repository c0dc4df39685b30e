"""Puts a state into files that other programs read: SQL, JSON, and one Parquet file a table."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from logscan.store import database, tables, upkeep
from logscan.store.model import Partition
from logscan.store.state import State, StateError
from logscan.writing import save

MODE = 0o600

ALL = 1 << 40
"""Days, and runs: as many as there are."""


def exported(state: State, folder: Path) -> list[Path]:
    """Write all of a state into ``folder``, each file whole or not at all; return the paths. Raises StateError, OSError.

    ``state.sql`` is the whole database, ``state.json`` what people ask of it, ``reports/N.json`` a run's last report,
    ``tables/NAME.parquet`` a table of all days.
    """
    if state.folder is None:
        raise StateError("a state in memory can't be exported")
    if folder.resolve() == state.folder.resolve() or state.folder.resolve() in folder.resolve().parents:
        raise StateError(f"{folder} lies within the state: name a folder elsewhere")
    files: dict[str, Any] = {
        "state.sql": partial(_dumped, state),
        "state.json": json.dumps(told(state), indent=2) + "\n",
    }
    save(files, folder, MODE)
    return [
        *(folder / name for name in files),
        *_reports(state, folder / "reports"),
        *_tables(state, folder / "tables"),
    ]


def told(state: State) -> dict[str, Any]:
    """Return what people ask of a state as plain values. Raises StateError."""
    return {
        "runs": [asdict(each) for each in state.runs(ALL)],
        "findings": [asdict(each) for each in state.remembered()],
        "acknowledgements": [asdict(each) for each in state.acknowledgements()],
        "strip": state.strip(10**6),
        "figures": state.figures(10**6),
        "losses": [asdict(each) for each in state.losses()],
        "cursors": [asdict(each) for each in state.cursors()],
        "partitions": [asdict(each) for each in state.partitions()],
        "outbox": [waiting(each) for each in state.outbox()],
    }


def waiting(each: Any) -> dict[str, Any]:
    """Return a mail of the outbox as plain values, without its text."""
    return {
        "number": each.number,
        "message_id": each.mail.message_id,
        "recipients": list(each.mail.recipients),
        "size": len(each.mail.content),
        "run": each.run,
        "made": each.made,
        "attempts": each.attempts,
        "error": each.error,
    }


def _dumped(state: State, file: BinaryIO) -> None:
    with database.worded(state.path):
        for line in state.connection.iterdump():
            file.write(line.encode("utf-8", "backslashreplace") + b"\n")
        for name in ("user_version", "application_id"):
            number = state.connection.execute(f"PRAGMA {name}").fetchone()[0]
            file.write(f"PRAGMA {name} = {number};\n".encode())


def _reports(state: State, folder: Path) -> list[Path]:
    found = {f"{each.number}.json": state.report(each.number) for each in state.runs(ALL) if each.reports}
    kept: dict[str, Any] = {name: content for name, content in found.items() if content is not None}
    if kept:
        save(kept, folder, MODE)
    return [folder / name for name in kept]


def _tables(state: State, folder: Path) -> list[Path]:
    """Write each table of all days as one file; what can't be read of it is noted."""
    assert state.folder is not None
    by_name: dict[str, list[Partition]] = defaultdict(list)
    for each in upkeep.in_order(state, state.partitions()):
        if fault := tables.fault(state.folder, each):
            state.notes.append(f"{each.path} is left out: {fault}")
        else:
            by_name[each.table].append(each)
    contents: dict[str, Callable[[BinaryIO], None]] = {
        f"{name}.parquet": partial(_one, state.folder, [part.path for part in parts]) for name, parts in by_name.items()
    }
    try:
        if contents:
            save(contents, folder, MODE)
    except (ValueError, pa.ArrowException) as error:
        raise StateError(f"{folder}: the tables can't be put together: {tables.why(error)}") from error
    return [folder / name for name in contents]


def _one(folder: Path, paths: list[str], file: BinaryIO) -> None:
    tables.written(file, tables.together(folder, paths), tables.groups(folder, paths))
