"""What is said of a gap in the log, and what helps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from logscan.amounts import plural
from logscan.checking import unread
from logscan.findings import Remedy
from logscan.tables.partials import SECOND

if TYPE_CHECKING:
    from logscan.checking.gap_lines import Gap


def summary(kind: str, host: str, gaps: Sequence[Gap], lost: int) -> str:
    """Return the sentence for some gaps of one kind on a host; ``lost`` is how many lines its logger said it threw away."""
    count, longest = len(gaps), max(abs(each.until - each.start) for each in gaps)
    if kind == unread.UNREAD:
        return unread.summary(host, gaps)
    times = "once" if count == 1 else f"{count:,} times"
    if kind == "rate-limiting":
        lines = f"at least {plural(lost, 'line')}" if lost else "lines, it doesn't say how many,"
        return f"The logging system of {host} threw {lines} away in {plural(count, 'burst')}: a limit on lines in so much time"
    if kind == "rotated-file-missing":
        files = sum(int(each.more["files"]) for each in gaps)
        names = ", ".join(f"between {each.more['between'][0]} and {each.more['between'][1]}" for each in gaps[:3])
        many = f"{plural(files, 'file')} of {host} {'is' if files == 1 else 'are'} missing"
        return f"{many} {names}: no line of up to {long(longest)}"
    if kind == "logger-stopped":
        told = (
            "it told its end and its start"
            if all(each.text == "True" for each in gaps)
            else "it began anew without an end"
        )
        return f"The logging system of {host} was away {times}, for up to {long(longest)}: {told}"
    if kind in ("clock-step-forward", "clock-step-backward"):
        seconds = max(abs(int(each.more["seconds"])) for each in gaps)
        size = long(seconds * SECOND)
        if kind.endswith("forward"):
            return f"The clock of {host} went forward {times}, by up to {size}: it was set, or the machine stood still"
        return (
            f"The clock of {host} was set back {times}, by up to {size}: times of that stretch stand twice in the log"
        )
    if kind == "lines-missing":
        mails = sum(int(each.more["mails"]) for each in gaps)
        were, them = ("was", "it") if mails == 1 else ("were", "them")
        return f"{plural(mails, 'mail')} on {host} {were} delivered, but lines of qmgr about {them} are missing"
    if kind == "machine-down":
        then = "the mail system started right after it, so no line is missing"
        return f"{host} was down {times}, for up to {long(longest)}: {then}"
    days = max(int(each.more["days"]) for each in gaps)
    than = (
        f"though there are lines at that time on {plural(days, 'comparable day')}"
        if days >= 2
        else "in a log without pauses"
    )
    then = "lines are missing, or the machine or its network stood still"
    return f"No line of {host} for up to {long(longest)}, {times}, {than}: {then}"


def long(ns: int) -> str:
    """Return a length of time in words."""
    seconds = round(ns / SECOND)
    if not seconds:
        return "a moment"
    if seconds < 120:
        return plural(seconds, "second")
    return plural(round(seconds / 60), "minute") if seconds < 7200 else plural(round(seconds / 3600), "hour")


RSYSLOG = (
    'Raise or lift rsyslog\'s limit: in /etc/rsyslog.conf, module(load="imuxsock" SysSock.RateLimit.Interval="0") (in the old '
    "form $SystemLogRateLimitInterval 0), then systemctl restart rsyslog. "
)
IMJOURNAL = (
    'Raise or lift the limit of rsyslog\'s imjournal: in /etc/rsyslog.conf, module(load="imjournal" Ratelimit.Interval="0") (in '
    "the old form $imjournalRatelimitInterval 0), then systemctl restart rsyslog. "
)
JOURNALD = (
    "Raise or lift journald's limit: RateLimitIntervalSec=0 in /etc/systemd/journald.conf, then systemctl restart "
    "systemd-journald; or for one service only, LogRateLimitIntervalSec=0 in its unit (systemctl edit postfix@-.service). "
)
FORWARD = (
    "journald couldn't hand its lines on to the syslog daemon fast enough. Let rsyslog read the journal itself (imjournal), or "
    "look why it is slow: a disk, a name look-up, a remote host that it waits for. "
)
WATCH = "Look also why so much was logged at once: a program in verbose mode (-v in master.cf, auth_debug) is a cause."
CLOCK = "Let chrony or ntpd run all the time and set the clock in steps at boot only (chrony: makestep 1.0 3). "

_WORDS = {
    "rotated-file-missing": "Give the missing file to logscan if there is one. If not, look into /etc/logrotate.d for rotate, "
    "maxsize and dateext, and into the backup.",
    "logger-stopped": "Look why it was away: journalctl -u rsyslog (or syslog-ng), journalctl -k (was memory short?) "
    "and the disk's free space. The journal may have the lines of that time: journalctl --since and --until.",
    "clock-step-forward": CLOCK + "On a virtual machine, look whether it was suspended or moved then.",
    "clock-step-backward": CLOCK + "Times, delays and the order of lines are not to be relied on there.",
    "lines-missing": "Look whether the logging system has a limit on lines (rsyslog: imuxsock and imjournal, in its own log; "
    "journald: journalctl -u systemd-journald | grep Suppressed), and whether somebody cut lines out.",
    "silence": "Look whether the machine or its network stood still then (last reboot, the provider's notices), and else where "
    "its lines went: journalctl --since and --until show what the journal has of that time.",
}


def remedy(kind: str, texts: Sequence[str]) -> Remedy:
    """Return what helps; ``texts`` are the logger's own words, which say whose limit it was."""
    if kind == unread.UNREAD:
        return unread.remedy(texts)
    if kind != "rate-limiting":
        return Remedy(_WORDS[kind])
    words = ""
    for mark, said in (
        ("imuxsock", RSYSLOG),
        ("imjournal", IMJOURNAL),
        ("Suppressed ", JOURNALD),
        ("Forwarding ", FORWARD),
    ):
        words += said if any(mark in text for text in texts) else ""
    return Remedy((words or RSYSLOG) + WATCH)
