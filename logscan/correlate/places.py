"""Who is here and who elsewhere: local domains, recipients outside, and who handed a mail in."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from logscan.correlate.codes import Bools, Ints, extracted, matched
from logscan.correlate.facts import AGENT, COMMAND, LISTS, PRIVATE_RELAY, Facts
from logscan.correlate.known import Known
from logscan.correlate.learnt import Learning
from logscan.tables import texts

ORIGINS = ("outside", "authenticated", "local", "network", "generated", "unknown")

STORING = ("lmtp", "local", "virtual", "pipe")
"""Daemons whose deliveries stay here, unless they go to a filter or on from here."""

LOCAL_SERVICES = ("local", "virtual")

GATEWAYS = r"^(?i:uucp|bsmtp|ifmail|fax|hylafax|sms|xmpp|x400|pager)"
"""Pipe services by which mail leaves (the first four stand in Postfix's own master.cf)."""

OWN_NAMES = frozenset({"localhost", "localhost.localdomain", "localhost.localhost"})


def local_domains(deliveries: pd.DataFrame, known: Known, learning: Learning) -> frozenset[str]:
    """Return the domains whose mail stays here: from the configuration, and unless that is whole those stored here."""
    if known.local_domains and known.whole:
        return known.local_domains

    def here() -> set[str]:
        rows = deliveries["final"].to_numpy() & _stores(deliveries, known)
        return set(_domains(deliveries.loc[rows, "recipient"])[1]) - OWN_NAMES - known.names - {""}

    return known.local_domains | learning.fact("local_domains", here)


def _stores(deliveries: pd.DataFrame, known: Known) -> Bools:
    """Return which rows went to something that stores mail here, wherever its machine stands."""
    program = deliveries["program"]
    pipe = np.flatnonzero((program == "pipe").to_numpy())
    out: Bools = texts.where(program, lambda names: names.isin(STORING)) & ~_to_programs(deliveries, known)
    if len(pipe):
        relays = deliveries["relay"].iloc[pipe]
        out[pipe[texts.where(relays, lambda relay: relay.str.contains(GATEWAYS, na=False))]] = False
    out |= deliveries["session"].notna().to_numpy()
    codes, words = texts.coded(deliveries["relay"])
    named = np.zeros(len(words) + 1, np.bool_)
    for pattern in known.mailboxes:
        named[:-1] |= words.str.contains(pattern, regex=True, na=False).to_numpy(dtype=np.bool_)
    out |= named[codes]
    return out


def _to_programs(deliveries: pd.DataFrame, known: Known) -> Bools:
    """Return which rows went to a program that is no mailbox, by its pipe service's name or by what the service calls."""
    found: Bools = (deliveries["program"] == "pipe").to_numpy(dtype=np.bool_, copy=True)
    if found.any():
        relays = deliveries["relay"][found]
        found[found] = texts.where(
            relays, lambda relay: relay.str.contains(LISTS, na=False) | relay.isin(known.programs)
        )
    return found


def _domains(addresses: pd.Series) -> tuple[Ints, pd.Series]:
    """Return each address' code, -1 for none, and by code its domain in lower case, empty where it has none."""
    codes, values = texts.coded(addresses)
    found = values.str.extract(r"@([^@]*)$", expand=False)
    return codes, found.fillna("").str.lower()


def place(deliveries: pd.DataFrame, domains: frozenset[str], known: Known, f: Facts) -> None:
    """Set ``outside``: whether the recipient is somebody elsewhere; and take the mailbox from what reached none."""
    codes, domain = _domains(deliveries["recipient"])
    own = own_domains(domains, known, f)
    inside = np.append(domain.isin(own).to_numpy(dtype=np.bool_), False)[codes]
    inside |= ~deliveries["recipient"].str.contains("@", regex=False, na=False).to_numpy(dtype=np.bool_)
    storing = _stores(deliveries, known)
    # What a mailbox server on this host refuses was meant for somebody here, unless that server is a filter.
    refused = (deliveries["status"] == "bounced") & deliveries["program"].isin(STORING)
    private = texts.where(deliveries["relay"], lambda relay: relay.str.contains(PRIVATE_RELAY, na=False))
    refused &= deliveries["relay"].isin(LOCAL_SERVICES) | private
    hops = _hop_relays(deliveries, f)
    refused &= ~deliveries["relay"].isin(hops)
    listed = _to_programs(deliveries, known)
    kept = (storing | listed) & deliveries["final"].to_numpy()
    # Whatever a mailbox server made of it (Sieve's discard, a refusal): it was meant for somebody here.
    kept |= storing & (deliveries["relay"] != "none").to_numpy() & ~deliveries["relay"].isin(hops).to_numpy()
    deliveries["outside"] = ~(inside | kept | refused.to_numpy())
    nowhere = np.flatnonzero(
        listed | (matched(f.reply, COMMAND, starts=COMMAND) & ~matched(f.reply, AGENT, starts=COMMAND))
    )
    if len(nowhere):
        deliveries.loc[nowhere, "mailbox"] = None


def _hop_relays(deliveries: pd.DataFrame, f: Facts) -> list[str]:
    """Return the relays of hand-overs."""
    hops = deliveries["relay"][deliveries["hop"]]
    return sorted(f.learning.fact("hop_relays", lambda: hops.dropna().astype("str").unique()))


TRIED = r"^(?:connect to|lost connection with|conversation with|host) (?P<t>[^\[\s]*\[[^\]\s]*\](?::\d+)?)"
"""How smtp(8) and lmtp(8) name the next hop that they couldn't hand a mail to; `relay=` is `none` then."""


def undecided(deliveries: pd.DataFrame, known: Known, f: Facts) -> Bools:
    """Return which deliveries that never arrived say nothing of their recipient: it got no further than this host's own
    filter or mailbox server."""
    rows = np.flatnonzero(deliveries["outside"].to_numpy() & ~deliveries["final"].to_numpy())
    out = np.zeros(len(deliveries), np.bool_)
    if not len(rows):
        return out
    some = deliveries.iloc[rows]
    tried = pd.Series(extracted(f.reply.take(pa.array(rows)), TRIED, "[").to_pandas(), dtype="str").set_axis(some.index)
    hop = some["relay"].astype("str")
    hop = hop.where(hop != "none", tried)
    here = texts.where(hop.fillna(""), lambda each: each.str.contains(PRIVATE_RELAY, na=False))
    hops = _hop_relays(deliveries, f)
    out[rows] = here | hop.isin(hops).to_numpy() | _stores(some, known)
    return out


def own_domains(domains: frozenset[str], known: Known, f: Facts) -> frozenset[str]:
    """Return the domains of addresses here, this host's names among them."""
    return domains | known.names | OWN_NAMES | _names(f)


def _names(f: Facts) -> frozenset[str]:
    """Return the names of the hosts that wrote the log, as addresses may bear them."""
    hosts = f.learning.fact("hosts", f.lives.hosts.to_pylist)
    names = {str(name).lower() for name in hosts}
    told = f.learning.learnt().own_names
    names |= {name.lower() for _, name in told}
    return frozenset(name for name in names if re.search("[a-z]", name))


def origins(entries: pd.DataFrame, known: Known, own_id: Bools) -> Ints:
    """Return the code of ORIGINS for each entry: who handed it in; ``own_id``: cleanup made its Message-ID for it."""
    has_client = entries["client_row"].to_numpy() >= 0
    authenticated = entries["sasl_username"].notna().to_numpy()
    local = entries["local_client"].to_numpy()
    network = _in_networks(entries["client_address"], known.networks)
    # Only Postfix's own mail has no client; else its line is lost, or stands before the log. Of mail without a sender what has
    # a Message-ID of elsewhere is another server's notification.
    sender = entries["sender"]
    by_postfix = ((sender == "") & own_id) | sender.str.startswith("double-bounce@", na=False)
    made = (entries["leg"].isin(("forward", "bounce", "requeue")) | by_postfix).to_numpy()
    cleanup_only = ~has_client & entries["opened"].to_numpy() & made
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
