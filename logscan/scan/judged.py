"""What DSPAM was handed and judged, as calls that train it ask for it later: whose a signature is, who was served when.

One mail tells it, and another line asks for it, hours or weeks later: a look returns a few numbers a mail, of which the
latest million are kept (:class:`logscan.tables.latest.Latest`).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import distinct
from logscan.scan import coded
from logscan.scan.addresses import addresses
from logscan.scan.hops import dspam_hops
from logscan.scan.memo import per_window
from logscan.scan.message_ids import message_ids, trimmed
from logscan.scan.pasts import newest, shared
from logscan.tables import cells, texts
from logscan.tables.latest import Hashes, Latest, hashed, repeated, seconds
from logscan.tables.partials import Keyed

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.tables.partials import Part, Partial

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SECOND = 10**9

SIGNATURES, HAND_OVERS, MAILS, SERVED, SPAN = "signatures", "hand_overs", "mails", "served", "span"
"""The parts of a partial that this module makes and reads."""


@per_window
def look(window: Window) -> dict[str, Part]:
    """Return what a window tells of mails that DSPAM judged or was handed, and of every other mail that it was not."""
    hops = np.flatnonzero(dspam_hops(window))
    judged = np.flatnonzero(coded.of(window.verdicts["filter"]).equal("dspam"))
    told = _told(window, hops, judged) if len(hops) + len(judged) else _nothing()
    return {**told, MAILS: _mails(window, hops, judged), "dspam": len(judged) + len(hops)}


def _told(window: Window, hops: Ints, judged: Ints) -> dict[str, Part]:
    """Return what tells of mails that DSPAM judged or was handed."""
    verdicts, deliveries, names = window.verdicts, window.deliveries, addresses(window)
    users = coded.of(texts.lower(verdicts["user"]))
    given = [
        words.take(pa.array(_used(codes))).cast(pa.large_string())
        for codes, words in ((users.codes[judged], users.words), (names.recipient[hops], names.words))
    ]
    every = pc.unique(pa.chunked_array(given))
    times = np.concatenate([cells.ns(verdicts["time"])[judged], cells.ns(deliveries["time"])[hops]])
    times = times[times != coded.MISSING]
    ends = np.array([times.min(), times.max()] if len(times) else [], np.int64)
    span = {"first": coded.times(ends[:1]), "last": coded.times(ends[1:])}
    return {
        SIGNATURES: _signatures(verdicts.iloc[judged]) if len(judged) else _nothing()[SIGNATURES],
        HAND_OVERS: _hand_overs(window, hops),
        SERVED: Keyed.of(pd.DataFrame({"user": coded.text(every)}), once=True),
        SPAN: Keyed.of(pd.DataFrame(span), least=["first"], most=["last"], once=True),
    }


@functools.cache
def _nothing() -> dict[str, Part]:
    """Return the parts of a window in which DSPAM neither judged nor was handed a mail."""
    none, text = np.empty(0, np.int64), coded.words([])
    time, name = coded.times(none), coded.category(pa.array([], pa.large_string()), none)
    number = none.astype(np.uint64)
    signatures = {
        "time": time,
        "signature": number,
        "ident": number,
        "identified": none.astype(np.bool_),
        "owner": name,
    }
    places = {"source": none.astype(np.int32), "line": none, "copy": none.astype(np.bool_)}
    hops = {"time": time, "spent": none.astype(np.int32), "recipient": name, "judged": none.astype(np.bool_)}
    return {
        SIGNATURES: Latest.latest(pd.DataFrame(signatures | places)),
        HAND_OVERS: Latest.latest(pd.DataFrame(hops)),
        SERVED: Keyed.of(pd.DataFrame({"user": text})),
        SPAN: Keyed.of(pd.DataFrame({"first": time, "last": time}), least=["first"], most=["last"]),
    }


def _used(codes: Ints) -> Ints:
    once = distinct(codes)
    return once[once >= 0]


def _signatures(judged: pd.DataFrame) -> Latest:
    """Return a row a signature: ``signature`` and ``ident`` (message-id) as hashes, ``owner``, and where its line stands.

    ``copy`` is a line of a user's own log: system.log may have it too, in another window.
    """
    signature = hashed(judged["signature"])
    frame = pd.DataFrame(
        {
            "time": judged["time"],
            "signature": signature,
            "ident": hashed(bare(judged["message_id"])),
            "identified": judged["message_id"].notna(),
            "owner": repeated(judged["user"]),
            "source": judged["source"].astype("int32"),
            "line": judged["line"].astype("int64"),
            "copy": (judged["program"] == "dspam.user").to_numpy(dtype=np.bool_),
        }
    )
    return Latest.latest(frame[signature > 0])


def _hand_overs(window: Window, hops: Ints) -> Latest:
    """Return a row a hand-over: ``spent`` are the seconds (int32) that it took, rounded up; ``judged``: DSPAM's log has it."""
    deliveries = window.deliveries
    delays = texts.arrow(deliveries["delays"]).take(pa.array(hops))
    whole = np.ceil(_last_part(delays) * 1.05)
    names = addresses(window)
    frame = {
        "time": deliveries["time"].array[hops],
        "spent": np.clip(whole, -(2**31), 2**31 - 1).astype(np.int32),
        "recipient": coded.category(names.words, names.raw[hops]),
        "judged": deliveries["verdict_row"].to_numpy()[hops] >= 0,
    }
    return Latest.latest(pd.DataFrame(frame, copy=False))


