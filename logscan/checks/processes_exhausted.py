"""A limit on processes or connections was reached, so that clients had to wait or were turned away.

## What it finds
Services of Postfix and Dovecot all of whose processes were busy, processes that couldn't be started, and users whose
program opened more connections than one user may have. One finding a service or user, with each time inside it.

## Why it matters
New clients of such a service wait for minutes, or are dropped: other servers come again later, users see an error.

## What the log shows
`service "smtp" (25) has reached its process limit "100": new clients may experience noticeable delays` (Postfix says so
at most every 1000 seconds), Dovecot's `service(imap-login): process_limit (100) reached, client connections are being
dropped`, `fork: Cannot allocate memory -- throttling`, `Maximum number of connections from user+IP exceeded
(mail_max_userip_connections=10)`.

## What to do
First look who was connected: a single attacker or a broken program is not cured by more processes. Then raise the limit:
the column maxproc in master.cf, process_limit and client_limit in Dovecot's service section, each process costs memory.

## When it is wrong
An attack reaches a limit that suits everyday traffic; that it was reached is true all the same. A user's phone and
computer may open more than ten connections at once for a moment: fewer than ten refusals of a user are passed over.

## When it is blind
Where neither mail of Postfix nor logins of Dovecot are in the log.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from logscan.amounts import plural
from logscan.checking import warned
from logscan.checking.check import Check
from logscan.checking.limits import limits
from logscan.checking.warned import Bout
from logscan.findings import Finding, Remedy, Result, Severity
from logscan.scan.columns import column, moments, number
from logscan.tables.coded import Coded
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

TOLD = r"has reached its process limit|(?:process_limit|client_limit)\S* \(\d+\) reached|fork: .* -- throttling"
_KINDS = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (
            "postfix-process-limit",
            r"\Aservice \"(?P<it>[^\"]{1,80})\" \([^)]*\) has reached its process limit \"(?P<limit>\d{1,6})\"",
        ),
        (
            "dovecot-limit",
            r"\Aservice\((?P<it>[^()]{1,60})\): (?P<limit>(?:process|client)_limit\S* \(\d{1,9}\)) reached",
        ),
        ("fork-failed", r"\A(?P<it>[^ ]{1,120}): fork: (?P<limit>.{1,80}) -- throttling"),
    )
)
"""Texts of Postfix's master/master_avail.c and master_spawn.c, and of Dovecot's master/service-monitor.c."""


@dataclass(frozen=True)
class Limits:
    """Thresholds."""

    apart: int = 2400
    """Seconds between two complaints that are of one time: Postfix repeats them every 1000 s at most, so that two may be "
    "missing."""
    refusals: int = 10
    """Connections of a user that are turned away before it counts: programs try again at once, and a few are nobody's harm."""
    often: int = 3
    """Times at which a limit is reached that make it a problem: it is too low for everyday traffic then."""


def _kind(text: Any) -> str | None:
    for kind, pattern in _KINDS:
        if found := pattern.search(str(text)):
            return f"{kind}\n{found['it']}\n{found['limit']}"
    return None


