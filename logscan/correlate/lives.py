"""Lives of a queue ID: short IDs are reused, in real logs a minute apart; a life is what `client=` opens and `removed` ends.

The key is (host, instance, queue ID). Events are ordered by second and, within it, by their place in a mail's way: the
order of lines within one second says nothing, since several processes write them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Ints, distinct, factorise, first_index, in_order, last_index, pairs, ranked
from logscan.correlate.events import Events
from logscan.correlate.horizons import QUIET, SECOND, SETTLE
from logscan.correlate.learnt import Learning
from logscan.correlate.splitting import RANKS, boundaries, plain_float
from logscan.tables.grouping import by_code, combine

NEVER = np.iinfo(np.int64).max


@dataclass
class Lives:
    """The entries' keys and the way from each event row to its entry.

    ``entry[table]`` (int64) is the entry of each row, -1 for rows without a queue ID. ``host``, ``instance``,
    ``queue_id`` are codes by entry; ``life`` counts from 0 those that follow each other within :data:`SETTLE`; ``first`` and
    ``last`` are UTC ns.
    """

    entry: dict[str, Ints]
    host: Ints
    instance: Ints
    queue_id: Ints
    life: Ints
    pause: Ints
    """UTC ns between the life of the same queue ID before this one, which stands before it, and this; :data:`NEVER` for none."""
    first: Ints
    last: Ints
    hosts: pa.Array
    instances: pa.Array
    queue_ids: pa.Array
    time: dict[str, Ints] = field(default_factory=dict)
    """UTC ns of each row, by table: files and programs come in any order."""
    _rows: dict[str, tuple[Ints, Ints]] = field(default_factory=dict)
    """Each entry's first and last row, by table."""

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self.host)

    def by_name(self) -> Ints:
        """Return each entry's place in the alphabet of queue IDs: an order that doesn't depend on the lines' order."""
        if "" not in self._rows:
            rank = np.empty(len(self.queue_ids), np.int64)
            rank[pc.array_sort_indices(self.queue_ids).to_numpy()] = np.arange(len(self.queue_ids))
            self._rows[""] = rank[self.queue_id], rank
        return self._rows[""][0]

    def codes_of(self, names: pa.Array) -> Ints:
        """Return the codes of queue IDs, -1 for those that no entry has."""
        out = np.full(len(names), -1, np.int64)
        told = np.flatnonzero(pc.is_valid(names).to_numpy(zero_copy_only=False))
        if len(told) and self.size:
            some = names.take(pa.array(told)).dictionary_encode()
            few = pc.fill_null(pc.index_in(self.queue_ids, value_set=some.dictionary), -1).to_numpy(
                zero_copy_only=False
            )
            code = np.full(len(some.dictionary) + 1, -1, np.int64)
            code[few] = np.arange(len(few))
            code[-1] = -1
            out[told] = code[some.indices.to_numpy(zero_copy_only=False)]
        return out

    def first_row(self, table: str) -> Ints:
        """Return each entry's first row in ``table``, or -1; nobody may change it."""
        return self._ends(table)[0]

    def last_row(self, table: str) -> Ints:
        """Return each entry's last row in ``table``, or -1; nobody may change it."""
        return self._ends(table)[1]

    def _ends(self, table: str) -> tuple[Ints, Ints]:
        if table not in self._rows:
            self._rows[table] = self._found(table)
        return self._rows[table]

    def _found(self, table: str) -> tuple[Ints, Ints]:
        entry = self.entry.get(table)
        if entry is None or not len(entry):
            none = np.full(self.size, -1, np.int64)
            return none, none
        rows = np.flatnonzero(entry >= 0)
        time = self.time[table][rows] if table in self.time else rows
        if len(time) and (time[1:] < time[:-1]).any():
            rows = rows[np.argsort(time, kind="stable")]
        of_rows, there = entry[rows], np.append(rows, -1)
        return there[first_index(of_rows, self.size)], there[last_index(of_rows, self.size)]


def _with(values: pa.Array, more: list[str]) -> pa.Array:
    """Return the values, and behind them those of ``more`` that aren't among them."""
    known = set(values.to_pylist())
    return pa.concat_arrays([values, pa.array([one for one in more if one not in known], pa.string())])


