"""How long mail took from its arrival at this server to each final delivery, where the time went, and the slowest mails."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logscan.report import by_key
from logscan.report.by_key import ByKey
from logscan.report.deferrals import PutOff, put_off
from logscan.report.model import Listing
from logscan.report.tallies import moment
from logscan.scan.columns import joined, some_joined, values
from logscan.tables.coded import Coded
from logscan.tables.columns import ranks
from logscan.tables.grouping import numbered
from logscan.tables.partials import First

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.tables.partials import Part, Partial

Ints = npt.NDArray[np.int64]

PARTS = {
    "before_queue": "before the queue",
    "in_filter": "in the filter",
    "waiting": "waiting",
    "connecting": "connecting",
    "sending": "sending",
}
"""Columns of ``deliveries`` that add up to ``total_delay``, in words."""

WORDS = {"total_delay": "in all", **PARTS}

MOST_SLOW = 50
MOSTLY = 0.5
"""Share of the whole from which a part is most of it."""

SLOW = 1.0
"""Seconds: what took less is not named among the slowest."""

DELAYS = ByKey(
    "delays",
    "Delays, end to end",
    "Seconds from the arrival of the mail at this server to the final delivery, one for each recipient that it "
    "arrived at, and where they were spent. Waiting is time in queues, deferrals included.",
    by=("part",),
    numbers=("deliveries", "median", "90 %", "99 %", "longest"),
    shares=(("median", 50), ("90 %", 90), ("99 %", 99), ("longest", 100)),
)
HOPS = ByKey(
    "delays-by-hop",
    "Delays by next hop",
    "Seconds from arrival to the final delivery, by where it was delivered to.",
    by=("next hop",),
    numbers=("deliveries", "median", "90 %", "longest"),
    shares=(("median", 50), ("90 %", 90), ("longest", 100)),
)
SLOWEST = Listing(
    "slowest",
    "Slowest mails",
    f"Mails that took {SLOW:g} second or longer to their last recipient, the slowest first: the part that took "
    "at least half of it, where the log tells it, and the last reason for which they were put off.",
    ("queue id", "arrived", "sender", "last recipient", "seconds", "mostly", "of it", "next hop", "put off for"),
    (),
)
SLOWEST_BY = ("rank", "arrived", "host", "queue id", "last recipient", "next hop")
SLOWEST_KINDS = {
    "rank": "float64", "host": "str", "queue id": "str", "arrived": "int64", "sender": "str", "last recipient": "str",
    "mostly": "str", "of it": "float64", "next hop": "str", "put off for": "str",
}  # fmt: skip
NONE_SLOW = First.of(
    {name: pa.array([], pa.string()) if kind == "str" else np.empty(0, kind) for name, kind in SLOWEST_KINDS.items()},
    MOST_SLOW,
    SLOWEST_BY,
)
"""What a window keeps that has no slow mail."""


def look(window: Window) -> dict[str, Part]:
    """Return what a window counts of delays, and its slowest mails; nothing where no mail arrived."""
    known = values(window, "deliveries", "final") & (values(window, "deliveries", "mail") >= 0)
    rows = np.flatnonzero(known & ~np.isnan(values(window, "deliveries", "total_delay")))
    if not len(rows):
        return {}
    relay, seconds = joined(window, "deliveries", "relay").take(rows), values(window, "deliveries", "total_delay")[rows]
    by_hop = HOPS.look((relay,), {"deliveries": None}, seconds=seconds)
    return {**_parts(window, rows), **by_hop, **_slowest(window, rows[seconds >= SLOW])}


def listings(partial: Partial, log: Log) -> Iterable[Listing]:
    """Return percentiles of the delay and its parts, delays by next hop, and the slowest mails."""
    for each in by_key.listings((DELAYS,), partial, log.zone):
        order = list(WORDS.values())
        yield replace(each, rows=tuple(sorted(each.rows, key=lambda row: order.index(row[0]))))
    yield from by_key.listings((HOPS,), partial, log.zone)
    if SLOWEST.key in partial:
        yield _shown(partial, log)


def _parts(window: Window, rows: Ints) -> dict[str, Part]:
    """Count the seconds of the delay and of its parts, those that the log tells."""
    seconds = np.concatenate([values(window, "deliveries", name)[rows] for name in WORDS])
    known = np.flatnonzero(np.isfinite(seconds))
    words = Coded(np.repeat(np.arange(len(WORDS)), len(rows))[known], list(WORDS.values()))
    return DELAYS.look((words,), {"deliveries": None}, seconds=seconds[known])


def _slowest(window: Window, late: Ints) -> dict[str, Part]:
    """Return the mails whose last recipient waited longest, one row a mail: columns of the list, and what orders them.

    ``late`` are the rows of deliveries that took long.
    """
    if not len(late):
        return {SLOWEST.key: NONE_SLOW, f"{SLOWEST.key}: all": 0}
    late, total = _of_slow_mails(window, late)
    slow = _last_recipients(window, late)
    seconds, mail = (
        values(window, "deliveries", "total_delay")[slow].round(2),
        values(window, "deliveries", "mail")[slow],
    )
    parts = np.nan_to_num(np.array([values(window, "deliveries", name)[slow] for name in PARTS]))
    longest = parts.argmax(axis=0)
    most = np.minimum(parts[longest, np.arange(len(slow))].round(2), seconds)
    # Whole seconds in the stamps make a part longer than the whole; parts that are not told leave the rest open.
    clear = most >= MOSTLY * seconds
    host, queue_id, sender = (some_joined(window, "mails", name, mail) for name in ("host", "queue_id", "sender"))
    recipient, relay = (some_joined(window, "deliveries", name, slow) for name in ("recipient", "relay"))
    rows = {
        "rank": -seconds,
        "host": host.texts(),
        "queue id": queue_id.texts(),
        "arrived": values(window, "mails", "first")[mail],
        "sender": pc.fill_null(sender.changed(lambda each: each or "<>").texts(), "<>"),
        "last recipient": pc.fill_null(recipient.texts(), ""),
        "mostly": Coded(np.where(clear, longest, len(PARTS)), [*PARTS.values(), ""]).texts(),
        "of it": np.where(clear, most, np.nan),
        "next hop": pc.fill_null(relay.texts(), ""),
        "put off for": _last_reasons(put_off(window), mail, len(window.mails)),
    }
    return {SLOWEST.key: First.of(rows, MOST_SLOW, SLOWEST_BY), f"{SLOWEST.key}: all": total}


def _last_recipients(window: Window, late: Ints) -> Ints:
    """Return the row of each mail's last recipient, the first by the alphabet of several."""
    seconds = values(window, "deliveries", "total_delay")[late].round(2)
    mail = values(window, "deliveries", "mail")[late]
    who = ranks(some_joined(window, "deliveries", "recipient", late).texts())
    order = np.lexsort((who, mail, -seconds))
    return late[order[np.sort(numbered(mail[order])[1])]]


