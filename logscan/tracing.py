"""One mail's whole way: which lives it had, where each came from, what became of each recipient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan import evidence as ev

if TYPE_CHECKING:
    from logscan.scan import Scan

MOST_LINES = 60
"""Lines of one mail's way in a report; a mail to a list of thousands is cut."""


def members(scan: Scan, entry: int) -> list[int]:
    """Return the entries of the mail that ``entry`` belongs to, each behind the one it came out of."""
    entries = scan.entries
    root = int(entries["root"].iat[entry])
    inside = np.flatnonzero(entries["root"].to_numpy() == root)
    children: dict[int, list[int]] = {}
    parent = entries["parent"].to_numpy()
    for one in inside.tolist():
        if one != root:
            children.setdefault(int(parent[one]), []).append(one)
    out: list[int] = []
    todo = [root]
    while todo:
        one = todo.pop()
        out.append(one)
        todo.extend(sorted(children.get(one, ()), reverse=True))
    return out


def depth(scan: Scan, entry: int) -> int:
    """Return how many legs lie between the mail's first life and this one."""
    parent = scan.entries["parent"].to_numpy()
    root = int(scan.entries["root"].iat[entry])
    level, at = 0, entry
    while at != root and parent[at] >= 0 and level < 50:
        at, level = int(parent[at]), level + 1
    return level


def way(scan: Scan, entry: int) -> list[str]:
    """Return the mail's way in lines of plain text, times in the server's zone."""
    lines: list[str] = []
    for one in members(scan, entry):
        indent = "  " * depth(scan, one)
        lines.append(indent + _opening(scan, one))
        lines += [f"{indent}  {text}" for text in _attempts(scan, one)]
        if len(lines) > MOST_LINES:
            return [*lines[:MOST_LINES], "…"]
    return lines


def _clock(scan: Scan, value: Any) -> str:
    stamp = ev.moment(value)
    return stamp.astimezone(scan.zone).strftime("%b %d %H:%M:%S") if stamp else "(no time)"


def _opening(scan: Scan, entry: int) -> str:
    row = scan.entries.iloc[entry]
    at = _clock(scan, row["first"])
    leg = str(row["leg"])
    if ev.text(row["sasl_username"]):
        came = f"from {row['client']}[{row['client_address']}], logged in as {row['sasl_username']}"
    elif str(row["program"]) == "pickup":
        came = f"from a local program, uid {row['uid']}"
    elif ev.text(row["client"]):
        came = f"from {row['client']}[{row['client_address']}]"
    elif row["opened"]:
        came = "made here"
    else:
        came = "opened before these logs"
    by = f" by {row['service']}/{row['program']}" if ev.text(row["program"]) else ""
    how = {"filter": "back from the filter", "bounce": "bounce", "forward": "forwarded", "requeue": "requeued",
           "redirect": "redirected by Sieve", "relay": "on the next host"}.get(leg, "")  # fmt: skip
    sender = ev.text(row["sender"])
    parts = [f"{at} {row['queue_id']}", how, came + by, f"sender <{sender or ''}>", ev.text(row["message_id"]) or ""]
    return ", ".join(part for part in parts if part)


def _attempts(scan: Scan, entry: int) -> list[str]:
    deliveries = scan.deliveries
    rows = deliveries[deliveries["entry"] == entry]
    out = []
    for row in rows.itertuples():
        orig = ev.text(row.original_recipient)
        to = f"to <{row.recipient}>" + (f" (for <{orig}>)" if orig else "")
        what = "handed to the filter" if row.hop else str(row.status)
        folder = ev.text(row.folder)
        where = f"stored in {row.mailbox}/{folder}" if folder else ""
        spam = "" if pd.isna(row.spam) else "tagged as spam" if row.spam else "not tagged"
        reply = "" if row.hop or where else f"({ev.text(row.reply) or ''})"
        parts = [f"{_clock(scan, row.time)} {to}", f"{what} by {row.relay}", where, spam, reply]
        out.append(", ".join(part for part in parts if part))
    return out
