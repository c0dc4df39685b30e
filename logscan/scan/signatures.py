"""Which outgoing mails a signer on this server gave a DKIM signature, and why it gave some none.

OpenDKIM, rspamd and amavis tell it by queue ID, in lines that may lie in another window than the mail's
(:mod:`logscan.scan.by_queue_id`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.scan.by_queue_id import coded, entries_of, keys
from logscan.scan.columns import NO_TIME, column, joined, moments, number, some_joined, values
from logscan.scan.memo import per_window
from logscan.tables import texts
from logscan.tables.coded import Coded
from logscan.tables.partials import Ints, Keyed

if TYPE_CHECKING:
    from logscan.scan.window import Window

Bools = npt.NDArray[np.bool_]

SIGNED = r"(?:^|,)DKIM_SIGNED\("
"""rspamd's symbol for a signature that it made itself (src/plugins/lua/dkim_signing.lua); of the mail's own it says R_DKIM."""

NO_KEY, UNTRUSTED = "no key", "not trusted"


class Said(NamedTuple):
    """What signers said of queue IDs, one row each: that they signed a mail, or why not."""

    queue_id: pa.Array
    time: Ints
    """UTC ns."""
    reason: npt.NDArray[Any]
    """:data:`NO_KEY`, :data:`UNTRUSTED`; empty where it was signed."""
    domain: npt.NDArray[Any]
    """Whose key was missing, as far as it is told."""

    def keys(self) -> Ints:
        """Return all keys under which each row's mail may be, three a row (int64, 3 by rows)."""
        return keys(coded(self.queue_id).hashed(), self.time)

    def of_no_entry(self, window: Window) -> Said:
        """Return the rows that are of no entry of this window."""
        return self.some(np.flatnonzero(entries_of(window, coded(self.queue_id), self.time) < 0))

    def some(self, rows: Ints) -> Said:
        """Return some rows."""
        return Said(self.queue_id.take(pa.array(rows)), self.time[rows], self.reason[rows], self.domain[rows])


def _said(queue_id: pa.Array, time: Ints) -> Said:
    blank = np.full(len(time), "", object)
    return Said(queue_id.cast(pa.string()), time, blank, blank)


@per_window
def signed(window: Window) -> Said:
    """Return what OpenDKIM, rspamd and amavis said of mails that they signed."""
    parts = [_said(*each) for each in (*_opendkim(window), *_verdicts(window))]
    if len(parts) < 2:
        return parts[0] if parts else _said(pa.array([], pa.string()), np.empty(0, np.int64))
    return _said(pa.concat_arrays([each.queue_id for each in parts]), np.concatenate([each.time for each in parts]))


def _opendkim(window: Window) -> list[tuple[pa.Array, Ints]]:
    queue_id = column(window, "milters", "queue_id")
    mine = column(window, "milters", "filter").is_in("opendkim") & column(window, "milters", "result").is_in("signed")
    rows = np.flatnonzero(mine & (queue_id.codes >= 0))
    return [(queue_id.take(rows).texts(), moments(window, "milters")[rows])] if len(rows) else []


def unsigned(window: Window, queue_ids: pa.Array) -> Said:
    """Return why OpenDKIM signed none of the mails of these queue IDs, and none of mails that aren't in this window.

    With LogWhy it tells that of each mail of strangers too: of those nothing is looked at but their queue IDs.
    """
    result, queue_id = column(window, "milters", "result"), column(window, "milters", "queue_id")
    mine = column(window, "milters", "filter").is_in("opendkim") & (result.is_in("unsigned") | (result.codes < 0))
    rows = np.flatnonzero(mine & (queue_id.codes >= 0))
    if len(rows):
        asked, here = (_among(queue_id, each) for each in (queue_ids, texts.arrow(window.entries["queue_id"])))
        rows = rows[(asked | ~here)[queue_id.codes[rows]]]
    text = column(window, "milters", "text").take(rows)
    no_key = result.is_in("unsigned")[rows]
    kept = np.flatnonzero(no_key | text.matching(_distrusted))
    rows, no_key, text = rows[kept], no_key[kept], text.take(kept)
    named = text.changed(_named)
    domain = np.where(no_key, np.array([*named.values, ""], object)[named.codes], "")
    reason = np.where(no_key, NO_KEY, UNTRUSTED).astype(object)
    return Said(queue_id.take(rows).texts().cast(pa.string()), moments(window, "milters")[rows], reason, domain)


