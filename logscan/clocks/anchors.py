"""Anchors: lines without a year whose UTC time is told by something else in the same set of logs.

Exact ones (they fix the zone too): the Message-ID that Postfix makes from the time and its queue ID, long queue IDs
(seconds in base 52, postfix src/global/mail_queue.h), the same line with an ISO stamp, DSPAM's system.log row of the same
mail. Loose ones (they fix the year): a DSPAM signature, whose first eight hex digits are the time it was made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logscan.clocks.model import Anchor
from logscan.clocks.wall import NEVER

if TYPE_CHECKING:
    import pandas as pd

MOST = 400
"""Anchors kept of each sort, spread evenly: enough to see each change of a zone."""

EVERY = 16
"""Of the lines that tell a time, those of each so many seconds are looked at again."""

SECOND = 10**9
DAY = 86_400 * SECOND

WITNESSES = {"message_ids": ["queue_id", "message_id"], "clients": ["queue_id"], "deliveries": [], "removals": []}
"""Tables whose lines may tell an exact time, and the texts by which they do."""

GENERATED = re.compile(r"<([0-9]{14})\.([0-9A-Fa-f]+)@")
SIGNATURE = r"(?:[0-9]+,)?[0-9a-f]{8}[0-9]{3,20}"
"""A signature that DSPAM makes (dspam.md §4); strangers write others, in any script's digits."""
LONG_ID = re.compile(r"[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,11}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]+")
BASE52 = {char: n for n, char in enumerate("0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz")}


def _frame(tables: dict[str, pa.Table], name: str, columns: list[str]) -> pd.DataFrame:
    table = tables.get(name)
    if table is None:
        import pandas as pd  # takes a while: the first chunks are parsed meanwhile

        return pd.DataFrame(columns=[*columns, "time", "clock", "turn", "source"])
    return table.select([*columns, "time", "clock", "turn", "source"]).to_pandas()


