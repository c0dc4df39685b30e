"""A Nagios or Icinga plug-in's line: status, one sentence, performance data; the status is also the exit status."""

from __future__ import annotations

from logscan.rendering.renderers import Renderer, RenderOptions
from logscan.rendering.summary import Summary, acting, summarise
from logscan.rendering.wording import host_text
from logscan.report.model import Report
from logscan.visible import visible

STATUS = {0: "OK", 1: "WARNING", 2: "CRITICAL", 3: "UNKNOWN"}
"""By exit status: https://nagios-plugins.org/doc/guidelines.html#AEN78"""

MOST_NAMED = 3


def exit_status(report: Report) -> int:
    """Return 2 with a problem, 1 with a warning, 0 when what could be judged is clear, 3 when nothing could be.

    What doesn't apply to this server is right.
    """
    return _status(summarise(report))


def _status(counts: Summary) -> int:
    if counts.audit:
        return 2 if counts.foreseen else 0
    if not counts.recognised:
        return 3
    if counts.problems:
        return 2
    if counts.warnings:
        return 1
    return 0 if counts.clear or (counts.not_applicable and not counts.blind) else 3


def _safe(text: str) -> str:
    """Return text without what ends the sentence or starts performance data, nor markup that a web page would run."""
    return visible(text, 120).replace("|", "¦").replace("<", "‹").replace(">", "›").replace("&", "+")


def render(report: Report, options: RenderOptions) -> str:
    """Return ``LOGSCAN CRITICAL - …|performance data`` and a newline."""
    counts = summarise(report, options)
    status = _status(counts)
    if counts.audit:
        sentence = counts.headline()
    elif not counts.recognised:
        sentence = f"{host_text(report)}: {counts.unread}" + ("" if counts.idle else f" ({counts.lines} read)")
    else:
        sentence = f"{host_text(report)}: {counts.headline()}"
        findings = acting(report)
        named = "; ".join(each.summary[:100] for each in findings[:MOST_NAMED])
        if named:
            sentence += f": {named}" + ("; ..." if len(findings) > MOST_NAMED else "")
    values = {
        "problems": f"{counts.problems};;1",
        "warnings": f"{counts.warnings};1",
        "clear": f"{counts.clear}",
        "blind": f"{counts.blind}",
        "not_applicable": f"{counts.not_applicable}",
        "concerns": f"{len(counts.concerns)}",
        "mails": f"{report.mails.get('total', 0)}",
        "lines": f"{counts.lines}",
        "unknown_lines": f"{counts.unknown}",
    }
    data = " ".join(f"{key}={value}" for key, value in values.items())
    return f"LOGSCAN {STATUS[status]} - {_safe(sentence) if len(sentence) <= 120 else _long(sentence)}|{data}\n"


def _long(sentence: str) -> str:
    """Return a sentence cut to what Nagios keeps of a line (8 kB) by far."""
    return "".join(_safe(sentence[start : start + 100]) for start in range(0, min(len(sentence), 600), 100))


REPORT = Renderer(
    name="nagios",
    title="Nagios or Icinga plug-in output with performance data",
    suffix=".txt",
    media_type="text/plain; charset=utf-8",
    render=render,
    exit_status=exit_status,
)
