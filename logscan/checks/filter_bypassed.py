"""Mail from outside comes into mailboxes past the filter, while other mail from outside goes through it.

## What it finds
Mail that strangers' hosts handed in and that was delivered here unfiltered, on a host where such mail is filtered: by a service
that has no filter, or for a time, mostly between two reloads. One finding a service, and one for each such time.

## Why it matters
Spam and viruses take the way that is open, and nobody sees the hole: mail arrives, and no log line says that a filter is missing.

## What the log shows
A `client=` from outside whose queue ID goes straight to the mailbox, while other queue IDs go to the filter's relay (or bear a
verdict of the milter, or came in through the before-queue filter). A process of smtpd serves one line of master.cf: processes
whose mail is never filtered belong to another line, though both log as `postfix/smtpd`. Between two lines `reload --
version …` with no filtered mail, the configuration of that time had no filter.

## What to do
By another service: give its line in master.cf the same content_filter (or milter) as the others, or close it if nobody needs
it. For a time: see what was changed then (etckeeper, backups, `ls -lt /etc/postfix`), and look through the mails named: they were
never scanned.

## When it is wrong
Access tables with FILTER, or milter exceptions, may leave out some clients or recipients on purpose: where one process takes
both kinds of mail it is a rule, and a note. Mail that was let through because a milter was away or the mail too big for it is
filter-failed-open's. One or two mails are a note.

## When it is blind
When no mail from outside was filtered or delivered here; when the filter is a milter whose own log isn't at hand, or tells of
less than half of the mail. It isn't applicable where the configuration names no filter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.checking import evidence as ev
from logscan.checking import milter_outages, unfiltered
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.checking.own_judged import NO_FILTER, UNSEEN
from logscan.checking.unfiltered import COUNTS, FILTERED, LARGEST, OPEN, PROCESSES, RELOADED, doors
from logscan.correlate.lives import SECOND
from logscan.findings import Confidence, Finding, Remedy, Result, State
from logscan.scan import covering, filters
from logscan.tables import cells
from logscan.tables.partials import Partial, Points

if TYPE_CHECKING:
    from datetime import datetime

    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

NAME = "filter-bypassed"

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Limits:
    """What is a hole rather than one odd mail."""

    least: int = 3
    """Mails: fewer may have been on their way while the configuration changed."""
    spell: int = 8
    """Mails in a row, without a filtered one between them, that are a time without a filter where the log tells of no reload."""
    rule: float = 0.2
    """The share of processes with several mails that took both kinds, from which a rule decides mail by mail: processes of
    different master.cf lines never do, but for a process ID that comes again within the day."""
    told: float = 0.5
    """The share of mail that a milter's own log must tell of, for its silence about a mail to say something."""
    settling: float = 60.0
    """Seconds behind a reload in which sessions that had begun go on with the configuration of before."""
    away_before: float = 600.0
    """Seconds that a mail may come in before a warning that the milter is away: a time-out is told when it is over."""
    away_after: float = 120.0
    """And behind one: the warning is of the session in which the mail came."""
    news_days: float = 7.0
    """Days for which a hole that is closed again is news: a weekly report tells of it once; then it is shown as mended."""


def look(window: Window, settings: Settings) -> Partial:
    """Return mail from outside that came in with and without a filter."""
    return Partial({**unfiltered.look(window, settings), **filters.look(window), **covering.look(window)})


def conclude(partial: Partial, log: Log) -> Result:
    """Return a finding for each service, and for each time, by which mail came in unfiltered."""
    known = filters.concluded(partial, log.settings)
    counts = partial.frame(COUNTS)
    result = Result()
    holes = _Holes(partial, log)
    for host, some in sorted(counts.groupby("host"), key=lambda each: str(each[0])):
        holes.host(str(host), some, result)
    if len(holes.open) >= unfiltered.MOST:
        result.notes.append(f"of unfiltered mail the first {unfiltered.MOST:,} recipients were looked at")
    if known.none and not result.findings:
        result.not_applicable = NO_FILTER
    elif not result.eligible and not result.blind_because:
        result.blind_because.append(_why(known, int(counts["open"].sum()), log.settings))
    return result


