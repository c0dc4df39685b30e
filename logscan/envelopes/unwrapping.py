"""Envelopes: turns the lines of a chunk into (time, "host tag[pid]: text"), whatever wrote them.

Two clocks leave this stage: UTC nanoseconds where a line has its year and offset, else the *wall clock* (nanoseconds
within a leap year, without year and zone), which :mod:`logscan.clocks.solving` turns into UTC once the anchors of all sources
are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from logscan.envelopes import bodies as bodies_of
from logscan.envelopes import records
from logscan.envelopes.json_lines import both, json_line, sent, shipped
from logscan.envelopes.lines import Bodies, Lines, Offsets
from logscan.envelopes.prefixes import JOURNALCTL, PREFIX, rare_stamp, sane
from logscan.envelopes.rows import LAST, WHITE, white_from
from logscan.envelopes.stamps import DAY, NEVER, NO_OFFSET, NO_TIME, STAMP, Ints, Layout, Moment, moment
from logscan.envelopes.untagged import UNIT, Untagged
from logscan.machine import envelopes as machine
from logscan.machine.library import LIBRARY

__all__ = ["HALF_YEAR", "NO_TIME", "Bodies", "Lines", "Offsets", "turn_between", "unwrap"]

HALF_YEAR = 180 * DAY
"""A wall clock that falls by more than this has passed New Year."""

LATE = 30 * DAY
"""A December line after January ones is a late line only when it is this much late at most; else months are missing."""

LAYOUTS = 6
"""Kinds of stamp read at speed in one chunk; the lines of any further ones are read one by one."""

MOST_OFFSETS = 16
"""Stretches of one offset in a chunk; where offsets change more often, each has one, whatever stands between."""

SAMPLE = 800
"""Lines looked at to see whether a chunk holds stamps within stamps."""

FEWER = 100
"""Lines looked at to see whether names of containers stand before them, or units in the tag's place: in all or none."""

ROUNDS = 4
"""White space at a line's end is taken off all lines at once so often, then line by line."""

_WHITE, _ASCII = np.zeros(256, np.bool_), np.zeros(256, np.bool_)
_ASCII[list(WHITE)] = True
_WHITE[list(LAST)] = True


def unwrap(chunk: bytes, kind: str, context: dict[str, Any]) -> Lines:
    """Return the lines of ``chunk``, which holds whole lines of a source of the given kind.

    ``context`` is what the source knows of itself (path, DSPAM user of a user log, ...). Any bytes are taken; nothing
    is raised. Lines in another envelope than ``kind`` says are read as what they are.
    """
    if kind != "journal-export":
        if b"\0" in chunk:
            chunk = chunk.translate(None, b"\0")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n")
        if not kind.startswith("dspam-"):  # there a byte more or less would be another place for the next record
            chunk = sane(chunk)
    decoder = records.DECODERS.get(kind)
    if decoder is not None:
        rows = decoder(chunk, context)
        number = np.asarray(rows.number, np.int32)
        columns = (rows.time, rows.clock, rows.year, rows.offset)
        time, clock, year, offset = (np.asarray(column, np.int64) for column in columns)
        turn, base = _turns(clock, year)
        lost = tuple(rows.lost)
        bodies = Bodies.of(rows.bodies)
        told = _offsets(time, offset)
        return Lines(
            bodies, number, time, clock, turn, rows.lines, kind, rows.undecodable, lost, rows.blank, base, told
        )
    return _text(chunk, kind)


