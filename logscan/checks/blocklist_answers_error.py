"""A DNS blocklist answers with an error, or not at all, and mail is refused, or let in, for nothing.

## What it finds
Blocklists that refuse the server's queries and say so by an answer that Postfix takes for a listing, so that every mail is
refused; those whose domain was given up and answers to everything; and those that don't answer. One finding a list.

## Why it matters
A list that answers 127.255.255.254 to each query has the server refuse all mail, from one minute to the next, with a reason
that sounds like the sender's fault. A list that never answers slows each connection down, and stops nothing.

## What the log shows
`reject: … blocked using zen.spamhaus.org; Error: open resolver; https://check.spamhaus.org/returnc/pub/…`; behind postscreen
`dnsblog: addr … listed by domain … as 127.255.255.254` before the refusal; `dnsblog reply timeout 10s for …`,
`RBL lookup error`.

## What to do
Take only listings for listings: `reject_rbl_client zen.spamhaus.org=127.0.0.[2..11]`, likewise in postscreen_dnsbl_sites.
Ask through a resolver of your own instead of a public one, or with a key of the list's own service. Take lists out that don't
answer any more.

## When it is wrong
Lists have error codes of their own: known are Spamhaus's (127.255.255.0/24), URIBL's (127.0.0.1) and dnswl.org's
(127.0.0.255); an answer outside 127.0.0.0/8 is none of a list that lives. A few queries without an answer are usual: they
count where they are a good part of the connections.

## When it is blind
Where no answer of a list stands in the logs: smtpd writes only refusals, and without their reason where rbl_reply_maps leaves
it out. It isn't applicable where the configuration asks no blocklist. Lists that rspamd or SpamAssassin ask aren't looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from logscan.checking import blocklists, evidence
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.checking.outage import moment
from logscan.correlate.lives import SECOND
from logscan.findings import Finding, Remedy, Result, State
from logscan.tables import cells
from logscan.tables.partials import Partial, Points

if TYPE_CHECKING:
    import pandas as pd

    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Fact, Settings

NAME = "blocklist-answers-error"
CAUSES = REFUSES, ERRS, SILENT = "refuses-mail", "answers-error", "no-answer"


@dataclass(frozen=True)
class Limits:
    """When silence counts, and when a list answers rightly again."""

    few_answers: int = 5
    """Error answers of a list, without a refusal, that are a note: a resolver that was changed for an hour."""
    few_silent: int = 20
    """Queries without an answer that are usual in any log."""
    silent_share: float = 0.2
    """Queries without an answer, of the connections: a list that is well answers nearly all."""
    mended_answers: int = 10
    """Listings after the last error that show that a list answers rightly again."""


def look(window: Window, settings: Settings) -> Partial:
    """Keep what the blocklists answered."""
    return Partial(blocklists.look(window))


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each list that answers with errors, or not at all."""
    errors = partial.frame(blocklists.ERRORS)
    silent = partial.frame(blocklists.SILENT)
    answers = partial.count("blocklists: answers") + int(errors["n"].sum())
    result = Result(checked=answers, eligible=answers)
    bounds = limits(log, NAME, Limits)
    refused = _for_nothing(partial.frame(blocklists.REFUSED), errors)
    for name in sorted({*refused["name"], *errors["name"]}):
        mine = refused[refused["name"] == name].sort_values(["at", "place"], ignore_index=True)
        result.findings.append(_answering(log, name, mine, errors[errors["name"] == name], partial, bounds))
    result.findings += _not_answering(log, silent, partial, bounds)
    asked = list(_asked(log.settings))
    if not answers and not any(each.counts for each in result.findings):
        if log.settings.known("postfix") and log.settings.known("master") and not asked:
            result.not_applicable = "Postfix asks no DNS blocklist here."
        elif asked:
            result.blind_because.append("no answer of a blocklist in these logs: smtpd writes only what it refuses")
        else:
            result.blind_because.append(
                "no answer of a blocklist in these logs; whether this server asks one isn't known: give main.cf and master.cf"
            )
    return result


def _for_nothing(refused: pd.DataFrame, errors: pd.DataFrame) -> pd.DataFrame:
    """Return the refusals for an error: those that say so, and postscreen's of clients for whom a list answered only that."""
    clients = set(zip(errors["name"], errors["address"], strict=True))
    pairs = zip(refused["name"], refused["client_address"], strict=True)
    by_screen = np.array([pair in clients for pair in pairs], np.bool_)
    return refused[refused["wrong"].to_numpy(dtype=np.bool_) | by_screen]


