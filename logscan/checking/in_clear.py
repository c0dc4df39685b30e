"""Logins whose password crossed the net in clear: Dovecot's, and those of submission, kept by window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.copies import LINE_BITS
from logscan.scan.columns import NO_TIME, column, moments, number
from logscan.tables.coded import Coded
from logscan.tables.partials import Ints, Keyed, Part, Partial

if TYPE_CHECKING:
    from logscan.scan.window import Window

LOGINS, PLAIN, SERVICES, SESSIONS, USERS = "logins", "plain", "services", "sessions", "users"

READABLE = ("PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER")
"""Mechanisms that send the password, or a token as good as one, as it is."""

NAMES = ("user", "remote_address", "local_address", "protocol")


def look(window: Window) -> dict[str, Part]:
    """Return the parts from which logins in clear are told. For look."""
    return {**_dovecot(window), **_postfix(window)}


def _protected(words: pa.Array) -> pa.Array:
    """Return which texts of a login line say that it was protected (Dovecot login-common/client-common.c; TSL is 2.4's own)."""
    return pc.match_substring_regex(words, r"\b(?:TLS|TSL|SSL|secured\b)")


def _dovecot(window: Window) -> dict[str, Part]:
    """Return how many logins there were and were protected, by host, and those that weren't."""
    rows = np.flatnonzero(column(window, "logins", "event").is_in("login"))
    tls, method = (column(window, "logins", name).take(rows) for name in ("tls", "method"))
    safe = tls.matching(_protected)
    bare = (tls.codes < 0) | tls.is_in("")
    host, protocol = (column(window, "logins", name).take(rows) for name in ("host", "protocol"))
    told = {"host": host.texts(), "n": np.ones(len(rows), np.int64), "safe": safe.astype(np.int64)}
    open_ = bare & method.matching(lambda words: pc.is_in(pc.utf8_upper(words), value_set=pa.array(READABLE)))
    open_ &= column(window, "logins", "remote_address").take(rows).codes >= 0
    # What is handed to Dovecot by a program of its own (a proxy, a dsync) names no service that people use.
    open_ &= protocol.codes >= 0
    at = rows[open_]
    columns = {name: column(window, "logins", name).take(at).texts() for name in NAMES}
    return {
        LOGINS: Keyed.of(told, sums=["n", "safe"]),
        PLAIN: Keyed.of(
            {**columns, "host": column(window, "logins", "host").take(at).texts(), **_times(window, "logins", at)},
            sums=["n"],
            least=["first", "place"],
            most=["last"],
        ),
    }


def _times(window: Window, table: str, rows: Ints) -> dict[str, Ints]:
    time = np.maximum(moments(window, table)[rows], NO_TIME + 1)
    place = (number(window, table, "source")[rows] << LINE_BITS) + number(window, table, "line")[rows]
    return {"n": np.ones(len(rows), np.int64), "first": time, "last": time, "place": place}


LOGGED_IN = r"(?:^| )auth=[1-9]"
ENCRYPTED = r"(?:^| )starttls=[1-9]"
"""Counters of smtpd's disconnect line, successes before all tries (Postfix smtpd/smtpd.c, since 3.0)."""


def _postfix(window: Window) -> dict[str, Part]:
    """Return how many sessions with a login each service had and how many began TLS, those that didn't, and whose they are."""
    rows = np.flatnonzero(column(window, "sessions", "event").is_in("disconnect"))
    commands = column(window, "sessions", "commands").take(rows)
    logins = commands.matching(lambda words: pc.match_substring_regex(words, LOGGED_IN))
    rows, commands = rows[logins], commands.take(logins)
    begun = commands.matching(lambda words: pc.match_substring_regex(words, ENCRYPTED))
    service = column(window, "sessions", "service").take(rows)
    told = {"service": service.texts(), "n": np.ones(len(rows), np.int64), "safe": begun.astype(np.int64)}
    at = rows[~begun]
    address = column(window, "sessions", "client_address").take(at)
    user, method = (column(window, "clients", name) for name in ("sasl_username", "sasl_method"))
    known = np.flatnonzero(user.codes >= 0)
    open_ = {"service": service.take(~begun).texts(), "address": address.texts(), **_times(window, "sessions", at)}
    return {
        SERVICES: Keyed.of(told, sums=["n", "safe"]),
        SESSIONS: Keyed.of(open_, sums=["n"], least=["first", "place"], most=["last"]),
        USERS: _users(window, known, user, method),
    }


def _users(window: Window, rows: Ints, user: Coded, method: Coded) -> Keyed:
    """Return who handed in mail with a login from which address, by which mechanism, by service."""
    address = column(window, "clients", "client_address").take(rows)
    service = column(window, "clients", "service").take(rows)
    names = {"address": address, "service": service, "user": user.take(rows), "method": method.take(rows)}
    return Keyed.of({name: each.texts() for name, each in names.items()})


def submitted(partial: Partial) -> pd.DataFrame:
    """Return the sessions with a login and without TLS, with ``users`` (tuple) and ``methods`` of their address and service."""
    rows, users = partial.frame(SESSIONS), partial.frame(USERS)
    users = users[users["address"].isin(rows["address"])]
    by = users.groupby(["address", "service"], dropna=True)
    names = {key: tuple(sorted(set(some["user"].dropna()))) for key, some in by}
    methods = {key: {str(each).upper() for each in some["method"].dropna()} for key, some in by}
    keys = list(zip(rows["address"], rows["service"], strict=True))
    readable = [not methods.get(key) or bool(methods[key] & set(READABLE)) for key in keys]
    return rows.assign(users=[names.get(key, ()) for key in keys])[np.array(readable, np.bool_)]
