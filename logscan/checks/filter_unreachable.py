"""The filter, or its way back into Postfix, can't be reached, and mail waits or is refused.

## What it finds
Times at which mail could not be handed to a content filter, or the filter could hand none back (the service that takes its
mail again was away), or a before-queue filter or a milter was away and mail was refused at the door. One finding an outage;
where one filter was away again and again, one for all of them.

## Why it matters
All mail waits, or is told to come again later. After `maximal_queue_lifetime` what waits is returned to its senders.

## What the log shows
`status=deferred (connect to HOST[SOCKET]: Connection refused`, `No such file or directory`, `conversation with … timed out`,
`lost connection with … while sending end of data`, `delivery temporarily suspended: …`, `mail transport unavailable` with a
warning of the queue manager; the filter's own `421 … Unable to connect`; `warning: connect to proxy filter …`, `warning:
connect to Milter service …` with `milter-reject: … 451`. An outage lasts from the first failure to the first mail that gets
through again; between retries nothing is logged.

## What to do
By the reason. `Connection refused`, `No such file`: the filter isn't running; start it, and see why it ended (journalctl,
dmesg). Timed out: it hangs, or all its processes are busy. Lost connection: it crashes over a mail. What waits goes out by
itself at the next retry; `postqueue -f` sends it at once, when the filter works again.

## When it is wrong
A filter that answers 4xx to a mail or two is passed over: that is those mails' trouble. A restart (short, few mails, all
through since) is a note. A mailbox server that is away is no filter. Mail that a milter let pass unseen is told by
filter-failed-open.

## When it is blind
When no mail was handed to a filter in these logs, and none is configured or seen. It isn't applicable where the configuration
names no filter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan.amounts import plural
from logscan.checking import evidence as ev
from logscan.checking import hand_overs, outages
from logscan.checking.check import Check
from logscan.checking.copies import lines_at, places_of
from logscan.checking.limits import limits
from logscan.checking.milter_outages import NEWEST
from logscan.checking.outage import Outage
from logscan.checking.own_judged import NO_FILTER, UNSEEN
from logscan.correlate.lives import SECOND
from logscan.findings import SEVERITIES, Finding, Remedy, Result, Severity
from logscan.scan import filters
from logscan.scan.columns import column
from logscan.scan.hops import filter_hops
from logscan.tables import cells
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

NAME = "filter-unreachable"


@dataclass(frozen=True)
class Limits:
    """When an outage is more than a restart."""

    brief: float = 300.0
    """Seconds from the first failure to the last: a mail that is put off waits that long anyway (Postfix's
    minimal_backoff_time), so what fails for less delayed nobody by more than one retry: a note, while ``few`` mails met it."""
    few: int = 10
    """Mails: with as many, even a short outage is no restart in a quiet hour."""
    in_a_row: int = 3
    """Mails that fail without one that gets through until the log ends: fewer may be a restart just then."""
    long: float = 3600.0
    """Seconds: mail that is an hour late is noticed by the people it is for: a problem, though it came in the end."""
    news_days: float = 7.0
    """Days for which an outage that is over is news: a weekly report tells of each once; then it is shown as mended."""
    often: int = 6
    """Outages of one filter for one reason: as many are one trouble that comes back, shown as one finding; within a day they
    are no restarts."""


REASONS = (
    ("service-missing", re.compile("mail transport unavailable")),
    ("filter-hangs", re.compile(r"timed? ?out", re.I)),
    ("socket-missing", re.compile("No such file")),
    ("socket-forbidden", re.compile("Permission denied")),
    (
        "filter-breaks-off",
        re.compile(r"lost connection|Connection reset|Broken pipe|[Cc]ommand died|Application error|Success$"),
    ),
    ("filter-turns-away", re.compile(r"refused to talk to me| said: |[Cc]ommand output|^\d\d\d ")),
    ("filter-not-running", re.compile("Connection refused")),
)
"""Causes by what Postfix says (smtp_connect.c, smtp_trouble.c, milter8.c, and the system's own words for an error number)."""

DAY = 86_400 * SECOND

NAMES = ("message_id", "recipient", "queue_id")
"""What a case tells of its mail."""


def look(window: Window, settings: Settings) -> Partial:
    """Return what tells of outages, and count the hand-overs to filters that went well."""
    action = column(window, "rejects", "action")
    return Partial(
        {
            **outages.look(window, settings).parts,
            **filters.look(window),
            "handed over": int(np.count_nonzero(filter_hops(window))),
            "proxied": int(np.count_nonzero(action.is_in("proxy-accept", "proxy-reject"))),
            "taken": int(np.count_nonzero(column(window, "clients", "program").is_in("smtpd"))),
        }
    )


def remember(partial: Partial, now: int) -> Partial:
    """Return what tells of outages that may go on: an outage has the same beginning in each run that it lasts for."""
    return Partial(hand_overs.remember(partial, now))


def conclude(partial: Partial, log: Log) -> Result:
    """Return a finding for each outage of a filter, or for all of one that was away again and again."""
    known = filters.concluded(partial, log.settings)
    every = outages.conclude(partial, log)
    found = [each for each in every if outages.of_filter(each)]
    failed = sum(each.attempts for each in found)
    count = partial.count("handed over") + partial.count("proxied") + failed
    door = bool(known.door) or any(each.kind == "milter" for each in every)
    if door and not partial.count("handed over") + partial.count("proxied"):
        # A milter says nothing of mail that it judges; Postfix says of each session that it can't reach it.
        count += partial.count("taken")
    result = Result(checked=count, eligible=count)
    if found:
        result.findings = _Finder(partial, log, len(known.behind) == 1 and known.behind[0]).findings(found)
    elif known.none:
        result.not_applicable = NO_FILTER
    elif not count:
        result.blind_because.append(UNSEEN if known.unseen else "no mail was handed to a filter in these logs")
    return result


def _cause(outage: Outage) -> str:
    if outage.kind == "re-injection":
        return "way-back-closed"
    return next((name for name, words in REASONS if words.search(outage.reason)), "filter-away")


def _seconds(outage: Outage) -> float:
    return (outage.until - outage.first).total_seconds()


def _failing(outage: Outage) -> float:
    """Return for how long (seconds) it is seen to fail: a quiet server's next mail, or retry, may come long after its end."""
    if outage.failing is not None:
        return outage.failing
    if outage.rows is None or outage.rows.empty:
        return _seconds(outage)
    return float(outage.rows["at"].iloc[-1] - outage.rows["at"].iloc[0]) / SECOND


def _counts(some: list[Outage]) -> tuple[int, int, int]:
    """Return the mails, recipients and recipients returned of outages, each once: one mail may meet all of them."""
    told = [each.rows for each in some if each.rows is not None and "mail" in each.rows]
    if len(some) == 1 or len(told) < len(some):
        return (
            sum(each.mails for each in some),
            sum(each.recipients for each in some),
            sum(each.returned for each in some),
        )
    rows = pd.concat(told)
    pairs = rows[["mail", "person"]].drop_duplicates()
    return rows["mail"].nunique(), len(pairs), len(rows.loc[rows["lost"], ["mail", "person"]].drop_duplicates())


class _Finder:
    """Makes the findings; what all share is read once."""

    def __init__(self, partial: Partial, log: Log, kind: str | bool) -> None:
        self.log, self.limits, self.kind = log, limits(log, NAME, Limits), str(kind or "")
        self.zone = log.zone or UTC
        self.newest = dict(partial.frame(NEWEST).itertuples(index=False)) if NEWEST in partial else {}
        self.names: dict[tuple[int, int], dict[str, str | None]] = {}
        if hand_overs.MAILS in partial:
            names = partial.frame(hand_overs.MAILS).sort_values(["queue_id", "message_id"], kind="stable")
            for row in names.itertuples():
                told = {name: cells.text(getattr(row, name)) for name in NAMES}
                self.names.setdefault((int(row.mail), int(row.person)), told)

    def findings(self, found: Sequence[Outage]) -> list[Finding]:
        hosts = {each.host for each in found}
        groups: dict[tuple[str, str, str], list[Outage]] = {}
        for each in found:
            groups.setdefault((each.host, each.relay, _cause(each)), []).append(each)
        out = []
        for (host, relay, cause), some in groups.items():
            where = f"{relay} on {host}" if len(hosts) > 1 else relay
            if len(some) >= self.limits.often:
                out.append(self._finding(where, cause, some))
            else:
                out += [self._finding(f"{where}, {self._clock(one.first)}", cause, [one]) for one in some]
        return out

    def _finding(self, subject: str, cause: str, some: list[Outage]) -> Finding:
        mails, recipients, returned = _counts(some)
        worst = min((self._severity(each) for each in some), key=SEVERITIES.index)
        # What a filter answers to some mails again and again is those mails' trouble.
        if worst == "note" and cause != "filter-turns-away" and self._often(some):
            worst = "warning"
        cases = [case for each in some for case in self._cases(each)]
        share = ev.MOST_EVIDENCE // len(some)
        return Finding(
            cause=cause,
            subject=subject,
            summary=self._summary(some, mails, recipients, returned),
            severity=worst,
            confidence="medium" if some[0].kind in ("service", "mailbox") else "high",
            count=len(cases),
            cases=cases,
            first=some[0].first,
            last=max(each.until for each in some),
            state="mended" if self._old(some) else "active",
            remedy=Remedy(self._remedy(cause, some), key=f"{NAME}-{cause}-{some[0].relay}"),
            evidence=ev.merged(
                *(lines_at(self.log, self._lines(each)[: share or 1]) for each in some[: ev.MOST_EVIDENCE])
            ),
            why=f"Postfix says: {some[0].reason}" if some[0].reason else "",
            mails=mails,
            recipients=recipients,
        )

    def _old(self, some: list[Outage]) -> bool:
        """Return whether it is long over: mail went through since, and came in for days."""
        last = max(pd.Timestamp(each.until).value for each in some)
        news = int(self.limits.news_days * DAY)
        return all(each.over for each in some) and self.newest.get(some[0].host, 0) - last > news

    def _often(self, some: list[Outage]) -> bool:
        """Return whether a filter was away too often within a day for restarts of each night."""
        at = np.sort([pd.Timestamp(each.first).value for each in some])
        apart = self.limits.often - 1
        return len(at) > apart and bool((at[apart:] - at[: len(at) - apart] < DAY).any())

    def _severity(self, outage: Outage) -> Severity:
        """Return how much an outage matters: by what came back, whether it is over, how long it was and how many mails met it."""
        few = self.limits.few if outage.over else self.limits.in_a_row
        brief = _failing(outage) < self.limits.brief and outage.mails < few
        lasting = not outage.over and _failing(outage) >= self.limits.brief
        if outage.returned or lasting or _seconds(outage) >= self.limits.long:
            return "problem"
        return "note" if brief else "warning"

    def _summary(self, some: list[Outage], mails: int, recipients: int, returned: int) -> str:
        one = some[0]
        what = {
            "re-injection": f"The filter could hand no mail back to {one.relay}",
            "milter": f"The milter at {one.relay} was out of reach",
        }.get(one.kind, f"The filter at {one.relay} was out of reach")
        at_door = one.refused is not None
        met = f"{ev.mails(mails, recipients)} {'refused for now' if at_door else 'put off'}" if mails else ""
        whole = f"{len(some)} times, {_lasting(sum(map(_seconds, some)))} in all"
        times = whole if len(some) > 1 else self._times(one)
        parts = [met, f"{plural(returned, 'recipient')} never got theirs: returned to the sender" if returned else ""]
        return f"{what} {times}" + "".join(f"; {each}" for each in parts if each)

    def _times(self, one: Outage) -> str:
        if one.over:
            return (
                f"for {_lasting(_seconds(one))} (from {self._clock(one.first)} to {self._clock(one.until, one.first)})"
            )
        tried = f", last tried at {self._clock(one.until, one.first)}" if one.until > one.first else ""
        return f"from {self._clock(one.first)} on{tried}, and no mail got through since"

    def _clock(self, time: datetime, near: datetime | None = None) -> str:
        """Return the time on the server's clock, without the date where it is that of ``near``."""
        here = time.astimezone(self.zone)
        same = near is not None and near.astimezone(self.zone).date() == here.date()
        return f"{here:%H:%M}" if same else f"{here:%Y-%m-%d %H:%M}"

    def _cases(self, outage: Outage) -> list[dict[str, Any]]:
        """Return its mails, one a recipient; of those refused at the door the session tells all that there is."""
        known = {"relay": outage.relay, "from": cells.iso(outage.first), "until": cells.iso(outage.until)}
        out: list[dict[str, Any]] = []
        if outage.refused is not None:
            told = outage.refused.drop_duplicates(["at", "session", "client", "sender"])
            for row in told.itertuples():
                one = {name: str(getattr(row, name)) for name in ("session", "client", "sender") if getattr(row, name)}
                out.append({"message_id": None, "recipient": None, **one, "time": _iso(row.at), **known})
        elif outage.rows is not None and "mail" in outage.rows:
            # Columns, not frames: a filter that is away each minute has outages by the thousand, each of a row or two.
            first: dict[tuple[int, int], int] = {}
            for at, mail, person in zip(
                *(outage.rows[name].tolist() for name in ("at", "mail", "person")), strict=True
            ):
                first.setdefault((mail, person), at)
            for pair, at in first.items():
                out.append({**self.names.get(pair, dict.fromkeys(NAMES)), "time": _iso(at), **known})
        return out or [known]

    @staticmethod
    def _lines(outage: Outage) -> list[int]:
        """Return the lines that show it: the first failures and the last."""
        if outage.rows is None or outage.rows.empty:
            return []
        lines: list[int] = places_of(outage.rows).tolist()
        return [*lines[:5], *lines[-2:]] if len(lines) > 7 else lines

    def _remedy(self, cause: str, some: Iterable[Outage]) -> str:
        one = next(iter(some))
        span = (one.first - timedelta(minutes=5), one.until + timedelta(minutes=1))
        begin, end = (f"{each.astimezone(self.zone):%Y-%m-%d %H:%M}" for each in span)
        unit = f" -u '{self.kind}*'" if self.kind in ("dspam", "amavis", "rspamd") else ""
        logs = f"journalctl{unit} --since '{begin}' --until '{end}'"
        back = "" if one.refused is not None else f" {WAITING}"
        return f"{WORDS[cause].format(relay=one.relay, logs=logs)}{back}"


WAITING = (
    "What waits goes out by itself at the next retry, at most 4000 s (maximal_backoff_time) later; postqueue -f sends it at "
    "once, when the filter works again."
)

WORDS = {
    "filter-not-running": "Nothing listened at {relay}. Start the filter, and find out why it ended: its own log, {logs}, "
    "dmesg (out of memory). Restart=on-failure in a drop-in of its systemd unit (systemctl edit) starts it by itself.",
    "socket-missing": "The socket {relay} wasn't there. Start the filter, and compare the path with the one in its own "
    "configuration (a relative one lies below Postfix's queue_directory). See {logs}; a directory below /run is gone after a "
    "reboot unless RuntimeDirectory= of the unit, or tmpfiles.d, makes it.",
    "socket-forbidden": "Postfix may not open the socket {relay}. Let the user postfix into its directory and the socket's "
    "group (ls -l), by the filter's own setting for mode and group: a mode that was set by hand is gone after its restart.",
    "service-missing": "Postfix's own service {relay}, by which mail goes to the filter, doesn't run: master.cf lacks its line "
    "(postconf -M | grep {relay}), or master(8) can't start it: look for its warnings and errors in the mail log. Put the line "
    "back as the filter's documentation has it, then postfix reload.",
    "filter-hangs": "The filter at {relay} took connections or packets and didn't answer. See {logs}: all of its processes "
    "busy (more of them, or fewer deliveries at once: TRANSPORT_destination_concurrency_limit of a transport of its own), a "
    "scanner, a database or DNS that it waits for, or a process that hangs and has to be restarted.",
    "filter-breaks-off": "The filter at {relay} broke the connection off. See its own log, {logs} and dmesg for a crash. A "
    "mail that it had handed back by then may come twice (duplicate-delivery tells).",
    "filter-turns-away": "The filter at {relay} was there and took no mail for now: {logs} and its own log tell what it lacked "
    "(a scanner, a database, room on the disk).",
    "filter-away": "{relay} couldn't be reached: see that the host is up, that its name is known, and that no packet filter "
    "stands between. See {logs}.",
    "way-back-closed": "The filter works, but {relay}, where it hands mail back, took no connection: see that the smtpd line of "
    "master.cf that listens there is in place (postconf -M), that it has processes free (its process limit, the eighth "
    "column), and that Postfix was running. See {logs}.",
}


def _iso(at: int) -> str | None:
    return cells.iso(pd.Timestamp(at, tz="UTC"))


def _lasting(seconds: float) -> str:
    """Return a length of time in words."""
    if seconds < 120:
        return plural(max(1, round(seconds)), "second")
    minutes = round(seconds / 60)
    if minutes < 120:
        return plural(minutes, "minute")
    return plural(round(minutes / 60), "hour") if minutes < 2 * 24 * 60 else plural(round(minutes / 60 / 24), "day")


CHECK = Check(
    NAME,
    "Mail waited for a filter that was out of reach",
    look,
    conclude,
    remember=remember,
    causes=(*(name for name, _ in REASONS), "filter-away", "way-back-closed"),
    order=105,
    clear="No mail waited for a filter that was out of reach ({checked:hand-over|hand-overs} looked at)",
    but="but for short interruptions that {noted:mail|mails} met",
    group="arrival",
    severity="problem",
    needs=("deliveries of Postfix to the filter, or its warnings about milters and before-queue filters",),
    related=("filter-lost-mail", "filter-failed-open", "duplicate-delivery", "mail-stuck"),
    limits=Limits,
)
