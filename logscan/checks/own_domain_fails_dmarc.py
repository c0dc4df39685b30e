"""Mail of an own domain comes in from elsewhere and fails DMARC, from hosts that seem to be the domain's own.

## What it finds
Mail with an own domain in its From header that a host outside handed in and that failed DMARC here: from hosts whose name lies in
an own domain, or again and again over days, a little at a time, from one network. One finding a domain and network.

## Why it matters
What fails here fails at every other server too: invoices of the shop, the newsletter, mail of the branch office are refused
or filed as spam, and the domain's policy can't be made stricter as long as that lasts.

## What the log shows
`opendmarc[…]: QUEUEID: example.com fail` for a queue ID whose `client=` is outside, or among rspamd's symbols
`DMARC_POLICY_REJECT(2.00){example.com : SPF not aligned (relaxed), No valid DKIM,reject;}`.

## What to do
Find out whose host it is. Is it one of yours or a service that sends for you: put it into the domain's SPF record (`include:`,
`ip4:`), or better have it sign with a key of the domain; then its mail passes. Is it not: nothing is to be done, DMARC works.

## When it is wrong
Most mail that fails for an own domain is forged, which is what DMARC is for. It comes from many networks, much at once, or
for a few days, and is left alone; a forger who sends a little from one network for weeks looks like an own host. What lists
send on (`-bounces`, SRS) is passed over: posts of one's own users fail by way of a list.

## When it is blind
Without results of OpenDMARC or rspamd (with symbols), and where mail failed but the log covers too few days to tell own hosts
from forgers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from logscan.checking import dmarc
from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.checking.shown import most_seen
from logscan.findings import Finding, Remedy, Result
from logscan.scan.pasts import with_past
from logscan.tables import cells
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.own_domains import OwnDomains
    from logscan.scan.window import Window
    from logscan.settings import Settings

DAY = 86_400 * 10**9

NAMED, STEADY = "own-host", "steady-sender"


@dataclass(frozen=True)
class Limits:
    """Thresholds of the check."""

    mails: int = 4
    """Mails of a network without a name of ours that failed: fewer may be forged by chance."""
    days: int = 3
    """Different days on which it sent: most forgers are gone after a day."""
    span_days: int = 7
    """Days from the first to the last of its mails: a forger's campaign is over within some days, an own host goes on."""
    share: float = 0.1
    """Share of the days between on which it sent: over months, forged mail comes from every large network now and then."""
    most_a_day: int = 50
    """Mails on one day: what sends more is a wave of forged mail, or would have been noticed."""


