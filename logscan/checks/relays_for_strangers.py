"""Mail of strangers, handed in without a login, is passed on to outside.

## What it finds
Mail that a client of outside handed in without a login, for recipients who are outside too and whom no alias or script here
named. One finding where it is done for anybody, one a client that alone may, one a gateway behind which everybody looks like a
client of this network (Docker, a NAT, a proxy).

## Why it matters
Spammers look for such servers all day. Within hours it sends nothing but their mail, and every provider blocks its address.

## What the log shows
`client=…` of an address outside and without `sasl_username=`, then `postfix/smtp` with `to=<…>` of a domain that isn't this
server's, and no `orig_to=`. Other strangers get `Relay access denied` where only some clients may. A gateway shows as
`client=unknown[172.17.0.1]` for everybody, strangers' mail for people here among it.

## What to do
`smtpd_relay_restrictions` must end with `reject_unauth_destination` or `defer_unauth_destination`, with nothing before it but
`permit_mynetworks` and `permit_sasl_authenticated`. mynetworks must hold own addresses only, not the gateway's. Look at the
queue, and send spam that still waits nowhere.

## When it is wrong
What a mail server in the own network without a name hands on for its users looks like a gateway; it is only noted as long as
nobody was refused there under several names. A backup MX and a gateway to other mail servers pass strangers' mail on by design:
`relay_domains` and transport maps say so, and without a configuration only mail for domains that nobody is a backup of counts.
Clients of one's own outside `mynetworks` (an access table, a client's certificate) are named as trusted clients, and only noted
without a configuration.

## When it is blind
When no stranger handed in mail, or nothing tells which domains are this server's own; where it looks like a gateway to other
servers, and no configuration says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from logscan.checking import evidence as ev
from logscan.checking import relayed
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.findings import Confidence, Finding, Remedy, Result, Severity
from logscan.scan.own_domains import OwnDomains
from logscan.tables import cells
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

ANYBODY, TRUSTED, GATEWAY = "open-relay", "trusted-client", "gateway-hides-clients"


@dataclass(frozen=True)
class Limits:
    """Thresholds of the check."""

    networks: int = 3
    """Networks (/24, /48) of clients whose mail is passed on before it is done for anybody: one or two may be trusted."""
    domains: int = 3
    """Domains of recipients, and of senders: spam goes everywhere, while a partner's server sends from its own domain."""
    relays: int = 5
    """Without a configuration, so many different hosts and domains that mail is passed on to: a gateway serves a few."""
    exposed: int = 50
    """Strangers' mails without one `Relay access denied` among them, without a configuration: whoever is open to the internet
    sees somebody try to relay well before that."""
    names: int = 3
    """Names (HELO) of refused clients behind one private address before strangers are sure to be behind it: bots try to relay
    within hours, under any name."""
    clients: int = 20
    """Networks of trusted clients that are named one by one."""
    mails: int = 3
    """Mails of one client: fewer may be a test of the administrator's own, and are noted."""


def look(window: Window, settings: Settings) -> Partial:
    """Keep what strangers' mail was passed on to outside, and count the strangers' mails."""
    return Partial(relayed.look(window, settings))


def conclude(partial: Partial, log: Log) -> Result:
    """Say for whom mail is passed on: for anybody, for some clients, for all behind a gateway."""
    told, own = limits(log, "relays-for-strangers", Limits), OwnDomains.of(partial, log)
    strangers = partial.count(relayed.STRANGERS)
    result = Result(checked=strangers, eligible=strangers)
    if not strangers:
        result.blind_because.append("no mail of strangers in these logs")
        return result
    if not own.mail:
        result.checked = 0
        result.blind_because.append(
            "which domains are this server's own isn't known, so mail for them can't be told from mail passed on: give main.cf, "
            "or --local-domain"
        )
        return result
    rows = relayed.passed_on(partial, log, own)
    configured = relayed.all_known(log)
    for address, many in sorted(_gateways(partial, rows, told).items()):
        grave: Severity = "warning" if many else "note"
        behind = rows[rows["address"] == address]
        result.findings.append(_finding(log, partial, GATEWAY, address, behind, grave, "medium" if many else "low"))
    rows = rows[~rows["private"].to_numpy(dtype=bool)]
    if not len(rows):
        return result
    if _for_anybody(partial, rows, strangers, configured, told):
        result.findings.append(
            _finding(log, partial, ANYBODY, "everybody", rows, "problem", "high" if configured else "medium")
        )
        return result
    if not configured:
        every = int(rows["n"].sum())
        rows = _without_gateways(rows, told)
        left = every - int(rows["n"].sum())
        if left:
            result.blind_because.append(
                f"{ev.mails(left)} of strangers went on to domains that they send to from everywhere: whether this server is "
                "meant to take them in (relay_domains, transport maps) isn't known; give main.cf and master.cf"
            )
    few = rows["net"].nunique() <= told.clients
    for net, some in rows.groupby("net", sort=True) if few else [(MANY, rows)]:
        severity: Severity = "warning" if configured and int(some["n"].sum()) >= told.mails else "note"
        sure: Confidence = "medium" if configured else "low"
        result.findings.append(_finding(log, partial, TRUSTED, str(net), some, severity, sure))
    return result


MANY = "many networks"
"""The subject of trusted clients that are too many to be named one by one."""


def _without_gateways(rows: pd.DataFrame, told: Limits) -> pd.DataFrame:
    """Leave out mail for domains that strangers everywhere send here: this server takes it in for another one."""
    nets = rows.groupby("recipient")["net"].transform("nunique")
    return rows[(nets < told.networks) | rows["recipient"].isin(relayed.PROVIDERS)]


