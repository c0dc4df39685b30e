"""What went wrong by the numbers alone, though no check judges it: with one of these a report is not all clear."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from logscan.amounts import percent, plural
from logscan.report.accounts import ENDS, Ends
from logscan.report.deferrals import PutOff, own_services
from logscan.report.tallies import Coded, column, groups, ns, number, of
from logscan.visible import visible

if TYPE_CHECKING:
    from logscan.checking.outage import Outage
    from logscan.scan.window import Window

KINDS = {
    "filter": "the filter",
    "re-injection": "the filter's way back",
    "mailbox": "the mailbox server",
    "milter": "a milter",
    "service": "a service of this host",
}

MANY_PUT_OFF, SHARE_PUT_OFF = 10, 0.05
"""Mails put off, and their share of all, from which the deferrals are more than greylisting and a few dead hosts."""

LOOPS = ("too many hops", "mail forwarding loop", "loops back to myself")
"""What Postfix says of mail that comes again and again (cleanup, local, smtp)."""

BUSY_MAILS, BUSY_NETWORKS = 40, 4
"""Mails that one account hands in within a day, and networks that it does so from, that make one wonder who it is."""

MANY_FAILED = 50
"""Failed logins: a user with a wrong password makes fewer."""

MANY_REFUSED = 3
"""Recipients elsewhere whose hosts refuse this server for policy: one mail may just look like spam."""

REFUSED = re.compile(r"(?: said|refused to talk to me): 5\d\d[ -](?P<dsn>5\.7\.\d+)?")
"""The other side refuses for good, in Postfix's words (smtp_trouble.c, smtp_proto.c); X.7.X is policy (RFC 3463)."""

POLICY = re.compile(
    r"\b(?:policy|block(?:ed|list)|black-?list(?:ed)?|deny-?list|reputation|unsolicited|spam|spf|dkim|dmarc|banned)\b",
    re.I,
)
ABOUT_RECIPIENT = re.compile(
    r"\b(?:relay(?:ing)?\b.{0,20}\bdenied|unable to relay|not permitted to relay|user unknown)\b", re.I
)
"""X.7.1 is also what servers say of recipients that aren't theirs."""

MANY_BOUNCED, SHARE_BOUNCED = 5, 0.05
"""Recipients that bounced, and their share of all, from which they are more than a few wrong addresses."""

FULL = re.compile(r"\b[45]\.2\.2\b|\bquota exceeded|\bover ?quota|mailbox (?:for user )?is full|mailbox full", re.I)
"""A full mailbox (X.2.2, RFC 3463; Dovecot, Postfix virtual)."""

LONG_WAIT = 600.0
"""Seconds that mail may wait for a service of this host."""

ENOUGH = 300 * 10**9
"""Nanoseconds that the log must go on after a mail went into the filter."""


def concerns(scan: Window, late: PutOff, outages: Sequence[Outage], found: Ends) -> list[str]:
    """Return short sentences' halves that go on behind "but": ``46 attempts for 20 mails were put off``."""
    said = [
        _outages(outages),
        _put_off(scan, late),
        _lost_in_filter(scan, found),
        _waited(scan, late, outages),
        _bounced(scan),
        _full(scan),
        _refused_elsewhere(scan),
        _loops(scan),
        _busy_account(scan),
        _failed_logins(scan),
        _unfiltered(scan),
        _lost_lines(scan),
    ]
    return [each for each in said if each]


def _outages(outages: Sequence[Outage]) -> str:
    if not outages:
        return ""
    kinds = Counter(KINDS.get(each.kind, each.kind) for each in outages)
    return (
        "there were " * (len(outages) > 1)
        + "there was " * (len(outages) == 1)
        + " and ".join(f"{plural(count, 'outage')} of {name}" for name, count in sorted(kinds.items()))
    )


def _put_off(scan: Window, late: PutOff) -> str:
    mails, every = len(np.unique(late.mail)), len(scan.mails)
    if mails < MANY_PUT_OFF or mails < SHARE_PUT_OFF * every:
        return ""
    return f"{plural(mails, 'mail')} of {every:,} ({percent(mails / every)}) were put off, {len(late.rows):,} attempts in all"


def _lost_in_filter(scan: Window, found: Ends) -> str:
    """Return how many recipients' mail was handed to a filter and isn't seen again, though the log goes on."""
    lost = (found.kind == ENDS.index("open")) & (found.via >= 0)
    if not lost.any():
        return ""
    ended = ns(scan.entries["last"])
    lost &= ended[found.entry] + ENOUGH < ended.max()
    recipients, mails = int(found.weight[lost].sum()), len(np.unique(found.mail[lost]))
    if not recipients:
        return ""
    return f"{plural(mails, 'mail')} to {plural(recipients, 'recipient')} went into the filter and came out nowhere"


