"""Dovecot's LDA: its lines name the mail and the user, and no session that Postfix would repeat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Ints, factorise, plain
from logscan.correlate.facts import Facts, ceil
from logscan.correlate.frames import Words
from logscan.correlate.lives import SECOND
from logscan.correlate.matching import match
from logscan.tables.grouping import combine

ENDS = ("stored", "discarded", "forwarded", "rejected", "rejected silently", "failed")
"""What an agent does with a mail in the end."""


@dataclass
class Agents:
    """Deliveries and what the agent said of them, one position each."""

    row: Ints
    """Row of deliveries."""
    store: Ints
    """Row of stores: the first that stored, else the first that ended it."""
    copies: Ints
    """How many the agent stored."""


def agents(tables: dict[str, pa.Table], f: Facts, hop: Bools, sessions: pa.Array, mailbox: Words) -> Agents:
    """Join what no session joins: same host, message-id and user, while the delivery lasted; one to one.

    ``sessions`` are those that Postfix's replies name; ``mailbox`` is whom each delivery was for, without extension.
    """
    none = np.empty(0, np.int64)
    stores = tables["stores"]
    if not len(stores):
        return Agents(none, none, none)
    ends = pc.is_in(plain(stores.column("action")), pa.array(ENDS)).to_numpy(zero_copy_only=False)
    told = pc.drop_null(sessions)
    if len(told):
        by_session = pc.is_in(plain(stores.column("session")), pc.unique(told)).to_numpy(zero_copy_only=False)
        ends = ends & ~by_session
    lines = np.flatnonzero(ends)
    if not len(lines):
        return Agents(none, none, none)
    unnamed = pc.is_null(sessions).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(f.sent & ~hop & ~f.forwarded & unnamed & (f.row_entry >= 0))
    some = stores.take(pa.array(lines))
    message, rows = _messages(some, f, rows)
    if not len(rows):
        return Agents(none, none, none)
    box, user, local, whole = _users(some, mailbox.of(rows).array())
    host = factorise([some.column("host"), f.lives.hosts])[0]
    entry = f.row_entry[rows]
    # One run of the agent may write several lines; the same line twice is one run.
    run = _runs(some, message, user)
    # In the order of lines: codes follow what else a log holds.
    of_run = pd.factorize(run)[0].astype(np.int64)
    first = np.unique(of_run, return_index=True)[1]
    is_stored = pc.equal(plain(some.column("action")), "stored").to_numpy(zero_copy_only=False)
    copies = np.bincount(of_run, is_stored, len(first)).astype(np.int64)
    best = first.copy()
    for line in np.flatnonzero(is_stored)[::-1].tolist():
        best[of_run[line]] = line
    key = combine(
        np.concatenate([host[1][f.lives.host[entry]], host[0][first]]),
        np.concatenate([f.parent_id[entry], message[first]]),
        np.concatenate([local[box], local[user[first]]]),
    )
    window = f.second[rows] - ceil(f.transmit[rows]) - 2, f.second[rows] + 2
    at = some.column("time").to_numpy()[first] // SECOND

    def fits(left: Ints, right: Ints) -> Bools:
        """A user with a domain is that address and no other of its name."""
        named = user[first[right]]
        ok: Bools = ~whole[named] | (named == box[left])
        return ok

    left, right, _ = match(
        (key[: len(rows)], key[len(rows) :]), window, at, fits, note=lambda left, right: f.links.tie(entry[left], right)
    )
    entry_of = np.full(len(first), -1, np.int64)
    entry_of[right] = entry[left]
    mine = np.flatnonzero(entry_of[of_run] >= 0)
    f.links.claims.append(("stores", lines[mine], entry_of[of_run][mine]))
    return Agents(rows[left], lines[best[right]], copies[right])


def _messages(some: pa.Table, f: Facts, rows: Ints) -> tuple[Ints, Ints]:
    """Return the message-id code of each line (-2: of no mail), and the rows whose mail a line names."""
    trimmed = pc.utf8_trim_whitespace(pc.fill_null(plain(some.column("message_id")), ""))
    (mine, known), _ = factorise([pc.replace_substring_regex(trimmed, r"^<(.*)>$", r"\1"), f.ids])
    code_of = np.full(int(max(mine.max(initial=-1), known.max(initial=-1))) + 2, -2, np.int64)
    code_of[known] = np.arange(len(known))
    message = np.where(mine >= 0, code_of[mine], -2)
    return message, rows[np.isin(f.parent_id[f.row_entry[rows]], message[message >= 0])]


def _users(some: pa.Table, mailbox: pa.Array) -> tuple[Ints, Ints, Ints, Bools]:
    """Return codes of mailboxes and of users, and by code the local part's and whether a domain follows it."""
    user = pc.utf8_lower(pc.fill_null(plain(some.column("user")), ""))
    (box, who), names = factorise([mailbox, user])
    (local,), _ = factorise([pc.replace_substring_regex(names, "@[^@]*$", "")])
    whole = pc.match_substring(names, "@").to_numpy(zero_copy_only=False).astype(np.bool_)
    return box, who, np.append(local, -1), np.append(whole, False)


def _runs(some: pa.Table, message: Ints, user: Ints) -> Ints:
    """Return a code of each line's run of the agent: its session, else its process."""
    session = factorise([some.column("session")])[0][0]
    pid = pc.fill_null(some.column("pid").combine_chunks(), -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return combine(session, np.where(session >= 0, -1, pid), message, user)
