"""Mail that is forwarded from here is refused where it goes.

## What it finds
Mail from outside that an alias, a user's script or a list of this server sends on to another provider, and that is refused or
put off there for what forwarding does to it: SPF, DKIM or DMARC of its author fails, it is taken for spam, or too much of it
comes. One finding a provider and cause, with the addresses that send it on.

## Why it matters
Who reads mail there only doesn't get it, and the author gets a message about an address that they never wrote to. The provider
takes this server for the sender, and may block all of its mail.

## What the log shows
Deliveries with `orig_to=` of an address here, or of mail that Dovecot's Sieve sent on (`forwarded to`), whose reply names SPF,
DKIM, DMARC, spam or a rate: `said: 550 5.7.26 Unauthenticated email from … is not accepted due to domain's DMARC policy`.

## What to do
SPF: have the sender rewritten to a domain of this server (postsrsd). DKIM and DMARC: send the mail on unchanged, without
footers or marks in its subject; a list puts its own address into From. Spam: don't send on what the filter tagged. Best of all:
let the reader's provider fetch the mail, or forward no more.

## When it is wrong
A forged mail is rightly refused by DMARC: mail that this server's own filter tagged, or that OpenDMARC saw fail at the
door, is passed over for these causes. So are single mails. What a reply says of this server's
address is delivery-blocked's, whoever wrote the mail.

## When it is blind
When no mail was sent on to outside, or no other host answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from logscan.amounts import plural
from logscan.checking import evidence as ev
from logscan.checking.blocked import clock, course_of, span
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.forwarded import Forwarded, forwarded
from logscan.checking.limits import limits
from logscan.checking.providers import (
    TAKEN,
    TEXTS,
    Answers,
    Replies,
    kept,
    named,
    places_of_hosts,
    replies_of,
    servers,
)
from logscan.checking.refusal_texts import AUTHENTICATION, IN_WORDS
from logscan.checking.refused import Refused, refused, taken
from logscan.findings import Finding, Remedy, Result
from logscan.scan.columns import column, some_joined, values
from logscan.tables import cells
from logscan.tables.partials import Part, Partial, Points
from logscan.visible import visible

if TYPE_CHECKING:
    import pandas as pd

    from logscan.checking.providers import Course
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

NAME = "forwarder-refused"
CAUSES = (*AUTHENTICATION, "content", "rate", "domain-listed", "policy-unknown")

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Limits:
    """From what on it isn't a single mail's trouble."""

    unauthenticated_mails: int = 2
    """Mails that fail SPF, DKIM or DMARC there: the next of such an author fails too, but one may have been forged."""
    other_mails: int = 3
    """Mails that are refused for anything else: filters are wrong now and then, and a single 421 happens to everybody."""


def look(window: Window, settings: Settings) -> Partial:
    """Take what other hosts said of mail that was sent on to them, and when they took such mail."""
    sent_on = forwarded(window)
    if not len(sent_on.row):
        return Partial({"answered": 0})
    found, went = refused(window), taken(window)
    mine = np.isin(went.row, sent_on.row)
    some = found.take(np.isin(found.row, sent_on.row))
    key = places_of_hosts(servers(window, went.row[mine]), went.host.take(mine))
    return Partial(
        {
            "answered": int(mine.sum()) + len(some.row),
            TAKEN: Points.of({"key": key, "at": values(window, "deliveries", "time")[went.row[mine]]}),
            **_refusals(window, some.take(some.having(*CAUSES)), sent_on),
        }
    )


def _refusals(window: Window, some: Refused, sent_on: Forwarded) -> dict[str, Part]:
    if not len(some.row):
        return {}
    place = np.searchsorted(sent_on.row, some.row)
    sent_on = sent_on.take(place)
    sender = some_joined(window, "entries", "sender", values(window, "deliveries", "entry")[some.row])
    flags = {
        "rewritten": sender.having(lambda text: text.upper().startswith(("SRS0", "SRS1"))),
        "bad": _failed_here(window, some, sent_on),
        "null": sender.is_in(""),
    }
    by = {"source": sent_on.source.texts().fill_null(""), "way": sent_on.way.texts()}
    return {
        "refused": kept(window, some, flags, by),
        TEXTS: replies_of(window, some),
    }


def _failed_here(window: Window, some: Refused, sent_on: Forwarded) -> Bools:
    """Return which mails were bad as they came in: tagged by the filter, or failing DMARC at the door."""
    mail = values(window, "deliveries", "mail")[some.row]
    spam = values(window, "deliveries", "spam")
    out: Bools = spam[some.row] | spam[sent_on.over]
    if not len(window.tables["milters"]):
        return out
    failed = column(window, "milters", "filter").is_in("opendmarc") & column(window, "milters", "result").is_in("fail")
    bad = column(window, "milters", "queue_id").take(failed)
    names = {str(bad.values[code]) for code in bad.used().tolist()}
    first = values(window, "mails", "entry")[mail]
    out |= some_joined(window, "entries", "queue_id", first).having(lambda name: name in names)
    return out


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding a provider and cause."""
    bounds = limits(log, NAME, Limits)
    count = partial.count("answered")
    result = Result(checked=count, eligible=count)
    if not count:
        result.blind_because.append(
            "no mail from outside that an alias, a script or a list sends on to outside was answered in these logs"
        )
    if "refused" not in partial:
        return result
    rows = partial.frame("refused")
    rows = rows[(rows["bad"] == 0) | ~rows["cause"].isin(AUTHENTICATION)]
    rows = named(rows.assign(said=rows["cause"]))
    answers, replies = Answers.of(partial), Replies.of(partial)
    several = rows["server"].nunique() > 1
    for (name, server, cause), part in rows.groupby(["provider", "server", "cause"], sort=True):
        subject = f"{name} (from {server})" if several else str(name)
        least = bounds.unauthenticated_mails if cause in AUTHENTICATION else bounds.other_mails
        if part[part["null"] == 0]["mail"].nunique() >= least:
            result.findings.append(_finding(log, part, replies.to(part), answers, subject))
    return result


