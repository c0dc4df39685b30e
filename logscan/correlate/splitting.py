"""Where one life of a queue ID ends and the next begins: by what opens one, by what ends it, and by how long it was silent."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Floats, Ints, factorise, plain
from logscan.correlate.horizons import QUIET, SECOND, SETTLE, UNQUEUED

RANKS = {
    "clients": 0,
    "message_ids": 1,
    "rejects": 2,
    "queued": 3,
    "deliveries": 4,
    "expirations": 5,
    "notifications": 6,
    "requeues": 6,
    "removals": 7,
}
"""A line's place in the way of a mail; orders lines of one second."""

EARLY = 5 * SECOND
"""Lines of one mail change places by up to this: under load pickup's or smtpd's line comes after cleanup's (seen by the
authors of PLP), and stamps of two processes differ when the clock is set meanwhile. No ID is used again so soon."""

AT_THE_END = r"^(?:DATA|END-OF-MESSAGE|BDAT|header|body|mime header|nested header|content|milter.*)$"
"""Stages at which a refusal is the whole mail's, not one recipient's."""

LATE = 5 * SECOND
"""A delivery that began this long after all lines before it, by its own delay, belongs to the next life."""

LOADED = 60 * SECOND
"""Where nothing else hints at a next life: a logger that can't keep up stamps lines seconds after their `delay=` was taken."""


def boundaries(
    tables: dict[str, pa.Table], key: Ints, time: Ints, rank: Ints, row: Ints, names: list[str], sizes: list[int]
) -> Bools:
    """Return which of the ordered events begin a life."""
    if not len(key):
        return np.empty(0, np.bool_)
    boundary: Bools = np.r_[True, key[1:] != key[:-1]]
    arrival = _arrivals(tables, time, rank, row, names, sizes)
    some = _unlike_one_life(boundary, time, rank, arrival)
    if not len(some):
        return boundary
    several = _several_lives(boundary[some], time[some], rank[some], arrival[some])
    if not several.any():
        return boundary
    where = some[several[np.cumsum(boundary[some]) - 1]]
    ids = _message_id_codes(tables, rank[where], row[where], names, sizes)
    marks = _marks(tables, rank[where], row[where], names, sizes)
    starts = np.flatnonzero(boundary[where])
    ends = np.r_[starts[1:], len(where)]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        some = where[start:end]
        columns = (time[some], rank[some], arrival[some], ids[start:end], marks[start:end])
        begins = _split(*(column.tolist() for column in columns))
        boundary[some[begins]] = True
    return boundary


def _arrivals(
    tables: dict[str, pa.Table], time: Ints, rank: Ints, row: Ints, names: list[str], sizes: list[int]
) -> Ints:
    """Return when each delivery's mail arrived by its own account (time - delay); elsewhere the event's time."""
    if "deliveries" not in names:
        return time
    arrival = time.copy()
    where = np.flatnonzero(rank == RANKS["deliveries"])
    offset = int(sum(sizes[: names.index("deliveries")]))
    delay = plain_float(tables["deliveries"].column("delay"))[row[where] - offset]
    arrival[where] -= (np.nan_to_num(delay, nan=1e9) * SECOND).astype(np.int64)
    return arrival


def _message_id_codes(tables: dict[str, pa.Table], rank: Ints, row: Ints, names: list[str], sizes: list[int]) -> Ints:
    """Return a code of the Message-ID of these events, -1 for all but cleanup's."""
    out = np.full(len(rank), -1, np.int64)
    where = np.flatnonzero(rank == RANKS["message_ids"])
    if len(where):
        offset = int(sum(sizes[: names.index("message_ids")]))
        values = plain(tables["message_ids"].column("message_id")).take(pa.array(row[where] - offset))
        out[where] = factorise([values])[0][0]
    return out


WAITS = (UNQUEUED, QUIET, SETTLE)
"""How long a life may be silent, by the highest of its marks."""


