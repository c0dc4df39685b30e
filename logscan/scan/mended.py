"""When trouble ended: by which reload of Postfix, or with which mail, something goes right again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from logscan.scan import coded
from logscan.scan.memo import empty_once, per_window
from logscan.scan.pasts import DAY, newest, shared
from logscan.tables.partials import Keyed

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.tables.partials import Part, Partial

RELOADS = "reloads"
"""The part of a partial that :meth:`Ends.of` reads."""


@dataclass(frozen=True, slots=True)
class Mended:
    """Since when something goes right, and in words what mended it."""

    since: pd.Timestamp
    words: str


@empty_once("service_events")
@per_window
def reload_times(window: Window) -> Keyed:
    """Return when Postfix's master was started or reloaded: ``time``, ``event`` (start, reload) and ``lines``."""
    said = coded.event(window, "service_events", "event")
    wanted = said.equal("start", "reload") & coded.event(window, "service_events", "program").equal("master")
    time = coded.numbers(window, "service_events", "time")[wanted]
    event = said.at(wanted)
    return Keyed.of(pd.DataFrame({"time": coded.times(time), "event": event, "lines": 1}), sums=["lines"])


PAST_DAYS, MOST_REMEMBERED = 21, 5_000
"""Days that a past tells of, and how many reloads: one every six minutes."""


@shared(RELOADS)
def remember(partial: Partial, now: int) -> dict[str, Part]:
    """Return the reloads that may have mended what later runs ask about."""
    return {RELOADS: newest(partial.parts[RELOADS], "time", now - PAST_DAYS * DAY, MOST_REMEMBERED)}


@dataclass(frozen=True)
class Ends:
    """Tells since when something goes right, by all reloads of a log (:func:`reload_times`); ``zone`` is the server's."""

    reloads: pd.DataFrame
    zone: Any

    @classmethod
    def of(cls, partial: Partial, log: Log) -> Ends:
        """Return it for what looks put under :data:`RELOADS`."""
        return cls(partial.frame(RELOADS), log.zone)

    def mended(self, last_bad: pd.Timestamp, good: pd.Series, reloaded: bool = True) -> Mended | None:
        """Return since when it goes right: the reload between the last bad and the first good case, else that case.

        ``good`` are the times at which the same situation came up and went right; None when it never did after
        ``last_bad``. ``reloaded`` is whether Postfix's reload may be what mended it.
        """
        later = good[good > last_bad] if len(good) else good
        if not len(later):
            return None
        first = later.min()
        between = self.between(last_bad, first)
        if between.empty or not reloaded:
            return Mended(first, f"mended since {self._clock(first, last_bad)}")
        since, last = between["time"].min(), between["time"].max()
        name = "restart" if (between["event"] == "start").all() else "reload"
        if int(between["lines"].sum()) == 1:
            return Mended(since, f"mended by the {name} at {self._clock(since, last_bad)}")
        return Mended(
            since,
            f"mended by one of the {name}s between {self._clock(since, last_bad)} and {self._clock(last, last_bad)}",
        )

    def between(self, after: pd.Timestamp, until: pd.Timestamp) -> pd.DataFrame:
        """Return the reloads behind one time, up to and with another."""
        time = self.reloads["time"]
        return self.reloads[(time > after) & (time <= until)]

    def _clock(self, time: pd.Timestamp, near: pd.Timestamp) -> str:
        """Return the time of day on the server's clock, with the date where it isn't the day of ``near``."""
        here, there = (each.tz_convert(self.zone or "UTC") for each in (time, near))
        return f"{here:%H:%M}" if here.date() == there.date() else f"{here:%H:%M} on {here.day} {here:%B %Y}"
