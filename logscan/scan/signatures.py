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

from logscan.scan.by_queue_id import coded, keys
from logscan.scan.columns import NO_TIME, column, joined, moments, number, some_joined, values
from logscan.scan.memo import per_window
from logscan.tables.partials import Ints, Keyed

if TYPE_CHECKING:
    from logscan.scan.window import Window

Bools = npt.NDArray[np.bool_]

SIGNED = r"(?:^|,)DKIM_SIGNED\("
"""rspamd's symbol for a signature that it made itself (src/plugins/lua/dkim_signing.lua); of the mail's own it says R_DKIM."""

NO_KEY, UNTRUSTED = "no key", "not trusted"


class Said(NamedTuple):
    """What signers said of queue IDs, one row each."""

    queue_id: pa.Array
    time: Ints
    """UTC ns."""
    signed: Bools
    reason: npt.NDArray[Any]
    """Why not: :data:`NO_KEY`, :data:`UNTRUSTED`, else empty."""
    domain: npt.NDArray[Any]
    """Whose key was missing, as far as it is told."""


def keys_of(said: Said, rows: Ints) -> Ints:
    """Return all keys under which a mail may be that some rows speak of, three a row."""
    return keys(coded(said.queue_id.take(pa.array(rows))).hashed(), said.time[rows]).ravel()


@per_window
def said(window: Window) -> Said:
    """Return what OpenDKIM, rspamd and amavis said of mails that they signed, or left unsigned for a reason."""
    parts = [*_opendkim(window), *_verdicts(window)]
    if not parts:
        nothing = np.empty(0, object)
        return Said(pa.array([], pa.string()), np.empty(0, np.int64), np.empty(0, np.bool_), nothing, nothing)
    ids, *others = zip(*parts, strict=True)
    joined_ = pa.concat_arrays([each.cast(pa.string()) for each in ids])
    return Said(joined_, *(np.concatenate(each) for each in others))


def _opendkim(window: Window) -> list[Said]:
    filters = column(window, "milters", "filter").is_in("opendkim")
    if not filters.any():
        return []
    result, queue_id = column(window, "milters", "result"), column(window, "milters", "queue_id")
    signed = result.is_in("signed")
    unsigned = result.is_in("unsigned")
    other = np.flatnonzero(filters & (result.codes < 0))
    text = column(window, "milters", "text")
    distrust = np.zeros(len(filters), np.bool_)
    distrust[other] = text.take(other).matching(_distrusted)
    rows = np.flatnonzero(filters & (signed | unsigned | distrust) & (queue_id.codes >= 0))
    if not len(rows):
        return []
    reason = np.full(len(rows), "", object)
    reason[unsigned[rows]], reason[distrust[rows]] = NO_KEY, UNTRUSTED
    domain = np.full(len(rows), "", object)
    missing = np.flatnonzero(unsigned[rows])
    named = text.take(rows[missing]).changed(_named)
    domain[missing] = np.array([*named.values, ""], object)[named.codes]
    ids = queue_id.take(rows).texts()
    return [Said(ids, moments(window, "milters")[rows], signed[rows], reason, domain)]


def _distrusted(words: pa.Array) -> pa.Array:
    return pc.match_substring_regex(words, r"(?s)^(?:.* )?not (?:internal|authenticated|POP authenticated)$")


def _named(text: str) -> str:
    """Return the domain in ``no signing table match for 'user@example.org'``."""
    return text.partition("'")[2].rpartition("'")[0].rpartition("@")[2].lower()


def _verdicts(window: Window) -> list[Said]:
    """Return the signatures that filters tell of with their verdict; amavis names the mail before it and after it."""
    found = []
    rows = np.flatnonzero(_signed(window))
    for name in ("queue_id", "child_queue_id") if len(rows) else ():
        queue_id = some_joined(window, "verdicts", name, rows)
        some, ids = rows[queue_id.codes >= 0], queue_id.take(queue_id.codes >= 0).texts()
        blank = np.full(len(some), "", object)
        found.append(Said(ids, values(window, "verdicts", "time")[some], np.ones(len(some), np.bool_), blank, blank))
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
