"""Legs: which entry came out of which, how that is known, and with what confidence.

Told by the log: ``orig_queue_id``, ``queued as``, amavis's line, ``forwarded as``, ``orig_id``, bounce notifications.
Inferred where a filter tells nothing (DSPAM, pipes): same message-id, sender and recipient, opened from this host or the
filter's while the hand-over was under way; one to one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import (
    Bools,
    Floats,
    Ints,
    combine,
    distinct,
    extracted,
    factorise,
    first_index,
    matched,
    pairs,
    plain,
    take,
)
from logscan.correlate.entries import SECOND, Lives, plain_float
from logscan.correlate.matching import match

KINDS = ("filter", "bounce", "forward", "requeue", "proxy", "redirect", "relay")
KNOWN_BY = ("queued as", "orig_queue_id", "amavis", "forwarded as", "orig_id", "notification", "inferred", "sieve")
LOOPBACK = r"^(?:127\.|::1$|::ffff:127\.|0:0:0:0:0:0:0:1$)"
PRIVATE_RELAY = r"\[(?:/|private/|public/|127\.|::1\]|unix:)"
"""Relays on this host: sockets and loopback."""

FILTER_SHARE = 0.2
"""A relay is a filter when at least this share of what it took came back; a lone look-alike doesn't make one."""

STORED = r"^250 2\.\d\.\d <.*> \S+ Saved$|^delivered to (?:mailbox|maildir|file)"
"""Replies of Dovecot, local and virtual: the mail lies in a mailbox, so nothing comes back."""

FIELDS = ("parent", "child", "kind", "known_by", "confidence", "row")

SLACK = 5
"""Seconds by which stamps of two processes may disagree where a queue ID says what belongs together."""

BOUNCE_WINDOW = 600 * SECOND


@dataclass
class Legs:
    """Parallel arrays, one leg each; ``row`` is the hand-over's row in deliveries, or -1."""

    parent: Ints
    child: Ints
    kind: Ints
    known_by: Ints
    confidence: Ints
    """2 high, 1 medium, 0 low."""
    row: Ints

    @classmethod
    def of(cls, parent: Ints, child: Ints, kind: str, known_by: str, confidence: Ints | int, row: Ints | int) -> Legs:
        """Return legs of one kind."""
        size = len(parent)
        full = np.full(size, 0, np.int64)
        return cls(
            parent.astype(np.int64),
            child.astype(np.int64),
            full + KINDS.index(kind),
            full + KNOWN_BY.index(known_by),
            full + confidence,
            full + row,
        )

    @classmethod
    def joined(cls, parts: list[Legs]) -> Legs:
        """Return all legs, a child's first (best known) parent only."""
        whole = cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in FIELDS))
        keep = np.sort(np.unique(whole.child, return_index=True)[1]) if len(whole.child) else whole.child
        return cls(*(getattr(whole, name)[keep] for name in FIELDS))

    def __len__(self) -> int:
        return len(self.parent)


def _some(legs: Legs, mask: Bools) -> Legs:
    """Return some of the legs."""
    return Legs(*(getattr(legs, name)[mask] for name in FIELDS))


@dataclass
class Facts:
    """What legs are found from: per entry (client, ids, sender) and per delivery row (recipient, relay, window)."""

    lives: Lives
    client_row: Ints
    opened: Ints
    """Second in which the entry was opened."""
    local_row: Bools
    """Per row of clients: a local process, or a client on this host."""
    local: Bools
    """Opened by a local process or a client on this host."""
    address: Ints
    """Client address code, shared with ``relay_address``."""
    parent_id: Ints
    """Message-ID code; an absent one has its own code, an unknown one is -1."""
    child_id: Ints
    """The same, but an ID that cleanup made for this very entry counts as absent."""
    sender: Ints
    """Envelope sender code (lower case), -1 unknown."""
    row_entry: Ints
    recipient: Ints
    """Code of the final address (lower case)."""
    asked: Ints
    """Code of the address as it came in: original_recipient, else recipient."""
    relay: Ints
    relays: pa.Array
    here: Bools
    """Per relay: it is on this host (a socket, loopback, one of our names, a pipe service)."""
    relay_address: Ints
    second: Ints
    transmit: Floats
    """Seconds of the whole transmission."""
    sent: Bools
    tried: Bools
    """Something was transmitted: sent, or broken off while sending."""
    forwarded: Bools
    """local(8) made a new entry of it."""
    reply: pa.Array
    addresses: pa.Array
    ids: pa.Array
    size: Ints
    """Bytes per entry, -1 unknown."""


