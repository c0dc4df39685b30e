"""A provider refuses mail of this server.

## What it finds
Providers whose hosts refuse, or put off, mail because of this server: its address is on a block list or unknown to them, its
name doesn't fit, the mail of its own domains isn't authenticated, too much comes at a time, or it is taken for spam. One
finding a provider and cause, with the reply, since when, and whether it takes mail again.

## Why it matters
Everyone at that provider is out of reach, and each sender sees one returned mail only. Lists are shared: one provider is often
the first of several.

## What the log shows
Delivery lines with what the other host said: `host mx.example.net[192.0.2.1] said: 554 5.7.1 Service unavailable; Client host
[198.51.100.5] blocked using …` (status=bounced), or `refused to talk to me: 554 …`, which Postfix defers and tries again for
days. The cause is read from the reply: its codes, and texts of server programs and known providers.

## What to do
By cause, in each finding. For a block list: stop what made it list the address, then ask for removal where the reply says. For
names: the PTR must be the name in myhostname, and that name must have this address. For authentication: SPF, DKIM and DMARC of
the sender's domain.

## When it is wrong
Full mailboxes, unknown recipients, greylisting, mails that are too big and trouble of the other side are no blocks and are
passed over; so are a few mails that were refused for their content or put off once, mail in the name of domains that aren't
this server's, and mail that is forwarded from outside (forwarder-refused). One small host with a list of its own is named too;
how many mails it is about is said. A provider that takes more since the last refusal than chance would have it is told as mended,
and doesn't count.

## When it is blind
When no other host answered. When all mail leaves by one relay, what providers say stands in the relay's log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from logscan.amounts import plural
from logscan.checking.blocked import course_of, finding
from logscan.checking.check import Check
from logscan.checking.limits import limits
from logscan.checking.providers import (
    TAKEN,
    TEXTS,
    Answers,
    Replies,
    alike,
    answered,
    kept,
    named,
    replies_of,
    taken_at,
)
from logscan.checking.refusal_texts import AUTHENTICATION
from logscan.checking.refused import Refused, refused, taken
from logscan.findings import Confidence, Result, Severity
from logscan.scan.columns import joined, values
from logscan.tables.coded import Coded
from logscan.tables.grouping import numbered
from logscan.tables.partials import Keyed, Part, Partial

Ints = npt.NDArray[np.int64]

if TYPE_CHECKING:
    import pandas as pd

    from logscan.checking.providers import Course
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

NAME = "delivery-blocked"

SURE = ("ip-listed", "new-ip", "no-ptr", "ipv6-no-ptr", "helo", "tls", "login-required")
"""Causes that are this server's whoever sends."""

MINE = ("domain-listed", *AUTHENTICATION, "sender-rejected", "content", "policy-unknown", "rate")
"""Causes that depend on the mail: those of mail that others sent, and that is forwarded, are forwarder-refused's."""


@dataclass(frozen=True)
class Limits:
    """From what on a refusal is a block."""

    grave_mails: int = 2
    """Mails refused because of this server from which it is a problem: one may be a single host's whim."""
    own_mails: int = 2
    """Mails of a domain of this server that fail authentication; one may be a program with a wrong sender."""
    put_off_mails: int = 3
    """Mails that a provider puts off for their rate: single 421s happen to everybody."""
    policy_mails: int = 3
    """Mails refused without a reason that is known, and nothing taken in between: one may have been odd."""
    content_mails: int = 5
    """Mails taken for spam: a mail or two are those mails' trouble."""
    content_share: float = 0.5
    """Share of a provider's mail in that time that must be taken for spam: filters are wrong now and then."""
    relayed_domains: int = 5
    """Domains of recipients behind one host from which it is a relay, and no provider."""


def look(window: Window, settings: Settings) -> Partial:
    """Take what other hosts refused because of this server, and when each of them took mail."""
    some = _about_us(window, refused(window))
    return Partial(
        {
            **answered(window),
            TAKEN: taken_at(window),
            **_hosts(window),
            **_refusals(window, some),
        }
    )


def _about_us(window: Window, found: Refused) -> Refused:
    """Return the refusals that are about this server, not about a recipient or the other side."""
    some = found.take(found.having(*SURE, *MINE))
    if not len(some.row):
        return some
    mail = values(window, "deliveries", "mail")[some.row]
    forwarded = joined(window, "mails", "origin").take(mail).is_in("outside")
    return some.take(some.having(*SURE) | ~forwarded)


def _refusals(window: Window, some: Refused) -> dict[str, Part]:
    if not len(some.row):
        return {}
    mail = values(window, "deliveries", "mail")[some.row]
    sender = joined(window, "mails", "sender").take(mail)
    address = joined(window, "mails", "client_address").take(mail)
    flags = {
        "own": _own(window, mail, sender),
        "null": sender.is_in(""),
        "theirs": _theirs(some, [address.values[code] if code >= 0 else "" for code in address.codes.tolist()]),
    }
    return {"refused": kept(window, some, flags), TEXTS: replies_of(window, some)}


def _own(window: Window, mail: Ints, sender: Coded) -> npt.NDArray[np.bool_]:
    """Return whose sender is this server's affair: of a domain that mail is stored for here, or that its login is of.

    Whatever a program of this host sends is; and where no mail is stored at all, as on a server that only sends, all is.
    """
    local = window.correlated.local_domains
    domain = sender.changed(_domain_of)
    login = joined(window, "mails", "sasl_username").take(mail).changed(_domain_of)
    same: npt.NDArray[np.bool_] = (domain.hashed() == login.hashed()) & (domain.codes >= 0)
    same |= joined(window, "mails", "origin").take(mail).is_in("local")
    same |= domain.having(lambda name: not local or name in local)
    return same


