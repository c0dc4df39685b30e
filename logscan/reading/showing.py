"""Shows formats to people: the list of all, and how each line of a file was read (for adding a format)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from logscan.envelopes import unwrapping as envelope
from logscan.envelopes.bodies import divided
from logscan.grammar.programs import log_formats, pattern_for
from logscan.reading.parsing import REPEATED
from logscan.reading.tags import resolve
from logscan.visible import without_passwords


def overview() -> Iterator[str]:
    """Yield a line per format: name, table or noise, title, reference."""
    for fmt in sorted(log_formats(), key=lambda each: each.name):
        yield f"{fmt.name:34} {fmt.table or '(noise)':16} {fmt.title} — {fmt.reference}"


class UnreadableError(click.ClickException):
    """The file that was named can't be read, or not to its end."""

    exit_code = 3


def explain_file(path: Path) -> Iterator[str]:
    """Yield, for each line, its number, what claimed it, and the fields. Raises :class:`UnreadableError`."""
    from logscan.sources.finding import discover

    found = discover([str(path)])
    for name, message in found.errors:
        raise UnreadableError(f"{name}: {message}")
    if not found.sources:
        raise UnreadableError(f"{path}: no log that is recognised by its content")
    for source in found.sources:
        before = 0
        for chunk in source.chunks():
            lines = envelope.unwrap(chunk, source.kind, source.context)
            for number, body in zip(lines.number.tolist(), lines.bodies, strict=True):
                yield f"{before + number + 1}: {_explain(body)}"
            before += lines.lines
            if lines.undecodable:
                yield f"(up to line {before}: {lines.undecodable} without an envelope that is known)"
        source.settled()
        if source.error:
            raise UnreadableError(f"{source.label}: {source.error}")


def _explain(body: bytes) -> str:
    head, text = divided(body)
    tag = head.partition(b"[")[0]
    host, _, name = tag.partition(b" ")
    shown = _shown(text)[:200]
    _, program = resolve(host, name.rstrip(b":"))
    pattern = pattern_for(program)
    m = pattern.match(text)
    repeated = REPEATED.match(text) if m is None else None
    if repeated:
        m = pattern.match(repeated[2].rstrip())
    if m is None or not m.lastindex:
        return f"UNKNOWN {program.lstrip('/') or '(no program)'}: {shown}"
    shape = pattern.shapes[m.lastindex]
    fields = {
        field: _shown(m[group]) for field, group in zip(shape.fields, shape.groups, strict=True) if m[group] is not None
    }
    times = f" ({repeated[1].decode()} times)" if repeated else ""
    what = shape.format.table or "noise"
    return f"{shape.format.name} → {what}{times} " + " ".join(f"{key}={value!r}" for key, value in fields.items())


def _shown(text: bytes) -> str:
    told = without_passwords(text.decode("utf-8", "backslashreplace"))
    return told.encode("unicode_escape").decode("ascii")
