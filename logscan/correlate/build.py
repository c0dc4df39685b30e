"""Puts the correlation together: entries, deliveries with their verdicts and mailboxes, legs, mails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate import attempts as ways
from logscan.correlate import outcomes as ends
from logscan.correlate import vanished
from logscan.correlate.by_reply import handed_to_gateway
from logscan.correlate.codes import Bools, Ints, plain, take
from logscan.correlate.delays import delays
from logscan.correlate.events import Coded, Events
from logscan.correlate.facts import LOOPBACK, Facts, facts
from logscan.correlate.frames import Draft, Maybe, Moments, Words, category, coded_as, frame
from logscan.correlate.known import Known
from logscan.correlate.learnt import Learning, Learnt
from logscan.correlate.legs import find_legs
from logscan.correlate.links import KINDS, KNOWN_BY, Legs, nearest, parents, roots
from logscan.correlate.lives import Lives, find_lives
from logscan.correlate.mails import DIRECTIONS, OPENED_BEFORE, mails_of
from logscan.correlate.meant import meant_for_outside
from logscan.correlate.places import ORIGINS, local_domains, origins, own_domains, place, undecided
from logscan.correlate.proxies import forwarded_clients, outer_clients
from logscan.correlate.relayed import relayed
from logscan.correlate.rows import empty, in_order
from logscan.correlate.vanished import Ended
from logscan.correlate.verdicts import Judged, judge
from logscan.tables.schema import EVENTS

CONFIDENCES = ("low", "medium", "high")


@dataclass
class Correlated:
    """The joined tables as DataFrames (see ``docs/tables.md``), and the arrays that later stages reuse."""

    entries: pd.DataFrame
    deliveries: pd.DataFrame
    legs: pd.DataFrame
    mails: pd.DataFrame
    verdicts: pd.DataFrame
    local_domains: frozenset[str] = field(default_factory=frozenset)
    learnt: Learnt = field(default_factory=Learnt)


def completed(tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """Return the event tables in order of source and line, with an empty one for each that no line gave."""
    out = {name: in_order(table, name) for name, table in tables.items()}
    return out | {name: empty(name) for name in EVENTS if name not in out}


@dataclass
class Found:
    """The joined tables as drafts, and what they were found from."""

    entries: Draft
    deliveries: Draft
    legs: Draft
    mails: Draft
    verdicts: pd.DataFrame
    local_domains: frozenset[str]
    facts: Facts
    of_legs: Legs

    @property
    def learnt(self) -> Learnt:
        """What was learnt on the way, or was fixed before."""
        return self.facts.learning.learnt()

    def whole(self) -> Correlated:
        """Return the joined tables."""
        entries, deliveries, legs, mails = (
            frame(each) for each in (self.entries, self.deliveries, self.legs, self.mails)
        )
        return Correlated(entries, deliveries, legs, mails, self.verdicts, self.local_domains, self.learnt)


def correlate(tables: dict[str, pa.Table], known: Known) -> Correlated:
    """Join the event tables (as from :func:`completed`) to lives, legs, mails and verdicts."""
    return joined_up(Events.of(tables), known).whole()


def joined_up(tables: Events, known: Known) -> Found:
    """Do so; of which rows frames are made is left open."""
    learning = Learning(known.learnt)
    told = ways.told(tables, known)
    lives = find_lives(tables, known.instances, learning)
    lives.entry = {name: lives.entry.get(name, np.full(len(tables[name]), -1, np.int64)) for name in EVENTS}
    f = facts(tables, lives, learning)
    legs, hop = find_legs(tables, f, list(known.filters), known.end)
    handed, trusted = handed_to_gateway(tables, f)
    hop |= handed
    root = roots(lives.size, legs)
    judged = judge(tables, f, legs, hop)
    outer = outer_clients(tables, f)
    end = vanished.ended(tables, f, legs, ends.endings(tables, f, legs), known)
    entries = _entries(tables, f, legs, root, outer, end)
    opened = entries["opened"]
    _claimed(f, told, judged)
    deliveries, repeated = ways.attempts(tables, f, hop, told)
    code, last = ways.decided(deliveries, tables, f, legs, told, repeated, end.code, entries["expired"])
    arrived, late = delays(tables, f, legs, root, outer, opened, code == ends.outcome("delivered"))
    deliveries |= {"arrived": Moments(arrived, arrived >= 0), "verdict_row": judged.row_of_delivery}
    deliveries |= late.columns(len(arrived))
    left = ways.settle(deliveries, tables, f, legs, end, opened, code, last)
    domains = local_domains(deliveries, known, f)
    place(deliveries, domains, known, f)
    origin = origins(entries, known, f.child_id != f.parent_id)
    inner = f.row_entry[trusted & (f.row_entry >= 0)]
    origin[inner[origin[inner] == ORIGINS.index("outside")]] = ORIGINS.index("network")
    entries["origin"] = coded_as(origin, ORIGINS)
    strange = np.append((origin == ORIGINS.index("outside"))[root], False)
    deliveries["outside"] &= ~(undecided(deliveries, known, f) & strange[f.row_entry])
    _judge_deliveries(deliveries, judged, legs, f)
    ways.keep_back(deliveries, judged.frame, f, legs)
    own = np.zeros(lives.size, np.bool_) if known.configured else relayed(entries, deliveries, root, tables, learning)
    tried = np.zeros(lives.size, np.bool_)
    tried[root[f.row_entry[deliveries["last"] & ~deliveries["hop"]]]] = True
    meant = meant_for_outside(tables, f, judged.frame, own_domains(domains, known, f), tried[root])
    mails = mails_of(entries, deliveries, root, left, own, meant)
    entries["untried"] = left
    mail_of = np.full(lives.size, -1, np.int64)
    mail_of[mails["entry"]] = np.arange(len(mails["entry"]))
    entries["mail"] = mail_of[root]
    deliveries["mail"] = np.append(entries["mail"], -1)[f.row_entry]
    return Found(entries, deliveries, _legs(legs, f), mails, judged.frame, domains, f, legs)


def _claimed(f: Facts, told: ways.Told, judged: Judged) -> None:
    """Note which lines of Dovecot and of filters belong to which entries."""
    session, named = told.sessions
    entry = np.full(int(max(session.max(initial=-1), named.max(initial=-1))) + 2, -1, np.int64)
    some = np.flatnonzero((named >= 0) & (f.row_entry >= 0))
    entry[named[some]] = f.row_entry[some]
    f.links.tie(f.row_entry, named)
    rows = np.flatnonzero(entry[session] >= 0)
    f.links.claims.append(("stores", rows, entry[session[rows]]))
    rows = np.flatnonzero(judged.frame["entry"].to_numpy() >= 0)
    f.links.claims.append(("verdicts", judged.kept[rows], judged.frame["entry"].to_numpy()[rows]))


def _entries(tables: Events, f: Facts, legs: Legs, root: Ints, outer: Ints, end: Ended) -> Draft:
    """One row per life of a queue ID."""
    lives = f.lives
    client, message = np.where(outer >= 0, outer, f.client_row), lives.first_row("message_ids")
    queue, removal = lives.first_row("queued"), lives.first_row("removals")
    parent, leg = np.full(lives.size, -1, np.int64), np.full(lives.size, len(KINDS), np.int64)
    parent[legs.child], leg[legs.child] = legs.parent, legs.kind
    ending = coded_as(end.code, ends.ENDINGS)
    waits = ending.equal(*ends.WAITING, "held")
    still = np.where(waits, end.listed.recipients, -1) if end.listed else np.full(lives.size, -1)
    first = np.ones(lives.size, np.bool_)
    first[legs.child] = False
    name, address, local = _clients(
        tables, client, np.where(outer >= 0, np.append(f.local_row, False)[outer], f.local), first
    )
    return {
        "host": category(Coded(lives.host, lives.hosts)),
        "instance": category(Coded(lives.instance, lives.instances)),
        "queue_id": Words(lives.queue_ids, lives.queue_id),
        "life": lives.life,
        "first": Moments(lives.first),
        "last": Moments(lives.last),
        "service": category(tables.coded("clients", "service"), client),
        "program": category(tables.coded("clients", "program"), client),
        "pid": _whole(tables, "clients", "pid", client),
        "client": name,
        "client_address": address,
        "local_client": local,
        "sasl_username": Words(tables.plain("clients", "sasl_username"), client),
        "uid": Words(plain(tables["clients"].column("uid")), client),
        "message_id": Words(tables.plain("message_ids", "message_id"), message),
        "sender": _senders(tables, lives, queue, client, end),
        "size": _whole(tables, "queued", "size", queue),
        "nrcpt": _whole(tables, "queued", "nrcpt", queue),
        "expired": lives.first_row("expirations") >= 0,
        "opened": (client >= 0) | (message >= 0),
        "queued": queue >= 0,
        "removed": removal >= 0,
        "ending": ending,
        "client_row": client,
        "root": root,
        "listed": Maybe(still, still >= 0),
        "parent": parent,
        "leg": category(Coded(leg, pa.array([*KINDS, ""], pa.string()))),
    }


def _whole(tables: Events, table: str, column: str, rows: Ints) -> Maybe:
    """Return rows of a column of whole numbers."""
    known = np.append(pc.is_valid(tables[table].column(column)).to_numpy(), False)
    return Maybe(np.append(tables.ints(table, column), 0)[rows], known[rows])


def _senders(tables: Events, lives: Lives, queue: Ints, client: Ints, end: Ended) -> Words:
    """Return each entry's envelope sender: by qmgr, else by the rule that stopped it, else by pickup."""
    out = Words(tables.plain("queued", "sender"), queue)
    some = np.flatnonzero(queue < 0)
    if len(some):
        # Of what qmgr never saw (held, discarded, refused at its end) the rule's line names the sender.
        stopped = take(tables.plain("rejects", "sender"), lives.first_row("rejects")[some])
        pickup = take(tables.plain("clients", "sender"), client[some])
        at = queue.copy()
        at[some] = len(out.values) + np.arange(len(some))
        out = Words(pa.concat_arrays([out.values, pc.coalesce(stopped, pickup)]), at)
    return Words(end.listed.named(out.array())) if end.listed else out