def _homes(
    tables: Events,
    names: list[str],
    place: Ints,
    hosts: list[str],
    instances: list[str],
    known: Collection[tuple[str, str]],
    learning: Learning,
) -> Ints:
    """Return, in order, the places (host's code times the number of instances, plus the instance's) with a queue of their own.

    cleanup and qmgr always carry the instance's name: an instance without them on this host isn't one.
    """
    width = len(instances)

    def writing() -> list[tuple[str, str]]:
        codes, values = tables.together(names, "program")
        queue = np.asarray([value in ("qmgr", "cleanup", "nqmgr") for value in values.to_pylist()] + [False])
        some = distinct(place[queue[np.concatenate(codes)]])
        return [(hosts[one // width], instances[one % width]) for one in some.tolist() if one >= 0]

    fixed = learning.fact("instances", writing) | frozenset(known)
    of_host = {name: code for code, name in enumerate(hosts)}
    of_instance = {name: code for code, name in enumerate(instances)}
    found = [of_host[host] * width + of_instance[one] for host, one in fixed if host in of_host and one in of_instance]
    return np.sort(np.asarray(found, np.int64))


def _instances(host: Ints, queue_id: Ints, codes: Ints, texts: list[str], time: Ints, real: Ints) -> Ints:
    """Give a renamed service (`-o syslog_name=reinject`) the instance that its queue IDs belong to.

    ``real`` are the places with a queue of their own (:func:`_homes`). Where a host has several, the one whose cleanup or
    qmgr goes on with the queue ID at that time.
    """
    if not len(real):
        return codes
    width = len(texts)
    place = host * width + codes
    known = real[np.minimum(np.searchsorted(real, place), len(real) - 1)] == place
    if known.all():
        return codes
    out = codes.copy()
    strangers, owners = by_code(host, ~known), by_code(host, known & (queue_id >= 0))
    homes = by_code(real // width, np.ones(len(real), np.bool_))
    for one, rows in strangers.items():
        if one not in homes:
            continue
        here = real[homes[one]] % width
        out[rows] = min(here.tolist(), key=lambda code: (texts[code] != "postfix", texts[code]))
        if len(here) > 1:
            others = owners.get(one, np.empty(0, np.int64))
            left, right = pairs(queue_id[rows], queue_id[others])
            away = np.abs(time[rows[left]] - time[others[right]])
            # Assigned in this order, the nearest in time is the last and stays.
            order = np.lexsort((away, left))[::-1]
            order = order[away[order] <= QUIET]
            out[rows[left[order]]] = codes[others[right[order]]]
    return out


def find_lives(
    tables: dict[str, pa.Table], known: Collection[tuple[str, str]] = (), learning: Learning | None = None
) -> Lives:
    """Split the events of each (host, instance, queue ID) into lives; ``known`` are (host, instance) seen elsewhere."""
    learning, tables = learning or Learning(), Events.of(tables)
    names = [name for name in RANKS if name in tables and len(tables[name])]
    sizes = [len(tables[name]) for name in names]
    if not names:
        empty = np.empty(0, np.int64)
        none = pa.array([], pa.string())
        return Lives({}, empty, empty, empty, empty, empty, empty, empty, none, none, none)
    queue_codes, queue_ids = factorise([tables[name].column("queue_id") for name in names])
    host_codes, hosts = in_order(*tables.together(names, "host"))
    told = sorted({one for _, one in (*known, *(learning.fixed.instances if learning.fixed else ()))})
    instance_codes, instances = tables.together(names, "instance")
    instance_codes, instances = in_order(instance_codes, _with(instances, told))
    queue_id = np.concatenate(queue_codes)
    host = np.concatenate(host_codes)
    time = np.concatenate([tables.time(name) for name in names])
    instance = np.concatenate(instance_codes)
    texts = instances.to_pylist()
    real = _homes(tables, names, host * len(texts) + instance, hosts.to_pylist(), texts, known, learning)
    instance = _instances(host, queue_id, instance, texts, time, real)
    rank = np.repeat([RANKS[name] for name in names], sizes)
    valid = queue_id >= 0
    for name in ("NOQUEUE", ""):
        code = pc.index(queue_ids, name).as_py()
        if code >= 0:
            valid &= queue_id != code
    rows = np.flatnonzero(valid)
    key = queue_id[rows]
    if len(hosts) > 1 or instance.min() != instance.max():
        key = ranked(combine(host[rows], instance[rows], key))[1]
    order = _order(key, time[rows] // SECOND, rank[rows])
    ordered = rows[order]
    boundary = boundaries(tables, key[order], time[ordered], rank[ordered], ordered, names, sizes)
    number = np.cumsum(boundary) - 1
    starts = np.flatnonzero(boundary)
    entry_of = np.full(len(time), -1, np.int64)
    entry_of[ordered] = number
    first_rows = ordered[starts]
    group = key[order][starts]
    position = np.arange(len(group))
    head = np.r_[True, group[1:] != group[:-1]] if len(group) else np.empty(0, np.bool_)
    ends = np.cumsum([0, *sizes])
    times = time[ordered]
    first = np.minimum.reduceat(times, starts) if len(starts) else times
    last = np.maximum.reduceat(times, starts) if len(starts) else times
    pause = np.full(len(group), NEVER, np.int64)
    pause[1:][~head[1:]] = (first[1:] - last[:-1])[~head[1:]]
    head = pause > SETTLE
    life = position - np.maximum.accumulate(np.where(head, position, 0)) if len(group) else position
    return Lives(
        {name: entry_of[ends[i] : ends[i + 1]] for i, name in enumerate(names)},
        host[first_rows],
        instance[first_rows],
        queue_id[first_rows],
        life,
        pause,
        first,
        last,
        hosts,
        instances,
        queue_ids,
        {name: time[ends[i] : ends[i + 1]] for i, name in enumerate(names)},
    )


def _order(key: Ints, second: Ints, rank: Ints) -> Ints:
    """Return the stable order by key, second, rank: by time, which tables are in already, and by halves of the key.

    Sorting 16 bits is counting.
    """
    if not len(key):
        return np.empty(0, np.int64)
    order = np.argsort(((second - second.min()) << 3) | rank, kind="stable")
    for shift in range(0, int(key.max()).bit_length(), 16):
        order = order[np.argsort((key[order] >> shift).astype(np.uint16), kind="stable")]
    return order


__all__ = ["RANKS", "SECOND", "Lives", "find_lives", "plain_float"]
