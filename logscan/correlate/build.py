"""Puts the correlation together: entries, deliveries with their verdicts and mailboxes, legs, mails."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan import texts
from logscan.correlate.codes import Bools, Ints, category, combine, extracted, factorise, matched, pairs, plain, take
from logscan.correlate.entries import SECOND, Lives, find_lives
from logscan.correlate.facts import LOOPBACK, PRIVATE_RELAY, Facts, facts
from logscan.correlate.legs import find_legs
from logscan.correlate.links import KINDS, KNOWN_BY, Legs, roots
from logscan.correlate.proxies import forwarded_clients, outer_clients
from logscan.correlate.verdicts import Judged, judge
from logscan.schema import ARROW, COMMON, EVENTS

DIRECTIONS = ("inbound", "outbound", "internal", "forwarded", "generated")
ORIGINS = ("outside", "authenticated", "local", "network", "generated", "unknown")
CONFIDENCES = ("low", "medium", "high")

STORING = ("lmtp", "local", "virtual", "pipe")
"""Daemons whose deliveries stay here, unless the recipient's domain says otherwise."""


LOCAL_SERVICES = ("local", "virtual")

DISCARDED = r"^2\d\d (?:2\.\d\.\d )?(?:Ok, discarded|BLOCKED)"
"""Replies with which filters (amavis, Proxmox) take mail that nobody gets."""


@dataclass(frozen=True)
class Known:
    """What the configuration or the user tells the correlation; everything may be empty."""

    filters: tuple[str, ...] = ()
    """Regular expressions for relays that are filters which hand mail back."""
    local_domains: frozenset[str] = frozenset()
    networks: tuple[str, ...] = ()
    """mynetworks beyond loopback, as CIDR."""
    delimiter: str = "+"
    instances: frozenset[tuple[str, str]] = frozenset()
    """(host, instance) that have a queue of their own, from lines read before."""


@dataclass
class Correlated:
    """The joined tables as DataFrames (see ``docs/tables.md``), and the arrays that later stages reuse."""

    entries: pd.DataFrame
    deliveries: pd.DataFrame
    legs: pd.DataFrame
    mails: pd.DataFrame
    verdicts: pd.DataFrame
    local_domains: frozenset[str] = field(default_factory=frozenset)


