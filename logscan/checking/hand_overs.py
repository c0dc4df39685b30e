"""Hand-overs to filters, mailbox servers and services of this host: those that failed and those that got through, in a window.

What a failure tells is kept row by row, of those that got through only when: as many as it takes to see where outages end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.outage import SUSPENDED, Bools, Ints, Kind, said
from logscan.checking.reinjection_outages import no_way_back
from logscan.checking.transports import NO_TRANSPORT
from logscan.correlate.codes import matched
from logscan.correlate.facts import PRIVATE_RELAY
from logscan.correlate.lives import SECOND
from logscan.scan.columns import NO_TIME, joined, some_joined, values
from logscan.scan.pasts import newest
from logscan.settings import parse_destination
from logscan.tables import columns
from logscan.tables.coded import Coded, either
from logscan.tables.grouping import combine, numbered
from logscan.tables.partials import Keyed, Points, Rows, hashes

if TYPE_CHECKING:
    from logscan.scan.log import Facts
    from logscan.scan.window import Window
    from logscan.settings import Settings
    from logscan.tables.partials import Part, Partial

NEXT_HOP = (
    rf"^(?:{SUSPENDED})?(?:connect to|conversation with|lost connection with|host) "
    r"(?P<hop>[^ \[]*\[[^ \]]*\](?::\d{1,5})?)"
)
"""Where a deferral's text names the host, when ``relay=none`` doesn't (Postfix smtp_connect.c, smtp_trouble.c)."""

ANSWERED = r" said: [45]|[Cc]ommand output: "
"""The other side was there and refused this mail: trouble with one mail or mailbox, until it is with all."""

FAILED = r"^(?:[Cc]ommand died|[Ss]ervice unavailable)"
"""A pipe's command that died: Postfix may send the mail back at once (pipe/pipe.c)."""

TIMED_OUT = r"[Tt]imed out"

HERE = re.compile(PRIVATE_RELAY)

FAILURES, WORDS, MAILS, THROUGH = "failures", "failures: words", "failures: mails", "got through"
"""Parts of the partial: one row a failure, its text by hash, what its mail is called by the hashes ``mail`` and ``person``, and
when hand-overs succeeded (by :func:`place_of`)."""


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
        return "service" if relay == NO_TRANSPORT or HERE.search(relay) else None

    def with_ports(self, hops: Coded) -> Coded:
        """Return hops with the port that a text leaves out (``conversation with HOST[ADDRESS]``), where it can be one only."""
        at: dict[str, set[str]] = {}
        for relay in {*self.facts.filter_relays, *self.facts.mailbox_relays}:
            place, _, port = relay.rpartition("]:")
            if port:
                at.setdefault(f"{place}]", set()).add(relay)
        known = {place: min(relays) for place, relays in at.items() if len(relays) == 1}
        if not known or not hops.is_in(*known).any():
            return hops
        return hops.changed(lambda each: known.get(each, each))

    def ours(self, relays: Coded) -> Bools:
        """Return which relays are of some kind: most of many hosts are not."""
        named = pa.array([NO_TRANSPORT, *self.facts.filter_relays, *self.facts.mailbox_relays], pa.string())
        found = relays.matching(
            lambda words: pc.or_(pc.is_in(words, value_set=named), pc.match_substring_regex(words, PRIVATE_RELAY))
        )
        for pattern in self.declared:
            found |= relays.having(pattern.search)
        return found


def look(window: Window, settings: Settings) -> dict[str, Part]:
    """Return the failures of a window and when hand-overs got through."""
    kinds = Kinds(window.facts, settings)
    return {**_failures(window, kinds), **_through(window, kinds)}


PAST_DAYS, MOST_FAILURES, MOST_THROUGH = 6, 2_000, 10_000
"""Days that a past tells of: mail waits for five (maximal_queue_lifetime); and how many failures and hand-overs."""

FEW = 3
"""Failures that are kept of a span where there are too many, by their mails: as many as tell an outage."""