def _last_part(delays: pa.Array) -> npt.NDArray[np.float64]:
    """Return the last of the parts a/b/c/d as a number of seconds, 0 where it is none."""
    words = pc.replace_substring_regex(pc.fill_null(delays, "0"), r"(?s)^.*/", "")
    plain = pc.match_substring_regex(words, r"^[0-9]{1,9}(?:\.[0-9]{0,9})?$")
    if pc.all(plain, min_count=0).as_py():
        found: npt.NDArray[np.float64] = pc.cast(words, pa.float64()).to_numpy(zero_copy_only=False)
    else:
        found = pd.to_numeric(texts.series(words), errors="coerce").fillna(0).to_numpy(dtype=np.float64)
    return found


def _mails(window: Window, hops: Ints, judged: Ints) -> Latest:
    """Return a row a message-id (``ident``): the second it was last seen, and whether DSPAM signed it, as far as told here."""
    entries, verdicts = window.entries, window.verdicts
    handed = np.zeros(len(entries) + 1, np.bool_)
    handed[window.deliveries["entry"].to_numpy()[hops]] = True
    ids = message_ids(window)
    code, flag, when = ids.entries, handed[:-1], seconds(entries["first"])
    if len(judged):
        signed = judged[(verdicts["signature"].iloc[judged].fillna("") != "").to_numpy(dtype=np.bool_)]
        code = np.r_[code, ids.verdicts[signed]]
        flag = np.r_[flag, np.ones(len(signed), np.bool_)]
        when = np.r_[when, seconds(verdicts["time"].iloc[signed])]
    code = ids.bare[code]
    # Of each message-id tells what is signed, or else what was seen last.
    sure = np.zeros(len(ids.hashes), np.bool_)
    sure[code[flag]] = True
    last = np.zeros(len(ids.hashes), np.uint32)
    mine = flag | ~sure[code]
    np.maximum.at(last, code[mine], when[mine])
    seen = np.zeros(len(ids.hashes), np.bool_)
    seen[code] = True
    known = np.flatnonzero(seen & (ids.hashes > 0))
    frame = {"time": last[known], "ident": ids.hashes[known], "signed": sure[known]}
    return Latest.latest(pd.DataFrame(frame, copy=False))


PAST_DAYS = 21
"""Days that a past tells of: DSPAM's own cleaning keeps signatures for 14, and some give it more."""

MOST_REMEMBERED = 40_000
"""Rows that a past has of each kind, the latest; some 20 bytes each. A server with 2,800 mails a day has two weeks of them."""


