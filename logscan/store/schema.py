"""The tables of ``logscan.db`` as SQL, step by step: a database of any earlier version becomes one of the newest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

_DATE = "GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'"
_DAY = "TEXT NOT NULL CHECK (typeof(day) = 'text' AND length(day) < 40)"
"""A date, or a word where no line told one."""

_FIRST = f"""
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    begun INTEGER NOT NULL CHECK (typeof(begun) = 'integer'),
    ended INTEGER NOT NULL CHECK (typeof(ended) = 'integer'),
    version TEXT NOT NULL
);
CREATE TABLE reports (
    number INTEGER PRIMARY KEY,
    run INTEGER NOT NULL CHECK (typeof(run) = 'integer'),
    day {_DAY},
    since INTEGER CHECK (typeof(since) IN ('integer', 'null')),
    until INTEGER CHECK (typeof(until) IN ('integer', 'null')),
    lines INTEGER NOT NULL CHECK (typeof(lines) = 'integer'),
    body TEXT NOT NULL,
    digest BLOB NOT NULL,
    json BLOB,
    json_digest BLOB
);
CREATE TABLE verdicts (
    day TEXT NOT NULL CHECK (day {_DATE}),
    name TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('found', 'blind', 'clear', 'not-applicable')),
    checked INTEGER NOT NULL CHECK (typeof(checked) = 'integer'),
    eligible INTEGER NOT NULL CHECK (typeof(eligible) = 'integer'),
    PRIMARY KEY (day, name)
) WITHOUT ROWID;
CREATE TABLE findings (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    first_run INTEGER NOT NULL CHECK (typeof(first_run) = 'integer'),
    last_run INTEGER NOT NULL CHECK (typeof(last_run) = 'integer'),
    gone_run INTEGER CHECK (typeof(gone_run) IN ('integer', 'null')),
    back_run INTEGER CHECK (typeof(back_run) IN ('integer', 'null')),
    first_seen INTEGER NOT NULL CHECK (typeof(first_seen) = 'integer'),
    last_seen INTEGER NOT NULL CHECK (typeof(last_seen) = 'integer'),
    body TEXT NOT NULL,
    digest BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE acknowledgements (
    id TEXT PRIMARY KEY NOT NULL,
    body TEXT NOT NULL,
    digest BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE cursors (
    number INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    digest BLOB NOT NULL
);
CREATE TABLE blobs (
    name TEXT PRIMARY KEY NOT NULL,
    digest BLOB NOT NULL,
    content BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE partitions (
    path TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    day {_DAY},
    rows INTEGER NOT NULL CHECK (typeof(rows) = 'integer'),
    size INTEGER NOT NULL CHECK (typeof(size) = 'integer'),
    run INTEGER NOT NULL CHECK (typeof(run) = 'integer')
) WITHOUT ROWID;
CREATE TABLE losses (
    number INTEGER PRIMARY KEY,
    run INTEGER NOT NULL CHECK (typeof(run) = 'integer'),
    body TEXT NOT NULL,
    digest BLOB NOT NULL
);
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL UNIQUE,
    run INTEGER NOT NULL CHECK (typeof(run) = 'integer'),
    made INTEGER NOT NULL CHECK (typeof(made) = 'integer'),
    sent INTEGER CHECK (typeof(sent) IN ('integer', 'null')),
    attempts INTEGER NOT NULL CHECK (typeof(attempts) = 'integer'),
    error TEXT NOT NULL,
    body TEXT NOT NULL,
    body_digest BLOB NOT NULL,
    digest BLOB NOT NULL,
    content BLOB NOT NULL
);
CREATE TABLE seals (
    name TEXT PRIMARY KEY NOT NULL,
    digest BLOB NOT NULL
) WITHOUT ROWID
"""

STEPS: tuple[str, ...] = (_FIRST,)
"""What makes version n + 1 out of version n; version 0 is an empty file. A step that was released is never changed."""

VERSION = len(STEPS)

TABLES = (
    "runs", "reports", "verdicts", "findings", "acknowledgements", "cursors", "blobs", "partitions", "losses", "outbox", "seals",
)  # fmt: skip
"""All of them, in the order in which a broken file is saved."""

APPLICATION = 0x6C677363
"""``PRAGMA application_id``: "lgsc", by which file(1) can know it."""


def version(connection: sqlite3.Connection) -> int:
    """Return the version of the tables in a database; 0 for an empty one. Raises sqlite3.Error."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def sealed(connection: sqlite3.Connection) -> int:
    """Return the version as the tables themselves say it: a damaged number mustn't pass for a later logscan's.

    Raises sqlite3.Error.
    """
    row = connection.execute("SELECT digest FROM seals WHERE name = 'version'").fetchone()
    return int(row[0]) if row and isinstance(row[0], bytes) and row[0].isdigit() else 0


def migrate(connection: sqlite3.Connection, to: int | None = None) -> int:
    """Bring the tables to the newest version (or to version ``to``), all steps or none; return the version they had.

    The connection is in autocommit mode. Raises sqlite3.Error.
    """
    before, last = version(connection), VERSION if to is None else to
    if before >= last:
        return before
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in STEPS[before:last]:
            for statement in step.split(";\n"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {last}")
        connection.execute("INSERT OR REPLACE INTO seals (name, digest) VALUES ('version', ?)", (str(last).encode(),))
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return before
