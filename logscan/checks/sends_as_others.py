"""A user's login sends mail under senders of other people's domains.

## What it finds
Mail that a user of this server handed in with a login, and whose envelope sender is of a domain that is neither this server's
nor what this account usually sends as. One finding a user, with the domains it used.

## Why it matters
The domain's own servers are elsewhere, and this one isn't named in its SPF record: such mail is refused or filed as spam, and it
spoils the name of this server. Changing senders are the mark of a stolen password.

## What the log shows
`client=…, sasl_username=nora@example.org` and, for the same queue ID, `from=<nora@example.net>`.

## What to do
Ask the user: mostly a mail program sends for another account of the user's by the wrong server. Senders that change with
each mail: change the password, look at what went out. To let each login send under its own addresses only, fill
`smtpd_sender_login_maps` and use `reject_authenticated_sender_login_mismatch`, at first behind `warn_if_reject`.

## When it is wrong
An account that mostly sends under a domain that is served elsewhere (a shop, a newsletter, another server's relay) does so by
design: that is only noted. Senders that forwarders and lists make (SRS, `-bounces`) are passed over. A sender of somebody else
within this server's own domains isn't looked at: shared and delegated mailboxes send like that.

## When it is blind
When no mail was handed in with a login, or nothing tells which domains are this server's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.checking.shown import most_seen
from logscan.findings import Finding, Remedy, Result
from logscan.scan import own_domains
from logscan.scan.columns import joined, some_joined, values
from logscan.scan.opened import opened_at
from logscan.scan.outgoing import authors
from logscan.scan.own_domains import OwnDomains, domains
from logscan.scan.pasts import DAY, newest, with_past
from logscan.scan.submitted import own_names
from logscan.tables import cells
from logscan.tables.partials import First, Ints, Keyed, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

FOREIGN, CHANGING = "foreign-sender", "changing-senders"

MOST_CASES = 50
"""Cases kept of one user and domain; all are counted."""


@dataclass(frozen=True)
class Limits:
    """Thresholds of the check."""

    mails: int = 3
    """Mails under one foreign domain: one or two may be a slip, and are noted."""
    domains: int = 5
    """Foreign domains that a login uses beside its usual ones before it is called changing: people have one or two accounts
    elsewhere, a bot takes a sender from a list."""
    usual_share: float = 0.5
    """A foreign domain of so much of an account's mail is what the account is for."""
    usual_mails: int = 5
    """Mails under it before it may be usual by its days."""
    usual_days: int = 7
    """A foreign domain that an account used again after so many days is known to its user; a stolen password is spent sooner."""


def look(window: Window, settings: Settings) -> Partial:
    """Count mails by login and sender's domain, and keep cases of those that may be foreign."""
    mail = np.flatnonzero(joined(window, "mails", "origin").is_in("authenticated"))
    sender = some_joined(window, "mails", "sender", mail)
    own = (sender.codes >= 0) & sender.matching(authors)
    mail, sender = mail[own], sender.take(own)
    user = some_joined(window, "mails", "sasl_username", mail).made(pc.utf8_lower)
    domain, time = sender.made(domains), values(window, "mails", "first")[mail]
    told = {"user": user.texts(), "domain": domain.texts()}
    numbers = {"n": np.ones(len(mail), np.int64), "first": time, "last": time}
    counts = Keyed.of({**told, **numbers}, sums=["n"], least=["first"], most=["last"])
    # A domain that another window knows for this server's is left out in the end.
    here = OwnDomains(own_names(window, settings), frozenset())
    rows = np.flatnonzero(domain.having(lambda name: not here.has(name)))
    return Partial(
        {**own_domains.look(window, settings), "counts": counts, "cases": _cases(window, mail[rows], user.take(rows))}
    )


PAST_DAYS, MOST_REMEMBERED = 90, 8_000
"""Days that a past tells of: what an account sends as at least once in three months is known to its user; and how many rows."""


def remember(partial: Partial, now: int) -> Partial:
    """Return under which domains each login sent."""
    return Partial({"counts": newest(partial.parts["counts"], "last", now - PAST_DAYS * DAY, MOST_REMEMBERED)})


