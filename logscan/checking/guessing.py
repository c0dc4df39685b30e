"""Refused logins sorted by what they are: guesses of one network, guesses spread over many, a device's old password, a person's.

What tells them apart is the company they keep: whether the account ever got in from that network, how many accounts one
network tries, how many networks try one account, and how fast.
"""

from __future__ import annotations

import functools
import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.checking.guess_rows import DAY, HOUR, Usual, at_once, enough, linked, named, once, rushes, usual
from logscan.checking.limits import limits
from logscan.scan import login_tries
from logscan.scan.columns import joined, values
from logscan.scan.memo import per_window
from logscan.scan.networks import in_house, network, provider
from logscan.scan.pasts import chosen, new_rows, newest, past, shared
from logscan.tables.partials import Keyed, Part, Partial, hashes, merged

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Limits:
    """What makes refused logins a guess; all are per network (an IPv4 /24, an IPv6 /64), where nothing else is said."""

    accounts: int = 3
    """Accounts that one network tries in vain: one person has one or two; three and a rush of tries is a list of names."""
    rush: int = 12
    """Tries within twenty minutes, at that many accounts: two people who mistype six times each are as many."""
    rush_at_one: int = 15
    """Tries within twenty minutes at one or two accounts: a person gives up earlier, and a mail program asks its user."""
    steady: int = 40
    """Tries within twenty minutes up to which a rhythm kept for hours is a device's: one that looks twice a minute."""
    slow_accounts: int = 5
    """Accounts that make a slow network a guesser: a household has fewer, and an office logs in too."""
    slow_tries: int = 30
    """Tries that it must have made."""
    strangers: int = 5
    """Accounts unknown here that must be tried from a network by which users get in (an office, a webmail, a proxy)."""
    people: int = 3
    """Users who get in from a network that make it such a shared one."""
    networks: int = 6
    """Networks that try one account in vain within a day: a phone on the road meets fewer that have different providers."""
    providers: int = 4
    """Providers (IPv4 /12, IPv6 /32) that these networks must belong to: a mobile network has few."""
    unknown_addresses: int = 12
    """Addresses that these must be where nobody here has that account: robots try info and admin everywhere, all the time."""
    all_networks: int = 20
    """Networks that try any accounts in vain within a day, and from which nobody ever got in."""
    known_networks: int = 10
    """The same, for accounts that there are here: robots that try names at random seldom hit those."""
    all_providers: int = 6
    """Providers that these networks belong to at least: one provider's customers have many networks."""
    unusual_networks: int = 8
    """Networks at work in an hour or a day that the server's own share of failures doesn't explain."""
    alike: float = 0.001
    """Chance that any hour, or any day, of a log without an attack is taken for unusual (beta-binomial of the other hours)."""
    device_tries: int = 6
    """Tries from which an old password in a device is told from a person's mistakes."""
    device_hours: int = 3
    """Different hours that these must lie in: a person doesn't try all day."""


BOXES = "boxes"


@per_window
def look(window: Window) -> dict[str, Part]:
    """Return the parts that the checks of accounts share: refused logins and others, and the mailboxes there are (hashes)."""
    return {**login_tries.parts(window), BOXES: _boxes(window)}


def _boxes(window: Window) -> Keyed:
    here = values(window, "deliveries", "final") & ~values(window, "deliveries", "outside")
    names = joined(window, "deliveries", "mailbox").take(here)
    found = names.hashed_values()[names.used()]
    return Keyed.of({"box": np.unique(found)}, once=True)


KINDS = ("home", "loud", "spread", "device", "quiet")
"""What a refused login is: of a user at home there, of a network that guesses, of many that do together, of a device with an
old password, or of nobody knows whom."""


