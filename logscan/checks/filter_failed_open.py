"""A filter failed, and mail was delivered all the same, unjudged.

## What it finds
Mail that a spam filter should have judged and let pass because it was away, gave up in the middle of a mail, could not read
a user's data, or takes no mail of that size. One finding a filter (of DSPAM: a user) and cause.

## Why it matters
Spam and viruses get through for as long as it lasts, and nobody is told: Postfix says `sent`, the mail looks like any other.
With `milter_default_action = accept` whoever can make the filter stumble, by a mail that is big or slow, gets past it.

## What the log shows
`warning: connect to Milter service inet:127.0.0.1:11332: Connection refused`, or `warning: milter …: can't read
SMFIC_BODYEOB reply packet header: …`, and behind it, by the same process, a mail that is taken and queued (with
`tempfail` a `milter-reject: … 451` follows instead). No such line holds a queue ID: the mail is the next `client=` of that
smtpd in the same session, or the one whose `message-id=` that cleanup wrote before. Of a filter behind the queue: DSPAM's
`process_message returned error -2.  delivering.` and `message too big, delivering`, amavis's `(!!)SA failed`, spampd's
`SpamAssassin error on message`, spamc's `connection attempt to spamd aborted`.

## What to do
Milters: `milter_default_action = tempfail` has senders come again. What gives up on single mails says why in its own log
at that second: a size limit (rspamd: `max_message`), a time limit. DSPAM: make the file that it names readable for it.

## When it is wrong
A milter that only signs or checks senders (OpenDKIM, OpenDMARC, SPF) is a note: no spam passes by it. spampd with `--dose`
and spamc with `-x` don't let such mail pass. A size limit can be meant: it is told as a warning, of spamc as a note.

## When it is blind
DSPAM tells of such mail in syslog only, amavis in its own lines only; a filter that nothing names says nothing at all. Of a
milter Postfix's lines are enough. A before-queue proxy filter can't fail open: Postfix refuses the mail.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from logscan.checking import evidence as ev
from logscan.checking import unscanned
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.checking.outage import moment
from logscan.checking.passed import Passed, passed
from logscan.findings import Finding, Remedy, Result, Severity
from logscan.scan import filters
from logscan.scan.columns import joined, values
from logscan.scan.hops import dspam_hops, filter_hops
from logscan.tables import cells
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    from logscan.scan.filters import Filters
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

NAME = "filter-failed-open"


@dataclass(frozen=True)
class Limits:
    """When a failure is grave."""

    many_mails: int = 3
    """Mails past one filter from which on it is a problem: one or two pass while a filter is started anew."""


def look(window: Window, settings: Settings) -> Partial:
    """Keep the filters' troubles and the mails near them, and count the mails that met a filter."""
    hops, of_dspam = filter_hops(window), dspam_hops(window)
    judged = values(window, "deliveries", "verdict_row") >= 0
    door = joined(window, "entries", "program").is_in("smtpd") & values(window, "entries", "queued")
    door &= ~joined(window, "entries", "leg").is_in("filter")
    return Partial(
        {
            **unscanned.look(window),
            **filters.look(window),
            "hops": int(np.count_nonzero(hops)),
            "hops_judged": int(np.count_nonzero(hops & judged)),
            "dspam_hops": int(np.count_nonzero(of_dspam)),
            "dspam_judged": int(np.count_nonzero(of_dspam & judged)),
            "door": int(np.count_nonzero(door)),
        }
    )


def conclude(partial: Partial, log: Log) -> Result:
    """Tell of each mail that passed a filter unjudged, by filter and cause."""
    known = filters.concluded(partial, log.settings)
    found = passed(partial)
    result = _counted(partial, log, known, sum(not _meant(each.cause, each.subject) for each in found))
    groups: dict[tuple[str, str, str], list[Passed]] = {}
    for each in found:
        groups.setdefault((each.cause, each.subject, each.host), []).append(each)
    hosts = Counter((cause, subject) for cause, subject, _ in groups)
    grave = limits(log, NAME, Limits).many_mails
    for (cause, subject, host), some in groups.items():
        # One address on two hosts is two filters.
        named = f"{subject} on {host}" if hosts[cause, subject] > 1 else subject
        result.findings.append(_finding(log, cause, named, some, grave))
    if len(partial.frame(unscanned.TROUBLES)) >= unscanned.MOST_TROUBLES:
        result.notes.append(
            f"The first {unscanned.MOST_TROUBLES:,} lines of filters in trouble are told; there are more."
        )
    return result


