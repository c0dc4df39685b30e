"""Aliases that own a dictionary, told once from what all windows of a log showed: since when no longer, and for whom."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pandas as pd

from logscan.scan.aliases import Owned, owned_aliases
from logscan.scan.hops import dspam_hops
from logscan.tables import texts
from logscan.tables.latest import Latest, repeated
from logscan.tables.partials import Keyed

if TYPE_CHECKING:
    from logscan.scan.mended import Ends, Mended
    from logscan.scan.window import Window
    from logscan.tables.partials import Part, Partial

OWNING, KEEPING, PEOPLE, EXPANDED = "owning", "keeping", "people", "expanded"
"""The parts of a partial that this module makes and reads."""


def look(window: Window) -> dict[str, Part]:
    """Return what a window tells of addresses as DSPAM saw them.

    Which were expanded behind it (the last time, and to whom), which keep their mail, and when mail to an alias came to it
    expanded already.
    """
    if not dspam_hops(window).any():
        return _nothing()
    return _told(owned_aliases(window))


@functools.cache
def _nothing() -> dict[str, Part]:
    text, time = pd.Series([], dtype="str"), pd.Series([], dtype="datetime64[ns, UTC]")
    flag = pd.Series([], dtype="bool")
    made = {"user": text, "host": text, "time": time, "people": text.astype("object"), "asked": text}
    return _told(pd.DataFrame({**made, "expanded": flag, "kept": flag}))


def _told(frame: pd.DataFrame) -> dict[str, Part]:
    user, host = texts.lower(frame["user"].astype("str")), frame["host"].astype("str")
    seen = pd.DataFrame({"alias": user, "host": host, "last": frame["time"], "people": frame["people"]})
    bad = seen[frame["expanded"]]
    people = bad[["alias", "host", "people"]].explode("people").dropna(subset=["people"])
    right = (frame["asked"] != user).to_numpy()
    good = {"time": frame["time"], "alias": repeated(frame["asked"]), "host": repeated(host)}
    return {
        OWNING: Keyed.of(bad[["alias", "host", "last"]], most=["last"]),
        KEEPING: Keyed.of(seen.loc[frame["kept"], ["alias", "host"]]),
        PEOPLE: Keyed.of(people.rename(columns={"people": "person"}).astype({"person": "str"})),
        EXPANDED: Latest.latest(pd.DataFrame(good)[right]),
    }


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
