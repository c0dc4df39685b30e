"""Finds what a trace is asked for: mails by queue ID, message-id, address or client, and refusals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from logscan.report.refusals import NOQUEUE, refused, rows, told
from logscan.report.trace_model import Trace
from logscan.report.tracing import fetched

if TYPE_CHECKING:
    from logscan.scan.window import Window

MOST_RULED = 1000
"""Rows of rules and milters that are looked through for one address."""

ONLY_REFUSED = "never taken, so there is no mail to follow"
BEFORE_QUEUE = "what was refused, and what rules did, before there was a queue ID"


def find(scan: Window, what: str) -> list[int]:
    """Return the first entries (roots) of the mails with that queue ID, message-id, address, login or client, oldest first."""
    entries, deliveries = scan.entries, scan.deliveries
    bare = what.strip().strip("<>")
    hit = np.zeros(len(entries) + 1, np.bool_)
    hit[:-1] |= (entries["queue_id"] == what.strip()).to_numpy(dtype=bool, na_value=False)
    hit[:-1] |= (entries["message_id"].str.strip(" <>") == bare).to_numpy(dtype=bool, na_value=False)
    if "@" in bare or not hit.any():
        low = bare.lower()
        named = (deliveries["recipient"].str.lower() == low) | (deliveries["original_recipient"].str.lower() == low)
        named |= deliveries["mailbox"] == low
        hit[deliveries["entry"].to_numpy()[named.to_numpy(dtype=bool, na_value=False)]] = True
        hit[_ruled(scan, what)] = True
        for column in ("sender", "sasl_username", "client_address", "client"):
            hit[:-1] |= (entries[column].str.lower() == low).to_numpy(dtype=bool, na_value=False)
    roots = entries["root"].to_numpy()[hit[:-1]]
    first = entries["first"].astype("int64").to_numpy()
    unique = np.unique(roots)
    found: list[int] = unique[np.argsort(first[unique], kind="stable")].tolist()
    return found


def _ruled(scan: Window, what: str) -> list[int]:
    """Return the entries that a rule or a milter acted on for that address: on hold, thrown away, refused at their end."""
    rejects = scan.events("rejects")
    found = rows(scan, what)
    queue = rejects["queue_id"].to_numpy()[found]
    found = found[(queue != NOQUEUE) & ~pd.isna(queue)][:MOST_RULED]
    entries = scan.entries
    mine = entries.index[entries["queue_id"].isin(set(rejects["queue_id"].to_numpy()[found]))]
    by_id: dict[tuple[str, str], list[int]] = {}
    for entry in mine:
        by_id.setdefault((str(entries["host"].iat[entry]), str(entries["queue_id"].iat[entry])), []).append(int(entry))
    first, last = entries["first"].to_numpy(), entries["last"].to_numpy()
    times = rejects["time"].to_numpy()
    out = []
    for row in found.tolist():
        lives = by_id.get((str(rejects["host"].iat[row]), str(rejects["queue_id"].iat[row])), [])
        out += [life for life in lives if first[life] <= times[row] <= last[life]]
    return out


def find_refused(scan: Window, what: str, most: int, *, lines: bool = False) -> tuple[Trace | None, int]:
    """Return what was refused for an address, a client or a host, the last ``most`` refusals, and how many there are."""
    found = refused(scan, what)
    if not found:
        return None, 0
    every = told(scan, found[-most:])
    label = ONLY_REFUSED if all(each.refused for each in every) else BEFORE_QUEUE
    trace = Trace("refused", "outside", [label], [], every)
    if lines:
        fetched(scan, [each.lines for each in trace.refusals])
    return trace, len(found)


def find_finding(what: str) -> bool:
    """Whether ``what`` can be a finding's id: eight hex digits."""
    return bool(re.fullmatch(r"[0-9a-f]{8}", what.strip().lower()))
