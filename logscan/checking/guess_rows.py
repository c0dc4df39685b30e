"""Rows of refused logins, each try once, and what is counted of them: rushes, networks at work within a day, unusual hours."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.checking.beta_binomial import BetaBinomial, unusual
from logscan.scan import login_tries
from logscan.scan.networks import provider

if TYPE_CHECKING:
    from logscan.scan.log import Log

Ints = npt.NDArray[np.int64]

HOUR, DAY = 3600 * 10**9, 24 * 3600 * 10**9


def named(frame: pd.DataFrame, log: Log, users: frozenset[str] | None = None) -> pd.DataFrame:
    """Return rows whose users without a domain have the one that they have elsewhere, where it is one only."""
    whole = {each for each in (users if users is not None else set(frame["user"])) if "@" in each}
    whole |= {each.lower() for each in log.settings.mailboxes if "@" in each}
    of_local: dict[str, set[str]] = {}
    for each in whole:
        of_local.setdefault(each.rpartition("@")[0], set()).add(each)
    only = {local: next(iter(names)) for local, names in of_local.items() if len(names) == 1}
    names = [only.get(user, user) for user in frame["user"].tolist()]
    return frame.assign(user=pd.Series(names, index=frame.index, dtype="str"))


def once(frame: pd.DataFrame, slots: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return each try once, without those of times at which no password could be checked, and how many tell no address.

    What Dovecot's auth and saslauthd tell again counts only for an address of which no other line tells, or tells a name.
    """
    down = slots[(slots["behind"] >= AWAY_LEAST) & (slots["good"] == 0)]["slot"]
    frame = _answered(frame[~frame["slot"].isin(set(down))])
    again = (frame["how"] == "auth").to_numpy(dtype=np.bool_)
    by = frame.assign(own=~again, named=~again & (frame["user"] != "").to_numpy(dtype=np.bool_), again=again)
    of_address = by.groupby("address")[["own", "named", "again"]].transform("any")
    take_again = of_address["again"] & ~of_address["named"]
    some = frame[(take_again == by["again"]).to_numpy(dtype=np.bool_)].copy()
    some.loc[(some["how"] == "auth") & of_address["own"].loc[some.index], "how"] = "smtp"
    nowhere = some["address"] == ""
    count = int(some.loc[nowhere, "n"].sum()) if nowhere.all() else 0
    return some[~nowhere].copy(), count


def _answered(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the tries without those whose answer smtpd lost, but for those of an address that got others just then."""
    lost = (frame["how"] == login_tries.LOST).to_numpy(dtype=np.bool_)
    if not lost.any():
        return frame
    told = frame[~lost & (frame["how"] == "smtp").to_numpy(dtype=np.bool_)]
    near = {
        (address, slot + step)
        for address, slot in zip(told["address"].tolist(), told["slot"].tolist(), strict=True)
        for step in (-1, 0, 1)
    }
    kept = (
        np.array(
            [pair in near for pair in zip(frame["address"].tolist(), frame["slot"].tolist(), strict=True)], np.bool_
        )
        | ~lost
    )
    out = frame[kept].copy()
    out.loc[out["how"] == login_tries.LOST, "how"] = "smtp"
    return out


AWAY_LEAST = 3
"""Complaints of ten minutes about a database or directory that gave no answer, while nobody got in, that let refusals of this
time be an outage's: Dovecot before 2.4 says ``auth failed`` then too."""


def rushes(rows: pd.DataFrame, keys: list[str]) -> pd.Series:
    """Return, by key, the most tries within two slots that follow each other: twenty minutes at most, ten at least."""
    by = rows.groupby([*keys, "slot"])["n"].sum().reset_index()
    following = by.merge(by.assign(slot=by["slot"] - 1), on=[*keys, "slot"], how="left", suffixes=("", "_next"))
    both = following["n"] + following["n_next"].fillna(0)
    out: pd.Series = both.groupby([following[key] for key in keys]).max().astype("int64")
    return out


def usual(rows: pd.DataFrame, slots: pd.DataFrame, alike: float) -> tuple[BetaBinomial | None, int, set[int]]:
    """Return the usual share of failures by hour, of how many hours, and the hours that it doesn't explain.

    Networks that guess alone and devices are no part of it: they are told by themselves.
    """
    mine = rows[rows["kind"].isin(["quiet", "home"])]
    failed = mine.groupby(mine["first"] // HOUR)["n"].sum()
    good = slots.groupby(slots["slot"] * login_tries.SLOT // HOUR)["good"].sum()
    both = pd.DataFrame({"failed": failed, "good": good}).fillna(0).astype("int64")
    both = both[(both["failed"] + both["good"]) > 0].sort_index()
    if len(both) < LEAST_HOURS:
        return None, 0, set()
    n = (both["failed"] + both["good"]).to_numpy()
    odd, usual = unusual(both["failed"].to_numpy(), n, alike)
    return usual, int((~odd).sum()), set(both.index[odd].tolist())


LEAST_HOURS = 24
"""Hours with logins that a distribution is fitted to: fewer tell nothing of what is usual."""


def at_once(first: list[int], nets: list[str], networks: int, providers: int) -> bool:
    """Whether so many networks of so many providers tried within a day; ``first`` is in order (UTC ns)."""
    if len(set(nets)) < networks:
        return False
    there: Counter[str] = Counter()
    begin = 0
    for row, net in enumerate(nets):
        there[net] += 1
        while first[row] - first[begin] > DAY:
            there[nets[begin]] -= 1
            if not there[nets[begin]]:
                del there[nets[begin]]
            begin += 1
        if len(there) >= networks and enough(there, networks, providers):
            return True
    return False


def enough(there: Counter[str], networks: int, providers: int) -> bool:
    """Whether these are so many networks, of so many providers."""
    return len(there) >= networks and len({provider(net) for net in there}) >= providers


def steady_gap(first: Ints) -> tuple[float, bool]:
    """Return the median seconds between times, and whether most of the gaps are like it (half differ by less than half)."""
    gaps = np.diff(np.sort(first).astype(np.float64)) / 1e9
    if not len(gaps):
        return 0.0, False
    middle = float(np.median(gaps))
    return middle, bool(len(gaps) > 2 and float(np.median(np.abs(gaps - middle))) <= middle / 2)
