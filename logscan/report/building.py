"""Makes the report: counts, traffic, the way of the mail, evidence texts. From what panels and checks saw, no markup."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from logscan.checking import outages
from logscan.correlate.outcomes import ENDS
from logscan.findings import Result
from logscan.reading.line_texts import fetch
from logscan.remedies import combined
from logscan.report import concerns, flow, listings, overview, traffic
from logscan.report.model import ProgramCount, Report, SourceCount, Unknown
from logscan.tables.partials import MOST_KEYS, Keyed, Partial
from logscan.version import __version__

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window

MOST_UNKNOWN = 50
"""Templates of unknown lines in a report, the most frequent ones."""


PANELS: dict[str, Callable[[Window], Partial]] = {
    "overview": overview.look,
    "traffic": traffic.look,
    "flow": flow.look,
    "listings": listings.look,
    "outages": lambda window: outages.look(window, window.settings),
    "concerns": concerns.look,
}
"""What looks at each window for the report, by name."""


ENDS_OF_OPEN = ("recipients", *ENDS, "rejected")
"""Counts of recipients that are told of mails still open."""

BOUNDED = {
    ("overview", "hosts"): "the list of hosts",
    ("traffic", "by 60"): "the charts of the traffic",
    ("flow", "ways"): "the map of the mail's way",
    ("flow", "ports.strangers"): "what tells port 25 from the submission port",
}
"""Parts of panels that count by key, and what is made of them: from too many keys it is a part of the truth."""


def _bounds(panels: Mapping[str, Partial]) -> list[str]:
    """Return a note for each part that had more keys than are counted one by one."""
    parts = {words: panels[panel].parts.get(name) for (panel, name), words in BOUNDED.items()}
    return [
        f"{words} shows a part only: there was more to tell apart than the {MOST_KEYS:,} that are counted one by one"
        for words, part in parts.items()
        if isinstance(part, Keyed) and part.limit < 2**64
    ]


def looked(window: Window) -> dict[str, Partial]:
    """Return what the panels see in a window."""
    return {name: look(window) for name, look in PANELS.items()}


def build(
    log: Log,
    panels: Mapping[str, Partial],
    results: Sequence[Result],
    *,
    now: datetime | None = None,
    still_open: Mapping[str, int] | None = None,
) -> Report:
    """Return the report on a log, from what the panels saw in its windows, and the checks' results.

    ``still_open`` has the counts of mails that are open, where these are counted apart (by the daily run).
    """
    zone = log.zone or UTC
    report = Report(
        version=__version__,
        generated=(now or datetime.now(UTC)).astimezone(zone),
        period=overview.period(panels["overview"], log),
        hosts=overview.hosts(panels["overview"]),
        sources=[
            SourceCount(
                read.label,
                read.kind,
                read.lines,
                read.understood,
                read.noise,
                read.unknown,
                read.undecodable,
                read.copies,
                read.error,
            )
            for read in log.read.sources
            if read.texts is None
        ],
        unknown=_unknown(log),
        mails=overview.mails(panels["overview"]),
        checks=list(results),
        programs=[
            ProgramCount(name, *counts) for name, counts in sorted(log.read.programs.items(), key=lambda kv: kv[0])
        ],
        notes=[*log.notes, *_bounds(panels)],
    )
    for result in report.checks:
        for finding in result.findings:
            finding.first = finding.first.astimezone(zone) if finding.first else None
            finding.last = finding.last.astimezone(zone) if finding.last else None
    report.audit = log.audit
    report.configuration = sorted(log.settings.kinds.items())
    report.plan = combined(log.settings, report.found, [each for _, each in report.predictions] if report.audit else ())
    _fill_evidence(log, report)
    failed = outages.conclude(panels["outages"], log)
    lists = listings.listings(panels["listings"], log, failed)
    report.traffic = replace(traffic.traffic(panels["traffic"], report), listings=lists)
    report.flow = flow.flow(panels["flow"], log, report)
    every = report.mails["total"]
    if still_open is not None:
        report.open_recipients = {name: count for name, count in still_open.items() if name in ENDS_OF_OPEN}
        report.mails["open"] = still_open["total"]
        every += still_open["total"]
    report.concerns = concerns.concerns(panels["concerns"], report.mails, failed, every)
    return report


def _unknown(log: Log) -> list[Unknown]:
    items = sorted(log.read.templates.items(), key=lambda item: (-item[1][0], item[0]))
    return [
        Unknown(program, template, count, log.read.sources[source].label, line, text)
        for (program, template), (count, source, line, text) in items[:MOST_UNKNOWN]
    ]


def _fill_evidence(log: Log, report: Report) -> None:
    wanted: dict[str, set[int]] = {}
    for finding in report.found:
        for item in finding.evidence:
            wanted.setdefault(item.source, set()).add(item.line)
    texts = fetch(log.read.sources, wanted)
    for finding in report.found:
        finding.evidence = [
            replace(item, text=texts.get((item.source, item.line), item.text)) for item in finding.evidence
        ]


__all__ = ["PANELS", "build", "looked"]
