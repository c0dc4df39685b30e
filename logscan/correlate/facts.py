"""What legs are found from: per entry its client, ids and sender, per delivery its recipient, relay and time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Floats, Ints, factorise, matched, plain, take
from logscan.correlate.horizons import REACH
from logscan.correlate.learnt import Learning
from logscan.correlate.lives import SECOND, Lives, plain_float

LOOPBACK = r"^(?:127\.|::1$|::ffff:127\.|0:0:0:0:0:0:0:1$)"
PRIVATE_RELAY = r"\[(?:/|private/|public/|127\.|::1\]|unix:)"
"""Relays on this host: sockets and loopback."""

PRIVATE_ADDRESS = r"\[(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|(?i:f[cd][0-9a-f]{2}:|fe80:))"
"""Relays in private networks (RFC 1918, RFC 4193)."""

STORED = r"^250 2\.\d\.\d <.*> \S+ Saved$|^delivered to (?:mailbox|maildir|file)"
"""Replies of Dovecot, local and virtual: the mail lies in a mailbox, so nothing comes back."""

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


def facts(tables: dict[str, pa.Table], lives: Lives, learning: Learning | None = None) -> Facts:
    """Gather codes and flags from the event tables."""
    clients, deliveries = tables["clients"], tables["deliveries"]
    client_row = lives.first_row("clients")
    address_values = plain(clients.column("client_address"))
    learning = learning or Learning()
    host, relay_codes, relays, relay_hosts, hosts = _relays(deliveries, clients)
    relay_host = pc.struct_field(pc.extract_regex(relays, r"\[(?P<a>[^\]/]*)\](?::\d+)?$"), [0])
    (address_codes, relay_address_codes), address_list = factorise([address_values, relay_host])
    loop = pc.fill_null(pc.match_substring_regex(address_list, LOOPBACK), False).to_numpy(zero_copy_only=False)
    own_names = _own_names(relays, relay_hosts, hosts, learning)
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
    writer = _writers(sender, addresses)
    status = plain(deliveries.column("status"))
    reply = plain(deliveries.column("reply"))
    sent = pc.fill_null(pc.equal(status, "sent"), False).to_numpy(zero_copy_only=False)
    broken = matched(reply, "^(?:lost connection|conversation) with .* while |said: 4", contains=(" while ", "said: 4"))
    none = pc.fill_null(pc.equal(plain(deliveries.column("relay")), "none"), False).to_numpy(zero_copy_only=False)
    stored = matched(reply, STORED, ends=" Saved", starts="delivered to ")
    tried = (sent | broken) & ~none & ~stored
    stages = _stages(deliveries)
    told = stages[2] + stages[3]
    transmit = np.where(np.isnan(told), np.nan_to_num(plain_float(deliveries.column("delay"))), told)
    transmit = np.clip(transmit, 0, REACH)
    forwarded = pc.fill_null(pc.starts_with(reply, "forwarded as "), False).to_numpy(zero_copy_only=False)
    relay_address = np.append(relay_address_codes, -1)[relay_codes]
    return Facts(
        lives, client_row, opened, local_row, local, address, parent_id, child_id, sender,
        lives.entry["deliveries"], recipient, asked, relay_codes, relays, _here(relays, relay_hosts, own_names), relay_address,
        deliveries.column("time").to_numpy() // SECOND, transmit, stages, sent, tried, forwarded, reply, addresses, ids,
        own_names,
        np.append(pc.fill_null(tables["queued"].column("size").combine_chunks(), -1).to_numpy(zero_copy_only=False), -1)[
            lives.first_row("queued")
        ].astype(np.int64),
        writer,
        relay_hosts, hosts, _handed_to(address_list, address, relay_address_codes, learning), learning, Links(),
    )  # fmt: skip


def _stages(deliveries: pa.Table) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the four parts of ``delays=``."""
    (code,), values = factorise([deliveries.column("delays")])
    number = r"\d{1,9}(?:\.\d{1,9})?"
    parts = pc.extract_regex(values, "^" + "/".join(f"(?P<{name}>{number})" for name in "abcd") + "$")
    a, b, c, d = (
        np.append(pc.cast(pc.struct_field(parts, [at]), pa.float64()).to_numpy(zero_copy_only=False), np.nan)[code]
        for at in range(4)
    )
    return a, b, c, d


def _relays(deliveries: pa.Table, clients: pa.Table) -> tuple[Ints, Ints, pa.Array, Ints, pa.Array]:
    """Code relays by host: the same address is another filter on another host.

    Returns the host's code of each row in clients, the relay's of each delivery, by that the relay and its host, and the hosts.
    """
    (relay,), names = factorise([deliveries.column("relay")])
    (host, client_host), hosts = factorise([deliveries.column("host"), clients.column("host")])
    both, codes = np.unique(np.where(relay < 0, -1, host * (len(names) + 1) + relay), return_inverse=True)
    codes = codes.astype(np.int64) - np.count_nonzero(both < 0)
    both = both[both >= 0]
    return client_host, codes, take(names, both % (len(names) + 1)), both // (len(names) + 1), hosts


def _own_names(relays: pa.Array, host: Ints, hosts: pa.Array, learning: Learning) -> set[tuple[int, str]]:
    """Return each host's names: Postfix writes its own before the path of a socket."""
    names = pc.struct_field(pc.extract_regex(relays, r"^(?P<h>[^\[]+)\[(?:/|private/|public/)"), [0]).to_pylist()
    known = hosts.to_pylist()
    told = {(known[at], name) for at, name in zip(host.tolist(), names, strict=True) if name}
    code_of = {name: code for code, name in enumerate(known)}
    fixed = learning.fact("own_names", lambda: told)
    return {(code_of[where], name) for where, name in fixed if where in code_of}


def _handed_to(addresses: pa.Array, clients: Ints, relays: Ints, learning: Learning) -> Bools:
    """Return, by code of an address (and one more, for none), whether mail comes from it and is handed to it."""
    both = np.intersect1d(clients[clients >= 0], relays[relays >= 0])
    fixed = learning.fact("handed_to", lambda: addresses.take(pa.array(both)).to_pylist())
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


def strangers(f: Facts) -> Bools:
    """Return, per relay (and one more, for none), whether it may be anybody's: port 25 of an address that isn't private."""
    far = pc.match_substring_regex(f.relays, r"\]:25$").to_numpy(zero_copy_only=False).astype(np.bool_)
    near = pc.match_substring_regex(f.relays, PRIVATE_ADDRESS).to_numpy(zero_copy_only=False).astype(np.bool_)
    return np.append(far & ~near, False)


def ceil(seconds: Floats) -> Ints:
    """Round up, with the 5 % that two printed digits may hide."""
    return np.ceil(seconds * 1.05).astype(np.int64)
