"""Makes the facts of a log from what a window of it, or its survey, shows."""

from __future__ import annotations

from logscan.scan.hops import dspam_relays, filter_relays, mailbox_relays
from logscan.scan.log import Facts
from logscan.scan.ports import services
from logscan.scan.window import Window


def facts_of(window: Window) -> Facts:
    """Return what a window alone shows."""
    return Facts(
        dspam_relays=dspam_relays(window),
        filter_relays=filter_relays(window),
        mailbox_relays=mailbox_relays(window),
        services=services(window),
    )
