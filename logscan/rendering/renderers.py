"""What every renderer shares: its interface, the counts of the verdict line, and text made safe to show."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from logscan.findings import Evidence, Finding
from logscan.report.counting import (
    Summary,
    acting,
    by_verdict,
    cases_text,
    clear_text,
    percent,
    plural,
    remedy_of,
    resting,
    shared_remedies,
    summarise,
    title_of,
    verdict_line,
    verdict_more,
)
from logscan.report.model import Report
from logscan.visible import visible as visible  # noqa: PLC0414 - part of this interface
from logscan.writing import save as save  # noqa: PLC0414 - part of this interface

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

__all__ = [
    "Limits",
    "RenderError",
    "RenderOptions",
    "Rendered",
    "Renderer",
    "Summary",
    "acting",
    "by_verdict",
    "case_columns",
    "cases_text",
    "clear_text",
    "day",
    "diff_lines",
    "exit_status",
    "for_stdout",
    "hide_subjects",
    "host_text",
    "local",
    "percent",
    "period_text",
    "plain",
    "plural",
    "queue_ids",
    "remedy_of",
    "render",
    "renderer",
    "renderers",
    "resting",
    "save",
    "shared_remedies",
    "stamp",
    "summarise",
    "take",
    "templates",
    "title_of",
    "value_text",
    "verdict_line",
    "verdict_more",
    "visible",
    "without_subjects",
]

T = TypeVar("T")

Rendered = str | bytes | dict[str, str]
"""Text, a binary document, or several files by name (CSV)."""


class RenderError(Exception):
    """A report can't be rendered or written; the message says why and what there is instead."""


@dataclass(frozen=True)
class RenderOptions:
    """What a caller may choose. ``new`` holds the ids of findings not seen before; None: nothing to compare with."""

    color: bool = False
    width: int = 100
    """Columns of the terminal; below 80 the text is laid out for 80."""
    show_subjects: bool = False
    """Show the Subject of mails where a log has it. Mailed reports never do."""
    verbose: bool = False
    """More evidence lines in the text."""
    new: frozenset[str] | None = None
    mail_from: str = ""
    mail_to: tuple[str, ...] = ()
    attach_page: bool = False
    """Attach the full HTML page to the mail."""


@dataclass(frozen=True)
class Renderer:
    """An output format: a plug-in in ``reports/`` holds one as ``REPORT``."""

    name: str
    title: str
    suffix: str
    media_type: str
    render: Callable[[Report, RenderOptions], Rendered]
    binary: bool = False
    exit_status: Callable[[Report], int] | None = None
    """For formats whose readers look at the exit status (Nagios): what the program should end with."""
    stdout: str = ""
    """For several files: the one that goes to stdout."""


@functools.cache
def renderers() -> dict[str, Renderer]:
    """Return every renderer by name."""
    from logscan.plugins import collect

    return {each.name: each for each in collect("logscan.reports", "REPORT", Renderer)}


def renderer(name: str) -> Renderer:
    """Return the renderer called ``name``; raises :class:`RenderError`, which lists those there are."""
    found = renderers().get(name)
    if found is None:
        raise RenderError(f"there is no report format {name!r}; there are {', '.join(sorted(renderers()))}")
    return found


def render(report: Report, name: str, **options: Any) -> Rendered:
    """Return ``report`` as ``name`` (html, text, json ...); ``options`` are the fields of :class:`RenderOptions`.

    Subjects of mails are hidden unless ``show_subjects`` is set.
    """
    chosen = RenderOptions(**options)
    return renderer(name).render(report if chosen.show_subjects else without_subjects(report), chosen)


def exit_status(report: Report, name: str) -> int | None:
    """Return the exit status that readers of this format expect, None where it has no say."""
    status = renderer(name).exit_status
    return status(report) if status else None


def for_stdout(content: Rendered, name: str) -> str | bytes:
    """Return what of ``content`` goes to stdout: of several files the one that matters most."""
    return content[renderer(name).stdout] if isinstance(content, dict) else content


# -- times -----------------------------------------------------------------------------------------------------------


def local(moment: datetime, report: Report) -> datetime:
    """Return ``moment`` in the server's zone, where the report knows it."""
    first = report.period.first
    if first is None or first.tzinfo is None or moment.tzinfo is None:
        return moment
    return moment.astimezone(first.tzinfo)


