"""Whether Postfix worked on and complained no more: what it complained of was mended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from logscan.scan import hourly
from logscan.tables.partials import SECOND

if TYPE_CHECKING:
    from logscan.checking.warned import Bout
    from logscan.tables.partials import Partial

LEAST = 3
"""Mails that must have come in since: with one or two, no new process may have been started."""


def quiet_since(partial: Partial, found: Sequence[Bout], least: int) -> bool:
    """Whether each host that complained took in mails for so many seconds after its last complaint, with none since."""
    if hourly.HOURS not in partial:
        return False
    hours = partial.frame(hourly.HOURS)
    for host in {each.host for each in found}:
        last = max(each.until for each in found if each.host == host)
        # Hours that begin so much later: what came in within them came after it.
        later = hours[(hours["host"] == host) & (hours["hour"] * hourly.HOUR >= last + least * SECOND)]
        if int(later["mails"].sum()) < LEAST:
            return False
    return True
