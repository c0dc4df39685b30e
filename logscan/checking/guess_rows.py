"""Rows of refused logins, each try once, and what is counted of them: rushes, networks at work within a day, unusual hours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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


def new_lines(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of which new lines tell, with ``n`` of these alone: what the past tells was told by an earlier run."""
    return rows[rows["fresh"] > 0].assign(n=lambda some: some["fresh"])


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
    count = int(some.loc[nowhere, "fresh"].sum()) if nowhere.all() else 0
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


@dataclass(frozen=True)
class Usual:
    """What share of the logins of an hour, or of a day, is refused to strangers as a rule."""

    width: int
    """Nanoseconds of the hour or of the day."""
    share: BetaBinomial
    """Fitted to those that stand out by nothing."""
    count: int
    """How many these are."""
    odd: frozenset[int]
    """Those that it doesn't explain, counted from 1970."""

    def inside(self, first: Ints) -> npt.NDArray[np.bool_]:
        """Return which times (UTC ns) lie in one that it doesn't explain."""
        out: npt.NDArray[np.bool_] = np.isin(first // self.width, np.array(sorted(self.odd), np.int64))
        return out

    @property
    def noun(self) -> str:
        """The word for it."""
        return "hour" if self.width == HOUR else "day"


LEAST = {HOUR: 24, DAY: 7}
"""Hours or days with logins that a distribution is fitted to: fewer tell nothing of what is usual. An hour's few logins fail
in clusters, so that a slow attack shows by the day only."""


def usual(rows: pd.DataFrame, slots: pd.DataFrame, alike: float) -> tuple[Usual, ...]:
    """Return the usual share of failures, by hour and by day, as far as the log is long enough.

    Networks that guess alone, devices, and people who mistype at home are no part of it: they are told by themselves.
    """
    mine = rows[rows["kind"] == "quiet"]
    found = []
    for width, least in LEAST.items():
        failed = mine.groupby(mine["first"] // width)["n"].sum()
        good = slots.groupby(slots["slot"] * login_tries.SLOT // width)["good"].sum()
        both = pd.DataFrame({"failed": failed, "good": good}).fillna(0).astype("int64")
        both = both[(both["failed"] + both["good"]) > 0].sort_index()
        if len(both) >= least:
            odd, share = unusual(both["failed"].to_numpy(), (both["failed"] + both["good"]).to_numpy(), alike)
            found.append(Usual(width, share, int((~odd).sum()), frozenset(both.index[odd].tolist())))
    return tuple(found)


class Counts:
    """Values that come and go, and how many different ones there are."""

    def __init__(self, values: Sequence[str]) -> None:
        self.values, self.there = values, Counter[str]()

    def come(self, row: int) -> None:
        """Count the value of a row."""
        self.there[self.values[row]] += 1

    def go(self, row: int) -> None:
        """Count it no more."""
        value = self.values[row]
        self.there[value] -= 1
        if not self.there[value]:
            del self.there[value]


def at_once(
    first: Ints, nets: Sequence[str], networks: int, providers: int, addresses: Sequence[str] = (), least: int = 0
) -> npt.NDArray[np.bool_]:
    """Return which tries lie in a day in which so many networks of so many providers tried.

    ``first`` is in order (UTC ns). ``least``: at least so many of the ``addresses`` must have.
    """
    out = np.zeros(len(first), np.bool_)
    if len(set(nets)) < networks:
        return out
    counted = [Counts(nets), Counts([provider(net) for net in nets]), *([Counts(addresses)] if least else [])]
    enough_ = [networks, providers, least]
    times = first.tolist()
    begin = done = 0
    for row, time in enumerate(times):
        for each in counted:
            each.come(row)
        while time - times[begin] > DAY:
            for each in counted:
                each.go(begin)
            begin += 1
        if all(len(each.there) >= some for each, some in zip(counted, enough_, strict=False)):
            out[max(begin, done) : row + 1] = True
            done = row + 1
    return out


def linked(first: Ints, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the chosen tries, and those that follow each other up to one of them, with no day between two."""
    together = np.append(0, np.cumsum(np.diff(first) > DAY))
    return np.isin(together, together[chosen])


def enough(nets: Iterable[str], networks: int, providers: int) -> bool:
    """Whether these are so many networks, of so many providers."""
    some = set(nets)
    return len(some) >= networks and len({provider(net) for net in some}) >= providers


def steady_gap(first: Ints) -> tuple[float, bool]:
    """Return the median seconds between times, and whether most of the gaps are like it (half differ by less than half)."""
    gaps = np.diff(np.sort(first).astype(np.float64)) / 1e9
    if not len(gaps):
        return 0.0, False
    middle = float(np.median(gaps))
    return middle, bool(len(gaps) > 2 and float(np.median(np.abs(gaps - middle))) <= middle / 2)
