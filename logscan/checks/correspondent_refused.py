"""Mail from people whom users wrote to is refused, tagged as spam or kept back.

## What it finds
Somebody outside, whom a user of this server wrote to, sends that user mail, and it is refused as it comes in, or the filter
tags it or keeps it back. One finding for each such sender; where one rule hits many, one for the rule.

## Why it matters
Whom users write to they want to hear from: nothing tells wanted mail as surely. The user waits for an answer and takes the
other for careless; the sender may get a refusal that says nothing.

## What the log shows
A mail that a user, or a program here, sent to an address; later a `reject:` (5xx) with `from=` that address and `to=` that
user, or a verdict of the filter: tagged, quarantined, discarded.

## What to do
What was refused names the rule: let the sender's servers pass before it. What was tagged: the user moves it out of Junk,
which trains the filter, or the sender goes onto the filter's list of those welcome.

## When it is wrong
Senders are forged: only what came from where the sender's domain is at home counts, by the name of its server, by DMARC, or
since untagged mail of that domain came from the same network. What is refused for another reason (no such user, too big, a
full mailbox, greylisting) isn't meant. Who was let in later is mended.

## When it is blind
When no user wrote to anybody outside in these logs, or nobody of those wrote back. Only what was written within these logs
is known.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan.checking import correspondents
from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.correspondents import KEPT_BACK, REFUSED, TAGGED
from logscan.checking.limits import limits
from logscan.checking.mail_rows import iso, moment, named, told
from logscan.findings import Finding, Remedy, Result, Severity
from logscan.scan.pasts import DAY, newest, with_past
from logscan.tables.partials import Keyed, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings


@dataclass(frozen=True)
class Limits:
    """The thresholds."""

    together: int = 10
    """Senders that one rule hits and that are a finding each; more are one: the rule is to be looked at, not the senders."""


def look(window: Window, settings: Settings) -> Partial:
    """Take to whom users wrote, what was let in, and what wasn't."""
    return Partial(correspondents.look(window))


PAST_DAYS = 365
"""Days that a past tells of: of each pair the first mail is known only, and people answer after months."""

MOST_REMEMBERED = 25_000
"""Rows that a past has of each kind: 8 to 14 bytes each."""


def remember(partial: Partial, now: int) -> Partial:
    """Return to whom users wrote, and by which ways mail of each domain came."""
    ways = partial.frame("ways")["way"].to_numpy(np.int64)
    return Partial(
        {
            "written": newest(partial.parts["written"], "first", now - PAST_DAYS * DAY, MOST_REMEMBERED),
            "ways": Keyed.of({"way": np.sort(ways)[:MOST_REMEMBERED]}, once=True),
        }
    )


def conclude(partial: Partial, log: Log) -> Result:
    """Return a finding for each correspondent whose mail wasn't let in, or was tagged."""
    limit = limits(log, NAME, Limits)
    partial = with_past(partial, log, NAME)
    written = partial.frame("written").rename(columns={"first": "wrote"})
    taken = partial.frame("taken")[["pair", "last"]].rename(columns={"last": "got"})
    result = Result()
    if written.empty:
        result.blind_because.append("no user wrote to anybody outside in these logs")
        return result
    bad = partial.frame("bad")
    if len(bad):
        bad = bad.merge(written, on="pair")
        genuine = bad["named"].to_numpy(dtype=np.bool_) | np.isin(bad["way"], partial.frame("ways")["way"])
        bad = bad[genuine & (bad["time"] > bad["wrote"])].merge(taken, on="pair", how="left")
    place = pd.Index(written["pair"]).get_indexer(taken["pair"])
    there = place >= 0
    later = taken["got"].to_numpy()[there] > written["wrote"].to_numpy()[place[there]]
    answered = {*taken["pair"].to_numpy()[there][later].tolist(), *bad["pair"].tolist()}
    result.checked = result.eligible = len(answered)
    if not answered:
        result.blind_because.append(
            "nobody to whom users wrote in these logs wrote back in them: a longer log, or the memory of earlier ones, would "
            "tell more"
        )
    result.findings = _findings(bad, log, limit)
    return result


