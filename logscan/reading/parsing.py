"""Runs the compiled grammars over a chunk of lines and returns Arrow tables, one a table of :mod:`logscan.tables.schema`.

This is the hot path. What many lines have in common is read as columns (:mod:`logscan.matching.walking`): no Python object is
made for such a line. Each other line costs one ``partition`` call, one dictionary look-up (by "host tag[pid]", so host,
instance, service and pid are never made per line), one pattern match and, where it becomes a row, one ``group`` call.
Everything rare happens in :func:`_second_look`.
"""

from __future__ import annotations

import functools
import gc
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logscan.envelopes import continued as splitlines
from logscan.envelopes import unwrapping as envelope
from logscan.envelopes.bodies import divided
from logscan.grammar.formats import LogFormat, Pattern
from logscan.grammar.programs import pattern_for
from logscan.matching import walking as columns
from logscan.reading.tabling import Rows, Spans, table, typed

MOST_TEMPLATES = 2000
"""Templates of unknown lines kept per chunk; the rest is counted under one name, so that noise can't fill the memory."""

DAY = 86_400 * 10**9
LEAP_DAY = 59
"""Days from 1 January to 29 February."""

REPEATED = re.compile(rb"message repeated (\d{1,9}) times: \[ ?(.*?)\]?\Z", re.DOTALL)
"""rsyslog's wrapping of repeats, ratelimit.c; the text may have been cut before its bracket."""

COUNTED_REPEATS = frozenset({"rejects", "logins", "sessions"})
"""Tables in which each repeat is an event of its own; elsewhere a repeated line is repeated logging (one mail, once)."""

TAGGED = r"^[^ ]+ [^ \[]+(?:\[|$)"
"""A host and a tag, as :func:`logscan.envelopes.bodies.divided` tells them from a text with a colon in it."""

FROM = 500
"""Lines of a chunk from which columns pay; below, the operations' fixed cost is more than that of matching each line."""

MOST_REPEATS = 1000
"""Rows one ``message repeated`` line may become."""

MOST_REPEATED = 200_000
"""Rows that all such lines of a chunk may become together: a few lines may claim millions of repeats."""


@dataclass(frozen=True)
class Head:
    """What a "host tag" says: host, Postfix instance, service, program."""

    host: str
    instance: str
    service: str
    program: str


@dataclass
class Parsed:
    """What one chunk became.

    ``tables`` have ``line`` (int32, from 0 in the chunk), ``head`` (int32, an index of ``heads``), ``pid``, the clocks
    ``time``, ``clock``, ``turn`` (see :class:`logscan.envelopes.unwrapping.Lines`) and those of the table's own columns that
    have any value.
    """

    kind: str
    lines: int
    understood: int = 0
    noise: int = 0
    unknown: int = 0
    undecodable: int = 0
    heads: list[Head] = field(default_factory=list)
    tables: dict[str, pa.Table] = field(default_factory=dict)
    programs: dict[str, list[int]] = field(default_factory=dict)
    templates: dict[tuple[str, str], tuple[int, int, str]] = field(default_factory=dict)
    formats: dict[str, int] = field(default_factory=dict)
    clock: tuple[int, int, int, int, int] | None = None
    """First and last wall clock, last turn, lowest and highest turn; None where no line had one."""
    year: int = 0
    """Calendar year of turn 0, where the lines tell it."""
    leap_turns: tuple[int, ...] = ()
    """Turns in which a 29 February was seen."""
    utc: tuple[int, int] | None = None
    """Lowest and highest UTC time (ns) of the lines that had one."""
    offsets: tuple[envelope.Offsets, ...] = ()
    """The offsets from UTC that the stamps carry, in the order of the lines."""


# --- programs ------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=65_536)
def resolve(host: bytes, tag: bytes) -> tuple[Head, str]:
    """Split a tag; returns the head and the name under which formats know the program."""
    text = tag.decode("utf-8", "backslashreplace")
    name = host.decode("utf-8", "backslashreplace")
    path, slash, daemon = text.rpartition("/")
    if slash:  # with an empty syslog_name nothing stands before it
        return Head(name, path.split("/", 1)[0], path, daemon), f"/{daemon}"
    program = daemon or text
    return Head(name, "", program, program), program


