"""What legs are found from: per entry its client, ids and sender, per delivery its recipient, relay and time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate import replies
from logscan.correlate.codes import Bools, Floats, Ints, factorise, matched, ranked, spread, take
from logscan.correlate.events import Coded, Events
from logscan.correlate.horizons import REACH
from logscan.correlate.learnt import Learning
from logscan.correlate.lives import SECOND, Lives, plain_float
from logscan.tables.slices import contains

LOOPBACK = r"^(?:127\.|::1$|::ffff:127\.|0:0:0:0:0:0:0:1$)"
PRIVATE_RELAY = r"\[(?:/|private/|public/|127\.|::1\]|unix:)"
"""Relays on this host: sockets and loopback."""

PRIVATE_ADDRESS = r"\[(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|(?i:f[cd][0-9a-f]{2}:|fe80:))"
"""Relays in private networks (RFC 1918, RFC 4193)."""

COMMAND = "delivered to command: "
"""What local(8) says of mailbox_command, and of the programs in aliases(5) and .forward."""

AGENT = (
    r"^delivered to command: (?i:[^ ]*/)?(?i:procmail|maildrop|deliver|dovecot-lda|lda|mda|fdm|sieve|mailfilter|dmail"
    r"|cyrdeliver|dbmail-deliver)(?: |$)|^delivered to command: .*(?:dovecot-lda|dovecot/deliver|/procmail|/maildrop)"
)
"""Programs that deliver into a mailbox; others (lists, scripts) have none."""

LISTS = r"^(?i:mailman|majordomo|sympa|schleuder|ecartis|ezmlm|listserv|mlmmj|listar|smartlist|vacation|autore)"
"""Pipe services that hand mail to a list or answer it: nobody's mailbox, and not outside."""

SLACK = 5
"""Seconds by which stamps of two processes may disagree where a queue ID says what belongs together."""


@dataclass
class Links:
    """What else hangs together, whatever legs say: see :mod:`logscan.correlate.closing`."""

    ties: list[tuple[Ints, Ints]] = field(default_factory=list)
    """Entries that have a choice of the same lines or of each other, side by side: none can be decided alone."""
    claims: list[tuple[str, Ints, Ints]] = field(default_factory=list)
    """Table, rows without a life of their own, and the entry each belongs to."""
    waits: list[tuple[Ints, int]] = field(default_factory=list)
    """Entries from which more may come, and for how many seconds behind their last line."""

    def tie(self, entry: Ints, thing: Ints) -> None:
        """Tie the entries that have a thing (a code, -1 for none) in common."""
        some = np.flatnonzero((thing >= 0) & (entry >= 0))
        order = some[np.argsort(thing[some], kind="stable")]
        same = thing[order][1:] == thing[order][:-1]
        if same.any():
            self.ties.append((entry[order][:-1][same], entry[order][1:][same]))


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
    stages: tuple[Floats, Floats, Floats, Floats]
    """Seconds before the queue manager, in the queue, connecting, transmitting, as Postfix tells them; NaN unknown."""
    sent: Bools
    tried: Bools
    """Something was transmitted: sent, or broken off while sending."""
    stored: Bools
    """By its reply it lies in a mailbox: of Dovecot, local or virtual."""
    forwarded: Bools
    """local(8) made a new entry of it."""
    reply: pa.Array
    addresses: pa.Array
    ids: pa.Array
    own_names: set[tuple[int, str]]
    """(host code, name) by which hosts name themselves before the path of a socket."""
    size: Ints
    """Bytes per entry, -1 unknown."""
    writer: Ints
    """Code of the sender as it was before SRS rewrote it, -1 unknown: cleanup may rewrite it before a filter or behind it."""
    relay_host: Ints
    """Per relay, the code of the host that logged it."""
    relay_hosts: pa.Array
    handed_to: Bools
    """Per client address (and one more, for none): mail is handed to it as well."""
    learning: Learning
    links: Links

    @cached_property
    def strangers(self) -> Bools:
        """Per relay (and one more, for none): it may be anybody's, on port 25 of an address that isn't private."""
        far = pc.ends_with(self.relays, "]:25").to_numpy(zero_copy_only=False).astype(np.bool_)
        near = pc.match_substring_regex(self.relays, PRIVATE_ADDRESS).to_numpy(zero_copy_only=False).astype(np.bool_)
        return np.append(far & ~near, False)


