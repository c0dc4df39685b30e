"""A device goes on trying an old password.

## What it finds
An account that fails to log in hour after hour from one network: a telephone, a printer or a mail program with a password
that was changed, or with a name that was given up. `old-password`: the account is one of this server's;
`unknown-account`: nobody of that name gets mail or gets in here. One finding an account, a case is a network (a provider, for
a telephone that has another address each time).

## Why it matters
Its owner misses mail and doesn't know why. And fail2ban bans the address: then all of the office, or all of the house, are
locked out by one telephone.

## What the log shows
Refused logins of one account from one network (an IPv4 /24, an IPv6 /64) or provider (/12, /32) in several hours, at a
regular pace, while the same account gets in elsewhere, or from the same place by another device. Few other accounts are
tried from there.

## What to do
Write to the owner: the message is part of the finding. Until then, put the network into fail2ban's ignoreip.

## When it is wrong
Somebody who guesses one account's password slowly, from one address, looks the same: where nobody ever got in from that
network, the confidence is lower. Many networks at one account are guesses (password-guessing). A person who mistypes is
quicker, and gets in.

## When it is blind
Without any login in the log, and where it covers so few hours that a rhythm can't show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan.amounts import plural
from logscan.checking import accounts, guessing
from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.checking.guess_rows import DAY, HOUR, new_lines, steady_gap
from logscan.checking.guessing import OWN, Guesses
from logscan.checking.limits import limits
from logscan.findings import Confidence, Finding, Remedy, Result, Severity
from logscan.scan import login_tries
from logscan.scan.networks import in_house, provider
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings


@dataclass(frozen=True)
class Limits:
    """What makes refused logins of one account, from one network, a device's."""

    tries: int = 6
    """Refused logins at least: a person tries three to five times."""
    hours: int = 3
    """Different hours that they lie in."""
    pace: int = 3
    """Hours that may lie between two of these hours, by the median, where the pace isn't steady: a device isn't patient."""
    home_hours: int = 6
    """Different hours, where the account gets in from the same network too: people mistype there now and then."""
    home_pace: int = 6
    """Hours between two of them at most, there: who mistypes each morning is no device."""
    gone: int = 5
    """Times its usual pause, and a day at least, after which a device that doesn't try any more has stopped."""


def look(window: Window, settings: Settings) -> Partial:
    """Keep refused logins by address, account and ten minutes, and those that succeeded by network and account."""
    return Partial(guessing.look(window))


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each account whose device has an old password."""
    known = limits(log, "stale-password", Limits)
    found = guessing.guesses(partial, log)
    slots = partial.frame(login_tries.SLOTS)
    count = int(slots["good"].sum()) + int(found.rows["fresh"].sum())
    result = Result(checked=count, eligible=count + found.left)
    if ev.too_few(result):
        result.blind_because.append(accounts.TOO_MANY.format(found.left))
    times = [*slots["slot"].tolist(), *found.rows["slot"].tolist()]
    if not count:
        result.not_applicable = accounts.no_logins(log.settings)
        if not result.not_applicable:
            result.blind_because.append(accounts.NO_LOGIN)
        return result
    if (max(times) - min(times)) * login_tries.SLOT < known.hours * HOUR:
        result.blind_because.append(
            f"the logins of these logs lie within less than {plural(known.hours, 'hour')}: a rhythm doesn't show in that"
        )
    by_user: dict[str, list[_Device]] = {}
    some = found.rows[found.rows["kind"].isin(["device", "home"]) & (found.rows["user"] != "")]
    some = some[~some["network"].isin(OWN)]
    total = some.groupby(["base", "user"])["n"].transform("sum")
    chosen, left = _most_tried(some[total >= known.tries], found)
    if left:
        result.checked -= left
        result.notes.append(
            f"stale-password: of very many accounts that failed to log in, the {MOST} that did most often were looked at"
        )
    for (net, user), rows in chosen.groupby(["base", "user"], sort=True):
        device = _device(str(net), str(user), rows, found, known, (max(times) + 1) * login_tries.SLOT)
        if device is not None:
            by_user.setdefault(device.user, []).append(device)
    result.findings = [_finding(log, user, devices, found) for user, devices in sorted(by_user.items())]
    return result


MOST = 300
"""Accounts that are looked at one by one: more have no owners to write to, and a flood of invented names must not take long."""


def _most_tried(rows: pd.DataFrame, found: Guesses) -> tuple[pd.DataFrame, int]:
    """Return the rows of the accounts that failed most, this server's first, and how many refused logins the others had."""
    total = rows.groupby("user")["n"].sum()
    if len(total) <= MOST:
        return rows, 0
    order = sorted((not found.known(str(user)), -int(n), str(user)) for user, n in total.items())
    mine = rows["user"].isin({user for _, _, user in order[:MOST]})
    return rows[mine], int(rows.loc[~mine, "n"].sum())


@dataclass(frozen=True)
class _Device:
    """Tries of one account from one network."""

    network: str
    """Or its provider, where its address is another one each time."""
    user: str
    rows: pd.DataFrame
    pause: float
    """Median seconds between two hours with tries."""
    steady: bool
    here: bool
    """The account gets in from there too."""
    since: int
    """When it got in from there after the last refusal, or since when nothing was tried any more (UTC ns); 0: it goes on."""


