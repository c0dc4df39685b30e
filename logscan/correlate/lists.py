"""Legs of lists: what a program made of the mail it was handed, with the same message-id, for the list's members."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Ints, among, factorise, first_rows, matched, ranked, take
from logscan.correlate.events import Events
from logscan.correlate.facts import AGENT, COMMAND, LISTS, SLACK, Facts, ceil
from logscan.correlate.links import Legs, roots
from logscan.tables.grouping import combine

EXPANDED = 600
"""Seconds within which a list has sent a mail on: managers keep a queue of their own. What waits for a moderator comes later,
and is a mail of its own."""


def expanded(tables: Events, f: Facts, legs: Legs, hop_relays: Ints) -> Legs:
    """What came in on this host with the message-id of a mail that a program was handed shortly before.

    A program of aliases(5) or a list manager's pipe service is enough; a list manager that speaks LMTP looks like a mailbox
    server, so there the sender must have changed too, as lists change it. One mail may come back in many pieces.
    ``hop_relays`` are those of filters.
    """
    agents = tables.coded("deliveries", "program").equal("pipe", "lmtp", "local")
    hops = among(f.relay, hop_relays, len(f.relays))
    maybe = f.sent & f.tried & ~f.forwarded & (f.row_entry >= 0) & agents & ~hops
    f.links.waits.append((f.row_entry[maybe], EXPANDED + 2 * SLACK))
    taken = np.zeros(f.lives.size + 1, np.bool_)
    taken[legs.child] = True
    absent = pc.fill_null(pc.equal(f.ids, ""), False).to_numpy(zero_copy_only=False).astype(np.bool_)
    identified = (f.child_id >= 0) & ~np.append(absent, False)[f.child_id]
    children = np.flatnonzero(f.local & identified & ~taken[:-1])
    rows, by_program = _handed(tables, f, hops, children)
    if not len(rows):
        return Legs.of(rows, rows, "list", "inferred", 1, -1)
    left, child = _nearest_before(f, rows, children)
    left = _own(f, rows, left, child)
    row, sure = rows[left], by_program[left]
    parent = f.row_entry[row]
    fits = (parent != child) & (f.opened[parent] <= f.opened[child])
    # Of a mailbox server only what has another sender; a script's redirect keeps it.
    fits &= sure | ((f.writer[child] != f.writer[parent]) & (f.writer[child] >= 0) & (f.writer[parent] >= 0))
    # What an alias made of a mail within the same second is not what that mail came out of.
    fits &= roots(f.lives.size, legs)[parent] != child
    return Legs.of(parent[fits], child[fits], "list", "inferred", np.where(sure[fits], 1, 0), row[fits])


OWN = (
    r"^(?:owner|bounces?|return|request|errors?|admin)-",
    r"[-+](?:owner|bounces?|return|request|errors?|admin)\b.*$|[@+].*$",
)
"""What a list's own sender has before and behind its name: owner-news, news-bounces+bob=far.example."""


def _own(f: Facts, rows: Ints, left: Ints, child: Ints) -> Ints:
    """Return ``left``; of a mail that several lists were handed, what bears the name of one belongs to that one."""
    entry = f.row_entry[rows]
    if not len(child) or len(first_rows(entry)) == len(entry):
        return left
    address = np.r_[f.recipient[rows], f.writer[child]]
    names = take(f.addresses, address)
    for pattern in OWN:
        names = pc.replace_substring_regex(names, pattern, "")
    (code,), _ = factorise([names])
    whole = combine(np.r_[entry, entry[left]], code)
    mine, theirs = whole[: len(rows)], whole[len(rows) :]
    order = np.argsort(mine, kind="stable")
    at = np.minimum(np.searchsorted(mine[order], theirs), len(mine) - 1)
    named = (mine[order][at] == theirs) & (code[len(rows) :] >= 0)
    return np.where(named, order[at], left)


UNKNOWN = -(2**62)
"""Of a client without a user ID."""


def siblings(tables: Events, f: Facts, legs: Legs, redirects: Legs) -> Bools:
    """Return which of the legs are a list's though they look like a redirect of another copy: one user handed in both.

    A list's copies come one after the other, so that one of them is in its mailbox when the next one is picked up; a
    mailbox's script runs as another user than the list.
    """
    uid = np.append(tables.ints("clients", "uid", UNKNOWN), UNKNOWN)[f.client_row]
    other = np.full(f.lives.size, -1, np.int64)
    other[redirects.child] = redirects.parent
    above = other[legs.child]
    same: Bools = (above >= 0) & (uid[above] != UNKNOWN) & (uid[above] == uid[legs.child])
    return same


def _handed(tables: Events, f: Facts, hops: Bools, children: Ints) -> tuple[Ints, Bools]:
    """Return the rows of mails with a child's message-id that something took which may be a list, and which are programs."""
    rows = np.flatnonzero(f.sent & (f.row_entry >= 0) & ~f.forwarded & ~hops)
    rows = rows[among(f.parent_id[f.row_entry[rows]], f.child_id[children], len(f.ids))]
    program = tables.coded("deliveries", "program").of(rows)
    reply = f.reply.take(pa.array(rows))
    command = matched(reply, "^" + COMMAND, starts=COMMAND) & ~matched(reply, AGENT, starts=COMMAND)
    listed = np.append(pc.match_substring_regex(f.relays, LISTS).to_numpy(zero_copy_only=False).astype(np.bool_), False)
    sure = command | (program.equal("pipe") & listed[f.relay[rows]])
    may_be = sure | (program.equal("lmtp") & ~f.stored[rows])
    return rows[may_be], sure[may_be]


def _nearest_before(f: Facts, rows: Ints, children: Ints) -> tuple[Ints, Ints]:
    """Return, for each child that has one, the place in ``rows`` of the last hand-over that began before it, and the child."""
    entry = f.row_entry[rows]
    key = combine(
        np.concatenate([f.lives.host[entry], f.lives.host[children]]),
        np.concatenate([f.parent_id[entry], f.child_id[children]]),
    )
    dense = ranked(key)[1]
    mine, theirs = dense[: len(rows)], dense[len(rows) :]
    begin, opened = f.second[rows] - ceil(f.transmit[rows]) - 1, f.opened[children]
    start = int(min(begin.min(), opened.min()))
    span = int(max(begin.max(), opened.max())) - start + 2
    order = np.lexsort((f.lives.by_name()[entry], mine * span + begin - start))
    place = (mine * span + begin - start)[order]
    at = np.searchsorted(place, theirs * span + opened - start, "right") - 1
    row = order[np.maximum(at, 0)]
    found = np.flatnonzero((at >= 0) & (mine[row] == theirs) & (opened <= f.second[rows][row] + EXPANDED))
    return row[found], children[found]