def facts(events: Events, lives: Lives, learning: Learning | None = None) -> Facts:
    """Gather codes and flags from the event tables."""
    client_row = lives.first_row("clients")
    learning = learning or Learning()
    host, relay_codes, relays, relay_hosts, hosts = _relays(events)
    relay_host = pc.struct_field(pc.extract_regex(relays, r"\[(?P<a>[^\]/]*)\](?::\d+)?$"), [0])
    addresses_of = events.coded("clients", "client_address")
    (address_words, relay_address_codes), address_list = factorise([addresses_of.words, relay_host])
    address_codes = np.append(address_words, -1)[addresses_of.codes]
    loop = pc.fill_null(pc.match_substring_regex(address_list, LOOPBACK), False).to_numpy(zero_copy_only=False)
    own_names = _own_names(relays, relay_hosts, hosts, learning)
    local_row = _own_clients(events, host, own_names) | np.append(loop, False)[address_codes]
    has_client = client_row >= 0
    local = np.append(local_row, False)[client_row]
    address = np.append(address_codes, -1)[client_row]
    opened = np.where(has_client, np.append(events.time("clients"), 0)[client_row], lives.first) // SECOND
    parent_id, child_id, ids = _message_ids(events, lives)
    sender, recipient, asked, addresses = _addresses(events, lives)
    writer = _writers(sender, addresses)
    reply = events.plain("deliveries", "reply")
    sent, tried, stored = _tried(events)
    stages = _stages(events.coded("deliveries", "delays"))
    told = stages[2] + stages[3]
    transmit = np.where(np.isnan(told), np.nan_to_num(plain_float(events["deliveries"].column("delay"))), told)
    transmit = np.clip(transmit, 0, REACH)
    forwarded = pc.fill_null(pc.starts_with(reply, "forwarded as "), False).to_numpy(zero_copy_only=False)
    relay_address = np.append(relay_address_codes, -1)[relay_codes]
    return Facts(
        lives, client_row, opened, local_row, local, address, parent_id, child_id, sender,
        lives.entry["deliveries"], recipient, asked, relay_codes, relays, _here(relays, relay_hosts, own_names), relay_address,
        events.time("deliveries") // SECOND, transmit, stages, sent, tried, stored, forwarded, reply, addresses, ids,
        own_names,
        np.append(events.ints("queued", "size", -1), -1)[lives.first_row("queued")],
        writer,
        relay_hosts, hosts, _handed_to(address_list, address, relay_address_codes, learning), learning, Links(),
    )  # fmt: skip


def _tried(events: Events) -> tuple[Bools, Bools, Bools]:
    """Return which deliveries were sent, of which something was transmitted elsewhere, and which were stored."""
    reply = events.plain("deliveries", "reply")
    sent = events.coded("deliveries", "status").equal("sent")
    broken = np.zeros(len(sent), np.bool_)
    others = np.flatnonzero(~sent)
    said = reply.take(pa.array(others))
    broken[others] = matched(
        said, "^(?:lost connection|conversation) with .* while |said: 4", contains=(" while ", "said: 4")
    )
    none = events.coded("deliveries", "relay").equal("none")
    stored = replies.stored(reply, events.saved().taken)
    return sent, (sent | broken) & ~none & ~stored, stored


def _own_clients(events: Events, host: Ints, own_names: set[tuple[int, str]]) -> Bools:
    """Return, per row of clients, whether it is a local process or a client by one of its host's own names."""
    client = events.plain("clients", "client")
    out = events.coded("clients", "program").equal("pickup")
    names = pa.array(sorted({"localhost", *(name for _, name in own_names)}), pa.string())
    rows = np.flatnonzero(pc.is_in(client, names).to_numpy(zero_copy_only=False))
    found = pc.index_in(client.take(pa.array(rows)), names).to_numpy(zero_copy_only=False)
    known = [where * len(names) + names.index(name).as_py() for where, name in own_names]
    out[rows] |= (found == names.index("localhost").as_py()) | np.isin(host[rows] * len(names) + found, known)
    return out


