"""Mail that a filter took and of which nothing is seen again: what a window shows of it, behind the queue and before it.

What may still come out in another window, or came out by a way that no leg tells, is kept by key: message-id and recipient;
where a mail has no message-id, or the filter stands before the queue, sender and recipient.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.copies import places
from logscan.correlate.codes import matched
from logscan.correlate.lives import SECOND
from logscan.scan.columns import NO_TIME, column, joined, moments, number, some_joined, values
from logscan.scan.handed_on import gone
from logscan.scan.hops import dspam_hops, entry_has_hop, filter_hops
from logscan.scan.mail_hashes import mail_hashes
from logscan.scan.memo import per_window
from logscan.tables import columns
from logscan.tables.grouping import combine, numbered
from logscan.tables.partials import First, Keyed, Points, mixed

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.tables.partials import Part

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

HANDED, GONE, PROXIED, UNNAMED, STRAYS, LOSSES, HOSTS = (
    "handed over", "gone", "proxied", "proxied: unnamed", "strays", "losses", "hosts",
)  # fmt: skip
"""Parts of the partial."""

MOST = 20_000
"""Cases that are kept, the first ones: as many as an administrator can ask the senders for, and more."""

KEPT = r"(?i)quarantin|discard|dropp?ed|blackhol|\bblocked\b|\bDSN\b|\bbounced?\b|\breject"
"""A filter that keeps a mail back, or sends it back itself (amavis: ``DSN suppressed (554 5.7.0 Bounce``), and says so."""

QUEUED = r"(?i)queued as \W?\w{6,}"
"""The next server's words, which the filter passes on: whatever became of the mail there, the filter handed it on."""

ADDRESS = re.compile(r"\[([0-9A-Fa-f.:]+)\]:\d+$")

BY_SENDER, BY_ID = 1, 2
"""Mixed into keys of sender and recipient, and of message-id alone, to tell them from those of message-id and recipient."""

NO_ID = ("", "<>")
"""What stands for the message-id of a mail without one."""


@per_window
def look(window: Window) -> dict[str, Part]:
    """Return what a window shows."""
    return {**_behind(window), **_before(window), **_strays(window), **_losses(window), HOSTS: _hosts(window)}


def _behind(window: Window) -> dict[str, Part]:
    """Return hand-overs to filters by relay, and those of which nothing is seen again."""
    hop = (
        filter_hops(window) & (values(window, "deliveries", "mail") >= 0) & (values(window, "deliveries", "entry") >= 0)
    )
    rows = np.flatnonzero(hop & joined(window, "deliveries", "status").is_in("sent"))
    entry = values(window, "deliveries", "entry")
    # Where both its Message-ID and its sender stand before the log begins, nothing could be known again as this mail.
    told = (joined(window, "entries", "message_id").codes >= 0) | (joined(window, "entries", "sender").codes >= 0)
    rows = rows[told[entry[rows]]]
    lost = gone(window)
    lost = lost[hop[lost] & told[entry[lost]]]
    missing = np.zeros(len(hop), np.bool_)
    missing[lost] = True
    host = joined(window, "entries", "host").take(entry[rows])
    relay, away = joined(window, "deliveries", "relay").take(rows), values(window, "deliveries", "outside")[rows]
    code, first = numbered(combine(host.codes, relay.codes, away.astype(np.int64)))
    judged = (values(window, "deliveries", "verdict_row")[rows] >= 0) & ~missing[rows]
    counts = {
        "host": host.take(first).texts(),
        "relay": relay.take(first).texts(),
        "outside": away[first],
        "n": np.bincount(code, minlength=len(first)),
        "back": np.bincount(code[~missing[rows]], minlength=len(first)),
        "judged": np.bincount(code[judged], minlength=len(first)),
    }
    sums = ("n", "back", "judged")
    return {HANDED: Keyed.of(counts, sums=sums, once=True), GONE: First.of(_gone(window, lost), MOST, ("time", "row"))}


def _gone(window: Window, rows: Ints) -> dict[str, columns.Column]:
    entry = values(window, "deliveries", "entry")[rows]
    names = {
        "host": joined(window, "entries", "host").take(entry),
        **{name: some_joined(window, "entries", name, entry) for name in ("message_id", "sender", "queue_id")},
        **{name: some_joined(window, "deliveries", name, rows) for name in ("recipient", "reply")},
    }
    relay = joined(window, "deliveries", "relay").take(rows)
    reply = names.pop("reply").texts()
    root = values(window, "entries", "root")[entry]
    recipient = names["recipient"].made(pc.utf8_lower)
    unnamed = (names["message_id"].codes < 0) | names["message_id"].is_in(*NO_ID)
    return {
        **{name: each.texts() for name, each in names.items()},
        "relay": relay.texts(),
        "outside": values(window, "deliveries", "outside")[rows],
        "time": values(window, "deliveries", "time")[rows],
        "row": places(window)[rows],
        "mail": mail_hashes(window, root),
        "key": mixed(names["message_id"].hashed(), recipient.hashed()),
        "by_sender": mixed(
            names["sender"].made(pc.utf8_lower).hashed(), recipient.hashed(), np.full(len(rows), BY_SENDER)
        ),
        "by_id": mixed(names["message_id"].hashed(), np.full(len(rows), BY_ID)),
        "unnamed": unnamed,
        "dspam": dspam_hops(window)[rows],
        "kept": _says(reply, KEPT),
        "queued": _says(reply, QUEUED),
    }


def _before(window: Window) -> dict[str, Part]:
    """Return what before-queue filters took, by service, and what they took without naming who took it next."""
    rows = np.flatnonzero(column(window, "rejects", "action").is_in("proxy-accept"))
    rows = rows[moments(window, "rejects")[rows] > NO_TIME] if len(rows) else rows
    host, service, text = (column(window, "rejects", name).take(rows) for name in ("host", "service", "text"))
    said = text.texts()
    named = matched(said, QUEUED, contains=("ueued", "UEUED"))
    kept = np.zeros(len(rows), np.bool_)
    kept[~named] = _says(said.filter(pa.array(~named)), KEPT)
    code, first = numbered(combine(host.codes, service.codes))
    counts = {
        "host": host.take(first).texts(),
        "service": service.take(first).texts(),
        "n": np.bincount(code[~kept], minlength=len(first)),
        "kept": np.bincount(code[kept], minlength=len(first)),
        "named": np.bincount(code[named], minlength=len(first)),
    }
    return {
        PROXIED: Keyed.of(counts, sums=("n", "kept", "named"), once=True),
        UNNAMED: First.of(_unnamed(window, rows[~named & ~kept]), MOST, ("time", "row")),
    }


def _says(words: pa.Array, pattern: str) -> Bools:
    found: Bools = pc.fill_null(pc.match_substring_regex(words, pattern), False).to_numpy(zero_copy_only=False)
    return found.astype(np.bool_)


def _unnamed(window: Window, rows: Ints) -> dict[str, columns.Column]:
    wanted = ("host", "service", "program", "sender", "recipient")
    names = {name: column(window, "rejects", name).take(rows) for name in wanted}
    pid = pa.array(number(window, "rejects", "pid")[rows]).cast(pa.string())
    tag = [pc.fill_null(names[name].texts(), "") for name in ("service", "program")]
    session = pc.binary_join_element_wise(tag[0], "/", tag[1], "[", pid, "]", "")
    sender, recipient = (names[name].made(pc.utf8_lower).hashed() for name in ("sender", "recipient"))
    line = (number(window, "rejects", "source")[rows] << 32) + number(window, "rejects", "line")[rows]
    return {
        **{name: each.texts() for name, each in names.items()},
        "session": session,
        "time": moments(window, "rejects")[rows],
        "row": line,
        "key": mixed(sender, recipient, np.full(len(rows), BY_SENDER)),
    }


def _strays(window: Window) -> dict[str, Part]:
    """Return what came in from filters' side and out of nothing, or lacks the line that opened it: by key, and when."""
    proxied = column(window, "rejects", "action").is_in("proxy-accept")
    if not window.facts.filter_relays and not proxied.any():
        return {STRAYS: NO_STRAYS}
    free = _free(window, proxied)
    first, entry = values(window, "entries", "first"), values(window, "deliveries", "entry")
    rows = np.flatnonzero(np.append(free, False)[entry])
    mute = free
    mute[entry[rows]] = False
    keys = [_mute(window, np.flatnonzero(mute))]
    ids, sender = (some_joined(window, "entries", name, entry[rows]) for name in ("message_id", "sender"))
    for name in ("recipient", "original_recipient") if len(rows) else ():
        to = some_joined(window, "deliveries", name, rows).made(pc.utf8_lower)
        some = to.codes >= 0
        one, by, at = to.hashed()[some], sender.made(pc.utf8_lower).hashed()[some], first[entry[rows]][some]
        keys += [(mixed(ids.hashed()[some], one), at), (mixed(by, one, np.full(len(one), BY_SENDER)), at)]
    return {
        STRAYS: Points.of({"key": np.concatenate([k for k, _ in keys]), "at": np.concatenate([t for _, t in keys])})
    }


def _free(window: Window, proxied: Bools) -> Bools:
    """Return which entries may have come out of a filter though no leg says so."""
    opened = joined(window, "entries", "program").is_in("smtpd", "pickup")
    opened &= joined(window, "entries", "sasl_username").codes < 0
    if not proxied.any():
        addresses = {found[1] for found in map(ADDRESS.search, window.facts.filter_relays) if found}
        near_by = values(window, "entries", "local_client").copy()
        if addresses:
            near_by |= joined(window, "entries", "client_address").is_in(*addresses)
        opened &= near_by
    free = opened | ~values(window, "entries", "opened")
    # What was handed to a filter itself came out of none.
    free &= ~entry_has_hop(window) & (values(window, "entries", "parent") < 0)
    free &= values(window, "entries", "first") > NO_TIME
    if proxied.any():
        # Those that a filter's reply names came out of that one.
        told = column(window, "rejects", "text").take(proxied).texts()
        ids = pc.struct_field(pc.extract_regex(told, r"(?i:queued as) (?P<q>\w{6,})"), [0])
        free &= ~joined(window, "entries", "queue_id").having(set(ids.drop_null().to_pylist()).__contains__)
    out: Bools = free
    return out


def _mute(window: Window, entry: Ints) -> tuple[Ints, Ints]:
    """Return keys and times of entries of which no delivery is told."""
    ids = some_joined(window, "entries", "message_id", entry)
    some = (ids.codes >= 0) & ~ids.is_in(*NO_ID)
    key = mixed(ids.hashed()[some], np.full(int(some.sum()), BY_ID))
    return key, values(window, "entries", "first")[entry[some]]


NO_STRAYS = Points.of({"key": np.empty(0, np.int64), "at": np.empty(0, np.int64)})


def _losses(window: Window) -> dict[str, Part]:
    """Return when the logging system lost lines, by host."""
    rows = np.flatnonzero(column(window, "losses", "event").is_in("lost", "losing"))
    if not len(rows):
        return {LOSSES: NO_STRAYS}
    at = moments(window, "losses")[rows]
    key = column(window, "losses", "host").take(rows).hashed()
    return {LOSSES: Points.of({"key": key[at > NO_TIME], "at": at[at > NO_TIME]})}


def _hosts(window: Window) -> Keyed:
    """Return how far the log of each host goes (``latest``, UTC ns), its whole lives, and those of them that lack a line.

    What came in by a line of its own and was removed had lines of cleanup and of the queue manager.
    """
    host, last = joined(window, "entries", "host"), values(window, "entries", "last")
    code, first = numbered(host.codes)
    latest = np.full(len(first), NO_TIME, np.int64)
    np.maximum.at(latest, code, last)
    whole = joined(window, "entries", "ending").is_in("removed") & values(window, "entries", "opened")
    named = window.entries["message_id"].notna().to_numpy(dtype=np.bool_)
    torn = whole & ~(values(window, "entries", "queued") & named)
    counts = {name: np.bincount(code[some], minlength=len(first)) for name, some in (("whole", whole), ("torn", torn))}
    return Keyed.of(
        {"host": host.take(first).texts(), "latest": latest, **counts},
        sums=("whole", "torn"),
        most=("latest",),
        once=True,
    )


def near(points: Points, key: Ints, at: Ints, before: float, after: float) -> Bools:
    """Return for which keys there is a point not earlier than ``before`` seconds before and not later than ``after`` behind."""
    out = np.zeros(len(key), np.bool_)
    if not len(points.columns["key"]) or not len(key):
        return out
    order = np.lexsort((points.columns["at"], points.columns["key"]))
    keys, times = points.columns["key"][order], points.columns["at"][order]
    begin = np.searchsorted(keys, key, "left")
    end = np.searchsorted(keys, key, "right")
    for one in np.flatnonzero(end > begin).tolist():
        mine = times[begin[one] : end[one]]
        low = np.searchsorted(mine, at[one] - int(before * SECOND), "left")
        out[one] = low < len(mine) and mine[low] <= at[one] + int(after * SECOND)
    return out


__all__ = ["GONE", "HANDED", "HOSTS", "LOSSES", "MOST", "PROXIED", "STRAYS", "UNNAMED", "look", "near"]