def _thinned(frame: pd.DataFrame, most: int = MOST) -> pd.DataFrame:
    step = max(1, len(frame) // most)
    return frame.iloc[::step]


def _some(table: pa.Table, rows: npt.NDArray[np.bool_], columns: list[str], most: int = MOST) -> dict[str, list[Any]]:
    """Return columns of the rows thinned out: before, since a table may have millions of rows."""
    at = np.flatnonzero(rows)
    at = at[:: max(1, len(at) // most)]
    if not len(at):
        return {column: [] for column in columns}
    return {column: table.column(column).take(pa.array(at)).to_pylist() for column in columns}


def _clocked(table: pa.Table) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = table.column("clock").to_numpy() >= 0
    return found


def _anchors(
    frame: pd.DataFrame | dict[str, list[Any]],
    utc: Iterable[int],
    before: int,
    after: int,
    keep: list[int] | None = None,
) -> list[Anchor]:
    """Return anchors of rows, or of those to ``keep``; ``utc`` is of these."""
    told = [list(frame[name]) for name in ("source", "clock", "turn")]
    if keep is not None:
        told = [[column[at] for at in keep] for column in told]
    return [
        Anchor(int(source), int(clock), int(turn), int(at), before, after)
        for source, clock, turn, at in zip(*told, utc, strict=True)
    ]


def _generated(tables: dict[str, pa.Table], most: int = MOST) -> list[Anchor]:
    table = tables.get("message_ids")
    if table is None:
        return []
    likely = pc.fill_null(pc.match_substring_regex(table.column("message_id"), r"^<\d{14}\.[0-9A-F]+@"), False)
    frame = _some(
        table, _clocked(table) & likely.to_numpy(), ["queue_id", "message_id", "clock", "turn", "source"], most
    )
    keep, times = [], []
    for row, (queue_id, message_id) in enumerate(zip(frame["queue_id"], frame["message_id"], strict=True)):
        found = GENERATED.match(message_id)
        if not found or found[2] != queue_id:
            continue
        try:
            at = datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            continue
        keep.append(row)
        times.append(int(at.timestamp()) * SECOND)
    return _anchors(frame, times, 2 * SECOND, 5 * SECOND, keep)


def _two_stamps(tables: dict[str, pa.Table], most: int = MOST // 4) -> list[Anchor]:
    """Lines that carry a wall clock and a UTC time (docker behind syslog)."""
    out: list[Anchor] = []
    for name in ("message_ids", "clients", "deliveries", "removals"):
        table = tables.get(name)
        if table is not None:
            rows = _clocked(table) & (table.column("time").to_numpy() != NEVER)
            both = _some(table, rows, ["time", "clock", "turn", "source"], most)
            out += _anchors(both, both["time"], 5 * SECOND, 5 * SECOND)
    return out


def _long_ids(tables: dict[str, pa.Table], most: int = MOST) -> list[Anchor]:
    table = tables.get("clients")
    if table is None:
        return []
    likely = pc.fill_null(pc.greater_equal(pc.utf8_length(table.column("queue_id")), 13), False).to_numpy()
    frame = _some(table, _clocked(table) & likely, ["queue_id", "clock", "turn", "source"], most)
    keep, times = [], []
    for row, queue_id in enumerate(frame["queue_id"]):
        if not LONG_ID.fullmatch(queue_id):
            continue
        seconds = 0
        for char in queue_id.rpartition("z")[0][:-4]:
            seconds = seconds * 52 + BASE52[char]
        if 10**9 < seconds < 2**33:
            keep.append(row)
            times.append(seconds * SECOND)
    return _anchors(frame, times, 2 * SECOND, 300 * SECOND, keep)


def _same_mail(tables: dict[str, pa.Table]) -> list[Anchor]:
    """Pair lines of one queue ID and message-id, one with a wall clock and one with its own UTC time."""
    table = tables.get("message_ids")
    if table is None or _clocked(table).all() or not _clocked(table).any():
        return []
    frame = _frame(tables, "message_ids", ["queue_id", "message_id"])
    wall, known = frame[frame["clock"] >= 0], frame[frame["clock"] < 0]
    keys = ["queue_id", "message_id"]
    wall, known = wall.drop_duplicates(keys, keep=False), known.drop_duplicates(keys, keep=False)
    both = _thinned(wall.merge(known[[*keys, "time"]], on=keys, suffixes=("", "_known")))
    return _anchors(both, both["time_known"], 2 * SECOND, 2 * SECOND)


def _dspam(tables: dict[str, pa.Table]) -> list[Anchor]:
    """Pair deliveries to DSPAM with system.log's row of the same message-id and recipient, where both are unique."""
    verdicts = _frame(tables, "verdicts", ["filter", "message_id", "user"])
    verdicts = verdicts[
        (verdicts["filter"] == "dspam") & (verdicts["clock"] < 0) & (verdicts["message_id"].str.len() > 2)
    ]
    if verdicts.empty:
        return []
    deliveries = _frame(tables, "deliveries", ["queue_id", "recipient", "reply", "status"])
    deliveries = deliveries[(deliveries["clock"] >= 0) & (deliveries["status"] == "sent")]
    if deliveries.empty:
        return []
    deliveries = deliveries[deliveries["reply"].str.contains("> Message accepted for delivery", regex=False, na=False)]
    ids = _frame(tables, "message_ids", ["queue_id", "message_id"])[["queue_id", "message_id"]]
    ids = ids.drop_duplicates("queue_id", keep=False)
    joined = deliveries.merge(ids, on="queue_id").drop_duplicates(["message_id", "recipient"], keep=False)
    single = verdicts.drop_duplicates(["message_id", "user"], keep=False)[["message_id", "user", "time"]]
    both = joined.merge(
        single, left_on=["message_id", "recipient"], right_on=["message_id", "user"], suffixes=("", "_known")
    )
    both = _thinned(both)
    return _anchors(both, both["time_known"], 2 * SECOND, 120 * SECOND)


def _signatures(tables: dict[str, pa.Table]) -> list[Anchor]:
    frame = _frame(tables, "trainings", ["signature"])
    frame = frame[(frame["clock"] >= 0) & frame["signature"].notna()]
    frame = _thinned(frame[frame["signature"].str.fullmatch(SIGNATURE)])
    if frame.empty:
        return []
    made = frame["signature"].str.extract(r"^(?:[0-9]+,)?([0-9a-f]{8})", expand=False)
    utc = made.map(lambda digits: int(digits, 16) * SECOND)
    return _anchors(frame, utc.astype("int64"), 2 * SECOND, 120 * DAY)


def anchors(tables: dict[str, pa.Table]) -> list[Anchor]:
    """Return the anchors in the parsed tables (which still have ``clock`` and ``turn``)."""
    if not any(np.any(table.column("clock").to_numpy() >= 0) for table in tables.values()):
        return []
    return [
        *_two_stamps(tables),
        *_generated(tables),
        *_long_ids(tables),
        *_same_mail(tables),
        *_dspam(tables),
        *_signatures(tables),
    ]


def witnesses(tables: dict[str, pa.Table]) -> list[Anchor]:
    """Return the exact anchors among the lines of every sixteenth second: enough to see whether clocks were solved right."""
    some: dict[str, pa.Table] = {}
    for name, texts in WITNESSES.items():
        if name in tables:
            table = tables[name]
            clock = table.column("clock").to_numpy()
            rows = (clock >= 0) & (clock // SECOND % EVERY == 0)
            if not texts:  # then only a second stamp tells
                rows &= table.column("time").to_numpy() != NEVER
            if rows.any():
                some[name] = table.select([*texts, "time", "clock", "turn", "source"]).filter(pa.array(rows))
    every = sum(len(table) for table in some.values())
    return [*_two_stamps(some, every), *_generated(some, every), *_long_ids(some, every)] if every else []
