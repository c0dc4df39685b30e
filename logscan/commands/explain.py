"""``logscan explain``: the page of a check."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

import click

from logscan import console
from logscan.commands import completing

if TYPE_CHECKING:
    from logscan.checking.check import Check


@click.command("explain")
@click.argument("name", metavar="NAME", shell_complete=completing.checks)
def command(name: str) -> None:
    """Explain a check: what it finds, why it matters, what to do, when it is wrong or blind, its thresholds."""
    from logscan.checking.check import all_checks, page
    from logscan.commands.outputs import check_names

    check_names((name,))
    check = next(check for check in all_checks() if check.name == name)
    console.result(console.safe(f"# {check.name}\n\n{page(check)}\n{_thresholds(check)}", lines=True))


def _thresholds(check: Check) -> str:
    """Return the part of the page on the thresholds and how they are set; empty where there are none."""
    from logscan.checking.limits import thresholds

    told = thresholds(check.limits)
    if not told:
        return ""
    lines = [f"- `{each.name} = {_toml(each.default)}`: {each.reason}" for each in told]
    how = f"Set in logscan.toml, below `[checks.{check.name}]`."
    return "\n## Thresholds\n" + "\n".join(
        [*(textwrap.fill(line, 120, subsequent_indent="  ") for line in lines), how, ""]
    )


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else json.dumps(value)
