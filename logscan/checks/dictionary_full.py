"""A dictionary of DSPAM is full: it still judges, but learns no new word.

## What it finds
Users of DSPAM whose dictionary has no room left: a hash table that may not grow, a table of the database that is full, a
disk without space. One finding a dictionary; one for a database or a disk, which all users share.

## Why it matters
Mail is judged and delivered as before, and each training call ends well, but no new word is learned: the filter stays as it
was on that day, and spam of a new kind gets through, however often the user moves it to Junk. A full log line a word also
fills the disk.

## What the log shows
`dspam[…]: hash table /var/spool/dspam/data/example.com/alice/alice.css full`, for each word that found no place, often
hundreds for one mail; `query error: The table 'dspam_token_data' is full`; `Unable to write file: …: No space left on device`.

## What to do
Let the table grow: `HashAutoExtend on`, and `HashMaxExtents 0` (no bound) in dspam.conf, or a larger `HashRecMax` for new
dictionaries; clean out old words with cssclean once a week. Give the database or the disk more room.

## When it is wrong
A dictionary that was cleaned since: when many mails of that user were judged for a day without such a line, it is told as
mended. A corpus that was trained into a table too small for it (`globaluser`) is full on purpose only if someone meant it.

## When it is blind
DSPAM says so in syslog only: without a line of it (program dspam) nothing is known. A full table that no mail was judged with
tells nothing. It isn't applicable where DSPAM isn't used: amavis, rspamd and SpamAssassin throw out old words by themselves.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from logscan.checking.check import Check
from logscan.checking.copies import LINE_BITS, lines_at
from logscan.checking.limits import limits
from logscan.checking.outage import moment
from logscan.correlate.lives import SECOND
from logscan.findings import Finding, Remedy, Result, State
from logscan.scan import kinds
from logscan.scan.columns import NO_TIME, column, joined, moments, number, values
from logscan.scan.hops import NAMES, dspam_hops
from logscan.settings.dspam_home import user_of_path
from logscan.tables import cells
from logscan.tables.partials import First, Keyed, Partial, Points, hashes

if TYPE_CHECKING:
    import pandas as pd

    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings
    from logscan.tables.coded import Bools, Ints
    from logscan.tables.partials import Part

NAME = "dictionary-full"
FULL, LINES, SERVED = "full", "lines", "served"

CAUSES = HASH, DATABASE, SPACE = "hash-table-full", "database-full", "no-space"


@dataclass(frozen=True)
class Limits:
    """When a dictionary counts as mended."""

    mended_mails: int = 20
    """Mails of that user judged without such a line: a full table has room for the words of a mail or two now and then, since
    only words that are new to it find no place."""
    mended_hours: int = 24
    """Over at least so long."""


def look(window: Window, settings: Settings) -> Partial:
    """Count the lines of each full dictionary, and keep when DSPAM was handed mail for whom."""
    hops = np.flatnonzero(dspam_hops(window))
    judged = int(np.count_nonzero(joined(window, "verdicts", "filter").is_in("dspam"))) if len(window.verdicts) else 0
    return Partial(
        {**_full(window), **kinds.look(window), SERVED: _served(window, hops), "handed": len(hops), "judged": judged}
    )


def _served(window: Window, hops: Ints) -> Points:
    to = joined(window, "deliveries", "recipient").take(hops)
    who = to.changed(str.lower).hashed()
    return Points.of({"key": who, "at": values(window, "deliveries", "time")[hops]})


NO_LINES: dict[str, Part] = {
    FULL: Keyed.of(
        {
            **dict.fromkeys(("host", "cause", "path"), pa.array([], pa.large_string())),
            **dict.fromkeys(("n", "first", "last"), np.empty(0, np.int64)),
        },
        sums=("n",),
        least=("first",),
        most=("last",),
    ),
    LINES: First.of(
        {
            **dict.fromkeys(("host", "cause", "path"), pa.array([], pa.large_string())),
            **dict.fromkeys(("at", "place"), np.empty(0, np.int64)),
        },
        6,
        ("at", "place"),
        ("host", "cause", "path"),
    ),
}


def _full(window: Window) -> dict[str, Part]:
    """Return how many lines tell of each full dictionary, from when to when, and the first of them."""
    cause = _causes(window)
    rows = np.flatnonzero((cause >= 0) & (moments(window, "filter_errors") > NO_TIME)) if len(cause) else cause
    if not len(rows):
        return NO_LINES
    at = moments(window, "filter_errors")[rows]
    place = (number(window, "filter_errors", "source")[rows] << LINE_BITS) + number(window, "filter_errors", "line")[
        rows
    ]
    host, path = (column(window, "filter_errors", name).take(rows) for name in ("host", "path"))
    names = pa.array(CAUSES, pa.large_string()).take(pa.array(cause[rows]))
    key = {
        "host": host.texts().fill_null("").cast(pa.large_string()),
        "cause": names,
        # A database and a disk are all users'.
        "path": pa.array(
            [
                (path or "") if cause == HASH else ""
                for cause, path in zip(names.to_pylist(), path.texts().to_pylist(), strict=True)
            ],
            pa.large_string(),
        ),
    }
    return {
        FULL: Keyed.of(
            {**key, "n": np.ones(len(rows), np.int64), "first": at, "last": at},
            sums=("n",),
            least=("first",),
            most=("last",),
        ),
        LINES: First.of({**key, "at": at, "place": place}, 6, ("at", "place"), ("host", "cause", "path")),
    }


def _causes(window: Window) -> Ints:
    """Return for each line of filter_errors the place of its cause in :data:`CAUSES`; -1 for any other."""
    kind = column(window, "filter_errors", "kind")
    out = np.full(len(kind), -1, np.int64)
    mine = column(window, "filter_errors", "filter").is_in("dspam")
    if not mine.any():
        return out
    out[mine & kind.is_in("dictionary full")] = 0
    text = column(window, "filter_errors", "text")
    for place, some, test in (
        (1, kind.is_in("query"), lambda words: words.startswith("query error: ") and _no_room(words)),
        (2, kind.is_in("file"), lambda words: words.endswith(("No space left on device", "Disk quota exceeded"))),
    ):
        chosen: Bools = mine & some
        if chosen.any():
            rows = np.flatnonzero(chosen)
            out[rows[text.take(rows).having(test)]] = place
    return out


def _no_room(words: str) -> bool:
    """Whether a database's own words say that there is no room (MySQL ER_RECORD_FILE_FULL, SQLite SQLITE_FULL, PostgreSQL)."""
    said = words.removesuffix(": see sql.errors for more details")
    return said.endswith((" is full", "No space left on device"))


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each dictionary that is full."""
    mails = max(partial.count("handed"), partial.count("judged"))
    result = Result(checked=mails, eligible=mails)
    full = partial.frame(FULL).sort_values(["first", "host", "cause", "path"], ignore_index=True)
    if full.empty:
        _nothing(result, log, kinds.Kinds.of(partial, log))
        return result
    served = partial.parts[SERVED]
    assert isinstance(served, Points)
    lines = dict(iter(partial.frame(LINES).groupby(["host", "cause", "path"])))
    several = full["host"].nunique() > 1
    bounds = limits(log, NAME, Limits)
    for row in full.itertuples(index=False):
        evidence = lines[row.host, row.cause, row.path]
        result.findings.append(_finding(log, row, evidence, served, several, bounds))
    result.checked = result.eligible = max(mails, len(full))
    return result


def _nothing(result: Result, log: Log, here: kinds.Kinds) -> None:
    """Say why no full dictionary could be seen, if it couldn't."""
    if "dspam" in here.names:
        if "dspam" not in log.read.programs:
            result.blind_because.append(
                "no syslog line of DSPAM (program dspam) in these logs: a full dictionary is told only there"
            )
        elif not result.eligible:
            result.blind_because.append("DSPAM judged no mail in these logs")
        return
    result.checked = result.eligible = 0
    if named := sorted(here.names - {"other"}):
        names = " and ".join(NAMES.get(kind, kind) for kind in named)
        result.not_applicable = (
            f"The filter here is {names}, whose memory for words has no fixed size as DSPAM's can have."
        )
    elif here.none:
        result.not_applicable = "No filter is set up here whose dictionary could be full."
    elif here.names:
        result.blind_because.append(
            f"whether the filter at {here.unnamed} keeps dictionaries isn't known: nothing names it"
        )
    else:
        result.blind_because.append(
            "no lines of DSPAM in these logs; which filter this server has isn't known: give main.cf and master.cf"
        )


