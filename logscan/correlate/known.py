"""What the correlation is told from elsewhere: by the configuration, the user, or the windows before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from logscan.correlate.learnt import Learnt

if TYPE_CHECKING:
    from logscan.correlate.queue_listing import Listing

NEVER = 2**63 - 1
"""As an end: more of the log is to come."""


@dataclass(frozen=True)
class Known:
    """What the configuration or the user tells the correlation; everything may be empty."""

    filters: tuple[str, ...] = ()
    """Regular expressions for relays that are filters which hand mail back."""
    local_domains: frozenset[str] = frozenset()
    whole: bool = True
    """``local_domains``, if there are any, are all: none of them stands in a table that isn't at hand."""
    mailboxes: tuple[str, ...] = ()
    """Regular expressions for relays that are mailbox servers, whatever protocol they speak."""
    names: frozenset[str] = frozenset()
    """This host's own names beyond those that the log shows, lower case."""
    networks: tuple[str, ...] = ()
    """mynetworks beyond loopback, as CIDR."""
    configured: bool = False
    """Whether main.cf is at hand: then it says whose mail is relayed, and nothing is guessed."""
    delimiter: str = "+"
    """Characters, each of which begins an address extension."""
    instances: frozenset[tuple[str, str]] = frozenset()
    """(host, instance) that have a queue of their own, from lines read before."""
    programs: frozenset[str] = frozenset()
    """Services of pipe(8) whose program is no delivery agent: lists, ticket systems, scripts."""
    listings: tuple[Listing, ...] = ()
    """What `postqueue -j` told of the queues."""
    retry: tuple[int, int, int] = (300, 4000, 300)
    """Seconds of minimal_backoff_time, maximal_backoff_time and queue_run_delay (Postfix's defaults)."""
    silences: tuple[tuple[str, int, int], ...] = ()
    """(host, from, until in UTC ns) of the times of which the log may lack lines; empty: the tables at hand are all."""
    learnt: Learnt | None = None
    """What a survey fixed; None: it is learnt from the tables at hand."""
    end: int | None = None
    """When the log ends (UTC ns): mail that waits then may be in a filter's hands. None: with the tables at hand; :data:`NEVER`:
    not with them."""
