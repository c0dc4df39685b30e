"""The page: one self-contained HTML file, readable without network and without JavaScript."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from logscan.findings import Evidence, Finding, Remedy, Result
from logscan.rendering import charts, flowmap
from logscan.rendering.days import paths
from logscan.rendering.foreseen import cures, foreseen
from logscan.rendering.grouping import Group, cure_of, remedy_of, shared_cures
from logscan.rendering.limits import Limits, take
from logscan.rendering.markup import templates
from logscan.rendering.remembering import (
    STRIP_WORDS,
    Mark,
    former_text,
    formers,
    is_odd,
    marks,
    more_news,
    news,
    strip,
    strip_rest,
    usual,
    when,
)
from logscan.rendering.renderers import Renderer, RenderOptions
from logscan.rendering.summary import (
    acting,
    by_verdict,
    kind_of,
    resting,
    summarise,
    verdict_line,
    verdict_more,
)
from logscan.rendering.wording import case_columns, host_text, local, period_text, plain, queue_ids, stamp, value_text
from logscan.report.figures import WEEKS
from logscan.report.model import Listing, Report

TEMPLATES = Path(__file__).with_name("templates")
ASSETS = Path(__file__).with_name("assets")

SPARK_BINS = 48

MOST_GONE = 50
"""Findings of earlier reports that are named."""

MEMORY_SIZE = 130_000
"""Characters that all that is said of earlier reports may come to."""


@dataclass(frozen=True)
class Cell:
    """A table's cell: its text, and what it is sorted by where that differs."""

    text: str
    number: bool = False
    order: str = ""


@dataclass(frozen=True)
class Table:
    """A table to place; ``total`` rows there are in all."""

    key: str
    caption: str
    columns: tuple[tuple[str, bool], ...]
    """(head, whether it holds numbers)"""
    rows: tuple[tuple[Cell, ...], ...]
    total: int
    listed: int = 0
    """Rows that the other reports have."""

    @property
    def more(self) -> int:
        """Rows not shown."""
        return max(0, self.total - len(self.rows))


@dataclass(frozen=True)
class Card:
    """A finding with what the page shows of it."""

    number: int | None
    finding: Finding
    check: Result
    marks: tuple[Mark, ...]
    """Since when it is known."""
    first: str
    last: str
    spark: tuple[tuple[int, int], ...]
    """(bin, height in percent) of the cases over the period."""
    cases: Table | None
    evidence: tuple[Evidence, ...]
    more_evidence: int
    paths: tuple[tuple[str, tuple[str, ...], int], ...]
    """(queue ID, lines, lines left out)"""
    more_paths: int
    anchor: bool
    """Whether links to the check lead to this card."""
    same: Group | None = None
    """What is to act on that has the same cure, for a card of what isn't."""

    @property
    def remedy(self) -> Remedy | None:
        """What mends it; nothing where it is mended."""
        return remedy_of(self.finding)

    @property
    def kind(self) -> str:
        """``problem``, ``warning``, ``note``, or the state where it is no longer active, or ``acknowledged``."""
        return kind_of(self.finding)


@dataclass(frozen=True)
class Act:
    """One thing to act on: a group of findings, with the cards of the first of them."""

    number: int
    group: Group
    cards: tuple[Card, ...]
    marks: tuple[Mark, ...]
    """Since when they are known."""
    rows: tuple[tuple[Finding, str, tuple[Mark, ...]], ...]
    """Those that are named, each with the time of its last case, and since when it is known."""
    first: str
    last: str
    same: Group | None = None
    """The group before it that has the same cure."""

    @property
    def more(self) -> int:
        """Findings that aren't named."""
        return len(self.group.findings) - len(self.rows)


def cell(value: Any, report: Report, most: int = 200) -> Cell:
    """Return a value as a cell."""
    value = plain(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    order = f"{value!r}" if number else value.isoformat() if hasattr(value, "isoformat") else ""
    return Cell(value_text(value, report, most), number, order)


def table(
    key: str,
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    report: Report,
    total: int = 0,
    listed: int = 0,
) -> Table:
    """Return a table of these rows; a column holds numbers when each of its cells does."""
    return _table(key, caption, columns, [[cell(value, report) for value in row] for row in rows], total, listed)


def _table(
    key: str, caption: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], total: int = 0, listed: int = 0
) -> Table:
    cells = tuple(tuple(row) for row in rows)
    heads = tuple(
        (name.replace("_", " "), bool(cells) and all(row[index].number for row in cells if index < len(row)))
        for index, name in enumerate(columns)
    )
    return Table(key, caption, heads, cells, max(total, len(cells)), max(listed, len(cells)))


