"""What was waiting: the output of `postqueue -j` among the files to read, and how often Postfix tries again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from logscan.correlate.known import Known
from logscan.correlate.queue_listing import Listing, read_listing, recognise

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings
    from logscan.sources.finding import Discovery

LARGEST = 256 << 20
"""Bytes of a listing that are read: half a million mails. One that is cut can't tell what isn't in the queue."""

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
"""Postfix's units of time (postconf(5))."""

LONGEST = 10**7
"""Seconds; a longer time between two attempts is garbled."""


def queues(found: Discovery) -> tuple[Listing, ...]:
    """Take the listings of queues out of the texts that were found, and return them."""
    out, rest = [], []
    for each in found.configs:
        if not recognise(each.head.decode("utf-8", "replace")):
            rest.append(each)
            continue
        content = each.read(LARGEST)
        if len(content) >= LARGEST:
            found.errors.append((each.path, f"a queue's listing larger than {LARGEST >> 20} MB"))
        else:
            out.append(read_listing(each.label, content.decode("utf-8", "backslashreplace")))
    found.configs = rest
    return tuple(out)


def retry(settings: Settings) -> tuple[int, int, int]:
    """Return minimal_backoff_time, maximal_backoff_time and queue_run_delay in seconds; Postfix's defaults where unset."""
    names = ("minimal_backoff_time", "maximal_backoff_time", "queue_run_delay")
    least, most, run = (
        _seconds(settings.postfix.get(name), usual) for name, usual in zip(names, Known().retry, strict=True)
    )
    return least, max(least, most), run


def _seconds(text: str, usual: int) -> int:
    found = re.fullmatch(r"\s*(\d{1,9})\s*([smhdw]?)\s*", text)
    return min(int(found[1]) * UNITS[found[2] or "s"], LONGEST) if found else usual


def listed(window: Window) -> set[str]:
    """Return the queue IDs of a window that a listing has too."""
    entries = window.entries
    return set(entries.loc[entries["listed"].notna(), "queue_id"])


def notes(listings: tuple[Listing, ...], waiting: set[str]) -> list[str]:
    """Return a sentence on each listing: how much it lists, and how much of that these logs know."""
    out = []
    for each in listings:
        known = len(waiting.intersection(each.queue_id))
        mails = "1 mail" if len(each) == 1 else f"{len(each)} mails"
        what = f"{known} of them wait by these logs too" if known else "none of them waits by these logs"
        out.append(f"{each.label}: a queue with {mails}; {what}")
    return out
