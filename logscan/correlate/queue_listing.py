"""What `postqueue -j` tells: the files in a queue at some time, and so which mail of the log is in it no longer.

Its lines (Postfix showq/showq.c and postqueue/showq_json.c, 3.1 and later) say when each mail arrived, not when the listing
was made: no sooner than its youngest mail came. Nor do they say of which host or instance the queue is: of the one whose log
knows most of its IDs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Ints, factorise, pairs, take
from logscan.correlate.facts import Facts
from logscan.correlate.lives import SECOND
from logscan.tables.grouping import combine

NEAR = 60
"""Seconds by which a mail's arrival by the listing and its first line may disagree, on a host under load."""

QUARTER = 900
"""Seconds in a quarter of an hour: a log whose zone was guessed is wrong by some of these."""

FARTHEST = 56 * QUARTER
"""The widest that a zone can be off."""

QUEUE_ID = re.compile(r"[0-9A-Za-z]{6,20}")

LARGEST = 2**40
"""Sizes and times beyond it are garbled."""


@dataclass(frozen=True, eq=False)
class Listing:
    """The files of one queue, one position each; ``arrival`` in epoch seconds, ``recipients`` how many are left of it."""

    label: str
    queue_id: tuple[str, ...]
    queue: tuple[str, ...]
    """incoming, active, deferred, hold."""
    arrival: Ints
    recipients: Ints
    sender: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.queue_id)


@dataclass
class Listed:
    """What the listings say of each entry."""

    recipients: Ints
    """How many its queue's listing has of it, -1: it isn't in it."""
    hold: Bools
    """It was on hold then."""
    sender: Ints
    """Place in ``senders`` of who sent it by the listing, or -1."""
    senders: list[str]
    later: Bools
    """Its queue was listed, after the entry's last line."""
    overdue: Bools
    """The log goes on beyond the time by which it would have another line."""

    def untold(self, left: Ints, waiting: Ints) -> Ints:
        """Return ``left``, recipients without an attempt in the log, with those that only the listing tells.

        ``waiting`` are the entries of those that were put off last. What the log goes on with after the listing is newer.
        """
        told = np.bincount(waiting, minlength=len(left))
        return np.where(self.later & (self.recipients >= 0), np.maximum(self.recipients - told, 0), left)

    def named(self, sender: pa.Array) -> pa.Array:
        """Return senders with those that only the listing tells."""
        return pc.coalesce(sender, take(pa.array(self.senders, pa.string()), self.sender))


def recognise(text: str) -> bool:
    """Return whether a text is the output of `postqueue -j`."""
    first = text.lstrip()[: 1 << 16].partition("\n")[0]
    return first.startswith("{") and all(f'"{name}"' in first for name in ("queue_name", "queue_id", "arrival_time"))


def read_listing(label: str, text: str) -> Listing:
    """Read the output of `postqueue -j`. Never raises: lines that aren't of it are left out."""
    files: dict[str, tuple[str, int, int, str]] = {}
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        found = _file(record) if isinstance(record, dict) else None
        if found:
            # A file that Postfix moves meanwhile is listed twice; the later line is the later place.
            files[found[0]] = found[1:]
    rows = list(files.values())
    return Listing(
        label,
        tuple(files),
        tuple(row[0] for row in rows),
        np.asarray([row[1] for row in rows], np.int64),
        np.asarray([row[2] for row in rows], np.int64),
        tuple(row[3] for row in rows),
    )


def _file(record: dict[str, Any]) -> tuple[str, str, int, int, str] | None:
    name, queue, at = record.get("queue_id"), record.get("queue_name"), record.get("arrival_time")
    to, sender = record.get("recipients"), record.get("sender")
    whole = isinstance(at, int) and not isinstance(at, bool) and 0 <= at < LARGEST
    if not (whole and isinstance(name, str) and isinstance(queue, str) and QUEUE_ID.fullmatch(name)):
        return None
    # JSON may hold halves of characters, which no table can.
    named = sender.encode("utf-8", "backslashreplace").decode() if isinstance(sender, str) else ""
    number = len(to) if isinstance(to, list) else 0
    return name, queue, int(at or 0), number, "" if named == "MAILER-DAEMON" else named


def listed(f: Facts, listings: Iterable[Listing], arrived: Ints, next_try: Ints) -> Listed:
    """Compare entries with what their queues held.

    ``arrived`` is when each one's mail came in, ``next_try`` when a waiting one has another line, both in UTC seconds.
    """
    size = f.lives.size
    no = np.zeros(size, np.bool_)
    none = np.full(size, -1, np.int64)
    out = Listed(none, no, none.copy(), [], no.copy(), no.copy())
    for listing in listings:
        _compare(f, listing, arrived, next_try, out)
    return out


def _compare(f: Facts, listing: Listing, arrived: Ints, next_try: Ints, out: Listed) -> None:
    files, entries = _same_id(f, listing)
    if not len(files):
        return
    away = listing.arrival[files] - arrived[entries]
    whole = (f.client_row[entries] >= 0) | (f.parent_id[entries] >= 0)
    offset = _offset(away[whole])
    fits = np.where(whole, np.abs(away - offset) <= NEAR, away - offset <= NEAR)
    files, entries, away = files[fits], entries[fits], np.abs(away[fits] - offset)
    place = combine(f.lives.host, f.lives.instance)
    mine, number = np.unique(place[entries], return_counts=True)
    if not len(mine) or np.count_nonzero(number == number.max()) > 1:
        return
    here = place == mine[number.argmax()]
    keep = here[entries]
    files, entries, away = files[keep], entries[keep], away[keep]
    # Of several lives of one ID the one that arrived then; of a mail from before the log its last.
    order = np.lexsort((-f.opened[entries], away, files))
    files, entries = files[order], entries[order]
    first = np.r_[True, files[1:] != files[:-1]]
    files, entries = files[first], entries[first]
    made = int(listing.arrival.max()) - offset
    last = f.lives.last // SECOND
    later = here & (last < made)
    out.later |= later
    out.recipients[entries] = listing.recipients[files]
    on_hold = np.asarray(listing.queue, object) == "hold"
    out.hold[entries[on_hold[files]]] = True
    out.sender[entries] = files + len(out.senders)
    out.senders.extend(listing.sender)
    out.overdue |= here & (next_try <= int(last[here].max()))


def _same_id(f: Facts, listing: Listing) -> tuple[Ints, Ints]:
    (mine, known), _ = factorise([pa.array(listing.queue_id, pa.string()), f.lives.queue_ids])
    return pairs(mine, known[f.lives.queue_id])


def _offset(away: Ints) -> int:
    """Return by how much the log's clock differs from the listing's, where zone or year were guessed wrong: nearly always 0.

    One mail shows a zone, two that agree show any difference.
    """
    if not len(away) or (np.abs(away) <= NEAR).any():
        return 0
    near, number = np.unique(np.round(away / QUARTER).astype(np.int64) * QUARTER, return_counts=True)
    offset = int(near[number.argmax()])
    return offset if abs(offset) <= FARTHEST or number.max() > 1 else 0