def _stages(delays: Coded) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the four parts of ``delays=``."""
    number = r"\d{1,9}(?:\.\d{1,9})?"
    parts = pc.extract_regex(delays.words, "^" + "/".join(f"(?P<{name}>{number})" for name in "abcd") + "$")
    a, b, c, d = (
        np.append(pc.cast(pc.struct_field(parts, [at]), pa.float64()).to_numpy(zero_copy_only=False), np.nan)[
            delays.codes
        ]
        for at in range(4)
    )
    return a, b, c, d


def _relays(events: Events) -> tuple[Ints, Ints, pa.Array, Ints, pa.Array]:
    """Code relays by host: the same address is another filter on another host.

    Returns the host's code of each row in clients, the relay's of each delivery, by that the relay and its host, and the hosts.
    """
    relay, names = events.coded("deliveries", "relay").codes, events.coded("deliveries", "relay").words
    (host, client_host), hosts = events.together(("deliveries", "clients"), "host")
    both, codes = ranked(np.where(relay < 0, -1, host * (len(names) + 1) + relay))
    codes = codes - np.count_nonzero(both < 0)
    both = both[both >= 0]
    return client_host, codes, take(names, both % (len(names) + 1)), both // (len(names) + 1), hosts


def _own_names(relays: pa.Array, host: Ints, hosts: pa.Array, learning: Learning) -> set[tuple[int, str]]:
    """Return each host's names: Postfix writes its own before the path of a socket."""
    known = hosts.to_pylist()

    def told() -> set[tuple[str, str]]:
        names = pc.struct_field(pc.extract_regex(relays, r"^(?P<h>[^\[]+)\[(?:/|private/|public/)"), [0]).to_pylist()
        return {(known[at], name) for at, name in zip(host.tolist(), names, strict=True) if name}

    code_of = {name: code for code, name in enumerate(known)}
    fixed = learning.fact("own_names", told)
    return {(code_of[where], name) for where, name in fixed if where in code_of}


def _handed_to(addresses: pa.Array, clients: Ints, relays: Ints, learning: Learning) -> Bools:
    """Return, by code of an address (and one more, for none), whether mail comes from it and is handed to it."""

    def told() -> list[str]:
        both = np.intersect1d(clients[clients >= 0], relays[relays >= 0])
        found: list[str] = addresses.take(pa.array(both)).to_pylist()
        return found

    fixed = learning.fact("handed_to", told)
    found = pc.is_in(addresses, pa.array(list(fixed), pa.string())).to_numpy(zero_copy_only=False).astype(np.bool_)
    return np.append(found, False)


def relays_of(f: Facts, name: str, found: Callable[[], Bools]) -> Bools:
    """Return, per relay (and one more, for none), whether it is of a kind: the fact ``name``, or else what is found."""

    def told() -> list[tuple[str, str]]:
        some = np.flatnonzero(found()[:-1])
        host = take(f.relay_hosts, f.relay_host[some]).to_pylist()
        return list(zip(host, f.relays.take(pa.array(some)).to_pylist(), strict=True))

    fixed = f.learning.fact(name, told)
    out = np.zeros(len(f.relays) + 1, np.bool_)
    if fixed:
        names = pa.array(sorted({relay for _, relay in fixed}), pa.string())
        some = np.flatnonzero(pc.is_in(f.relays, names).to_numpy(zero_copy_only=False))
        host = take(f.relay_hosts, f.relay_host[some]).to_pylist()
        pairs = zip(host, f.relays.take(pa.array(some)).to_pylist(), strict=True)
        out[some] = [pair in fixed for pair in pairs]
    return out


def _is_own(names: pa.Array, hosts: Ints, own: set[tuple[int, str]]) -> Bools:
    """Return which names are their host's own, or localhost; all hosts at once, since a log may name any number."""
    out: Bools = pc.fill_null(pc.equal(names, "localhost"), False).to_numpy(zero_copy_only=False).copy()
    if own:
        (code, known), values = factorise([names, pa.array([name for _, name in own], pa.string())])
        pairs = np.asarray([host for host, _ in own], np.int64) * len(values) + known
        out |= (code >= 0) & np.isin(hosts * len(values) + code, pairs)
    return out


def _here(relays: pa.Array, hosts: Ints, own_names: set[tuple[int, str]]) -> Bools:
    """Return, per relay (and one more, False, for none), whether it is on this host."""
    private = pc.match_substring_regex(relays, PRIVATE_RELAY)
    service = pc.and_(pc.invert(pc.match_substring(relays, "[")), pc.not_equal(relays, "none"))
    found = pc.fill_null(pc.or_(private, service), False).to_numpy(zero_copy_only=False).astype(np.bool_)
    return np.append(found | _is_own(pc.replace_substring_regex(relays, r"\[.*$", ""), hosts, own_names), False)