def facts(tables: dict[str, pa.Table], lives: Lives) -> Facts:
    """Gather codes and flags from the event tables."""
    clients, deliveries = tables["clients"], tables["deliveries"]
    client_row = lives.first_row("clients")
    address_values = plain(clients.column("client_address"))
    host, relay_codes, relays, relay_hosts = _relays(deliveries, clients)
    relay_host = pc.struct_field(pc.extract_regex(relays, r"\[(?P<a>[^\]/]*)\](?::\d+)?$"), [0])
    (address_codes, relay_address_codes), address_list = factorise([address_values, relay_host])
    loop = pc.fill_null(pc.match_substring_regex(address_list, LOOPBACK), False).to_numpy(zero_copy_only=False)
    own_names = _own_names(relays, relay_hosts)
    own = _is_own(plain(clients.column("client")), host, own_names)
    pickup = (plain(clients.column("program")).to_numpy(zero_copy_only=False)) == "pickup"
    loopback_row = np.where(address_codes >= 0, np.r_[loop, False][address_codes], False)
    local_row = pickup | own | loopback_row
    has_client = client_row >= 0
    local = np.where(has_client, np.r_[local_row, False][client_row], False)
    address = np.where(has_client, np.r_[address_codes, -1][client_row], -1)
    opened = np.where(has_client, np.r_[clients.column("time").to_numpy(), 0][client_row], lives.first) // SECOND
    parent_id, child_id, ids = _message_ids(tables, lives)
    sender, recipient, asked, addresses = _addresses(tables, lives)
    status = plain(deliveries.column("status"))
    reply = plain(deliveries.column("reply"))
    sent = pc.fill_null(pc.equal(status, "sent"), False).to_numpy(zero_copy_only=False)
    broken = matched(reply, "^(?:lost connection|conversation) with .* while |said: 4", contains=(" while ", "said: 4"))
    none = pc.fill_null(pc.equal(plain(deliveries.column("relay")), "none"), False).to_numpy(zero_copy_only=False)
    stored = matched(reply, STORED, ends=" Saved", starts="delivered to ")
    tried = (sent | broken) & ~none & ~stored
    transmit = _transmits(deliveries)
    forwarded = pc.fill_null(pc.starts_with(reply, "forwarded as "), False).to_numpy(zero_copy_only=False)
    relay_address = np.append(relay_address_codes, -1)[relay_codes]
    return Facts(
        lives, client_row, opened, local_row, local, address, parent_id, child_id, sender,
        lives.entry["deliveries"], recipient, asked, relay_codes, relays, _here(relays, relay_hosts, own_names), relay_address,
        deliveries.column("time").to_numpy() // SECOND, transmit, sent, tried, forwarded, reply, addresses, ids,
        np.append(pc.fill_null(tables["queued"].column("size").combine_chunks(), -1).to_numpy(zero_copy_only=False), -1)[
            lives.first_row("queued")
        ].astype(np.int64),
    )  # fmt: skip


def _transmits(deliveries: pa.Table) -> Floats:
    """Return the seconds that connecting and transmitting took, where that isn't told those of the whole delay."""
    (code,), values = factorise([deliveries.column("delays")])
    parts = pc.extract_regex(values, r"^[^/]*/[^/]*/(?P<c>\d{1,9}(?:\.\d{1,9})?)/(?P<d>\d{1,9}(?:\.\d{1,9})?)$")
    connect, transmit = (
        pc.cast(pc.struct_field(parts, [at]), pa.float64()).to_numpy(zero_copy_only=False) for at in (0, 1)
    )
    told = np.append(np.nan_to_num(connect + transmit, nan=-1), -1)[code]
    return np.where(told < 0, np.nan_to_num(plain_float(deliveries.column("delay"))), told)


def _relays(deliveries: pa.Table, clients: pa.Table) -> tuple[Ints, Ints, pa.Array, Ints]:
    """Code relays by host: the same address is another filter on another host.

    Returns the host's code of each row in clients, the relay's of each delivery, and by that the relay and its host.
    """
    (relay,), names = factorise([deliveries.column("relay")])
    (host, client_host), _ = factorise([deliveries.column("host"), clients.column("host")])
    both, codes = np.unique(np.where(relay < 0, -1, host * (len(names) + 1) + relay), return_inverse=True)
    codes = codes.astype(np.int64) - np.count_nonzero(both < 0)
    both = both[both >= 0]
    return client_host, codes, take(names, both % (len(names) + 1)), both // (len(names) + 1)


