"""How what ``logscan search`` found is written: a table for people, CSV and JSON for programs."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from logscan.amounts import plural
from logscan.query.model import QueryError
from logscan.tables import cells
from logscan.visible import visible

HOW = "how"
"""A column of the table for people: the reason where there is one, else the relay."""

WIDTHS = {"time": 19, "from": 34, "to": 44, "how": 90, "reason": 90, "relay": 44, "client": 44, "message_id": 60}
"""Characters that a column of the table has at most."""

WIDEST = 40
"""Characters of the others."""

NAMED = 2
"""Recipients, relays and reasons of a mail that the table names; of more, how many."""


def pointed(error: QueryError) -> str:
    """Return an error with the query below it and a mark under the place."""
    start = max(0, error.place - 40)
    before, rest = visible(error.text[start : error.place]), visible(error.text[error.place : error.place + 60])
    marked = visible(error.text[error.place : error.place + min(error.size, 60)])
    lead = "…" if start else ""
    tail = "…" if error.place + 60 < len(error.text) else ""
    mark = " " * len(lead + before) + "^" * max(1, len(marked))
    return f"{visible(error.message)}\n  {lead}{before}{rest}{tail}\n  {mark}"


def as_table(frame: pd.DataFrame, columns: tuple[str, ...], zone: Any) -> str:
    """Return the table for people, made safe; times in ``zone``."""
    rows = [[_shown(name, each, zone) for name in columns] for each in frame.to_dict("records")]
    lines = [list(columns), *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    padded = ("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join(padded) + "\n"


def as_csv(frame: pd.DataFrame, columns: tuple[str, ...]) -> str:
    """Return CSV with a line of names, formulas made harmless; times in UTC."""
    import importlib

    # By its name, as any plug-in: what is in `reports` may be another's.
    table = importlib.import_module("logscan.reports.csv").table
    rows = ([_plain(name, each) for name in columns] for each in frame.to_dict("records"))
    text: str = table(columns, rows)
    return text.replace("\r\n", "\n")  # for a pipe; what stands in cells has neither


def as_json(frame: pd.DataFrame, columns: tuple[str, ...], about: dict[str, Any]) -> str:
    """Return JSON: ``about`` and ``mails``, a list of objects with these columns; times in UTC."""
    mails = [{name: _plain(name, each) for name in columns} for each in frame.to_dict("records")]
    return json.dumps({**about, "mails": mails}, indent=2) + "\n"


def counted(count: int, shown: int) -> str:
    """Return the line that says how many mails were found."""
    return plural(count, "mail") + (f", of which {shown:,} are shown (--most)" if shown < count else "")


def unclear(count: int, why: frozenset[str]) -> str:
    """Return what is said of mails of which the logs don't tell."""
    said = (
        f"of {plural(count, 'mail')} it can't be told: nothing says {' or '.join(f'{name}:' for name in sorted(why))}"
    )
    hint = " (logs tell of encryption by connection, and connections aren't joined to mails)"
    return said + (hint if "tls" in why else "")


def _plain(name: str, row: dict[str, Any]) -> Any:
    """Return a value as JSON has it."""
    if name == HOW:
        return list(row["reason"] or row["relay"])
    value = row[name]
    if name == "time":
        return cells.iso(value)
    if isinstance(value, tuple):
        return [visible(each) for each in value]
    if value is None or pd.isna(value):
        return None
    if isinstance(value, str):
        return visible(value)
    return int(value) if name in ("size", "others") else round(float(value), 3)


def _shown(name: str, row: dict[str, Any], zone: Any) -> str:
    """Return a cell of the table."""
    if name == "time":
        time = cells.moment(row[name])
        return f"{time.astimezone(zone):%Y-%m-%d %H:%M:%S}" if time else "?"
    value = _plain(name, row)
    if name == "from" and value == "":
        return "<>"
    if value is None:
        return "-"
    if isinstance(value, list):
        others = row["others"] if name == "to" else 0
        more = len(value) - NAMED
        cut = [_short(name, each, len(value[:NAMED])) for each in value[:NAMED]]
        text = ", ".join(cut) + (f" and {more:,} more" if more > 0 else "")
        return (text or "-") + (f" (+{others:,})" if others else "")
    return _short(name, str(value), 1)


def _short(name: str, text: str, of: int) -> str:
    most = WIDTHS.get(name, WIDEST) // of
    return text if len(text) <= most else text[: most - 1] + "…"
