"""What cleanup(8) makes of a recipient on its way into the queue: canonical addresses, virtual aliases, copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from logscan.settings.addresses import targets_of
from logscan.settings.facts import Fact
from logscan.settings.lookups import Answer, Lookups, Unread
from logscan.settings.parameters import Parameters
from logscan.settings.services import Service
from logscan.settings.text import split_list

How = Literal["canonical", "virtual", "bcc"]

NESTING = 1000
"""virtual_alias_recursion_limit and virtual_alias_expansion_limit, unless they are set (postconf(5))."""

CANONICAL_NESTING = 1000
"""What cleanup_map11.c allows."""


@dataclass(frozen=True)
class Expansion:
    """One address that a table replaces, or adds others to (``bcc``)."""

    how: How
    address: str
    targets: tuple[str, ...]
    fact: Fact | None


@dataclass(frozen=True)
class Passage:
    """A recipient's way through cleanup: what was replaced, in order, and the recipients at its end."""

    mapped: bool
    """Whether addresses are mapped at all (no_address_mappings)."""
    why: Fact | None
    """Where that is set."""
    expansions: tuple[Expansion, ...]
    ends: tuple[str, ...]
    unread: tuple[Unread, ...]
    """Tables that could have said something else."""
    trouble: str = ""
    """Why the mail isn't taken at all: a loop, too many recipients."""


class Expanding:
    """cleanup(8) with the parameters of one entrance."""

    def __init__(self, lookups: Lookups, service: Service | None, parameters: Parameters) -> None:
        self.lookups = lookups
        get = service.get if service else parameters.get
        self.propagated = split_list(get("propagate_unmatched_extensions") or "canonical, virtual")
        self.most = _limit(get("virtual_alias_expansion_limit"))
        self.deepest = _limit(get("virtual_alias_recursion_limit"))
        self.classes = split_list(get("canonical_classes")) or ["envelope_recipient"]
        self.own = split_list(get("recipient_canonical_classes")) or ["envelope_recipient"]
        self.always = get("always_bcc").strip()

    def passage(self, address: str, mapped: bool, why: Fact | None) -> Passage:
        """Return what becomes of one recipient."""
        if not mapped:
            return Passage(False, why, (), (address,), ())
        done: list[Expansion] = []
        unread: dict[Unread, None] = {}
        at = address
        for parameter, classes in (("recipient_canonical_maps", self.own), ("canonical_maps", self.classes)):
            if "envelope_recipient" in classes:
                at = self._canonical(parameter, at, done, unread)
        ends, trouble = self._virtual(at, done, unread)
        copies = self._copies(at, done, unread)
        for copy in copies:
            more, worse = self._virtual(copy, done, unread)
            ends, trouble = [*ends, *more], trouble or worse
        return Passage(True, why, tuple(done), tuple(dict.fromkeys(ends)), tuple(unread), trouble)

    def _canonical(self, parameter: str, address: str, done: list[Expansion], unread: dict[Unread, None]) -> str:
        """Return the address that a canonical table ends at: each result is looked up again until one stays (cleanup_map11.c)."""
        for _ in range(CANONICAL_NESTING):
            answer = self.lookups.address(parameter, address)
            unread.update(dict.fromkeys(answer.unread))
            if answer.value is None:
                break
            (found, *_) = self._results(answer, address, "canonical") or [address]
            if found == address:
                break
            done.append(Expansion("canonical", address, (found,), answer.fact))
            address = found
        return address

    def _virtual(self, address: str, done: list[Expansion], unread: dict[Unread, None]) -> tuple[list[str], str]:
        """Expand virtual aliases as cleanup_map1n.c does; an address that lists itself is kept once."""
        found = [address]
        kept: set[str] = set()
        told = {each.address for each in done if each.how == "virtual"}
        place = 0
        while place < len(found):
            if len(found) > self.most:
                return [address], f"it becomes more than {self.most} recipients (virtual_alias_expansion_limit)"
            passed: set[str] = set()
            while (at := found[place]) not in kept:
                if at in passed or len(passed) >= self.deepest:
                    return [address], "its virtual aliases lead in a circle"
                passed.add(at)
                answer = self.lookups.address("virtual_alias_maps", at)
                unread.update(dict.fromkeys(answer.unread))
                if answer.value is None:
                    break
                results = self._results(answer, at, "virtual")
                if not results:
                    break
                if at not in told:
                    told.add(at)
                    done.append(Expansion("virtual", at, tuple(results), answer.fact))
                kept.update({at} & set(results))
                found[place] = results[0]
                found += results[1:]
            place += 1
        return found, ""

    def _results(self, answer: Answer, address: str, how: str) -> list[str]:
        """Return the addresses of a table's value: @domain keeps the name, an extension that wasn't looked up goes along."""
        local, _, domain = address.rpartition("@")
        bare, extension = self.lookups.split(local)
        matched_bare = answer.key in (f"{bare}@{domain}", bare) and extension
        out = []
        for each in targets_of(answer.value or ""):
            target = f"{local}{each}" if each.startswith("@") else self.lookups.complete(each)
            if matched_bare and how in self.propagated and not each.startswith("@"):
                name, _, rest = target.rpartition("@")
                target = f"{name}{extension}@{rest}"
            out.append(target.lower())
        return out

    def _copies(self, address: str, done: list[Expansion], unread: dict[Unread, None]) -> list[str]:
        """Return who gets a copy; sender_bcc_maps depend on the sender, and aren't looked at."""
        out = []
        answer = self.lookups.address("recipient_bcc_maps", address)
        unread.update(dict.fromkeys(answer.unread))
        if answer.value:
            out += [self.lookups.complete(answer.value)]
            done.append(Expansion("bcc", address, (out[-1],), answer.fact))
        if self.always:
            out.append(self.lookups.complete(self.always))
            done.append(Expansion("bcc", address, (out[-1],), self.lookups.postfix.fact("always_bcc")))
        return out


def _limit(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 6 else NESTING
