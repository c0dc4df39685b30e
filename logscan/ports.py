"""Which port an authenticated mail came in by: from master.cf, ``--service``, the service's name, else from how it behaves.

Where several ports log under one name (a submission service without its own ``syslog_name``), two things tell them apart:
whether the mail went through a filter that only one of the services has, and the smtpd process, which serves one line of
master.cf for its whole life: one that also takes strangers' mail is port 25's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from logscan import evidence as ev
from logscan.correlate.codes import combine
from logscan.verdict import Confidence

if TYPE_CHECKING:
    import pandas as pd

    from logscan.scan import Scan
    from logscan.settings import Settings

Ports = tuple[npt.NDArray[np.int64], list[Confidence]]
"""Per entry: the port (0 where it can't be told, or for mail without a login), and how sure that is."""


def entry_ports(scan: Scan, settings: Settings) -> Ports:
    """Return the port behind each entry with a login."""
    cache: Ports | None = scan.__dict__.get("_entry_ports")
    if cache is None:
        cache = scan.__dict__["_entry_ports"] = _entry_ports(scan, settings)
    return cache


def _entry_ports(scan: Scan, settings: Settings) -> Ports:
    entries = scan.entries
    ports = np.zeros(len(entries), np.int64)
    sure: list[Confidence] = ["low"] * len(entries)
    mine = entries[entries["sasl_username"].notna()]
    filtered = ev.entry_has_hop(scan)
    process = _processes(entries)
    strangers = np.unique(process[((entries["origin"] == "outside") & entries["queued"]).to_numpy()])
    for service, rows in ev.groups(mine, "service"):
        port, confidence = ev.port_of(scan, settings, service)
        if port is None:
            continue
        index = rows.index.to_numpy()
        if confidence != "low":
            ports[index] = port
            for i in index:
                sure[i] = confidence
            continue
        shared = np.isin(process[index], strangers)
        some_pass = bool(filtered[index].any() and not filtered[index].all())
        for i, with_strangers in zip(index.tolist(), shared.tolist(), strict=True):
            ports[i], sure[i] = _one(settings, str(service), bool(filtered[i]), with_strangers, some_pass)
    return ports, sure


def _one(
    settings: Settings, service: str, filtered: bool, with_strangers: bool, some_pass: bool
) -> tuple[int, Confidence]:
    """Return port and confidence of one mail whose service's name leaves several ports."""
    known = [
        each
        for each in settings.listeners()
        if each.tag in (service, f"{service}/smtpd") and each.sasl and each not in settings.reinjection()
    ]
    if known:
        fitting = [each for each in known if bool(each.content_filter) == filtered] or known
        ports = {each.port for each in fitting}
        if len(ports) == 1 and (port := ports.pop()):
            return port, "high" if len(known) == 1 else "medium"
    if with_strangers:
        return 25, "medium"
    if some_pass and not filtered:
        return 0, "low"
    return 25, "low"


def _processes(entries: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return a number for each entry's smtpd process: host, service, process ID and day."""
    day = entries["first"].dt.as_unit("s").astype("int64").to_numpy() // 86_400
    names = [entries[name].cat.codes.to_numpy().astype(np.int64) for name in ("host", "service")]
    return combine(*names, entries["pid"].fillna(-1).to_numpy(dtype=np.int64), day)
