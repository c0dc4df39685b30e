"""What the configuration and the user tell the correlation."""

from __future__ import annotations

import re

from logscan.correlate.known import Known
from logscan.correlate.places import GATEWAYS
from logscan.correlate.queue_listing import Listing
from logscan.pipeline.queues import retry
from logscan.scan.options import Options
from logscan.settings import Settings
from logscan.tables.texts import literal


def known_of(settings: Settings, options: Options, listings: tuple[Listing, ...] = ()) -> Known:
    """Return what is known before the first line is joined."""
    filters = []
    for setup in settings.filters:
        if setup.via in ("content_filter", "FILTER") and settings.reinjection():
            filters += _relays(setup.destination)
    mailboxes = []
    for name in ("virtual_transport", "mailbox_transport", "local_transport"):
        mailboxes += _relays(settings.postfix.get(name))
    known = settings.known("postfix")
    lists = ("mydestination:", "virtual_mailbox_domains:", "virtual_alias_domains:", "relay_domains:")
    whole = known and not any(each.value.startswith(lists) for each in settings.unresolved)
    return Known(
        tuple(filters),
        settings.local_domains,
        whole or bool(options.local_domains),
        tuple(mailboxes),
        frozenset({settings.postfix.get("myhostname").strip().lower()} - {""}) if known else frozenset(),
        tuple(str(net) for net in settings.networks) if known else (),
        known,
        settings.delimiters if known else "+",
        programs=_programs(settings, mailboxes),
        listings=listings,
        retry=retry(settings),
    )


AGENTS = r"deliver|store|lda\b|mda\b|maildrop|mailfilter|procmail|sieve|dmail|\bfdm\b|postfix-local|vpopmail|lmtp"
"""In the name of a program that stores mail."""


def _programs(settings: Settings, mailboxes: list[str]) -> frozenset[str]:
    """Return the pipe services whose program isn't known to store mail, and that no ``*_transport`` names as the mailbox."""
    out = set()
    for service in settings.postfix.services:
        if service.command.rpartition("/")[2] != "pipe" or re.search(GATEWAYS, service.name):
            continue
        if any(re.search(each, service.name) for each in mailboxes):
            continue
        argv = next((each.removeprefix("argv=") for each in service.args if each.startswith("argv=")), "")
        if argv and not re.search(AGENTS, argv.split()[0].rpartition("/")[2], re.IGNORECASE):
            out.add(service.name)
    return frozenset(out)


def _relays(destination: str) -> list[str]:
    """Return patterns for the relays by which deliveries to a ``transport:nexthop`` are logged."""
    from logscan.settings import parse_destination
    from logscan.settings.destinations import PORTS

    to = parse_destination(destination)
    if to.path:
        # Below the queue folder the path is logged as it is given; elsewhere in full.
        return [literal(f"[{to.path}]") + "$"]
    if to.host and to.transport not in ("local", "virtual", "error", "discard", "retry"):
        port = to.port or PORTS.get(to.transport)
        end = f":{port}$" if port else ":(?:24|25)$"
        return [f"^{literal(to.host)}(?:\\[[^\\]]*\\])?{end}", literal(f"[{to.host}]") + end]
    return [f"^{literal(to.transport)}$"] if to.transport and not to.host else []
