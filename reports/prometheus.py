"""Prometheus' text format, for node_exporter's textfile collector."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from logscan.findings import SEVERITIES
from logscan.rendering.renderers import Renderer, RenderOptions
from logscan.rendering.summary import summarise
from logscan.report.memory import Memory
from logscan.report.model import Report
from logscan.visible import visible

VERDICTS = ("found", "clear", "blind", "not-applicable")
STATES = ("active", "mended", "residual")
DIRECTIONS = ("inbound", "outbound", "internal", "forwarded", "generated", "opened_before")
STATUSES = ("delivered", "deferred", "bounced", "expired", "held", "discarded", "rejected")


@dataclass
class _Metric:
    """A metric with its samples; the format: https://prometheus.io/docs/instrumenting/exposition_formats/"""

    name: str
    help: str
    samples: list[tuple[Mapping[str, str], float]] = field(default_factory=list)

    def lines(self) -> Iterable[str]:
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} gauge"
        for labels, value in self.samples:
            inside = ",".join(f'{key}="{_label(text)}"' for key, text in labels.items())
            shown = repr(int(value)) if value == int(value) else repr(value)
            yield f"{self.name}{{{inside}}} {shown}" if inside else f"{self.name} {shown}"


def _label(text: str) -> str:
    """Return a label's value, escaped as the format asks: backslash, quote, newline."""
    return visible(text, 200).replace("\\", "\\\\").replace('"', '\\"')


def metrics(report: Report, options: RenderOptions) -> list[_Metric]:
    """Return every metric of the report. All are gauges: they speak of the period that was read."""
    counts = summarise(report, options)
    found = report.found
    values = [
        _Metric("logscan_info", "Version of logscan; always 1.", [({"version": report.version}, 1)]),
        _Metric(
            "logscan_generated_timestamp_seconds", "When the report was made.", [({}, report.generated.timestamp())]
        ),
        _Metric(
            "logscan_check_verdict",
            "1 for the verdict that the check gave (found, clear, blind, not-applicable), 0 for the others.",
            [
                ({"check": each.name, "verdict": verdict}, each.verdict == verdict)
                for each in report.checks
                for verdict in VERDICTS
            ],
        ),
        _Metric(
            "logscan_check_eligible",
            "Cases that a check should have looked at.",
            [({"check": each.name}, each.eligible) for each in report.checks],
        ),
        _Metric(
            "logscan_check_checked",
            "Cases that a check could look at.",
            [({"check": each.name}, each.checked) for each in report.checks],
        ),
        _Metric(
            "logscan_check_cases",
            "Single cases inside the findings of a check that are to act on.",
            [
                ({"check": check.name}, sum(each.count for each in check.findings if each.counts))
                for check in report.checks
            ],
        ),
        _Metric(
            "logscan_findings",
            "Findings by severity and state; only active problems and warnings are to act on.",
            [
                (
                    {"severity": severity, "state": state},
                    sum(each.severity == severity and each.state == state for each in found),
                )
                for severity in SEVERITIES
                for state in (*STATES, *(["suppressed"] if counts.suppressed or counts.acknowledged else []))
            ],
        ),
        _Metric("logscan_mails", "Mails read.", [({}, report.mails.get("total", 0))]),
        _Metric(
            "logscan_mails_by_direction",
            "Mails by direction; of those opened before the log it is not known.",
            [({"direction": each}, report.mails[each]) for each in DIRECTIONS if each in report.mails],
        ),
        _Metric(
            "logscan_recipients_by_status",
            "Recipients by their last status at their final hop; rejected ones were refused before the queue.",
            [({"status": each}, report.mails[each]) for each in STATUSES if each in report.mails],
        ),
        _Metric(
            "logscan_deferrals",
            "Attempts to deliver that were put off.",
            [({}, report.mails["deferrals"])] if "deferrals" in report.mails else [],
        ),
        _Metric(
            "logscan_concerns",
            "What went wrong by the numbers and no check judges.",
            [({}, len(report.concerns))],
        ),
        _Metric(
            "logscan_queue_entries",
            "Lives of queue IDs.",
            [({}, report.mails["entries"])] if "entries" in report.mails else [],
        ),
        _Metric(
            "logscan_filter_legs",
            "Hand-overs through a content filter.",
            [({}, report.mails["filter_legs"])] if "filter_legs" in report.mails else [],
        ),
        _Metric(
            "logscan_lines",
            "Log lines by what became of them: understood, noise, unknown, undecodable.",
            [({"state": state}, getattr(counts, state)) for state in ("understood", "noise", "unknown", "undecodable")],
        ),
        _Metric(
            "logscan_source_errors",
            "Sources that could not be read to their end.",
            [({}, sum(bool(each.error) for each in report.sources))],
        ),
    ]
    if counts.new is not None:
        values.append(_Metric("logscan_findings_new", "Findings to act on not seen before.", [({}, counts.new)]))
    if report.memory is not None:
        values += _remembered(report.memory)
    for edge, moment in (("first", report.period.first), ("last", report.period.last)):
        if moment is not None:
            name = f"logscan_period_{edge}_timestamp_seconds"
            values.append(_Metric(name, f"Time of the {edge} line that was read.", [({}, moment.timestamp())]))
    return values


def _remembered(memory: Memory) -> list[_Metric]:
    """Return what there is beside earlier reports."""
    known = {
        "new": memory.new,
        "back": memory.back,
        "same": memory.same,
        "gone": memory.gone,
        "paused": memory.paused,
        "unseen": memory.unseen,
        "acknowledged": memory.acknowledged,
    }
    return [
        _Metric("logscan_run", "Number of the run.", [({}, memory.run)]),
        _Metric(
            "logscan_findings_remembered",
            "Findings beside the earlier reports; the acknowledged are among the same.",
            [({"kind": kind}, len(some)) for kind, some in known.items()],
        ),
    ]


def render(report: Report, options: RenderOptions) -> str:
    """Return the exposition; a metric without samples is left out."""
    return "".join(f"{line}\n" for each in metrics(report, options) if each.samples for line in each.lines())


REPORT = Renderer(
    name="prometheus",
    title="Prometheus textfile",
    suffix=".prom",
    media_type="text/plain; version=0.0.4; charset=utf-8",
    render=render,
)