def _why(known: filters.Filters, mails: int, settings: Settings) -> str:
    """Return why nothing can be said, where no mail from outside is seen to be filtered."""
    if known.unseen:
        return UNSEEN
    if known.door and not known.proxies and not known.log and not known.queue:
        return f"a milter leaves no trace in Postfix's log: give {filters.logs_to_give(settings, sorted(known.door))}"
    if not mails:
        return "no mail from outside came into mailboxes in these logs"
    why = f"{ev.mails(mails)} from outside came into mailboxes, and these logs show none that was filtered"
    if known.configured:
        why += ", though the configuration names a filter: it may not be the one that ran then"
    return why


class _Holes:
    """Finds the holes, host by host."""

    def __init__(self, partial: Partial, log: Log) -> None:
        self.log, self.limits = log, limits(log, NAME, Limits)
        self.several = partial.frame(COUNTS)["host"].nunique() > 1
        self.open = partial.frame(OPEN).sort_values(["time", "row"], kind="stable", ignore_index=True)
        filtered = partial.parts[FILTERED]
        assert isinstance(filtered, Points)
        self.filtered = filtered
        self.processes = partial.frame(PROCESSES).set_index("process")
        self.reloads = partial.frame(RELOADED).sort_values(["time", "event"], ignore_index=True)
        self.warned = np.sort(partial.frame(milter_outages.WARNINGS)["at"].to_numpy(np.int64))
        self.covering = covering.Covering(partial, log.settings)
        self.largest = dict(partial.frame(LARGEST).itertuples(index=False))
        times = [self.open["time"].max() if len(self.open) else 0, filtered.columns["at"].max(initial=0)]
        self.end = int(max(times))

    def host(self, host: str, counts: pd.DataFrame, result: Result) -> None:
        """Judge the mail of a host."""
        ways = ["handed", "proxied", "judged"]
        some = self.open[self.open["host"] == host]
        if counts.loc[~counts["private"], ways].to_numpy().any():
            # Clients can be told apart: those of the house aren't outside.
            counts, some = counts[~counts["private"]], some[~some["private"]]
        handed, proxied, judged = (int(counts[name].sum()) for name in ways)
        if not handed + proxied + judged:
            return
        mails, total = int(counts["open"].sum()), handed + proxied + judged + int(counts["open"].sum())
        result.eligible += total
        result.checked += total
        if not handed + proxied:
            some = some[self._unjudged(host, some)]
            left = mails - int(some["mail"].nunique())
            result.checked -= left
            result.eligible -= left
            if judged < self.limits.told * (judged + some["mail"].nunique()):
                result.checked -= judged
                result.blind_because.append(
                    f"the filter's own log tells of {judged} of {judged + some['mail'].nunique()} mails from outside: of the "
                    "others nobody can say whether it judged them"
                )
                return
        for tag, mine in sorted(some.groupby("tag"), key=lambda each: str(each[0])):
            self._service(host, str(tag), mine, result, certain=handed + proxied > 0)

    def _unjudged(self, host: str, rows: pd.DataFrame) -> Bools:
        """Return which mails a filter at the door would have told of: its log was alive, it wasn't away, they weren't too big."""
        time = rows["time"].to_numpy(np.int64)
        out = self.covering.covered(rows["host"], time)
        low = np.searchsorted(self.warned, time - int(self.limits.away_after * SECOND), "left")
        high = np.searchsorted(self.warned, time + int(self.limits.away_before * SECOND), "right")
        out &= (low == high) & (rows["size"].to_numpy(np.int64) <= self.largest.get(host, 0))
        return out

    def _service(self, host: str, tag: str, rows: pd.DataFrame, result: Result, *, certain: bool) -> None:
        """Judge the unfiltered mail that came in under one tag; ``certain``: Postfix's own lines tell what was filtered."""
        where = f"{tag} on {host}" if self.several else tag
        good = self.filtered.times(int(doors([host], [tag])[0]))
        if not len(good):
            result.findings.append(self._by_service(where, tag, rows, "high", alone=True))
            return
        number, spans = self._spells(host, rows, good)
        for one, (begin, end) in enumerate(spans):
            result.findings.append(self._for_a_time(where, rows[number == one], begin, end))
        rest = rows[number < 0]
        if rest.empty:
            return
        mixed, told = self._mixed(rest)
        if told and mixed >= self.limits.rule * told:
            result.findings.append(self._by_rule(where, rest))
        else:
            # A verdict may be missing for other reasons; a hand-over that is missing never was.
            unsure: Confidence = "medium" if certain else "low"
            result.findings.append(self._by_service(where, tag, rest, "high" if told else unsure, alone=False))

    def _mixed(self, rows: pd.DataFrame) -> tuple[int, int]:
        """Return how many of the processes that took several mails took both kinds, and how many took several."""
        known = self.processes.loc[self.processes.index.intersection(rows["process"].unique())]
        several = known[known["filtered"] + known["open"] > 1]
        return int((several["filtered"] > 0).sum()), len(several)

    def _spells(self, host: str, rows: pd.DataFrame, good: Ints) -> tuple[Ints, list[tuple[int | None, int | None]]]:
        """Number the times without a filter that rows lie in, -1 for none; and return when each began and ended (UTC ns).

        Between reloads, where there are any; None is the log's begin or end.
        """
        at = rows["time"].to_numpy(np.int64)
        marks = self.reloads.loc[self.reloads["host"] == host, "time"].to_numpy(np.int64)
        number, spans = np.full(len(rows), -1, np.int64), list[tuple[int | None, int | None]]()
        mails = rows["mail"].to_numpy()
        if not len(marks):
            run = np.searchsorted(good, at, "right")
            for one in np.unique(run).tolist():
                mine = run == one
                if len(np.unique(mails[mine])) >= self.limits.spell:
                    number[mine] = len(spans)
                    spans.append((int(at[mine].min()), int(at[mine].max())))
            return number, spans
        part, kept = (np.searchsorted(marks, each, "right") for each in (at, good))
        # Processes that were at work at a reload end with the configuration of before.
        late = int(self.limits.settling * SECOND)
        began = np.append(marks, 0)[kept - 1]
        kept = np.unique(kept[(kept == 0) | (good - began >= late)])
        # Neighbouring parts without any filtered mail are one time.
        spell = np.where(np.isin(part, kept), -1, np.searchsorted(kept, part))
        for one in np.unique(spell[spell >= 0]).tolist():
            mine = spell == one
            low, high = int(part[mine].min()), int(part[mine].max())
            begin, end = (int(marks[low - 1]) if low else None, int(marks[high]) if high < len(marks) else None)
            if end is not None:
                mine |= (number < 0) & (at >= end) & (at < end + late)
            if len(np.unique(mails[mine])) >= self.limits.least:
                number[mine] = len(spans)
                spans.append((begin, end))
        return number, spans

    def _for_a_time(self, where: str, rows: pd.DataFrame, begin: int | None, end: int | None) -> Finding:
        from_, until = (self._clock(each) if each is not None else "" for each in (begin, end))
        reload = "the reload at " if len(self.reloads) else ""
        span = f"from {reload}{from_}" if from_ else "from the log's beginning"
        span += f" to {reload}{until}" if until else " on, to the log's end"
        over = end is not None and self.end - end > self.limits.news_days * 86_400 * SECOND
        known = {"from": _iso(begin), "until": _iso(end)}
        subject = f"{where}, {self._clock(int(rows['time'].min()))}"
        words = f"{{what}} from outside came in unfiltered by {where} {span}"
        why = "No mail from outside that came in there meanwhile was filtered; before or after it was."
        return self._finding(
            "for-a-time", subject, rows, words, TIME, "high" if len(self.reloads) else "medium", why, known, over=over
        )

    def _by_service(self, where: str, tag: str, rows: pd.DataFrame, sure: Confidence, *, alone: bool) -> Finding:
        words = (
            f"{{what}} from outside came in past the filter, by {where}"
            if alone
            else (
                f"{{what}} from outside came in past the filter, by a service that logs as {where} like the one that filters"
            )
        )
        why = (
            f"No mail that came in by {where} was filtered, that of other services was."
            if alone
            else "The processes that took them filtered no mail, while others of that name did: one process serves one line of "
            "master.cf."
        )
        return self._finding("other-service", where, rows, words, self._lines(tag), sure, why, {})

    def _by_rule(self, where: str, rows: pd.DataFrame) -> Finding:
        words = (
            f"{{what}} from outside came in by {where} past the filter, by processes that filter other mail: by a rule"
        )
        why = (
            "One process took filtered and unfiltered mail: a table with FILTER, or an exception, decides mail by mail."
        )
        return self._finding("by-rule", where, rows, words, RULE, "medium", why, {}, note=True)

    def _lines(self, tag: str) -> str:
        """Return what to do about a service, naming the lines of master.cf that have no filter where they are known."""
        settings = self.log.settings
        judged = {key for setup in settings.filters for key in setup.services}
        back = {each.service.key for each in settings.reinjection()}
        free = [
            each
            for each in settings.entrances()
            if each.command == "smtpd"
            and each.key not in judged | back
            and each.tag == tag
            and not _loopback(each.name)
        ]
        if not free or not judged:
            return SERVICE
        named = ", ".join(f"{each.name} (line {each.line} of {each.file})" for each in free[:4])
        return f"Without a filter, under this name, are in master.cf: {named}. {SERVICE}"

    def _finding(
        self,
        cause: str,
        subject: str,
        rows: pd.DataFrame,
        words: str,
        cure: str,
        sure: Confidence,
        why: str,
        known: dict[str, str | None],
        *,
        over: bool = False,
        note: bool = False,
    ) -> Finding:
        mails = int(rows["mail"].nunique())
        state: State = "mended" if over else "active"
        return Finding(
            cause=cause,
            subject=subject,
            summary=words.format(what=ev.mails(mails, len(rows))),
            severity="note" if note or mails < self.limits.least else "warning" if sure == "low" else "problem",
            confidence=sure,
            count=len(rows),
            cases=[_case(row) | known for row in rows.itertuples()],
            first=_moment(int(rows["time"].min())),
            last=_moment(int(rows["time"].max())),
            state=state,
            remedy=Remedy(cure, key=f"{NAME}-{cause}-{subject}"),
            evidence=lines_at(self.log, rows["row"].drop_duplicates().tolist()),
            why=why,
            mails=mails,
            recipients=len(rows),
        )

    def _clock(self, at: int) -> str:
        zone = self.log.zone or "UTC"
        return f"{pd.Timestamp(at, tz='UTC').tz_convert(zone):%Y-%m-%d %H:%M}"


