"""Tells configuration files in force from those beside them: templates, backups, and files of Dovecot's that nothing includes."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterable, Mapping

TEMPLATE = re.compile(r"\.(?:proto|dpkg-(?:new|dist|tmp)|ucf-(?:new|dist)|rpmnew|sw[op])$|^\.#|^#.*#$", re.IGNORECASE)
"""Never in force: Postfix's ``main.cf.proto``, what a package brought beside the file that is (dpkg, ucf, rpm), an editor's."""

BACKUP = re.compile(
    r"(?:\.(?:dist|default|sample|example|dpkg-old|ucf-old|rpm(?:save|orig)|bak|orig|old|save)|~|[._-]\d{8}(?:[._-]?\d{4,6})?)$",
    re.IGNORECASE,
)
"""Not in force where the file itself is there too."""

INCLUDE = re.compile(r"^[ \t]*!include(?:_try)?[ \t]+(\S+)", re.MULTILINE)
"""Dovecot's ``!include`` and ``!include_try``, whose path may be a pattern."""


def spares(texts: Mapping[str, str], kinds: Mapping[str, str]) -> set[str]:
    """Return the labels of texts that aren't in force.

    ``kinds``: what each known text was recognised as. A backup counts where there is nothing else of its kind.
    """
    out = {label for label in kinds if TEMPLATE.search(posixpath.basename(label))}
    for label in kinds.keys() - out:
        bare = BACKUP.sub("", label)
        rest = (each for each, kind in kinds.items() if kind == kinds[label] and each != label and each not in out)
        if bare != label and (bare in kinds or (kinds[label] != "map" and any(not _backup(each) for each in rest))):
            out.add(label)
    return out | _unincluded(texts, kinds, out)


def _backup(label: str) -> bool:
    return bool(BACKUP.search(posixpath.basename(label)))


def _unincluded(texts: Mapping[str, str], kinds: Mapping[str, str], out: set[str]) -> set[str]:
    """Return Dovecot's files with the ending .ext that no file includes; only where dovecot.conf itself is there."""
    own = {label for label, kind in kinds.items() if kind == "doveconf"} - out
    if not any(posixpath.basename(label) == "dovecot.conf" for label in own):
        return set()
    asked = {label for label in own if label.endswith(".ext")}
    patterns = included(texts[label] for label in own - asked)
    return {label for label in asked if not matches(label, patterns)}


def included(texts: Iterable[str]) -> list[str]:
    """Return what Dovecot's texts include, patterns as they are."""
    return [each for text in texts for each in INCLUDE.findall(text)]


def matches(label: str, patterns: Iterable[str]) -> bool:
    """Whether one of the paths, which may be patterns, names this text: by its name, and the folder where one is told."""
    name, folder = posixpath.basename(label), posixpath.basename(posixpath.dirname(label))
    for each in patterns:
        last, before = posixpath.basename(each), posixpath.basename(posixpath.dirname(each))
        if fnmatch.fnmatchcase(name, last) and (not before or not folder or before == folder):
            return True
    return False
