"""Mails as their senders would count them: everything that hangs together by legs, and what became of it."""

from __future__ import annotations

import numpy as np

from logscan.correlate.codes import Bools, Ints
from logscan.correlate.frames import Category, Draft, Moments, Words, coded_as
from logscan.correlate.outcomes import ENDS, PUT_OFF, THROWN, WAITING
from logscan.correlate.outcomes import outcome as outcome_code
from logscan.correlate.places import ORIGINS

DIRECTIONS = ("inbound", "outbound", "internal", "forwarded", "generated")


OPENED_BEFORE = "opened-before"
"""The direction of mails whose first line the log lacks: nobody knows who handed them in."""


def mails_of(entries: Draft, deliveries: Draft, root: Ints, left: Ints, own: Bools, meant: Bools) -> Draft:
    """Return one row per mail as its sender would count it.

    ``left`` are, per entry, recipients that no delivery row tells of (see :func:`outcomes.unattempted`); ``own``, per entry,
    whether a trusted host had it relayed; ``meant``, whether another line names a recipient of it outside.
    """
    size = len(root)
    ending = entries["ending"]
    entry = deliveries["entry"]
    outcome = deliveries["outcome"].codes
    probe = np.zeros(size + 1, np.bool_)
    probe[entry[outcome == outcome_code("probe")]] = True
    has_delivery = np.zeros(size + 1, np.bool_)
    has_delivery[entry] = True
    taken = entries["queued"] | has_delivery[:-1] | ending.equal("held", "unseen", *THROWN)
    mail_entries = np.flatnonzero(_any_of(root, taken & ~probe[:-1]) & (root == np.arange(size)))
    number = np.full(size + 1, -1, np.int64)
    number[mail_entries] = np.arange(len(mail_entries))
    of_entry = number[root]
    of_delivery = np.append(of_entry, -1)[entry]
    count = len(mail_entries)

    def counted(mask: Bools) -> Ints:
        return np.bincount(of_delivery[mask & (of_delivery >= 0)], minlength=count)

    at_end = deliveries["last"] & np.isin(outcome, [outcome_code(name) for name in ENDS])
    outside, spam = deliveries["outside"], deliveries["spam"]
    by_outcome = {name: counted(at_end & (outcome == outcome_code(name))) for name in ENDS}
    for name, endings in (("deferred", WAITING), ("held", ("held",)), ("discarded", THROWN)):
        rows = np.flatnonzero((left > 0) & ending.equal(*endings) & (of_entry >= 0) & ~probe[:-1])
        by_outcome[name] += np.bincount(of_entry[rows], left[rows], minlength=count).astype(np.int64)
    put_off = deliveries["status"].equal(*PUT_OFF) & (outcome != outcome_code("repeated"))
    out_count, in_count = counted(at_end & outside), counted(at_end & ~outside)
    named = np.bincount(of_entry[meant & (of_entry >= 0)], minlength=count) > 0
    direction = _directions(entries, mail_entries, own, (out_count, in_count), named)
    verdict = np.where(counted(spam.values & spam.known) > 0, 0, np.where(counted(spam.known) > 0, 1, 2))
    last = entries["last"].values.copy()
    np.maximum.at(last, root, entries["last"].values)
    origin, service, host = (_texts(entries[name], mail_entries) for name in ("origin", "service", "host"))
    return {
        "entry": mail_entries,
        "host": host,
        **{name: entries[name].of(mail_entries) for name in ("queue_id", "message_id", "sender", "size")},
        "first": Moments(entries["first"].values[mail_entries]),
        "last": Moments(last[mail_entries]),
        "direction": coded_as(direction, (*DIRECTIONS, OPENED_BEFORE)),
        "origin": origin,
        "service": service,
        **{name: entries[name].of(mail_entries) for name in ("client", "client_address", "sasl_username")},
        "lives": np.bincount(of_entry[of_entry >= 0], minlength=count),
        "recipients": sum(by_outcome.values(), np.zeros(count, np.int64)),
        **by_outcome,
        "deferrals": counted(put_off),
        "verdict": coded_as(verdict, VERDICTS),
        "opened_before": ~entries["opened"][mail_entries],
        # Still on its way while any of its lives is in the queue.
        "open": _any_of(root, ending.equal(*WAITING, "held"))[mail_entries],
    }


VERDICTS = ("spam", "innocent", "unknown")


def _any_of(root: Ints, which: Bools) -> Bools:
    """Return, per entry, whether any that began as it is among these."""
    out = np.zeros(len(root), np.bool_)
    out[root[which]] = True
    return out


def _texts(column: Category, rows: Ints) -> Words:
    return Words(column.words, column.codes[rows])


def _directions(entries: Draft, rows: Ints, own: Bools, counts: tuple[Ints, Ints], named: Bools) -> Ints:
    """Return each mail's direction, by who handed its first life in and where it went.

    ``rows`` are the mails' first entries. ``own``, per entry: a host trusted to relay handed it in; ``counts``: its recipients
    elsewhere and here; ``named``: where it went nowhere, a recipient elsewhere is named.
    """
    out_count, in_count = counts
    origin = entries["origin"].codes[rows]
    generated = (origin == ORIGINS.index("generated")) & ~entries["leg"].of(rows).equal("redirect", "list")
    unknown = ~entries["opened"][rows] | (origin == ORIGINS.index("unknown"))
    inside = own[rows] | np.isin(origin, [ORIGINS.index(n) for n in ("authenticated", "local", "network")])
    away = (out_count > 0) | ((in_count == 0) & named)
    names = (*DIRECTIONS, OPENED_BEFORE)
    found = np.select(
        [unknown, generated, inside & away, inside, (out_count > 0) & (in_count == 0)],
        [names.index(n) for n in (OPENED_BEFORE, "generated", "outbound", "internal", "forwarded")],
        names.index("inbound"),
    )
    return found.astype(np.int64)
