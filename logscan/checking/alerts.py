"""TLS alerts by which clients refuse this server's certificate, and the clients that it has served."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.copies import LINE_BITS
from logscan.scan.client_networks import network
from logscan.scan.columns import NO_TIME, column, moments, number
from logscan.tables.coded import Coded
from logscan.tables.partials import Ints, Keyed, Part, Partial, mixed

if TYPE_CHECKING:
    from logscan.scan.window import Window

ALERTS, CLIENTS, SERVED = "alerts", "clients", "served"

EXPIRED, ISSUER, REFUSED = "certificate-expired", "unknown-issuer", "certificate-not-accepted"

WORDS = (
    (EXPIRED, r"\balert certificate expired\b|\balert number 45\b"),
    (ISSUER, r"\balert unknown ca\b|\balert number 48\b"),
    (
        REFUSED,
        r"\balert (?:bad certificate|certificate unknown|certificate revoked|unsupported certificate)\b|\balert number 4[2346]\b",
    ),
)
"""What a client's alert says (OpenSSL ssl/ssl_err.c; RFC 8446, 6): the library names alerts that it was sent, never its own."""

NEAR = 10 * 10**9
"""ns between the lines of one session that fails: they are written at once."""

STAGES = ("STARTTLS", "CONNECT", "UNKNOWN", "EHLO")


def look(window: Window) -> dict[str, Part]:
    """Return the parts from which :func:`told` is made. For look."""
    dovecot, postfix = _dovecot(window), _postfix(window)
    some = [each for each in (dovecot, postfix) if len(each["time"])]
    return {
        ALERTS: Keyed.of(_stacked(some) if some else postfix),
        CLIENTS: _clients(window),
        SERVED: _served(window),
    }


def _stacked(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        name: pa.concat_arrays([each[name] for each in parts])
        if isinstance(parts[0][name], pa.Array)
        else np.concatenate([each[name] for each in parts])
        for name in parts[0]
    }


def _kinds(texts: Coded) -> Coded:
    """Return what the alert in each text says, missing where there is none."""
    rows = np.flatnonzero(texts.matching(lambda words: pc.match_substring(words, "alert ")))
    found = np.full(len(texts), -1, np.int64)
    for place, (_, pattern) in enumerate(WORDS):
        hit = texts.take(rows).matching(functools.partial(pc.match_substring_regex, pattern=pattern))
        found[rows[hit & (found[rows] < 0)]] = place
    return Coded(found, [kind for kind, _ in WORDS])


def _dovecot(window: Window) -> dict[str, Any]:
    """Return the alerts that ended logins (login-common/client-common.c: behind TLS stands the library's error)."""
    ended = ~column(window, "logins", "event").is_in("login")
    tls, reason = (_kinds(column(window, "logins", name)) for name in ("tls", "reason"))
    kinds = Coded(np.where(tls.codes >= 0, tls.codes, reason.codes), tls.words)
    rows = np.flatnonzero((kinds.codes >= 0) & ended)
    address = column(window, "logins", "remote_address").take(rows).texts()
    return _alerts(window, "logins", rows, kinds, np.zeros(len(rows), np.int64), address, "Dovecot")


def _postfix(window: Window) -> dict[str, Any]:
    """Return the alerts that smtpd's library tells of; the client stands in another line of the process."""
    failed = column(window, "sessions", "event").is_in("tls failed")
    if not failed.any():
        rows = np.empty(0, np.int64)
        return _alerts(window, "sessions", rows, Coded(rows, []), rows, pa.array([], pa.string()), "Postfix")
    daemon = column(window, "sessions", "program").is_in("smtpd", "tlsproxy")
    rows = np.flatnonzero(failed & daemon)
    whole = np.full(len(failed), -1, np.int64)
    kinds = _kinds(column(window, "sessions", "text").take(rows))
    whole[rows] = kinds.codes
    rows = np.flatnonzero(whole >= 0)
    address = column(window, "sessions", "client_address").take(rows).texts()
    kinds = Coded(whole, kinds.words)
    return _alerts(window, "sessions", rows, kinds, _processes(window, rows), address, "Postfix")


