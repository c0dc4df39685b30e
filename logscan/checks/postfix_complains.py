"""Postfix says itself that something is wrong: in its settings, its files, its certificates, or the machine.

## What it finds
About fifty of Postfix's own warnings and errors, each told in plain words with its cause and its cure: a domain in two
lists, an unknown restriction, a certificate that can't be read, a transport that there is not, processes that crash, a
damaged queue file. One finding a complaint and what it is about. All other warnings are counted by their text, as notes.

## Why it matters
Postfix works on as well as it can, and nobody reads warnings that stand between thousands of other lines.

## What the log shows
`warning:`, `error:`, `fatal:` and `panic:` of any of Postfix's daemons, and `process … killed by signal 11`.

## What to do
Each finding says it. `postfix check` and `postconf -n` show most mistakes in the settings; a change needs `postfix
reload`.

## When it is wrong
What comes once at a start and is over (a socket that isn't there yet) is a note; so is what only strangers cause. What
was not said for an hour or a day, while mail came in, counts as mended. What another check tells (tables, limits, disks,
milters, logins, loops, clocks) isn't told again.

## When it is blind
Where no mail of Postfix is in the log. Complaints of postconf and postmap that only a terminal saw aren't there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from logscan.amounts import plural
from logscan.checking import warned
from logscan.checking.check import Check
from logscan.checking.complaint import ASIDE, ELSEWHERE, Complaint
from logscan.checking.complaints_running import COMPATIBILITY, PANICKED, RUNNING
from logscan.checking.complaints_settings import SETTINGS
from logscan.checking.limits import limits
from logscan.checking.lookups import lookup_failure
from logscan.checking.quiet import quiet_since
from logscan.checking.warned import Bout
from logscan.findings import Finding, Remedy, Result, Severity
from logscan.scan import hourly
from logscan.scan.columns import column, moments, number
from logscan.tables.coded import Coded
from logscan.tables.partials import SECOND, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

KNOWN = (*SETTINGS, *RUNNING)
BY_NAME = {each.name: each for each in (*KNOWN, COMPATIBILITY, PANICKED)}
FOLLOWING = ("daemon-fails", "transport-fails", "subsystem-away")
"""Complaints that something else is behind: where that is told, they are notes."""

_TEMPLATE = (
    (re.compile(r"<[^<>]*>"), "<…>"),
    (re.compile(r"\"[^\"]*\""), '"…"'),
    (re.compile(r"[^ <>,;:\[\]]+\[[0-9A-Fa-f.:]+\]"), "HOST"),
    (re.compile(r"[^ <>,;:]+@[^ <>,;:]+"), "ADDRESS"),
    (re.compile(r"(?<![/\w.-])-?[\w-]{1,63}(?:\.[\w-]{1,63}){1,10}(?![/\w])"), "NAME"),
    (re.compile(r"\b(?=[0-9A-Fa-f]*\d)[0-9A-Fa-f]{6,}\b|\d+"), "N"),
)


@dataclass(frozen=True)
class Limits:
    """Thresholds."""

    apart: int = 3600
    """Seconds between two lines that are of one time: on a quiet server an hour may pass between two mails."""
    near: int = 600
    """Seconds within which a daemon that fails is what another complaint leads to."""
    each: int = 20
    """Findings of one complaint, and notes of other texts: of more, the commonest are shown, the others counted together."""


def template(text: str) -> str:
    """Return a text without what differs from line to line: addresses, hosts, numbers, what is quoted."""
    for pattern, name in _TEMPLATE:
        text = pattern.sub(name, text)
    return text[:120]


def classified(text: Any) -> str:
    """Return the name of the complaint and what it is about, with a line feed between; ``other`` and its template for others."""
    for each in KNOWN:
        if found := each.compiled.search(str(text)):
            groups = found.groupdict()
            return f"{each.name}\n{groups.get('it') or groups.get('that') or ''}"
    return f"other\n{template(str(text))}"


def look(window: Window, settings: Settings) -> Partial:
    """Return the complaints by what they are about and ten minutes, and the mails by hour."""
    parts: dict[str, Any] = {hourly.HOURS: hourly.look(window), "mails": len(window.tables["clients"])}
    told = warned.warned(window)
    if told is not None:
        told = told.take(told.postfix)
    if told is not None and len(told):
        failed = told.text.having(lambda text: lookup_failure(text) is not None)
        others = told.text.matching(warned.finds(ELSEWHERE)) | failed
        elsewhere, aside = told.take(others), others | told.text.matching(warned.finds(ASIDE))
        if len(elsewhere):
            same = Coded(np.zeros(len(elsewhere), np.int64), [""])
            parts["elsewhere"] = warned.counted(elsewhere.host, elsewhere.at, elsewhere.place, same, same)
        panics = told.event.is_in("panic")
        if panics.any():
            some = told.take(panics)
            what = some.text.changed(lambda text: f"{PANICKED.name}\n{template(str(text))}")
            parts["panics"] = _counted(some.host, some.at, some.place, what)
        told = told.take(~aside & ~panics)
        if len(told):
            parts["complaints"] = _counted(told.host, told.at, told.place, told.text.changed(classified))
    if len(window.tables["service_events"]):
        mine = column(window, "service_events", "event").is_in("compatibility")
        rows = np.flatnonzero(mine & (moments(window, "service_events") > 0))
        if len(rows):
            source, line = (number(window, "service_events", name)[rows] for name in ("source", "line"))
            host, at = column(window, "service_events", "host").take(rows), moments(window, "service_events")[rows]
            same = Coded(np.zeros(len(rows), np.int64), [f"{COMPATIBILITY.name}\ncompatibility_level"])
            parts["compatibility"] = _counted(host, at, (source << 32) + line, same)
    return Partial(parts)


def _counted(host: Coded, at: Any, place: Any, both: Coded) -> Any:
    kind, subject = both.changed(lambda it: it.split("\n")[0]), both.changed(lambda it: it.split("\n", 1)[1])
    return warned.counted(host, at, place, kind, subject)


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each complaint and what it is about, and a note for each other text."""
    own = limits(log, CHECK.name, Limits)
    mails = partial.count("mails")
    result = Result(checked=mails, eligible=mails)
    if not mails:
        result.blind_because.append("no mail of Postfix in these logs")
    found = [
        each for name in ("complaints", "panics", "compatibility") for each in warned.bouts(partial, name, own.apart)
    ]
    elsewhere = warned.bouts(partial, "elsewhere", own.apart)
    for name, subjects in _by_name(found, own).items():
        for subject, bouts in subjects.items():
            if name in BY_NAME:
                behind = [*elsewhere, *(each for each in found if _grave(each))]
                result.findings.append(_finding(BY_NAME[name], subject, bouts, behind, partial, log, own))
            else:
                result.findings.append(_other(subject, bouts, log))
    return result