def _finding(log: Log, part: pd.DataFrame, replies: list[tuple[int, str]], answers: Answers, subject: str) -> Finding:
    cause = str(part["cause"].iloc[0])
    part = part.sort_values(["first", "queue_id", "recipient"], kind="stable")
    went = course_of(part, answers)
    reply = replies[0][1] if replies else ""
    mended = went.ended is not None
    cases = [
        {
            "message_id": row.message_id,
            "recipient": row.recipient,
            "forwarded_by": row.source,
            "queue_id": row.queue_id,
            "time": cells.iso(cells.moment_of(row.first)),
            "reply": reply,
        }
        for row in part.itertuples()
    ]
    return Finding(
        cause=cause,
        subject=subject,
        summary=_summary(log, part, went, subject),
        severity="warning",
        confidence="high" if (part["rewritten"] == 0).all() and cause != "policy-unknown" else "medium",
        count=len(cases),
        cases=cases,
        first=cells.moment_of(span(part)[0]),
        last=cells.moment_of(span(part)[1]),
        state="mended" if mended else "active",
        remedy=None if mended else _remedy(cause, part),
        evidence=lines_at(log, [place for place, _ in replies]),
        why=f"Its reply: {visible(reply, 300)}" if reply else "",
        mails=part["mail"].nunique(),
        recipients=len(part[["mail", "recipient"]].drop_duplicates()),
    )


def _summary(log: Log, part: pd.DataFrame, went: Course, subject: str) -> str:
    cause = str(part["cause"].iloc[0])
    sources = sorted(set(part["source"]))
    named = ", ".join(visible(each, 80) for each in sources[:3]) + (" …" if len(sources) > 3 else "")
    recipients = len(part[["mail", "recipient"]].drop_duplicates())
    said = (
        f"{subject} {'put off' if cause == 'rate' else 'refused'} {ev.mails(part['mail'].nunique(), recipients)} that "
        f"{named} {'sends' if len(sources) == 1 else 'send'} on: {IN_WORDS[cause]}"
    )
    if went.ended is not None:
        return f"{said}; it takes such mail again since {clock(went.ended, log)}"
    if went.between or went.after:
        said += f"; it took {plural(went.between + went.after, 'mail')} sent on to it meanwhile"
    return said


REWRITE = (
    "Mail that is sent on keeps its author's address as envelope sender, and SPF of that domain doesn't allow this server. Have "
    "it rewritten: install postsrsd, and set in main.cf sender_canonical_maps and recipient_canonical_maps as its README says "
    "(sender_canonical_classes = envelope_sender), then postfix reload."
)
UNCHANGED = (
    "DMARC passes for forwarded mail only by its author's DKIM signature: change neither its body nor its headers on the way (no "
    "footer, no mark in the subject, no attachment taken off). A list puts its own address into From (Mailman: "
    "dmarc_moderation_action). If its author doesn't sign, nothing here helps: let the reader's provider fetch the mail."
)
REMEDIES = {
    "dkim": UNCHANGED,
    "dmarc": UNCHANGED,
    "content": (
        "Don't send on what the filter tags as spam: a condition on its header before redirect in the Sieve script; an alias to "
        "outside can't tell: make it a mailbox with such a script."
    ),
    "rate": "Don't send on what the filter tags as spam, and fewer lists; Postfix tries again by itself.",
    "domain-listed": "The author's domain is on a list: don't send on what the filter tags as spam.",
    "policy-unknown": "The provider says no more than its reply does; are these mails spam? Else ask its postmaster.",
}


def _remedy(cause: str, part: pd.DataFrame) -> Remedy:
    """Return what helps: for SPF a rewritten sender, unless it is rewritten already."""
    if cause in REMEDIES:
        return Remedy(REMEDIES[cause], key=f"forwarded:{cause}")
    if (part["rewritten"] > 0).all():
        return Remedy(
            "The sender is rewritten (SRS) already: list this server in the SPF record of the domain that it is rewritten to "
            f"(postconf myhostname; SRS_DOMAIN of postsrsd). {UNCHANGED}",
            key="forwarded:rewritten",
        )
    return Remedy(REWRITE if cause == "spf" else f"{REWRITE} {UNCHANGED}", key=f"forwarded:{cause}")


CHECK = Check(
    NAME,
    "Forwarded mail is refused where it goes",
    look=look,
    conclude=conclude,
    causes=CAUSES,
    order=240,
    clear="What is sent on to outside isn't refused there ({checked:answer|answers} of other hosts looked at)",
    group="reputation",
    severity="warning",
    needs=("deliveries of Postfix to other hosts", "forwarding by aliases, Sieve or lists"),
    related=("delivery-blocked", "forwards-spam"),
    limits=Limits,
)
