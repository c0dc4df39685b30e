"""The traffic part of a report: counts over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.correlate.mails import DIRECTIONS, OPENED_BEFORE
from logscan.report import deferrals
from logscan.report.model import Report, Series, Traffic

if TYPE_CHECKING:
    from logscan.scan.window import Window

STEPS = (5, 15, 60, 180, 360, 1440, 10080)
"""Minutes a bucket may last; the smallest that gives at most MOST_BUCKETS is taken."""

MOST_BUCKETS = 170


def traffic(scan: Window, report: Report, late: deferrals.PutOff) -> Traffic:
    """Return the charts' data; the lists are :mod:`logscan.report.listings`'."""
    first, last = report.period.first, report.period.last
    if first is None or last is None:
        return Traffic()
    zone = scan.zone
    step = next((s for s in STEPS if (last - first).total_seconds() / 60 / s <= MOST_BUCKETS), STEPS[-1])
    start = pd.Timestamp(first).tz_convert(zone).floor("D")
    start += pd.Timedelta(minutes=step) * ((pd.Timestamp(first) - start) // pd.Timedelta(minutes=step))
    size = int((pd.Timestamp(last) - start) // pd.Timedelta(minutes=step)) + 1
    hours = tuple((start + pd.Timedelta(minutes=step) * i).to_pydatetime() for i in range(size))

    def counted(times: pd.Series) -> tuple[int, ...]:
        if times.empty:
            return (0,) * size
        bucket = ((times - start) // pd.Timedelta(minutes=step)).to_numpy()
        bucket = bucket[(bucket >= 0) & (bucket < size)].astype(np.int64)
        return tuple(int(n) for n in np.bincount(bucket, minlength=size))

    mails, deliveries = scan.mails, scan.deliveries
    # Copies of a hand-over that was made again have a recipient that counts already.
    once = deliveries["final"] & deliveries["last"] & (deliveries["mail"] >= 0)
    final = deliveries.loc[once, ["time", "spam"]]
    spam = final["spam"]
    by_direction = tuple(
        Series(name.replace("-", " "), counted(mails.loc[mails["direction"] == name, "first"]))
        for name in (*DIRECTIONS, OPENED_BEFORE)
        if name in DIRECTIONS or (mails["direction"] == name).any()
    )
    tagged = (
        Series("tagged", counted(final.loc[spam.fillna(False).astype(bool), "time"])),
        Series("untagged", counted(final.loc[(~spam.fillna(True)).astype(bool), "time"])),
        Series("no verdict", counted(final.loc[spam.isna(), "time"])),
    )
    findings = []
    for check in report.checks:
        times = [case.get("time") for f in check.findings if f.severity != "note" for case in f.cases]
        stamps = pd.Series(pd.to_datetime([t for t in times if t], utc=True, format="ISO8601"))
        if len(stamps):
            findings.append(Series(check.name, counted(stamps)))
    return Traffic(
        hours=hours,
        step=step,
        by_direction=by_direction,
        tagged=tagged,
        tagged_by_origin=_by_origin(scan),
        findings=tuple(findings),
        put_off=tuple(
            Series(name, counted(moments(times))) for name, times in deferrals.series(late) if len(late.rows)
        ),
    )


def moments(times: npt.NDArray[np.int64]) -> pd.Series:
    """Return times (UTC ns) as a column."""
    return pd.to_datetime(pd.Series(times), unit="ns", utc=True)


ORIGIN_WORDS = {
    "outside": "from outside",
    "authenticated": "users with a login",
    "local": "programs on this host",
    "network": "hosts of the own network",
    "generated": "made by Postfix",
    "unknown": "opened before the log",
}


def _by_origin(scan: Window) -> tuple[tuple[str, int, int], ...]:
    deliveries = scan.deliveries
    once = deliveries["final"] & deliveries["last"] & (deliveries["mail"] >= 0)
    final = deliveries.loc[once & deliveries["spam"].notna(), ["mail", "spam"]]
    origin = scan.mails["origin"].iloc[final["mail"].to_numpy()]
    spam = final["spam"].to_numpy(dtype=np.bool_)
    counted = []
    for name, words in ORIGIN_WORDS.items():
        mine = (origin == name).to_numpy()
        if mine.any():
            counted.append((words, int((mine & spam).sum()), int((mine & ~spam).sum())))
    return tuple(counted)
