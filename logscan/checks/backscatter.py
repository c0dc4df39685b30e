"""Messages about undeliverable mail go to strangers: mail was taken from outside and returned later.

## What it finds
Mail from outside that this server took, then refused itself (no such user, or its filter said no), so that Postfix wrote to
whoever the mail says it is from. One finding a domain or filter.

## Why it matters
Spam has forged senders: the messages go to people who sent nothing. They complain, and lists such as backscatterer.org list the
server. And mail that is refused in the dialogue costs nothing, while this is queued and tried for days.

## What the log shows
`client=` of a host outside, then `status=bounced (… User unknown …)` or `said: 550 …` of the filter, then bounce's
`sender non-delivery notification: QUEUEID`, whose mail goes to another host. amavis says `BouncedInbound` of what it returns
itself.

## What to do
Have Postfix know who exists while the other side is still there: virtual_mailbox_maps or local_recipient_maps that hold all,
relay_recipient_maps for domains that another host keeps, or reject_unverified_recipient, which asks that host. Have a filter
behind the queue pass or quarantine what it takes for spam, or put it before the queue, as a milter.

## When it is wrong
Full mailboxes, outages and loops are other checks' and are passed over, and so is mail that was sent on to somebody else and
refused there. One mailbox that is gone isn't it either: it takes several addresses that don't exist, since somebody who tries
addresses hits many.

## When it is blind
When no mail came in from outside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.amounts import plural
from logscan.checking.check import Check
from logscan.checking.copies import lines_at, places, places_of
from logscan.checking.forwarded import forwarded
from logscan.checking.limits import limits
from logscan.findings import Finding, Remedy, Result, Severity
from logscan.scan.columns import column, joined, some_joined, values
from logscan.scan.mail_hashes import mail_hashes
from logscan.tables import cells
from logscan.tables.partials import Keyed, Part, Partial
from logscan.visible import visible

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]

NAME = "backscatter"
UNKNOWN, FILTER = "unknown-recipients", "filter-refuses"

NO_USER = re.compile(
    r"user unknown|unknown (?:user|recipient)|user does(?:n't| not) exist|no such (?:user|mailbox|recipient)"
    r"|recipient (?:not found|unknown)|mailbox (?:not found|unavailable)",
    re.IGNORECASE,
)
"""How mailbox servers and Postfix' own agents say that there is nobody (5.1.1 says it too)."""

NOT_MEANT = ("5.2.2", "4.2.2", "5.4.6")
"""Codes of full mailboxes and loops."""


@dataclass(frozen=True)
class Limits:
    """From what on it is more than a mailbox that is gone."""

    recipients: int = 3
    """Addresses of a domain that don't exist: one or two are people who left, whom others still write to."""
    refused_mails: int = 3
    """Mails that the filter refused after they were taken: a virus now and then is returned by some set-ups on purpose."""
    grave_mails: int = 20
    """Messages from which it is a problem: lists of such servers count them."""


def look(window: Window, settings: Settings) -> Partial:
    """Take messages about mail from outside that this server took and refused, with whom it refused."""
    from_outside = joined(window, "mails", "origin").is_in("outside")
    return Partial({"came": int(from_outside.sum()), **_returned(window), **_by_amavis(window)})


def _returned(window: Window) -> dict[str, Part]:
    bounces = np.flatnonzero(joined(window, "legs", "kind").is_in("bounce"))
    parent, child = values(window, "legs", "parent")[bounces], values(window, "legs", "child")[bounces]
    root = values(window, "entries", "root")[parent]
    wanted = joined(window, "entries", "origin").take(root).is_in("outside") & _of_failure(window, child)
    wanted &= ~some_joined(window, "entries", "sender", root).is_in("")
    told = np.zeros(len(window.entries) + 1, np.bool_)
    told[values(window, "deliveries", "entry")[values(window, "deliveries", "outside")]] = True
    wanted &= told[child]
    if not wanted.any():
        return {}
    of_parent = np.full(len(window.entries) + 1, -1, np.int64)
    of_parent[parent[wanted]] = child[wanted]
    entry = values(window, "deliveries", "entry")
    rows = np.flatnonzero((of_parent[entry] >= 0) & joined(window, "deliveries", "outcome").is_in("bounced"))
    rows = rows[~np.isin(rows, forwarded(window).row)]
    kind = _kinds(window, rows)
    rows, kind = rows[kind > 0], kind[kind > 0]
    return {"returned": _cases(window, rows, of_parent[entry[rows]], kind)} if len(rows) else {}


