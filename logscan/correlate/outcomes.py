"""What became of each recipient: one outcome each, from its attempts and from how its queue file ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from logscan.correlate.accepted import unseen
from logscan.correlate.codes import Bools, Ints
from logscan.correlate.events import Coded, Events
from logscan.correlate.facts import Facts
from logscan.correlate.links import KINDS, Legs
from logscan.tables.grouping import combine

OUTCOMES = (
    "delivered", "handed-on", "deferred", "bounced", "expired", "held", "discarded", "repeated", "probe", "stray",
)  # fmt: skip
"""Of attempts. Those of :data:`ENDS` are recipients' ends, the others have no part in the accounts."""

ENDS = ("delivered", "deferred", "bounced", "expired", "held", "discarded")

ENDINGS = ("removed", "deleted", "discarded", "canceled", "requeued", "held", "queued", "unseen", "vanished", "")
"""How lives end: removed by qmgr, deleted by hand, thrown away by cleanup, given up by the client, queued again under
another ID, on hold, still in the queue, taken and never seen by qmgr, in no queue though no line ends it; empty for
transactions that never were a mail."""

THROWN = ("deleted", "discarded", "vanished")
"""Endings of mail that nobody gets."""

WAITING = ("queued", "unseen")
"""Endings of mail that is in the queue as far as the log tells."""

PUT_OFF = ("deferred", "SOFTBOUNCE")
"""Statuses of attempts that Postfix makes again."""

PROBES = ("deliverable", "undeliverable", "undeliverable-but-not-cached")

NEVER = np.iinfo(np.int64).min


def ending(name: str) -> int:
    """Return the code of an ending."""
    return ENDINGS.index(name)


def outcome(name: str) -> int:
    """Return the code of an outcome."""
    return OUTCOMES.index(name)


def _latest(f: Facts, tables: Events, *where: tuple[str, Bools]) -> Ints:
    """Return, per entry, the time (UTC ns) of its last row among those, or NEVER."""
    out = np.full(f.lives.size, NEVER, np.int64)
    for name, mask in where:
        entry = f.lives.entry[name]
        rows = np.flatnonzero(mask & (entry >= 0))
        np.maximum.at(out, entry[rows], tables.time(name)[rows])
    return out


def endings(tables: Events, f: Facts, legs: Legs) -> Ints:
    """Return, per entry, how it ended: a code of :data:`ENDINGS`."""
    lives = f.lives
    action, reason = tables.coded("requeues", "action"), tables.coded("removals", "reason")
    removal = lives.last_row("removals")
    removed = removal >= 0
    by_hand = np.append(tables.coded("removals", "program").equal("postsuper"), False)[removal]
    canceled = np.append(reason.equal("canceled"), False)[removal]
    thrown = np.append(reason.equal("discarded"), False)[removal]
    refusal = tables.coded("rejects", "action")
    holds = refusal.where(lambda words: pc.ends_with(words, "hold"))
    hold = _latest(f, tables, ("rejects", holds), ("requeues", action.equal("placed on hold")))
    release = _latest(f, tables, ("requeues", action.equal("released from hold")))
    last_queued = lives.last_row("queued")
    queued = last_queued >= 0
    queued_at = np.append(tables.time("queued"), NEVER)[last_queued]
    discards = refusal.where(lambda words: pc.ends_with(words, "discard"))
    discard = _latest(f, tables, ("rejects", discards)) != NEVER
    again = _latest(f, tables, ("requeues", action.equal("requeued"))) != NEVER
    again[legs.parent[legs.kind == KINDS.index("requeue")]] = True
    attempted = np.zeros(lives.size + 1, np.bool_)
    attempted[f.row_entry] = True
    found = np.select(
        [
            removed & by_hand,
            removed & canceled,
            (removed & thrown) | (discard & ~queued),
            removed,
            again,
            (hold > release) & (hold >= queued_at),
            queued | attempted[:-1],
        ],
        [ending(name) for name in ("deleted", "canceled", "discarded", "removed", "requeued", "held", "queued")],
        ending(""),
    )
    found[unseen(tables, f, found == ending(""))] = ending("unseen")
    return found.astype(np.int64)


@dataclass
class Attempts:
    """What is known of each delivery row, for its outcome."""

    status: Coded
    hop: Bools
    discarded: Bools
    """The reply says that nobody gets it."""
    sieved: Bools
    """Dovecot took it, and a script threw it away."""
    rejected: Bools
    """Dovecot took it, and a script returned it to its sender."""
    repeated: Bools
    """The same line, logged again."""


def outcomes(f: Facts, some: Attempts, ended: Ints, expired: Bools) -> tuple[Ints, Bools]:
    """Return, per delivery row, the code of its outcome, and whether no later attempt for its recipient followed."""
    entry = f.row_entry
    bounced = some.status.equal("bounced")
    put_off = some.status.equal(*PUT_OFF)
    code = np.select(
        [
            entry < 0,
            some.status.equal(*PROBES),
            some.repeated,
            f.sent & (some.hop | f.forwarded),
            f.sent & (some.discarded | some.sieved),
            bounced | (f.sent & some.rejected),
            f.sent,
            put_off,
        ],
        [
            outcome(name)
            for name in (
                "stray", "probe", "repeated", "handed-on", "discarded", "bounced", "delivered", "deferred",
            )
        ],
        outcome("stray"),
    )  # fmt: skip
    counts = (code != outcome("repeated")) & (code != outcome("stray"))
    final = counts & ~put_off
    last = _last_attempts(f, final, counts)
    of = np.append(ended, ending(""))[entry]
    waiting = last & put_off
    code = np.where(waiting & np.isin(of, [ending(name) for name in THROWN]), outcome("discarded"), code)
    code = np.where(waiting & (of == ending("held")), outcome("held"), code)
    code = np.where(waiting & np.append(expired, False)[entry], outcome("expired"), code)
    # What postsuper queued again is put off no longer: its recipients end under the new ID.
    last &= ~(waiting & (of == ending("requeued")))
    return code.astype(np.int64), last


