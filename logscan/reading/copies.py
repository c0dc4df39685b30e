"""Copies of the same lines in several files (mail.log beside syslog, a BSD beside an ISO log): each is read once.

Lines are the same when host, program, PID, text and second are; the n-th of its kind in one file is the n-th in the
other, so repeats within a file stay. The source with the finer clock wins, else the earlier one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from logscan.clocks.model import Solution
from logscan.clocks.wall import Pass
from logscan.envelopes import unwrapping as envelope
from logscan.sources import rotation

if TYPE_CHECKING:
    from logscan.reading.reads import SourceRead

Dropped = dict[int, npt.NDArray[np.bool_]]
"""By source: for each of its lines that were read (from 0) whether it was read elsewhere."""

NOT_LOGS = ("dspam-system-log", "dspam-user-log")
"""Kinds whose lines have no twin in a syslog; DSPAM's own logs are matched by signature, not by line."""


def find(reads: Sequence[SourceRead], solution: Solution) -> Dropped:
    """Return the lines to drop, and note their number in each source's ``copies``."""
    logs = [n for n, read in enumerate(reads) if read.bounds and read.lines and read.kind not in NOT_LOGS]
    overlapping = [n for n in logs if any(m != n and _may_copy(reads[n], reads[m]) for m in logs)]
    if len(overlapping) < 2:
        return {}
    keys = {n: _keys(n, reads[n], solution) for n in overlapping}
    overlapping.sort(key=lambda n: (-keys[n].fine, n))
    dropped: Dropped = {}
    for place, n in enumerate(overlapping):
        one = keys[n]
        better = [keys[m].key for m in overlapping[:place] if _may_copy(reads[n], reads[m])]
        again = np.isin(one.key, np.concatenate(better)) if better else np.zeros(len(one.key), np.bool_)
        if again.any():
            lines = np.zeros(reads[n].lines, np.bool_)
            lines[one.number[again]] = True
            dropped[n] = lines
            reads[n].copies = int(np.count_nonzero(lines))
    return dropped


def keep(dropped: Dropped, table: pa.Table, reads: Sequence[SourceRead]) -> npt.NDArray[np.bool_] | None:
    """Return a mask of the rows that stay, or None when all do."""
    if not dropped:
        return None
    source = table.column("source").to_numpy()
    line = table.column("line").to_numpy()
    mask = np.ones(len(table), np.bool_)
    for number, lines in dropped.items():
        rows = np.flatnonzero(source == number)
        mask[rows] = ~lines[line[rows] - 1 - reads[number].source.before]
    return mask


SEAM = 2 * 10**9
"""Rotated parts share the second they were cut in: an overlap this short, of longer logs, is no copy."""


def _may_copy(one: SourceRead, other: SourceRead) -> bool:
    """Whether two sources cover the same time, by more than the seam between two parts of one log."""
    if one.bounds is None or other.bounds is None:
        return False
    shared = min(one.bounds[1], other.bounds[1]) - max(one.bounds[0], other.bounds[0])
    shorter = min(one.bounds[1] - one.bounds[0], other.bounds[1] - other.bounds[0])
    parts = rotation.parse(one.source.path).set == rotation.parse(other.source.path).set
    return shared >= 0 and (shared > SEAM or (not parts and 2 * shared >= shorter))


class _Keys:
    """The keys of one source's lines (uint64), their line numbers from 0, and whether its clock has fractions."""

    def __init__(self, key: npt.NDArray[np.uint64], number: npt.NDArray[np.int64], fine: bool) -> None:
        self.key, self.number, self.fine = key, number, fine


def _keys(source: int, read: SourceRead, solution: Solution) -> _Keys:
    hashes: list[npt.NDArray[np.int64]] = []
    times: list[npt.NDArray[np.int64]] = []
    numbers: list[npt.NDArray[np.int64]] = []
    fine, before, last, turn = False, 0, -1, 0
    state = Pass()
    for chunk in read.source.chunks(4 << 20):
        found = envelope.unwrap(chunk, read.source.kind, read.source.context)
        time = found.time.copy()
        wall = np.flatnonzero(found.clock >= 0)
        if len(wall):
            first = int(found.clock[wall[0]])
            if last >= 0:
                turn += envelope.turn_between(last, first)
            turns = (found.turn[wall] + turn).astype(np.int16)
            utc = solution.utc(source, found.clock[wall], turns, state=state)
            known = time[wall] != envelope.NO_TIME
            time[wall] = np.where(known, time[wall], utc)
            last, turn = int(found.clock[wall[-1]]), int(turns[-1])
        fine = fine or bool(np.any(time[time != envelope.NO_TIME] % 10**9))
        hashes.append(np.fromiter(map(hash, found.bodies.cut()), np.int64, len(found.bodies)))
        times.append(time)
        numbers.append(found.number.astype(np.int64) + before)
        before += found.lines
    text = np.concatenate(hashes).astype(np.uint64) if hashes else np.empty(0, np.uint64)
    key = mixed(text, np.concatenate(times) if times else np.empty(0, np.int64))
    number = np.concatenate(numbers) if numbers else np.empty(0, np.int64)
    return _Keys(key + nth(key) * np.uint64(0xFF51AFD7ED558CCD), number, fine)


def mixed(text: npt.NDArray[np.uint64], time: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Return one number (uint64) for a line's text, itself a hash, and its second; ``time`` is UTC ns."""
    second = (time // 10**9).astype(np.uint64)
    out: npt.NDArray[np.uint64] = text * np.uint64(0x9E3779B97F4A7C15) ^ second * np.uint64(0xC2B2AE3D27D4EB4F)
    return out


def nth(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return how many equal ones stand before each (uint64)."""
    out = np.zeros(len(keys), np.uint64)
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    starts = np.append(True, ranked[1:] != ranked[:-1])[: len(ranked)]
    position = np.arange(len(ranked))
    out[order] = position - np.maximum.accumulate(np.where(starts, position, 0))
    return out