def _of_slow_mails(window: Window, late: Ints) -> tuple[Ints, int]:
    """Return the rows of those mails that may be among the slowest, and how many mails there are in all."""
    of_row, first = numbered(values(window, "deliveries", "mail")[late])
    if len(first) <= MOST_SLOW:
        return late, len(first)
    longest = np.zeros(len(first))
    np.maximum.at(longest, of_row, values(window, "deliveries", "total_delay")[late].round(2))
    arrived = values(window, "mails", "first")[values(window, "deliveries", "mail")[late[first]]]
    order = np.lexsort((arrived, -longest))
    last = order[MOST_SLOW - 1]
    slow = (longest > longest[last]) | ((longest == longest[last]) & (arrived <= arrived[last]))
    return late[slow[of_row]], len(first)


def _shown(partial: Partial, log: Log) -> Listing:
    frame = partial.frame(SLOWEST.key)
    frame = frame.assign(
        seconds=-frame["rank"],
        arrived=[moment(at, log.zone) for at in frame["arrived"].tolist()],
    )
    frame["of it"] = frame["of it"].astype("object").where(frame["of it"].notna(), None)
    rows = tuple(zip(*(frame[name].tolist() for name in SLOWEST.columns), strict=True))
    return replace(SLOWEST, rows=rows, total=partial.count(f"{SLOWEST.key}: all"))


def _last_reasons(late: PutOff, mails: Ints, size: int) -> pa.Array:
    """Return, for each of some mails, why it was put off last; an empty text where it was not."""
    told = np.flatnonzero(late.reason.codes >= 0)
    told = told[np.lexsort((late.rows[told], late.first[told]))]
    code = np.full(size, -1, np.int64)
    code[late.mail[told]] = late.reason.codes[told]
    return pc.fill_null(Coded(code[mails], late.reason.words).texts(), "")
