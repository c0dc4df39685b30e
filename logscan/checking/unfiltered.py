"""Mail from outside that came into mailboxes here with and without a filter: what a window shows of both.

Filtered is what was handed to a filter, came through a before-queue filter, or has a verdict of a filter at the door.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking import milter_outages, outages
from logscan.checking.copies import places
from logscan.correlate.codes import matched
from logscan.scan.columns import NO_TIME, column, joined, moments, some_joined, values
from logscan.scan.hops import entry_has_hop
from logscan.scan.lives import NOQUEUE
from logscan.scan.mail_hashes import mail_hashes
from logscan.scan.memo import per_window
from logscan.tables import columns
from logscan.tables.grouping import combine, numbered
from logscan.tables.partials import First, Keyed, Points, hashes, mixed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from logscan.scan.window import Window
    from logscan.settings import Settings
    from logscan.tables.partials import Part

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

COUNTS, OPEN, FILTERED, PROCESSES, LARGEST, RELOADED = (
    "by door", "unfiltered", "filtered", "processes", "largest", "reloaded",
)  # fmt: skip
"""Parts of the partial, beside the warnings about milters (:mod:`logscan.checking.milter_outages`)."""

MOST = 20_000
"""Recipients of unfiltered mail that are kept, the first ones: beyond that it is no hole but the way things are."""

ADDRESS = re.compile(r"\[([0-9A-Fa-f.:]+)\]:\d+$")

DAY = 86_400 * 10**9

PRIVATE = (
    r"^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|169\.254\."
    r"|[Ff][CcDd]|[Ff][Ee]80:)"
)
"""Addresses that nobody outside has (RFC 1918, 6598, 3927, 4193): the house's own, unless a gateway hides all clients."""

PRIVATE_STARTS = ("10.", "192.168.", "172.", "100.", "169.254.", "f", "F")
"""What :data:`PRIVATE` begins with."""


def look(window: Window, settings: Settings) -> dict[str, Part]:
    """Return what a window shows."""
    warned = outages.look(window, settings).parts[milter_outages.WARNINGS]
    return {milter_outages.WARNINGS: warned, RELOADED: _reloads(window), **_mail(window)}


def doors(hosts: Iterable[str], tags: Iterable[str]) -> Ints:
    """Return one number for each host and tag of a service, the same in all windows."""
    return hashes(f"{host}\0{tag}" for host, tag in zip(hosts, tags, strict=True))


