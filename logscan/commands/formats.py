"""``logscan formats``: the line formats that are known, and how each line of a file is read."""

from __future__ import annotations

from pathlib import Path

import click

from logscan import console


@click.command("formats")
@click.option(
    "--check", "file", type=click.Path(path_type=Path), metavar="FILE", help="Show how each line of FILE is read."
)
def command(file: Path | None) -> None:
    """List the line formats with their references; or show how each line of a file was read."""
    from logscan.reading.showing import explain_file, overview

    lines = explain_file(file) if file else overview()
    for line in lines:
        console.out(line)