WORDS = {
    HASH: "{name}: its dictionary is full, and no new word is learned: {n}",
    DATABASE: "DSPAM's database has no room left, so nothing new is learned: {n}",
    SPACE: "The disk with DSPAM's data has no room left, so nothing new is learned: {n}",
}


def _finding(log: Log, row: Any, evidence: pd.DataFrame, served: Points, several: bool, bounds: Limits) -> Finding:
    host, cause, path = row.host, row.cause, row.path
    count, first, last = int(row.n), int(row.first), int(row.last)
    user = (user_of_path(path) or path) if cause == HASH else ""
    name = user or {DATABASE: "DSPAM's database", SPACE: "DSPAM's disk"}[cause]
    mended = _mended(served, user, last, bounds) if cause == HASH else None
    state: State = "active" if mended is None else "mended"
    times = served.times(int(hashes([user.lower()])[0])) if cause == HASH else np.empty(0, np.int64)
    mails = int(np.count_nonzero((times >= first - 2 * SECOND) & (times <= last + 2 * SECOND)))
    words = WORDS[cause].format(name=name, n=f"{count:,} line{'s' * (count != 1)}")
    case = {
        "user": user or None,
        "addresses": [user] if "@" in user else [],
        "path": path or None,
        "lines": count,
        "time": cells.iso(moment(first)),
        "until": cells.iso(moment(last)),
        "host": host if host not in ("", "-") else None,
    }
    return Finding(
        cause=cause,
        subject=f"{name} on {host}" if several else name,
        summary=words if mended is None else f"{words}; mended since {cells.iso(moment(mended))}",
        severity="problem",
        confidence="high",
        count=1,
        cases=[case],
        first=moment(first),
        last=moment(last),
        state=state,
        remedy=None if mended else _remedy(log.settings, cause, path),
        evidence=lines_at(log, evidence.sort_values(["at", "place"])["place"].tolist()),
        why="DSPAM finds no place for a word, writes this line, and goes on." if cause == HASH else "",
        mails=mails,
        recipients=mails,
    )


