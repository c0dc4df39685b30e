"""The compiled grammar of each program."""

from __future__ import annotations

import functools

from logscan.grammar.formats import LogFormat, Pattern, compile_program, formats_for
from logscan.plugins import collect


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
    return compile_program(formats_for(program, log_formats()))


@functools.cache
def log_formats() -> tuple[LogFormat, ...]:
    """Return every :class:`logscan.grammar.formats.LogFormat`, the weightiest (most frequent lines) first."""
    formats = collect("logscan.parsers", "FORMAT", LogFormat)
    return tuple(sorted(formats, key=lambda each: (-each.weight, each.name)))
