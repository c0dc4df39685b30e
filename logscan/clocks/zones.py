"""Time zones as steps: their transitions in a range, and the zone that fits what is known of a clock."""

from __future__ import annotations

import functools
import re
import zoneinfo
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import numpy as np
import numpy.typing as npt

from logscan.envelopes.stamps import DAY, SECOND

Ints = npt.NDArray[np.int64]

QUARTER = 900 * SECOND
"""Offsets in use are multiples of 15 minutes."""

MOST_ANCHORS = 20_000
"""Anchors weighed per source; more tell nothing new."""

RULES = (
    "Europe/Berlin", "Europe/London", "Europe/Helsinki", "America/New_York", "America/Chicago", "America/Denver",
    "America/Los_Angeles", "America/Anchorage", "America/Halifax", "America/St_Johns", "America/Santiago",
    "Australia/Sydney", "Australia/Adelaide", "Pacific/Auckland", "Asia/Jerusalem", "Africa/Cairo", "Asia/Beirut",
    "Atlantic/Azores", "Europe/Chisinau", "America/Havana",
)  # fmt: skip
"""One zone for each rule of summer time in use (tz database, 2024)."""


class Steps(tzinfo):
    """A zone known only from what was observed: ``offset[i]`` holds from UTC ``at[i]`` on (ns, int64)."""

    def __init__(self, at: Ints, offset: Ints) -> None:
        self.at, self.offset = at, offset

    def _offset(self, utc: int) -> int:
        return int(self.offset[max(int(np.searchsorted(self.at, utc, side="right")) - 1, 0)])

    def utcoffset(self, dt: datetime | None) -> timedelta:
        """Return the offset at a wall clock; in a repeated hour the first pass's, or the second's where ``fold`` is 1."""
        if dt is None:
            return timedelta(seconds=int(self.offset[0]) // SECOND)
        local = round(dt.replace(tzinfo=UTC).timestamp()) * SECOND
        utc = local - self.offset
        ends = np.append(self.at[1:], np.iinfo(np.int64).max)
        holds = np.flatnonzero((utc < ends) & ((utc >= self.at) | (np.arange(len(utc)) == 0)))
        # A clock that no offset shows was skipped: the later one, as if it had not been.
        at = int(np.searchsorted(self.at, utc[-1], side="right")) - 1 if not len(holds) else int(holds[-dt.fold])
        return timedelta(seconds=int(self.offset[max(at, 0)]) // SECOND)

    def fromutc(self, dt: datetime) -> datetime:
        """Return ``dt``, which counts as UTC, in this zone."""
        utc = round(dt.replace(tzinfo=UTC).timestamp()) * SECOND
        offset = timedelta(seconds=self._offset(utc) // SECOND)
        there = (dt + offset).replace(fold=0)
        return there if self.utcoffset(there) == offset else there.replace(fold=1)

    def tzname(self, dt: datetime | None) -> str:
        """Return the offsets in order, as ``+01:00/+02:00``."""
        return "/".join(dict.fromkeys(offset_name(int(each)) for each in self.offset))

    def __str__(self) -> str:
        """Return its name."""
        return self.tzname(None)

    def dst(self, dt: datetime | None) -> timedelta | None:
        """Return None: which of the offsets is summer time isn't known."""
        return None


def offset_name(offset: int) -> str:
    """Return ``UTC`` or ``+02:00`` for an offset in ns."""
    minutes = abs(offset) // (60 * SECOND)
    return f"{'-' if offset < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}" if minutes else "UTC"


def fixed(offset: int) -> tzinfo:
    """Return the zone with a fixed offset in ns."""
    return timezone(timedelta(seconds=offset // SECOND)) if offset else UTC


def zone_name(zone: tzinfo) -> str:
    """Return a zone's name: that of its file, ``UTC``, an offset, or a :class:`Steps`'s offsets."""
    key = getattr(zone, "key", None)
    if key:
        return str(key)
    if isinstance(zone, Steps):
        return zone.tzname(None)
    offset = zone.utcoffset(datetime(2000, 1, 1))
    return offset_name(round(offset.total_seconds()) * SECOND) if offset is not None else str(zone)


def named(name: str) -> tzinfo | None:
    """Return the zone of this name (``Europe/Berlin``, ``UTC``, ``+02:00``, ``-0330``), or None if there is none."""
    if name.upper() in ("UTC", "Z", "GMT"):
        return UTC
    found = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d\d)?", name, re.ASCII)
    if found and int(found[2]) <= 15 and int(found[3] or 0) < 60:
        seconds = int(found[2]) * 3600 + int(found[3] or 0) * 60
        return fixed((-seconds if found[1] == "-" else seconds) * SECOND)
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _offset(zone: tzinfo, second: int) -> int:
    at = datetime.fromtimestamp(second, UTC).astimezone(zone).utcoffset()
    return round(at.total_seconds()) if at is not None else 0


@functools.lru_cache(4096)
def _day_steps(zone: tzinfo, day: int) -> tuple[int, ...]:
    """Return the seconds since 1970 within ``day`` (since 1970) from which another offset holds."""
    low, high = day * 86_400, (day + 1) * 86_400
    if _offset(zone, low) == _offset(zone, high):
        return ()
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == _offset(zone, low):
            low = middle
        else:
            high = middle
    return (high,)


def transitions(zone: tzinfo, start: int, end: int) -> tuple[Ints, Ints]:
    """Return (at, offset), int64 ns: from UTC ``at[i]`` on ``offset[i]`` holds; ``at[0]`` is at or before ``start``."""
    if isinstance(zone, Steps):
        first = max(int(np.searchsorted(zone.at, start, side="right")) - 1, 0)
        last = int(np.searchsorted(zone.at, end, side="right"))
        at: Ints = zone.at[first : max(last, first + 1)].copy()
        at[0] = min(int(at[0]), start)
        return at, zone.offset[first : max(last, first + 1)]
    when, offset = [start], [_offset(zone, start // SECOND) * SECOND]
    if not isinstance(zone, timezone):
        for day in range(start // DAY, end // DAY + 1):
            for second in _day_steps(zone, day):
                if second * SECOND > start:
                    when.append(second * SECOND)
                    offset.append(_offset(zone, second) * SECOND)
    return np.array(when, np.int64), np.array(offset, np.int64)


def offsets_at(zone: tzinfo, utc: Ints) -> Ints:
    """Return the zone's offset (ns, int64) at each UTC time (ns, int64)."""
    if not len(utc):
        return np.empty(0, np.int64)
    at, offset = transitions(zone, int(utc.min()), int(utc.max()))
    found: Ints = offset[np.searchsorted(at, utc, side="right") - 1]
    return found


def fit_zone(utc: Ints, low: Ints, high: Ints, *, given: tzinfo | None, host: tzinfo) -> tuple[tzinfo, str, float]:
    """Find the zone whose offset lies in [low, high] at each of the times ``utc`` (ascending; all int64 ns).

    Returns (zone, how: user, agrees, offset, rules or steps, share of the times that agree). One in fifty may disagree:
    a line can be late, a Message-ID forged.
    """
    step = max(1, len(utc) // MOST_ANCHORS)
    utc, low, high = utc[::step], low[::step], high[::step]

    def agree(zone: tzinfo) -> float:
        there = offsets_at(zone, utc)
        return float(np.mean((low <= there) & (there <= high)))

    if given is not None:
        return given, "user", agree(given)
    enough = 0.98
    if (share := agree(host)) >= enough:
        return host, "agrees", share
    grid = np.arange(-12 * 4, 14 * 4 + 1, dtype=np.int64) * QUARTER
    votes = np.array([np.mean((low <= each) & (each <= high)) for each in grid])
    middle = int(np.median((low + high) // 2))
    best = int(min(np.flatnonzero(votes == votes.max()), key=lambda each: abs(int(grid[each]) - middle)))
    if votes[best] >= enough:
        return fixed(int(grid[best])), "offset", float(votes[best])
    for name in RULES:
        zone = named(name)
        if zone is not None and (share := agree(zone)) >= enough:
            return zone, "rules", share
    steps = _steps(utc, low, high)
    if steps is not None and (share := agree(steps)) >= 0.9:
        return steps, "steps", share
    if (share := agree(host)) >= votes[best]:
        return host, "host", share
    return fixed(int(grid[best])), "offset", float(votes[best])


def _steps(utc: Ints, low: Ints, high: Ints) -> Steps | None:
    """Cut the times into stretches that one multiple of 15 minutes fits each; None where there are too many."""
    at, offset = [int(utc[0]) - 366 * DAY], list[int]()
    bottom, top = int(low[0]), int(high[0])
    for i in range(len(utc)):
        lower, upper = max(bottom, int(low[i])), min(top, int(high[i]))
        if -(-lower // QUARTER) * QUARTER > upper:
            offset.append(-(-bottom // QUARTER) * QUARTER)
            at.append((int(utc[i - 1]) + int(utc[i])) // 2)
            lower, upper = int(low[i]), int(high[i])
            if len(at) > 20 or -(-lower // QUARTER) * QUARTER > upper:
                return None
        bottom, top = lower, upper
    offset.append(-(-bottom // QUARTER) * QUARTER)
    return Steps(np.array(at, np.int64), np.array(offset, np.int64))
