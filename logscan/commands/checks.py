"""``logscan checks``: what is looked for, one line each."""

from __future__ import annotations

import click

from logscan import console


@click.command("checks")
def command() -> None:
    """List the checks, one line each."""
    from logscan.checking.check import all_checks

    for check in all_checks():
        console.out(f"{check.name:24} {check.title}")
