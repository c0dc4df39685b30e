"""``logscan daily``: what is new since the last run, remembered, compared with what was known, and mailed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from logscan.commands import completing
from logscan.commands.common import reading_options
from logscan.commands.mail_options import daily_mail_options
from logscan.commands.report_options import report_options


@click.command("daily")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...", shell_complete=completing.files)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where runs are remembered; default: /var/lib/logscan for root, else the user's state folder.",
)
@click.option("--catch-up", is_flag=True, help="After days off: one report for each day, not one for all.")
@click.option(
    "--keep", default="90d", show_default=True, metavar="TIME", help="How long tables and reports are kept: 90d, 12w."
)
@click.option(
    "--wait",
    default=600,
    show_default=True,
    type=click.IntRange(0, 86400),
    metavar="SECONDS",
    help="How long to wait for another run that is at work.",
)
@click.option("--no-send", is_flag=True, help="Leave the mail in the outbox, for --send-only.")
@click.option("--send-only", is_flag=True, help="Only send what waits in the outbox; no log is read.")
@click.option(
    "--overdue",
    metavar="TIME",
    help="With --send-only: say that the analysis failed where none ended for so long: 4h, 2d.",
)
@report_options
@daily_mail_options
@reading_options
def command(reading: dict[str, Any], sources: tuple[str, ...], **options: Any) -> None:
    """Read what is new since the last run, report it, and remember it.

    Meant for cron or a timer: each line of a log is looked at once, whatever was rotated, compressed or cut meanwhile; mails
    that are still open are carried over to the next run. SOURCE as for `analyse`; without it, this host's own mail log.
    Lines that can't be read any more are named in the report.
    """
    from logscan.commands.daily_run import run

    sys.exit(run(sources, reading, options))


command.params.sort(key=lambda param: not isinstance(param, click.Argument))