def _marks(tables: dict[str, pa.Table], rank: Ints, row: Ints, names: list[str], sizes: list[int]) -> Ints:
    """Return of each event what it makes of its life: 2 ends it, 1 it is in the queue, 0 neither; see :data:`WAITS`."""
    out = np.select([rank == RANKS["removals"], rank > RANKS["rejects"]], [2, 1], 0)
    where = np.flatnonzero(rank == RANKS["rejects"])
    if len(where):
        offset = int(sum(sizes[: names.index("rejects")]))
        out[where] = marks_of_rejects(tables["rejects"].take(pa.array(row[where] - offset)))
    return out.astype(np.int64)


def marks_of_rejects(rejects: pa.Table) -> Ints:
    """Return 2 of lines that refuse or throw away a whole mail, 1 of those that put it on hold, else 0."""
    (action,), actions = factorise([rejects.column("action")])
    (stage,), stages = factorise([rejects.column("stage")])
    denies = pc.and_(
        pc.match_substring_regex(actions, "reject|discard"), pc.invert(pc.match_substring(actions, "warning"))
    )
    holds = pc.match_substring(actions, "hold")
    at_end = pc.match_substring_regex(stages, AT_THE_END)
    codes = ((denies, action), (at_end, stage), (holds, action))
    denied, last, held = (
        np.append(by.to_numpy(zero_copy_only=False), False)[code].astype(np.bool_) for by, code in codes
    )
    return np.select([denied & last, held], [2, 1], 0).astype(np.int64)


def _unlike_one_life(new_key: Bools, time: Ints, rank: Ints, arrival: Ints) -> Ints:
    """Return the events of keys that aren't plainly one life: opened first and once, one message-id, removed at last.

    These must be all keys that :func:`_several_lives` may find a hint in: it is asked about no others.
    """
    starts = np.flatnonzero(new_key)
    sizes = np.diff(np.r_[starts, len(time)])
    lasts = starts + sizes - 1

    def times(table: str) -> Ints:
        counts = np.cumsum(rank == RANKS[table])[lasts]
        found: Ints = np.diff(counts, prepend=0)
        return found

    removals, opened = times("removals"), times("clients")
    plain_life = (removals <= 1) & (times("message_ids") <= 1)
    plain_life &= (opened == 0) | (opened == 1) & (rank[starts] == RANKS["clients"])
    plain_life &= (rank[lasts] == RANKS["removals"]) | (removals == 0)
    number = np.cumsum(new_key) - 1
    late = np.flatnonzero(rank == RANKS["deliveries"])
    plain_life[number[late[arrival[late] - time[starts[number[late]]] > LATE]]] = False
    apart = np.flatnonzero(time[1:] - time[:-1] > SETTLE) + 1
    plain_life[number[apart[~new_key[apart]]]] = False
    return np.flatnonzero(~plain_life[number])


def _several_lives(new_key: Bools, time: Ints, rank: Ints, arrival: Ints) -> Bools:
    """Return, per key, whether anything hints at more than one life: :func:`_split` looks at those only."""
    size = int(np.count_nonzero(new_key))
    number = np.cumsum(new_key) - 1
    position = np.arange(len(time))
    group_start = np.maximum.accumulate(np.where(new_key, position, 0))
    previous = np.maximum(position - 1, group_start)
    gap = time - time[previous]
    removed = rank == RANKS["removals"]
    removals = np.cumsum(removed) - removed
    after_removal = removals > removals[group_start]
    opens = rank == RANKS["clients"]
    last_opening = np.maximum.accumulate(np.where(opens | new_key, position, 0))
    before = np.maximum(np.r_[0, last_opening[:-1]], group_start)
    identified = rank == RANKS["message_ids"]
    hint = (rank <= RANKS["queued"]) & after_removal & (gap > EARLY)
    hint |= removed & after_removal & (gap > LATE)
    denied = rank == RANKS["rejects"]
    denials = np.cumsum(denied) - denied
    hint |= (after_removal | (denials > denials[group_start])) & (gap > SETTLE)
    hint |= (gap > UNQUEUED) & (rank[previous] <= RANKS["message_ids"]) | (gap > QUIET)
    hint |= (
        opens
        & (before < position)
        & ((time - time[group_start] > EARLY) | opens[before] & (time - time[before] >= SECOND))
    )
    hint |= (rank == RANKS["deliveries"]) & (arrival > time[group_start] + LATE)
    hint |= (
        identified & (np.bincount(number[identified], minlength=size)[number] > 1) & (time - time[group_start] > EARLY)
    )
    out = np.zeros(size, np.bool_)
    out[number[hint]] = True
    return out


