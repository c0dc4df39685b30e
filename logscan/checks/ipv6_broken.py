"""Connections over IPv6 fail for all hosts.

## What it finds
A server that tries hosts elsewhere over IPv6 and never gets through, while others answer over IPv4. One finding a server.

## Why it matters
With `Network is unreachable` each mail costs a failed attempt, and where a domain has many addresses Postfix may try none over
IPv4 (smtp_mx_address_limit). With `Connection timed out` each of them waits half a minute.

## What the log shows
`connect to mx.example.net[2001:db8::1]:25: Network is unreachable` (or timed out) of many domains, no delivery to, nor refusal
of, any host by an IPv6 address, and deliveries over IPv4.

## What to do
If this server has no IPv6: `inet_protocols = ipv4` in main.cf, then stop and start Postfix. If it should have: `ip -6 route get
2001:4860:4860::8888` and `ping -6` from it; until it works, smtp_address_preference = ipv4. Its IPv6 address needs a PTR too.

## When it is wrong
One host's own IPv6 may be dead: it takes several domains. Hosts that failed so before others answered over IPv6 for the last time
don't count.

## When it is blind
When no host was tried over IPv6, or too few. It isn't applicable where Postfix speaks IPv4 only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.amounts import plural
from logscan.checking.blocked import clock, span
from logscan.checking.check import Check
from logscan.checking.connections import answers, failures, passing_failures
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.checking.providers import DOUBT, TAKEN, taken_at
from logscan.findings import Finding, Remedy, Result, State
from logscan.tables import cells
from logscan.tables.partials import Partial, Points

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

NAME = "ipv6-broken"
CAUSES = {
    "no-network": "no-route",
    "dropped": "connections-dropped",
    "rejected": "connections-rejected",
    "forbidden": "own-firewall",
}

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Limits:
    """From what on it is this server's IPv6, not the other hosts'."""

    providers: int = 3
    """Domains of hosts that can't be reached by IPv6: one or two may have published an address that is dead."""


def look(window: Window, settings: Settings) -> Partial:
    """Take connections that failed, by host, and when hosts answered."""
    return Partial(
        {
            "failures": failures(window),
            "passing": passing_failures(window),
            "answers": answers(window),
            TAKEN: taken_at(window),
        }
    )


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding a server that reaches nobody over IPv6."""
    bounds = limits(log, NAME, Limits)
    result = Result()
    tried, answered = _tried(partial), partial.frame("answers")
    over6, over4 = answered[answered["family"] == 6], answered[answered["family"] == 4]
    result.checked = result.eligible = int(over6["count"].sum()) + int(tried["attempts"].sum())
    if log.settings.known("postfix") and log.settings.postfix.get("inet_protocols").strip().lower() == "ipv4":
        result.not_applicable = "Postfix speaks IPv4 only here (inet_protocols = ipv4)."
    names = sorted({*tried["server"], *over6["server"]})
    # When mail was taken is known of all servers together: of one alone it tells whether that one tries IPv6 no more.
    taken = _taken(partial) if answered["server"].nunique() == 1 else np.empty(0, np.int64)
    for server in names:
        mine, by6, by4 = (each[each["server"] == server] for each in (tried, over6, over4))
        finding = _judged(log, str(server), mine, (by6, by4), taken, bounds)
        if finding is not None:
            result.findings.append(finding)
        if by6.empty and (finding is None or finding.state != "active"):
            result.blind_because.append(_why_blind(str(server), mine["provider"].nunique(), finding, by4, bounds))
    if not result.checked:
        result.blind_because.append("no host was tried over IPv6 in these logs")
    return result


def _why_blind(server: str, tried: int, finding: Finding | None, by4: pd.DataFrame, bounds: Limits) -> str:
    """Return why nothing can be said of a server whose connections over IPv6 nobody answered."""
    if finding is not None:
        return f"{server} tries no host over IPv6 any more, so whether it would work isn't known"
    if tried >= bounds.providers and by4.empty:
        return f"{server} was answered over IPv4 neither: the whole network may have been away"
    return (
        f"{server} tried hosts of {plural(tried, 'domain')} over IPv6, and none answered: too few to tell its own network from "
        "theirs"
    )


def _tried(partial: Partial) -> pd.DataFrame:
    """Return connections over IPv6 that failed, one row a server, provider, address and reason."""
    both = pd.concat([partial.frame("failures"), partial.frame("passing")], ignore_index=True)
    both = both[both["address"].str.contains(":") & both["why"].isin(CAUSES)]
    by = ["server", "provider", "address", "why"]
    # Postfix logs a connection that failed on its own, and with the mail: the two are one.
    return both.groupby(by, as_index=False).agg(
        first=("first", "min"), last=("last", "max"), attempts=("attempts", "max"), place=("place", "min")
    )


def _taken(partial: Partial) -> Ints:
    """Return when hosts took mail (UTC ns), in order."""
    part = partial.parts[TAKEN]
    assert isinstance(part, Points)
    found: Ints = np.sort(part.columns["at"])
    return found


def _judged(
    log: Log, server: str, tried: pd.DataFrame, answered: tuple[pd.DataFrame, pd.DataFrame], taken: Ints, bounds: Limits
) -> Finding | None:
    """Return the finding where hosts of many domains failed over IPv6, none answered so since, and some did over IPv4."""
    by6, by4 = answered
    answer = int(by6["last"].max()) if len(by6) else None
    begun = int(by6["first"].min()) if len(by6) else None
    fresh, state = tried if answer is None else tried[tried["first"] > answer], "active"
    if fresh["provider"].nunique() < bounds.providers and begun is not None:
        # Before the first answer it may have been broken.
        fresh, state = tried[tried["last"] < begun], "mended"
    if fresh["provider"].nunique() < bounds.providers or by4.empty:
        return None
    return _finding(log, server, fresh, taken, begun if state == "mended" else None)


def _given_up(taken: Ints, fresh: pd.DataFrame) -> bool:
    """Whether so much went out since the last failure that IPv6 can't have been tried as before: by chance once in twenty."""
    first, last, attempts = int(fresh["first"].min()), int(fresh["last"].max()), int(fresh["attempts"].sum())
    done = int(np.searchsorted(taken, last, "right"))
    between, after = done - int(np.searchsorted(taken, first)), len(taken) - done
    share = between / (between + attempts)
    return after > 0 and (share == 0 or after >= math.log(DOUBT) / math.log(share))


