"""JSON for other programs: version 2, keys and shapes fixed: always valid, ASCII, the same for the same report."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from logscan.findings import Finding, Remedy, Result, Suppression
from logscan.rendering.planning import as_json
from logscan.rendering.renderers import Renderer, RenderOptions
from logscan.report.memory import Former, Memory
from logscan.report.model import SCHEMA, Report, Series
from logscan.visible import without_passwords


def _plain(value: Any) -> Any:
    """Return ``value`` as what JSON knows; no NaN, no lone surrogate (many parsers refuse both)."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, str):
        return without_passwords(value.encode("utf-8", "backslashreplace").decode())
    if isinstance(value, datetime | date):
        return None if value != value else value.isoformat()  # noqa: PLR0124 - pandas' NaT is a datetime
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {str(_plain(str(key))): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(each) for each in value), key=str)
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return _plain(value.tolist())
    return None if str(value) in {"<NA>", "NaT"} else _plain(str(value))


def _remedy(remedy: Remedy | None) -> dict[str, Any] | None:
    if remedy is None:
        return None
    return {
        "text": remedy.text,
        "file": remedy.file,
        "line": remedy.line,
        "diff": remedy.diff,
        "message": remedy.message,
        "key": remedy.key,
        "needs": list(remedy.needs),
    }


def _known(told: Suppression) -> dict[str, Any]:
    """Return by what a finding is known; ``by`` says who acknowledged it, where it isn't the settings file."""
    return {name: value for name, value in asdict(told).items() if name != "by" or value}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "state": finding.state,
        "cause": finding.cause,
        "subject": finding.subject,
        "summary": finding.summary,
        "why": finding.why,
        "count": finding.count,
        "mails": finding.mails,
        "recipients": finding.recipients,
        "first": finding.first,
        "last": finding.last,
        "cases": finding.cases,
        "remedy": _remedy(finding.remedy),
        "evidence": [{"source": each.source, "line": each.line, "text": each.text} for each in finding.evidence],
        "suppressed": finding.suppressed and _known(finding.suppressed),
    }


def _check(check: Result) -> dict[str, Any]:
    return {
        "name": check.name,
        "title": check.title,
        "verdict": check.verdict,
        "checked": check.checked,
        "eligible": check.eligible,
        "blind_because": check.blind_because,
        "clear": check.clear_title if check.verdict == "clear" else "",
        "not_applicable": check.not_applicable,
        "predictions": [
            {
                "cause": each.cause,
                "subject": each.subject,
                "text": each.text,
                "file": each.file,
                "line": each.line,
                "seen": each.seen,
                "remedy": _remedy(each.remedy),
            }
            for each in check.predictions
        ],
        "findings": [_finding(each) for each in check.findings],
    }


def _traffic(report: Report) -> dict[str, Any]:
    """Return what the page shows of the traffic: series along ``from``, every list, the map."""
    traffic, flow = report.traffic, report.flow

    def series(group: tuple[Series, ...]) -> list[dict[str, Any]]:
        return [{"name": each.name, "values": each.values} for each in group]

    return {
        "step_minutes": traffic.step,
        "from": traffic.hours,
        "by_direction": series(traffic.by_direction),
        "tagged": series(traffic.tagged),
        "put_off": series(traffic.put_off),
        "findings": series(traffic.findings),
        "tagged_by_origin": [
            {"origin": origin, "tagged": tagged, "untagged": untagged}
            for origin, tagged, untagged in traffic.tagged_by_origin
        ],
        "lists": [
            {
                "key": each.key,
                "title": each.title,
                "help": each.help,
                "part": each.part,
                "columns": each.columns,
                "rows": each.rows,
                "total": max(each.total, len(each.rows)),
            }
            for each in traffic.listings
        ],
        "flow": {
            "unit": "recipients",
            "nodes": [
                {"key": each.key, "label": each.label, "kind": each.kind, "detail": each.detail} for each in flow.nodes
            ],
            "edges": [
                {
                    "from": each.source,
                    "to": each.target,
                    "recipients": each.count,
                    "mails": each.mails,
                    "label": each.label,
                    "findings": each.problem,
                }
                for each in flow.edges
            ],
        },
    }


def _memory(memory: Memory) -> dict[str, Any]:
    """Return what earlier reports of the same state had, and which run this is."""

    def former(each: Former) -> dict[str, Any]:
        return {
            "id": each.id,
            "check": each.check,
            "severity": each.severity,
            "summary": each.summary,
            "since": each.since,
            "last": each.last,
            "mended": each.mended,
        }

    return {
        "memory": {
            "first": memory.first,
            "new": memory.new,
            "back": memory.back,
            "gone": [each.id for each in memory.gone],
            "same": memory.same,
            "acknowledged": memory.acknowledged,
            "paused": [each.id for each in memory.paused],
            "unseen": [each.id for each in memory.unseen],
            "former": [former(each) for each in (*memory.gone, *memory.paused, *memory.unseen)],
            "known": {
                key: {"status": each.status, "since": each.since, "reports": each.reports, "last": each.seen}
                for key, each in memory.known.items()
            },
            "days": memory.days,
            "strip": memory.strip,
            "past": {
                key: {
                    "today": each.today,
                    "median": each.median,
                    "low": each.low,
                    "high": each.high,
                    "days": each.days,
                    "same_weekday": each.weekday,
                    "odd": each.odd,
                }
                for key, each in memory.past.items()
            },
        },
        "runs": {"number": memory.run, "from": memory.since, "until": memory.until, "previous": memory.previous},
    }


def document(report: Report) -> dict[str, Any]:
    """Return the report as the dict that becomes the JSON document: plain values only."""
    page = {
        "logscan": {"version": report.version, "schema": SCHEMA},
        "period": {
            "first": report.period.first,
            "last": report.period.last,
            "year_inferred": report.period.year_inferred,
            "zone": report.period.zone,
            "zone_inferred": report.period.zone_inferred,
        },
        "audit": report.audit,
        "configuration": [{"path": path, "kind": kind} for path, kind in report.configuration],
        "hosts": report.hosts,
        "sources": [
            {
                "path": each.path,
                "kind": each.kind,
                "lines": each.lines,
                "understood": each.understood,
                "noise": each.noise,
                "unknown": each.unknown,
                "undecodable": each.undecodable,
                "copies": each.copies,
                "error": each.error,
            }
            for each in report.sources
        ],
        "unknown": [
            {
                "program": each.program,
                "template": each.template,
                "count": each.count,
                "example": {"source": each.source, "line": each.line, "text": each.text},
            }
            for each in report.unknown
        ],
        "mails": report.mails | ({"open_recipients": report.open_recipients} if "open" in report.mails else {}),
        "checks": [_check(each) for each in report.checks],
        "plan": as_json(report.plan),
        "concerns": report.concerns,
        "notes": report.notes,
        "traffic": _traffic(report),
    }
    if report.memory is not None:
        page |= _memory(report.memory)
    plain = _plain(page)
    assert isinstance(plain, dict)
    return plain


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the document, which ships with the package."""
    text = Path(__file__).with_name("assets").joinpath("report.schema.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def render(report: Report, options: RenderOptions) -> str:
    """Return the document with two blanks of indentation and a newline at the end."""
    return json.dumps(document(report), indent=2, ensure_ascii=True, allow_nan=False) + "\n"


REPORT = Renderer(
    name="json",
    title="JSON, version 2, for other programs",
    suffix=".json",
    media_type="application/json",
    render=render,
)
