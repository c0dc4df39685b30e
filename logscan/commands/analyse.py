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
from logscan.commands.report_options import report_options


@click.command("analyse")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...", shell_complete=completing.files)
@report_options
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