def _clients(tables: Events, client: Ints, local: Bools, first: Bools) -> tuple[Words, Words, Bools]:
    """Return each entry's client by name and address, and whether it is on this host.

    That is whom XFORWARD tells, for mail without a life before the filter (before-queue filters).
    """
    columns = [tables.plain("clients", name) for name in ("client", "client_address")]
    if tables["clients"].column("orig_client").null_count == len(tables["clients"]):
        return Words(columns[0], client), Words(columns[1], client), local
    name, address = forwarded_clients(tables, client)
    told = pc.is_valid(address).to_numpy(zero_copy_only=False) & first
    found = [
        pc.if_else(pa.array(told), new, take(old, client)) for new, old in zip((name, address), columns, strict=True)
    ]
    loop = pc.fill_null(pc.match_substring_regex(found[1], LOOPBACK), False).to_numpy(zero_copy_only=False)
    return Words(found[0]), Words(found[1]), np.where(told, loop, local)


def _judge_deliveries(deliveries: Draft, judged: Judged, legs: Legs, f: Facts) -> None:
    """Set ``spam`` (True, False, None) and ``signature`` of each delivery: its own hand-over's verdict, else its parent's."""
    rows = deliveries["verdict_row"]
    entry = f.row_entry
    if len(judged.frame):
        of_entry = np.full(f.lives.size + 1, -1, np.int64)
        by_row = np.flatnonzero(legs.row >= 0)
        of_entry[legs.child[by_row]] = rows[legs.row[by_row]]
        above = np.append(nearest(parents(f.lives.size, legs), of_entry[:-1]), -1)
        rows = np.where(rows < 0, above[entry], rows)
        parent = np.full(f.lives.size + 1, -1, np.int64)
        joins = legs.kind != KINDS.index("bounce")
        parent[legs.child[joins]] = legs.parent[joins]
        rows = np.where(rows < 0, judged.by_recipient(entry, f.recipient, parent), rows)
    deliveries["verdict_row"] = rows
    spam = np.where(deliveries["outside"], np.append(judged.spam_outside, -1)[rows], np.append(judged.spam, -1)[rows])
    deliveries["spam"] = Maybe(spam == 1, spam >= 0)
    deliveries["signature"] = Words(judged.signature, rows)


