"""Hand-overs to filters, mailbox servers and services of this host: those that failed and those that got through, in a window.

What a failure tells is kept row by row, of those that got through only when: as many as it takes to see where outages end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from logscan.checking.outage import SUSPENDED, Bools, Ints, Kind, hashed, nanoseconds, said
from logscan.checking.reinjection_outages import no_way_back
from logscan.correlate.codes import matched
from logscan.correlate.facts import PRIVATE_RELAY
from logscan.settings import parse_destination
from logscan.tables import texts
from logscan.tables.grouping import combine
from logscan.tables.partials import Points, Rows, hashes

if TYPE_CHECKING:
    from logscan.scan.log import Facts
    from logscan.scan.window import Window
    from logscan.settings import Settings
    from logscan.tables.partials import Part

NEXT_HOP = (
    rf"^(?:{SUSPENDED})?(?:connect to|conversation with|lost connection with|host) "
    r"(?P<hop>[^ \[]*\[[^ \]]*\](?::\d{1,5})?)"
)
"""Where a deferral's text names the host, when ``relay=none`` doesn't (Postfix smtp_connect.c, smtp_trouble.c)."""

NO_TRANSPORT = "mail transport unavailable"
"""What qmgr says of a service that doesn't run (Postfix qmgr/qmgr_transport.c); it doesn't name the service."""

ANSWERED = r" said: [45]|[Cc]ommand output: "
"""The other side was there and refused this mail: trouble with one mail or mailbox, until it is with all."""

FAILED = r"^(?:[Cc]ommand died|[Ss]ervice unavailable)"
"""A pipe's command that died: Postfix may send the mail back at once (pipe/pipe.c)."""

FAILURES, WORDS, THROUGH = "failures", "failures: words", "got through"
"""Parts of the partial: one row a failure, its text by hash, and when hand-overs succeeded (by :func:`place_of`)."""


class Kinds:
    """What each relay is, of those that filter, keep mailboxes or at least run on this host."""

    def __init__(self, facts: Facts, settings: Settings) -> None:
        self.facts = facts
        self.declared = [re.compile(each) for each in _declared(settings)]
        self._known: dict[str, Kind | None] = {}

    def of(self, relay: str) -> Kind | None:
        """Return what a relay is; None for other hosts, whose troubles are theirs."""
        if relay not in self._known:
            self._known[relay] = self._of(relay)
        return self._known[relay]

    def _of(self, relay: str) -> Kind | None:
        if relay in self.facts.filter_relays or any(each.search(relay) for each in self.declared):
            return "filter"
        if relay in self.facts.mailbox_relays:
            return "mailbox"
        return "service" if relay == NO_TRANSPORT or re.search(PRIVATE_RELAY, relay) else None

    def among(self, relays: Iterable[str]) -> set[str]:
        """Return those that are of some kind."""
        return {each for each in relays if self.of(each) is not None}


def look(window: Window, settings: Settings) -> dict[str, Part]:
    """Return the failures of a window and when hand-overs got through."""
    kinds = Kinds(window.facts, settings)
    return {**_failures(window, kinds), **_through(window, kinds)}


def place_of(hosts: Iterable[str], relays: Iterable[str]) -> Ints:
    """Return one number for each pair of a host and where it hands mail to, the same in all windows."""
    return hashes(f"{host}\0{relay}" for host, relay in zip(hosts, relays, strict=True))


def _failures(window: Window, kinds: Kinds) -> dict[str, Part]:
    deliveries = window.deliveries
    status = deliveries["status"]
    late = status.isin(["deferred", "SOFTBOUNCE"]).to_numpy()
    bounced = np.flatnonzero((status == "bounced").to_numpy())
    died = matched(texts.arrow(deliveries["reply"].iloc[bounced]), FAILED, starts=("C", "c", "S", "s"))
    rows = np.sort(np.r_[np.flatnonzero(late), bounced[died]])
    rows = rows[deliveries["time"].notna().to_numpy()[rows] & (deliveries["entry"].to_numpy()[rows] >= 0)]
    if not len(rows):
        return {}
    some = deliveries.iloc[rows]
    hop = _next_hops(some)
    wanted = texts.where(hop, lambda names: names.isin(kinds.among(names)))
    some, hop = some[wanted], hop[wanted]
    if not len(some):
        return {}
    entry = some["entry"].to_numpy()
    reply = texts.arrow(some["reply"])
    kind = texts.each(hop, lambda names: names.map(kinds.of))
    frame = pd.DataFrame(
        {
            "host": window.entries["host"].astype("str").to_numpy()[entry],
            "hop": hop.to_numpy(),
            "kind": kind.to_numpy(),
            "back": no_way_back(reply) & (kind == "filter").to_numpy(),
            "at": nanoseconds(some["time"]),
            "answered": matched(reply, ANSWERED, contains=(" said: ", "ommand output: ")),
            "lost": _lost(window, some),
            "mail": _mails(window, some),
            "person": hashed(texts.lower(some["recipient"])),
            "words": hashed(some["reply"]),
            "source": some["source"].to_numpy(),
            "line": some["line"].to_numpy(),
        }
    ).astype({"host": "str", "hop": "str", "kind": "str"})
    return {FAILURES: Rows.of(frame), WORDS: said(some["reply"])}


