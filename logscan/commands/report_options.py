"""The options of a command that makes a report: which checks, what to write where, what to hide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from logscan.commands import completing
from logscan.plugins import names

REPORT_OPTIONS = (
    click.option(
        "--check",
        "checks",
        multiple=True,
        metavar="NAME",
        shell_complete=completing.checks,
        help="Only this check; repeatable.",
    ),
    click.option(
        "--skip", multiple=True, metavar="NAME", shell_complete=completing.checks, help="Not this check; repeatable."
    ),
    click.option(
        "--format",
        "-f",
        "formats",
        multiple=True,
        type=click.Choice(names("logscan.reports")),
        help="What to write; repeatable, in pairs with -o. Default: text, nothing where the report is mailed.",
    ),
    click.option("--output", "-o", "outputs", multiple=True, metavar="PATH", help="Where to: a file, '-' for stdout."),
    click.option(
        "--fail-on",
        type=click.Choice(["problem", "warning", "never"]),
        default="never",
        show_default=True,
        help="Exit with status 1 when there are findings at or above this.",
    ),
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="Colours in the text (NO_COLOR is honoured).",
    ),
    click.option("--show-subjects", is_flag=True, help="Show mails' subjects where a log has them."),
    click.option("--anonymise", is_flag=True, help="Replace people, hosts and addresses, the same by the same."),
)


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add :data:`REPORT_OPTIONS`."""
    for option in reversed(REPORT_OPTIONS):
        command = option(command)
    return command
