"""Lays out for a terminal what earlier reports had: what is gone, and the strip of days."""

from __future__ import annotations

from logscan.rendering.paging import Page
from logscan.rendering.remembering import LEGEND, former_text, formers, strip, strip_rest
from logscan.visible import visible

MOST_GONE = 30


def gone_part(page: Page) -> None:
    """Write what earlier reports had and this one doesn't."""
    memory = page.report.memory
    for _, title, some in formers(memory) if memory else ():
        page.heading(f"{title} ({len(some):,})")
        for each in some[:MOST_GONE]:
            told = former_text(each, memory) if memory else ""
            page.write(f"{visible(each.summary, 300)} ({visible(each.id)}{', ' if told else ''}{told})", indent=1)
        if len(some) > MOST_GONE:
            page.write(f"… and {len(some) - MOST_GONE:,} more", "dim", 1)


def strip_part(page: Page, most: int = 60) -> None:
    """Write the strip of days, of the checks that found something on one of them, at most so many: those that did last."""
    memory, rows = page.report.memory, strip(page.report)
    rest = strip_rest(page.report)
    if memory is None or not (rows or rest):
        return
    page.heading(f"The last {len(memory.days)} days, the last one is {memory.days[-1]}")
    latest = sorted(rows, key=lambda row: -row.letters.rfind("X"))[:most]
    for row in (row for row in rows if row in latest):
        page.write(f"{visible(row.check, 60):32} |{row.letters}|", indent=1)
    if len(rows) > most:
        page.write(f"… and {len(rows) - most:,} more checks that found something earlier", "dim", 1)
    if rows:
        page.write(LEGEND, "dim", 1)
    if rest:
        page.write(rest, "dim", 1)
