"""A table was edited and not built anew, so that Postfix works with the old one.

## What it finds
Databases that are older than the text they are made of. One finding a database.

## Why it matters
Who edited the file believes that the new alias, domain or transport works: it doesn't. What was taken out of the file
works on.

## What the log shows
`warning: database /etc/postfix/virtual.db is older than source file /etc/postfix/virtual`, from each process that opens
it.

## What to do
`postmap TYPE:FILE` as root, for aliases `newaliases`. Postfix notices by itself, no reload is needed.

## When it is wrong
A file that was touched and not changed is found too: building it anew is right all the same. Where processes that were
started since say it no more, it was mended and doesn't count.

## When it is blind
Where no mail of Postfix is in the log, so that no process opened a table. Tables without a database (texthash, regexp,
SQL) can't be out of date.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from logscan.amounts import plural
from logscan.checking import warned
from logscan.checking.check import Check
from logscan.checking.limits import limits
from logscan.checking.quiet import quiet_since
from logscan.findings import Finding, Remedy, Result
from logscan.scan import hourly
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from logscan.checking.warned import Bout
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

_OLDER = re.compile(r"\Adatabase (?P<database>.{1,160}) is older than source file (?P<source>.{1,160})\Z")
"""Postfix util/dict_db.c, dict_cdb.c, dict_lmdb.c, dict_dbm.c, dict_sdbm.c."""


@dataclass(frozen=True)
class Limits:
    """Thresholds."""

    quiet: int = 3600
    """Seconds with mail and without the warning after which it is mended: Postfix's processes end after max_idle (100 s) without
    work or max_use (100) tasks, and each new one opens its tables anew."""


def look(window: Window, settings: Settings) -> Partial:
    """Return the warnings by database and its source, and the mails by hour."""
    parts: dict[str, Any] = {hourly.HOURS: hourly.look(window), "mails": len(window.tables["clients"])}
    told = warned.warned(window)
    if told is not None:
        told = told.take(told.postfix).matching(r"^database .* is older than source file ")
        both = told.text.changed(_both)
        if (both.codes >= 0).any():
            kept = both.codes >= 0
            told, both = told.take(kept), both.take(kept)
            subject, source = both.changed(lambda pair: pair[0]), both.changed(lambda pair: pair[1])
            parts["older"] = warned.counted(told.host, told.at, told.place, source, subject)
    return Partial(parts)


def _both(text: Any) -> tuple[str, str] | None:
    found = _OLDER.match(str(text))
    return (found["database"], found["source"]) if found else None


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each database."""
    own = limits(log, CHECK.name, Limits)
    mails = partial.count("mails")
    result = Result(checked=mails, eligible=mails)
    if not mails:
        result.blind_because.append("no mail of Postfix in these logs, so that no process opened a table")
    for (source, database), found in warned.by_subject(warned.bouts(partial, "older", 10**9)).items():
        result.findings.append(_finding(database, source, found, partial, log, own))
    return result


def _finding(database: str, source: str, found: Sequence[Bout], partial: Partial, log: Log, own: Limits) -> Finding:
    lines = sum(each.lines for each in found)
    since = quiet_since(partial, found, own.quiet)
    mended = f"; not said since {warned.iso(max(each.until for each in found))}, so it was built anew" if since else ""
    cases = [{**each.case(), "database": database, "source": source} for each in found]
    name = database.rsplit("/", 1)[-1]
    aliases = name.startswith("aliases")
    command = "newaliases" if aliases else f"postmap {source}"
    return Finding(
        cause="not-built",
        subject=database,
        summary=f"{database} is older than {source}: what was changed there is not in use ({plural(lines, 'warning')}){mended}",
        severity="warning",
        confidence="high",
        count=len(cases),
        cases=[{key: value for key, value in case.items() if key not in ("kind", "subject")} for case in cases],
        state="mended" if since else "active",
        remedy=None
        if since
        else Remedy(
            f"As root: {command} (with the table's type in front where it isn't default_database_type, for instance "
            f"lmdb:{source}). Look "
            "at what was changed first: it comes into use at once.",
            file=source,
        ),
        evidence=warned.lines_of(log, found),
        **warned.when(found),
    )


CHECK = Check(
    "map-out-of-date",
    "A table was edited and not built anew",
    look,
    conclude,
    causes=("not-built",),
    order=520,
    clear="No table is older than its source ({checked:mail|mails} looked at)",
    but="but for those that were built anew since",
    group="machine",
    severity="warning",
    needs=("warnings of Postfix's daemons",),
    related=("table-not-answering", "postfix-complains"),
    limits=Limits,
)
