"""The state: one SQLite file and the tables of past days beside it, in a folder of its own, for one run at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from logscan.amounts import plural
from logscan.store import database, places, recording, repair, retaining, rows, schema
from logscan.store.model import Acknowledgement
from logscan.store.places import DATABASE, BusyError, StateError
from logscan.store.recalling import Reader

if TYPE_CHECKING:
    from types import TracebackType

    from logscan.sources.losses import Loss
    from logscan.store.model import Cursor, Outgoing, Partition, Ran, Remembered, Run, Waiting

__all__ = ["BusyError", "State", "StateError"]


class State:
    """What is remembered from run to run. Made by :meth:`open`, :meth:`read` or :meth:`volatile`; closed at the end of ``with``.

    Every method raises :class:`StateError` where the disk or the file fails it. ``notes`` says what had to be repaired, and
    what isn't as it was written; it grows while things are read.
    """

    def __init__(
        self, connection: sqlite3.Connection, folder: Path | None, notes: list[str], lock: places.Lock | None = None
    ) -> None:
        self.connection = connection
        self.folder = folder
        """None: it lives in memory only."""
        self.notes = notes
        self._lock = lock
        self._reader = Reader(connection, notes)
        self.path = folder / DATABASE if folder else Path(":memory:")

    @classmethod
    def open(cls, folder: Path, *, wait: float = 0) -> Self:
        """Open the state for a run, alone: makes the folder (0700), locks it, mends the database where it is broken.

        Waits up to ``wait`` seconds for another run, then raises :class:`BusyError`. Raises :class:`StateError`.
        """
        notes = places.prepared(folder)
        lock = places.Lock(folder, wait)
        try:
            with database.worded(folder / DATABASE):
                connection = _opened(folder, notes)
                notes += repair.weeded(connection)
                return cls(connection, folder, notes, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Open the state to look at it, also while a run is at work; nothing can be changed. Raises :class:`StateError`."""
        path = folder / DATABASE
        if not folder.is_dir() or not path.exists():
            raise StateError(f"there is no state in {folder}: `logscan daily` makes one (or say which, --state DIR)")
        places.trusted(folder)
        places.regular(folder)
        with database.worded(path):
            connection = _looked_at(path)
            try:
                if not database.known(connection, path):
                    raise StateError(f"no run has left anything in {path} yet")
                if schema.version(connection) < schema.VERSION:
                    raise StateError(f"{path} is an earlier logscan's: the next `logscan daily` brings it up to date")
            except BaseException:
                connection.close()
                raise
        return cls(connection, folder, [])

    @classmethod
    def volatile(cls, why: str, folder: Path | None = None) -> Self:
        """Return a state in memory, for a run that must make its report though ``why``: nothing that is written to it lasts.

        It knows what the state in ``folder`` knows, where that can still be read (as on a full disk), so that the run goes on
        where the last one left off; mails that wait are left to a run that can note what became of them.
        """
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        database.prepare(connection)
        known = folder is not None and _taken(folder, connection)
        schema.migrate(connection)
        how = "goes on where the last one left off" if known else "knows nothing of earlier ones"
        return cls(connection, None, [f"{why}; this run {how}, and remembers nothing"])

    def close(self) -> None:
        """Close the database, and let the next run in."""
        with suppress(sqlite3.Error):
            self.connection.close()
        if self._lock:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Make all that is written within live at once, or nothing of it. Raises :class:`StateError`."""
        with database.worded(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    if self.connection.in_transaction:
                        self.connection.execute("ROLLBACK")
                raise

    def commit(self, run: Run) -> int:
        """Make a run live: all of it, in one transaction, or nothing. Returns its number.

        The partitions lie on the disk already. Carried blobs and cursors are replaced; a mail whose message-id is known isn't put
        in twice. A finding that isn't there in a report whose check could decide is gone from this run on.
        """
        with self.transaction() as connection:
            return recording.record(connection, run)

    def post(self, mails: Sequence[Outgoing], made: int) -> None:
        """Put mails into the outbox that belong to no run: it failed. ``made`` is in UTC ns."""
        with self.transaction() as connection:
            last = connection.execute("SELECT max(number) FROM runs").fetchone()[0]
            recording.post(connection, last or 0, made, mails)

    def clear_leftovers(self) -> list[str]:
        """Remove what a killed run left among the partitions: files that no row names. Returns sentences about it."""
        if self.folder is None:
            return []
        with database.worded(self.path):
            named = [each.path for each in self._reader.partitions()]
            count, notes = retaining.remove(self.folder, retaining.leftovers(self.folder, named))
        return [*([f"{plural(count, 'file')} that a killed run left behind removed"] if count else []), *notes]

    def retain(self, days: int, now: int) -> list[str]:
        """Forget what is older than ``days`` days before ``now`` (ns): rows first, then files. Returns sentences about it."""
        with self.transaction() as connection:
            done, paths = retaining.forget_old(connection, days, now)
        if self.folder is None:
            return done
        with database.worded(self.path):
            count, notes = retaining.remove(self.folder, paths)
            copies = retaining.old_copies(self.folder, days, now)
        return [*done, *([f"{plural(count, 'table')} of past days removed"] if count else []), *copies, *notes]

    def sent(self, number: int, at: int) -> None:
        """Write down that a mail was sent at a time (ns); its text isn't kept."""
        content, digest = rows.packed(b"")
        with self.transaction() as connection:
            connection.execute(
                "UPDATE outbox SET sent = ?, attempts = attempts + 1, error = '', content = ?, digest = ? WHERE number = ?",
                (at, content, digest, number),
            )

    def failed(self, number: int, why: str) -> None:
        """Write down that a mail couldn't be sent; the next run tries again."""
        with self.transaction() as connection:
            connection.execute(
                "UPDATE outbox SET attempts = attempts + 1, error = ? WHERE number = ?", (rows.plain(why), number)
            )

    def acknowledge(self, id: str, until: str, why: str, by: str, at: int) -> None:
        """Write down that somebody knows of a finding; see :class:`Acknowledgement`."""
        body, digest = rows.text(Acknowledgement(id, until, why, by, at))
        with self.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO acknowledgements (id, body, digest) VALUES (?, ?, ?)",
                (rows.plain(id), body, digest),
            )

    def unacknowledge(self, id: str) -> bool:
        """Take an acknowledgement back; whether there was one."""
        with self.transaction() as connection:
            return bool(connection.execute("DELETE FROM acknowledgements WHERE id = ?", (rows.plain(id),)).rowcount)

    def cursors(self) -> list[Cursor]:
        """Return where each file was left off."""
        with database.worded(self.path):
            return self._reader.cursors()

    def blob(self, name: str) -> bytes | None:
        """Return what was carried on under a name; None where there is nothing that can be believed."""
        with database.worded(self.path):
            return self._reader.blob(name)

    def drop(self, name: str) -> None:
        """Forget what is carried on under a name: it has served its purpose."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM blobs WHERE name = ?", (name,))
            recording.seal(connection)

    def blobs(self) -> list[str]:
        """Return the names of all that is carried on."""
        with database.worded(self.path):
            return self._reader.blobs()

    def remembered(self) -> list[Remembered]:
        """Return all findings of earlier runs, those that are gone too, with their acknowledgements."""
        with database.worded(self.path):
            return self._reader.remembered()

    def acknowledgements(self) -> list[Acknowledgement]:
        """Return what somebody said that he knows of, expired ones too."""
        with database.worded(self.path):
            return self._reader.acknowledgements()

    def figures(self, days: int) -> list[tuple[str, dict[str, float]]]:
        """Return each report's figures by its day, oldest first, of the last ``days`` days up to the newest report.

        A day has as many entries as it has reports.
        """
        with database.worded(self.path):
            return self._reader.figures(days)

    def strip(self, days: int) -> dict[str, list[tuple[str, str]]]:
        """Return by check the gravest verdict of each of the last ``days`` days up to the newest, oldest first.

        Found is graver than blind, that than clear, that than not-applicable. A day without a report isn't there.
        """
        with database.worded(self.path):
            return self._reader.strip(days)

    def runs(self, most: int) -> list[Ran]:
        """Return the last runs, the newest first."""
        with database.worded(self.path):
            return self._reader.runs(most)

    def report(self, run: int | None = None) -> bytes | None:
        """Return the JSON of the newest report (of a run); None where there is none, or none that can be believed."""
        with database.worded(self.path):
            return self._reader.report(run)

    def partitions(self) -> list[Partition]:
        """Return the files of the tables of past days, by day and table."""
        with database.worded(self.path):
            return self._reader.partitions()

    def losses(self, run: int | None = None) -> list[Loss]:
        """Return the lines that were never read, of a run or of all that are remembered, oldest first."""
        with database.worded(self.path):
            return self._reader.losses(run)

    def outbox(self) -> list[Waiting]:
        """Return the mails that wait to be sent, oldest first."""
        with database.worded(self.path):
            return self._reader.outbox()


def _opened(folder: Path, notes: list[str]) -> sqlite3.Connection:
    """Return the database, made or mended where that is needed. Raises StateError, sqlite3.Error, OSError."""
    places.regular(folder)
    repair.clear(folder)
    repair.finish(folder, notes)
    path = folder / DATABASE
    if not path.exists():
        repair.begin(folder, notes)
    try:
        return _fit(path)
    except database.FAILURES as error:
        if not database.broken(error):
            raise
        return repair.mended(folder, error, notes)


def _fit(path: Path) -> sqlite3.Connection:
    database.looks_like_one(path)
    connection = database.connect(path)
    try:
        database.fit(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _looked_at(path: Path) -> sqlite3.Connection:
    """Return a connection that reads, where nothing can be written too.

    SQLite wants to write an index beside a write-ahead log. Without a log the file can be taken as it lies there; with one, the
    index can be in memory, for who has the file alone. Raises sqlite3.Error, UnicodeDecodeError.
    """
    connection = database.connect(path, reads=True)
    try:
        schema.version(connection)
        return connection
    except BaseException as error:
        connection.close()
        if not isinstance(error, sqlite3.OperationalError) or database.busy(error):
            raise
    if (path.parent / f"{DATABASE}-journal").exists():
        raise StateError(f"a run was stopped while it wrote {path}: the next `logscan daily` undoes what it began")
    log = path.parent / f"{DATABASE}-wal"
    alone = log.exists() and log.stat().st_size > 0
    connection = database.connect(path, reads=not alone, immutable=not alone)
    if alone:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    return connection


def _taken(folder: Path, memory: sqlite3.Connection) -> bool:
    """Copy a folder's state into memory, without the mails that wait; whether all of it could be read."""
    path = folder / DATABASE
    try:
        places.trusted(folder)
        places.regular(folder)
        if not path.exists():
            return False
        database.looks_like_one(path)
        with closing(_looked_at(path)) as source:
            if not database.known(source, path) or database.faults(source):
                return False
            source.backup(memory)
        memory.execute("DELETE FROM outbox")
        return True
    except (*database.FAILURES, StateError, OSError):
        with closing(sqlite3.connect(":memory:")) as nothing:
            nothing.backup(memory)
        return False
