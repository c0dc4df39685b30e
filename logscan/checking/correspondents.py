"""Mail from people whom users wrote to: who was let in, who was refused, tagged or kept back, and whether it was them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.mail_rows import event_lines, event_texts, mail_rows, taken
from logscan.checking.put_offs import GREYLISTED, pools
from logscan.scan import columns
from logscan.scan.addresses import addresses
from logscan.scan.pairs import Pairs, hashed, paired, pairs, taken_pairs
from logscan.tables import columns as cols
from logscan.tables.coded import Coded
from logscan.tables.columns import Column
from logscan.tables.partials import First, Keyed, Part, mixed

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

REFUSED, TAGGED, KEPT_BACK = "refused", "tagged", "kept-back"

ENDS = ("delivered", "deferred", "bounced", "expired", "held", "discarded")

MOST = 50_000
"""Mails that are kept until it is known to whom users wrote: most of what is refused is spam, from names that don't fit. Those
whose server's name fits the sender's come first, the others in the order of a hash."""

OTHERS = (
    rf"{GREYLISTED}|(?i)user unknown|undeliverable address|relay access denied|message size exceeds|quota|mailbox (?:is )?full"
    r"|unknown recipient domain|need fully-qualified|temporar"
)
"""What is refused for the recipient's, the size's or the server's own sake, whoever sends it."""


def look(window: Window) -> dict[str, Part]:
    """Return the parts of a partial: ``written`` (by users), ``taken``, ``ways`` (seen of each domain), ``bad``."""
    bad = cols.stacked([_refused(window), _judged(window)])
    bad |= {"unnamed": ~bad["named"], "rank": bad["pair"].astype(np.int64)}
    return {
        "written": _written(window),
        "taken": taken_pairs(window),
        "ways": _ways(window),
        "bad": First.of(bad, MOST, ("unnamed", "rank", "time", "line")),
    }


def _written(window: Window) -> Keyed:
    """Return when a user first wrote to somebody outside, by the pair that an answer has."""
    found = pairs(window)
    at = found.own & (found.sender != 0)
    at[at] = columns.values(window, "deliveries", "outside")[found.row[at]] if at.any() else False
    some = {"pair": paired(found.asked[at], found.sender[at]), "first": found.time[at]}
    return Keyed.of(some, least=("first",))


def domains(words: pa.Array) -> pa.Array:
    """Return the domain of each address, in lower case."""
    parts = pc.split_pattern(words.cast(pa.string()), "@", max_splits=1, reverse=True)
    return pc.utf8_lower(parts.values.take(pc.subtract(parts.offsets[1:], 1)))


def networks(words: pa.Array) -> pa.Array:
    """Return the network of each address: /24, and /64 of version 6."""
    out = pc.ascii_rtrim(words, "0123456789")
    sixth = pc.match_substring(words, ":")
    if not pc.any(sixth).as_py():
        return out
    return pc.if_else(
        sixth, pc.replace_substring_regex(pc.utf8_lower(words), r"^((?:[0-9a-f]*:){3}[0-9a-f]*).*", r"\1"), out
    )


def _way(sender: Coded, client: Coded) -> Ints:
    """Return a number for each sender's domain and client's network; 0 where one of them isn't told."""
    domain, network = hashed(sender.made(domains)), hashed(client.made(networks))
    out: Ints = np.where((domain == 0) | (network == 0), 0, mixed(domain, network))
    return out


def _ways(window: Window) -> Keyed:
    """Return from which networks mail of each domain was taken that no filter took for spam."""
    found = pairs(window)
    at = found.outside & (found.sender != 0)
    seen = np.zeros(len(window.entries), np.bool_)
    seen[found.entry[at]] = True
    entry = np.flatnonzero(seen)
    if len(entry):
        mail = columns.values(window, "entries", "mail")[entry]
        entry = entry[~columns.joined(window, "mails", "verdict").is_in("spam")[mail]]
    sender = columns.joined(window, "entries", "sender").take(entry)
    way = _way(sender, columns.joined(window, "entries", "client_address").take(entry))
    return Keyed.of({"way": way[way != 0]})


NONE: dict[str, Column] = {
    **dict.fromkeys(("pair", "line", "time", "way"), np.empty(0, np.int64)),
    **dict.fromkeys(
        ("sender", "recipient", "client", "message_id", "queue_id", "reply", "cause", "rule"), pa.array([], pa.string())
    ),
    "named": np.empty(0, np.bool_),
}


