"""What was refused, here and by other hosts, and what else was done at the door: rules, connections, failed logins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from logscan.checking.providers import provider
from logscan.checking.refused import refused
from logscan.report import by_key
from logscan.report.accounts import REFUSING, refusals
from logscan.report.by_key import ByKey, once
from logscan.report.model import Listing
from logscan.report.tallies import folded
from logscan.scan.columns import column, joined, number, values
from logscan.tables.grouping import combine

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.tables.partials import Part, Partial

MOST_SHOWN = 200
"""Characters of another host's reply that a list shows."""

REFUSED = ByKey(
    "rejects",
    "Refused",
    "Commands and mails refused before the queue, by reason (numbers and addresses folded). The recipients add up "
    "to those rejected in all.",
    by=("reason", "stage", "code"),
    numbers=("times", "recipients", "clients", "first", "last"),
)
RULES = ByKey(
    "rules",
    "Rules and milters acted",
    "Mail that was warned about, held, discarded, redirected or passed on by a rule, by action and reason.",
    by=("action", "reason"),
    numbers=("times", "clients"),
)
SESSIONS = ByKey(
    "sessions",
    "SMTP sessions",
    "What happened in SMTP sessions, by program: smtpd's are with clients, smtp's with hosts that mail goes to.",
    by=("program", "event"),
    numbers=("times", "hosts"),
)
FAILED_LOGINS = ByKey(
    "failed-logins",
    "Failed SMTP logins",
    "Addresses from which logins to send mail failed.",
    by=("client",),
    numbers=("failed", "users tried", "first", "last"),
)
ELSEWHERE = ByKey(
    "refused-elsewhere",
    "Refused by other hosts",
    "Attempts to deliver that another host refused or put off, by the cause that its reply tells, by who runs the host, and by "
    "the reply (codes, addresses and numbers left out). Unknown are replies that no rule knows.",
    by=("cause", "provider", "reply"),
    numbers=("attempts", "recipients", "first", "last"),
)


def look(window: Window) -> dict[str, Part]:
    """Return what a window counts for the lists of refusals and sessions."""
    return {**_elsewhere(window), **_rejects(window), **_sessions(window)}


def listings(partial: Partial, log: Log) -> Iterable[Listing]:
    """Return the lists of refusals and sessions."""
    return by_key.listings((ELSEWHERE, REFUSED, RULES, SESSIONS, FAILED_LOGINS), partial, log.zone)


def _elsewhere(window: Window) -> dict[str, Part]:
    """Count what other hosts refused, by cause, provider and reply."""
    found = refused(window)
    columns = (
        found.why.changed(lambda why: why.cause),
        found.host.changed(provider),
        found.why.changed(lambda why: why.text[:MOST_SHOWN]),
    )
    recipient = joined(window, "deliveries", "recipient").take(found.row).codes
    recipients = once(columns, combine(values(window, "deliveries", "mail")[found.row], recipient))
    times = values(window, "deliveries", "time")[found.row]
    return ELSEWHERE.look(columns, {"attempts": None, "recipients": recipients}, times=times)


def _rejects(window: Window) -> dict[str, Part]:
    """Count refusals by reason (their recipients add up to ``mails.rejected``), and what rules did other than refuse."""
    if not len(window.tables["rejects"]):
        return {}
    action, text, stage, code, client = (
        column(window, "rejects", name) for name in ("action", "text", "stage", "code", "client_address")
    )
    recipient = np.zeros(len(action), np.bool_)
    recipient[refusals(window).rows] = True
    turned_away = action.is_in(*REFUSING)
    refused, other = np.flatnonzero(turned_away), np.flatnonzero(~turned_away & (action.codes >= 0))
    return {
        **REFUSED.look(
            (folded(text.take(refused)), stage.take(refused), code.take(refused)),
            {"times": None, "recipients": recipient[refused]},
            {"clients": client.take(refused)},
            number(window, "rejects", "time")[refused],
        ),
        **RULES.look((action.take(other), folded(text.take(other))), {"times": None}, {"clients": client.take(other)}),
    }


def _sessions(window: Window) -> dict[str, Part]:
    if not len(window.tables["sessions"]):
        return {}
    event, address = column(window, "sessions", "event"), column(window, "sessions", "client_address")
    failed = np.flatnonzero(event.is_in("auth failed"))
    user = column(window, "sessions", "sasl_username").take(failed)
    return {
        **SESSIONS.look((column(window, "sessions", "program"), event), {"times": None}, {"hosts": address}),
        **FAILED_LOGINS.look(
            (address.take(failed),),
            {"failed": None},
            {"users tried": user},
            number(window, "sessions", "time")[failed],
        ),
    }