# --- the loop ------------------------------------------------------------------------------------------------------


Ints = npt.NDArray[np.int64]
Adders = tuple[tuple[int, ...] | None, Callable[[Any], None], Callable[[int], None], Callable[[int], None]]
"""The groups to ask for, and what adds to the lists of :class:`Rows`."""


class _Chunk:
    """The tags of a chunk and the rows found so far, by pattern and shape."""

    def __init__(self, parsed: Parsed) -> None:
        self.parsed = parsed
        self.tags: dict[bytes, tuple[Pattern, dict[int, Adders], int]] = {}
        """By "host tag[pid": the pattern, its shapes' adders, and the tag's number."""
        self.heads: list[int] = []
        self.pids: list[bytes | None] = []
        self.rows: dict[int, tuple[dict[int, Rows], dict[int, Adders]]] = {}
        self.spans: list[Spans] = []
        self._programs: dict[bytes, tuple[int, Pattern]] = {}

    def tag(self, whole: bytes) -> tuple[Pattern, dict[int, Adders], int]:
        """Return the entry of ``tags``, made when it is new."""
        known = self.tags.get(whole)
        if known is not None:
            return known
        tag, _, pid = whole.partition(b"[")
        head, pattern = self.program(tag)
        self.heads.append(head)
        self.pids.append(pid.partition(b"]")[0] or None)
        found = self.tags[whole] = pattern, self._adders(pattern), len(self.heads) - 1
        return found

    def program(self, tag: bytes) -> tuple[int, Pattern]:
        """Return the number of a "host tag"'s head, and its program's pattern."""
        found = self._programs.get(tag)
        if found is None:
            host, _, name = tag.partition(b" ")
            head, known_as = resolve(host, name.rstrip(b":"))
            self.parsed.heads.append(head)
            found = self._programs[tag] = len(self.parsed.heads) - 1, pattern_for(known_as)
        return found

    def number(self, tags: pa.Array) -> tuple[Ints, Ints, list[Pattern]]:
        """Return each tag's number and its pattern's place in a list; ``tags`` are distinct, and new numbers are given."""
        parts = pc.extract_regex(tags, rb"^(?P<tag>[^\[]*)(?:\[(?P<pid>[^\]]*))?")
        names = pc.struct_field(parts, [0]).dictionary_encode()
        programs = [self.program(name) for name in names.dictionary.to_pylist()]
        of_tag = names.indices.to_numpy()
        first = len(self.heads)
        self.heads += np.asarray([head for head, _ in programs], np.int64)[of_tag].tolist()
        self.pids += [pid or None for pid in pc.struct_field(parts, [1]).to_pylist()]
        patterns = {id(pattern): pattern for _, pattern in programs}
        place = {each: at for at, each in enumerate(patterns)}
        pattern_of = np.asarray([place[id(pattern)] for _, pattern in programs], np.int64)[of_tag]
        return np.arange(first, len(self.heads)), pattern_of, list(patterns.values())

    def pieces(self) -> list[Rows | Spans]:
        """Return what was found, one piece a shape and way."""
        found: list[Rows | Spans] = [*self.spans]
        found += [each for shapes, _ in self.rows.values() for each in shapes.values() if each.tags]
        return found

    def _adders(self, pattern: Pattern) -> dict[int, Adders]:
        if id(pattern) not in self.rows:
            rows: dict[int, Rows] = {}
            adders: dict[int, Adders] = {}
            for number, shape in pattern.shapes.items():
                # group(a, b) makes a tuple, group(a) a bare value and group() the whole match: ask for two at least.
                groups = shape.groups + (number,) * max(0, 2 - len(shape.groups)) if shape.format.table else None
                to = rows[number] = Rows(shape, len(groups or ()))
                adders[number] = groups, to.values.extend, to.index.append, to.tags.append
            self.rows[id(pattern)] = rows, adders
        return self.rows[id(pattern)][1]


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
    rows = _Chunk(parsed)
    repeats = _unwrapped(bodies) if b": message repeated " in chunk else {}
    left = _columns(bodies, rows, repeats)
    missed = _loop(left, bodies.cut(left), rows)
    heads = np.asarray(rows.heads, np.int32)
    seen = _Seen(parsed, found.number)
    for each in rows.pieces():
        seen.count(each.shape.format, heads[np.asarray(each.tags)], each.index)
        if repeats and isinstance(each, Rows) and each.shape.format.table in COUNTED_REPEATS:
            _repeat(each, repeats)
    _second_look(found, missed, rows, seen)
    _clocks(found, parsed)
    pids = typed(pa.array(rows.pids, pa.binary()), "int")
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


