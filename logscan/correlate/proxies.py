"""Before-queue filters: the mail's true client is the one that spoke to the first smtpd, not the filter that handed it on.

`NOQUEUE: client=…` and `proxy-accept: … queued as ID` share the first smtpd's PID; where the filter speaks XFORWARD, the
second smtpd says `orig_client=` itself.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Ints, factorise, pairs, plain
from logscan.correlate.facts import Facts
from logscan.correlate.horizons import REACH
from logscan.correlate.lives import SECOND
from logscan.tables.grouping import combine


def outer_clients(tables: dict[str, pa.Table], f: Facts) -> Ints:
    """Return, per entry, the row in ``clients`` of the outer session of a before-queue filter, or -1."""
    out = np.full(f.lives.size, -1, np.int64)
    rejects, clients = tables["rejects"], tables["clients"]
    accepted = np.flatnonzero(
        pc.fill_null(pc.equal(plain(rejects.column("action")), "proxy-accept"), False).to_numpy(zero_copy_only=False)
    )
    noqueue = np.flatnonzero(
        pc.fill_null(pc.equal(plain(clients.column("queue_id")), "NOQUEUE"), False).to_numpy(zero_copy_only=False)
    )
    if not len(accepted) or not len(noqueue):
        return out
    some, outer = rejects.take(pa.array(accepted)), clients.take(pa.array(noqueue))
    at, began = some.column("time").to_numpy() // SECOND, outer.column("time").to_numpy() // SECOND
    # The session: the last NOQUEUE client of that process before the proxy's answer.
    key_a, key_b = _session_keys(some, outer)
    session = _before(key_a, at, key_b, began)
    recent = (session >= 0) & (np.append(began, 0)[session] >= at - REACH)
    session = np.where(recent, noqueue[session], -1)
    # The entry: the one that the answer names.
    said = pc.struct_field(
        pc.extract_regex(pc.fill_null(plain(some.column("text")), ""), r"queued as (?P<q>\w{6,})"), [0]
    )
    (host, queue, own_host, own_queue) = _entry_codes(some, said, f)
    named = combine(np.concatenate([host, own_host]), np.concatenate([queue, own_queue]))
    left, entry = pairs(named[: len(host)], named[len(host) :])
    fits = (queue[left] >= 0) & (session[left] >= 0) & (f.opened[entry] <= at[left] + 1)
    fits &= f.opened[entry] >= at[left] - REACH
    left, entry = left[fits], entry[fits]
    order = np.lexsort((f.opened[entry], left))
    last = np.full(len(accepted), -1, np.int64)
    last[left[order]] = entry[order]
    known = np.flatnonzero(last >= 0)
    out[last[known]] = session[known]
    f.links.claims += [("rejects", accepted[known], last[known]), ("clients", session[known], last[known])]
    return out


def _before(key: Ints, at: Ints, other: Ints, began: Ints) -> Ints:
    """Return, for each, the position of the last other one of its key that began by then, or -1."""
    dense = np.unique(np.concatenate([key, other]), return_inverse=True)[1].astype(np.int64)
    start = int(min(at.min(), began.min()))
    span = int(max(at.max(), began.max())) - start + 1
    order = np.lexsort((began, dense[len(key) :]))
    place = (dense[len(key) :] * span + began - start)[order]
    found = np.searchsorted(place, dense[: len(key)] * span + at - start, "right") - 1
    fits = (found >= 0) & (dense[len(key) :][order][np.maximum(found, 0)] == dense[: len(key)])
    return np.where(fits, order[np.maximum(found, 0)], -1)


def _session_keys(some: pa.Table, outer: pa.Table) -> tuple[Ints, Ints]:
    codes = [np.concatenate(factorise([some.column(name), outer.column(name)])[0]) for name in ("host", "service")]
    pid = [
        pc.fill_null(table.column("pid").combine_chunks(), -1).to_numpy(zero_copy_only=False) for table in (some, outer)
    ]
    whole = combine(*codes, np.concatenate(pid).astype(np.int64))
    return whole[: len(some)], whole[len(some) :]


def _entry_codes(some: pa.Table, said: pa.Array, f: Facts) -> tuple[Ints, Ints, Ints, Ints]:
    (host, hosts), _ = factorise([some.column("host"), f.lives.hosts])
    (queue, queues), _ = factorise([said, f.lives.queue_ids])
    return host, queue, hosts[f.lives.host], queues[f.lives.queue_id]


def forwarded_clients(tables: dict[str, pa.Table], rows: Ints) -> tuple[pa.Array, pa.Array]:
    """Return name and address that ``orig_client=`` tells for rows of ``clients`` (-1: null)."""
    told = pc.take(plain(tables["clients"].column("orig_client")), pa.array(rows, mask=rows < 0))
    parts = pc.extract_regex(told, r"^(?P<n>[^\[]+)\[(?P<a>[^\]]+)\](?::\d+)?$")
    return pc.struct_field(parts, [0]), pc.struct_field(parts, [1])
