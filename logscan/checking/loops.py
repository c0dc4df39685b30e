"""Mail that goes round: what Postfix and other hosts say of it, and mail that was forwarded again and again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.copies import LINE_BITS, places
from logscan.checking.outage import SUSPENDED
from logscan.correlate.lives import SECOND
from logscan.scan.addresses import addresses
from logscan.scan.columns import column, joined, moments, number, some_joined, values
from logscan.scan.destinations import domains, left
from logscan.scan.hops import filter_hops
from logscan.tables import columns, texts
from logscan.tables.coded import Coded, either
from logscan.tables.grouping import combine, numbered
from logscan.tables.partials import First, Keyed, Part, Partial
from logscan.tables.recent import WORTH, Recent, hashed

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TOLD, ROUNDS, UNTAKEN = "loops told", "forwarded", "untaken"
"""Parts: recipients and mails of which somebody says that they loop, mails by how often they were forwarded, transactions that
never became a mail (their lines may lie in another window than what cleanup says of them)."""

MOST_CASES = 20_000
"""Cases that are kept, the first ones."""

OWN = re.compile(
    rf"^(?:{SUSPENDED})?(?:mail for (?P<domain>\S+) loops back to myself|mail forwarding loop for (?P<address>\S+))"
)
"""Postfix's own words (smtp_addr.c, smtp_proto.c; local/recipient.c, pipe.c, smtp.c)."""

SAID = re.compile(
    r"^host \S+ said: .*(?:too many hops|hop ?count exceeded|\b(?:mail|routing|forwarding)[ -]loop|too many .?received)",
    re.I | re.S,
)
"""Another host refuses what came round once too often: Postfix's smtpd and cleanup, sendmail, Exim, Exchange."""

NESTING = re.compile(r"^unreasonable (?P<map>\S+) map nesting for (?P<address>.*) -- message not accepted")
"""Of cleanup_map1n.c and cleanup_map11.c."""

MOMENTS = ("t", "s", "tt", "ts", "ss")
"""Sums of seconds and sizes, their squares and products: whole numbers, exact however they are put together."""

WRAP = 2**20
"""Seconds (twelve days) after which times begin anew in these sums, so that their squares stay small."""

LARGEST = 2**26
"""Bytes: a mail that is larger counts as so large."""

REFUSED = ("alias-circle", "too-many-hops")
"""Causes for which cleanup took no mail."""

LONGEST = 24 * 3600 * SECOND
"""No transaction goes on longer before cleanup says what it thinks of it."""

HOPS = "message rejected: hopcount exceeded"
"""Of cleanup_message.c."""


def look_at(window: Window, least: int) -> dict[str, Part]:
    """Return what a window tells of mail that goes round; ``least`` rounds count."""
    told = [each for each in (_said(window), _refused(window)) if each is not None]
    parts: dict[str, Part] = {UNTAKEN: _untaken(window)}
    if told:
        parts[TOLD] = First.of(columns.stacked(told), MOST_CASES, ("at", "row", "queue_id", "recipient"))
    if (forwarded := _forwarded(window, least)) is not None:
        parts[ROUNDS] = forwarded
    return parts


# --- what is said -----------------------------------------------------------------------------------------------------


def _said(window: Window) -> dict[str, columns.Column] | None:
    """Return the recipients whom mail didn't reach because it loops, by the words of this host or another."""
    missed = joined(window, "deliveries", "outcome").is_in("bounced", "deferred", "expired")
    rows = np.flatnonzero(missed & values(window, "deliveries", "last") & (values(window, "deliveries", "mail") >= 0))
    reply = some_joined(window, "deliveries", "reply", rows)
    kind = reply.changed(_cause)
    if not (kind.codes >= 0).any():
        return None
    rows, kind, reply = rows[kind.codes >= 0], kind.take(kind.codes >= 0), reply.take(kind.codes >= 0)
    mail, entry = (values(window, "deliveries", name)[rows] for name in ("mail", "entry"))
    subject = reply.changed(_subject).texts()
    elsewhere = kind.is_in("refused-as-loop")
    return {
        "cause": kind.texts(),
        "subject": pc.if_else(pa.array(elsewhere), domains(window, rows).texts(), subject),
        "message_id": pc.fill_null(joined(window, "mails", "message_id").take(mail).texts(), ""),
        "recipient": some_joined(window, "deliveries", "recipient", rows).texts(),
        "queue_id": joined(window, "entries", "queue_id").take(entry).texts(),
        "host": pc.fill_null(joined(window, "entries", "host").take(entry).texts(), ""),
        "client": pc.fill_null(joined(window, "mails", "client_address").take(mail).texts(), ""),
        "at": values(window, "deliveries", "time")[rows],
        "row": places(window)[rows],
        # A mail that local(8) itself forwarded and got again.
        "genuine": joined(window, "entries", "leg").take(entry).is_in("forward", "redirect").astype(np.int64),
    }