def _loopback(name: str) -> bool:
    return name.startswith(("127.", "localhost:", "[::1]", "::1"))


def _iso(at: int | None) -> str | None:
    return cells.iso(pd.Timestamp(at, tz="UTC")) if at is not None else None


def _moment(at: int) -> datetime | None:
    return cells.moment(pd.Timestamp(at, tz="UTC"))


def _case(row: Any) -> dict[str, Any]:
    names = ("message_id", "recipient", "sender", "queue_id", "client")
    return {**{name: cells.text(getattr(row, name)) for name in names}, "time": _iso(row.time)}


SERVICE = (
    "See each smtpd line of master.cf that takes mail from outside (postconf -M; postconf -P | grep -e content_filter -e milters "
    "-e proxy_filter): the one that these mails came in by has no filter. Give it the filter's options of the other lines, or "
    "close it if nobody needs it. An option of -o there replaces the one of main.cf, also an empty one."
)

TIME = (
    "See what was changed at the reload that begins this time (etckeeper, a backup of main.cf and master.cf), and look through "
    "the mails named: they were never scanned. If it isn't over, put the filter back (content_filter, smtpd_milters or "
    "smtpd_proxy_filter) and reload Postfix."
)

RULE = (
    "See the access tables and header checks whose action is FILTER, and the exceptions of the milter (smtpd_milter_maps): "
    "whether they leave out these clients or recipients on purpose."
)


CHECK = Check(
    NAME,
    "Mail from outside comes in past the filter",
    look,
    conclude,
    causes=("other-service", "for-a-time", "by-rule"),
    order=405,
    clear="No mail from outside came in past the filter ({checked:mail|mails} looked at)",
    but="but for {noted:mail|mails} left out by a rule, or on the way when something changed",
    group="filters",
    severity="problem",
    needs=("deliveries of Postfix to mailboxes and to the filter; of a milter, its own log",),
    related=("filter-failed-open", "filter-unreachable", "authenticated-port-25"),
    limits=Limits,
)
