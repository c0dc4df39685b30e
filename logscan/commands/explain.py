"""``logscan explain``: the page of a check."""

from __future__ import annotations

import click

from logscan import console


@click.command("explain")
@click.argument("name", metavar="NAME")
def command(name: str) -> None:
    """Explain a check: what it finds, why it matters, what to do, when it is wrong or blind."""
    from logscan.checking.check import all_checks, page
    from logscan.commands.outputs import check_names

    check_names((name,))
    check = next(check for check in all_checks() if check.name == name)
    console.result(console.safe(f"# {check.name}\n\n{page(check)}\n", lines=True))
