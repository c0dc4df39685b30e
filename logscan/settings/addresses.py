"""Follows a recipient's address: the aliases it falls under, where they end, and the BCC copies added."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal

from logscan.settings.domains import Domains
from logscan.settings.facts import Fact
from logscan.settings.postfix import Postfix
from logscan.settings.tables import Tables

_BCC = ("recipient_bcc_maps", "always_bcc", "sender_bcc_maps")


@dataclass(frozen=True)
class Alias:
    """An address that stands for others. ``kind``: virtual(5) before the queue, local aliases(5) at delivery."""

    address: str
    targets: tuple[str, ...]
    fact: Fact
    kind: Literal["virtual", "local"] = "virtual"

    @property
    def lists_itself(self) -> bool:
        """Whether it keeps a copy for its own mailbox."""
        return self.address in self.targets


class Addresses:
    """The aliases of this server and what they make of an address."""

    def __init__(self, postfix: Postfix, tables: Tables, domains: Domains) -> None:
        self.postfix = postfix
        self.tables = tables
        self.domains = domains

    @functools.cached_property
    def aliases(self) -> dict[str, Alias]:
        """Aliases by address, lower case; those of aliases(5) by their bare name. ``@domain`` is a catch-all."""
        found: dict[str, Alias] = {}
        origin = self.postfix.get("myorigin").lower()
        if origin.startswith("/"):
            origin = self.postfix.get("myhostname").lower()
        for table in self.tables.tables("alias_maps", "aliases"):
            for entry in table.entries:
                name = entry.path[0].lower()
                targets = tuple(each.lower() for each in targets_of(entry.value))
                found[name] = Alias(name, targets, Fact(entry.value, table.label, entry.line), "local")
        for table in self.tables.tables("virtual_alias_maps", "virtual"):
            for entry in table.entries:
                name = entry.path[0].lower()
                if "@" not in name:
                    if "." in name:
                        continue  # a domain's own line
                    name = f"{name}@{origin}" if origin else name
                targets = tuple(_complete(each.lower(), origin) for each in targets_of(entry.value))
                found[name] = Alias(name, targets, Fact(entry.value, table.label, entry.line))
        return found

    @functools.cached_property
    def delimiters(self) -> str:
        """The characters of ``recipient_delimiter``: each begins an extension. What looks like a comment is none."""
        value = self.postfix.get("recipient_delimiter").strip()
        told = value if value == "#" else re.split(r"(?:^|\s)#", value)[0]
        return "".join(dict.fromkeys(char for char in told if not char.isspace()))

    def alias(self, address: str) -> Alias | None:
        """Return the alias that an address falls under: itself, without its extension, aliases(5), the catch-all."""
        address = address.lower().strip("<>")
        local, at, domain = address.rpartition("@")
        if not at:
            local, domain = address, ""
        split = (local[0] + local[1:].partition(each)[0] for each in self.delimiters if each in local[1:])
        names = [local, *split]
        for name in names:
            found = self.aliases.get(f"{name}@{domain}" if domain else name)
            if found:
                return found
        for name in names:
            found = self.aliases.get(name)
            if found and found.kind == "local" and (not domain or domain in self.domains.destinations):
                return found
        return self.aliases.get(f"@{domain}") if domain else None

    def expand(self, address: str) -> frozenset[str]:
        """Return the addresses that one expansion of the virtual aliases ends at (recursive, as cleanup does it)."""
        done: set[str] = set()
        ends: set[str] = set()
        todo = [address.lower().strip("<>")]
        while todo and len(done) < 10000:
            each = todo.pop()
            if each in done:
                continue
            done.add(each)
            alias = self.alias(each)
            if alias is None or alias.kind != "virtual":
                ends.add(each)
                continue
            if alias.lists_itself:
                ends.add(alias.address)
            local = each.partition("@")[0]
            todo.extend(local + target if target.startswith("@") else target for target in alias.targets)
        return frozenset(ends)

    @functools.cached_property
    def self_listing(self) -> tuple[str, ...]:
        """The virtual aliases that list themselves."""
        return tuple(each.address for each in self.aliases.values() if each.kind == "virtual" and each.lists_itself)

    @functools.cached_property
    def doubling(self) -> tuple[str, ...]:
        """The virtual aliases whose mail would be multiplied by a second expansion: they lead to one listing itself."""
        self_listing = set(self.self_listing)
        several = {each for each in self_listing if len(self.expand(each)) > 1}
        return tuple(
            each.address
            for each in self.aliases.values()
            if each.kind == "virtual" and several & self.expand(each.address)
        )

    @functools.cached_property
    def transports(self) -> dict[str, Fact]:
        """The transport map by pattern, lower case."""
        found: dict[str, Fact] = {}
        for table in self.tables.tables("transport_maps", "transport"):
            for entry in table.entries:
                found[entry.path[0].lower()] = Fact(entry.value, table.label, entry.line)
        return found

    @functools.cached_property
    def bcc(self) -> tuple[Fact, ...]:
        """The parameters that add recipients to every mail or to some."""
        return tuple(
            fact for name in _BCC if (fact := self.postfix.fact(name)) is not None and self.postfix.get(name).strip()
        )


def targets_of(value: str) -> list[str]:
    """Split the right side of an alias; quoted targets, pipes and includes stay whole."""
    parts = re.findall(r'"(?:[^"\\]|\\.)*"(?:@[^\s,]+)?|[^\s,"]+', value)
    return [each.strip('"') if "@" not in each else each for each in parts]


def _complete(target: str, origin: str) -> str:
    return target if "@" in target or not origin else f"{target}@{origin}"
