"""Puts the correlation together: entries, deliveries with their verdicts and mailboxes, legs, mails."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
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
from logscan.correlate.codes import Ints, category, pairs, plain, take
from logscan.correlate.delays import delays
from logscan.correlate.facts import LOOPBACK, Facts, facts
from logscan.correlate.frames import moments, words
from logscan.correlate.known import Known
from logscan.correlate.learnt import Learning, Learnt
from logscan.correlate.legs import find_legs
from logscan.correlate.links import KINDS, KNOWN_BY, Legs, nearest, parents, roots
from logscan.correlate.lives import SECOND, find_lives
from logscan.correlate.mails import DIRECTIONS, OPENED_BEFORE, mails_of
from logscan.correlate.meant import meant_for_outside
from logscan.correlate.places import ORIGINS, local_domains, origins, own_domains, place, undecided
from logscan.correlate.proxies import forwarded_clients, outer_clients
from logscan.correlate.relayed import relayed
from logscan.correlate.rows import in_order
from logscan.correlate.vanished import Ended
from logscan.correlate.verdicts import Judged, judge
from logscan.tables.schema import ARROW, COMMON, EVENTS

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
    for name, table in EVENTS.items():
        if name not in out:
            types = {"time": pa.int64(), "pid": pa.int64(), "source": pa.int32(), "line": pa.int32()}
            columns = {c.name: pa.array([], types.get(c.name, ARROW["cat"])) for c in COMMON}
            columns |= {c.name: pa.array([], ARROW[c.kind]) for c in table.columns}
            out[name] = pa.table(columns)
    return out


def correlate(tables: dict[str, pa.Table], known: Known) -> Correlated:
    """Join the event tables (as from :func:`completed`) to lives, legs, mails and verdicts."""
    return joined_up(tables, known)[0]


def joined_up(tables: dict[str, pa.Table], known: Known) -> tuple[Correlated, Facts, Legs]:
    """Do so, and return what it was found from as well."""
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(ways.told, tables, known)
        return _correlated(tables, known, told)


def _correlated(tables: dict[str, pa.Table], known: Known, told: Future[ways.Told]) -> tuple[Correlated, Facts, Legs]:
    learning = Learning(known.learnt)
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
    opened = entries["opened"].to_numpy()
    late = delays(tables, f, legs, root, outer, opened)
    _claimed(f, told.result(), judged)
    deliveries, repeated = ways.attempts(tables, f, hop, judged, told.result(), late)
    left = ways.settle(deliveries, tables, f, legs, told.result(), repeated, end, entries)
    domains = local_domains(deliveries, known, learning)
    place(deliveries, domains, known, f)
    origin = origins(entries, known, f.child_id != f.parent_id)
    inner = f.row_entry[trusted & (f.row_entry >= 0)]
    origin[inner[origin[inner] == ORIGINS.index("outside")]] = ORIGINS.index("network")
    entries["origin"] = pd.Categorical.from_codes(origin, list(ORIGINS))
    strange = np.append((entries["origin"] == "outside").to_numpy()[root], False)
    deliveries["outside"] &= ~(undecided(deliveries, known, f) & strange[deliveries["entry"].to_numpy()])
    _judge_deliveries(deliveries, judged, legs, f)
    ways.keep_back(deliveries, judged.frame, f, legs)
    own = np.zeros(lives.size, np.bool_) if known.configured else relayed(entries, deliveries, root, tables, learning)
    tried = np.zeros(lives.size, np.bool_)
    tried[root[deliveries["entry"].to_numpy()[(deliveries["last"] & ~deliveries["hop"]).to_numpy()]]] = True
    meant = meant_for_outside(tables, f, judged.frame, own_domains(domains, known, f), tried[root])
    mails = mails_of(entries, deliveries, root, left, own, meant)
    entries["untried"] = left
    mail_of = np.full(lives.size, -1, np.int64)
    mail_of[mails["entry"].to_numpy()] = np.arange(len(mails))
    entries["mail"] = mail_of[root]
    deliveries["mail"] = np.append(entries["mail"].to_numpy(), -1)[deliveries["entry"].to_numpy()]
    found = Correlated(entries, deliveries, _legs(legs, f, entries), mails, judged.frame, domains, learning.learnt())
    return found, f, legs


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


def _entries(tables: dict[str, pa.Table], f: Facts, legs: Legs, root: Ints, outer: Ints, end: Ended) -> pd.DataFrame:
    """One row per life of a queue ID."""
    lives = f.lives
    clients, queued = tables["clients"], tables["queued"]
    client, message = np.where(outer >= 0, outer, f.client_row), lives.first_row("message_ids")
    queue, removal = lives.first_row("queued"), lives.first_row("removals")
    expired = lives.first_row("expirations") >= 0

    def of(table: pa.Table, row: Ints, column: str) -> pd.Series:
        return words(take(plain(table.column(column)), row))

    frame = pd.DataFrame(
        {
            "host": category(lives.hosts, lives.host),
            "instance": category(lives.instances, lives.instance),
            "queue_id": words(take(lives.queue_ids, lives.queue_id)),
            "life": lives.life,
            "first": moments(lives.first),
            "last": moments(lives.last),
            "service": category(clients.column("service"), client),
            "program": category(clients.column("program"), client),
            "pid": take(clients.column("pid").combine_chunks(), client).to_pandas().astype("Int64"),
            "client": of(clients, client, "client"),
            "client_address": of(clients, client, "client_address"),
            "local_client": np.where(outer >= 0, np.append(f.local_row, False)[outer], f.local),
            "sasl_username": of(clients, client, "sasl_username"),
            "uid": of(clients, client, "uid"),
            "message_id": of(tables["message_ids"], message, "message_id"),
            "sender": of(queued, queue, "sender"),
            "size": take(queued.column("size").combine_chunks(), queue).to_pandas().astype("Int64"),
            "nrcpt": take(queued.column("nrcpt").combine_chunks(), queue).to_pandas().astype("Int64"),
            "expired": expired,
            "opened": (client >= 0) | (message >= 0),
            "queued": queue >= 0,
            "removed": removal >= 0,
            "ending": pd.Categorical.from_codes(end.code, list(ends.ENDINGS)),
            "client_row": client,
            "root": root,
        }
    )
    _true_clients(frame, tables, client, legs)
    pickup = of(clients, client, "sender")
    # Of what qmgr never saw (held, discarded, refused at its end) the rule's line names the sender.
    stopped = of(tables["rejects"], lives.first_row("rejects"), "sender")
    frame["sender"] = frame["sender"].where(frame["queued"], stopped.where(stopped.notna(), pickup))
    waits = frame["ending"].isin((*ends.WAITING, "held"))
    still = np.where(waits, end.listed.recipients, -1) if end.listed else np.full(lives.size, -1)
    frame["listed"] = pd.Series(still, dtype="Int64").where(still >= 0)
    if end.listed:
        frame["sender"] = end.listed.named(frame["sender"])
    frame["parent"] = -1
    frame["leg"] = ""
    frame.loc[legs.child, "parent"] = legs.parent
    frame.loc[legs.child, "leg"] = np.asarray(KINDS)[legs.kind]
    frame["leg"] = frame["leg"].astype("category")
    return frame


def _true_clients(frame: pd.DataFrame, tables: dict[str, pa.Table], client: Ints, legs: Legs) -> None:
    """Take the client that XFORWARD tells, for mail without a life before the filter (before-queue filters)."""
    name, address = forwarded_clients(tables, client)
    first = np.ones(len(frame), np.bool_)
    first[legs.child] = False
    told = pc.is_valid(address).to_numpy(zero_copy_only=False) & first
    if not told.any():
        return
    frame["client"] = frame["client"].where(~told, words(name))
    frame["client_address"] = frame["client_address"].where(~told, words(address))
    loop = frame["client_address"].str.contains(LOOPBACK, regex=True, na=False)
    frame["local_client"] = np.where(told, loop, frame["local_client"])


def _judge_deliveries(deliveries: pd.DataFrame, judged: Judged, legs: Legs, f: Facts) -> None:
    """Set ``spam`` (True, False, None) and ``signature`` of each delivery: its own hand-over's verdict, else its parent's."""
    rows = deliveries["verdict_row"].to_numpy().copy()
    entry = deliveries["entry"].to_numpy()
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
    outside = deliveries["outside"].to_numpy()
    spam = np.where(outside, np.r_[judged.spam_outside, -1][rows], np.r_[judged.spam, -1][rows])
    deliveries["spam"] = pd.array(np.where(spam < 0, False, spam == 1), "boolean")
    deliveries.loc[spam < 0, "spam"] = pd.NA
    deliveries["signature"] = words(take(judged.signature, rows))


def _legs(legs: Legs, f: Facts, entries: pd.DataFrame) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "host": words(take(f.lives.hosts, f.lives.host[legs.parent])),
            "parent_queue_id": words(take(f.lives.queue_ids, f.lives.queue_id[legs.parent])),
            "child_queue_id": words(take(f.lives.queue_ids, f.lives.queue_id[legs.child])),
            "kind": pd.Categorical.from_codes(legs.kind, list(KINDS)),
            "known_by": pd.Categorical.from_codes(legs.known_by, list(KNOWN_BY)),
            "confidence": pd.Categorical.from_codes(legs.confidence, list(CONFIDENCES)),
            "parent": legs.parent,
            "child": legs.child,
            "delivery": legs.row,
        }
    )
    return frame.sort_values(["host", "parent_queue_id", "child_queue_id"], kind="stable", ignore_index=True)


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


__all__ = ["DIRECTIONS", "SECOND", "Correlated", "Known", "completed", "correlate", "pairs", "summary"]
