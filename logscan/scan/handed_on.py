"""What was handed on, to a filter, another instance or host of ours, and isn't seen again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from logscan.correlate.codes import distinct
from logscan.scan.addresses import addresses
from logscan.scan.columns import joined, values
from logscan.scan.memo import per_window
from logscan.tables.grouping import combine

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@per_window
def gone(window: Window) -> Ints:
    """Return the rows of the last hand-overs of mails whose recipient isn't seen again, in order.

    Seen is a recipient for whom the mail came out, under the same address or one that it was expanded from; and where what
    came out has recipients that nobody asked for, or none yet, nobody can say that one is missing.
    """
    entry = values(window, "deliveries", "entry")
    handed = joined(window, "deliveries", "outcome").is_in("handed-on") & values(window, "deliveries", "last")
    rows = np.flatnonzero(handed & (values(window, "deliveries", "mail") >= 0))
    if not len(rows):
        return rows
    onward = np.flatnonzero(~joined(window, "legs", "kind").is_in("bounce"))
    named, has_child = np.zeros(len(entry) + 1, np.bool_), np.zeros(len(window.entries) + 1, np.bool_)
    named[values(window, "legs", "delivery")[onward]] = True
    has_child[values(window, "legs", "parent")[onward]] = True
    rows = rows[~named[rows]]
    among = np.flatnonzero(has_child[entry[rows]])
    if len(among):
        rows = np.delete(rows, among[_asked_for(window, rows[among], onward)])
    return rows


def _asked_for(window: Window, rows: Ints, onward: Ints) -> Bools:
    """Return which hand-overs have their recipient among what came out of their entry, or can't tell; ``onward`` are legs."""
    entry, parent = values(window, "deliveries", "entry"), values(window, "legs", "parent")
    names, size = addresses(window), len(window.entries)
    wanted = np.zeros(size + 1, np.bool_)
    wanted[entry[rows]] = True
    legs = onward[wanted[parent[onward]]]
    of_child = np.full(size + 1, -1, np.int64)
    of_child[values(window, "legs", "child")[legs]] = parent[legs]
    out = np.flatnonzero(of_child[entry] >= 0)
    handed = np.flatnonzero(wanted[entry] & (entry >= 0))
    mailbox = np.where(names.mailbox >= 0, names.mailbox, names.recipient)
    asked = [(entry[handed], each[handed]) for each in (names.recipient, mailbox)]
    given = [(of_child[entry[out]], each[out]) for each in (names.recipient, names.asked, mailbox)]
    whole = combine(
        np.concatenate([*(of for of, _ in asked), *(of for of, _ in given)]),
        np.concatenate([*(name for _, name in asked), *(name for _, name in given)]),
    )
    parts = np.split(whole, np.cumsum([len(of) for of, _ in (*asked, *given)])[:-1])
    strange = ~np.logical_or.reduce([np.isin(each, np.concatenate(parts[:2])) for each in parts[2:]])
    back = np.concatenate(parts[2:])
    seen = np.isin(parts[0], back) | np.isin(parts[1], back)
    unsure = np.zeros(size + 1, np.bool_)
    unsure[of_child[entry[out[strange]]]] = True
    mute = np.flatnonzero(of_child[:-1] >= 0)
    mute = mute[(values(window, "entries", "untried")[mute] > 0) | ~np.isin(mute, distinct(entry[out]))]
    unsure[of_child[mute]] = True
    unsure[-1] = False
    place = np.full(len(entry), -1, np.int64)
    place[handed] = np.arange(len(handed))
    found: Bools = seen[place[rows]] | unsure[entry[rows]]
    return found
