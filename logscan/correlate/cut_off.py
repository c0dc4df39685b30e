"""Legs of hand-overs that the log ends before: the filter handed mail back, and hasn't answered yet.

No delivery line tells of them. A life is such a child when it came in by a way that others came back by (service, client),
with the message-id and sender of a mail that is still in the queue and was taken up lately.
"""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Ints, first_rows, ranked, take
from logscan.correlate.events import Events
from logscan.correlate.facts import Facts
from logscan.correlate.horizons import BACK, REACH
from logscan.correlate.known import NEVER
from logscan.correlate.links import KINDS, Legs
from logscan.correlate.lives import SECOND
from logscan.correlate.matching import BUDGET, match
from logscan.tables.grouping import combine

UNANSWERED = REACH
"""Seconds after which a hand-over has its line."""

WAY = ("host", "program", "service", "client_address")

SAME_WAY = 0
"""Confidence of a child that came in as its parent did: only its size tells which of them the filter has seen."""


def cut_off(tables: Events, f: Facts, known: Legs, end: int | None = None) -> Legs:
    """Match what came in by a filter's way to mails of the same message-id and sender that wait for their hand-over.

    ``end`` is when the log ends, as :attr:`logscan.correlate.known.Known.end`.
    """
    none = np.empty(0, np.int64)
    empty = Legs.of(none, none, "filter", "inferred", 1, -1)
    way = _ways(tables, f)
    back = _known_ways(tables, f, way, known)
    way_open = back.copy()
    way_open[known.child] = False
    f.links.waits.append((np.flatnonzero(way_open), BACK // SECOND))
    if end == NEVER:
        return empty
    parents, room, since = _unanswered(tables, f, end)
    if not len(parents) or not back.any():
        return empty
    free = np.ones(f.lives.size, np.bool_)
    free[known.child] = False
    absent = pc.index(f.ids, "").as_py()
    children = np.flatnonzero(free & back & (f.child_id >= 0) & (f.child_id != absent) & (f.writer >= 0))
    whole = combine(
        np.r_[f.lives.host[parents], f.lives.host[children]],
        np.r_[f.parent_id[parents], f.child_id[children]],
        np.r_[f.writer[parents], f.writer[children]],
    )
    mine, theirs = whole[: len(parents)], whole[len(parents) :]
    some = np.isin(mine, theirs)
    parents, room, since, mine = parents[some], room[some], since[some], mine[some]
    if not len(parents):
        return empty
    # One place for each recipient that no line tells of.
    place = np.repeat(np.arange(len(parents)), np.minimum(room, max(1, BUDGET // len(parents))))
    until = np.full(len(place), int(f.opened[children].max()))

    def fits(left: Ints, right: Ints) -> Bools:
        parent, child = parents[place[left]], children[right]
        ok: Bools = (parent != child) & (f.opened[parent] <= f.opened[child])
        # A program that hands in the same mail twice uses that way too; filters add headers.
        seen = (f.size[child] > f.size[parent]) & (f.size[parent] >= 0)
        ok &= (way[parent] != way[child]) | seen
        return ok

    def rank() -> tuple[Ints, Ints]:
        names = f.lives.by_name()
        return names[parents[place]], names[children]

    left, right, _ = match((mine[place], theirs), (since[place], until), f.opened[children], fits, None, rank)
    parent, child = parents[place[left]], children[right]
    keep = _one_each(f, parent, child)
    parent, child = parent[keep], child[keep]
    sure = np.where(way[parent] == way[child], SAME_WAY, 1)
    return Legs.of(parent, child, "filter", "inferred", sure, -1)


def _ways(tables: Events, f: Facts) -> Ints:
    """Return, per entry, a code of how it came in: host, program, service and client's address; -1 unknown."""
    return np.append(combine(*(tables.coded("clients", name).codes for name in WAY)), -1)[f.client_row]


def _known_ways(tables: Events, f: Facts, way: Ints, known: Legs) -> Bools:
    """Return, per entry, whether it came in by a way that filters hand mail back by."""
    some = np.flatnonzero(way >= 0)
    codes, place = ranked(way[some])
    # Any row of each way.
    row = np.full(len(codes), -1, np.int64)
    row[place] = f.client_row[some]
    columns = [tables.coded("clients", name) for name in WAY]
    names = [pc.fill_null(take(each.words, each.codes[row]), "").to_pylist() for each in columns]
    told = dict(zip(codes.tolist(), zip(*names, strict=True), strict=True))
    back = way[known.child[(known.kind == KINDS.index("filter")) & (known.confidence > 0)]]
    fixed = f.learning.fact("ways", lambda: [told[code] for code in np.unique(back[back >= 0]).tolist()])
    known_ones = np.asarray([told[code] in fixed for code in codes.tolist()], np.bool_)
    out = np.zeros(len(way), np.bool_)
    out[some] = known_ones[place]
    return out


def _unanswered(tables: Events, f: Facts, end: int | None) -> tuple[Ints, Ints, Ints]:
    """Return entries still in the queue and taken up lately, how many recipients no line tells of, and when that was."""
    row = f.lives.last_row("queued")
    times = np.append(tables["queued"].column("time").to_numpy(), 0)
    nrcpt = tables.ints("queued", "nrcpt")
    end = int(f.lives.last.max(initial=0)) if end is None else end
    waits = (row >= 0) & (f.lives.last_row("removals") < 0) & (times[row] >= end - UNANSWERED * SECOND)
    known = np.flatnonzero(waits[f.row_entry] & (f.row_entry >= 0)) if f.lives.size else row
    unit = first_rows(combine(f.row_entry[known], f.recipient[known], f.asked[known]))
    told = np.bincount(f.row_entry[known][unit], minlength=f.lives.size)
    room = np.append(nrcpt, 0)[f.lives.first_row("queued")] - told
    found = np.flatnonzero(waits & (room > 0))
    return found, room[found].astype(np.int64), times[row[found]] // SECOND


def _one_each(f: Facts, parent: Ints, child: Ints) -> Bools:
    """Return which pairs stay: one child for each recipient, and none for whom the parent has a line."""
    if not len(parent):
        return np.zeros(0, np.bool_)
    first = np.full(f.lives.size, -1, np.int64)
    rows = np.flatnonzero(f.row_entry >= 0)[::-1]
    first[f.row_entry[rows]] = rows
    whom = np.append(f.asked, -1)[first[child]]
    told = np.flatnonzero(np.isin(f.row_entry, parent))
    both = combine(np.r_[parent, f.row_entry[told]], np.r_[whom, f.recipient[told]])
    mine = both[: len(parent)]
    order = np.lexsort((f.lives.by_name()[child], f.opened[child], mine))
    keep = np.zeros(len(parent), np.bool_)
    keep[order] = np.r_[True, np.diff(mine[order]) != 0]
    return (keep & ~np.isin(mine, both[len(parent) :])) | (whom < 0)