def _columns(bodies: envelope.Bodies, rows: _Chunk, but: Iterable[int]) -> Ints:
    """Read as columns what many lines have in common, ``but`` some; returns the indices of the other bodies."""
    every = np.arange(len(bodies))
    if len(bodies) < FROM or not columns.AVAILABLE:
        return every
    changed = np.zeros(len(bodies), np.bool_)
    changed[list(bodies.changed)] = True
    apart = np.zeros(len(bodies), np.bool_)
    apart[list(but)] = True
    left = [every[apart]]
    verbatim = every[~changed & ~apart]
    if len(verbatim) >= FROM:
        left.append(_spans(columns.Text(bodies.chunk), verbatim, bodies.starts[verbatim], bodies.ends[verbatim], rows))
    else:
        left.append(verbatim)
    others = every[changed & ~apart]
    some = bodies.cut(others)
    if any(b"\n" in body for body in some):
        whole = np.asarray([b"\n" not in body for body in some])
        left.append(others[~whole])
        others, some = others[whole], [body for body in some if b"\n" not in body]
    if len(others) >= FROM:  # bodies that were rewritten: a text of their own
        ends = np.cumsum([len(body) + 1 for body in some]) - 1
        starts = np.concatenate(([0], ends[:-1] + 1))
        left.append(_spans(columns.Text(b"\n".join(some)), others, starts, ends, rows))
    else:
        left.append(others)
    return np.sort(np.concatenate(left))


def _spans(text: columns.Text, index: Ints, starts: Ints, ends: Ints, rows: _Chunk) -> Ints:
    """Read the bodies ``index`` from ``starts`` to ``ends`` in ``text``; returns the indices of those not claimed."""
    colons = text.places(b":")
    colons = np.append(colons[text.data[colons + 1] == 32], text.end)
    behind = colons[np.searchsorted(colons, starts)]
    tagged = behind + 2 <= ends
    untagged = index[~tagged]
    index, starts, behind, ends = index[tagged], starts[tagged], behind[tagged], ends[tagged]
    tags = text.slices(starts, behind).dictionary_encode()
    tagged = pc.match_substring_regex(tags.dictionary, TAGGED).to_numpy(zero_copy_only=False)
    if not tagged.all():  # the colon is one of the text
        some = tagged[tags.indices.to_numpy()]
        untagged = np.concatenate([untagged, index[~some]])
        index, starts, behind, ends = index[some], starts[some], behind[some], ends[some]
        tags = text.slices(starts, behind).dictionary_encode()
    numbers, places, patterns = rows.number(tags.dictionary)
    of_line = tags.indices.to_numpy()
    number, pattern_of = numbers[of_line], places[of_line]
    claimed = np.zeros(len(index), np.bool_)
    for at, pattern in enumerate(patterns):
        mine = np.flatnonzero(pattern_of == at)
        if len(mine) < columns.LEAST:
            continue
        lines = columns.run(pattern, text, behind[mine] + 2, ends[mine])
        for shape_number, some in lines.found.items():
            if not len(some):
                continue
            shape = pattern.shapes[shape_number]
            fields = {}
            if shape.format.table:
                for name, group in zip(shape.fields, shape.groups, strict=True):
                    if group in lines.groups:
                        fields[name] = lines.groups[group][0][some], lines.groups[group][1][some]
            here = mine[some]
            claimed[here] = True
            rows.spans.append(Spans(shape, text, fields, index[here], number[here]))
    return np.concatenate([untagged, index[~claimed]])


