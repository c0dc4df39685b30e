"""Somebody guesses the passwords of accounts.

## What it finds
Logins that fail because somebody tries passwords. `one-source`: one address, or one network, tries many passwords, loudly
or for days. `many-sources`: many addresses try one or two each, which no limit per address stops; only together they tell.
One finding a source, one for all that work together; a case is an account that was tried.

## Why it matters
One weak password is enough: the account then sends spam until the whole server stands on block lists, and its mail is read.

## What the log shows
`SASL LOGIN authentication failed` of smtpd, `(auth failed, N attempts …)` of imap-login, pop3-login, managesieve-login and
submission-login (N tries in one line), and the lines of Dovecot's auth and of saslauthd, which name the user. An address
counts where the account never got in from there; networks are an IPv4 /24 and an IPv6 /64. What is usual is learnt from
the log itself: the failures of each hour follow a beta-binomial distribution, hours that it doesn't explain are an attack.

## What to do
Ban addresses that fail (fail2ban with the jails postfix-sasl and dovecot), offer logins only where users need them (not on
port 25), and see that no account has a weak password. Against many sources a ban doesn't help: strong passwords do, and
a second factor or application passwords.

## When it is wrong
A person who mistypes, and a device with an old password, are told apart by the place: the account gets in from there, or
it is one account, hour after hour (stale-password). Behind a proxy that hides its clients (a container's gateway, a
webmail) all come from one address: there only accounts that don't exist here count. Refusals while the authentication
server was away are no guesses (authentication-down).

## When it is blind
Without any login in the log; where only saslauthd tells of failures, which names no address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from logscan.amounts import percent, plural
from logscan.checking import accounts, guessing
from logscan.checking.check import Check
from logscan.checking.guess_rows import new_lines
from logscan.checking.guessing import Guesses, Limits
from logscan.checking.limits import limits
from logscan.findings import Confidence, Finding, Remedy, Result
from logscan.scan import login_tries
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

SHOWN = 20
"""Sources that have a finding each; the others share one, as nobody reads a thousand."""


def look(window: Window, settings: Settings) -> Partial:
    """Keep refused logins by address, account and ten minutes, and those that succeeded by network and account."""
    return Partial(guessing.look(window))


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each source that guesses, and one for those that guess together."""
    found = guessing.guesses(partial, log)
    good = int(partial.frame(login_tries.SLOTS)["good"].sum())
    tried = int(found.rows["fresh"].sum())
    result = Result(checked=good + tried, eligible=good + tried + found.nowhere + found.left)
    if not result.eligible:
        result.not_applicable = accounts.no_logins(log.settings)
        if not result.not_applicable:
            result.blind_because.append(accounts.NO_LOGIN)
    if found.nowhere:
        result.blind_because.append(
            f"{plural(found.nowhere, 'refused login')}: saslauthd tells no address; give Postfix's log too, whose smtpd does"
        )
    if found.left:
        result.notes.append(
            f"password-guessing: of {found.left + tried:,} refused logins {tried:,} were kept one by one, and looked at"
        )
    loud = new_lines(found.of("loud"))
    if len(loud):
        result.findings += _of_sources(log, loud, found)
    spread = new_lines(found.of("spread"))
    if len(spread):
        result.findings.append(_together(log, spread, found))
    return result


def _of_sources(log: Log, loud: pd.DataFrame, found: Guesses) -> list[Finding]:
    """Return a finding for each of the sources that tried most, and one for all the others."""
    total = loud.groupby("source")["n"].sum().reset_index().sort_values(["n", "source"], ascending=[False, True])
    order = total["source"].tolist()
    findings = [_of_source(log, source, loud[loud["source"] == source], found) for source in order[:SHOWN]]
    others = loud[loud["source"].isin(order[SHOWN:])]
    if len(others):
        names = sorted(set(others["source"]))
        n = plural(int(others["n"].sum()), "time")
        summary = f"{plural(len(names), 'more source')} ({accounts.listed(names)}) tried passwords {n}"
        findings.append(_finding(log, "one-source", "other sources", summary, others, "high"))
    return findings


