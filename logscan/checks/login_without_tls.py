"""Passwords cross the net in clear: logins without TLS.

## What it finds
Logins to the mailboxes or to submission that sent the password as it is (PLAIN, LOGIN, tokens of OAuth) over a connection that
wasn't encrypted, from addresses that aren't this network's own. One finding a user, one a machine that several users log in
from, one a user or client of submission.

## Why it matters
Whoever carries the connection, a hotel's WLAN or a hacked router, reads the password, and with it all mail; it opens
submission too.

## What the log shows
`imap-login: Login: user=<…>, method=PLAIN, rip=203.0.113.9, lip=…, session=…` without `TLS` or `secured`, where other lines
have it. For Postfix the counters at the end of a session: `disconnect from …[203.0.113.9] ehlo=1 auth=1 …` without
`starttls=1`.

## What to do
Tell these users to switch on SSL/TLS in the mail program (993, 995, 465) and to change the password afterwards. When they
have: `ssl = required` in Dovecot, without `disable_plaintext_auth = no` (2.4: `auth_allow_cleartext = yes`), and
`smtpd_tls_auth_only = yes` in Postfix, so that nobody can any more.

## When it is wrong
Where a proxy or a VPN encrypts what reaches this server in clear. Private addresses, and those next to the server's own, are only
noted therefore. A service whose TLS begins with the connection (465) has no `starttls`: it is looked at only where
master.cf, or the name `submission`, tells that it isn't one.

## When it is blind
Without logins of Dovecot and sessions of submission; where no login line tells of TLS at all, as the format may leave it out
(`%{secured}` in login_log_format_elements).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan.checking import evidence as ev
from logscan.checking import in_clear
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.checking.shown import most_seen
from logscan.findings import Counted, Finding, Remedy, Result, Severity
from logscan.scan.client_networks import is_private, network
from logscan.tables import cells
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

USER, MACHINE, SUBMISSION = "login-in-clear", "shared-client-in-clear", "submission-in-clear"


@dataclass(frozen=True)
class Limits:
    """Thresholds of the check."""

    users: int = 3
    """Users from one address who make it a machine of many (a webmail, a scanner) that has to be set right once."""
    proof: int = 1
    """Logins that say TLS or secured: with one the format of the line is known to tell it."""


def look(window: Window, settings: Settings) -> Partial:
    """Count logins, and keep those in clear by user and address."""
    return Partial(in_clear.look(window))


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding a user, a machine of several users, and a client of submission."""
    told = limits(log, "login-without-tls", Limits)
    logins, services = partial.frame(in_clear.LOGINS), partial.frame(in_clear.SERVICES)
    mute = _mute(log, logins, told)
    seen = logins[~logins["host"].isin(mute)]
    kinds = {name: _kind(log, name, safe) for name, safe in zip(services["service"], services["safe"], strict=True)}
    sessions = _far_sessions(log, partial)
    open_ = sessions[sessions["service"].isin([name for name, kind in kinds.items() if not kind])]
    untold, mute_ones = int(open_["n"].sum()), int(logins["n"].sum()) - int(seen["n"].sum())
    # Those in clear from this network's own addresses are left out of all counts.
    checked = int(seen["n"].sum()) + int(services["safe"].sum()) + int(sessions["n"].sum()) - untold
    result = Result(checked=checked, eligible=checked + untold + mute_ones)
    if not result.eligible:
        result.blind_because.append(
            "no login in these logs whose line tells of TLS: neither of Dovecot, nor of a submission service with counters at "
            "the end of a session (Postfix 3.0)"
        )
        return result
    if ev.too_few(result):
        result.blind_because += _missing(mute_ones, untold, sorted(set(open_["service"])))
    rows = partial.frame(in_clear.PLAIN)
    rows = rows[~rows["host"].isin(mute)]
    result.findings = [
        *_logins(log, rows, told, result),
        *_sessions(log, partial, {name for name, kind in kinds.items() if kind == COMMAND}, result),
    ]
    return result


