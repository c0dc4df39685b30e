"""``logscan checks``: what is looked for, one line each."""

from __future__ import annotations

import click

from logscan import console


@click.command("checks")
def command() -> None:
    """List the checks, one line each, by what they are about."""
    from logscan.checking.check import GROUPS, all_checks

    for group, title in GROUPS.items():
        some = [check for check in all_checks() if check.group == group]
        if some:
            console.out(f"{title} ({len(some)})")
        for check in some:
            console.out(f"  {check.name:26} {check.title}")