def _refused(window: Window) -> dict[str, Column]:
    """Return what was refused for good, or thrown away, as it came in."""
    table = "rejects"
    if not len(window.tables[table]):
        return NONE
    action = columns.column(window, table, "action")
    at = action.is_in("reject", "milter-reject")
    code, dsn = columns.column(window, table, "code"), columns.column(window, table, "dsn")
    hard = code.having(lambda each: str(each).startswith("5"))
    hard |= (code.codes < 0) & dsn.having(lambda each: str(each).startswith("5"))
    # What cleanup's rules say of a header is the mail's own text: neither code nor reason stands where they could be told.
    by_rule = columns.column(window, table, "program").is_in("cleanup") & (code.codes < 0) & (dsn.codes < 0)
    at = (at & (hard | by_rule)) | action.is_in("discard")
    for name in ("sender", "recipient"):
        at &= columns.column(window, table, name).codes >= 0
    rows = np.flatnonzero(at)
    if not len(rows):
        return NONE
    text = columns.column(window, table, "text").take(rows).made(_without_addresses)
    rows = rows[~text.matching(lambda words: pc.match_substring_regex(words, OTHERS))]
    if not len(rows):
        return NONE
    sender, recipient = (columns.column(window, table, name).take(rows) for name in ("sender", "recipient"))
    client = columns.column(window, table, "client").take(rows)
    address = columns.column(window, table, "client_address").take(rows)
    names, hosts = (event_texts(window, table, name, rows) for name in ("client", "client_address"))
    stage = event_texts(window, table, "stage", rows)
    quoted = pc.and_(pc.match_substring_regex(stage, "^[a-z]"), pa.array(by_rule[rows]))
    reply = pc.if_else(
        quoted, pc.binary_join_element_wise(stage, "checks", "_"), event_texts(window, table, "text", rows)
    )
    return {
        "pair": paired(hashed(sender), hashed(recipient)),
        "line": event_lines(window, table, rows),
        "time": columns.moments(window, table)[rows],
        "way": _way(sender, address),
        "sender": pc.utf8_lower(event_texts(window, table, "sender", rows)),
        "recipient": pc.utf8_lower(event_texts(window, table, "recipient", rows)),
        "client": pc.binary_join_element_wise(names, "[", hosts, "]", ""),
        "message_id": pa.array([""] * len(rows), pa.string()),
        "queue_id": event_texts(window, table, "queue_id", rows),
        "reply": reply,
        "cause": pa.array([REFUSED] * len(rows), pa.string()),
        "rule": rules(reply),
        "named": _named(sender, client),
    }


def _without_addresses(words: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(words, "<[^<>]*>", "<>")


def rules(replies: pa.Array) -> pa.Array:
    """Return which rule refused, by the text: what is a stranger's in it (addresses, names in brackets) left out."""
    bare = pc.replace_substring_regex(_without_addresses(replies), r"\[[^\]]*\]", "[]")
    bare = pc.replace_substring_regex(bare, r"(blocked using [^ ;]+).*", r"\1")
    return pc.utf8_slice_codeunits(pc.utf8_trim_whitespace(pc.replace_substring_regex(bare, r"^<>: ?", "")), 0, 160)


def _named(sender: Coded, client: Coded) -> Bools:
    """Return where the client's name, which the DNS confirms, lies in the sender's domain."""
    domain = sender.made(lambda words: pools(domains(words))).texts()
    name = client.made(pools).texts()
    if pa.types.is_null(domain.type) or pa.types.is_null(name.type):
        return np.zeros(len(sender), np.bool_)
    same = pc.fill_null(pc.equal(domain.cast(pa.string()), name.cast(pa.string())), False)
    out: Bools = same.to_numpy(zero_copy_only=False)
    return out


def _judged(window: Window) -> dict[str, Column]:
    """Return what a filter tagged or kept back, of mail from outside."""
    found: Pairs = pairs(window)
    if not len(found.row) or not len(window.verdicts):
        return NONE
    spam = columns.values(window, "deliveries", "spam")
    if not spam.any():
        return NONE
    names, mail = addresses(window), columns.values(window, "deliveries", "mail")
    root = columns.values(window, "entries", "root")
    origin = columns.joined(window, "entries", "origin").is_in("outside")
    entry = columns.values(window, "deliveries", "entry")
    rows = np.flatnonzero(spam & columns.values(window, "deliveries", "last") & (mail >= 0) & (entry >= 0))
    ends = columns.joined(window, "deliveries", "outcome").take(rows).is_in(*ENDS)
    rows = rows[origin[root[entry[rows]]] & ends]
    if not len(rows):
        return NONE
    first = root[entry[rows]]
    sender = columns.joined(window, "entries", "sender").take(first)
    told = mail_rows(window, rows)
    client = columns.joined(window, "entries", "client").take(first)
    address = columns.joined(window, "entries", "client_address").take(first)
    hosts = [taken(window, "entries", name, first) for name in ("client", "client_address")]
    outcome = columns.joined(window, "deliveries", "outcome").take(rows)
    asked = Coded(names.asked[rows], names.words)
    back = outcome.is_in("held", "discarded", "bounced")
    verdict = columns.values(window, "deliveries", "verdict_row")[rows]
    judge = pc.fill_null(
        columns.joined(window, "verdicts", "filter").take(verdict).texts().cast(pa.string()), "the filter"
    )
    size = len(rows)
    return {
        "pair": paired(hashed(sender), hashed(asked)),
        **{name: told[name] for name in ("line", "time", "queue_id", "message_id")},
        "way": _way(sender, address),
        "sender": pc.utf8_lower(taken(window, "entries", "sender", first)),
        "recipient": asked.texts().cast(pa.string()),
        "client": pc.binary_join_element_wise(hosts[0], "[", hosts[1], "]", ""),
        "reply": pa.array([""] * size, pa.string()),
        "cause": pa.array(np.where(back, KEPT_BACK, TAGGED), pa.string()),
        "rule": judge,
        "named": _named(sender, client) | _vouched(window, verdict),
    }


def _vouched(window: Window, verdict: Ints) -> Bools:
    """Return where rspamd found that the author's domain vouches for the mail (DMARC)."""
    out = np.zeros(len(verdict), np.bool_)
    known = verdict >= 0
    status = columns.some_joined(window, "verdicts", "status", verdict[known])
    out[known] = status.having(lambda each: "DMARC_POLICY_ALLOW(" in str(each))
    return out
