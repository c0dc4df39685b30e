"""Which port an authenticated mail came in by: from master.cf, ``--service``, the service's name, else from how it behaves.

Where several ports log under one name (a submission service without its own ``syslog_name``), two things tell them apart:
whether the mail went through a filter that only one of the services has, and the smtpd process, which serves one line of
master.cf for its whole life: one that also takes strangers' mail is port 25's. Where neither tells, the port isn't known.
Nor is it where a proxy stands before Postfix: the port that Postfix listens on isn't the one that the user spoke to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from logscan.correlate.codes import combine
from logscan.findings import Confidence
from logscan.scan.hops import entry_has_hop
from logscan.tables import grouping

if TYPE_CHECKING:
    import pandas as pd

    from logscan.scan.window import Window
    from logscan.settings import Listener, Settings

HANDED_OVER = "XCLIENT"
"""What smtpd logs as ``sasl_method`` for a login that a proxy hands over (XCLIENT_README, attribute LOGIN)."""


class EntryPorts(NamedTuple):
    """By entry: the port (0 where it can't be told, or without a login), how sure that is, and why it can't be told."""

    port: npt.NDArray[np.int64]
    sure: npt.NDArray[Any]
    """:data:`Confidence` each."""
    why: npt.NDArray[Any]
    """A clause (str), empty where the port is known."""


def entry_ports(scan: Window, settings: Settings) -> EntryPorts:
    """Return the port behind each entry with a login."""
    cache: EntryPorts | None = scan.__dict__.get("_entry_ports")
    if cache is None:
        cache = scan.__dict__["_entry_ports"] = _entry_ports(scan, settings)
    return cache


def _entry_ports(scan: Window, settings: Settings) -> EntryPorts:
    entries = scan.entries
    size = len(entries)
    found = EntryPorts(np.zeros(size, np.int64), np.full(size, "low", object), np.full(size, "", object))
    mine = entries["sasl_username"].notna().to_numpy()
    handed_over = _handed_over(scan) & mine
    found.why[handed_over] = (
        f"a proxy handed the login over (sasl_method={HANDED_OVER}): which port the user spoke to stands in the proxy's log"
    )
    mine = mine & ~handed_over
    filtered = entry_has_hop(scan)
    process = _processes(entries)
    strangers = np.unique(process[((entries["origin"] == "outside") & entries["queued"]).to_numpy()])
    for service, rows in grouping.groups(entries.loc[mine, ["service"]], "service"):
        index = rows.index.to_numpy()
        _service(found, _Name(scan, settings, str(service)), index, filtered, np.isin(process[index], strangers))
    return found


def _handed_over(scan: Window) -> npt.NDArray[np.bool_]:
    """Return, per entry, whether its login came by XCLIENT."""
    methods = scan.events("clients")["sasl_method"].astype("category")
    code = methods.cat.categories.get_indexer([HANDED_OVER])[0]
    by_row = np.append((methods.cat.codes.to_numpy() == code) & (code >= 0), False)
    out: npt.NDArray[np.bool_] = by_row[scan.entries["client_row"].to_numpy()]
    return out


class _Name:
    """A name that smtpd services log under, and what is known of the ports behind it."""

    def __init__(self, scan: Window, settings: Settings, service: str) -> None:
        self.tag = f"{service}/smtpd"
        told = scan.options.services
        self.told = next((told[name] for name in (service, self.tag) if name in told), None)
        back = {each.service.key for each in settings.reinjection()}
        mine = [
            each
            for each in settings.listeners()
            if each.tag in (service, self.tag) and each.service.key not in back and each.port is not None
        ]
        self.listeners = [each for each in mine if each.sasl] or mine
        self.inferred = port_of(scan, settings, service)

    @property
    def ports(self) -> list[int]:
        return sorted({each.port for each in self.listeners if each.port is not None})

    def wrapped(self) -> bool:
        """Return whether a proxy stands before these services, and all of them speak TLS from the first byte on."""
        wrapped = [each.service.get("smtpd_tls_wrappermode").strip().lower() == "yes" for each in self.listeners]
        return bool(wrapped) and all(wrapped) and bool(self.proxied())

    def proxied(self) -> str:
        """Return what says that a proxy stands before one of these services, empty where nothing does."""
        for each in self.listeners:
            for name in ("postscreen_upstream_proxy_protocol", "smtpd_upstream_proxy_protocol"):
                if (each.postscreen or name.startswith("smtpd")) and (value := _upstream(each, name)):
                    return f"{name}={value}"
        return ""


def _upstream(listener: Listener, name: str) -> str:
    """Return the protocol by which a proxy tells a listener its client, empty without a proxy."""
    return listener.service.get(name).strip()


def _service(
    found: EntryPorts,
    name: _Name,
    index: npt.NDArray[np.int64],
    filtered: npt.NDArray[np.bool_],
    shared: npt.NDArray[np.bool_],
) -> None:
    """Set port, confidence and reason of the entries ``index``, which one name covers.

    ``filtered`` is by entry; ``shared``, as long as ``index``, tells whose smtpd process took strangers' mail too.
    """

    def known(rows: npt.NDArray[np.int64], port: int, sure: Confidence) -> None:
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
        fitting = {each.port for each in name.listeners if bool(each.content_filter) == through}
        of_them = filtered[index] == through
        if len(fitting) == 1 and (port := fitting.pop()):
            known(index[of_them], port, "medium")
            open_rows &= ~of_them
    passing_by = filtered[index].any() and not filtered[index].all()
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


def _processes(entries: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return a number for each entry's smtpd process: host, service, process ID and day."""
    day = entries["first"].dt.as_unit("s").astype("int64").to_numpy() // 86_400
    day = np.unique(day, return_inverse=True)[1].astype(np.int64)  # a garbled stamp may lie before 1970
    names = [entries[name].cat.codes.to_numpy().astype(np.int64) for name in ("host", "service")]
    return combine(*names, entries["pid"].fillna(-1).to_numpy(dtype=np.int64), day)


def port_of(scan: Window, settings: Settings, tag: str) -> tuple[int | None, Confidence]:
    """Return the port that a service's tag listens on, and how sure that is.

    The configuration and ``--service`` decide; else names tell (submission, smtps), and a plain ``postfix`` beside a
    named submission service is port 25 with medium, without any with low confidence.
    """
    if not isinstance(tag, str):
        return None, "low"
    told = scan.options.services
    for name in (tag, f"{tag}/smtpd"):
        if name in told:
            return told[name], "high"
    for name in (tag, f"{tag}/smtpd"):
        port = settings.port_of(name)
        if port is not None:
            return port, "high"
    if settings.known("master"):
        ports = set(settings.ports_of(tag)) | set(settings.ports_of(f"{tag}/smtpd"))
        if len(ports) > 1:
            return (25, "low") if 25 in ports else (min(ports), "low")
    last = tag.rsplit("/", 1)[-1].lower()
    if "/" in tag:
        for word, port in (("submissions", 465), ("smtps", 465), ("submission", 587), ("submiss", 587), ("msa", 587)):
            if word in last:
                return port, "high"
        return (
            (int(last), "medium") if last.isascii() and last.isdigit() and 0 < int(last[:6]) < 65536 else (None, "low")
        )
    named = any("submission" in service or "smtps" in service for service in scan.facts.services)
    return 25, "medium" if named else "low"


def services(window: Window) -> frozenset[str]:
    """Return the services that took mail in, as their tags name them."""
    return frozenset(str(name) for name in window.tables["clients"].column("service").unique().to_pylist() if name)