def _refused_elsewhere(scan: Window) -> str:
    deliveries = scan.deliveries
    rows = deliveries["last"] & deliveries["outside"] & (deliveries["mail"] >= 0) & ~deliveries["final"]
    rows &= deliveries["outcome"].isin(["bounced", "expired", "deferred"])
    count = int(of(deliveries.loc[rows, "reply"]).having(_for_policy).sum())
    return (
        f"{plural(count, 'recipient')} elsewhere refused this server’s mail for policy" if count >= MANY_REFUSED else ""
    )


def _for_policy(reply: str) -> bool:
    """Return whether the other side refuses for good, and names its policy: not greylisting, not this server's own rules."""
    found = REFUSED.search(reply)
    if not found:
        return False
    rest = reply[found.end() :]
    return not ABOUT_RECIPIENT.search(rest) and bool(found["dsn"] or POLICY.search(rest))


def _waited(scan: Window, late: PutOff, outages: Sequence[Outage]) -> str:
    """Return whose mail waited long for a service of this server; an outage says it itself."""
    if outages or not len(late.rows):
        return ""
    code = np.unique(late.recipient[own_services(late)])
    code = code[late.waited[code] >= LONG_WAIT]
    if not len(code):
        return ""
    return (
        f"mail to {plural(len(code), 'recipient')} waited up to {plural(round(late.waited[code].max() / 60), 'minute')} for "
        "this server’s own services"
    )


def _bounced(scan: Window) -> str:
    mails = scan.mails
    count, every = int((mails["bounced"] + mails["expired"]).sum()), int(mails["recipients"].sum())
    if count < MANY_BOUNCED or count < SHARE_BOUNCED * every:
        return ""
    return f"{plural(count, 'recipient')} of {every:,} ({percent(count / every)}) bounced or expired"


def _full(scan: Window) -> str:
    """Return how many mailboxes here take no mail because they are full."""
    deliveries = scan.deliveries
    rows = ~deliveries["outside"] & (deliveries["mail"] >= 0) & ~deliveries["final"]
    rows &= deliveries["outcome"].isin(["bounced", "expired", "deferred"])
    some = deliveries[rows]
    full = of(some["reply"]).having(lambda reply: bool(FULL.search(reply)))
    count = len(np.unique(of(some["mailbox"]).codes[full]))
    return (
        f"{plural(count, 'mailbox', 'mailboxes')} here {'is' if count == 1 else 'are'} full and refused mail"
        if count
        else ""
    )


def _loops(scan: Window) -> str:
    deliveries = scan.deliveries
    some = deliveries[deliveries["last"] & (deliveries["mail"] >= 0) & ~deliveries["final"]]
    count = int(of(some["reply"]).having(lambda value: any(word in value for word in LOOPS)).sum())
    return f"the mail of {plural(count, 'recipient')} went in a loop" if count else ""


def _busy_account(scan: Window) -> str:
    """Return the account that handed in much within a day, from many networks (of /24 and /48)."""
    mails = scan.mails
    rows = np.flatnonzero(mails["sasl_username"].notna().to_numpy())
    if len(rows) < BUSY_MAILS:
        return ""
    user = of(mails["sasl_username"]).take(rows)
    network = of(mails["client_address"]).take(rows).changed(_network)
    days = ns(mails["first"])[rows] // (24 * 3600 * 10**9)
    by = groups(user, Coded(days - days.min(), range(int(days.max() - days.min()) + 1)))
    count, networks = by.count(), by.distinct(network.codes)
    wild = np.flatnonzero((count >= BUSY_MAILS) & (networks >= BUSY_NETWORKS))
    if not len(wild):
        return ""
    worst = int(wild[np.argmax(networks[wild])])
    name = visible(by.name(worst)[0], 100)
    return f"{name} handed in {plural(int(count[worst]), 'mail')} within a day, from {networks[worst]} networks"


def _network(address: str) -> str:
    """Return the first three numbers of an IPv4 address, the first three groups of an IPv6 one."""
    return ":".join(address.split(":")[:3]) if ":" in address else address.rpartition(".")[0]


def _failed_logins(scan: Window) -> str:
    count = int(column(scan, "sessions", "event").is_in("auth failed").sum())
    count += int(column(scan, "logins", "event").is_in("failed").sum())
    return f"{plural(count, 'login')} failed" if count >= MANY_FAILED else ""


def _unfiltered(scan: Window) -> str:
    kind = column(scan, "filter_errors", "kind")
    words = [(name, int(kind.is_in(name).sum())) for name in ("delivered unfiltered", "crash")]
    parts = [f"{count:,} times {name}" for name, count in words if count]
    return f"the filter reports trouble ({', '.join(parts)})" if parts else ""


def _lost_lines(scan: Window) -> str:
    event = column(scan, "losses", "event")
    lost = event.is_in("lost")
    if not lost.any():
        return ""
    lines = int(np.maximum(number(scan, "losses", "count")[lost], 0).sum())
    return f"the logging system lost {plural(lines, 'line')}" if lines else "the logging system lost lines"
