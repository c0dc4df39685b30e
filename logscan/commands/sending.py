"""``logscan daily --send-only``: what a run without the right to send left behind, and the word that there was no such run."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import click

from logscan import console
from logscan.commands.failing import failure_mail, failure_text
from logscan.commands.notifying import Mailed, notify, told_of_none
from logscan.commands.outbox import flush
from logscan.store.places import StateError

if TYPE_CHECKING:
    from logscan.commands.mail_options import Mailing
    from logscan.store.state import State

NOTICE = "notice"
"""The blob with what --notify-command is to be told of a run that told nobody."""

SPAN = re.compile(r"([1-9]\d{0,3})\s*([hd])", re.ASCII)
HOURS = {"h": 1, "d": 24}


def span(text: str) -> int:
    """Return how long ``4h`` or ``2d`` is, in ns; raises :class:`click.BadParameter`."""
    found = SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise click.BadParameter(f"{text!r}: write 4h or 2d", param_hint="--overdue")
    return int(found[1]) * HOURS[found[2]] * 3600 * 10**9


def notice(text: str, facts: Mapping[str, str]) -> bytes:
    """Return what :data:`NOTICE` holds: the text for the command's standard input, the variables."""
    return json.dumps({"text": text, "facts": dict(facts)}).encode("ascii")


def send_only(state: State, mailing: Mailing, *, now: int, overdue: int | None) -> int:
    """Send what waits and tell the command what it wasn't told; returns 0, or 4 where something didn't get out.

    ``overdue`` (ns): where no run ended for so long, the analysis was killed or couldn't start, and nobody else says so.
    """
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        console.say(text)

    failure = _overdue(state, mailing, now, overdue) if overdue is not None else ""
    status = flush(state, mailing.server, now=now, say=say, sender=mailing.bare_sender)
    mailed: Mailed = "failed" if status else "sent"
    if failure:
        facts = told_of_none(socket.gethostname(), "failed", mail=mailed if mailing.to else "none")
        return max(status, notify(mailing.notify, failure, facts, say=say))
    told = _told(state, mailing, mailed)
    if status and told is None:
        facts = told_of_none(socket.gethostname(), "unsent", mail="failed")
        text = "".join(f"{console.safe(line)}\n" for line in said)
        told = notify(mailing.notify, text, facts, say=console.say)
    return max(status, told or 0)


def _told(state: State, mailing: Mailing, mailed: Mailed) -> int | None:
    """Tell the command of the last run, once; returns None where it was told before."""
    content = state.blob(NOTICE) if mailing.notify else None
    if content is None:
        return None
    told = json.loads(content)
    facts = dict(told["facts"])
    if facts.get("LOGSCAN_MAIL") == "waiting":
        facts["LOGSCAN_MAIL"] = mailed
    status = notify(mailing.notify, told["text"], facts, say=console.say)
    if not status:
        try:
            state.drop(NOTICE)
        except StateError as error:
            console.say(f"that --notify-command was told can't be kept, so that it may be told again: {error}")
    return status


def _overdue(state: State, mailing: Mailing, now: int, most: int) -> str:
    """Put a mail into the outbox where no run ended for too long, unless one lies there; return its text, else nothing."""
    runs = state.runs(1)
    ended = runs[0].ended if runs else None
    if ended is not None and now - ended <= most:
        return ""
    host, when = socket.gethostname(), datetime.fromtimestamp(now / 10**9).astimezone()
    last = f"{datetime.fromtimestamp(ended / 10**9).astimezone():%Y-%m-%d %H:%M}" if ended is not None else ""
    known = any(now - each.made <= most for each in state.outbox())
    words = KNOWN if known else SILENT
    text = failure_text(words, host=host, when=when, command="journalctl -u logscan.service", last_good=last)
    if not known:
        command = "journalctl -u logscan.service"
        mails = failure_mail(words, mailing, host=host, when=when, command=command, last_good=last)
        try:
            state.post(mails, now)
        except StateError as error:
            console.say(f"the mail that the analysis failed can't be kept: {error}")
    return text


SILENT = "it was ended from outside (out of memory, out of time), or it could not be started"
KNOWN = "it failed, and a mail says why"