@dataclass(frozen=True)
class Guesses:
    """All refused logins, and what they were found to be."""

    rows: pd.DataFrame
    """address, network, user, how, slot, n, first, last (UTC ns), place, kind; ``source``: the address or network that guesses;
    ``base``: the network that a device is in, or its provider; ``fresh``: how many of ``n`` the new lines tell
    (:func:`~logscan.checking.guess_rows.new_lines`), all where no past is remembered. In the order of time."""
    good: pd.DataFrame
    """network, user → n, first, last, place, opened, fresh."""
    shared: frozenset[str]
    """Networks by which several users get in."""
    usual: tuple[Usual, ...]
    """What share of the logins fails as a rule, by hour and by day; none where the log is too short to tell."""
    nowhere: int
    """Refused logins of which no line tells the address."""
    left: int
    """Refused logins that were too many to be kept one by one."""
    boxes: frozenset[int]
    """Hashes of the mailboxes that got mail."""
    mailboxes: frozenset[str]
    """Mailboxes of the configuration, in lower case."""

    def known(self, user: str) -> bool:
        """Whether an account is one of this server's: somebody got in by it, or it has a mailbox."""
        return bool(user) and (user in self.users or user in self.mailboxes or int(hashes([user])[0]) in self.boxes)

    @functools.cached_property
    def users(self) -> frozenset[str]:
        """The accounts by which somebody got in."""
        return frozenset(self.good["user"])

    @functools.cached_property
    def _good_places(self) -> dict[Any, Ints]:
        return dict(self.good.groupby("user").indices)

    def good_of(self, user: str) -> pd.DataFrame:
        """Return the rows of ``good`` of one account."""
        return self.good.take(self._good_places.get(user, np.empty(0, np.int64)))

    @functools.cached_property
    def guessed(self) -> dict[str, int]:
        """When each account was first guessed at (UTC ns)."""
        guesses = self.rows[self.rows["kind"].isin(["loud", "spread"])]
        first = guesses.groupby("user")["first"].min()
        return dict(zip(first.index.tolist(), first.tolist(), strict=True))

    def of(self, kind: str) -> pd.DataFrame:
        """Return the rows of one kind."""
        return self.rows[self.rows["kind"] == kind]


_MADE: weakref.WeakKeyDictionary[Log, tuple[tuple[Part, ...], Guesses]] = weakref.WeakKeyDictionary()


def guesses(partial: Partial, log: Log) -> Guesses:
    """Return what the refused logins are; the checks that share the parts share the answer, whose frames nobody changes."""
    before = past(log, *PARTS)
    asked = tuple(each.parts[name] for each in (partial, before) if each is not None for name in PARTS)
    known = _MADE.get(log)
    if known is None or len(known[0]) != len(asked) or any(a is not b for a, b in zip(known[0], asked, strict=True)):
        known = _MADE[log] = asked, _guesses(partial, before, log)
    return known[1]


PARTS = (login_tries.TRIES, login_tries.GOOD, login_tries.SLOTS, BOXES)

TRIED_DAYS, GOOD_DAYS, SLOT_DAYS = 7, 42, 28
"""Days that a past tells of: refused logins, as :class:`guess-succeeded <logscan.checks.guess_succeeded.Limits>` looks back;
where accounts get in from, as people come back from holidays; how many logins there are as a rule, four weeks of days."""

MOST_TRIED, MOST_GOOD, MOST_BOXES = 15_000, 20_000, 20_000
"""Rows that a past has of each; some 20 bytes each."""