def _message_ids(events: Events, lives: Lives) -> tuple[Ints, Ints, pa.Array]:
    row = lives.first_row("message_ids")
    # Each distinct ID once: a mail that goes through a filter logs it twice.
    told = events.coded("message_ids", "message_id")
    raw = pa.concat_arrays([told.words, pa.array([""], pa.string())])
    (bare_code,), ids = factorise([bare_ids(raw)])
    absent = int(bare_code[-1])
    # A line without an ID is one of an absent one; that stands last.
    code = np.where(row >= 0, bare_code[np.append(told.codes, -1)[row]], -1)
    made_by = _makers(ids)
    if made_by.null_count == len(made_by):
        return code, code, ids
    queue = pc.fill_null(pc.index_in(made_by, value_set=lives.queue_ids), -1).to_numpy(zero_copy_only=False)
    maker_of = np.where(code >= 0, np.append(queue, -1)[code], -1)
    return code, np.where((maker_of >= 0) & (maker_of == lives.queue_id), absent, code), ids


def bare_ids(raw: pa.Array) -> pa.Array:
    """Return Message-IDs without blanks, angle brackets, and what servers log or add behind them."""
    raw = pc.utf8_trim_whitespace(raw)
    if contains(raw, "#01").any() or contains(raw, " (added by ").any():
        raw = pc.replace_substring_regex(raw, r"(?:#01[0-5])+$| \(added by [^()]*\)$", "")
    return without_brackets(raw)


def without_brackets(texts: pa.Array) -> pa.Array:
    """Return texts without the angle brackets around them."""
    within = pc.and_(pc.starts_with(texts, "<"), pc.ends_with(texts, ">"))
    return pc.if_else(within, pc.utf8_slice_codeunits(texts, 1, -1), texts)


def _makers(ids: pa.Array) -> pa.Array:
    """Return the queue ID that cleanup made each Message-ID of, behind a time (in 14 digits and a dot) or alone."""
    at, dot = (pc.find_substring(ids, sign).to_numpy(zero_copy_only=False) for sign in "@.")
    # Most are told by the place of their first dot not to be cleanup's.
    rows = np.flatnonzero((at >= 6) & ((dot < 0) | (dot > at) | (dot == 14)))
    found = pc.extract_regex(ids.take(pa.array(rows)), r"^(?:\d{14}\.)?(?P<q>[0-9A-Za-z]{6,})@")
    return spread(pc.struct_field(found, [0]), rows, len(ids))


def _addresses(events: Events, lives: Lives) -> tuple[Ints, Ints, Ints, pa.Array]:
    columns = (
        events.coded("deliveries", "recipient"),
        events.coded("deliveries", "original_recipient"),
        events.coded("clients", "sender"),
        events.coded("queued", "sender"),
    )
    # Distinct words in lower case, then the distinct ones of those: in the order in which they first stand.
    found, values = factorise([pc.utf8_lower(each.words) for each in columns])
    to, orig, pickup, queued = (np.append(new, -1)[each.codes] for new, each in zip(found, columns, strict=True))
    asked = np.where(orig >= 0, orig, to)
    row = lives.first_row("queued")
    client = lives.first_row("clients")
    sender = np.where(row >= 0, np.append(queued, -1)[row], np.append(pickup, -1)[client])
    return sender, to, asked, values


SRS = (
    r"^srs0[=+-][^=@]*=[^=@]*=([^=@]+)=([^@]*)@.*$",
    r"^srs1[=+-][^=@]*=[^=@]*=[=+-][^=@]*=[^=@]*=([^=@]+)=([^@]*)@.*$",
)
"""Senders that were rewritten for forwarding: SRS0=hash=time=domain=user@here, SRS1=hash=there==hash=time=domain=user@here."""


def _writers(sender: Ints, addresses: pa.Array) -> Ints:
    """Return the code of each sender as it was before SRS."""
    some = np.flatnonzero(matched(addresses, "^srs[01][=+-]", starts=("srs0", "srs1")))
    if not len(some):
        return sender
    values = addresses.take(pa.array(some))
    for pattern in SRS:
        values = pc.replace_substring_regex(values, pattern, r"\2@\1")
    (known, before), _ = factorise([addresses, values])
    code_of = np.append(known, -1)
    code_of[some] = before
    return code_of[sender]


def ceil(seconds: Floats) -> Ints:
    """Round up, with the 5 % that two printed digits may hide."""
    return np.ceil(seconds * 1.05).astype(np.int64)
