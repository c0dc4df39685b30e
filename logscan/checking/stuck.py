"""Mail to others that waited: whose was given up, waits long or came late, and when mail got through where."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.compute as pc

from logscan.checking.copies import places
from logscan.checking.hand_overs import Kinds, next_hops
from logscan.checking.outage import SUSPENDED
from logscan.correlate.lives import SECOND
from logscan.scan.columns import NO_TIME, joined, some_joined, values
from logscan.scan.destinations import domains, left
from logscan.scan.mail_hashes import mail_hashes
from logscan.tables import columns
from logscan.tables.coded import Coded
from logscan.tables.grouping import combine, numbered
from logscan.tables.partials import First, Part, Points, mixed

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

CASES, THROUGH = "stuck cases", "got through"
"""Parts: the first recipients that are stuck, and when mail got through by :func:`key_of`."""

MOST_CASES = 20_000
"""Recipients that are kept; more are counted only."""

OLDEST = 10.0**8
"""Seconds: three years. A delay beyond it is garbled."""

AT_DOMAIN, AT_HOP, TO_RECIPIENT = 1, 2, 3
"""What a time of :data:`THROUGH` is about."""


def key_of(kind: int, name_hashes: Ints) -> Ints:
    """Return the keys of :data:`THROUGH` for hashes of domains, next hops or recipients."""
    return mixed(np.full(len(name_hashes), kind, np.int64), name_hashes)


def look_at(window: Window, settings: Settings, waited: float, late: float) -> dict[str, Part]:
    """Return what a window tells of mail to others; ``waited`` and ``late`` are seconds."""
    outside = values(window, "deliveries", "outside")
    ends = np.flatnonzero(values(window, "deliveries", "last") & outside)
    parts: dict[str, Part] = {"recipients": len(ends)}
    if not len(ends):
        return parts
    waits = ends[joined(window, "deliveries", "outcome").take(ends).is_in("deferred")]
    parts["undecided"] = int(np.count_nonzero(age(window, waits) < waited))
    parts[THROUGH] = _through(window)
    rows, how = _ended(window, ends, waited, late)
    if not len(rows):
        return parts
    rows, how, first, last = _put_off(window, rows, how)
    hop = next_hops(window, last)
    mine = ~Kinds(window.facts, settings).ours(hop)
    if mine.any():
        cases = _cases(window, rows[mine], how.take(mine), first[mine], last[mine], hop.take(mine))
        parts["stuck"] = columns.length(cases)
        parts[CASES] = First.of(cases, MOST_CASES, ("row", "recipient", "queue_id"))
    return parts


def _through(window: Window) -> Points:
    """Return when mail for outside got through: to which domain, by which next hop, to whom."""
    rows = left(window)
    at = values(window, "deliveries", "time")[rows]
    rows, at = rows[at > NO_TIME], at[at > NO_TIME]
    to = some_joined(window, "deliveries", "recipient", rows).made(pc.utf8_lower)
    keys = [
        key_of(AT_DOMAIN, domains(window, rows).hashed()),
        key_of(AT_HOP, joined(window, "deliveries", "relay").take(rows).hashed()),
        key_of(TO_RECIPIENT, to.hashed()),
    ]
    return Points.of({"key": np.concatenate(keys), "at": np.tile(at, 3)}, size=1)


def _ended(window: Window, ends: Ints, waited: float, late: float) -> tuple[Ints, Coded]:
    """Return the last attempts for recipients who were given up, wait long, or got it late, and how they ended."""
    ends = ends[values(window, "deliveries", "time")[ends] > NO_TIME]
    outcome = joined(window, "deliveries", "outcome").take(ends)
    old = age(window, ends)
    gone, waiting = outcome.is_in("expired"), outcome.is_in("deferred")
    kept = gone | (waiting & (old >= waited)) | (outcome.is_in("delivered") & (old >= late))
    return ends[kept], outcome.take(kept)


def age(window: Window, rows: Ints) -> npt.NDArray[np.float64]:
    """Return how old the mail was at some attempts, in seconds: by the log, or by the line where the log begins later."""
    time, arrived = (values(window, "deliveries", name)[rows] for name in ("time", "arrived"))
    told = np.where((time > NO_TIME) & (arrived > NO_TIME), (time - np.maximum(arrived, 0)) / SECOND, 0.0)
    delay: npt.NDArray[np.float64] = np.nan_to_num(values(window, "deliveries", "delay")[rows], nan=0.0, posinf=0.0)
    return np.maximum(told, np.where(delay < OLDEST, delay, 0.0))


def _put_off(window: Window, rows: Ints, how: Coded) -> tuple[Ints, Coded, Ints, Ints]:
    """Return those of some ends that were put off before, and the first and the last attempt that was put off of each."""
    entry, time = values(window, "deliveries", "entry"), values(window, "deliveries", "time")
    mine = np.zeros(len(window.entries) + 1, np.bool_)
    mine[entry[rows]] = True
    mine[-1] = False
    late = np.flatnonzero(mine[entry])
    late = late[joined(window, "deliveries", "status").take(late).is_in("deferred", "SOFTBOUNCE")]
    late = late[~joined(window, "deliveries", "outcome").take(late).is_in("repeated")]
    both = np.append(rows, late)
    address = [some_joined(window, "deliveries", name, both).codes for name in ("recipient", "original_recipient")]
    number = numbered(combine(entry[both], *address))[0]
    of_row, of_late = number[: len(rows)], number[len(rows) :]
    order = np.lexsort((places(window)[late], time[late]))
    first, last = (np.full(int(number.max()) + 1, -1, np.int64) for _ in range(2))
    last[of_late[order]] = late[order]
    first[of_late[order[::-1]]] = late[order[::-1]]
    kept = last[of_row] >= 0
    return rows[kept], how.take(kept), first[of_row[kept]], last[of_row[kept]]


def _cases(window: Window, rows: Ints, how: Coded, first: Ints, last: Ints, hop: Coded) -> dict[str, columns.Column]:
    """Return the recipients that are stuck, by column; times in UTC ns, ``row`` and ``first`` are lines (places)."""
    time, line = values(window, "deliveries", "time")[rows], places(window)
    entry, mail = (values(window, "deliveries", name)[rows] for name in ("entry", "mail"))
    root = np.append(values(window, "mails", "entry"), -1)[mail]
    began = time - (age(window, rows) * SECOND).astype(np.int64)
    reply = some_joined(window, "deliveries", "reply", last)
    # Reports, and automatic answers, to senders that are often forged.
    reports = joined(window, "entries", "origin").take(root).is_in("generated")
    reports |= joined(window, "mails", "sender").take(mail).is_in("")
    return {
        "row": line[last],
        "first": line[first],
        "begin": began,
        "end": time,
        "mail": mail_hashes(window, np.where(root >= 0, root, entry)),
        "ended": how.texts(),
        "report": reports.astype(np.int64),
        "cause": reply.changed(cause_of).texts(),
        "away": reply.having(AWAY.search).astype(np.int64),
        "reason": reply.changed(_shown).texts(),
        "domain": domains(window, rows).texts(),
        "hop": pc.fill_null(hop.texts(), ""),
        "recipient": some_joined(window, "deliveries", "recipient", rows).texts(),
        "queue_id": joined(window, "entries", "queue_id").take(entry).texts(),
        "message_id": joined(window, "mails", "message_id").take(mail).texts(),
    }


def _shown(reply: str) -> str:
    return reply.removeprefix(SUSPENDED)[:300]


REMOTE = re.compile(r"^host \S+ (?:said|refused to talk to me): (?P<said>.*)", re.S)
"""What another host said (smtp_trouble.c, smtp_proto.c); all else are Postfix's own words."""

