"""Delays from end to end: from a mail's arrival at this server to each final delivery, and where the time went.

A life's own ``delay=`` begins when that life was opened. What lies before it is known from its hand-overs: each tells, by
``delay=`` and ``delays=``, when it began and ended, to fractions of a second; the child was opened in between. Stamps, in
whole seconds or late, only say where in between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from logscan.correlate.codes import Bools, Floats, Ints, last_index
from logscan.correlate.entries import SECOND, plain_float
from logscan.correlate.facts import Facts
from logscan.correlate.links import KINDS, Legs, summed

PARTS = ("before_queue", "in_filter", "waiting", "connecting", "sending")
"""Where the time went, in the order a mail goes through it."""


@dataclass
class Delays:
    """Per delivery row: ``arrived`` (UTC ns of its mail), seconds in all and by part (NaN where not known)."""

    arrived: Ints
    total: Floats
    parts: dict[str, Floats]


def delays(tables: dict[str, pa.Table], f: Facts, legs: Legs, root: Ints, outer: Ints, opened: Bools) -> Delays:
    """Follow each delivery's mail back to its arrival.

    ``outer`` is, per entry, the row in ``clients`` of the session before a before-queue filter, or -1; ``opened`` whether
    the log has the line that opened it.
    """
    told = plain_float(tables["deliveries"].column("delay"))
    size = f.lives.size
    arrival = _arrivals(tables, f, told, opened)
    steps, back = _steps(f, legs, told, arrival)
    before = np.flatnonzero(outer >= 0)
    ahead = arrival[before] - tables["clients"].column("time").to_numpy()[outer[before]]
    steps["in_filter"][before] += np.maximum(ahead, 0) / SECOND
    steps["total"][before] += np.maximum(ahead, 0) / SECOND
    arrival[before] -= np.maximum(ahead, 0)
    parent = np.arange(size)
    follows = legs.kind != KINDS.index("bounce")
    parent[legs.child[follows]] = legs.parent[follows]
    whole = {name: np.append(summed(parent, values), np.nan) for name, values in steps.items()}
    entry = f.row_entry
    late = (tables["deliveries"].column("time").to_numpy() - np.append(arrival, 0)[entry]) / SECOND
    own = np.where(np.isnan(told), np.maximum(late, 0), told)
    a, b, c, d = f.stages
    first = _first_tries(f)
    by_filter = np.append(back, False)[entry]
    parts = {
        "before_queue": whole["before_queue"][entry] + np.where(by_filter, a * 0, first),
        "in_filter": whole["in_filter"][entry] + np.where(by_filter, first, a * 0),
        "waiting": whole["waiting"][entry] + b + (a - first),
        "connecting": whole["connecting"][entry] + c,
        "sending": whole["sending"][entry] + d,
    }
    arrived = np.where(entry >= 0, np.append(arrival, 0)[np.append(root, -1)[entry]], -1)
    return Delays(arrived, whole["total"][entry] + own, parts)


def _first_tries(f: Facts) -> Floats:
    """Return, per delivery row, the seconds before the queue: those of the first attempt in that life.

    Postfix counts until the mail was last taken into the active queue: of a later attempt that is mostly waiting.
    """
    told = f.stages[0]
    least = np.full(f.lives.size + 1, np.inf)
    rows = np.flatnonzero(~np.isnan(told) & (f.row_entry >= 0))
    np.minimum.at(least, f.row_entry[rows], told[rows])
    found = np.where(f.row_entry >= 0, least[f.row_entry], told)
    out: Floats = np.where(np.isnan(told), np.nan, found)
    return out


def _arrivals(tables: dict[str, pa.Table], f: Facts, told: Floats, opened: Bools) -> Ints:
    """Return when each life began, UTC ns: its first line, or what its deliveries say where the log lacks that."""
    arrival = f.lives.first.copy()
    rows = np.flatnonzero((f.row_entry >= 0) & ~np.isnan(told))
    rows = rows[~opened[f.row_entry[rows]]]
    ago = np.maximum(told[rows], 0)
    began = tables["deliveries"].column("time").to_numpy()[rows] - (ago * SECOND).astype(np.int64)
    np.minimum.at(arrival, f.row_entry[rows], began)
    return arrival


def _steps(f: Facts, legs: Legs, told: Floats, arrival: Ints) -> tuple[dict[str, Floats], Bools]:
    """Return, per entry, the seconds between its parent's arrival and its own, by part, and what filters handed back."""
    size = f.lives.size
    steps = {name: np.zeros(size) for name in ("total", *PARTS)}
    back = np.zeros(size, np.bool_)
    some = np.flatnonzero(legs.kind != KINDS.index("bounce"))
    if not len(some):
        return steps, back
    child, parent, kind = legs.child[some], legs.parent[some], legs.kind[some]
    back[child[kind == KINDS.index("filter")]] = True
    sent = np.flatnonzero(f.sent & (f.row_entry >= 0))
    last_sent = last_index(f.row_entry[sent], size)
    row = np.where(legs.row[some] >= 0, legs.row[some], np.append(sent, -1)[last_sent[parent]])
    requeued = kind == KINDS.index("requeue")
    row = np.where(requeued, -1, row)
    gap = np.maximum((arrival[child] - arrival[parent]) / SECOND, 0)
    end = np.append(told, np.nan)[row]
    begin = np.maximum(end - np.append(f.transmit, np.nan)[row], 0)
    step = np.where(np.isnan(end), gap, np.clip(gap, begin, end))
    a, b, c, _ = (np.append(stage, np.nan)[row] for stage in f.stages)
    first = np.append(_first_tries(f), np.nan)[row]
    c = np.where(kind == KINDS.index("relay"), c, c * 0)
    rest = np.maximum(step - a - b - c, 0)
    in_filter = kind == KINDS.index("filter")
    steps["total"][child] = step
    steps["before_queue"][child] = np.where(requeued, 0, first)
    steps["waiting"][child] = np.where(requeued, step, b + (a - first))
    steps["connecting"][child] = np.where(requeued, 0, c)
    steps["in_filter"][child] = np.where(requeued, 0, np.where(in_filter, rest, rest * 0))
    steps["sending"][child] = np.where(requeued, 0, np.where(in_filter, rest * 0, rest))
    return steps, back
