"""``logscan diff``: what differs between two reports."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import click

from logscan import console
from logscan.commands import completing

if TYPE_CHECKING:
    from logscan.report.differing import Difference, FindingChange
    from logscan.report.documents import Document, FindingRecord

UNREADABLE = 3


@click.command("diff")
@click.argument("a", metavar="A", shell_complete=completing.files)
@click.argument("b", metavar="B", shell_complete=completing.files)
@click.option("--format", "-f", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--fail-on", type=click.Choice(["new", "any", "never"]), default="never", show_default=True,
              help="Exit with status 1 for new findings (active, no notes), or for any difference.")  # fmt: skip
def command(a: str, b: str, form: str, fail_on: str) -> None:
    """Say what differs between two reports: findings new, gone, more and fewer, verdicts, figures.

    A and B are reports as JSON (logscan analyse -f json -o FILE), A the earlier one; '-' is standard input. Reports of
    older versions are read too. A finding is the same where check, cause and subject are. What a check that is blind, or
    that a report hasn't, can't tell is said.
    """
    from logscan.report.differing import differing
    from logscan.report.documents import DocumentError, load

    if a == b == "-":
        raise click.UsageError("only one of both can be standard input")
    found: list[Document] = []
    for path in (a, b):
        try:
            found.append(load(path, console.standard_input() if path == "-" else None))
        except DocumentError as error:
            console.say(f"Error: {error}", "")
        except OSError as error:
            console.say(f"Error: {path}: {error.strerror or error}", "")
    if len(found) < 2:
        sys.exit(UNREADABLE)
    difference = differing(found[0], found[1])
    if form == "json":
        console.result(json.dumps(as_json(difference), indent=2) + "\n")
    else:
        console.result(console.safe(as_text(difference), lines=True) + "\n")
    failing = {"new": bool(difference.alarming), "any": not difference.none, "never": False}[fail_on]
    sys.exit(1 if failing else 0)


# --- as text -----------------------------------------------------------------------------------------------------------


def as_text(found: Difference) -> str:
    """Return a difference as lines; what stands in it isn't made safe yet."""
    lines = [f"A: {_of(found.a)}", f"B: {_of(found.b)}", *(f"note: {_line(each)}" for each in found.notes), ""]
    for title, changes in (
        ("New", found.new),
        ("Gone", found.gone),
        ("More", found.more),
        ("Fewer", found.fewer),
        ("Changed", found.changed),
    ):
        if changes:
            lines += [f"{title} ({len(changes)})", *(line for each in changes for line in _finding(each)), ""]
    lines += _verdicts(found)
    if found.figures:
        lines += [f"Figures ({len(found.figures)})"]
        lines += [f"  {_line(each.name)}: {_figure(each.before)} → {_figure(each.after)}{_by(each.before, each.after)}"
                  for each in found.figures]  # fmt: skip
        lines.append("")
    if found.none:
        lines.append("No difference in findings, verdicts and figures.")
    else:
        lines.append(f"Unchanged findings: {found.unchanged}.")
    return "\n".join(lines)


def _verdicts(found: Difference) -> list[str]:
    """Return the verdicts that differ, one a line; checks that one report hasn't are only named."""
    from logscan.report.differing import ABSENT

    lines = []
    for each in found.verdicts:
        if ABSENT not in (each.before, each.after):
            why = f" ({'; '.join(each.because)})" if each.because else ""
            lines.append(f"  {_line(f'{each.check}: {each.before} → {each.after}{why}')}")
    if lines:
        lines = [f"Verdicts ({len(lines)})", *lines, ""]
    for name, there in (("A", "before"), ("B", "after")):
        lacking = [each.check for each in found.verdicts if getattr(each, there) == ABSENT]
        if lacking:
            lines += [f"Checks that {name} hasn’t ({len(lacking)})", *_wrapped(", ".join(lacking)), ""]
    return lines


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(_line(text), 100, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


def _of(document: Document) -> str:
    period = (
        f"{document.first[:16].replace('T', ' ')} – {document.last[:16].replace('T', ' ')}"
        if document.first
        else "no times"
    )
    hosts = ", ".join(document.hosts[:3]) or "unknown host"
    return _line(f"{document.name}: {period}, {hosts}, logscan {document.version}, schema {document.schema}")


def _finding(change: FindingChange) -> list[str]:
    finding, before = change.finding, change.before
    count = (
        f"{before.count:,} → {finding.count:,}: " if before and change.after and before.count != finding.count else ""
    )
    head = f"  {finding.severity} {finding.check} [{finding.id}]: {count}{finding.summary or finding.subject}"
    state = f"state: {finding.state}" if finding.state not in ("active", "") else ""
    notes = [*([state] if state and not (before and change.after) else []), *change.remarks]
    if finding.suppressed and not (before and change.after):
        notes.append("suppressed in the settings")
    return [_line(head), *(f"    {_line(each)}" for each in notes)]


def _figure(value: float | None) -> str:
    return "(not in it)" if value is None else f"{value:,}"


def _by(before: float | None, after: float | None) -> str:
    return "" if before is None or after is None else f" ({after - before:+,})"


def _line(text: str) -> str:
    return console.safe(text)


# --- as JSON -----------------------------------------------------------------------------------------------------------


def as_json(found: Difference) -> dict[str, Any]:
    """Return a difference as plain values."""
    return {
        "a": _head(found.a),
        "b": _head(found.b),
        "findings": {
            name: [_change(each) for each in getattr(found, name)]
            for name in ("new", "gone", "more", "fewer", "changed")
        },
        "unchanged": found.unchanged,
        "verdicts": [
            {"check": each.check, "before": each.before, "after": each.after, "because": list(each.because)}
            for each in found.verdicts
        ],
        "figures": [{"name": each.name, "before": each.before, "after": each.after} for each in found.figures],
        "notes": list(found.notes),
    }


def _head(document: Document) -> dict[str, Any]:
    return {
        "name": document.name,
        "version": document.version,
        "schema": document.schema,
        "first": document.first,
        "last": document.last,
        "hosts": list(document.hosts),
    }


def _change(change: FindingChange) -> dict[str, Any]:
    finding = change.finding
    return {
        "id": finding.id,
        "check": finding.check,
        "cause": finding.cause,
        "subject": finding.subject,
        "summary": finding.summary,
        "before": _state(change.before),
        "after": _state(change.after),
        "remarks": list(change.remarks),
    }


def _state(finding: FindingRecord | None) -> dict[str, Any] | None:
    if finding is None:
        return None
    return {
        "severity": finding.severity,
        "state": finding.state,
        "count": finding.count,
        "mails": finding.mails,
        "recipients": finding.recipients,
        "suppressed": finding.suppressed,
    }
