"""Runs the compiled grammars over a chunk of lines and returns Arrow tables, one a table of :mod:`logscan.schema`.

This is the hot path: a line costs two ``partition`` calls, one dictionary look-up (by "host tag", so host, instance and
service are never made per line), one pattern match and one ``group`` call. Everything rare happens in :func:`_second_look`.
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

from logscan import envelope
from logscan.grammar import LogFormat, Pattern, compile_program, formats_for
from logscan.plugins import log_formats
from logscan.schema import EVENTS

MOST_TEMPLATES = 2000
"""Templates of unknown lines kept per chunk; the rest is counted under one name, so that noise can't fill the memory."""

DAY = 86_400 * 10**9
LEAP_DAY = 59
"""Days from 1 January to 29 February."""

REPEATED = re.compile(rb"message repeated (\d{1,9}) times: \[ ?(.*?)\]?\Z", re.DOTALL)
"""rsyslog's wrapping of repeats, ratelimit.c; the text may have been cut before its bracket."""

COUNTED_REPEATS = frozenset({"rejects", "logins", "sessions"})
"""Tables in which each repeat is an event of its own; elsewhere a repeated line is repeated logging (one mail, once)."""

MOST_REPEATS = 1000
"""Rows one ``message repeated`` line may become."""


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
    ``time``, ``clock``, ``turn`` (see :class:`logscan.envelope.Lines`) and the table's own columns.
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


# --- programs ------------------------------------------------------------------------------------------------------


@functools.cache
def pattern_for(program: str) -> Pattern:
    """Return the compiled grammar of ``program``: ``dovecot``, or ``/smtpd`` for a Postfix daemon."""
    return compile_program(formats_for(program, log_formats()))


@functools.cache
def resolve(host: bytes, tag: bytes) -> tuple[Head, str]:
    """Split a tag; returns the head and the name under which formats know the program."""
    text = tag.decode("utf-8", "backslashreplace")
    name = host.decode("utf-8", "backslashreplace")
    path, slash, daemon = text.rpartition("/")
    if slash and path:
        return Head(name, path.split("/", 1)[0], path, daemon), f"/{daemon}"
    program = daemon or text
    return Head(name, "", program, program), program


# --- the loop ------------------------------------------------------------------------------------------------------

Rows = list[tuple[Any, ...]]


class _Program:
    """One "host tag" of a chunk: its head, its pattern, and the rows found so far by shape."""

    __slots__ = ("groups", "head", "lines", "match", "pattern", "pids", "rows")

    def __init__(self, head: int, pattern: Pattern) -> None:
        self.head = head
        self.pattern = pattern
        self.match = pattern.match
        self.groups: dict[int, tuple[int, ...]] = {}
        self.rows: dict[int, Rows] = {}
        self.lines: dict[int, list[int]] = {}
        self.pids: dict[int, list[bytes]] = {}
        for number, shape in pattern.shapes.items():
            # group(a, b) makes a tuple, group(a) a bare value and group() the whole match: ask for two at least.
            groups = shape.groups if shape.format.table else ()
            self.groups[number] = groups + (number,) * max(0, 2 - len(groups))
            self.rows[number], self.lines[number], self.pids[number] = [], [], []


def parse(chunk: bytes, kind: str, context: dict[str, Any] | None = None) -> Parsed:
    """Parse one chunk of whole lines from a source of the given kind."""
    found = envelope.unwrap(chunk, kind, context or {})
    parsed = Parsed(kind=found.kind, lines=found.lines, undecodable=found.undecodable)
    parsed.noise = found.lines - found.undecodable - _distinct(found.number)
    programs: dict[bytes, _Program] = {}
    missed: list[int] = []
    collecting = gc.isenabled()
    gc.disable()
    try:
        _loop(found.bodies, programs, parsed, missed)
    finally:
        if collecting:
            gc.enable()
    pieces = _pieces(programs, parsed, found)
    _second_look(found, missed, programs, parsed, pieces)
    _clocks(found, parsed)
    for name, rows in pieces.items():
        parsed.tables[name] = _table(name, rows, found)
    return parsed


def _distinct(number: npt.NDArray[np.int32]) -> int:
    return int(np.count_nonzero(np.diff(number))) + 1 if len(number) else 0


def _loop(bodies: Sequence[bytes], programs: dict[bytes, _Program], parsed: Parsed, missed: list[int]) -> None:
    miss = missed.append
    for i, body in enumerate(bodies):
        head, _, text = body.partition(b": ")
        tag, _, pid = head.partition(b"[")
        try:
            program = programs[tag]
        except KeyError:
            program = programs[tag] = _program(tag, parsed)
        m = program.match(text)
        if m is None:
            miss(i)
            continue
        k = m.lastindex
        program.rows[k].append(m.group(*program.groups[k]))  # type: ignore[index]
        program.lines[k].append(i)  # type: ignore[index]
        program.pids[k].append(pid)  # type: ignore[index]


def _program(tag: bytes, parsed: Parsed) -> _Program:
    host, _, name = tag.partition(b" ")
    head, known_as = resolve(host, name.rstrip(b":"))
    parsed.heads.append(head)
    return _Program(len(parsed.heads) - 1, pattern_for(known_as))


# --- from rows to columns ------------------------------------------------------------------------------------------


@dataclass
class _Piece:
    """Rows of one shape: ``index`` are indices of bodies."""

    format: LogFormat
    fields: tuple[str, ...]
    head: int
    index: list[int]
    pids: list[bytes]
    rows: Rows


