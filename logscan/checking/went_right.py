"""When mail to an alias, or to a BCC's mailbox, was stored once: what tells that a doubling has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.checking.copies import copies, firsts
from logscan.correlate.codes import distinct
from logscan.scan import coded
from logscan.scan.addresses import addresses
from logscan.tables import cells
from logscan.tables.grouping import combine
from logscan.tables.partials import together
from logscan.tables.recent import Hashes, Recent, hashed

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]

NONE = pd.DataFrame({"time": [], "root": [], "name": []}).astype({"time": "int64", "root": "int64", "name": "uint64"})
"""``time`` (UTC ns) at which a copy was stored, ``root`` of its mail (line), ``name``: :func:`of_alias` or :func:`of_box`."""


def of_alias(names: pd.Series) -> Hashes:
    """Return the names of aliases: they go right where they reach other mailboxes, or themselves, with one copy each."""
    return hashed(names)


def of_box(names: pd.Series) -> Hashes:
    """Return the names of mailboxes: a BCC goes right where its mailbox got one copy of a mail that went to others too."""
    return hashed(names, pd.Series(np.ones(len(names), np.int64)))


def look(window: Window, last: int) -> Recent:
    """Return when it went right in a window; ``last`` is the latest time (UTC ns) of its copies."""
    found, names = copies(window), addresses(window)
    at = np.flatnonzero(found.filtered)
    if not len(at):
        return _nothing()
    root, mailbox = firsts(window)[1][found.root[at]], found.mailbox[at]
    time = cells.ns(window.deliveries["time"])[found.row[at]]
    over, row = found.over[at], found.row[at]
    reached = (mailbox >= 0) & (mailbox == names.asked[over])
    onward = np.flatnonzero(~reached | (names.asked[row] != names.recipient[row]) | (names.recipient[row] < 0))
    once = _once(window, at)
    told = np.append(names.asked[over[onward]], mailbox[once])
    box = np.append(np.zeros(len(onward), np.bool_), np.ones(len(once), np.bool_))
    chosen = np.append(onward, once)
    key = combine(coded.ranked(time[chosen]), coded.ranked(root[chosen]), told, box.astype(np.int64))
    first = np.unique(key, return_index=True)[1]
    chosen, told, box = chosen[first], told[first], box[first]
    used, code = np.unique(told, return_inverse=True)
    words = coded.told(names.words, used)
    by_name = np.where(box, of_box(pd.Series(words))[code], of_alias(pd.Series(words))[code])
    rows = {"time": time[chosen], "root": root[chosen], "name": by_name}
    # They are never looked up one by one.
    return Recent.of(rows, np.broadcast_to(np.uint64(1), len(chosen)), last)


def _nothing() -> Recent:
    none = np.empty(0, np.int64)
    return Recent.of({"time": none, "root": none, "name": none.astype(np.uint64)}, none.astype(np.uint64), 0)


def _once(window: Window, at: Ints) -> Ints:
    """Return which of some copies their mailbox got once, where it wasn't the mail's only one."""
    deliveries, found, wide = window.deliveries, copies(window), len(addresses(window).words) + 1
    final = deliveries["final"].to_numpy(dtype=np.bool_) & (deliveries["entry"].to_numpy() >= 0)
    mailbox = addresses(window).mailbox
    rows = np.flatnonzero(final & (mailbox >= 0))
    root = window.entries["root"].to_numpy()[deliveries["entry"].to_numpy()[rows]]
    boxes = np.bincount(distinct(root * wide + mailbox[rows]) // wide, minlength=len(window.entries))
    box = found.root[at] * wide + found.mailbox[at] + 1
    first = np.sort(np.unique(combine(box, coded.ranked(found.store[at])), return_index=True)[1])
    _, of_row, count = np.unique(box[first], return_inverse=True, return_counts=True)
    out: Ints = first[(count[of_row] == 1) & (boxes[found.root[at[first]]] > 1)]
    return out


def folded(kept: pd.DataFrame, old: pd.DataFrame, copies: pd.DataFrame) -> pd.DataFrame:
    """Return, of what is older than all windows to come, what can still be the first time that it went right.

    That is the first of each name behind each time at which it may have gone wrong, and all of mails that did: those of
    ``copies``, which have others (columns as from ``told``, and ``group``).
    """
    good = joined(kept, old)
    suspect = good["root"].isin(copies["root"]).to_numpy()
    bad = _wrong(copies)
    bad = bad[bad["name"].isin(good["name"])]
    marks = pd.concat([good[~suspect].assign(bad=False), bad.assign(root=-1, bad=True)], ignore_index=True)
    # At the same time the good comes first: it isn't behind the bad.
    marks = marks.sort_values(["name", "time", "bad", "root"], kind="stable", ignore_index=True)
    spell = marks["bad"].cumsum().to_numpy()
    first = (
        ~marks["bad"].to_numpy(dtype=np.bool_)
        & ~marks.assign(spell=spell).duplicated(["name", "spell", "bad"]).to_numpy()
    )
    return together([good[suspect], marks.loc[first, list(NONE.columns)]]).reset_index(drop=True)


def _wrong(copies: pd.DataFrame) -> pd.DataFrame:
    """Return ``name`` and ``time`` of what may have gone wrong: all copies of a mail, under each name that it may be told by."""
    some = copies[["group", "time", "asked_first", "mailbox"]]
    names = [
        pd.DataFrame({"group": some["group"], "name": make})
        for make in (of_alias(some["asked_first"]), of_alias(some["mailbox"]), of_box(some["mailbox"]))
    ]
    told = pd.concat(names, ignore_index=True).drop_duplicates()
    return told.merge(some[["group", "time"]].drop_duplicates(), on="group")[["name", "time"]].drop_duplicates()


def joined(kept: pd.DataFrame, some: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of both, of one type always."""
    return together([kept, some[list(NONE.columns)].astype(NONE.dtypes.to_dict())])


def times(good: pd.DataFrame, name: Hashes, bad: set[int]) -> pd.Series:
    """Return the times at which a name (an array of one) went right, but for some mails."""
    mine = good[(good["name"] == name[0]).to_numpy() & ~good["root"].isin(bad).to_numpy()]
    return pd.to_datetime(mine["time"], unit="ns", utc=True)