def look(window: Window, settings: Settings) -> Partial:
    """Return the complaints by service, and the logins turned away by user."""
    parts: dict[str, Any] = {"seen": len(window.tables["clients"]) + len(window.tables["logins"])}
    told = warned.warned(window)
    if told is not None:
        told = told.matching(TOLD)
        both = told.text.changed(_kind)
        told, both = told.take(both.codes >= 0), both.take(both.codes >= 0)
        if len(told):
            kind, subject = both.changed(lambda it: it.split("\n")[0]), both.changed(lambda it: it.split("\n", 1)[1])
            parts["limits"] = warned.counted(told.host, told.at, told.place, kind, subject)
    if len(window.tables["logins"]):
        rows = np.flatnonzero(
            column(window, "logins", "event").is_in("aborted", "failed") & (moments(window, "logins") > 0)
        )
        reason = column(window, "logins", "reason").take(rows)
        rows = rows[reason.matching(lambda words: pc.match_substring(words, "Maximum number of connections from user"))]
        if len(rows):
            user = column(window, "logins", "user").take(rows)
            source, line = (number(window, "logins", name)[rows] for name in ("source", "line"))
            same = Coded(np.zeros(len(rows), np.int64), ["user-connections"])
            host, at = column(window, "logins", "host").take(rows), moments(window, "logins")[rows]
            parts["users"] = warned.counted(
                host, at, (source << 32) + line, same, user.changed(lambda name: str(name)[:200])
            )
    return Partial(parts)


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each service whose limit was reached, and each user who reached the own one."""
    own = limits(log, CHECK.name, Limits)
    seen = partial.count("seen")
    result = Result(checked=seen, eligible=seen)
    if not seen:
        result.blind_because.append("neither mail of Postfix nor logins of Dovecot in these logs")
    for (cause, subject), found in warned.by_subject(warned.bouts(partial, "limits", own.apart)).items():
        name, _, limit = subject.partition("\n")
        result.findings.append(_finding(cause, name, limit, found, log, own))
    for (cause, user), found in warned.by_subject(warned.bouts(partial, "users", own.apart)).items():
        if sum(each.lines for each in found) >= own.refusals:
            result.findings.append(_finding(cause, user, "", found, log, own))
    return result


def _finding(cause: str, name: str, limit: str, found: Sequence[Bout], log: Log, own: Limits) -> Finding:
    times = warned.times(found)
    lines = sum(each.lines for each in found)
    severity: Severity = "problem" if cause == "fork-failed" or len(found) >= own.often else "warning"
    if cause == "postfix-process-limit":
        summary = f"All {limit} processes of Postfix's service {name} were busy, {times}: clients waited"
    elif cause == "dovecot-limit":
        summary = f"Dovecot's service {name} reached its {limit}, {times}: connections were dropped"
    elif cause == "fork-failed":
        summary = f"Postfix couldn't start {name}, {times}: {limit}"
    else:
        severity = "warning"
        summary = f"{name} was turned away {plural(lines, 'time')} for having too many connections open at once"
    cases = [{**each.case(), "subject": name} for each in found]
    if limit:
        cases = [{**case, "limit": limit} for case in cases]
    if cause == "user-connections":
        cases = [{**case, "user": name} for case in cases]
    return Finding(
        cause=cause,
        subject=name,
        summary=summary,
        severity=severity,
        confidence="high",
        count=lines if cause == "user-connections" else len(found),
        cases=cases,
        remedy=_remedy(cause, name, limit),
        evidence=warned.lines_of(log, found),
        **warned.when(found),
    )


def _remedy(cause: str, name: str, limit: str) -> Remedy:
    if cause == "postfix-process-limit":
        return Remedy(
            f"Look first who was connected then (`connect from` of that service in the log): one network alone is an attacker "
            f"or a broken "
            f"program, smtpd_client_connection_count_limit holds it back. Else raise the column maxproc of {name} in "
            f"master.cf above "
            f"{limit} (or default_process_limit in main.cf), then postfix reload: an smtpd with TLS takes about 10 MB. "
            f"postscreen in front "
            "keeps bots away from the processes.",
            file="master.cf",
        )
    if cause == "dovecot-limit":
        return Remedy(
            f"Look first who was connected then (doveadm who). Else raise the limit in Dovecot's section service {name} "
            f"{{ ... }}: it "
            f"was at {limit}. default_process_limit and default_client_limit hold for services that name none, and service "
            f"auth needs a "
            "client_limit as large as those of all login services together. Then doveadm reload."
        )
    if cause == "fork-failed":
        return Remedy(
            "The machine had no memory or no process left: look at free -m, at systemctl show postfix -p TasksMax and at "
            "ulimit -u, and "
            "lower default_process_limit in main.cf if memory is short. Postfix tries again after a minute by itself."
        )
    return Remedy(
        "Raise mail_max_userip_connections in dovecot.conf (20 suits a program that watches many folders), or have the user's "
        "program open fewer connections; many devices behind one address add up. Then doveadm reload."
    )


CHECK = Check(
    "processes-exhausted",
    "A limit on processes or connections was reached",
    look,
    conclude,
    causes=("dovecot-limit", "fork-failed", "postfix-process-limit", "user-connections"),
    order=525,
    clear="No limit on processes or connections was reached ({checked:mail or login|mails and logins} looked at)",
    group="machine",
    needs=("warnings of Postfix's master and of Dovecot",),
    related=("password-guessing", "volume-unusual"),
    limits=Limits,
)