def _loop(numbers: Ints, bodies: Sequence[bytes], rows: _Chunk) -> list[int]:
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


# --- from rows to columns ------------------------------------------------------------------------------------------


class _Seen:
    """Counts lines (not bodies: glued records of DSPAM are several bodies of one line) by program and format."""

    def __init__(self, parsed: Parsed, number: npt.NDArray[np.int32]) -> None:
        self.parsed = parsed
        self.number = number
        """The bodies' lines, rising."""
        self.several = set(number[1:][np.diff(number) == 0].tolist())
        """Lines with several bodies that haven't been counted."""
        self.counted: set[int] = set()
        """Lines with several bodies that have been."""

    def again(self, line: int) -> bool:
        """Whether the line has been counted with another of its bodies; from now on it has."""
        if line in self.several:
            self.several.remove(line)
            self.counted.add(line)
            return False
        return line in self.counted

    def count(self, fmt: LogFormat, heads: npt.NDArray[np.int32], index: Sequence[int] | Ints) -> None:
        """Count the lines of one shape, ``heads`` and ``index`` (of bodies) being one a row."""
        if self.several or self.counted:
            new = [not self.again(line) for line in self.number[np.asarray(index, np.int64)].tolist()]
            heads = heads[new]
        by_head = np.bincount(heads, minlength=1)
        for head in np.flatnonzero(by_head).tolist():
            lines_of = int(by_head[head])
            counts = self.parsed.programs.setdefault(_shown(self.parsed.heads[head]), [0, 0, 0])
            if fmt.table:
                self.parsed.understood += lines_of
                counts[0] += lines_of
            else:
                self.parsed.noise += lines_of
                counts[1] += lines_of
            self.parsed.formats[fmt.name] = self.parsed.formats.get(fmt.name, 0) + lines_of


def _shown(head: Head) -> str:
    name = head.program if head.service == head.program else f"{head.service}/{head.program}"
    return name or "(no program)"


def _second_look(found: envelope.Lines, missed: Iterable[int], rows: _Chunk, seen: _Seen) -> None:
    """Give the lines that no grammar took another chance: unwrap rsyslog's repeats; else count them as unknown."""
    parsed = rows.parsed
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
        if seen.again(int(found.number[i])):
            continue
        parsed.unknown += 1
        name = _shown(parsed.heads[head])
        parsed.programs.setdefault(name, [0, 0, 0])[2] += 1
        key = (name, template(text))
        if key not in parsed.templates and len(parsed.templates) >= MOST_TEMPLATES:
            key = (name, "(other lines)")
        before = parsed.templates.get(key)
        parsed.templates[key] = (
            (before[0] + 1, *before[1:])
            if before
            else (1, int(found.number[i]), text[:1000].decode("utf-8", "backslashreplace"))
        )


_FOLDS: tuple[tuple[re.Pattern[bytes], bytes], ...] = (
    (re.compile(rb"<[^<>]*>"), b"<...>"),
    (re.compile(rb"\[[0-9a-fA-F.:]+\](?::\d+)?"), b"[...]"),
    (re.compile(rb"\b(?=\w*\d)[0-9A-Za-z]{6,}\b"), b"*"),
    (re.compile(rb"\d+(?:\.\d+)*"), b"N"),
)


def template(text: bytes) -> str:
    """Return the text with addresses, IDs and numbers folded, so that like lines get one name."""
    folded = text[:400]
    for pattern, replacement in _FOLDS:
        folded = pattern.sub(replacement, folded)
    return folded[:200].decode("utf-8", "backslashreplace")


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
        day = found.clock[walls] // DAY
        parsed.leap_turns = tuple(int(turn) for turn in np.unique(turns[day == LEAP_DAY]))
    known = found.time[(found.time != envelope.NO_TIME) & (found.clock < 0)]
    if len(known):
        parsed.utc = (int(known.min()), int(known.max()))
