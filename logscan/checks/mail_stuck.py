"""Mail to others waits while its siblings go out, or is given up.

## What it finds
Recipients elsewhere whose mail waited in the queue until Postfix gave it up (`status=expired`), or waits there for hours
while other mail to the same domain or host gets through. One finding a destination and reason; a host that has trouble with
the mail for several domains is one destination.

## Why it matters
The sender believes that the mail arrived: Postfix returns it after five days only (`maximal_queue_lifetime`), and says
nothing until then unless `delay_warning_time` is set. That others at the same place get theirs shows that waiting mends
nothing.

## What the log shows
`status=deferred` for the same queue ID and recipient again and again, and at last `status=expired, returned to sender`; in
between `status=sent` for others at that domain or relay.

## What to do
By the reason that the log gives: who greylists for ever wants the same address each time, a host that times out wants another
way (IPv4, a smarthost, its administrator), missing TLS an exception for that domain or a word with its administrator. Tell the
senders. `postqueue -i ID` tries one mail again once the cause is gone.

## When it is wrong
Greylisting that ends, and a host that was away for all and came back, are passed over. Where nobody's mail gets through,
the trouble is the other side's: a note, until it lasts long or a mail is given up. A full mailbox elsewhere is its owner's
trouble, but the sender should know. Delivery reports and automatic answers (with an empty sender) that nobody takes are a
note. Mail kept waiting by this server's own filter or mailboxes is what other checks are about.

## When it is blind
When no mail left for outside, or too much of it has waited for less than two hours when the log ends. Mail that waits since
before the log is seen with its next attempt, within 67 minutes by default; a shorter log need not show it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan.amounts import plural
from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.checking.stuck import AT_DOMAIN, AT_HOP, CASES, THROUGH, TO_RECIPIENT, Times, look_at
from logscan.correlate.lives import SECOND
from logscan.findings import Finding, Remedy, Result, Severity
from logscan.scan.pasts import newest, with_past
from logscan.tables import cells
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    import numpy.typing as npt

    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

    Ints = npt.NDArray[np.int64]

HOUR = 3600 * SECOND

REPORTS = "delivery reports"
"""The subject of all that has an empty sender and nobody takes."""

SINGLE = "single destinations"
"""The subject of single mails to hosts that never answer, where they are many."""

MOST_APART = 5
"""Notes of one such mail each; more are one note."""

SHARED = ("no-connection", "tls", "put-off-by-host", "name-not-found")
"""Reasons that a host has for the mail of all domains it serves."""

WORDS = {
    "greylisted": "greylisted for ever",
    "no-connection": "no connection",
    "tls": "TLS is required and doesn't come about",
    "name-not-found": "its name servers don't answer",
    "mailbox-full": "the mailbox is full",
    "put-off-by-host": "put off by the other host",
    "other-reason": "put off",
    "report-returned": "nobody takes delivery reports and automatic answers",
}
"""What each cause is called in a sentence."""

REMEDIES = {
    "greylisted": "A greylisting that never ends takes each attempt for a new one: it wants the same sending address, sender "
    "and recipient each time. Send from one address (smtp_bind_address in main.cf; a smarthost with a pool of addresses does "
    "the same harm), don't change the sender at each try, and ask the administrator of the other side to let this server "
    "through.",
    "no-connection": "Try by hand from this host: `nc -vz HOST 25`. If only IPv6 fails, see smtp_address_preference in main.cf; "
    "if no host answers on port 25, the provider shuts it. Else the other side is away: tell its administrator and the "
    "senders. `postqueue -f` sends what waits once it answers.",
    "tls": "This server insists on TLS for that destination: look at smtp_tls_security_level and smtp_tls_policy_maps in "
    "main.cf (`posttls-finger DOMAIN` shows what the other side offers). Tell its administrator, or make an exception in "
    "smtp_tls_policy_maps for that domain alone, if its mail may travel in clear.",
    "name-not-found": "Ask for the name from this host: `dig MX DOMAIN`, and with another resolver: `dig MX DOMAIN @1.1.1.1`. If "
    "only this host's resolver fails, mend /etc/resolv.conf; else the domain's own name servers don't answer, or the address "
    "is mistyped: tell the senders.",
    "mailbox-full": "The recipient's mailbox is full at the other side: tell the senders to reach that person another way.",
    "put-off-by-host": "Read what the other host says in the lines below, and follow it; where it asks to send less, lower "
    "smtp_destination_rate_delay's pace for that destination with a transport of its own. Tell the senders.",
    "other-reason": "Read the reason in the lines below; then `postqueue -i QUEUE_ID` tries that mail again.",
    "report-returned": "Nothing is to be done: reports to forged senders find nobody. They become fewer when mail is refused in "
    "the dialogue rather than returned later.",
}


@dataclass(frozen=True)
class Limits:
    """When a mail counts as stuck."""

    waited_hours: float = 2.0
    """Hours that mail waits while others get through: by then Postfix has tried five times by its usual steps (5, 10, 20, 40
    and 67 minutes), and greylisting asks for minutes."""
    outage_hours: float = 24.0
    """Hours that mail waits where nobody's gets through: repairs of another's host take less than a day."""
    late_hours: float = 4.0
    """Hours after which mail that arrived at last came late: when Postfix's manual has a sender warned."""
    outage_mails: int = 2
    """Mails to a host that is away for all, from which it is worth a word: a single one may be for a mistyped domain, and its
    sender is told."""
    lasting_hours: float = 8.0
    """Hours from the first mail to such a host to the last attempt: repairs take a working day, even where this server gives
    mail up sooner than that."""
    many_domains: int = 3
    """Domains at one next hop whose trouble is the hop's: two may be the same organisation's."""


