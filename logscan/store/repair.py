"""The repair ladder: a broken database is saved as far as it can be read, else set aside for a new one. Each step is said."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from logscan.amounts import plural
from logscan.store import database, rows, schema
from logscan.store.places import BESIDE, BROKEN, BUILT, DATABASE, PARTITIONS, RESTORED, StateError, files, synced
from logscan.store.recording import seal, unsealed

LOST = {
    "cursors": "where reading was left off isn't known of every file: some are read again from their beginning",
    "blobs": "some of what was carried from run to run is lost, such as mails that were open",
    "partitions": "some tables of past days are lost",
}
"""What it means where a seal shows that rows are missing."""

UNKNOWN = {
    "cursors": "nobody can tell whether it is known of every file where reading was left off",
    "blobs": "nobody can tell whether all that was carried from run to run is there",
    "partitions": "nobody can tell whether all tables of past days are there",
}
"""What it means where the seal is missing itself."""

WEEDED = {
    "findings": "a finding of earlier runs",
    "acknowledgements": "an acknowledgement",
    "losses": "a loss of lines",
    "reports": "a report of an earlier run",
}
"""Tables whose rows are looked at one by one; what is carried on is looked at when it is read, and replaced by each run."""

KEYS = {"findings": "id", "acknowledgements": "id"}


def mended(folder: Path, error: database.Failure, notes: list[str]) -> sqlite3.Connection:
    """Return a usable database in place of a broken one; ``notes`` gets what was done.

    Raises StateError, sqlite3.Error, OSError.
    """
    notes.append(f"the state's database {folder / DATABASE} is broken: {said(error)}")
    if _saved(folder, notes):
        finish(folder, notes)
    else:
        set_aside(folder, notes, with_partitions=True)
        begin(folder, notes)
        notes.append("a new state was begun: this run reads what there is, and knows nothing of earlier ones")
    connection = database.connect(folder / DATABASE)
    try:
        database.fit(connection, folder / DATABASE)
    except BaseException:
        connection.close()
        raise
    return connection


def said(error: database.Failure) -> str:
    """Return what SQLite says of a broken file."""
    return "names in it can't be decoded" if isinstance(error, UnicodeDecodeError) else str(error)


def begin(folder: Path, notes: list[str]) -> None:
    """Make a database without rows; tables of past days that lie there without one are set aside.

    Raises sqlite3.Error, OSError.
    """
    if next(files(folder), None) is not None:
        notes.append(f"the state's database {folder / DATABASE} is gone: a new one is begun")
        aside_partitions(folder, notes, _stamp(folder))
    for each in BESIDE:  # of a database that was taken away: SQLite would play them into the new one
        (folder / (DATABASE + each)).unlink(missing_ok=True)
    with closing(_built(folder)) as connection:
        schema.migrate(connection)
    (folder / BUILT).replace(folder / DATABASE)
    synced(folder)


def _built(folder: Path) -> sqlite3.Connection:
    """Open a new file that only its owner can read. Raises sqlite3.Error, OSError."""
    os.close(os.open(folder / BUILT, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    return database.connect(folder / BUILT)


def clear(folder: Path) -> None:
    """Remove a database that was being saved when the run was killed. Raises OSError."""
    for name in (BUILT, *(BUILT + each for each in BESIDE)):
        (folder / name).unlink(missing_ok=True)


def finish(folder: Path, notes: list[str]) -> None:
    """Put a database that was saved into its place, where there is one; what a killed run began is brought to its end."""
    if not (folder / RESTORED).exists():
        return
    # The old write-ahead log must be gone before the new file has its name: SQLite would play it back into that.
    set_aside(folder, notes, with_partitions=False)
    (folder / RESTORED).replace(folder / DATABASE)
    synced(folder)


def set_aside(folder: Path, notes: list[str], *, with_partitions: bool) -> None:
    """Give the database, and what lies beside it, another name, so that somebody may look at it. Raises OSError."""
    stamp = _stamp(folder)
    names = [DATABASE + each for each in (*BESIDE, "")]
    for name in names:
        with suppress(FileNotFoundError):
            (folder / name).replace(folder / f"{DATABASE}{BROKEN}{stamp}{name.removeprefix(DATABASE)}")
    if with_partitions:
        aside_partitions(folder, notes, stamp)
    synced(folder)
    notes.append(f"the broken database was set aside: {folder / f'{DATABASE}{BROKEN}{stamp}'}")


def _stamp(folder: Path) -> str:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    while any((folder / f"{name}{BROKEN}{stamp}").exists() for name in (DATABASE, PARTITIONS)):
        stamp += "x"
    return stamp


def aside_partitions(folder: Path, notes: list[str], stamp: str) -> None:
    """Give the tables of past days another name: no row tells any more which of them count."""
    with suppress(FileNotFoundError):
        (folder / PARTITIONS).replace(folder / f"{PARTITIONS}{BROKEN}{stamp}")
        notes.append(f"the tables of past days were set aside: {folder / f'{PARTITIONS}{BROKEN}{stamp}'}")


def aside_unnamed(folder: Path, connection: sqlite3.Connection, notes: list[str]) -> None:
    """Set aside the tables that no row names, where rows are missing: they may count, and would pass for leftovers."""
    named = {str(row[0]) for row in connection.execute("SELECT path FROM partitions")}
    unnamed = [path for path, _ in files(folder) if path not in named]
    if not unnamed:
        return
    stamp = _stamp(folder)
    for path in unnamed:
        to = folder / f"{PARTITIONS}{BROKEN}{stamp}{path.removeprefix(PARTITIONS)}"
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / path).replace(to)
    notes.append(f"{plural(len(unnamed), 'table')} of past days set aside: {folder / f'{PARTITIONS}{BROKEN}{stamp}'}")


def weeded(connection: sqlite3.Connection) -> list[str]:
    """Delete the rows that aren't as they were written, which the file's own checks can't see; return what they were."""
    found = []
    for table, what in WEEDED.items():
        for key, body, digest in connection.execute(
            f"SELECT {KEYS.get(table, 'number')}, body, digest FROM {table}"  # noqa: S608 - names of our own
        ).fetchall():
            if rows.value(body, digest, lambda read: (read,)) is None:
                connection.execute(f"DELETE FROM {table} WHERE {KEYS.get(table, 'number')} = ?", (key,))  # noqa: S608
                found.append(f"the state isn't as it was written: {what} is forgotten")
    return sorted(set(found))


