"""Legs that the log tells: ``orig_queue_id``, ``queued as``, amavis's line, ``forwarded as``, ``orig_id``, notifications."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate import replies
from logscan.correlate.codes import Bools, Ints, extracted, matched, pairs, plain
from logscan.correlate.facts import SLACK, Facts, ceil
from logscan.correlate.horizons import SETTLE
from logscan.correlate.links import Legs
from logscan.correlate.lives import SECOND
from logscan.correlate.matching import match
from logscan.tables.grouping import combine

CHANGED = 60
"""Seconds before amavis's line within which a child with another Message-ID may have been opened."""

REQUEUED = 600
"""Seconds within which pickup takes up what was queued again: it looks at least once a minute (postsuper wakes nobody)."""

BOUNCE_WINDOW = SETTLE
MAILSCANNER_WINDOW = 600
"""Seconds after which qmgr has looked into the incoming queue (queue_run_delay is 300)."""


def _by_id(f: Facts, host: Ints, names: pa.Array) -> tuple[Ints, Ints]:
    """Return all (position in names, entry) with that host and queue ID."""
    if names.null_count == len(names):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    codes = f.lives.codes_of(names)
    known = np.flatnonzero(codes >= 0)
    if not len(known):
        return known, known
    both = combine(np.concatenate([host[known], f.lives.host]), np.concatenate([codes[known], f.lives.queue_id]))
    left, right = pairs(both[: len(known)], both[len(known) :])
    return known[left], right


def _nearest(position: Ints, entry: Ints, distance: Ints) -> tuple[Ints, Ints]:
    """Keep, for each position, the entry with the least distance."""
    order = np.lexsort((distance, position))
    position, entry = position[order], entry[order]
    first = np.r_[True, position[1:] != position[:-1]] if len(position) else np.empty(0, np.bool_)
    return position[first], entry[first]


def requeued(tables: dict[str, pa.Table], f: Facts) -> Legs:
    """Return what postsuper put into the queue again: pickup names the ID it had."""
    names = plain(tables["clients"].column("orig_id"))
    return _told_by_client(tables, f, names, "requeue", "orig_id")


def queued_again(tables: dict[str, pa.Table], f: Facts) -> Legs:
    """Return what postsuper put into the queue again where pickup's line is lost: cleanup's has the same Message-ID."""
    table, entry = tables["requeues"], f.lives.entry["requeues"]
    said = pc.fill_null(pc.equal(plain(table.column("action")), "requeued"), False).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(said & (entry >= 0))
    parents = entry[rows]
    rows, parents = rows[f.parent_id[parents] >= 0], parents[f.parent_id[parents] >= 0]
    children = np.flatnonzero((f.client_row < 0) & (f.child_id >= 0) & np.isin(f.child_id, f.parent_id[parents]))
    at = table.column("time").to_numpy()[rows] // SECOND
    whole = combine(
        *(
            np.concatenate([of[parents], of_child[children]])
            for of, of_child in ((f.lives.host,) * 2, (f.lives.instance,) * 2, (f.parent_id, f.child_id))
        )
    )
    left, right, _ = match(
        (whole[: len(rows)], whole[len(rows) :]),
        (at - SLACK, at + REQUEUED),
        f.opened[children],
        lambda left, right: parents[left] != children[right],
        note=lambda left, right: f.links.ties.append((parents[left], children[right])),
    )
    return Legs.of(parents[left], children[right], "requeue", "inferred", 1, -1)


def orig_queue_id(tables: dict[str, pa.Table], f: Facts) -> Legs:
    """Return what a filter that speaks XFORWARD handed back: smtpd names the ID before."""
    names = plain(tables["clients"].column("orig_queue_id"))
    return _told_by_client(tables, f, names, "filter", "orig_queue_id")


def _told_by_client(tables: dict[str, pa.Table], f: Facts, names: pa.Array, kind: str, known_by: str) -> Legs:
    """The child's first line names its parent: the life of that ID opened last before the child."""
    entry = f.lives.entry["clients"]
    child = np.where(entry >= 0, entry, 0)
    host = f.lives.host[child] if f.lives.size else entry
    position, parent = _by_id(f, host, names)
    at = f.opened[child[position]]
    fits = (f.opened[parent] <= at + SLACK) & (parent != child[position]) & (entry[position] >= 0)
    # What is over isn't in the queue.
    fits &= _lasts(f, parent, at)
    if kind == "filter":
        # Only who speaks XFORWARD here may say so.
        fits &= _from_filter(f, child[position])
    position, parent = position[fits], parent[fits]
    position, parent = _nearest(position, parent, at[fits] - f.opened[parent] + _other_id(f, parent, child[position]))
    return Legs.of(parent, child[position], kind, known_by, 2, -1)


