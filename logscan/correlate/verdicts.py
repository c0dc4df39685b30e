"""Verdicts: which hand-over to a filter each one belongs to.

DSPAM writes a row a recipient, without a queue ID: joined one to one by message-id, dictionary (the recipient as Postfix
gave it) and the hand-over's time. amavis and rspamd name the queue ID; their recipients are taken apart. What names
neither is joined by :mod:`logscan.correlate.by_message_id`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.by_message_id import by_message_id
from logscan.correlate.by_reply import by_reply
from logscan.correlate.codes import Bools, Ints, factorise, pairs, plain
from logscan.correlate.facts import SLACK, Facts
from logscan.correlate.links import Legs, nearest
from logscan.correlate.lives import SECOND
from logscan.correlate.matching import match
from logscan.correlate.rows import empty
from logscan.tables.grouping import combine

DSPAM_SPAM = frozenset("SVAO")
"""DSPAM result classes that leave the mail marked as spam: spam, virus, blacklisted, blocklisted (src/dspam.c)."""

RSPAMD_TAGGED = frozenset({"add header", "rewrite subject"})
RSPAMD_KEPT = frozenset({"reject", "quarantine", "discard"})
"""Actions of rspamd by which spam doesn't come through (libserver/protocol.c, libmime/scan_result.c)."""

ON_HOLD = 12 * 3600
"""Seconds that a mail may lie on hold, without a line of Postfix, until MailScanner takes its batch."""

AMAVIS_SPAM = r"Tagged|^Blocked SPAM"
"""In ``result`` and actions: left tagged, or kept back as spam (SPAMMY is spam below the kill level)."""

AMAVIS_MUTE = r"^Passed SPAM(?:MY)? $"
"""Spam of which a line without actions (before 2.7, or a ``$log_templ`` of one's own) tells no more: amavis tags it for
recipients in @local_domains_maps, and for others as the policy bank wants it (Amavis.pm, add_forwarding_header_edits)."""


@dataclass
class Judged:
    """``frame`` is the verdicts table without copies; ``spam`` (1, 0, -1 unknown) and ``signature`` run along its rows.

    ``row_of_delivery`` gives the verdict row of each hand-over in deliveries, or -1.
    """

    frame: pd.DataFrame
    spam: Ints
    spam_outside: Ints
    """As ``spam``, for recipients elsewhere: amavis tags by the direction of each recipient."""
    signature: pa.Array
    row_of_delivery: Ints
    by_queue: dict[tuple[int, str], int]
    entry_rows: dict[int, list[int]]
    addresses: pa.Array
    kept: Ints
    """Of each row its row in the event table."""

    def by_recipient(self, entry: Ints, recipient: Ints, parent: Ints) -> Ints:
        """Return, per delivery, the row of a verdict that names its entry (or one before it) and its recipient."""
        out = np.full(len(entry), -1, np.int64)
        if not self.entry_rows:
            return out
        names = self.addresses.to_pylist()
        # From each entry at once to the nearest one above it that a verdict names.
        place = np.arange(len(parent))
        judged = np.full(len(parent), -1, np.int64)
        judged[list(self.entry_rows)] = list(self.entry_rows)
        above = nearest(np.where(parent >= 0, parent, place), judged)
        at = np.where(entry >= 0, above[entry], -1)
        while len(rows := np.flatnonzero((out < 0) & (at >= 0))):
            for row in rows.tolist():
                name = names[int(recipient[row])] if recipient[row] >= 0 else ""
                choices = self.entry_rows[int(at[row])]
                exact = self.by_queue.get((int(at[row]), name))
                out[row] = exact if exact is not None else choices[0] if len(choices) == 1 else -1
            at = np.where(at >= 0, parent[at], -1)
            at = np.where(at >= 0, above[at], -1)
        return out


