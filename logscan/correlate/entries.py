"""Lives of a queue ID: short IDs are reused, in real logs a minute apart; a life is what `client=` opens and `removed` ends.

The key is (host, instance, queue ID). Events are ordered by second and, within it, by their place in a mail's way: the
order of lines within one second says nothing, since several processes write them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from logscan.correlate.codes import Bools, Floats, Ints, combine, factorise, first_index, last_index, plain

SECOND = 10**9

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
"""Under load pickup's or smtpd's line comes after cleanup's by up to this (seen by the authors of PLP)."""

LATE = 2 * SECOND
"""A delivery that began this long after `removed`, by its own delay, belongs to the next life."""


@dataclass
class Lives:
    """The entries' keys and the way from each event row to its entry.

    ``entry[table]`` (int64) is the entry of each row, -1 for rows without a queue ID. ``host``, ``instance``,
    ``queue_id`` are codes by entry; ``life`` counts from 0; ``first`` and ``last`` are UTC ns.
    """

    entry: dict[str, Ints]
    host: Ints
    instance: Ints
    queue_id: Ints
    life: Ints
    first: Ints
    last: Ints
    hosts: pa.Array
    instances: pa.Array
    queue_ids: pa.Array

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self.host)

    def first_row(self, table: str) -> Ints:
        """Return each entry's first row in ``table``, or -1."""
        return self._row(table, first_index)

    def last_row(self, table: str) -> Ints:
        """Return each entry's last row in ``table``, or -1."""
        return self._row(table, last_index)

    def _row(self, table: str, pick: object) -> Ints:
        entry = self.entry.get(table)
        if entry is None:
            return np.full(self.size, -1, np.int64)
        rows = np.flatnonzero(entry >= 0)
        found = (first_index if pick is first_index else last_index)(entry[rows], self.size)
        return np.where(found >= 0, rows[found] if len(rows) else -1, -1)