def _of_source(log: Log, source: str, rows: pd.DataFrame, found: Guesses) -> Finding:
    users = sorted(set(rows["user"]) - {""})
    known = limits(log, "password-guessing", Limits)
    span = accounts.duration(int(rows["last"].max() - rows["first"].min()))
    summary = (
        f"{source} tried passwords {plural(int(rows['n'].sum()), 'time')} in {span} by {accounts.ways(rows['how'])}, "
        f"for {accounts.people(users)}"
    )
    sure: Confidence = "high" if len(users) >= known.accounts else "medium"
    why = ""
    if any(net in found.shared for net in set(rows["network"])):
        sure = "medium"
        why = (
            "Users of this server get in from this network too (an office, a webmail, a proxy that hides its clients): only "
            "tries at accounts that don't exist here are counted. What stands there must tell who it was."
        )
    return _finding(log, "one-source", source, summary, rows, sure, why)


def _together(log: Log, rows: pd.DataFrame, found: Guesses) -> Finding:
    addresses, networks = rows["address"].nunique(), rows["network"].nunique()
    users = sorted(set(rows["user"]) - {""})
    n = int(rows["n"].sum())
    summary = (
        f"{plural(addresses, 'address', 'addresses')} of {plural(networks, 'network')} tried passwords {plural(n, 'time')} in "
        f"{accounts.duration(int(rows['last'].max() - rows['first'].min()))} by {accounts.ways(rows['how'])}, for "
        f"{accounts.people(users)}: {n / addresses:.1f} tries an address, which no limit per address stops"
    )
    sure: Confidence = "medium"
    why = "No account got in from these networks before."
    for each in found.usual:
        odd = each.inside(rows["first"].to_numpy())
        if odd.any():
            why += (
                f" As a rule {percent(each.share.mean)} of the logins of {'an' if each.noun == 'hour' else 'a'} {each.noun} are "
                f"refused to strangers here ({plural(each.count, each.noun)} of this log); in "
                f"{plural(len(each.odd), each.noun)} far more were."
            )
            sure = "high"
            break
    else:
        if found.usual:
            share = percent(found.usual[-1].share.mean)
            why += f" As far as this log goes back, it is as usual: {share} of the logins are refused to strangers."
    return _finding(log, "many-sources", "many sources", summary, rows, sure, why)


LIMIT = (
    "Ban what fails: fail2ban with the jails postfix-sasl and dovecot (enabled = true, maxretry = 5, and the networks of your "
    "own users in ignoreip, or an old password in a telephone locks the office out). Offer a login only where users need it: "
    "smtpd_sasl_auth_enable = no for port 25 in main.cf, and yes with -o for submission and submissions in master.cf, once no "
    "user submits by port 25 (authenticated-port-25). smtpd_client_auth_rate_limit (Postfix 3.1) slows a client down, and "
    "Dovecot's auth_failure_delay each answer."
)
STRENGTHEN = (
    "A ban per address doesn't stop this: each address tries too seldom. See that the accounts that are tried have long "
    "passwords that stand in no list (doveadm auth test USER tells whether one holds), lock those that nobody uses, and ask "
    "for a second factor or application passwords. Where all users are in known countries or in a VPN, admit only those to "
    "the ports of submission and IMAP. Dovecot's auth_policy_server_url lets a service such as weakforced judge all sources "
    "together."
)


def _finding(
    log: Log, cause: str, subject: str, summary: str, rows: pd.DataFrame, sure: Confidence, why: str = ""
) -> Finding:
    return Finding(
        cause=cause,
        subject=subject,
        summary=summary,
        severity="warning",
        confidence=sure,
        count=max(len(set(rows["user"]) - {""}), 1),
        cases=accounts.cases(rows),
        first=accounts.at(rows["first"].min()),
        last=accounts.at(rows["last"].max()),
        remedy=Remedy(STRENGTHEN, key="strong-passwords")
        if cause == "many-sources"
        else Remedy(LIMIT, key="limit-logins"),
        evidence=accounts.evidence(log, rows),
        why=why,
    )


CHECK = Check(
    "password-guessing",
    "Somebody guesses passwords",
    look,
    conclude,
    remember=lambda partial, now: Partial(guessing.remember(partial, now)),
    causes=("one-source", "many-sources"),
    order=305,
    clear="Nobody guessed passwords ({checked:login|logins} looked at, refused ones among them)",
    group="accounts",
    severity="warning",
    needs=("refused logins of Postfix's smtpd or of Dovecot's login processes, with the client's address",),
    related=("guess-succeeded", "account-misused", "stale-password", "authentication-down"),
    limits=Limits,
)
