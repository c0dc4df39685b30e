"""Keeps a state in order: whether all of it is sound, a day's files made one, what is forgotten on purpose, all of it removed."""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from logscan.amounts import plural
from logscan.store import database, places, recording, repair, retaining, rows, tables
from logscan.store.model import Partition
from logscan.store.state import State, StateError


def verified(state: State) -> list[str]:
    """Return a sentence for each thing that is wrong with a state; all of it is read. Raises StateError."""
    folder = _folder(state)
    with database.worded(state.path):
        wrong = [f"the database: {fault}" for fault in database.faults(state.connection, 20, thorough=True)]
        wrong += [f"the database: {repair.LOST[name]}" for name in recording.unsealed(state.connection)]
        wrong += _changed(state.connection)
        partitions = state.partitions()
    faults = {each.path: fault for each in partitions if (fault := tables.fault(folder, each))}
    named = {each.path for each in state.partitions()} if faults else set()  # a run may have let go of some meanwhile
    return wrong + [f"{path}: {fault}" for path, fault in faults.items() if path in named]


PACKED = {
    "blobs": ("name", "content", "digest"),
    "reports": ("number", "json", "json_digest"),
    "outbox": ("number", "content", "digest"),
}
"""Tables with packed bytes: what a row is called by, the bytes, their digest."""

TOLD = {
    "cursors": ("number", "body", "digest"),
    "findings": ("id", "body", "digest"),
    "acknowledgements": ("id", "body", "digest"),
    "losses": ("number", "body", "digest"),
    "reports": ("number", "body", "digest"),
    "outbox": ("number", "body", "body_digest"),
}
"""Tables with values as JSON, likewise."""


def _changed(connection: sqlite3.Connection) -> list[str]:
    """Return a sentence for each row that isn't as it was written. Raises sqlite3.Error."""
    wrong = []
    for table, (key, body, digest) in TOLD.items():
        for name, text, said in connection.execute(f"SELECT {key}, {body}, {digest} FROM {table}"):  # noqa: S608
            if rows.value(text, said, lambda read: (read,)) is None:
                wrong.append(f"the database: {table} {name} isn't as it was written")
    for table, (key, content, digest) in PACKED.items():
        for name, data, said in connection.execute(f"SELECT {key}, {content}, {digest} FROM {table}"):  # noqa: S608
            if data is not None and rows.unpacked(data, said) is None:
                wrong.append(f"the database: {table} {name}: its content isn't as it was written")
    return wrong


def compacted(state: State) -> list[str]:
    """Make one file of a day's several files of a table, and give back what deleted rows took; return sentences.

    Raises StateError.
    """
    before = size_of(state)
    done, notes = merged(state)
    shrunk(state)
    after = size_of(state)
    return [f"{plural(done, 'file')} made fewer; {before:,} bytes before, {after:,} now", *notes]


def merged(state: State, most: int = 1) -> tuple[int, list[str]]:
    """Make one file of a day's files of a table where they are more than ``most``; return how many are fewer, and what failed.

    Each file is written aside; one transaction lets it count in place of those it is made of, which go then. Raises StateError.
    """
    days: dict[tuple[str, str], list[Partition]] = defaultdict(list)
    for each in state.partitions():
        days[each.day, each.table].append(each)
    done, notes = 0, []
    for (day, table), parts in sorted(days.items()):
        if len(parts) <= most:
            continue
        try:
            one = tables.made_one(_folder(state), in_order(state, parts))
            with state.transaction() as connection:
                swap(connection, [(parts, one)])
            notes += dropped(state, parts)
            done += len(parts) - 1
        except (OSError, ValueError, pa.ArrowException) as error:
            notes.append(f"{table} of {day} stays as it is: {tables.why(error)}")
    return done, notes


def in_order(state: State, parts: list[Partition]) -> list[Partition]:
    """Return partitions in the order of the runs that wrote them. Raises StateError."""
    with database.worded(state.path):
        by_run = dict(state.connection.execute("SELECT path, run FROM partitions"))
    return sorted(parts, key=lambda part: (by_run.get(part.path, 0), part.path))


def swap(connection: sqlite3.Connection, pairs: list[tuple[list[Partition], Partition]]) -> None:
    """Let partitions count in place of others, within the caller's transaction. Raises sqlite3.Error."""
    for old, new in pairs:
        runs = [
            connection.execute("SELECT run FROM partitions WHERE path = ?", (part.path,)).fetchone()[0] for part in old
        ]
        connection.executemany("DELETE FROM partitions WHERE path = ?", ((part.path,) for part in old))
        recording.partitions(connection, max(runs), [new])
    recording.seal(connection)


def dropped(state: State, parts: list[Partition]) -> list[str]:
    """Remove the files of partitions that no row names any more; return a sentence for each that stays."""
    return retaining.remove(_folder(state), [part.path for part in parts])[1]


def shrunk(state: State) -> None:
    """Give the disk back what deleted rows took, and leave nothing of them in the write-ahead log. Raises StateError."""
    with database.worded(state.path):
        state.connection.execute("VACUUM")
        state.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def size_of(state: State) -> int:
    """Return the bytes that a state's files have."""
    folder = _folder(state)
    names = (places.DATABASE, f"{places.DATABASE}-wal")
    found = sum(size for _, size in places.files(folder))
    for name in names:
        with suppress(FileNotFoundError):
            found += (folder / name).stat().st_size
    return found


def reset(folder: Path, wait: float = 0) -> list[str]:
    """Remove all that logscan wrote into a folder, and nothing else; return sentences about what stays. Raises StateError."""
    if not folder.is_dir():
        raise StateError(f"there is no state in {folder}")
    places.trusted(folder)
    lock = places.Lock(folder, wait)
    try:
        with database.worded(folder / places.DATABASE):
            return _removed(folder)
    finally:
        lock.release()


def _removed(folder: Path) -> list[str]:
    """Remove database, tables, what was set aside, and last the lock. Raises OSError."""
    kept = []
    for path in sorted(folder.iterdir(), key=lambda path: (path.name == places.LOCK, path.name)):
        if not places.own_name(path.name) or path.is_symlink():
            kept.append(path.name)
        elif path.is_dir():
            kept += _emptied(folder, path)
        else:
            path.unlink()
    places.synced(folder)
    return [f"{folder / name} isn't logscan's, and stays" for name in kept]


def _emptied(folder: Path, top: Path) -> list[str]:
    """Remove the tables below a folder, and folders that are empty then; return what stays. Raises OSError."""
    for here, _, names in os.walk(top, topdown=False, followlinks=False):
        for name in names:
            path = Path(here) / name
            if not path.is_symlink() and places.own_file(name):
                path.unlink()
        with suppress(OSError):
            Path(here).rmdir()
    return [
        path.relative_to(folder).as_posix() for path in sorted(top.rglob("*")) if not path.is_dir() or path.is_symlink()
    ]


def copies(folder: Path) -> list[str]:
    """Return the names of what was set aside."""
    return sorted(path.name for path in folder.glob(f"*{places.BROKEN}*") if not path.name.endswith(places.BESIDE))


def _folder(state: State) -> Path:
    assert state.folder is not None, "a state in memory has no files"
    return state.folder