def _legs(legs: Legs, f: Facts) -> Draft:
    lives = f.lives
    # Hosts' codes follow the alphabet.
    name = lives.by_name() if len(legs) else lives.queue_id
    order = np.lexsort((name[legs.child], name[legs.parent], lives.host[legs.parent]))
    parent, child = legs.parent[order], legs.child[order]
    return {
        "host": Words(lives.hosts, lives.host[parent]),
        "parent_queue_id": Words(lives.queue_ids, lives.queue_id[parent]),
        "child_queue_id": Words(lives.queue_ids, lives.queue_id[child]),
        "kind": coded_as(legs.kind[order], KINDS),
        "known_by": coded_as(legs.known_by[order], KNOWN_BY),
        "confidence": coded_as(legs.confidence[order], CONFIDENCES),
        "parent": parent,
        "child": child,
        "delivery": legs.row[order],
    }


def summary(correlated: Correlated, rejected: int) -> dict[str, int]:
    """Return the counts of the contract's ``mails``: mails by direction, recipients by outcome, attempts put off."""
    mails = correlated.mails
    by: Any = mails["direction"].value_counts()
    return {
        "total": len(mails),
        **{name: int(by.get(name, 0)) for name in DIRECTIONS},
        "opened_before": int(by.get(OPENED_BEFORE, 0)),
        "entries": len(correlated.entries),
        "filter_legs": int((correlated.legs["kind"] == "filter").sum()),
        "recipients": int(mails["recipients"].sum()),
        **{name: int(mails[name].sum()) for name in ends.ENDS},
        "deferrals": int(mails["deferrals"].sum()),
        "rejected": rejected,
    }


__all__ = ["DIRECTIONS", "Correlated", "Found", "Known", "completed", "correlate", "joined_up", "summary"]
