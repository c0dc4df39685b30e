"""What earlier reports had, in words: what is new, since when the rest is known, the strip of days, what a figure usually is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from logscan.amounts import percent, plural
from logscan.findings import Finding
from logscan.rendering.summary import title_of
from logscan.rendering.wording import day as day_text
from logscan.report.memory import Former, Memory, Past
from logscan.report.model import Report

if TYPE_CHECKING:
    from logscan.rendering.renderers import RenderOptions

FIRST = "The first report of this state: there is nothing to compare it with yet"

MARKS = {"found": "X", "clear": ".", "blind": "?", "not-applicable": "-"}
"""The strip's letters; a blank where there was no report."""

LEGEND = "X found, . clear, ? blind, - doesn't apply, blank: no report"

STRIP_WORDS = {
    "found": "found",
    "clear": "clear",
    "blind": "blind",
    "not-applicable": "not applicable",
    None: "no report",
}
"""What a day of the strip says."""

WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")

FIGURES = {
    "mails.total": "mails",
    "mails.inbound": "inbound mails",
    "mails.outbound": "outbound mails",
    "mails.rejected": "rejected recipients",
    "mails.bounced": "bounced recipients",
    "mails.deferred": "deferred recipients",
    "mails.expired": "expired recipients",
    "mails.deferrals": "attempts put off",
    "tagged.share": "share tagged as spam",
    "delay.p50": "median delay",
    "delay.p90": "delay of nine in ten",
    "lines.unknown": "unknown lines",
}
"""What is said of figures that lie far outside, by name, the most telling first: others follow from these."""

MOST_ODD = 6
MOST_DAYS_NAMED = 8


def short_news(memory: Memory) -> str:
    """Return the news in a few words, as a Subject has room for: ``2 new, 1 back, 1 gone``."""
    if memory.first:
        return "first report"
    counts = {"new": len(memory.new), "back": len(memory.back), "gone": len(memory.gone)}
    said = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count) or "nothing new"
    return f"{said}, {len(memory.unseen):,} not looked at" if memory.unseen else said


def news(memory: Memory) -> str:
    """Return a report's first line: ``2 new findings, 1 back, 1 gone, 3 the same as before (1 acknowledged)``."""
    if memory.first:
        return f"{FIRST}."
    parts = [plural(len(memory.new), "new finding")] if memory.new else []
    parts += [f"{len(memory.back):,} back"] if memory.back else []
    parts += [f"{len(memory.gone):,} gone"] if memory.gone else []
    known = f" ({len(memory.acknowledged):,} acknowledged)" if memory.acknowledged else ""
    same = [f"{len(memory.same):,} the same as before{known}"] if memory.same else []
    same += [f"{len(memory.paused):,} not seen this time"] if memory.paused else []
    same += [f"{len(memory.unseen):,} couldn't be looked at"] if memory.unseen else []
    line = ", ".join([*parts, *same]) if parts else ": ".join(["Nothing new", *([", ".join(same)] if same else [])])
    return f"{line}."


def more_news(memory: Memory) -> list[str]:
    """Return what else is to be said at the top: a pause before this report, figures that are far from what is usual."""
    said = []
    if memory.previous is not None and memory.quiet > 1:
        said.append(f"The report before this one was made on {when(memory.previous.date(), memory)}.")
    odd = odd_figures(memory)
    if odd:
        said.append(f"Unusual: {'; '.join(odd)}.")
    return said


def when(moment: date, memory: Memory) -> str:
    """Return a day as ``3 Nov``, with its year where that is another than the report's."""
    text = day_text(moment)
    return text if moment.year == memory.day.year else f"{text} {moment.year}"


def known_text(memory: Memory, key: str) -> str:
    """Return since when a finding is known: ``new``, ``back, last seen 3 Nov``, ``known since 12 Nov, 14 reports``."""
    known = memory.known.get(key)
    if known is None or (memory.first and known.status == "new"):
        return ""
    if known.status == "new" or known.since is None:
        return "new" if known.status == "new" else ""
    if known.status == "back":
        return "back" + (f", last seen {when(known.seen, memory)}" if known.seen else "")
    comes = ", on and off" if known.comes_and_goes else ""
    return f"known since {when(known.since, memory)}, {plural(known.reports, 'report')}{comes}"


@dataclass(frozen=True)
class Mark:
    """A word beside a finding's title; ``kind``: new, back or same."""

    kind: str
    text: str


def marks(report: Report, options: RenderOptions, findings: Sequence[Finding]) -> tuple[Mark, ...]:
    """Return what is to be said of findings of one cause: since when they are known, of several how many each."""
    memory = report.memory
    several = len(findings) > 1
    if memory is None:
        fresh = sum(each.id in (options.new or ()) for each in findings)
        return (Mark("new", f"{fresh} new" if several else "new"),) if fresh else ()
    if not several:
        text = known_text(memory, findings[0].id)
        return (Mark(memory.known[findings[0].id].status, text),) if text else ()
    known = [memory.known[each.id] for each in findings if known_text(memory, each.id)]
    found = [
        Mark(status, f"{count:,} {status}")
        for status in ("new", "back")
        if (count := sum(each.status == status for each in known))
    ]
    since = [each.since for each in known if each.status == "same" and each.since]
    if since:
        every = "" if len(since) == len(findings) else f"{len(since):,} "
        found.append(Mark("same", f"{every}known since {when(min(since), memory)}"))
    return tuple(found)


