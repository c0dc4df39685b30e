"""``logscan audit``: what the configuration alone says must happen."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from logscan.commands import completing
from logscan.commands.settings_file import load_settings
from logscan.plugins import names


@click.command("audit")
@click.argument("paths", nargs=-1, metavar="[PATH]...", shell_complete=completing.files)
@click.option("--settings", type=click.Path(path_type=Path), metavar="FILE", is_eager=True, expose_value=False,
              callback=load_settings, help="Settings file; default: as for analyse.")  # fmt: skip
@click.option("--dspam-home", type=click.Path(path_type=Path, file_okay=False), metavar="PATH", help="DSPAM's home.")
@click.option("--local-domain", "local_domains", multiple=True, metavar="DOMAIN",
              help="A domain whose mailboxes are here; repeatable.")  # fmt: skip
@click.option("--format", "-f", "formats", multiple=True, type=click.Choice(names("logscan.reports")),
              help="What to write; repeatable, in pairs with -o. Default: text.")  # fmt: skip
@click.option("--output", "-o", "outputs", multiple=True, metavar="PATH", help="Where to: a file, '-' for stdout.")
@click.option("--fail-on", type=click.Choice(["problem", "warning", "never"]), default="never", show_default=True,
              help="Exit with status 1 when the configuration foretells a fault.")  # fmt: skip
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True,
              help="Colours in the text (NO_COLOR is honoured).")  # fmt: skip
@click.option("--quiet", "-q", is_flag=True, help="No notes on stderr.")
def command(paths: tuple[str, ...], quiet: bool, **options: Any) -> None:
    """Say what the configuration alone foretells, without any log.

    PATH is a file or a folder: main.cf, master.cf, what postconf or doveconf printed, dspam.conf, amavisd.conf, alias
    maps. Default: /etc/postfix, /etc/dovecot and /etc/dspam. Logs among them are not read.
    """
    from logscan.commands.complaints import complain
    from logscan.commands.outputs import Made, finish, wanted
    from logscan.pipeline.running import analyse, unlogged
    from logscan.scan.options import Options

    plan = wanted(options["formats"], options["outputs"])
    named = paths or tuple(path for path in DEFAULT if Path(path).is_dir())
    missing = [path for path in named if not Path(path).exists()]
    if missing or not named:
        raise click.UsageError(
            f"there is no {', '.join(missing)}" if missing else f"there is no {' and no '.join(DEFAULT)}: name a folder"
        )
    scan = unlogged(*named, dspam_home=options["dspam_home"], options=Options(local_domains=options["local_domains"]))
    if not scan.settings.kinds:
        raise click.UsageError(
            f"{', '.join(named)}: no configuration that is known; main.cf, master.cf, the output of postconf -n and -M or "
            "of doveconf -n, dspam.conf, amavisd.conf and alias maps are"
        )
    status = complain(scan.log, quiet)
    with ExitStack():
        sys.exit(finish(Made(analyse(scan), scan.log), plan, options, quiet, status))


DEFAULT = ("/etc/postfix", "/etc/dovecot", "/etc/dspam")
"""Where a server's configuration lies."""
