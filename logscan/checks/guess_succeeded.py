"""A password was guessed: somebody got in from where passwords are tried.

## What it finds
Logins that succeeded from a network that tried other accounts in vain before, or the same account again and again. One
finding an account; a case is a network that it was entered from.

## Why it matters
The account is in a stranger's hands. Its mail is read, a rule that forwards it may be left behind, and sooner or later it
sends spam.

## What the log shows
Refused logins for several accounts from one network (an IPv4 /24, an IPv6 /64), then `imap-login: Login:` or
`sasl_username=` from the same. Postfix names who logged in only where a mail follows: a login without one leaves
`auth=1` in the line of the disconnect, and no name.

## What to do
Change the password at once, end what is open, and look for what was left behind: forwarding rules, mail sent.

## When it is wrong
At a network that several users get in from anyway (an office, a webmail, a proxy), and at a place where the account got in
before anybody failed there: both are passed over. So are people who mistype and get in then: those accounts don't count
among the tried ones. In a hotel or at a conference three strangers to each other may share a network.

## When it is blind
Without any login that succeeded in the log; where a network that guessed logged in by SMTP AUTH and sent no mail: whose
account it was, no line tells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from logscan.amounts import plural
from logscan.checking import accounts, guessing
from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.guess_rows import DAY
from logscan.checking.guessing import Guesses
from logscan.checking.limits import limits
from logscan.checking.shown import MOST
from logscan.findings import Finding, Remedy, Result
from logscan.scan import login_tries
from logscan.scan.columns import NO_TIME, column, moments, number
from logscan.scan.networks import network
from logscan.tables.partials import Keyed, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings


@dataclass(frozen=True)
class Limits:
    """How much guessing makes a login that succeeds a guess that did."""

    accounts: int = 3
    """Other accounts that the network tried in vain before: two colleagues may mistype, a third is no accident."""
    days: int = 7
    """Days within which it did: addresses are given to others, most within a week."""
    same_account: int = 15
    """Tries in a rush at the same account before it got in: a person asks for a new password before."""


def look(window: Window, settings: Settings) -> Partial:
    """Keep refused logins and others, and the networks that logged in by SMTP AUTH without handing in a mail."""
    return Partial({**guessing.look(window), "silent": _silent(window)})


ENTERED = re.compile(r"(?:^| )auth=[1-9]")
MAILED = re.compile(r"(?:^| )mail=")
"""Counters of smtpd's disconnect line (smtpd_format_cmd_stats()): a command that failed stands behind a slash."""