@shared(*PARTS)
def remember(partial: Partial, now: int) -> dict[str, Part]:
    """Return what later runs may ask for."""
    tries, good, slots, boxes = (partial.parts[name] for name in PARTS)
    assert isinstance(boxes, Keyed)
    return {
        login_tries.TRIES: newest(tries, "last", now - TRIED_DAYS * DAY, MOST_TRIED),
        login_tries.GOOD: newest(good, "last", now - GOOD_DAYS * DAY, MOST_GOOD),
        login_tries.SLOTS: newest(slots, "slot", (now - SLOT_DAYS * DAY) // login_tries.SLOT, MOST_TRIED),
        BOXES: Keyed.of({"box": np.sort(boxes.columns["box"])[:MOST_BOXES]}, once=True),
    }


def _guesses(partial: Partial, before: Partial | None, log: Log) -> Guesses:
    known = limits(log, "password-guessing", Limits)
    every = partial if before is None else merged([Partial(chosen(partial, PARTS)), before])
    good = named(new_rows(partial.frame(login_tries.GOOD), before and before.frame(login_tries.GOOD), "n"), log)
    good = good.groupby(["network", "user"], as_index=False).agg(
        {"n": "sum", "first": "min", "place": "min", "opened": "min", "last": "max", "fresh": "sum"}
    )
    tries = partial.parts[login_tries.TRIES]
    assert isinstance(tries, Keyed)
    slots = every.frame(login_tries.SLOTS)
    tried = new_rows(tries.frame, before and before.frame(login_tries.TRIES), "n")
    if before is not None:
        tried = tried.groupby(list(login_tries.TRIED), as_index=False).agg(
            {"n": "sum", "first": "min", "place": "min", "last": "max", "fresh": "sum"}
        )
    rows, nowhere = once(named(tried, log, frozenset(good["user"])), slots)
    rows["network"] = pd.Series([network(each) for each in rows["address"].tolist()], index=rows.index, dtype="str")
    rows = rows[rows["network"] != ""]
    rows = rows.sort_values(["first", "place", "address", "user", "how"], kind="stable", ignore_index=True)
    boxes = frozenset(every.frame(BOXES)["box"].tolist())
    mailboxes = frozenset(each.lower() for each in log.settings.mailboxes)
    rows["kind"], rows["source"] = "quiet", rows["address"]
    rows.loc[_home(rows, good, known), "kind"] = "home"
    shared, left = _shared(rows, good, known, log.settings), int(tries.rest[0]) if tries.rest else 0
    found = Guesses(rows, good, shared, (), nowhere, left, boxes, mailboxes)
    for by in ("address", "network"):
        _tell_loud(found, known, by)
    _tell_devices(found, known)
    return _tell_spread(found, slots, known)


def _shared(rows: pd.DataFrame, good: pd.DataFrame, known: Limits, settings: Settings) -> frozenset[str]:
    """Return the networks by which several users get in: those who did before so many others were tried there in vain."""
    own = {net for net in rows["network"].unique().tolist() if net in OWN or settings.is_mine(net.partition("/")[0])}
    if good.empty or rows.empty:
        return frozenset(own)
    tried = (
        rows[(rows["kind"] == "quiet") & (rows["user"] != "")].groupby(["network", "user"])["first"].min().sort_values()
    )
    nth = tried.groupby("network").cumcount()
    many = tried[nth == known.accounts - 1].reset_index().set_index("network")["first"]
    before = good[good["first"] < good["network"].map(many).fillna(np.iinfo(np.int64).max)]
    users = before.groupby("network")["user"].nunique()
    return frozenset((set(users.index[users >= known.people]) | own) - {""})


OWN = ("127.0.0.0/24", "::/64")
"""Loopback: what connects from there is a webmail, or another program of this host's."""


def _home(rows: pd.DataFrame, good: pd.DataFrame, known: Limits) -> Bools:
    """Return which tries are of somebody who gets in from there: before them, or after a few."""
    total = rows.groupby(["network", "user"]).agg(first=("first", "min"), n=("n", "sum")).reset_index()
    both = total.merge(good, on=["network", "user"], suffixes=("", "_good"))
    mine = both[(both["first_good"] < both["first"]) | (both["n"] < known.rush_at_one)]
    pairs = set(zip(mine["network"].tolist(), mine["user"].tolist(), strict=True))
    # A try without a name may be of whoever gets in from there.
    nets = set(good["network"])
    return np.array(
        [
            (net, user) in pairs or (not user and net in nets)
            for net, user in zip(rows["network"].tolist(), rows["user"].tolist(), strict=True)
        ],
        np.bool_,
    )


def _tell_loud(found: Guesses, known: Limits, by: str) -> None:
    """Mark the tries of addresses, or of networks, that guess alone; ``by`` is the column that names them."""
    rows = found.rows
    some = rows[rows["kind"] == "quiet"]
    if found.shared:
        here = {user for user in some["user"].unique().tolist() if found.known(user)}
        mine = (some["network"].isin(found.shared) & some["user"].isin(here)).to_numpy(dtype=np.bool_)
        some = some[~mine]
    if some.empty:
        return
    told = some.assign(hour=some["first"] // HOUR, nameless=some["user"] == "")
    groups = told.groupby(by)
    n, addresses = groups["n"].sum(), groups["address"].nunique()
    users = told[~told["nameless"]].groupby(by)["user"].nunique().reindex(n.index, fill_value=0).clip(lower=1)
    rush, hours = rushes(some, [by]), told.groupby([by, "hour"])["n"].sum().groupby(by).agg(["size", "max", "median"])
    steady = (hours["size"] >= known.device_hours) & (hours["max"] <= 3 * hours["median"]) & (rush < known.steady)
    loud = (users >= known.accounts) & (rush >= known.rush)
    loud |= (rush >= known.rush_at_one) & ~(steady & (users < known.accounts) & (addresses == 1))
    loud |= (users >= known.slow_accounts) & (n >= known.slow_tries)
    loud |= groups["nameless"].all() & (n >= known.slow_tries) & (addresses > 1)
    shared = groups["network"].first().isin(found.shared)
    loud &= ~shared | ((users >= known.strangers) & (n >= known.rush_at_one))
    marked = some.index[some[by].isin(set(loud.index[loud]))]
    rows.loc[marked, "kind"] = "loud"
    rows.loc[marked, "source"] = rows.loc[marked, by]


def _tell_devices(found: Guesses, known: Limits) -> None:
    """Mark tries that come from one place at one account or two, hour after hour; at any number where several get in.

    The place is a network, in which a device has one address most of the time; or a provider by which the account gets in
    too, where a telephone has another address each time. Who guesses together has many addresses in one network.
    """
    rows = found.rows
    rows["base"] = rows["network"]
    at_home = {
        (provider(net), user)
        for net, user in zip(found.good["network"].tolist(), found.good["user"].tolist(), strict=True)
    }
    for by in ("network", "provider"):
        some = rows[(rows["kind"] == "quiet") & (rows["user"] != "")]
        bases = some["network"] if by == "network" else some["network"].map(provider).astype("str")
        some = some.assign(base=bases, hour=some["first"] // HOUR)
        if some.empty:
            continue
        users, pairs = some.groupby("base")["user"].nunique(), some.groupby(["base", "user"])
        total = pairs.agg(n=("n", "sum"), hours=("hour", "nunique"))
        total["most"] = some.groupby(["base", "user", "address"])["n"].sum().groupby(["base", "user"]).max()
        total = total[(total["n"] >= known.device_tries) & (total["hours"] >= known.device_hours)]
        one_most = (total["most"] * 2 >= total["n"]).tolist()
        few = set(users.index[users < known.accounts]) | found.shared
        chosen = {
            pair
            for pair, one in zip(total.index.tolist(), one_most, strict=True)
            if pair[0] in few and (one or pair in at_home)
        }
        flags = [pair in chosen for pair in zip(some["base"].tolist(), some["user"].tolist(), strict=True)]
        marked = some[np.array(flags, np.bool_)]
        rows.loc[marked.index, "kind"] = "device"
        rows.loc[marked.index, "base"] = marked["base"]


def _tell_spread(found: Guesses, slots: pd.DataFrame, known: Limits) -> Guesses:
    """Mark the tries of many networks that guess together."""
    rows = found.rows
    told = usual(rows, slots, known.alike)
    inside = set(found.good["network"])
    own = {net for net in rows["network"].unique().tolist() if net in found.shared or in_house(net)}
    outside = ~rows["network"].isin(own).to_numpy(dtype=np.bool_)
    # One account, many networks; of those in the rhythm of a device, one may be one, three are none.
    rhythm = rows[outside & (rows["kind"] == "device").to_numpy()].groupby("user")["network"].nunique()
    many = set(rhythm.index[rhythm >= known.networks // 2])
    for also in (False, True):
        of = rows["kind"].eq("quiet") | (rows["kind"].eq("device") & rows["user"].isin(many) if also else False)
        free = outside & of.to_numpy(dtype=np.bool_) & rows["user"].ne("").to_numpy(dtype=np.bool_)
        rows.loc[_at_one_account(found, rows[free], known), "kind"] = "spread"
    # What else those networks tried meanwhile.
    part = set(rows.loc[rows["kind"] == "spread", "network"])
    rows.loc[(rows["kind"] == "quiet").to_numpy() & outside & rows["network"].isin(part).to_numpy(), "kind"] = "spread"
    # Many accounts, many networks, none of which anybody ever came from.
    quiet = rows["kind"].isin(["quiet", "spread"]).to_numpy() & outside & ~rows["network"].isin(inside).to_numpy()
    some = rows[quiet]
    here = {user for user in some["user"].unique().tolist() if found.known(user)}
    for part, networks in ((some[some["user"].isin(here)], known.known_networks), (some, known.all_networks)):
        times, nets = part["first"].to_numpy(), part["network"].tolist()
        rows.loc[part.index[at_once(times, nets, networks, known.all_providers)], "kind"] = "spread"
    first = some["first"].to_numpy()
    for each in told:
        odd = each.inside(first)
        if enough(some["network"][odd].tolist(), known.unusual_networks, known.providers):
            rows.loc[some.index[odd], "kind"] = "spread"
    return replace(found, usual=told)


def _at_one_account(found: Guesses, some: pd.DataFrame, known: Limits) -> Ints:
    """Return the rows (labels) of tries of many networks at one account."""
    many = some.groupby("user")["network"].nunique()
    some = some[some["user"].isin(set(many.index[many >= known.networks]))]
    index, first = some.index.to_numpy(), some["first"].to_numpy()
    nets, addresses = (np.array(some[name].tolist(), object) for name in ("network", "address"))
    out = [np.empty(0, np.int64)]
    for user, place in some.groupby("user").indices.items():
        # Names that robots try everywhere (info, admin) and that don't exist here are a noise that never ends.
        here = found.known(str(user))
        least = 0 if here else known.unknown_addresses
        args = (first[place], nets[place].tolist(), known.networks, known.providers, addresses[place].tolist(), least)
        chosen = at_once(*args)
        out.append(index[place[linked(first[place], chosen) if here else chosen]])
    return np.concatenate(out)
