"""Times, periods, hosts and values as text that is safe to show."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from logscan.findings import Finding
from logscan.report.model import Report
from logscan.visible import visible


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


def day(moment: date) -> str:
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