def _instances(tables: dict[str, pa.Table], names: list[str], host: Ints, codes: Ints, values: pa.Array) -> Ints:
    """Give a renamed service (`-o syslog_name=reinject`) the instance that its queue IDs belong to.

    cleanup and qmgr always carry the instance's name: an instance without them on this host isn't one.
    """
    programs = factorise([tables[name].column("program") for name in names])
    queue_programs = {i for i, value in enumerate(programs[1].to_pylist()) if value in ("qmgr", "cleanup", "nqmgr")}
    if not queue_programs:
        return codes
    is_queue = np.isin(np.concatenate(programs[0]), list(queue_programs))
    width = len(values) + 1
    real = np.unique(host[is_queue] * width + codes[is_queue])
    known = np.isin(host * width + codes, real)
    if known.all():
        return codes
    out = codes.copy()
    for one in np.unique(host[~known]):
        here = real[real // width == one] % width
        if len(here):
            texts = values.to_pylist()
            default = [code for code in here.tolist() if texts[code] == "postfix"] or here.tolist()
            out[(host == one) & ~known] = default[0]
    return out


def find_lives(tables: dict[str, pa.Table]) -> Lives:
    """Split the events of each (host, instance, queue ID) into lives."""
    names = [name for name in RANKS if name in tables and len(tables[name])]
    sizes = [len(tables[name]) for name in names]
    if not names:
        empty = np.empty(0, np.int64)
        none = pa.array([], pa.string())
        return Lives({}, empty, empty, empty, empty, empty, empty, none, none, none)
    queue_codes, queue_ids = factorise([tables[name].column("queue_id") for name in names])
    host_codes, hosts = factorise([tables[name].column("host") for name in names])
    instance_codes, instances = factorise([tables[name].column("instance") for name in names])
    queue_id = np.concatenate(queue_codes)
    host = np.concatenate(host_codes)
    instance = _instances(tables, names, host, np.concatenate(instance_codes), instances)
    time = np.concatenate([tables[name].column("time").to_numpy() for name in names])
    rank = np.repeat([RANKS[name] for name in names], sizes)
    noqueue = [code for code, value in enumerate(queue_ids.to_pylist()) if value in ("NOQUEUE", "")]
    valid = queue_id >= 0
    if noqueue:
        valid &= ~np.isin(queue_id, noqueue)
    rows = np.flatnonzero(valid)
    key = np.unique(combine(host[rows], instance[rows], queue_id[rows]), return_inverse=True)[1].astype(np.int64)
    order = _order(key, time[rows] // SECOND, rank[rows])
    ordered = rows[order]
    boundary = _boundaries(tables, key[order], time[ordered], rank[ordered], ordered, names, sizes)
    number = np.cumsum(boundary) - 1
    starts = np.flatnonzero(boundary)
    entry_of = np.full(len(time), -1, np.int64)
    entry_of[ordered] = number
    first_rows = ordered[starts]
    group = key[order][starts]
    position = np.arange(len(group))
    head = np.r_[True, group[1:] != group[:-1]] if len(group) else np.empty(0, np.bool_)
    life = position - np.maximum.accumulate(np.where(head, position, 0)) if len(group) else position
    ends = np.cumsum([0, *sizes])
    times = time[ordered]
    return Lives(
        {name: entry_of[ends[i] : ends[i + 1]] for i, name in enumerate(names)},
        host[first_rows],
        instance[first_rows],
        queue_id[first_rows],
        life,
        np.minimum.reduceat(times, starts) if len(starts) else times,
        np.maximum.reduceat(times, starts) if len(starts) else times,
        hosts,
        instances,
        queue_ids,
    )


def _order(key: Ints, second: Ints, rank: Ints) -> Ints:
    """Return the stable order by key, second, rank: as one integer where it fits, for speed."""
    if not len(key):
        return np.empty(0, np.int64)
    second = second - second.min()
    bits = int(second.max()).bit_length() + 3
    if int(key.max()).bit_length() + bits < 63:
        return np.argsort((key << bits) | (second << 3) | rank, kind="stable")
    return np.lexsort((rank, second, key))


def _boundaries(
    tables: dict[str, pa.Table], key: Ints, time: Ints, rank: Ints, row: Ints, names: list[str], sizes: list[int]
) -> Bools:
    """Return which of the ordered events begin a life."""
    if not len(key):
        return np.empty(0, np.bool_)
    new_key = np.r_[True, key[1:] != key[:-1]]
    opens = rank == RANKS["clients"]
    starts = opens | (rank == RANKS["message_ids"]) | (rank == RANKS["queued"])
    removed = rank == RANKS["removals"]
    position = np.arange(len(key))
    group_start = np.maximum.accumulate(np.where(new_key, position, 0))
    # Removals before each event of its key: does one lie between this event and the last one that could begin a life?
    removals = np.cumsum(removed) - removed
    before = removals - removals[group_start]
    last_start = np.maximum.accumulate(np.where(starts | new_key, position, 0))
    earlier = np.r_[0, last_start[:-1]]
    earlier = np.maximum(earlier, group_start)
    after_removal = starts & ~new_key & (before > before[earlier])
    # `client=` begins a life, but for one that comes late to the cleanup line of its own mail.
    previous = np.r_[0, position[:-1]]
    late_open = (
        opens
        & ~new_key
        & (rank[previous] == RANKS["message_ids"])
        & (time - time[previous] <= EARLY)
        & ((previous == group_start) | removed[np.maximum(previous - 1, 0)])
    )
    boundary: Bools = new_key | after_removal | (opens & ~late_open)
    if late_open.any():
        boundary &= ~(late_open & ~new_key)
    boundary |= _late_deliveries(tables, time, rank, row, removed, before, group_start, names, sizes)
    return boundary


def _late_deliveries(
    tables: dict[str, pa.Table],
    time: Ints,
    rank: Ints,
    row: Ints,
    removed: Bools,
    before: Ints,
    group_start: Ints,
    names: list[str],
    sizes: list[int],
) -> Bools:
    """Return deliveries that follow a removal and, by ``arrival = time - delay``, arrived after it: a life unopened here."""
    out = np.zeros(len(time), np.bool_)
    if "deliveries" not in names:
        return out
    position = np.arange(len(time))
    last_removed = np.maximum.accumulate(np.where(removed, position, -1))
    late = (rank == RANKS["deliveries"]) & (before > 0) & (last_removed >= group_start)
    late &= np.r_[False, removed[:-1]]
    where = np.flatnonzero(late)
    if not len(where):
        return out
    offset = int(sum(sizes[: names.index("deliveries")]))
    delay = plain_float(tables["deliveries"].column("delay"))[row[where] - offset]
    arrival = time[where] - (np.nan_to_num(delay) * SECOND).astype(np.int64)
    out[where] = arrival > time[last_removed[where]] + LATE
    return out


def plain_float(column: pa.ChunkedArray) -> Floats:
    """Return a float64 array, NaN for null."""
    values: Floats = column.combine_chunks().to_numpy(zero_copy_only=False).astype(np.float64)
    return values


__all__ = ["EARLY", "RANKS", "SECOND", "Lives", "find_lives", "plain", "plain_float"]