def _device(net: str, user: str, rows: pd.DataFrame, found: Guesses, known: Limits, end: int) -> _Device | None:
    """Return the device that makes these tries; None where they may be a person's. ``end`` is the log's (UTC ns)."""
    mine = found.good_of(user)
    good = mine[[net in (each, provider(each)) for each in mine["network"].tolist()]]
    hours = rows.groupby(rows["first"] // HOUR)["first"].min().to_numpy()
    if len(hours) < (known.home_hours if len(good) else known.hours):
        return None
    pause, steady = steady_gap(hours)
    if len(good):
        if not steady or pause > known.home_pace * 3600:
            return None
    elif not steady and pause > known.pace * 3600:
        return None
    last = int(rows["last"].max())
    quiet = max(known.gone * pause * 1e9, DAY)
    since = last if end - last > quiet else 0
    later = int(good["last"].max()) if len(good) else 0
    if later - last > 2 * pause * 1e9:
        since = later
    new = new_lines(rows)
    return _Device(net, user, new, pause, steady, bool(len(good)), since) if len(new) else None


def _finding(log: Log, user: str, devices: list[_Device], found: Guesses) -> Finding:
    rows = pd.concat([each.rows for each in devices])
    known = found.known(user)
    first, last = int(rows["first"].min()), int(rows["last"].max())
    addresses = sorted(set(rows["address"]))
    n, ways = int(rows["n"].sum()), accounts.ways(rows["how"])
    summary = (
        f"{user} failed to log in {plural(n, 'time')} in {accounts.duration(last - first)} from {accounts.listed(addresses)} "
        f"by {ways}, {_pace(devices)}"
    )
    mended = all(each.since for each in devices)
    if mended:
        summary += f"; it has stopped since {accounts.when(log, max(each.since for each in devices))}"
    sure, severity = _weight(user, devices, found, known)
    return Finding(
        cause="old-password" if known else "unknown-account",
        subject=user,
        summary=summary,
        severity=severity,
        confidence=sure,
        count=len(devices),
        cases=[_case(each) for each in devices[: accounts.MOST_CASES]],
        first=accounts.at(first),
        last=accounts.at(last),
        state="mended" if mended else "active",
        remedy=None if mended else _remedy(log, user, addresses, ways, first, n, known),
        evidence=accounts.evidence(log, rows),
        why=_why(user, devices, found, known),
    )


def _pace(devices: list[_Device]) -> str:
    hours = sum(len(set((each.rows["first"] // HOUR).tolist())) for each in devices)
    rate = sum(int(each.rows["n"].sum()) for each in devices) / hours
    if rate >= OFTEN:
        return f"about {round(rate)} times an hour"
    pause = accounts.duration(int(float(np.median([each.pause for each in devices])) * 1e9))
    return f"about every {pause}" if all(each.steady for each in devices) else f"{pause} apart by the median"


OFTEN = 1.5
"""Tries an hour from which the pace is told by the hour: pauses are known by the hour only."""


def _weight(user: str, devices: list[_Device], found: Guesses, known: bool) -> tuple[Confidence, Severity]:
    """Return how sure it is that a device does this, and how much it matters."""
    house = all(in_house(each.network) or each.here or each.network in found.shared for each in devices)
    if not known:
        return "low", "warning" if house else "note"
    good = found.good_of(user)
    first = min(int(each.rows["first"].min()) for each in devices)
    if len(good) and (good["last"] > first).any() and all(each.steady for each in devices):
        return "high" if house else "medium", "warning"
    return "medium" if house else "low", "warning"


def _why(user: str, devices: list[_Device], found: Guesses, known: bool) -> str:
    if not known:
        return (
            "No account of that name got in, and no mail was stored for it, in these logs: a name given up, or a guess."
        )
    if any(each.here for each in devices):
        return "The account gets in from the same network too: another device there has the right password."
    if user in found.users:
        return "The account gets in from elsewhere: its password is another one by now."
    return "The account gets mail, and got in nowhere in these logs: perhaps its owner has no other device."


def _case(device: _Device) -> dict[str, Any]:
    return {
        "user": device.user,
        "addresses": sorted(set(device.rows["address"])),
        "attempts": int(device.rows["n"].sum()),
        "from": accounts.iso(device.rows["first"].min()),
        "until": accounts.iso(device.rows["last"].max()),
        "every": round(device.pause),
        "protocols": sorted(set(device.rows["how"])),
    }


def _remedy(log: Log, user: str, addresses: list[str], ways: str, first: int, n: int, known: bool) -> Remedy:
    where = accounts.listed(addresses)
    if not known:
        return Remedy(
            f"Find what stands at {where} (a printer, a scanner, a program that reports by mail) and give it an account that "
            "exists. If nobody knows the address, ban it (fail2ban): somebody may be guessing slowly."
        )
    message = (
        f"A device of yours tries to fetch or send mail as {user} with a password that is not right (any more): since "
        f"{accounts.when(log, first)} {plural(n, 'time')}, from {where}, by {ways}. Please look at telephones, "
        "tablets and mail programs that you haven't used for a while, and enter the present password there, or remove the "
        "account. If you know of no such device at that address, please tell us: then somebody else is trying."
    )
    return Remedy(
        f"Ask {user} to mend or remove the account on that device (the message says from where). Until then put {where} into "
        "fail2ban's ignoreip: a ban would lock out all who share the address.",
        message=message,
    )


CHECK = Check(
    "stale-password",
    "A device tries an old password",
    look,
    conclude,
    remember=lambda partial, now: Partial(guessing.remember(partial, now)),
    causes=("old-password", "unknown-account"),
    order=320,
    clear="No device goes on trying an old password ({checked:login|logins} looked at, refused ones among them)",
    group="accounts",
    severity="warning",
    needs=("logins of Dovecot or of Postfix's smtpd, refused ones and others, of several hours",),
    related=("password-guessing", "authentication-down"),
    limits=Limits,
)
