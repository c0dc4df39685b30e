"""What happened at the mailboxes and to the service itself: stores, folders, logins, moves, notices, warnings, lost lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from logscan.report import by_key
from logscan.report.by_key import ByKey
from logscan.report.model import Listing
from logscan.report.tallies import folded
from logscan.scan.columns import column, number

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.tables.partials import Part, Partial

FAILED = ("failed", "aborted")

STORES = ByKey(
    "stores",
    "Mailbox outcomes",
    "Lines in which Dovecot and Sieve say what they did with mail. Stored is one copy in one mailbox; of a mail that a "
    "script forwards, rejects or answers, and of one that failed, there may be several lines.",
    by=("outcome",),
    numbers=("lines", "users"),
)
FOLDERS = ByKey("folders", "Folders", "Folders that mail was stored in.", by=("folder",), numbers=("stores", "users"))
LOGINS = ByKey(
    "logins",
    "Logins",
    "IMAP, POP3 and ManageSieve logins by user, those with the most failures first.",
    by=("user",),
    numbers=("lines", "logins", "failed", "addresses"),
)
PROTOCOLS = ByKey(
    "protocols",
    "Logins by protocol",
    "Lines of Dovecot's login processes; without TLS counts logins whose line names none.",
    by=("protocol",),
    numbers=("lines", "logins", "failed", "without TLS", "users", "addresses"),
)
FAILED_LOGINS = ByKey(
    "failed-mailbox-logins",
    "Failed mailbox logins",
    "Addresses from which IMAP, POP3 or ManageSieve logins failed or were given up.",
    by=("client",),
    numbers=("failed", "users tried", "first", "last"),
)
MOVES = ByKey(
    "moves",
    "What users did with mail",
    "Copies, moves and deletions that Dovecot's mail_log tells, by folder.",
    by=("event", "from", "folder"),
    numbers=("times", "users"),
)
NOTICES = ByKey(
    "notifications", "Notices", "Notices that Postfix made, by kind.", by=("notice",), numbers=("times", "queue ids")
)
BY_HAND = ByKey(
    "requeues",
    "By hand",
    "What postsuper did to mail in the queue.",
    by=("action",),
    numbers=("times", "queue ids"),
)
SERVICES = ByKey(
    "services",
    "Services",
    "Starts, stops, reloads, warnings and errors of the services, by text (numbers folded).",
    by=("event", "program", "text"),
    numbers=("times", "first", "last"),
)
LOSSES = ByKey(
    "losses",
    "Lines lost or folded",
    "What the logging system itself dropped (rate limits) or wrote as repeated: counts are too low by so much.",
    by=("what",),
    numbers=("times", "lines", "first", "last"),
)


def look(window: Window) -> dict[str, Part]:
    """Return what a window counts for the lists of mailboxes and services."""
    return {
        **_stores(window),
        **_logins(window),
        **_moves(window),
        **_by_queue_id(NOTICES, window, "kind"),
        **_by_queue_id(BY_HAND, window, "action"),
        **_services(window),
        **_losses(window),
    }


def listings(partial: Partial, log: Log) -> Iterable[Listing]:
    """Return the lists of mailboxes and services."""
    yield from by_key.listings((STORES, FOLDERS), partial, log.zone)
    for listing in by_key.listings((LOGINS,), partial, log.zone):
        yield _most_failures_first(listing)
    rest = (PROTOCOLS, FAILED_LOGINS, MOVES, NOTICES, BY_HAND, SERVICES, LOSSES)
    yield from by_key.listings(rest, partial, log.zone)


def _stores(window: Window) -> dict[str, Part]:
    if not len(window.tables["stores"]):
        return {}
    action, user = column(window, "stores", "action"), column(window, "stores", "user")
    rows = np.flatnonzero(action.is_in("stored"))
    folder = column(window, "stores", "mailbox").take(rows)
    return {
        **STORES.look((action,), {"lines": None}, {"users": user}),
        **FOLDERS.look((folder,), {"stores": None}, {"users": user.take(rows)}),
    }


def _logins(window: Window) -> dict[str, Part]:
    if not len(window.tables["logins"]):
        return {}
    event = column(window, "logins", "event")
    user, protocol = column(window, "logins", "user"), column(window, "logins", "protocol")
    address, tls = column(window, "logins", "remote_address"), column(window, "logins", "tls")
    good, bad = event.is_in("login"), event.is_in(*FAILED)
    named = (user.codes >= 0) & user.having(bool) & (good | bad)
    wrong = np.flatnonzero(bad)
    return {
        **LOGINS.look(
            (user.take(named),),
            {"lines": None, "logins": good[named], "failed": bad[named]},
            {"addresses": address.take(named)},
        ),
        **PROTOCOLS.look(
            (protocol,),
            {"lines": None, "logins": good, "failed": bad, "without TLS": good & (tls.codes < 0)},
            {"users": user, "addresses": address},
        ),
        **FAILED_LOGINS.look(
            (address.take(wrong),),
            {"failed": None},
            {"users tried": user.take(wrong)},
            number(window, "logins", "time")[wrong],
        ),
    }


def _most_failures_first(listing: Listing) -> Listing:
    """Return the list of users with the most failures first; that of the users with the most lines, where it is cut."""
    rows = sorted(listing.rows, key=lambda row: (-row[3], -row[2], row[0]))
    at = listing.columns.index("lines")
    without = [(*row[:at], *row[at + 1 :]) for row in (listing.columns, *rows)]
    return replace(listing, columns=without[0], rows=tuple(without[1:]))


def _moves(window: Window) -> dict[str, Part]:
    if not len(window.tables["moves"]):
        return {}
    names = ("event", "source_mailbox", "mailbox")
    columns = tuple(column(window, "moves", name) for name in names)
    return MOVES.look(columns, {"times": None}, {"users": column(window, "moves", "user")})


def _by_queue_id(what: ByKey, window: Window, name: str) -> dict[str, Part]:
    if not len(window.tables[what.key]):
        return {}
    queue_id = column(window, what.key, "queue_id")
    return what.look((column(window, what.key, name),), {"times": None}, {"queue ids": queue_id})


def _services(window: Window) -> dict[str, Part]:
    if not len(window.tables["service_events"]):
        return {}
    columns = (
        column(window, "service_events", "event"),
        column(window, "service_events", "program"),
        folded(column(window, "service_events", "text")),
    )
    return SERVICES.look(columns, {"times": None}, times=number(window, "service_events", "time"))


def _losses(window: Window) -> dict[str, Part]:
    if not len(window.tables["losses"]):
        return {}
    event = column(window, "losses", "event")
    rows = np.flatnonzero(~event.is_in("started", "stopped"))
    if not len(rows):
        return {}
    sums = {"times": None, "lines": np.maximum(number(window, "losses", "count"), 0)[rows]}
    return LOSSES.look((event.take(rows),), sums, times=number(window, "losses", "time")[rows])
