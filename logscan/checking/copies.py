"""Copies of mails: what was stored in a mailbox here or left for somebody outside, and by which way each came."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.evidence import MOST_EVIDENCE
from logscan.correlate.codes import distinct, last_index, matched
from logscan.correlate.facts import AGENT, COMMAND
from logscan.correlate.links import beginnings
from logscan.findings import Evidence
from logscan.scan import coded
from logscan.scan.addresses import addresses
from logscan.scan.aliases import asked, through_filter, top_rows
from logscan.scan.memo import per_window
from logscan.scan.message_ids import idents, message_ids
from logscan.tables import cells, texts
from logscan.tables.grouping import combine
from logscan.tables.recent import Hashes, hashed, joined, of_numbers, of_texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from logscan.scan.log import Log
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LINE_BITS = 32
"""A line of the log is told by one number: its source's, and the line's number in the lower bits."""


@per_window
def places(window: Window) -> Ints:
    """Return the line of each delivery: source and line number as one number, in the order of the lines."""
    return places_of(window.deliveries)


def places_of(frame: pd.DataFrame) -> Ints:
    """Return the line of each row that has ``source`` and ``line``."""
    out: Ints = (frame["source"].to_numpy(np.int64) << LINE_BITS) + frame["line"].to_numpy(np.int64)
    return out


def lines_at(log: Log, chosen: Iterable[int]) -> list[Evidence]:
    """Return the evidence for lines of the log as from :func:`places`; negative ones are none, nor what is of no source here."""
    sources = log.read.sources
    end = len(sources) << LINE_BITS
    some = [place for place in chosen if 0 <= place < end][:MOST_EVIDENCE]
    return [Evidence(sources[place >> LINE_BITS].label, place % 2**LINE_BITS, "") for place in some]


@per_window
def roots(window: Window) -> Ints:
    """Return, per entry, the entry its copies are told apart by: what a list sent on has a sender of its own."""
    parent = window.entries["parent"].to_numpy()
    own = (parent < 0) | coded.of(window.entries["leg"]).equal("bounce", "list")
    return beginnings(np.where(own, np.arange(len(parent)), parent))


@per_window
def firsts(window: Window) -> tuple[Ints, Ints]:
    """Return the first of the delivery lines of each entry, and of each mail by its root: names that no window changes.

    An entry without any is named by a negative number.
    """
    entry = window.deliveries["entry"].to_numpy()
    of_entry = np.full(len(window.entries) + 1, np.iinfo(np.int64).max)
    # The last place takes those of none.
    np.minimum.at(of_entry, entry, places(window))
    of_entry[-1] = np.iinfo(np.int64).max
    of_root = of_entry.copy()
    np.minimum.at(of_root, roots(window), of_entry[:-1])
    mute = np.flatnonzero(of_entry[:-1] == np.iinfo(np.int64).max)
    begun = window.entries["queue_id"].iloc[mute]
    name = hashed(begun, pd.Series(cells.ns(window.entries["first"])[mute]))
    of_entry[mute] = -1 - (name >> np.uint64(2)).astype(np.int64)
    return of_entry, of_root


@dataclass(frozen=True)
class Copies:
    """Copies of mails, one row each: what was stored in a mailbox here, behind that what left for somebody outside.

    Each in the order of the lines. Addresses are codes of :func:`logscan.scan.addresses.addresses`, message-ids those of
    :func:`logscan.scan.message_ids.message_ids`.
    """

    row: Ints
    """Of deliveries."""
    here: int
    """How many of them were stored here: the first ones."""
    entry: Ints
    root: Ints
    """Entry by which copies of one mail are told (:func:`roots`)."""
    over: Ints
    """The delivery that it came from before the filter, as the legs name it."""
    top: Ints
    """That delivery, moved to the one that named its address (:func:`_retraced`)."""
    filtered: Bools
    mailbox: Ints
    message_id: Ints
    store: Hashes
    """Equal where two lines are one copy."""
    command: Bools
    """:func:`to_commands`."""

    @property
    def outside(self) -> Bools:
        """Which left for somebody outside."""
        return np.arange(len(self.row)) >= self.here


@per_window
def copies(window: Window) -> Copies:
    """Return all copies of a window."""
    deliveries, names = window.deliveries, addresses(window)
    away, final = (deliveries[name].to_numpy(dtype=np.bool_) for name in ("outside", "final"))
    here = _in_order(window, final & ~away & (deliveries["stored"].to_numpy() != 0))
    row = np.append(here, _in_order(window, final & away))
    entry = deliveries["entry"].to_numpy()[row]
    outside = np.arange(len(row)) >= len(here)
    over, filtered, root = top_rows(window)[row], through_filter(window)[entry], roots(window)[entry]
    mailbox = np.where(outside, names.recipient[row], names.mailbox[row])
    return Copies(
        row,
        len(here),
        entry,
        root,
        over,
        _retraced(window, row, entry, root, over, filtered),
        filtered,
        mailbox,
        message_ids(window).entries[entry],
        _stores(window, row, outside, mailbox),
        to_commands(window, row),
    )


def stores(window: Window) -> pd.DataFrame:
    """Return ``message_id``, ``mailbox`` and ``store`` (uint64, equal where two lines are one) of each copy stored here."""
    found = copies(window)
    frame = {
        "message_id": coded.told(message_ids(window).words, found.message_id),
        "mailbox": coded.told(addresses(window).words, found.mailbox),
        "store": found.store,
    }
    return pd.DataFrame(frame).iloc[: found.here]


def _in_order(window: Window, mask: Bools) -> Ints:
    """Return some rows of deliveries in the order of their lines, whatever order a window has them in."""
    rows = np.flatnonzero(mask)
    out: Ints = rows[np.argsort(places(window)[rows], kind="stable")]
    return out


def _stores(window: Window, row: Ints, outside: Bools, mailbox: Ints) -> Hashes:
    """Return a number for each copy: of Dovecot's session; else of the line.

    Each delivery is a copy of its own, but for local(8): one mail to a mailbox and to a command is what the user's own
    rules made of it, and the same way twice is two copies.
    """
    deliveries, line = window.deliveries, places(window)[row]
    # One line that tells of several deliveries tells of several copies.
    out = joined(of_numbers(line), of_numbers(_nth(2 * line + outside)))
    local = np.flatnonzero(coded.of(deliveries["program"]).equal("local")[row])
    if len(local):
        entry = deliveries["entry"].to_numpy()[row[local]]
        reply = coded.of_rows(deliveries["reply"], row[local]).codes
        key = combine(outside[local].astype(np.int64), entry, mailbox[local], reply)
        order = np.argsort(key, kind="stable")
        again = np.empty(len(local), np.int64)
        again[order] = _nth(key[order])
        out[local] = joined(of_numbers(firsts(window)[0][entry]), of_numbers(-1 - again))
    session = coded.of_rows(deliveries["session"], row)
    told = np.append(np.asarray(pc.not_equal(session.words, "")), False)[session.codes]
    out[told] = joined(of_texts(session.words)[session.codes[told]])
    return out


def _nth(lines: Ints) -> Ints:
    """Return how many rows before each are of the same line; they are in the order of the lines."""
    start = np.flatnonzero(np.r_[True, lines[1:] != lines[:-1]][: len(lines)])
    return np.arange(len(lines)) - np.repeat(start, np.diff(np.r_[start, len(lines)]))


def to_commands(window: Window, row: Ints) -> Bools:
    """Return which deliveries went to a program that keeps no mailbox: a list's or a script's, told by local(8)."""
    out = coded.of(window.deliveries["program"]).equal("local")[row]
    if out.any():
        reply = texts.arrow(window.deliveries["reply"]).take(pa.array(row[out]))
        out[out] = matched(reply, COMMAND, starts=COMMAND) & ~matched(reply, AGENT, starts=COMMAND)
    return out


@per_window
def hand_overs(window: Window) -> Ints:
    """Return, by entry, the row of the delivery to a filter that it came out of, or -1."""
    legs = window.legs
    out = np.full(len(window.entries), -1, np.int64)
    of_filter = coded.of(legs["kind"]).equal("filter")
    out[legs["child"].to_numpy()[of_filter]] = legs["delivery"].to_numpy()[of_filter]
    return out


def _retraced(window: Window, row: Ints, entry: Ints, root: Ints, over: Ints, filtered: Bools) -> Ints:
    """Return each copy's ``over``, moved to the hand-over that named its address, where one hand-over named several.

    A filter that hands all recipients of a transaction back at once (amavis) makes one child of several hand-overs, whose
    reply is the same; a leg names the first. A filter that hands one transaction back in several names one in its reply.
    """
    deliveries, names = window.deliveries, addresses(window)
    own = over == row
    hop, of_delivery = deliveries["hop"].to_numpy(dtype=np.bool_), deliveries["entry"].to_numpy()
    of_leg = np.zeros(len(deliveries) + 1, np.bool_)
    of_leg[hand_overs(window)] = True
    out = over.copy()
    moved = np.flatnonzero(filtered & ~own)
    free = np.flatnonzero(hop & ~of_leg[:-1])
    if len(moved) and len(free):
        rows = _in_order(window, _flags(free, len(deliveries)) & np.isin(of_delivery, of_delivery[over[moved]]))
        moved = moved[np.isin(of_delivery[over[moved]], of_delivery[rows])]
        both = np.append(over[moved], rows)
        relay, reply = coded.of(deliveries["relay"]).codes[both], coded.of_rows(deliveries["reply"], both).codes
        asked = np.append(names.asked[row[moved]], names.recipient[rows])
        _move(out, moved, combine(of_delivery[both], relay, reply, asked), rows)
    moved = np.flatnonzero(filtered & own & (entry != root))
    if len(moved):
        rows = _in_order(window, hop & np.isin(of_delivery, root[moved]))
        at = np.append(root[moved], of_delivery[rows])
        _move(out, moved, combine(at, np.append(names.asked[row[moved]], names.recipient[rows])), rows)
    return out


def _flags(rows: Ints, size: int) -> Bools:
    out = np.zeros(size, np.bool_)
    out[rows] = True
    return out


def _move(out: Ints, moved: Ints, key: Ints, rows: Ints) -> None:
    """Set what moved to the last of those rows whose key is the same; ``key`` is that of each moved, then of each row."""
    code = np.unique(key, return_inverse=True)[1]
    last = last_index(code[len(moved) :], int(code.max(initial=-1)) + 1)
    found = last[code[: len(moved)]]
    out[moved[found >= 0]] = rows[found[found >= 0]]


SPEAKERS = ("spampd", "clamsmtpd", "clamsmtp", "proxsmtpd", "amavis", "dspam", "smtp-gated", "kas", "drwebd", "spamd")
"""Programs that stand between Postfix and a mailbox server and hand on the replies, and one that only judges, the last."""


@per_window
def spoke(window: Window) -> Ints:
    """Return which of :data:`SPEAKERS` judged a mail of each message-id, by its code: one bit each."""
    ids = message_ids(window)
    out = np.zeros(len(ids.words), np.int64)
    if not len(window.verdicts):
        return out
    program = coded.of(window.verdicts["program"])
    named = window.verdicts["message_id"].notna().to_numpy(dtype=np.bool_)
    for bit, name in enumerate(SPEAKERS):
        judged = ids.verdicts[program.equal(name) & named]
        out[judged] |= 1 << bit
    return out


def told(window: Window, at: Ints) -> dict[str, Any]:
    """Return some copies with what tells them and their cause in any window, by column: lines (:func:`places`) for rows.

    Numbers: ``row``, ``top``, ``entry``, ``root``, ``time`` in UTC ns, ``size`` of the mail as it came in, ``store``,
    ``filtered``, ``spoke``. Texts, as Arrow arrays: ``message_id``, ``sender``, ``queue_id``, ``mailbox``, ``recipient``,
    ``asked`` (the address it was for in its last life), ``asked_first`` and ``handed`` (the addresses of ``top``), ``relay``,
    ``top_relay``.
    """
    deliveries, entries, found = window.deliveries, window.entries, copies(window)
    row, entry, root, top = found.row[at], found.entry[at], found.root[at], found.top[at]
    line, (of_entry, of_root) = places(window), firsts(window)
    names, relay = addresses(window), coded.of(deliveries["relay"])
    size = entries["size"].array[root].fillna(0).to_numpy(dtype=np.int64)
    sender, queue_id = (texts.arrow(entries[name]).take(pa.array(entry)) for name in ("sender", "queue_id"))
    addressed = {
        "mailbox": found.mailbox[at],
        "recipient": names.recipient[row],
        "asked": names.asked[row],
        "asked_first": names.asked[top],
        "handed": names.recipient[top],
    }
    return {
        "row": line[row],
        "entry": of_entry[entry],
        "root": of_root[root],
        "top": line[top],
        "time": cells.ns(deliveries["time"])[row],
        "size": size,
        "store": found.store[at],
        "message_id": message_ids(window).words.take(pa.array(found.message_id[at])).cast(pa.large_string()),
        "sender": pc.utf8_lower(pc.fill_null(sender, "")),
        **{name: coded.dictionary(names.words, codes) for name, codes in addressed.items()},
        "relay": coded.dictionary(relay.words, relay.codes[row]),
        "top_relay": coded.dictionary(relay.words, relay.codes[top]),
        "queue_id": queue_id,
        "filtered": found.filtered[at],
        "spoke": spoke(window)[found.message_id[at]],
    }


def rows_of(window: Window, at: Ints) -> pd.DataFrame:
    """Return some copies as :func:`told`, and ``outside``, ``ident`` (the message-id without brackets)."""
    found = copies(window)
    ident = idents(window)[0].take(pa.array(found.message_id[at]))
    columns = told(window, at) | {"outside": found.outside[at], "ident": ident}
    return pd.DataFrame(
        {name: coded.plain_text(each) if isinstance(each, pa.Array) else each for name, each in columns.items()},
        copy=False,
    )


KINDS = {
    **dict.fromkeys(("row", "entry", "root", "top", "time", "size"), "int64"),
    "store": "uint64",
    **dict.fromkeys(("message_id", "sender", "mailbox", "recipient", "asked", "asked_first", "handed"), "str"),
    **dict.fromkeys(("relay", "top_relay", "queue_id"), "str"),
    "filtered": "bool",
    "spoke": "int64",
    "outside": "bool",
    "ident": "str",
}
NONE = pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in {**KINDS, "group": "uint64"}.items()})
"""No row of :func:`rows_of`, with ``group`` (:func:`groups`)."""


def groups(window: Window) -> tuple[Hashes, Bools]:
    """Return a number for each copy, equal where two may be one mail, and which can have others in their own mail only.

    That is by message-id and mailbox, in any window. Those without a message-id, and those for somebody outside (a list sends
    its mail once a member), only where they are of one mail by its way through the queue, which is in one window.
    """
    found, (words, hashes) = copies(window), idents(window)
    alone = found.outside | np.asarray(pc.equal(words, ""))[found.message_id]
    names = addresses(window).words
    used = distinct(found.mailbox[found.mailbox >= 0])
    of_box = np.full(len(names) + 1, of_texts(names[:0])[0])
    of_box[used] = of_texts(names.take(pa.array(used)))[:-1]
    mine = np.where(alone, of_numbers(firsts(window)[1][found.root]), hashes[found.message_id])
    return joined(mine, of_box[found.mailbox]), alone


def chains(window: Window, entries: Ints) -> pd.DataFrame:
    """Return the ways up from some entries: ``entry``, ``above`` (the one it came out of), both lines as in :func:`told`.

    And of each hand-over to a filter by which it came ``to`` (uint64: for whom) and ``row``, a line, else -1.
    """
    if not len(entries):
        return _no_chains()
    deliveries, parent, hand_over = window.deliveries, window.entries["parent"].to_numpy(), hand_overs(window)
    seen = np.zeros(len(parent) + 1, np.bool_)
    at = np.unique(entries)
    while len(at):
        seen[at] = True
        at = np.unique(parent[at])
        at = at[(at >= 0) & ~seen[at]]
    child = np.flatnonzero(seen[:-1])
    child = child[parent[child] >= 0]
    row = hand_over[child]
    over = deliveries[["recipient", "original_recipient"]].iloc[row]
    of_entry, line = firsts(window)[0], places(window)
    return pd.DataFrame(
        {
            "entry": of_entry[child],
            "above": of_entry[parent[child]],
            "to": hashed(texts.lower(over["recipient"]), asked(over)),
            "row": np.where(row >= 0, line[row], -1) if len(line) else row,
        }
    )


@functools.cache
def _no_chains() -> pd.DataFrame:
    kinds = dict.fromkeys(("entry", "above", "row"), "int64") | {"to": "uint64"}
    return pd.DataFrame({name: pd.Series([], dtype=kinds[name]) for name in ("entry", "above", "to", "row")})
