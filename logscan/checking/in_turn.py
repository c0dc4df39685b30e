"""Pairs of addresses that write to each other in turn, one mail a mail: who wrote to whom when, of all windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.copies import LINE_BITS, places
from logscan.correlate.lives import SECOND
from logscan.scan.addresses import addresses
from logscan.scan.columns import NO_TIME, joined, number, values
from logscan.tables import texts
from logscan.tables.coded import Coded
from logscan.tables.grouping import numbered
from logscan.tables.partials import Keyed, Part, Partial
from logscan.tables.recent import WORTH, Recent, among, of_texts

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PAIRS, LEAST = "pairs", "pairs: least"
"""Parts: who wrote to whom when, and how many mails in turn are asked for."""

PAUSE = 1800 * SECOND
"""A mail that comes later after the one before isn't the answer to it, as far as machines answer at once."""


def look_at(window: Window, least: int) -> dict[str, Part]:
    """Return the mails of a window by pair: each once for each address that it was for; ``least`` mails in turn count."""
    return {LEAST: Keyed.of({"least": np.array([least], np.int64)}), PAIRS: _pairs(window)}


def _pairs(window: Window) -> Recent:
    rows = np.flatnonzero(values(window, "deliveries", "final"))
    mail = values(window, "deliveries", "mail")[rows]
    sender, at = joined(window, "mails", "sender"), values(window, "mails", "first")
    # Reports and most automatic answers have no sender: nobody answers them.
    usable = np.append(
        (sender.codes >= 0) & ~sender.matching(lambda words: pc.equal(words, "")) & (at > NO_TIME), False
    )
    names = addresses(window)
    kept = usable[mail] & (mail >= 0) & ~_to_several(mail, names.asked[rows], len(at))[mail]
    rows, mail = rows[kept], mail[kept]
    first = numbered(mail)[1]
    rows, mail = rows[first], mail[first]
    by = of_texts(pc.utf8_lower(_array(sender)))[sender.codes[mail]]
    to = of_texts(names.words)[names.asked[rows]]
    apart = by != to
    rows, mail, by, to = rows[apart], mail[apart], by[apart], to[apart]
    told = {
        "at": at[mail],
        "up": by < to,
        "row": places(window)[rows],
        "opened": _opened(window, mail),
        "away": values(window, "deliveries", "outside")[rows],
        "sender": _dictionary(_array(sender), sender.codes[mail]),
        "recipient": _dictionary(names.words, names.asked[rows]),
        **{name: texts.arrow(window.mails[name]).take(pa.array(mail)) for name in ("message_id", "queue_id")},
    }
    keys = (np.minimum(by, to) * np.uint64(0x9E3779B97F4A7C15)) ^ np.maximum(by, to)
    last = int(values(window, "mails", "last").max(initial=0))
    return Recent.of(told, np.maximum(keys, np.uint64(1)), last)


def _opened(window: Window, mail: Ints) -> Ints:
    """Return the line by which each mail came in, which tells the order of those of one second; -1 where none does."""
    row = values(window, "entries", "client_row")[values(window, "mails", "entry")[mail]]
    source, line = (np.append(number(window, "clients", name), 0)[row] for name in ("source", "line"))
    return np.where(row >= 0, (source << LINE_BITS) + line, -1)


def _to_several(mail: Ints, asked: Ints, size: int) -> Bools:
    """Return which mails were for several addresses: an automatic answer is for one. ``mail`` is -1 for none."""
    least, most = np.full(size + 1, np.iinfo(np.int64).max), np.full(size + 1, -1, np.int64)
    np.minimum.at(least, mail, asked)
    np.maximum.at(most, mail, asked)
    out: Bools = least < most
    return out


def _array(column: Coded) -> pa.Array:
    given = column.words.given
    return given if isinstance(given, pa.Array) else pa.array(list(given), pa.string())


def _dictionary(words: pa.Array, codes: Ints) -> pa.Array:
    """Return texts by code as a column that is packed as codes, with the words that some row has."""
    of_row, first = numbered(codes)
    some = words.take(pa.array(codes[first])).cast(pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(of_row.astype(np.int32)), some)


def runs(mails: pd.DataFrame) -> tuple[Ints, Ints]:
    """Return the order of mails by key and time, and in it the number of each one's run, from 0.

    In a run each mail goes the other way than the one before, and follows it within :data:`PAUSE`.
    """
    key, at, up, opened, row = (mails[name].to_numpy() for name in ("key", "at", "up", "opened", "row"))
    order = np.lexsort((row, opened, at, key))
    if not len(order):
        return order, np.empty(0, np.int64)
    k, t, u = key[order], at[order], up[order].astype(np.bool_)
    breaks = (k[1:] != k[:-1]) | (u[1:] == u[:-1]) | (t[1:] - t[:-1] > PAUSE)
    return order, np.append(0, np.cumsum(breaks)).astype(np.int64)


def settle(partial: Partial, frontier: int) -> Partial:
    """Let go of mails that are in no run that is long enough or may become so: what is concluded stays the same.

    ``frontier`` (UTC ns) is before all rows of the windows that are still to come.
    """
    pairs = partial.parts.get(PAIRS)
    if not isinstance(pairs, Recent) or pairs.old(frontier - PAUSE) * WORTH < pairs.count or not pairs.count:
        return partial
    told = pairs.column("at", "up", "opened", "row")
    key, at = told["key"].to_numpy(np.uint64), told["at"].to_numpy()
    order, of_run = runs(told)
    size = np.bincount(of_run)
    last = np.zeros(len(size), np.int64)
    last[of_run] = at[order]
    # A pair that wrote long enough in turn is kept whole.
    many = np.unique(key[order][size[of_run] >= _least(partial)])
    kept = np.zeros(len(key), np.bool_)
    kept[order] = among(key[order], many) | (last[of_run] >= frontier - PAUSE)
    keys = np.unique(key[kept])
    some = pairs.among(keys)[kept[among(key, keys)]]
    columns = {
        str(name): texts.arrow(each) if each.dtype.kind not in "iufb" else each.to_numpy()
        for name, each in some.items()
        if name != "key"
    }
    left = Recent.of(columns, some["key"].to_numpy(np.uint64), int(some["at"].max()) if len(some) else 0)
    return Partial(partial.parts | {PAIRS: left})


def _least(partial: Partial) -> int:
    return int(partial.frame(LEAST)["least"].max())


def in_turn(partial: Partial) -> list[pd.DataFrame]:
    """Return the mails of each run that is long enough, in order of time; runs in the order of their first mails."""
    pairs = partial.parts.get(PAIRS)
    if not isinstance(pairs, Recent):
        return []
    # Most pairs wrote once or twice: their rows are never unpacked.
    keys = np.sort(pairs.keys)
    begins = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
    often = keys[begins[np.diff(np.append(begins, len(keys))) >= _least(partial)]]
    often = often[often > 0]
    if not len(often):
        return []
    some = pairs.among(often)
    order, of_run = runs(some)
    size = np.bincount(of_run)
    long = np.flatnonzero(size >= _least(partial))
    begins = np.searchsorted(of_run, long)
    found = [
        some.iloc[order[begin : begin + int(size[run])]]
        for begin, run in zip(begins.tolist(), long.tolist(), strict=True)
    ]
    return sorted(found, key=lambda each: (int(each["at"].iloc[0]), int(each["row"].iloc[0])))
