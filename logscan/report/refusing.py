"""What was refused, and what else was done at the door: refusals by reason, rules, connections, failed logins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from logscan.report.accounts import REFUSING, refused_rows
from logscan.report.model import Listing
from logscan.report.tallies import column, folded, groups, number

if TYPE_CHECKING:
    from logscan.scan.window import Window


def listings(scan: Window) -> Iterable[Listing]:
    """Return the lists of refusals and sessions."""
    yield _refused(scan)
    yield from _rules(scan)
    yield from _sessions(scan)


def _refused(scan: Window) -> Listing:
    """Return refusals by reason; its recipients add up to ``mails.rejected``."""
    action = column(scan, "rejects", "action")
    rows = np.flatnonzero(action.is_in(*REFUSING))
    recipient = np.zeros(len(action), np.bool_)
    recipient[refused_rows(scan)] = True
    reason, client = folded(column(scan, "rejects", "text").take(rows)), column(scan, "rejects", "client_address")
    by = groups(reason, column(scan, "rejects", "stage").take(rows), column(scan, "rejects", "code").take(rows))
    first, last = by.ends(number(scan, "rejects", "time")[rows], scan.zone)
    listed, total = by.rows(by.count(), by.count(recipient[rows]), by.distinct(client.codes[rows]), first, last)
    return Listing(
        "rejects",
        "Refused",
        "Commands and mails refused before the queue, by reason (numbers and addresses folded). The recipients add up "
        "to those rejected in all.",
        ("reason", "stage", "code", "times", "recipients", "clients", "first", "last"),
        listed,
        total,
    )


def _rules(scan: Window) -> Iterable[Listing]:
    """Return what rules and milters did other than refuse."""
    action = column(scan, "rejects", "action")
    rows = np.flatnonzero(~action.is_in(*REFUSING) & (action.codes >= 0))
    if not len(rows):
        return
    by = groups(action.take(rows), folded(column(scan, "rejects", "text").take(rows)))
    listed, total = by.rows(by.count(), by.distinct(column(scan, "rejects", "client_address").codes[rows]))
    yield Listing(
        "rules",
        "Rules and milters acted",
        "Mail that was warned about, held, discarded, redirected or passed on by a rule, by action and reason.",
        ("action", "reason", "times", "clients"),
        listed,
        total,
    )


def _sessions(scan: Window) -> Iterable[Listing]:
    event = column(scan, "sessions", "event")
    if not len(event):
        return
    address = column(scan, "sessions", "client_address")
    by = groups(column(scan, "sessions", "program"), event)
    listed, total = by.rows(by.count(), by.distinct(address.codes))
    yield Listing(
        "sessions",
        "SMTP sessions",
        "What happened in SMTP sessions, by program: smtpd's are with clients, smtp's with hosts that mail goes to.",
        ("program", "event", "times", "hosts"),
        listed,
        total,
    )
    failed = np.flatnonzero(event.is_in("auth failed"))
    if len(failed):
        by = groups(address.take(failed))
        user = column(scan, "sessions", "sasl_username")
        first, last = by.ends(number(scan, "sessions", "time")[failed], scan.zone)
        listed, total = by.rows(by.count(), by.distinct(user.codes[failed]), first, last)
        yield Listing(
            "failed-logins",
            "Failed SMTP logins",
            "Addresses from which logins to send mail failed.",
            ("client", "failed", "users tried", "first", "last"),
            listed,
            total,
        )
