"""Mail that is in no queue though no line ends it: lost in a crash, or its queue file was removed behind Postfix's back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Ints, factorise, plain
from logscan.correlate.facts import Facts
from logscan.correlate.known import Known
from logscan.correlate.links import KINDS, Legs, beginnings
from logscan.correlate.lives import SECOND
from logscan.correlate.outcomes import PUT_OFF, ending
from logscan.correlate.queue_listing import Listed, listed
from logscan.tables.grouping import combine

AT_START = 60 * SECOND
"""By then after its start the queue manager has told of what it found in the incoming queue, if it tells of new mail."""

UNTIL_START = 3000 * SECOND
"""A start later than this after a mail isn't asked: what lies within an hour of a mail decides, so that pieces do."""

SILENCE = 4 * 3600 * SECOND
"""No line at all of a host for so long, and perhaps a file is missing: what happened meanwhile isn't known."""


@dataclass
class Ended:
    """How each entry ended, by the log and the listings, and what the listings say."""

    code: Ints
    listed: Listed | None


def ended(tables: dict[str, pa.Table], f: Facts, legs: Legs, code: Ints, known: Known) -> Ended:
    """Return the endings with what vanished told from what waits; ``code`` are those that lines tell."""
    out = code.copy()
    lost = (out == ending("unseen")) & _started_without(tables, f, out == ending("unseen"))
    if not known.listings:
        out[lost] = ending("vanished")
        return Ended(out, None)
    next_try = f.lives.last // SECOND + _until_next(f, known.retry)
    told = listed(f, known.listings, _arrived(f, legs), next_try)
    waiting = np.isin(out, [ending("queued"), ending("unseen")]) & _somebody_waits(tables, f)
    missing = np.flatnonzero(waiting & told.later & told.overdue & (told.recipients < 0))
    quiet = f.learning.fact("silences", lambda: known.silences or silences(tables))
    if len(missing):
        missing = missing[~_in_silence(f, missing, next_try, quiet)]
    out[told.later & told.hold & (told.recipients >= 0) & (out == ending("queued"))] = ending("held")
    lost &= told.recipients < 0
    lost[missing] = True
    out[lost] = ending("vanished")
    return Ended(out, told)


def _arrived(f: Facts, legs: Legs) -> Ints:
    """Return the second in which each entry's mail arrived: what is queued again keeps its time."""
    again = legs.kind == KINDS.index("requeue")
    parent = np.arange(f.lives.size)
    parent[legs.child[again]] = legs.parent[again]
    return f.opened[beginnings(parent)]


def _started_without(tables: dict[str, pa.Table], f: Facts, some: Bools) -> Bools:
    """Return which entries, taken and never seen by qmgr, it didn't find in the incoming queue when Postfix was started."""
    out = np.zeros(f.lives.size, np.bool_)
    rows = np.flatnonzero(some)
    events = tables["service_events"]
    is_start = pc.and_(
        pc.equal(plain(events.column("event")), "start"), pc.equal(plain(events.column("program")), "master")
    )
    starts = events.filter(pc.fill_null(is_start, False))
    if not len(rows) or not len(starts):
        return out
    queued = tables["queued"]
    (host, mine, seen), _ = factorise([f.lives.hosts, starts.column("host"), queued.column("host")])
    (instance, my_instance, seen_instance), _ = factorise(
        [f.lives.instances, starts.column("instance"), queued.column("instance")]
    )
    place = combine(
        np.r_[host[f.lives.host[rows]], mine, seen], np.r_[instance[f.lives.instance[rows]], my_instance, seen_instance]
    )
    of_mail, of_start, of_queue = np.split(place, np.cumsum([len(rows), len(mine)]))
    # A start counts where the queue manager spoke later on.
    at, spoken = starts.column("time").to_numpy(), queued.column("time").to_numpy()
    spoke = _next(of_queue, spoken, of_start, at + AT_START)
    alive = np.flatnonzero(spoke >= 0)
    last = f.lives.last[rows]
    start = _next(of_start[alive], at[alive], of_mail, last + 1)
    found = start >= 0
    begun = np.append(alive, 0)[start]
    found &= at[begun] <= last + UNTIL_START
    found &= np.append(spoken, 0)[spoke[begun]] <= last + UNTIL_START + 10 * AT_START
    out[rows] = found
    # Where qmgr spoke, and the start before, are asked for again as long as the mail is open.
    sure = np.flatnonzero(found)
    at_start = np.flatnonzero(pc.fill_null(is_start, False).to_numpy(zero_copy_only=False))
    f.links.claims.append(("service_events", at_start[begun[sure]], rows[sure]))
    f.links.claims.append(("queued", spoke[begun[sure]], rows[sure]))
    return out


