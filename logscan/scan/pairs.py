"""Who wrote to whom, as numbers that are the same in any window: of the mails that came in, and of those that users wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from logscan.scan import columns
from logscan.scan.addresses import addresses
from logscan.scan.memo import per_window
from logscan.tables.coded import Coded
from logscan.tables.partials import Keyed, mixed

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Pairs(NamedTuple):
    """One row a delivery of the life by which a mail came in; hashes are those of texts in lower case."""

    row: Ints
    """Of deliveries."""
    entry: Ints
    sender: Ints
    """Hash of the envelope sender; 0 for none, and for an empty one."""
    asked: Ints
    """Hash of the address that the mail was sent to, before aliases."""
    time: Ints
    """When its first line was written, UTC ns."""
    outside: Bools
    """Strangers handed it in."""
    own: Bools
    """A user, or a program of this host or network, handed it in."""


OWN = ("authenticated", "local", "network")


@per_window
def pairs(window: Window) -> Pairs:
    """Return the pairs of a window."""
    if not len(window.deliveries):
        none, no = np.empty(0, np.int64), np.empty(0, np.bool_)
        return Pairs(none, none, none, none, none, no, no)
    entry = columns.values(window, "deliveries", "entry")
    first = columns.values(window, "entries", "parent") < 0
    first &= columns.values(window, "entries", "mail") >= 0
    row = np.flatnonzero(np.append(first, False)[entry])
    entry = entry[row]
    origin = columns.joined(window, "entries", "origin")
    outside, own = origin.is_in("outside"), origin.is_in(*OWN)
    sender = hashed(columns.joined(window, "entries", "sender").take(entry))
    names = addresses(window)
    asked = hashed(Coded(names.asked[row], names.words))
    return Pairs(row, entry, sender, asked, columns.values(window, "entries", "first")[entry], outside[entry],
                 own[entry])  # fmt: skip


def hashed(column: Coded) -> Ints:
    """Return, by row, the hash of each text in lower case, 0 for an empty one."""
    lower = column.made(pc.utf8_lower)
    if not len(lower.words):
        return np.zeros(len(column), np.int64)
    found = lower.hashed_values()
    found[np.asarray(pc.equal(lower.words.given, ""), np.bool_)] = 0
    out: Ints = np.append(found, 0)[lower.codes]
    return out


@per_window
def taken_pairs(window: Window) -> Keyed:
    """Return when mail from outside was first and last taken: ``pair``, ``sender`` (hashes), ``first``, ``last`` (UTC ns)."""
    found = pairs(window)
    at = found.outside & (found.sender != 0)
    some = {
        "pair": paired(found.sender[at], found.asked[at]),
        "sender": found.sender[at],
        "first": found.time[at],
        "last": found.time[at],
    }
    return Keyed.of(some, least=("sender", "first"), most=("last",))


def paired(sender: Ints, recipient: Ints) -> Ints:
    """Return a number for each sender and recipient."""
    return mixed(sender, recipient)
