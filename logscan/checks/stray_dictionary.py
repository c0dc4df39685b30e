"""DSPAM keeps dictionaries that no mail comes to.

## What it finds
Dictionaries in DSPAM's home under whose names these logs show no mail: names without a domain beside the same name with one,
second spellings of an address, aliases that are expanded before the filter by now, addresses without a mailbox, people
elsewhere. One finding a kind.

## Why it matters
Each takes a few megabytes, and a name without a domain tells of training calls that went there: whoever made them trained in
vain. DSPAM makes a dictionary for every name that it is called with, without a line in any log.

## What the log shows
Nothing: the listing of the home does (`data/local/alice/alice.css` beside `data/example.com/alice/alice.css`), and that in
DSPAM's system.log and among Postfix's hand-overs no mail of that name stands.

## What to do
See that the calls name the whole address (training-misses-hash), then remove the folder. What an alias learned may be merged
into the people's dictionaries first (dspam_merge), or left to be learned anew.

## When it is wrong
Dictionaries that DSPAM's group file names (merged, shared) and those that were trained with success are passed over, and so
are people with a mailbox who got no mail for a while. All is a note but for names without a domain that were written to while
these logs were, though no call in them missed.

## When it is blind
Without a listing of DSPAM's home, or without mail that DSPAM judged. It isn't applicable where DSPAM isn't used, or keeps one
dictionary for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from logscan.checking.check import Check
from logscan.checking.limits import limits
from logscan.findings import Finding, Remedy, Result
from logscan.scan import judged, kinds, trainings
from logscan.scan.hops import NAMES
from logscan.scan.judged import Served
from logscan.scan.kinds import Kinds
from logscan.scan.pasts import DAY, newest, with_past
from logscan.tables import cells
from logscan.tables.partials import Keyed, Partial

if TYPE_CHECKING:
    import pandas as pd

    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings
    from logscan.settings.dspam_home import Inventory, UserData

NAME = "stray-dictionary"
DOMAINS = "local domains"

CAUSES = BARE, SPELLING, ALIAS, NOBODY, OUTSIDE = "bare-name", "second-spelling", "alias", "no-mailbox", "outside"


@dataclass(frozen=True)
class Limits:
    """When a dictionary counts as one that is still written to."""

    touched_hours: int = 24
    """Hours before the first line of these logs within which a file that was changed counts as changed in their time: a
    listing is made when the logs are, and a day is what a log covers at least."""


def look(window: Window, settings: Settings) -> Partial:
    """Keep for whom DSPAM has mail, what was trained, and which domains are local."""
    domains = Keyed.of(_domains(window), once=True)
    return Partial(
        {**judged.look(window), **kinds.look(window), trainings.CALLS: trainings.look(window), DOMAINS: domains}
    )


MOST_REMEMBERED = 2_000
"""Calls that a past has."""


def remember(partial: Partial, now: int) -> Partial:
    """Return for whom DSPAM had mail, and who trained it."""
    calls = newest(partial.parts[trainings.CALLS], "time", now - judged.PAST_DAYS * DAY, MOST_REMEMBERED)
    return Partial({**judged.remember(partial, now), trainings.CALLS: calls})


def _domains(window: Window) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"domain": pd.Series(sorted(window.correlated.local_domains), dtype="str")})


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each kind of dictionary that no mail comes to."""
    partial = with_past(partial, log, NAME)
    here, served, home = Kinds.of(partial, log), Served(partial), log.inventory
    users = [each for each in home.users.values() if each.dictionary or each.has_sig] if home is not None else []
    result = Result(eligible=len(users))
    if _without(result, log, here, served, home):
        return result
    assert home is not None
    result.checked = len(users)
    calls = trainings.told(partial.frame(trainings.CALLS))
    strays = _Strays(log, home, served, calls, frozenset(partial.frame(DOMAINS)["domain"]))
    groups: dict[str, list[UserData]] = {}
    for each in sorted(users, key=lambda each: each.user):
        if cause := strays.cause(each):
            groups.setdefault(cause, []).append(each)
    result.findings = [_finding(log, cause, some, strays) for cause, some in groups.items()]
    return result


def _without(result: Result, log: Log, here: Kinds, served: Served, home: Inventory | None) -> bool:
    """Say why strays can't be told, or can't be; return whether that is so."""
    if "dspam" not in here.names:
        result.eligible = 0
        if named := sorted(here.names - {"other"}):
            names = " and ".join(NAMES.get(kind, kind) for kind in named)
            result.not_applicable = (
                f"The filter here is {names}, which keeps no dictionary per user in a home of its own."
            )
        elif here.none:
            result.not_applicable = "No filter is set up here that could keep dictionaries."
        else:
            result.blind_because.append("whether DSPAM filters mail here isn't known: nothing in these logs names it")
    elif log.settings.dspam.fixed_user:
        result.not_applicable = f"DSPAM learns all mail under one user here ({log.settings.dspam.fixed_user})."
    elif home is None or not home.users:
        result.blind_because.append(
            f"DSPAM's home isn't at hand: give it with --dspam-home {log.settings.dspam.home}, or a listing of it "
            "(find . -printf '%y\\t%s\\t%T+\\t%p\\n')"
        )
    elif not served.users:
        result.blind_because.append("no mail that DSPAM judged in these logs: to whom mail comes isn't known")
    elif not served.all:
        result.blind_because.append("DSPAM has mail of too many users in these logs to tell who has none")
    else:
        return False
    return True


