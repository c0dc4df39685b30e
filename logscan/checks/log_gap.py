"""Lines are missing from the log, or carry wrong times.

## What it finds
Times of which the log doesn't tell the whole truth: lines thrown away by a rate limit (rsyslog, journald), a rotated file that
is missing between others, a logger that was away, a clock that was set forward or back, mails some of whose lines are
missing, and silences in which this server always wrote something on other days; and, in `logscan daily`, lines that went
before it read them (rotated away, cut, vacuumed). One finding a host or file and kind.

## Why it matters
Everything else that is said of the log is said of what is there: mails of a gap look lost or unfinished, outages begin too late,
and who attacks during a gap isn't seen.

## What the log shows
`begin to drop messages due to rate-limiting`, `28 messages lost due to rate-limiting`, `Suppressed 12 messages from`, `Forwarding
to syslog missed 5 messages`; rsyslogd's `start` long after its `exiting on signal`, or without one; Dovecot's `Time moved
backwards by 3583.5 seconds`, Postfix's `backward time jump detected`; deliveries of mails that qmgr never took into the active
queue; `mail.log.4.gz` and `mail.log.2.gz` without `mail.log.3.gz`.

## What to do
By kind. Lines that went unread: let logrotate and the journal keep more than is written between two runs, `create` instead of
`copytruncate`. Rate limits: raise or switch off the limit for mail. A missing file: give it, or look why logrotate keeps too
few. A logger that was away: its own journal tells why. A clock: let chrony or ntpd slew it from the start, and look whether the
machine was suspended. A silence: look whether the machine stood still or the log was written elsewhere.

## When it is wrong
Nights and hours without mail are none: a silence counts only where at least four comparable days have lines at that very time and
the hours around it were as busy as ever, or where it breaks off a log without any pause. A network that was away looks the
same as lost lines. Where Postfix or Dovecot started right after it, the machine was down: that is a note, no line is missing.

## When it is blind
Where no delivery of Postfix is there whose lines could be counted, where qmgr's lines are left out of the log, and where the log
is too short to tell idle hours from lost lines: give older files. A source that logscan couldn't read whole makes it blind too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan.amounts import plural
from logscan.checking import gap_lines
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.evidence import COVERED
from logscan.checking.gap_lines import Gap
from logscan.checking.gap_words import remedy, summary
from logscan.checking.limits import limits
from logscan.checking.missing_files import missing_files
from logscan.checking.silences import judged
from logscan.checking.unread import UNREAD, WINDOW, unread
from logscan.findings import Finding, Result, Severity
from logscan.scan import activity
from logscan.scan.columns import values
from logscan.scan.pasts import past, with_past
from logscan.tables import cells
from logscan.tables.partials import SECOND, First, Keyed, Partial
from logscan.visible import visible

if TYPE_CHECKING:
    from logscan.scan.activity import Active
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

SLOT = 600 * SECOND
"""Broken mails are counted by ten minutes."""

MINUTE = 60 * SECOND
"""Behind the beginning of a log: the lines of a mail that arrives are written within it."""


@dataclass(frozen=True)
class Limits:
    """Thresholds."""

    silence: int = 1200
    """Seconds without a line that are looked at: mail servers on the Internet seldom write nothing for 20 minutes, and shorter
    pauses are too many to compare."""
    days: int = 4
    """Comparable days that must have lines at the time of a silence: of fewer, chance alone may fill each."""
    spans: int = 8
    """Minutes with lines that each of these days must have at that time at least."""
    dense: float = 0.75
    """Share of the minutes of a silence shorter than an hour that must have lines on each of these days: the rate of mail
    varies by half from hour to hour, and a short pause may be chance where minutes without a line are common."""
    filled: float = 0.15
    """The same for a silence of an hour or longer: two or three quiet hours in a row are no chance any more."""
    share: float = 0.5
    """Share of the usual lines that the hours around a silence must have: on a holiday the whole day is quiet."""
    steady: int = 20
    """How many times longer than any other pause nearby a silence must be where there are no comparable days."""
    restart: int = 60
    """Seconds between a logger's end and start that are more than a restart: an upgrade takes a few."""
    start: int = 300
    """Seconds without a line before a logger's start whose end nothing tells."""
    boot: int = 300
    """Seconds between a logger's start and the mail system's within which the whole machine started."""
    clock: int = 30
    """Seconds by which a clock must step: less is what a busy or suspended guest loses, and hides no line."""
    step: int = 600
    """Seconds within which Dovecot's processes notice one step of the clock, one after the other."""
    burst: int = 60
    """Seconds between a logger's complaints about dropped lines that are of one burst."""
    file: int = 3600
    """Seconds without a line between two files for one to be missing between them."""
    broken: int = 3
    """Mails with missing lines at least: a single one may have been cut by hand."""
    margin: int = 3600
    """Seconds behind a gap in which deliveries may go on that began before its end: longer than Postfix's own limits of one
    attempt to a host (smtp_data_done_timeout, 600 s) for several hosts."""


