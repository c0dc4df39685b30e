"""Says what could not be read, and why there is nothing to say anything about."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from logscan import console

if TYPE_CHECKING:
    from logscan.scan.log import Log

MOST_TOLD = 5
"""Things there are that a sentence names."""


def complain(log: Log, quiet: bool) -> int:
    """Say on stderr what couldn't be read; returns the exit status (0 or 3)."""
    for path, message in log.errors:
        console.say(f"{path}: {message}")
    if log.audit and not log.named:
        if log.errors:
            console.note("there is no mail log on this host: the configuration alone is audited")
        return 0
    why = nothing(log)
    if why:
        console.say(why)
        return 3
    if not quiet:
        for note in log.notes:
            console.note(note)
    return 3 if log.errors else 0


def nothing(log: Log) -> str:
    """Return why there is nothing to say anything about, or an empty string; a log that is empty is no reason."""
    lines = sum(read.lines for read in log.read.sources)
    if log.audit:
        return ""
    if not lines and not log.named:
        return "no mail log on this host (/var/log/mail.log*, /var/log/maillog*, the journal): name a file or a folder"
    if not lines and not log.errors:
        if any(read.source.path == "-" for read in log.read.sources):
            return "standard input is empty"
        if not log.read.sources and not log.settings.kinds and log.inventory is None:
            there = "; ".join(log.notes[:MOST_TOLD])
            return f"no mail log among what was named{': ' + there if there else ', which is empty'}"
    if lines and not sum(read.understood + read.noise for read in log.read.sources):
        return (
            f"not one of {lines} lines was recognised: is this a mail log? `logscan formats` lists what is known, "
            "`logscan formats --check FILE` shows how each line is read"
        )
    if lines and (log.options.since or log.options.until) and not log.rows:
        since, until = ((f"{time:%Y-%m-%d %H:%M}" if time else "") for time in (log.options.since, log.options.until))
        asked = (
            f"between {since} and {until}" if since and until else f"from {since} on" if since else f"before {until}"
        )
        return f"no line {asked}; {_reach(log)}"
    return ""


def _reach(log: Log) -> str:
    """Return from when to when the logs reach."""
    from datetime import UTC

    bounds = [read.bounds for read in log.read.sources if read.bounds]
    if not bounds:
        return "no line has a time"
    ends = (min(low for low, _ in bounds), max(high for _, high in bounds))
    first, last = (datetime.fromtimestamp(ns // 10**9, UTC).astimezone(log.zone) for ns in ends)
    return f"the logs reach from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
