"""Makes a remedy of steps: one diff where every step is an edit of a file at hand, else words and commands."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from logscan.settings import Settings, base_name
from logscan.verdict import Remedy

RELOAD = "Then run: postfix check && postfix reload."
RESTART = "Then run: postfix check && postfix stop && postfix start (a reload can't take over addresses already bound)."


@dataclass(frozen=True)
class Edit:
    """Replaces ``text[begin:end]`` of a file."""

    file: str
    begin: int
    end: int
    text: str


@dataclass
class Change:
    """One step: how to make it with postconf, and as edits of the file where that file is at hand."""

    commands: list[str]
    edits: list[Edit] | None
    file: str | None = None
    line: int | None = None


@dataclass
class Plan:
    """The steps of one remedy, in the order in which they are safe."""

    settings: Settings
    changes: list[Change] = field(default_factory=list)

    def remedy(self, text: str, after: str = "") -> Remedy:
        """Return the remedy: a diff if every step has edits, else the commands in words."""
        first = self.changes[0] if self.changes else None
        diff = self._diff()
        commands = [command for change in self.changes for command in change.commands]
        if diff is None and commands:
            text = "\n".join((f"{text} With these commands:", *commands, after))
        elif diff is not None:
            text = f"{text} The change keeps all other options. {after}"
        else:
            text = f"{text} {after}"
        return Remedy(text.strip(), first.file if first else None, first.line if first else None, diff)

    def _diff(self) -> str | None:
        if not self.changes:
            return None
        edits: dict[str, list[Edit]] = {}
        for change in self.changes:
            if not change.edits:
                return None
            for edit in change.edits:
                edits.setdefault(edit.file, []).append(edit)
        parts: list[str] = []
        for file, own in edits.items():
            old = self.settings.texts[file]
            new = apply(old, own)
            if new is None:
                return None
            parts.append(unified(_header(self.settings, file), old, new))
        return "".join(parts) or None


def _header(settings: Settings, file: str) -> str:
    kind = settings.kinds.get(file)
    return kind if kind in {"main.cf", "master.cf"} else base_name(file)


def apply(text: str, edits: Iterable[Edit]) -> str | None:
    """Return the text with the edits made; None when two of them overlap."""
    out: list[str] = []
    at = 0
    for edit in sorted(set(edits), key=lambda each: (each.begin, each.end)):
        if edit.begin < at:
            return None
        out.extend((text[at : edit.begin], edit.text))
        at = edit.end
    out.append(text[at:])
    return "".join(out)


def unified(name: str, old: str, new: str) -> str:
    """Return a unified diff between two texts of the file ``name``, one that patch(1) takes as it is."""
    one, two = (re.findall(r"[^\n]*\n|[^\n]+", text) for text in (old, new))
    lines = list(difflib.unified_diff(one, two, name, name, n=3))
    return "".join(each if each.endswith("\n") else f"{each}\n\\ No newline at end of file\n" for each in lines)


def not_shown(settings: Settings, said: str) -> Remedy:
    """Return what to say where the configuration given doesn't show the fault that the log shows."""
    files = ", ".join(
        sorted({each.file for each in settings.postfix.services} | {x.file for x in settings.postfix.main.values()})
    )
    text = f"In the configuration given ({files}) {said}: it seems to be newer than the log, or not the one in force."
    return Remedy(f"{text} If so, reload Postfix; else compare with postconf -n and postconf -P.")