def _finding(log: Log, server: str, fresh: pd.DataFrame, taken: Ints, ended: int | None) -> Finding:
    first, last = span(fresh)
    state: State = "active" if ended is None and not _given_up(taken, fresh) else "mended"
    why = str(fresh.groupby("why")["provider"].nunique().sort_values(kind="stable").index[-1])
    number, attempts = fresh["provider"].nunique(), int(fresh["attempts"].sum())
    goes_on = state == "active"
    said = (
        f"{server} {'reaches' if goes_on else 'reached'} nobody over IPv6: {plural(attempts, 'connection')} to hosts of "
        f"{plural(number, 'domain')} {WORDS[why]} from {clock(first, log)} on, and hosts {'answer' if goes_on else 'answered'} "
        "over IPv4"
    )
    if ended is not None:
        said += f"; over IPv6 too since {clock(ended, log)}"
    elif state == "mended":
        said += f"; none is tried since {clock(last, log)}"
    fresh = fresh.sort_values(["first", "provider", "address"], kind="stable")
    cases: list[dict[str, Any]] = [
        {
            "relay": f"{row.provider}[{row.address}]",
            "from": cells.iso(cells.moment_of(row.first)),
            "until": cells.iso(cells.moment_of(row.last)),
        }
        for row in fresh.head(200).itertuples()
    ]
    return Finding(
        cause=CAUSES[why],
        subject=server,
        summary=said,
        severity="warning",
        confidence="high" if number > 5 else "medium",
        count=len(fresh),
        cases=cases,
        first=cells.moment_of(first),
        last=cells.moment_of(last),
        state=state,
        remedy=Remedy(REMEDIES[why], key=f"ipv6:{why}") if state == "active" else None,
        evidence=lines_at(log, fresh.drop_duplicates("provider")["place"].tolist()[:8]),
    )


WORDS = {
    "no-network": "found no network",
    "dropped": "timed out",
    "rejected": "were refused on the way",
    "forbidden": "were forbidden by this host itself",
}

OFF = (
    "If this server has no IPv6: inet_protocols = ipv4 in main.cf, then postfix stop and postfix start (a reload isn't "
    "enough). "
)
ON = (
    "If it should have: look at ip -6 addr, ip -6 route and ping -6 of a host outside; until that works, "
    "smtp_address_preference = ipv4 in main.cf and postfix reload. Its IPv6 address needs a PTR and a place in SPF as well."
)
REMEDIES = {
    "no-network": OFF + ON,
    "dropped": ON + " A provider may shut port 25 over IPv6 alone: nc -6 -vz -w 10 HOST 25 shows it. " + OFF,
    "rejected": ON + " A provider may shut port 25 over IPv6 alone: nc -6 -vz -w 10 HOST 25 shows it. " + OFF,
    "forbidden": "A firewall of this host forbids it (nft list ruleset, ip6tables -L OUTPUT -n). " + OFF,
}


CHECK = Check(
    NAME,
    "IPv6 leads nowhere",
    look=look,
    conclude=conclude,
    causes=tuple(CAUSES.values()),
    order=220,
    clear="Other hosts answer over IPv6 ({checked:connection|connections} looked at)",
    group="reputation",
    severity="warning",
    needs=("connections of Postfix to other hosts",),
    related=("port-25-shut", "delivery-blocked"),
    limits=Limits,
)
