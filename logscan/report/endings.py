"""Why recipients were not reached at last, by reason: waiting, not tried, bounced, expired, held, discarded.

Each list adds up to the number of that name in the summary and on the map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logscan.report import deferrals
from logscan.report.accounts import ENDS, Ends, ends
from logscan.report.keyed import counted, left_out, rows
from logscan.report.model import Listing
from logscan.report.tallies import MOST_ROWS, folded, groups
from logscan.scan.columns import column, joined, number, some_joined, values
from logscan.scan.lives import entry_of
from logscan.tables.coded import Coded, either
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


TOLD, UNTOLD = "endings", "endings without an attempt"
KEY = ("outcome", "reason", "next hop")
NONE = Keyed.of(
    {
        **{name: pa.array([], pa.string()) for name in KEY},
        **dict.fromkeys(("recipients", "mails"), np.empty(0, np.int64)),
    },
    sums=("recipients", "mails"),
)
"""What a window has of which each end is told by a delivery line, as of most."""


def look(window: Window) -> dict[str, Part]:
    """Return recipients and mails of one window by outcome, reason and next hop: those that a delivery line tells, and others."""
    found, outcome = ends(window), joined(window, "deliveries", "outcome")
    last = values(window, "deliveries", "last") & (values(window, "deliveries", "mail") >= 0)
    rows = np.flatnonzero(last & outcome.is_in(*TITLES))
    by = groups(outcome.take(rows), _reasons(window, rows), deferrals.next_hops(window, rows))
    numbers = {"recipients": by.count(), "mails": by.distinct(values(window, "deliveries", "mail")[rows])}
    # Most windows have none that no line tells.
    kinds = set(np.unique(found.kind[~found.told]).tolist())
    untold = [_untold(window, found, outcome) for outcome in TITLES if ENDS.index(outcome) in kinds]
    return {TOLD: counted(by, KEY, numbers), UNTOLD: NONE.merged(untold) if untold else NONE}


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


def _reasons(window: Window, rows: Ints) -> Coded:
    """Return the reply of each, folded; what a script did where Dovecot took the mail for it, or who took a waiting mail away."""
    reply = folded(some_joined(window, "deliveries", "reply", rows))
    sent = joined(window, "deliveries", "status").take(rows).is_in("sent")
    action = some_joined(window, "deliveries", "store_action", rows).changed(SIEVED.get)
    entry = values(window, "deliveries", "entry")[rows]
    away = joined(window, "entries", "ending").take(entry).changed(TAKEN_AWAY.get)
    gone = (away.codes >= 0) & ~sent & joined(window, "deliveries", "outcome").take(rows).is_in("discarded")
    return either(either(reply, action, (action.codes >= 0) & sent), away, gone)


def _untold(window: Window, found: Ends, outcome: str) -> Keyed:
    """Return the ends that no delivery line tells, by how the entry ended and at which stage a rule did it."""
    mine = np.flatnonzero((found.kind == ENDS.index(outcome)) & ~found.told)
    entry = found.entry[mine]
    ending = joined(window, "entries", "ending").take(entry)
    by = groups(ending.changed(lambda name: ENDED.get(name, "no attempt in the log")), _stages(window, outcome, entry))
    names = [by.name(at) for at in range(len(by))]
    words = [f"{words} ({where})" if where else words for words, where in names]
    columns = {
        "outcome": pa.array([outcome] * len(by), pa.string()),
        "reason": pa.array(words, pa.string()),
        "next hop": pa.array([""] * len(by), pa.string()),
        "recipients": by.total(found.weight[mine]),
        "mails": by.distinct(found.mail[mine]),
    }
    return Keyed.of(columns, sums=("recipients", "mails"))


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
    time, source, line = (number(scan, "rejects", name)[ruled] for name in ("time", "source", "line"))
    ruled = ruled[np.lexsort((line, source, time))]
    of_line = entry_of(scan, "rejects", ruled)
    stage = column(scan, "rejects", "stage").take(ruled)
    first = np.full(len(scan.entries) + 1, -1, np.int64)
    # The first line of an entry tells it.
    known = np.flatnonzero(of_line >= 0)[::-1]
    first[of_line[known]] = stage.codes[known]
    return Coded(first[entry], stage.words)
