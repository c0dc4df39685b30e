"""Opens ``logscan.db``: how it is written, whether it is sound, and what is said where it can't be used."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from logscan.store import recording, schema
from logscan.store.places import StateError

BUSY = 30.0
"""Seconds to wait for a reader, where the file system allows no write-ahead log."""


WRITE_AHEAD = "WAL"
"""Readers go on while a run writes; a file system without shared memory keeps the mode that the file has."""

SYNCHRONOUS = "FULL"
"""What is committed is on the disk, whatever happens to the power after that."""

FAILURES = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite's failures are raised as: a message that repeats a name of a broken file can't always be decoded."""

Failure = sqlite3.Error | UnicodeDecodeError


class NewerError(StateError):
    """A later logscan wrote the database."""


def connect(path: Path, *, reads: bool = False, immutable: bool = False) -> sqlite3.Connection:
    """Open a database file in autocommit mode; a missing one is made, unless it is only read. Raises sqlite3.Error."""
    mode = "ro" if reads else "rwc"
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}{'&immutable=1' if immutable else ''}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY, check_same_thread=False)
    try:
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """Take nothing that lies in the file for more than data; a text that is no UTF-8 is no fault."""
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")


def lasting(connection: sqlite3.Connection) -> None:
    """Have each transaction on the disk before the next statement: by a write-ahead log, where the file system allows one."""
    connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
    connection.execute("PRAGMA secure_delete = ON")
    with suppress(sqlite3.OperationalError):
        connection.execute(f"PRAGMA journal_mode = {WRITE_AHEAD}")


def known(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of the tables; raises :class:`NewerError` for one that this logscan doesn't know, sqlite3.Error."""
    found = schema.version(connection)
    if found > schema.VERSION and schema.sealed(connection) == found:
        raise NewerError(
            f"{path} has version {found} of the tables, and this logscan knows up to {schema.VERSION}:"
            " a newer logscan wrote it, use that one (or give another folder, --state DIR)"
        )
    if not 0 <= found <= schema.VERSION:
        raise sqlite3.DatabaseError(f"version {found} of the tables is none that logscan writes")
    return found


def faults(connection: sqlite3.Connection, most: int = 3, thorough: bool = False) -> list[str]:
    """Return what SQLite finds wrong with the file and its rows; raises sqlite3.Error where it can't even look."""
    name = "integrity_check" if thorough else "quick_check"
    said = [line for row in connection.execute(f"PRAGMA {name}({most})") for line in str(row[0]).splitlines()]
    found = [line for line in said if not line.startswith("***")]
    return [] if found == ["ok"] else found


def fit(connection: sqlite3.Connection, path: Path) -> None:
    """Raise sqlite3.DatabaseError where the file is broken, :class:`NewerError`; else bring its tables to the newest version."""
    version = known(connection, path)
    if found := faults(connection):
        raise sqlite3.DatabaseError(found[0])
    _has_tables(connection, version)
    if version and (missing := recording.unsealed(connection)):
        raise sqlite3.DatabaseError(f"not all rows are there, or not as they were written ({', '.join(missing)})")
    lasting(connection)
    schema.migrate(connection)
    connection.execute("BEGIN IMMEDIATE")  # fails at once where nothing can be written
    connection.execute("ROLLBACK")


def _has_tables(connection: sqlite3.Connection, version: int) -> None:
    """Raise sqlite3.DatabaseError where the tables aren't those of their version."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        schema.migrate(model, version)
        wanted = shape(model)
    if shape(connection) != wanted:
        raise sqlite3.DatabaseError("its tables aren't as logscan made them")


def shape(connection: sqlite3.Connection) -> set[tuple[str, ...]]:
    """Return the statements that made a database's tables and indexes. Raises sqlite3.Error."""
    return {
        tuple(str(part) for part in row)
        for row in connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%'"
        )
    }


def broken(error: Failure) -> bool:
    """Whether an error says that the file is broken, rather than that it can't be read or written now."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised here, or by the module itself
        return not isinstance(error, sqlite3.OperationalError | sqlite3.ProgrammingError)
    return (code & 0xFF) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR)


def busy(error: sqlite3.Error) -> bool:
    """Whether an error says that somebody else is writing just now."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) == sqlite3.SQLITE_BUSY


@contextmanager
def worded(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say into a :class:`StateError` that says what can be done."""
    try:
        yield
    except FAILURES as error:
        raise StateError(words(path, error)) from error
    except OSError as error:
        where = error.filename or path
        raise StateError(f"the state can't be used: {where}: {error.strerror or error}") from error


def words(path: Path, error: Failure) -> str:
    """Return a sentence about what SQLite says."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    advice = (
        "it is broken"
        if isinstance(error, UnicodeDecodeError)
        else {
            sqlite3.SQLITE_FULL: "the disk is full: make room, or name a folder elsewhere (--state DIR)",
            sqlite3.SQLITE_READONLY: "it can't be written: is the file system mounted read-only?",
            sqlite3.SQLITE_CANTOPEN: "it can't be opened: look at the folder's owner and mode, and at free space",
            sqlite3.SQLITE_IOERR: f"the disk failed or is full ({error}): make room, or look at the kernel's log",
            sqlite3.SQLITE_BUSY: "another program holds it open: try again when that is done",
            sqlite3.SQLITE_PERM: "access is denied: look at its owner and mode",
            sqlite3.SQLITE_CORRUPT: "it is broken: the next `logscan daily` mends it as far as that can be done",
            sqlite3.SQLITE_NOTADB: "it is broken: the next `logscan daily` mends it as far as that can be done",
        }.get(code, str(error))
    )
    return f"the state can't be used: {path}: {advice}"


def looks_like_one(path: Path) -> None:
    """Raise sqlite3.DatabaseError where the file's head isn't SQLite's.

    SQLite itself takes an empty file for a new database, and an unknown format for a file that must not be written.
    """
    with path.open("rb") as file:
        head = file.read(20)
    if not head:
        raise sqlite3.DatabaseError("it is empty")
    if len(head) < 20 or head[:16] != b"SQLite format 3\0" or not set(head[18:]) <= {1, 2}:
        raise sqlite3.DatabaseError("its head isn't that of an SQLite database")
