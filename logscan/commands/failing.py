"""The mail that comes where no report can: an analysis that failed is said, in plain text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING

from logscan.commands.outbox import outgoing
from logscan.store.model import Outgoing
from logscan.version import __version__
from logscan.visible import visible, without_secrets

if TYPE_CHECKING:
    from logscan.commands.mail_options import Mailing

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
