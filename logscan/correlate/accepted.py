"""Mails that were taken and that qmgr never spoke of: neither given up by their client nor refused in the end."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Ints, combine, factorise, plain
from logscan.correlate.facts import Facts
from logscan.correlate.lives import SECOND

GIVEN_UP = ("lost connection", "timeout", "too many errors")
"""Ends of an SMTP session that take its open transaction with them."""

AT_THE_END = r"^(?:DATA|END-OF-MESSAGE|BDAT|header|body|mime header|nested header|content|milter.*)$"
"""Stages at which a refusal is the whole mail's, not one recipient's."""


def unseen(tables: dict[str, pa.Table], f: Facts, nothing: Bools) -> Bools:
    """Return which of the entries ``nothing`` more is known of were taken all the same.

    Each has the line of who handed it in and cleanup's, which comes with the header; a transaction given up may have
    both, but then the session's end or the refusal is told.
    """
    lives = f.lives
    out = nothing & (f.client_row >= 0) & (lives.first_row("message_ids") >= 0)
    # An ID that is used again is free: what had it before is in no queue.
    out &= ~np.append(lives.life[1:] > 0, False) if len(out) else out
    if not out.any():
        return out
    rejects = tables["rejects"]
    refused = _matches(rejects.column("action"), "reject") & _matches(rejects.column("stage"), AT_THE_END)
    entry = f.lives.entry["rejects"][refused]
    out[entry[entry >= 0]] = False
    entry = _named(tables, f, np.flatnonzero(out))
    out[entry] = False
    entries = np.flatnonzero(out)
    out[entries[_given_up(tables, f, entries)]] = False
    return out


def _matches(column: pa.ChunkedArray, pattern: str) -> Bools:
    """Return where a column of few values matches."""
    (codes,), values = factorise([column])
    found = pc.fill_null(pc.match_substring_regex(values, pattern), False).to_numpy(zero_copy_only=False)
    out: Bools = np.append(found.astype(np.bool_), False)[codes]
    return out


def _named(tables: dict[str, pa.Table], f: Facts, entries: Ints) -> Ints:
    """Return those whose queue ID a warning names (a size limit, a full disk): cleanup refused them."""
    warned = tables["service_events"].column("queue_id")
    if warned.null_count == len(warned):
        return entries[:0]
    (codes, queue), _ = factorise([plain(warned), f.lives.queue_ids])
    return entries[np.isin(queue[f.lives.queue_id[entries]], codes[codes >= 0])]


def _given_up(tables: dict[str, pa.Table], f: Facts, entries: Ints) -> Bools:
    """Return whose session broke off before its process took another mail."""
    sessions, clients = tables["sessions"], tables["clients"]
    event = plain(sessions.column("event"))
    rows = np.flatnonzero(pc.is_in(event, pa.array(GIVEN_UP)).to_numpy(zero_copy_only=False))
    if not len(rows):
        return np.zeros(len(entries), np.bool_)
    ends = sessions.take(pa.array(rows))
    client_key, end_key = _processes(clients, ends)
    client_second, end_second = (table.column("time").to_numpy() // SECOND for table in (clients, ends))
    row = f.client_row[entries]
    # Lines of one second may stand in any order: the end comes no sooner than the mail, and no later than the next one.
    start = int(min(client_second.min(), end_second.min()))
    span = int(max(client_second.max(), end_second.max())) - start + 2
    here = client_key[row] * span + client_second[row] - start
    end = _next(end_key * span + end_second - start, here)
    other = _next(client_key * span + client_second - start, here + 1)
    found: Bools = (end < (client_key[row] + 1) * span) & (end <= other)
    return found


def _next(places: Ints, of: Ints) -> Ints:
    """Return the least place that isn't below each of ``of``."""
    ordered = np.append(np.sort(places), np.iinfo(np.int64).max)
    return ordered[np.searchsorted(ordered, of, "left")]


def _processes(clients: pa.Table, ends: pa.Table) -> tuple[Ints, Ints]:
    codes = [np.concatenate(factorise([clients.column(name), ends.column(name)])[0]) for name in ("host", "service")]
    pids = [
        pc.fill_null(table.column("pid").combine_chunks(), -1).to_numpy(zero_copy_only=False).astype(np.int64)
        for table in (clients, ends)
    ]
    whole = combine(*codes, np.concatenate(pids))
    whole = np.unique(whole, return_inverse=True)[1].astype(np.int64)
    return whole[: len(clients)], whole[len(clients) :]