class _Strays:
    """Tells which dictionaries get no mail, and why they are there."""

    def __init__(self, log: Log, home: Inventory, served: Served, calls: pd.DataFrame, domains: frozenset[str]) -> None:
        settings = log.settings
        self.settings, self.served = settings, served.users
        self.local = settings.local_domains | domains
        self.known = {name.lower() for name in home.users} | served.users
        self.with_domain = {name.partition("@")[0].partition("+")[0] for name in self.known if "@" in name}
        self.groups = {fact.value.partition(":")[0].strip().lower() for fact in settings.dspam.groups}
        of_dspam = calls[(calls["filter"] == "dspam").to_numpy()]
        users = of_dspam["user"].astype("str").str.lower()
        self.missed = set(users[(of_dspam["outcome"] == "missed").to_numpy()].dropna())
        self.trained = set(users[(of_dspam["outcome"] == "learned").to_numpy()].dropna())
        complete = bool(settings.mailboxes) and not settings.unresolved
        self.mailboxes = frozenset(settings.mailboxes) if complete else None
        begins = [source.bounds[0] for source in log.read.sources if source.bounds]
        hours = timedelta(hours=limits(log, NAME, Limits).touched_hours)
        start = cells.moment(min(begins)) if begins else None
        self.since: datetime | None = start - hours if start else None

    def cause(self, user: UserData) -> str:
        """Return why a dictionary that gets no mail is there; empty where it gets some, or is rightly there."""
        name = user.user.lower()
        if name in self.served or name in self.groups or name in self.trained:
            return ""
        local, at, domain = name.partition("@")
        if not at:
            return BARE if local.partition("+")[0] in self.with_domain else ""
        if domain not in self.local:
            return OUTSIDE if self.local else ""
        if name in self.settings.aliases:
            return ALIAS
        base = f"{local.partition('+')[0]}@{domain}"
        if base != name and base in self.known:
            return SPELLING
        return NOBODY if self.mailboxes is not None and base not in self.mailboxes and not self._caught(domain) else ""

    def _caught(self, domain: str) -> bool:
        """Whether the domain takes mail for any name."""
        return f"@{domain}" in self.settings.aliases or f"@{domain}" in (self.mailboxes or ())

    def live(self, user: UserData) -> bool:
        """Whether something writes to it still, and no call in these logs shows what."""
        changed = user.dictionary_mtime
        touched = changed is not None and self.since is not None and changed >= self.since
        return touched and user.user.lower() not in self.missed


TITLES = {
    BARE: ("names without a domain", "under a name without a domain, though mail comes to the same name with one"),
    SPELLING: ("second spellings", "under a second spelling of an address"),
    ALIAS: ("aliases", "under an alias that is expanded before it by now"),
    NOBODY: ("addresses without a mailbox", "under an address of this server that has no mailbox"),
    OUTSIDE: ("people elsewhere", "under an address elsewhere"),
}

CURES = {
    BARE: "See that every call names the whole address (training-misses-hash says how), then move the folders away: a copy of "
    "each goes with mv to a place outside DSPAM's home, and may be deleted a week later.",
    ALIAS: "Merge what was learned into the people's dictionaries (dspam_merge), or leave it; then move the folders out.",
}
ELSE = "Move the folders out of DSPAM's home while no mail comes to these names; DSPAM makes a new one when it is called for one."


def _finding(log: Log, cause: str, some: list[UserData], strays: _Strays) -> Finding:
    subject, words = TITLES[cause]
    live = [each for each in some if cause == BARE and strays.live(each)]
    size = sum(each.dictionary_size or 0 for each in some)
    named = f"{', '.join(each.user for each in some[:4])}{' …' if len(some) > 4 else ''}"
    n = len(some)
    room = f", {size / 1e6:,.0f} MB" if size else ""
    summary = f"DSPAM keeps {n:,} dictionar{'ies' if n != 1 else 'y'} {words} ({named}{room}), and no mail comes there"
    if live:
        summary += f"; {len(live):,} of them changed while these logs were written, and no call in them shows why"
    times = [each.dictionary_mtime for each in some if each.dictionary_mtime is not None]
    return Finding(
        cause=cause,
        subject=subject,
        summary=summary,
        severity="warning" if live else "note",
        confidence="medium",
        count=n,
        cases=[
            {
                "user": each.user,
                "addresses": [each.user] if "@" in each.user else [],
                "path": each.folder or None,
                "bytes": each.dictionary_size,
                "time": cells.iso(each.dictionary_mtime),
            }
            for each in some
        ],
        first=min(times, default=None),
        last=max(times, default=None),
        remedy=Remedy(CURES.get(cause, ELSE)),
        why="DSPAM makes a dictionary for every name that it is called with.",
    )


CHECK = Check(
    NAME,
    "DSPAM keeps dictionaries that no mail comes to",
    look=look,
    conclude=conclude,
    remember=remember,
    causes=CAUSES,
    order=430,
    group="filters",
    severity="warning",
    needs=("a listing of DSPAM's home", "mail that DSPAM judged"),
    related=("training-misses-hash", "alias-owns-hash"),
    limits=Limits,
    clear="No dictionary of DSPAM is astray ({checked:dictionary|dictionaries} looked at)",
    but="but for {noted:dictionary|dictionaries} that may be removed",
)