def _counted(partial: Partial, log: Log, known: Filters, found: int) -> Result:
    """Return how many mails met a filter, and of how many the logs would tell that it failed."""
    milters = bool(known.door) and not known.proxies
    door = partial.count("door") if milters else 0
    hops, dspam = partial.count("hops"), partial.count("dspam_hops")
    spoke = "dspam" in log.read.programs
    warned = int(partial.frame(unscanned.TROUBLES)["who"].isin([unscanned.DOOR, unscanned.CLEANUP]).sum())
    told = partial.count("hops_judged") - partial.count("dspam_judged")
    checked = max(door + told + (dspam if spoke else partial.count("dspam_judged")), 0)
    result = Result(checked=max(checked, found), eligible=max(door + hops, found))
    if known.none:
        result.not_applicable = "No filter is set up here, so none can let mail pass by failing."
    elif known.proxies and not hops and not found:
        result.not_applicable = "A before-queue proxy filter that fails lets no mail pass: Postfix refuses it."
    elif warned and not partial.count("door") and not found:
        result.blind_because.append(
            f"Postfix warned {warned:,} time{'s' * (warned != 1)} that a milter failed, and what mail smtpd took then isn't in "
            "these logs: give the log with its lines `client=` too"
        )
    elif known.unseen and not found:
        result.blind_because.append(
            "which filter this server has isn't known: none shows in these logs; give main.cf and master.cf"
        )
    elif not result.eligible and not found:
        result.blind_because.append("no mail met a filter in these logs")
    elif ev.too_few(result):
        lacking = []
        if dspam and not spoke:
            lacking.append(
                "DSPAM tells of mail that it passed unjudged in syslog only, and these logs hold no line of it (program dspam)"
            )
        if hops - dspam > told:
            kinds = [filters.name_of(kind) for kind in known.behind if kind != "dspam"] or ["the filter"]
            lacking.append(
                f"of {hops - dspam - told} of {hops - dspam} mails handed to {' and '.join(kinds)} nothing says that they "
                f"were judged; give {filters.logs_to_give(log.settings, [kind for kind in known.behind if kind != 'dspam'])}"
            )
        result.blind_because.append("; ".join(lacking) or "too few mails that met a filter could be looked at")
    return result


SUMMARY = {
    "milter-away": "passed without the milter {subject}, which was out of reach ({reason})",
    "milter-gave-up": "passed unjudged: the milter {subject} gave up in the middle of it ({reason})",
    "other-milter-away": "passed without the milter {subject}, which signs or checks senders ({reason})",
    "filter-error": "passed unjudged: {subject} failed ({reason})",
    "filter-timeout": "passed unjudged: SpamAssassin took too long in {subject}",
    "too-big": "passed unjudged: too big for {subject}",
}

WHY = {
    "milter-away": "milter_default_action (or default_action of that milter) is accept: without the milter Postfix takes mail.",
    "milter-gave-up": "milter_default_action (or default_action of that milter) is accept: Postfix took the mail without a "
    "verdict. A milter that closes the connection at the end of a mail (Application error) often refuses its size.",
    "other-milter-away": "milter_default_action (or default_action of that milter) is accept.",
    "filter-error": "The filter hands on what it can't judge rather than keep it.",
    "filter-timeout": "The filter hands on what it can't judge in time.",
    "too-big": "The filter has a size limit, and hands on larger mail as it came.",
}


def _finding(log: Log, cause: str, subject: str, some: list[Passed], grave: int) -> Finding:
    cases = [
        {
            "message_id": each.message_id or None,
            "recipient": each.recipient or None,
            "queue_id": each.queue_id or None,
            "time": cells.iso(moment(each.at)),
            "reason": each.reason,
            "host": each.host if each.host not in ("", "-") else None,
        }
        for each in some
    ]
    reasons = [each.reason for each in some]
    reason = max(sorted(often := Counter(reasons)), key=often.__getitem__)
    mails = len({each.mail if each.mail >= 0 else -each.place for each in some})
    name = f"DSPAM for {subject}" if some[0].user else subject
    words = SUMMARY[cause].format(subject=name, reason=reason[:200])
    sure = all(each.sure for each in some)
    return Finding(
        cause=cause,
        subject=subject,
        summary=f"{ev.mails(mails)} {words}",
        severity=_severity(cause, some[0].subject, mails, grave),
        confidence="high" if sure else "medium" if any(each.mail >= 0 for each in some) else "low",
        count=len(cases),
        cases=cases,
        first=moment(min(each.at for each in some)),
        last=moment(max(each.at for each in some)),
        remedy=_remedy(log.settings, cause, some[0]),
        evidence=ev.merged(
            lines_at(log, [each.place for each in some][:8]),
            lines_at(log, [each.mail for each in some if each.mail != each.place][:4]),
        ),
        why=WHY[cause],
        mails=mails,
        recipients=mails,
    )


