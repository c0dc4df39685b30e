"""``logscan reports``: the output formats, one line each."""

from __future__ import annotations

import click

from logscan import console


@click.command("reports")
def command() -> None:
    """List the output formats, one line each."""
    from logscan.rendering.renderers import renderers

    for name, each in sorted(renderers().items()):
        console.out(f"{name:12} {each.title}")