def unique_rows(table: pa.Table) -> tuple[Bools, Ints]:
    """Return which rows stay: those of DSPAM's user logs that its system.log has too don't (same dictionary, class, signature
    and second); and a code by which these are one.
    """
    every, alone = np.ones(len(table), np.bool_), np.arange(len(table))
    if not len(table):
        return every, alone
    program = plain(table.column("program"))
    from_user_log = pc.fill_null(pc.equal(program, "dspam.user"), False).to_numpy(zero_copy_only=False)
    if not from_user_log.any():
        return every, alone
    codes = [factorise([plain(table.column(name))])[0][0] for name in ("user", "result", "signature", "message_id")]
    key = combine(*codes, table.column("time").to_numpy() // SECOND)
    again = from_user_log & np.isin(key, key[~from_user_log])
    return ~again, key


def judge(tables: dict[str, pa.Table], f: Facts, legs: Legs, hop: Bools) -> Judged:
    """Join the verdicts to hand-overs and entries."""
    if not len(tables["verdicts"]):
        return _nothing(f)
    keep, _ = unique_rows(tables["verdicts"])
    table = tables["verdicts"] if keep.all() else tables["verdicts"].filter(pa.array(keep))
    kind = plain(table.column("filter"))
    result = plain(table.column("result"))
    spam = _spam(table, kind, result)
    dspam = pc.fill_null(pc.equal(kind, "dspam"), False).to_numpy(zero_copy_only=False)
    rows = _dspam(table, f, hop, np.flatnonzero(dspam))
    named = pc.fill_null(pc.not_equal(plain(table.column("queue_id")), ""), False).to_numpy(zero_copy_only=False)
    by_queue, entry_rows = _named(table, f, np.flatnonzero(~dspam & named))
    outside = _spam_outside(table, kind, result, spam)
    loose, at_door = by_message_id(table, (spam + 1) * 3 + outside + 1, f, legs, hop, np.flatnonzero(~dspam & ~named))
    rows = np.where(rows < 0, loose, rows)
    rows = np.where(rows < 0, by_reply(table, f), rows)
    for entry in np.flatnonzero(at_door >= 0).tolist():
        entry_rows.setdefault(entry, [int(at_door[entry])])
    frame = table.to_pandas()
    frame["time"] = pd.to_datetime(frame["time"], unit="ns", utc=True)
    either = np.maximum(spam, outside)
    unknown = either < 0
    frame["spam"] = np.where(unknown, None, either == 1) if unknown.any() else either == 1
    frame["entry"] = _entries(len(table), f, rows, entry_rows)
    return Judged(
        frame,
        spam,
        outside,
        plain(table.column("signature")),
        rows,
        by_queue,
        entry_rows,
        f.addresses,
        np.flatnonzero(keep),
    )


def _nothing(f: Facts) -> Judged:
    none = np.empty(0, np.int64)
    of_delivery = np.full(len(f.row_entry), -1, np.int64)
    return Judged(_no_frame().copy(), none, none, pa.array([], pa.string()), of_delivery, {}, {}, f.addresses, none)


@cache
def _no_frame() -> pd.DataFrame:
    frame = empty("verdicts").to_pandas()
    frame["time"] = pd.to_datetime(frame["time"], unit="ns", utc=True)
    return frame.assign(spam=np.empty(0, np.bool_), entry=np.empty(0, np.int64))


def _entries(size: int, f: Facts, row_of_delivery: Ints, entry_rows: dict[int, list[int]]) -> Ints:
    """Return the entry that each verdict was given on, -1 for none."""
    out = np.full(size, -1, np.int64)
    joined = np.flatnonzero(row_of_delivery >= 0)
    out[row_of_delivery[joined]] = f.row_entry[joined]
    for entry, rows in entry_rows.items():
        out[rows] = entry
    return out


def _spam(table: pa.Table, kind: pa.Array, result: pa.Array) -> Ints:
    actions = pc.fill_null(plain(table.column("status")), "")
    given = table.column("spam").combine_chunks()
    flag = (
        pc.fill_null(given.cast(pa.int64()), -1).to_numpy(zero_copy_only=False) if len(table) else np.empty(0, np.int64)
    )
    is_dspam = pc.fill_null(pc.equal(kind, "dspam"), False).to_numpy(zero_copy_only=False)
    in_dspam = pc.is_in(result, pa.array(sorted(DSPAM_SPAM))).to_numpy(zero_copy_only=False)
    is_amavis = pc.fill_null(pc.equal(kind, "amavis"), False).to_numpy(zero_copy_only=False)
    both = pc.binary_join_element_wise(pc.fill_null(result, ""), actions, " ")
    tagged = pc.match_substring_regex(both, f"{AMAVIS_SPAM}|{AMAVIS_MUTE}").to_numpy(zero_copy_only=False)
    is_rspamd = pc.fill_null(pc.equal(kind, "rspamd"), False).to_numpy(zero_copy_only=False)
    marked = pc.is_in(result, pa.array(sorted(RSPAMD_TAGGED | RSPAMD_KEPT))).to_numpy(zero_copy_only=False)
    is_spamd = pc.fill_null(pc.equal(kind, "spamd"), False).to_numpy(zero_copy_only=False)
    yes = pc.fill_null(pc.equal(result, "Y"), False).to_numpy(zero_copy_only=False)
    # PMG's rules may have marked what they let through; the line doesn't tell.
    let_through = pc.fill_null(pc.and_(pc.equal(kind, "pmg"), pc.equal(result, "accept")), False)
    unsaid = let_through.to_numpy(zero_copy_only=False).astype(np.bool_)
    spam: Ints = np.select(
        [is_dspam, is_amavis, is_rspamd, is_spamd, unsaid],
        [in_dspam, tagged, marked, yes, -unsaid.astype(np.int64)],
        flag,
    ).astype(np.int64)
    return spam


def _spam_outside(table: pa.Table, kind: pa.Array, result: pa.Array, spam: Ints) -> Ints:
    """One amavis line may tell of recipients here and elsewhere; only actions for the latter count there."""
    is_amavis = pc.fill_null(pc.equal(kind, "amavis"), False).to_numpy(zero_copy_only=False)
    actions = pc.fill_null(plain(table.column("status")), "")
    away = pc.match_substring_regex(actions, "Tagged(?:Outbound|OpenRelay)").to_numpy(zero_copy_only=False)
    away |= pc.fill_null(pc.equal(result, "Blocked SPAM"), False).to_numpy(zero_copy_only=False)
    both = pc.binary_join_element_wise(pc.fill_null(result, ""), actions, " ")
    mute = pc.match_substring_regex(both, AMAVIS_MUTE).to_numpy(zero_copy_only=False).astype(np.bool_)
    return np.where(is_amavis, np.where(mute, -1, away.astype(np.int64)), spam)


def _dspam(table: pa.Table, f: Facts, hop: Bools, rows: Ints) -> Ints:
    """Return each hand-over's verdict row: the last one inside its window (a broken-off attempt may have several)."""
    out = np.full(len(f.row_entry), -1, np.int64)
    handed = np.flatnonzero((hop | f.tried) & (f.row_entry >= 0))
    if not len(rows) or not len(handed):
        return out
    some = table.take(pa.array(rows))
    bare = pc.replace_substring_regex(
        pc.utf8_trim_whitespace(pc.fill_null(plain(some.column("message_id")), "")), r"^<(.*)>$", r"\1"
    )
    (mine, known), _ = factorise([bare, f.ids])
    code_of = {int(code): n for n, code in enumerate(known)}
    message = np.asarray([code_of.get(int(code), -2) for code in mine], np.int64)
    user = pc.utf8_lower(plain(some.column("user")))
    (theirs, addresses), _ = factorise([user, f.addresses])
    address_of = {int(code): n for n, code in enumerate(addresses)}
    who = np.asarray([address_of.get(int(code), -2) for code in theirs], np.int64)
    entry = f.row_entry[handed]
    whole = combine(
        np.concatenate([f.parent_id[entry], message]),
        np.concatenate([f.recipient[handed], who]),
    )
    at = some.column("time").to_numpy() // SECOND
    window = f.second[handed] - np.ceil(f.transmit[handed] * 1.05).astype(np.int64) - 2, f.second[handed] + 1
    keys = whole[: len(handed)], whole[len(handed) :]
    left, right, _ = match(
        keys,
        window,
        at,
        rank=lambda: (f.lives.by_name()[entry], np.arange(len(at))),
        note=lambda left, right: f.links.tie(entry[left], rows[right]),
    )
    out[handed[left]] = rows[right]
    return out


def _named(table: pa.Table, f: Facts, rows: Ints) -> tuple[dict[tuple[int, str], int], dict[int, list[int]]]:
    """Join verdicts that name a queue ID: (entry, recipient) → row, and entry → rows."""
    by_queue: dict[tuple[int, str], int] = {}
    entry_rows: dict[int, list[int]] = {}
    if not len(rows):
        return by_queue, entry_rows
    some = table.take(pa.array(rows))
    ids = plain(some.column("queue_id"))
    (codes, queue), _ = factorise([ids, f.lives.queue_ids])
    queue_of = queue[f.lives.queue_id] if f.lives.size else np.empty(0, np.int64)
    wanted = np.flatnonzero(codes >= 0)
    left, entry = pairs(codes[wanted], queue_of)
    at = some.column("time").to_numpy()[wanted[left]] // SECOND
    (host, hosts), _ = factorise([plain(some.column("host")), f.lives.hosts])
    host_of = hosts[f.lives.host] if f.lives.size else np.empty(0, np.int64)
    unknown = host[wanted[left]] == _code_of(hosts, host, plain(some.column("host")), "-")
    ok = (f.opened[entry] <= at + SLACK) & ((host[wanted[left]] == host_of[entry]) | unknown)
    held = pc.fill_null(pc.equal(plain(some.column("filter")), "mailscanner"), False).to_numpy(zero_copy_only=False)
    # What was removed lies in no queue.
    held = held[wanted[left]] & (f.lives.last_row("removals") < 0)[entry]
    late = np.where(held, ON_HOLD, SLACK)
    ok &= (f.lives.last[entry] // SECOND + late >= at) & _like_ids(
        plain(some.column("message_id")), f, wanted[left], entry
    )
    left, entry, at = left[ok], entry[ok], at[ok]
    order = np.lexsort((at - f.opened[entry], left))
    left, entry = left[order], entry[order]
    first = np.r_[True, left[1:] != left[:-1]] if len(left) else np.empty(0, np.bool_)
    recipients = plain(some.column("recipients")).to_pylist()
    for position, one in zip(wanted[left[first]].tolist(), entry[first].tolist(), strict=True):
        row = int(rows[position])
        entry_rows.setdefault(one, []).append(row)
        for name in (recipients[position] or "").split(","):
            by_queue[one, name.strip(" <>").lower()] = row
    return by_queue, entry_rows


def _like_ids(told: pa.Array, f: Facts, position: Ints, entry: Ints) -> Bools:
    """Return whether message-ids may be one: filters cut and mask them, so their beginnings count; unknown ones may be any."""
    bare = pc.replace_substring_regex(pc.utf8_trim_whitespace(pc.fill_null(told, "")), "^<", "")
    (mine, known), _ = factorise([pc.utf8_slice_codeunits(bare, 0, 4), pc.utf8_slice_codeunits(f.ids, 0, 4)])
    theirs = np.append(known, -1)[f.parent_id[entry]]
    nothing: Bools = pc.is_in(pc.ascii_rtrim(bare, ">"), pa.array(["", "undef"])).to_numpy(zero_copy_only=False)
    ok: Bools = (mine[position] == theirs) | (theirs < 0) | nothing[position]
    return ok


def _code_of(hosts: Ints, codes: Ints, values: pa.Array, name: str) -> int:
    found = np.flatnonzero(pc.fill_null(pc.equal(values, name), False).to_numpy(zero_copy_only=False))
    return int(codes[found[0]]) if len(found) else -9
