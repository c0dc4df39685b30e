"""Finds the lookup tables that Postfix's parameters name among the texts at hand."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from logscan.settings.facts import Entry, Fact
from logscan.settings.postfix import Postfix
from logscan.settings.text import base_name, split_list

DOMAIN_LISTS = ("mydestination", "virtual_mailbox_domains", "virtual_alias_domains", "relay_domains")
"""The parameters that list domains, or name tables of them."""
QUERIED = {"mysql", "pgsql", "sqlite", "ldap", "memcache", "tcp", "socketmap", "mongodb"}
"""Kinds of tables that are asked over a connection: the file they name holds no entries."""
_NAMED = (
    *DOMAIN_LISTS,
    "virtual_alias_maps",
    "virtual_mailbox_maps",
    "alias_maps",
    "recipient_bcc_maps",
    "sender_bcc_maps",
)


@dataclass
class Map:
    """A lookup table whose text is at hand; ``kind`` is told by content, ``parameters`` name it in main.cf."""

    label: str
    kind: str
    entries: list[Entry]
    parameters: tuple[str, ...] = ()


class Tables:
    """The lookup tables at hand, found by what main.cf says of them."""

    def __init__(self, postfix: Postfix, maps: Sequence[Map]) -> None:
        self.postfix = postfix
        self.maps = maps

    def table(self, item: str) -> Map | None:
        """Return the map that ``hash:/etc/postfix/virtual`` names, when its text was given."""
        kind, _, rest = item.removeprefix("proxy:").partition(":")
        if kind == "inline":
            pairs = re.findall(r"([^\s{},=]+)\s*=\s*([^{},]*)", rest)
            return Map("inline", "domains", [Entry((key,), value.strip(), 0) for key, value in pairs])
        if not is_map(item) or kind in QUERIED:
            return None
        path = item if item.startswith("/") else rest
        name = plain_name(path)
        fitting = [each for each in self.maps if plain_name(each.label) == name]
        return max(fitting, key=lambda each: _common_tail(each.label, path), default=None)

    def tables(self, parameter: str, kind: str) -> list[Map]:
        """Return the maps that a parameter names; without it, or when none is at hand by name, those that look so."""
        items = split_list(self.postfix.get(parameter))
        named = [table for table in map(self.table, items) if table]
        if named:
            return named
        if self.postfix.main and not any(is_map(each) for each in items):
            return []
        taken = {each.label for each in self.maps if each.parameters}
        return [each for each in self.maps if each.kind == kind and each.label not in taken]

    @functools.cached_property
    def unresolved(self) -> tuple[Fact, ...]:
        """Tables that the configuration names and whose text isn't at hand (files not given, SQL, LDAP)."""
        found: list[Fact] = []
        for name in _NAMED:
            fact = self.postfix.fact(name)
            if fact is None:
                continue
            missing = [x for x in split_list(self.postfix.get(name)) if is_map(x) and not self.table(x)]
            found.extend(Fact(f"{name}: {item}", fact.file, fact.line) for item in missing)
        return tuple(dict.fromkeys(found))


def is_map(item: str) -> bool:
    """Whether an item of a list names a table rather than standing for itself."""
    return item.startswith("/") or bool(re.match(r"[a-z0-9]+:(?!\d*\])", item))


def plain_name(label: str) -> str:
    """Return a file's name as far as it tells tables apart: lower case, without folder and usual endings."""
    return re.sub(r"\.(txt|map|cf)$", "", base_name(label).lower())


def _common_tail(label: str, path: str) -> int:
    one, two = re.split(r"[/\\]", label)[::-1], path.split("/")[::-1]
    return next((at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