def _missing(logins: int, sessions: int, services: list[str]) -> list[str]:
    """Return why some logins couldn't be looked at."""
    out = []
    if logins:
        out.append(
            f"no line of {Counted(logins):login|logins} says TLS or secured: either none is encrypted, or "
            "login_log_format_elements leaves %{secured} (%c) out; give doveconf -n"
        )
    if sessions:
        out.append(
            f"{Counted(sessions):session|sessions} with a login on {', '.join(f'{name}/smtpd' for name in services)} had no "
            "STARTTLS, and whether TLS began with the connection (465) isn't told by that name: give main.cf and master.cf"
        )
    return out


def _mute(log: Log, logins: pd.DataFrame, told: Limits) -> set[str]:
    """Return the hosts of which no login line says that it was protected, so that the format may leave it out."""
    if log.settings.known("dovecot") and not log.settings.dovecot.get("login_log_format_elements"):
        return set()
    safe = logins.groupby("host")["safe"].sum()
    return {str(name) for name in safe.index[safe < told.proof]}


COMMAND, CONNECTION = "command", "connection"


def _kind(log: Log, service: str, safe: int) -> str:
    """Return whether TLS begins with a command in a service (by its tag), or with the connection; empty where nothing tells."""
    tag = f"{service}/smtpd"
    listeners = [each for each in log.settings.listeners() if each.tag == tag]
    if listeners:
        wrapped = {each.service.on("smtpd_tls_wrappermode") for each in listeners}
        return "" if len(wrapped) > 1 else CONNECTION if True in wrapped else COMMAND
    name = service.rpartition("/")[2].lower()
    if name in ("smtps", "submissions", "465", "ssmtp"):
        return CONNECTION
    return COMMAND if safe > 0 and "submission" in name and not name.endswith("s") else ""


def _near(address: str, own: str) -> bool:
    """Whether an address is this network's own: private, or next to the server's."""
    return is_private(address) or network(address) == network(own)


def _logins(log: Log, rows: pd.DataFrame, told: Limits, result: Result) -> list[Finding]:
    """Return the findings on logins to mailboxes."""
    if not len(rows):
        return []
    pairs = zip(rows["remote_address"].fillna(""), rows["local_address"].fillna(""), strict=True)
    rows = rows.assign(near=[_near(*pair) for pair in pairs], user=rows["user"].fillna(""))
    rows = rows[rows["remote_address"] != rows["local_address"]].sort_values(["first", "place"], ignore_index=True)
    many = rows.groupby("remote_address")["user"].transform("nunique") >= told.users
    found = []
    for cause, by, some in ((MACHINE, "remote_address", rows[many]), (USER, "user", rows[~many])):
        shown = most_seen(some, (by,), result, f"login-without-tls, {cause}", ~some["near"])
        found += [_finding(log, cause, str(name), each) for name, each in shown.groupby(by, sort=True)]
    return found


def _far_sessions(log: Log, partial: Partial) -> pd.DataFrame:
    """Return the sessions with a login and without STARTTLS from addresses that aren't this network's own."""
    rows = partial.frame(in_clear.SESSIONS)
    near = [is_private(each) or log.settings.is_mine(each) for each in rows["address"].fillna("")]
    return rows[~np.array(near, np.bool_) & rows["address"].notna().to_numpy()]


def _sessions(log: Log, partial: Partial, services: set[str], result: Result) -> list[Finding]:
    """Return the findings on submission: one a user, where the client's address tells who it is, else one a client."""
    rows = in_clear.submitted(partial)
    rows = rows[rows["service"].isin(services) & rows["address"].notna()].sort_values(
        ["first", "place"], ignore_index=True
    )
    rows = rows.assign(
        near=[is_private(each) or log.settings.is_mine(each) for each in rows["address"]], protocol="submission"
    )
    who = [
        names[0] if len(names) == 1 else address for names, address in zip(rows["users"], rows["address"], strict=True)
    ]
    rows = rows.assign(who=pd.Series(who, index=rows.index, dtype="str"))
    shown = most_seen(rows, ("who",), result, f"login-without-tls, {SUBMISSION}", ~rows["near"])
    return [_finding(log, SUBMISSION, str(name), some) for name, some in shown.groupby("who", sort=True)]


