"""No connection to other hosts' port 25 works.

## What it finds
A server that reaches no mail host at all: its connections to port 25 of many hosts time out or are refused, and none is answered.
One finding a server.

## Why it matters
All mail for outside waits in the queue, and comes back after days. Many providers of servers, and nearly all of home lines, shut
port 25 to the outside, some of them only after a complaint.

## What the log shows
`connect to mx.example.net[192.0.2.1]:25: Connection timed out` for hosts of many domains, and no delivery to, nor refusal of, any
host elsewhere since.

## What to do
`nc -vz -w 10 mx.example.net 25` from the server, to a host that is known to work. If that fails while port 443 of others works,
ask whoever runs the network to open port 25 outwards, or send by a relay: relayhost = [relay.example]:587 with a login. If this
host's own firewall forbids it (Permission denied, Operation not permitted), look at its rules for output.

## When it is wrong
Hosts that are dead fail for ever: those that failed so before others answered for the last time don't count. An outage of the
whole network looks the same until the first answer; then it is told as mended.

## When it is blind
When too few hosts were tried to tell the port from those hosts' own trouble. It isn't applicable where all mail goes to a relay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from logscan.amounts import plural
from logscan.checking.blocked import clock
from logscan.checking.check import Check
from logscan.checking.connections import answers, failures, passing_failures
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.findings import Finding, Remedy, Result, State
from logscan.tables import cells
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

NAME = "port-25-shut"
CAUSES = {"dropped": "connections-dropped", "rejected": "connections-rejected", "forbidden": "own-firewall"}
PORT = 25


@dataclass(frozen=True)
class Limits:
    """From what on it is the port, not the hosts."""

    providers: int = 5
    """Domains of hosts that don't answer: that many unrelated ones are seldom away at once."""
    minutes: int = 30
    """Time that it goes on: shorter ones are a network's hiccup, after which Postfix tries again."""


def look(window: Window, settings: Settings) -> Partial:
    """Take connections that failed, by host, and when hosts answered."""
    return Partial({"failures": failures(window), "passing": passing_failures(window), "answers": answers(window)})


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding a server whose connections all fail."""
    bounds = limits(log, NAME, Limits)
    result = Result()
    tried, answered = _tried(partial), partial.frame("answers")
    answered = answered[answered["family"] == 4]
    relay = log.settings.postfix.get("relayhost") if log.settings.known("postfix") else ""
    if relay:
        result.not_applicable = (
            f"Mail for outside leaves by the relay {relay} (relayhost), not by other hosts’ port 25."
        )
    result.checked = result.eligible = int(answered["count"].sum()) + int(tried["attempts"].sum())
    for server in sorted({*tried["server"], *answered["server"]}):
        mine, theirs = tried[tried["server"] == server], answered[answered["server"] == server]
        finding = _judged(log, str(server), mine, theirs, bounds)
        if finding is not None:
            result.findings.append(finding)
        elif theirs.empty:
            hosts = mine["provider"].nunique()
            result.blind_because.append(
                f"mail of {server} went to hosts of {plural(hosts, 'domain')} only, and none answered: too few to tell the port "
                "from those hosts' own trouble"
            )
    if not result.checked:
        result.blind_because.append("no connection to another host over IPv4 is told of in these logs")
    return result


def _tried(partial: Partial) -> pd.DataFrame:
    """Return connections over IPv4 that failed, one row a server, provider, address and reason."""
    both = pd.concat([partial.frame("failures"), partial.frame("passing")], ignore_index=True)
    both = both[~both["address"].str.contains(":") & both["why"].isin(CAUSES)]
    other = both[~both["port"].isin((0, PORT))]
    both = both[both["port"].isin((0, PORT)) & ~both["address"].isin(other["address"])]
    by = ["server", "provider", "address", "why"]
    # Postfix logs a connection that failed on its own, and with the mail: the two are one.
    return both.groupby(by, as_index=False).agg(
        first=("first", "min"), last=("last", "max"), attempts=("attempts", "max"), place=("place", "min")
    )


def _judged(log: Log, server: str, tried: pd.DataFrame, answered: pd.DataFrame, bounds: Limits) -> Finding | None:
    """Return the finding where hosts of many domains failed and none answered since, or for as long until one did."""
    if tried.empty:
        return None
    begun, answer = int(answered["first"].min()) if len(answered) else None, None
    if len(answered):
        answer = int(answered["last"].max())
    fresh = tried if answer is None else tried[tried["first"] > answer]
    state: State = "active"
    if fresh["provider"].nunique() < bounds.providers and begun is not None:
        # Before the first answer it may have been shut, and then been opened.
        fresh, state = tried[tried["last"] < begun], "mended"
    if fresh["provider"].nunique() < bounds.providers:
        return None
    first, last = int(fresh["first"].min()), int(fresh["last"].max())
    if last - first < bounds.minutes * 60 * 10**9:
        return None
    why = str(fresh.groupby("why")["provider"].nunique().sort_values(kind="stable").index[-1])
    number = fresh["provider"].nunique()
    said = (
        f"{server} reached no host over port 25: connections to hosts of {plural(number, 'domain')} "
        f"{WORDS[why]} from {clock(first, log)} on"
    )
    if state == "mended" and begun is not None:
        said += f"; hosts answer since {clock(begun, log)}"
    elif answer is not None:
        said += f"; the last answer was at {clock(answer, log)}"
    else:
        said += ", and none answered in these logs"
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
        severity="problem",
        confidence="high" if number >= 2 * bounds.providers else "medium",
        count=len(fresh),
        cases=cases,
        first=cells.moment_of(first),
        last=cells.moment_of(last),
        state=state,
        remedy=Remedy(REMEDIES[why], key=f"port-25:{why}") if state == "active" else None,
        evidence=lines_at(log, fresh.drop_duplicates("provider")["place"].tolist()[:8]),
    )


WORDS = {"dropped": "time out", "rejected": "are refused", "forbidden": "are forbidden by this host itself"}

TEST = "nc -vz -w 10 HOST 25 from this server, for a host that is known to work, shows it. "
OPEN = (
    "Ask whoever runs the network (the provider of the server or the line) to open port 25 outwards; many shut it for new "
    "customers, or after a complaint. Else send by a relay: relayhost = [relay.example]:587 in main.cf with "
    "smtp_sasl_auth_enable = yes, smtp_sasl_password_maps and smtp_tls_security_level = encrypt. What waits in the queue goes "
    "out then (postqueue -f)."
)
REMEDIES = {
    "dropped": TEST + OPEN,
    "rejected": TEST + OPEN,
    "forbidden": (
        "A firewall of this host forbids it (nft list ruleset, iptables -L OUTPUT -n; SELinux or AppArmor may too): let the user "
        "postfix connect to port 25. Then postqueue -f."
    ),
}


CHECK = Check(
    NAME,
    "No other host can be reached over port 25",
    look=look,
    conclude=conclude,
    causes=tuple(CAUSES.values()),
    order=215,
    clear="Other hosts answer over port 25 ({checked:connection|connections} looked at)",
    group="reputation",
    severity="problem",
    needs=("deliveries of Postfix to other hosts",),
    related=("ipv6-broken", "delivery-blocked", "mail-stuck"),
    limits=Limits,
)