def look(window: Window, settings: Settings) -> Partial:
    """Return when each host wrote, what loggers and clocks said, and which mails lack lines."""
    return Partial({**activity.look(window), **gap_lines.look(window), **_whole(window)})


OF_FILES = ("rotated-file-missing", UNREAD)
"""Kinds of gaps that are a file's, whichever hosts write into it."""


def _whole(window: Window) -> dict[str, Any]:
    """Return by host and ten minutes how many entries were delivered, and how many of these qmgr never took up."""
    entries = window.entries
    delivered = np.zeros(len(entries) + 1, np.bool_)
    delivered[values(window, "deliveries", "entry")] = True
    rows = np.flatnonzero(delivered[:-1])
    if not len(rows):
        return {}
    host = entries["host"].astype("str") if len(entries["host"].unique()) > 1 else None
    names = host.to_numpy()[rows] if host is not None else np.full(len(rows), str(entries["host"].iloc[0]), object)
    counts = pd.Series(names).value_counts()
    parts: dict[str, Any] = {
        "entries": Keyed.of(
            pd.DataFrame({"host": counts.index.astype(str), "entries": counts.to_numpy()}), sums=["entries"]
        )
    }
    broken = ~values(window, "entries", "queued").astype(np.bool_)[rows] & _new(window)[rows]
    if broken.any():
        some = rows[broken]
        first, last = _arrived(window, some), cells.ns(entries["last"].iloc[some])
        frame = pd.DataFrame({"host": names[broken], "slot": first // SLOT, "first": first, "last": last, "broken": 1})
        parts["broken"] = Keyed.of(frame, sums=["broken"], least=["first"], most=["last"])
        parts["broken at"] = _lines(window, some)
    return parts


def _new(window: Window) -> Any:
    """Return for each entry whether a line of its deliveries is new: mails that lack their last line stay open, and the run
    that read them has told of them."""
    before = np.array([read.texts is not None for read in window.log.read.sources], np.bool_)
    out = np.zeros(len(window.entries) + 1, np.bool_)
    out[values(window, "deliveries", "entry")[~before[values(window, "deliveries", "source")]]] = True
    return out[:-1]


def _arrived(window: Window, entries: Any) -> Any:
    """Return when these entries came into the queue, as the delay of their deliveries tells (UTC ns): before their first line."""
    entry = values(window, "deliveries", "entry")
    arrived = np.full(len(window.entries) + 1, np.iinfo(np.int64).max)
    rows = np.flatnonzero(np.isin(entry, entries))
    delay = np.nan_to_num(values(window, "deliveries", "delay")[rows].astype(np.float64), nan=0.0).clip(0, 10**7)
    np.minimum.at(arrived, entry[rows], values(window, "deliveries", "time")[rows] - (delay * SECOND).astype(np.int64))
    return np.minimum(arrived[entries], cells.ns(window.entries["first"].iloc[entries]))


def _lines(window: Window, entries: Any) -> Any:
    """Return the first delivery lines of broken entries, some of each host."""
    entry = values(window, "deliveries", "entry")
    mine = np.flatnonzero(np.isin(entry, entries))
    frame = window.deliveries.iloc[mine]
    place = (frame["source"].to_numpy(np.int64) << 32) + frame["line"].to_numpy(np.int64)
    host = window.entries["host"].astype("str").to_numpy()[entry[mine]]
    at = cells.ns(frame["time"])
    return First.of(pd.DataFrame({"host": host, "at": at, "place": place}), 200, ("at", "place"), ("host",))


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each host and kind of gap."""
    own = limits(log, CHECK.name, Limits)
    active = activity.activity(with_past(partial, log, CHECK.name))
    told = _told_before(log)
    gaps, down = _told(partial, active, log, own, told)
    gaps += unread(log.losses)
    silences = {each.host: judged(each, log.zone, own) for each in active}
    starts = _starts(partial)
    unknown: list[tuple[int, int]] = []
    every = sum(each.until > told.get(host, 0) for host, some in silences.items() for each in some)
    for host, some in silences.items():
        for each in some:
            if each.until <= told.get(host, 0) or any(gap.shows(each.start, each.until) for gap in (*gaps, *down)):
                continue
            if each.usual == "unknown":
                unknown.append((each.start, each.until))
            elif each.usual == "unusual":
                begun = starts.get(host, np.empty(0, np.int64))
                near = _near(begun, each.until, own.boot)
                more = {"days": each.days, "least": each.least}
                gap = Gap("machine-down" if near else "silence", host, each.start, each.until, (), more)
                (down if near else gaps).append(gap)
    result, broken = _counted(partial, active, gaps, down, own)
    result.findings = _findings([*gaps, *broken, *down], partial, log)
    if len(unknown) > (1 - COVERED) * every:
        longest = max(until - start for start, until in unknown) / SECOND
        words = (
            f"{plural(len(unknown), 'time')} without a line, of up to {_long(longest)}, can't be told from idle ones"
        )
        result.blind_because.append(
            f"{words}: the log must hold at least {own.days} more days of the same kind to compare with; give older files"
        )
    for read in log.read.sources:
        if read.error:
            result.blind_because.append(f"{read.label} wasn't read whole: {read.error}")
    return result


def _told_before(log: Log) -> dict[str, int]:
    """Return by host up to when an earlier run saw its lines, and told of their silences (UTC ns)."""
    before = past(log, activity.POINTS, activity.HOSTS)
    return {each.host: int(each.last[-1]) for each in activity.activity(before)} if before is not None else {}


def _near(starts: Any, moment: int, seconds: int) -> bool:
    return bool(len(starts)) and bool((np.abs(starts - moment) <= seconds * SECOND).any())


def _starts(partial: Partial) -> dict[str, Any]:
    told = gap_lines.told(partial, gap_lines.STARTS)
    return {host: np.array([int(row.at) for row in rows], np.int64) for host, rows in told.items()}


def _told(
    partial: Partial, active: Sequence[Active], log: Log, own: Limits, told: dict[str, int]
) -> tuple[list[Gap], list[Gap]]:
    """Return the gaps that lines and files tell, and the times in which whole machines were down.

    ``told`` is up to when an earlier run saw each host's lines.
    """
    by_host = {each.host: each for each in active}
    starts = _starts(partial)
    every = np.concatenate([*starts.values(), np.empty(0, np.int64)])
    gaps = missing_files(log.read.sources, active, own.file, lambda moment: _near(every, moment, own.boot))
    gaps = [each for each in gaps if each.until > min(told.values(), default=0)]
    down: list[Gap] = []
    for host, rows in gap_lines.told(partial, gap_lines.LOSSES).items():
        gaps += gap_lines.dropped(host, rows, own.burst)
        if host in by_host:
            begun = starts.get(host, np.empty(0, np.int64))
            seconds = {"known": own.restart, "unknown": own.start, "boot": own.boot}
            away, off = gap_lines.stopped(by_host[host], rows, begun, **seconds)
            gaps += [each for each in away if not any(gap.shows(each.start, each.until) for gap in gaps)]
            down += off
    for host, rows in gap_lines.told(partial, gap_lines.CLOCKS).items():
        gaps += gap_lines.stepped(by_host.get(host), host, rows, own.clock, own.step)
    return gaps, down


def _counted(
    partial: Partial, active: Sequence[Active], gaps: Sequence[Gap], down: Sequence[Gap], own: Limits
) -> tuple[Result, list[Gap]]:
    """Return the counts of mails, and gaps by mails whose lines are missing where nothing else tells why."""
    result, found = Result(), list[Gap]()
    if "entries" not in partial:
        result.blind_because.append("no delivery of Postfix in these logs, whose lines could be counted")
        return result, found
    entries = partial.frame("entries").groupby("host")["entries"].sum()
    result.eligible = int(entries.sum())
    begun = {each.host: int(each.first[0]) for each in active}
    slots: dict[str, list[Any]] = {}
    if "broken" in partial:
        for row in partial.frame("broken").sort_values(["host", "slot"]).itertuples():
            slots.setdefault(str(row.host), []).append(row)
    left_out = [host for host, rows in slots.items() if 2 * sum(row.broken for row in rows) > int(entries[host])]
    for host in left_out:
        result.blind_because.append(
            f"for most mails of {host or 'this host'} the log has no line of qmgr: it was filtered, so that what is "
            "missing from it can't be told"
        )
    result.checked = result.eligible - int(sum(int(entries[host]) for host in left_out))
    for host, rows in slots.items():
        if host not in left_out:
            found += _of_host(host, rows, begun.get(host, 0), [*gaps, *down], own)
    return result, found


def _of_host(host: str, rows: Sequence[Any], begun: int, gaps: Sequence[Gap], own: Limits) -> list[Gap]:
    margin = own.margin * SECOND
    runs: list[list[Any]] = []
    for row in rows:
        if row.first <= begun + MINUTE:
            continue
        known = (each for each in gaps if each.kind in OF_FILES or each.host == host)
        if any(each.start - SLOT <= row.last and row.first <= each.until + margin for each in known):
            continue
        if runs and row.slot - runs[-1][-1].slot <= 2:
            runs[-1].append(row)
        else:
            runs.append([row])
    out = []
    if sum(row.broken for run in runs for row in run) >= own.broken:
        for run in runs:
            more = {"mails": int(sum(row.broken for row in run))}
            out.append(Gap("lines-missing", host, min(r.first for r in run), max(r.last for r in run), (), more))
    return out


def _findings(gaps: Sequence[Gap], partial: Partial, log: Log) -> list[Finding]:
    groups: dict[tuple[str, str], list[Gap]] = {}
    for gap in sorted(gaps, key=lambda each: (each.start, each.until, each.kind, each.host)):
        groups.setdefault((gap.kind, gap.host), []).append(gap)
    totals = (
        {str(row.host): int(row.lines) for row in partial.frame("lost lines").itertuples()}
        if "lost lines" in partial
        else {}
    )
    broken = partial.frame("broken at") if "broken at" in partial else None
    out = []
    for (kind, host), some in groups.items():
        lost = totals.get(host, 0) if kind == "rate-limiting" else 0
        evidence = gap_lines.evidence(log, some)
        if kind == "lines-missing" and broken is not None:
            evidence = _broken_lines(broken, host, some, log)
        out.append(_finding(kind, host, some, lost, evidence))
    return out


def _broken_lines(broken: pd.DataFrame, host: str, gaps: Sequence[Gap], log: Log) -> list[Any]:
    mine = broken[broken["host"] == host]
    inside = np.zeros(len(mine), np.bool_)
    for gap in gaps:
        inside |= ((mine["at"] >= gap.start) & (mine["at"] <= gap.until)).to_numpy()
    return lines_at(log, mine["place"][inside].tolist())


def _finding(kind: str, host: str, gaps: Sequence[Gap], lost: int, evidence: list[Any]) -> Finding:
    note = kind == "machine-down" or {each.text for each in gaps} == {WINDOW}
    severity: Severity = "note" if note else "warning"
    weak = kind == "silence" or (kind == "logger-stopped" and all(each.text == "False" for each in gaps))
    cases = [
        {"from": _iso(low), "until": _iso(high), "kind": each.kind, "host": each.host, **each.more}
        for each in gaps
        for low, high in [sorted((each.start, each.until))]
    ]
    known = [at for each in gaps for at in (each.start, each.until) if at]
    return Finding(
        cause=kind,
        subject=host or "this host",
        summary=summary(kind, host or "this host", gaps, lost),
        severity=severity,
        confidence="medium" if weak else "high",
        count=len(gaps),
        cases=cases,
        first=_moment(min(known)) if known else None,
        last=_moment(max(known)) if known else None,
        remedy=None if kind == "machine-down" else remedy(kind, [each.text for each in gaps]),
        evidence=evidence,
        why=" ".join(dict.fromkeys(visible(str(each.more["why"])) for each in gaps if "why" in each.more)),
        mails=sum(int(each.more.get("mails", 0)) for each in gaps),
    )


def _moment(ns: int) -> Any:
    return cells.moment(pd.Timestamp(ns, unit="ns", tz="UTC"))


def _iso(ns: int) -> str | None:
    if not ns:
        return None
    return str(cells.iso(pd.Timestamp(ns, unit="ns", tz="UTC")))


def _long(seconds: float) -> str:
    return plural(round(seconds / 60), "minute") if seconds < 7200 else plural(round(seconds / 3600), "hour")


CHECK = Check(
    "log-gap",
    "Lines are missing from the log",
    look,
    conclude,
    remember=lambda partial, now: Partial(activity.remember(partial, now)),
    causes=(
        *("clock-step-backward", "clock-step-forward", "lines-missing", "logger-stopped", "machine-down"),
        *("rate-limiting", "rotated-file-missing", "silence", UNREAD),
    ),
    order=505,
    clear="No line is missing from the log, as far as it shows itself (all lines of {checked:mail|mails} are there)",
    but="but for times in which the machine was down",
    group="machine",
    severity="warning",
    needs=("all lines of Postfix", "some days of log, to tell idle hours from lost lines"),
    related=("mail-vanished", "postfix-complains", "volume-unusual"),
    limits=Limits,
)
