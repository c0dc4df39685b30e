"""There was far more mail than this server ever has at that hour, or far less.

## What it finds
Hours in which mails, bounces, deferrals or refusals were many times what is usual there, or mails next to none. One
finding a host and kind, with each time inside it.

## Why it matters
Far more outgoing mail and bounces are the first sign of an account that sends spam, or of a script that runs wild; far
less mail is one of a line, a name or a certificate that is broken while everything looks calm.

## What the log shows
Counts alone: mails that came into the queue, recipients bounced and put off, clients refused, in each hour, against the
same hour of earlier days in the same log.

## What to do
Look who sent in those hours: the report's lists by client and user, or `logscan analyse --since FROM --until UNTIL`. For
less mail: look at the MX, the firewall, and whether other mail servers are refused.

## When it is wrong
A newsletter that is sent once a quarter is found: it is unusual, and right. What a server does each week is not, nor what
is smaller than its largest hours before. On public holidays there is less mail: only what is less than half of any
earlier day's counts.

## When it is blind
Where the log holds less than about a week: at least five earlier days of the same kind (working days, weekends) are
compared. Servers with fewer than 30 mails an hour can't be judged by counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from logscan.amounts import plural
from logscan.checking import warned
from logscan.checking.check import Check
from logscan.checking.limits import limits
from logscan.checking.volumes import Odd, days_of, odd_hours, runs
from logscan.findings import Finding, Remedy, Result, Severity
from logscan.scan import hourly
from logscan.scan.pasts import newest, past, with_past
from logscan.tables.partials import MOST_KEYS, Keyed, Partial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings


@dataclass(frozen=True)
class Limits:
    """Thresholds."""

    days: int = 5
    """Earlier days of the same kind: a median of fewer is moved by a single one."""
    weeks: int = 3
    """Earlier weeks from which on each hour of the week has its own usual count: with the hours next to it that are nine."""
    memory: int = 42
    """Days before that are looked at: six weeks; what was usual longer ago says little."""
    longest: int = 62
    """Days that are judged, the last ones: what is older was judged before."""
    least: int = 30
    """By how many mails an hour must differ: fewer make no harm that counts alone can show."""
    times: int = 5
    """How many times more or less than usual: twice and three times happens by chance and season."""
    score: int = 8
    """How many usual deviations more, so that an hour that varies much needs more."""
    peak: float = 1.5
    """How many times more than the largest hours before (all but one in 200): who sends newsletters has such hours each week."""
    more: int = 2
    """Hours in a row that must have far more: one alone is a single mailing, unless it is twice as far above the usual."""
    less: int = 3
    """Hours in a row that must have far less."""


CAUSES = {
    ("mails", True): "more-mail",
    ("mails", False): "less-mail",
    ("bounced", True): "more-bounces",
    ("deferred", True): "more-deferrals",
    ("refused", True): "more-refusals",
}
WORDS = {"mails": "mail", "bounced": "bounced recipient", "deferred": "attempt put off", "refused": "refusal"}
MANY = {"mails": "mails", "bounced": "bounced recipients", "deferred": "attempts put off", "refused": "refusals"}


def look(window: Window, settings: Settings) -> Partial:
    """Return what is counted in each hour."""
    return Partial({hourly.HOURS: hourly.look(window)})


def remember(partial: Partial, now: int) -> Partial:
    """Return the counts of the weeks that hours are compared with."""
    return Partial(
        {name: newest(part, "hour", now // hourly.HOUR - WEEKS, MOST_KEYS) for name, part in partial.parts.items()}
    )


WEEKS = 43 * 24
"""Hours of the six weeks before the last day (:attr:`Limits.memory`)."""


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each host and kind of unusual hours."""
    own = limits(log, CHECK.name, Limits)
    result = Result()
    new = partial.parts.get(hourly.HOURS)
    if not isinstance(new, Keyed) or not len(new):
        result.blind_because.append("no mail of Postfix in these logs")
        return result
    part = with_past(partial, log, CHECK.name).parts[hourly.HOURS]
    assert isinstance(part, Keyed)
    before = past(log, hourly.HOURS)
    # Mail that waited closes late: hours of earlier days come up in it that were judged then.
    begun = {} if before is None else before.frame(hourly.HOURS).groupby("host")["hour"].max().to_dict()
    if part.limit < 2**64:
        result.blind_because.append("there are too many hosts and hours in these logs to keep the counts of all")
        return result
    quiet = True
    mine = part.frame[part.frame["host"].isin(new.frame["host"])]
    for host, hours in mine.groupby("host", sort=True):
        # Hours that can't differ by so many needn't be looked at.
        if int(hours[list(hourly.MEASURES)].to_numpy().max()) < own.least:
            continue
        days, quiet = days_of(str(host), hours, log.zone), False
        if days is None:
            result.eligible += 1
            continue
        found, there, judged = odd_hours(days, own)
        result.eligible += there
        result.checked += judged
        result.findings += _findings(str(host), found, own, begun.get(host, 0))
    if quiet:
        result.blind_because.append(f"no hour had {own.least} mails: too few for counts to tell what is unusual")
    if result.checked < 0.95 * result.eligible:
        result.blind_because.append(
            f"the log holds fewer than {own.days} earlier days of the same kind (working days or weekends) as its last one to "
            "compare with; give older files"
        )
    return result


