"""A part of the filter is away while mail passes: the virus scanner, Redis, or what Bayes has learned.

## What it finds
Times at which rspamd, amavis or SpamAssassin judged mail without one of their senses: no virus scanner answered, Redis (which
keeps Bayes, greylist and limits) was out of reach, Bayes's database could not be opened, or Bayes has learned too little to
judge at all. One finding a filter and sense.

## Why it matters
Each mail gets a verdict, so all looks well; but viruses pass, or spam gets fewer points than it should. A training call is lost
meanwhile.

## What the log shows
rspamd.log: `clamav: failed to scan, maximum retransmits exceed`, `error getting reply from redis server …: Connection refused`,
`cannot connect to redis`, `skip obtaining bayes tokens …: not enough learns 12; 200 required`, `class ham excluded from
classification: 3 learns < 200 minimum`. amavis: `(!!)AV: ALL VIRUS SCANNERS FAILED`, `(!)WARN: all primary virus scanners failed,
considering backups`. spamd: `bayes: cannot open bayes databases … R/O: tie failed: Permission denied`.

## What to do
Start what is away, and have it watched. Bayes: learn enough of both kinds (rspamc learn_spam, learn_ham; sa-learn), 200 mails
each by default.

## When it is wrong
Failures in a minute or two (a scanner that is started anew, a slow answer) are a note, and so is a young server whose Bayes
hasn't learned enough yet: that becomes a warning after a month. amavis that falls back on a second scanner does scan: a note.
What was away and came back is told as mended.

## When it is blind
Without the filter's own log (rspamd.log, amavis's and spamd's lines). rspamd's lines on Bayes have the level info or warning.
DSPAM has no such parts: it isn't applicable there, nor where no filter is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from logscan.checking.check import Check
from logscan.checking.copies import LINE_BITS, lines_at
from logscan.checking.limits import limits
from logscan.checking.outage import moment
from logscan.correlate.lives import SECOND
from logscan.findings import Finding, Remedy, Result, Severity, State
from logscan.scan import kinds
from logscan.scan.columns import NO_TIME, column, joined, moments, number, values
from logscan.scan.filters import logs_to_give
from logscan.scan.hops import NAMES
from logscan.tables import cells
from logscan.tables.partials import First, Keyed, Partial, Points, hashes, mixed

if TYPE_CHECKING:
    from collections.abc import Callable

    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings
    from logscan.tables.coded import Ints
    from logscan.tables.partials import Part

NAME = "filter-half-blind"
AWAY, LINES, JUDGED = "away", "lines", "judged"

CAUSES = SCANNER, BACKUP, REDIS, BAYES, UNTRAINED = (
    "scanner-away",
    "first-scanner-away",
    "redis-away",
    "bayes-away",
    "bayes-untrained",
)

WITH_SENSES = ("rspamd", "amavis", "spamd", "spampd")
"""Filters that have such parts, and whose log tells of them."""

MINUTE, DAY = 60 * SECOND, 86_400 * SECOND


@dataclass(frozen=True)
class Limits:
    """When a sense counts as lost, and when as back."""

    few_minutes: int = 3
    """Failures in fewer minutes are a note: a scanner or Redis that is started anew is away for one or two, and one mail
    that can't reach Redis makes several lines."""
    mended_mails: int = 10
    """Mails judged after the last failure, without another one, that show that it is back."""
    untrained_days: int = 30
    """Bayes that learned too little for so long isn't young any more: nobody trains it."""


def look(window: Window, settings: Settings) -> Partial:
    """Count what filters say of the senses that they lack, and keep when they judged mail."""
    name = joined(window, "verdicts", "filter")
    rows = np.flatnonzero(name.is_in(*WITH_SENSES)) if len(name) else np.empty(0, np.int64)
    host = joined(window, "verdicts", "host")
    keys = (
        {
            "key": _key(host.take(rows).hashed(), name.take(rows).hashed()),
            "at": values(window, "verdicts", "time")[rows],
        }
        if len(rows)
        else NONE_JUDGED
    )
    return Partial({**_away(window), **kinds.look(window), JUDGED: Points.of(keys), "mails": len(rows)})


NONE_JUDGED = {"key": np.empty(0, np.int64), "at": np.empty(0, np.int64)}
KEY = ("host", "filter", "cause", "what")


def _key(host: Ints, name: Ints) -> Ints:
    return mixed(host, name)


