"""Where the journal was left off: by its own cursor, which is tested before it is believed, else by time."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from logscan.reading.keeping import keep
from logscan.sources.losses import Loss
from logscan.store.contents import Content, digest
from logscan.store.model import Cursor

if TYPE_CHECKING:
    from logscan.reading.reads import SourceRead
    from logscan.sources.source import Source

MICROSECOND = 1000

PATIENCE = 60
"""Seconds that journalctl may take to show one record."""


@dataclass
class Journals:
    """The journals to read: what came after their cursors, kept on disk."""

    sources: list[Source] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    before: dict[int, Cursor] = field(default_factory=dict)
    """By source (its id): the cursor that it goes on behind."""
    unmoved: list[Cursor] = field(default_factory=list)
    """Of journals that have nothing new, or aren't there."""

    @classmethod
    def of(cls, sources: Sequence[Source], before: Sequence[Cursor]) -> Journals:
        """Return what is new in some journals."""
        out = cls()
        left = {each.path: each for each in before if each.journal}
        for source in sources:
            out._take(source, left.pop(source.path, None))
        out.unmoved += left.values()
        return out

    def _take(self, source: Source, cursor: Cursor | None) -> None:
        gap, began = False, None
        first: dict[str, Any] = {}
        if cursor is not None:
            folder = source.opener.extra or ()
            gap = not _there(source.path, folder, cursor.journal)
            after = _since(cursor) if gap else f"--after-cursor={cursor.journal}"
            source.opener.extra = (*folder, after)
        keep(source)
        content = Content(source)
        if cursor is None or content.size:
            first = _record(content.head_line())
            began = _time(first)
            new = replace(source, size=content.size, before=cursor.lines if cursor else 0, first_time=began)
            new.stop = content.whole_lines(0)
            new.since = cursor.last if cursor else None
            self.sources.append(new)
            if cursor is not None:
                self.before[id(new)] = cursor
        elif cursor is not None:
            self.unmoved.append(cursor)
        if gap and cursor is not None:
            told = _between(cursor.journal, str(first.get("__CURSOR") or ""))
            if told == 0:
                return
            records = f"{told:,} records" if told else "records"
            why = f"the journal doesn't have the record any more that was read last: {records} that came after it may be gone too"
            self.losses.append(Loss("vacuumed", source.path, None, cursor.last, began, why))

    def after(self, read_of: Mapping[int, SourceRead], losses: list[Loss]) -> list[Cursor]:
        """Return the cursors of what was read, by source (its id)."""
        out = list(self.unmoved)
        for source in self.sources:
            read, cursor = read_of.get(id(source)), self.before.get(id(source))
            last = _record(Content(source).last_line(source.stop or 0)) if read is not None else {}
            place = str(last.get("__CURSOR") or "")
            if read is None or not place:
                out += [cursor] if cursor is not None else []
                continue
            if read.error:
                since = cursor.last if cursor else None
                losses.append(Loss("unreadable", source.path, None, since, None, f"not all was read: {read.error}"))
            out.append(
                Cursor(source.path, source.kind, digest(b""), 0, 0, digest(b""), 0, source.before + read.lines,
                       last=_time(last), journal=place)
            )  # fmt: skip
        return out


def _there(path: str, folder: Sequence[str], cursor: str) -> bool:
    """Whether a journal still has the record of a cursor."""
    command = ["journalctl", *folder, "-o", "json", "--no-pager", "--quiet", f"--cursor={cursor}", "-n", "1"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return str(_record(done.stdout.split(b"\n", 1)[0]).get("__CURSOR") or "") == cursor


def _between(before: str, after: str) -> int | None:
    """Return how many records lie between two, by the numbers in their cursors; None where those are of different journals."""
    one, other = (dict(part.split("=", 1) for part in each.split(";") if "=" in part) for each in (before, after))
    try:
        between = int(other["i"], 16) - int(one["i"], 16) - 1
    except (KeyError, ValueError):
        return None
    return between if one.get("s") == other.get("s") and between >= 0 else None


def _since(cursor: Cursor) -> str:
    """Return the option that asks for what came after the time of a cursor, to the microsecond."""
    told = (cursor.last or 0) // MICROSECOND + 1
    return f"--since=@{told // 10**6}.{told % 10**6:06}"


def _record(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _time(record: Mapping[str, Any]) -> int | None:
    told = record.get("__REALTIME_TIMESTAMP")
    return int(told) * MICROSECOND if isinstance(told, str) and told.isascii() and told.isdigit() else None