@shared(SIGNATURES, HAND_OVERS, MAILS)
def remember(partial: Partial, now: int) -> dict[str, Part]:
    """Return what later runs may ask for, of the same time: who was served is told by what is kept of the mails."""
    since = now - PAST_DAYS * 86_400 * SECOND
    signatures, hand_overs = (
        newest(partial.parts[name], "time", since, MOST_REMEMBERED) for name in (SIGNATURES, HAND_OVERS)
    )
    mails = newest(partial.parts[MAILS], "time", since // SECOND, MOST_REMEMBERED)
    frames = [signatures.frame["owner"], hand_overs.frame["recipient"]]
    users = {str(user).lower() for each in frames for user in each.cat.categories}
    times = np.concatenate([cells.ns(each.frame["time"]) for each in (signatures, hand_overs)])
    times = times[times != coded.MISSING]
    ends = np.array([times.min(), times.max()] if len(times) else [], np.int64)
    span = {"first": coded.times(ends[:1]), "last": coded.times(ends[1:])}
    return {
        SIGNATURES: signatures,
        HAND_OVERS: hand_overs,
        MAILS: mails,
        SERVED: Keyed.of(pd.DataFrame({"user": coded.words(sorted(users))}), once=True),
        SPAN: Keyed.of(pd.DataFrame(span), least=["first"], most=["last"], once=True),
    }


def bare(ids: pd.Series) -> pd.Series:
    """Return message-ids without brackets; empty where mail_log cut them."""
    return texts.series(trimmed(texts.arrow(ids.astype("str"))), ids)


def _without_copies(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop lines of users' own logs that system.log has too (same signature, user and second)."""
    copy = frame["copy"]
    if not copy.any() or copy.all():
        return frame
    by = frame.groupby(["signature", "owner", "time"], sort=False, dropna=False, observed=True)["copy"]
    return frame[~copy | by.transform("all")]


def _until(partial: Partial) -> pd.Timestamp | None:
    part = partial.parts[SIGNATURES]
    assert isinstance(part, Latest)
    return None if part.until is None else pd.Timestamp(part.until, tz="UTC")


class Signatures:
    """Whom DSPAM learned each signature's mail for, the mail's message-id, and the lines that tell it."""

    def __init__(self, partial: Partial) -> None:
        self.until = _until(partial)
        """Mails that were judged up to then are told of no more; None where all are."""
        frame = _without_copies(partial.frame(SIGNATURES))
        self.frame = frame.sort_values(["signature", "time", "source", "line"], ignore_index=True)
        self._owned = self.frame[self.frame["owner"].notna()]
        self._identified = self.frame[self.frame["identified"]]

    @staticmethod
    def _last(frame: pd.DataFrame, wanted: Hashes) -> Ints:
        """Return, for each signature, the place of its last row in a frame; -1 where there is none."""
        known = frame["signature"].to_numpy()
        place = np.searchsorted(known, wanted, "right") - 1
        found = (place >= 0) & (np.append(known, np.uint64(0))[place] == wanted) & (wanted > 0)
        out: Ints = np.where(found, place, -1)
        return out

    def owners(self, signatures: pd.Series) -> list[str | None]:
        """Return the owner of each signature."""
        names = [*self._owned["owner"].cat.categories, None]
        codes = np.append(self._owned["owner"].cat.codes.to_numpy().astype(np.int64), -1)
        return [names[code] for code in codes[self._last(self._owned, hashed(signatures))].tolist()]

    def idents(self, signatures: pd.Series) -> Hashes:
        """Return the message-id of each signature's mail (0 where it is told nowhere)."""
        found = np.append(self._identified["ident"].to_numpy(), np.uint64(0))
        out: Hashes = found[self._last(self._identified, hashed(signatures))]
        return out

    def lines(self, signatures: pd.Series) -> dict[str, list[tuple[int, int]]]:
        """Return the lines (source, line) on each signature, in the order of time."""
        given = signatures.dropna().drop_duplicates()
        wanted, known = hashed(given), self.frame["signature"].to_numpy()
        low, high = np.searchsorted(known, wanted), np.searchsorted(known, wanted, "right")
        sources, lines = self.frame["source"].to_numpy(), self.frame["line"].to_numpy()
        return {
            str(name): list(zip(sources[a:b].tolist(), lines[a:b].tolist(), strict=True))
            for name, a, b in zip(given, low.tolist(), high.tolist(), strict=True)
            if name
        }


class HandOvers:
    """When DSPAM was handed mail, for whom, and whether its own log was being written then."""

    def __init__(self, partial: Partial) -> None:
        frame = partial.frame(HAND_OVERS).sort_values("time", kind="stable", ignore_index=True)
        ns = frame["time"].dt.as_unit("ns").astype("int64").to_numpy()
        self._second, self._spent = ns // SECOND, frame["spent"].to_numpy().astype(np.int64)
        self._longest = int(self._spent.max(initial=0))
        self._names = [*frame["recipient"].cat.categories, None]
        self._recipient = frame["recipient"].cat.codes.to_numpy()
        first = np.flatnonzero(np.r_[True, ns[1:] != ns[:-1]]) if len(ns) else np.empty(0, np.int64)
        self._times = ns[first]
        self._judged = (
            np.logical_or.reduceat(frame["judged"].to_numpy(), first) if len(first) else np.empty(0, np.bool_)
        )

    def __len__(self) -> int:
        return len(self._second)

    def recipients(self, made: int) -> list[str]:
        """Return for whom DSPAM may have worked in a second (since 1970)."""
        low, high = np.searchsorted(self._second, (made - 1, made + self._longest + 2))
        inside = self._second[low:high] - self._spent[low:high] - 1 <= made
        names = {self._names[code] for code in np.unique(self._recipient[low:high][inside]).tolist()}
        return sorted(name for name in names if name is not None)

    def going_on(self, times: Ints) -> Bools:
        """Return for which times (UTC ns) the mails handed over just before and after stand in DSPAM's own log."""
        judged = np.r_[True, self._judged, True]
        place = np.searchsorted(self._times, times)
        out: Bools = judged[place] & judged[place + 1]
        return out


class Mails:
    """Which mails DSPAM signed, of those that the log holds."""

    def __init__(self, partial: Partial) -> None:
        frame = partial.frame(MAILS).sort_values(["ident", "signed"], ignore_index=True)
        self._ident, self._signed = frame["ident"].to_numpy(), frame["signed"].to_numpy()
        self._dspam = partial.count("dspam") > 0

    def signed(self, idents: Hashes) -> list[bool | None]:
        """Return whether each mail was signed, None where that isn't told; other filters than DSPAM learn without it."""
        if not self._dspam:
            return [True] * len(idents)
        place = np.searchsorted(self._ident, idents, "right") - 1
        found = (place >= 0) & (np.append(self._ident, np.uint64(0))[place] == idents) & (idents > 0)
        signed = np.append(self._signed, False)[place].astype(np.bool_)
        return [bool(yes) if known else None for known, yes in zip(found.tolist(), signed.tolist(), strict=True)]


class Served:
    """Whom DSPAM has mail of, and the time over which the logs tell that."""

    def __init__(self, partial: Partial) -> None:
        part = partial.parts[SERVED]
        assert isinstance(part, Keyed)
        self.users = {str(user) for user in part.frame["user"]}
        self.all = part.limit == 2**64
        """Whether they are all told; else they are too many."""
        self.with_domain = {user.partition("@")[0] for user in self.users if "@" in user}
        """Local parts of those with a domain."""
        self.bare = any("@" not in user for user in self.users)
        span = partial.frame(SPAN)
        self.first = span["first"].min() if len(span) else pd.NaT
        self.last = span["last"].max() if len(span) else pd.NaT
        self._until = _until(partial)

    def covers(self, made: pd.Timestamp) -> bool:
        """Whether it is known what DSPAM judged when a signature was made."""
        if pd.isna(made) or pd.isna(self.first) or (self._until is not None and made <= self._until):
            return False
        return bool(self.first <= made <= self.last)
