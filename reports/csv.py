"""CSV for spreadsheets: one table a file; text that a spreadsheet would run as a formula is made harmless."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from logscan.findings import Finding
from logscan.rendering.renderers import Renderer, RenderOptions
from logscan.rendering.wording import case_columns, plain, value_text
from logscan.report.model import Report
from logscan.visible import visible

# Spreadsheets take these for the start of a formula (OWASP, CSV injection); the full-width forms are folded by some.
_FORMULA = re.compile(r"^\s*[=+\-@\t\r|%＝＋－＠]")
_NUMBER = re.compile(r"^[+-]?\d+(\.\d+)?$")


def cell(value: Any) -> str:
    """Return a cell's text: numbers bare, times as ISO 8601, anything that looks like a formula behind a quote mark."""
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, list | tuple | set | frozenset):
        return cell(" ".join(value_text(each, most=None) for each in value))
    text = visible(str(value), lines=True)
    return "'" + text if _FORMULA.match(text) and not _NUMBER.match(text) else text


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as CSV (RFC 4180, each cell quoted where it needs it) under a line of column names."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([cell(column) for column in columns])
    writer.writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()


def _file_name(text: str) -> str:
    """Return a name that is safe as a file's on any system."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text)[:60].strip("-") or "table"


def _finding(each: Finding) -> tuple[Any, ...]:
    remedy = each.remedy
    return (
        each.check,
        each.id,
        each.severity,
        each.confidence,
        each.state,
        each.cause,
        each.subject,
        each.summary,
        each.why,
        each.count,
        each.mails,
        each.recipients,
        each.first,
        each.last,
        remedy.text if remedy else "",
        remedy.file if remedy else "",
        remedy.line if remedy else "",
    )


_FINDING = (
    "check",
    "id",
    "severity",
    "confidence",
    "state",
    "cause",
    "subject",
    "summary",
    "why",
    "count",
    "mails",
    "recipients",
    "first",
    "last",
    "remedy",
    "remedy_file",
    "remedy_line",
)


def render(report: Report, options: RenderOptions) -> dict[str, str]:
    """Return the tables by file name: findings, checks, cases of each check, evidence, predictions, sources ..."""
    files = {
        "findings.csv": table(_FINDING, (_finding(each) for each in report.found)),
        "checks.csv": table(
            ("check", "title", "verdict", "checked", "eligible", "findings", "blind_because", "not_applicable", "clear"),
            (
                (each.name, each.title, each.verdict, each.checked, each.eligible, len(each.findings),
                 "; ".join(each.blind_because), each.not_applicable,
                 each.clear_title if each.verdict == "clear" else "")
                for each in report.checks
            ),
        ),
        "evidence.csv": table(
            ("check", "finding", "source", "line", "text"),
            (
                (each.check, each.id, line.source, line.line, line.text)
                for each in report.found
                for line in each.evidence
            ),
        ),
        "predictions.csv": table(
            ("check", "cause", "subject", "text", "file", "line", "seen", "remedy"),
            (
                (check.name, each.cause, each.subject, each.text, each.file, each.line, each.seen,
                 each.remedy.text if each.remedy else "")
                for check in report.checks
                for each in check.predictions
            ),
        ),
        "sources.csv": table(
            ("path", "kind", "lines", "understood", "noise", "unknown", "undecodable", "copies", "error"),
            (
                (each.path, each.kind, each.lines, each.understood, each.noise, each.unknown, each.undecodable,
                 each.copies, each.error)
                for each in report.sources
            ),
        ),
        "unknown.csv": table(
            ("program", "template", "count", "source", "line", "text"),
            ((each.program, each.template, each.count, each.source, each.line, each.text) for each in report.unknown),
        ),
        "mails.csv": table(("what", "count"), report.mails.items()),
        "concerns.csv": table(("concern",), ((each,) for each in report.concerns)),
    }  # fmt: skip
    for check in report.checks:
        cases = [case for finding in check.findings for case in finding.cases]
        if not cases:
            continue
        columns = case_columns(cases)
        files[f"cases-{_file_name(check.name)}.csv"] = table(
            ["finding", *columns],
            (
                [finding.id, *(case.get(column) for column in columns)]
                for finding in check.findings
                for case in finding.cases
            ),
        )
    traffic = report.traffic
    for name, group in (
        ("direction", traffic.by_direction),
        ("tagged", traffic.tagged),
        ("put-off", traffic.put_off),
        ("findings", traffic.findings),
    ):
        if group:
            files[f"traffic-{name}.csv"] = table(
                ["from", *(each.name for each in group)],
                zip(traffic.hours, *(each.values for each in group), strict=False),
            )
    if traffic.tagged_by_origin:
        files["traffic-origin.csv"] = table(("origin", "tagged", "untagged"), traffic.tagged_by_origin)
    for listing in traffic.listings:
        files[f"listing-{_file_name(listing.key)}.csv"] = table(listing.columns, listing.rows)
    if report.flow.edges:
        files["flow.csv"] = table(
            ("from", "to", "recipients", "mails", "label", "findings"),
            (
                (each.source, each.target, each.count, each.mails, each.label, each.problem)
                for each in report.flow.edges
            ),
        )
    return files


REPORT = Renderer(
    name="csv",
    title="CSV, one file a table",
    suffix="",
    media_type="text/csv; charset=utf-8",
    render=render,
    stdout="findings.csv",
)