def _cases(window: Window, mail: Ints, user: Any) -> First:
    root = values(window, "mails", "entry")[mail]
    named = {
        name: some_joined(window, "entries", name, root)
        for name in ("message_id", "queue_id", "sender", "client_address")
    }
    made: dict[str, Any] = {
        "time": values(window, "mails", "first")[mail],
        "place": opened_at(window, root),
        "recipients": np.maximum(values(window, "mails", "recipients")[mail], 1),
        "user": user.texts(),
        "domain": named["sender"].made(domains).texts(),
        **{name: each.texts() for name, each in named.items()},
    }
    return First.of(made, MOST_CASES, ("time", "place", "queue_id"), ("user", "domain"))


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding a user who sent under domains of elsewhere."""
    told, own = limits(log, "sends-as-others", Limits), OwnDomains.of(partial, log)
    counts = partial.frame("counts")
    part = partial.parts["counts"]
    assert isinstance(part, Keyed)
    total = int(counts["n"].sum())
    result = Result(checked=total, eligible=total + sum(part.rest))
    logins = {user.rpartition("@")[2] for user in counts["user"].dropna() if "@" in user}
    if not total:
        result.blind_because.append("no mail was handed in with a login in these logs")
        return result
    if not own.mail and not logins:
        result.checked = 0
        result.blind_because.append("which domains are this server's own isn't known: give main.cf, or --local-domain")
        return result
    foreign = counts[~own.are(counts["domain"]) & ~counts["domain"].isin(logins).to_numpy()]
    ever = with_past(Partial({"counts": part}), log, CHECK.name).frame("counts")
    whole = ever.groupby("user")["n"].sum()
    usual = _usual(ever, ever["user"].map(whole), told)
    foreign = foreign.merge(ever.assign(usual=usual).rename(columns={"n": "ever"}).drop(columns=["first", "last"]))
    new = counts.groupby("user")["n"].sum()
    some = partial.frame("cases")
    foreign = most_seen(foreign, ("user",), result, "sends-as-others, logins", foreign["ever"] >= told.mails)
    of_user = some.groupby("user").indices
    none = np.empty(0, np.int64)
    for user, rows in foreign.groupby("user", sort=True):
        cases = some.take(of_user.get(user, none))
        result.findings.append(_finding(log, str(user), rows, int(new[user]), cases, told))
    return result


def _usual(rows: pd.DataFrame, whole: pd.Series, told: Limits) -> Any:
    """Return which domains an account usually sends as; ``whole`` is how many mails it sent in all."""
    often = rows["n"] >= (told.usual_share * whole).clip(lower=told.mails)
    long = (rows["n"] >= told.usual_mails) & (rows["last"] - rows["first"] >= told.usual_days * DAY)
    return often | long


def _finding(log: Log, user: str, rows: pd.DataFrame, whole: int, cases: pd.DataFrame, told: Limits) -> Finding:
    odd = rows[~rows["usual"]]
    changing = len(odd) >= told.domains
    bad = changing or bool((odd["ever"] >= told.mails).any())
    shown = odd if bad else rows
    cases = cases[cases["domain"].isin(shown["domain"])].sort_values(["time", "place", "queue_id"], ignore_index=True)
    mails = int(shown["n"].sum())
    order = shown.sort_values(["n", "domain"], ascending=[False, True])["domain"].tolist()
    names = ", ".join(order[:4]) + (f" and {len(order) - 4} more" if len(order) > 4 else "")
    what = "changing domains" if changing else "a foreign domain" if len(order) == 1 else "foreign domains"
    addresses = sorted(set(cases["client_address"].dropna()))
    return Finding(
        cause=CHANGING if changing else FOREIGN,
        subject=user,
        summary=f"{user} sends under {what} ({names}): {mails} of its {ev.mails(whole)}",
        severity="problem" if changing else "warning" if bad else "note",
        confidence="medium" if bad else "low",
        count=mails,
        cases=[_case(row, addresses) for row in cases.itertuples()],
        first=cells.moment(pd.Timestamp(int(shown["first"].min()), tz="UTC")),
        last=cells.moment(pd.Timestamp(int(shown["last"].max()), tz="UTC")),
        remedy=Remedy(CURES[changing]),
        evidence=lines_at(log, cases["place"].tolist()),
        why="No restriction holds a login to its own addresses (reject_authenticated_sender_login_mismatch).",
        mails=mails,
    )


def _case(row: Any, addresses: list[str]) -> dict[str, Any]:
    return {
        "user": row.user,
        "addresses": addresses,
        "message_id": cells.text(row.message_id),
        "queue_id": row.queue_id,
        "sender": row.sender,
        "client": cells.text(row.client_address),
        "time": cells.iso(pd.Timestamp(row.time, tz="UTC")),
    }


CURES = {
    False: (
        "Ask the user which account the mail program should use for that sender: its own provider's server, not this one. To "
        "hold logins to their own addresses: list each address with its logins in smtpd_sender_login_maps, then put "
        "warn_if_reject reject_authenticated_sender_login_mismatch at the head of smtpd_sender_restrictions of the submission "
        "service; once the log shows no reject_warning of a rightful sender, drop warn_if_reject."
    ),
    True: (
        "Take it for a stolen password until the user says otherwise: change it, end the account's sessions (doveadm kick USER), "
        "and look at what waits in the queue (postqueue -p). Then hold logins to their own addresses: smtpd_sender_login_maps "
        "with reject_authenticated_sender_login_mismatch, at first behind warn_if_reject."
    ),
}

CHECK = Check(
    "sends-as-others",
    "A login sends under other people's domains",
    look,
    conclude,
    remember=remember,
    causes=(FOREIGN, CHANGING),
    order=330,
    clear="Every login sent under this server's own domains ({checked:mail|mails} looked at)",
    but="but for {noted:mail|mails} under senders that are usual there, or slips",
    group="accounts",
    severity="problem",
    needs=("mail handed in with a login", "which domains are this server's own"),
    related=("account-misused", "outgoing-unsigned", "own-domain-fails-dmarc"),
    limits=Limits,
)
