"""TLS in and out: share of mails and deliveries, versions, partners in plain text; Dovecot's logins with and without."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from logscan.correlate.codes import combine, factorise
from logscan.report.model import Listing
from logscan.report.tallies import Coded, column, groups, number, of

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]

RECENT = 600 * 10**9
"""Nanoseconds: Postfix keeps a connection for less (smtp_connection_reuse_time_limit: 300 s)."""

NONE = "plain text"
TOLD = "TLS"


def listings(scan: Window) -> Iterable[Listing]:
    """Return TLS by direction and version, and who came or was served in plain text."""
    event = column(scan, "sessions", "event")
    tls = np.flatnonzero(event.is_in("tls"))
    yield from _mails_in(scan, tls)
    yield from _deliveries_out(scan, tls)


def _version(text: str) -> str:
    """Return the protocol of Postfix's summary: ``TLSv1.3 with cipher …``."""
    return text.split(" ", 1)[0] if text.startswith(("TLSv", "SSLv")) else TOLD


def _before(when: Ints, key: Ints, then: Ints, of_then: Ints) -> Ints:
    """Return, for each (time, key), the position of the last (then, of_then) with that key not later; -1 for none."""
    if not len(then):
        return np.full(len(when), -1, np.int64)
    order = np.lexsort((then, of_then))
    size = int(max(of_then.max(), key.max(initial=0))) + 1
    # One number for both, so that one search finds the place: times as ranks.
    ranks = np.unique(np.concatenate([then, when]))
    width = len(ranks) + 1
    whole = of_then[order] * width + np.searchsorted(ranks, then[order])
    found = np.searchsorted(whole, key * width + np.searchsorted(ranks, when), "right") - 1
    good = (found >= 0) & (key >= 0) & (key < size)
    place = order[np.maximum(found, 0)]
    out: Ints = np.where(good & (of_then[place] == key), place, -1)
    return out


def _mails_in(scan: Window, tls: Ints) -> Iterable[Listing]:
    """Say of each mail that smtpd took from another host whether its session was encrypted."""
    mails, entries = scan.mails, scan.entries
    client = entries["client_row"].to_numpy()[mails["entry"].to_numpy()]
    program = column(scan, "clients", "program")
    wanted = (client >= 0) & np.append(program.is_in("smtpd"), False)[client]
    wanted &= ~np.isin(of(mails["origin"]).codes, _code(of(mails["origin"]), "local"))
    rows = np.flatnonzero(wanted)
    daemon = column(scan, "sessions", "program")
    mine = tls[daemon.take(tls).is_in("smtpd", "tlsproxy")]
    connects = np.flatnonzero(column(scan, "sessions", "event").is_in("connect") & daemon.is_in("smtpd"))
    if not len(rows):
        return
    version = Coded(np.full(len(rows), -1, np.int64), [])
    if len(mine):
        key_mail, key_tls, key_connect = _session_keys(scan, client[rows], mine, connects)
        time = number(scan, "sessions", "time")
        when = number(scan, "clients", "time")[client[rows]]
        at = _before(when, key_mail, time[mine], key_tls)
        begun = _before(when, key_mail, time[connects], key_connect)
        # Encrypted in this session: not before its client connected.
        good = (at >= 0) & ((begun < 0) | (np.append(time[mine], 0)[at] >= np.append(time[connects], 0)[begun]))
        text = column(scan, "sessions", "text").changed(_version)
        version = Coded(np.where(good, np.append(text.codes[mine], -1)[at], -1), text.values)
    service = of(mails["service"]).take(rows)
    told = Coded(np.where(version.codes >= 0, version.codes, len(version.values)), [*version.values, NONE])
    if not len(mine):
        # Without smtpd_tls_loglevel = 1 no line says so, and Postfix would look as if it spoke in plain text.
        told = Coded(np.zeros(len(rows), np.int64), ["not logged (smtpd_tls_loglevel = 1 tells)"])
    by = groups(service, told)
    host = of(mails["client_address"]).take(rows)
    listed, total = by.rows(by.count(), by.distinct(host.codes))
    yield Listing(
        "tls-in",
        "Encryption of mail that came in",
        "Mails that smtpd took from other hosts, by service and by what their session was encrypted with.",
        ("service", "encryption", "mails", "clients"),
        listed,
        total,
    )
    plain = told.is_in(NONE)
    if plain.any():
        by = groups(of(mails["client"]).take(rows[plain]), host.take(plain))
        listed, total = by.rows(by.count())
        yield Listing(
            "tls-in-plain",
            "Clients in plain text",
            "Hosts whose mail came without encryption.",
            ("client", "address", "mails"),
            listed,
            total,
        )