def _next(place: Ints, time: Ints, of: Ints, since: Ints) -> Ints:
    """Return, for each, which is the first of its place whose time isn't before, or -1."""
    out = np.full(len(of), -1, np.int64)
    order = np.lexsort((time, place))
    ordered, times = place[order], time[order]
    for one in np.unique(of).tolist():
        mine = np.flatnonzero(of == one)
        low, high = np.searchsorted(ordered, [one, one + 1])
        found = low + np.searchsorted(times[low:high], since[mine])
        there = found < high
        out[mine[there]] = order[found[there]]
    return out


def _somebody_waits(tables: dict[str, pa.Table], f: Facts) -> Bools:
    """Return which entries have a recipient who was put off last, or none at all."""
    out = np.ones(f.lives.size, np.bool_)
    rows = np.flatnonzero(f.row_entry >= 0)
    out[f.row_entry[rows]] = False
    put_off = pc.is_in(plain(tables["deliveries"].column("status")), pa.array(PUT_OFF)).to_numpy(zero_copy_only=False)[
        rows
    ]
    key = combine(f.row_entry[rows], f.recipient[rows], f.asked[rows])
    order = np.lexsort((~put_off, f.second[rows], key))
    ends = np.r_[np.diff(key[order]) != 0, True] if len(order) else order.astype(np.bool_)
    last = order[ends]
    out[f.row_entry[rows[last[put_off[last]]]]] = True
    return out


def _until_next(f: Facts, retry: tuple[int, int, int]) -> Ints:
    """Return in how many seconds after its last line a waiting mail has another (qmgr/qmgr_active.c, qmgr_active_defer)."""
    least, most, run = retry
    age = f.lives.last // SECOND - f.opened
    known = (f.client_row >= 0) | (f.parent_id >= 0)
    # The queue is looked through every `run` seconds, and may be in the midst of it.
    return np.where(known, np.clip(age, least, most), most) + 2 * run


def silences(tables: dict[str, pa.Table]) -> tuple[tuple[str, int, int], ...]:
    """Return (host, from, until in UTC ns) of each time of which a host's log may lack lines: long silences, lines lost."""
    host = {name: table.column("host") for name, table in tables.items() if len(table)}
    if not host:
        return ()
    codes, hosts = factorise(list(host.values()))
    code = np.concatenate(codes)
    time = np.concatenate([tables[name].column("time").to_numpy() for name in host])
    order = np.lexsort((time, code))
    code, time = code[order], time[order]
    at = np.flatnonzero((np.diff(time) > SILENCE) & (np.diff(code) == 0) & (code[:-1] >= 0))
    names = hosts.to_pylist()
    found = [(str(names[code[i]]), int(time[i]), int(time[i + 1])) for i in at.tolist()]
    losses = tables["losses"]
    lost = losses.filter(pc.is_in(plain(losses.column("event")), pa.array(["lost", "losing"])))
    times = lost.column("time").to_numpy().tolist()
    found += [(str(name), at, at) for name, at in zip(plain(lost.column("host")).to_pylist(), times, strict=True)]
    return tuple(found)


def _in_silence(f: Facts, entries: Ints, next_try: Ints, known: Collection[tuple[str, int, int]]) -> Bools:
    """Return for which entries a silence begins, or lines are lost, between their last line and their next attempt."""
    out = np.zeros(len(entries), np.bool_)
    code = {name: number for number, name in enumerate(f.lives.hosts.to_pylist())}
    host, low, high = f.lives.host[entries], f.lives.last[entries], (next_try[entries] + 1) * SECOND
    for name, start, until in known:
        out |= (host == code.get(name, -1)) & (until >= low) & (start < high)
    return out