def _text(chunk: bytes, kind: str) -> Lines:
    """Read lines of text: stamps in columns first, the rest one by one."""
    data = np.frombuffer(chunk, np.uint8)
    starts, ends = machine.lines(chunk) if LIBRARY is not None else _lines(chunk, data)
    starts = _unprefixed(chunk, starts, ends)
    lines = len(ends)
    width, special, columns = _stamps(chunk, data, starts, ends)
    time, clock, year, offset = columns
    bodies = Bodies(chunk, starts + width, ends, {})
    _second_stamps(chunk, bodies, width > 0, columns)
    settle = bodies_of.Settler(kind)
    untagged = Untagged() if kind == "journal-cat" else None
    drop: list[int] = []
    blank = 0
    for at in np.flatnonzero(width == 0).tolist():
        line = bodies[at]
        if not line or line.isspace() or JOURNALCTL.match(line):
            blank += 1
            drop.append(at)
        elif (decoded := _slowly(line, settle) or _text_alone(line, untagged)) is None:
            drop.append(at)
        else:
            bodies[at], (time[at], clock[at], year[at], offset[at]) = decoded
    if special.any():
        for at in np.flatnonzero(special).tolist():
            bodies[at] = bodies_of.rfc5424(bodies[at]) or bodies[at]
    ours = (width > 0) & ~special
    if LIBRARY is not None:
        bodies.tags = machine.tags(chunk, bodies.starts, ends, width > 0)
        ours &= _homeless(bodies.tags, settle)
    _settle_all(data, bodies, ours, settle)
    _inner_stamps(bodies, time)
    if any(UNIT.match(bodies[at]) for at in range(0, len(bodies), max(1, len(bodies) // FEWER))):
        _units(bodies)
    number = np.arange(lines, dtype=np.int32)
    if drop:
        keep = np.ones(lines, np.bool_)
        keep[drop] = False
        bodies = bodies.kept(np.flatnonzero(keep))
        number, time, clock, year, offset = number[keep], time[keep], clock[keep], year[keep], offset[keep]
    turn, base = _turns(clock, year)
    told = _offsets(time, offset)
    return Lines(bodies, number, time, clock, turn, lines, kind, len(drop) - blank, (), blank, base, told)


def _lines(chunk: bytes, data: npt.NDArray[np.uint8]) -> tuple[Ints, Ints]:
    """Return where the lines start, and where they end without the white space at their ends (int64)."""
    ends = np.flatnonzero(data == 10)
    if len(chunk) and chunk[-1] != 10:
        ends = np.append(ends, len(chunk))
    starts = np.concatenate((np.zeros(min(1, len(ends)), ends.dtype), ends[:-1] + 1))
    return starts, _trimmed(chunk, data, starts, ends)


def _stamps(
    chunk: bytes, data: npt.NDArray[np.uint8], starts: Ints, ends: Ints
) -> tuple[Ints, npt.NDArray[np.bool_], tuple[Ints, Ints, Ints, Ints]]:
    """Read the stamps that many lines have alike; returns the width of each (int64, 0 where none was read), whether
    RFC 5424 stands behind it (bool), and what it says: UTC time, wall clock, year, offset (int64).
    """
    lines = len(ends)
    special = np.zeros(lines, np.bool_)
    if LIBRARY is not None:
        width, time, clock, year, offset, left = machine.stamps(chunk, starts, ends)
        pending = np.flatnonzero((width == 0) & (ends > starts)) if left else starts[:0]
    else:
        offset = np.full(lines, NO_OFFSET, np.int64)
        time, clock = np.full(lines, NO_TIME, np.int64), np.full(lines, -1, np.int64)
        year, width = np.zeros(lines, np.int64), np.zeros(lines, np.int64)
        pending = np.flatnonzero(ends > starts)
    for _ in range(LAYOUTS):
        found = _first_stamp(chunk, starts, ends, pending)
        if found is None:
            break
        layout = Layout.of(found)
        long = ends[pending] - starts[pending] >= layout.width
        rows = pending[long]
        fits, *values = layout.read(data, starts[rows])
        if fits.all() and len(rows) == lines:
            time, clock, year, offset = values
            width[:], special[:] = layout.width, layout.rfc5424
            pending = pending[:0]
        else:
            done = rows[fits]
            for target, value in zip((time, clock, year, offset), values, strict=True):
                target[done] = value[fits]
            width[done], special[done] = layout.width, layout.rfc5424
            rest = ~long
            rest[long] = ~fits
            pending = pending[rest]
    return width, special, (time, clock, year, offset)


def _unprefixed(chunk: bytes, starts: Ints, ends: Ints) -> Ints:
    """Return where the lines start behind the names of containers, if some of them have any (int64)."""
    for at in range(0, len(starts), max(1, len(starts) // FEWER)):
        head = chunk[starts[at] : min(ends[at], starts[at] + 300)]
        if PREFIX.match(head) and not STAMP.match(head):
            break
    else:
        return starts
    starts = starts.copy()
    for at, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        if not STAMP.match(chunk, start, end) and (found := PREFIX.match(chunk, start, end)):
            starts[at] = found.end()
    return starts


def _second_stamps(chunk: bytes, bodies: Bodies, rows: npt.NDArray[np.bool_], columns: tuple[Ints, ...]) -> None:
    """Take off the stamps behind stamps: a container runtime's stands before the line's own (docker logs -t)."""
    starts, ends = bodies.starts, bodies.ends
    if not any(STAMP.match(bodies[at]) for at in range(0, len(bodies), max(1, len(bodies) // FEWER))):
        return
    for at in np.flatnonzero(rows).tolist():
        found = STAMP.match(chunk, int(starts[at]), int(ends[at]))
        own = moment(found) if found else None
        if found and own:
            starts[at] = found.end()
            outer = tuple(int(column[at]) for column in columns)
            for column, value in zip(columns, both(outer, own), strict=True):  # type: ignore[arg-type]
                column[at] = value


def _offsets(time: Ints, offset: Ints) -> tuple[Offsets, ...]:
    """Return the stretches of lines that carry one offset."""
    rows = np.flatnonzero((offset != NO_OFFSET) & (time != NO_TIME))
    if not len(rows):
        return ()
    time, offset = time[rows], offset[rows]
    begins = np.concatenate(([0], np.flatnonzero(np.diff(offset)) + 1))
    if len(begins) > MOST_OFFSETS:
        some = [time[offset == each] for each in np.unique(offset)]
        values = np.unique(offset).tolist()
    else:
        some = np.split(time, begins[1:])
        values = offset[begins].tolist()
    return tuple((value, int(each.min()), int(each.max()), len(each)) for value, each in zip(values, some, strict=True))


def _trimmed(chunk: bytes, data: npt.NDArray[np.uint8], starts: Ints, ends: Ints) -> Ints:
    """Return where the lines end without the white space at their ends (int64)."""
    left = np.flatnonzero(ends > starts)
    left = left[_WHITE[data[ends[left] - 1]]]
    if not len(left):
        return ends
    ends = ends.copy()
    for _ in range(ROUNDS):
        left = left[_ASCII[data[ends[left] - 1]]]
        ends[left] -= 1
        left = left[ends[left] > starts[left]]
    left = np.flatnonzero(ends > starts)
    for at in left[_WHITE[data[ends[left] - 1]]].tolist():
        ends[at] = white_from(chunk, int(starts[at]), int(ends[at]))
    return ends


def _first_stamp(chunk: bytes, starts: Ints, ends: Ints, pending: Ints) -> re.Match[bytes] | None:
    """Return the first readable stamp among some of the pending lines, or None when lines seem not to have one."""
    for at in pending[:64].tolist():
        found = STAMP.match(chunk[starts[at] : min(ends[at], starts[at] + 160)])
        if found and moment(found):
            return found
    return None


def _slowly(line: bytes, settle: bodies_of.Settler, *, inside: bool = False) -> tuple[bytes, Moment] | None:
    """Read one line of any shape, or what stands behind a container's name: body and moment, or None without an envelope."""
    if line[:1] in (b"{", b"d", b"\x1e") and (record := sent(line))[:1] == b"{":
        return json_line(record)
    found = STAMP.match(line)
    if found:
        when = moment(found)
        if when is None or len(line) == found.end():
            return None
        rest = line[found.end() :]
        second = STAMP.match(rest)
        own = moment(second) if second else None
        if second and own:
            rest, when = rest[second.end() :], both(when, own)
        return (bodies_of.rfc5424(rest) or rest) if found["v5424"] else settle(rest), when
    note = records.dspam_line(line) or shipped(line)
    if note:
        return note
    rare = rare_stamp(line)
    if rare and len(line) > rare[0]:
        return settle(line[rare[0] :]), rare[1]
    body = settle.bare(line)
    if body:
        return body, NEVER
    prefix = None if inside else PREFIX.match(line)
    return _slowly(line[prefix.end() :], settle, inside=True) if prefix else None


def _text_alone(line: bytes, untagged: Untagged | None) -> tuple[bytes, Moment] | None:
    return (untagged.bare(line), NEVER) if untagged else None


def _units(bodies: Bodies) -> None:
    """Put programs in the place of systemd's units, which ``journalctl -o with-unit`` writes for them."""
    untagged = Untagged()
    for at in bodies.holding(b".service"):
        body = bodies[at]
        told = untagged.unit(body)
        if told is not body:
            bodies[at] = told


def _homeless(tags: machine.Tags, settle: bodies_of.Settler) -> npt.NDArray[np.bool_]:
    """Return which bodies may start with something else than a host."""
    known = [settle.is_host(name.partition(b" ")[0]) for name in tags.names]
    of_tag = np.append(~np.asarray(known, np.bool_)[tags.name], True)
    out: npt.NDArray[np.bool_] = of_tag[tags.tag]
    return out


def _settle_all(
    data: npt.NDArray[np.uint8], bodies: Bodies, rows: npt.NDArray[np.bool_], settle: bodies_of.Settler
) -> None:
    """Rewrite bodies that don't start with a host; those with the commonest hosts are passed over in one comparison."""
    left = np.flatnonzero(rows)
    for _ in range(4):
        if not len(left):
            return
        host, blank, _rest = bodies[int(left[0])].partition(b" ")
        if not blank or len(host) > 255 or not settle.is_host(host):
            break
        size = len(host) + 1
        long = bodies.ends[left] - bodies.starts[left] >= size
        windows = np.ndarray((len(data) - size + 1,), f"S{size}", data, strides=(1,))
        same = np.zeros(len(left), np.bool_)
        same[long] = windows[bodies.starts[left[long]]] == host + blank
        left = left[~same]
    for at in left.tolist():
        body = bodies[at]
        settled = settle(body)
        if settled is not body:
            bodies[at] = settled


def _inner_stamps(bodies: Bodies, time: Ints) -> None:
    """Take off what stands between tag and text: Solaris message IDs, and whole envelopes logged through another."""
    match = bodies_of.INNER.match
    some: Sequence[int] = range(0, len(bodies), max(1, len(bodies) // SAMPLE))
    every: Iterable[int] = range(len(bodies))
    if bodies.tags is not None:
        likely = bodies.tags.inner
        likely[list(bodies.changed)] = True
        every = np.flatnonzero(likely).tolist()
        some = [at for at in some if likely[at]]
    if not any(match(bodies[at]) for at in some):
        return
    for at in every:
        body = bodies[at]
        found = match(body)
        if found is not None:
            bodies[at], told = bodies_of.inner(body, found)
            if told != NO_TIME and time[at] == NO_TIME:
                time[at] = told


def turn_between(before: int, after: int) -> int:
    """Return how the year changes between two wall clocks that follow each other in a file: -1, 0 or 1.

    Falling by more than half a year is New Year; rising by as much is a late line from December when it takes it back
    by :data:`LATE` at most. Jitter moves nothing.
    """
    step = after - before
    return int(step < -HALF_YEAR) - int(step > 366 * DAY - LATE)


def _turns(clock: Ints, year: Ints) -> tuple[npt.NDArray[np.int16], int]:
    """Return each line's turn (int16) and the calendar year of turn 0 (0 where no line tells it)."""
    turn = np.zeros(len(clock), np.int16)
    rows = np.flatnonzero(clock >= 0)
    if not len(rows):
        return turn, 0
    step = np.diff(clock[rows] if len(rows) < len(clock) else clock)
    if not year.any() and (not len(step) or (step.min() >= -HALF_YEAR and step.max() <= 366 * DAY - LATE)):
        return turn, 0
    changes = (step < -HALF_YEAR).astype(np.int64) - (step > 366 * DAY - LATE)
    relative = np.concatenate((np.zeros(1, np.int64), np.cumsum(changes)))
    told = year[rows]
    base = 0
    if told.any():
        known = np.flatnonzero(told > 0)
        nearest = np.maximum.accumulate(np.where(told > 0, np.arange(len(rows)), known[0]))
        calendar = relative + (told - relative)[nearest]
        base = int(calendar[0])
        relative = calendar - base
    turn[rows] = np.clip(relative, -30_000, 30_000).astype(np.int16)
    return turn, base