def look(window: Window, settings: Settings) -> Partial:
    """Count DMARC results, and keep those of own domains that failed."""
    return Partial(dmarc.look(window, settings))


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding a domain and network that seems to be an own host."""
    told = limits(log, "own-domain-fails-dmarc", Limits)
    seen = partial.frame(dmarc.RESULTS)
    total = int(seen["n"].sum()) if len(seen) else 0
    result = Result(checked=total, eligible=total)
    if not total:
        result.blind_because.append(
            "no DMARC result in these logs: OpenDMARC's lines in the mail log, or rspamd.log with symbols, tell them"
        )
        return result
    rows, own = dmarc.failed(partial, log)
    rows = rows.sort_values(["time", "place", "queue_id"], ignore_index=True)
    client = rows["client"].fillna("").str.lower()
    ours = {name for name in client.unique().tolist() if own.takes(name) or _below(own, name)}
    rows = rows.assign(named=client.where(client.isin(ours), "").to_numpy())
    is_named = (rows["named"] != "").groupby([rows["domain"], rows["net"]]).transform("any")
    chosen = rows[is_named | _steady(rows, told)]
    open_ = int(rows["fresh"].sum() - chosen["fresh"].sum())
    days = (chosen["time"] // DAY).groupby([chosen["domain"], chosen["net"]]).nunique()
    chosen = chosen[chosen["fresh"]]
    chosen = most_seen(chosen, ("domain", "net"), result, "own-domain-fails-dmarc, networks", chosen["named"] != "")
    for (domain, net), some in chosen.groupby(["domain", "net"], sort=True):
        names = sorted(set(some["named"]) - {""})
        result.findings.append(
            _finding(log, str(domain), str(net), some, names[0] if names else "", int(days[domain, net]))
        )
    seen = with_past(partial, log, CHECK.name).frame(dmarc.RESULTS)
    span = int(seen["last"].max() - seen["first"].min())
    if open_ and span < (told.span_days - 1) * DAY:
        result.blind_because.append(
            f"{ev.mails(open_)} of own domains from outside failed, and the log covers too little time to tell own hosts from "
            f"forgers: give logs of {told.span_days} days or more"
        )
    return result


def _steady(rows: pd.DataFrame, told: Limits) -> pd.Series:
    """Return which rows are of a network whose mails came a little at a time, again and again, over days."""
    by = ["domain", "net"]
    daily = rows.assign(day=rows["time"] // DAY).groupby([*by, "day"]).size().reset_index(name="n")
    of = daily.groupby(by).agg(
        mails=("n", "sum"), most=("n", "max"), days=("n", "size"), first=("day", "min"), last=("day", "max")
    )
    span = of["last"] - of["first"] + 1
    often = (of["days"] >= told.days) & (of["days"] >= told.share * span)
    steady = (of["mails"] >= told.mails) & often & (span >= told.span_days) & (of["most"] <= told.most_a_day)
    return steady.reindex(pd.MultiIndex.from_frame(rows[by])).set_axis(rows.index)


def _below(own: OwnDomains, name: str) -> bool:
    parts = name.split(".")
    return any(own.takes(".".join(parts[at:])) for at in range(1, len(parts) - 1))


def _finding(log: Log, domain: str, net: str, rows: pd.DataFrame, named: str, days: int) -> Finding:
    count = ev.mails(len(rows))
    who = named or net
    return Finding(
        cause=NAMED if named else STEADY,
        subject=f"{domain} from {net}",
        summary=f"Mail of {domain} from {who} fails DMARC: {count}" + (f" on {days} days" if days > 1 else ""),
        severity="warning",
        confidence="high" if named else "low",
        count=len(rows),
        cases=[_case(row) for row in rows.itertuples()],
        first=cells.moment(pd.Timestamp(int(rows["time"].min()), tz="UTC")),
        last=cells.moment(pd.Timestamp(int(rows["time"].max()), tz="UTC")),
        remedy=Remedy(
            f"Is {who} yours, or a service that sends for you: name it in {domain}'s SPF record (its addresses, or the service's "
            "include:) if its envelope sender is of that domain, or have it sign with a DKIM key of the domain, which survives "
            "forwarding; "
            f"then look that the next mail says {domain} pass. Is it not, it forges: leave the policy as it is."
        ),
        evidence=lines_at(log, rows["place"].tolist()),
        why="The client's name lies in a domain of this server."
        if named
        else "A little, again and again, from one network: forgers send much at once, and from many.",
        mails=len(rows),
    )


def _case(row: Any) -> dict[str, Any]:
    return {
        "message_id": cells.text(row.message_id),
        "queue_id": row.queue_id,
        "sender": row.sender,
        "domain": row.domain,
        "client": f"{row.client}[{row.address}]" if row.client else row.address,
        "time": cells.iso(pd.Timestamp(row.time, tz="UTC")),
    }


CHECK = Check(
    "own-domain-fails-dmarc",
    "Own mail from elsewhere fails DMARC",
    look,
    conclude,
    remember=dmarc.remember,
    causes=(NAMED, STEADY),
    order=235,
    clear="No own host elsewhere shows whose mail fails DMARC ({checked:result|results} looked at)",
    group="reputation",
    severity="warning",
    needs=("DMARC results of OpenDMARC or rspamd", "clients of Postfix"),
    related=("outgoing-unsigned", "sends-as-others"),
    limits=Limits,
)