def _grave(each: Bout) -> bool:
    return each.kind in BY_NAME and each.kind not in FOLLOWING and BY_NAME[each.kind].severity != "note"


def _by_name(found: Sequence[Bout], own: Limits) -> dict[str, dict[str, list[Bout]]]:
    """Return bouts by the complaint's name and by subject; of a name with too many subjects the rarest are put together."""
    out: dict[str, dict[str, list[Bout]]] = {}
    for (name, subject), bouts in warned.by_subject(found).items():
        out.setdefault(name, {})[subject] = bouts
    for name, subjects in out.items():
        order = sorted(subjects, key=lambda each: (-sum(bout.lines for bout in subjects[each]), each))
        if len(order) > own.each:
            rest = [bout for each in order[own.each :] for bout in subjects[each]]
            kept = {each: subjects[each] for each in order[: own.each]}
            out[name] = {**kept, "others": sorted(rest, key=lambda each: (each.start, each.subject, each.host))}
    return out


def _finding(
    complaint: Complaint,
    subject: str,
    found: Sequence[Bout],
    behind: Sequence[Bout],
    partial: Partial,
    log: Log,
    own: Limits,
) -> Finding:
    severity: Severity = complaint.severity
    if max(each.until - each.start for each in found) < complaint.lasting * SECOND and len(found) < 3:
        severity = "note"
    if complaint.name in FOLLOWING and all(any(_near(each, other, own.near) for other in behind) for each in found):
        severity = "note"
    mended = severity != "note" and complaint.quiet > 0 and quiet_since(partial, found, complaint.quiet)
    lines = sum(each.lines for each in found)
    name = subject if subject != "others" else f"{plural(len({each.subject for each in found}), 'other')}"
    words = complaint.words.format(it=name)
    return Finding(
        cause=complaint.name,
        subject=subject or "Postfix",
        summary=f"{words} (said {'once' if lines == 1 else f'{lines:,} times'})" + ("; not any more" if mended else ""),
        severity=severity,
        confidence="high",
        count=lines,
        cases=[_case(each) for each in found],
        state="mended" if mended else "active",
        remedy=Remedy(complaint.cure.format(it=name)),
        evidence=warned.lines_of(log, found),
        **warned.when(found),
    )


def _near(each: Bout, other: Bout, near: int) -> bool:
    slack = near * SECOND
    return each.host == other.host and other.start - slack <= each.until and each.start <= other.until + slack


def _case(each: Bout) -> dict[str, Any]:
    return {key: value for key, value in each.case().items() if key != "kind"}


def _other(subject: str, found: Sequence[Bout], log: Log) -> Finding:
    lines = sum(each.lines for each in found)
    text = subject if subject != "others" else plural(len({each.subject for each in found}), "other text")
    return Finding(
        cause="other",
        subject=subject,
        summary=f"Postfix also complains, {'once' if lines == 1 else f'{lines:,} times'}: {text}",
        severity="note",
        confidence="high",
        count=lines,
        cases=[_case(each) for each in found],
        evidence=warned.lines_of(log, found),
        **warned.when(found),
    )


CHECK = Check(
    "postfix-complains",
    "Postfix complains",
    look,
    conclude,
    causes=(*sorted(BY_NAME), "other"),
    order=510,
    clear="Postfix complains of nothing that is wrong ({checked:mail|mails} looked at)",
    but="but for what is noted",
    group="machine",
    needs=("warnings of Postfix's daemons",),
    related=("table-not-answering", "map-out-of-date", "processes-exhausted", "disk-filling"),
    limits=Limits,
)
