"""Recognises of which kind a configuration text is, by its content, among the plug-ins that read them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from logscan import plugins
from logscan.settings.facts import Entry
from logscan.settings.services import Service

HEAD = 1 << 18
"""Characters that a format looks at to recognise its text."""
CERTAIN = 0.5
"""Confidence from which on a text counts as recognised."""


@dataclass
class Document:
    """What a plug-in read from one text. ``problems`` are (line, text) pairs; ``variant`` is the plug-in's own word."""

    entries: list[Entry] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)
    variant: str = ""
    version: str = ""


@dataclass(frozen=True)
class ConfigFormat:
    """One kind of configuration text.

    ``recognise(path, text)`` tells by content how sure it is that the text is of this kind, from 0 to 1; the name is
    a hint at most. ``parse(text)`` never raises: what can't be read becomes a problem of the document.
    """

    name: str
    title: str
    reference: str
    recognise: Callable[[str, str], float]
    parse: Callable[[str], Document]


@functools.cache
def formats() -> tuple[ConfigFormat, ...]:
    """Return every configuration format."""
    return tuple(plugins.collect("logscan.parsers", "CONFIG", ConfigFormat, "FORMAT"))


def recognise(label: str, text: str) -> ConfigFormat | None:
    """Return the format that the text is of, or None."""
    head = text[:HEAD]
    if "\0" in head or not head.strip():
        return None
    if len(text) > HEAD:
        head = head[: head.rfind("\n") + 1] or head
    scored = [(each.recognise(label, head), each) for each in formats()]
    best = max(scored, key=lambda each: each[0], default=None)
    return best[1] if best and best[0] >= CERTAIN else None
