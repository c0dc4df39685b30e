"""Runs the compiled grammars over a chunk of lines and returns Arrow tables, one a table of :mod:`logscan.tables.schema`.

This is the hot path. Lines are matched in C (:mod:`logscan.matching.walking`): no Python object is made for one. Each line that
is left to the patterns costs one ``partition`` call, one dictionary look-up (by "host tag[pid]", so host,
instance, service and pid are never made per line), one pattern match and, where it becomes a row, one ``group`` call.
Everything rare happens in :func:`_second_look`.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from logscan.envelopes import continued as splitlines
from logscan.envelopes import unwrapping as envelope
from logscan.envelopes.bodies import divided
from logscan.grammar.formats import Pattern
from logscan.grammar.programs import pattern_for
from logscan.machine import envelopes as machine
from logscan.matching import walking
from logscan.matching.text import Text
from logscan.reading.counting import Counter
from logscan.reading.parsed import Parsed
from logscan.reading.tabling import Pids, Rows, Spans, table
from logscan.reading.tags import Ints, Tags, resolve

DAY = 86_400 * 10**9
LEAP_DAY = 59
"""Days from 1 January to 29 February."""

REPEATED = re.compile(rb"message repeated (\d{1,9}) times: \[ ?(.*?)\]?\Z", re.DOTALL)
"""rsyslog's wrapping of repeats, ratelimit.c; the text may have been cut before its bracket."""

COUNTED_REPEATS = frozenset({"rejects", "logins", "sessions"})
"""Tables in which each repeat is an event of its own; elsewhere a repeated line is repeated logging (one mail, once)."""

MOST_REPEATS = 1000
"""Rows one ``message repeated`` line may become."""

MOST_REPEATED = 200_000
"""Rows that all such lines of a chunk may become together: a few lines may claim millions of repeats."""


