"""Verdicts of a filter that numbers mails by itself, and names that number in its reply: Proxmox Mail Gateway."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Ints, factorise, plain
from logscan.correlate.facts import Facts
from logscan.tables.grouping import combine

NUMBER = r"\((?P<number>[0-9A-F]{8,40})\)$"
"""At the end of PMG's reply (pmg-api src/PMG/SMTP.pm, loop())."""

TRUSTED = r"\]:10023$"
"""Where PMG's filter listens for mail of the own network (src/bin/pmg-smtp-filter, ``$opt_int_port``)."""


def _pmg(table: pa.Table) -> Ints:
    mine = pc.fill_null(pc.equal(plain(table.column("filter")), "pmg"), False)
    found: Ints = np.flatnonzero(mine.to_numpy(zero_copy_only=False)).astype(np.int64)
    return found


def by_reply(table: pa.Table, f: Facts) -> Ints:
    """Return the row of ``table`` (verdicts) of each delivery whose reply names its number, -1 for none."""
    out = np.full(len(f.row_entry), -1, np.int64)
    rows = _pmg(table)
    if not len(rows):
        return out
    some = table.take(pa.array(rows))
    number = pc.struct_field(pc.extract_regex(f.reply, NUMBER), [0])
    (mine, theirs), _ = factorise([plain(some.column("signature")), number])
    to = pc.utf8_lower(plain(some.column("recipients")))
    (who, addresses), _ = factorise([to, f.addresses])
    asked = np.append(addresses, -2)[f.recipient]
    whole = combine(np.concatenate([mine, theirs]), np.concatenate([who, asked]))
    keys, place = np.unique(whole[: len(rows)][::-1], return_index=True)
    last = rows[::-1][place]
    at = np.minimum(np.searchsorted(keys, whole[len(rows) :]), len(keys) - 1)
    hit = (keys[at] == whole[len(rows) :]) & (theirs >= 0)
    return np.where(hit, last[at], out)


def handed_to_gateway(tables: dict[str, pa.Table], f: Facts) -> tuple[Bools, Bools]:
    """Return which deliveries handed a mail to such a filter, and which of them by its port for the own network."""
    handed = by_reply(tables["verdicts"], f) >= 0
    if not handed.any():
        return handed, handed
    inner = pc.match_substring_regex(f.relays, TRUSTED).to_numpy(zero_copy_only=False).astype(np.bool_)
    return handed & f.sent, handed & np.append(inner, False)[f.relay]
