"""Who is here and who elsewhere: local domains, recipients outside, and who handed a mail in."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import numpy as np
import pandas as pd

from logscan import texts
from logscan.correlate.codes import Bools, Ints
from logscan.correlate.facts import PRIVATE_RELAY
from logscan.correlate.known import Known

ORIGINS = ("outside", "authenticated", "local", "network", "generated", "unknown")

STORING = ("lmtp", "local", "virtual", "pipe")
"""Daemons whose deliveries stay here, unless the recipient's domain says otherwise."""

LOCAL_SERVICES = ("local", "virtual")

AWAY = r"\[(?!127\.|::1)[0-9A-Fa-f.:]+\](?::\d+)?$"
"""A relay at an address that isn't this host."""


def local_domains(deliveries: pd.DataFrame, known: Known) -> frozenset[str]:
    """Return the domains whose mail stays here: from the configuration, else those that were stored here."""
    if known.local_domains:
        return known.local_domains
    away = texts.where(deliveries["relay"], lambda relay: relay.str.contains(AWAY, na=False))
    here = deliveries["final"] & deliveries["program"].isin(STORING) & (~away | deliveries["session"].notna())
    return frozenset(_domains(deliveries.loc[here, "recipient"])[1])


def _domains(addresses: pd.Series) -> tuple[Ints, pd.Series]:
    """Return each address' code, -1 for none, and by code its domain in lower case, empty where it has none."""
    codes, values = texts.coded(addresses)
    found = values.str.extract(r"@([^@]*)$", expand=False)
    return codes, found.fillna("").str.lower()


def place(deliveries: pd.DataFrame, domains: frozenset[str]) -> None:
    """Set ``outside``: whether the recipient is somebody elsewhere."""
    codes, domain = _domains(deliveries["recipient"])
    inside = np.append(domain.isin(domains).to_numpy(dtype=np.bool_), False)[codes]
    inside |= ~deliveries["recipient"].str.contains("@", regex=False, na=False).to_numpy(dtype=np.bool_)
    storing = deliveries["program"].isin(("local", "virtual")) | deliveries["session"].notna()
    # What a mailbox server on this host refuses was meant for somebody here, unless that server is a filter.
    refused = (deliveries["status"] == "bounced") & deliveries["program"].isin(STORING)
    private = texts.where(deliveries["relay"], lambda relay: relay.str.contains(PRIVATE_RELAY, na=False))
    refused &= deliveries["relay"].isin(LOCAL_SERVICES) | private
    refused &= ~deliveries["relay"].isin(deliveries.loc[deliveries["hop"], "relay"])
    deliveries["outside"] = ~(inside | (storing & deliveries["final"]) | refused)


def origins(entries: pd.DataFrame, known: Known) -> Ints:
    """Return the code of ORIGINS for each entry: who handed it in."""
    has_client = entries["client_row"].to_numpy() >= 0
    authenticated = entries["sasl_username"].notna().to_numpy()
    local = entries["local_client"].to_numpy()
    network = _in_networks(entries["client_address"], known.networks)
    cleanup_only = ~has_client & entries["opened"].to_numpy()
    return np.select(
        [authenticated, local, network, has_client, cleanup_only],
        [ORIGINS.index(name) for name in ("authenticated", "local", "network", "outside", "generated")],
        ORIGINS.index("unknown"),
    ).astype(np.int64)


def _in_networks(addresses: pd.Series, networks: Sequence[str]) -> Bools:
    out = np.zeros(len(addresses), np.bool_)
    nets = []
    for text in networks:
        try:
            nets.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            continue
    if not nets:
        return out
    codes, values = pd.factorize(addresses)
    inside = []
    for value in values:
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            inside.append(False)
            continue
        inside.append(any(address in net for net in nets if net.version == address.version))
    found: Bools = np.append(np.asarray(inside, np.bool_), False)[codes]
    return found
