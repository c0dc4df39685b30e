"""Mail that a greeting put off: postscreen's tests, a greylisting service; who came back, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.mail_rows import event_lines, event_texts
from logscan.scan import columns
from logscan.scan.pairs import hashed, paired, pairs, taken_pairs
from logscan.tables.coded import Coded
from logscan.tables.columns import Column
from logscan.tables.partials import Keyed, Part

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

POSTSCREEN, GREYLISTING = "postscreen", "greylisting"

GREYLISTED = (
    r"(?i)gr[ea]y[- ]?list|come back (?:later|in )|service temporarily unavailable, please try (?:again )?later"
)
"""postgrey, SQLgrey, milter-greylist.c, cluebringer's Greylisting.pm, tumgreyspf; the last is gld's."""
MILTERS = rf"{GREYLISTED}|(?i)^try again later"
"""rspamd plugins/lua/greylist.lua, its default message."""


def look(window: Window) -> dict[str, Part]:
    """Return the parts of a partial: ``put_off``, ``told`` (by the services themselves), ``taken``, ``pools``, ``end``."""
    found = pairs(window)
    at = found.outside & (found.sender != 0)
    named = columns.joined(window, "entries", "client").take(found.entry[at]).made(pools)
    used = named.used()
    ends = Coded(used, named.words.given).texts() if len(used) else pa.array([], pa.string())
    times = columns.values(window, "entries", "last")
    last = max(
        int(times.max(initial=columns.NO_TIME)), int(columns.moments(window, "rejects").max(initial=columns.NO_TIME))
    )
    return {
        "put_off": _counted(_refused(window), "sender", "recipient", "kind", "pool"),
        "told": _counted(_services(window), "sender", "recipient", "kind", "pool"),
        "taken": taken_pairs(window),
        "pools": Keyed.of({"pool": ends.cast(pa.string())}, once=True),
        "end": Keyed.of({"end": pa.array(["end"]), "last": np.array([last])}, most=("last",), once=True),
        "from_outside": int(np.count_nonzero(at)),
    }


def _counted(rows: dict[str, Column], *keys: str) -> Keyed:
    some = {name: rows[name] for name in ("pair", *keys)}
    some |= {
        "tries": np.ones(len(rows["line"]), np.int64),
        "line": rows["line"],
        "first": rows["time"],
        "last": rows["time"],
        "one": rows["address"],
        "other": rows["address"],
    }
    return Keyed.of(some, sums=("tries",), least=("line", "first", "one"), most=("last", "other"))


NONE: dict[str, Column] = {
    **dict.fromkeys(("pair", "line", "time", "address"), np.empty(0, np.int64)),
    **dict.fromkeys(("sender", "recipient", "kind", "pool"), pa.array([], pa.string())),
}


def _refused(window: Window) -> dict[str, Column]:
    """Return what Postfix refused for now since a greeting had it put off."""
    table = "rejects"
    if not len(window.tables[table]):
        return NONE
    action = columns.column(window, table, "action")
    soft = columns.column(window, table, "code").having(lambda each: str(each).startswith("4"))
    soft |= (columns.column(window, table, "code").codes < 0) & columns.column(window, table, "dsn").having(
        lambda each: str(each).startswith("4.")
    )
    soft &= action.is_in("reject", "milter-reject")
    soft &= columns.column(window, table, "recipient").codes >= 0
    rows = np.flatnonzero(soft)
    if not len(rows):
        return NONE
    screened = columns.column(window, table, "program").take(rows).is_in("postscreen")
    text = columns.column(window, table, "text").take(rows).made(_without_addresses)
    by_milter = action.take(rows).is_in("milter-reject")
    grey = text.matching(lambda words: pc.match_substring_regex(words, GREYLISTED))
    grey |= by_milter & text.matching(lambda words: pc.match_substring_regex(words, MILTERS))
    screened &= columns.column(window, table, "dsn").take(rows).is_in("4.3.2")
    screened &= text.matching(lambda words: pc.starts_with(words, "Service currently unavailable"))
    kept = grey | screened
    rows, screened = rows[kept], screened[kept]
    if not len(rows):
        return NONE
    helo = columns.column(window, table, "helo").take(rows).made(pools)
    name = columns.column(window, table, "client").take(rows).made(pools)
    return _told(window, table, rows, screened, _either(name, helo))


def _without_addresses(words: pa.Array) -> pa.Array:
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(words, "<[^<>]*>:?", ""))


def _either(name: Coded, helo: Coded) -> pa.Array:
    """Return the first, else the second text."""
    empty = pa.array([None] * len(name), pa.string())
    told = [each.texts().cast(pa.string()) if len(each.words) else empty for each in (name, helo)]
    return pc.fill_null(pc.coalesce(*told), "")


def _services(window: Window) -> dict[str, Column]:
    """Return what greylisting services say themselves that they put off."""
    table = "milters"
    if not len(window.tables[table]):
        return NONE
    result, text = columns.column(window, table, "result"), columns.column(window, table, "text")
    put_off = result.is_in("greylist", "new", "early reconnect", "throttling")
    put_off |= result.is_in("defer") & text.is_in("Greylisting")
    put_off &= columns.column(window, table, "filter").is_in("postgrey", "sqlgrey", "milter-greylist", "cbpolicyd")
    put_off &= columns.column(window, table, "recipient").codes >= 0
    rows = np.flatnonzero(put_off)
    if not len(rows):
        return NONE
    name = columns.column(window, table, "client").take(rows).made(pools)
    return _told(window, table, rows, np.zeros(len(rows), np.bool_), _either(name, name))


def _told(window: Window, table: str, rows: Ints, screened: Bools, pool: pa.Array) -> dict[str, Column]:
    sender, recipient = (pc.utf8_lower(event_texts(window, table, name, rows)) for name in ("sender", "recipient"))
    from_, to = (hashed(columns.column(window, table, name).take(rows)) for name in ("sender", "recipient"))
    return {
        "pair": paired(from_, to),
        "line": event_lines(window, table, rows),
        "time": columns.moments(window, table)[rows],
        "address": columns.column(window, table, "client_address").take(rows).hashed(),
        "sender": sender,
        "recipient": recipient,
        "kind": pa.array(np.where(screened, POSTSCREEN, GREYLISTING), pa.string()),
        "pool": pool,
    }


_SECOND = "ac|co|com|edu|gob|gov|gv|go|info|mil|ne|net|nom|or|org"
_ENDS = rf"(?P<ends>[^.]+\.(?:{_SECOND})\.[a-z]{{2}}|[^.]+\.[^.]+)$"
_NO_NAME = r"^[0-9.]*$|[:\[\]]"


def pools(names: pa.Array) -> pa.Array:
    """Return what the names of one provider's hosts end in: two labels, three behind the likes of ``co.uk``; null for none."""
    lower = pc.utf8_rtrim(pc.utf8_lower(names), ".")
    ends = pc.struct_field(pc.extract_regex(lower, _ENDS), "ends")
    return pc.if_else(pc.match_substring_regex(ends, _NO_NAME), pa.scalar(None, ends.type), ends)