def _last_attempts(f: Facts, final: Bools, counts: Bools) -> Bools:
    """Return whether a row is the end for its (entry, recipient, address asked for): nothing follows what isn't put off."""
    rows = np.flatnonzero(counts)
    key = combine(f.row_entry[rows], f.recipient[rows], f.asked[rows])
    order = np.lexsort((f.second[rows], final[rows], key))
    ordered = key[order]
    last = np.zeros(len(final), np.bool_)
    if len(key):
        last[rows[order]] = np.r_[ordered[1:] != ordered[:-1], True]
    return last | final


def once(f: Facts, legs: Legs, code: Ints, last: Bools, put_off: Bools, left: Ints) -> Bools:
    """Return ``last`` with one end for each recipient of a hand-over that broke off after the filter had handed mail back.

    Postfix tries it again, though the recipient has a copy, or will have: that copy's end counts, and the first one only.
    """
    parent = np.full(f.lives.size + 1, -1, np.int64)
    filtered = legs.kind == KINDS.index("filter")
    parent[legs.child[filtered]] = legs.parent[filtered]
    broken = np.flatnonzero(put_off & (f.row_entry >= 0) & np.isin(f.row_entry, legs.parent[filtered]))
    if not len(broken):
        return last
    out = last.copy()
    # Children of these, by the address that the filter was given; those without a delivery line by their leg.
    back = np.flatnonzero(last & np.isin(parent[f.row_entry], f.row_entry[broken]) & (f.row_entry >= 0))
    bare = np.flatnonzero(filtered & (legs.row >= 0) & (left[legs.child] > 0))
    pieces = (
        (f.row_entry[broken], f.recipient[broken]),
        (parent[f.row_entry[back]], f.asked[back]),
        (legs.parent[bare], f.recipient[legs.row[bare]]),
    )
    whole = combine(*(np.concatenate([piece[at] for piece in pieces]) for at in (0, 1)))
    of_broken, of_back, of_bare = np.split(whole, np.cumsum([len(piece[0]) for piece in pieces])[:2])
    out[broken[np.isin(of_broken, np.r_[of_back, of_bare])]] = False
    tried = f.tried[broken]
    again = back[(code[back] == outcome("delivered")) & np.isin(of_back, of_broken[tried])]
    key = combine(parent[f.row_entry[again]], f.asked[again], f.recipient[again])
    life = f.row_entry[again]
    order = np.lexsort((f.lives.by_name()[life], f.second[again], key))
    same = np.r_[False, np.diff(key[order]) == 0] if len(key) else np.empty(0, np.bool_)
    # Within one life equal addresses are copies asked for.
    same[1:] &= life[order][1:] != life[order][:-1]
    out[again[order[same]]] = False
    return out


def handed_back(f: Facts, legs: Legs, left: Ints) -> Ints:
    """Return ``left`` without recipients whose mail a filter has handed back, though their hand-over has no line yet."""
    some = np.flatnonzero((legs.kind == KINDS.index("filter")) & (left[legs.parent] > 0))
    if not len(some):
        return left
    parent = np.full(f.lives.size + 1, -1, np.int64)
    parent[legs.child[some]] = legs.parent[some]
    rows = np.flatnonzero((parent[f.row_entry] >= 0) & (f.row_entry >= 0))
    own = np.flatnonzero(np.isin(f.row_entry, legs.parent[some]))
    whole = combine(np.r_[parent[f.row_entry[rows]], f.row_entry[own]], np.r_[f.asked[rows], f.recipient[own]])
    mine = whole[: len(rows)]
    fresh = np.unique(mine, return_index=True)[1]
    fresh = fresh[~np.isin(mine[fresh], whole[len(rows) :])]
    size = f.lives.size
    back = np.bincount(parent[f.row_entry[rows[fresh]]], minlength=size)
    bare = some[legs.row[some] < 0]
    back = back + np.bincount(legs.parent[bare], left[legs.child[bare]], minlength=size).astype(np.int64)
    out: Ints = np.maximum(left - back[:size], 0)
    return out


def unattempted(f: Facts, tables: Events, last: Bools, ended: Ints, opened: Bools) -> Ints:
    """Return, per entry, how many recipients no line tells of, though the mail waits, is held or was thrown away.

    As many as qmgr counted beyond those that were tried; at least one of a mail that was tried for nobody.
    """
    lives = f.lives
    row = lives.first_row("queued")
    nrcpt = np.append(tables.ints("queued", "nrcpt"), 0)[row]
    tried = np.bincount(f.row_entry[last & (f.row_entry >= 0)], minlength=lives.size)[: lives.size]
    waits = np.isin(ended, [ending(name) for name in (*THROWN, "held", *WAITING)])
    # An ID whose beginning the log lacks had attempts before it; of those of a hostile count no more than can be.
    whole = np.where(opened, np.clip(nrcpt, 0, MOST_RECIPIENTS), 0)
    left = np.where(tried == 0, np.maximum(whole, 1), np.maximum(whole - tried, 0))
    return np.where(waits, left, 0).astype(np.int64)


MOST_RECIPIENTS = 1_000_000
"""No mail has more; what says so is garbled."""
