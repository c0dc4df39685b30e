"""Makes the report: counts, traffic, the way of the mail, evidence texts. From a Scan and the checks' results, no markup."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from logscan.checking import outages
from logscan.correlate.build import summary
from logscan.findings import Evidence, Result
from logscan.reading.line_texts import fetch
from logscan.remedies import combined
from logscan.report import endings, listings
from logscan.report.accounts import ENDS, Ends, ends, refusals
from logscan.report.concerns import concerns
from logscan.report.deferrals import put_off
from logscan.report.flow import flow
from logscan.report.model import Period, ProgramCount, Report, SourceCount, Unknown
from logscan.report.traffic import traffic
from logscan.version import __version__

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.tables.partials import Partial

MOST_UNKNOWN = 50
"""Templates of unknown lines in a report, the most frequent ones."""

MOST_PATHS = 200
"""Mails whose whole way a report holds."""


PANELS: dict[str, Callable[[Window], Partial]] = {
    "listings": listings.look,
    "outages": lambda window: outages.look(window, window.settings),
}
"""What looks at each window for the report, by name."""


def looked(window: Window) -> dict[str, Partial]:
    """Return what the panels see in a window."""
    return {name: look(window) for name, look in PANELS.items()}


def build(
    log: Log, panels: Mapping[str, Partial], results: Sequence[Result], scan: Window, *, now: datetime | None = None
) -> Report:
    """Return the report on a log; ``scan`` is the whole, for the panels that don't look at windows yet."""
    zone = scan.zone or UTC
    report = Report(
        version=__version__,
        generated=(now or datetime.now(UTC)).astimezone(zone),
        period=_period(scan),
        hosts=_hosts(scan),
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
            for read in scan.log.read.sources
        ],
        unknown=_unknown(scan),
        mails=summary(scan.correlated, rejected(scan)),
        checks=list(results),
        programs=[
            ProgramCount(name, *counts) for name, counts in sorted(scan.log.read.programs.items(), key=lambda kv: kv[0])
        ],
        notes=list(scan.log.notes),
    )
    for result in report.checks:
        for finding in result.findings:
            finding.first = finding.first.astimezone(zone) if finding.first else None
            finding.last = finding.last.astimezone(zone) if finding.last else None
    report.plan = combined(scan.settings, report.found)
    _paths(scan, report)
    _fill_evidence(scan, report)
    late, ended, failed = put_off(scan), ends(scan), outages.conclude(panels["outages"], log)
    report.mails = _with_untried(report.mails, ended)
    lists = listings.listings(panels["listings"], log, failed, endings.listings(scan, ended), scan)
    report.traffic = replace(traffic(scan, report, late), listings=lists)
    report.flow = flow(scan, report, ended)
    report.concerns = concerns(scan, late, failed, ended)
    return report


def _with_untried(mails: dict[str, int], ended: Ends) -> dict[str, int]:
    """Return the counts with those among ``deferred`` of whom the log has no attempt, behind it."""
    untried = int(ended.weight[ended.kind == ENDS.index("untried")].sum())
    out: dict[str, int] = {}
    for name, count in mails.items():
        out[name] = count
        if name == "deferred":
            out["deferred_not_tried"] = untried
    return out


def rejected(scan: Window) -> int:
    """Return how many recipients were refused before the queue."""
    return len(refusals(scan))


def _hosts(scan: Window) -> list[str]:
    names: set[str] = set()
    for table in scan.tables.values():
        column = table.column("host")
        names.update(value for value in column.unique().to_pylist() if value and value != "-")
    return sorted(names)


def _period(scan: Window) -> Period:
    low, high = None, None
    for table in scan.tables.values():
        time = table.column("time").to_numpy()
        time = time[time > np.iinfo(np.int64).min]
        if len(time):
            low = int(time.min()) if low is None else min(low, int(time.min()))
            high = int(time.max()) if high is None else max(high, int(time.max()))
    solution = scan.log.read.solution
    zone = scan.zone or UTC

    def at(ns: int | None) -> datetime | None:
        return None if ns is None else datetime.fromtimestamp(ns // 10**9, UTC).astimezone(zone)

    return Period(at(low), at(high), solution.inferred_year, str(zone), solution.inferred_zone, tuple(solution.notes))


def _unknown(scan: Window) -> list[Unknown]:
    items = sorted(scan.log.read.templates.items(), key=lambda item: (-item[1][0], item[0]))
    return [
        Unknown(program, template, count, scan.label(source), line, text)
        for (program, template), (count, source, line, text) in items[:MOST_UNKNOWN]
    ]


def _paths(scan: Window, report: Report) -> None:
    """Give the whole way of the first mails that findings name, by queue ID."""
    from logscan.report.tracing import way

    wanted: dict[str, None] = {}
    for finding in report.found:
        for case in finding.cases[:5]:
            ids = case.get("queue_ids") or [case.get("queue_id")]
            if ids and ids[0]:
                wanted.setdefault(str(ids[0]))
    chosen = list(wanted)[:MOST_PATHS]
    entries = scan.entries
    rows = entries.index[entries["queue_id"].isin(chosen)]
    for entry in rows:
        report.paths[str(entries["queue_id"].iat[entry])] = way(scan, int(entry))


def _fill_evidence(scan: Window, report: Report) -> None:
    wanted: dict[str, set[int]] = {}
    for finding in report.found:
        for item in finding.evidence:
            wanted.setdefault(item.source, set()).add(item.line)
    texts = fetch(scan.log.read.sources, wanted)
    for finding in report.found:
        finding.evidence = [
            replace(item, text=texts.get((item.source, item.line), item.text)) for item in finding.evidence
        ]


def evidence_of(scan: Window, source: int, line: int) -> Evidence:
    """Return one line as evidence, its text fetched."""
    label = scan.label(source)
    return Evidence(label, line, fetch(scan.log.read.sources, {label: {line}}).get((label, line), ""))


__all__ = ["build", "evidence_of", "rejected"]
