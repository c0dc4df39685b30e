"""Which port an authenticated mail came in by: from master.cf, ``--service``, the service's name, else from how it behaves.

Where several ports log under one name (a submission service without its own ``syslog_name``), two things tell them apart:
whether the mail went through a filter that only one of the services has, and the smtpd process, which serves one line of
master.cf for its whole life: one that also takes strangers' mail is port 25's. Where neither tells, the port isn't known.
Nor is it where a proxy stands before Postfix: the port that Postfix listens on isn't the one that the user spoke to.

A process may take strangers' mail in one window and a login in another. So a window tells only the *doors* of its logins
(:func:`doors`: what they can be told by) and what it saw of services and processes (:func:`look`); :func:`concluded` knows
the ports when all is seen. :func:`entry_ports` is both in one, for what looks at one window that is the whole log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from logscan.findings import Confidence
from logscan.scan import port_names
from logscan.scan.columns import column, joined, values
from logscan.scan.hops import entry_has_hop
from logscan.scan.memo import per_window
from logscan.scan.port_names import Name
from logscan.tables import grouping
from logscan.tables.grouping import combine, numbered
from logscan.tables.partials import Keyed, Partial, mixed

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

HANDED_OVER = "XCLIENT"
"""What smtpd logs as ``sasl_method`` for a login that a proxy hands over (XCLIENT_README, attribute LOGIN)."""

DOOR = ("service", "handed_over", "filtered", "process")
"""Columns that tell a login's port; to be part of a key, or columns of rows.

