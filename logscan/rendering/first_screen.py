"""The short text: what to know at a glance, a line or two a cause, and where to read on. It doesn't grow with the report."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from logscan.amounts import percent, plural
from logscan.rendering.grouping import Group, shared_cures
from logscan.rendering.paging_memory import strip_part
from logscan.rendering.remembering import marks
from logscan.rendering.summary import acting, known_by, resting, summarise, suppressed_text
from logscan.visible import visible

if TYPE_CHECKING:
    from logscan.rendering.paging import Page

MOST_FINDINGS = 10
"""Causes that have lines of their own: with three lines each they fill a screen."""

MOST_NOTES = 6
MOST_GONE = 5
MOST_UNREAD = 3
MOST_ROWS = 8
"""Checks in the strip of days: those that found something last."""

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"'(])")
"""Where a sentence ends and another begins: 'main.cf' and 'e.g. x' hold no such place."""


def first_sentence(text: str, most: int = 150) -> str:
    """Return a remedy's first sentence on one line, cut after a word at ``most`` characters, and made safe."""
    sentence = _SENTENCE.split(" ".join(text.split()), maxsplit=1)[0]
    if len(sentence) > most:
        sentence = sentence[: most - 2].rpartition(" ")[0].rstrip(",;:") + " …"
    return visible(sentence)


def write_notes(page: Page) -> None:
    """Write what is to be said of this report beside its findings, below the headline."""
    notes = page.options.notes
    if notes:
        page.write()
    for note in notes[:MOST_NOTES]:
        page.write(visible(note, 300))
    if len(notes) > MOST_NOTES:
        page.write(f"… and {len(notes) - MOST_NOTES} more", "dim")


def write_first_screen(page: Page) -> None:
    """Write what follows the headline."""
    report = page.report
    causes = acting(report)
    same = shared_cures(causes[:MOST_FINDINGS])
    if causes or (report.memory and report.memory.gone):
        page.write()
    for number, group in enumerate(causes[:MOST_FINDINGS], 1):
        _cause(page, number, group, same.get(group.first.id, 0))
    if len(causes) > MOST_FINDINGS:
        rest = causes[MOST_FINDINGS:]
        kinds = [(kind, sum(each.severity == kind for each in rest)) for kind in ("problem", "warning")]
        told = " and ".join(plural(count, kind) for kind, count in kinds if count)
        page.write(f"… and {plural(len(rest), 'more finding')}" + (f": {told}" if told else ""), "bold")
    _gone(page)
    _known(page)
    if report.memory is not None:
        strip_part(page, MOST_ROWS)
    if not report.audit:
        _numbers(page)
    _further(page)


def _cause(page: Page, number: int, group: Group, same: int) -> None:
    """Write what is wrong, how often, and the first thing to do."""
    from rich.table import Table
    from rich.text import Text

    finding = group.first
    told = "; ".join(each.text for each in marks(page.report, page.options, group.findings))
    known = f" [{visible(told, 80)}]" if told else ""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=2, justify="right")
    grid.add_column(width=len("PROBLEM"), no_wrap=True)
    grid.add_column(ratio=1, overflow="fold")
    grid.add_row(Text(str(number)), Text(finding.severity.upper()), Text(visible(group.summary, 140) + known))
    remedy = group.remedy
    do = f"The same as for finding {same}, once for both." if same else first_sentence(remedy.text) if remedy else ""
    if do:
        grid.add_row(Text(""), Text("do"), Text(do))
    page.write_grid(grid, 0)


def _gone(page: Page) -> None:
    """Write what earlier reports had and this one doesn't."""
    memory = page.report.memory
    gone = memory.gone if memory else ()
    for each in gone[:MOST_GONE]:
        page.write(f"   GONE    {visible(each.summary, 140)}")
    if len(gone) > MOST_GONE:
        page.write(f"… and {len(gone) - MOST_GONE:,} more gone")


def _known(page: Page) -> None:
    """Write what needs no action: what is acknowledged with its reason, the rest as a number."""
    rest = resting(page.report)
    acknowledged = [each for each in rest if known_by(each) == "acknowledged"]
    for each in acknowledged[:MOST_GONE]:
        page.write(f"   KNOWN   {visible(each.summary, 140)} [{visible(suppressed_text(each), 200)}]")
    if len(acknowledged) > MOST_GONE:
        page.write(f"… and {len(acknowledged) - MOST_GONE:,} more acknowledged")
    more = len(rest) - len(acknowledged)
    if more:
        page.write(f"Known, nothing to do: {plural(more, 'finding')}.")


def _numbers(page: Page) -> None:
    report = page.report
    counts = summarise(report)
    told = [plural(report.mails.get("total", 0), "mail")]
    told += [
        f"{report.mails[key]:,} {key}"
        for key in ("delivered", "deferred", "bounced", "expired", "rejected", "open")
        if report.mails.get(key)
    ]
    page.write()
    if counts.lines:
        page.write(f"{', '.join(told)}; {percent(counts.share)} of {plural(counts.lines, 'line')} understood.")
    unread = [each for each in report.sources if each.error]
    for each in unread[:MOST_UNREAD]:
        page.write(f"Not read: {visible(each.path, 100)}: {visible(each.error, 140)}", "bold")
    if len(unread) > MOST_UNREAD:
        page.write(f"… and {plural(len(unread) - MOST_UNREAD, 'more source')} not read", "bold")


def _further(page: Page) -> None:
    """Write where to read on: what is first is what most is to be read about."""
    causes = acting(page.report)
    if causes:
        first = causes[0].first
        page.write()
        page.write(f"What a finding means: logscan explain {visible(first.check)}")
        page.write(f"Its mails, line by line: logscan trace {visible(first.id)}")
