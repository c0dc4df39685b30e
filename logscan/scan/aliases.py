"""Which address each delivery was for before and after each expansion, and when an alias' trouble ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from logscan.correlate.codes import distinct, in_order, pairs
from logscan.correlate.links import beginnings, nearest
from logscan.scan import coded
from logscan.scan.addresses import Addresses, addresses
from logscan.scan.hops import dspam_hops
from logscan.scan.memo import per_window
from logscan.scan.mended import Mended
from logscan.tables import texts

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def top_rows(scan: Window) -> npt.NDArray[np.int64]:
    """Return, per delivery, the first delivery row of its chain: the hand-over from which, leg by leg, it came.

    A delivery of an entry that came out of nothing is its own.
    """
    deliveries, legs = scan.deliveries, scan.legs
    size = len(scan.entries)
    hand_over = np.full(size + 1, -1, np.int64)
    usable = legs["kind"].isin(["filter", "relay", "forward"]).to_numpy()
    hand_over[legs["child"].to_numpy()[usable]] = legs["delivery"].to_numpy()[usable]
    above = hand_over[deliveries["entry"].to_numpy()]
    return beginnings(np.where(above >= 0, above, np.arange(len(above))))


def asked(frame: pd.DataFrame) -> pd.Series:
    """Return the address each delivery was for as it came in, lower case."""
    return texts.lower(texts.either(frame["original_recipient"], frame["recipient"]))


@per_window
def through_filter(scan: Window) -> npt.NDArray[np.bool_]:
    """Return, per entry, whether it, or one that it came out of, came back from a filter."""
    came_back = (scan.entries["leg"] == "filter").to_numpy()
    place = np.arange(len(came_back))
    parent = scan.entries["parent"].to_numpy()
    out: npt.NDArray[np.bool_] = nearest(np.where(parent >= 0, parent, place), np.where(came_back, place, -1)) >= 0
    return out


class HandOvers(NamedTuple):
    """Hand-overs to a filter that learns per recipient, and what became of them behind it; arrays by hand-over.

    Addresses are codes of :func:`logscan.scan.addresses.addresses`, in lower case.
    """

    row: Ints
    """Of deliveries."""
    child: Ints
    """The entry that came out of the filter, or -1."""
    user: Ints
    """The recipient as the filter saw it."""
    asked: Ints
    """The address before the expansion in front of the filter, else the recipient."""
    known: Bools
    """What came out of the filter is in the log."""
    kept: Bools
    """The address is a mailbox, or lists itself."""
    by_local: Bools
    """local(8) expanded it, from aliases(5), which no option before the filter can do."""
    people: tuple[Ints, Ints]
    """Hand-over (its place here) and mailbox of what came out of those that were expanded, each pair once."""

    @property
    def expanded(self) -> Bools:
        """Behind the filter the address became other addresses."""
        return self.known & ~self.kept


@per_window
def handed_over(window: Window) -> HandOvers:
    """Return the hand-overs to a filter that learns per recipient, in the order of ``deliveries``."""
    deliveries, legs, told = window.deliveries, window.legs, addresses(window)
    row = np.flatnonzero(dspam_hops(window))
    child_of = np.full(len(deliveries) + 1, -1, np.int64)
    over = legs["delivery"].to_numpy()
    filters = np.flatnonzero(coded.of(legs["kind"]).equal("filter") & (over >= 0))
    child_of[over[filters]] = legs["child"].to_numpy()[filters]
    child, user = child_of[row], told.recipient[row]
    entry = deliveries["entry"].to_numpy()
    ended = deliveries["final"].to_numpy(dtype=np.bool_) | deliveries["last"].to_numpy(dtype=np.bool_)
    ends = np.flatnonzero(ended & _among(entry, child))
    at, end = pairs(child, entry[ends])
    end = ends[end]
    mine = (told.asked[end] == user[at]) & (user[at] >= 0)
    at, end = at[mine], end[mine]
    local = np.append(coded.of(deliveries["program"]).equal("local"), False)[end]
    number = np.bincount(at, minlength=len(row))
    kept = np.bincount(at[told.recipient[end] == user[at]], minlength=len(row)) > 0
    by_local = (np.bincount(at[local], minlength=len(row)) == number) & (number > 0)
    open_ = ~kept[at] & (told.mailbox[end] >= 0)
    width = len(told.words) + 1
    people = distinct(at[open_] * width + told.mailbox[end[open_]])
    return HandOvers(row, child, user, told.asked[row], number > 0, kept, by_local, (people // width, people % width))


def _among(entry: Ints, wanted: Ints) -> Bools:
    """Return which entries are among those wanted; -1 is none."""
    found = np.zeros(max(int(entry.max(initial=-1)), int(wanted.max(initial=-1))) + 2, np.bool_)
    found[wanted] = True
    found[-1] = False
    out: Bools = found[entry]
    return out


def told_of(window: Window, chosen: Bools) -> pd.DataFrame:
    """Return some of the hand-overs (bool by row of :func:`handed_over`), one row each.

    Columns: ``time``, ``entry``, ``host``, ``mail``, ``user`` (the recipient as the filter saw it), ``asked``, ``child``
    (entry or -1), ``expanded`` (behind the filter it became other addresses), ``kept`` (it is a mailbox, or lists itself),
    ``known`` (what came out of the filter is in the log), ``people`` (tuple of mailboxes, where expanded), ``by_local``
    (local(8) expanded it, from aliases(5), which no option before the filter can do), ``row``, ``outside``.
    """
    deliveries, told, found = window.deliveries, addresses(window), handed_over(window)
    some = np.flatnonzero(chosen)
    row = found.row[some]
    entry = deliveries["entry"].to_numpy()[row]
    people = np.full(len(some), None, object)
    people[found.expanded[some]] = _tuples(told, *found.people, some[found.expanded[some]]).to_numpy()
    return pd.DataFrame(
        {
            "time": deliveries["time"].array[row],
            "entry": entry,
            "outside": deliveries["outside"].to_numpy()[row],
            "row": row,
            "host": coded.of(window.entries["host"]).at(entry),
            "mail": deliveries["mail"].to_numpy()[row],
            "asked": coded.told(told.words, found.asked[some]),
            "child": found.child[some],
            "user": coded.told(told.words, told.raw[row]),
            "known": found.known[some],
            "kept": found.kept[some],
            "by_local": found.by_local[some],
            "expanded": found.expanded[some],
            "people": people,
        }
    )


def _tuples(told: Addresses, at: Ints, mailbox: Ints, rows: Ints) -> pd.Series:
    """Return the mailboxes of some hand-overs, sorted, as tuples; made by slices, since rows are many."""
    once, of_row = np.unique(mailbox, return_inverse=True)
    (rank,), names = in_order([np.arange(len(once))], told.words.take(pa.array(once)))
    order = np.lexsort((rank[of_row], at))
    ends = np.searchsorted(at, rows, "right").tolist()
    starts = np.searchsorted(at, rows, "left").tolist()
    words = names.take(pa.array(rank[of_row][order])).to_pylist()
    return pd.Series([tuple(words[a:b]) for a, b in zip(starts, ends, strict=True)], dtype="object")


Owned = dict[str, tuple[Mended | None, frozenset[str]]]
"""By alias that owns a dictionary: since when it no longer learns there, and the people behind it."""