``service`` (str) as the tag names it (empty without a login), ``handed_over`` (bool) by a proxy's XCLIENT; and, for services
whose port nothing else tells (else False and 0),
``filtered`` (bool: handed to a filter from the queue) and ``process`` (int64, a hash)."""


class EntryPorts(NamedTuple):
    """By entry or row: the port (0 where it can't be told, or without a login), how sure that is, and why it can't be told."""

    port: Ints
    sure: npt.NDArray[Any]
    """:data:`Confidence` each."""
    why: npt.NDArray[Any]
    """A clause (str), empty where the port is known."""


class Doors(NamedTuple):
    """The doors of a window's logins: ``code`` (int64) by entry, -1 without a login; ``kinds``, columns :data:`DOOR`, by code."""

    code: Ints
    kinds: pd.DataFrame


@per_window
def doors(window: Window, settings: Settings) -> Doors:
    """Return what each login of a window can be told by. For look."""
    mine = np.flatnonzero(joined(window, "entries", "sasl_username").codes >= 0)
    named = joined(window, "entries", "service")
    service = named.codes[mine]
    handed = _handed_over(window)[mine]
    by_filter, by_process = _left_open(window, settings)
    unsettled = by_filter[service] & ~handed
    filtered = entry_has_hop(window)[mine] & unsettled
    process = np.zeros(len(mine), np.int64)
    asked = np.flatnonzero(by_process[service, filtered.astype(np.int64)] & ~handed)
    process[asked] = _processes(window, mine[asked])
    key = combine(service, handed.astype(np.int64), filtered.astype(np.int64), numbered(process)[0])
    of_mine, first = numbered(key)
    code = np.full(len(window.entries), -1, np.int64)
    code[mine] = of_mine
    names = [*map(str, named.values), MISSING]
    kinds = pd.DataFrame(
        {
            "service": pd.Series([names[at] for at in service[first].tolist()], dtype="str"),
            "handed_over": handed[first],
            "filtered": filtered[first],
            "process": process[first],
        }
    )
    return Doors(code, kinds)


MISSING = "nan"
"""The name of a service without one."""


@per_window
def look(window: Window, settings: Settings) -> dict[str, Keyed]:
    """Return the parts from which :func:`concluded` knows ports. For look.

    The processes that took strangers' mail are kept only of services whose port nothing else tells; beyond
    :data:`logscan.tables.partials.MOST_KEYS` of them some are forgotten, and the port of their logins isn't known.
    """
    found = doors(window, settings)
    by_filter, by_process = _left_open(window, settings)
    n = np.bincount(found.code + 1, minlength=len(found.kinds) + 1)[1:]
    service = joined(window, "entries", "service")
    names = {str(name) for name, left in zip([*service.values, MISSING], by_filter, strict=True) if left}
    told = found.kinds["service"].tolist()
    handed, filtered = (found.kinds[name].to_numpy() for name in ("handed_over", "filtered"))
    rows = np.array([at for at, name in enumerate(told) if name in names and not handed[at]], np.int64)
    logins = {"service": pa.array([told[at] for at in rows], pa.string()), "filtered": filtered[rows], "n": n[rows]}
    strange = joined(window, "entries", "origin").is_in("outside") & values(window, "entries", "queued")
    strange &= np.asarray(by_process.any(axis=1))[service.codes]
    return {
        "ports.services": Keyed.of({"service": pa.array(sorted(window.facts.services), pa.string())}, once=True),
        "ports.logins": Keyed.of(logins, sums=("n",)),
        "ports.strangers": Keyed.of({"process": np.unique(_processes(window, np.flatnonzero(strange)))}, once=True),
    }


class Ports:
    """What all windows tell of ports. For conclude."""

    def __init__(self, log: Log, settings: Settings, partial: Partial) -> None:
        self.options, self.settings = log.options, settings
        seen = partial.frame("ports.services")["service"].tolist() if "ports.services" in partial else []
        self.services = log.facts.services | frozenset(map(str, seen))
        logins = partial.frame("ports.logins") if "ports.logins" in partial else pd.DataFrame({"service": []})
        ways = logins.groupby("service").size()
        self.passing_by = frozenset(map(str, ways.index[ways > 1]))
        """Services some of whose logins go through a filter, others not."""
        strangers = partial.frame("ports.strangers") if "ports.strangers" in partial else pd.DataFrame({"process": []})
        self.strangers: Ints = strangers["process"].to_numpy(dtype=np.int64)

    def port_of(self, tag: str) -> tuple[int | None, Confidence]:
        """Return the port that a service's tag listens on, and how sure that is (:func:`port_of`)."""
        return port_names.port_of(self.options, self.settings, self.services, tag)

    def of(self, frame: pd.DataFrame) -> EntryPorts:
        """Return the ports of rows with the columns :data:`DOOR`."""
        size = len(frame)
        found = EntryPorts(np.zeros(size, np.int64), np.full(size, "low", object), np.full(size, "", object))
        handed = frame["handed_over"].to_numpy(dtype=np.bool_)
        found.why[handed] = (
            f"a proxy handed the login over (sasl_method={HANDED_OVER}): which port the user spoke to stands in the proxy's log"
        )
        filtered = frame["filtered"].to_numpy(dtype=np.bool_)
        shared = np.isin(frame["process"].to_numpy(dtype=np.int64), self.strangers)
        rows = frame[["service"]].reset_index(drop=True)[~handed]
        for service, some in grouping.groups(rows[rows["service"] != ""], "service"):
            index = some.index.to_numpy()
            name = Name(self.options, self.settings, self.services, str(service))
            _service(found, name, index, filtered, shared[index], str(service) in self.passing_by)
        return found


@per_window
def told(window: Window, settings: Settings) -> Ints:
    """Return, by code of :func:`doors`, the port that is known whatever other windows show: 0 unknown, -1 theirs to tell."""
    kinds = doors(window, settings).kinds
    ports = Ports(window.log, settings, Partial())
    ports.services |= window.facts.services
    return np.where(kinds["process"] == 0, ports.of(kinds).port, -1)


def concluded(partial: Partial, log: Log) -> Ports:
    """Return what is known of ports when all windows are seen (parts of :func:`look`). For conclude."""
    return Ports(log, log.settings, partial)


@per_window
def entry_ports(window: Window, settings: Settings) -> EntryPorts:
    """Return the port behind each entry with a login, by what this one window tells."""
    ports = Ports(window.log, settings, Partial({**look(window, settings)}))
    ports.services |= window.facts.services
    code, kinds = doors(window, settings)
    found = ports.of(kinds)
    return EntryPorts(
        np.append(found.port, 0)[code],
        np.append(found.sure, "low")[code],
        np.append(found.why, "")[code],
    )


@per_window
def _handed_over(window: Window) -> Bools:
    """Return, per entry, whether its login came by XCLIENT."""
    by_row = np.append(column(window, "clients", "sasl_method").is_in(HANDED_OVER), False)
    out: Bools = by_row[values(window, "entries", "client_row")]
    return out


@per_window
def _left_open(window: Window, settings: Settings) -> tuple[Bools, Bools]:
    """Return what else tells a login's port, as far as is known by now.

    By code of service: whether the filter does; and, by code and way (0 past the filter, 1 through it), whether the process.
    """
    known = window.facts.services
    names = [Name(window.options, settings, known, str(name)) for name in joined(window, "entries", "service").values]
    missing = Name(window.options, settings, known, MISSING)
    every = [(each.settled(), each.ways_left()) for each in (*names, missing)]
    by_filter = np.array([not settled for settled, _ in every], np.bool_)
    by_process = np.array([[not settled and way in left for way in (False, True)] for settled, left in every], np.bool_)
    return by_filter, by_process


def _processes(window: Window, rows: Ints) -> Ints:
    """Return a hash of each entry's smtpd process, the same in each window: of host, service, process ID and day; never 0."""
    if not len(rows):
        return np.empty(0, np.int64)
    host, service = (joined(window, "entries", name).take(rows).hashed() for name in ("host", "service"))
    # A garbled stamp may lie before 1970.
    day = values(window, "entries", "first")[rows] // DAY
    made = mixed(host, service, values(window, "entries", "pid")[rows], day)
    return np.where(made == 0, 1, made)


DAY = 86_400 * 10**9
"""Nanoseconds."""


def _service(
    found: EntryPorts,
    name: Name,
    index: Ints,
    filtered: Bools,
    shared: Bools,
    passing_by: bool,
) -> None:
    """Set port, confidence and reason of the rows ``index``, which one name covers.

    ``filtered`` is by row; ``shared``, as long as ``index``, tells whose smtpd process took strangers' mail too;
    ``passing_by`` whether the log has logins by that name through a filter, and past it.
    """

    def known(rows: Ints, port: int, sure: Confidence) -> None:
        found.port[rows], found.sure[rows] = port, sure

    if name.told is not None:
        return known(index, name.told, "high")
    if name.wrapped():
        # Port 25 speaks plain text first (RFC 3207), proxy or not.
        return known(index, 465, "high")
    if proxy := name.proxied():
        found.why[index] = (
            f"a proxy stands before {name.tag} ({proxy}): which port the user spoke to stands in the proxy's log"
        )
        return None
    ports = name.ports
    if ports and (25 not in ports or len(ports) == 1):
        # Several submission ports under one name: which of them it was doesn't matter.
        return known(index, 587 if 587 in ports else ports[0], "high")
    if not ports and name.inferred[0] is not None and name.inferred[1] != "low":
        return known(index, name.inferred[0], name.inferred[1])
    open_rows = np.ones(len(index), np.bool_)
    for through in (True, False) if ports else ():
        of_them = filtered[index] == through
        if port := name.fitting(through):
            known(index[of_them], port, "medium")
            open_rows &= ~of_them
    stranger_s = open_rows & shared & (filtered[index] if passing_by else True)
    known(index[stranger_s], 25, "medium")
    open_rows &= ~stranger_s
    found.why[index[open_rows]] = (
        f"{name.tag} is the name of ports {', '.join(map(str, ports))} alike: a syslog_name of its own for the submission "
        "service (-o syslog_name=postfix/submission in master.cf) tells them apart from then on"
        if ports
        else f"which port {name.tag} listens on isn't known: give master.cf, or say --service '{name.tag}=587'"
    )
    return None


def port_of(window: Window, settings: Settings, tag: str) -> tuple[int | None, Confidence]:
    """Return the port that a service's tag listens on, and how sure that is, by what is known of the log by now."""
    return port_names.port_of(window.options, settings, window.facts.services, tag)


def services(window: Window) -> frozenset[str]:
    """Return the services that took mail in, as their tags name them."""
    return frozenset(str(name) for name in window.tables["clients"].column("service").unique().to_pylist() if name)