def _own_names(relays: pa.Array, hosts: Ints) -> set[tuple[int, str]]:
    """Return each host's names: Postfix writes its own before the path of a socket."""
    names = pc.struct_field(pc.extract_regex(relays, r"^(?P<h>[^\[]+)\[(?:/|private/|public/)"), [0]).to_pylist()
    return {(host, name) for host, name in zip(hosts.tolist(), names, strict=True) if name}


def _is_own(names: pa.Array, hosts: Ints, own: set[tuple[int, str]]) -> Bools:
    """Return which names are their host's own, or localhost."""
    out: Bools = pc.fill_null(pc.equal(names, "localhost"), False).to_numpy(zero_copy_only=False).copy()
    for host in {host for host, _ in own}:
        some = pa.array(sorted(name for each, name in own if each == host))
        out |= (hosts == host) & pc.fill_null(pc.is_in(names, some), False).to_numpy(zero_copy_only=False)
    return out


def _here(relays: pa.Array, hosts: Ints, own_names: set[tuple[int, str]]) -> Bools:
    """Return, per relay (and one more, False, for none), whether it is on this host."""
    private = pc.match_substring_regex(relays, PRIVATE_RELAY)
    service = pc.and_(pc.invert(pc.match_substring(relays, "[")), pc.not_equal(relays, "none"))
    found = pc.fill_null(pc.or_(private, service), False).to_numpy(zero_copy_only=False).astype(np.bool_)
    return np.append(found | _is_own(pc.replace_substring_regex(relays, r"\[.*$", ""), hosts, own_names), False)


def _message_ids(tables: dict[str, pa.Table], lives: Lives) -> tuple[Ints, Ints, pa.Array]:
    table = tables["message_ids"]
    row = lives.first_row("message_ids")
    # Each distinct ID once: a mail that goes through a filter logs it twice.
    (raw_code, none), raw = factorise([table.column("message_id"), pa.array([""])])
    raw = pc.utf8_trim_whitespace(raw)
    raw = pc.replace_substring_regex(raw, r"(?:#01[0-5])+$| \(added by [^()]*\)$", "")
    bare = pc.replace_substring_regex(raw, r"^<(.*)>$", r"\1")
    (bare_code,), ids = factorise([bare])
    absent = int(bare_code[none[0]])
    of_row = bare_code[np.where(raw_code >= 0, raw_code, none[0])]
    code = np.where(row >= 0, np.append(of_row, -1)[row], -1)
    made_by = pc.struct_field(pc.extract_regex(ids, r"^(?:\d{14}\.)?(?P<q>[0-9A-Za-z]{6,})@"), [0])
    (maker, queue), _ = factorise([made_by, lives.queue_ids])
    maker_of = np.where(code >= 0, np.r_[maker, -1][code], -1)
    own = (maker_of >= 0) & (maker_of == queue[lives.queue_id] if lives.size else maker_of >= 0)
    return code, np.where(own, absent, code), ids


def _addresses(tables: dict[str, pa.Table], lives: Lives) -> tuple[Ints, Ints, Ints, pa.Array]:
    deliveries, clients = tables["deliveries"], tables["clients"]
    recipient = plain(deliveries.column("recipient"))
    asked = pc.coalesce(plain(deliveries.column("original_recipient")), recipient)
    sources = [pc.utf8_lower(recipient), pc.utf8_lower(asked), pc.utf8_lower(plain(clients.column("sender")))]
    sources.append(pc.utf8_lower(plain(tables["queued"].column("sender"))))
    (to, orig, pickup, queued), values = factorise(sources)
    row = lives.first_row("queued")
    client = lives.first_row("clients")
    sender = np.where(row >= 0, np.r_[queued, -1][row], np.where(client >= 0, np.r_[pickup, -1][client], -1))
    return sender, to, orig, values


def find_legs(tables: dict[str, pa.Table], f: Facts, declared: list[str]) -> tuple[Legs, Bools]:
    """Return the legs and, per delivery row, whether it is a hand-over to a filter (or to ourselves).

    ``declared`` are regular expressions for relays that the configuration names as filters.
    """
    told = [
        _requeued(tables, f),
        _queued_as(tables, f),
        _orig_queue_id(tables, f),
        _amavis(tables, f),
        _forwarded(f),
        _bounced(tables, f),
    ]
    known = Legs.joined(told)
    inferred = _inferred(f, known, declared)
    redirected = _redirected(tables, f, Legs.joined([known, inferred]))
    legs = acyclic(f.lives.size, Legs.joined([known, inferred, redirected]))
    hop = _hops(f, legs, declared)
    return legs, hop


