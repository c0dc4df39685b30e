"""``--notify-command``: the way out when mail itself is broken. A program of the administrator's is told of each run."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from logscan.commands.mail_policy import Facts
from logscan.commands.mailing import PASSWORD, USER, in_memory
from logscan.visible import visible

if TYPE_CHECKING:
    from logscan.report.model import Report

LIMIT = 60.0
"""Seconds that it may take."""

NOT_TOLD = 4
"""Exit status: as of a mail that was not sent."""

Mailed = Literal["sent", "failed", "waiting", "none"]
"""What became of this run's mail: sent; not sent; left in the outbox for another program to send; none was wanted."""


def short_text(report: Report, notes: Sequence[str] = ()) -> str:
    """Return what the program finds on its standard input; ``notes`` as in the mail."""
    from logscan.rendering.renderers import render

    return str(render(report, "text", width=80, short=True, notes=tuple(notes)))


def told_of(report: Report, facts: Facts, *, number: int, mail: Mailed, path: Path | None = None) -> dict[str, str]:
    """Return what the program finds in its environment; see docs/daily.md for their meaning. Nothing in it is hostile."""
    from logscan.rendering.summary import summarise
    from logscan.rendering.wording import host_text

    counts = summarise(report)
    verdict = (
        "unknown" if not counts.recognised else "problem" if counts.problems else "warning" if counts.warnings else "ok"
    )
    first, last = report.period.first, report.period.last
    values = {
        "VERDICT": verdict,
        "HEADLINE": counts.headline(),
        "HOST": host_text(report),
        "RUN": number,
        "PROBLEMS": counts.problems,
        "WARNINGS": counts.warnings,
        "NEW": facts.new,
        "BACK": facts.back,
        "GONE": facts.gone,
        "LOSSES": facts.losses,
        "FROM": first.isoformat() if first else "",
        "UNTIL": last.isoformat() if last else "",
        "MAIL": mail,
        "REPORT": path or "",
    }
    return {f"LOGSCAN_{name}": visible(str(value), 1000) for name, value in values.items()}


def told_of_none(host: str, verdict: Literal["failed", "unsent"], *, mail: Mailed) -> dict[str, str]:
    """Return the same where there is no report: the analysis failed, or only the mail of earlier ones didn't get out."""
    return {"LOGSCAN_VERDICT": verdict, "LOGSCAN_HOST": visible(host, 1000), "LOGSCAN_MAIL": mail}


def notify(
    command: Sequence[str], text: str, facts: Mapping[str, str], *, say: Callable[[str], None], limit: float = LIMIT
) -> int:
    """Run ``command`` with ``text`` on its standard input and ``facts`` in its environment; returns 0 or 4.

    No shell takes it apart. It is ended with all that it started when the time is over. What it writes is shown only where
    it fails: the last line of it.
    """
    if not command:
        return 0
    name = visible(command[0], 200)
    environment = {key: value for key, value in os.environ.items() if key not in (PASSWORD, USER)} | dict(facts)
    try:
        with in_memory() as given, in_memory() as said:
            given.write(text.encode("utf-8", "backslashreplace"))
            given.seek(0)
            why = _run(command, given, said, environment, limit)
    except (OSError, ValueError) as error:
        why = f"can't be started: {getattr(error, 'strerror', None) or error}"
    if why:
        say(f"--notify-command: {name} {why}")
    return NOT_TOLD if why else 0


def _run(command: Sequence[str], given: BinaryIO, said: BinaryIO, environment: Mapping[str, str], limit: float) -> str:
    """Return what went wrong, empty where nothing did; raises OSError where it can't be started."""
    process = subprocess.Popen(
        list(command), stdin=given, stdout=said, stderr=subprocess.STDOUT, env=environment, start_new_session=True
    )
    try:
        status = process.wait(limit)
    except subprocess.TimeoutExpired:
        return f"did not end within {limit:g} s"
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if not status:
        return ""
    said.seek(max(0, said.seek(0, os.SEEK_END) - 4096))
    lines = said.read().decode("utf-8", "backslashreplace").strip().splitlines()
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    return how + (f": {visible(lines[-1], 300)}" if lines else "")
