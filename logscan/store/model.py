"""What is remembered from run to run, as plain values. Times are int UTC ns unless they are said to be something else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from logscan.sources.losses import Loss


@dataclass(frozen=True)
class Cursor:
    """Where one file (or the journal) was left off, known by content: the name and the inode are hints only."""

    path: str
    """Where it lay; ``journal:`` for the journal."""
    kind: str
    """What wrote it, see :mod:`logscan.envelopes.sniffing`."""
    head: str
    """Digest (hex) of its first ``head_size`` bytes, unpacked."""
    head_size: int
    offset: int
    """Bytes that were consumed, unpacked; behind the last newline."""
    tail: str
    """Digest (hex) of the ``tail_size`` bytes before ``offset``."""
    tail_size: int
    lines: int
    """Lines that were consumed."""
    inode: tuple[int, int] | None = None
    """Device and inode it had."""
    last: int | None = None
    """When the last line that was consumed was written; None where no line told."""
    journal: str = ""
    """The journal's own cursor of the last record."""
    live: bool = True
    """Whether lines were still to come when it was left off: no newer file of its set had any."""
    stored: str = ""
    """Digest (hex) of a packed file's stored size and ends, by which it is known without unpacking it."""
    recent: str = ""
    """The last lines that were read of a live log, see :mod:`logscan.store.recent`."""


@dataclass(frozen=True)
class Sighting:
    """A finding as one report had it; ``id`` is :attr:`logscan.findings.Finding.id`."""

    id: str
    check: str
    cause: str
    subject: str
    summary: str
    severity: str
    state: str
    confidence: str
    count: int
    mails: int
    recipients: int
    first: int | None
    last: int | None


@dataclass(frozen=True)
class Judged:
    """A check's answer in one report."""

    check: str
    verdict: str
    checked: int
    eligible: int


@dataclass(frozen=True)
class Outgoing:
    """A mail that waits to be sent: the bytes as they go over the wire, and to whom."""

    message_id: str
    recipients: tuple[str, ...]
    content: bytes


@dataclass(frozen=True)
class Waiting:
    """A mail of the outbox."""

    number: int
    mail: Outgoing
    run: int
    made: int
    attempts: int
    error: str
    """What the last attempt came to; empty before the first."""


@dataclass(frozen=True)
class Partition:
    """A Parquet file of the state: rows of one table that arrived on one day, from one run."""

    path: str
    """Relative to the state's folder."""
    table: str
    day: str
    """Of arrival, in the server's zone: ``2026-11-28``."""
    rows: int
    size: int


@dataclass(frozen=True)
class Told:
    """One report of a run, as it is remembered."""

    day: str
    """The day of its last line, in the server's zone: ``2026-11-28``."""
    since: int | None
    """First and last line; None where there was no new line."""
    until: int | None
    sightings: tuple[Sighting, ...] = ()
    judged: tuple[Judged, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    """The report's numbers by name: ``mails.total``, ``delay.p50`` …"""
    json: bytes = b""
    """The report as JSON."""
    lines: int = 0


@dataclass(frozen=True)
class Run:
    """All that one run makes live, in one transaction."""

    begun: int
    ended: int
    version: str
    reports: Sequence[Told]
    cursors: Sequence[Cursor]
    """All that are to be believed next time; older ones are forgotten."""
    blobs: Mapping[str, bytes]
    """What is carried to the next run, by name: open mails, what was learnt, the pasts of checks. Replaces what was there."""
    partitions: Sequence[Partition] = ()
    losses: Sequence[Loss] = ()
    outgoing: Sequence[Outgoing] = ()


@dataclass(frozen=True)
class Acknowledgement:
    """Somebody knows of a finding: shown as acknowledged, never hidden."""

    id: str
    until: str
    """The last day it holds, ``2026-12-31``; empty: for good."""
    why: str
    by: str
    """Who said so: a user's name, or the settings file."""
    at: int


@dataclass(frozen=True)
class Remembered:
    """A finding of earlier runs."""

    sighting: Sighting
    """As it was seen last."""
    first_run: int
    last_run: int
    gone_run: int | None
    """The run in which it was looked for and not found; None while it is there (or nobody could look)."""
    first_seen: int
    """When the run that saw it first ended; where that read old lines, the time of the last of these."""
    ack: Acknowledgement | None = None
    back_run: int | None = None
    """The last run that found it again after it was gone."""


@dataclass(frozen=True)
class Ran:
    """A run as it is remembered."""

    number: int
    begun: int
    ended: int
    since: int | None
    """First and last line that it read; None where there was none."""
    until: int | None
    lines: int
    version: str
    reports: int
