"""The terminal's report: laid out by rich, in colour when asked for, plain text in a pipe."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from logscan.amounts import percent, plural
from logscan.findings import Severity
from logscan.rendering.first_screen import write_first_screen, write_notes
from logscan.rendering.foreseen import cures, foreseen
from logscan.rendering.grouping import Group, counted, shared_cures
from logscan.rendering.paging import Page, table
from logscan.rendering.paging_memory import gone_part, strip_part
from logscan.rendering.planning import lines as plan_lines
from logscan.rendering.remembering import marks, more_news, news
from logscan.rendering.renderers import Renderer, RenderOptions
from logscan.rendering.summary import (
    acting,
    by_verdict,
    clear_text,
    kind_of,
    resting,
    summarise,
    suppressed_text,
    title_of,
    verdict_line,
    verdict_more,
)
from logscan.rendering.wording import host_text, period_text, queue_ids, stamp
from logscan.report.model import Report
from logscan.visible import visible

if TYPE_CHECKING:
    pass

STYLES: dict[Severity | str, str] = {
    "problem": "bold red",
    "warning": "bold yellow",
    "note": "bold cyan",
    "clear": "green",
    "blind": "magenta",
    "not-applicable": "dim",
}

MOST_FINDINGS = 100
MOST_MEMBERS = 12
"""Findings of one cause that are named, without ``verbose``."""

MOST_ROWS = 6
"""Rows of a list, without ``verbose``; the JSON and CSV reports and the page have more."""


def _group(page: Page, number: int, group: Group, same: int) -> None:
    """Write one thing to act on: what is wrong, why, what to do, whom it is about, and lines that prove it."""
    from rich.table import Table
    from rich.text import Text

    report, options, finding = page.report, page.options, group.first
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=2, justify="right")
    grid.add_column(width=len("PROBLEM"), no_wrap=True)
    grid.add_column(ratio=1, overflow="fold")
    head = Text(visible(group.summary, 500), style="bold")
    told = marks(report, options, group.findings)
    for status in ("new", "back"):
        if any(each.kind == status for each in told):
            head.append(f"  {status.upper()}", "bold blue")
    grid.add_row(Text(str(number)), Text(finding.severity.upper(), style=STYLES[finding.severity]), head)
    page.write()
    page.write_grid(grid, 0)
    times = group.counted()
    if group.since:
        times += f", first {stamp(group.since, report)}, last {stamp(group.last, report)}"
    subject = [] if group.several else [finding.subject]
    page.labelled("what", " · ".join([finding.cause, *subject, times, f"confidence {group.confidence}"]))
    since = ", ".join(each.text for each in told)
    if report.memory is not None and since not in ("", "new"):
        page.labelled("known", since)
    if group.why:
        page.labelled("why", group.why)
    remedy = group.remedy
    if remedy and same:
        page.labelled("do", f"The same as for finding {same}, once for both.")
    elif remedy:
        page.labelled("do", remedy.text, lines=True)
        if remedy.file:
            page.labelled("where", remedy.file + (f", line {remedy.line}" if remedy.line else ""))
        if remedy.diff:
            page.diff(remedy.diff)
    if remedy and remedy.message and not same:
        page.write()
        page.labelled("to user", remedy.message, lines=True)
        if group.several and any(each.remedy and each.remedy.message != remedy.message for each in group.findings[1:]):
            page.line(f"That is the letter to {finding.subject}; the page and the JSON have the others'.")
    if group.several:
        _members(page, group)
    _evidence(page, group)
    ids = [each for each in queue_ids(finding) if each in report.paths]
    if ids:
        page.labelled("trace", f"logscan trace {finding.id}   (or {', '.join(ids[:3])})")
    else:
        page.labelled("id", f"{finding.id}   logscan explain {finding.check}")


def _members(page: Page, group: Group) -> None:
    """Write whom it is about, the largest first."""
    most = 100 if page.options.verbose else MOST_MEMBERS
    page.write()
    for number, each in enumerate(group.findings[:most]):
        last = f"; last {stamp(each.last or each.first, page.report, seconds=False)}" if each.first else ""
        page.labelled("" if number else "which", f"{each.summary}{last} ({each.id})")
    if len(group.findings) > most:
        page.labelled("", f"… and {len(group.findings) - most:,} more")


def _evidence(page: Page, group: Group) -> None:
    """Write lines that prove it; of several findings one each."""
    most = 20 if page.options.verbose else 3
    lines = [each.evidence[0] for each in group.findings if each.evidence] if group.several else group.first.evidence
    if lines:
        page.write()
        for each in lines[:most]:
            page.line(f"{each.source}:{each.line}: {each.text}")
        total = sum(len(each.evidence) for each in group.findings)
        if total > len(lines[:most]):
            page.line(f"… and {plural(total - len(lines[:most]), 'more line')}")


def _plan(page: Page) -> None:
    plan = page.report.plan
    if plan is None:
        return
    page.heading("All changes as one")
    for kind, line in plan_lines(plan):
        if kind == "patch":  # as it is, to be copied: rich would turn its tabs into blanks
            shown = "\t".join(visible(part, 4000) for part in line.split("\t"))
            page.console.out(shown, highlight=False)
        else:
            page.write(visible(line, 4000), "bold" if kind == "head" else "", {"command": 5, "text": 1}.get(kind, 0))


def _verdicts(page: Page) -> None:
    from rich.text import Text

    report = page.report
    clear = by_verdict(report, "clear")
    if clear:
        page.heading(f"Clear: looked at, nothing wrong ({len(clear)})", STYLES["clear"])
        for check in clear:
            page.write(Text(f"✓ {visible(clear_text(check), 500)}"), indent=1)
            if check.checked != check.eligible:
                page.write(f"{check.checked:,} of {check.eligible:,} looked at", "dim", 5)
            for finding in check.findings:
                if finding.state == "mended":
                    page.write(Text(f"mended: {visible(finding.summary, 500)}"), indent=5)
    blind = by_verdict(report, "blind")
    if report.audit:
        return
    if blind:
        page.heading(f"Blind: could not be judged ({len(blind)})", STYLES["blind"])
        for check in blind:
            page.write(Text("? " + visible(title_of(check))), indent=1)
            for reason in check.blind_because or ["there was no case to look at"]:
                page.write(visible(reason, 1000), "dim", 5)
    absent = by_verdict(report, "not-applicable")
    if absent:
        page.heading(f"Not applicable here ({len(absent)})")
        for check in absent:
            page.write(Text(f"– {visible(title_of(check))}: {visible(check.not_applicable, 1000)}"), indent=1)


def _predictions(page: Page) -> None:
    report = page.report
    every = foreseen(report)
    if not every:
        return
    page.heading("What the configuration says must happen" + ("" if report.audit else " (no verdict)"))
    for each in every[:MOST_FINDINGS]:
        page.write()
        page.write(visible(each.first.text, 1000), indent=1)
        if each.others:
            page.labelled("also for", ", ".join(each.others))
        told = [each.check.name, each.first.cause, each.place, each.seen(report.audit)]
        page.labelled("check", " · ".join(filter(None, told)))
    for remedy in cures(report) if report.audit else ():
        page.write()
        page.labelled("do", remedy.text, lines=True)
        if remedy.diff and report.plan is None:
            page.diff(remedy.diff)


def _resting(page: Page) -> None:
    rest = resting(page.report)
    if not rest:
        return
    page.heading(f"Known, nothing to do ({len(rest)})")
    for finding in rest[: MOST_FINDINGS if page.options.verbose else 10]:
        page.write(
            f"{kind_of(finding)}: {visible(finding.summary, 300)} ({counted(finding.count, finding.mails, finding.recipients)})",
            indent=1,
        )
        if finding.suppressed:
            page.write(f"{finding.severity} of {finding.check}, {visible(suppressed_text(finding), 500)}", "dim", 5)
        if finding.state != "active" and finding.why:
            page.write(visible(finding.why, 1000), "dim", 5)
    if len(rest) > 10 and not page.options.verbose:
        page.write(f"… and {plural(len(rest) - 10, 'more')}" if len(rest) > 11 else "… and 1 more", "dim", 1)


def _mails(page: Page) -> None:
    report = page.report
    if not report.mails:
        return
    total = report.mails.get("total", 0)
    parts = [f"{report.mails[key]:,} {key.replace('_', ' ')}" for key in report.mails if key != "total"]
    page.heading(plural(total, "mail"))
    page.write(visible(", ".join(parts)), indent=1)


def _flow(page: Page) -> None:
    """Write the map as a table: recipients and mails from place to place."""
    flow = page.report.flow
    if not flow.edges:
        return
    labels = {node.key: node.label for node in flow.nodes}
    page.heading("The way mail takes, by recipients at the end of their way")
    most = len(flow.edges) if page.options.verbose else 20
    rows = [
        (labels.get(each.source, each.source), labels.get(each.target, each.target), each.count, each.mails or "")
        for each in flow.edges[:most]
    ]
    table(page, ("from", "to", "recipients", "mails"), rows, len(flow.edges))


def _lists(page: Page) -> None:
    most = 30 if page.options.verbose else MOST_ROWS
    for listing in page.report.traffic.listings:
        if listing.rows:
            page.heading(visible(listing.title, 200))
            page.write(visible(listing.help, 600), "dim", 1)
            table(page, listing.columns, listing.rows[:most], max(listing.total, len(listing.rows)))


def _sources(page: Page) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    report = page.report
    counts = summarise(report)
    page.heading(f"{percent(counts.share)} of {plural(counts.lines, 'line')} understood or known noise")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("source", overflow="fold", ratio=1)
    table.add_column("kind", overflow="fold")
    for name in ("lines", "understood", "noise", "unknown", "bad"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in report.sources[:30]:
        numbers = (each.lines, each.understood, each.noise, each.unknown, each.undecodable)
        table.add_row(Text(visible(each.path, 300)), Text(visible(each.kind)), *(f"{number:,}" for number in numbers))
    if report.sources:
        page.write_grid(table, 1)
    if len(report.sources) > 30:
        page.write(f"… and {plural(len(report.sources) - 30, 'more source')}", "dim", 1)
    for each in report.sources:
        if each.error:
            page.write(f"{visible(each.path)}: {visible(each.error)}", STYLES["problem"], 1)
    most = 30 if page.options.verbose else 5
    for unknown in report.unknown[:most]:
        page.line(f"unknown, {plural(unknown.count, 'time')}, e.g. {unknown.source}:{unknown.line}: {unknown.text}", 1)
    if len(report.unknown) > most:
        page.line(f"… and {len(report.unknown) - most:,} more templates", 1)
    for note in report.notes:
        page.write("note: " + visible(note, 1000), "dim", 1)


def _configuration(page: Page) -> None:
    """Write which files spoke, and what is to be known of them."""
    read = page.report.configuration
    page.heading(f"Read: {plural(len(read), 'file')}")
    for path, kind in read[:MOST_FINDINGS]:
        page.write(visible(path if path == kind else f"{path} ({kind})", 400), indent=1)
    for note in page.report.notes:
        page.write("note: " + visible(note, 1000), "dim", 1)


def _headline(page: Page) -> None:
    from rich.text import Text

    report, options = page.report, page.options
    counts = summarise(report, options)
    zone = report.period.zone + (", inferred" if report.period.zone_inferred else "")
    of = "audit of the configuration" if report.audit else f"{host_text(report)} · {period_text(report)} ({zone})"
    if report.memory is not None:
        page.write(news(report.memory), "bold")
    page.write(visible(f"logscan {report.version} · {of}", 400), style="dim")
    for sentence in more_news(report.memory) if report.memory else ():
        page.write(sentence)
    page.write()
    if counts.audit:
        page.write(verdict_line(counts), STYLES["problem"] if counts.foreseen else "bold")
        for sentence in verdict_more(report, counts):
            page.write(visible(sentence, 1000), "dim")
        return
    if not counts.recognised:
        page.write(f"UNKNOWN  {counts.unread}", STYLES["problem"])
        return
    line = Text()
    if counts.problems:
        line.append(plural(counts.problems, "problem"), STYLES["problem"])
    if counts.warnings:
        line.append(", " if line.plain else "")
        line.append(plural(counts.warnings, "warning"), STYLES["warning"])
    if not line.plain:
        line.append(verdict_line(counts), "bold green" if counts.all_clear else "bold")
    if counts.new and report.memory is None:
        line.append(f" ({counts.new} new)", "bold blue")
    line.append(f"  ·  {counts.clear} clear", STYLES["clear"])
    line.append(f"  ·  {counts.blind} blind", STYLES["blind"])
    if counts.not_applicable:
        line.append(f"  ·  {counts.not_applicable} not applicable", STYLES["not-applicable"])
    page.write(line)
    for sentence in verdict_more(report, counts):
        page.write(visible(sentence, 1000), "dim")


def render(report: Report, options: RenderOptions) -> str:
    """Return the report as text, ``options.width`` columns wide, at least 80."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(
        file=out,
        width=max(80, options.width),
        force_terminal=options.color,
        color_system="standard" if options.color else None,
        no_color=not options.color,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    page = Page(console, report, options)
    _headline(page)
    write_notes(page)
    if options.short:
        write_first_screen(page)
    else:
        _whole(page)
    # A patch is copied from here: its lines keep the blanks at their ends.
    patch = set(report.plan.diff().split("\n")) if report.plan else set()
    shown = (line if line in patch else line.rstrip(" ") for line in out.getvalue().split("\n"))
    return "\n".join(shown).rstrip("\n") + "\n"


def _whole(page: Page) -> None:
    """Write all that follows the headline."""
    report = page.report
    findings = acting(report)
    same = shared_cures(findings[:MOST_FINDINGS])
    for number, group in enumerate(findings[:MOST_FINDINGS], 1):
        _group(page, number, group, same.get(group.first.id, 0))
    if len(findings) > MOST_FINDINGS:
        page.write(f"… and {plural(len(findings) - MOST_FINDINGS, 'more finding')}: see the JSON or the page", "bold")
    gone_part(page)
    if report.audit:
        _predictions(page)
    _plan(page)
    _resting(page)
    strip_part(page)
    _verdicts(page)
    if report.audit:
        _configuration(page)
    else:
        _predictions(page)
        _mails(page)
        _flow(page)
        _lists(page)
        _sources(page)


REPORT = Renderer(
    name="text",
    title="Text for the terminal",
    suffix=".txt",
    media_type="text/plain; charset=utf-8",
    render=render,
)
