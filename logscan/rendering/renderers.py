"""The interface of renderers, and which there are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from logscan.report.model import Report
from logscan.report.subjects import without_subjects

Rendered = str | bytes | dict[str, str]
"""Text, a binary document, or several files by name (CSV)."""


class RenderError(Exception):
    """A report can't be rendered or written; the message says why and what there is instead."""


@dataclass(frozen=True)
class RenderOptions:
    """What a caller may choose.

    ``new`` holds the ids of findings not seen before; None: what the report's memory says, or nothing to compare with.
    """

    color: bool = False
    width: int = 100
    """Columns of the terminal; below 80 the text is laid out for 80."""
    show_subjects: bool = False
    """Show the Subject of mails where a log has it. Mailed reports never do."""
    verbose: bool = False
    """More evidence lines in the text."""
    new: frozenset[str] | None = None
    mail_from: str = ""
    mail_to: tuple[str, ...] = ()
    attach_page: bool = False
    """Attach the full HTML page to the mail."""
    short: bool = False
    """The text's first screen alone, of some 60 lines at most: a line or two a cause, and where to read on."""
    notes: tuple[str, ...] = ()
    """What stands below the headline of mail and text: which run the report is of, why it comes, what became of others."""


@dataclass(frozen=True)
class Renderer:
    """An output format: a plug-in in ``reports/`` holds one as ``REPORT``."""

    name: str
    title: str
    suffix: str
    media_type: str
    render: Callable[[Report, RenderOptions], Rendered]
    binary: bool = False
    exit_status: Callable[[Report], int] | None = None
    """For formats whose readers look at the exit status (Nagios): what the program should end with."""
    stdout: str = ""
    """For several files: the one that goes to stdout."""


@functools.cache
def renderers() -> dict[str, Renderer]:
    """Return every renderer by name."""
    from logscan.plugins import PluginError, collect, names

    found = {each.name: each for each in collect("logscan.reports", "REPORT", Renderer)}
    # --format offers the names of the modules, none of which is imported for that.
    for name in sorted({*names("logscan.reports")} ^ found.keys()):
        raise PluginError(f"the report {name} isn't called like its module; names here are {', '.join(sorted(found))}")
    return found


def by_suffix() -> dict[str, str]:
    """Return the renderer's name by the ending of its files; one for people to read comes before one for Nagios."""
    found: dict[str, str] = {}
    for each in sorted(renderers().values(), key=lambda each: (each.exit_status is not None, each.name)):
        if each.suffix:
            found.setdefault(each.suffix, each.name)
    return found


def renderer(name: str) -> Renderer:
    """Return the renderer called ``name``; raises :class:`RenderError`, which lists those there are."""
    found = renderers().get(name)
    if found is None:
        raise RenderError(f"there is no report format {name!r}; there are {', '.join(sorted(renderers()))}")
    return found


def render(report: Report, name: str, **options: Any) -> Rendered:
    """Return ``report`` as ``name`` (html, text, json ...); ``options`` are the fields of :class:`RenderOptions`.

    Subjects of mails are hidden unless ``show_subjects`` is set.
    """
    chosen = RenderOptions(**options)
    if chosen.new is None and report.memory is not None and not report.memory.first:
        chosen = replace(chosen, new=frozenset(report.memory.new))
    return renderer(name).render(report if chosen.show_subjects else without_subjects(report), chosen)


def exit_status(report: Report, name: str) -> int | None:
    """Return the exit status that readers of this format expect, None where it has no say."""
    status = renderer(name).exit_status
    return status(report) if status else None


def for_stdout(content: Rendered, name: str) -> str | bytes:
    """Return what of ``content`` goes to stdout: of several files the one that matters most."""
    return content[renderer(name).stdout] if isinstance(content, dict) else content
