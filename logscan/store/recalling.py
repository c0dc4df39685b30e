"""Reads back what earlier runs said; what isn't as it was written is left out and noted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from logscan.sources.losses import Loss
from logscan.store import rows
from logscan.store.model import Acknowledgement, Cursor, Outgoing, Partition, Ran, Remembered, Sighting, Waiting

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable


@dataclass
class Reader:
    """Reads from one connection; ``notes`` gets a sentence for what can't be believed. All methods raise sqlite3.Error."""

    connection: sqlite3.Connection
    notes: list[str]

    def cursors(self) -> list[Cursor]:
        """Return where each file was left off."""
        made = rows.of(Cursor)
        found = self.connection.execute("SELECT body, digest FROM cursors ORDER BY number")
        return self._each(found, made, "where a file was left off")

    def blob(self, name: str) -> bytes | None:
        """Return what was carried on under a name; None where there is nothing that can be believed."""
        row = self.connection.execute("SELECT content, digest FROM blobs WHERE name = ?", (name,)).fetchone()
        return self._unpacked(row, f"what was carried on as {name!r}") if row else None

    def blobs(self) -> list[str]:
        """Return the names of all that is carried on."""
        return [str(row[0]) for row in self.connection.execute("SELECT name FROM blobs ORDER BY name")]

    def remembered(self) -> list[Remembered]:
        """Return all findings of earlier runs, those that are gone too."""
        acks = {each.id: each for each in self.acknowledgements()}
        made, found = rows.of(Sighting), []
        for body, digest, first, last, gone, back, seen in self.connection.execute(
            "SELECT body, digest, first_run, last_run, gone_run, back_run, first_seen FROM findings ORDER BY first_run, id"
        ):
            sighting = rows.value(body, digest, made)
            if sighting is None:
                self._noted("a finding of earlier runs")
                continue
            found.append(Remembered(sighting, first, last, gone, seen, acks.get(sighting.id), back))
        return found

    def acknowledgements(self) -> list[Acknowledgement]:
        """Return what somebody said that he knows of, expired ones too."""
        found = self.connection.execute("SELECT body, digest FROM acknowledgements ORDER BY id")
        return self._each(found, rows.of(Acknowledgement), "an acknowledgement")

    def figures(self, days: int) -> list[tuple[str, dict[str, float]]]:
        """Return each report's figures by its day, oldest first, of the last ``days`` days up to the newest report.

        A day has as many entries as it has reports.
        """
        found = []
        for day, body, digest in self.connection.execute(
            "SELECT day, body, digest FROM reports WHERE day >= ? ORDER BY day, number", (self._since("reports", days),)
        ):
            figures = rows.value(body, digest, dict)
            if figures is None:
                self._noted(f"the figures of {day}")
                continue
            found.append((str(day), figures))
        return found

    def strip(self, days: int) -> dict[str, list[tuple[str, str]]]:
        """Return by check the gravest verdict of each of the last ``days`` days up to the newest, oldest first."""
        found: dict[str, list[tuple[str, str]]] = {}
        for name, day, verdict in self.connection.execute(
            "SELECT name, day, verdict FROM verdicts WHERE day >= ? ORDER BY name, day",
            (self._since("verdicts", days),),
        ):
            found.setdefault(str(name), []).append((str(day), str(verdict)))
        return found

    def runs(self, most: int) -> list[Ran]:
        """Return the last runs, the newest first."""
        found = self.connection.execute(
            "SELECT runs.number, begun, ended, version, min(since), max(until), coalesce(sum(lines), 0), count(reports.number)"
            " FROM runs LEFT JOIN reports ON reports.run = runs.number"
            " GROUP BY runs.number ORDER BY runs.number DESC LIMIT ?",
            (most,),
        )
        return [
            Ran(number, begun, ended, since, until, lines, str(version), reports)
            for number, begun, ended, version, since, until, lines, reports in found
        ]

    def report(self, run: int | None = None) -> bytes | None:
        """Return the JSON of the newest report (of a run); None where there is none, or none that can be believed."""
        row = self.connection.execute(
            "SELECT json, json_digest FROM reports WHERE json IS NOT NULL AND (?1 IS NULL OR run = ?1)"
            " ORDER BY number DESC LIMIT 1",
            (run,),
        ).fetchone()
        return self._unpacked(row, "a report of an earlier run") if row else None

    def partitions(self) -> list[Partition]:
        """Return all files of tables, by day and table."""
        found = self.connection.execute("SELECT path, name, day, rows, size FROM partitions ORDER BY day, name, path")
        return [Partition(str(path), str(name), str(day), rows_, size) for path, name, day, rows_, size in found]

    def losses(self, run: int | None = None) -> list[Loss]:
        """Return the lines that were never read, of a run or of all that are remembered, oldest first."""
        found = self.connection.execute(
            "SELECT body, digest FROM losses WHERE ?1 IS NULL OR run = ?1 ORDER BY number", (run,)
        )
        return self._each(found, rows.of(Loss), "a loss of lines")

    def outbox(self) -> list[Waiting]:
        """Return the mails that wait to be sent, oldest first."""
        found = []
        for number, run, made, attempts, error, body, body_digest, digest, content in self.connection.execute(
            "SELECT number, run, made, attempts, error, body, body_digest, digest, content FROM outbox"
            " WHERE sent IS NULL ORDER BY number"
        ):
            head, whole = rows.value(body, body_digest, dict), rows.unpacked(content, digest)
            if head is None or whole is None:
                self._noted(f"mail {number} of the outbox")
                continue
            mail = Outgoing(head["message_id"], tuple(head["recipients"]), whole)
            found.append(Waiting(number, mail, run, made, attempts, str(error)))
        return found

    def _since(self, table: str, days: int) -> str:
        """Return the first of the last ``days`` days, counted from the newest that the table has."""
        newest = self.connection.execute(
            f"SELECT max(day) FROM {table} WHERE day GLOB '[0-9][0-9][0-9][0-9]-*'"  # noqa: S608 - names of our own
        ).fetchone()[0]
        try:
            return (date.fromisoformat(str(newest)) - timedelta(days=days - 1)).isoformat()
        except (ValueError, OverflowError):
            return ""

    def _each(self, found: Iterable[tuple[Any, Any]], made: Callable[[Any], Any], what: str) -> list[Any]:
        values = []
        for body, digest in found:
            value = rows.value(body, digest, made)
            if value is None:
                self._noted(what)
            else:
                values.append(value)
        return values

    def _unpacked(self, row: tuple[Any, Any], what: str) -> bytes | None:
        content = rows.unpacked(*row)
        if content is None:
            self._noted(what)
        return content

    def _noted(self, what: str) -> None:
        """Say once that something isn't as it was written."""
        note = f"the state isn't as it was written: {what} is left out"
        if note not in self.notes:
            self.notes.append(note)
