"""``logscan analyse``: the main job."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from logscan.commands import completing
from logscan.commands.common import reading_of, reading_options
from logscan.commands.complaints import complain
from logscan.commands.mail_options import mail_options, mailing_of
from logscan.plugins import names


@click.command("analyse")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...", shell_complete=completing.files)
@click.option(
    "--check",
    "checks",
    multiple=True,
    metavar="NAME",
    shell_complete=completing.checks,
    help="Only this check; repeatable.",
)
@click.option(
    "--skip", multiple=True, metavar="NAME", shell_complete=completing.checks, help="Not this check; repeatable."
)
@click.option(
    "--format",
    "-f",
    "formats",
    multiple=True,
    type=click.Choice(names("logscan.reports")),
    help="What to write; repeatable, in pairs with -o. Default: text.",
)
@click.option("--output", "-o", "outputs", multiple=True, metavar="PATH", help="Where to: a file, '-' for stdout.")
@click.option(
    "--fail-on",
    type=click.Choice(["problem", "warning", "never"]),
    default="never",
    show_default=True,
    help="Exit with status 1 when there are findings at or above this.",
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colours in the text (NO_COLOR is honoured).",
)
@click.option("--show-subjects", is_flag=True, help="Show mails' subjects where a log has them.")
@click.option("--anonymise", is_flag=True, help="Replace people, hosts and addresses, the same by the same.")
@click.option(
    "--tables",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the correlated tables there as Parquet files.",
)
@mail_options
@reading_options
def command(reading: dict[str, Any], sources: tuple[str, ...], **options: Any) -> None:
    """Read logs, look for what quietly goes wrong, and report it.

    SOURCE is a file, a folder, a glob, '-' or 'journal:'. A folder is taken apart by content: mail logs in any form and
    compression, DSPAM's logs and listing, configuration files. Without SOURCE: this host's own mail log.
    """
    from logscan.commands.outputs import check_names, finish, made, wanted

    plan = wanted(options["formats"], options["outputs"], mailed=bool(options["mail_to"]))
    check_names((*options["checks"], *options["skip"]))
    mailing_of(options)
    with ExitStack() as held:
        with reading_of(sources, reading) as arguments:
            from logscan.pipeline.memory import frugal
            from logscan.pipeline.running import stream

            frugal()
            found = made(stream(*sources, **arguments), options, held)
        status = complain(found.log, reading["quiet"])
        sys.exit(finish(found, plan, options, reading["quiet"], status))


command.params.sort(key=lambda param: not isinstance(param, click.Argument))
