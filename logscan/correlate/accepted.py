"""Mails that were taken and that qmgr never spoke of: neither given up by their client nor refused in the end."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Ints, factorise, pairs, plain
from logscan.correlate.events import Events
from logscan.correlate.facts import Facts
from logscan.correlate.horizons import SETTLE, UNQUEUED
from logscan.correlate.lives import SECOND
from logscan.correlate.splitting import AT_THE_END, EARLY
from logscan.tables.grouping import combine

GIVEN_UP = ("lost connection", "timeout", "too many errors")
"""Ends of an SMTP session that take its open transaction with them."""


PROCESS = ("host", "service", "pid")


def unseen(tables: Events, f: Facts, nothing: Bools) -> Bools:
    """Return which of the entries ``nothing`` more is known of were taken all the same.

    Each has the line of who handed it in and cleanup's, which comes with the header; a transaction given up may have
    both, but then the session's end or the refusal is told.
    """
    lives = f.lives
    out = nothing & (f.client_row >= 0) & (lives.first_row("message_ids") >= 0)
    # An ID that is used again is free: what had it before is in no queue.
    again = np.append(lives.pause[1:] <= UNQUEUED, False) if len(out) else out
    f.links.ties.append((np.flatnonzero(again & out), np.flatnonzero(again & out) + 1))
    out &= ~again
    if not out.any():
        return out
    refused = tables.coded("rejects", "action").where(lambda words: pc.match_substring(words, "reject"))
    refused &= tables.coded("rejects", "stage").where(lambda words: pc.match_substring_regex(words, AT_THE_END))
    entry = f.lives.entry["rejects"][refused]
    out[entry[entry >= 0]] = False
    entry = _named(tables, f, np.flatnonzero(out))
    out[entry] = False
    entries = np.flatnonzero(out)
    out[entries[_given_up(tables, f, entries)]] = False
    return out


def _named(tables: dict[str, pa.Table], f: Facts, entries: Ints) -> Ints:
    """Return those whose queue ID a warning names (a size limit, a full disk): cleanup refused them."""
    warned = tables["service_events"].column("queue_id")
    if warned.null_count == len(warned):
        return entries[:0]
    (codes, queue), _ = factorise([plain(warned), f.lives.queue_ids])
    left, row = pairs(queue[f.lives.queue_id[entries]], codes)
    entry, time = entries[left], tables["service_events"].column("time").to_numpy()[row]
    meant = (time >= f.lives.first[entry] - EARLY) & (time <= f.lives.last[entry] + SETTLE)
    f.links.claims.append(("service_events", row[meant], entry[meant]))
    return np.unique(entry[meant])


def _given_up(tables: Events, f: Facts, entries: Ints) -> Bools:
    """Return whose session broke off before its process took another mail."""
    if not len(entries):
        return np.zeros(0, np.bool_)
    clients = tables["clients"]
    rows = np.flatnonzero(tables.coded("sessions", "event").equal(*GIVEN_UP))
    ends = tables["sessions"].select(["time", *PROCESS]).take(pa.array(rows))
    pid = pc.fill_null(clients.column("pid").combine_chunks(), -1).to_numpy(zero_copy_only=False)
    mine = np.flatnonzero(np.isin(pid, pid[f.client_row[entries]]))
    clients = clients.select(["time", *PROCESS]).take(pa.array(mine))
    client_key, end_key = _processes(clients, ends)
    client_second, end_second = (table.column("time").to_numpy() // SECOND for table in (clients, ends))
    row = np.searchsorted(mine, f.client_row[entries])
    # Lines of one second may stand in any order: the end comes no sooner than the mail, and no later than the next one.
    every = np.r_[client_second, end_second]
    start = int(every.min())
    span = int(every.max()) - start + 2
    here = client_key[row] * span + client_second[row] - start
    last = np.minimum(here + UNQUEUED // SECOND, (client_key[row] + 1) * span - 1)
    end, end_at = _next(end_key * span + end_second - start, here)
    other, other_at = _next(client_key * span + client_second - start, here + 1)
    found: Bools = (end_at <= last) & (end_at <= other_at)
    f.links.claims.append(("sessions", rows[end[found]], entries[found]))
    some = np.flatnonzero(other_at <= last)
    f.links.claims.append(("clients", mine[other[some]], entries[some]))
    return found


def _next(places: Ints, of: Ints) -> tuple[Ints, Ints]:
    """Return the position of the least place that isn't below each of ``of``, and that place."""
    order = np.argsort(places, kind="stable")
    ordered = np.append(places[order], np.iinfo(np.int64).max)
    at = np.searchsorted(ordered, of, "left")
    return np.append(order, -1)[at], ordered[at]


def _processes(clients: pa.Table, ends: pa.Table) -> tuple[Ints, Ints]:
    codes = [np.concatenate(factorise([clients.column(name), ends.column(name)])[0]) for name in ("host", "service")]
    pids = [
        pc.fill_null(table.column("pid").combine_chunks(), -1).to_numpy(zero_copy_only=False).astype(np.int64)
        for table in (clients, ends)
    ]
    whole = combine(*codes, np.concatenate(pids))
    whole = np.unique(whole, return_inverse=True)[1].astype(np.int64)
    return whole[: len(clients)], whole[len(clients) :]
