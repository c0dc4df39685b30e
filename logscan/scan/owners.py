"""Aliases that own a dictionary, told once from what all windows of a log showed: since when no longer, and for whom."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from logscan.correlate.codes import distinct
from logscan.scan import coded
from logscan.scan.addresses import addresses
from logscan.scan.aliases import Owned, handed_over
from logscan.scan.coded import category
from logscan.scan.hops import dspam_hops
from logscan.scan.judged import PAST_DAYS
from logscan.scan.memo import per_window
from logscan.scan.pasts import DAY, newest, shared
from logscan.tables import cells
from logscan.tables.latest import MOST_LATEST, Latest
from logscan.tables.partials import Keyed

if TYPE_CHECKING:
    from logscan.scan.mended import Ends, Mended
    from logscan.scan.window import Window
    from logscan.tables.partials import Part, Partial

Ints = npt.NDArray[np.int64]

OWNING, KEEPING, PEOPLE, EXPANDED = "owning", "keeping", "people", "expanded"
"""The parts of a partial that this module makes and reads."""


@per_window
def look(window: Window) -> dict[str, Part]:
    """Return what a window tells of addresses as DSPAM saw them.

    Which were expanded behind it (the last time, and to whom), which keep their mail, and when mail to an alias came to it
    expanded already.
    """
    if not dspam_hops(window).any():
        return _nothing()
    told, found, deliveries = addresses(window), handed_over(window), window.deliveries
    host = coded.of(window.entries["host"])
    names = Names(told.words, host.words)
    at, time = host.codes[deliveries["entry"].to_numpy()[found.row]], cells.ns(deliveries["time"])[found.row]
    bad = np.flatnonzero(found.expanded)
    key, last = _latest(names.key(found.user[bad], at[bad]), time[bad])
    hop, person = found.people
    people = distinct(names.key(found.user[hop], at[hop]) * names.wide + person)
    right = np.flatnonzero((found.asked != found.user) | (found.user < 0))
    kept = distinct(names.key(found.user, at)[found.kept])
    return _parts(
        {**names.of(key), "last": coded.times(last)},
        names.of(kept),
        {**names.of(people // names.wide), "person": coded.told(told.words, people % names.wide)},
        {
            "time": coded.times(time[right]),
            "alias": category(told.words, found.asked[right]),
            "host": category(host.words, at[right]),
        },
    )


class Names(NamedTuple):
    """Addresses and hosts by code; a pair of both is one number."""

    aliases: pa.Array
    hosts: pa.Array

    @property
    def wide(self) -> int:
        """More than there are codes of addresses."""
        return len(self.aliases) + 1

    def key(self, alias: Ints, host: Ints) -> Ints:
        """Return the number of each pair."""
        return (host + 1) * self.wide + alias + 1

    def of(self, key: Ints) -> dict[str, Any]:
        """Return the columns ``alias`` and ``host`` of some numbers."""
        alias, host = key % self.wide - 1, key // self.wide - 1
        return {"alias": coded.told(self.aliases, alias), "host": coded.told(self.hosts, host)}


def _latest(key: Ints, time: Ints) -> tuple[Ints, Ints]:
    """Return the distinct keys, and the last time of each."""
    once, of_row = np.unique(key, return_inverse=True)
    last = np.full(len(once), np.iinfo(np.int64).min)
    np.maximum.at(last, of_row, time)
    return once, last


def _parts(owning: Any, keeping: Any, people: Any, expanded: Any) -> dict[str, Part]:
    return {
        OWNING: Keyed.of(pd.DataFrame(owning, copy=False), most=["last"], once=True),
        KEEPING: Keyed.of(pd.DataFrame(keeping, copy=False), once=True),
        PEOPLE: Keyed.of(pd.DataFrame(people, copy=False), once=True),
        EXPANDED: Latest.latest(pd.DataFrame(expanded, copy=False)),
    }


@functools.cache
def _nothing() -> dict[str, Part]:
    none, text = np.empty(0, np.int64), coded.words([])
    pair = {"alias": text, "host": text}
    time = coded.times(none)
    coded_pair = {name: category(pa.array([], pa.large_string()), none) for name in pair}
    return _parts({**pair, "last": time}, pair, {**pair, "person": text}, {"time": time, **coded_pair})


MOST_REMEMBERED = 5_000
"""Rows that a past has of each kind."""


@shared(OWNING, KEEPING, PEOPLE, EXPANDED)
def remember(partial: Partial, now: int) -> dict[str, Part]:
    """Return which aliases owned mail and who was behind them, and when mail to these came expanded."""
    owning = newest(partial.parts[OWNING], "last", now - PAST_DAYS * DAY, MOST_REMEMBERED)
    mine = set(owning.frame["alias"].tolist())
    expanded = newest(partial.parts[EXPANDED], "time", now - PAST_DAYS * DAY, MOST_LATEST)
    frame = expanded.frame
    of_mine = Latest.latest(frame[frame["alias"].astype("str").isin(mine)])
    kept: dict[str, Part] = {OWNING: owning, EXPANDED: newest(of_mine, "time", 0, MOST_REMEMBERED)}
    for name in (KEEPING, PEOPLE):
        rows = partial.frame(name)
        kept[name] = Keyed.of(rows[rows["alias"].isin(mine)].iloc[:MOST_REMEMBERED], once=True)
    return kept


def states(partial: Partial, ends: Ends) -> dict[tuple[str, str], Mended | None]:
    """Return, by alias and host, since when an alias that the filter learned under no longer owns its mail.

    Mended is what later came to the filter expanded.
    """
    bad, right = partial.frame(OWNING), partial.frame(EXPANDED)
    right = right[right["alias"].isin(bad["alias"])].astype({"alias": "str", "host": "str"})
    good = dict(iter(right.groupby(["alias", "host"])["time"]))
    out: dict[tuple[str, str], Mended | None] = {}
    for alias, host, last in zip(bad["alias"], bad["host"], bad["last"], strict=True):
        times = good.get((alias, host))
        out[alias, host] = ends.mended(last, times) if times is not None else None
    return out


def owning(partial: Partial, ends: Ends) -> Owned:
    """Return who owns a dictionary; where several hosts have an alias, it is mended when it is on each."""
    people: dict[tuple[str, str], set[str]] = {}
    for alias, host, person in partial.frame(PEOPLE)[["alias", "host", "person"]].itertuples(index=False):
        people.setdefault((alias, host), set()).add(person)
    keeping = set(partial.frame(KEEPING)[["alias", "host"]].itertuples(index=False, name=None))
    out: Owned = {}
    for (alias, host), ended in sorted(states(partial, ends).items(), key=lambda item: item[0]):
        if (alias, host) in keeping:
            continue
        names, last = frozenset(people.get((alias, host), ())), ended
        if (before := out.get(alias)) is not None:
            names |= before[1]
            last = max(before[0], ended, key=lambda each: each.since) if before[0] and ended else None
        out[alias] = (last, names)
    return out
