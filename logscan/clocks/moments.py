"""Times as people write them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

OLDEST, NEWEST = 1970, 2200
"""Years that a time can be in; tables hold nanoseconds in 64 bits."""


def moment(text: str, zone: Any, now: datetime | None = None) -> datetime:
    """Read a time as people write it, in ``zone``; raises ValueError, which lists the forms.

    Without a zone, a time of day stays without one: it is the server's, which the logs tell.
    """
    from logscan.clocks.solving import host_timezone

    now = now or datetime.now(zone or host_timezone())
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=zone)
    words = {
        "now": now,
        "today": midnight,
        "yesterday": midnight - timedelta(days=1),
        "tomorrow": midnight + timedelta(days=1),
    }
    low = text.strip().lower()
    if low in words:
        return words[low]
    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    try:
        count = whole(low[1:-1]) if low[:1] == "-" and low[-1] in units else None
        found = (
            now - timedelta(**{units[low[-1]]: count}) if count is not None else datetime.fromisoformat(text.strip())
        )
        found = found if found.tzinfo else found.replace(tzinfo=zone)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time; write 2026-11-22, '2026-11-22 07:00', today, yesterday, -30m, -2h or -3d"
        ) from None
    if not OLDEST <= found.year <= NEWEST:
        raise ValueError(f"{text!r}: a year from {OLDEST} to {NEWEST} is meant")
    return found


def whole(text: str, most: int = 10**9) -> int | None:
    """Return a whole number written in the digits 0 to 9 (``str.isdigit`` takes others too), or None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= most else None
