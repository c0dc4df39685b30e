"""What happened at the mailboxes and to the service itself: stores, folders, logins, moves, notices, warnings, lost lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from logscan.report.model import Listing
from logscan.report.tallies import column, folded, groups, number

if TYPE_CHECKING:
    from logscan.scan.window import Window

FAILED = ("failed", "aborted")


def listings(scan: Window) -> Iterable[Listing]:
    """Return the lists of mailboxes and services."""
    yield from _stores(scan)
    yield from _logins(scan)
    yield from _moves(scan)
    yield from _simple(scan, "notifications", "kind", "Notices", "Notices that Postfix made, by kind.", ("notice",))
    yield from _simple(scan, "requeues", "action", "By hand", "What postsuper did to mail in the queue.", ("action",))
    yield from _services(scan)
    yield from _losses(scan)


def _stores(scan: Window) -> Iterable[Listing]:
    action = column(scan, "stores", "action")
    if not len(action):
        return
    user = column(scan, "stores", "user")
    by = groups(action)
    listed, total = by.rows(by.count(), by.distinct(user.codes))
    yield Listing(
        "stores",
        "Mailbox outcomes",
        "Lines in which Dovecot and Sieve say what they did with mail. Stored is one copy in one mailbox; of a mail that a "
        "script forwards, rejects or answers, and of one that failed, there may be several lines.",
        ("outcome", "lines", "users"),
        listed,
        total,
    )
    rows = np.flatnonzero(action.is_in("stored"))
    by = groups(column(scan, "stores", "mailbox").take(rows))
    listed, total = by.rows(by.count(), by.distinct(user.codes[rows]))
    yield Listing(
        "folders", "Folders", "Folders that mail was stored in.", ("folder", "stores", "users"), listed, total
    )


def _logins(scan: Window) -> Iterable[Listing]:
    event = column(scan, "logins", "event")
    if not len(event):
        return
    user, protocol = column(scan, "logins", "user"), column(scan, "logins", "protocol")
    address, tls = column(scan, "logins", "remote_address"), column(scan, "logins", "tls")
    good, bad = event.is_in("login"), event.is_in(*FAILED)
    named = (user.codes >= 0) & user.having(bool) & (good | bad)
    by = groups(user.take(named))
    whole = by.count()
    listed, total = by.rows(whole, by.count(good[named]), by.count(bad[named]), by.distinct(address.codes[named]))
    rows = sorted(listed, key=lambda row: (-row[3], -row[2], row[0]))
    yield Listing(
        "logins",
        "Logins",
        "IMAP, POP3 and ManageSieve logins by user, those with the most failures first.",
        ("user", "logins", "failed", "addresses"),
        tuple((name, right, wrong, hosts) for name, _, right, wrong, hosts in rows),
        total,
    )
    by = groups(protocol)
    plain = good & (tls.codes < 0)
    listed, total = by.rows(
        by.count(), by.count(good), by.count(bad), by.count(plain), by.distinct(user.codes), by.distinct(address.codes)
    )
    yield Listing(
        "protocols",
        "Logins by protocol",
        "Lines of Dovecot's login processes; without TLS counts logins whose line names none.",
        ("protocol", "lines", "logins", "failed", "without TLS", "users", "addresses"),
        listed,
        total,
    )
    wrong = np.flatnonzero(bad)
    if len(wrong):
        by = groups(address.take(wrong))
        first, last = by.ends(number(scan, "logins", "time")[wrong], scan.zone)
        listed, total = by.rows(by.count(), by.distinct(user.codes[wrong]), first, last)
        yield Listing(
            "failed-mailbox-logins",
            "Failed mailbox logins",
            "Addresses from which IMAP, POP3 or ManageSieve logins failed or were given up.",
            ("client", "failed", "users tried", "first", "last"),
            listed,
            total,
        )


def _moves(scan: Window) -> Iterable[Listing]:
    event = column(scan, "moves", "event")
    if not len(event):
        return
    by = groups(event, column(scan, "moves", "source_mailbox"), column(scan, "moves", "mailbox"))
    listed, total = by.rows(by.count(), by.distinct(column(scan, "moves", "user").codes))
    yield Listing(
        "moves",
        "What users did with mail",
        "Copies, moves and deletions that Dovecot's mail_log tells, by folder.",
        ("event", "from", "folder", "times", "users"),
        listed,
        total,
    )


def _simple(
    scan: Window, table: str, name: str, title: str, help_text: str, head: tuple[str, ...]
) -> Iterable[Listing]:
    coded = column(scan, table, name)
    if not len(coded):
        return
    by = groups(coded)
    listed, total = by.rows(by.count(), by.distinct(column(scan, table, "queue_id").codes))
    yield Listing(table, title, help_text, (*head, "times", "queue ids"), listed, total)


def _services(scan: Window) -> Iterable[Listing]:
    event = column(scan, "service_events", "event")
    if not len(event):
        return
    by = groups(event, column(scan, "service_events", "program"), folded(column(scan, "service_events", "text")))
    first, last = by.ends(number(scan, "service_events", "time"), scan.zone)
    listed, total = by.rows(by.count(), first, last)
    yield Listing(
        "services",
        "Services",
        "Starts, stops, reloads, warnings and errors of the services, by text (numbers folded).",
        ("event", "program", "text", "times", "first", "last"),
        listed,
        total,
    )


def _losses(scan: Window) -> Iterable[Listing]:
    event = column(scan, "losses", "event")
    if not len(event):
        return
    by = groups(event)
    lines = np.maximum(number(scan, "losses", "count"), 0)
    first, last = by.ends(number(scan, "losses", "time"), scan.zone)
    listed, total = by.rows(by.count(), by.total(lines), first, last)
    yield Listing(
        "losses",
        "Lines lost or folded",
        "What the logging system itself dropped (rate limits) or wrote as repeated: counts are too low by so much.",
        ("what", "times", "lines", "first", "last"),
        listed,
        total,
    )
