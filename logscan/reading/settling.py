"""Looks, once all is read, whether the sources stayed what they were."""

from __future__ import annotations

from logscan.reading.ledger import Ledger


def settle(ledger: Ledger) -> None:
    """Say in each source's ``error`` why not all of it was read, or what became of it meanwhile."""
    for read in ledger.reads:
        read.source.error = read.error or read.source.error
        read.source.settled()
        read.error = read.source.error
