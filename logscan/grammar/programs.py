"""The compiled grammar of each program."""

from __future__ import annotations

import functools
from typing import Any

import pyparsing as pp

from logscan.grammar.formats import FormatError, LogFormat, Pattern, compile_program, formats_for
from logscan.plugins import collect
from logscan.tables.schema import COMMON, EVENTS


def pattern_for(program: str) -> Pattern:
    """Return the compiled grammar of ``program``: ``dovecot``, or ``/smtpd`` for a Postfix daemon."""
    if program not in known_programs():  # a log may name any number of those: they share one pattern
        program = program[:1] if program.startswith("/") else ""
    return _pattern(program)


@functools.cache
def known_programs() -> frozenset[str]:
    """Return the names that formats give: ``dovecot``, or ``/smtpd`` for a Postfix daemon."""
    return frozenset(name for each in log_formats() for name in each.programs)


@functools.cache
def _pattern(program: str) -> Pattern:
    compiled = compile_program(formats_for(program, log_formats()))
    for shape in compiled.shapes.values():
        _known_columns(shape.format, shape.fields)
    return compiled


def _known_columns(fmt: LogFormat, fields: tuple[str, ...]) -> None:
    """Raise :class:`FormatError` for a field that no column takes: what it tells would be lost in silence."""
    table = EVENTS[fmt.table].columns if fmt.table else ()
    known = {each.name for each in (*COMMON, *table)} if fmt.table else set()
    odd = sorted({*fields, *fmt.constants} - known)
    if odd:
        where = f"the table {fmt.table} has" if fmt.table else "noise (table=None) has"
        there = f"; it has {', '.join(each.name for each in table)}" if table else ""
        raise FormatError(f"{fmt.name}: {where} no column {', '.join(odd)}{there}")


def _well_made(fmt: LogFormat) -> LogFormat:
    """Return the format; raises :class:`FormatError` for what would otherwise show only when a line of it comes, or never."""
    given: Any = fmt  # a plug-in's author may not have asked mypy
    if not isinstance(given.programs, tuple) or not isinstance(given.samples, tuple):
        raise FormatError(f"{fmt.name}: programs and samples are tuples; one of a single item ends in a comma")
    if not isinstance(given.line, pp.ParserElement):
        raise FormatError(
            f"{fmt.name}: line is {type(given.line).__name__}, not an element; see logscan/grammar/atoms.py"
        )
    if fmt.table is not None and fmt.table not in EVENTS:
        raise FormatError(f"{fmt.name}: there is no table {fmt.table}; there are {', '.join(EVENTS)}")
    return fmt


@functools.cache
def log_formats() -> tuple[LogFormat, ...]:
    """Return every :class:`logscan.grammar.formats.LogFormat`, the weightiest (most frequent lines) first."""
    formats = [_well_made(each) for each in collect("logscan.parsers", "FORMAT", LogFormat, "CONFIG")]
    return tuple(sorted(formats, key=lambda each: (-each.weight, each.name)))