GREY = re.compile(r"\bgr[ae]y-?\s?list", re.I)

FULL = re.compile(
    r"\b4\.2\.2\b|\b(?:over|exceed(?:s|ed)?) ?(?:his |the |its )?quota|\bquota exceeded|mailbox (?:is )?full", re.I
)
"""A full mailbox (X.2.2 of RFC 3463)."""

TLS = re.compile(
    r"^(?:TLS is required|Cannot start TLS|Server certificate not|TLSA lookup error)|configured TLS security level"
)
"""Of smtp_proto.c, smtp_tls_policy.c and smtp_connect.c."""

NAMES = re.compile(
    r"^(?:Host or domain name not found|unable to look up host|unable to find primary relay)|Name service error"
)
"""Of smtp_addr.c."""

NO_WAY = re.compile(r"^(?:connect to|conversation with|lost connection with) |network is unreachable", re.I)
"""Of smtp_connect.c and smtp_trouble.c."""


AWAY = re.compile(
    rf"^(?:{SUSPENDED})?(?:connect to|conversation with|lost connection with|Host or domain name not found|unable to "
    r"look up host|host \S+ refused to talk to me:)"
)
"""The other side can't be had at all, whatever mail it is."""


def cause_of(reply: str) -> str:
    """Return what kind of reason a deferral gives; what a host says tells no more than what a host says."""
    text = reply.removeprefix(SUSPENDED)
    remote = REMOTE.match(text)
    if remote:
        said = remote["said"]
        return "greylisted" if GREY.search(said) else "mailbox-full" if FULL.search(said) else "put-off-by-host"
    if TLS.search(text):
        return "tls"
    if NAMES.search(text):
        return "name-not-found"
    return "no-connection" if NO_WAY.search(text) else "other-reason"


class Times:
    """When mail got through, by key of :func:`key_of`."""

    def __init__(self, points: object) -> None:
        empty = np.empty(0, np.int64)
        key, at = (points.columns["key"], points.columns["at"]) if isinstance(points, Points) else (empty, empty)
        order = np.lexsort((at, key))
        self.key, self.at = key[order], at[order]

    def of(self, key: int) -> Ints:
        """Return the times of one key (UTC ns), in order."""
        low, high = np.searchsorted(self.key, [key]), np.searchsorted(self.key, [key], "right")
        return self.at[int(low[0]) : int(high[0])]

    def of_names(self, kind: int, names: pd.Series) -> list[Ints]:
        """Return the times of each name, each looked up once."""
        codes, words = pd.factorize(names)
        found = [self.of(key) for key in key_of(kind, _hashed(words)).tolist()]
        return [found[code] for code in codes.tolist()]


def _hashed(words: pd.Index) -> Ints:
    return Coded(np.arange(len(words)), [str(word) for word in words]).hashed()