def _pieces(programs: dict[bytes, _Program], parsed: Parsed, found: envelope.Lines) -> dict[str, list[_Piece]]:
    """Gather what the loop found by table, and count it."""
    pieces: dict[str, list[_Piece]] = {}
    for program in programs.values():
        for number, shape in program.pattern.shapes.items():
            rows = program.rows[number]
            if not rows:
                continue
            table = shape.format.table
            _count(parsed, shape.format, program.head, found.number, program.lines[number])
            if table:
                piece = _Piece(
                    shape.format, shape.fields, program.head, program.lines[number], program.pids[number], rows
                )
                pieces.setdefault(table, []).append(piece)
    return pieces


def _count(parsed: Parsed, fmt: LogFormat, head: int, number: npt.NDArray[np.int32], index: Sequence[int]) -> None:
    """Count lines (not rows: glued records are several rows of one line)."""
    lines = len(index)
    if lines > 1 and fmt.table in ("verdicts", "trainings"):
        lines = _distinct(number[np.asarray(index)])
    counts = parsed.programs.setdefault(_shown(parsed.heads[head]), [0, 0, 0])
    if fmt.table:
        parsed.understood += lines
        counts[0] += lines
    else:
        parsed.noise += lines
        counts[1] += lines
    parsed.formats[fmt.name] = parsed.formats.get(fmt.name, 0) + lines


def _shown(head: Head) -> str:
    return head.program if head.service == head.program else f"{head.service}/{head.program}"


def _second_look(
    found: envelope.Lines,
    missed: Iterable[int],
    programs: dict[bytes, _Program],
    parsed: Parsed,
    pieces: dict[str, list[_Piece]],
) -> None:
    """Give the lines that no grammar took another chance: unwrap rsyslog's repeats; else count them as unknown."""
    for i in missed:
        head, _, text = found.bodies[i].partition(b": ")
        tag, _, pid = head.partition(b"[")
        program = programs[tag]
        repeated = REPEATED.match(text)
        m = program.match(repeated[2].rstrip()) if repeated else None
        if repeated and m is None:
            m = program.match(repeated[2])
        if repeated and m is not None and m.lastindex:
            shape = program.pattern.shapes[m.lastindex]
            _count(parsed, shape.format, program.head, found.number, [i])
            if shape.format.table:
                times = min(int(repeated[1]), MOST_REPEATS) if shape.format.table in COUNTED_REPEATS else 1
                rows = [m.group(*program.groups[m.lastindex])] * times
                piece = _Piece(shape.format, shape.fields, program.head, [i] * times, [pid] * times, rows)
                pieces.setdefault(shape.format.table, []).append(piece)
            continue
        parsed.unknown += 1
        name = _shown(parsed.heads[program.head])
        parsed.programs.setdefault(name, [0, 0, 0])[2] += 1
        key = (name, template(text))
        if key not in parsed.templates and len(parsed.templates) >= MOST_TEMPLATES:
            key = (name, "(other lines)")
        count, line, example = parsed.templates.get(
            key, (0, int(found.number[i]), text[:1000].decode("utf-8", "backslashreplace"))
        )
        parsed.templates[key] = (count + 1, line, example)


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


def text_array(values: Sequence[bytes | None]) -> pa.Array:
    """Return a string array; bytes that aren't UTF-8 are shown as ``\\xNN``."""
    array = pa.array(values, pa.binary())
    try:
        return array.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([v if v is None else v.decode("utf-8", "backslashreplace") for v in values], pa.string())


def _number(value: str | None, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(value[:18]) if value else None
    except ValueError:
        return None


def _typed(values: Sequence[bytes | None], kind: str) -> pa.Array:
    array = text_array(values)
    if kind == "cat":
        return array.dictionary_encode()
    if kind in ("int", "float"):
        try:
            return pc.cast(array, pa.int64() if kind == "int" else pa.float64())
        except pa.ArrowInvalid:
            read: Callable[[str], Any] = int if kind == "int" else float
            return pa.array(
                [_number(v, read) for v in array.to_pylist()], pa.int64() if kind == "int" else pa.float64()
            )
    if kind == "bool":
        return pc.is_in(array, pa.array(["true", "yes", "T", "Y", "1"]))
    return array


def _table(name: str, pieces: list[_Piece], found: envelope.Lines) -> pa.Table:
    kinds = EVENTS[name].kinds()
    index = np.concatenate([np.asarray(piece.index, np.int64) for piece in pieces])
    columns: dict[str, list[bytes | None]] = {column: [] for column in kinds}
    for piece in pieces:
        size = len(piece.rows)
        by_field: dict[str, Sequence[bytes | None]] = {
            field_name: values for field_name, values in zip(piece.fields, zip(*piece.rows, strict=True), strict=False)
        }
        for column, values in columns.items():
            if column in by_field:
                values.extend(by_field[column])
            else:
                constant = piece.format.constants.get(column)
                values.extend([constant.encode() if constant is not None else None] * size)
    arrays: dict[str, pa.Array] = {
        "line": pa.array(found.number[index].astype(np.int32)),
        "head": pa.array(np.repeat([p.head for p in pieces], [len(p.rows) for p in pieces]).astype(np.int32)),
        "pid": _typed([pid.partition(b"]")[0] or None for piece in pieces for pid in piece.pids], "int"),
        "time": pa.array(found.time[index]),
        "clock": pa.array(found.clock[index]),
        "turn": pa.array(found.turn[index]),
    }
    arrays |= {column: _typed(values, kinds[column]) for column, values in columns.items()}
    return pa.table(arrays)