def _by_amavis(window: Window) -> dict[str, Part]:
    """Return mail from outside that amavis itself returned (D_BOUNCE): it makes the message, so that Postfix tells of none.

    Where it thinks better of it, for what is surely spam, it says NoBounce.
    """
    if not len(window.verdicts):
        return {}
    rows = np.flatnonzero(joined(window, "verdicts", "filter").is_in("amavis"))
    status = some_joined(window, "verdicts", "status", rows)
    rows = rows[status.having(lambda text: "BouncedInbound" in text.replace(" ", "").split(","))]
    rows = rows[~some_joined(window, "verdicts", "sender", rows).is_in("", "<>")]
    if not len(rows):
        return {}
    names = ("message_id", "queue_id", "recipients", "sender")
    message_id, queue_id, recipient, sender = (
        some_joined(window, "verdicts", name, rows).texts().fill_null("") for name in names
    )
    place = places_of(window.verdicts.iloc[rows])
    texts = {
        "message_id": message_id,
        "queue_id": queue_id,
        "recipient": pc.utf8_trim(recipient, "<>"),
        "domain": pa.array([""] * len(rows)),
        "relay": pa.array(["amavis"] * len(rows)),
        "sender": sender,
    }
    at = values(window, "verdicts", "time")[rows]
    numbers = {"kind": np.full(len(rows), 2), "mail": place, "place": place, "at": at}
    return {"by amavis": Keyed.of({**texts, **numbers}, least=("place", "at"))}


def _of_failure(window: Window, child: Ints) -> npt.NDArray[np.bool_]:
    """Return which messages say that mail failed, not that it is late, or that it arrived."""
    kind = column(window, "notifications", "kind")
    other = column(window, "notifications", "child_queue_id").take(~kind.having(lambda name: "non-delivery" in name))
    names = {other.values[code] for code in other.used().tolist()}
    return ~some_joined(window, "entries", "queue_id", child).having(lambda name: name in names)


def _kinds(window: Window, rows: Ints) -> Ints:
    """Return why each was refused: 1 there is no such user, 2 by a filter, 0 for any other reason."""
    dsn, reply, relay = (some_joined(window, "deliveries", name, rows) for name in ("dsn", "reply", "relay"))
    meant = ~dsn.is_in(*NOT_MEANT)
    nobody = dsn.is_in("5.1.1", "5.1.10") | reply.having(NO_USER.search)
    by_filter = relay.is_in(*window.facts.filter_relays)
    return np.select([meant & by_filter & ~nobody, meant & nobody], [2, 1], 0)


