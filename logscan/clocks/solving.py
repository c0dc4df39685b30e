"""Turns wall clocks without year and zone into UTC, from what else in the logs tells the time.

Years are trusted in this order: anchors, the lines themselves, ``--year``, the line that a source goes on behind, other
sources that tell theirs, the date in a file's name, the neighbours in a rotated set, the file's time, now. Zones:
``--timezone``, the offsets in the stamps of other sources or this host's where the anchors agree with them, else the offset
the anchors show.
"""

from __future__ import annotations

import os
import zoneinfo
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from time import time as current_time

import numpy as np

from logscan.clocks.model import Anchor, Solution, SourceClock
from logscan.clocks.offsets import Offsets, Told, told_zone
from logscan.clocks.wall import Ints, naive_at
from logscan.clocks.zones import fit_zone, named, zone_name
from logscan.envelopes.stamps import DAY, SECOND, is_leap
from logscan.sources import rotation

GRACE = 2 * DAY
"""How much a line may seem later than the file's time: zones, and clocks that are off."""

NAME_GRACE = 35 * DAY
"""The same for a date in a file's name, which may be the day its period began (a month at most)."""

SET_BACK = 60 * DAY
"""By how much a clock may have been set back between a line and the next: more would look like a year."""

NEAR = 100 * DAY
"""Sources that tell their year tell that of others only this close: half a year off, either year would do."""

FAR = 15 * 3600 * SECOND
"""No zone is further from UTC."""


def host_timezone() -> tzinfo:
    """Return this host's zone: TZ, else /etc/localtime by name or content, else its present offset."""
    name = os.environ.get("TZ", "").lstrip(":")
    local = Path("/etc/localtime")
    if not name and local.is_symlink():
        target = str(local.resolve())
        name = target.partition("zoneinfo/")[2]
    zone = named(name) if name else None
    if zone is None and not name and local.exists():
        try:
            with local.open("rb") as file:
                zone = zoneinfo.ZoneInfo.from_file(file, key="localtime")
        except (OSError, ValueError):
            zone = None
    return zone or datetime.now().astimezone().tzinfo or UTC


def solve(
    clocks: Mapping[int, SourceClock] | Sequence[SourceClock],
    anchors: Sequence[Anchor],
    absolute: Sequence[tuple[int, int]],
    *,
    year: int | None = None,
    timezone: str | None = None,
    now: float | None = None,
    host_zone: tzinfo | None = None,
    offsets: Mapping[int, Sequence[Offsets]] | None = None,
    names: Mapping[int, str] | None = None,
) -> Solution:
    """Find year and zone of each source.

    ``clocks`` are by the key that anchors name as ``source``; rotated sets are told from their names. ``absolute`` are
    (first, last) UTC ns of sources with absolute time. ``year`` is that of the newest source's last line; ``timezone``
    a zone's name or an offset. ``now`` is in epoch seconds. ``offsets`` are those that a source's stamps carry, ``names``
    the paths, by the same key: times are shown in the zone that they tell, whatever this host's is. Raises
    :class:`ValueError` for a zone that doesn't exist.
    """
    table = dict(clocks) if isinstance(clocks, Mapping) else dict(enumerate(clocks))
    given = None
    if timezone:
        given = named(timezone)
        if given is None:
            raise ValueError(f"no such time zone: {timezone!r}; give a name (Europe/Berlin) or an offset (+02:00)")
    host = host_zone or host_timezone()
    told = told_zone(offsets or {}, names or {})
    solution = Solution({}, {}, given or told.zone or host)
    if table:
        seconds = now if now is not None else current_time()
        _Solver(table, anchors, absolute, year, given, seconds, told, host, solution).run()
    if told.others and not given:
        beside = ", ".join(told.others[:3])
        name = zone_name(solution.zone)
        solution.notes.append(
            f"The stamps carry several offsets at the same time: times are shown in {name}, not {beside}."
        )
    return solution