def formers(memory: Memory) -> list[tuple[str, str, tuple[Former, ...]]]:
    """Return (key, title, findings) of what earlier reports had and this one hasn't, where there is any."""
    every = (
        ("gone", "Gone since the last report", memory.gone),
        ("paused", "Known to come and go, not seen this time", memory.paused),
        ("unseen", "Known, but couldn't be looked at this time", memory.unseen),
    )
    return [each for each in every if each[2]]


def former_text(each: Former, memory: Memory) -> str:
    """Return when a finding that is gone was there: ``known since 12 Nov, last seen 20 Nov``."""
    parts = [f"known since {when(each.since, memory)}"] if each.since else []
    parts += [f"last seen {when(each.last, memory)}"] if each.last else []
    parts += ["mended: the same went right since"] if each.mended else []
    return ", ".join(parts)


@dataclass(frozen=True)
class Row:
    """A check's verdicts along the strip's days; None without a report."""

    check: str
    title: str
    verdicts: tuple[str | None, ...]
    told: str
    """The same in words, for whoever can't see it."""

    @property
    def letters(self) -> str:
        """One letter a day, see :data:`MARKS`."""
        return "".join(MARKS.get(each or "", " ") for each in self.verdicts)


def strip(report: Report) -> list[Row]:
    """Return the strip of the checks that found something on one of its days; nothing before there are two days."""
    memory = report.memory
    if memory is None or not memory.days or _reported(memory) < 2:
        return []
    titles = {check.name: title_of(check) for check in report.checks}
    return [
        Row(name, titles.get(name, name), some, _told(memory, some))
        for name, some in memory.strip.items()
        if "found" in some
    ]


def strip_rest(report: Report) -> str:
    """Return what is to be said of the checks that have no row in the strip."""
    memory = report.memory
    if memory is None or not memory.days or _reported(memory) < 2:
        return ""
    rest = [some for some in memory.strip.values() if "found" not in some]
    clear = sum("clear" in some for some in rest)
    words = [f"{plural(clear, 'check')} found nothing on any of these days"] if clear else []
    blind = sum("clear" not in some and "blind" in some for some in rest)
    words += [f"{plural(blind, 'check')} could never look"] if blind else []
    return f"{'; '.join(words)}." if words else ""


def _reported(memory: Memory) -> int:
    """Return how many of the strip's days had a report."""
    return sum(any(day) for day in zip(*memory.strip.values(), strict=True))


def _told(memory: Memory, verdicts: Sequence[str | None]) -> str:
    days = [when(day, memory) for day, each in zip(memory.days, verdicts, strict=True) if each == "found"]
    named = ", ".join(days[-MOST_DAYS_NAMED:])
    more = len(days) - MOST_DAYS_NAMED
    parts = [f"found on {plural(len(days), 'day')} ({f'{more} earlier ones, ' if more > 0 else ''}{named})"]
    parts += [
        f"{word} on {count}" for key, word in STRIP_WORDS.items() if key != "found" and (count := verdicts.count(key))
    ]
    return f"{plural(len(verdicts), 'day')}: {'; '.join(parts)}"


def usual(memory: Memory | None, name: str, *, short: bool = False) -> str:
    """Return what a figure usually is: ``Tuesdays usually 390–450``, in short ``Tuesdays 390–450``.

    Empty where its past is too short.
    """
    past = memory.past.get(name) if memory else None
    if past is None or memory is None:
        return ""
    whose = f"{_weekday(memory)}{'' if short else ' usually'}" if past.weekday else "usually"
    low, high = (_amount(name, each) for each in (past.low, past.high))
    return f"{whose} {low if low == high else f'{low}–{high}'}"


def _weekday(memory: Memory) -> str:
    """Return the weekday that most of the report is of: one made in the morning is of the day before."""
    if memory.since is None or memory.until is None:
        return WEEKDAYS[memory.day.weekday()]
    return WEEKDAYS[(memory.since + (memory.until - memory.since) / 2).weekday()]


def is_odd(memory: Memory | None, name: str) -> bool:
    """Whether a figure is far from what is usual."""
    past = memory.past.get(name) if memory else None
    return past is not None and past.odd


def odd_figures(memory: Memory) -> list[str]:
    """Return the figures that are far from what is usual: ``mails 12 (Tuesdays usually 390–450)``."""
    odd = [memory.past[name] for name in FIGURES if is_odd(memory, name)]
    return [_odd(memory, each) for each in odd[:MOST_ODD]]


def _odd(memory: Memory, past: Past) -> str:
    return f"{FIGURES[past.name]} {_amount(past.name, past.today)} ({usual(memory, past.name)})"


def _amount(name: str, value: float) -> str:
    if name.endswith(".share"):
        return percent(value)
    if name.startswith("delay."):
        return f"{value:,.1f} s" if value < 10 else f"{value:,.0f} s"
    return f"{value:,.0f}"
