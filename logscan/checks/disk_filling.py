"""A disk is full, or too full for Postfix to take mail.

## What it finds
Mail that was put off or not written since a file system had no space left: the queue's, the mailboxes', a filter's. One
finding a host and place, with each time inside it.

## Why it matters
Postfix takes no mail at all while less than one and a half times message_size_limit is free; a mailbox on a full disk
isn't delivered to; indexes and dictionaries that are written half are damaged. Logs may be cut by it too.

## What the log shows
`not enough free space in mail queue: 9277440 bytes < 1.5*message size limit` and `452 4.3.1 Insufficient system storage`;
`write queue file: No space left on device`; `cannot update mailbox /var/mail/nora for user nora. … No space left on
device`; Dovecot's `write(/var/vmail/…) failed: No space left on device`.

## What to do
`df -h` and `df -i` name the full file system (one without inodes is full too), `du -xsh /var/*` what fills it: old logs,
a core dump, a backup, one mailbox, a queue full of bounces. Never delete files in the queue by hand: `postsuper -d` does
it.

## When it is wrong
What another host says in a reply is not counted, nor a mailbox over its quota: that is the check mailbox-refused. A quota
of the file system for one system user (`Disk quota exceeded`) is found here: for programs it is the same.

## When it is blind
Where neither mail of Postfix nor stores of Dovecot are in the log. A disk that fills and was not full yet shows in no
log.
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
from logscan.checking.quiet import quiet_since
from logscan.checking.warned import Bout
from logscan.findings import Finding, Remedy, Result
from logscan.scan import hourly
from logscan.scan.columns import column, moments, number
from logscan.tables.coded import Coded
from logscan.tables.partials import Partial, merged

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

FULL = r"(?:^|[ :])(?:No space left on device|Disk quota exceeded)(?:$|[ ,;)\]])"
"""What the system calls ENOSPC and EDQUOT (RE2)."""

QUEUE = "not enough free space in mail queue: "
"""Postfix smtpd/smtpd_check.c, smtpd_check_queue()."""

_PATH = re.compile(r"(?<![\w.<@])(/(?:[\w.+-]{1,60}/)?[\w.+-]{1,60})")


@dataclass(frozen=True)
class Limits:
    """Thresholds."""

    apart: int = 3600
    """Seconds between two complaints that are of one time: on a quiet server an hour may pass between two mails."""
    quiet: int = 3600
    """Seconds with mail and without a complaint after which there is space again: each mail is written to the queue."""


def _place(text: Any) -> str:
    """Return the file system that a text speaks of, by the first two parts of its path."""
    if str(text).startswith(QUEUE) or "queue file" in str(text):
        return "the mail queue"
    found = _PATH.search(str(text))
    return found[1] if found else "a file system"


def look(window: Window, settings: Settings) -> Partial:
    """Return the complaints by place and ten minutes, the recipients put off, and the mails by hour."""
    tables = window.tables
    seen = len(tables["clients"]) + len(tables["stores"])
    parts: dict[str, Any] = {hourly.HOURS: hourly.look(window), "seen": seen}
    found = []
    told = warned.warned(window)
    if told is not None:
        # What another host said stands in warnings too.
        told = told.matching(f"^{QUEUE}|{FULL}")
        told = told.take(~told.text.matching(warned.finds(r" said: |^host ")))
        if len(told):
            found.append(_counted(told.host, told.at, told.place, told.text))
    for table, name, values in (("deliveries", "status", ("deferred", "bounced")), ("stores", "action", ("failed",))):
        rows = _rows(window, table, name, values)
        if len(rows):
            text = column(window, table, "reply" if table == "deliveries" else "text").take(rows)
            rows = rows[text.matching(warned.finds(FULL))]
        if len(rows):
            found.append(_of_rows(window, table, rows, "reply" if table == "deliveries" else "text"))
    if len(tables["filter_errors"]):
        text = column(window, "filter_errors", "text")
        some = np.flatnonzero(text.matching(warned.finds(FULL)))
        some = some[moments(window, "filter_errors")[some] > 0]
        if len(some):
            found.append(_of_rows(window, "filter_errors", some, "text"))
    if found:
        parts["full"] = merged(Partial({"full": each}) for each in found).parts["full"]
    refused = _rows(window, "rejects", "code", ("452",))
    if len(refused):
        text = column(window, "rejects", "text").take(refused)
        refused = refused[text.matching(lambda words: pc.match_substring(words, "Insufficient system storage"))]
        if len(refused):
            same = Coded(np.zeros(len(refused), np.int64), ["the mail queue"])
            host, at, place = _where(window, "rejects", refused)
            parts["refused"] = warned.counted(host, at, place, same, same)
    return Partial(parts)


def _rows(window: Window, table: str, name: str, values: tuple[str, ...]) -> Any:
    """Return the rows of a table with one of these values that carry a time; of deliveries those of agents that write files."""
    if not len(window.tables[table]):
        return np.empty(0, np.int64)
    mask = column(window, table, name).is_in(*values)
    if table == "deliveries":
        mask &= column(window, table, "program").is_in("local", "virtual", "pipe")
    return np.flatnonzero(mask & (moments(window, table) > 0))


def _where(window: Window, table: str, rows: Any) -> tuple[Coded, Any, Any]:
    source, line = (number(window, table, name)[rows] for name in ("source", "line"))
    return column(window, table, "host").take(rows), moments(window, table)[rows], (source << 32) + line


def _of_rows(window: Window, table: str, rows: Any, name: str) -> Any:
    host, at, place = _where(window, table, rows)
    return _counted(host, at, place, column(window, table, name).take(rows))


def _counted(host: Coded, at: Any, place: Any, text: Coded) -> Any:
    kind = text.changed(lambda it: "queue-space" if str(it).startswith(QUEUE) else "no-space")
    return warned.counted(host, at, place, kind, text.changed(_place))


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each place on a host that was full."""
    own = limits(log, CHECK.name, Limits)
    seen = partial.count("seen")
    result = Result(checked=seen, eligible=seen)
    if not seen:
        result.blind_because.append("neither mail of Postfix nor stores of Dovecot in these logs")
    refused = warned.bouts(partial, "refused", own.apart)
    found = warned.bouts(partial, "full", own.apart)
    groups: dict[tuple[str, str, str], list[Bout]] = {}
    for each in found:
        groups.setdefault((each.host, each.kind, each.subject), []).append(each)
    # Clients were told so, but the warning stands in another log.
    for host in sorted({each.host for each in refused} - {each.host for each in found if each.kind == "queue-space"}):
        mine = [each._replace(kind="queue-space") for each in refused if each.host == host]
        groups.setdefault((host, "queue-space", "the mail queue"), []).extend(mine)
    for (host, cause, place), bouts in groups.items():
        put_off = sum(each.lines for each in refused if each.host == host) if cause == "queue-space" else 0
        result.findings.append(_finding(host, cause, place, bouts, put_off, partial, log, own))
    return result


