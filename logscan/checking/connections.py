"""Connections that this server makes to hosts elsewhere: which were answered, which failed and why, by IPv4 and IPv6."""

from __future__ import annotations

import re
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from logscan.checking.copies import LINE_BITS, places
from logscan.checking.providers import provider, servers
from logscan.checking.refused import refused, taken
from logscan.scan.columns import column, joined, number, some_joined, values
from logscan.scan.memo import per_window
from logscan.tables.coded import Coded
from logscan.tables.grouping import combine, numbered
from logscan.tables.partials import Keyed

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

CONNECT = re.compile(
    r"^(?:delivery temporarily suspended: )?connect to (?P<host>[^\s\[\]]+)\[(?P<address>[0-9A-Fa-f.:%]+)\]:(?P<port>\d+): "
    r"(?P<why>[A-Za-z ]+)$"
)
"""Postfix smtp/smtp_connect.c: the reason is the system's word for it."""

DROPPED = re.compile(r"(?:connection|operation) timed out", re.IGNORECASE)
REJECTED = re.compile(
    r"connection refused|no route to host|host is (?:unreachable|down)|connection reset", re.IGNORECASE
)
FORBIDDEN = re.compile(r"permission denied|operation not permitted", re.IGNORECASE)
NO_NETWORK = re.compile(
    r"network is (?:unreachable|down)|can't assign requested address|cannot assign requested", re.IGNORECASE
)


def why_not(text: str) -> str:
    """Return why a connection failed: dropped, rejected, forbidden (by this host), no-network; empty for anything else."""
    for name, pattern in (
        ("dropped", DROPPED),
        ("rejected", REJECTED),
        ("forbidden", FORBIDDEN),
        ("no-network", NO_NETWORK),
    ):
        if pattern.search(text):
            return name
    return ""


PRIVATE = (
    r"(?:0|10|127)\.|192\.168\.|172\.(?:1[6-9]|2[0-9]|3[01])\.|169\.254\.|100\.(?:6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\."
    r"|::1?(?:$|\])|[fF][cCdD][0-9a-fA-F]{2}:|[fF][eE][89abAB][0-9a-fA-F]:|::[fF]{4}:"
)
"""Beginnings of addresses that are on this host or in a network of its own (RFC 1918, 3927, 4193, 4291, 6598)."""

NEAR, SIX = rf"\[(?:{PRIVATE})", r"\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]+(?:%\w+)?\](?::\d+)?$"
"""What relays of such an address, and relays of an IPv6 address, have in them."""

ADDRESS = re.compile(rf"(?!{PRIVATE})(?:\d{{1,3}}(?:\.\d{{1,3}}){{3}}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]+)(?:%\w+)?")


def public(address: str) -> bool:
    """Whether an address is somebody's on the net; networks for examples count as such."""
    return ADDRESS.fullmatch(address) is not None


class Failed(NamedTuple):
    """A connection that failed."""

    provider: str
    address: str
    port: int
    why: str


def failed(reply: str) -> Failed | None:
    """Return the connection to a public address that a delivery's reply says has failed."""
    found = CONNECT.match(reply[:500])
    if not found or not public(found["address"]):
        return None
    why = why_not(found["why"])
    port = int(found["port"][:6])
    return Failed(provider(found["host"].lower()), found["address"].lower(), port, why) if why else None


@per_window
def answers(window: Window) -> Keyed:
    """Return when a host elsewhere answered: ``server``, ``family`` (4, 6), ``first`` and ``last`` (UTC ns), ``count``."""
    rows = np.concatenate([taken(window).row, refused(window).row])
    relay = joined(window, "deliveries", "relay").take(rows)
    near, six = (relay.matching(partial(pc.match_substring_regex, pattern=pattern)) for pattern in (NEAR, SIX))
    rows, family = rows[~near], np.where(six, 6, 4)[~near]
    at = values(window, "deliveries", "time")[rows]
    return Keyed.of(
        {
            "server": servers(window, rows).texts().fill_null(""),
            "family": family,
            "first": at,
            "last": at,
            "count": np.ones(len(rows), np.int64),
        },
        sums=("count",),
        least=("first",),
        most=("last",),
    )


@per_window
def failures(window: Window) -> Keyed:
    """Return the attempts that ended without a connection, by what Postfix tried last.

    Key: ``server``, ``provider``, ``address``, ``port``, ``why``; ``first``, ``last`` (UTC ns), ``attempts``, and ``place``, the
    first line.
    """
    mail = values(window, "deliveries", "mail")
    rows = np.flatnonzero(
        values(window, "deliveries", "outside")
        & ~values(window, "deliveries", "hop")
        & ~values(window, "deliveries", "final")
        & (mail >= 0)
    )
    found = some_joined(window, "deliveries", "reply", rows).changed(failed)
    rows, found = rows[found.codes >= 0], found.take(found.codes >= 0)
    return _keyed(servers(window, rows), found, values(window, "deliveries", "time")[rows], places(window)[rows])


@per_window
def passing_failures(window: Window) -> Keyed:
    """Return the connections that failed though Postfix had others to try, as :func:`failures`; their port isn't kept (0)."""
    rows = np.flatnonzero(column(window, "sessions", "event").is_in("connect failed"))
    address = column(window, "sessions", "client_address").take(rows)
    there = address.having(public)
    rows, address = rows[there], address.take(there)
    name, why = (column(window, "sessions", each).take(rows) for each in ("client", "text"))
    each, first = numbered(combine(name.codes, address.codes, why.codes))
    made = [
        Failed(provider(host.lower()), of.lower(), 0, why_not(text))
        for host, of, text in zip(*(_plain(some.take(first)) for some in (name, address, why)), strict=True)
    ]
    place = {one: code for code, one in enumerate(dict.fromkeys(made))}
    found = Coded(np.array([*(place[one] for one in made), 0], np.int64)[each], list(place))
    known = found.having(lambda each: each.why)
    server = column(window, "sessions", "host").take(rows)
    at, source, line = (number(window, "sessions", each)[rows][known] for each in ("time", "source", "line"))
    return _keyed(server.take(known), found.take(known), at, (source << LINE_BITS) + line)


def _plain(some: Coded) -> list[str]:
    return [str(some.values[code]) if code >= 0 else "" for code in some.codes.tolist()]


def _keyed(server: Coded, found: Coded, at: Ints, place: Ints) -> Keyed:
    return Keyed.of(
        {
            "server": server.texts().fill_null(""),
            **{name: found.changed(attrgetter(name)).texts().fill_null("") for name in ("provider", "address", "why")},
            "port": np.array([*(each.port for each in found.values), 0], np.int64)[found.codes],
            "first": at,
            "last": at,
            "attempts": np.ones(len(at), np.int64),
            "place": place,
        },
        sums=("attempts",),
        least=("first", "place"),
        most=("last",),
    )
