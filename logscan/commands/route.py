"""``logscan route``: where mail for an address goes by the configuration, beside what the log saw."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from logscan import console
from logscan.commands import completing
from logscan.commands.common import reading_of, reading_options


@click.command("route")
@click.argument("address", metavar="ADDRESS")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...", shell_complete=completing.files)
@click.option("--format", "-f", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@reading_options
def command(reading: dict[str, Any], address: str, sources: tuple[str, ...], form: str) -> None:
    """Say where mail for an address goes by the configuration: aliases, filter, transport, mailbox, who may train it.

    The configuration is named by --config, or lies among the SOURCEs; without either it is this host's own
    (/etc/postfix, /etc/dovecot, /etc/dspam). With SOURCE, what the log saw of such mail stands beside it.

    Each entrance is followed by itself, since aliases may be expanded before the filter or behind it. What isn't text at
    hand (mysql:, ldap:, tables that weren't given, patterns) can't be told, and that is said, with the command that
    tells it. The DNS isn't asked.
    """
    from logscan.commands.complaints import complain
    from logscan.report.route_texts import as_json, as_text
    from logscan.report.routed import seen
    from logscan.settings.routes import route

    if not sources and not reading["config"]:
        reading["config"] = tuple(Path(each) for each in OWN if Path(each).is_dir())
    with reading_of(sources, reading) as arguments:
        scan = _scan(sources, arguments)
    status = complain(scan.log, True)
    if not scan.settings.known("postfix"):
        if status:
            sys.exit(status)
        raise click.UsageError(
            "there is no main.cf, and no output of postconf -n, in what was given: name it with --config"
        )
    try:
        found = route(scan.settings, address.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
    except ValueError:
        raise click.UsageError(f"{address!r} is no address that mail can go to; write name@domain") from None
    ways, more = seen(scan, found.address) if sources else (None, 0)
    if form == "json":
        console.result(json.dumps(as_json(found, ways, more), indent=2) + "\n")
    else:
        console.result(as_text(found, ways, more, address.strip().strip("<>")) + "\n")
    sys.exit(status)


OWN = ("/etc/postfix", "/etc/dovecot", "/etc/dspam")


def _scan(sources: tuple[str, ...], arguments: dict[str, Any]) -> Any:
    from logscan.pipeline.running import read, unlogged

    if sources:
        return read(*sources, **arguments)
    return unlogged(*arguments["config"], dspam_home=arguments["dspam_home"], options=arguments["options"])