def completed(tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """Return the event tables with an empty one for each that no line gave."""
    out = dict(tables)
    for name, table in EVENTS.items():
        if name not in out:
            types = {"time": pa.int64(), "pid": pa.int64(), "source": pa.int32(), "line": pa.int32()}
            columns = {c.name: pa.array([], types.get(c.name, ARROW["cat"])) for c in COMMON}
            columns |= {c.name: pa.array([], ARROW[c.kind]) for c in table.columns}
            out[name] = pa.table(columns)
    return out


def correlate(tables: dict[str, pa.Table], known: Known) -> Correlated:
    """Join the event tables (as from :func:`completed`) to lives, legs, mails and verdicts."""
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(_told, tables, known)
        return _correlated(tables, known, told)


def _correlated(tables: dict[str, pa.Table], known: Known, told: Future[_Told]) -> Correlated:
    lives = find_lives(tables, known.instances)
    lives.entry = {name: lives.entry.get(name, np.full(len(tables[name]), -1, np.int64)) for name in EVENTS}
    f = facts(tables, lives)
    legs, hop = find_legs(tables, f, list(known.filters))
    root = roots(lives.size, legs)
    judged = judge(tables, f, legs, hop)
    entries = _entries(tables, f, legs, root)
    deliveries = _deliveries(tables, f, hop, judged, told.result())
    domains = _local_domains(deliveries, known)
    _places(deliveries, domains)
    origin = _origins(entries, known)
    entries["origin"] = pd.Categorical.from_codes(origin, list(ORIGINS))
    _judge_deliveries(deliveries, judged, legs, f)
    mails = _mails(entries, deliveries, root)
    mail_of = np.full(lives.size, -1, np.int64)
    mail_of[mails["entry"].to_numpy()] = np.arange(len(mails))
    entries["mail"] = mail_of[root]
    deliveries["mail"] = _of(entries["mail"].to_numpy(), deliveries["entry"].to_numpy())
    return Correlated(entries, deliveries, _legs(legs, f, entries), mails, judged.frame, domains)


def _of(values: Ints, index: Ints) -> Ints:
    return np.where(index >= 0, np.r_[values, -1][index], -1)


def _time(values: Ints) -> pd.Series:
    return pd.to_datetime(pd.Series(values), unit="ns", utc=True)


def _text(values: pa.Array) -> pd.Series:
    return pd.Series(values.to_pandas(), dtype="str") if len(values) else pd.Series([], dtype="str")


def _entries(tables: dict[str, pa.Table], f: Facts, legs: Legs, root: Ints) -> pd.DataFrame:
    """One row per life of a queue ID."""
    lives = f.lives
    clients, queued = tables["clients"], tables["queued"]
    outer = outer_clients(tables, f)
    client, message = np.where(outer >= 0, outer, f.client_row), lives.first_row("message_ids")
    queue, removal = lives.first_row("queued"), lives.first_row("removals")
    expired = lives.first_row("expirations") >= 0

    def of(table: pa.Table, row: Ints, column: str) -> pd.Series:
        return _text(take(plain(table.column(column)), row))

    frame = pd.DataFrame(
        {
            "host": category(lives.hosts, lives.host),
            "instance": category(lives.instances, lives.instance),
            "queue_id": _text(take(lives.queue_ids, lives.queue_id)),
            "life": lives.life,
            "first": _time(lives.first),
            "last": _time(lives.last),
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
            "client_row": client,
            "root": root,
        }
    )
    _true_clients(frame, tables, client, legs)
    pickup = of(clients, client, "sender")
    frame["sender"] = frame["sender"].where(frame["queued"], pickup)
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
    frame["client"] = frame["client"].where(~told, _text(name))
    frame["client_address"] = frame["client_address"].where(~told, _text(address))
    loop = frame["client_address"].str.contains(LOOPBACK, regex=True, na=False)
    frame["local_client"] = np.where(told, loop, frame["local_client"])


@dataclass
class _Told:
    """What the delivery lines and Dovecot's tell by themselves, one value a row of deliveries."""

    categories: dict[str, pd.Series]
    session: pa.Array
    stored: Ints
    folder: pd.Series
    action: pd.Series
    store_row: Ints
    mailbox: pd.Series
    discarded: Bools


def _told(tables: dict[str, pa.Table], known: Known) -> _Told:
    """Gather what needs no lives: it is made while they are found."""
    table = tables["deliveries"]
    reply = plain(table.column("reply"))
    saved = extracted(reply, r"^250 2\.\d\.\d <[^ ]*> (?P<s>\S+) Saved$", " Saved")
    stored, owner, folder, action, store_row = _stores(tables["stores"], saved)
    categories = {name: category(table.column(name)) for name in ("program", "relay", "dsn", "status")}
    discarded = matched(reply, DISCARDED, contains=("Ok, discarded", "BLOCKED"))
    discarded |= (categories["program"] == "discard").to_numpy()
    mailbox = _mailboxes(_text(plain(table.column("recipient"))), owner, known.delimiter)
    return _Told(categories, saved, stored, folder, action, store_row, mailbox, discarded)


def _deliveries(tables: dict[str, pa.Table], f: Facts, hop: Bools, judged: Judged, told: _Told) -> pd.DataFrame:
    """One row per delivery attempt, with the mailbox it led to."""
    table = tables["deliveries"]
    frame = pd.DataFrame(
        {
            "time": _time(table.column("time").to_numpy()),
            "entry": f.row_entry,
            "queue_id": _text(plain(table.column("queue_id"))),
            "program": told.categories["program"],
            "recipient": _text(plain(table.column("recipient"))),
            "original_recipient": _text(plain(table.column("original_recipient"))),
            "relay": told.categories["relay"],
            "delay": table.column("delay").to_pandas(),
            "delays": _text(plain(table.column("delays"))),
            "dsn": told.categories["dsn"],
            "status": told.categories["status"],
            "reply": _text(plain(table.column("reply"))),
            "session": _text(told.session),
            "hop": hop,
            "stored": told.stored,
            "folder": told.folder,
            "store_action": told.action,
            "store_row": told.store_row,
            "source": table.column("source").to_pandas(),
            "line": table.column("line").to_pandas(),
            "mailbox": told.mailbox,
        }
    )
    frame["final"] = f.sent & ~told.discarded & ~hop & ~f.forwarded & (f.row_entry >= 0)
    frame["final"] &= ~_repeated(frame)
    frame["last"] = _last_attempts(f, f.lives)
    frame["verdict_row"] = judged.row_of_delivery
    return frame


def _repeated(frame: pd.DataFrame) -> Bools:
    """Return which final deliveries are a line logged again: the same in every word, delays included."""
    some = frame.loc[frame["final"], ["entry", "recipient", "original_recipient"]]
    again = some.duplicated(keep=False)
    out = np.zeros(len(frame), np.bool_)
    if again.any():
        same = ["entry", "recipient", "original_recipient", "relay", "delay", "delays", "status", "reply"]
        rows = frame.loc[again.index[again], same]
        out[rows.index[rows.duplicated()]] = True
    return out


def _last_attempts(f: Facts, lives: Lives) -> Bools:
    """Return whether a row is the last attempt for its (entry, recipient, address asked for)."""
    key = combine(f.row_entry, f.recipient, f.asked)
    order = np.lexsort((f.sent, f.second, key))
    ordered = key[order]
    last = np.zeros(len(key), np.bool_)
    if len(key):
        last[order] = np.r_[ordered[1:] != ordered[:-1], True]
    return last & (f.row_entry >= 0)


def _stores(stores: pa.Table, saved: pa.Array) -> tuple[np.ndarray, pd.Series, pd.Series, pd.Series, Ints]:
    """Join Dovecot's lines by session. Returns copies stored (-1 unknown), owner, folder, action and row by delivery."""
    (session, told), _ = factorise([plain(stores.column("session")), saved])
    size = int(max(session.max(initial=-1), told.max(initial=-1))) + 1
    action = plain(stores.column("action"))
    is_stored = pc.fill_null(pc.equal(action, "stored"), False).to_numpy(zero_copy_only=False)
    ends = pc.is_in(action, pa.array(["stored", "discarded", "forwarded", "rejected", "failed"]))
    ends_store = ends.to_numpy(zero_copy_only=False) & (session >= 0)
    copies = np.bincount(session[is_stored & (session >= 0)], minlength=size)
    spoken = np.bincount(session[ends_store], minlength=size)
    first = np.full(size, -1, np.int64)
    rows = np.flatnonzero(ends_store)[::-1]
    first[session[rows]] = rows
    rows = np.flatnonzero(is_stored & (session >= 0))[::-1]
    first[session[rows]] = rows
    row = np.where(told >= 0, np.r_[first, -1][told], -1)
    count = np.where(row >= 0, np.r_[np.where(spoken > 0, copies, -1), -1][told], -1)
    return (
        count,
        _text(take(plain(stores.column("user")), row)),
        _text(take(plain(stores.column("mailbox")), row)),
        category(stores.column("action"), row),
        row,
    )


def _mailboxes(recipient: pd.Series, owner: pd.Series, delimiter: str) -> pd.Series:
    """Return the mailbox: Dovecot's owner where known, else the recipient without extension, in lower case."""
    (to, by), values = factorise([pa.array(recipient, pa.string()), pa.array(owner, pa.string())])
    both, which = np.unique(to * (len(values) + 1) + by, return_inverse=True)
    by = (both + 1) % (len(values) + 1) - 1
    to = (both - by) // (len(values) + 1)
    found = _mailbox(_text(take(values, to)), _text(take(values, by)), delimiter)
    return found.take(which).reset_index(drop=True)


def _mailbox(recipient: pd.Series, owner: pd.Series, delimiter: str) -> pd.Series:
    """Do so for each pair there is, once: addresses are few, deliveries many."""
    address = recipient.str.lower()
    if delimiter:
        # one of the delimiter's characters begins the extension, and only behind a local part
        pattern = "^([^@]+?)[" + "".join("\\" + char for char in delimiter) + "][^@]*(@.*)?$"
        bare = address.str.replace(pattern, lambda m: m[1] + (m[2] or ""), regex=True)
        extended = address.str.contains(pattern.replace("(", "(?:"), regex=True, na=False)
        address = address.where(~extended, bare)
    user = owner.str.lower()
    bare_user = user.notna() & ~user.str.contains("@", regex=False, na=False)
    domain = address.str.extract(r"@([^@]*)$", expand=False).fillna("")
    full = user.where(~bare_user, user + "@" + domain)
    return full.where(user.notna(), address).str.replace(r"@$", "", regex=True)


AWAY = r"\[(?!127\.|::1)[0-9A-Fa-f.:]+\](?::\d+)?$"
"""A relay at an address that isn't this host."""


def _local_domains(deliveries: pd.DataFrame, known: Known) -> frozenset[str]:
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


def _places(deliveries: pd.DataFrame, domains: frozenset[str]) -> None:
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


def _origins(entries: pd.DataFrame, known: Known) -> Ints:
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
    import ipaddress

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


def _judge_deliveries(deliveries: pd.DataFrame, judged: Judged, legs: Legs, f: Facts) -> None:
    """Set ``spam`` (True, False, None) and ``signature`` of each delivery: its own hand-over's verdict, else its parent's."""
    rows = deliveries["verdict_row"].to_numpy().copy()
    entry = deliveries["entry"].to_numpy()
    of_entry = np.full(f.lives.size + 1, -1, np.int64)
    by_row = np.flatnonzero(legs.row >= 0)
    of_entry[legs.child[by_row]] = rows[legs.row[by_row]]
    parent = np.full(f.lives.size + 1, -1, np.int64)
    parent[legs.child] = legs.parent
    bounce = legs.kind == KINDS.index("bounce")
    parent[legs.child[bounce]] = -1
    at = entry.copy()
    for _ in range(8):
        open_rows = (rows < 0) & (at >= 0)
        if not open_rows.any():
            break
        rows = np.where(open_rows, of_entry[at], rows)
        at = np.where(at >= 0, parent[at], -1)
    rows = np.where(rows < 0, judged.by_recipient(entry, f.recipient, parent), rows)
    deliveries["verdict_row"] = rows
    outside = deliveries["outside"].to_numpy()
    spam = np.where(outside, np.r_[judged.spam_outside, -1][rows], np.r_[judged.spam, -1][rows])
    deliveries["spam"] = pd.array(np.where(spam < 0, False, spam == 1), "boolean")
    deliveries.loc[spam < 0, "spam"] = pd.NA
    deliveries["signature"] = _text(take(judged.signature, rows))


def _mails(entries: pd.DataFrame, deliveries: pd.DataFrame, root: Ints) -> pd.DataFrame:
    """One row per mail as its sender would count it."""
    size = len(entries)
    queued = entries["queued"].to_numpy()
    has_delivery = np.zeros(size + 1, np.bool_)
    has_delivery[deliveries["entry"].to_numpy()] = True
    status = deliveries["status"]
    probe = np.zeros(size + 1, np.bool_)
    probing = status.isin(("deliverable", "undeliverable", "undeliverable-but-not-cached")).to_numpy()
    probe[deliveries["entry"].to_numpy()[probing]] = True
    real = np.zeros(size, np.bool_)
    np.logical_or.at(real, root, (queued | has_delivery[:-1]) & ~probe[:-1])
    mail_entries = np.flatnonzero(real & (root == np.arange(size)))
    base = entries.iloc[mail_entries]
    number = np.full(size + 1, -1, np.int64)
    number[mail_entries] = np.arange(len(mail_entries))
    of_delivery = np.r_[number[root], -1][deliveries["entry"].to_numpy()]
    final = deliveries["final"].to_numpy() & (of_delivery >= 0)
    at_end = (deliveries["last"].to_numpy() & ~deliveries["hop"].to_numpy()) & (of_delivery >= 0)
    outside = deliveries["outside"].to_numpy()
    count = len(mail_entries)
    # Still on its way while any of its lives is in the queue; what postsuper requeued lives on under another ID.
    waiting = (queued | has_delivery[:-1]) & ~entries["removed"].to_numpy()
    waiting[entries["parent"].to_numpy()[(entries["leg"] == "requeue").to_numpy()]] = False
    still_open = np.zeros(size, np.bool_)
    np.logical_or.at(still_open, root, waiting)

    def counted(mask: Bools) -> Ints:
        return np.bincount(of_delivery[mask], minlength=count)

    out_count, in_count = counted(at_end & outside), counted(at_end & ~outside)
    origin = base["origin"].cat.codes.to_numpy()
    generated = (origin == ORIGINS.index("generated")) & (base["leg"] != "redirect").to_numpy()
    inside_origin = np.isin(origin, [ORIGINS.index(n) for n in ("authenticated", "local", "network")])
    direction = np.select(
        [generated, inside_origin & (out_count > 0), inside_origin, (out_count > 0) & (in_count == 0)],
        [DIRECTIONS.index(n) for n in ("generated", "outbound", "internal", "forwarded")],
        DIRECTIONS.index("inbound"),
    )
    spam = deliveries["spam"].fillna(False).to_numpy().astype(bool)
    judged = deliveries["spam"].notna().to_numpy()
    deferred = (status == "deferred").to_numpy() | (status == "SOFTBOUNCE").to_numpy()
    bounced = (status == "bounced").to_numpy()
    expired = np.r_[entries["expired"].to_numpy(), False][deliveries["entry"].to_numpy()]
    ends = pd.Series(entries["last"]).groupby(root).max().reindex(mail_entries)
    lives_in = np.bincount(number[root[number[root] >= 0]] if count else np.empty(0, np.int64), minlength=count)
    return pd.DataFrame(
        {
            "entry": mail_entries,
            "host": base["host"].to_numpy(),
            "queue_id": base["queue_id"].array,
            "message_id": base["message_id"].array,
            "sender": base["sender"].array,
            "size": base["size"].array,
            "first": base["first"].array,
            "last": ends.array,
            "direction": pd.Categorical.from_codes(direction, list(DIRECTIONS)),
            "origin": base["origin"].to_numpy(),
            "service": base["service"].astype("str").array,
            "client": base["client"].array,
            "client_address": base["client_address"].array,
            "sasl_username": base["sasl_username"].array,
            "lives": lives_in,
            "recipients": counted(at_end),
            "delivered": counted(final),
            "deferred": counted(at_end & deferred & ~expired),
            "bounced": counted(at_end & (bounced | (deferred & expired))),
            "verdict": pd.Categorical.from_codes(
                np.where(
                    counted(spam & (of_delivery >= 0)) > 0, 0, np.where(counted(judged & (of_delivery >= 0)) > 0, 1, 2)
                ),
                ["spam", "innocent", "unknown"],
            ),
            "opened_before": ~base["opened"].to_numpy(),
            "open": still_open[mail_entries],
        }
    )


def _legs(legs: Legs, f: Facts, entries: pd.DataFrame) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "host": _text(take(f.lives.hosts, f.lives.host[legs.parent])),
            "parent_queue_id": _text(take(f.lives.queue_ids, f.lives.queue_id[legs.parent])),
            "child_queue_id": _text(take(f.lives.queue_ids, f.lives.queue_id[legs.child])),
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
    """Return the counts of the contract's ``mails``."""
    mails = correlated.mails
    by: Any = mails["direction"].value_counts()
    return {
        "total": len(mails),
        **{name: int(by.get(name, 0)) for name in DIRECTIONS},
        "entries": len(correlated.entries),
        "filter_legs": int((correlated.legs["kind"] == "filter").sum()),
        "delivered": int(mails["delivered"].sum()),
        "deferred": int(mails["deferred"].sum()),
        "bounced": int(mails["bounced"].sum()),
        "rejected": rejected,
    }


__all__ = ["SECOND", "Correlated", "Known", "completed", "correlate", "pairs", "summary"]
