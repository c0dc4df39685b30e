"""Logins fail because what checks the passwords is away.

## What it finds
Times at which no login could be checked. `auth-server-away`: Dovecot's auth or saslauthd doesn't answer Postfix or Dovecot's
own login processes; `backend-away`: it answers, but the database or directory behind it doesn't. One finding for SMTP AUTH,
one for Dovecot's logins, one for the backend, on each host; its cases are the outages.

## Why it matters
Users can't send, or can't read. Their programs say that the password is wrong, so they change it, and call. Where Postfix
finds no mechanism at all, its smtpd dies, and mail from outside waits too.

## What the log shows
`SASL: Connect to private/auth failed`, `Connection lost to authentication server`, `cannot connect to saslauthd server`,
`generic failure`, `fatal: no SASL authentication mechanisms`; of Dovecot `Auth process not responding`, `auth: connect(…)
failed`, `disconnected before auth was ready`, `auth process communication failure`; `Password query failed`, `Can't contact
LDAP server`. An outage is that several such lines stand there with no login between them that was decided, either way.

## What to do
Start what is away, and look why: a socket without rights for Postfix, a process limit, a database that restarts.

## When it is wrong
An address that guesses passwords is answered more and more slowly by Dovecot, until Postfix loses patience: lines of one
network alone are no outage, unless users get in from there. A restart of less than a minute is a note.

## When it is blind
Without any login in the log.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.amounts import plural
from logscan.checking import accounts
from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.findings import Finding, Remedy, Result, Severity
from logscan.scan import login_tries
from logscan.scan.columns import NO_TIME, column, moments, number
from logscan.scan.login_tries import LOST, Entered, Tries
from logscan.scan.networks import network
from logscan.tables.coded import Coded
from logscan.tables.columns import Column
from logscan.tables.partials import Keyed, Partial, Points, hashes

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Limits:
    """How many logins that can't be checked are an outage."""

    logins: int = 3
    """Lines that say so, with no login between them that was decided: one or two are a process that ended."""
    networks: int = 2
    """Networks of these clients: one alone may be a guesser whom Dovecot answers too slowly."""
    alone: int = 5
    """Minutes after which one network is enough, if users get in from there."""
    short: int = 1
    """Minutes up to which an outage is a restart, and a note."""
    long: int = 5
    """Minutes from which it is a problem: users ask by then."""


SMTP, DOVECOT, BACKEND = "SMTP AUTH", "logins at Dovecot", "the accounts behind the logins"
"""What can't be used, or isn't there: the subjects of findings."""

SAID = (
    (SMTP, r"^SASL: Connect to .* failed|^SASL authentication failure: cannot (?:connect to|open door to) "),
    (SMTP, r"^no SASL authentication mechanisms|^SASL per-process initialization failed"),
    (DOVECOT, r"^Auth process not responding|^Timeout waiting for handshake from auth server"),
    (DOVECOT, r"^(?:auth[^ ]*: )?(?:net_)?connect(?:_unix)?\([^()]*(?:login|auth)[^()]*\) failed"),
    (
        BACKEND,
        r"^(?:auth_(?:rimap|httpform)[^:]*: (?:couldn't )?connect|LDAP: Can't connect|.{0,60}ldap_[a-z_]+\(\) failed)",
    ),
)
"""What Postfix's smtpd (xsasl/xsasl_dovecot_server.c, cyrus-sasl lib/checkpw.c), Dovecot's login processes
(lib-auth/auth-client-connection.c, login-common/client-common-auth.c), its auth (auth/db-ldap.c) and saslauthd say."""

NAMED = re.compile(
    r"^SASL: Connect to (?:Dovecot auth socket )?'?([^' ]+)'? failed|^[a-z]*connect[a-z_]*\(([^()]+)\) failed"
)
"""What they name as being away."""

KEY = ("host", "subject", "network", "what", "minute")


def look(window: Window, settings: Settings) -> Partial:
    """Keep logins that could not be checked by minute and network, and when others were decided."""
    found, inside = login_tries.refused(window), login_tries.entered(window)
    away = [*_of_clients(found), *_of_services(window)]
    decided = _decided(found, inside)
    return Partial(
        {
            "away": _keyed(away),
            "decided": Points.of(decided, size=1),
            "count": len(decided["at"]) + sum(len(each["time"]) for each in away),
            login_tries.GOOD: login_tries.parts(window)[login_tries.GOOD],
        }
    )


def _of_clients(found: Tries | None) -> list[dict[str, Any]]:
    """Return logins that could not be checked, by subject: columns host, network (texts), time, place."""
    if found is None or not found.away.any():
        return []
    smtp = found.how.is_in(LOST)
    out = []
    for subject, rows in (
        (SMTP, found.away & smtp),
        (DOVECOT, found.away & ~smtp & ~found.behind),
        (BACKEND, found.behind),
    ):
        some = found.some(rows & (found.time != NO_TIME))
        if len(some):
            out.append(
                {
                    "subject": subject,
                    "host": _listed(some.host),
                    "network": _listed(some.address.changed(lambda each: network(str(each or "")))),
                    "what": [""] * len(some),
                    "time": some.time,
                    "place": some.place,
                }
            )
    return out