def _among(column_: Coded, wanted: pa.Array) -> Bools:
    """Return, by code, whether a text is among some others."""
    words = column_.words.given if isinstance(column_.words.given, pa.Array) else pa.array(column_.values, pa.string())
    return np.asarray(pc.is_in(words.cast(pa.string()), value_set=wanted.cast(pa.string())), np.bool_)


def _distrusted(words: pa.Array) -> pa.Array:
    return pc.match_substring_regex(words, r"(?s)^(?:.* )?not (?:internal|authenticated|POP authenticated)$")


def _named(text: str) -> str:
    """Return the domain in ``no signing table match for 'user@example.org'``."""
    return text.partition("'")[2].rpartition("'")[0].rpartition("@")[2].lower()


def _verdicts(window: Window) -> list[tuple[pa.Array, Ints]]:
    """Return the signatures that filters tell of with their verdict; amavis names the mail before it and after it."""
    found = []
    rows = np.flatnonzero(_signed(window))
    for name in ("queue_id", "child_queue_id") if len(rows) else ():
        queue_id = some_joined(window, "verdicts", name, rows)
        known = queue_id.codes >= 0
        found.append((queue_id.take(known).texts(), values(window, "verdicts", "time")[rows[known]]))
    return found


@per_window
def _signed(window: Window) -> Bools:
    """Return which verdicts tell of a signature made here."""
    out = np.zeros(len(window.verdicts), np.bool_)
    rows = np.flatnonzero(shown(window))
    if len(rows):
        status = some_joined(window, "verdicts", "status", rows)
        out[rows] = status.matching(lambda words: pc.match_substring_regex(words, SIGNED))
    if len(out) and (joined(window, "verdicts", "filter").is_in("amavis")).any():
        out |= joined(window, "verdicts", "dkim").codes >= 0
    return out


@per_window
def shown(window: Window) -> Bools:
    """Return which verdicts are rspamd's with all symbols: a line that was cut before its digest may have lost some."""
    if not len(window.verdicts):
        return np.zeros(0, np.bool_)
    found = joined(window, "verdicts", "filter").is_in("rspamd")
    rows = np.flatnonzero(found)
    if len(rows):
        status, digest = (some_joined(window, "verdicts", name, rows) for name in ("status", "signature"))
        found[rows] = (digest.codes >= 0) & status.matching(lambda words: pc.not_equal(words, ""))
    return found


def signers(window: Window) -> Keyed:
    """Return who may sign here and when its log spoke: ``filter``, ``source``, ``first``, ``last``, ``signed`` (how often)."""
    found: list[pd.DataFrame] = []
    names = column(window, "milters", "filter")
    rows = np.flatnonzero(names.is_in("opendkim") & (moments(window, "milters") != NO_TIME))
    if len(rows):
        signed = column(window, "milters", "result").is_in("signed")[rows]
        found.append(
            _span("opendkim", number(window, "milters", "source")[rows], moments(window, "milters")[rows], signed)
        )
    amavis = np.zeros(0, np.bool_)
    if len(window.verdicts):
        amavis = joined(window, "verdicts", "filter").is_in("amavis")
    for name, told in (("rspamd", shown(window)), ("amavis", amavis)):
        rows = np.flatnonzero(told)
        if len(rows):
            times, sources = (values(window, "verdicts", each)[rows] for each in ("time", "source"))
            found.append(_span(name, sources.astype(np.int64), times, _signed(window)[rows]))
    nothing = np.empty(0, np.int64)
    frame = pd.concat(found, ignore_index=True) if found else _span("", nothing, nothing, nothing.astype(np.bool_))
    return Keyed.of(frame, sums=["signed"], least=["first"], most=["last"])


def _span(name: str, source: Ints, time: Ints, signed: Bools) -> pd.DataFrame:
    """Return when each file's lines of one signer were written."""
    rows = [(at, time[source == at], signed[source == at]) for at in np.unique(source).tolist()]
    return pd.DataFrame(
        {
            "filter": pd.Series([name] * len(rows), dtype="str"),
            "source": np.array([at for at, _, _ in rows], np.int64),
            "first": np.array([times.min() for _, times, _ in rows], np.int64),
            "last": np.array([times.max() for _, times, _ in rows], np.int64),
            "signed": np.array([np.count_nonzero(some) for _, _, some in rows], np.int64),
        }
    )
