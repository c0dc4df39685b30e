"""Looks addresses and domains up as Postfix does, in tables whose text is at hand; says which tables could have answered else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from logscan.settings.domains import Domains
from logscan.settings.facts import Fact
from logscan.settings.postfix import Postfix
from logscan.settings.tables import QUERIED, Tables, is_map
from logscan.settings.text import split_list

PATTERNS = {"regexp", "pcre", "cidr"}
"""Kinds of tables of patterns. Whether one fits is Postfix's to say: its expressions aren't Python's."""

SYSTEM = {"unix", "nis", "netinfo", "environ", "fail", "unionmap", "pipemap", "randmap", "internal"}
"""Kinds of tables that are no text."""

STORED = {"hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash", "inline", "static", ""}
"""Kinds that hold what their text says."""


@dataclass(frozen=True)
class Unread:
    """A table that can't be asked here. ``why`` ends a sentence; ``key`` is what it would be asked for."""

    parameter: str
    item: str
    why: str
    key: str


@dataclass(frozen=True)
class Answer:
    """What the tables of a parameter say. ``unread``: the tables that Postfix asks before it would take this answer."""

    value: str | None = None
    fact: Fact | None = None
    key: str = ""
    unread: tuple[Unread, ...] = ()

    @property
    def sure(self) -> bool:
        """Whether no table that can't be read could have said something else."""
        return not self.unread


class Lookups:
    """The lookup tables of Postfix's parameters."""

    def __init__(self, postfix: Postfix, tables: Tables, domains: Domains, delimiters: str) -> None:
        self.postfix = postfix
        self.tables = tables
        self.domains = domains
        self.delimiters = delimiters
        self._indexed: dict[str, dict[str, Fact]] = {}

    @property
    def origin(self) -> str:
        """The domain of addresses without one."""
        found = self.postfix.get("myorigin").strip().lower()
        return self.postfix.get("myhostname").lower() if found.startswith("/") or not found else found

    def split(self, local: str) -> tuple[str, str]:
        """Return a local part without its extension, and the extension with its delimiter (split_addr.c)."""
        low = local.casefold()
        if low in ("postmaster", "mailer-daemon", "double-bounce"):
            return local, ""
        if "-" in self.delimiters and (low.startswith("owner-") or (low.endswith("-request") and low != "-request")):
            return local, ""
        at = next((place for place, sign in enumerate(local) if sign in self.delimiters), 0)
        return (local[:at], local[at:]) if at else (local, "")

    def complete(self, address: str) -> str:
        """Return an address with a domain (append_at_myorigin); lower case."""
        address = address.strip().lower()
        return address if "@" in address or not self.origin else f"{address}@{self.origin}"

    def keys(self, address: str) -> Iterator[str]:
        """Yield what an address is looked up by, in order (virtual(5), canonical(5); mail_addr_find.c)."""
        local, _, domain = address.rpartition("@")
        bare, extension = self.split(local)
        yield address
        if extension:
            yield f"{bare}@{domain}"
        if domain == self.origin or domain in self.domains.destinations:
            yield local
            if extension:
                yield bare
        yield f"@{domain}"

    def address(self, parameter: str, address: str, *, catch_all: bool = True) -> Answer:
        """Return what the tables of a parameter say of an address."""
        keys = [each for each in dict.fromkeys(self.keys(address)) if catch_all or not each.startswith("@")]
        return self.first(parameter, keys)

    def transport(self, address: str) -> Answer:
        """Return what transport_maps say of an address: itself, its domain, those above it, * (transport(5))."""
        local, _, domain = address.rpartition("@")
        bare, extension = self.split(local)
        parents = "transport_maps" in split_list(self.postfix.get("parent_domain_matches_subdomains"))
        labels = domain.split(".")
        above = [".".join(labels[at:]) for at in range(1, len(labels))]
        keys = [address, *([f"{bare}@{domain}"] if extension else []), domain]
        return self.first("transport_maps", [*keys, *(each if parents else f".{each}" for each in above), "*"])

    def first(self, parameter: str, keys: list[str]) -> Answer:
        """Return the answer to the first key that any table of the parameter has."""
        unread: dict[Unread, None] = {}
        items = split_list(self.postfix.get(parameter))
        for key in keys:
            for item in items:
                found = self._in(parameter, item, key)
                if isinstance(found, Unread):
                    unread.setdefault(Unread(parameter, found.item, found.why, keys[0]))
                elif found is not None:
                    return Answer(found.value, found, key, tuple(unread))
        return Answer(unread=tuple(unread))

    def _in(self, parameter: str, item: str, key: str) -> Fact | Unread | None:
        kind = _kind(item)
        if kind == "static":
            value = item.removeprefix("proxy:").partition(":")[2]
            fact = self.postfix.fact(parameter)
            return Fact(value, fact.file if fact else "", fact.line if fact else 0)
        if why := self._unread(item, kind):
            return Unread(parameter, item, why, key)
        return self._index(item).get(key)

    def _unread(self, item: str, kind: str) -> str:
        """Return why a table can't be read here; empty where it can."""
        if kind in QUERIED:
            return "it is asked over a connection"
        if kind in PATTERNS:
            return "its patterns aren’t tried here"
        if kind in SYSTEM or (is_map(item) and kind not in STORED):
            return "it is no text"
        return "" if self.tables.table(item) else "its text isn’t among the configuration given"

    def _index(self, item: str) -> dict[str, Fact]:
        """Return a table's entries by key, lower case: of two with the same key the first counts (postmap)."""
        if item not in self._indexed:
            table = self.tables.table(item)
            found: dict[str, Fact] = {}
            for entry in table.entries if table else ():
                found.setdefault(entry.path[0].lower(), Fact(entry.value, table.label if table else "", entry.line))
            self._indexed[item] = found
        return self._indexed[item]

    def listed(self, parameter: str, domain: str) -> Answer:
        """Return whether a list of domains has one (``value`` is then the pattern), and what it couldn't ask (match_list.c)."""
        unread: dict[Unread, None] = {}
        parents = parameter == "relay_domains" or parameter in split_list(
            self.postfix.get("parent_domain_matches_subdomains")
        )
        names = _with_parents(domain, parents)
        fact = self.postfix.fact(parameter)
        place = (fact.file, fact.line) if fact else ("default", 0)
        for item in split_list(self.postfix.get(parameter)):
            pattern = item.removeprefix("!")
            if is_map(pattern) or pattern.startswith("/"):
                hit = self._domain_in(parameter, pattern, names, unread)
            else:
                hit = Fact(pattern, *place) if pattern.lower().strip(".") in names else None
                hit = hit or (
                    Fact(pattern, *place) if pattern.startswith(".") and domain.endswith(pattern.lower()) else None
                )
            if hit is not None:
                return Answer(None if item.startswith("!") else hit.value or domain, hit, domain, tuple(unread))
        return Answer(unread=tuple(unread))

    def _domain_in(self, parameter: str, item: str, names: list[str], unread: dict[Unread, None]) -> Fact | None:
        for name in names:
            found = self._in(parameter, item, name)
            if isinstance(found, Unread):
                unread.setdefault(Unread(parameter, found.item, found.why, names[0]))
            elif found is not None:
                return found
        return None


def _kind(item: str) -> str:
    """Return a table's kind; empty for a plain file of a list."""
    if item.startswith("/"):
        return ""
    kind, sign, _ = item.removeprefix("proxy:").partition(":")
    return kind.lower() if sign else ""


def _with_parents(domain: str, parents: bool) -> list[str]:
    labels = domain.split(".")
    return [domain, *(".".join(labels[at:]) for at in range(1, len(labels)) if parents)]