def _gateways(partial: Partial, rows: pd.DataFrame, told: Limits) -> dict[str, bool]:
    """Return the private addresses without a name from which strangers' mail comes in, for people here and for outside.

    And of each whether those that were refused there call themselves by several names: a mail server of one's own that hands
    on what its users forward has one.
    """
    called = partial.frame(relayed.CALLED).groupby("address")["helo"].nunique()
    private = rows[rows["private"].to_numpy(dtype=bool)]
    inward = partial.frame(relayed.INWARD).groupby("address")["sender"].nunique()
    out = {}
    for address, some in private.groupby("address"):
        wide = min(some["sender"].nunique(), some["recipient"].nunique()) >= told.domains
        if wide and int(inward.get(address, 0)) >= told.domains:
            out[str(address)] = int(called.get(address, 0)) >= told.names
    return out


def _for_anybody(partial: Partial, rows: pd.DataFrame, strangers: int, configured: bool, told: Limits) -> bool:
    """Whether mail is passed on for whoever comes, not for some clients that are trusted."""
    wide = rows["net"].nunique() >= told.networks
    wide = wide and min(rows["recipient"].nunique(), rows["sender"].nunique()) >= told.domains
    refused = partial.frame(relayed.REFUSED)
    meanwhile = len(refused) and bool(
        (refused["first"].min() <= rows["last"].max()) & (refused["last"].max() >= rows["first"].min())
    )
    if not wide or meanwhile:
        return False
    everywhere = rows["recipient"].isin(relayed.PROVIDERS).any() or (
        min(rows["recipient"].nunique(), rows["relay"].nunique()) >= told.relays
    )
    return configured or (strangers >= told.exposed and bool(everywhere))


def _finding(
    log: Log, partial: Partial, cause: str, subject: str, rows: pd.DataFrame, severity: Severity, sure: Confidence
) -> Finding:
    some = partial.frame(relayed.CASES)
    some = some[some["address"].isin(rows["address"]) & some["recipient_domain"].isin(rows["recipient"])]
    some = some.sort_values(["time", "place", "recipient"], ignore_index=True)
    mails, recipients = int(rows["n"].sum()), int(rows["recipients"].sum())
    count = ev.mails(mails, recipients)
    who = ", ".join(sorted(rows["sender"].unique(), key=str)[:3])
    words = {
        ANYBODY: f"This server passes on mail for anybody: {count} of clients in {rows['net'].nunique()} networks",
        TRUSTED: f"Clients in {subject} hand in mail for outside without a login: {count}, from {who}",
        GATEWAY: f"Strangers look like a client of this network behind {subject}, and their mail is passed on: {count}",
    }[cause]
    return Finding(
        cause=cause,
        subject=subject,
        summary=words,
        severity=severity,
        confidence=sure,
        count=mails,
        cases=[_case(row) for row in some.itertuples()],
        first=cells.moment(pd.Timestamp(int(rows["first"].min()), tz="UTC")),
        last=cells.moment(pd.Timestamp(int(rows["last"].max()), tz="UTC")),
        remedy=Remedy(CURES[cause].format(subject=subject)),
        evidence=lines_at(log, [place for row in some.head(6).itertuples() for place in (row.place, row.out)]),
        why=WHY[cause],
        mails=mails,
        recipients=recipients,
    )


def _case(row: Any) -> dict[str, Any]:
    return {
        "message_id": cells.text(row.message_id),
        "queue_id": row.queue_id,
        "sender": row.sender,
        "recipient": row.recipient,
        "client": f"{row.client}[{row.address}]",
        "relay": row.relay,
        "time": cells.iso(pd.Timestamp(row.time, tz="UTC")),
    }


WHY = {
    ANYBODY: "No client was told Relay access denied meanwhile.",
    TRUSTED: "Something lets these clients relay that others may not: mynetworks, an access table, a client's certificate.",
    GATEWAY: "mynetworks seems to hold the gateway's address, so that all who come through it count as this network's own.",
}
CURES = {
    ANYBODY: (
        "At once: postconf -e 'smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, "
        "reject_unauth_destination', and look in master.cf that no smtpd has an -o smtpd_relay_restrictions or "
        "smtpd_recipient_restrictions of its own with a permit before that. postconf mynetworks must print own addresses only "
        "(no 0.0.0.0/0). Then postfix reload, and look at what waits: postqueue -p; put strangers' mail on hold "
        "(postsuper -h) before anything is deleted."
    ),
    TRUSTED: (
        "If {subject} is yours or a customer's: nothing is wrong; name its addresses in mynetworks or give it a login, so that "
        "it can be seen. If not: look for its network in mynetworks (postconf mynetworks, mynetworks_style), for its address or "
        "name in the tables of check_client_access and check_sender_access, and take it out; then postfix reload."
    ),
    GATEWAY: (
        "Take {subject} out of mynetworks (main.cf; mynetworks_style = host), and let the clients' own addresses through: Docker "
        "without its userland proxy or with network_mode: host, a proxy with the PROXY protocol (smtpd_upstream_proxy_protocol). "
        "Programs that sent without a login through it need one then."
    ),
}

CHECK = Check(
    "relays-for-strangers",
    "Strangers' mail is passed on to outside",
    look,
    conclude,
    causes=(ANYBODY, TRUSTED, GATEWAY),
    order=225,
    clear="No stranger's mail was passed on to outside ({checked:mail|mails} of strangers looked at)",
    but="but for {noted:mail|mails} of clients that this server seems to trust",
    group="reputation",
    severity="problem",
    needs=("clients and deliveries of Postfix", "which domains are its own"),
    related=("account-misused", "outgoing-tagged-spam", "delivery-blocked"),
    limits=Limits,
)