class _Solver:
    """The state of one :func:`solve`."""

    def __init__(
        self,
        clocks: dict[int, SourceClock],
        anchors: Sequence[Anchor],
        absolute: Sequence[tuple[int, int]],
        year: int | None,
        given: tzinfo | None,
        now: float,
        told: Told,
        host: tzinfo,
        solution: Solution,
    ) -> None:
        self.clocks, self.absolute, self.year, self.given = clocks, absolute, year, given
        self.dated: dict[int, tuple[int, int]] = {}
        """First and last time, as if in UTC, of the sources that themselves tell their year."""
        self.now, self.told, self.host, self.out = int(now) * SECOND, told, host, solution
        self.anchors: dict[int, list[Anchor]] = {}
        for anchor in anchors:
            if anchor.source in clocks:
                self.anchors.setdefault(anchor.source, []).append(anchor)
        self.sets: dict[str, list[int]] = {}
        for key, clock in clocks.items():
            self.sets.setdefault(rotation.parse(clock.name).set, []).append(key)
        for keys in self.sets.values():
            keys.sort(key=lambda key: rotation.parse(clocks[key].name).age)

    def run(self) -> None:
        """Fill the solution."""
        for key, clock in self.clocks.items():
            self._by_anchors(key)
            if clock.year and key not in self.out.base_year:
                self._set(key, clock.year, "lines")
        self.dated = {key: self._span(key, base) for key, base in self.out.base_year.items()}
        for keys in self.sets.values():
            self._years(keys)
        self._zones()
        weak = {"name", "set", "mtime", "now", "absolute", "before"}
        sources = self.out.year_from
        self.out.inferred_year = any(way in weak for way in sources.values())
        self.out.inferred_zone = "host" in self.out.zone_from.values()
        self._tell()

    # years

    def _by_anchors(self, key: int) -> None:
        anchors = self.anchors.get(key)
        if not anchors:
            return
        votes: dict[int, int] = {}
        for anchor in anchors:
            about = datetime.fromtimestamp(anchor.utc / SECOND, UTC).year - anchor.turn
            for base in (about, about - 1, about + 1):
                offset = naive_at(anchor.clock, base + anchor.turn) - anchor.utc
                if -FAR - anchor.slack_before <= offset <= FAR + anchor.slack_after:
                    votes[base] = votes.get(base, 0) + 1
                    break
        if votes:
            best = max(votes, key=lambda base: (votes[base], base))
            self._set(key, best, "anchors")

    def _set(self, key: int, base: int, way: str) -> None:
        self.out.base_year[key] = base
        self.out.year_from[key] = way

    def _span(self, key: int, base: int) -> tuple[int, int]:
        """Return the source's first and last time, as if in UTC, were turn 0 in year ``base``."""
        clock = self.clocks[key]
        return naive_at(clock.first, base), naive_at(clock.last, base + clock.turns)

    def _latest(self, key: int, bound: int) -> int:
        """Return the latest base year with which the source's last line isn't after ``bound``."""
        clock = self.clocks[key]
        base = datetime.fromtimestamp(bound / SECOND, UTC).year - clock.turns
        for candidate in range(base, base - 9, -1):
            if self._span(key, candidate)[1] <= bound and self._leaps(clock, candidate):
                return candidate
        return base

    @staticmethod
    def _leaps(clock: SourceClock, base: int) -> bool:
        return all(is_leap(base + turn) for turn in clock.leap_turns)

    def _years(self, keys: list[int]) -> None:
        for key in keys:
            self._told(key, newest=key == keys[-1])
        strong = [at for at, key in enumerate(keys) if key in self.out.base_year]
        if not strong:
            self._weak(keys[-1])
            strong = [len(keys) - 1]
        for at in range(strong[-1] + 1, len(keys)):
            self._after(keys[at], keys[at - 1])
        for at in range(strong[-1] - 1, -1, -1):
            if keys[at] not in self.out.base_year:
                self._before(keys[at], keys[at + 1])

    def _told(self, key: int, *, newest: bool) -> None:
        """Set the year from the source's own evidence, strongest first."""
        clock = self.clocks[key]
        by_user = self.year - clock.turns if self.year is not None and newest else None
        known = self.out.base_year.get(key)
        if known is not None:
            if by_user is not None and by_user != known:
                told = known + clock.turns
                self.out.notes.append(f"{clock.name}: --year {self.year} was not followed: its lines are of {told}.")
            return
        if by_user is not None:
            self._set(key, by_user, "user")
            return
        base = self._going_on(key)
        if base is not None:
            self._set(key, base, "before")
            return
        base = self._nearest(key)
        if base is not None:
            self._set(key, base, "absolute")
            return
        dated = rotation.parse(clock.name).until
        if dated is not None:
            self._set(key, self._latest(key, dated + NAME_GRACE), "name")

    def _going_on(self, key: int) -> int | None:
        """Return the base year with which the source goes on behind the line before it, if its file's time allows that."""
        since = self.clocks[key].since
        if since is None:
            return None
        base = self._earliest(self.clocks[key], since - SET_BACK)
        return base if self._span(key, base)[1] <= self._bound(key) + GRACE else None

    def _nearest(self, key: int) -> int | None:
        """Return the base year that brings the source nearest to those that tell theirs, if any is near."""
        clock = self.clocks[key]
        own = rotation.parse(clock.name).set
        # Within a set the order of its files tells more. No zone is off by so much that it mattered here.
        known = [span for other, span in self.dated.items() if rotation.parse(self.clocks[other].name).set != own]
        known += self.absolute
        if not known:
            return None
        years = {datetime.fromtimestamp(at / SECOND, UTC).year for span in known for at in span}
        bound = self._bound(key) + GRACE
        best: tuple[int, int, int] | None = None
        for base in range(min(years) - clock.turns - 1, max(years) + 2):
            if not self._leaps(clock, base):
                continue
            first, last = self._span(key, base)
            gap = min(max(0, low - last, first - high) for low, high in known)
            rank = (gap, int(last > bound), -base)
            if best is None or rank < best:
                best = rank
        return -best[2] if best and best[0] < NEAR else None

    def _bound(self, key: int) -> int:
        mtime = self.clocks[key].mtime
        return self.now if mtime is None else min(int(mtime * SECOND), self.now)

    def _weak(self, key: int) -> None:
        way = "now" if self.clocks[key].mtime is None else "mtime"
        self._set(key, self._latest(key, self._bound(key) + GRACE), way)

    def _before(self, key: int, newer: int) -> None:
        """Set the year of a source that ends before ``newer`` begins.

        The file's own time bounds it too, unless that of ``newer`` is earlier than its lines: then such times tell nothing here.
        """
        bound, last = self._span(newer, self.out.base_year[newer])
        mtime, other = self.clocks[key].mtime, self.clocks[newer].mtime
        if mtime is not None and (other is None or last <= int(other * SECOND) + GRACE):
            bound = min(bound, int(mtime * SECOND))
        self._set(key, self._latest(key, bound + GRACE), "set")

    def _after(self, key: int, older: int) -> None:
        """Set the year of a source that begins after ``older`` ends: the earliest there is."""
        bound = self._span(older, self.out.base_year[older])[1] - GRACE
        self._set(key, self._earliest(self.clocks[key], bound), "set")

    def _earliest(self, clock: SourceClock, bound: int) -> int:
        """Return the earliest base year with which the first line of ``clock`` isn't before ``bound``."""
        base = datetime.fromtimestamp(bound / SECOND, UTC).year
        for candidate in range(base, base + 9):
            if naive_at(clock.first, candidate) >= bound and self._leaps(clock, candidate):
                return candidate
        return base

    # zones

    def _zones(self) -> None:
        fitted: dict[str, tzinfo] = {}
        for (
            name,
            keys,
        ) in self.sets.items():  # a set is one log, wherever it was cut: its parts tell their zone together
            bounds = self._offsets(keys)
            if not len(bounds[0]):
                continue
            host = self.told.of(self.clocks[keys[0]].name) or self.host
            zone, way, fits = fit_zone(*bounds, given=self.given, host=host)
            fitted[name] = zone
            self.out.zone_from |= dict.fromkeys(keys, way)
            if fits < 0.9:
                self.out.notes.append(
                    f"{self.clocks[keys[-1]].name}: only {fits:.0%} of what tells its zone agrees with {zone_name(zone)}."
                )
        by_source = [fitted[name] for name, keys in self.sets.items() for _ in keys if name in fitted]
        common = _commonest(by_source, self.given or self.host)
        for name, keys in self.sets.items():
            told = None if self.given else self.told.of(self.clocks[keys[0]].name)
            own = fitted.get(name, told or common)
            if name not in fitted:
                way = "user" if self.given else "stamps" if own is told else "set" if fitted else "host"
                self.out.zone_from |= dict.fromkeys(keys, way)
            self.out.zones |= dict.fromkeys(keys, own)
        if not self.given and (self.told.zone is None or self.told.weak):
            self.out.zone = _commonest(list(self.out.zones.values()), common)

    def _offsets(self, keys: list[int]) -> tuple[Ints, Ints, Ints]:
        """Return the anchors' UTC times, and the lowest and highest offset each allows (ns, int64), by time."""
        rows = []
        for anchor in (each for key in keys for each in self.anchors.get(key, ())):
            offset = naive_at(anchor.clock, self.out.base_year[anchor.source] + anchor.turn) - anchor.utc
            # An anchor that is loose by hours tells the year, not the zone.
            if anchor.slack_before + anchor.slack_after <= 1800 * SECOND and abs(offset) <= FAR:
                rows.append((anchor.utc, offset - anchor.slack_after - SECOND, offset + anchor.slack_before + SECOND))
        table = np.array(sorted(rows), np.int64).reshape(-1, 3)
        return table[:, 0], table[:, 1], table[:, 2]

    def _tell(self) -> None:
        words = {
            "name": "taken from the date in the file's name",
            "set": "follows from the other files of its set",
            "mtime": "taken from the file's time",
            "now": "taken to be the latest possible",
            "before": "it goes on behind lines that were read before",
            "absolute": "that of the files that tell theirs",
            "user": "as given with --year",
        }
        for way, text in words.items():
            names = [self.clocks[key].name for key, how in self.out.year_from.items() if how == way]
            if names:
                some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
                self.out.notes.append(f"No line tells the year of {some}: {text}.")
        name = zone_name(self.out.zone)
        if self.out.inferred_zone:
            self.out.notes.append(f"Nothing in the logs tells their time zone: this host's, {name}, is assumed.")
        elif "stamps" in self.out.zone_from.values():
            self.out.notes.append(f"Logs that tell no time zone are taken to be in that of the others' stamps, {name}.")
        elif "offset" in self.out.zone_from.values():
            self.out.notes.append(f"The logs' time zone is {name}, as lines with a known time show.")


def _commonest(zones: list[tzinfo], default: tzinfo) -> tzinfo:
    counts: dict[str, int] = {}
    for zone in zones:
        counts[zone_name(zone)] = counts.get(zone_name(zone), 0) + 1
    if not counts:
        return default
    best = max(counts, key=lambda name: counts[name])
    return next(zone for zone in zones if zone_name(zone) == best)