def _finding(log: Log, cause: str, subject: str, rows: pd.DataFrame) -> Finding:
    far = rows[~rows["near"]]
    severity: Severity = "problem" if len(far) else "note"
    shown = far if len(far) else rows
    users, addresses = _whose(cause, shown)
    count = int(shown["n"].sum())
    places = f" from {', '.join(addresses[:3])}{' …' if len(addresses) > 3 else ''}"
    times, who = Counted(count), f" as {', '.join(users[:3])}" if users and subject not in users else places
    who = who if subject not in addresses or users else ""
    summary = {
        USER: f"{subject or 'A user without a name'} logged in without TLS{places}: {times:login|logins}",
        MACHINE: f"{len(users)} users logged in without TLS from {subject}: {times:login|logins}",
        SUBMISSION: f"{_client(subject, addresses)} logged in to submission without TLS{who}: {times:session|sessions}",
    }[cause]
    return Finding(
        cause=cause,
        subject=subject,
        summary=summary if len(far) else f"{summary}; its network seems to be this server's own",
        severity=severity,
        confidence="high" if cause != SUBMISSION else "medium",
        count=count,
        cases=[_case(row, users, addresses) for row in shown.itertuples()],
        first=cells.moment(pd.Timestamp(int(shown["first"].min()), tz="UTC")),
        last=cells.moment(pd.Timestamp(int(shown["last"].max()), tz="UTC")),
        remedy=Remedy(CURES[cause], message=_letter(users) if severity == "problem" else None),
        evidence=lines_at(log, sorted(shown["place"].tolist())),
        why="The server takes passwords before TLS has begun.",
    )


def _client(subject: str, addresses: list[str]) -> str:
    return f"A client at {subject}" if subject in addresses else subject


def _whose(cause: str, rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    if cause == SUBMISSION:
        return sorted({name for some in rows["users"] for name in some}), sorted(set(rows["address"]))
    return sorted(set(rows["user"]) - {""}), sorted(set(rows["remote_address"]))


def _case(row: Any, users: list[str], addresses: list[str]) -> dict[str, Any]:
    own = list(row.users) if hasattr(row, "users") else [row.user]
    return {
        "user": own[0] if len(own) == 1 else None,
        "users": users,
        "addresses": [row.address] if hasattr(row, "address") else [row.remote_address],
        "protocol": row.protocol,
        "logins": int(row.n),
        "time": cells.iso(pd.Timestamp(row.first, tz="UTC")),
    }


def _letter(users: list[str]) -> str:
    who = users[0] if len(users) == 1 else "everybody"
    return (
        f"To {who}: your mail program sends your password over the net unprotected. Please set the connection security of the "
        "incoming server to SSL/TLS (port 993 for IMAP, 995 for POP3) and of the outgoing server to SSL/TLS (465) or STARTTLS "
        "(587), and then change your password, since it may have been read on the way."
    )


CURES = {
    USER: (
        "Send the message to the user. When nobody logs in like that any more, refuse it: ssl = required in Dovecot's "
        "10-ssl.conf, and no disable_plaintext_auth = no (2.4: no auth_allow_cleartext = yes); doveadm reload. Not before: these "
        "users couldn't read their mail any more."
    ),
    MACHINE: (
        "Set the program at that address (webmail, an archive, a monitor) to IMAP over TLS, port 993. If TLS is ended there by a "
        "proxy of yours, let it speak the PROXY protocol (haproxy = yes) or name its address in login_trusted_networks: then "
        "Dovecot counts it as secured and says so. The users' passwords have crossed the net meanwhile."
    ),
    SUBMISSION: (
        "Set the client to STARTTLS (587) or TLS (465), and change the password. When no session is like that any more: "
        "smtpd_tls_auth_only = yes in main.cf, smtpd_tls_security_level = encrypt for the submission service in master.cf; then "
        "postfix reload."
    ),
}

CHECK = Check(
    "login-without-tls",
    "Passwords cross the net unencrypted",
    look,
    conclude,
    causes=(USER, MACHINE, SUBMISSION),
    order=335,
    clear="Every login from outside was encrypted ({checked:login|logins} looked at)",
    but="but for {noted:login|logins} within this network",
    group="accounts",
    severity="problem",
    needs=("logins of Dovecot", "sessions of Postfix's submission"),
    related=("password-guessing", "account-misused", "passwords-in-log"),
    limits=Limits,
)
