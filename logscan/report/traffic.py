"""The traffic part of a report: counts over time.

A window counts by buckets of UTC, short ones and longer ones (:data:`LEVELS`); how long a chart's buckets last is known when
the whole period is, and they are made of the shorter ones.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.correlate.mails import DIRECTIONS, OPENED_BEFORE
from logscan.report import deferrals
from logscan.report.model import Report, Series, Traffic
from logscan.scan.columns import joined, values
from logscan.tables.cells import ns
from logscan.tables.grouping import numbered
from logscan.tables.partials import Keyed, Part, Partial

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]

MINUTE = 60 * 10**9
"""Nanoseconds."""

STEPS = (5, 15, 60, 180, 360, 1440, 10080)
"""Minutes a bucket may last; the smallest that gives at most MOST_BUCKETS is taken."""

MOST_BUCKETS = 170

LEVELS = {5: 15, 15: 1440, 60: 10080}
"""Minutes that a window's buckets last, and up to which step those are taken: a server's day begins at a quarter of an hour
of UTC anywhere, at half past or a quarter past in a few zones only, and a year has 8,784 hours."""

TAGGED = ("tagged", "untagged", "no verdict")
PUT_OFF = ("at this server's own services", "at other hosts")
COUNTED = (*DIRECTIONS, OPENED_BEFORE, *TAGGED, *PUT_OFF)
"""What is counted along the time: mails by direction, recipients by verdict, attempts put off by who kept them."""


def look(window: Window) -> Partial:
    """Return the counts of one window along the time, a column each of :data:`COUNTED`, and verdicts by origin."""
    late, mail, spam = deferrals.put_off(window), values(window, "deliveries", "mail"), window.deliveries["spam"]
    # Copies of a hand-over that was made again have a recipient that counts already.
    once = values(window, "deliveries", "final") & values(window, "deliveries", "last") & (mail >= 0)
    rows = np.flatnonzero(once)
    direction, first = joined(window, "mails", "direction"), values(window, "mails", "first")
    time = values(window, "deliveries", "time")[rows]
    tagged, unknown = values(window, "deliveries", "spam")[rows], spam.isna().to_numpy()[rows]
    untagged = ~tagged & ~unknown
    times = [first[direction.is_in(name)] for name in (*DIRECTIONS, OPENED_BEFORE)]
    times += [time[tagged], time[untagged], time[unknown]]
    times += [of_kind for _, of_kind in deferrals.series(late)]
    parts: dict[str, Part] = {OPENED_BEFORE: len(times[len(DIRECTIONS)]), "put off": len(late.rows)}
    origin = joined(window, "mails", "origin").take(mail[rows])
    for name in ORIGIN_WORDS:
        mine = origin.is_in(name)
        parts[f"origin.{name}.tagged"] = int(np.count_nonzero(mine & tagged))
        parts[f"origin.{name}.untagged"] = int(np.count_nonzero(mine & untagged))
    return Partial({**parts, **_buckets(times)})


def _buckets(times: list[Ints]) -> dict[str, Part]:
    """Return the times counted, in the order of :data:`COUNTED`, for each level that the window isn't too long for."""
    known = [some[some > np.iinfo(np.int64).min] for some in times]
    every = np.concatenate(known)
    which = np.repeat(np.arange(len(known)), [len(some) for some in known])
    parts: dict[str, Part] = {}
    for minutes, longest in LEVELS.items():
        some = every if not len(every) or _lasts(every) <= (longest + minutes) * MOST_BUCKETS else every[:0]
        bucket = some // (minutes * MINUTE)
        of_row, first = numbered(bucket)
        count = np.bincount(of_row * len(known) + which[: len(some)], minlength=len(first) * len(known))
        columns = dict(zip(COUNTED, count.reshape(len(first), len(known)).T.copy(), strict=True))
        parts[f"by {minutes}"] = Keyed.of({**columns, "bucket": bucket[first]}, sums=COUNTED, once=True)
    return parts


def _lasts(times: Ints) -> int:
    return int(times.max() - times.min()) // MINUTE if len(times) else 0


class _Axis:
    """The buckets of the charts."""

    def __init__(self, first: datetime, last: datetime) -> None:
        self.step = next((s for s in STEPS if (last - first).total_seconds() / 60 / s <= MOST_BUCKETS), STEPS[-1])
        size = pd.Timedelta(minutes=self.step)
        # The period's ends are in the server's zone, where a day may begin at one o'clock (or twice).
        self.start = pd.Timestamp(first).floor("D", ambiguous=True, nonexistent="shift_forward")
        self.start += size * ((pd.Timestamp(first) - self.start) // size)
        self.size = int((pd.Timestamp(last) - self.start) // size) + 1
        self.hours = tuple((self.start + size * i).to_pydatetime() for i in range(self.size))

    def counted(self, times: Ints, weights: Ints | None = None) -> tuple[int, ...]:
        """Return how many of the times (UTC ns) lie in each bucket."""
        bucket = (times - self.start.value) // (self.step * MINUTE)
        inside = (bucket >= 0) & (bucket < self.size)
        some = None if weights is None else weights[inside]
        return tuple(int(n) for n in np.bincount(bucket[inside], some, minlength=self.size))


def traffic(partial: Partial, report: Report) -> Traffic:
    """Return the charts' data; the lists are :mod:`logscan.report.listings`'."""
    if report.period.first is None or report.period.last is None:
        return Traffic()
    axis = _Axis(report.period.first, report.period.last)
    minutes = next(level for level, longest in LEVELS.items() if axis.step <= longest)
    frame = partial.frame(f"by {minutes}")
    # Where a zone's midnight is none of the bucket's borders, the first bucket may begin before the axis does.
    times = np.maximum(frame["bucket"].to_numpy() * minutes * MINUTE, axis.start.value)

    def series(*names: str) -> tuple[Series, ...]:
        return tuple(Series(name.replace("-", " "), axis.counted(times, frame[name].to_numpy())) for name in names)

    findings = []
    for check in report.checks:
        cases = [case.get("time") for f in check.findings if f.severity != "note" for case in f.cases]
        stamps = pd.Series(pd.to_datetime([t for t in cases if t], utc=True, format="ISO8601"))
        if len(stamps):
            findings.append(Series(check.name, axis.counted(ns(stamps))))
    return Traffic(
        hours=axis.hours,
        step=axis.step,
        by_direction=series(*DIRECTIONS, *([OPENED_BEFORE] if partial.count(OPENED_BEFORE) else [])),
        tagged=series(*TAGGED),
        tagged_by_origin=_by_origin(partial),
        findings=tuple(findings),
        put_off=series(*PUT_OFF) if partial.count("put off") else (),
    )


ORIGIN_WORDS = {
    "outside": "from outside",
    "authenticated": "users with a login",
    "local": "programs on this host",
    "network": "hosts of the own network",
    "generated": "made by Postfix",
    "unknown": "opened before the log",
}


def _by_origin(partial: Partial) -> tuple[tuple[str, int, int], ...]:
    counts = [
        (words, partial.count(f"origin.{name}.tagged"), partial.count(f"origin.{name}.untagged"))
        for name, words in ORIGIN_WORDS.items()
    ]
    return tuple(row for row in counts if row[1] or row[2])
