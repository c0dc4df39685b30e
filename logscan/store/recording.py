"""Puts a run into the database, within the transaction that the caller holds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from logscan.store import rows
from logscan.store.places import below

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from logscan.store.model import Outgoing, Partition, Run, Sighting, Told

GRAVITY = {"not-applicable": 0, "clear": 1, "blind": 2, "found": 3}
"""Of several verdicts of a day, the gravest stands for it."""

DECIDED = ("found", "clear", "not-applicable")
"""Verdicts of a check that could look: what it had found and finds no more is gone."""

THERE = ("active", "suppressed")
"""States of a finding that is there; one that is ``mended``, or ``residual`` (a late case of that), is seen, and gone."""

DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

SEALED = {
    "cursors": "SELECT digest FROM cursors ORDER BY number",
    "blobs": "SELECT digest FROM blobs ORDER BY name",
    "partitions": "SELECT CAST(path || ' ' || rows AS BLOB) FROM partitions ORDER BY path",
}
"""What belongs together: a seal tells whether all rows are there."""

NOTHING = rows.digest(b"")
"""The seal of no rows at all, which isn't written."""


def record(connection: sqlite3.Connection, run: Run) -> int:
    """Write all that a run makes live; return its number. Raises sqlite3.Error, ValueError for a path that leads elsewhere."""
    number = connection.execute(
        "INSERT INTO runs (begun, ended, version) VALUES (?, ?, ?)", (run.begun, run.ended, run.version)
    ).lastrowid
    assert number is not None
    for told in run.reports:
        _report(connection, number, told)
        _verdicts(connection, told)
        _findings(connection, number, run.ended, told)
    _carried(connection, run)
    partitions(connection, number, run.partitions)
    connection.executemany(
        "INSERT INTO losses (run, body, digest) VALUES (?, ?, ?)", ((number, *rows.text(each)) for each in run.losses)
    )
    post(connection, number, run.ended, run.outgoing)
    seal(connection)
    return number


def post(connection: sqlite3.Connection, run: int, made: int, mails: Sequence[Outgoing]) -> None:
    """Put mails into the outbox, as of a run; one that was put in before isn't put in twice. ``made`` is in UTC ns.

    A mail to several is several, each with its recipient: they have one Message-ID.
    """
    for mail in mails:
        body, body_digest = rows.text({"message_id": mail.message_id, "recipients": mail.recipients})
        content, digest = rows.packed(mail.content)
        connection.execute(
            "INSERT OR IGNORE INTO outbox (message_id, run, made, attempts, error, body, body_digest, digest, content)"
            " VALUES (?, ?, ?, 0, '', ?, ?, ?, ?)",
            (rows.plain(" ".join((mail.message_id, *mail.recipients))), run, made, body, body_digest, digest, content),
        )


def _report(connection: sqlite3.Connection, run: int, told: Told) -> None:
    body, digest = rows.text(dict(told.figures))
    content, said = rows.packed(told.json) if told.json else (None, None)
    connection.execute(
        "INSERT INTO reports (run, day, since, until, lines, body, digest, json, json_digest)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (run, told.day, told.since, told.until, told.lines, body, digest, content, said),
    )


def _verdicts(connection: sqlite3.Connection, told: Told) -> None:
    """Fold a report's verdicts into those of its day: the gravest stands, cases are added up. Without a day they are of none."""
    if not DATE.fullmatch(told.day):
        return
    before = dict(connection.execute("SELECT name, verdict FROM verdicts WHERE day = ?", (told.day,)))
    for judged in told.judged:
        verdict = max(judged.verdict, before.get(judged.check, judged.verdict), key=GRAVITY.__getitem__)
        connection.execute(
            "INSERT INTO verdicts (day, name, verdict, checked, eligible) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (day, name) DO UPDATE SET verdict = excluded.verdict,"
            " checked = checked + excluded.checked, eligible = eligible + excluded.eligible",
            (told.day, judged.check, verdict, judged.checked, judged.eligible),
        )


def _findings(connection: sqlite3.Connection, run: int, ended: int, told: Told) -> None:
    first = ended if told.until is None else min(ended, told.until)
    for sighting in told.sightings:
        _sighted(connection, run, ended, first, sighting)
    there = {each.id for each in told.sightings if each.state in THERE}
    # Without a new line nothing was looked for: mails that are still open say nothing of what isn't there.
    decided = {each.check for each in told.judged if each.verdict in DECIDED and told.until is not None}
    for id_, check in connection.execute("SELECT id, name FROM findings WHERE gone_run IS NULL").fetchall():
        if check in decided and id_ not in there:
            connection.execute("UPDATE findings SET gone_run = ?, last_seen = ? WHERE id = ?", (run, ended, id_))


def _sighted(connection: sqlite3.Connection, run: int, ended: int, first: int, sighting: Sighting) -> None:
    body, digest = rows.text(sighting)
    there = sighting.state in THERE
    connection.execute(
        "INSERT INTO findings (id, name, first_run, last_run, gone_run, first_seen, last_seen, body, digest)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET last_run = excluded.last_run, last_seen = excluded.last_seen,"
        " back_run = CASE WHEN gone_run IS NOT NULL AND excluded.gone_run IS NULL THEN excluded.last_run ELSE back_run END,"
        " gone_run = CASE WHEN excluded.gone_run IS NULL THEN NULL ELSE coalesce(gone_run, excluded.gone_run) END,"
        " body = excluded.body, digest = excluded.digest",
        (sighting.id, sighting.check, run, run, None if there else run, first, ended, body, digest),
    )


def _carried(connection: sqlite3.Connection, run: Run) -> None:
    connection.execute("DELETE FROM cursors")
    connection.executemany(
        "INSERT INTO cursors (body, digest) VALUES (?, ?)", (rows.text(cursor) for cursor in run.cursors)
    )
    connection.execute("DELETE FROM blobs")
    for name, content in run.blobs.items():
        small, digest = rows.packed(content)
        connection.execute("INSERT INTO blobs (name, digest, content) VALUES (?, ?, ?)", (name, digest, small))


def partitions(connection: sqlite3.Connection, run: int, added: Sequence[Partition]) -> None:
    """Write the rows of partitions; raises ValueError for a path that leads elsewhere."""
    for each in added:
        connection.execute(
            "INSERT INTO partitions (path, name, day, rows, size, run) VALUES (?, ?, ?, ?, ?, ?)",
            (str(below(each.path)), each.table, each.day, each.rows, each.size, run),
        )


def seal(connection: sqlite3.Connection) -> None:
    """Write down what rows belong together now."""
    for name in SEALED:
        connection.execute(
            "INSERT OR REPLACE INTO seals (name, digest) VALUES (?, ?)", (name, sealed(connection, name))
        )


def sealed(connection: sqlite3.Connection, name: str) -> bytes:
    """Return the digest over the rows that a seal is about. Raises sqlite3.Error."""
    return rows.digest(b"\n".join(bytes(row[0]) for row in connection.execute(SEALED[name])))


def unsealed(connection: sqlite3.Connection) -> list[str]:
    """Return the names whose rows aren't all there, or not as they were written; before the first run there are none.

    Raises sqlite3.Error.
    """
    said = dict(connection.execute("SELECT name, digest FROM seals"))
    return [name for name in SEALED if said.get(name, NOTHING) != sealed(connection, name)]