def _cause(reply: str) -> str | None:
    own = OWN.match(reply)
    if own:
        return "loops-back-to-this-host" if own["domain"] else "forwarding-loop"
    return "refused-as-loop" if SAID.match(reply) else None


def _subject(reply: str) -> str:
    own = OWN.match(reply)
    return (own["domain"] or own["address"]).lower() if own else ""


def _refused(window: Window) -> dict[str, columns.Column] | None:
    """Return the mails that cleanup didn't take: too many hops, aliases that lead in a circle."""
    rows = np.flatnonzero(column(window, "service_events", "program").is_in("cleanup"))
    if not len(rows):
        return None
    text = column(window, "service_events", "text").take(rows)
    circle = text.having(NESTING.match)
    mine = circle | text.is_in(HOPS)
    if not mine.any():
        return None
    rows, text, circle = rows[mine], text.take(mine), circle[mine]
    address = text.changed(_circle).texts()
    none = pa.array([""] * len(rows), pa.string())
    return {
        "cause": pa.array(np.where(circle, "alias-circle", "too-many-hops").tolist(), pa.string()),
        "subject": address,
        "message_id": none,
        "recipient": address,
        "queue_id": pc.fill_null(column(window, "service_events", "queue_id").take(rows).texts(), ""),
        "host": pc.fill_null(column(window, "service_events", "host").take(rows).texts(), ""),
        "client": none,
        "at": moments(window, "service_events")[rows],
        "row": (number(window, "service_events", "source")[rows] << LINE_BITS)
        + number(window, "service_events", "line")[rows],
        "genuine": circle.astype(np.int64),
    }


def _circle(text: str) -> str:
    found = NESTING.match(text)
    return found["address"].lower() if found else ""


def _untaken(window: Window) -> Recent:
    """Return the transactions with a queue ID that never became a mail."""
    rows = np.flatnonzero(values(window, "entries", "mail") < 0)
    names = {
        name: pc.fill_null(some_joined(window, "entries", name, rows).texts(), "")
        for name in ("host", "queue_id", "message_id", "client", "client_address")
    }
    begun = values(window, "entries", "first")[rows]
    told = {name: names[name] for name in ("message_id", "client", "client_address")}
    keys = hashed(texts.series(names["host"]), texts.series(names["queue_id"]))
    return Recent.of({"begun": begun, **told}, keys, int(begun.max(initial=0)))


def with_clients(partial: Partial) -> pd.DataFrame:
    """Return what is said of loops, in order of time, with message-ids and clients of what was never taken.

    The subject of mail with too many hops is the client's name.
    """
    told = partial.frame(TOLD).sort_values(["at", "row", "queue_id", "recipient"], kind="stable", ignore_index=True)
    untaken = partial.parts[UNTAKEN]
    assert isinstance(untaken, Recent)
    keys = hashed(told["host"], told["queue_id"])
    mine = np.flatnonzero(told["cause"].isin(REFUSED).to_numpy(dtype=np.bool_)).tolist()
    known: dict[int, list[tuple[int, str, str, str]]] = {}
    for key, *life in untaken.among(np.unique(keys[mine]))[
        ["key", "begun", "client", "client_address", "message_id"]
    ].itertuples(index=False):
        known.setdefault(key, []).append(tuple(life))
    message_id, client, subject = (told[name].tolist() for name in ("message_id", "client", "subject"))
    times, causes = told["at"].tolist(), told["cause"].tolist()
    for at in mine:
        before = [life for life in known.get(int(keys[at]), ()) if life[0] <= times[at]]
        name = ""
        if before:
            _, name, client[at], message_id[at] = max(before)
        if causes[at] == "too-many-hops":
            subject[at] = name or "this host"
    changed = {"message_id": message_id, "client": client, "subject": subject}
    return told.assign(**{name: pd.Series(each, told.index, "str") for name, each in changed.items()})


