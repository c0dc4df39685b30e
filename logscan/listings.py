"""All lists of a report, in their order: outages and delays, people, the door, filters, mailboxes and services."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from logscan import deferrals, delays, encryption, judging, mailboxes, people, refusing
from logscan.report import Listing
from logscan.tallies import MOST_ROWS, folded, groups, of

if TYPE_CHECKING:
    from logscan.outage import Outage
    from logscan.scan import Scan

WAITING = "waiting"
"""The part of a report that tells what mail waited for."""


def listings(scan: Scan, late: deferrals.PutOff, outages: Sequence[Outage]) -> tuple[Listing, ...]:
    """Return the lists that have rows."""
    waiting = [_outages(scan, outages), *deferrals.listings(scan, late), *delays.listings(scan, late)]
    rest = [
        *people.listings(scan),
        *_ends(scan),
        *refusing.listings(scan),
        *encryption.listings(scan),
        *judging.listings(scan),
        *mailboxes.listings(scan),
    ]
    parts = [(WAITING, waiting), ("traffic", rest)]
    return tuple(replace(each, part=part) for part, some in parts for each in some if each.rows)


def _outages(scan: Scan, outages: Sequence[Outage]) -> Listing:
    rows = tuple(
        (
            each.host,
            each.relay,
            each.kind,
            each.first.astimezone(scan.zone).replace(microsecond=0) if scan.zone else each.first,
            each.until.astimezone(scan.zone).replace(microsecond=0) if scan.zone else each.until,
            "over" if each.over else "not over",
            each.mails,
            each.recipients,
            each.attempts,
            each.returned,
            each.reason,
        )
        for each in outages
    )
    return Listing(
        "outages",
        "Outages",
        "Times at which a filter, a milter or a mailbox server of this host took no mail, or a filter could hand none "
        "back (re-injection). An outage is over when the first mail got through again, else the log ends before; one "
        "or two mails within two minutes don't end it. Returned counts recipients whose mail came back.",
        ("host", "next hop", "kind", "from", "until", "state", "mails", "recipients", "attempts", "returned", "reason"),
        rows[:MOST_ROWS],
        len(rows),
    )


def _ends(scan: Scan) -> list[Listing]:
    """Return why recipients were not reached at last, by reason."""
    deliveries = scan.deliveries
    last = deliveries["last"] & (deliveries["mail"] >= 0)
    out = []
    for outcome, title in (
        ("deferred", "Still waiting"),
        ("bounced", "Bounced"),
        ("expired", "Expired"),
        ("held", "Held"),
        ("discarded", "Discarded"),
    ):
        some = deliveries[last & (deliveries["outcome"] == outcome)]
        by = groups(folded(of(some["reply"])), deferrals.next_hops(some))
        listed, total = by.rows(by.count(), by.distinct(some["mail"].to_numpy()))
        out.append(
            Listing(
                outcome,
                title,
                f"Recipients {outcome} at last, by the last reason (numbers and addresses folded) and next hop.",
                ("reason", "next hop", "recipients", "mails"),
                listed,
                total,
            )
        )
    return out
