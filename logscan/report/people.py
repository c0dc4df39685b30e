"""Who mails whom, and how much: senders, recipients, their domains, sizes, next hops, who hands mail in by which door."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from logscan.report.model import Listing
from logscan.report.tallies import Coded, column, groups, of

if TYPE_CHECKING:
    from logscan.scan.window import Window

SENDERS_HELP = (
    "Envelope senders by mails; bytes as the mail came in, once a mail. Those rewritten by SRS stand under the address they "
    "had."
)
DOMAINS_HELP = "Domains of envelope senders by mails; those rewritten by SRS under their own."

SIZES = ((10_000, "up to 10 kB"), (100_000, "up to 100 kB"), (1_000_000, "up to 1 MB"), (10_000_000, "up to 10 MB"))
LARGER = "more than 10 MB"


def domain(address: str) -> str:
    """Return an address' domain in lower case; what has none is this host's."""
    return address.rpartition("@")[2].lower() if "@" in address else "(none)"


SRS = re.compile(
    r"SRS(?:0|1[=+-][^@=+-]+[=+-][^@=]+=)[=+-][^@=]{2,}=[0-9A-Za-z+/]{2}=(?P<domain>[^@=]+\.[^@=]+)=(?P<user>[^@]+)@[^@]*",
    re.I,
)
"""A sender rewritten by a forwarder: SRS0=hash=time=domain=user, SRS1=hash=forwarder==hash=time=domain=user (libsrs2, srs2.c)."""


def original(address: str) -> str:
    """Return the address that a sender had before it was rewritten by SRS; any other as it is."""
    found = SRS.fullmatch(address)
    return f"{found['user']}@{found['domain']}" if found else address


def listings(scan: Window) -> Iterable[Listing]:
    """Return the lists of people, domains and sizes."""
    yield from _senders(scan)
    yield from _recipients(scan)
    yield from _sizes(scan)
    yield _doors(scan)


def _senders(scan: Window) -> Iterable[Listing]:
    mails = scan.mails
    sender = of(mails["sender"].where(mails["sender"] != "", "<>")).changed(original)
    size = mails["size"].fillna(0).to_numpy(dtype=np.int64)
    recipients = mails["recipients"].to_numpy()
    columns = ("mails", "recipients", "bytes")
    for key, title, name, help_text, coded in (
        ("senders", "Senders", "sender", SENDERS_HELP, sender),
        (
            "sender-domains", "Senders' domains", "domain", DOMAINS_HELP,
            sender.changed(lambda value: "<>" if value == "<>" else domain(value)),
        ),
    ):  # fmt: skip
        by = groups(coded.take(coded.codes >= 0))
        known = coded.codes >= 0
        rows, total = by.rows(by.count(), by.total(recipients[known]), by.total(size[known]))
        yield Listing(key, title, help_text, (name, *columns), rows, total)


def _recipients(scan: Window) -> Iterable[Listing]:
    deliveries = scan.deliveries
    final = deliveries.loc[
        deliveries["final"] & (deliveries["mail"] >= 0), ["mailbox", "outside", "recipient", "relay", "entry", "spam"]
    ]
    size = scan.entries["size"].fillna(0).to_numpy(dtype=np.int64)[final["entry"].to_numpy()]
    tagged = final["spam"].fillna(False).to_numpy(dtype=np.bool_)
    who = of(final["mailbox"].where(~final["outside"], final["recipient"]))
    for key, title, name, help_text, coded in (
        ("recipients", "Recipients", "recipient", "Mailboxes and outside addresses by deliveries.", who),
        (
            "recipient-domains", "Recipients' domains", "domain", "Domains that mail was delivered to.",
            who.changed(domain),
        ),
        ("relays", "Next hops", "next hop", "Where mail was delivered to, filters left out.", of(final["relay"])),
    ):  # fmt: skip
        known = coded.codes >= 0
        by = groups(coded.take(known))
        rows, total = by.rows(by.count(), by.count(tagged[known]), by.total(size[known]))
        yield Listing(key, title, help_text, (name, "deliveries", "tagged", "bytes"), rows, total)


def _sizes(scan: Window) -> Iterable[Listing]:
    size = scan.mails["size"]
    known = size.dropna().to_numpy(dtype=np.int64)
    if not len(known):
        return
    step = np.searchsorted([limit for limit, _ in SIZES], known, "left")
    names = [*(words for _, words in SIZES), LARGER]
    count = np.bincount(step, minlength=len(names))
    volume = np.bincount(step, weights=known, minlength=len(names)).astype(np.int64)
    rows = [(name, int(count[at]), int(volume[at])) for at, name in enumerate(names) if count[at]]
    unknown = len(size) - len(known)
    rows += [("not in the log", unknown, 0)] if unknown else []
    yield Listing(
        "sizes",
        "Sizes",
        "Mails by size, as the queue manager told it.",
        ("size", "mails", "bytes"),
        tuple(rows),
        len(rows),
    )


def _doors(scan: Window) -> Listing:
    """Return how mail was handed in: by which service, with which login method."""
    mails = scan.mails
    entry = mails["entry"].to_numpy()
    row = scan.entries["client_row"].to_numpy()[entry]
    method = column(scan, "clients", "sasl_method")
    of_mail = Coded(np.append(method.codes, -1)[row], method.values)
    user = of(mails["sasl_username"])
    by = groups(of(mails["service"]), of(mails["origin"]), of_mail)
    size = mails["size"].fillna(0).to_numpy(dtype=np.int64)
    rows, total = by.rows(by.count(), by.distinct(user.codes), by.total(size))
    return Listing(
        "entrances",
        "How mail came in",
        "Mails by the service that took them, who handed them in, and the login method.",
        ("service", "origin", "method", "mails", "users", "bytes"),
        rows,
        total,
    )
