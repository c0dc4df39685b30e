"""All lists of a report, in their order: outages and delays, people, the door, filters, mailboxes and services."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from logscan.report import deferrals, delays, encryption, endings, hosts, judging, mailboxes, people, refusing
from logscan.report.model import Listing
from logscan.report.tallies import MOST_ROWS
from logscan.tables.partials import Part, Partial

if TYPE_CHECKING:
    from logscan.checking.outage import Outage
    from logscan.scan.log import Log
    from logscan.scan.window import Window

WAITING = "waiting"
"""The part of a report that tells what mail waited for."""


def look(window: Window) -> Partial:
    """Return what a window counts for all lists; each part's name begins with its list's key."""
    parts: dict[str, Part] = {}
    for module in (hosts, deferrals, delays, people, endings, refusing, encryption, judging, mailboxes):
        parts |= module.look(window)
    return Partial(parts)


def listings(partial: Partial, log: Log, outages: Sequence[Outage]) -> tuple[Listing, ...]:
    """Return the lists that have rows."""
    waiting = [_outages(outages, log), *deferrals.listings(partial, log), *delays.listings(partial, log)]
    rest = [
        *hosts.listings(partial, log),
        *people.listings(partial, log),
        *endings.listings(partial, log),
        *refusing.listings(partial, log),
        *encryption.listings(partial, log),
        *judging.listings(partial, log),
        *mailboxes.listings(partial, log),
    ]
    parts = [(WAITING, waiting), ("traffic", rest)]
    return tuple(replace(each, part=part) for part, some in parts for each in some if each.rows)


def _outages(outages: Sequence[Outage], log: Log) -> Listing:
    rows = tuple(
        (
            each.host,
            each.relay,
            each.kind,
            each.first.astimezone(log.zone).replace(microsecond=0) if log.zone else each.first,
            each.until.astimezone(log.zone).replace(microsecond=0) if log.zone else each.until,
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
