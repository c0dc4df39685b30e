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
When no mail left for outside, or the log is shorter than the time between two attempts (67 minutes by default): mail that waits
need not show in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from logscan.amounts import plural
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.checking.stuck import AT_DOMAIN, AT_HOP, CASES, THROUGH, TO_RECIPIENT, TOLD, Times, look_at
from logscan.correlate.lives import SECOND
from logscan.findings import Finding, Remedy, Result, Severity
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
    many_domains: int = 3
    """Domains at one next hop whose trouble is the hop's: two may be the same organisation's."""
    shortest_minutes: float = 67.0
    """Minutes of log in which mail that waits is tried at least once (Postfix's maximal_backoff_time, 4000 s)."""


def look(window: Window, settings: Settings) -> Partial:
    """Take the recipients outside whose mail was given up, waits long or came late, and when mail got through where."""
    allowed = limits(window.log, "mail-stuck", Limits)
    return Partial(look_at(window, settings, allowed.waited_hours * 3600, allowed.late_hours * 3600))


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each destination and reason."""
    allowed = limits(log, "mail-stuck", Limits)
    looked_at = partial.count("recipients")
    result = Result(checked=looked_at, eligible=looked_at)
    if not looked_at:
        result.blind_because.append("no mail left for anybody outside in these logs")
    elif _minutes(partial) < allowed.shortest_minutes:
        result.checked = 0
        result.blind_because.append(
            f"the log covers less than {allowed.shortest_minutes:.0f} minutes, the time within which Postfix tries mail that "
            "waits again: such mail need not show in it"
        )
    if CASES not in partial:
        return result
    rows = partial.frame(CASES)
    if len(rows) < partial.count("stuck"):
        result.notes.append(f"mail-stuck looked at the first {len(rows):,} of {partial.count('stuck'):,} recipients")
    rows = _placed(_judged(rows, Times(partial.parts.get(THROUGH))), allowed)
    for (subject, cause), some in rows.groupby(["subject", "cause"], sort=True):
        result.findings.append(_finding(str(subject), str(cause), some, log))
    return result


def _minutes(partial: Partial) -> float:
    told = partial.frame(TOLD)
    return float(max(told["until"].max() - told["since"].min(), 0)) / SECOND / 60 if len(told) else 0.0


def _judged(rows: pd.DataFrame, times: Times) -> pd.DataFrame:
    """Return the cases in order of their lines, with ``others``, ``since`` and ``late``.

    ``others``: somebody's mail got through there meanwhile; ``since``: when it went right later (UTC ns), 0: not in this log.
    """
    rows = rows.sort_values(["row", "recipient", "queue_id"], kind="stable", ignore_index=True)
    at_domain, at_hop = times.of_names(AT_DOMAIN, rows["domain"]), times.of_names(AT_HOP, rows["hop"])
    to_same = times.of_names(TO_RECIPIENT, rows["recipient"])
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


def _placed(rows: pd.DataFrame, allowed: Limits) -> pd.DataFrame:
    """Return the cases with ``subject``, whose trouble it is, and ``counts``: it isn't only another host's that is away."""
    rows = rows.assign(cause=rows["cause"].where(rows["report"] == 0, "report-returned"))
    at_hop = rows["hop"].ne("") & rows["cause"].isin(SHARED)
    places = rows[at_hop].groupby(["hop", "cause"])["domain"].transform("nunique").reindex(rows.index, fill_value=0)
    shared = (places >= allowed.many_domains).to_numpy(dtype=np.bool_)
    subject = rows["domain"].mask(shared, rows["hop"])
    rows = rows.assign(subject=subject.mask(rows["report"] > 0, REPORTS), shared=shared)
    waited = (rows["end"] - rows["begin"]) >= allowed.outage_hours * HOUR
    several = rows.groupby(["subject", "cause"])["mail"].transform("nunique") >= allowed.outage_mails
    away = (rows["away"] > 0) & ~several
    lasting = (rows["ended"] == "expired") | waited | shared | rows["cause"].eq("tls")
    return rows.assign(counts=(rows["others"] | (lasting & ~away)) & (rows["report"] == 0))


def _finding(subject: str, cause: str, rows: pd.DataFrame, log: Log) -> Finding:
    """Return what is to be said of a destination and a reason; of another host that is away for all, a note."""
    counts = rows["counts"].to_numpy(dtype=np.bool_)
    open_ = rows["since"].to_numpy() == 0
    severity: Severity = "warning" if counts.any() else "note"
    if counts.any() and _is_relayhost(subject, log):
        severity = "problem"
    active = (open_ & counts).any() if counts.any() else open_.any()
    since = int(rows["since"].max())
    told = _summary(subject, cause, rows)
    return Finding(
        cause=cause,
        subject=subject,
        summary=told if active else f"{told}; {_through_since(since, log)}",
        severity=severity,
        confidence="high" if rows["others"].any() else "medium",
        count=len(rows),
        cases=_cases(rows),
        first=cells.moment(pd.Timestamp(int(rows["begin"].min()), tz="UTC")),
        last=cells.moment(pd.Timestamp(int(rows["end"].max()), tz="UTC")),
        state="active" if active else "mended",
        remedy=Remedy(REMEDIES[cause], key=f"mail-stuck-{cause}") if active else None,
        evidence=lines_at(
            log, dict.fromkeys([place for pair in zip(rows["first"], rows["row"], strict=True) for place in pair])
        ),
        why=_why(rows),
        mails=int(rows["mail"].nunique()),
        recipients=len(rows),
    )


def _summary(subject: str, cause: str, rows: pd.DataFrame) -> str:
    ended = rows["ended"].value_counts()
    told = [
        f"{plural(int(ended[name]), noun)} {words}"
        for name, noun, words in (
            ("expired", "recipient", "given up"),
            ("deferred", "recipient", "still waiting"),
            ("delivered", "recipient", "reached late"),
        )
        if name in ended
    ]
    if cause == "report-returned":
        return f"{WORDS[cause].capitalize()}: {', '.join(told)}"
    longest = float((rows["end"] - rows["begin"]).max()) / HOUR
    others = ", while mail of others got through" if rows["others"].any() else ""
    return f"Mail to {subject} is stuck ({WORDS[cause]}){others}: {', '.join(told)}, after up to {longest:.0f} hours"


def _why(rows: pd.DataFrame) -> str:
    """Return the reason that was given most often, the first of several in the order of words."""
    counts = rows["reason"].value_counts().reset_index()
    best = counts.sort_values(["count", "reason"], ascending=[False, True])["reason"]
    return f"Postfix says: {best.iloc[0]}" if len(best) else ""


def _through_since(since: int, log: Log) -> str:
    at = pd.Timestamp(since, tz="UTC").tz_convert(log.zone or "UTC")
    return f"got through by {at:%H:%M} on {at.day} {at:%B %Y}"


def _is_relayhost(hop: str, log: Log) -> bool:
    """Whether a next hop is the one to which this server hands all mail for outside."""
    name = log.settings.postfix.get("relayhost").strip().lower()
    host = name.partition("]")[0].lstrip("[") if name.startswith("[") else name.partition(":")[0]
    return bool(host) and hop.lower().partition("[")[0] == host


def _cases(rows: pd.DataFrame) -> list[dict[str, object]]:
    columns = ("message_id", "recipient", "queue_id", "begin", "end", "ended")
    return [
        {
            "message_id": cells.text(message_id),
            "recipient": recipient,
            "queue_id": queue_id,
            "time": cells.iso(pd.Timestamp(begin, tz="UTC")),
            "until": cells.iso(pd.Timestamp(end, tz="UTC")),
            "ended": {"deferred": "waiting"}.get(str(ended), str(ended)),
        }
        for message_id, recipient, queue_id, begin, end, ended in zip(
            *(rows[name].tolist() for name in columns), strict=True
        )
    ]


CHECK = Check(
    "mail-stuck",
    "Mail to others is stuck in the queue",
    look,
    conclude,
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
