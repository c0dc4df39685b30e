"""What was put off over the whole period: attempts, recipients, mails, why, at which next hop, for how long, how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.hand_overs import NEXT_HOP
from logscan.report import by_key
from logscan.report.by_key import ByKey, once
from logscan.report.model import Listing
from logscan.report.tallies import folded
from logscan.scan.columns import joined, some_joined, values
from logscan.scan.memo import per_window
from logscan.tables.coded import Coded, either
from logscan.tables.grouping import combine, numbered

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.tables.partials import Part, Partial

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PUT_OFF = ("deferred", "SOFTBOUNCE")

ENDED = {
    "delivered": "delivered later",
    "handed-on": "handed on later",
    "deferred": "still waiting",
    "bounced": "bounced",
    "expired": "expired, returned to its sender",
    "held": "put on hold",
    "discarded": "discarded or deleted",
    "": "under another ID, or not in the log",
}
"""How a recipient whose mail was put off ended, by the outcome of the last attempt in that life of a queue ID."""

ALL = "in all"

ENDINGS = ByKey(
    "put-off",
    "Put off",
    "Recipients for whom an attempt was put off (deferred), by how it ended; the wait is in seconds, from the first "
    "attempt that was put off to the last line about that recipient.",
    by=("how it ended",),
    numbers=("recipients", "mails", "attempts put off", "median wait", "longest wait"),
    shares=(("median wait", 50), ("longest wait", 100)),
)
REASONS = ByKey(
    "put-off-reasons",
    "Put off, by reason and next hop",
    "Attempts that were put off, by Postfix's reason (numbers, times and addresses folded) and the next hop, and what "
    "became of their recipients: one that was put off for two reasons stands in both rows. Went on are those "
    "delivered or handed on later, waiting those in the queue or on hold, given up those bounced, expired or "
    "discarded. The longest wait is in seconds.",
    by=("reason", "next hop"),
    numbers=(
        "attempts", "recipients", "mails", "went on", "waiting", "given up",
        "longest wait", "first", "last",
    ),
    shares=(("longest wait", 100),),
    digits=1,
)  # fmt: skip


@dataclass(frozen=True)
class PutOff:
    """The attempts that were put off, one a row, in the order of their lines."""

    rows: Ints
    """Rows of ``window.deliveries``."""
    mail: Ints
    recipient: Ints
    """Code of the recipient in its life of a queue ID: the same for each attempt for it."""
    reason: Coded
    hop: Coded
    waited: npt.NDArray[np.float64]
    """By code of recipient: seconds from the first attempt to the last line about it."""
    ended: Coded
    """By code of recipient: how it ended, in words."""
    first: Ints
    """Time of the attempt (UTC ns)."""


@per_window
def put_off(scan: Window) -> PutOff:
    """Return every attempt that was put off, of mails: a line logged twice is one attempt."""
    late = joined(scan, "deliveries", "status").is_in(*PUT_OFF) & (values(scan, "deliveries", "mail") >= 0)
    if not late.any():
        return _nothing()
    rows = np.flatnonzero(late & ~joined(scan, "deliveries", "outcome").is_in("repeated"))
    if not len(rows):
        return _nothing()
    of_entry, time = values(scan, "deliveries", "entry"), values(scan, "deliveries", "time")
    # All attempts for the same recipients, to see how each ended.
    waited = np.zeros(len(scan.entries) + 1, np.bool_)
    waited[of_entry[rows]] = True
    around = np.flatnonzero(waited[of_entry] & (of_entry >= 0))
    address = [some_joined(scan, "deliveries", name, around).codes for name in ("recipient", "original_recipient")]
    number, first = numbered(combine(of_entry[around], *address))
    of_row = np.full(len(of_entry), -1, np.int64)
    of_row[around] = number
    place = np.full(len(first) + 1, -1, np.int64)
    mine, known = numbered(of_row[rows])
    place[of_row[rows[known]]] = np.arange(len(known))
    start = np.full(len(known), np.iinfo(np.int64).max)
    end = np.zeros(len(known), np.int64)
    at = place[number]
    kept = at >= 0
    np.minimum.at(start, mine, time[rows])
    np.maximum.at(end, at[kept], time[around[kept]])
    outcome = joined(scan, "deliveries", "outcome")
    names = [ENDED.get(str(name), ENDED[""]) for name in outcome.values]
    last = np.full(len(known), -1, np.int64)
    closing = kept & values(scan, "deliveries", "last")[around]
    last[at[closing]] = outcome.codes[around[closing]]
    return PutOff(
        rows=rows,
        mail=values(scan, "deliveries", "mail")[rows],
        recipient=mine,
        reason=folded(some_joined(scan, "deliveries", "reply", rows)),
        hop=next_hops(scan, rows),
        waited=np.maximum(end - start, 0) / 1e9,
        ended=Coded(np.where(last >= 0, last, len(names)), [*names, ENDED[""]]).changed(str),
        first=time[rows],
    )


def _nothing() -> PutOff:
    """Return no attempts: the most frequent answer of a small window."""
    none = np.empty(0, np.int64)
    empty = Coded(none, [])
    return PutOff(none, none, none, empty, empty, np.empty(0), empty, none)


def next_hops(scan: Window, rows: Ints) -> Coded:
    """Return the next hop of each of some deliveries: the relay, else the host that the reply names."""
    relay = joined(scan, "deliveries", "relay").take(rows)
    none = relay.is_in("none") | (relay.codes < 0)
    if not none.any():
        return relay
    named = np.flatnonzero(none)
    hosts = np.full(len(rows), -1, np.int64)
    of_reply = some_joined(scan, "deliveries", "reply", rows[named]).made(_named)
    hosts[named] = of_reply.codes
    return either(relay, Coded(hosts, of_reply.words), hosts >= 0)


def _named(replies: pa.Array) -> pa.Array:
    """Return the hosts that replies name; an empty text where they name none."""
    found = pc.struct_field(pc.extract_regex(replies, NEXT_HOP), [0])
    return pc.fill_null(found, "")


def look(window: Window) -> dict[str, Part]:
    """Return what a window counts of what was put off; nothing where nothing was."""
    late = put_off(window)
    return {**_ended(late), **_reasons(late)} if len(late.rows) else {}


def listings(partial: Partial, log: Log) -> Iterable[Listing]:
    """Return how it ended, and why it was put off and where."""
    for each in by_key.listings((ENDINGS,), partial, log.zone):
        rows = sorted(each.rows, key=lambda row: row[0] == ALL)
        yield replace(each, rows=tuple(rows))
    yield from by_key.listings((REASONS,), partial, log.zone)


def _ended(late: PutOff) -> dict[str, Part]:
    """Count recipients, mails and attempts by how it ended, and of all together: a mail may end in several ways."""
    size = len(late.waited)
    attempts = np.bincount(late.recipient, minlength=size)
    mail = np.full(size, -1, np.int64)
    mail[late.recipient] = late.mail
    each = np.tile(np.arange(size), 2)
    every = np.full(size, len(late.ended.values))
    words = Coded(np.append(late.ended.codes, every), [*late.ended.values, ALL])
    mails = once((words,), mail[each])
    sums = {"recipients": None, "mails": mails, "attempts put off": attempts[each]}
    return ENDINGS.look((words,), sums, seconds=late.waited[each])


def _reasons(late: PutOff) -> dict[str, Part]:
    columns = (late.reason, late.hop)
    recipients = once(columns, late.recipient)
    ended = late.ended.take(late.recipient)

    def having(*outcomes: str) -> Bools:
        return recipients & ended.is_in(*(ENDED[name] for name in outcomes))

    return REASONS.look(
        columns,
        {
            "attempts": None,
            "recipients": recipients,
            "mails": once(columns, late.mail),
            "went on": having("delivered", "handed-on"),
            "waiting": having("deferred", "held"),
            "given up": having("bounced", "expired", "discarded"),
        },
        times=late.first,
        seconds=late.waited[late.recipient],
    )


def series(late: PutOff) -> tuple[tuple[str, Ints], ...]:
    """Return the times of the attempts put off, by who kept the mail waiting."""
    here = own_services(late)
    return (("at this server's own services", late.first[here]), ("at other hosts", late.first[~here]))


def own_services(late: PutOff) -> Bools:
    """Return which attempts were put off at a service of this host: a socket, the loopback address, no host at all."""
    return late.hop.having(
        lambda name: "/" in name or "[127." in name or "[::1" in name if "[" in name else name not in ("", "none")
    )
