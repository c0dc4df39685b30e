"""Outgoing mail with and without a signature of this server's own: kept by window, told when all are seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from logscan.scan import own_domains, signatures
from logscan.scan.by_queue_id import keys_of_entries
from logscan.scan.columns import some_joined, values
from logscan.scan.mail_hashes import mail_hashes
from logscan.scan.opened import opened_at
from logscan.scan.outgoing import Outgoing, outgoing
from logscan.scan.own_domains import OwnDomains
from logscan.scan.signatures import NO_KEY, UNTRUSTED, Said, signed, unsigned
from logscan.tables.partials import Ints, Keyed, Part, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

SIGNED, OPEN, KEYS, REASONS, SIGNERS = "signed", "open", "keys", "reasons", "signers"
"""The parts: mails that were signed, by domain and way; those of which their window doesn't tell it; what signers said of
mails of other windows; who signs, and when its log spoke."""

TEXTS = ("domain", "way", "message_id", "queue_id", "sender")
NUMBERS = ("mail", "key", "other", "time", "place", "recipients", "untrusted", "no_key")


def look(window: Window, settings: Settings) -> dict[str, Part]:
    """Return the parts from which :class:`Unsigned` is made. For look."""
    out, told = outgoing(window), signed(window)
    entry, of_row = _lives(window, out)
    keys = keys_of_entries(window, entry)
    good = np.zeros(len(out.mail), np.bool_)
    if len(told.time) and len(keys):
        good[of_row[np.isin(keys, told.keys())]] = True
    left = np.flatnonzero(~good)
    asked = some_joined(window, "entries", "queue_id", entry[~good[of_row]]).texts()
    reasons = unsigned(window, asked)
    return {
        **own_domains.look(window, settings),
        SIGNED: _counts(window, out, np.flatnonzero(good)),
        OPEN: _open(window, out, left, reasons, (entry, keys, of_row)),
        KEYS: Keyed.of({"key": np.unique(told.of_no_entry(window).keys().ravel())}, once=True),
        REASONS: _reasons(reasons.of_no_entry(window)),
        SIGNERS: signatures.signers(window),
    }


def _lives(window: Window, out: Outgoing) -> tuple[Ints, Ints]:
    """Return the entries of the mails, and the row of ``out`` that each is of."""
    place = np.full(len(window.mails) + 1, -1, np.int64)
    place[out.mail] = np.arange(len(out.mail))
    of_entry = place[values(window, "entries", "mail")]
    entry = np.flatnonzero(of_entry >= 0)
    return entry, of_entry[entry]


def _counts(window: Window, out: Outgoing, rows: Ints) -> Keyed:
    """Return how many mails were signed, by domain and way, and when first and last."""
    time = values(window, "mails", "first")[out.mail[rows]]
    made = {"domain": out.domain.take(rows).texts(), "way": out.way.take(rows).texts()}
    numbers = {"n": np.ones(len(rows), np.int64), "first": time, "last": time}
    return Keyed.of({**made, **numbers}, sums=["n"], least=["first"], most=["last"])


def _open(window: Window, out: Outgoing, rows: Ints, found: Said, lives: tuple[Ints, Ints, Ints]) -> Keyed:
    """Return the mails of which this window shows no signature, one row each."""
    if not len(rows):
        return Keyed.of(_none(), once=True)
    mail, root = out.mail[rows], out.root[rows]
    entry, keys, of_row = lives
    first, last = (np.zeros(len(out.mail), np.int64) for _ in range(2))
    last[of_row] = keys  # of several lives the last one's, which the filter handed back
    begun = out.root[of_row] == entry
    first[of_row[begun]] = keys[begun]
    reason = _told(found, keys, of_row)
    left = values(window, "deliveries", "final") & values(window, "deliveries", "outside")
    recipients = np.bincount(values(window, "deliveries", "mail")[left], minlength=len(window.mails))
    names = {name: some_joined(window, "entries", name, root) for name in ("message_id", "queue_id", "sender")}
    columns: dict[str, Any] = {
        "mail": mail_hashes(window, root),
        "key": first[rows],
        "other": last[rows],
        "time": values(window, "mails", "first")[mail],
        "place": opened_at(window, root),
        "recipients": recipients[mail].astype(np.int64),
        "domain": out.domain.take(rows).texts(),
        "way": out.way.take(rows).texts(),
        **_why(reason, rows),
        **{name: column.texts() for name, column in names.items()},
    }
    return Keyed.of(columns, once=True)


def _why(reason: dict[int, dict[str, str]], rows: Ints) -> dict[str, Any]:
    """Return the columns of the reasons of some rows."""
    if not reason:
        return {
            **{name: np.zeros(len(rows), np.int64) for name in ("untrusted", "no_key")},
            "asked": pa.repeat("", len(rows)),
        }
    told = [reason.get(at, {}) for at in rows.tolist()]
    return {
        "untrusted": np.array([UNTRUSTED in each for each in told], np.int64),
        "no_key": np.array([NO_KEY in each for each in told], np.int64),
        "asked": pa.array([each.get(NO_KEY, "") for each in told], pa.string()),
    }


def _none() -> dict[str, Any]:
    return {name: np.empty(0, np.int64) for name in NUMBERS} | {
        name: pa.array([], pa.string()) for name in ("domain", "way", "asked", *TEXTS[2:])
    }


def _told(found: Said, keys: Ints, of_row: Ints) -> dict[int, dict[str, str]]:
    """Return, by row of mails, why the signer gave it none: the reason, and the domain that it names."""
    if not len(found.time) or not len(keys):
        return {}
    every = found.keys().ravel()
    mine = np.flatnonzero(np.isin(every, keys))
    order = np.argsort(keys, kind="stable")
    at = of_row[order[np.searchsorted(keys[order], every[mine])]]
    out: dict[int, dict[str, str]] = {}
    for row, place in zip((mine % len(found.time)).tolist(), at.tolist(), strict=True):
        out.setdefault(place, {})[found.reason[row]] = found.domain[row]
    return out


def _reasons(found: Said) -> Keyed:
    """Return why mails of other windows weren't signed, by key."""
    made = {
        "key": found.keys().ravel(),
        "reason": pa.array(np.tile(found.reason, 3).tolist(), pa.string()),
        "asked": pa.array(np.tile(found.domain, 3).tolist(), pa.string()),
    }
    return Keyed.of(made)