# --- told by the log -----------------------------------------------------------------------------------------------


def _by_id(f: Facts, host: Ints, names: pa.Array) -> tuple[Ints, Ints]:
    """Return all (position in names, entry) with that host and queue ID."""
    if names.null_count == len(names):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    (codes, queue), _ = factorise([names, f.lives.queue_ids])
    queue_of = queue[f.lives.queue_id] if f.lives.size else np.empty(0, np.int64)
    known = np.flatnonzero(codes >= 0)
    both = combine(np.concatenate([host[known], f.lives.host]), np.concatenate([codes[known], queue_of]))
    left, right = pairs(both[: len(known)], both[len(known) :])
    return known[left], right


def _nearest(position: Ints, entry: Ints, distance: Ints) -> tuple[Ints, Ints]:
    """Keep, for each position, the entry with the least distance."""
    order = np.lexsort((distance, position))
    position, entry = position[order], entry[order]
    first = np.r_[True, position[1:] != position[:-1]] if len(position) else np.empty(0, np.bool_)
    return position[first], entry[first]


def _requeued(tables: dict[str, pa.Table], f: Facts) -> Legs:
    names = plain(tables["clients"].column("orig_id"))
    return _told_by_client(tables, f, names, "requeue", "orig_id")


def _orig_queue_id(tables: dict[str, pa.Table], f: Facts) -> Legs:
    names = plain(tables["clients"].column("orig_queue_id"))
    return _told_by_client(tables, f, names, "filter", "orig_queue_id")


def _told_by_client(tables: dict[str, pa.Table], f: Facts, names: pa.Array, kind: str, known_by: str) -> Legs:
    """The child's first line names its parent: the life of that ID opened last before the child."""
    entry = f.lives.entry["clients"]
    child = np.where(entry >= 0, entry, 0)
    host = f.lives.host[child] if f.lives.size else entry
    position, parent = _by_id(f, host, names)
    at = f.opened[child[position]]
    fits = (f.opened[parent] <= at + SLACK) & (parent != child[position]) & (entry[position] >= 0)
    position, parent = position[fits], parent[fits]
    position, parent = _nearest(position, parent, at[fits] - f.opened[parent] + _other_id(f, parent, child[position]))
    return Legs.of(parent, child[position], kind, known_by, 2, -1)


def _queued_as(tables: dict[str, pa.Table], f: Facts) -> Legs:
    """The reply to a hand-over names the child; believed only where that child opens while the hand-over lasts."""
    said = extracted(f.reply, r"queued as (?P<q>[0-9A-Za-z]{6,})\)?$", "queued as ")
    row_entry = np.where(f.row_entry >= 0, f.row_entry, 0)
    (codes, queue), _ = factorise([said, f.lives.queue_ids])
    queue_of = queue[f.lives.queue_id] if f.lives.size else np.empty(0, np.int64)
    rows = np.flatnonzero((codes >= 0) & (f.row_entry >= 0) & f.sent)
    left, child = pairs(codes[rows], queue_of)
    row = rows[left]
    parent = row_entry[row]
    fits = f.opened[child] >= f.second[row] - _ceil(f.transmit[row]) - SLACK
    fits &= f.opened[child] <= f.second[row] + SLACK
    fits &= parent != child
    same_id = f.parent_id[parent] == f.child_id[child]
    unknown_id = (f.parent_id[parent] < 0) | (f.child_id[child] < 0)
    here = f.lives.host[parent] == f.lives.host[child]
    at_relay = f.address[child] == f.relay_address[row]
    # On this host the child must come from here or from the filter's address; on another the message-id has to agree.
    # A stranger's ID may be one of ours by chance: where the message-ids differ, only a filter on this host is believed.
    near = (same_id | unknown_id) & (f.here[f.relay[row]] | at_relay)
    # Any name may belong to this host, but strangers listen on port 25, where filters don't; they may echo our IDs.
    stranger = np.append(pc.match_substring_regex(f.relays, r"\]:25$").to_numpy(zero_copy_only=False), False)[
        f.relay[row]
    ]
    near |= same_id & f.local[child] & (f.opened[parent] <= f.opened[child]) & ~stranger
    changed = f.here[f.relay[row]] & f.local[child] & ~same_id & ~unknown_id
    rank = np.select(
        [fits & here & near, fits & ~here & same_id & ~f.here[f.relay[row]], fits & here & changed], [0, 1, 2], -1
    )
    some = np.flatnonzero(rank >= 0)
    away = np.abs(f.opened[child[some]] - f.second[row[some]]) + rank[some] * 2**40
    _, best = _nearest(row[some], some, away)
    found = [
        Legs.of(parent[one], child[one], kind, "queued as", confidence, row[one])
        for number, (kind, confidence) in enumerate((("filter", 2), ("relay", 2), ("filter", 1)))
        for one in (best[rank[best] == number],)
    ]
    return Legs.joined(found)