def parse(chunk: bytes, kind: str, context: dict[str, Any] | None = None) -> Parsed:
    """Parse one chunk of whole lines from a source of the given kind."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _parse(chunk, kind, context or {})
    finally:
        if collecting:
            gc.enable()


def _parse(chunk: bytes, kind: str, context: dict[str, Any]) -> Parsed:
    found = envelope.unwrap(chunk, kind, context)
    bodies = found.bodies
    if bodies.any_ends(b"...") and b"amavis" in chunk:
        pieces = bodies.holding(b"...")
        bodies.changed |= splitlines.joined({at: bodies[at] for at in pieces})
    parsed = Parsed(kind=found.kind, lines=found.lines, undecodable=found.undecodable, offsets=found.offsets)
    parsed.noise = found.lines - found.undecodable - _distinct(found.number)
    rows = Tags(parsed)
    repeats = _unwrapped(bodies) if bodies.may_repeat() and b": message repeated " in chunk else {}
    left, missed = _at_once(bodies, rows, repeats)
    missed = sorted([*missed, *_loop(left, bodies.cut(left), rows)])
    heads = np.asarray(rows.heads, np.int32)
    seen = Counter(parsed, found.number)
    for each in rows.pieces():
        seen.count(each.shape.format, heads[np.asarray(each.tags)], each.index)
        if repeats and isinstance(each, Rows) and each.shape.format.table in COUNTED_REPEATS:
            _repeat(each, repeats)
    _second_look(found, missed, rows, seen)
    _clocks(found, parsed)
    pids = Pids(rows.pids)
    tables: dict[str, list[Rows | Spans]] = {}
    for each in rows.pieces():
        if len(each.index) and each.shape.format.table:
            tables.setdefault(each.shape.format.table, []).append(each)
    for name, some in tables.items():
        parsed.tables[name] = table(name, some, found, heads, pids)
    return parsed


def _distinct(number: npt.NDArray[np.int32]) -> int:
    return int(np.count_nonzero(np.diff(number))) + 1 if len(number) else 0


def _unwrapped(bodies: envelope.Bodies) -> dict[int, int]:
    """Unwrap rsyslog's repeats of events that count one by one; returns, by index, how often such a line came again.

    The others stay as they are: a row of ``losses``.
    """
    times: dict[int, int] = {}
    left = MOST_REPEATED
    for i in bodies.holding(b": message repeated "):
        whole, text = divided(bodies[i])
        repeated = REPEATED.match(text)
        if repeated is None:
            continue
        head, _, name = whole.partition(b"[")[0].partition(b" ")
        pattern = pattern_for(resolve(head, name.rstrip(b":"))[1])
        m = _repeated(pattern, repeated)
        if m is not None and m.lastindex and pattern.shapes[m.lastindex].format.table in COUNTED_REPEATS:
            bodies[i] = whole + b": " + m.string
            times[i] = min(int(repeated[1]), MOST_REPEATS, max(left, 1)) - 1
            left -= times[i]
    return times


def _repeated(pattern: Pattern, repeated: re.Match[bytes]) -> re.Match[bytes] | None:
    """Match the text that came again; rsyslog puts a blank behind it at times."""
    return pattern.match(repeated[2].rstrip()) or pattern.match(repeated[2])


def _repeat(rows: Rows, repeats: dict[int, int]) -> None:
    """Add the rows of lines that came again, as often as they did."""
    for at, i in enumerate(list(rows.index)):
        times = repeats.get(i, 0)
        rows.values += rows.values[at * rows.width : (at + 1) * rows.width] * times
        rows.index += [i] * times
        rows.tags += [rows.tags[at]] * times


def _at_once(bodies: envelope.Bodies, rows: Tags, but: Iterable[int]) -> tuple[Ints, list[int]]:
    """Let the machine read the bodies, ``but`` some; returns the indices of those left to the patterns, and of those that no
    grammar takes.
    """
    every = np.arange(len(bodies))
    if not walking.AVAILABLE:
        return every, []
    changed = np.zeros(len(bodies), np.bool_)
    changed[list(bodies.changed)] = True
    apart = np.zeros(len(bodies), np.bool_)
    apart[list(but)] = True
    left, missed = [every[apart]], []
    verbatim = np.flatnonzero(~(changed | apart))
    if bodies.tags is None:
        left.append(verbatim)
    elif len(verbatim):
        ends = bodies.ends[verbatim]
        tags = bodies.tags._replace(tag=bodies.tags.tag[verbatim], behind=bodies.tags.behind[verbatim])
        some = _spans(Text(bodies.chunk), verbatim, ends, tags, rows)
        left.append(some[0])
        missed += some[1].tolist()
    others = np.flatnonzero(changed & ~apart)
    if len(others):  # bodies that were rewritten: a text of their own
        whole = bodies.cut(others)
        ends = np.cumsum([len(body) + 1 for body in whole]) - 1
        starts = np.concatenate(([0], ends[:-1] + 1))
        text = b"\n".join(whole)
        tags = machine.tags(text, starts, ends, np.ones(len(others), np.bool_))
        some = _spans(Text(text), others, ends, tags, rows)
        left.append(some[0])
        missed += some[1].tolist()
    return np.sort(np.concatenate(left)), missed


def _spans(text: Text, index: Ints, ends: Ints, tags: machine.Tags, rows: Tags) -> tuple[Ints, Ints]:
    """Read the bodies ``index``, which end at ``ends`` in ``text``, with their tags; returns the indices of those left, and of
    those that no grammar takes.
    """
    tag, behind, untagged = tags.tag, tags.behind, index[:0]
    tagged = tag >= 0
    if not tagged.all():  # or the colon is one of the text
        untagged = index[~tagged]
        index, ends, tag, behind = index[tagged], ends[tagged], tag[tagged], behind[tagged]
    numbers, places, patterns = rows.number(text, tags, tag)
    lines = np.bincount(places[tag], minlength=len(patterns)).tolist()
    pays = np.array([walking.SHARED.pays(*each) for each in zip(patterns, lines, strict=True)], np.bool_)
    few = ~pays[places[tag]]
    if few.any():
        untagged = np.concatenate([untagged, index[few]])
        index, ends, tag, behind = index[~few], ends[~few], tag[~few], behind[~few]
    if not len(index):
        return untagged, index
    number = numbers[tag]
    image, entries = walking.SHARED.image([pattern for pattern, yes in zip(patterns, pays, strict=True) if yes])
    entry = np.zeros(len(patterns), np.int32)
    entry[pays] = entries
    matched = walking.run(image, entry[places[tag]], text, behind + 2, ends)
    for claimed in matched.claimed():
        at = claimed.rows
        rows.spans.append(Spans(claimed.shape, text, claimed.places, claimed.at, index[at], number[at]))
    left = np.concatenate([untagged, index[matched.shape == walking.LEFT]])
    return left, index[matched.shape == walking.NONE]


def _loop(numbers: Ints, bodies: Sequence[bytes], rows: Tags) -> list[int]:
    """Match every line; returns the indices of those that no grammar took. ``numbers`` are the bodies' indices."""
    missed: list[int] = []
    known = {whole: (pattern.match, adders, tag) for whole, (pattern, adders, tag) in rows.tags.items()}
    for i, body in zip(numbers.tolist(), bodies, strict=True):
        whole, _, text = body.partition(b": ")
        try:
            match, adders, tag = known[whole]
        except KeyError:
            whole, text = divided(body)
            pattern, adders, tag = rows.tag(whole)
            match = pattern.match
            known[whole] = match, adders, tag
        m = match(text)
        if m is None:
            missed.append(i)
            continue
        groups, add, add_index, add_tag = adders[m.lastindex]  # type: ignore[index]
        add_tag(tag)
        if groups is not None:
            add(m.group(*groups))
            add_index(i)
    return missed


def _second_look(found: envelope.Lines, missed: Iterable[int], rows: Tags, seen: Counter) -> None:
    """Give the lines that no grammar took another chance: unwrap rsyslog's repeats; else count them as unknown."""
    for i in missed:
        whole, text = divided(found.bodies[i])
        pattern, adders, tag = rows.tag(whole)
        head = rows.heads[tag]
        repeated = REPEATED.match(text)
        m = _repeated(pattern, repeated) if repeated else None
        if m is not None and m.lastindex:  # where no format knows such lines: the text that came again, once
            seen.count(pattern.shapes[m.lastindex].format, np.asarray([head], np.int32), [i])
            groups, add, add_index, add_tag = adders[m.lastindex]
            if groups is not None:
                add(m.group(*groups))
                add_index(i)
                add_tag(tag)
            continue
        seen.unknown(head, i, text)
    seen.close()


def _clocks(found: envelope.Lines, parsed: Parsed) -> None:
    walls = np.flatnonzero(found.clock >= 0)
    if len(walls):
        turns = found.turn[walls]
        parsed.clock = (
            int(found.clock[walls[0]]),
            int(found.clock[walls[-1]]),
            int(turns[-1]),
            int(turns.min()),
            int(turns.max()),
        )
        parsed.year = found.year
        leap = (found.clock >= LEAP_DAY * DAY) & (found.clock < (LEAP_DAY + 1) * DAY)
        if leap.any():
            parsed.leap_turns = tuple(int(turn) for turn in np.unique(found.turn[leap]))
    known = found.time[(found.time != envelope.NO_TIME) & (found.clock < 0)]
    if len(known):
        parsed.utc = (int(known.min()), int(known.max()))