def _spark(finding: Finding, report: Report) -> tuple[tuple[int, int], ...]:
    first, last = report.period.first, report.period.last
    times = [time for time in (plain(case.get("time")) for case in finding.cases) if hasattr(time, "timestamp")]
    if first is None or last is None or not times:
        return ()
    start, span = first.timestamp(), max(1.0, last.timestamp() - first.timestamp())
    counts: dict[int, int] = {}
    for time in times:
        place = int((time.timestamp() - start) / span * SPARK_BINS)
        counts[min(SPARK_BINS - 1, max(0, place))] = counts.get(min(SPARK_BINS - 1, max(0, place)), 0) + 1
    most = max(counts.values())
    return tuple((place, max(18, round(100 * count / most))) for place, count in sorted(counts.items()))


def _card(
    number: int | None,
    finding: Finding,
    check: Result,
    report: Report,
    options: RenderOptions,
    limits: Limits,
    anchor: bool,
) -> Card:
    columns = case_columns(finding.cases[: limits.cases])
    cells = [[cell(case.get(column), report) for column in columns] for case in finding.cases[: limits.cases]]
    # What a cell costs beside its text: about 25 characters of markup.
    cells = list(take(cells, limits.cases, limits.case_size, lambda row: sum(len(each.text) + 25 for each in row)))
    ids = [each for each in queue_ids(finding) if each in report.paths]
    paths: list[tuple[str, tuple[str, ...], int]] = []
    room = limits.path_size
    for each in ids[: limits.paths]:
        lines = take(report.paths[each], limits.path_lines, room, lambda line: min(len(line), limits.text) + 10)
        room -= sum(min(len(line), limits.text) + 10 for line in lines)
        paths.append((each, tuple(lines), len(report.paths[each]) - len(lines)))
        if room <= 0:
            break
    evidence = take(
        finding.evidence, limits.evidence, limits.evidence_size, lambda line: min(len(line.text), limits.text) + 50
    )
    return Card(
        number=number,
        finding=finding,
        check=check,
        marks=marks(report, options, [finding]),
        first=stamp(finding.first, report, seconds=False),
        last=stamp(finding.last, report, seconds=False),
        spark=_spark(finding, report),
        cases=_table(f"cases-{finding.id}", "Single cases", columns, cells, len(finding.cases), len(finding.cases))
        if cells
        else None,
        evidence=tuple(evidence),
        more_evidence=len(finding.evidence) - len(evidence),
        paths=tuple(paths),
        more_paths=len(ids) - len(paths),
        anchor=anchor,
    )


def _act(
    number: int,
    group: Group,
    cards: Sequence[Card],
    report: Report,
    options: RenderOptions,
    same: Mapping[str, Group],
    limits: Limits,
) -> Act:
    return Act(
        number=number,
        group=group,
        cards=tuple(cards),
        marks=marks(report, options, group.findings),
        rows=tuple(
            (each, stamp(each.last or each.first, report, seconds=False), marks(report, options, [each]))
            for each in group.findings[: limits.named]
        ),
        first=stamp(group.since, report, seconds=False),
        last=stamp(group.last, report, seconds=False),
        same=same.get(group.first.id),
    )


def _chart_table(chart: charts.Chart, report: Report) -> Table:
    first = "origin" if chart.kind == "share" else "from"
    rows = [(label, *(each.values[index] for each in chart.series)) for index, label in enumerate(chart.labels)]
    return table(f"numbers-{chart.key}", chart.title, [first, *(each.name for each in chart.series)], rows, report)


def _list_table(index: int, each: Listing, limits: Limits, report: Report) -> Table:
    rows = each.rows[: limits.rows]
    total = max(each.total, len(each.rows))
    return table(f"listing-{index}", each.title, each.columns, rows, report, total, len(each.rows))


def _asset(name: str) -> tuple[Markup, str]:
    """Return a file of ``assets`` to place inline, and its hash for the Content-Security-Policy."""
    text = (ASSETS / name).read_text("utf-8").strip() + "\n"
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), f"'sha256-{digest}'"  # noqa: S704 - our own file


