"""Legs that are inferred where a filter tells nothing (DSPAM, pipes): same message-id, sender and recipient, opened from this
host or the filter's while the hand-over was under way; one to one.
"""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Ints, among, distinct, first_rows, pairs
from logscan.correlate.facts import SLACK, Facts, ceil, relays_of
from logscan.correlate.links import KINDS, KNOWN_BY, Legs
from logscan.correlate.matching import match
from logscan.tables.grouping import combine

FILTER_SHARE = 0.2
"""A relay is a filter when at least this share of what it took came back; a lone look-alike doesn't make one."""


def declared_relays(f: Facts, declared: list[str]) -> Bools:
    """Return, per relay, whether the configuration names it as a filter."""
    out = np.zeros(len(f.relays) + 1, np.bool_)
    for pattern in declared:
        out[:-1] |= pc.fill_null(pc.match_substring_regex(f.relays, pattern), False).to_numpy(zero_copy_only=False)
    return out


def inferred(f: Facts, known: Legs, declared: list[str]) -> Legs:
    """Match hand-overs to local children by host, message-id, sender, recipient and time."""
    named = declared_relays(f, declared)
    rows, children, sure = _matched(f, known, named, 2, 1)
    is_filter = relays_of(f, "filters", lambda: filter_relays(f, _open_rows(f, known), rows)) | named
    ok = is_filter[f.relay[rows]]
    f.links.ties.append((f.row_entry[rows[~ok]], children[~ok]))
    rows, children, sure = rows[ok], children[ok], sure[ok]
    first = Legs.of(f.row_entry[rows], children, "filter", "inferred", np.where(sure, 2, 1), rows)
    # A clock was set meanwhile: what filters took and didn't give back in time may have come back out of time.
    rows, children, _ = _matched(f, Legs.joined([known, first]), named, SLACK, SLACK, is_filter)
    second = Legs.of(f.row_entry[rows], children, "filter", "inferred", 1, rows)
    found = Legs.joined([first, second])
    rows, children, _ = _matched(f, Legs.joined([known, found]), named, SLACK, SLACK, ~is_filter)
    late = relays_of(f, "late_filters", lambda: filter_relays(f, _open_rows(f, known), rows))
    ok = late[f.relay[rows]]
    found = Legs.joined([found, Legs.of(f.row_entry[rows[ok]], children[ok], "filter", "inferred", 1, rows[ok])])
    is_filter |= late
    return Legs.joined([found, _without_deliveries(f, known, found, is_filter)])


def explained(f: Facts, legs: Legs) -> Bools:
    """Return the delivery rows that legs account for: what went out in one transaction may make one child."""
    out = np.zeros(len(f.row_entry) + 1, np.bool_)
    out[legs.row] = True
    out = out[:-1]
    told = legs.row[(legs.known_by == KNOWN_BY.index("queued as")) & (legs.row >= 0)]
    if len(told):
        rows = np.flatnonzero(f.sent & among(f.row_entry, f.row_entry[told], f.lives.size))
        unit = combine(np.r_[f.row_entry[rows], f.row_entry[told]], np.r_[f.relay[rows], f.relay[told]])
        out[rows[np.isin(unit[: len(rows)], unit[len(rows) :])]] = True
    # What was inferred without a line has none yet.
    named = legs.known_by != KNOWN_BY.index("inferred")
    out[_told_rows(f, legs, named & (legs.kind == KINDS.index("filter")) & (legs.row < 0))] = True
    return out


def _open_rows(f: Facts, known: Legs) -> Ints:
    """Return the rows of hand-overs that no leg explains yet and whose mail's message-id is known."""
    rows = np.flatnonzero(f.tried & ~explained(f, known) & (f.row_entry >= 0))
    return rows[f.parent_id[f.row_entry[rows]] >= 0]


def _likely(f: Facts, known: Legs, here: Bools, relays: Bools | None) -> tuple[Ints, Ints]:
    """Return the rows of hand-overs, and those of what may have come out of one: one per entry and address asked for."""
    rows = _open_rows(f, known)
    # A stranger may send back what it is sent; a filter elsewhere has a port of its own, a private address, or is named.
    addresses = len(f.handed_to)
    elsewhere = (f.relay_address[rows] >= 0) & among(f.relay_address[rows], f.address, addresses)
    rows = rows[here[f.relay[rows]] | (elsewhere & ~f.strangers[f.relay[rows]])]
    if relays is not None:
        rows = rows[relays[f.relay[rows]]]
    relay_hosts = f.relay_address[rows]
    has_parent = np.zeros(f.lives.size + 1, np.bool_)
    has_parent[known.child] = True
    may_be = f.local | among(f.address, relay_hosts[relay_hosts >= 0], addresses)
    may_be &= ~has_parent[:-1]
    # Nothing matches but by message-id.
    may_be &= among(f.child_id, f.parent_id[f.row_entry[rows]], len(f.ids))
    child_rows = np.flatnonzero(np.append(may_be, False)[f.row_entry])
    children = f.row_entry[child_rows]
    rows = rows[among(f.parent_id[f.row_entry[rows]], f.child_id[children], len(f.ids))]
    # In the order of lines: codes follow what else a log holds.
    return rows, child_rows[first_rows(combine(children, f.asked[child_rows]))]


