"""Delays from end to end: from a mail's arrival at this server to each final delivery, and where the time went.

With stamps finer than a second a delay is what lies between the lines: the root's opening, each re-injection's, the final
status line. Stamps in whole seconds leave a second open each way; within it, what ``delay=`` and ``delays=`` tell decides.
Either way these bound the stamps, which may be late or step with a clock: a child was opened while its hand-over went on.

``delay=`` begins when the mail was announced (MAIL FROM), the line that opens a life follows with its first recipient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from logscan.correlate.codes import Bools, Floats, Ints, last_index, numbered, pairs
from logscan.correlate.events import Events
from logscan.correlate.facts import Facts
from logscan.correlate.links import KINDS, Legs, parents, summed
from logscan.correlate.lives import SECOND, plain_float
from logscan.tables.grouping import combine

PARTS = ("before_queue", "in_filter", "waiting", "connecting", "sending")
"""Where the time went, in the order a mail goes through it."""

STEPS = ("total", "low", "high", *PARTS)
"""What is told of the way from an entry's parent to it: seconds in all, their bounds, and by part."""


@dataclass
class Delays:
    """Of some delivery rows: seconds in all and by part (NaN where not known)."""

    rows: Ints
    total: Floats
    parts: dict[str, Floats]

    def columns(self, size: int) -> dict[str, Floats]:
        """Return these as columns of all ``size`` rows, in thousandths; NaN elsewhere."""
        out = {}
        for name, values in {"total_delay": self.total, **self.parts}.items():
            out[name] = np.full(size, np.nan)
            out[name][self.rows] = values.round(3)
        return out


@dataclass
class _Clock:
    """What stamps and Postfix's own accounts say of lives and rows."""

    told: Floats
    """Per row, ``delay=`` in seconds; NaN unknown."""
    first: Floats
    """Per entry and one more, seconds before the queue in its first attempt; NaN unknown."""
    start: Ints
    """Per entry, UTC ns at which it began."""
    fine: Bools
    """Per entry and one more: its opening line's stamp is finer than a second."""
    fine_row: Bools
    """The same per delivery row."""
    time: Ints
    """Per row, UTC ns."""


def delays(
    tables: Events, f: Facts, legs: Legs, root: Ints, outer: Ints, opened: Bools, final: Bools
) -> tuple[Ints, Delays]:
    """Follow each delivery's mail back to its arrival; return that (UTC ns by delivery row), and the final rows' delays.

    ``outer`` is, per entry, the row in ``clients`` of the session before a before-queue filter, or -1; ``opened`` whether
    the log has the line that opened it.
    """
    size = f.lives.size
    joins = legs.kind != KINDS.index("bounce")
    is_child = np.zeros(size + 1, np.bool_)
    is_child[legs.child[joins]] = True
    clock = _clock(tables, f, opened, is_child)
    steps = _steps(f, legs, clock)
    before = np.flatnonzero(outer >= 0)
    ahead = np.maximum(clock.start[before] - tables.time("clients")[outer[before]], 0)
    for name in ("total", "low", "high", "in_filter"):
        steps[name][before] += ahead / SECOND
    clock.start[before] -= ahead
    top = np.append(root, -1)
    arrived = np.where(f.row_entry >= 0, np.append(clock.start, 0)[top[f.row_entry]], -1)
    rows = np.flatnonzero(final)
    return arrived, _of_rows(f, clock, is_child, summed(parents(size, legs), np.stack(list(steps.values()))), top, rows)


def _of_rows(f: Facts, clock: _Clock, is_child: Bools, sums: Floats, top: Ints, rows: Ints) -> Delays:
    """Return the delays of these rows; ``sums`` are, by :data:`STEPS` and entry, the seconds before it began."""
    entry, told, time = f.row_entry[rows], clock.told[rows], clock.time[rows]
    before = dict(zip(STEPS, np.pad(sums, ((0, 0), (0, 1)), constant_values=np.nan)[:, entry], strict=True))
    own, low, high = _own(clock, rows, entry, is_child)
    total = before["total"] + own
    fine = clock.fine_row[rows] & clock.fine[top[entry]]
    since = (time - np.append(clock.start, 0)[top[entry]]) / SECOND
    near = _within(total, before["low"] + low, before["high"] + high, since)
    total = np.where(fine | (entry < 0) | np.isnan(told), total, near)
    return Delays(rows, total, _parts(f, clock, rows, before, own, total))