def _saved(folder: Path, notes: list[str]) -> bool:
    """Copy what can be read into a new file, complete under the name ``RESTORED``; whether that went well."""
    clear(folder)
    try:
        source = database.connect(folder / DATABASE)
    except database.FAILURES as error:
        if not database.broken(error):
            raise
        notes.append(f"nothing in it can be read: {said(error)}")
        return False
    try:
        return _copied(source, folder, notes)
    finally:
        source.close()
        with suppress(OSError):
            clear(folder)


def _copied(source: sqlite3.Connection, folder: Path, notes: list[str]) -> bool:
    try:
        version = schema.version(source)
        names = {str(row[0]) for row in source.execute("SELECT name FROM sqlite_master")}
    except database.FAILURES as error:
        notes.append(f"nothing in it can be read: {said(error)}")
        return False
    version = version if 1 <= version <= schema.VERSION else schema.VERSION
    if not names & {"runs", "findings", "cursors"}:
        notes.append("none of logscan's tables is in it")
        return False
    target = _built(folder)
    try:
        schema.migrate(target, version)
        kept, failed = 0, []
        target.execute("BEGIN")
        for name in schema.TABLES:
            count, whole = _table(source, target, name)
            kept += count
            failed += [] if whole else [name]
        target.execute("COMMIT")
        if not kept:
            notes.append("no row of it can be read")
            return False
        _said(target, kept, failed, notes)
        schema.migrate(target)
        if unsealed(target):
            aside_unnamed(folder, target, notes)
            seal(target)
        if found := database.faults(target, thorough=True):
            raise StateError(
                f"the saved copy of {folder / DATABASE} isn't sound either ({found[0]}): is the disk failing?"
            )
    finally:
        target.close()
    (folder / BUILT).replace(folder / RESTORED)
    synced(folder)
    return True


def _table(source: sqlite3.Connection, target: sqlite3.Connection, name: str) -> tuple[int, bool]:
    """Copy a table's rows from both ends, up to what can't be read; return how many, and whether that is all."""
    columns = [str(row[1]) for row in target.execute(f"PRAGMA table_info({name})")]
    if not columns:
        return 0, True
    keys = [str(row[1]) for row in target.execute(f"PRAGMA table_info({name})") if row[5]]
    listed, marks = ", ".join(columns), ", ".join("?" * len(columns))
    insert = f"INSERT OR IGNORE INTO {name} ({listed}) VALUES ({marks})"  # noqa: S608 - names of our own
    read, kept, whole = 0, 0, True
    for order in ("ASC", "DESC"):
        by = ", ".join(f"{key} {order}" for key in keys)
        try:
            for row in source.execute(f"SELECT {listed} FROM {name} NOT INDEXED ORDER BY {by}"):  # noqa: S608
                read += 1
                kept += max(target.execute(insert, row).rowcount, 0)
        except database.FAILURES as error:
            if error_of_target(error):
                raise
            whole = False
            continue
        break
    return kept, whole and kept == read


def error_of_target(error: database.Failure) -> bool:
    """Whether it says that the new file can't be written."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY)


def _said(target: sqlite3.Connection, kept: int, failed: list[str], notes: list[str]) -> None:
    notes.append(f"what could be read of it was saved into a new file: {kept:,} rows")
    if shown := [name for name in failed if name != "seals"]:
        notes.append(f"rows are missing of: {', '.join(shown)}")
    said = {str(row[0]) for row in target.execute("SELECT name FROM seals")}
    notes.extend(LOST[name] if name in said else UNKNOWN[name] for name in unsealed(target))