def remember(partial: Partial, now: int) -> dict[str, Part]:
    """Return the failures of the last days, what they said, and when hand-overs got through; ``now`` is in UTC ns.

    Of too many, the first of each relay and span of time are kept: so the beginning of an outage is, however much meets it.
    """
    since = now - PAST_DAYS * 86_400 * SECOND
    kept: dict[str, Part] = {}
    if THROUGH in partial:
        part = newest(partial.parts[THROUGH], "at", since, 2**62)
        # What is left counts as all there were: a run's own aren't thinned out to fit.
        kept[THROUGH] = replace(Points.of(part.columns, FEW, MOST_THROUGH), most=part.most, width=0)
    if FAILURES in partial:
        frame = newest(partial.parts[FAILURES], "at", since, 2**62).frame
        frame = _firsts(frame, MOST_FAILURES)
        words = partial.frame(WORDS)
        kept[FAILURES] = Rows.of(frame)
        kept[WORDS] = Keyed.of(words[words["words"].isin(frame["words"])], once=True)
    return kept


def _firsts(failures: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return, of more than ``most`` failures, those of the first mails by relay and span, which is as short as can be."""
    failures = failures.sort_values(["at", "mail", "person"], kind="stable", ignore_index=True)
    width = SECOND
    while len(failures) > most and width < PAST_DAYS * 86_400 * SECOND:
        width *= 2
        span = [failures[name] for name in ("host", "hop", "back")] + [failures["at"] // width]
        once = failures[~pd.concat([*span, failures["mail"]], axis=1, keys=range(5)).duplicated().to_numpy()]
        nth = once.groupby([each[once.index] for each in span], sort=False).cumcount()
        failures = once[(nth < FEW).to_numpy()].reset_index(drop=True)
    return failures


def place_of(hosts: Iterable[str], relays: Iterable[str]) -> Ints:
    """Return one number for each pair of a host and where it hands mail to, the same in all windows."""
    return hashes(f"{host}\0{relay}" for host, relay in zip(hosts, relays, strict=True))


def _failures(window: Window, kinds: Kinds) -> dict[str, Part]:
    status = joined(window, "deliveries", "status")
    failed = status.is_in("deferred", "SOFTBOUNCE", "bounced") & (values(window, "deliveries", "entry") >= 0)
    rows = np.flatnonzero(failed & (values(window, "deliveries", "time") > NO_TIME))
    if not len(rows):
        return {}
    hop = next_hops(window, rows)
    # Most of what fails is at other hosts.
    hop = kinds.with_ports(hop)
    ours = kinds.ours(hop)
    rows, hop = rows[ours], hop.take(ours)
    reply = some_joined(window, "deliveries", "reply", rows).texts()
    mine = ~status.take(rows).is_in("bounced") | matched(reply, FAILED, starts=("C", "c", "S", "s"))
    if not mine.any():
        return {}
    rows, hop, reply = rows[mine], hop.take(mine), reply.filter(pa.array(mine))
    kind = hop.changed(kinds.of)
    entry, said_so = values(window, "deliveries", "entry")[rows], some_joined(window, "deliveries", "reply", rows)
    mail = _mails(window, rows)
    recipient = some_joined(window, "deliveries", "recipient", rows).made(pc.utf8_lower)
    frame = columns.frame_of(
        {
            "host": joined(window, "entries", "host").take(entry).texts(),
            "hop": hop.texts(),
            "kind": kind.texts(),
            "back": no_way_back(reply) & kind.is_in("filter"),
            "at": values(window, "deliveries", "time")[rows],
            "spent": _waited(window, rows, reply),
            "answered": matched(reply, ANSWERED, contains=(" said: ", "ommand output: ")),
            "lost": _lost(window, rows),
            "mail": mail,
            "person": recipient.hashed(),
            "words": said_so.hashed(),
            "source": values(window, "deliveries", "source")[rows],
            "line": values(window, "deliveries", "line")[rows],
        }
    )
    return {FAILURES: Rows.of(frame), WORDS: said(said_so), MAILS: _named_mails(window, entry, mail, recipient)}


def _waited(window: Window, rows: Ints, reply: pa.Array) -> Ints:
    """Return how long (ns) each attempt waited for an answer that never came: so long the other side is silent already."""
    out = np.zeros(len(rows), np.int64)
    silent = np.flatnonzero(matched(reply, TIMED_OUT, contains="imed out"))
    if len(silent):
        delays = some_joined(window, "deliveries", "delays", rows[silent]).texts()
        parts = pc.extract_regex(
            delays, r"^[0-9.]{1,12}/[0-9.]{1,12}/(?P<c>\d{1,6})(?:\.\d*)?/(?P<d>\d{1,6})(?:\.\d*)?$"
        )
        spent = sum(
            pc.fill_null(pc.struct_field(parts, [at]).cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
            for at in (0, 1)
        )
        out[silent] = spent * SECOND
    return out


def _named_mails(window: Window, entry: Ints, mail: Ints, recipient: Coded) -> Keyed:
    """Return how the mails of failures are called: ``message_id``, ``queue_id``, ``recipient``, each once."""
    first = numbered(combine(mail, recipient.codes, entry))[1]
    names = {name: some_joined(window, "entries", name, entry[first]).texts() for name in ("message_id", "queue_id")}
    some = recipient.take(first)
    return Keyed.of({"mail": mail[first], "person": some.hashed(), "recipient": some.texts(), **names})


def _through(window: Window, kinds: Kinds) -> dict[str, Part]:
    relay, of_entry = joined(window, "deliveries", "relay"), values(window, "deliveries", "entry")
    time = values(window, "deliveries", "time")
    good = np.flatnonzero(joined(window, "deliveries", "status").is_in("sent") & (time > NO_TIME) & (of_entry >= 0))
    good = good[kinds.ours(relay.take(good))]
    entry, at, hop = of_entry[good], time[good], relay.take(good)
    host = joined(window, "entries", "host").take(entry)
    # Once an entry, by its first: a mail for many is no more of a sign than one for one.
    order = np.argsort(at, kind="stable")
    pairs = combine(host.codes, hop.codes)
    first = order[numbered(combine(pairs, entry)[order])[1]]
    number, some = numbered(pairs[first])
    one = first[some]
    keys = place_of(host.take(one).texts().to_pylist(), hop.take(one).texts().to_pylist())
    return {THROUGH: Points.of({"key": keys[number], "at": at[first]})}


def _mails(window: Window, rows: Ints) -> Ints:
    """Return a hash of each attempt's mail, or of its entry where that is none: of what tells it from all others."""
    root = values(window, "mails", "entry")
    mail = values(window, "deliveries", "mail")[rows]
    entry = np.where(mail >= 0, np.append(root, -1)[mail], values(window, "deliveries", "entry")[rows])
    number, first = numbered(entry)
    once = entry[first]
    names = (
        joined(window, "entries", name).take(once).texts().to_pylist() for name in ("host", "instance", "queue_id")
    )
    times = (values(window, "entries", name)[once].tolist() for name in ("first", "last"))
    kind = np.where(mail >= 0, 0, 1)
    # An entry that is no mail is another thing than the mail that began as it.
    return hashes(["\0".join(map(str, each)) for each in zip(*names, *times, strict=True)])[number] ^ kind


def next_hops(window: Window, rows: Ints) -> Coded:
    """Return each deferral's relay, or the one that its text names."""
    relay = joined(window, "deliveries", "relay").take(rows)
    unnamed = relay.is_in("none")
    if not unnamed.any():
        return relay
    hosts = np.full(len(rows), -1, np.int64)
    named = some_joined(window, "deliveries", "reply", rows[unnamed]).made(_named)
    hosts[unnamed] = named.codes
    return either(relay, Coded(hosts, named.words), unnamed)


def _named(replies: pa.Array) -> pa.Array:
    found = pc.struct_field(pc.extract_regex(replies, NEXT_HOP), [0])
    return pc.if_else(pc.ends_with(replies, NO_TRANSPORT), NO_TRANSPORT, found)


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


def _lost(window: Window, rows: Ints) -> Bools:
    """Return for which of these attempts the same entry ended without reaching that recipient: sent back, or expired."""
    entry, status = values(window, "deliveries", "entry"), joined(window, "deliveries", "status")
    mine = np.zeros(len(window.entries) + 1, np.bool_)
    mine[entry[rows]] = True
    ends = np.flatnonzero(values(window, "deliveries", "last") & mine[entry] & (entry >= 0))
    expired = values(window, "entries", "expired")[entry[ends]]
    how = status.take(ends)
    gone = ends[how.is_in("bounced") | (~how.is_in("sent") & expired)]
    both = np.concatenate([rows, gone])
    recipient = some_joined(window, "deliveries", "recipient", both).made(pc.utf8_lower)
    key = combine(entry[both], recipient.codes)
    found: Bools = np.isin(key[: len(rows)], key[len(rows) :])
    return found