def _findings(bad: pd.DataFrame, log: Log, limit: Limits) -> list[Finding]:
    if bad.empty:
        return []
    bad = bad.sort_values(["time", "line", "sender", "recipient"], kind="stable")
    mended = (bad["cause"] == REFUSED) & (
        bad["got"].fillna(-1) > bad.groupby(["pair", "cause"])["time"].transform("max")
    )
    many = bad.groupby(["cause", "rule"])["sender"].transform("nunique") > limit.together
    bad = bad.assign(mended=mended, subject=bad["sender"].where(~many | (bad["rule"] == ""), bad["rule"]))
    return [
        _finding(str(cause), str(subject), some, log)
        for (cause, subject), some in bad.groupby(["cause", "subject"], sort=True)
    ]


def _finding(cause: str, subject: str, some: pd.DataFrame, log: Log) -> Finding:
    senders, users = sorted(set(some["sender"])), sorted(set(some["recipient"]))
    who = senders[0] if len(senders) == 1 else f"{len(senders):,} senders ({named(senders)})"
    rule = Counter(some["rule"]).most_common(1)[0][0]
    mails = some["message_id"].where(some["message_id"] != "", some["line"].astype("str")).nunique()
    mended = bool(some["mended"].all())
    severity: Severity = "warning" if cause == TAGGED else "problem"
    return Finding(
        cause=cause,
        subject=subject,
        summary=f"Mail from {who}, to whom {named(users)} wrote, {WORDS[cause].format(rule=rule)}: {ev.mails(mails)}"
        + ("; since then it was let in" if mended else ""),
        severity=severity,
        confidence="high" if some["named"].any() else "medium",
        count=len(some),
        cases=[_case(row) for row in some.itertuples()],
        first=moment(int(some["time"].min())),
        last=moment(int(some["time"].max())),
        state="mended" if mended else "active",
        remedy=None if mended else Remedy(_cure(cause, senders[0], str(some["client"].iloc[0]), rule)),
        evidence=lines_at(log, some["line"].tolist()),
        mails=mails,
        recipients=len(some),
    )


def _case(row: Any) -> dict[str, Any]:
    case = {
        "recipient": row.recipient,
        "sender": row.sender,
        "client": row.client,
        "queue_id": row.queue_id,
        "time": iso(row.time),
        "rule": row.rule,
        "reply": row.reply[:400],
    }
    return {"message_id": row.message_id or None, **told(case)}


WORDS = {
    REFUSED: "was refused ({rule})",
    TAGGED: "was tagged as spam by {rule}",
    KEPT_BACK: "was kept back by {rule}",
}


def _cure(cause: str, sender: str, client: str, rule: str) -> str:
    """Return what to do for the first of the senders."""
    host = client.partition("[")[0]
    server = host if host and host != "unknown" else client.partition("[")[2].rstrip("]")
    if cause == REFUSED:
        return (
            f"The text names the rule: {rule}. A line `{server} OK` in a table that check_client_access reads before that "
            "restriction (smtpd_recipient_restrictions, behind reject_unauth_destination) lets this server pass; a blocklist "
            "that hits wanted mail is better scored than obeyed (postscreen_dnsbl_sites with weights). For a milter: the list "
            "of those welcome in the filter."
        )
    back = "Release it from the quarantine, and have" if cause == KEPT_BACK else "Have"
    return (
        f"{back} the user move it out of Junk, so that the filter learns (see training-misses-hash and "
        f"training-without-effect). To welcome {sender}: rspamd a multimap with a negative score, amavis "
        "@score_sender_maps, SpamAssassin welcomelist_auth (before 4.0 whitelist_auth), none of which a forged sender gets by."
    )


NAME = "correspondent-refused"

CHECK = Check(
    NAME,
    "Mail from people whom users wrote to is refused or tagged",
    look,
    conclude,
    remember=remember,
    causes=tuple(WORDS),
    order=150,
    clear="Mail from those whom users wrote to was let in ({checked:pair|pairs} of sender and recipient looked at)",
    group="arrival",
    severity="problem",
    needs=("mail that users sent", "refusals of Postfix", "verdicts of the filter"),
    related=("training-without-effect", "blocklist-answers-error", "delayed-by-greeting"),
    limits=Limits,
)