def _split(time: list[int], rank: list[int], arrival: list[int], ids: list[int], marks: list[int]) -> list[int]:
    """Return the positions at which one key's ordered events begin another life; ``marks`` as from :func:`_marks`."""
    client, identified, removals = RANKS["clients"], RANKS["message_ids"], RANKS["removals"]
    begins: list[int] = []
    opened = code = -1
    opened_at = identified_at = 0
    first = last = time[0]
    over, mark = False, 0
    for i, (at, kind, arrived, ident) in enumerate(zip(time, rank, arrival, ids, strict=True)):
        apart = at - last > WAITS[mark]
        if apart:
            new = True
        elif kind == client:
            # Late to its own mail's other lines, or logged twice: no new life.
            new = at - first > EARLY if opened < 0 else at // SECOND != opened_at // SECOND
        elif kind == identified and code >= 0 and ident != code and at - identified_at > EARLY:
            new = True
        elif kind <= RANKS["queued"]:
            new = over and at - last > EARLY
        elif kind == removals:
            new = over and at - last > LATE
        else:
            late = arrived - first
            new = kind == RANKS["deliveries"] and late > LATE
            if new and late <= LOADED and not over:
                new = not _one_and_the_same(time, rank, begins[-1] if begins else 0, i, arrived)
        if new and i:
            start = i
            if apart:
                pass
            elif kind == RANKS["deliveries"]:
                # What came before its mail arrived belongs to another: an aborted transaction, a mail that ended unseen.
                window = range(begins[-1] if begins else 0, i + 1)
                # Without a stamp there is no arrival either: then it is the delivery itself.
                start = next((j for j in window if time[j] >= arrived - LATE), i)
            elif kind == client:
                # Lines of its own may be stamped before it: those behind a gap, within a few seconds.
                behind = [j for j in range(begins[-1] + 1 if begins else 1, i) if at - time[j] <= EARLY]
                start = next((j for j in behind if time[j] - time[j - 1] > EARLY), i)
            begins.append(start)
            opened = next((j for j in range(start, i) if rank[j] == client), -1)
            opened_at, first, last = time[max(opened, 0)], time[start], max(time[start : i + 1])
            over, mark = removals in rank[start:i], max(marks[start : i + 1])
            code, identified_at = max(ids[start : i + 1]), at
        if kind == client and opened < 0:
            opened, opened_at = i, at
        if kind == identified:
            code, identified_at = ident, at
        over, mark = over or kind == removals, max(mark, marks[i])
        last = max(last, at)
    return begins


def _one_and_the_same(time: list[int], rank: list[int], start: int, end: int, arrived: int) -> bool:
    """Return whether a life that began at ``start`` was taken, and none when the delivery at ``end`` says that it arrived."""
    taken = [time[j] for j in range(start, end) if rank[j] in (RANKS["message_ids"], RANKS["queued"])]
    return bool(taken) and all(abs(at - arrived) > EARLY or at - time[start] <= EARLY for at in taken)


def plain_float(column: pa.ChunkedArray) -> Floats:
    """Return a float64 array, NaN for null."""
    values: Floats = column.combine_chunks().to_numpy(zero_copy_only=False).astype(np.float64)
    return values