def _from_filter(f: Facts, child: Ints) -> Bools:
    """Return which of these entries came from this host, or from an address that mail is handed to."""
    found: Bools = f.local[child] | f.handed_to[f.address[child]]
    return found


def _lasts(f: Facts, entry: Ints, second: Ints) -> Bools:
    """Return which of these entries weren't over by then."""
    removed = f.lives.last_row("removals") >= 0
    found: Bools = ~removed[entry] | (f.lives.last[entry] // SECOND >= second - SLACK)
    return found


def queued_as(tables: dict[str, pa.Table], f: Facts) -> Legs:
    """The reply to a hand-over names the child; believed only where that child opens while the hand-over lasts."""
    said = replies.queued_as(f.reply)
    row_entry = np.where(f.row_entry >= 0, f.row_entry, 0)
    codes = f.lives.codes_of(said)
    rows = np.flatnonzero((codes >= 0) & (f.row_entry >= 0) & f.sent)
    left, child = pairs(codes[rows], f.lives.queue_id)
    row = rows[left]
    parent = row_entry[row]
    fits = f.opened[child] >= f.second[row] - ceil(f.transmit[row]) - SLACK
    fits &= f.opened[child] <= f.second[row] + SLACK
    fits &= parent != child
    same_id = f.parent_id[parent] == f.child_id[child]
    unknown_id = (f.parent_id[parent] < 0) | (f.child_id[child] < 0)
    here = f.lives.host[parent] == f.lives.host[child]
    at_relay = f.address[child] == f.relay_address[row]
    # On this host the child must come from here or from the filter's address; on another the message-id has to agree.
    # A stranger's ID may be one of ours by chance: where the message-ids differ, only a filter on this host is believed.
    near = (same_id | unknown_id) & (f.here[f.relay[row]] | at_relay)
    # Any name may belong to this host, but strangers listen on port 25, where filters don't; they may echo our IDs, and
    # send us the same mail meanwhile.
    stranger = f.strangers[f.relay[row]]
    near &= ~stranger | f.here[f.relay[row]]
    near |= same_id & f.local[child] & (f.opened[parent] <= f.opened[child]) & ~stranger
    changed = f.here[f.relay[row]] & f.local[child] & ~same_id & ~unknown_id
    rank = np.select(
        [fits & here & near, fits & ~here & same_id & ~f.here[f.relay[row]], fits & here & changed], [0, 1, 2], -1
    )
    # Another instance of Postfix that answers for itself is the next server on the way, on this host.
    next_one = (f.lives.instance[parent] != f.lives.instance[child]) & same_id
    next_one &= matched(
        f.reply.take(pa.array(row)), r"^250 (?:2\.\d\.\d )?Ok: (?:\d+ bytes )?queued as \S+$", starts="250 "
    )
    rank[next_one & (rank == 0)] = 1
    some = np.flatnonzero(rank >= 0)
    away = np.abs(f.opened[child[some]] - f.second[row[some]]) + rank[some] * 2**40
    _, best = _nearest(row[some], some, away)
    found = [
        Legs.of(parent[one], child[one], kind, "queued as", confidence, row[one])
        for number, (kind, confidence) in enumerate((("filter", 2), ("relay", 2), ("filter", 1)))
        for one in (best[rank[best] == number],)
    ]
    return Legs.joined(found)


def amavis(tables: dict[str, pa.Table], f: Facts) -> Legs:
    """amavis's own line gives both IDs, even where Postfix's lines are cut."""
    return _both_named(tables.get("verdicts"), f, "filter", "amavis", 0)


def put_back(tables: dict[str, pa.Table], f: Facts) -> Legs:
    """MailScanner takes a held mail out of the queue and puts it in again under another ID, which qmgr sees within minutes."""
    return _both_named(tables.get("requeues"), f, "requeue", "requeue", MAILSCANNER_WINDOW)


def _both_named(table: pa.Table | None, f: Facts, kind: str, known_by: str, window: int) -> Legs:
    """Return the legs that lines with both IDs tell; the child's life begins ``window`` seconds behind the line at most."""
    if table is None:
        return Legs.of(np.empty(0, np.int64), np.empty(0, np.int64), kind, known_by, 2, -1)
    host, before, after, second = [], [], [], []
    hosts = {value: code for code, value in enumerate(f.lives.hosts.to_pylist())}
    wanted = table.filter(pc.is_valid(table.column("child_queue_id")))
    for name, queue_id, children, time in zip(
        plain(wanted.column("host")).to_pylist(),
        plain(wanted.column("queue_id")).to_pylist(),
        plain(wanted.column("child_queue_id")).to_pylist(),
        wanted.column("time").to_pylist(),
        strict=True,
    ):
        for child in children.replace(",", "/").split("/"):
            if queue_id and child:
                host.append(hosts.get(name, -1))
                before.append(queue_id)
                after.append(child)
                second.append(time // SECOND)
    hosts_of = np.asarray(host, np.int64)
    at = np.asarray(second, np.int64)
    found = []
    for names, late in ((pa.array(before, pa.string()), SLACK), (pa.array(after, pa.string()), SLACK + window)):
        position, entry = _by_id(f, hosts_of, names)
        ok = f.opened[entry] <= at[position] + late
        found.append((position[ok], entry[ok]))
    (left, parent), (right, child_entry) = found
    a, b = pairs(left, right)
    left, parent, child_entry = left[a], parent[a], child_entry[b]
    ok = parent != child_entry
    # What amavis logs of a mail's header is its sender's: both lives must be at that point of their way.
    ok &= _lasts(f, parent, at[left]) & (f.opened[parent] <= f.opened[child_entry] + SLACK)
    if kind == "filter":
        ok &= _from_filter(f, child_entry)
    alike = (f.parent_id[parent] == f.child_id[child_entry]) | (f.parent_id[parent] < 0) | (f.child_id[child_entry] < 0)
    ok &= alike | (f.opened[child_entry] >= at[left] - CHANGED)
    left, parent, child_entry, alike = left[ok], parent[ok], child_entry[ok], alike[ok]
    # Where an ID is several lives', those of one message-id, then those of least age.
    away = np.abs(at[left] - f.opened[parent]) + np.abs(at[left] - f.opened[child_entry])
    left, chosen = _nearest(left, np.arange(len(left)), away + _other_id(f, parent, child_entry))
    return Legs.of(parent[chosen], child_entry[chosen], kind, known_by, np.where(alike[chosen], 2, 1), -1)


def _other_id(f: Facts, parent: Ints, child: Ints) -> Ints:
    """Return a distance beyond all times for pairs whose message-ids differ, else 0."""
    return np.where(f.parent_id[parent] == f.child_id[child], 0, 2**40)


def forwarded(f: Facts) -> Legs:
    """Return what local(8) made of aliases and .forward files: its reply names the new entry."""
    said = extracted(f.reply, r"^forwarded as (?P<q>[0-9A-Za-z]{6,})$", "forwarded as ", starts=True)
    host = f.lives.host[np.where(f.row_entry >= 0, f.row_entry, 0)] if f.lives.size else f.row_entry
    row, child = _by_id(f, host, said)
    fits = (f.row_entry[row] >= 0) & (f.opened[child] <= f.second[row] + 60)
    fits &= f.opened[child] >= f.second[row] - ceil(f.transmit[row]) - 60
    fits &= child != f.row_entry[row]
    fits &= f.lives.instance[child] == f.lives.instance[f.row_entry[row]]
    row, child = row[fits], child[fits]
    row, child = _nearest(row, child, np.abs(f.opened[child] - f.second[row]))
    return Legs.of(f.row_entry[row], child, "forward", "forwarded as", 2, row)


def bounced(tables: dict[str, pa.Table], f: Facts) -> Legs:
    """Return the notifications: bounce names what it made, before or after that entry's own lines."""
    table = tables["notifications"]
    entry = f.lives.entry.get("notifications", np.empty(0, np.int64))
    time = table.column("time").to_numpy()
    parent = np.where(entry >= 0, entry, 0)
    host = f.lives.host[parent] if f.lives.size else parent
    row, child = _by_id(f, host, plain(table.column("child_queue_id")))
    near = np.abs(f.lives.first[child] - time[row])
    fits = (near <= BOUNCE_WINDOW) & (entry[row] >= 0) & (child != parent[row])
    fits &= f.lives.instance[child] == f.lives.instance[parent[row]]
    row, child = _nearest(row[fits], child[fits], near[fits])
    return Legs.of(parent[row], child, "bounce", "notification", 2, -1)