def _findings(host: str, found: Sequence[Odd], own: Limits, begun: int) -> list[Finding]:
    """Return a finding for each kind of hours; times that were over before the hour ``begun`` were told by an earlier run."""
    groups: dict[str, list[list[Odd]]] = {}
    for run in runs([each for each in found if (each.measure, each.more) in CAUSES]):
        if run[-1].hour < begun:
            continue
        far = max(each.seen - 2 * own.times * each.usual for each in run) >= 2 * own.least
        if len(run) >= (own.more if run[0].more else own.less) or (run[0].more and far):
            groups.setdefault(CAUSES[run[0].measure, run[0].more], []).append(run)
    return [_finding(host, cause, some) for cause, some in groups.items()]


def _finding(host: str, cause: str, found: Sequence[Sequence[Odd]]) -> Finding:
    measure, more = found[0][0].measure, found[0][0].more
    cases = [_case(host, cause, run) for run in found]
    worst = max(cases, key=lambda case: abs(case["count"] - case["usual"]))
    usual = plural(round(worst["usual"]), WORDS[measure], MANY[measure])
    severity: Severity = "note" if measure in ("refused", "deferred") else "warning"
    much = "far more" if more else "far less"
    on = f" on {host}" if host else ""
    times = "once" if len(found) == 1 else f"{len(found):,} times"
    return Finding(
        cause=cause,
        subject=host or "this host",
        summary=f"{much.capitalize()} {MANY[measure]} than ever at that hour{on}, {times}: {worst['count']:,} in "
        f"{plural(worst['hours'], 'hour')} from {worst['from']}, where {usual} are usual",
        severity=severity,
        confidence="medium",
        count=len(found),
        cases=cases,
        first=warned.moment(found[0][0].hour * hourly.HOUR),
        last=warned.moment(max(run[-1].hour + 1 for run in found) * hourly.HOUR),
        remedy=None if severity == "note" else _remedy(more),
    )


def _case(host: str, cause: str, run: Sequence[Odd]) -> dict[str, Any]:
    return {
        "from": warned.iso(run[0].hour * hourly.HOUR),
        "until": warned.iso((run[-1].hour + 1) * hourly.HOUR),
        "kind": cause,
        "host": host,
        "hours": len(run),
        "count": sum(each.seen for each in run),
        "usual": round(sum(each.usual for each in run), 1),
    }


def _remedy(more: bool) -> Remedy:
    if more:
        return Remedy(
            "Look who sent in those hours: logscan analyse --since FROM --until UNTIL shows users and clients by count. An "
            "account that "
            "sends spam: change its password, end its sessions, and take its mail out of the queue (postqueue -j names the "
            "senders, "
            "postsuper -d ID removes one mail). A script: stop it. A mailing that was meant: nothing."
        )
    return Remedy(
        "Look from outside whether port 25 answers and the domain's MX names this server, whether postscreen or a block list "
        "refuses all, "
        "and whether mail waits elsewhere: a second MX, a filter in front of this server."
    )


CHECK = Check(
    "volume-unusual",
    "Far more or far less mail than usual",
    look,
    conclude,
    remember=remember,
    causes=tuple(sorted(CAUSES.values())),
    order=560,
    clear="No hour stands out from this server's own past ({checked:hour|hours} of the last day looked at)",
    but="but for what is noted",
    group="machine",
    severity="warning",
    needs=("about a week of mail by Postfix, more than 30 mails an hour",),
    related=("account-misused", "log-gap", "mail-stuck"),
    limits=Limits,
)
