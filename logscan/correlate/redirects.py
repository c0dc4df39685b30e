"""Redirects: what a user's Sieve script sends on, told by Dovecot's line or known by how it is handed in."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Ints, among, extracted, factorise, matched, pairs, plain
from logscan.correlate.events import Events
from logscan.correlate.facts import AGENT, COMMAND, LISTS, Facts, ceil
from logscan.correlate.links import Legs, roots
from logscan.correlate.matching import match
from logscan.correlate.replies import DELIVERED
from logscan.tables.grouping import combine

AT_ONCE = 5
"""Seconds between the end of a delivery and the pickup of what its script sent on."""


def redirected(tables: Events, f: Facts, legs: Legs) -> Legs:
    """Sieve's ``forwarded to <x>``: a local child with the same message-id to that address, opened within seconds."""
    empty = Legs.of(np.empty(0, np.int64), np.empty(0, np.int64), "redirect", "sieve", 1, -1)
    some = np.flatnonzero(tables.coded("stores", "action").equal("forwarded"))
    if not len(some):
        return empty
    forwards = tables["stores"].take(pa.array(some))
    taken = np.zeros(f.lives.size + 1, np.bool_)
    taken[legs.child] = True
    saved = extracted(f.reply, r"> (?P<s>\S+) Saved$", " Saved")
    (session, told), _ = factorise([plain(forwards.column("session")), saved])
    to = pc.utf8_lower(plain(forwards.column("address")))
    (target, known), _ = factorise([to, f.addresses])
    where = {int(code): n for n, code in enumerate(known)}
    target_of = np.asarray([where.get(int(code), -2) for code in target], np.int64)
    rows = np.flatnonzero((told >= 0) & (f.row_entry >= 0))
    store, position = pairs(session, told[rows])
    ok = session[store] >= 0
    store, row = store[ok], rows[position[ok]]
    parents = f.row_entry[row]
    child_rows = np.flatnonzero(
        (f.row_entry >= 0) & (f.local & ~taken[:-1])[np.where(f.row_entry >= 0, f.row_entry, 0)]
    )
    children = f.row_entry[child_rows]
    whole = combine(
        np.concatenate([f.lives.host[parents], f.lives.host[children]]),
        np.concatenate([f.parent_id[parents], f.child_id[children]]),
        np.concatenate([target_of[store], f.asked[child_rows]]),
    )
    at = f.second[row]
    left, right, _ = match(
        (whole[: len(row)], whole[len(row) :]),
        (at - 10, at + 10),
        f.opened[children],
        note=lambda left, right: f.links.ties.append((parents[left], children[right])),
    )
    return Legs.of(parents[left], children[right], "redirect", "sieve", 1, row[left])


def handed_in(tables: Events, f: Facts, legs: Legs, hop_relays: Ints) -> Legs:
    """What a delivery's own script handed to sendmail: picked up at once, with its message-id, for somebody else.

    A delivery agent runs as the mail's user and keeps the header. ``hop_relays`` are those of filters: what comes back
    from them isn't redirected. A list's program does the same with mail that reaches no mailbox: that is no redirect.
    """
    none = Legs.of(np.empty(0, np.int64), np.empty(0, np.int64), "redirect", "inferred", 1, -1)
    taken = np.zeros(f.lives.size + 1, np.bool_)
    taken[legs.child] = True
    clients = tables["clients"]
    if clients.column("uid").null_count == len(clients):
        return none
    by_pickup = pc.is_valid(clients.column("uid")).to_numpy()
    by_pickup = np.append(by_pickup, False)[f.client_row]
    # An absent message-id, or one that cleanup made, tells nothing.
    absent = pc.fill_null(pc.equal(f.ids, ""), False).to_numpy(zero_copy_only=False).astype(np.bool_)
    identified = (f.child_id >= 0) & ~np.append(absent, False)[f.child_id]
    children = np.flatnonzero(by_pickup & identified & ~taken[:-1])
    if not len(children):
        return none
    rows = np.flatnonzero(f.sent & (f.row_entry >= 0) & ~f.forwarded & ~among(f.relay, hop_relays, len(f.relays)))
    rows = rows[among(f.parent_id[f.row_entry[rows]], f.child_id[children], len(f.ids))]
    rows = rows[tables.coded("deliveries", "program").of(rows).equal("pipe", "lmtp", "local")]
    reply = f.reply.take(pa.array(rows))
    command = matched(reply, "^" + COMMAND, starts=COMMAND) & ~matched(reply, AGENT, starts=COMMAND)
    listed = np.append(pc.match_substring_regex(f.relays, LISTS).to_numpy(zero_copy_only=False).astype(np.bool_), False)
    rows = rows[~command & ~listed[f.relay[rows]] & ~matched(reply, DELIVERED, starts="delivered to ")]
    if not len(rows):
        return none
    key = combine(
        np.concatenate([f.lives.host[f.row_entry[rows]], f.lives.host[children]]),
        np.concatenate([f.parent_id[f.row_entry[rows]], f.child_id[children]]),
    )
    # One delivery may be sent on to several: each child takes the nearest delivery that began before it.
    begin, end = f.second[rows] - ceil(f.transmit[rows]) - 1, f.second[rows] + AT_ONCE
    order = np.lexsort((f.lives.by_name()[f.row_entry[rows]], begin, key[: len(rows)]))
    span = int(max(begin.max(), f.opened[children].max()) - begin.min()) + 2
    dense = np.unique(key, return_inverse=True)[1].astype(np.int64)
    place = dense[: len(rows)][order] * span + begin[order] - begin.min()
    at = np.searchsorted(
        place, dense[len(rows) :] * span + np.clip(f.opened[children] - begin.min(), -1, span - 1), "right"
    )
    # Its own deliveries come later, though within a second they may seem to have begun before it.
    while (own := (at > 0) & (f.row_entry[rows[order][np.maximum(at - 1, 0)]] == children)).any():
        at = at - own
    row = rows[order][np.maximum(at - 1, 0)]
    fits = (at > 0) & (dense[: len(rows)][order][np.maximum(at - 1, 0)] == dense[len(rows) :])
    fits &= f.opened[children] <= end[order][np.maximum(at - 1, 0)]
    fits &= (f.row_entry[row] != children) & (f.opened[f.row_entry[row]] <= f.opened[children])
    # What an alias made of a mail within the same second is not what that mail came out of.
    fits &= roots(f.lives.size, legs)[f.row_entry[row]] != children
    return Legs.of(f.row_entry[row[fits]], children[fits], "redirect", "inferred", 1, row[fits])