def _silent(window: Window) -> Keyed:
    """Return, by network, logins of smtpd's sessions in which no mail followed: n, first, last (UTC ns), place, opened."""
    rows = np.empty(0, np.int64)
    if len(window.tables["sessions"]):
        told = column(window, "sessions", "commands")
        rows = np.flatnonzero(told.having(lambda each: bool(ENTERED.search(each)) and not MAILED.search(each)))
        rows = rows[moments(window, "sessions")[rows] != NO_TIME]
    address = window.rows("sessions", rows, "client_address")["client_address"].fillna("").tolist()
    time = moments(window, "sessions")[rows]
    place = number(window, "sessions", "source")[rows] << login_tries.LINE_BITS
    place = place + number(window, "sessions", "line")[rows]
    return Keyed.of(
        {
            "network": pa.array([network(each) for each in address], pa.string()),
            "n": np.ones(len(rows), np.int64),
            "first": time,
            "place": place,
            "opened": (time // 10**9 << 8) + np.array([login_tries.byte(each) for each in address], np.int64),
            "last": time,
        },
        sums=("n",),
        least=("first", "place", "opened"),
        most=("last",),
    )


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each account that somebody entered from where passwords were guessed."""
    known = limits(log, "guess-succeeded", Limits)
    found = guessing.guesses(partial, log)
    good = int(partial.frame(login_tries.SLOTS)["good"].sum())
    result = Result(checked=good, eligible=good)
    if not good:
        result.not_applicable = accounts.no_logins(log.settings)
        if not result.not_applicable:
            result.blind_because.append(
                "no login that succeeded stands in these logs (imap-login: Login, sasl_username=)"
                if len(found.rows)
                else accounts.NO_LOGIN
            )
    if found.left > (1 - ev.COVERED) * (found.left + int(found.rows["fresh"].sum())):
        result.blind_because.append(accounts.TOO_MANY.format(found.left))
    silent = partial.frame("silent").sort_values(["first", "place"])
    tried = _Tried(found, known, {*found.good["network"], *silent["network"]})
    by_user: dict[str, list[_Entry]] = {}
    inside = found.good[found.good["network"].isin(tried.by.keys()) & (found.good["fresh"] > 0)]
    inside = inside.sort_values(["first", "place", "user"])
    for at, row in enumerate(inside.itertuples()):
        if len(by_user) == MOST:
            result.notes.append(
                f"guess-succeeded: {MOST} accounts are shown; {plural(len(inside) - at, 'more login')} from networks that "
                "guessed were not looked at"
            )
            break
        entry = tried.entry(row)
        if entry is not None:
            by_user.setdefault(str(row.user), []).append(entry)
    result.findings = [_finding(log, user, entries) for user, entries in by_user.items()]
    named = {each.network for some in by_user.values() for each in some}
    silent = silent[silent["network"].isin(set(tried.by) - named)]
    if len(silent) > MOST:
        result.notes.append(
            f"guess-succeeded: of {len(silent):,} networks that guessed and logged in without mail {MOST} were looked at"
        )
    for row in silent.head(MOST).itertuples():
        entry = tried.entry(row)
        if entry is not None:
            result.findings.append(_nameless(log, entry))
            result.blind_because.append(
                f"{entry.address} logged in by SMTP AUTH on {accounts.when(log, entry.time)} after it, or its network, "
                f"had guessed: it sent no mail then, so no line tells whose account it is"
            )
    return result


@dataclass(frozen=True)
class _Entry:
    """A login that succeeded, and the guesses of its network before."""

    network: str
    address: str
    time: int
    place: int
    before: pd.DataFrame
    same: bool
    """The account itself was tried again and again."""


class _Tried:
    """The refused logins by network, looked up for each login that succeeded."""

    def __init__(self, found: Guesses, known: Limits, networks: set[str]) -> None:
        self.found, self.known = found, known
        rows = found.rows[(found.rows["kind"] != "home") & found.rows["network"].isin(networks)]
        self.by = dict(list(rows.groupby("network"))) if len(rows) else {}
        self.begun = {net: int(some["first"].iloc[0]) for net, some in self.by.items()}

    def entry(self, row: Any) -> _Entry | None:
        """Return what makes a login one of a guesser; None where it is none."""
        some = self.by.get(row.network)
        if some is None or row.network in self.found.shared or row.first <= self.begun[row.network]:
            return None
        before = some[(some["first"] < row.first) & (row.first - some["last"] <= self.known.days * DAY)]
        user = getattr(row, "user", "")
        others = before[before["user"] != user]
        names = set(others["user"]) - {""}
        # Of many that guess together, one network tried little itself.
        many = len(names) >= self.known.accounts or (len(names) > 1 and set(others["kind"]) == {"spread"})
        own = before[(before["user"] == user) & (before["kind"] == "loud")]
        same = bool(user) and int(own["n"].sum()) >= self.known.same_account
        if before.empty or not (many or same):
            return None
        address = login_tries.opened_from(row.network, int(row.opened))
        return _Entry(row.network, address, int(row.first), int(row.place), before, same and not many)


REMEDY = (
    "Give the account a new password now (and every other place where its owner used the old one), then end what is open: "
    "doveadm kick USER, and doveadm auth cache flush USER. Look for what was left behind: doveadm sieve list -u USER and "
    "the script that is active (a redirect to a stranger), aliases and forwarding in the webmail, application passwords. "
    "Search the log for what it sent (logscan trace --help; sasl_username=USER), and tell its owner that the mail in the "
    "mailbox was open to a stranger."
)


def _finding(log: Log, user: str, entries: list[_Entry]) -> Finding:
    first = entries[0]
    before = pd.concat([each.before for each in entries]).drop_duplicates()
    others = sorted(set(before["user"]) - {"", user})
    n = int(before["n"].sum())
    same = all(each.same for each in entries)
    tried = f"after {plural(n, 'try', 'tries')} at this account" if same else f"after {plural(n, 'try', 'tries')} at "
    tried += "" if same else accounts.people(others)
    return Finding(
        cause="same-account" if same else "other-accounts",
        subject=user,
        summary=f"{user} got in from {first.address} on {accounts.when(log, first.time)}, {tried} from its network",
        severity="problem",
        confidence="medium" if same or len(others) < MANY else "high",
        count=len(entries),
        cases=[_case(user, each) for each in entries[: accounts.MOST_CASES]],
        first=accounts.at(first.time),
        last=accounts.at(entries[-1].time),
        remedy=Remedy(REMEDY.replace("USER", accounts.for_command(user)), key=f"new-password-{user}"),
        evidence=_evidence(log, entries),
        why="Nobody got in from this network before it began to fail.",
    )


MANY = 5
"""Other accounts from which it is hardly a coincidence."""


def _case(user: str | None, entry: _Entry) -> dict[str, Any]:
    return {
        "user": user,
        "addresses": sorted({entry.address, *entry.before["address"]}),
        "address": entry.address,
        "time": accounts.iso(entry.time),
        "tried": sorted(set(entry.before["user"]) - {""})[: accounts.MOST_CASES],
        "attempts": int(entry.before["n"].sum()),
    }


def _evidence(log: Log, entries: list[_Entry]) -> list[Any]:
    lines = lines_at(log, [each.place for each in entries[:4]])
    return ev.merged(lines, *(accounts.evidence(log, each.before, 4) for each in entries[:2]))


def _nameless(log: Log, entry: _Entry) -> Finding:
    users = sorted(set(entry.before["user"]) - {""})
    tries = plural(int(entry.before["n"].sum()), "try", "tries")
    when = accounts.when(log, entry.time)
    return Finding(
        cause="name-not-logged",
        subject=entry.address,
        summary=f"{entry.address} logged in by SMTP AUTH on {when} as somebody, after {tries} at {accounts.people(users)}",
        severity="note",
        confidence="medium",
        count=1,
        cases=[_case(None, entry)],
        first=accounts.at(entry.time),
        last=accounts.at(entry.time),
        remedy=Remedy(
            f"Look whose account it is: those that were tried before ({accounts.listed(users)}) first. Give the accounts that "
            "nobody can vouch for a new password. Dovecot's auth_debug = yes (for some days) names who logs in by Postfix too."
        ),
        evidence=_evidence(log, [entry]),
        why="smtpd tells who logged in only with a mail: the disconnect line counts auth=1, and names nobody.",
    )


CHECK = Check(
    "guess-succeeded",
    "A guessed password was right",
    look,
    conclude,
    remember=lambda partial, now: Partial(guessing.remember(partial, now)),
    causes=("other-accounts", "same-account", "name-not-logged"),
    order=310,
    clear="Nobody got in from where passwords were guessed ({checked:login|logins} looked at)",
    group="accounts",
    severity="problem",
    needs=("logins of Dovecot or of Postfix's smtpd, refused ones and others, with the client's address",),
    related=("password-guessing", "account-misused"),
    limits=Limits,
)
