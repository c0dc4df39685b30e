"""What the correlation is told from elsewhere: by the configuration, the user, or the windows before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logscan.correlate.queue_listing import Listing


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