def _parts(
    f: Facts, clock: _Clock, rows: Ints, whole: dict[str, Floats], own: Floats, total: Floats
) -> dict[str, Floats]:
    """Return the parts of each row's delay: its life's own behind those of its hand-overs, as many seconds as the total."""
    a, b, c, d = (stage[rows] for stage in f.stages)
    told = clock.first[f.row_entry[rows]]
    # Announced, but not opened yet: that went to whoever handed it in.
    first = np.minimum(a, np.maximum(told - np.maximum(clock.told[rows] - own, 0), 0))
    parts = {
        "before_queue": whole["before_queue"] + first,
        "in_filter": whole["in_filter"] + a * 0,
        "waiting": whole["waiting"] + b + np.maximum(a - told, 0),
        "connecting": whole["connecting"] + c,
        "sending": whole["sending"] + d,
    }
    table = np.stack(list(parts.values()))
    rest = total - table.sum(axis=0)
    # What rounding hides belongs to the longest part; what no line accounts for was spent here, waiting.
    known = np.flatnonzero(~np.isnan(rest))
    longest = table[:, known].argmax(axis=0) if len(known) else known
    longest = np.where(rest[known] > 0.2 + 0.06 * total[known], PARTS.index("waiting"), longest)
    table[longest, known] += rest[known]
    short = np.flatnonzero((table < 0).any(axis=0))
    table[:, short] = np.maximum(table[:, short], 0)
    spare = table[:, short].sum(axis=0)
    table[:, short] *= np.where(spare > 0, total[short] / np.where(spare > 0, spare, 1), 0)
    return dict(zip(parts, table, strict=True))


def _clock(tables: Events, f: Facts, opened: Bools, is_child: Bools) -> _Clock:
    """Gather what stamps and accounts say; lives that nothing opened in the log began when their deliveries say."""
    told = plain_float(tables["deliveries"].column("delay"))
    time = tables.time("deliveries")
    size = f.lives.size
    least = np.full(size + 1, np.inf)
    rows = np.flatnonzero(~np.isnan(f.stages[0]) & (f.row_entry >= 0))
    np.minimum.at(least, f.row_entry[rows], f.stages[0][rows])
    first = np.where(np.isinf(least), np.nan, least)
    fine, fine_row = _fine(tables, f)
    start = f.lives.first.copy()
    rows = np.flatnonzero((f.row_entry >= 0) & ~np.isnan(told))
    unseen = rows[~opened[f.row_entry[rows]]]
    began = time[unseen] - (np.maximum(told[unseen], 0) * SECOND).astype(np.int64)
    np.minimum.at(start, f.row_entry[unseen], began)
    # The shortest attempt of a root tells most exactly when its mail was announced, which its opening line may be behind.
    rows = rows[~is_child[f.row_entry[rows]] & opened[f.row_entry[rows]]]
    shortest = np.full(size, np.inf)
    np.minimum.at(shortest, f.row_entry[rows], told[rows])
    rows = rows[told[rows] == shortest[f.row_entry[rows]]]
    ended = np.full(size, np.iinfo(np.int64).max)
    np.minimum.at(ended, f.row_entry[rows], time[rows])
    whole = np.zeros(size, np.bool_)
    whole[f.row_entry[rows[~fine_row[rows]]]] = True
    some = np.flatnonzero(np.isfinite(shortest))
    off = hidden(shortest[some])
    behind = (start[some] - ended[some]) / SECOND + shortest[some]
    behind = np.minimum(behind, np.nan_to_num(first[some]) + off)
    behind = np.where(behind > off + np.where(fine[some] & ~whole[some], 0, 1), behind, 0)
    start[some] -= (behind * SECOND).astype(np.int64)
    return _Clock(told, first, start, fine, fine_row, time)


def _fine(tables: Events, f: Facts) -> tuple[Bools, Bools]:
    """Return whether stamps are finer than a second, by entry (and one more, False) and by delivery row.

    That is a matter of the file: one stamp in a million falls on a whole second by chance.
    """
    names = ("clients", "message_ids", "queued", "deliveries")
    source = {name: tables[name].column("source").to_numpy() for name in names}
    some = int(max((int(codes.max(initial=-1)) for codes in source.values()), default=-1)) + 2

    def told() -> list[int]:
        finer = [source[name][tables.time(name) % SECOND != 0] for name in names]
        found: list[int] = np.unique(np.concatenate(finer)).tolist()
        return found

    fixed = f.learning.fact("fine", told)
    fine = np.isin(np.arange(some), list(fixed))
    of_entry = np.zeros(f.lives.size + 1, np.bool_)
    for name in reversed(names[:3]):
        row = f.lives.first_row(name)
        seen = np.flatnonzero(row >= 0)
        of_entry[seen] = fine[source[name][row[seen]]]
    return of_entry, fine[source["deliveries"]]


def hidden(seconds: Floats) -> Floats:
    """Return what the rounding of ``delay=`` hides: Postfix prints two digits, and hundredths at most."""
    return np.select([seconds < 1, seconds < 10], [0.01, 0.06], 0.51)


def _own(clock: _Clock, rows: Ints, entry: Ints, is_child: Bools) -> tuple[Floats, Floats, Floats]:
    """Return, of these delivery rows, the seconds since its own life began, and what bounds them."""
    told, late = clock.told[rows], (clock.time[rows] - np.append(clock.start, 0)[entry]) / SECOND
    off = hidden(told)
    # A child's opening line is behind its announcement, yet before the queue manager had it.
    low = np.maximum(told - np.where(is_child[entry], np.nan_to_num(clock.first[entry]), 0) - off, 0)
    own = np.where(clock.fine_row[rows] & clock.fine[entry], np.clip(late, low, told + off), told)
    return np.where(np.isnan(told), np.maximum(late, 0), own), low, told + off


