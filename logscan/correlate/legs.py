"""Legs: which entry came out of which, how that is known, and with what confidence.

Told by the log where it says so, inferred where a filter tells nothing.
"""

from __future__ import annotations

import numpy as np

from logscan.correlate import inferred, lists, redirects, told
from logscan.correlate.codes import Bools
from logscan.correlate.cut_off import cut_off
from logscan.correlate.events import Events
from logscan.correlate.facts import Facts, relays_of
from logscan.correlate.links import KINDS, Legs, acyclic, some


def find_legs(tables: Events, f: Facts, declared: list[str], end: int | None = None) -> tuple[Legs, Bools]:
    """Return the legs and, per delivery row, whether it is a hand-over to a filter (or to ourselves).

    ``declared`` are regular expressions for relays that the configuration names as filters.
    """
    known = Legs.joined(
        [
            told.requeued(tables, f),
            told.put_back(tables, f),
            told.queued_as(tables, f),
            told.orig_queue_id(tables, f),
            told.amavis(tables, f),
            told.forwarded(f),
            told.bounced(tables, f),
            told.queued_again(tables, f),
        ]
    )
    found = Legs.joined([known, inferred.inferred(f, known, declared)])
    found = Legs.joined([found, cut_off(tables, f, found, end)])
    told_on = Legs.joined([found, redirects.redirected(tables, f, found)])
    filters = np.flatnonzero(inferred.declared_relays(f, declared))
    filters = np.union1d(filters, np.flatnonzero(relays_of(f, "returning", lambda: _returning(f, found))))
    by_script, by_list = redirects.handed_in(tables, f, told_on, filters), lists.expanded(tables, f, told_on, filters)
    f.links.ties += [(each.parent, each.child) for each in (by_script, by_list)]
    sure = some(by_list, lists.siblings(tables, f, by_list, by_script))
    legs = acyclic(f.lives.size, Legs.joined([told_on, sure, by_script, by_list]))
    hop = _hops(f, legs, declared)
    return legs, hop


def _returning(f: Facts, legs: Legs) -> Bools:
    """Return, per relay (and one more, for none), whether anything came back from it."""
    out = np.zeros(len(f.relays) + 1, np.bool_)
    out[f.relay[legs.row[(legs.kind == KINDS.index("filter")) & (legs.row >= 0)]]] = True
    out[-1] = False
    return out


def _hops(f: Facts, legs: Legs, declared: list[str]) -> Bools:
    """Return, per delivery row, whether it handed the mail on to a filter or another life of ours instead of delivering."""
    inside = np.isin(legs.kind, [KINDS.index("filter"), KINDS.index("relay"), KINDS.index("forward")])
    hop = inferred.explained(f, some(legs, inside))
    rows = np.flatnonzero(f.sent & (f.row_entry >= 0))
    elsewhere = inferred.explained(f, some(legs, legs.kind == KINDS.index("relay")))
    matched = np.flatnonzero(hop & ~elsewhere & ~f.forwarded)
    by_relay = relays_of(f, "hops", lambda: inferred.filter_relays(f, rows, matched))
    # Where the configuration names the filter, what it keeps (quarantine) is still a hand-over.
    by_relay |= inferred.declared_relays(f, declared)
    return hop | (f.sent & by_relay[f.relay])
