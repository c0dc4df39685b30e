"""Who is here and who elsewhere: local domains, recipients outside, and who handed a mail in."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Ints, distinct, extracted, matched, take
from logscan.correlate.events import Coded
from logscan.correlate.facts import AGENT, COMMAND, LISTS, PRIVATE_RELAY, Facts
from logscan.correlate.frames import Draft, Words
from logscan.correlate.known import Known
from logscan.correlate.mailboxes import domains

ORIGINS = ("outside", "authenticated", "local", "network", "generated", "unknown")

STORING = ("lmtp", "local", "virtual", "pipe")
"""Daemons whose deliveries stay here, unless they go to a filter or on from here."""

LOCAL_SERVICES = ("local", "virtual")

GATEWAYS = r"^(?i:uucp|bsmtp|ifmail|fax|hylafax|sms|xmpp|x400|pager)"
"""Pipe services by which mail leaves (the first four stand in Postfix's own master.cf)."""

OWN_NAMES = frozenset({"localhost", "localhost.localdomain", "localhost.localhost"})


def local_domains(deliveries: Draft, known: Known, f: Facts) -> frozenset[str]:
    """Return the domains whose mail stays here: from the configuration, and unless that is whole those stored here."""
    if known.local_domains and known.whole:
        return known.local_domains

    def here() -> set[str]:
        rows = deliveries["final"] & _stores(deliveries, known)
        code, domain = _domains(f)
        found = domain.take(pa.array(distinct(code[rows & (code >= 0)])))
        return {each for each in found.to_pylist() if each} - OWN_NAMES - known.names

    return known.local_domains | f.learning.fact("local_domains", here)


def _stores(deliveries: Draft, known: Known, rows: Ints | None = None) -> Bools:
    """Return which rows went to something that stores mail here, wherever its machine stands."""
    program, relay = (each if rows is None else each.of(rows) for each in (deliveries["program"], deliveries["relay"]))
    pipe = program.equal("pipe")
    out: Bools = program.equal(*STORING) & ~_to_programs(program, relay, known)
    if pipe.any():
        out[pipe & relay.where(lambda words: pc.match_substring_regex(words, GATEWAYS))] = False
    session = deliveries["session"]
    out |= (session if rows is None else session.of(rows)).known()
    for pattern in known.mailboxes:
        out |= relay.where(lambda words, pattern=pattern: pc.match_substring_regex(words, pattern))
    return out


def _to_programs(program: Coded, relay: Coded, known: Known) -> Bools:
    """Return which rows went to a program that is no mailbox, by its pipe service's name or by what the service calls."""
    found = program.equal("pipe")
    if found.any():
        found &= relay.where(lambda words: pc.match_substring_regex(words, LISTS)) | relay.equal(*known.programs)
    return found


def _domains(f: Facts) -> tuple[Ints, pa.Array]:
    """Return each delivery's code of its recipient, -1 for none, and by code the domain, missing where it has none."""
    used = Coded(f.recipient, f.addresses).compact()
    return used.codes, domains(used.words)


def place(deliveries: Draft, local: frozenset[str], known: Known, f: Facts) -> None:
    """Set ``outside``: whether the recipient is somebody elsewhere; and take the mailbox from what reached none."""
    code, domain = _domains(f)
    own = pc.or_(pc.is_in(domain, pa.array(sorted(own_domains(local, known, f)), pa.string())), pc.is_null(domain))
    inside = np.append(own.to_numpy(zero_copy_only=False), True)[code]
    program, relay = deliveries["program"], deliveries["relay"]
    storing = _stores(deliveries, known)
    # What a mailbox server on this host refuses was meant for somebody here, unless that server is a filter.
    refused = deliveries["status"].equal("bounced") & program.equal(*STORING)
    refused &= relay.equal(*LOCAL_SERVICES) | relay.where(lambda words: pc.match_substring_regex(words, PRIVATE_RELAY))
    hops = relay.equal(*_hop_relays(deliveries, f))
    refused &= ~hops
    listed = _to_programs(program, relay, known)
    kept = (storing | listed) & deliveries["final"]
    # Whatever a mailbox server made of it (Sieve's discard, a refusal): it was meant for somebody here.
    kept |= storing & ~relay.equal("none") & ~hops
    deliveries["outside"] = ~(inside | kept | refused)
    nowhere = np.flatnonzero(
        listed | (matched(f.reply, COMMAND, starts=COMMAND) & ~matched(f.reply, AGENT, starts=COMMAND))
    )
    if len(nowhere):
        mailbox = deliveries["mailbox"]
        at = mailbox.at.copy()
        at[nowhere] = -1
        deliveries["mailbox"] = Words(mailbox.values, at)


def _hop_relays(deliveries: Draft, f: Facts) -> list[str]:
    """Return the relays of hand-overs."""

    def told() -> list[str]:
        relay = deliveries["relay"]
        codes = relay.codes[deliveries["hop"]]
        found: list[str] = relay.words.take(pa.array(distinct(codes[codes >= 0]))).to_pylist()
        return found

    return sorted(f.learning.fact("hop_relays", told))


TRIED = r"^(?:connect to|lost connection with|conversation with|host) (?P<t>[^\[\s]*\[[^\]\s]*\](?::\d+)?)"
"""How smtp(8) and lmtp(8) name the next hop that they couldn't hand a mail to; `relay=` is `none` then."""


def undecided(deliveries: Draft, known: Known, f: Facts) -> Bools:
    """Return which deliveries that never arrived say nothing of their recipient: it got no further than this host's own
    filter or mailbox server."""
    rows = np.flatnonzero(deliveries["outside"] & ~deliveries["final"])
    out = np.zeros(len(deliveries["outside"]), np.bool_)
    if not len(rows):
        return out
    relay = deliveries["relay"].of(rows)
    tried = extracted(f.reply.take(pa.array(rows)), TRIED, "[")
    named = take(relay.words, relay.codes)
    unnamed = pc.fill_null(pc.equal(named, "none"), False)
    hop = Words(pc.if_else(unnamed, tried, named)).coded()
    here = hop.where(lambda words: pc.match_substring_regex(words, PRIVATE_RELAY))
    out[rows] = here | hop.equal(*_hop_relays(deliveries, f)) | _stores(deliveries, known, rows)
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


def origins(entries: Draft, known: Known, own_id: Bools) -> Ints:
    """Return the code of ORIGINS for each entry: who handed it in; ``own_id``: cleanup made its Message-ID for it."""
    has_client = entries["client_row"] >= 0
    network = _in_networks(entries["client_address"], known.networks)
    # Only Postfix's own mail has no client; else its line is lost, or stands before the log. Of mail without a sender what has
    # a Message-ID of elsewhere is another server's notification.
    sender = entries["sender"]
    by_postfix = sender.where(lambda words: pc.equal(words, "")) & own_id
    by_postfix |= sender.where(lambda words: pc.starts_with(words, "double-bounce@"))
    made = entries["leg"].equal("forward", "bounce", "requeue") | by_postfix
    cleanup_only = ~has_client & entries["opened"] & made
    return np.select(
        [entries["sasl_username"].known(), entries["local_client"], network, has_client, cleanup_only],
        [ORIGINS.index(name) for name in ("authenticated", "local", "network", "outside", "generated")],
        ORIGINS.index("unknown"),
    ).astype(np.int64)


def _in_networks(addresses: Words, networks: Sequence[str]) -> Bools:
    nets = []
    for text in networks:
        try:
            nets.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            continue
    if not nets:
        return np.zeros(len(addresses), np.bool_)

    def inside(words: pa.Array) -> pa.Array:
        return pa.array([_within(word, nets) for word in words.to_pylist()], pa.bool_())

    return addresses.coded().where(inside)


def _within(text: str, nets: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address in net for net in nets if net.version == address.version)
