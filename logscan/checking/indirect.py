"""Addresses that mail reaches by way of another: an alias, a forward, a list; which of them fail, and when each last worked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.copies import places
from logscan.scan.addresses import Addresses, addresses
from logscan.scan.columns import joined, some_joined, values
from logscan.scan.mail_hashes import mail_hashes
from logscan.tables import columns
from logscan.tables.coded import Coded
from logscan.tables.grouping import numbered
from logscan.tables.partials import First, Keyed, Part
from logscan.tables.recent import of_texts

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

REACHED, ASKED, FAILED = "reached", "asked", "failed"
"""Parts: by hash of an address how often it was reached and failed, and when it was reached last; when mail for an address came
last; the first failures."""

MOST_CASES = 20_000
"""Failures that are kept, the first ones."""

NEVER = np.iinfo(np.int64).min

WAYS = {"redirect": "forward", "forward": "forward", "list": "list-member"}
"""The cause by the leg on which a mail came; without one an alias named the address."""

OTHER = re.compile(r"[45]\.(?:7\.\d+|2\.2|4\.6|4\.14)$")
"""Enhanced codes (RFC 3463) that say nothing against the address: policy and content, a full mailbox, a loop."""

UNKNOWN = re.compile(r"5\.(?:1\.\d+|2\.1)$")
"""Enhanced codes by which the other side doesn't know the address, or has switched it off."""


def look_at(window: Window) -> dict[str, Part]:
    """Return what a window tells of addresses that others lead to."""
    ends = values(window, "deliveries", "last") & (values(window, "deliveries", "mail") >= 0)
    outcome = joined(window, "deliveries", "outcome")
    rows = np.flatnonzero(ends & outcome.is_in("delivered", "bounced", "expired", "deferred"))
    if not len(rows):
        return {}
    names = addresses(window)
    rows = rows[names.recipient[rows] >= 0]
    source = _sources(window, rows)
    good = outcome.take(rows).is_in("delivered")
    bad = ~good & (source >= 0)
    bad[bad] = _against(window, rows[bad])
    parts: dict[str, Part] = {
        REACHED: _reached(window, rows, good, bad, source >= 0),
        ASKED: _asked(window),
    }
    if bad.any():
        cases = _failed(window, rows[bad], source[bad])
        parts["failures"] = columns.length(cases)
        parts[FAILED] = First.of(cases, MOST_CASES, ("arrived", "row", "target", "queue_id"))
    return parts


def _sources(window: Window, rows: Ints) -> Ints:
    """Return the address that led to each delivery's recipient (code of :func:`addresses`); -1 where it was addressed itself."""
    names = addresses(window)
    own = names.recipient[rows]
    out = np.where((names.asked[rows] != own) & ~_completed(names, rows), names.asked[rows], -1)
    if not len(window.legs):
        return out
    entry = values(window, "deliveries", "entry")[rows]
    free = out < 0
    over = np.full(len(window.entries) + 1, -1, np.int64)
    by_leg = joined(window, "legs", "kind").is_in(*WAYS)
    over[values(window, "legs", "child")[by_leg]] = values(window, "legs", "delivery")[by_leg]
    led = over[entry]
    out = np.where(free & (led >= 0), np.append(names.asked, -1)[led], out)
    # Expanded in front of the filter: a hand-over of the same mail to the same recipient knows the alias, whichever it is.
    mail, size = values(window, "deliveries", "mail"), len(names.words) + 1
    told = np.flatnonzero((mail >= 0) & (names.recipient >= 0) & (names.asked >= 0) & (names.asked != names.recipient))
    keys = mail[told] * size + names.recipient[told]
    order = np.lexsort((names.asked[told], keys))
    keys, asked = keys[order], names.asked[told][order]
    mine = mail[rows] * size + own
    at = np.searchsorted(keys, mine)
    known = np.append(keys, -1)[at] == mine
    return np.where((out < 0) & known & ~_completed(names, rows), np.append(asked, -1)[at], out)