def _listed(values: Coded) -> list[str]:
    return [str(each or "") for each in values.texts().to_pylist()]


def _of_services(window: Window) -> list[dict[str, Any]]:
    """Return what the services themselves say, as :func:`_of_clients`; no network."""
    if not len(window.tables["service_events"]):
        return []
    text, time = column(window, "service_events", "text"), moments(window, "service_events")
    out = []
    for subject, pattern in SAID:
        rows = np.flatnonzero(text.matching(functools.partial(_matches, pattern)) & (time != NO_TIME))
        if not len(rows):
            continue
        place = number(window, "service_events", "source")[rows] << login_tries.LINE_BITS
        told = [NAMED.search(each or "") for each in _listed(text.take(rows))]
        out.append(
            {
                "subject": subject,
                "host": _listed(column(window, "service_events", "host").take(rows)),
                "network": [SERVICE] * len(rows),
                "what": [(each[1] or each[2])[:60] if each else "" for each in told],
                "time": time[rows],
                "place": place + number(window, "service_events", "line")[rows],
            }
        )
    return out


SERVICE = "service"
"""In the place of a client's network: a service said it itself."""


def _matches(pattern: str, texts: pa.Array) -> pa.Array:
    return pc.match_substring_regex(texts, pattern)


def _keyed(away: list[dict[str, Any]]) -> Keyed:
    columns: dict[str, Column] = {
        name: pa.array([each for some in away for each in some[name]], pa.string())
        for name in ("host", "network", "what")
    }
    columns["subject"] = pa.array([some["subject"] for some in away for _ in some["host"]], pa.string())
    time = np.concatenate([np.empty(0, np.int64), *(some["time"] for some in away)])
    place = np.concatenate([np.empty(0, np.int64), *(some["place"] for some in away)])
    columns |= {
        "minute": time // MINUTE,
        "n": np.ones(len(time), np.int64),
        "first": time,
        "place": place,
        "last": time,
    }
    return Keyed.of(columns, sums=("n",), least=("first", "place"), most=("last",))


MINUTE = 60 * 10**9


def _decided(found: Tries | None, inside: tuple[Entered, ...]) -> dict[str, Ints]:
    """Return when logins were decided; ``key`` is a hash of how they came in, which way they were decided, and the host."""
    keys, times = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    parts = [(GOOD, each.host, each.time, np.full(len(each.time), each.smtp)) for each in inside]
    if found is not None:
        some = found.some(~found.away & ~found.how.is_in("auth"))
        parts.append((BAD, some.host, some.time, some.how.is_in("smtp")))
    for way, host, time, smtp in parts:
        known = time != NO_TIME
        for subject, mine in ((SMTP, known & smtp), (DOVECOT, known & ~smtp)):
            if mine.any():
                keys.append(host.take(mine).changed(functools.partial(_key, subject, way)).hashed())
                times.append(time[mine])
    return {"key": np.concatenate(keys), "at": np.concatenate(times)}


GOOD, BAD = "let in", "refused"


def _key(subject: str, way: str, host: object) -> str:
    return f"{subject}\0{way}\0{host or ''}"


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each host and each thing that could not be used, with its outages."""
    known = limits(log, "authentication-down", Limits)
    count = partial.count("count")
    result = Result(checked=count, eligible=count)
    if not count:
        result.not_applicable = accounts.no_logins(log.settings)
        if not result.not_applicable:
            result.blind_because.append(accounts.NO_LOGIN)
    away = partial.frame("away").sort_values(["first", "place", *KEY], kind="stable")
    if away.empty:
        return result
    decided = partial.parts["decided"]
    assert isinstance(decided, Points)
    home = set(partial.frame(login_tries.GOOD)["network"])
    several = away["host"].nunique() > 1
    for (host, subject), rows in away.groupby(["host", "subject"], sort=True):
        # Dovecot before 2.4 says of a login that no database could answer that it failed.
        asked = ((SMTP, GOOD), (DOVECOT, GOOD)) if subject == BACKEND else ((subject, GOOD), (subject, BAD))
        keys = hashes([_key(which, way, host) for which, way in asked]).tolist()
        times = np.sort(np.concatenate([decided.times(each) for each in keys]))
        outages = [each for each in _outages(rows, times) if each.counts(known, home, subject == BACKEND)]
        if outages:
            result.findings.append(_finding(log, str(subject), f" on {host}" if several else "", outages, known))
    return result


@dataclass(frozen=True)
class _Outage:
    """Logins that could not be checked, with none between them that was decided."""

    rows: pd.DataFrame
    until: int
    """When the next login was decided (UTC ns); 0: none was, as far as the log goes."""

    @property
    def first(self) -> int:
        """The first of them (UTC ns)."""
        return int(self.rows["first"].min())

    @property
    def last(self) -> int:
        """The last of them."""
        return int(self.rows["last"].max())

    @property
    def minutes(self) -> float:
        """How long they go on."""
        return (self.last - self.first) / MINUTE

    @property
    def networks(self) -> set[str]:
        """Of which clients they are."""
        return set(self.rows["network"]) - {"", SERVICE}

    def counts(self, known: Limits, home: set[str], backend: bool) -> bool:
        """Whether they are more than one client's trouble."""
        if int(self.rows["n"].sum()) < known.logins:
            return False
        nets = self.networks
        if SERVICE in set(self.rows["network"]) or len(nets) >= known.networks or (backend and not nets):
            return True
        return bool(backend or nets & home) and self.minutes >= known.alone


