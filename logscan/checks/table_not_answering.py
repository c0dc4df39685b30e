r"""A table that Postfix asks doesn't answer, and mail is put off.

## What it finds
Look-ups that failed since a database or directory server was away, or since a table's file is missing or of a kind that
this Postfix can't open. One finding a server or table, with each outage inside it, and how many recipients were put off.

## Why it matters
Postfix takes no mail that it can't look up: it answers 451, and senders come again for days. With a table that never
opens again they give up in the end, and mail from programs on this host stays in the queue.

## What the log shows
`connect to mysql server db1: Can't connect`, `dict_ldap_connect: Unable to bind to server`, `hash:/etc/aliases is
unavailable. open database /etc/aliases.db: No such file or directory`, `mysql:/etc/postfix/virtual.cf lookup error for
"…"`, `virtual_alias_maps map lookup problem`, and to clients `451 4.3.0 <…>: Temporary lookup failure`.

## What to do
A server: start it, and look why it went; see whether its limit of connections is reached (proxy: before the table's name
in main.cf shares connections). A missing file: `postmap FILE` or `newaliases`. An unsupported type: install the package,
for instance postfix-mysql.

## When it is wrong
A database that was restarted is missed by a look-up or two: what lasts less than two minutes and put off next to nobody
is a note.

## When it is blind
Where no mail of Postfix is in the log. Look-ups that Dovecot makes are not told here: the check authentication-down has
those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from logscan.amounts import plural
from logscan.checking import warned
from logscan.checking.check import Check
from logscan.checking.limits import limits
from logscan.checking.lookups import FAILURES, lookup_failure
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


@dataclass(frozen=True)
class Limits:
    """Thresholds."""

    lasting: int = 120
    """Seconds that a server may be away without harm: a restart of a database takes less, and clients come again."""
    put_off: int = 3
    """Recipients put off that make even a short outage matter: fewer are a single mail's."""
    apart: int = 3600
    """Seconds between failures that are of one outage: on a quiet server an hour may pass between two mails."""
    quiet: int = 7200
    """Seconds with mail and without a complaint after which a table can be opened again: mail that was put off is tried again
    after 4000 s at most (maximal_backoff_time)."""
    near: int = 600
    """Seconds between a server's failure and a table's that are about the same outage: Postfix asks a server that was away again
    after a minute (retry_interval of the SQL tables)."""


def look(window: Window, settings: Settings) -> Partial:
    """Return the failed look-ups by what failed and ten minutes, and the recipients that were put off meanwhile."""
    mails = len(window.tables["clients"]) + len(window.tables["rejects"])
    parts: dict[str, Any] = {"mails": mails, hourly.HOURS: hourly.look(window)}
    told = warned.warned(window)
    if told is not None:
        told = told.take(told.postfix)
        told = told.matching(FAILURES)
        kind = told.text.changed(lookup_failure)
        told, kind = told.take(kind.codes >= 0), kind.take(kind.codes >= 0)
        if len(told):
            kinds = kind.changed(lambda both: both.split("\n")[0])
            subjects = kind.changed(lambda both: both.split("\n")[1])
            parts["failures"] = warned.counted(told.host, told.at, told.place, kinds, subjects)
    refused = _refused(window)
    if len(refused):
        host = column(window, "rejects", "host").take(refused)
        source, line = (number(window, "rejects", name)[refused] for name in ("source", "line"))
        same = Coded(np.zeros(len(refused), np.int64), ["put off"])
        parts["refused"] = warned.counted(host, moments(window, "rejects")[refused], (source << 32) + line, same, same)
    return Partial(parts)


def _refused(window: Window) -> Any:
    """Return the rows of recipients that this server put off since a look-up failed."""
    if not len(window.tables["rejects"]):
        return np.empty(0, np.int64)
    rows = np.flatnonzero(column(window, "rejects", "code").is_in("451") & (moments(window, "rejects") > 0))
    if not len(rows):
        return rows
    text = column(window, "rejects", "text").take(rows)
    return rows[text.matching(warned.finds(r"(?:^|: )Temporary lookup (?:failure|error)$"))]


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each server or table that didn't answer."""
    own = limits(log, CHECK.name, Limits)
    mails = partial.count("mails")
    result = Result(checked=mails, eligible=mails)
    if not mails:
        result.blind_because.append("no mail of Postfix came in in these logs, so that no table was asked")
    refused = warned.bouts(partial, "refused", 0)
    groups = warned.by_subject(_named(warned.bouts(partial, "failures", own.apart), refused, own))
    for (cause, subject), found in groups.items():
        mended = cause == "table-unusable" and quiet_since(partial, found, own.quiet)
        result.findings.append(_finding(cause, subject, found, refused, log, own, mended=mended))
    return result


