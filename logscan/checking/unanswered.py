"""Copies that Dovecot stored while the reply to Postfix got lost, so that the mail was offered again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.copies import LINE_BITS, NONE, copies, groups, places, rows_of
from logscan.checking.duplicates import HORIZON, SAME_DAY, SECOND
from logscan.correlate.codes import matched, plain
from logscan.scan import coded
from logscan.tables import cells, texts
from logscan.tables.recent import Recent, among, hashed

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]

AROUND = 600 * SECOND
"""Nanoseconds around an attempt and its beginning in which what was stored by it is told."""

NO_ATTEMPT = NONE.assign(
    **{name: np.empty(0, np.int64) for name in ("broken", "tried", "around")},
    **{name: np.empty(0, np.uint64) for name in ("by_mailbox", "by_name")},
)
"""No row of :func:`broken`."""

BROKEN = r"^(?:lost connection|conversation) with .* while (?:sending|receiving) (?:end of data|.* -- message may be)"
"""Postfix lost the reply after the data: the copy may have been taken (smtp_proto.c)."""


def broken(window: Window) -> tuple[pd.DataFrame, Ints]:
    """Return attempts whose reply was lost and that were made again in the end; and the entries they are of.

    Columns of the copy that the reply came to (:func:`logscan.checking.copies.rows_of`), of those stored here, and:
    ``broken`` (line of the attempt), ``tried`` (UTC ns), ``around`` (ns), ``by_mailbox`` and ``by_name``: the hashes under which
    :func:`unclaimed` has what was stored for that mailbox, and for its local part.
    """
    deliveries = window.deliveries
    late = coded.of(deliveries["status"]).equal("deferred") & (deliveries["entry"].to_numpy() >= 0)
    rows = np.flatnonzero(late & ~deliveries["outside"].to_numpy(dtype=np.bool_))
    if len(rows):
        reply = texts.arrow(deliveries["reply"]).take(pa.array(rows))
        rows = rows[matched(reply, BROKEN, starts=("lost connection with ", "conversation with "))]
    if not len(rows):
        return NO_ATTEMPT, np.empty(0, np.int64)
    some = deliveries.iloc[rows]
    # A hand-over to the filter may break off as well; its children are deliveries of their own.
    hand_overs = window.legs.loc[window.legs["delivery"] >= 0, "delivery"]
    some = some.loc[~some.index.isin(hand_overs), ["entry", "recipient", "mailbox", "time", "delay"]]
    some = some[some["recipient"].notna()].assign(attempt=lambda frame: frame.index.to_numpy())
    here = copies(window).row[: copies(window).here]
    later = deliveries[["entry", "recipient"]].iloc[here].assign(at=np.arange(len(here)))
    later = later.drop_duplicates(["entry", "recipient"])
    both = some.merge(later, on=["entry", "recipient"])
    if not len(both):
        return NO_ATTEMPT, np.empty(0, np.int64)
    found = rows_of(window, both["at"].to_numpy(np.int64))
    group = groups(window)[0][both["at"].to_numpy(np.int64)]
    delay = np.minimum(both["delay"].fillna(0).to_numpy(np.float64), HORIZON / SECOND)
    box = both["mailbox"].astype("str").reset_index(drop=True)
    found = found.assign(
        group=group,
        broken=places(window)[both["attempt"].to_numpy(np.int64)],
        tried=cells.ns(both["time"]),
        around=(delay * SECOND).astype(np.int64) + AROUND,
        by_mailbox=hashed(found["message_id"], box),
        by_name=hashed(
            found["message_id"], texts.each(box, lambda names: names.str.replace(r"(?s)@.*$", "", regex=True))
        ),
    )
    return found, np.unique(both["entry"].to_numpy(np.int64))


def unclaimed(window: Window) -> Recent:
    """Return copies that Dovecot stored, and whose session no reply of this window names, by message-id and owner.

    Columns ``time`` (UTC ns), ``session`` (uint64, 0 where it has none), ``row`` (line).
    """
    table = window.tables["stores"]
    session, message_id, user = (plain(table.column(name)) for name in ("session", "message_id", "user"))
    known = (each.is_valid().to_numpy(zero_copy_only=False) for each in (message_id, user))
    stored = np.logical_and(*known) & coded.event(window, "stores", "action").equal("stored")
    named = texts.arrow(window.deliveries["session"]).drop_null().cast(pa.string())
    stored &= ~pc.is_in(session, value_set=named).to_numpy(zero_copy_only=False)
    at = np.flatnonzero(stored)
    ns, source, line = (coded.numbers(window, "stores", name)[at] for name in ("time", "source", "line"))
    session, message_id, user = (texts.series(each.take(pa.array(at))) for each in (session, message_id, user))
    rows = {
        "time": ns,
        "session": np.where(session.isna(), np.uint64(0), hashed(session)),
        "row": (source.astype(np.int64) << LINE_BITS) + line.astype(np.int64),
    }
    return Recent.of(rows, hashed(message_id, texts.lower(user)), int(ns.max()) if len(ns) else 0)


def unanswered(cut_off: pd.DataFrame, stored: Recent, sessions: pd.DataFrame) -> pd.DataFrame:
    """Return the copies that attempts left whose reply was lost: rows as of the copy that came later.

    ``cut_off`` are the attempts of all windows; ``sessions`` are those that replies name: ``key`` and ``time``. ``broken`` is
    the attempt's line, ``told_by`` that of Dovecot's.
    """
    cut_off = cut_off.sort_values(["broken", "mailbox", "recipient"], kind="stable", ignore_index=True)
    keys = np.unique(
        np.concatenate([cut_off["by_mailbox"].to_numpy(np.uint64), cut_off["by_name"].to_numpy(np.uint64)])
    )
    found = stored.among(keys).sort_values(["time", "row"], kind="stable", ignore_index=True)
    by_key = dict(iter(_open(found, sessions).groupby("key")))
    picked: list[tuple[int, Any, Any, Any]] = []
    columns = [cut_off[name].tolist() for name in ("tried", "around", "by_mailbox", "by_name")]
    for at, (tried, around, *names) in enumerate(zip(*columns, strict=True)):
        for name in dict.fromkeys(names):
            near = by_key.get(name)
            if near is None:
                continue
            low, high = np.searchsorted(near["time"], (tried - around, tried + around + 1))
            once = near.iloc[low:high].drop_duplicates("session")
            picked += [(at, *row) for row in once[["session", "time", "row"]].itertuples(index=False)]
    chosen = pd.DataFrame(picked, columns=["at", "store", "time", "row"]).drop_duplicates(["store"])
    rows = cut_off.iloc[chosen["at"].to_numpy(np.int64)].reset_index(drop=True)
    return rows.assign(
        store=chosen["store"].to_numpy(np.uint64),
        time=chosen["time"].to_numpy(np.int64),
        told_by=chosen["row"].to_numpy(np.int64),
    )


def _open(stored: pd.DataFrame, sessions: pd.DataFrame) -> pd.DataFrame:
    """Return what was stored in sessions that no reply names within a day."""
    wanted = np.unique(stored["session"].to_numpy(np.uint64))
    some = sessions[among(sessions["key"].to_numpy(np.uint64), wanted)]
    some = some.rename(columns={"key": "session", "time": "named"})[["session", "named"]]
    both = stored.assign(at=np.arange(len(stored))).merge(some, on="session")
    claimed = both.loc[(both["named"] - both["time"]).abs() <= SAME_DAY, "at"]
    return stored.drop(index=claimed.unique())
