"""The mail that comes where no report can: an analysis that failed is said, in plain text."""

from __future__ import annotations

import hashlib
import socket
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from time import time_ns
from typing import TYPE_CHECKING, Any

import click

from logscan.commands.notifying import Mailed, notify, told_of_none
from logscan.commands.outbox import flush, outgoing, send_now
from logscan.store.model import Outgoing
from logscan.store.places import StateError
from logscan.version import __version__
from logscan.visible import visible, without_secrets

if TYPE_CHECKING:
    from logscan.commands.mail_options import Mailing
    from logscan.store.state import State

MOST_LINES = 40
"""Lines of an error's text; the last ones say what it was."""


def failure_text(
    error: str, *, host: str, when: datetime, command: str, last_good: str, notes: Sequence[str] = ()
) -> str:
    """Return what is mailed and given to ``--notify-command`` where an analysis failed.

    ``error`` may have several lines; ``command`` shows more when it is run by hand; ``last_good`` says of when the last
    report is, empty where there is none.
    """
    lines = visible(without_secrets(error.strip()), 8000, lines=True).splitlines()
    cut = [f"… {len(lines) - MOST_LINES} lines before"] if len(lines) > MOST_LINES else []
    past = f"The last report: {visible(last_good, 200)}." if last_good else "No report was made here before."
    return "\n".join(
        [
            f"logscan {__version__} on {visible(host, 200)}, {when:%Y-%m-%d %H:%M %z}: the analysis FAILED.",
            "No report was made, so that nobody looked at this mail server since the last one.",
            "",
            *(f"  {line}" for line in [*cut, *lines[-MOST_LINES:]]),
            "",
            *(visible(note, 1000) for note in notes),
            past,
            f"To see more, run: {visible(command, 500)}",
            "",
        ]
    )


def failure_mail(
    error: str,
    mailing: Mailing,
    *,
    host: str,
    when: datetime,
    command: str,
    last_good: str = "",
    notes: Sequence[str] = (),
) -> list[Outgoing]:
    """Return the mails that say so, whatever the policy; ``when`` is aware. See :func:`failure_text`.

    The same failure on the same day has the same Message-ID. Raises RenderError.
    """
    from logscan.rendering.addressing import addresses, id_domain

    if not mailing.to:
        return []
    text = failure_text(error, host=host, when=when, command=command, last_good=last_good, notes=notes)
    parts = [host, f"{when:%Y-%m-%d}", *mailing.to, "", error]
    key = hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()
    mail = EmailMessage(policy=SMTP.clone(max_line_length=900))
    last = (error.strip().splitlines() or ["nobody knows why"])[-1]
    mail["Subject"] = f"[logscan] {visible(host, 80)}: the analysis FAILED: {visible(without_secrets(last), 100)}"
    mail["From"] = addresses([mailing.sender or "logscan"])
    mail["To"] = addresses(mailing.to)
    mail["Date"] = format_datetime(when)
    domain = id_domain(host, mailing.bare_sender.rpartition("@")[2])
    mail["Message-ID"] = f"<logscan.{key[:32]}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Logscan-Verdict"] = "failed"
    mail.set_content(text, cte="quoted-printable")
    return outgoing(mail.as_bytes(), mailing.recipients)


def tell_of_failure(
    error: BaseException,
    mailing: Mailing,
    state: State | None,
    *,
    command: str,
    hold: bool = False,
    say: Callable[[str], None],
) -> int:
    """Say by mail and to ``--notify-command`` that an analysis failed, whatever else is broken; returns 0 or 4.

    The mail goes through the outbox where ``state`` can be written, and stays there with ``hold``; else it is sent at once.
    """
    words = str(error) if isinstance(error, StateError) else "".join(traceback.format_exception(error))
    if isinstance(error, click.ClickException):
        words = error.format_message()
    host, when = socket.gethostname(), datetime.now().astimezone()
    told: dict[str, Any] = {"host": host, "when": when, "command": command, "last_good": _last_good(state)}
    mails = failure_mail(words, mailing, **told)
    status, mailed = _mailed(mails, mailing, state, hold, say) if mails else (0, "none")
    if hold and mailed in ("waiting", "none"):
        return status  # who sends tells too: this process may have no way to
    facts = told_of_none(host, "failed", mail=mailed)
    return max(status, notify(mailing.notify, failure_text(words, **told), facts, say=say))


def _last_good(state: State | None) -> str:
    try:
        runs = state.runs(1) if state else []
    except (StateError, OSError):
        return ""
    return (
        f"run {runs[0].number}, {datetime.fromtimestamp(runs[0].ended // 10**9).astimezone():%Y-%m-%d %H:%M}"
        if runs
        else ""
    )


def _mailed(
    mails: Sequence[Outgoing], mailing: Mailing, state: State | None, hold: bool, say: Callable[[str], None]
) -> tuple[int, Mailed]:
    try:
        if state is not None and state.folder is not None:
            state.post(mails, time_ns())
            if hold:
                return 0, "waiting"
            status = flush(state, mailing.server, now=time_ns(), say=say, sender=mailing.bare_sender)
            return status, "failed" if status else "sent"
    except (StateError, OSError) as error:
        say(f"the outbox can't be used, and the mail is sent without it: {error}")
    status = send_now(mails, mailing, say)
    return status, "failed" if status else "sent"
