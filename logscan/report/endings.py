"""Why recipients were not reached at last, by reason: waiting, not tried, bounced, expired, held, discarded.

Each list adds up to the number of that name in the summary and on the map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.report import deferrals
from logscan.report.accounts import ENDS, Ends, ends
from logscan.report.keyed import counted, left_out, rows
from logscan.report.model import Listing
from logscan.report.tallies import MOST_ROWS, Coded, column, folded, groups, of
from logscan.scan.lives import entry_of
from logscan.tables.partials import Keyed, Part, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
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

TAKEN_AWAY = {
    "deleted": "deleted by hand while it waited",
    "vanished": "in no queue any more, though no line says why",
}
"""What became of a mail that was put off and nobody gets, by the ending of the entry."""

ENDED = {
    "queued": "in the queue, no attempt in the log",
    "unseen": "taken over, never seen by the queue manager",
    "held": "put on hold before any attempt",
    "deleted": "deleted by hand before any attempt",
    "discarded": "discarded before any attempt",
    "vanished": "in no queue any more, though no line says why",
}
"""Why no attempt is told, by the ending of the entry."""


NEEDED = ("outcome", "reply", "store_action", "status", "entry", "relay", "mail")
"""Columns of ``deliveries``."""

TOLD, UNTOLD = "endings", "endings without an attempt"
KEY = ("outcome", "reason", "next hop")
NONE = pd.DataFrame(
    {name: pd.Series([], dtype="str") for name in KEY}
    | {name: pd.Series([], dtype="int64") for name in ("recipients", "mails")}
)


def look(window: Window) -> dict[str, Part]:
    """Return recipients and mails of one window by outcome, reason and next hop: those that a delivery line tells, and others."""
    deliveries, found = window.deliveries, ends(window)
    last = deliveries["last"].to_numpy(dtype=np.bool_) & (deliveries["mail"].to_numpy() >= 0)
    rows = np.flatnonzero(last & of(deliveries["outcome"]).is_in(*TITLES))
    some = pd.DataFrame({name: deliveries[name].iloc[rows] for name in NEEDED})
    by = groups(of(some["outcome"]), _reasons(window, some), deferrals.next_hops(some))
    numbers = {"recipients": by.count(), "mails": by.distinct(some["mail"].to_numpy())}
    # Most windows have none that no line tells.
    kinds = set(np.unique(found.kind[~found.told]).tolist())
    frames = [_untold(window, found, outcome) for outcome in TITLES if ENDS.index(outcome) in kinds]
    untold = pd.concat(frames, ignore_index=True) if frames else NONE
    return {TOLD: counted(by, KEY, numbers), UNTOLD: Keyed.of(untold, sums=("recipients", "mails"))}


def listings(partial: Partial, log: Log) -> list[Listing]:
    """Return one list for each way not to arrive."""
    return [_listing(partial, name) for name in TITLES]


def _listing(partial: Partial, outcome: str) -> Listing:
    both: list[tuple[Any, ...]] = []
    total, more = 0, ""
    for name in (TOLD, UNTOLD):
        part = partial.parts[name]
        assert isinstance(part, Keyed)
        some = part.frame[(part.frame["outcome"] == outcome).to_numpy()].reset_index(drop=True)
        listed, number = rows(some, KEY[1:], "recipients", "mails")
        both += listed
        total += number
        more = more or left_out(part)
    title, text = TITLES[outcome]
    both.sort(key=lambda row: (-row[2], row[:2]))
    return Listing(
        outcome, title, text + more, ("reason", "next hop", "recipients", "mails"), tuple(both[:MOST_ROWS]), total
    )


def _reasons(window: Window, some: pd.DataFrame) -> Coded:
    """Return the reply of each, folded; what a script did where Dovecot took the mail for it, or who took a waiting mail away."""
    reply = folded(of(some["reply"]))
    action = of(some["store_action"]).changed(SIEVED.get)
    sieved = (action.codes >= 0) & (some["status"] == "sent").to_numpy()
    away = of(window.entries["ending"]).take(some["entry"].to_numpy()).changed(TAKEN_AWAY.get)
    gone = (away.codes >= 0) & (some["outcome"] == "discarded").to_numpy() & (some["status"] != "sent").to_numpy()
    first, second = len(reply.values), len(reply.values) + len(action.values)
    codes = np.where(gone, away.codes + second, np.where(sieved, action.codes + first, reply.codes))
    return Coded(codes, [*reply.values, *action.values, *away.values])


def _untold(window: Window, found: Ends, outcome: str) -> pd.DataFrame:
    """Return the ends that no delivery line tells, by how the entry ended and at which stage a rule did it."""
    mine = np.flatnonzero((found.kind == ENDS.index(outcome)) & ~found.told)
    entry = found.entry[mine]
    ending = of(window.entries["ending"]).take(entry).changed(lambda name: ENDED.get(name, "no attempt in the log"))
    by = groups(ending, _stages(window, outcome, entry))
    names = [by.name(at) for at in range(len(by))]
    return pd.DataFrame(
        {
            "outcome": pd.Series([outcome] * len(by), dtype="str"),
            "reason": pd.Series([f"{words} ({where})" if where else words for words, where in names], dtype="str"),
            "next hop": pd.Series([""] * len(by), dtype="str"),
            "recipients": by.total(found.weight[mine]),
            "mails": by.distinct(found.mail[mine]),
        }
    )


def _stages(scan: Window, outcome: str, entry: Ints) -> Coded:
    """Return, per entry, the stage at which a rule or a milter put the mail on hold or threw it away."""
    word = {"held": "hold", "discarded": "discard"}.get(outcome)
    none = Coded(np.full(len(entry), -1, np.int64), [])
    if word is None:
        return none
    action = column(scan, "rejects", "action")
    ruled = np.flatnonzero(action.having(lambda name: name.lower().endswith(word)))
    if not len(ruled):
        return none
    lines = scan.events("rejects").iloc[ruled].sort_values(["time", "source", "line"])
    of_line = entry_of(scan, lines)
    first = pd.Series(lines["stage"].astype("str").to_numpy(), index=of_line, dtype="str")
    first = first[(first.index >= 0) & ~first.index.duplicated()]
    return of(first.reindex(entry).reset_index(drop=True))