def _severity(cause: str, subject: str, mails: int, grave: int) -> Severity:
    if _meant(cause, subject):
        return "note"
    return "problem" if mails >= grave and cause != "too-big" else "warning"


def _meant(cause: str, subject: str) -> bool:
    """Whether no spam filter failed: what is away only signs, or the limit is one that spamc always has."""
    return cause == "other-milter-away" or (cause == "too-big" and subject == "spamc")


def _remedy(settings: Settings, cause: str, one: Passed) -> Remedy:
    fact = settings.postfix.fact("milter_default_action")
    file, line = (fact.file, fact.line) if fact else (None, None)
    if cause == "milter-away":
        now = f" ({fact.value} now)" if fact and fact.value != "tempfail" else ""
        text = (
            f"Set milter_default_action = tempfail in main.cf{now}, or default_action=tempfail for this milter alone "
            "(smtpd_milters = { ADDRESS, default_action=tempfail }, Postfix 3.0), then run: postfix check && postfix reload. "
            "While the filter is away senders are put off and come again; users' mail programs show an error meanwhile, so "
            "leave a milter that only signs on submission at accept. Then find why it was away (its own log, systemctl status)."
        )
        return Remedy(text, file, line, key="milter-default-action")
    if cause == "milter-gave-up":
        return Remedy(
            "Look into the milter's own log at these seconds. A size limit: raise it to message_size_limit of Postfix (rspamd: "
            "max_message in local.d/options.inc), or lower that. A time limit: milter_command_timeout, milter_content_timeout, "
            "and the filter's own timeout (rspamd: task_timeout), which should be the shorter one. With the cause gone, "
            "milter_default_action = tempfail keeps such mail waiting rather than pass; before, it would come back to senders.",
            key="milter-gave-up",
        )
    if cause == "other-milter-away":
        return Remedy(
            "Find why it was away: its own log, and systemctl status. Mail that it should have signed left unsigned."
        )
    if cause == "too-big":
        limit = {"spamc": "spamc's option -s", "DSPAM": "MaxMessageSize in dspam.conf"}
        name = limit.get(one.subject, "MaxMessageSize in dspam.conf")
        return Remedy(
            f"Where this isn't meant: raise {name}, up to message_size_limit of Postfix; it costs the filter time."
        )
    if one.user:
        return Remedy(
            f"Make the data of {one.user} usable for the user that DSPAM runs as (ps -o user= -C dspam): look at the file that "
            f"the line names with ls -l, at its folders, and at the space left (df). The reason given: {one.reason}",
        )
    by = {
        "amavis": "Look at amavis's lines before it: $sa_timeout and $child_timeout in amavisd.conf, slow DNS, a busy host.",
        "spampd": "Look why SpamAssassin took so long or failed: spampd's --satimeout, slow DNS, memory. --dose has the mail "
        "put off instead of passed.",
        "spamc": "Start spamd, and look why it was away. spamc -x tells the caller of a failure instead of passing the mail: "
        "only where that puts the mail off (exit code 75 of a pipe service).",
    }
    return Remedy(by.get(one.subject, "Look at DSPAM's lines just before: what it could not open, read or write."))


CHECK = Check(
    NAME,
    "A filter failed, and mail passed it unjudged",
    look=look,
    conclude=conclude,
    settle=unscanned.settle,
    causes=("milter-away", "milter-gave-up", "other-milter-away", "filter-error", "filter-timeout", "too-big"),
    order=410,
    group="filters",
    severity="problem",
    needs=("Postfix's lines of smtpd and cleanup", "the filter's own lines, where it stands behind the queue"),
    related=("filter-unreachable", "filter-bypassed", "filter-half-blind"),
    limits=Limits,
    clear="No filter let mail pass by failing ({checked:mail|mails} looked at)",
)