def render(report: Report, options: RenderOptions) -> str:
    """Return the page."""
    counts = summarise(report, options)
    owner = {id(finding): check for check in report.checks for finding in check.findings}
    causes, rest = acting(report), resting(report)
    many = sum(len(each.findings) for each in causes) + len(rest)
    limits = Limits.fit(many, len(report.traffic.listings), MEMORY_SIZE if report.memory else 0)
    shown = causes[: limits.findings]
    same = {key: shown[number - 1] for key, number in shared_cures(shown).items()}
    anchored = {check.name for check in report.checks if check.verdict != "found"}

    def card(number: int | None, each: Finding) -> Card:
        check = owner[id(each)]
        anchor = check.name not in anchored
        anchored.add(check.name)
        return _card(number, each, check, report, options, limits, anchor)

    by_cure = {cure_of(group.first): group for group in reversed(shown)} | {None: None}
    first = []
    second = [replace(card(None, each), same=by_cure.get(cure_of(each))) for each in rest[: limits.findings]]
    room = limits.findings
    for number, group in enumerate(shown, 1):
        some = group.findings[: max(1, min(room - (len(shown) - number), limits.members))]
        room -= len(some)
        first.append(_act(number, group, [card(number, each) for each in some], report, options, same, limits))
    numbers = {key: number for number, each in enumerate(shown, 1) for key in each.ids}
    drawn = charts.charts(report.traffic)
    lists = [(each, _list_table(index, each, limits, report)) for index, each in enumerate(report.traffic.listings)]
    style, style_hash = _asset("page.css")
    script, script_hash = _asset("page.js")
    page = templates(TEMPLATES).get_template("page.html.j2")
    return page.render(
        report=report,
        options=options,
        counts=counts,
        verdict=verdict_line(counts),
        hosts="Audit of the configuration" if report.audit else host_text(report),
        period="" if report.audit else period_text(report),
        generated=local(report.generated, report).strftime("%Y-%m-%d %H:%M"),
        cards=first,
        more_causes=causes[limits.findings :][:500],
        uncounted=max(0, len(causes) - limits.findings - 500),
        rest=second,
        loose=[check.name for check in report.checks if check.name not in anchored],
        more_rest=max(0, len(rest) - limits.findings),
        clear=by_verdict(report, "clear"),
        blind=by_verdict(report, "blind"),
        absent=by_verdict(report, "not-applicable"),
        sentences=verdict_more(report, counts),
        memory=report.memory,
        news=news(report.memory) if report.memory else "",
        more_news=more_news(report.memory) if report.memory else [],
        strip_rows=strip(report),
        strip_rest=strip_rest(report),
        strip_words=STRIP_WORDS,
        former_text=former_text,
        formers=formers,
        usual=lambda name: usual(report.memory, f"mails.{name}", short=True),
        weeks=WEEKS,
        day_paths=paths,
        most_gone=MOST_GONE,
        check_names={check.name for check in report.checks},
        when=when,
        is_odd=lambda name: is_odd(report.memory, f"mails.{name}"),
        predictions=foreseen(report)[: limits.findings],
        cures=cures(report) if report.audit else [],
        only_warnings={each.check.name for each in causes}
        - {each.check.name for each in causes if each.severity == "problem"},
        numbers=numbers,
        badges=lambda ids: list({numbers.get(each, each): each for each in reversed(ids)}.values())[::-1],
        ids={finding.id for each in first for finding, _, _ in each.rows} | {each.finding.id for each in second},
        node_width=flowmap.NODE_WIDTH,
        kinds=frozenset(flowmap.RANKS),
        mail_text=flowmap.mail_text,
        map=flowmap.layout(report.flow),
        node_labels={node.key: node.label for node in report.flow.nodes},
        charts=[(each, Markup(charts.svg(each)), _chart_table(each, report)) for each in drawn],  # noqa: S704
        waiting=[each for each in lists if each[0].part == "waiting"],
        listings=[each for each in lists if each[0].part != "waiting"],
        unknown=report.unknown[: limits.unknown],
        more_unknown=max(0, len(report.unknown) - limits.unknown),
        limits=limits,
        style=style,
        script=script,
        policy=f"default-src 'none'; style-src {style_hash}; script-src {script_hash}; img-src data:; "
        "base-uri 'none'; form-action 'none'",
    )  # fmt: skip


REPORT = Renderer(
    name="html",
    title="A page: one self-contained HTML file",
    suffix=".html",
    media_type="text/html; charset=utf-8",
    render=render,
)
