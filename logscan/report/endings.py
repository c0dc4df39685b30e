"""Why recipients were not reached at last, by reason: waiting, not tried, bounced, expired, held, discarded.

Each list adds up to the number of that name in the summary and on the map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.report import deferrals
from logscan.report.accounts import ENDS, Ends
from logscan.report.model import Listing
from logscan.report.tallies import MOST_ROWS, Coded, column, folded, groups, of

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]

LAST = "by the last reason (numbers, times and addresses folded) and next hop"

TITLES = {
    "deferred": (
        "Still waiting",
        f"Recipients put off at last, {LAST}. With those not tried they are the recipients counted as deferred.",
    ),
    "untried": (
        "Not tried before the log ends",
        "Recipients whose mail this server took, and for whom the log has no attempt. They are counted as deferred.",
    ),
    "bounced": ("Bounced", f"Recipients refused for good, {LAST}."),
    "expired": ("Expired", f"Recipients given up after too long in the queue, {LAST}."),
    "held": ("Held", f"Recipients whose mail is on hold or in a quarantine, {LAST}."),
    "discarded": ("Discarded", f"Recipients whose mail was thrown away, {LAST}."),
}

SIEVED = {
    "rejected": "rejected by the mailbox’s Sieve script",
    "discarded": "discarded by the mailbox’s Sieve script",
}
"""What Dovecot did with a mail that it answers ``Saved`` for (its store action), in words."""

ENDED = {
    "queued": "in the queue, no attempt in the log",
    "unseen": "taken over, never seen by the queue manager",
    "held": "put on hold before any attempt",
    "deleted": "deleted by hand before any attempt",
    "discarded": "discarded before any attempt",
    "vanished": "in no queue any more, though no line says why",
}
"""Why no attempt is told, by the ending of the entry."""


def listings(scan: Window, found: Ends) -> list[Listing]:
    """Return one list for each way not to arrive."""
    return [_listing(scan, found, name) for name in TITLES]


def _listing(scan: Window, found: Ends, outcome: str) -> Listing:
    deliveries = scan.deliveries
    last = deliveries["last"] & (deliveries["mail"] >= 0)
    some = deliveries[last & (deliveries["outcome"] == outcome)]
    by = groups(_reasons(some), deferrals.next_hops(some))
    told, total = by.rows(by.count(), by.distinct(some["mail"].to_numpy()))
    untold = _untold(scan, found, outcome, some)
    rows = sorted([*told, *untold], key=lambda row: (-row[2], row[:2]))
    title, text = TITLES[outcome]
    return Listing(
        outcome,
        title,
        text,
        ("reason", "next hop", "recipients", "mails"),
        tuple(rows[:MOST_ROWS]),
        total + len(untold),
    )


def _reasons(some: pd.DataFrame) -> Coded:
    """Return the reply of each, folded; what a script did where Dovecot took the mail for it."""
    reply = folded(of(some["reply"]))
    action = of(some["store_action"]).changed(SIEVED.get)
    sieved = (action.codes >= 0) & (some["status"] == "sent").to_numpy()
    return Coded(np.where(sieved, action.codes + len(reply.values), reply.codes), [*reply.values, *action.values])


def _untold(scan: Window, found: Ends, outcome: str, some: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Return rows for the ends that no delivery line tells, by how the entry ended and at which stage a rule did it."""
    entries = scan.entries
    mine = np.flatnonzero((found.kind == ENDS.index(outcome)) & ~found.told)
    if not len(mine):
        return []
    entry = found.entry[mine]
    ending = of(entries["ending"]).take(entry).changed(lambda name: ENDED.get(name, "no attempt in the log"))
    stage = _stages(scan, outcome, entry)
    by = groups(ending, stage)
    weight, mails = by.total(found.weight[mine]), by.distinct(found.mail[mine])
    rows = []
    for at in range(len(by)):
        words, where = by.name(at)
        rows.append((f"{words} ({where})" if where else words, "", int(weight[at]), int(mails[at])))
    return rows


def _stages(scan: Window, outcome: str, entry: Ints) -> Coded:
    """Return, per entry, the stage at which a rule or a milter put the mail on hold or threw it away."""
    word = {"held": "hold", "discarded": "discard"}.get(outcome)
    none = Coded(np.full(len(entry), -1, np.int64), [])
    if word is None:
        return none
    action = column(scan, "rejects", "action")
    rows = np.flatnonzero(action.having(lambda name: name.lower().endswith(word)))
    if not len(rows):
        return none
    names = ("host", "queue_id", "stage")
    table = scan.tables["rejects"].select(names).take(rows).to_pandas()
    first = table.astype("str").drop_duplicates(["host", "queue_id"])
    mine = scan.entries[["host", "queue_id"]].iloc[entry].astype("str")
    return of(mine.merge(first, on=["host", "queue_id"], how="left")["stage"])