def _cases(window: Window, rows: Ints, child: Ints, kind: Ints) -> Keyed:
    entry = values(window, "deliveries", "entry")[rows]
    mail = values(window, "mails", "entry")[values(window, "deliveries", "mail")[rows]]
    recipient = some_joined(window, "deliveries", "recipient", rows)
    texts = {
        "message_id": some_joined(window, "entries", "message_id", entry),
        "queue_id": some_joined(window, "entries", "queue_id", child),
        "recipient": recipient,
        "domain": recipient.changed(lambda address: address.rpartition("@")[2].lower()),
        "relay": joined(window, "deliveries", "relay").take(rows),
        "sender": some_joined(window, "entries", "sender", mail),
    }
    return Keyed.of(
        {
            **{name: each.texts().fill_null("") for name, each in texts.items()},
            "kind": kind,
            "mail": mail_hashes(window, mail),
            "place": places(window)[rows],
            "at": values(window, "deliveries", "time")[rows],
        },
        least=("place", "at"),
    )


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding a domain whose users aren't known at the door, and one a filter."""
    bounds = limits(log, NAME, Limits)
    count = partial.count("came")
    result = Result(checked=count, eligible=count)
    if not count:
        result.blind_because.append("no mail came in from outside in these logs")
    parts = [partial.frame(name) for name in ("returned", "by amavis") if name in partial]
    if not parts:
        return result
    rows = pd.concat(parts, ignore_index=True).sort_values(["place", "recipient", "queue_id"], kind="stable")
    for domain, part in rows[rows["kind"] == 1].groupby("domain", sort=True):
        if part["recipient"].str.lower().nunique() >= bounds.recipients:
            result.findings.append(_finding(log, part, UNKNOWN, str(domain), bounds))
    for relay, part in rows[rows["kind"] == 2].groupby("relay", sort=True):
        if part["mail"].nunique() >= bounds.refused_mails:
            result.findings.append(_finding(log, part, FILTER, str(relay), bounds))
    return result


REMEDIES = {
    UNKNOWN: (
        "Let Postfix refuse unknown recipients while the other side is still connected. For mailboxes here: virtual_mailbox_maps "
        "(or local_recipient_maps) must hold every mailbox, without a catch-all. For a domain that another host keeps: "
        "relay_recipient_maps. Where no list can be had: reject_unverified_recipient in smtpd_recipient_restrictions behind "
        "reject_unauth_destination, with unverified_recipient_reject_code = 550; try it with warn_if_reject before it first."
    ),
    FILTER: (
        "A filter behind the queue must not refuse what Postfix has taken: let it pass tagged, or quarantine, what it takes for "
        "spam (amavis: $final_spam_destiny = D_PASS with a quarantine, never D_BOUNCE), or run it before the queue, as a milter "
        "or smtpd_proxy_filter, where a refusal reaches the host that sends."
    ),
}


def _finding(log: Log, part: pd.DataFrame, cause: str, subject: str, bounds: Limits) -> Finding:
    messages = part["queue_id"].nunique()
    mails, recipients = part["mail"].nunique(), len(part[["mail", "recipient"]].drop_duplicates())
    severity: Severity = "problem" if messages >= bounds.grave_mails else "warning"
    nobody = part["recipient"].str.lower().nunique()
    what = (
        f"for {plural(nobody, 'address', 'addresses')} of {visible(subject, 80)} that {'does' if nobody == 1 else 'do'}n’t exist"
        if cause == UNKNOWN
        else f"that the filter at {visible(subject, 80)} refused"
    )
    cases: list[dict[str, Any]] = [
        {
            "message_id": row.message_id,
            "recipient": row.recipient,
            "told": row.sender,
            "queue_id": row.queue_id,
            "time": cells.iso(cells.moment_of(row.at)),
        }
        for row in part.itertuples()
    ]
    return Finding(
        cause=cause,
        subject=subject,
        summary=f"{plural(messages, 'message')} went to outside about mail {what}: it was taken first, and returned then",
        severity=severity,
        confidence="high",
        count=len(cases),
        cases=cases,
        first=cells.moment_of(int(part["at"].min())),
        last=cells.moment_of(int(part["at"].max())),
        remedy=Remedy(REMEDIES[cause], key=f"backscatter:{cause}"),
        evidence=lines_at(log, part["place"].tolist()[:8]),
        mails=mails,
        recipients=recipients,
    )


CHECK = Check(
    NAME,
    "Strangers are told of mail that wasn’t delivered",
    look=look,
    conclude=conclude,
    causes=(UNKNOWN, FILTER),
    order=250,
    clear="What is taken from outside isn’t returned to strangers ({checked:mail|mails} looked at)",
    group="reputation",
    severity="problem",
    needs=("deliveries of Postfix", "notifications of its bounce daemon"),
    related=("mailbox-refused", "delivery-blocked", "forwards-spam"),
    limits=Limits,
)
