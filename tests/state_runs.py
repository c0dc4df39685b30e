"""Runs as the daily run commits them, made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from logscan.sources.losses import Loss
from logscan.store.model import Cursor, Judged, Outgoing, Partition, Run, Sighting, Told

SECOND = 10**9
DAY = 86_400 * SECOND
MORNING = 1_795_824_000 * SECOND
"""2026-11-28 00:00 UTC."""


def sighting(
    subject: str = "alice@example.com", check: str = "mail-stuck", state: str = "active", **changed: Any
) -> Sighting:
    values: dict[str, Any] = {
        "id": f"{check}:{subject}",
        "check": check,
        "cause": "queue",
        "subject": subject,
        "summary": f"Mail to {subject} is stuck",
        "severity": "problem",
        "state": state,
        "confidence": "high",
        "count": 2,
        "mails": 2,
        "recipients": 1,
        "first": MORNING,
        "last": MORNING + SECOND,
    }
    return Sighting(**(values | changed))


def told(
    *sightings: Sighting, day: str = "2026-11-28", verdict: str = "found", check: str = "mail-stuck", **changed: Any
) -> Told:
    values: dict[str, Any] = {
        "day": day,
        "since": MORNING,
        "until": MORNING + 60 * SECOND,
        "sightings": sightings,
        "judged": (Judged(check, verdict, 3, 4),),
        "figures": {"mails.total": 3.0, "delay.p50": 1.5},
        "json": b'{"logscan": {"version": "0.2.0"}}',
        "lines": 7,
    }
    return Told(**(values | changed))


def cursor(path: str = "/var/log/mail.log", offset: int = 1000) -> Cursor:
    return Cursor(path, "syslog-iso", "aa" * 16, 1000, offset, "bb" * 16, 100, 12, (64, 1234), MORNING)


def loss(path: str = "/var/log/mail.log.1") -> Loss:
    return Loss("gone", path, 100, MORNING, None, "the file is gone")


def mail(message_id: str = "<1@mx1.example.com>", content: bytes = b"Subject: report\n\nfine\n") -> Outgoing:
    return Outgoing(message_id, ("postmaster@example.com",), content)


def run(*reports: Told, ended: int = MORNING + 120 * SECOND, **changed: Any) -> Run:
    values: dict[str, Any] = {
        "begun": ended - SECOND,
        "ended": ended,
        "version": "0.2.0",
        "reports": reports,
        "cursors": (cursor(),),
        "blobs": {"open.entries": b"open mails" * 100, "carried": b"{}"},
    }
    return Run(**(values | changed))


def partition(
    folder: Path,
    name: str = "mails",
    day: str = "2026-11-28",
    part: str = "1",
    senders: tuple[str, ...] = ("bob@example.org",),
) -> Partition:
    """Write a partition as a run does before it commits; return its row."""
    path = folder / "partitions" / day / f"{name}-{part}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    table = pa.table({"mail": list(range(len(senders))), "sender": list(senders)})
    pq.write_table(table, path, compression="zstd")
    return Partition(path.relative_to(folder).as_posix(), name, day, len(senders), path.stat().st_size)
