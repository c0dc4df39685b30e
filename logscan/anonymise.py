"""Makes a report that may be shown around: people, hosts and addresses become names that stay the same throughout it."""

from __future__ import annotations

import dataclasses
import re
from datetime import datetime
from typing import Any

from logscan.report import Report

MAIL = r"[^\s<>@,;:()\[\]\"'|/\\]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
IP4 = r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])"
IP6 = r"(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{1,4}:){2,7}[0-9A-Fa-f:]*[0-9A-Fa-f](?![0-9A-Fa-f:])"
HOST = r"(?<![\w.@-])(?:[A-Za-z0-9_-]+\.)+[A-Za-z]{2,24}(?![\w-])"

FILES = re.compile(r"\.(?:log|gz|bz2|xz|zst|cf|conf|txt|css|sig|sock|json|html|py|local|stats|mbox)$", re.IGNORECASE)
"""Endings of names that are files, not hosts."""

COMMON = frozenset({"root", "mail", "postmaster", "localhost", "mailer-daemon", "abuse", "info", "sales"})
"""Local parts that name nobody, and stand in texts of every sort."""

CLOCK = re.compile(r"^\d{1,2}(?::\d{2}){1,2}$")


class Names:
    """What each name was turned into, by kind: the first host is host1, its second user user2@host1.example."""

    def __init__(self, users: set[str], hosts: set[str]) -> None:
        self.known: dict[tuple[str, str], str] = {}
        self.hosts = {host.lower() for host in hosts}
        self.users = {user.lower() for user in users}
        users = users | hosts
        bare = "|".join(re.escape(user) for user in sorted(users, key=len, reverse=True))
        parts = [MAIL, IP4, IP6, HOST] + ([rf"(?<![\w.@-])(?:{bare})(?![\w@-])"] if bare else [])
        self.pattern = re.compile("|".join(f"({part})" for part in parts))

    def of(self, kind: str, text: str) -> str:
        """Return the name that stands for ``text``."""
        key = (kind, text.lower())
        if key not in self.known:
            self.known[key] = f"{kind}{sum(1 for each, _ in self.known if each == kind) + 1}"
        return self.known[key]

    def replace(self, text: str) -> str:
        """Return the text with every name in it replaced."""
        return self.pattern.sub(self._one, text)

    def _one(self, match: re.Match[str]) -> str:
        found = match[0]
        if match[1]:
            local, _, domain = found.rpartition("@")
            return f"{self.of('user', local)}@{self.of('domain', domain)}.example"
        if match[2] or match[3]:
            return found if CLOCK.match(found) else self.of("address", found)
        if match[4]:
            stem, dot, ending = found.rpartition(".")
            if stem.lower() in self.users:
                return self.of("user", stem) + dot + ending
            return found if FILES.search(found) else f"{self.of('domain', found)}.example"
        return self.of("host" if found.lower() in self.hosts else "user", found)


def anonymise(report: Report) -> Report:
    """Return a copy of the report with people, hosts and addresses replaced, the same by the same everywhere."""
    users: set[str] = set()
    for finding in report.found:
        names = [finding.subject, *(case.get(key) for case in finding.cases for key in ("user", "belongs_to"))]
        bare = [name.partition("@")[0] for name in names if isinstance(name, str)]
        users.update(name for name in bare if re.fullmatch(r"[\w.+-]{2,64}", name) and name.lower() not in COMMON)
    copy: Report = _walk(report, Names(users, {host for host in report.hosts if host}))
    return copy


def _walk(value: Any, names: Names) -> Any:
    if isinstance(value, str):
        return names.replace(value)
    if isinstance(value, datetime) or value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        items = [_walk(each, names) for each in value]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, dict):
        return {key: _walk(each, names) for key, each in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = {
            "name",
            "title",
            "check",
            "version",
            "kind",
            "cause",
            "severity",
            "confidence",
            "state",
            "key",
            "source",
        }
        fields = {
            field.name: getattr(value, field.name) if field.name in kept else _walk(getattr(value, field.name), names)
            for field in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **fields)
    return value