def _matched(
    f: Facts, known: Legs, named: Bools, before: int, after: int, relays: Bools | None = None
) -> tuple[Ints, Ints, Bools]:
    """Return rows, the child entry of each, and whether it was the only one possible.

    A child is opened at most ``before`` seconds before its hand-over begins and ``after`` seconds after it ends.
    """
    here = f.here | named
    rows, child_rows = _likely(f, known, here, relays)
    parents, children = f.row_entry[rows], f.row_entry[child_rows]
    if not len(rows) or not len(child_rows):
        return rows[:0], children[:0], np.empty(0, np.bool_)
    whole = combine(
        np.concatenate([f.lives.host[parents], f.lives.host[children]]),
        np.concatenate([f.parent_id[parents], f.child_id[children]]),
        np.concatenate([f.writer[parents], f.writer[children]]),
        np.concatenate([f.recipient[rows], f.asked[child_rows]]),
    )
    window = f.second[rows] - ceil(f.transmit[rows]) - before, f.second[rows] + after

    def fits(left: Ints, right: Ints) -> Bools:
        """Not itself, opened after its parent, from this host or the filter's, and not handed to the same relay again."""
        parent, child = parents[left], children[right]
        relay = f.relay[rows[left]]
        ok: Bools = (parent != child) & (f.opened[parent] <= f.opened[child] + (0 if relays is None else SLACK))
        ok &= (f.local[child] & here[relay]) | (f.address[child] == f.relay_address[rows[left]])
        ok &= f.relay[rows[left]] != f.relay[child_rows[right]]
        # Two local mails that might each have come out of the other: filters add headers. Nor is it its own grandchild.
        size = f.lives.size
        smaller = np.flatnonzero(ok & (f.size[child] < f.size[parent]))
        if len(smaller):
            mutual = np.isin(child[smaller] * size + parent[smaller], (parent * size + child)[ok])
            ok[smaller[mutual]] = False
        if len(known.parent):
            ok &= ~np.isin(child * size + parent, known.parent * size + known.child)
        return ok

    keys = whole[: len(rows)], whole[len(rows) :]

    def note(left: Ints, right: Ints) -> None:
        f.links.ties.append((parents[left], children[right]))

    def rank() -> tuple[Ints, Ints]:
        names = f.lives.by_name()
        return names[parents], names[children]

    left, right, sure = match(keys, window, f.opened[children], fits, children, rank, note)
    return rows[left], children[right], sure


def filter_relays(f: Facts, tried: Ints, matched: Ints) -> Bools:
    """Return, per relay, whether what it takes comes back: of mails, since one child may be for many recipients."""
    total, back = (_mails_by_relay(f, rows) for rows in (tried, matched))
    return (back > 0) & (back >= FILTER_SHARE * total)


def _mails_by_relay(f: Facts, rows: Ints) -> Ints:
    """Return how many entries these rows handed to each relay (and one more, for none)."""
    size = len(f.relays) + 1
    unit = distinct((f.row_entry[rows] + 1) * (size + 1) + f.relay[rows] + 1)
    return np.bincount(unit % (size + 1), minlength=size + 1)[1:]


def _without_deliveries(f: Facts, known: Legs, found: Legs, is_filter: Bools) -> Legs:
    """Match what is left: children still in the queue name no recipient yet, parents from before the log no message-id."""
    taken = np.zeros(f.lives.size + 1, np.bool_)
    taken[known.child] = taken[found.child] = True
    taken_up = explained(f, Legs.joined([known, found]))
    rows = np.flatnonzero(f.tried & ~taken_up & (f.row_entry >= 0) & is_filter[f.relay])
    with_deliveries = np.zeros(f.lives.size, np.bool_)
    with_deliveries[f.row_entry[f.row_entry >= 0]] = True
    children = np.flatnonzero(f.local & ~taken[:-1] & ~with_deliveries & (f.child_id >= 0))
    parents = f.row_entry[rows]
    empty = Legs.of(np.empty(0, np.int64), np.empty(0, np.int64), "filter", "inferred", 1, -1)
    if not len(rows) or not len(children):
        return empty
    whole = combine(
        np.concatenate([f.lives.host[parents], f.lives.host[children]]),
        np.concatenate([f.parent_id[parents], f.child_id[children]]),
        np.concatenate([f.writer[parents], f.writer[children]]),
    )
    window = f.second[rows] - ceil(f.transmit[rows]) - 2, f.second[rows] + 1
    left, right, _ = match(
        (whole[: len(rows)], whole[len(rows) :]),
        window,
        f.opened[children],
        lambda left, right: parents[left] != children[right],
        note=lambda left, right: f.links.ties.append((parents[left], children[right])),
    )
    return Legs.of(parents[left], children[right], "filter", "inferred", 1, rows[left])


def _told_rows(f: Facts, legs: Legs, some: Bools) -> Ints:
    """Return the delivery rows behind legs whose child named its parent: sent while the child was opened."""
    parents, children = legs.parent[some], legs.child[some]
    rows = np.flatnonzero(f.sent & among(f.row_entry, parents, f.lives.size))
    left, right = pairs(parents, f.row_entry[rows])
    row = rows[right]
    opened = f.opened[children[left]]
    fits = (opened >= f.second[row] - ceil(f.transmit[row]) - SLACK) & (opened <= f.second[row] + SLACK)
    return row[fits]