def _within(value: Floats, low: Floats, high: Floats, stamps: Floats) -> Floats:
    """Return the value within its bounds; where stamps in whole seconds agree with these, less than a second from the truth.

    The truth lies within a second of the stamps' difference and within the bounds: no end of that may be further off.
    """
    tight_low, tight_high = np.maximum(low, stamps - 1), np.minimum(high, stamps + 1)
    agree = tight_low <= tight_high
    low, high = np.where(agree, tight_low, low), np.where(agree, tight_high, high)
    near_low, near_high = np.maximum(low, high - 1), np.minimum(high, low + 1)
    found: Floats = np.clip(value, np.where(agree, near_low, low), np.where(agree, near_high, high))
    return found


def _hand_over(f: Facts, legs: Legs, start: Ints) -> Ints:
    """Return each leg's row of deliveries: the one it was found by, else the first that ended after its child's opening."""
    row = legs.row.copy()
    sent = np.flatnonzero(f.sent & (f.row_entry >= 0))
    loose = np.flatnonzero(row < 0)
    if len(loose):
        tried = np.flatnonzero(f.tried & (f.row_entry >= 0))
        left, right = pairs(legs.parent[loose], f.row_entry[tried])
        at = f.second[tried[right]]
        good = at + 1 >= start[legs.child[loose[left]]] // SECOND
        left, right = left[good], right[good]
        order = np.lexsort((at[good], left))[::-1]
        row[loose[left[order]]] = tried[right[order]]
    found: Ints = np.where(row >= 0, row, np.append(sent, -1)[last_index(f.row_entry[sent], f.lives.size)[legs.parent]])
    return found


def _steps(f: Facts, legs: Legs, clock: _Clock) -> dict[str, Floats]:
    """Return, per entry, the seconds between its parent's beginning and its own: in all, their bounds, and by part."""
    size = f.lives.size
    steps = {name: np.zeros(size) for name in STEPS}
    joins = legs.kind != KINDS.index("bounce")
    if not joins.any():
        return steps
    legs = Legs(*(getattr(legs, name)[joins] for name in ("parent", "child", "kind", "known_by", "confidence", "row")))
    child, parent, kind = legs.child, legs.parent, legs.kind
    requeued = kind == KINDS.index("requeue")
    row = np.where(requeued, -1, _hand_over(f, legs, clock.start))
    gap = np.maximum((clock.start[child] - clock.start[parent]) / SECOND, 0)
    end = np.append(clock.told, np.nan)[row]
    begin = np.maximum(end - np.append(f.transmit, np.nan)[row], 0)
    off = hidden(end)
    low, high = np.maximum(begin - off, 0), end + off
    fine = clock.fine[child] & clock.fine[parent]
    likely = _in_turn(f, parent, child, clock, (begin, end))
    step = np.where(fine, np.clip(gap, low, high), _within(likely, low, high, gap))
    unknown = np.isnan(end)
    step = np.where(unknown, gap, step)
    steps["total"][child] = step
    steps["low"][child] = np.where(unknown, np.where(fine, gap, np.maximum(gap - 1, 0)), low)
    steps["high"][child] = np.where(unknown, np.where(fine, gap, gap + 1), high)
    a, b, c, _ = (np.append(stage, np.nan)[row] for stage in f.stages)
    first = np.minimum(a, clock.first[parent])
    c = np.where(kind == KINDS.index("relay"), c, c * 0)
    rest = np.maximum(step - a - b - c, 0)
    in_filter = kind == KINDS.index("filter")
    steps["before_queue"][child] = np.where(requeued, 0, first)
    steps["waiting"][child] = np.where(requeued, step, b + (a - first))
    steps["connecting"][child] = np.where(requeued, 0, c)
    steps["in_filter"][child] = np.where(requeued, 0, np.where(in_filter, rest, rest * 0))
    steps["sending"][child] = np.where(requeued, 0, np.where(in_filter, rest * 0, rest))
    return steps


def _in_turn(f: Facts, parent: Ints, child: Ints, clock: _Clock, span: tuple[Floats, Floats]) -> Floats:
    """Return when each child was likely opened, in seconds of its hand-over: one after the other, evenly.

    The last of them was in the queue when the filter answered; what has recipients of its own is handed back one by one.
    """
    begin, end = span
    # Recipients of one transaction have a line each, with equal delays.
    both = [np.nan_to_num(seconds * 100, nan=-1, posinf=-1).astype(np.int64) for seconds in span]
    unit = combine(parent, *both)
    end = np.maximum(end - np.nan_to_num(clock.first[child]), begin)
    share = np.ones(len(unit))
    _, code = numbered(unit)
    count = np.bincount(code)
    some = np.flatnonzero(count[code] > 1)
    if not len(some):
        return end
    order = np.lexsort((f.lives.by_name()[child[some]], clock.start[child[some]], code[some]))
    group = code[some[order]]
    first = np.r_[True, group[1:] != group[:-1]]
    turn = np.arange(len(group)) - np.maximum.accumulate(np.where(first, np.arange(len(group)), 0)) + 1
    share[some[order]] = turn / count[group]
    likely: Floats = begin + (end - begin) * share
    return likely
