"""``logscan trace``: one mail from end to end."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

import click

from logscan import console
from logscan.commands import completing
from logscan.commands.common import reading_of, reading_options
from logscan.commands.complaints import complain


@click.command("trace")
@click.argument("what", metavar="WHAT")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...", shell_complete=completing.files)
@click.option("--format", "-f", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--verbose", "-v", is_flag=True, help="Show the raw lines too.")
@click.option(
    "--most", type=click.IntRange(1), default=20, show_default=True, help="Mails, and refusals, shown at most."
)
@click.option(
    "--for",
    "people",
    multiple=True,
    metavar="ADDRESS",
    help="Only this person's own part, fit to be handed over; repeatable for one person's addresses.",
)
@reading_options
def command(
    reading: dict[str, Any],
    what: str,
    sources: tuple[str, ...],
    form: str,
    verbose: bool,
    most: int,
    people: tuple[str, ...],
) -> None:
    """Show a mail's whole way, leg by leg, and what was refused.

    WHAT is a queue ID, a message-id, an address, the address or name of a client, or a finding's id. What smtpd or a
    milter refused never became a mail: it is found by sender, recipient, client, HELO name, login or domain.

    With --for, other recipients, other people's addresses and clients are hidden, and mails that aren't that person's are
    left out; what isn't known to be that person's counts as other people's.
    """
    from logscan.pipeline.quick import numbered, read_for
    from logscan.pipeline.running import analyse
    from logscan.report.trace_finding import find, find_finding, find_refused
    from logscan.report.trace_texts import as_json, as_text
    from logscan.report.tracing import traces

    what = what.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")  # as tables show such bytes
    with reading_of(sources, reading) as arguments:
        scan, excerpts = read_for(*sources, what=what, **arguments)
    status = complain(scan.log, True)
    lines = verbose or form == "json"
    mails = find(scan, what)
    refusals, count = find_refused(scan, what, most, lines=lines)
    if not mails and not refusals and find_finding(what):
        report = analyse(scan)
        ids = [
            case_id for f in report.found if f.id == what.lower() for case in f.cases for case_id in _queue_ids(case)
        ]
        mails = [mail for each in dict.fromkeys(ids) for mail in find(scan, each)]
    chosen = list(dict.fromkeys(mails))
    shown = [*traces(scan, chosen[:most], lines=lines, whole=True), *([refusals] if refusals else [])]
    numbered(shown, excerpts)
    if people:
        from logscan.report.redacting import redacted

        shown, left = redacted(shown, people)
        if left:
            console.say(f"left out: {left} of the mails, which are not of {', '.join(people)}")
    with suppress(BrokenPipeError):  # what is said on stderr, and the status, hold all the same
        if form == "json":
            console.result(as_json(shown) + "\n")
        elif shown:
            console.result(as_text(shown, verbose) + "\n")
        if not shown:
            kind = f"of {', '.join(people)} " if people else ""
            said = f"no mail {kind}and no refusal with the queue ID, message-id, address, client or host {what!r} in these logs"
            (console.say if form == "json" else console.out)(said)
        elif refusals and not chosen and form != "json":
            only = "Only refusals are known of" if all(each.refused for each in refusals.refusals) else "Of"
            console.out(f"{only} {what!r}: no mail of it has a queue ID in these logs.")
    if len(chosen) > most:
        console.say(f"{len(chosen) - most} more mails; --most shows them")
    if count > most:
        console.say(f"{count - most} earlier refusals; --most shows them")
    sys.exit(status)


def _queue_ids(case: dict[str, Any]) -> list[str]:
    found = case.get("queue_ids") or [case.get("queue_id")]
    return [str(each) for each in found if each]