def look(window: Window, settings: Settings) -> Partial:
    """Take the recipients outside whose mail was given up, waits long or came late, and when mail got through where."""
    allowed = limits(window.log, "mail-stuck", Limits)
    return Partial(look_at(window, settings, allowed.waited_hours * 3600, allowed.late_hours * 3600))


PAST_DAYS, MOST_REMEMBERED = 6, 20_000
"""Days that a past tells of: mail waits for five (maximal_queue_lifetime); and how many times at which mail got through."""


def remember(partial: Partial, now: int) -> Partial:
    """Return when mail got through where, while others waited."""
    if THROUGH not in partial:
        return Partial()
    return Partial({THROUGH: newest(partial.parts[THROUGH], "at", now - PAST_DAYS * 24 * HOUR, MOST_REMEMBERED)})


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each destination and reason."""
    allowed = limits(log, "mail-stuck", Limits)
    looked_at = partial.count("recipients")
    undecided = partial.count("undecided")
    result = Result(checked=looked_at - undecided, eligible=looked_at)
    if not looked_at:
        result.blind_because.append("no mail left for anybody outside in these logs")
    elif ev.too_few(result) or not result.checked:
        result.blind_because.append(
            f"mail to {plural(undecided, 'recipient')} of {looked_at:,} waits when the log ends, but for less than "
            f"{allowed.waited_hours:g} hours, which tells nothing yet"
        )
    if CASES not in partial:
        return result
    rows = partial.frame(CASES)
    if len(rows) < partial.count("stuck"):
        result.notes.append(f"mail-stuck looked at the first {len(rows):,} of {partial.count('stuck'):,} recipients")
    rows = _placed(_judged(rows, Times(with_past(partial, log, CHECK.name).parts.get(THROUGH))), log, allowed)
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in rows.itertuples():
        groups.setdefault((row.subject, row.cause), []).append(row)
    result.findings = [_finding(*key, some, log) for key, some in sorted(groups.items())]
    return result


def _judged(rows: pd.DataFrame, times: Times) -> pd.DataFrame:
    """Return the cases in order of their lines, with ``others``, ``since`` and ``late``.

    ``others``: somebody's mail got through there meanwhile; ``since``: when it went right later (UTC ns), 0: not in this log.
    """
    rows = rows.sort_values(["row", "recipient", "queue_id"], kind="stable", ignore_index=True)
    at_domain, at_hop = times.of_names(AT_DOMAIN, rows["domain"]), times.of_names(AT_HOP, rows["hop"])
    to_same = times.of_names(TO_RECIPIENT, rows["recipient"].str.lower())
    others, since = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.int64)
    for at, (begin, end) in enumerate(zip(rows["begin"].tolist(), rows["end"].tolist(), strict=True)):
        others[at] = any(_between(each[at], begin, end) for each in (at_domain, at_hop))
        again = (to_same if others[at] else at_domain)[at]
        after = int(np.searchsorted(again, end, "right"))
        since[at] = again[after] if after < len(again) else 0
    late = rows["ended"].eq("delivered").to_numpy(dtype=np.bool_)
    rows = rows.assign(others=others, since=np.where(late, rows["end"], since), late=late)
    # Greylisting that ended is none; nor is what came late when it came late for all.
    return rows[~late | (others & rows["cause"].ne("greylisted").to_numpy(dtype=np.bool_))].reset_index(drop=True)


def _between(times: Ints, begin: int, end: int) -> bool:
    """Whether one of the times, which are in order, lies between two others."""
    return bool(np.searchsorted(times, end) > np.searchsorted(times, begin, "right"))


def _placed(rows: pd.DataFrame, log: Log, allowed: Limits) -> pd.DataFrame:
    """Return the cases with ``subject``, whose trouble it is, and ``counts``: it isn't only another host's that is away."""
    rows = rows.assign(cause=rows["cause"].where(rows["report"] == 0, "report-returned"))
    at_hop = rows["hop"].ne("") & rows["cause"].isin(SHARED)
    places = rows[at_hop].groupby(["hop", "cause"])["domain"].transform("nunique").reindex(rows.index, fill_value=0)
    relayed = at_hop & rows["hop"].isin([hop for hop in rows["hop"].unique() if _is_relayhost(hop, log)])
    shared = ((places >= allowed.many_domains) | relayed).to_numpy(dtype=np.bool_)
    subject = rows["domain"].mask(shared, rows["hop"])
    rows = rows.assign(subject=subject.mask(rows["report"] > 0, REPORTS), shared=shared)
    waited = (rows["end"] - rows["begin"]) >= allowed.outage_hours * HOUR
    groups = rows.groupby(["subject", "cause"])
    alone = groups["mail"].transform("nunique") < allowed.outage_mails
    several = ~alone & (
        groups["end"].transform("max") - groups["begin"].transform("min") >= allowed.lasting_hours * HOUR
    )
    away = (rows["away"] > 0) & ~several & ~relayed
    lasting = (rows["ended"] == "expired") | waited | shared | rows["cause"].eq("tls")
    rows = rows.assign(counts=(rows["others"] | (lasting & ~away)) & (rows["report"] == 0))
    noted = ~rows.groupby(["subject", "cause"])["counts"].transform("any") & alone & (rows["report"] == 0)
    many = rows[noted].groupby("cause")["subject"].transform("nunique").reindex(rows.index, fill_value=0) > MOST_APART
    return rows.assign(subject=rows["subject"].mask(many, SINGLE))


def _finding(subject: str, cause: str, rows: list[Any], log: Log) -> Finding:
    """Return what is to be said of a destination and a reason; of another host that is away for all, a note."""
    counting = [row for row in rows if row.counts]
    severity: Severity = "warning" if counting else "note"
    if counting and _is_relayhost(subject, log):
        severity = "problem"
    active = any(row.since == 0 for row in counting or rows)
    told = _summary(subject, cause, rows)
    return Finding(
        cause=cause,
        subject=subject,
        summary=told if active else f"{told}; {_through_since(max(row.since for row in rows), log)}",
        severity=severity,
        confidence="high" if any(row.others for row in rows) else "medium",
        count=len(rows),
        cases=[_case(row) for row in rows],
        first=cells.moment(pd.Timestamp(min(row.begin for row in rows), tz="UTC")),
        last=cells.moment(pd.Timestamp(max(row.end for row in rows), tz="UTC")),
        state="active" if active else "mended",
        remedy=Remedy(REMEDIES[cause], key=f"mail-stuck-{cause}") if active else None,
        evidence=lines_at(
            log, dict.fromkeys(place for row in rows[: ev.MOST_EVIDENCE] for place in (row.first, row.row))
        ),
        why=_why(rows),
        mails=len({row.mail for row in rows}),
        recipients=len(rows),
    )


def _summary(subject: str, cause: str, rows: list[Any]) -> str:
    ended = Counter(row.ended for row in rows)
    told = [
        f"{plural(ended[name], 'recipient')} {words}"
        for name, words in (("expired", "given up"), ("deferred", "still waiting"), ("delivered", "reached late"))
        if ended[name]
    ]
    if cause == "report-returned":
        return f"{WORDS[cause].capitalize()}: {', '.join(told)}"
    longest = max(row.end - row.begin for row in rows) / HOUR
    others = ", while mail of others got through" if any(row.others for row in rows) else ""
    return f"Mail to {subject} is stuck ({WORDS[cause]}){others}: {', '.join(told)}, after up to {longest:.0f} hours"


def _why(rows: list[Any]) -> str:
    """Return the reason that was given most often, the first of several in the order of words."""
    counts = Counter(row.reason for row in rows)
    return f"Postfix says: {min(counts, key=lambda reason: (-counts[reason], reason))}"


def _through_since(since: int, log: Log) -> str:
    at = pd.Timestamp(since, tz="UTC").tz_convert(log.zone or "UTC")
    return f"got through by {at:%H:%M} on {at.day} {at:%B %Y}"


def _is_relayhost(hop: str, log: Log) -> bool:
    """Whether a next hop is the one to which this server hands all mail for outside."""
    name = log.settings.postfix.get("relayhost").strip().lower()
    host = name.partition("]")[0].lstrip("[") if name.startswith("[") else name.partition(":")[0]
    return bool(host) and hop.lower().partition("[")[0] == host


def _case(row: Any) -> dict[str, Any]:
    return {
        "message_id": cells.text(row.message_id),
        "recipient": row.recipient,
        "queue_id": row.queue_id,
        "time": cells.iso(pd.Timestamp(row.begin, tz="UTC")),
        "until": cells.iso(pd.Timestamp(row.end, tz="UTC")),
        "ended": "waiting" if row.ended == "deferred" else row.ended,
    }


CHECK = Check(
    "mail-stuck",
    "Mail to others is stuck in the queue",
    look,
    conclude,
    remember=remember,
    causes=tuple(WORDS),
    order=115,
    clear="No mail to others is stuck in the queue ({checked:recipient|recipients} outside looked at)",
    but="but for {noted:mail|mails} to hosts that were away for all",
    group="arrival",
    severity="problem",
    needs=("Postfix's deliveries",),
    related=("delivery-blocked", "dead-destination", "filter-unreachable"),
    limits=Limits,
)
