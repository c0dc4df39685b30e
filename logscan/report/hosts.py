"""Mail by host, where several hosts' lines are at hand: of each what came in, what became of it, from when to when it wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from logscan.report.by_key import ByKey
from logscan.scan.columns import joined, values

if TYPE_CHECKING:
    from collections.abc import Iterable

    from logscan.report.model import Listing
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.tables.partials import Part, Partial

COUNTS = ("recipients", "delivered", "deferred", "bounced", "expired", "deferrals")

HOSTS = ByKey(
    "hosts",
    "Hosts",
    "Mails by the host that took them in, with their recipients by last status, attempts put off, and the first and last mail: "
    "a host whose last is long ago writes elsewhere, or is down.",
    by=("host",),
    numbers=("mails", *COUNTS, "first", "last"),
)


def look(window: Window) -> dict[str, Part]:
    """Return what a window counts."""
    if not len(window.mails):
        return {}
    sums = {name: values(window, "mails", name).astype("int64") for name in COUNTS}
    return HOSTS.look(
        (joined(window, "mails", "host"),), {"mails": None, **sums}, times=values(window, "mails", "first")
    )


def listings(partial: Partial, log: Log) -> Iterable[Listing]:
    """Return the list, where there are several hosts."""
    found = HOSTS.listing(partial, log.zone)
    if found is not None and len(found.rows) > 1:
        yield found