def _answering(
    log: Log, name: str, refused: pd.DataFrame, errors: pd.DataFrame, partial: Partial, bounds: Limits
) -> Finding:
    times = [*refused["at"].tolist(), *errors["first"].tolist(), *errors["last"].tolist()]
    first, last = int(min(times)), int(max(times))
    listed = partial.parts[blocklists.LISTED]
    assert isinstance(listed, Points)
    later = listed.times(blocklists.key_of(name))
    state: State = "mended" if (later > last + SECOND).sum() >= bounds.mended_answers else "active"
    turned = refused[~refused["warned"].to_numpy(dtype=bool)]
    n, answers = len(turned), int(errors["n"].sum())
    codes = sorted(set(errors["answer"]))
    told = f" (as {', '.join(codes[:3])}{' …' if len(codes) > 3 else ''})" if codes else ""
    if n:
        summary = f"{name} answers with an error{told}, and Postfix refused {n:,} time{'s' * (n != 1)} for it"
    else:
        summary = f"{name} answered {answers:,} time{'s' * (answers != 1)} with an error{told}, not with a listing"
    lines = partial.frame(blocklists.LINES)
    said = lines[lines["name"] == name].sort_values(["at", "place"])["place"].tolist()
    return Finding(
        cause=REFUSES if n else ERRS,
        subject=name,
        summary=summary if state == "active" else f"{summary}; since then it answers with listings again",
        severity="problem" if n else "warning" if answers >= bounds.few_answers else "note",
        confidence="high",
        count=n or answers,
        cases=_cases(turned)
        if n
        else [{"relay": name, "from": cells.iso(moment(first)), "until": cells.iso(moment(last))}],
        first=moment(first),
        last=moment(last),
        state=state,
        remedy=None if state == "mended" else _remedy(log.settings, name),
        evidence=evidence.merged(lines_at(log, refused["place"].tolist()[:8]), lines_at(log, said)),
        why="Postfix takes any answer for a listing, unless the list's name is followed by the answers that are one.",
        mails=n,
        recipients=n,
    )


def _cases(refused: pd.DataFrame) -> list[dict[str, Any]]:
    names = ("at", "recipient", "sender", "client_address", "text", "host")
    return [
        {
            "message_id": None,
            "recipient": cells.text(recipient),
            "sender": cells.text(sender),
            "client_address": cells.text(client),
            "queue_id": None,
            "time": cells.iso(moment(int(at))),
            "reply": blocklists.shown(cells.text(text) or ""),
            "host": cells.text(host),
        }
        for at, recipient, sender, client, text, host in zip(*(refused[name] for name in names), strict=True)
    ]


def _not_answering(log: Log, silent: pd.DataFrame, partial: Partial, bounds: Limits) -> list[Finding]:
    """Return one finding for each list that left a good part of the queries unanswered, of all hosts that asked it."""
    out = []
    every = partial.frame(blocklists.CONNECTS).groupby(["host", "door"])["n"].sum().to_dict()
    lines = partial.frame(blocklists.SILENCES)
    for name, rows in silent.groupby("name", sort=True):
        asked = sum(int(every.get(pair, 0)) for pair in {*zip(rows["host"], rows["door"], strict=True)})
        n = int(rows["n"].sum())
        if n < bounds.few_silent or n < bounds.silent_share * asked:
            continue
        first, last = int(rows["first"].min()), int(rows["last"].max())
        of = f" of {asked:,} connections" if asked >= n else ""
        out.append(
            Finding(
                cause=SILENT,
                subject=str(name),
                summary=f"{name} left {n:,} queries{of} without an answer",
                severity="warning",
                confidence="medium",
                count=n,
                cases=[{"relay": str(name), "from": cells.iso(moment(first)), "until": cells.iso(moment(last))}],
                first=moment(first),
                last=moment(last),
                remedy=Remedy(
                    f"Ask it by hand (dig +short 2.0.0.127.{name}; a list that lives answers). If the server's resolver is to "
                    "blame (dig of another name is slow too), mend that; if the list has closed, or refuses this resolver, "
                    "take it out of postscreen_dnsbl_sites and smtpd_*_restrictions."
                ),
                evidence=lines_at(log, lines[lines["name"] == name].sort_values(["at", "place"])["place"].tolist()),
                why="Postfix waits for each answer, and lets the mail pass without one.",
            )
        )
    return out


ASKS = re.compile(r"\breject_(?:rbl_client|rhsbl_\w+|rbl)\s+[^\s,]+")


def _asked(settings: Settings) -> Iterator[Fact]:
    """Yield where the configuration asks a blocklist."""
    facts = list(settings.postfix.main.items())
    for service in settings.postfix.services:
        facts.extend(service.options.items())
    for name, fact in facts:
        if (name == "postscreen_dnsbl_sites" and fact.value.strip()) or ASKS.search(fact.value):
            yield fact


def _remedy(settings: Settings, name: str) -> Remedy:
    fact = next((each for each in _asked(settings) if name in each.value.lower()), None)
    if "spamhaus" in name:
        only = f"reject_rbl_client {name}=127.0.0.[2..11] (in postscreen_dnsbl_sites {name}=127.0.0.[2..11]*WEIGHT)"
        own = "Then have it answered: a resolver of your own on this host (unbound) instead of a public one, or a free key for "
        text = f"Take only listings for listings: {only}. {own}Spamhaus's Data Query Service."
    else:
        text = (
            f"Take {name} out until it answers rightly (dig +short 2.0.0.127.{name} gives 127.0.0.2, dig +short 1.0.0.127.{name} "
            f"nothing), or count only its listings: {name}=127.0.0.[2..254], but for codes that its page calls errors. Ask it "
            "through a resolver of your own (unbound), not a public one."
        )
    return Remedy(
        f"{text} Then run: postfix check && postfix reload.", fact.file if fact else None, fact.line if fact else None
    )


CHECK = Check(
    NAME,
    "A DNS blocklist answers with an error",
    look=look,
    conclude=conclude,
    settle=blocklists.settle,
    causes=CAUSES,
    order=435,
    group="filters",
    severity="problem",
    needs=("Postfix's refusals, or its dnsblog lines",),
    related=("role-address-refused",),
    limits=Limits,
    clear="No blocklist answered with an error ({checked:answer|answers} looked at)",
)