def _mended(served: Points, user: str, last: int, bounds: Limits) -> int | None:
    """Return when the first mail of many came that was judged without a word about a full table; None where too few did."""
    later = served.times(int(hashes([user.lower()])[0]))
    later = later[later > last + 2 * SECOND]
    if len(later) < bounds.mended_mails or int(later[-1]) - last < bounds.mended_hours * 3600 * SECOND:
        return None
    return int(later[0])


def _remedy(settings: Settings, cause: str, path: str) -> Remedy:
    if cause != HASH:
        return Remedy(
            "Make room: df -h, df -i and the quota of DSPAM's user tell what is short; for a database its own limits."
        )
    fact, quoted = settings.dspam.fact("HashAutoExtend"), shlex.quote(path)
    return Remedy(
        "Set HashAutoExtend on and HashMaxExtents 0 (no bound) in dspam.conf and start DSPAM anew; mail waits in Postfix's queue "
        f"meanwhile. Old words go with: cssclean {quoted} (as DSPAM's user; once a week by cron). cssstat tells how full it is.",
        fact.file if fact else None,
        fact.line if fact else None,
        key="hash-auto-extend",
    )


CHECK = Check(
    NAME,
    "A dictionary of DSPAM is full",
    look=look,
    conclude=conclude,
    causes=CAUSES,
    order=420,
    group="filters",
    severity="problem",
    needs=("DSPAM's lines in syslog",),
    related=("training-misses-hash", "filter-half-blind"),
    limits=Limits,
    clear="No dictionary of DSPAM is full ({checked:mail|mails} that it judged looked at)",
)
