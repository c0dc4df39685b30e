"""What is learnt from a log as a whole: which relays are filters, which domains are ours, how hosts name themselves.

In one go it is learnt from the tables at hand, where it is needed, and written down (:class:`Learning`). A log that is
correlated in pieces has it fixed first by a survey (see :func:`logscan.correlate.windows.survey`), and nothing is learnt on
the way: each piece would learn something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Learnt:
    """Facts about a log as a whole. Relays are (host that logged it, relay as logged)."""

    instances: frozenset[tuple[str, str]] = frozenset()
    """(host, instance) that have a queue of their own: cleanup and qmgr write under that name."""
    hosts: frozenset[str] = frozenset()
    """The hosts that wrote of mail."""
    own_names: frozenset[tuple[str, str]] = frozenset()
    """(host, name that it writes before the path of a socket)."""
    fine: frozenset[int] = frozenset()
    """Sources whose stamps are finer than a second."""
    handed_to: frozenset[str] = frozenset()
    """Addresses of clients that mail is handed to as well: filters' and our servers'."""
    filters: frozenset[tuple[str, str]] = frozenset()
    """Relays that hand back what they take, by what came back in time."""
    late_filters: frozenset[tuple[str, str]] = frozenset()
    """The same, by what came back out of time."""
    hops: frozenset[tuple[str, str]] = frozenset()
    """Relays all of whose deliveries are hand-overs, since enough of what they took came back."""
    returning: frozenset[tuple[str, str]] = frozenset()
    """Relays from which any mail came back."""
    ways: frozenset[tuple[str, str, str, str]] = frozenset()
    """(host, program, service, client's address) by which filters hand mail back; empty where there is none."""
    hop_relays: frozenset[str] = frozenset()
    """Relays of hand-overs, whichever host logged them."""
    local_domains: frozenset[str] = frozenset()
    """Domains whose mail is stored here."""
    envelope_senders: frozenset[str] = frozenset()
    """Filters that name envelope senders, not From headers."""
    silences: frozenset[tuple[str, int, int]] = frozenset()
    """(host, from, until in UTC ns) of the times of which the log may lack lines, where listings of the queue ask for them."""
    relaying: frozenset[str] = frozenset()
    """Addresses of clients trusted to have mail relayed."""


@dataclass
class Learning:
    """What one correlation goes by: facts fixed before, or those that it finds and writes down."""

    fixed: Learnt | None = None
    found: dict[str, frozenset[Any]] = field(default_factory=dict)

    def fact(self, name: str, find: Callable[[], Iterable[Any]]) -> frozenset[Any]:
        """Return a fact of :class:`Learnt` by name: as it was fixed, else what ``find`` finds in the tables at hand."""
        if self.fixed is not None:
            value: frozenset[Any] = getattr(self.fixed, name)
            return value
        self.found[name] = frozenset(find())
        return self.found[name]

    def learnt(self) -> Learnt:
        """Return all facts."""
        if self.fixed is not None:
            return self.fixed
        return Learnt(**{each.name: self.found.get(each.name, frozenset()) for each in fields(Learnt)})
