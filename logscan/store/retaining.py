"""What becomes too old is forgotten: rows first, then files. What isn't logscan's is never touched."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from logscan.amounts import plural
from logscan.store import places
from logscan.store.recording import seal

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

DAY = 86_400 * 10**9

DATED = "GLOB '[0-9][0-9][0-9][0-9]-*'"


def forget_old(connection: sqlite3.Connection, days: int, now: int) -> tuple[list[str], list[str]]:
    """Delete rows older than ``days`` days before ``now`` (ns), within the caller's transaction.

    Returns what was done as sentences, and the paths of the partitions whose files can go now. Raises sqlite3.Error.
    """
    before = now - days * DAY
    day = (datetime.fromtimestamp(now / 10**9, UTC) - timedelta(days=days)).date().isoformat()
    paths = [
        str(row[0])
        for row in connection.execute(
            f"SELECT path FROM partitions WHERE (day {DATED} AND day < ?1) OR (day NOT {DATED} AND run IN"  # noqa: S608
            " (SELECT number FROM runs WHERE ended < ?2))",
            (day, before),
        )
    ]
    connection.executemany("DELETE FROM partitions WHERE path = ?", ((path,) for path in paths))
    counts = {
        "report": _deleted(
            connection, "DELETE FROM reports WHERE run IN (SELECT number FROM runs WHERE ended < ?)", before
        ),
        "loss": _deleted(
            connection, "DELETE FROM losses WHERE run IN (SELECT number FROM runs WHERE ended < ?)", before
        ),
        "verdict of a day": _deleted(connection, "DELETE FROM verdicts WHERE day < ?", day),
        "mail that was sent": _deleted(connection, "DELETE FROM outbox WHERE sent < ?", before),
        "mail that never got out": _deleted(connection, "DELETE FROM outbox WHERE sent IS NULL AND made < ?", before),
        "finding that is gone": _deleted(
            connection, "DELETE FROM findings WHERE gone_run IS NOT NULL AND last_seen < ?", before
        ),
    }
    _deleted(
        connection,
        "DELETE FROM runs WHERE ended < ? AND number <> (SELECT max(number) FROM runs)"
        " AND number NOT IN (SELECT run FROM partitions) AND number NOT IN (SELECT run FROM outbox)",
        before,
    )
    seal(connection)
    many = {"loss": "losses", "verdict of a day": "verdicts of days", "mail that was sent": "mails that were sent",
            "mail that never got out": "mails that never got out", "finding that is gone": "findings that are gone"}  # fmt: skip
    done = [f"{plural(count, name, many.get(name, ''))} forgotten" for name, count in counts.items() if count]
    return done, paths


def _deleted(connection: sqlite3.Connection, statement: str, value: int | str) -> int:
    return connection.execute(statement, (value,)).rowcount


def remove(folder: Path, paths: Iterable[str]) -> tuple[int, list[str]]:
    """Remove files of partitions that no row names any more; return how many, and a sentence for each that stays."""
    count, notes = 0, []
    for path in paths:
        try:
            count += places.removed(folder, path)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else None
            notes.append(f"{path} of the state can't be removed: {why or error}")
    return count, notes


def leftovers(folder: Path, named: Iterable[str]) -> list[str]:
    """Return the files among the partitions that no row names: what a killed run left."""
    known = set(named)
    return [path for path, _ in places.files(folder) if path not in known and places.own_file(path.rpartition("/")[2])]


def old_copies(folder: Path, days: int, now: int) -> list[str]:
    """Remove what was set aside more than ``days`` days ago; return sentences. Raises OSError."""
    before = datetime.fromtimestamp(now / 10**9, UTC) - timedelta(days=days)
    notes = []
    for path in sorted(folder.glob(f"*{places.BROKEN}*")):
        stamp = path.name.partition(places.BROKEN)[2][:15]
        with suppress(ValueError):
            made = datetime.strptime(stamp, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
            if made < before and places.own_name(path.name) and not path.is_symlink():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                notes.append(f"{path.name}, set aside on {made:%Y-%m-%d}, was removed")
    return notes