def _amavis(tables: dict[str, pa.Table], f: Facts) -> Legs:
    """amavis's own line gives both IDs, even where Postfix's lines are cut."""
    verdicts = tables.get("verdicts")
    if verdicts is None:
        return Legs.of(np.empty(0, np.int64), np.empty(0, np.int64), "filter", "amavis", 2, -1)
    host, before, after, second = [], [], [], []
    hosts = {value: code for code, value in enumerate(f.lives.hosts.to_pylist())}
    wanted = verdicts.filter(pc.is_valid(verdicts.column("child_queue_id")))
    for name, queue_id, children, time in zip(
        plain(wanted.column("host")).to_pylist(),
        plain(wanted.column("queue_id")).to_pylist(),
        plain(wanted.column("child_queue_id")).to_pylist(),
        wanted.column("time").to_pylist(),
        strict=True,
    ):
        for child in children.replace(",", "/").split("/"):
            if queue_id and child:
                host.append(hosts.get(name, -1))
                before.append(queue_id)
                after.append(child)
                second.append(time // SECOND)
    hosts_of = np.asarray(host, np.int64)
    at = np.asarray(second, np.int64)
    found = []
    for names in (pa.array(before, pa.string()), pa.array(after, pa.string())):
        position, entry = _by_id(f, hosts_of, names)
        ok = f.opened[entry] <= at[position] + SLACK
        found.append((position[ok], entry[ok]))
    (left, parent), (right, child_entry) = found
    a, b = pairs(left, right)
    left, parent, child_entry = left[a], parent[a], child_entry[b]
    ok = parent != child_entry
    left, parent, child_entry = left[ok], parent[ok], child_entry[ok]
    # Where an ID is several lives', those of one message-id, then those of least age.
    away = 2 * at[left] - f.opened[parent] - f.opened[child_entry]
    left, chosen = _nearest(left, np.arange(len(left)), away + _other_id(f, parent, child_entry))
    return Legs.of(parent[chosen], child_entry[chosen], "filter", "amavis", 2, -1)


def _other_id(f: Facts, parent: Ints, child: Ints) -> Ints:
    """Return a distance beyond all times for pairs whose message-ids differ, else 0."""
    return np.where(f.parent_id[parent] == f.child_id[child], 0, 2**40)


def _forwarded(f: Facts) -> Legs:
    said = extracted(f.reply, r"^forwarded as (?P<q>[0-9A-Za-z]{6,})$", "forwarded as ")
    host = f.lives.host[np.where(f.row_entry >= 0, f.row_entry, 0)] if f.lives.size else f.row_entry
    row, child = _by_id(f, host, said)
    fits = (f.row_entry[row] >= 0) & (np.abs(f.opened[child] - f.second[row]) <= 60 + _ceil(f.transmit[row]))
    fits &= child != f.row_entry[row]
    fits &= f.lives.instance[child] == f.lives.instance[f.row_entry[row]]
    row, child = row[fits], child[fits]
    row, child = _nearest(row, child, np.abs(f.opened[child] - f.second[row]))
    return Legs.of(f.row_entry[row], child, "forward", "forwarded as", 2, row)


def _bounced(tables: dict[str, pa.Table], f: Facts) -> Legs:
    table = tables["notifications"]
    entry = f.lives.entry.get("notifications", np.empty(0, np.int64))
    time = table.column("time").to_numpy()
    parent = np.where(entry >= 0, entry, 0)
    host = f.lives.host[parent] if f.lives.size else parent
    row, child = _by_id(f, host, plain(table.column("child_queue_id")))
    near = np.abs(f.lives.first[child] - time[row])
    fits = (near <= BOUNCE_WINDOW) & (entry[row] >= 0) & (child != parent[row])
    fits &= f.lives.instance[child] == f.lives.instance[parent[row]]
    row, child = _nearest(row[fits], child[fits], near[fits])
    return Legs.of(parent[row], child, "bounce", "notification", 2, -1)


# --- inferred ------------------------------------------------------------------------------------------------------


def _ceil(seconds: Floats) -> Ints:
    """Round up, with the 5 % that two printed digits may hide."""
    return np.ceil(seconds * 1.05).astype(np.int64)


def declared_relays(f: Facts, declared: list[str]) -> Bools:
    """Return, per relay, whether the configuration names it as a filter."""
    out = np.zeros(len(f.relays) + 1, np.bool_)
    for pattern in declared:
        out[:-1] |= pc.fill_null(pc.match_substring_regex(f.relays, pattern), False).to_numpy(zero_copy_only=False)
    return out


def _inferred(f: Facts, known: Legs, declared: list[str]) -> Legs:
    """Match hand-overs to local children by host, message-id, sender, recipient and time."""
    named = declared_relays(f, declared)
    rows, children, sure = _matched(f, known, named, 2, 1)
    is_filter = _filter_relays(f, _open_rows(f, known), rows) | named
    ok = is_filter[f.relay[rows]]
    rows, children, sure = rows[ok], children[ok], sure[ok]
    first = Legs.of(f.row_entry[rows], children, "filter", "inferred", np.where(sure, 2, 1), rows)
    # A clock was set meanwhile: what filters took and didn't give back in time may have come back out of time.
    rows, children, _ = _matched(f, Legs.joined([known, first]), named, SLACK, SLACK, is_filter)
    second = Legs.of(f.row_entry[rows], children, "filter", "inferred", 1, rows)
    found = Legs.joined([first, second])
    rows, children, _ = _matched(f, Legs.joined([known, found]), named, SLACK, SLACK, ~is_filter)
    late = _filter_relays(f, _open_rows(f, known), rows)
    ok = late[f.relay[rows]]
    found = Legs.joined([found, Legs.of(f.row_entry[rows[ok]], children[ok], "filter", "inferred", 1, rows[ok])])
    is_filter |= late
    return Legs.joined([found, _without_deliveries(f, known, found, is_filter)])


def _explained(f: Facts, legs: Legs) -> Bools:
    """Return the delivery rows that legs account for: what went out in one transaction may make one child."""
    out = np.zeros(len(f.row_entry) + 1, np.bool_)
    out[legs.row] = True
    out = out[:-1]
    told = (legs.known_by == KNOWN_BY.index("queued as")) & (legs.row >= 0)
    if told.any():
        unit = combine(f.row_entry, f.relay)
        out |= f.sent & np.isin(unit, unit[legs.row[told]])
    out[_told_rows(f, legs, (legs.kind == KINDS.index("filter")) & (legs.row < 0))] = True
    return out


def _open_rows(f: Facts, known: Legs) -> Ints:
    """Return the rows of hand-overs that no leg explains yet and whose mail's message-id is known."""
    rows = np.flatnonzero(f.tried & ~_explained(f, known) & (f.row_entry >= 0))
    return rows[f.parent_id[f.row_entry[rows]] >= 0]


def _matched(
    f: Facts, known: Legs, named: Bools, before: int, after: int, relays: Bools | None = None
) -> tuple[Ints, Ints, Bools]:
    """Return rows, the child entry of each, and whether it was the only one possible.

    A child is opened at most ``before`` seconds before its hand-over begins and ``after`` seconds after it ends.
    """
    has_parent = np.zeros(f.lives.size + 1, np.bool_)
    has_parent[known.child] = True
    here = f.here | named
    rows = _open_rows(f, known)
    rows = rows[here[f.relay[rows]] | (f.relay_address[rows] >= 0) & np.isin(f.relay_address[rows], f.address)]
    if relays is not None:
        rows = rows[relays[f.relay[rows]]]
    parents = f.row_entry[rows]
    # Children: what was asked for, once per (entry, address).
    relay_hosts = np.unique(f.relay_address[rows][f.relay_address[rows] >= 0])
    may_be = f.local | np.isin(f.address, relay_hosts)
    may_be &= ~has_parent[:-1]
    child_rows = np.flatnonzero((f.row_entry >= 0) & may_be[np.where(f.row_entry >= 0, f.row_entry, 0)])
    unit = combine(f.row_entry[child_rows], f.asked[child_rows])
    child_rows = child_rows[np.unique(unit, return_index=True)[1]] if len(unit) else child_rows
    children = f.row_entry[child_rows]
    whole = combine(
        np.concatenate([f.lives.host[parents], f.lives.host[children]]),
        np.concatenate([f.parent_id[parents], f.child_id[children]]),
        np.concatenate([f.sender[parents], f.sender[children]]),
        np.concatenate([f.recipient[rows], f.asked[child_rows]]),
    )
    window = f.second[rows] - _ceil(f.transmit[rows]) - before, f.second[rows] + after

    def fits(left: Ints, right: Ints) -> Bools:
        """Not itself, opened after its parent, from this host or the filter's, and not handed to the same relay again."""
        parent, child = parents[left], children[right]
        relay = f.relay[rows[left]]
        ok: Bools = (parent != child) & (f.opened[parent] <= f.opened[child] + (0 if relays is None else SLACK))
        ok &= (f.local[child] & here[relay]) | (f.address[child] == f.relay_address[rows[left]])
        ok &= f.relay[rows[left]] != f.relay[child_rows[right]]
        # Two local mails that might each have come out of the other: filters add headers. Nor is it its own grandchild.
        size = f.lives.size
        smaller = np.flatnonzero(ok & (f.size[child] < f.size[parent]))
        if len(smaller):
            mutual = np.isin(child[smaller] * size + parent[smaller], (parent * size + child)[ok])
            ok[smaller[mutual]] = False
        if len(known.parent):
            ok &= ~np.isin(child * size + parent, known.parent * size + known.child)
        return ok

    keys = whole[: len(rows)], whole[len(rows) :]

    def rank() -> tuple[Ints, Ints]:
        names = f.lives.by_name()
        return names[parents], names[children]

    left, right, sure = match(keys, window, f.opened[children], fits, children, rank)
    return rows[left], children[right], sure


def _filter_relays(f: Facts, tried: Ints, matched: Ints) -> Bools:
    """Return, per relay, whether what it takes comes back: of mails, since one child may be for many recipients."""
    total, back = (_mails_by_relay(f, rows) for rows in (tried, matched))
    return (back > 0) & (back >= FILTER_SHARE * total)


def _mails_by_relay(f: Facts, rows: Ints) -> Ints:
    """Return how many entries these rows handed to each relay (and one more, for none)."""
    size = len(f.relays) + 1
    unit = distinct((f.row_entry[rows] + 1) * (size + 1) + f.relay[rows] + 1)
    return np.bincount(unit % (size + 1), minlength=size + 1)[1:]


def _without_deliveries(f: Facts, known: Legs, found: Legs, is_filter: Bools) -> Legs:
    """Match what is left: children still in the queue name no recipient yet, parents from before the log no message-id."""
    taken = np.zeros(f.lives.size + 1, np.bool_)
    taken[known.child] = taken[found.child] = True
    explained = _explained(f, Legs.joined([known, found]))
    rows = np.flatnonzero(f.tried & ~explained & (f.row_entry >= 0) & is_filter[f.relay])
    with_deliveries = np.zeros(f.lives.size, np.bool_)
    with_deliveries[f.row_entry[f.row_entry >= 0]] = True
    children = np.flatnonzero(f.local & ~taken[:-1] & ~with_deliveries & (f.child_id >= 0))
    parents = f.row_entry[rows]
    empty = Legs.of(np.empty(0, np.int64), np.empty(0, np.int64), "filter", "inferred", 1, -1)
    if not len(rows) or not len(children):
        return empty
    whole = combine(
        np.concatenate([f.lives.host[parents], f.lives.host[children]]),
        np.concatenate([f.parent_id[parents], f.child_id[children]]),
        np.concatenate([f.sender[parents], f.sender[children]]),
    )
    window = f.second[rows] - _ceil(f.transmit[rows]) - 2, f.second[rows] + 1
    left, right, _ = match(
        (whole[: len(rows)], whole[len(rows) :]),
        window,
        f.opened[children],
        lambda left, right: parents[left] != children[right],
    )
    return Legs.of(parents[left], children[right], "filter", "inferred", 1, rows[left])


def _redirected(tables: dict[str, pa.Table], f: Facts, legs: Legs) -> Legs:
    """Sieve's ``forwarded to <x>``: a local child with the same message-id to that address, opened within seconds."""
    empty = Legs.of(np.empty(0, np.int64), np.empty(0, np.int64), "redirect", "sieve", 1, -1)
    stores = tables.get("stores")
    if stores is None:
        return empty
    forwards = stores.filter(pc.fill_null(pc.equal(plain(stores.column("action")), "forwarded"), False))
    if not len(forwards):
        return empty
    taken = np.zeros(f.lives.size + 1, np.bool_)
    taken[legs.child] = True
    saved = pc.struct_field(pc.extract_regex(pc.fill_null(f.reply, ""), r"> (?P<s>\S+) Saved$"), [0])
    (session, told), _ = factorise([plain(forwards.column("session")), saved])
    to = pc.utf8_lower(plain(forwards.column("address")))
    (target, known), _ = factorise([to, f.addresses])
    where = {int(code): n for n, code in enumerate(known)}
    target_of = np.asarray([where.get(int(code), -2) for code in target], np.int64)
    rows = np.flatnonzero((told >= 0) & (f.row_entry >= 0))
    store, position = pairs(session, told[rows])
    ok = session[store] >= 0
    store, row = store[ok], rows[position[ok]]
    parents = f.row_entry[row]
    child_rows = np.flatnonzero(
        (f.row_entry >= 0) & (f.local & ~taken[:-1])[np.where(f.row_entry >= 0, f.row_entry, 0)]
    )
    children = f.row_entry[child_rows]
    whole = combine(
        np.concatenate([f.lives.host[parents], f.lives.host[children]]),
        np.concatenate([f.parent_id[parents], f.child_id[children]]),
        np.concatenate([target_of[store], f.asked[child_rows]]),
    )
    at = f.second[row]
    left, right, _ = match((whole[: len(row)], whole[len(row) :]), (at - 10, at + 10), f.opened[children])
    return Legs.of(parents[left], children[right], "redirect", "sieve", 1, row[left])


def _hops(f: Facts, legs: Legs, declared: list[str]) -> Bools:
    """Return, per delivery row, whether it handed the mail on to a filter or another life of ours instead of delivering."""
    inside = np.isin(legs.kind, [KINDS.index("filter"), KINDS.index("relay"), KINDS.index("forward")])
    hop = _explained(f, _some(legs, inside))
    rows = np.flatnonzero(f.sent & (f.row_entry >= 0))
    elsewhere = _explained(f, _some(legs, legs.kind == KINDS.index("relay")))
    matched = np.flatnonzero(hop & ~elsewhere & ~f.forwarded)
    by_relay = _filter_relays(f, rows, matched) if len(matched) else np.zeros(len(f.relays) + 1, np.bool_)
    # Where the configuration names the filter, what it keeps (quarantine) is still a hand-over.
    by_relay |= declared_relays(f, declared)
    return hop | (f.sent & by_relay[f.relay])


def _told_rows(f: Facts, legs: Legs, some: Bools) -> Ints:
    """Return the delivery rows behind legs whose child named its parent: sent while the child was opened."""
    parents, children = legs.parent[some], legs.child[some]
    rows = np.flatnonzero(f.sent & (f.row_entry >= 0))
    left, right = pairs(parents, f.row_entry[rows])
    row = rows[right]
    opened = f.opened[children[left]]
    fits = (opened >= f.second[row] - _ceil(f.transmit[row]) - SLACK) & (opened <= f.second[row] + SLACK)
    return row[fits]


def acyclic(size: int, legs: Legs) -> Legs:
    """Drop the legs of any circle: hostile or garbled lines may make a mail come out of itself."""
    parent = np.arange(size)
    parent[legs.child] = legs.parent
    above = parent
    for _ in range(max(1, size.bit_length())):
        above = above[above]
    # Whoever is not at a beginning after that many doublings runs in a circle, or hangs from one.
    endless = parent[above] != above
    if not endless.any():
        return legs
    return _some(legs, ~endless[legs.child])


def roots(size: int, legs: Legs) -> Ints:
    """Return, per entry, the entry its mail began with: legs followed up, bounces beginning a mail of their own."""
    parent = np.arange(size)
    joins = legs.kind != KINDS.index("bounce")
    parent[legs.child[joins]] = legs.parent[joins]
    for _ in range(64):
        above = parent[parent]
        if np.array_equal(above, parent):
            break
        parent = above
    return parent


__all__ = ["KINDS", "KNOWN_BY", "Facts", "Legs", "facts", "find_legs", "first_index", "roots"]