def stamp(moment: datetime | None, report: Report, seconds: bool = True) -> str:
    """Return a time as ``2026-11-22 19:03:26`` in the server's zone."""
    if plain(moment) is None or moment is None:
        return "unknown"
    return local(moment, report).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def day(moment: datetime) -> str:
    """Return ``22 Nov`` in English whatever the locale says."""
    return f"{moment.day} {_MONTHS[moment.month - 1]}"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def period_text(report: Report) -> str:
    """Return the period as ``22 Nov 2026 19:03 – 23 Nov 2026 06:25`` without its zone."""
    period = report.period
    if period.first is None or period.last is None:
        return "no line had a time"
    first, last = local(period.first, report), local(period.last, report)
    start = f"{day(first)} {first.year} {first:%H:%M}"
    if first.date() == last.date():
        return f"{start} – {last:%H:%M}"
    return f"{start} – {day(last)} {last.year} {last:%H:%M}"


def host_text(report: Report, most: int = 3) -> str:
    """Return the hosts' names, the first few of them."""
    if not report.hosts:
        return "unknown host"
    rest = len(report.hosts) - most
    return ", ".join(report.hosts[:most]) + (f" and {rest} more" if rest > 0 else "")


# -- text that is safe to show ------------------------------------------------------------------------------------

_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3,6})?[+-]\d\d:\d\d", re.ASCII)
"""A time as checks write it into their cases."""


def _moment(text: str) -> datetime | str:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


def plain(value: Any) -> Any:
    """Return numpy's scalars as Python's, what pandas has for nothing as None, a time in ISO 8601 as a datetime."""
    if isinstance(value, str):
        return _moment(value) if _ISO.fullmatch(value) else value
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if value is None or str(value) == "<NA>":
        return None
    if isinstance(value, float | datetime) and value != value:  # noqa: PLR0124 - NaN, NaT
        return None
    return value


def value_text(value: Any, report: Report | None = None, most: int | None = 400) -> str:
    """Return a value of a case or a table's cell as one line of safe text; nothing for None, NaN, NaT and NA."""
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return stamp(value, report) if report else value.isoformat(" ", "seconds")
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return visible(", ".join(value_text(item, report, most) for item in items), most)
    return visible(str(value), most)


def case_columns(cases: Iterable[dict[str, Any]]) -> list[str]:
    """Return the keys of the cases in the order they first appear."""
    return list(dict.fromkeys(key for case in cases for key in case))


def queue_ids(finding: Finding) -> list[str]:
    """Return the queue IDs that a finding's cases name, each once."""
    found: dict[str, None] = {}
    for case in finding.cases:
        for key in ("queue_id", "queue_ids"):
            value = case.get(key)
            for each in value if isinstance(value, list | tuple) else [value]:
                if each:
                    found[str(each)] = None
    return list(found)


# -- subjects --------------------------------------------------------------------------------------------------------

_HIDDEN = "(subject hidden)"
# DSPAM's system.log and user logs: time, class, sender, signature, subject (tab between each).
_ROW = re.compile(r"(?<!\d)(\d{9,11}\t[A-Za-z]\t[^\t]*\t[^\t]*\t)[^\t\n]*")
# Postfix header_checks: "header Subject: … from client[address]; from=<…"
_HEADER = re.compile(r"(header subject: ).*?(?= from [^ ]+\[[^\]]*\]; (?:from|to|proto)=|$)", re.IGNORECASE)
# Dovecot mail_log_fields, rspamd, amavis: subject=…, Subject: "…"
_FIELD = re.compile(r"(\bsubject(?:=|: ?))(\"[^\"]*\"|.*?(?=, [a-z_-]+[=:]|$))", re.IGNORECASE)


def hide_subjects(text: str) -> str:
    """Return a log line without the Subject of the mail it tells of."""
    text = _ROW.sub(lambda found: found[1] + _HIDDEN, text)
    if "ubject" in text or "UBJECT" in text:
        if _HEADER.search(text):
            return _HEADER.sub(lambda found: found[1] + _HIDDEN, text)
        text = _FIELD.sub(lambda found: found[0] if found[2] == _HIDDEN else found[1] + _HIDDEN, text)
    return text


