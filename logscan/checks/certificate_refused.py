"""Clients that this server knows refuse its certificate.

## What it finds
TLS alerts by which clients say that they don't accept the certificate: expired, of an unknown issuer, or not for this name. Only
clients count in whose network somebody logged in or handed in mail in the same logs, and only where several networks agree. One
finding a program and reason.

## Why it matters
Mail programs stop, or ask their users to accept what they can't judge, who then accept anything. Servers that insist on a
good certificate (MTA-STS, DANE) put their mail off and send it back in the end.

## What the log shows
Postfix: `SSL_accept error from …[203.0.113.9]: -1`, then `TLS library problem: error:…:sslv3 alert certificate expired:…:SSL
alert number 45:`. Dovecot: at the end of a login line `TLS handshaking: SSL_accept() failed: error:…:tlsv1 alert unknown ca:
SSL alert number 48`.

## What to do
Look at what the program really shows: `openssl s_client -connect HOST:993` (995, 465; `-starttls smtp` for 25 and 587).
Expired: renew it, and reload the program: it keeps the old one until then. Unknown issuer: the file must hold the intermediate
certificates too (fullchain.pem). Not accepted: the names in it must be those that people type in.

## When it is wrong
Scanners send alerts all day; they are no clients that were served. A single device may lack a root certificate or have a
wrong clock. With a certificate of one's own each new device refuses it once, until its user accepts it.

## When it is blind
When nobody logged in or handed in mail in these logs, so that no client is known.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from logscan.checking import alerts
from logscan.checking.alerts import EXPIRED, ISSUER, REFUSED
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.findings import Counted, Finding, Remedy, Result
from logscan.tables import cells
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings


HOUR = 3600 * 10**9


@dataclass(frozen=True)
class Limits:
    """Thresholds of the check."""

    networks: int = 3
    """Networks (/24, /64) of known clients that say the same: one or two may have a wrong clock or lack a root certificate."""
    within_hours: int = 48
    """The time within which they say it: all who look meet a bad certificate, so that it's soon three; over months, single
    devices add up."""
    healed: float = 0.5
    """Share of these networks that were served after the last alert for the fault to count as mended."""


def look(window: Window, settings: Settings) -> Partial:
    """Keep alerts about certificates, and which clients were served."""
    return Partial(alerts.look(window))


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding a program and reason that known clients of several networks give."""
    told = limits(log, "certificate-refused", Limits)
    rows, served = alerts.told(partial)
    clients = len(partial.frame(alerts.SERVED))
    result = Result(checked=clients, eligible=clients)
    if not clients:
        result.blind_because.append("nobody logged in or handed in mail in these logs, so that no client is known")
        return result
    last = dict(zip(served["net"], served["last"], strict=True))
    rows = rows[rows["net"].isin(last)].sort_values(["time", "place"], ignore_index=True)
    for (program, host, kind), some in rows.groupby(["program", "host", "kind"], sort=True, dropna=False):
        result.findings.append(_finding(log, f"{program} on {host}", str(kind), some, last, told))
    return result


def _together(rows: pd.DataFrame, told: Limits) -> bool:
    """Whether as many networks say it within the time; rows are in the order of time."""
    times, nets = rows["time"].tolist(), rows["net"].tolist()
    inside: Counter[str] = Counter()
    begin = 0
    for at, net in zip(times, nets, strict=True):
        inside[net] += 1
        while times[begin] < at - told.within_hours * HOUR:
            inside -= Counter([nets[begin]])
            begin += 1
        if len(inside) >= told.networks:
            return True
    return False


def _finding(log: Log, subject: str, kind: str, rows: pd.DataFrame, last: dict[str, int], told: Limits) -> Finding:
    nets = sorted(set(rows["net"]))
    end = int(rows["time"].max())
    again = sum(last[net] > end for net in nets)
    over = again >= told.healed * len(nets)
    words = {
        EXPIRED: "has expired",
        ISSUER: "is of an unknown issuer",
        REFUSED: "can't be accepted",
    }[kind]
    who = f"Clients in {len(nets)} networks say" if len(nets) > 1 else "A client says"
    summary = f"{who} that the certificate of {subject} {words}: {Counted(len(rows)):time|times}"
    return Finding(
        cause=kind,
        subject=subject,
        summary=f"{summary}; {again} of these networks were served since" if over else summary,
        severity="note" if not _together(rows, told) else "problem" if kind == EXPIRED else "warning",
        confidence="high" if kind == EXPIRED else "medium",
        count=len(rows),
        cases=[_case(row) for row in rows.itertuples()],
        first=cells.moment(pd.Timestamp(int(rows["time"].min()), tz="UTC")),
        last=cells.moment(pd.Timestamp(end, tz="UTC")),
        state="mended" if over else "active",
        remedy=None if over else Remedy(CURES[kind]),
        evidence=lines_at(log, rows["place"].tolist()),
        why="All of these networks were served in the same logs: they are no scanners.",
    )


def _case(row: Any) -> dict[str, Any]:
    return {"user": None, "addresses": [row.address], "time": cells.iso(pd.Timestamp(row.time, tz="UTC"))}


LOOK = "Look at what is shown: openssl s_client -connect HOST:993 -servername HOST (995, 465; -starttls smtp for 25 and 587). "
FILES = "(ssl_cert in Dovecot, 2.4: ssl_server_cert_file; smtpd_tls_chain_files or smtpd_tls_cert_file in Postfix)"
CURES = {
    EXPIRED: (
        f"{LOOK}Renew the certificate (certbot renew), and let the program read it again: doveadm reload, postfix reload. A hook "
        "does so each time: certbot's renewal-hooks/deploy."
    ),
    ISSUER: (
        f"{LOOK}The file that the program reads {FILES} must hold the server's certificate first, then the intermediate ones "
        "(fullchain.pem, not cert.pem); then reload it. A certificate of one's own has to be installed on each device, or "
        "replaced."
    ),
    REFUSED: (
        f"{LOOK}Compare the names in it (X509v3 Subject Alternative Name) with those that the users' programs are set to, and "
        f"its dates; order one that has all names {FILES}, and reload the program."
    ),
}

CHECK = Check(
    "certificate-refused",
    "Clients refuse this server's certificate",
    look,
    conclude,
    causes=(EXPIRED, ISSUER, REFUSED),
    order=345,
    clear="Known clients don't refuse the certificate ({checked:client|clients} looked at)",
    but="but for {noted:time|times} by single ones",
    group="accounts",
    severity="problem",
    needs=("logins of Dovecot or clients of Postfix",),
    related=("login-without-tls",),
    limits=Limits,
)