@dataclass(frozen=True)
class Unsigned:
    """What all windows tell of outgoing mail and its signatures. For conclude."""

    signed: pd.DataFrame
    """``domain``, ``way``, ``n``, ``first``, ``last`` of mails of own domains that were signed."""
    mails: pd.DataFrame
    """Mails of own domains without a signature, one row each in the order of their lines; ``covered`` tells whether a
    signer's log covers the time."""
    signers: pd.DataFrame
    own: OwnDomains

    @classmethod
    def of(cls, partial: Partial, log: Log, near: int) -> Unsigned:
        """Return what is known when all windows are seen; a log tells of ``near`` ns around its lines."""
        own = OwnDomains.of(partial, log)
        mails = _left(partial)
        late = mails["resolved"].to_numpy(dtype=np.bool_)
        signed = partial.frame(SIGNED)
        if late.any():
            more = mails[late].assign(n=1, first=mails["time"], last=mails["time"])
            signed = pd.concat([signed, more[list(signed.columns)]], ignore_index=True)
            by = signed.groupby(["domain", "way"], dropna=False, as_index=False)
            signed = by.agg({"n": "sum", "first": "min", "last": "max"})
        signers = partial.frame(SIGNERS)
        mails = mails[~late]
        mails = mails[own.are(mails["domain"])]
        # OpenDKIM names the domain of the From header: of a list's or a forwarded mail it is the author's.
        strange = (mails["asked"].fillna("") != "").to_numpy(dtype=np.bool_) & ~own.are(mails["asked"])
        mails = mails[~strange]
        mails = mails.assign(way=mails["way"].fillna(""))
        mails = mails.sort_values(["time", "place", "mail"], ignore_index=True)
        mails["covered"] = _covered(mails, signers[signers["signed"] > 0], near)
        mine = signed[own.are(signed["domain"])]
        return cls(mine.assign(way=mine["way"].fillna("")), mails, signers, own)


def _left(partial: Partial) -> pd.DataFrame:
    """Return the open mails: ``resolved`` where another window has their signature; reasons of other windows filled in.

    Of keys that were too many to keep, nothing is known: such mails are left out.
    """
    mails = partial.frame(OPEN)
    if not len(mails):
        return mails.assign(resolved=pd.Series([], dtype="bool"))
    part = partial.parts[KEYS]
    assert isinstance(part, Keyed)
    pair = [mails[name] for name in ("key", "other")]
    resolved = np.any([each.isin(part.frame["key"]).to_numpy() for each in pair], axis=0)
    if part.limit < 2**64:
        hashed = [pd.util.hash_pandas_object(each.to_frame("key"), index=False).to_numpy(np.uint64) for each in pair]
        mails, resolved = mails[np.max(hashed, axis=0) < part.limit], resolved[np.max(hashed, axis=0) < part.limit]
    mails = mails.assign(resolved=resolved)
    reasons = partial.frame(REASONS)
    for name, reason in (("no_key", NO_KEY), ("untrusted", UNTRUSTED)):
        some = reasons[reasons["reason"] == reason].drop_duplicates("key").set_index("key")["asked"]
        hit = mails["key"].isin(some.index) | mails["other"].isin(some.index)
        mails[name] = (mails[name] > 0) | hit
        if reason == NO_KEY and hit.any():
            named = mails["key"].map(some).fillna(mails["other"].map(some))
            mails["asked"] = named.where(hit, mails["asked"]).fillna("")
    return mails


def _covered(mails: pd.DataFrame, signers: pd.DataFrame, near: int) -> Any:
    """Return at which mails a signer's log was being written: one that stands in the mail's own file always is."""
    source, time = mails["place"].to_numpy(np.int64) >> 32, mails["time"].to_numpy(np.int64)
    out = np.zeros(len(mails), np.bool_)
    for each in signers.itertuples():
        out |= (source == each.source) | ((time >= each.first - near) & (time <= each.last + near))
    return out