def _code(coded: Coded, value: str) -> list[int]:
    return [code for code, name in enumerate(coded.values) if name == value]


def _session_keys(scan: Window, clients: Ints, tls: Ints, connects: Ints) -> tuple[Ints, Ints, Ints]:
    """Return one number for each SMTP session's process and client: of mails, TLS lines and connects."""
    parts = []
    for name in ("host", "client_address"):
        codes, _ = factorise([scan.tables["clients"].column(name), scan.tables["sessions"].column(name)])
        parts.append((codes[0][clients], codes[1][tls], codes[1][connects]))
    pid = number(scan, "clients", "pid"), number(scan, "sessions", "pid")
    parts.append((pid[0][clients], pid[1][tls], pid[1][connects]))
    whole = combine(*(np.concatenate(part) for part in parts))
    _, number_of = np.unique(whole, return_inverse=True)
    ends = np.cumsum([len(clients), len(tls)])
    first, second, third = np.split(number_of.astype(np.int64), ends)
    return first, second, third


def _deliveries_out(scan: Window, tls: Ints) -> Iterable[Listing]:
    """Say of each delivery to another host whether its connection was encrypted."""
    deliveries = scan.deliveries
    program = of(deliveries["program"])
    relay = of(deliveries["relay"])
    away = program.is_in("smtp", "lmtp") & relay.having(lambda name: "[" in name and "/" not in name)
    away &= ~relay.having(lambda name: "[127." in name or "[::1]" in name)
    rows = np.flatnonzero(away & deliveries["final"].to_numpy() & (deliveries["mail"].to_numpy() >= 0))
    if not len(rows):
        return
    daemon = column(scan, "sessions", "program")
    mine = tls[daemon.take(tls).is_in("smtp", "lmtp")]
    summary = column(scan, "deliveries", "tls")
    host = relay.take(rows)
    address = host.changed(lambda name: name.partition("[")[2].partition("]")[0])
    if len(mine) or (summary.codes >= 0).any():
        told = _out_versions(scan, rows, mine, address, summary)
    else:
        told = Coded(np.zeros(len(rows), np.int64), ["not logged (smtp_tls_loglevel = 1 tells)"])
    by = groups(told)
    listed, total = by.rows(by.count(), by.distinct(host.codes))
    yield Listing(
        "tls-out",
        "Encryption of mail that went out",
        "Deliveries to other hosts, by what the connection was encrypted with.",
        ("encryption", "deliveries", "hosts"),
        listed,
        total,
    )
    plain = told.is_in(NONE)
    if plain.any():
        by = groups(host.take(plain))
        listed, total = by.rows(by.count())
        yield Listing(
            "tls-out-plain",
            "Hosts served in plain text",
            "Hosts that mail went to without encryption.",
            ("next hop", "deliveries"),
            listed,
            total,
        )


def _out_versions(scan: Window, rows: Ints, mine: Ints, address: Coded, summary: Coded) -> Coded:
    """Return each delivery's encryption: its own summary (Postfix 3.11), else the last TLS line of its process and host."""
    sessions, deliveries = scan.tables["sessions"], scan.tables["deliveries"]
    hosts, _ = factorise([deliveries.column("host"), sessions.column("host")])
    told = column(scan, "sessions", "client_address").take(mine)
    place = {value: code for code, value in enumerate(dict.fromkeys([*address.values, *told.values]))}
    names = ([place[v] for v in address.values], [place[v] for v in told.values])
    codes = [np.append(np.array(n, np.int64), -1)[c.codes] for n, c in zip(names, (address, told), strict=True)]
    pid = number(scan, "deliveries", "pid")[rows], number(scan, "sessions", "pid")[mine]
    whole = combine(np.concatenate([hosts[0][rows], hosts[1][mine]]), np.concatenate(codes), np.concatenate(pid))
    _, key = np.unique(whole, return_inverse=True)
    time = number(scan, "sessions", "time")[mine]
    when = number(scan, "deliveries", "time")[rows]
    at = _before(when, key[: len(rows)].astype(np.int64), time, key[len(rows) :].astype(np.int64))
    recent = (at >= 0) & (when - np.append(time, 0)[at] <= RECENT)
    text = column(scan, "sessions", "text").changed(_version)
    own = summary.take(rows).changed(lambda value: next((w for w in value.split() if w.startswith("TLSv")), TOLD))
    values = [*text.values, *own.values, NONE]
    code = np.where(recent, np.append(text.codes[mine], -1)[at], -1)
    code = np.where(own.codes >= 0, own.codes + len(text.values), code)
    return Coded(np.where(code >= 0, code, len(values) - 1), values).changed(str)
