"""What is over: which mails nothing that is still to come can change, and which lines nobody who is still open can claim.

Mails that were found together go together (:func:`_groups`). Such a group is closed when each of its lives is over, and no open
mail of the same Message-ID that began earlier may still turn out to be where one of them came from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Ints, distinct, numbered, plain
from logscan.correlate.facts import SLACK, Facts
from logscan.correlate.horizons import BACK, SECOND, SETTLE
from logscan.correlate.links import KINDS, Legs
from logscan.correlate.outcomes import ending
from logscan.correlate.splitting import RANKS, WAITS, marks_of_rejects
from logscan.correlate.verdicts import unique_rows
from logscan.tables.grouping import combine
from logscan.tables.schema import EVENTS

AWAITED = {
    "clients": ("queue_id", "NOQUEUE"),
    "rejects": ("action", "proxy-accept"),
    "service_events": ("event", "start"),
}
"""Lines without a life that mails ask for later on, by a column of theirs: sessions before proxies, starts of Postfix."""

LARGEST = np.iinfo(np.int64).max


@dataclass
class Gone:
    """What is handed on: which entries, and which rows of each event table."""

    entries: Bools
    rows: dict[str, Bools]


def gone(tables: dict[str, pa.Table], ended: Ints, f: Facts, legs: Legs, now: int | None) -> Gone:
    """Return what is closed at ``now`` (UTC ns); with None, at the log's end, everything is.

    ``ended`` are the codes of the entries' endings.
    """
    if now is None:
        return Gone(np.ones(f.lives.size, np.bool_), {name: np.ones(len(tables[name]), np.bool_) for name in EVENTS})
    owner = _owners(tables, f)
    still = ~_over(tables, ended, f, legs, now)
    group = _groups(f, legs)
    open_groups = np.zeros(f.lives.size, np.bool_)
    open_groups[group[still | _threatened(f, still, now)]] = True
    closed = ~open_groups[group]
    flags = np.append(closed, False)
    rows = {}
    for name in EVENTS:
        free = tables[name].column("time").to_numpy() < now - SETTLE
        loose = owner[name] < 0
        some = np.flatnonzero(free & loose)
        free[some[_awaited(name, tables[name], some, f, ~closed, now)]] = False
        rows[name] = np.where(loose, free, flags[owner[name]])
    _copies(tables["verdicts"], rows["verdicts"], owner["verdicts"] < 0)
    return Gone(closed, rows)


def _owners(tables: dict[str, pa.Table], f: Facts) -> dict[str, Ints]:
    """Return, per row of each table, the entry that it belongs to, -1 for none; ties entries that claim one row."""
    owner = {name: f.lives.entry[name].copy() for name in EVENTS}
    for name, rows, entries in f.links.claims:
        mine = owner[name]
        taken = mine[rows] >= 0
        mine[rows[~taken]] = entries[~taken]
        other = mine[rows] != entries
        if other.any():
            f.links.ties.append((mine[rows[other]], entries[other]))
    return owner


def _over(tables: dict[str, pa.Table], ended: Ints, f: Facts, legs: Legs, now: int) -> Bools:
    """Return, per entry, whether it has seen its last line: by how it ended and how long ago that was."""
    lives = f.lives
    mark = np.zeros(lives.size, np.int64)
    # The lowest first: what ends a life stands above what only tells that it is in the queue.
    refusals, refused = lives.entry["rejects"], np.empty(0, np.int64)
    if len(refusals):
        refused = np.where(refusals >= 0, marks_of_rejects(tables["rejects"]), 0)
    queued = [lives.entry[name] for name in RANKS if RANKS["rejects"] < RANKS[name] < RANKS["removals"]]
    for entries, value in (*((each, 1) for each in (*queued, refusals[refused == 1])), (refusals[refused == 2], 2)):
        mark[entries[entries >= 0]] = value
    over = lives.entry["removals"]
    mark[over[over >= 0]] = 2
    wait = np.asarray(WAITS)[mark]
    # What was queued again goes on under another ID, and what had this ID before a life that has begun is no more.
    again = np.zeros(lives.size, np.bool_)
    again[legs.parent[legs.kind == KINDS.index("requeue")]] = True
    again &= ended == ending("requeued")
    again |= np.append(lives.pause[1:] < LARGEST, False) if lives.size else again
    wait[again] = SETTLE
    for entries, seconds in f.links.waits:
        np.maximum.at(wait, entries, seconds * SECOND)
    out: Bools = lives.last < now - wait
    return out


def _groups(f: Facts, legs: Legs) -> Ints:
    """Return, per entry, a number of what it hangs together with: by legs, bounces too, by what had a choice, by queue ID."""
    # Lives that are counted on from each other go together, so that nobody has to remember queue IDs.
    near = np.flatnonzero(f.lives.pause <= SETTLE)
    left = np.concatenate([legs.parent, near - 1, *(pair[0] for pair in f.links.ties)]).astype(np.int64)
    right = np.concatenate([legs.child, near, *(pair[1] for pair in f.links.ties)]).astype(np.int64)
    return united(f.lives.size, left, right)


def united(size: int, left: Ints, right: Ints) -> Ints:
    """Return, per thing, the least number of those it hangs together with by the pairs (left, right)."""
    label = np.arange(size)
    while True:
        low = np.minimum(label[left], label[right])
        before = label
        label = label.copy()
        np.minimum.at(label, before[left], low)
        np.minimum.at(label, before[right], low)
        while not np.array_equal(label, label[label]):
            label = label[label]
        if np.array_equal(label, before):
            return label


def _threatened(f: Facts, still: Bools, now: int) -> Bools:
    """Return, per entry, whether an open one of its Message-ID that is no younger may have a claim on what is its own."""
    absent = pc.index(f.ids, "").as_py()
    sender = np.where(f.parent_id == absent, f.sender, -1), np.where(f.child_id == absent, f.sender, -1)
    whole = combine(np.r_[f.parent_id, f.child_id], np.r_[sender[0], sender[1]])
    if not len(whole) or not still.any():
        return np.zeros(f.lives.size, np.bool_)
    keys, codes = numbered(whole)
    mine, child = codes[: f.lives.size], codes[f.lives.size :]
    since = np.full(len(keys), LARGEST, np.int64)
    some = np.flatnonzero(still & (f.parent_id >= 0))
    np.minimum.at(since, mine[some], np.minimum(f.lives.first[some], f.opened[some] * SECOND))
    until = f.lives.last + SLACK * SECOND
    out: Bools = (until >= now - BACK) & ((since[mine] <= until) | (since[child] <= until)) & (f.parent_id >= 0)
    return out


def _awaited(name: str, table: pa.Table, rows: Ints, f: Facts, open_: Bools, now: int) -> Bools:
    """Return which of these rows that nobody claims may be claimed yet: by open mails, of no more than a transmission ago."""
    out = np.zeros(len(rows), np.bool_)
    if name not in ("verdicts", "stores", "clients", "rejects", "service_events"):
        return out
    late = np.flatnonzero(table.column("time").to_numpy()[rows] >= now - BACK)
    if not len(late):
        return out
    if name in AWAITED:
        column, word = AWAITED[name]
        column = table.column(column).take(pa.array(rows[late]))
        out[late] = pc.fill_null(pc.equal(plain(column), word), False).to_numpy(zero_copy_only=False)
        return out
    some = table.take(pa.array(rows[late]))
    codes = distinct(f.parent_id[open_ & (f.parent_id >= 0)])
    ids = f.ids.take(pa.array(codes))
    told = pc.utf8_trim_whitespace(pc.fill_null(plain(some.column("message_id")), ""))
    told = pc.replace_substring_regex(told, r"^<(.*)>$", r"\1")
    wanted = pc.or_(pc.is_in(told, ids), pc.equal(told, ""))
    if name == "verdicts":
        queue = f.lives.queue_ids.take(pa.array(distinct(f.lives.queue_id[open_])))
        for column in ("queue_id", "child_queue_id"):
            wanted = pc.or_(wanted, pc.fill_null(pc.is_in(plain(some.column(column)), queue), False))
    out[late] = wanted.to_numpy(zero_copy_only=False)
    return out


def _copies(verdicts: pa.Table, rows: Bools, loose: Bools) -> None:
    """Let each verdict that two files tell go once, and both lines together; changes ``rows``."""
    if not len(verdicts):
        return
    keep, key = unique_rows(verdicts)
    if keep.all():
        return
    mains = np.flatnonzero(keep)
    order = mains[np.argsort(key[mains], kind="stable")]
    twins = np.flatnonzero(~keep & loose)
    rows[twins] = rows[order[np.searchsorted(key[order], key[twins], "left")]]