def _completed(names: Addresses, rows: Ints) -> Bools:
    """Return which recipients are what was asked for with this host's domain behind it: ``root`` is no alias of ``root@mx``."""
    bare = np.append(np.asarray(pc.equal(pc.find_substring(names.words, "@"), -1)), False)[names.asked[rows]]
    out: Bools = bare & (names.asked[rows] >= 0)
    some = np.flatnonzero(out)
    if len(some):
        asked, own = (
            names.words.take(pa.array(codes[rows[some]])).to_pylist() for codes in (names.asked, names.recipient)
        )
        out[some] = [str(b).startswith(f"{a}@") for a, b in zip(asked, own, strict=True)]
    return out


def _against(window: Window, rows: Ints) -> Bools:
    """Return which failures speak against the address itself."""
    return ~joined(window, "deliveries", "dsn").take(rows).having(OTHER.match)


def hashed(words: pa.Array) -> Ints:
    """Return a hash of each address, and behind the last one of none, the same in all windows."""
    return of_texts(words).view(np.int64)


def _reached(window: Window, rows: Ints, good: Bools, bad: Bools, indirect: Bools) -> Keyed:
    """Count, by recipient, how often it was reached and failed by way of another address, and when it was reached last."""
    names, time = addresses(window), values(window, "deliveries", "time")[rows]
    number, first = numbered(names.recipient[rows])
    last = np.full(len(first), NEVER, np.int64)
    np.maximum.at(last, number[good], time[good])
    some = names.words.take(pa.array(names.recipient[rows[first]]))
    told = {
        "target": hashed(some)[:-1],
        "good": np.bincount(number[good], minlength=len(first)),
        "bad": np.bincount(number[bad], minlength=len(first)),
        "indirect": np.bincount(number[indirect], minlength=len(first)),
        "last": last,
    }
    return Keyed.of(told, sums=("good", "bad", "indirect"), most=("last",), once=True)


def _asked(window: Window) -> Keyed:
    """Return when the last mail for each address came in, as it was addressed."""
    names, mail = addresses(window), values(window, "deliveries", "mail")
    rows = np.flatnonzero((mail >= 0) & (names.asked >= 0))
    arrived = np.append(values(window, "mails", "first"), NEVER)[mail[rows]]
    number, first = numbered(names.asked[rows])
    last = np.full(len(first), NEVER, np.int64)
    np.maximum.at(last, number, arrived)
    some = names.words.take(pa.array(names.asked[rows[first]]))
    return Keyed.of({"source": hashed(some)[:-1], "arrived": last}, most=("arrived",), once=True)


def _failed(window: Window, rows: Ints, source: Ints) -> dict[str, columns.Column]:
    """Return the failures, by column; ``row`` is a line (places), times are UTC ns."""
    names = addresses(window)
    entry, mail = (values(window, "deliveries", name)[rows] for name in ("entry", "mail"))
    leg = joined(window, "entries", "leg").take(entry)
    direct = names.asked[rows] == names.recipient[rows]
    ways = leg.changed(WAYS.get)
    cause = Coded(np.where(direct, ways.codes, -1), ways.words).texts()
    return {
        "target": names.words.take(pa.array(names.recipient[rows])),
        "source": names.words.take(pa.array(source)),
        "cause": pc.fill_null(cause.cast(pa.string()), "alias-member"),
        "arrived": values(window, "mails", "first")[mail],
        "at": values(window, "deliveries", "time")[rows],
        "row": places(window)[rows],
        "mail": mail_hashes(window, values(window, "mails", "entry")[mail]),
        "unknown": joined(window, "deliveries", "dsn").take(rows).having(UNKNOWN.match).astype(np.int64),
        "reply": pc.utf8_slice_codeunits(some_joined(window, "deliveries", "reply", rows).texts(), 0, 300),
        "queue_id": joined(window, "entries", "queue_id").take(entry).texts(),
        "message_id": pc.fill_null(joined(window, "mails", "message_id").take(mail).texts(), ""),
    }
