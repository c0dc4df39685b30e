"""Copies of mails: what was stored in a mailbox here or left for somebody outside, and by which way each came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.checking.evidence import MOST_EVIDENCE
from logscan.correlate.codes import matched
from logscan.correlate.facts import AGENT, COMMAND
from logscan.correlate.links import beginnings
from logscan.findings import Evidence
from logscan.scan.aliases import asked, through_filter, top_rows
from logscan.scan.memo import per_window
from logscan.tables import cells, texts
from logscan.tables.recent import hashed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from logscan.scan.log import Log
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LINE_BITS = 32
"""A line of the log is told by one number: its source's, and the line's number in the lower bits."""

COLUMNS = (
    "time",
    "entry",
    "recipient",
    "original_recipient",
    "program",
    "relay",
    "reply",
    "session",
    "mailbox",
    "outside",
)


@per_window
def places(window: Window) -> Ints:
    """Return the line of each delivery: source and line number as one number, in the order of the lines."""
    return places_of(window.deliveries)


def places_of(frame: pd.DataFrame) -> Ints:
    """Return the line of each row that has ``source`` and ``line``."""
    out: Ints = (frame["source"].to_numpy(np.int64) << LINE_BITS) + frame["line"].to_numpy(np.int64)
    return out


def lines_at(log: Log, chosen: Iterable[int]) -> list[Evidence]:
    """Return the evidence for lines of the log as from :func:`places`; negative ones are none."""
    some = [place for place in chosen if place >= 0][:MOST_EVIDENCE]
    sources = log.read.sources
    return [Evidence(sources[place >> LINE_BITS].label, place % 2**LINE_BITS, "") for place in some]


@per_window
def roots(window: Window) -> Ints:
    """Return, per entry, the entry its copies are told apart by: what a list sent on has a sender of its own."""
    parent = window.entries["parent"].to_numpy()
    own = (parent < 0) | window.entries["leg"].isin(["bounce", "list"]).to_numpy()
    return beginnings(np.where(own, np.arange(len(parent)), parent))


@per_window
def firsts(window: Window) -> tuple[Ints, Ints]:
    """Return the first of the delivery lines of each entry, and of each mail by its root: names that no window changes.

    An entry without any is named by a negative number.
    """
    entry = window.deliveries["entry"].to_numpy()
    some = np.flatnonzero(entry >= 0)
    of_entry = np.full(len(window.entries) + 1, np.iinfo(np.int64).max)
    np.minimum.at(of_entry, entry[some], places(window)[some])
    of_root = of_entry.copy()
    np.minimum.at(of_root, roots(window), of_entry[:-1])
    mute = np.flatnonzero(of_entry[:-1] == np.iinfo(np.int64).max)
    begun = window.entries[["queue_id", "first"]].iloc[mute]
    name = hashed(begun["queue_id"], begun["first"].dt.as_unit("ns").astype("int64"))
    of_entry[mute] = -1 - (name >> np.uint64(2)).astype(np.int64)
    return of_entry, of_root


def stores(window: Window, outside: bool = False) -> pd.DataFrame:
    """Return one row per copy stored in a mailbox here, or per copy that left for somebody outside.

    Some columns of ``deliveries``, and: ``message_id``, ``sender``, ``root`` (entry), ``size`` of the mail as it came in,
    ``asked`` (the address it was for in its last life), ``top`` (the delivery row it came from before the filter),
    ``asked_first`` and ``handed`` (that row's addresses), ``filtered``, ``store`` (uint64, equal where two lines are one copy).
    """
    deliveries = window.deliveries
    away = deliveries["outside"].to_numpy(dtype=np.bool_)
    place = away if outside else ~away & (deliveries["stored"] != 0).to_numpy()
    rows = _in_order(window, deliveries["final"].to_numpy(dtype=np.bool_) & place)
    frame = deliveries[list(COLUMNS)].iloc[rows].copy()
    frame["top"] = top_rows(window)[rows]
    entry = frame["entry"].to_numpy()
    entries = window.entries
    frame["message_id"] = entries["message_id"].iloc[entry].fillna("").array
    frame["sender"] = texts.lower(entries["sender"].iloc[entry].fillna("")).array
    root = roots(window)[entry]
    frame["root"] = root
    frame["size"] = entries["size"].fillna(0).astype("int64").to_numpy()[root]
    frame["filtered"] = through_filter(window)[entry]
    frame["asked"] = asked(frame)
    top = deliveries[["recipient", "original_recipient"]].iloc[frame["top"].to_numpy()]
    frame["asked_first"] = asked(top).array
    frame["handed"] = texts.lower(top["recipient"]).array
    if outside:
        frame["mailbox"] = texts.lower(frame["recipient"])
    frame["store"] = _stores(window, frame)
    return frame


def _in_order(window: Window, mask: Bools) -> Ints:
    """Return some rows of deliveries in the order of their lines, whatever order a window has them in."""
    rows = np.flatnonzero(mask)
    out: Ints = rows[np.argsort(places(window)[rows], kind="stable")]
    return out


def _stores(window: Window, frame: pd.DataFrame) -> npt.NDArray[np.uint64]:
    """Return a number for each copy: of Dovecot's session; else of the line.

    Each delivery is a copy of its own, but for local(8): one mail to a mailbox and to a command is what the user's own
    rules made of it, and the same way twice is two copies.
    """
    at = places(window)[frame.index.to_numpy()]
    # One line that tells of several deliveries tells of several copies.
    nth = _nth(at)
    own = hashed(pd.Series(at), pd.Series(nth))
    some = frame.loc[(frame["program"] == "local").to_numpy(), ["entry", "mailbox", "reply"]]
    if len(some):
        again = some.groupby(["entry", "mailbox", "reply"], dropna=False).cumcount()
        local = (frame["program"] == "local").to_numpy()
        entry = pd.Series(firsts(window)[0][some["entry"].to_numpy()])
        own[local] = hashed(entry, pd.Series(-1 - again.to_numpy()))
    told = (frame["session"].notna() & (frame["session"] != "")).to_numpy(dtype=np.bool_)
    out = own
    out[told] = hashed(frame["session"][told])
    return out


def _nth(lines: Ints) -> Ints:
    """Return how many rows before each are of the same line; they are in the order of the lines."""
    start = np.flatnonzero(np.r_[True, lines[1:] != lines[:-1]][: len(lines)])
    return np.arange(len(lines)) - np.repeat(start, np.diff(np.r_[start, len(lines)]))


def to_commands(frame: pd.DataFrame) -> pd.Series:
    """Return which copies went to a program that keeps no mailbox: a list's or a script's, told by local(8)."""
    local = (frame["program"] == "local").to_numpy(dtype=np.bool_, copy=True)
    reply = texts.arrow(frame["reply"][local])
    local[local] = matched(reply, COMMAND, starts=COMMAND) & ~matched(reply, AGENT, starts=COMMAND)
    return pd.Series(local, index=frame.index)


def hand_overs(window: Window) -> Ints:
    """Return, by entry, the row of the delivery to a filter that it came out of, or -1."""
    legs = window.legs
    out = np.full(len(window.entries), -1, np.int64)
    of_filter = (legs["kind"] == "filter").to_numpy()
    out[legs["child"].to_numpy()[of_filter]] = legs["delivery"].to_numpy()[of_filter]
    return out


def retraced(window: Window, frame: pd.DataFrame) -> Ints:
    """Return each copy's ``top``, moved to the hand-over that named its address, where one hand-over named several.

    A filter that hands all recipients of a transaction back at once (amavis) makes one child of several hand-overs, whose
    reply is the same; a leg names the first. A filter that hands one transaction back in several names one in its reply.
    """
    deliveries = window.deliveries
    top: Ints = frame["top"].to_numpy()
    filtered = frame["filtered"].to_numpy()
    own = top == frame.index.to_numpy()
    hop, entry = deliveries["hop"].to_numpy(dtype=np.bool_), deliveries["entry"].to_numpy()
    of_leg = np.zeros(len(deliveries) + 1, np.bool_)
    of_leg[hand_overs(window)] = True
    out: Ints = top.copy()
    handed = deliveries[["entry", "relay", "reply", "recipient"]]
    moved = np.flatnonzero(filtered & ~own)
    rows = _in_order(window, hop & ~of_leg[:-1] & np.isin(entry, entry[top[moved]]))
    moved = moved[np.isin(entry[top[moved]], entry[rows])]
    if len(rows):
        left = handed[["entry", "relay", "reply"]].iloc[top[moved]].assign(to=frame["asked"].iloc[moved].array)
        _move(out, moved, left, handed.iloc[rows], ["entry", "relay", "reply", "to"])
    moved = np.flatnonzero(filtered & own & (frame["entry"] != frame["root"]).to_numpy())
    if len(moved):
        root = frame["root"].to_numpy()[moved]
        rows = _in_order(window, hop & np.isin(entry, root))
        left = pd.DataFrame({"entry": root, "to": frame["asked"].iloc[moved].array})
        _move(out, moved, left, handed.iloc[rows], ["entry", "to"])
    return out


def _move(out: Ints, rows: Ints, left: pd.DataFrame, handed: pd.DataFrame, keys: list[str]) -> None:
    """Set some rows of ``out`` to the last of those hand-overs that agree with them in the keys."""
    right = handed.assign(to=texts.lower(handed["recipient"]), row=handed.index.to_numpy())
    right = right.drop_duplicates(keys, keep="last")[[*keys, "row"]]
    found = left.merge(right, on=keys, how="left")["row"].fillna(-1).to_numpy(np.int64)
    out[rows[found >= 0]] = found[found >= 0]


SPEAKERS = ("spampd", "clamsmtpd", "clamsmtp", "proxsmtpd", "amavis", "dspam", "smtp-gated", "kas", "drwebd", "spamd")
"""Programs that stand between Postfix and a mailbox server and hand on the replies, and one that only judges, the last."""


def spoke(window: Window, message_ids: pd.Series) -> Ints:
    """Return which of :data:`SPEAKERS` judged a mail of each message-id: one bit each."""
    out = np.zeros(len(message_ids), np.int64)
    codes, names = texts.coded(window.verdicts["program"])
    for code, name in enumerate(names):
        if name in SPEAKERS:
            judged = window.verdicts["message_id"][codes == code].dropna()
            out |= texts.among(message_ids, judged).astype(np.int64) << SPEAKERS.index(name)
    return out


def told(window: Window) -> pd.DataFrame:
    """Return all copies, here and outside, with what tells them and their cause in any window; by row of ``deliveries``.

    Columns of :func:`stores`, but lines (:func:`places`) for rows: ``row``, ``top`` (:func:`retraced`), ``entry``, ``root``,
    and ``time`` in UTC ns. Besides: ``outside``, ``queue_id``, ``ident`` (the message-id without brackets), ``asked_at`` (what
    the hand-over was for that the leg names), ``top_relay``, ``command`` (:func:`to_commands`), ``spoke``.
    """
    frame = pd.concat([stores(window), stores(window, outside=True)])
    deliveries, rows = window.deliveries, frame.index.to_numpy()
    line, (of_entry, of_root) = places(window), firsts(window)
    top = retraced(window, frame)
    over = deliveries[["recipient", "original_recipient", "relay"]].iloc[top]
    entry = frame["entry"].to_numpy()
    return pd.DataFrame(
        {
            "row": line[rows],
            "entry": of_entry[entry],
            "root": of_root[frame["root"].to_numpy()],
            "top": line[top],
            "time": cells.ns(frame["time"]),
            "size": frame["size"].to_numpy(),
            "store": frame["store"].to_numpy(),
            "message_id": frame["message_id"].array,
            "ident": frame["message_id"].str.strip(" <>").array,
            "sender": frame["sender"].array,
            "mailbox": frame["mailbox"].array,
            "recipient": texts.lower(frame["recipient"]).array,
            "asked": frame["asked"].array,
            "asked_at": frame["asked_first"].array,
            "asked_first": asked(over).array,
            "handed": texts.lower(over["recipient"]).array,
            "relay": frame["relay"].array,
            "top_relay": over["relay"].array,
            "queue_id": window.entries["queue_id"].iloc[entry].array,
            "filtered": frame["filtered"].to_numpy(),
            "outside": frame["outside"].to_numpy(),
            "command": to_commands(frame).to_numpy(),
            "spoke": spoke(window, frame["message_id"]),
        },
        index=frame.index,
    )


def chains(window: Window, entries: Ints) -> pd.DataFrame:
    """Return the ways up from some entries: ``entry``, ``above`` (the one it came out of), both lines as in :func:`told`.

    And of each hand-over to a filter by which it came ``to`` (uint64: for whom) and ``row``, a line, else -1.
    """
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
