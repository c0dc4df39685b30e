"""What HTML templates place: escaped, its control characters visible."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logscan.amounts import percent, plural
from logscan.rendering.grouping import counted
from logscan.rendering.summary import clear_text, suppressed_text, title_of
from logscan.visible import visible

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def diff_lines(diff: str) -> list[tuple[str, str]]:
    """Return the lines of a diff, each with its kind: file, hunk, add, del or same."""
    found = []
    for line in diff.strip("\n").split("\n"):
        kind = "same"
        if line.startswith(("--- ", "+++ ")):
            kind = "file"
        elif line.startswith("@@"):
            kind = "hunk"
        elif line[:1] in {"+", "-"}:
            kind = "add" if line[0] == "+" else "del"
        found.append((kind, line))
    return found


def _show(value: Any) -> Any:
    """Make each value that the templates place safe to read: control characters visible, endless strings cut."""
    if value is None:
        return ""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return visible(value, 2000)
    return value


def _lines(text: str, most: int = 20_000) -> Markup:
    """Return text of several lines, escaped, its newlines kept."""
    from markupsafe import Markup, escape

    return Markup(escape(visible(text.strip("\n"), most, lines=True)))  # noqa: S704 - escaped here


def _log(text: str, most: int = 1000) -> Markup:
    """Return a log line, escaped and cut."""
    from markupsafe import Markup, escape

    return Markup(escape(visible(text, most)))  # noqa: S704 - escaped here


# Inside words too long for a phone's line, behind punctuation.
_LONG = re.compile(r"\S{22,}")


_BREAKS = re.compile(r"(?<=[,/=@:;_.\]])(?=\S)")


def _soft(text: str) -> Markup:
    """Return text, escaped, with places where a long word may break."""
    from markupsafe import Markup, escape

    shown = visible(text, 1000)
    if not _LONG.search(shown):
        return Markup(escape(shown))  # noqa: S704 - escaped here
    marked = _LONG.sub(lambda word: _BREAKS.sub("\0", word[0]), shown)  # visible() leaves no NUL
    return Markup("<wbr>").join(marked.split("\0"))


@functools.cache
def templates(folder: Path) -> Environment:
    """Return the environment of a folder of HTML templates: what is placed is escaped, an unknown name an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    found = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_show,
    )
    found.filters |= {"lines": _lines, "log": _log, "soft": _soft, "percent": percent}
    found.globals |= {"plural": plural, "diff_lines": diff_lines, "title_of": title_of, "visible": visible}
    found.globals |= {"counted": counted, "clear_text": clear_text, "suppressed_text": suppressed_text}
    found.globals |= {"newline": Markup("\n")}
    return found
