"""Mail handed in with a login, one row a mail, and whom each account wrote to for the first time."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from logscan.checking.guess_rows import DAY, HOUR, named
from logscan.scan.columns import joined, number, some_joined, values
from logscan.scan.login_tries import LINE_BITS, account
from logscan.scan.memo import per_window
from logscan.scan.networks import network
from logscan.scan.pasts import newest, past
from logscan.tables import columns, texts
from logscan.tables.partials import Keyed, Part, Partial, mixed

if TYPE_CHECKING:
    from logscan.checking.guessing import Guesses
    from logscan.scan.log import Log
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]

SENT, TO = "sent", "to"

TEXTS = ("user", "address", "queue_id", "message_id")


@per_window
def look(window: Window) -> dict[str, Part]:
    """Return mails with a login, and pairs of accounts and recipients.

    ``sent``: user (as :func:`logscan.scan.login_tries.account`), address, queue_id, message_id, time (UTC ns), place →
    recipients, refused. ``to``: user and recipient (hashes) → first (UTC ns).
    """
    user = joined(window, "mails", "sasl_username")
    rows = np.flatnonzero(user.codes >= 0)
    if not len(rows):
        return _nothing()
    names = user.take(rows).changed(account)
    opened = values(window, "entries", "client_row")[values(window, "mails", "entry")[rows]]
    place = np.full(len(rows), -1, np.int64)
    known = opened >= 0
    line = number(window, "clients", "line")[opened[known]]
    place[known] = (number(window, "clients", "source")[opened[known]] << LINE_BITS) + line
    first = values(window, "mails", "first")[rows]
    address = some_joined(window, "mails", "client_address", rows)
    sent = {
        "user": _told(names.texts()),
        "address": _told(address.texts()),
        **{name: _told(texts.arrow(window.mails[name]).take(pa.array(rows))) for name in TEXTS[2:]},
        "time": first,
        "place": place,
        "recipients": values(window, "mails", "recipients")[rows],
        "refused": values(window, "mails", "bounced")[rows],
    }
    of_mail = np.zeros(len(window.mails) + 1, np.int64)
    of_mail[rows] = names.hashed()
    return {SENT: Keyed.of(sent, sums=("recipients", "refused")), TO: _to(window, of_mail)}


def _told(column: pa.Array) -> pa.Array:
    """Return a column of texts of one type, an empty text where one is missing."""
    return column.cast(pa.string()).fill_null("")


def _to(window: Window, of_mail: Ints) -> Keyed:
    """Return whom each account wrote to, and when first."""
    mail = values(window, "deliveries", "mail")
    rows = np.flatnonzero(values(window, "deliveries", "last") & (of_mail[mail] != 0))
    hashed = some_joined(window, "deliveries", "recipient", rows).hashed()
    time = values(window, "mails", "first")[mail[rows]]
    pair = mixed(of_mail[mail[rows]], hashed)
    order = np.lexsort((time, pair))
    kept = order[np.append(True, np.diff(pair[order]) != 0)[: len(order)]]
    some = {"user": of_mail[mail[rows]][kept], "pair": pair[kept], "first": time[kept]}
    return Keyed.of(some, least=("first",), once=True)


@functools.cache
def _nothing() -> dict[str, Part]:
    text, numbers = pa.array([], pa.string()), np.empty(0, np.int64)
    sent = dict.fromkeys(TEXTS, text) | dict.fromkeys(("time", "place", "recipients", "refused"), numbers)
    return {
        SENT: Keyed.of(sent, sums=("recipients", "refused")),
        TO: Keyed.of(dict.fromkeys(("user", "pair", "first"), numbers), least=("first",)),
    }


PAST_DAYS, EXACT_DAYS, PAIR_DAYS = 21, 1, 180
"""Days that a past tells of: mails, three weeks, as people come back from holidays; each of them, what may go on after midnight;
and whom an account wrote to."""

MOST_SENT, MOST_PAIRS = 15_000, 25_000
"""Rows that a past has of each; some 25 bytes each."""


def remember(partial: Partial, now: int) -> dict[str, Part]:
    """Return how much each account sent from where, by the hour but for the last day, and to whom it wrote.

    A row of an hour is dated by its first mail; neither has names of single mails.
    """
    if SENT not in partial or TO not in partial:
        return {}
    sent = newest(partial.parts[SENT], "time", now - PAST_DAYS * DAY, 10 * MOST_SENT)
    frame = sent.frame.assign(queue_id="", message_id="")
    old = (frame["time"] < now - EXACT_DAYS * DAY).to_numpy(dtype=np.bool_)
    hourly = frame[old].assign(hour=lambda rows: rows["time"] // HOUR)
    hourly = hourly.groupby(["user", "address", "hour"], as_index=False).agg(
        {"time": "min", "place": "min", "recipients": "sum", "refused": "sum"}
    )
    whole = pd.concat([frame[~old], hourly.assign(queue_id="", message_id="")], ignore_index=True)[list(frame.columns)]
    kept = Keyed.of(whole.astype(dict.fromkeys(TEXTS, "str")), sums=sent.sums)
    to = newest(partial.parts[TO], "first", now - PAIR_DAYS * DAY, MOST_PAIRS)
    # An account's rows beside each other take half the bytes.
    order = np.lexsort((to.columns["first"], to.columns["user"]))
    pairs = {name: columns.taken(column, order) for name, column in to.columns.items()}
    return {SENT: newest(kept, "time", 0, MOST_SENT), TO: Keyed.of(pairs, least=("first",), once=True)}


def prepared(frame: pd.DataFrame, found: Guesses, log: Log) -> pd.DataFrame:
    """Return the mails in the order of time with network, provider, and since when the account comes from there (UTC ns).

    ``fresh`` tells the mails of new lines from what was remembered.
    """
    before = past(log, SENT)
    whole = frame.assign(fresh=True)
    if before is not None:
        whole = pd.concat([whole, before.frame(SENT).assign(fresh=False)], ignore_index=True)
    mails = named(whole, log, found.users)
    addresses = mails["address"].tolist()
    mails["network"] = pd.Series([network(each) for each in addresses], index=mails.index, dtype="str")
    mails = mails.merge(found.good[["network", "user", "first"]], on=["network", "user"], how="left")
    mails["since"] = mails.pop("first").fillna(mails["time"]).astype("int64")
    return mails.sort_values(["time", "place", "queue_id"], kind="stable", ignore_index=True)


def spans(time: Ints, rows: Ints, width: int) -> list[Ints]:
    """Return the rows of each span of up to ``width`` ns, once for each beginning: a flood has many mails a second.

    ``time`` (UTC ns) is in order, ``rows`` are places in it, in order. Of more than :data:`MOST_SPANS` spans, one for each
    twentieth of the width: they overlap, and each costs what it holds.
    """
    begin = np.searchsorted(time[rows], time[rows] - width)
    ends = np.flatnonzero(np.append(begin[1:] != begin[:-1], True)) if len(rows) else begin
    if len(ends) > MOST_SPANS:
        part = time[rows[begin[ends]]] // (width // 20)
        ends = ends[np.append(True, part[1:] != part[:-1]) | (np.arange(len(ends)) == len(ends) - 1)]
    return [rows[begin[end] : end + 1] for end in ends.tolist()]


MOST_SPANS = 1_000
"""Spans of one account that are all looked at: who writes mail by hand has fewer in months."""


def most_until(time: Ints, counts: Ints, width: int) -> Ints:
    """Return for each row, and one more, the largest sum of ``counts`` within ``width`` ns among the rows before; 1 at least."""
    total = np.append(0, np.cumsum(counts))
    begin = np.searchsorted(time, time - width)
    most: Ints = np.maximum.accumulate(np.append(1, total[1:] - total[begin]))
    return most