def _outages(rows: pd.DataFrame, decided: Ints) -> list[_Outage]:
    """Return the rows, in the order of time, parted where a login was decided between two of them."""
    first, last = rows["first"].to_numpy(), np.maximum.accumulate(rows["last"].to_numpy())
    # A row of a minute may hold one before and one behind a login that was decided: it parts what lies around it.
    before = np.searchsorted(decided, last[:-1], side="right")
    behind = np.searchsorted(decided, first[1:], side="left")
    cuts = np.flatnonzero(behind > before) + 1
    within = np.searchsorted(decided, rows["last"].to_numpy(), side="left") > np.searchsorted(
        decided, first, side="right"
    )
    out = []
    for part in np.split(np.arange(len(rows)), cuts):
        some = rows.iloc[part[~within[part]]]
        if len(some):
            after = int(np.searchsorted(decided, int(some["last"].max()), side="right"))
            out.append(_Outage(some, int(decided[after]) if after < len(decided) else 0))
    return out


def _finding(log: Log, subject: str, on: str, outages: list[_Outage], known: Limits) -> Finding:
    rows = pd.concat([each.rows for each in outages])
    longest = max(outages, key=lambda each: (each.minutes, -each.first))
    n = int(rows["n"].sum())
    words = {
        SMTP: "Logins by SMTP AUTH could not be checked",
        DOVECOT: "Logins at Dovecot could not be checked",
        BACKEND: "The database or directory that knows the accounts gave no answer",
    }[subject]
    when = accounts.when(log, longest.first)
    summary = f"{words}{on}: {plural(len(outages), 'outage')}, {plural(n, 'line')} that say so, the longest "
    summary += f"{accounts.duration(longest.last - longest.first)} from {when}"
    if not outages[-1].until:
        summary += "; the last one goes on to the end of the log"
    severity: Severity = "warning" if longest.minutes < known.long else "problem"
    return Finding(
        cause="backend-away" if subject == BACKEND else "auth-server-away",
        subject=subject + on,
        summary=summary,
        severity="note" if longest.minutes < known.short else severity,
        confidence="high" if SERVICE in set(rows["network"]) or subject == BACKEND else "medium",
        count=len(outages),
        cases=[_case(subject, each) for each in outages[: accounts.MOST_CASES]],
        first=accounts.at(outages[0].first),
        last=accounts.at(rows["last"].max()),
        remedy=Remedy(REMEDIES[subject]),
        evidence=lines_at(log, [int(each) for each in rows["place"].head(ev.MOST_EVIDENCE)]),
        why="Between these lines no login was decided, neither let in nor refused.",
    )


def _case(subject: str, outage: _Outage) -> dict[str, Any]:
    named = sorted(set(outage.rows["what"]) - {""})
    return {
        "relay": named[0] if named else subject,
        "from": accounts.iso(outage.first),
        "until": accounts.iso(outage.until) if outage.until else None,
        "lines": int(outage.rows["n"].sum()),
        "networks": sorted(outage.networks)[: accounts.MOST_CASES],
    }


REMEDIES = {
    SMTP: (
        "See that what smtpd_sasl_path (postconf smtpd_sasl_path smtpd_sasl_type) names is there and answers. Dovecot: "
        "systemctl status dovecot; in its service auth, unix_listener /var/spool/postfix/private/auth with mode = 0660, user "
        "= postfix, group = postfix; and client_limit of that service, which every smtpd process takes one of (doveadm log "
        "errors tells when it is reached). saslauthd: systemctl status saslauthd; for an smtpd in a chroot its socket must "
        "lie below /var/spool/postfix (OPTIONS in /etc/default/saslauthd), and postfix be in the group sasl."
    ),
    DOVECOT: (
        "See why Dovecot's auth doesn't answer: systemctl status dovecot, doveadm log errors. Often service auth { "
        "client_limit } is below the number of login processes, or its database hangs: then requests queue up."
    ),
    BACKEND: (
        "See that the database or directory runs and takes connections from this host (systemctl status mariadb, postgresql, "
        "slapd; its own log), and that its limit of connections isn't reached. Dovecot's auth_cache_size and auth_cache_ttl "
        "let users in for a while without it."
    ),
}

CHECK = Check(
    "authentication-down",
    "Logins can't be checked",
    look,
    conclude,
    causes=("auth-server-away", "backend-away"),
    order=325,
    clear="No time at which logins could not be checked ({checked:login|logins} looked at)",
    but="but for restarts of less than a minute",
    group="accounts",
    severity="problem",
    needs=("logins of Postfix's smtpd or of Dovecot, or what they say of their authentication server",),
    related=("password-guessing", "table-not-answering"),
    limits=Limits,
)