def _parts(texts: dict[str, pa.Array], at: Ints, place: Ints) -> dict[str, Part]:
    key = {name: texts[name] for name in KEY}
    return {
        AWAY: Keyed.of(
            {**key, "minute": at // MINUTE, "n": np.ones(len(at), np.int64), "first": at, "last": at},
            sums=("n",),
            least=("first",),
            most=("last",),
        ),
        LINES: First.of({**key, "at": at, "place": place}, 6, ("at", "place"), KEY),
    }


NOTHING = _parts(dict.fromkeys(KEY, pa.array([], pa.large_string())), np.empty(0, np.int64), np.empty(0, np.int64))


def _away(window: Window) -> dict[str, Part]:
    """Return how many lines tell of each sense that is lacking, from when to when, and the first of them."""
    found = [each for table in TESTS if len(window.tables[table]) for each in _of_table(window, table)]
    if not found:
        return NOTHING
    texts = {name: pa.concat_arrays([each[0][name] for each in found]) for name in KEY}
    return _parts(texts, *(np.concatenate([each[at] for each in found]) for at in (1, 2)))


AMAVIS_ALL = re.compile(r"AV: (?:ALL VIRUS SCANNERS FAILED|NO VIRUS SCANNERS AVAILABLE)")
"""Amavis/AV.pm, virus_scan(): the mail goes on as unchecked, unless virus_scanners_failure_is_fatal."""

AMAVIS_PRIMARY = re.compile(r"WARN: all primary virus scanners failed, considering backups")
TIE = re.compile(r"(?:_WARN: )?bayes: cannot open bayes databases .*tie failed")

Test = tuple[str, "str | None", tuple[str, ...], "Callable[[str], Any] | None"]
TESTS: dict[str, tuple[Test, ...]] = {
    "filter_errors": (
        (SCANNER, "rspamd", ("scanner",), None),
        (REDIS, "rspamd", ("redis",), None),
        (SCANNER, "amavis", ("!", "!!"), AMAVIS_ALL.match),
        (BACKUP, "amavis", ("!", "!!"), AMAVIS_PRIMARY.match),
        (BAYES, "amavis", ("!", "!!"), TIE.match),
        (BAYES, "spamd", ("bayes",), TIE.match),
    ),
    "service_events": ((UNTRAINED, None, ("untrained",), None),),
}
"""By table: the cause, the filter, the kind or event, and what the text must be."""


def _of_table(window: Window, table: str) -> list[tuple[dict[str, pa.Array], Ints, Ints]]:
    """Return for each test of a table the texts, times and lines of the rows that meet it."""
    kind = column(window, table, "kind" if table == "filter_errors" else "event")
    out = []
    for cause, name, wanted, test in TESTS[table]:
        mine = kind.is_in(*wanted)
        if name is not None and mine.any():
            mine &= column(window, table, "filter").is_in(name)
        rows = np.flatnonzero(mine & (moments(window, table) > NO_TIME)) if mine.any() else np.empty(0, np.int64)
        if test is not None and len(rows):
            rows = rows[column(window, table, "text").take(rows).having(test)]
        if not len(rows):
            continue
        host = column(window, table, "host").take(rows).texts().fill_null("").cast(pa.large_string())
        text = column(window, table, "text").take(rows)
        what = text.changed(lambda words: words.partition(":")[0]) if cause == SCANNER and name == "rspamd" else None
        empty = pa.array([""] * len(rows), pa.large_string())
        texts = {
            "host": host,
            "filter": pa.array([name or "rspamd"] * len(rows), pa.large_string()),
            "cause": pa.array([cause] * len(rows), pa.large_string()),
            "what": what.texts().fill_null("").cast(pa.large_string()) if what is not None else empty,
        }
        place = (number(window, table, "source")[rows] << LINE_BITS) + number(window, table, "line")[rows]
        out.append((texts, moments(window, table)[rows], place))
    return out


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each sense that a filter lacked."""
    mails = partial.count("mails")
    result = Result(checked=mails, eligible=mails)
    away = partial.frame(AWAY).groupby(list(KEY), as_index=False, sort=False)
    away = away.agg(n=("n", "sum"), first=("first", "min"), last=("last", "max"), minutes=("minute", "nunique"))
    away = away.sort_values(["first", *KEY], ignore_index=True)
    judged = partial.parts[JUDGED]
    assert isinstance(judged, Points)
    if len(away):
        lines = dict(iter(partial.frame(LINES).groupby(list(KEY))))
        several = away["host"].nunique() > 1
        bounds = limits(log, NAME, Limits)
        for row in away.itertuples(index=False):
            evidence = lines[row.host, row.filter, row.cause, row.what].sort_values(["at", "place"])["place"].tolist()
            result.findings.append(_finding(log, row, evidence, judged, several, bounds))
        result.checked = result.eligible = max(mails, len(away))
    if not mails:
        _nothing(result, log, kinds.Kinds.of(partial, log))
    return result


def _nothing(result: Result, log: Log, here: kinds.Kinds) -> None:
    """Say why no verdict of a filter that has such parts is at hand."""
    mine = sorted(here.names & {"rspamd", "amavis", "spamassassin"})
    if mine:
        names = " and ".join(NAMES.get(kind, kind) for kind in mine)
        result.blind_because.append(f"{names} judged no mail in these logs; give {logs_to_give(log.settings, mine)}")
    elif named := sorted(here.names - {"other"}):
        names = " and ".join(NAMES.get(kind, kind) for kind in named)
        result.not_applicable = (
            f"The filter here is {names}, which asks no scanner, Redis or Bayes of its own in these logs."
        )
        if named == ["dspam"]:
            result.not_applicable = "DSPAM judges by its dictionaries alone: without them it passes mail unjudged."
    elif here.none:
        result.not_applicable = "No spam filter is set up here."
    elif here.names:
        result.blind_because.append(f"what the filter at {here.unnamed} is isn't known: nothing names it")
    else:
        result.blind_because.append(
            "no lines of a filter in these logs; which filter this server has isn't known: give main.cf and master.cf"
        )


SUMMARY = {
    SCANNER: "{filter} passed mail without {what}: {n}",
    BACKUP: "amavis's first virus scanner failed, and the second one was asked: {n}",
    REDIS: "rspamd judged mail without Redis, so without Bayes, greylist or limits: {n}",
    BAYES: "{filter} judged mail without Bayes, whose database can't be opened: {n}",
    UNTRAINED: "rspamd's Bayes has learned too little, and judges no mail: {n}",
}

REMEDIES = {
    SCANNER: "Start the scanner, and see that the filter reaches it: systemctl status clamav-daemon; the socket or port as in "
    "rspamd's local.d/antivirus.conf, or @av_scanners of amavisd.conf, and who may read it (ls -l). Mail that came meanwhile "
    "lies in the mailboxes: scan them once with clamscan -r --infected.",
    BACKUP: "See why the first scanner doesn't answer (systemctl status clamav-daemon, its socket); the second is slower.",
    REDIS: "Start Redis, and see that rspamd reaches it: systemctl status redis-server; redis-cli -h HOST ping with servers and "
    "password as in rspamd's local.d/redis.conf; room in memory and on disk (redis-cli info persistence).",
    BAYES: "Let the filter's user own the Bayes database (bayes_path in local.cf: ls -l), or rebuild it as that user (sa-learn).",
    UNTRAINED: "Have it learn some hundred mails of each kind: rspamc learn_spam FOLDER, rspamc learn_ham FOLDER (rspamc stat "
    "tells how many there are), and let moves to and from Junk train it from then on.",
}


def _finding(log: Log, row: Any, evidence: list[int], judged: Points, several: bool, bounds: Limits) -> Finding:
    count, first, last = int(row.n), int(row.first), int(row.last)
    name = NAMES.get(row.filter, row.filter)
    subject = f"{name}: {row.what}" if row.what else name
    # A log of the filter's own names no host.
    host = hashes([row.host]) if row.host else np.zeros(1, np.int64)
    key = int(_key(host, hashes([row.filter]))[0])
    later = judged.times(key)
    later = later[later > last + SECOND]
    # Its lines on Bayes come with each mail: a mail without them was judged by it.
    mended = len(later) >= bounds.mended_mails
    state: State = "mended" if mended else "active"
    words = SUMMARY[row.cause].format(
        filter=name, what=f"its scanner {row.what}" if row.what else "a virus scanner", n=_lines(count)
    )
    case = {
        "relay": row.what or None,
        "from": cells.iso(moment(first)),
        "until": cells.iso(moment(last)),
        "time": cells.iso(moment(first)),
        "lines": count,
        "host": row.host if row.host not in ("", "-") else None,
    }
    return Finding(
        cause=row.cause,
        subject=f"{subject} on {row.host}" if several else subject,
        summary=f"{words}; it is back since {cells.iso(moment(int(later[0])))}" if mended else words,
        severity=_severity(row.cause, row.what, int(row.minutes), last - first, bounds),
        confidence="high" if row.minutes >= bounds.few_minutes else "medium",
        count=1,
        cases=[case],
        first=moment(first),
        last=moment(last),
        state=state,
        remedy=None if mended else Remedy(REMEDIES[row.cause]),
        evidence=lines_at(log, evidence),
    )


def _lines(count: int) -> str:
    return f"{count:,} line{'s' * (count != 1)} of its log"


NO_VIRUSES = re.compile(r"(?i)dcc|pyzor|razor|p0f|spamassassin|oletools|vade|cloudmark|expurgate")
"""Services that rspamd asks for points, not for viruses (lualib/lua_scanners)."""


def _severity(cause: str, what: str, minutes: int, lasted: int, bounds: Limits) -> Severity:
    if cause == BACKUP or minutes < bounds.few_minutes:
        return "note"
    if cause == UNTRAINED:
        return "warning" if lasted >= bounds.untrained_days * DAY else "note"
    return "warning" if cause == SCANNER and NO_VIRUSES.search(what) else "problem"


CHECK = Check(
    NAME,
    "A part of the filter is away",
    look=look,
    conclude=conclude,
    causes=CAUSES,
    order=415,
    group="filters",
    severity="problem",
    needs=("the log of rspamd, amavis or spamd",),
    related=("filter-failed-open", "training-without-effect"),
    limits=Limits,
    clear="No part of the filter was away ({checked:mail|mails} that it judged looked at)",
)