def settle(partial: Partial, frontier: int) -> Partial:
    """Let go of transactions of which cleanup would have spoken by now; what is concluded stays the same."""
    untaken = partial.parts.get(UNTAKEN)
    before = frontier - LONGEST
    if not isinstance(untaken, Recent) or untaken.old(before) * WORTH < untaken.count or not untaken.count:
        return partial
    wanted = np.empty(0, np.uint64)
    if TOLD in partial:
        told = partial.frame(TOLD)
        wanted = np.unique(hashed(told["host"], told["queue_id"]))
    return Partial(partial.parts | {UNTAKEN: untaken.settled(before, wanted)})


# --- forwarded again and again ----------------------------------------------------------------------------------------


def _forwarded(window: Window, least: int) -> Keyed | None:
    """Count, by message-id and address, the mails that came in and left again, and what tells that they grow.

    That is mail from outside that left for outside; and of a mail that went on from host to host, all of which the log has, each
    of ``least`` lives or more.
    """
    onward = _handed_on(window, least)
    away = joined(window, "mails", "direction").is_in("forwarded")
    if not away.any() and not len(onward):
        return None
    rows = left(window)
    rows = rows[np.append(away, False)[values(window, "deliveries", "mail")[rows]]]
    rows, lives = np.append(rows, onward), np.arange(len(rows) + len(onward)) >= len(rows)
    mail, entry = (values(window, "deliveries", name)[rows] for name in ("mail", "entry"))
    ident = joined(window, "mails", "message_id").take(mail)
    named = (mail >= 0) & (ident.codes >= 0) & ~ident.is_in("", "<>")
    rows, lives, mail, entry, ident = rows[named], lives[named], mail[named], entry[named], ident.take(named)
    if not len(rows):
        return None
    names, relay = addresses(window), joined(window, "deliveries", "relay").take(rows)
    at, size = (
        np.where(lives, values(window, "entries", name)[entry], values(window, "mails", name)[mail])
        for name in ("first", "size")
    )
    client = either(
        some_joined(window, "mails", "client_address", mail),
        some_joined(window, "entries", "client_address", entry),
        lives,
    )
    size, second = np.clip(size, 0, LARGEST), at // SECOND % WRAP
    told = {
        "message_id": ident.texts(),
        "asked": names.words.take(pa.array(names.asked[rows])),
        "recipient": names.words.take(pa.array(names.recipient[rows])),
        "relay": pc.fill_null(relay.texts(), ""),
        "rounds": np.ones(len(rows), np.int64),
        "back": _sent_back(client, relay).astype(np.int64),
        "first": at,
        "last": at,
        "t": second,
        "s": size,
        "tt": second * second,
        "ts": second * size,
        "ss": size * size,
        "least": size,
        "most": size,
        "row": places(window)[rows],
        "end": places(window)[rows],
        # Of the many lives of it one, the same in any window.
        "queue_id": pc.fill_null(some_joined(window, "mails", "queue_id", mail).texts(), ""),
    }
    return Keyed.of(
        told,
        sums=("rounds", "back", *MOMENTS),
        least=("first", "least", "row", "queue_id"),
        most=("last", "most", "end"),
    )


def rises(sums: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return how straight sizes rise with time, from the sums of :data:`MOMENTS`: their correlation; 0 where they don't vary."""
    n, t, s, tt, ts, ss = (sums[name].to_numpy(np.float64) for name in ("rounds", *MOMENTS))
    spread = np.sqrt(np.maximum(n * tt - t * t, 0.0) * np.maximum(n * ss - s * s, 0.0))
    found: npt.NDArray[np.float64] = np.divide(n * ts - t * s, spread, out=np.zeros(len(n)), where=spread > 0)
    return found


def _handed_on(window: Window, least: int) -> Ints:
    """Return the hand-overs to other hosts of this log, of mails that have so many lives."""
    many = values(window, "mails", "lives") >= least
    if not many.any():
        return np.empty(0, np.int64)
    mine = np.append(many, False)[values(window, "deliveries", "mail")] & ~filter_hops(window)
    return np.flatnonzero(mine & joined(window, "deliveries", "outcome").is_in("handed-on"))


def _sent_back(client: Coded, relay: Coded) -> Bools:
    """Return which mails went to the host that they came from."""
    of_pair, first = numbered(combine(client.codes, relay.codes))
    found = [
        bool(a) and f"[{a}]" in str(b)
        for a, b in zip(client.take(first).texts().to_pylist(), relay.take(first).texts().to_pylist(), strict=True)
    ]
    out: Bools = np.asarray(found, np.bool_)[of_pair]
    return out
