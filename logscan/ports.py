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
    strangers = _strangers_processes(entries)
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
        shared = _process(rows).isin(strangers).to_numpy()
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


def _process(entries: pd.DataFrame) -> pd.Series:
    day = entries["first"].dt.floor("D").astype("str")
    names = entries["host"].astype("str") + "|" + entries["service"].astype("str")
    found: pd.Series = names + "|" + entries["pid"].astype("str") + "|" + day
    return found


def _strangers_processes(entries: pd.DataFrame) -> set[str]:
    """Return the smtpd processes that took mail from outside without a login."""
    return set(_process(entries[(entries["origin"] == "outside") & entries["queued"]]))
