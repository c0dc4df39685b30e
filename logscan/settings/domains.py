"""Tells what is this server's own: its domains, mailboxes and networks."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable, Iterator

from logscan.settings.facts import Fact
from logscan.settings.postfix import Postfix
from logscan.settings.tables import DOMAIN_LISTS, Tables, is_map
from logscan.settings.text import split_list


class Domains:
    """The domains, mailboxes and networks of this server; ``told`` are domains that the user named."""

    def __init__(self, postfix: Postfix, tables: Tables, told: Iterable[str]) -> None:
        self.postfix = postfix
        self.tables = tables
        self.told = told

    @functools.cached_property
    def names(self) -> dict[str, Fact]:
        """The domains this server takes mail for, each with the fact that says so; lower case."""
        found: dict[str, Fact] = {}
        for name in DOMAIN_LISTS:
            for domain, fact in self.listed(name):
                found.setdefault(domain, fact)
        if not found:
            for address, fact in self.mailboxes.items():
                found.setdefault(address.rpartition("@")[2], fact)
        for domain in self.told:
            found.setdefault(domain, Fact(domain, "--local-domain", 0))
        found.pop("", None)
        return found

    def listed(self, name: str) -> Iterator[tuple[str, Fact]]:
        """Yield the domains that a parameter lists, itself or by a table at hand, each with its place."""
        if not self.postfix.main:
            return
        fact = self.postfix.fact(name) or Fact(self.postfix.get(name), "default", 0)
        for item in split_list(self.postfix.get(name)):
            table = self.tables.table(item)
            if table:
                for entry in table.entries:
                    key = entry.path[0].lower()
                    if "@" not in key and ("." in key or table.kind == "domains"):
                        yield key, Fact(key, table.label, entry.line)
            elif not is_map(item) and not item.startswith("!"):
                yield item.lower().strip("."), Fact(item, fact.file, fact.line)

    @functools.cached_property
    def destinations(self) -> frozenset[str]:
        """The domains of ``mydestination``: mail to them is delivered to local users."""
        return frozenset(domain for domain, _ in self.listed("mydestination"))

    @functools.cached_property
    def mailboxes(self) -> dict[str, Fact]:
        """Virtual mailboxes by address, lower case."""
        found: dict[str, Fact] = {}
        for table in self.tables.tables("virtual_mailbox_maps", "vmailbox"):
            for entry in table.entries:
                if "@" in entry.path[0]:
                    found[entry.path[0].lower()] = Fact(entry.value, table.label, entry.line)
        return found

    @property
    def mailbox_domains(self) -> tuple[str, ...]:
        """The domains whose users have mailboxes here: virtual ones; without any, those of local users.

        Empty when some of them stand in a table that isn't at hand.
        """
        if any(
            each.value.startswith(("virtual_mailbox_domains:", "mydestination:")) for each in self.tables.unresolved
        ):
            return ()
        virtual = dict.fromkeys(domain for domain, _ in self.listed("virtual_mailbox_domains"))
        if virtual:
            return tuple(virtual)
        host = self.postfix.get("myhostname").lower()
        own = dict.fromkeys(domain for domain, _ in self.listed("mydestination"))
        outside = tuple(each for each in own if each != host and each.partition(".")[0] != "localhost")
        return outside or tuple(dict.fromkeys(each.rpartition("@")[2] for each in self.mailboxes))

    @functools.cached_property
    def networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """``mynetworks``, as far as it is spelled out."""
        found: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for item in split_list(self.postfix.get("mynetworks")):
            try:
                found.append(ipaddress.ip_network(re.sub(r"[\[\]]", "", item), strict=False))
            except ValueError:
                continue
        return tuple(found)

    def is_mine(self, address: str) -> bool:
        """Whether a client address lies in ``mynetworks``."""
        try:
            ip = ipaddress.ip_address(address.strip("[]"))
        except ValueError:
            return False
        return any(ip in network for network in self.networks if network.version == ip.version)