def _domain_of(address: str) -> str | None:
    return address.rpartition("@")[2].lower() if "@" in address else None


def _theirs(some: Refused, clients: list[str]) -> npt.NDArray[np.bool_]:
    """Return which replies name an address that stands in the mail: another's, or where the mail was handed in from."""
    why = [some.why.values[code] for code in some.why.codes.tolist()]
    return np.array(
        [
            each.whose == "message" or (each.whose != "ours" and each.address != "" and each.address == client)
            for each, client in zip(why, clients, strict=True)
        ],
        np.bool_,
    )


def _hosts(window: Window) -> dict[str, Part]:
    """Return which hosts took mail, and for which domains where that is one alone: then it may be a relay.

    A window in which several took mail tells that there is none, whatever the domains of the others. Hosts that differ in
    their numbers only are one; a provider's customers have hosts of their own names (Microsoft), or one for all (Google).
    """
    found = taken(window)
    who = found.host.changed(alike)
    once = Keyed.of({"host": who.take(_firsts(who)).texts()})
    if len(once) != 1:
        return {"hosts": once}
    domain = joined(window, "deliveries", "recipient").take(found.row).changed(lambda to: to.rpartition("@")[2].lower())
    return {"hosts": once, "domains": Keyed.of({"domain": domain.take(_firsts(domain)).texts().fill_null("")})}


def _firsts(column: Coded) -> Ints:
    """Return a row of each value."""
    return numbered(column.codes)[1]


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding a provider and cause."""
    bounds = limits(log, NAME, Limits)
    count = partial.count("answered")
    result = Result(checked=count, eligible=count)
    _blind(partial, log.settings, bounds, result)
    if "refused" not in partial:
        return result
    rows = partial.frame("refused")
    listed = (rows["theirs"] > 0) & (rows["cause"] == "ip-listed")
    rows = named(rows.assign(said=rows["cause"], cause=np.where(listed, "content", rows["cause"])))
    replies, answers = Replies.of(partial), Answers.of(partial)
    several = rows["server"].nunique() > 1
    for (name, server, cause), part in rows.groupby(["provider", "server", "cause"], sort=True):
        went = course_of(part, answers)
        severity = _severity(part, str(cause), went, bounds)
        if severity is None:
            continue
        subject = f"{name} (from {server})" if several else str(name)
        sure: Confidence = "high" if len(part) >= bounds.grave_mails and cause != "policy-unknown" else "medium"
        told = replies.to(part)
        result.findings.append(finding(log, part, told, went, subject=subject, severity=severity, confidence=sure))
    return result


def _severity(part: pd.DataFrame, cause: str, went: Course, bounds: Limits) -> Severity | None:
    """Return how grave it is; None where it is too little to be a block.

    Mail with an empty sender is a notification, for instance to whoever forged a mail: whoever gets it could say anything.
    """
    some = part[part["null"] == 0]
    mails = some["mail"].nunique()
    if cause in SURE:
        return None if not mails else "problem" if mails >= bounds.grave_mails else "warning"
    if cause in ("domain-listed", "sender-rejected", *AUTHENTICATION):
        own = some[some["own"] > 0]["mail"].nunique()
        return "problem" if own >= bounds.own_mails else None
    if cause == "rate":
        return "warning" if mails >= bounds.put_off_mails else None
    if cause == "content":
        share = len(part) / (len(part) + went.between)
        return "warning" if mails >= bounds.content_mails and share >= bounds.content_share else None
    people = some["recipient"].nunique()
    return "warning" if mails >= bounds.policy_mails and people > 1 and not went.between else None


RELAYING = (
    "relayhost",
    "default_transport",
    "transport_maps",
    "sender_dependent_relayhost_maps",
    "smtp_fallback_relay",
)
"""Parameters by which mail for outside goes to a relay."""


def _blind(partial: Partial, settings: Settings, bounds: Limits, result: Result) -> None:
    """Say why nothing can be told of providers: no host answered, or all mail leaves by a relay."""
    if not result.checked:
        result.blind_because.append("no other host took or refused a mail in these logs")
        return
    if settings.known("postfix") and not any(settings.postfix.get(name) for name in RELAYING):
        return
    hosts = partial.frame("hosts")["host"]
    domains = len(partial.frame("domains")) if "domains" in partial else 0
    if len(hosts) == 1 and domains >= bounds.relayed_domains:
        result.blind_because.append(
            f"all mail for outside leaves by {hosts.iloc[0]}, for {plural(domains, 'domain')}: what providers say to it stands "
            "in the log of that relay"
        )


CHECK = Check(
    NAME,
    "A provider refuses mail of this server",
    look=look,
    conclude=conclude,
    causes=(*SURE, *MINE),
    order=205,
    clear="No provider refuses mail of this server ({checked:answer|answers} of other hosts looked at)",
    group="reputation",
    severity="problem",
    needs=("deliveries of Postfix to other hosts",),
    related=("forwarder-refused", "ipv6-broken", "port-25-shut", "outgoing-tagged-spam"),
    limits=Limits,
)
