"""Who mails whom, and how much: senders, recipients, their domains, sizes, next hops, who hands mail in by which door."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from logscan.report import by_key
from logscan.report.by_key import ByKey
from logscan.report.model import Listing
from logscan.report.tallies import Coded, column, of
from logscan.tables.partials import Keyed

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
    mails = window.mails
    sender = of(mails["sender"].where(mails["sender"] != "", "<>")).changed(original)
    known = sender.codes >= 0
    size = mails["size"].fillna(0).to_numpy(dtype=np.int64)
    numbers = {"mails": None, "recipients": mails["recipients"].to_numpy()[known], "bytes": size[known]}
    sender = sender.take(known)
    domains = sender.changed(lambda value: "<>" if value == "<>" else domain(value))
    return {**SENDERS.look((sender,), numbers), **SENDER_DOMAINS.look((domains,), numbers)}


def _recipients(window: Window) -> dict[str, Part]:
    deliveries = window.deliveries
    rows = np.flatnonzero(deliveries["final"].to_numpy(dtype=np.bool_) & (deliveries["mail"].to_numpy() >= 0))
    names = ("mailbox", "outside", "recipient", "relay", "entry", "spam")
    final = pd.DataFrame({name: deliveries[name].iloc[rows] for name in names})
    size = window.entries["size"].fillna(0).to_numpy(dtype=np.int64)[final["entry"].to_numpy()]
    tagged = final["spam"].fillna(False).to_numpy(dtype=np.bool_)
    who = of(final["mailbox"].where(~final["outside"], final["recipient"]))
    parts: dict[str, Part] = {}
    for each, coded in ((RECIPIENTS, who), (RECIPIENT_DOMAINS, who.changed(domain)), (RELAYS, of(final["relay"]))):
        known = coded.codes >= 0
        parts |= each.look((coded.take(known),), {"deliveries": None, "tagged": tagged[known], "bytes": size[known]})
    return parts


def _sizes(window: Window) -> dict[str, Part]:
    size = window.mails["size"]
    known = size.dropna().to_numpy(dtype=np.int64)
    step = np.searchsorted([limit for limit, _ in SIZES], known, "left")
    names = [*(words for _, words in SIZES), LARGER]
    frame = pd.DataFrame({"size": pd.Series(np.array(names, object)[step], dtype="str"), "mails": 1, "bytes": known})
    return {"sizes": Keyed.of(frame, sums=("mails", "bytes")), "sizes: none": len(size) - len(known)}


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
    mails = window.mails
    row = window.entries["client_row"].to_numpy()[mails["entry"].to_numpy()]
    method = column(window, "clients", "sasl_method")
    of_mail = Coded(np.append(method.codes, -1)[row], method.values)
    size = mails["size"].fillna(0).to_numpy(dtype=np.int64)
    columns = (of(mails["service"]), of(mails["origin"]), of_mail)
    return DOORS.look(columns, {"mails": None, "bytes": size}, {"users": of(mails["sasl_username"])})