def _named(failures: Sequence[Bout], refused: Sequence[Bout], own: Limits) -> list[Bout]:
    """Return the outages: what a table tells while its server is away is the server's, and so are recipients put off."""
    near = own.near * SECOND
    deep = [each for each in failures if each.kind != "lookup-failing"]
    # Who opens a table that isn't there names its file, who asks it its type too.
    whole = {each.subject.partition(":")[2] for each in deep}
    deep = [each for each in deep if each.kind != "table-unusable" or each.subject not in whole]
    out = list(deep)
    shallow = [each for each in failures if each.kind == "lookup-failing"]
    out += [each for each in shallow if not any(_meet(each, other, near) for other in deep)]
    # A parameter's name tells less than the table's, which stands beside it.
    tables = [each for each in out if ":" in each.subject or each.kind != "lookup-failing"]
    out = [each for each in out if each in tables or not any(_meet(each, other, near) for other in tables)]
    for each in refused:
        if not any(_meet(each, other, near) for other in out):
            out.append(each._replace(kind="lookup-failing", subject="a table that isn't named"))
    return sorted(out, key=lambda each: (each.start, each.subject))


def _meet(one: Bout, other: Bout, near: int) -> bool:
    return one.host == other.host and one.start - near <= other.until and other.start <= one.until + near


def _finding(
    cause: str, subject: str, found: Sequence[Bout], refused: Sequence[Bout], log: Log, own: Limits, *, mended: bool
) -> Finding:
    near = own.near * SECOND
    cases, put_off = [], 0
    for each in found:
        waited = sum(other.lines for other in refused if _meet(each, other, near))
        put_off += waited
        cases.append({**each.case(), "put_off": waited})
    lasted = max(each.until - each.start for each in found)
    harm = put_off >= own.put_off or lasted >= own.lasting * SECOND
    severity: Severity = "note" if not harm else "problem" if put_off else "warning"
    told = plural(sum(each.lines for each in found), "line")
    waiting = f"; {plural(put_off, 'recipient')} put off with 451" if put_off else ""
    over = "; it can be opened again" if mended else ""
    # Types and programs are written small at the beginning of a sentence too.
    name = subject[0].upper() + subject[1:] if subject.startswith(("the ", "a ", "tables ")) else subject
    what = "can't be opened" if cause == "table-unusable" else "didn't answer Postfix"
    return Finding(
        cause=cause,
        subject=subject,
        summary=f"{name} {what}, {warned.times(found)} ({told}){waiting}{over}",
        severity=severity,
        confidence="high" if cause != "lookup-failing" else "medium",
        count=len(found),
        cases=cases,
        state="mended" if mended else "active",
        remedy=None if mended else _remedy(cause, subject),
        evidence=warned.lines_of(log, found),
        recipients=put_off,
        **warned.when(found),
    )


def _remedy(cause: str, subject: str) -> Remedy:
    if cause == "database-away":
        return Remedy(
            f"Look into the own log of {subject}: was it stopped, out of memory or out of connections? Put proxy: before the "
            f"names of "
            "SQL and LDAP tables in main.cf, so that few connections serve all processes, and name a second server in hosts "
            "= (SQL) or "
            "server_host = (LDAP). What was put off comes again by itself; mail in the queue goes on with postqueue -f."
        )
    if cause == "table-unusable":
        return Remedy(
            f"Make what {subject} is read from: newaliases for alias_maps, postmap TYPE:FILE for others, as root; for a type "
            f"that isn't "
            "supported install its package (Debian: postfix-mysql, postfix-pgsql, postfix-ldap, postfix-cdb, postfix-lmdb), "
            "or name a "
            "type of postconf -m in main.cf; then postfix reload. Until then mail that needs the table is put off."
        )
    return Remedy(
        "Ask the table as Postfix does: postmap -q ADDRESS TYPE:FILE tells what fails. The lines before the first failure "
        "name the reason."
    )


CHECK = Check(
    "table-not-answering",
    "A table doesn't answer Postfix",
    look,
    conclude,
    causes=("database-away", "lookup-failing", "table-unusable"),
    order=515,
    clear="Each table that Postfix asked answered ({checked:mail|mails} looked at)",
    but="but for short outages",
    group="machine",
    needs=("warnings of Postfix's daemons",),
    related=("map-out-of-date", "authentication-down", "mail-stuck"),
    limits=Limits,
)
