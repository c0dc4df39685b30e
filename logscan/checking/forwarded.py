"""Mail of others that an alias, a user's script or a list of this server sent on to somebody elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logscan.scan.addresses import addresses
from logscan.scan.aliases import top_rows
from logscan.scan.columns import joined, values
from logscan.scan.memo import per_window
from logscan.tables.coded import Coded

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LEGS = ("redirect", "forward", "list")
"""Legs by which a mail goes to another address than it was sent to."""

WAYS = ("alias", "Sieve", ".forward or alias", "list")
"""What sent a mail on, in words: the first without a leg of its own, then by :data:`LEGS`."""


class Forwarded(NamedTuple):
    """The attempts to send a stranger's mail on to somebody elsewhere, one a row."""

    row: Ints
    """Of deliveries."""
    source: Coded
    """The address here that sends it on, in lower case."""
    way: Coded
    """One of :data:`WAYS`."""
    over: Ints
    """The delivery here that it came from: the hand-over to a filter or to the mailbox, else the row itself."""

    def take(self, rows: Ints | Bools) -> Forwarded:
        """Return some rows."""
        return Forwarded(self.row[rows], self.source.take(rows), self.way.take(rows), self.over[rows])


@per_window
def forwarded(window: Window) -> Forwarded:
    """Return the attempts of mail from outside, for somebody outside, under another address than it was sent to.

    What this host relays under the very address, or under another one of the same domain, is no forward: it is a gateway or
    a second MX.
    """
    mail = values(window, "deliveries", "mail")
    rows = np.flatnonzero(values(window, "deliveries", "outside") & ~values(window, "deliveries", "hop") & (mail >= 0))
    rows = rows[joined(window, "mails", "origin").take(mail[rows]).is_in("outside")]
    if not len(rows):
        nothing = Coded(rows, [])
        return Forwarded(rows, nothing, nothing, rows)
    names = addresses(window)
    way, over = _legs(window, values(window, "deliveries", "entry")[rows])
    top = top_rows(window)[rows]
    by_leg = way > 0
    at = np.where(by_leg, over, top)
    box = names.mailbox[at]
    source = np.where(by_leg & (at >= 0), np.where(box >= 0, box, names.asked[at]), names.asked[top])
    changed = by_leg | (_domains(names.words, source) != _domains(names.words, names.recipient[rows]))
    found = Forwarded(rows, Coded(source, names.words), Coded(way, WAYS), np.where(at >= 0, at, rows))
    return found.take(changed)


def _legs(window: Window, entry: Ints) -> tuple[Ints, Ints]:
    """Return, per life, the nearest of :data:`LEGS` on its way up (0: none, else one more than its place), and its row."""
    leg = joined(window, "entries", "leg")
    kind = np.zeros(len(window.entries) + 1, np.int64)
    for place, name in enumerate(LEGS, 1):
        kind[:-1][leg.is_in(name)] = place
    over = np.full(len(window.entries) + 1, -1, np.int64)
    over[values(window, "legs", "child")] = values(window, "legs", "delivery")
    parent = np.append(values(window, "entries", "parent"), -1)
    way, row, at = np.zeros(len(entry), np.int64), np.full(len(entry), -1, np.int64), entry.copy()
    while (at >= 0).any():
        met = kind[at] > 0
        way[met], row[met] = kind[at[met]], over[at[met]]
        at = np.where(met, -1, parent[at])
    return way, row


def _domains(words: pa.Array, codes: Ints) -> Ints:
    return Coded(codes, words).changed(lambda address: address.rpartition("@")[2]).hashed()
