"""When mail to an alias, or to a BCC's mailbox, was stored once: what tells that a doubling has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from logscan.checking.copies import roots
from logscan.tables.partials import together
from logscan.tables.recent import Hashes, Recent, hashed

if TYPE_CHECKING:
    from logscan.scan.window import Window

NONE = pd.DataFrame({"time": [], "root": [], "name": []}).astype({"time": "int64", "root": "int64", "name": "uint64"})
"""``time`` (UTC ns) at which a copy was stored, ``root`` of its mail (line), ``name``: :func:`of_alias` or :func:`of_box`."""


def of_alias(names: pd.Series) -> Hashes:
    """Return the names of aliases: they go right where they reach other mailboxes, or themselves, with one copy each."""
    return hashed(names)


def of_box(names: pd.Series) -> Hashes:
    """Return the names of mailboxes: a BCC goes right where its mailbox got one copy of a mail that went to others too."""
    return hashed(names, pd.Series(np.ones(len(names), np.int64)))


def look(window: Window, frame: pd.DataFrame, last: int) -> Recent:
    """Return when it went right in a window; ``frame`` as from :func:`logscan.checking.copies.told`, ``last`` its latest time."""
    some = frame.loc[frame["filtered"], ["time", "root", "mailbox", "store", "asked", "asked_at", "recipient"]]
    onward = some[((some["mailbox"] != some["asked_at"]) | (some["asked"] != some["recipient"])).to_numpy()]
    deliveries = window.deliveries
    final = (deliveries["final"] & (deliveries["entry"] >= 0)).to_numpy(dtype=np.bool_)
    root = window.entries["root"].to_numpy()[deliveries["entry"].to_numpy()[final]]
    boxes = deliveries["mailbox"][final].groupby(root).nunique()
    to_others = np.zeros(len(window.entries) + 1, np.bool_)
    to_others[boxes.index[boxes > 1].to_numpy(np.int64)] = True
    entry = deliveries["entry"].to_numpy()[some.index.to_numpy()]
    single = some.assign(others=to_others[roots(window)[entry]])
    single = single.drop_duplicates(["root", "mailbox", "store"])
    single = single[~single.duplicated(["root", "mailbox"], keep=False) & single["others"]]
    parts = [(onward, of_alias(onward["asked_at"])), (single, of_box(single["mailbox"]))]
    rows = pd.concat([part[["time", "root"]].assign(name=names) for part, names in parts], ignore_index=True)
    rows = rows.drop_duplicates(ignore_index=True)
    # They are never looked up one by one.
    return Recent.of(rows, np.broadcast_to(np.uint64(1), len(rows)), last)


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
