"""The message-ids of a window's mails and verdicts as codes, and hashes of them that are the same in any window."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import factorise
from logscan.scan.memo import per_window
from logscan.tables import texts
from logscan.tables.latest import Hashes, hashed

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]


class MessageIds(NamedTuple):
    """Codes (int64) by row of a table, and what each code stands for; where there is none, that is the empty text."""

    words: pa.Array
    """As the log writes them."""
    bare: Ints
    """The place in ``hashes`` of each: some are written with and without brackets."""
    hashes: Hashes
    """Of message-ids without brackets (:func:`trimmed`); 0 for the empty one."""
    entries: Ints
    verdicts: Ints


@per_window
def message_ids(window: Window) -> MessageIds:
    """Return the message-ids of the entries and verdicts of a window."""
    columns = [texts.arrow(frame["message_id"]) for frame in (window.entries, window.verdicts)]
    (entries, verdicts), words = factorise(columns)
    empty = words.index("").as_py()
    if empty < 0:
        words, empty = pa.concat_arrays([words, pa.array([""], words.type)]), len(words)
    place = np.append(np.arange(len(words)), empty)
    (bare,), names = factorise([trimmed(words)])
    return MessageIds(words, bare, hashed(texts.series(names)), place[entries], place[verdicts])


def trimmed(ids: pa.Array) -> pa.Array:
    """Return message-ids without brackets; empty where mail_log cut them, and where there is none."""
    array = pc.utf8_trim_whitespace(pc.fill_null(ids, ""))
    array = pc.if_else(pc.ends_with(array, "..."), "", array)
    return pc.utf8_trim(array, "<>")


@per_window
def idents(window: Window) -> tuple[pa.Array, Hashes]:
    """Return each code's message-id without brackets and blanks, cut or not, and a hash of it (:func:`whole`)."""
    told = message_ids(window)
    words, found = pc.utf8_trim(told.words, " <>"), told.hashes[told.bare]
    # Nearly all are written as mail programs should: only the others are hashed once more.
    odd = np.flatnonzero(~np.asarray(pc.equal(words, trimmed(told.words))) | (found == 0))
    found[odd] = whole(words.take(pa.array(odd)))
    return words, found


def whole(words: pa.Array) -> Hashes:
    """Return 64 bits for each text, an empty one too."""
    values = words.to_numpy(zero_copy_only=False)
    return pd.util.hash_array(values, categorize=False) if len(values) else np.empty(0, np.uint64)