def without_subjects(report: Report) -> Report:
    """Return a copy of ``report`` that shows no Subject of any mail."""

    def finding(each: Finding) -> Finding:
        return replace(
            each,
            cases=[{key: value for key, value in case.items() if key != "subject"} for case in each.cases],
            evidence=[Evidence(line.source, line.line, hide_subjects(line.text)) for line in each.evidence],
        )

    return replace(
        report,
        checks=[replace(check, findings=[finding(each) for each in check.findings]) for check in report.checks],
        unknown=[replace(each, text=hide_subjects(each.text)) for each in report.unknown],
        paths={key: [hide_subjects(line) for line in lines] for key, lines in report.paths.items()},
    )


# -- how much of a long report is shown -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """How much of each finding a page shows, so that it stays below 1.5 MB on the worst of days."""

    findings: int = 80
    """Cards; further findings stand in a list."""
    cases: int = 50
    evidence: int = 20
    paths: int = 8
    path_lines: int = 60
    rows: int = 100
    """Of each table."""
    unknown: int = 100
    text: int = 800
    """Characters of one line of text."""
    case_size: int = 14_000
    """Characters of all cases of one finding; likewise below."""
    evidence_size: int = 8_000
    path_size: int = 20_000

    @classmethod
    def fit(cls, findings: int, tables: int = 0) -> Limits:
        """Return limits for so many findings and tables: the more there are, the less is said of each."""
        cards = max(1, min(findings, cls.findings))
        return cls(
            rows=max(15, min(cls.rows, 600 // max(1, tables))),
            case_size=min(cls.case_size, 250_000 // cards),
            evidence_size=min(cls.evidence_size, 150_000 // cards),
            path_size=min(cls.path_size, 300_000 // cards),
        )


def take(lines: Sequence[T], most: int, size: int, length: Callable[[T], int]) -> Sequence[T]:
    """Return the first lines: at most ``most``, of ``size`` characters together, at least one."""
    for index, line in enumerate(lines[:most]):
        size -= length(line)
        if size < 0:
            return lines[: max(1, index)]
    return lines[:most]


# -- HTML ------------------------------------------------------------------------------------------------------------


def diff_lines(diff: str) -> list[tuple[str, str]]:
    """Return the lines of a diff, each with its kind: file, hunk, add, del or same."""
    found = []
    for line in diff.strip("\n").split("\n"):
        kind = "same"
        if line.startswith(("--- ", "+++ ")):
            kind = "file"
        elif line.startswith("@@"):
            kind = "hunk"
        elif line[:1] in {"+", "-"}:
            kind = "add" if line[0] == "+" else "del"
        found.append((kind, line))
    return found


def _show(value: Any) -> Any:
    """Make each value that the templates place safe to read: control characters visible, endless strings cut."""
    if value is None:
        return ""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return visible(value, 2000)
    return value


def _lines(text: str, most: int = 20_000) -> Markup:
    """Return text of several lines, escaped, its newlines kept."""
    from markupsafe import Markup, escape

    return Markup(escape(visible(text.strip("\n"), most, lines=True)))  # noqa: S704 - escaped here


def _log(text: str, most: int = 1000) -> Markup:
    """Return a log line, escaped and cut."""
    from markupsafe import Markup, escape

    return Markup(escape(visible(text, most)))  # noqa: S704 - escaped here


# Inside words too long for a phone's line, behind punctuation.
_LONG = re.compile(r"\S{22,}")
_BREAKS = re.compile(r"(?<=[,/=@:;_.\]])(?=\S)")


def _soft(text: str) -> Markup:
    """Return text, escaped, with places where a long word may break."""
    from markupsafe import Markup, escape

    shown = visible(text, 1000)
    if not _LONG.search(shown):
        return Markup(escape(shown))  # noqa: S704 - escaped here
    marked = _LONG.sub(lambda word: _BREAKS.sub("\0", word[0]), shown)  # visible() leaves no NUL
    return Markup("<wbr>").join(marked.split("\0"))


@functools.cache
def templates(folder: Path) -> Environment:
    """Return the environment of a folder of HTML templates: what is placed is escaped, an unknown name an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    found = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_show,
    )
    found.filters |= {"lines": _lines, "log": _log, "soft": _soft, "percent": percent}
    found.globals |= {"plural": plural, "diff_lines": diff_lines, "title_of": title_of, "visible": visible}
    found.globals |= {"cases_text": cases_text, "clear_text": clear_text}
    found.globals |= {"newline": Markup("\n")}
    return found
