"""Who mails whom, and how much: senders, recipients, their domains, sizes, next hops, who hands mail in by which door."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.report import by_key
from logscan.report.by_key import ByKey
from logscan.report.keyed import counted
from logscan.report.model import Listing
from logscan.report.tallies import groups
from logscan.scan.columns import column, joined, values
from logscan.tables import texts
from logscan.tables.coded import Coded

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.tables.partials import Part, Partial

OF_SENDERS = ("mails", "recipients", "bytes")
OF_RECIPIENTS = ("deliveries", "tagged", "bytes")

SENDERS = ByKey(
    "senders",
    "Senders",
    "Envelope senders by mails; bytes as the mail came in, once a mail. Those rewritten by SRS stand under the address they "
    "had.",
    by=("sender",),
    numbers=OF_SENDERS,
)
SENDER_DOMAINS = ByKey(
    "sender-domains",
    "Senders' domains",
    "Domains of envelope senders by mails; those rewritten by SRS under their own.",
    by=("domain",),
    numbers=OF_SENDERS,
)
RECIPIENTS = ByKey(
    "recipients",
    "Recipients",
    "Mailboxes and outside addresses by deliveries.",
    by=("recipient",),
    numbers=OF_RECIPIENTS,
)
RECIPIENT_DOMAINS = ByKey(
    "recipient-domains",
    "Recipients' domains",
    "Domains that mail was delivered to.",
    by=("domain",),
    numbers=OF_RECIPIENTS,
)
RELAYS = ByKey(
    "relays",
    "Next hops",
    "Where mail was delivered to, filters left out.",
    by=("next hop",),
    numbers=OF_RECIPIENTS,
)
DOORS = ByKey(
    "entrances",
    "How mail came in",
    "Mails by the service that took them, who handed them in, and the login method.",
    by=("service", "origin", "method"),
    numbers=("mails", "users", "bytes"),
)

SIZES = ((10_000, "up to 10 kB"), (100_000, "up to 100 kB"), (1_000_000, "up to 1 MB"), (10_000_000, "up to 10 MB"))
LARGER = "more than 10 MB"
UNTOLD = "not in the log"
NOBODY = "<>"
"""The sender of notices."""


def domain(addresses: pa.Array) -> pa.Array:
    """Return addresses' domains in lower case; what has none is this host's."""
    domains = pc.if_else(
        pc.match_substring(addresses, "@"), pc.replace_substring_regex(addresses, "(?s)^.*@", ""), "(none)"
    )
    if pc.all(pc.string_is_ascii(domains)).as_py():
        return pc.ascii_lower(domains)
    # Of other letters Python knows more than Arrow.
    return pa.array([each.lower() for each in domains.to_pylist()], pa.string())


SRS = re.compile(
    r"SRS(?:0|1[=+-][^@=+-]+[=+-][^@=]+=)[=+-][^@=]{2,}=[0-9A-Za-z+/]{2}=(?P<domain>[^@=]+\.[^@=]+)=(?P<user>[^@]+)@[^@]*",
    re.I,
)
"""A sender rewritten by a forwarder: SRS0=hash=time=domain=user, SRS1=hash=forwarder==hash=time=domain=user (libsrs2, srs2.c)."""


def original(address: str) -> str:
    """Return the address that a sender had before it was rewritten by SRS; any other as it is."""
    found = SRS.fullmatch(address)
    return f"{found['user']}@{found['domain']}" if found else address


def _senders_as_shown(addresses: pa.Array) -> pa.Array:
    """Return senders as they were before SRS; the empty one, of notices, as it is written."""
    shown = pc.if_else(pc.equal(addresses, ""), NOBODY, addresses)
    rewritten = np.flatnonzero(pc.match_substring_regex(shown, "^(?i)srs[01]").to_numpy(zero_copy_only=False))
    if not len(rewritten):
        return shown
    words = shown.to_pylist()
    for row in rewritten.tolist():
        words[row] = original(words[row])
    return pa.array(words, pa.string())


def look(window: Window) -> dict[str, Part]:
    """Return what a window counts for the lists of people, domains and sizes."""
    return {**_senders(window), **_recipients(window), **_sizes(window), **_doors(window)}


def listings(partial: Partial, log: Log) -> Iterable[Listing]:
    """Return the lists of people, domains and sizes."""
    lists = (SENDERS, SENDER_DOMAINS, RECIPIENTS, RECIPIENT_DOMAINS, RELAYS)
    yield from by_key.listings(lists, partial, log.zone)
    yield _by_size(partial)
    yield from by_key.listings((DOORS,), partial, log.zone)


def _senders(window: Window) -> dict[str, Part]:
    sender = joined(window, "mails", "sender").made(_senders_as_shown)
    known = np.flatnonzero(sender.codes >= 0)
    sizes = np.maximum(values(window, "mails", "size"), 0)
    numbers = {"mails": None, "recipients": values(window, "mails", "recipients")[known], "bytes": sizes[known]}
    sender = sender.take(known)
    domains = sender.made(lambda names: pc.if_else(pc.equal(names, NOBODY), NOBODY, domain(names)))
    return {**SENDERS.look((sender,), numbers), **SENDER_DOMAINS.look((domains,), numbers)}


def _recipients(window: Window) -> dict[str, Part]:
    rows = np.flatnonzero(values(window, "deliveries", "final") & (values(window, "deliveries", "mail") >= 0))
    size = np.maximum(values(window, "entries", "size"), 0)[values(window, "deliveries", "entry")[rows]]
    tagged = values(window, "deliveries", "spam")[rows]
    relay, every = joined(window, "deliveries", "relay").take(rows), pa.array(rows)
    here, away = (texts.arrow(window.deliveries[name]).take(every) for name in ("mailbox", "recipient"))
    outside = values(window, "deliveries", "outside")[rows]
    who = Coded(*texts.encoded(pc.if_else(pa.array(outside), away, here)))
    parts: dict[str, Part] = {}
    for each, coded in ((RECIPIENTS, who), (RECIPIENT_DOMAINS, who.made(domain)), (RELAYS, relay)):
        known = np.flatnonzero(coded.codes >= 0)
        parts |= each.look((coded.take(known),), {"deliveries": None, "tagged": tagged[known], "bytes": size[known]})
    return parts


def _sizes(window: Window) -> dict[str, Part]:
    size = values(window, "mails", "size")
    known = size[size >= 0]
    step = Coded(
        np.searchsorted([limit for limit, _ in SIZES], known, "left"), [*(words for _, words in SIZES), LARGER]
    )
    by = groups(step)
    counts = counted(by, ("size",), {"mails": by.count(), "bytes": by.total(known)})
    return {"sizes": counts, "sizes: none": len(size) - len(known)}


def _by_size(partial: Partial) -> Listing:
    rows = []
    if "sizes" in partial:
        frame = partial.frame("sizes").set_index("size")
        names = [name for name in (*(words for _, words in SIZES), LARGER) if name in frame.index]
        rows = [(name, int(frame.at[name, "mails"]), int(frame.at[name, "bytes"])) for name in names]
    unknown = partial.count("sizes: none")
    rows += [(UNTOLD, unknown, 0)] if rows and unknown else []
    return Listing(
        "sizes",
        "Sizes",
        "Mails by size, as the queue manager told it.",
        ("size", "mails", "bytes"),
        tuple(rows),
        len(rows),
    )


def _doors(window: Window) -> dict[str, Part]:
    """Count how mail was handed in: by which service, with which login method."""
    row = values(window, "entries", "client_row")[values(window, "mails", "entry")]
    method = column(window, "clients", "sasl_method")
    of_mail = Coded(np.append(method.codes, -1)[row], method.words)
    sizes = np.maximum(values(window, "mails", "size"), 0)
    service, origin, user = (joined(window, "mails", name) for name in ("service", "origin", "sasl_username"))
    return DOORS.look((service, origin, of_mail), {"mails": None, "bytes": sizes}, {"users": user})
