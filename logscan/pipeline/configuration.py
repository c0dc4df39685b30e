"""Reads the configuration and DSPAM's home from what was found and what was named."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logscan.amounts import plural
from logscan.scan.options import Options
from logscan.sources.finding import NOT_LOGS

if TYPE_CHECKING:
    from logscan.settings import Settings
    from logscan.sources.finding import Discovery

EMPTY = NOT_LOGS["empty"]

OWN = ("/etc/postfix", "/etc/dovecot", "/etc/dspam", "/etc/amavis/conf.d", "/etc/amavisd")
"""Folders in which a host's own configuration lies; those of Debian, and amavisd's of others."""

LARGEST_OWN = 1 << 20
"""Bytes of a file in them that is taken for a configuration: maps may be large, their databases are none."""

MOST_NAMED = 8
"""Files that a note names."""


def unknown_texts(sources: Sequence[str | Path], found: Discovery, settings: Settings) -> list[str]:
    """Return a note on the texts in folders that are nothing that is known; DSPAM's statistics are, and tell nothing."""
    named = {str(source) for source in sources}
    label_of = {each.label: each.path for each in found.configs}
    names = [name for name in settings.unrecognised if name in label_of and label_of[name] not in named]
    names = [name for name in names if not name.endswith(".stats")]
    if not names:
        return []
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return [f"passed over, neither a log nor a configuration that is known: {', '.join(names[:MOST_NAMED])}{more}"]


def foreign(sources: Sequence[str | Path], found: Discovery, settings: Settings) -> list[tuple[str, str]]:
    """Return the files that were named one by one and are nothing that is known: whoever names a file means it."""
    configs = {each.path: each.label for each in found.configs}
    logs = {each.path for each in found.sources}
    out = []
    for source in map(str, sources):
        label = configs.get(source)
        path = str(Path(source).expanduser())
        left = [each for each in found.passed_over if each.path == path]
        if source in logs or not _one_file(source) or any(each.why == EMPTY for each in left):
            continue
        if left or label in settings.unrecognised:
            why = left[0].why if left else "a text"
            known = "no log and no configuration that is known; `logscan formats` lists the formats"
            out.append((source, f"{why}: {known}"))
    return out


def _one_file(source: str) -> bool:
    """Whether a source is one thing to be read: a file, a device, a FIFO; no folder and no pattern."""
    path = Path(source).expanduser()
    return path.exists() and not path.is_dir()


def _own() -> list[tuple[str, str, bytes]]:
    """Return this host's own configuration as label, path and content, as far as whoever asks may read it."""
    out = []
    for folder in map(Path, OWN):
        for path in sorted(folder.rglob("*")):
            try:
                if path.is_file() and path.stat().st_size <= LARGEST_OWN:
                    out.append((str(path.relative_to(folder.parent)), str(path), path.read_bytes()))
            except OSError:  # keys and passwords: not for everybody
                continue
    return out


def configuration(
    found: Discovery,
    config: Sequence[str | Path],
    dspam_home: str | Path | None,
    options: Options,
    *,
    own: bool = False,
) -> tuple[Settings, Any, list[str]]:
    """Read configuration texts and DSPAM's home from what was found and what was named; ``own``: this host's own."""
    from logscan.settings import dspam_home as homes
    from logscan.settings import read_settings

    notes: list[str] = []
    texts: list[tuple[str, str]] = []
    inventory = None
    contents = [(each.label, each.path, each.read(1 << 24)) for each in found.configs]
    for named in config:
        path = Path(named)
        inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for each in inside:
            label = str(each.relative_to(path.parent)) if path.is_dir() else each.name
            try:
                contents.append((label, str(each), _configured(each, found)))
            except OSError as error:
                found.errors.append((str(each), f"can't be read: {error.strerror}"))
    for label, _, content in [*contents, *(_own() if own else ())]:
        text = content.decode("utf-8", "backslashreplace")
        if homes.recognise(text) >= 0.5:
            inventory = homes.read_listing(text)
        else:
            texts.append((label, text))
    if dspam_home and not os.path.isdir(dspam_home):  # noqa: PTH112 - False, too, where it can't be reached
        found.errors.append(
            (str(dspam_home), "there is no such folder, or it can't be reached; it should be DSPAM's home")
        )
    elif dspam_home:
        seen = homes.read_home(Path(dspam_home))
        hidden, left = seen.problems[:MOST_NAMED], max(0, len(seen.problems) - MOST_NAMED)
        notes += [*hidden, *([f"and {plural(left, 'more place')} in DSPAM's home that can't be read"] if left else [])]
        # What nobody was let to see isn't an empty home: then nothing is known of it.
        inventory = seen if seen.users or not seen.problems else None
    settings = read_settings(texts, domains=options.local_domains, services=options.services)
    named_so = {Path(each).name: str(each) for each in config if not Path(each).is_dir()}
    found.errors += [
        (path, "no configuration that is known") for label, path in named_so.items() if label in settings.unrecognised
    ]
    notes += [f"{problem.file}:{problem.line}: {problem.text}" for problem in settings.problems]
    if settings.spare:
        more = f" and {len(settings.spare) - MOST_NAMED} more" if len(settings.spare) > MOST_NAMED else ""
        notes.append(
            f"not in force, so not read (templates, backups, what nothing includes): "
            f"{', '.join(settings.spare[:MOST_NAMED])}{more}"
        )
    return settings, inventory, notes


def _configured(path: Path, found: Discovery) -> bytes:
    """Return what a configuration file holds, up to 16 MB; a pipe such as ``<(postconf -n)`` is read as it comes."""
    from logscan.sources.pinned import Pinned

    if path.is_file():
        held = Pinned(str(path))
        found.modes.append((held.status.st_mode, held.status.st_gid))
        return held.pread(1 << 24, 0)
    with path.open("rb") as file:
        return file.read(1 << 24)