def _finding(
    host: str, cause: str, place: str, found: Sequence[Bout], put_off: int, partial: Partial, log: Log, own: Limits
) -> Finding:
    mended = quiet_since(partial, found, own.quiet)
    span, lines = warned.times(found), sum(each.lines for each in found)
    on = f" on {host}" if host else ""
    if cause == "queue-space":
        waiting = f"; {plural(put_off, 'client')} told 452" if put_off else ""
        summary = f"Too little space for mail in the queue{on}, {span}{waiting}"
    else:
        summary = f"No space left for {place}{on}, {span}: {plural(lines, 'line')} {'says' if lines == 1 else 'say'} so"
    return Finding(
        cause=cause,
        subject=f"{place}{on}",
        summary=summary + ("; there is space again" if mended else ""),
        severity="problem",
        confidence="high",
        count=len(found),
        cases=[{**each.case(), "put_off": put_off if len(found) == 1 else None} for each in found],
        state="mended" if mended else "active",
        remedy=Remedy(
            "df -h and df -i name the full file system (the queue is postconf -h queue_directory), du -xsh /var/* what fills "
            "it. Make "
            "room: old logs, backups, core dumps. Touch no file in the queue by hand: postqueue -p lists it, postsuper -d ID "
            "removes one "
            "mail. Postfix takes mail again by itself; what was put off comes again."
        ),
        evidence=warned.lines_of(log, found),
        **warned.when(found),
    )


CHECK = Check(
    "disk-filling",
    "A disk is full",
    look,
    conclude,
    causes=("no-space", "queue-space"),
    order=530,
    clear="Nothing complains of a full disk ({checked:mail or store|mails and stores} looked at)",
    but="but for what has space again",
    group="machine",
    needs=("warnings of Postfix and Dovecot",),
    related=("mailbox-refused", "log-gap", "postfix-complains"),
    limits=Limits,
)
