"""``logscan trace``: one mail from end to end."""

from __future__ import annotations

import sys
from typing import Any

import click

from logscan import console
from logscan.commands.common import complain, reading_options, scan_of


@click.command("trace")
@click.argument("what", metavar="WHAT")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--format", "-f", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--verbose", "-v", is_flag=True, help="Show the raw lines too.")
@click.option("--most", type=click.IntRange(1), default=20, show_default=True, help="Mails shown at most.")
@reading_options
def command(reading: dict[str, Any], what: str, sources: tuple[str, ...], form: str, verbose: bool, most: int) -> None:
    """Show a mail's whole way, leg by leg.

    WHAT is a queue ID, a message-id, an address, or a finding's id.
    """
    from logscan.pipeline import analyse
    from logscan.tracing import as_json, as_text, find, find_finding, traces

    what = what.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")  # as tables show such bytes
    scan = scan_of(sources, reading)
    status = complain(scan, True)
    mails = find(scan, what)
    if not mails and find_finding(what):
        report = analyse(scan)
        ids = [
            case_id for f in report.found if f.id == what.lower() for case in f.cases for case_id in _queue_ids(case)
        ]
        mails = [mail for each in dict.fromkeys(ids) for mail in find(scan, each)]
    if not mails:
        raise click.ClickException(f"no mail with the queue ID, message-id or address {what!r} in these logs")
    chosen = list(dict.fromkeys(mails))
    shown = traces(scan, chosen[:most], lines=verbose or form == "json")
    console.result((as_json(shown) if form == "json" else as_text(shown, verbose)) + "\n")
    if len(chosen) > most:
        console.say(f"{len(chosen) - most} more mails; --most shows them")
    sys.exit(status)


def _queue_ids(case: dict[str, Any]) -> list[str]:
    found = case.get("queue_ids") or [case.get("queue_id")]
    return [str(each) for each in found if each]