def _alerts(
    window: Window, table: str, rows: Ints, kinds: Coded, process: Ints, address: pa.Array, program: str
) -> dict[str, Any]:
    place = np.empty(0, np.int64)
    if len(rows):
        place = (number(window, table, "source")[rows] << LINE_BITS) + number(window, table, "line")[rows]
    return {
        "time": moments(window, table)[rows] if len(rows) else rows,
        "place": place,
        "process": process,
        "kind": kinds.take(rows).texts() if len(rows) else pa.array([], pa.string()),
        "host": column(window, table, "host").take(rows).texts() if len(rows) else pa.array([], pa.string()),
        "program": pa.repeat(program, len(rows)),
        "address": pc.fill_null(address, ""),
    }


def _processes(window: Window, rows: Ints) -> Ints:
    """Return a hash of the process of each line."""
    host, service = (column(window, "sessions", name).take(rows).hashed() for name in ("host", "service"))
    return mixed(host, service, number(window, "sessions", "pid")[rows])


def _clients(window: Window) -> Keyed:
    """Return whose sessions failed, by process and time: one of these lines names the client of an alert."""
    event = column(window, "sessions", "event")
    failed = event.is_in("tls failed")
    lost = event.is_in("lost connection")
    if lost.any():
        lost &= column(window, "sessions", "stage").is_in(*STAGES)
    rows = np.flatnonzero((failed | lost) & (column(window, "sessions", "client_address").codes >= 0))
    made: dict[str, Any] = {
        "process": _processes(window, rows) if len(rows) else rows,
        "time": moments(window, "sessions")[rows] if len(rows) else rows,
        "address": column(window, "sessions", "client_address").take(rows).texts()
        if len(rows)
        else pa.array([], pa.string()),
    }
    return Keyed.of(made)


def _served(window: Window) -> Keyed:
    """Return the addresses of clients that logged in or handed in a mail, and when last."""
    parts = []
    for table, name, rows in (
        ("logins", "remote_address", np.flatnonzero(column(window, "logins", "event").is_in("login"))),
        ("clients", "client_address", np.arange(len(window.tables["clients"]))),
    ):
        address = column(window, table, name).take(rows)
        last = np.full(len(address.words) + 1, NO_TIME)
        np.maximum.at(last, address.codes, moments(window, table)[rows] if len(rows) else rows)
        used = address.used()
        parts.append((Coded(used, address.words).texts(), last[used]))
    made = {
        "address": pa.concat_arrays([each for each, _ in parts]),
        "last": np.concatenate([each for _, each in parts]),
    }
    return Keyed.of(made, most=["last"])


def told(partial: Partial) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the alerts whose client is known, with its network (``net``), and the networks served, with their ``last`` time."""
    rows, served = _named(partial.frame(ALERTS), partial.frame(CLIENTS)), partial.frame(SERVED)
    rows = rows[(rows["address"] != "").to_numpy(dtype=np.bool_)]
    rows = rows.assign(net=[network(each) for each in rows["address"]])
    if not len(rows):
        return rows, served.assign(net="")
    words = pa.array(served["address"].fillna("").tolist(), pa.string())
    nets = pc.replace_substring_regex(words, r"^(?:::ffff:)?(\d+\.\d+\.\d+)\.\d+$", r"\1.0/24").to_pylist()
    nets = [network(each) if ":" in each else each for each in nets]
    return rows, served.assign(net=nets).groupby("net", as_index=False)["last"].max()


def _named(alerts: pd.DataFrame, clients: pd.DataFrame) -> pd.DataFrame:
    """Return the alerts with the client that another line of the same process names at the same time."""
    bare = (alerts["address"] == "").to_numpy(dtype=np.bool_)
    if not bare.any() or not len(clients):
        return alerts
    some = alerts[bare].drop(columns="address").sort_values(["time", "place"], ignore_index=True)
    known = clients[clients["process"].isin(some["process"])].sort_values(["time", "address"], ignore_index=True)
    found = pd.merge_asof(some, known, on="time", by="process", direction="nearest", tolerance=NEAR)
    return pd.concat(
        [alerts[~bare], found.assign(address=found["address"].fillna(""))[list(alerts.columns)]], ignore_index=True
    )