def _through(window: Window, kinds: Kinds) -> dict[str, Part]:
    deliveries = window.deliveries
    ours = kinds.among(texts.values(deliveries["relay"]))
    good = deliveries[["relay", "entry", "time"]][
        (deliveries["status"] == "sent").to_numpy()
        & deliveries["time"].notna().to_numpy()
        & (deliveries["entry"].to_numpy() >= 0)
        & texts.where(deliveries["relay"], lambda names: names.isin(ours))
    ]
    entry, at = good["entry"].to_numpy(), nanoseconds(good["time"])
    (host, hosts), (hop, relays) = texts.coded(window.entries["host"]), texts.coded(good["relay"])
    # Once an entry, by its first: a mail for many is no more of a sign than one for one.
    order = np.argsort(at, kind="stable")
    pairs = combine(host[entry], hop)
    first = order[np.unique(combine(pairs, entry)[order], return_index=True)[1]]
    _, some, number = np.unique(pairs[first], return_index=True, return_inverse=True)
    one = first[some]
    keys = place_of(hosts.iloc[host[entry[one]]], relays.iloc[hop[one]])
    return {THROUGH: Points.of(pd.DataFrame({"key": keys[number], "at": at[first]}))}


def _mails(window: Window, some: pd.DataFrame) -> Ints:
    """Return a hash of each attempt's mail, or of its entry where that is none: of what tells it from all others."""
    root = window.mails["entry"].to_numpy()
    mail = some["mail"].to_numpy()
    entry = np.where(mail >= 0, np.append(root, -1)[mail], some["entry"].to_numpy())
    once, number = np.unique(entry, return_inverse=True)
    rows = window.entries[["host", "instance", "queue_id", "first", "last"]].iloc[once]
    names = [rows[name].astype("str") for name in ("host", "instance", "queue_id")]
    words = zip(*names, *(nanoseconds(rows[name]).tolist() for name in ("first", "last")), strict=True)
    kind = np.where(mail >= 0, 0, 1)
    # An entry that is no mail is another thing than the mail that began as it.
    return hashes("\0".join(map(str, each)) for each in words)[number] ^ kind


def _next_hops(rows: pd.DataFrame) -> pd.Series:
    """Return each deferral's relay, or the one that its text names."""
    relay = rows["relay"].astype("str")
    named = texts.each(rows["reply"], _named)
    return relay.where(relay != "none", named)


def _named(replies: pd.Series) -> pd.Series:
    found = pc.struct_field(pc.extract_regex(texts.arrow(replies), NEXT_HOP), [0])
    named = texts.series(found, replies)
    return named.where(~replies.str.endswith(NO_TRANSPORT), NO_TRANSPORT)


def _declared(settings: Settings) -> list[str]:
    """Return patterns of the relays that the configuration names as filters."""
    found = []
    for setup in settings.filters:
        if setup.via in ("content_filter", "FILTER"):
            to = parse_destination(setup.destination)
            if to.path:
                found.append(re.escape(f"[{to.path}]") + "$")
            elif to.host and to.port:
                found.append(rf"(?:^|\[){re.escape(to.host)}(?:\[[^\]]*\]|\])?:{to.port}$")
            elif to.transport:
                found.append(f"^{re.escape(to.transport)}$")
    return found


def _lost(window: Window, rows: pd.DataFrame) -> Bools:
    """Return for which of these attempts the same entry ended without reaching that recipient: sent back, or expired."""
    deliveries = window.deliveries
    ends = deliveries[deliveries["last"] & deliveries["entry"].isin(rows["entry"].unique())]
    expired = window.entries["expired"].to_numpy()[ends["entry"].to_numpy()]
    gone = ends[(ends["status"] == "bounced").to_numpy() | ((ends["status"] != "sent").to_numpy() & expired)]
    both = pd.concat([rows[["entry", "recipient"]], gone[["entry", "recipient"]]])
    key = combine(both["entry"].to_numpy(), texts.coded(texts.lower(both["recipient"]))[0])
    found: Bools = np.isin(key[: len(rows)], key[len(rows) :])
    return found
