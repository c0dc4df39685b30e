"""Makes a remedy of steps: one diff where every step is an edit of a file at hand, else words and commands."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from logscan.findings import Edit, Need, Remedy
from logscan.settings import Settings, base_name, read_settings

RELOAD = "Then run: postfix check && postfix reload."
RESTART = "Then run: postfix check && postfix stop && postfix start (a reload can't take over addresses already bound)."


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

    def remedy(self, text: str, after: str = "", *, key: str = "", needs: tuple[Need, ...] = ()) -> Remedy:
        """Return the remedy: a diff if every step has edits, else the commands in words."""
        first = self.changes[0] if self.changes else None
        edits = self._edits()
        diff = diff_of(self.settings, edits) if edits else None
        if diff is None:
            edits = []
        commands = [command for change in self.changes for command in change.commands]
        if diff is None and commands:
            text = "\n".join((f"{text} With these commands:", *commands, after))
        elif diff is not None:
            text = f"{text} The change keeps all other options. {after}"
        else:
            text = f"{text} {after}"
        file, line = (first.file, first.line) if first else (None, None)
        return Remedy(text.strip(), file, line, diff, key=key, needs=needs, edits=tuple(edits))

    def _edits(self) -> list[Edit]:
        if any(not change.edits for change in self.changes):
            return []
        return [edit for change in self.changes for edit in change.edits or ()]


def changed(settings: Settings, edits: Iterable[Edit]) -> dict[str, str] | None:
    """Return the files that the edits change, with their new texts; None when two edits overlap."""
    by_file: dict[str, list[Edit]] = {}
    for edit in edits:
        by_file.setdefault(edit.file, []).append(edit)
    texts: dict[str, str] = {}
    for file, own in by_file.items():
        new = apply(settings.texts[file], own)
        if new is None:
            return None
        texts[file] = new
    return texts


def reread(settings: Settings, texts: dict[str, str]) -> Settings:
    """Return the configuration as it would be with these texts in place of those of the same files."""
    files = {**settings.texts, **texts}
    again = read_settings(files.items(), domains=settings.told_domains, services=settings.told_services)
    # A file stays one when nothing in it tells it from printed output any more, for instance its only comment.
    again.postfix.origin.update({file: how for file, how in settings.postfix.origin.items() if file in files})
    return again


def joined(settings: Settings, first: Remedy, then: Callable[[Settings], Remedy], key: str) -> Remedy:
    """Return two remedies as one, the second made for what the first leaves; words where either has no diff."""
    texts = changed(settings, first.edits) if first.edits else {}
    if texts is None or (not first.edits and not first.absent):
        return replace(first, key=key)
    middle = reread(settings, texts)
    second = then(middle)
    text = second.text if first.absent else first.text if second.absent else f"{first.text}\nThen: {second.text}"
    rest = changed(middle, second.edits) if second.edits else {}
    if rest is None or (not second.edits and not second.absent):
        return Remedy(text, first.file or second.file, first.line or second.line, key=key, needs=first.needs)
    edits = [Edit(file, 0, len(settings.texts[file]), new) for file, new in {**texts, **rest}.items()]
    place = second if first.absent else first
    return Remedy(
        text,
        place.file,
        place.line,
        diff_of(settings, edits) if edits else None,
        key=key,
        needs=tuple(dict.fromkeys((*first.needs, *second.needs))),
        edits=tuple(edits),
        absent=first.absent and second.absent,
    )


def diff_of(settings: Settings, edits: Iterable[Edit]) -> str | None:
    """Return the edits as one unified diff of all their files; None when two overlap, or nothing changes."""
    texts = changed(settings, edits)
    if texts is None:
        return None
    return "".join(unified(file_name(settings, file), settings.texts[file], new) for file, new in texts.items()) or None


def file_name(settings: Settings, file: str) -> str:
    """Return the name that a diff gives a file: what it is called in its own folder.

    A copy under another name (``etc-postfix-main.cf.txt``) is main.cf, unless there is another file of that kind.
    """
    name, kind = base_name(file), settings.kinds.get(file, "")
    if kind not in {"main.cf", "master.cf"} or name == kind:
        return name
    real = [each for each, its in settings.kinds.items() if its == kind and settings.postfix.origin.get(each) == "file"]
    return kind if real in ([], [file]) else name


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


def not_shown(settings: Settings, said: str, key: str = "", *, dovecot: bool = False) -> Remedy:
    """Return what to say where the configuration given doesn't show the fault that the log shows."""
    files = {each.file for each in settings.postfix.services} | {x.file for x in settings.postfix.main.values()}
    compare = "reload Postfix; else compare with postconf -n and postconf -P"
    if dovecot:
        files = {each.file for each in settings.dovecot.facts.values()}
        compare = "run doveadm reload; else compare with doveconf -n"
    text = f"In the configuration given ({', '.join(sorted(files))}) {said}: it seems to be newer than the log, or not "
    return Remedy(f"{text}the one in force. If so, {compare}.", key=key, absent=True)