@per_window
def _mail(window: Window) -> dict[str, Part]:
    entries = len(window.entries)
    mine = joined(window, "entries", "origin").is_in("outside") & joined(window, "entries", "program").is_in("smtpd")
    mine &= (values(window, "entries", "parent") < 0) & (values(window, "entries", "mail") >= 0)
    mine &= values(window, "entries", "first") > NO_TIME
    addresses = {found[1] for found in map(ADDRESS.search, window.facts.filter_relays) if found}
    if addresses:
        mine &= ~joined(window, "entries", "client_address").is_in(*addresses)
    here = values(window, "deliveries", "final") & ~values(window, "deliveries", "outside")
    entry = values(window, "deliveries", "entry")
    arrived = np.zeros(entries + 1, np.bool_)
    arrived[entry[here]] = True
    handed, proxied, judged = entry_has_hop(window), _proxied(window), np.zeros(entries + 1, np.bool_)
    judged[values(window, "verdicts", "entry")] = True
    filtered = mine & (handed | proxied | judged[:-1])
    free = mine & arrived[:-1] & ~filtered
    rows = np.flatnonzero(filtered | free)
    host = joined(window, "entries", "host").take(rows)
    service = joined(window, "entries", "service").take(rows)
    inner = joined(window, "entries", "client_address").take(rows).matching(_private)
    code, first = numbered(combine(host.codes, service.codes, inner.astype(np.int64)))
    names, tags = (
        host.take(first).texts(),
        pc.binary_join_element_wise(pc.fill_null(service.take(first).texts(), ""), "smtpd", "/"),
    )
    ways = {"handed": handed, "proxied": proxied & ~handed, "judged": judged[:-1] & ~handed & ~proxied}
    counts = {name: np.bincount(code[(way & filtered)[rows]], minlength=len(first)) for name, way in ways.items()} | {
        "open": np.bincount(code[free[rows]], minlength=len(first))
    }
    door = doors(names.to_pylist(), tags.to_pylist())[code] if len(first) else code
    at = values(window, "entries", "first")[rows]
    kept = filtered[rows]
    process = mixed(door, values(window, "entries", "pid")[rows], at // DAY)
    of_entry = np.full(entries + 1, -1, np.int64)
    of_entry[rows] = np.arange(len(rows))
    known = {"place": of_entry, "tag": tags.take(pa.array(code)), "process": process, "private": inner}
    return {
        COUNTS: Keyed.of(
            {"host": names, "tag": tags, "private": inner[first], **counts}, sums=tuple(counts), once=True
        ),
        FILTERED: Points.of({"key": door[kept], "at": at[kept]}),
        PROCESSES: _processes(process, kept),
        LARGEST: _largest(window, judged[:-1] & filtered),
        OPEN: First.of(
            _open(window, np.flatnonzero(here & np.append(free, False)[entry]), known), MOST, ("time", "row")
        ),
    }


def _private(addresses: pa.Array) -> pa.Array:
    return pa.array(matched(addresses, PRIVATE, starts=PRIVATE_STARTS))


def _processes(process: Ints, kept: Bools) -> Keyed:
    """Return how many mails each smtpd process took, by a hash of it and the day: ``filtered``, ``open``."""
    code, first = numbered(process)
    sums = {
        "filtered": np.bincount(code[kept], minlength=len(first)),
        "open": np.bincount(code[~kept], minlength=len(first)),
    }
    return Keyed.of({"process": process[first], **sums}, sums=tuple(sums), once=True)


def _largest(window: Window, judged: Bools) -> Keyed:
    """Return the size (bytes) of the largest mail that a filter at the door judged, by host."""
    rows = np.flatnonzero(judged)
    host = joined(window, "entries", "host").take(rows)
    code, first = numbered(host.codes)
    size = np.full(len(first), -1, np.int64)
    np.maximum.at(size, code, values(window, "entries", "size")[rows])
    return Keyed.of({"host": host.take(first).texts(), "size": size}, most=("size",), once=True)


def _open(window: Window, rows: Ints, known: dict[str, Any]) -> dict[str, columns.Column]:
    """Return deliveries of unfiltered mail; ``known`` has the place of each entry among those that the others run along."""
    entry = values(window, "deliveries", "entry")[rows]
    mine = known["place"][entry]
    client, address = (some_joined(window, "entries", name, entry).texts() for name in ("client", "client_address"))
    address = pc.binary_join_element_wise("[", pc.fill_null(address, ""), "]", "")
    return {
        "host": joined(window, "entries", "host").take(entry).texts(),
        "tag": known["tag"].take(pa.array(mine)),
        **{name: some_joined(window, "entries", name, entry).texts() for name in ("message_id", "sender", "queue_id")},
        "recipient": some_joined(window, "deliveries", "recipient", rows).texts(),
        "client": pc.binary_join_element_wise(pc.fill_null(client, ""), address, ""),
        "time": values(window, "entries", "first")[entry],
        "size": values(window, "entries", "size")[entry],
        "row": places(window)[rows],
        "mail": mail_hashes(window, entry),
        "process": known["process"][mine],
        "private": known["private"][mine],
    }


def _proxied(window: Window) -> Bools:
    """Return which entries came in through a before-queue filter."""
    row, clients = values(window, "entries", "client_row"), window.tables["clients"]
    if not len(clients):
        return np.zeros(len(row), np.bool_)
    # What a filter behind the queue names by XFORWARD has a parent, too.
    outer = pc.fill_null(pc.equal(clients.column("queue_id"), NOQUEUE), False)
    told = pc.or_(outer, pc.is_valid(clients.column("orig_client"))).to_numpy()
    out: Bools = np.append(told, False)[row]
    return out


def _reloads(window: Window) -> Keyed:
    """Return when Postfix's master was started or reloaded: ``host``, ``time`` (UTC ns), ``event``."""
    event = column(window, "service_events", "event")
    rows = np.flatnonzero(event.is_in("start", "reload"))
    if len(rows):
        rows = rows[column(window, "service_events", "program").take(rows).is_in("master")]
    return Keyed.of(
        {
            "host": column(window, "service_events", "host").take(rows).texts(),
            "event": event.take(rows).texts(),
            "time": moments(window, "service_events")[rows] if len(rows) else np.empty(0, np.int64),
        }
    )


__all__ = ["COUNTS", "FILTERED", "LARGEST", "MOST", "OPEN", "PROCESSES", "RELOADED", "doors", "look"]
