"""How long mail took from its arrival at this server to each final delivery, where the time went, and the slowest mails."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan.report.deferrals import PutOff
from logscan.report.model import Listing
from logscan.report.tallies import groups, moment, ns, of, percentiles

if TYPE_CHECKING:
    from logscan.scan.window import Window

PARTS = {
    "before_queue": "before the queue",
    "in_filter": "in the filter",
    "waiting": "waiting",
    "connecting": "connecting",
    "sending": "sending",
}
"""Columns of ``deliveries`` that add up to ``total_delay``, in words."""

SLOWEST = 50
MOSTLY = 0.5
"""Share of the whole from which a part is most of it."""

SLOW = 1.0
"""Seconds: what took less is not named among the slowest."""


def listings(scan: Window, late: PutOff) -> Iterable[Listing]:
    """Return percentiles of the delay and its parts, delays by next hop, and the slowest mails."""
    deliveries = scan.deliveries
    final = deliveries.loc[deliveries["final"] & deliveries["total_delay"].notna() & (deliveries["mail"] >= 0)]
    if final.empty:
        return
    rows = []
    for name, words in (("total_delay", "in all"), *PARTS.items()):
        known = final[name].to_numpy(dtype=np.float64)
        known = known[np.isfinite(known)]
        if len(known):
            rows.append((words, len(known), *percentiles(known, 50, 90, 99, 100)))
    yield Listing(
        "delays",
        "Delays, end to end",
        "Seconds from the arrival of the mail at this server to the final delivery, one for each recipient that it "
        "arrived at, and where they were spent. Waiting is time in queues, deferrals included.",
        ("part", "deliveries", "median", "90 %", "99 %", "longest"),
        tuple(rows),
        len(rows),
    )
    yield _by_hop(final)
    slowest = _slowest(scan, final, late)
    if slowest.rows:
        yield slowest


def _by_hop(final: pd.DataFrame) -> Listing:
    seconds = final["total_delay"].to_numpy(dtype=np.float64)
    by = groups(of(final["relay"]))
    rows, total = by.rows(by.count(), *(by.percentile(seconds, share) for share in (50, 90, 100)))
    return Listing(
        "delays-by-hop",
        "Delays by next hop",
        "Seconds from arrival to the final delivery, by where it was delivered to.",
        ("next hop", "deliveries", "median", "90 %", "longest"),
        rows,
        total,
    )


def _slowest(scan: Window, final: pd.DataFrame, late: PutOff) -> Listing:
    """Return the mails whose last recipient waited longest: one row a mail."""
    slow = final[final["total_delay"] >= SLOW].copy()
    slow["total_delay"] = slow["total_delay"].round(2)
    slow = slow.sort_values(["total_delay", "mail", "recipient"], ascending=[False, True, True]).drop_duplicates("mail")
    total = len(slow)
    slow = slow.head(SLOWEST)
    mails = scan.mails.iloc[slow["mail"].to_numpy()]
    parts = slow[list(PARTS)].fillna(0.0).to_numpy(dtype=np.float64)
    words = list(PARTS.values())
    why = _last_reasons(late, slow["mail"].to_numpy())
    table: list[tuple[Any, ...]] = []
    arrived = ns(mails["first"])
    for at, (mail, row) in enumerate(zip(mails.itertuples(), slow.itertuples(), strict=True)):
        longest = int(parts[at].argmax())
        seconds = round(float(row.total_delay), 2)
        most = min(round(float(parts[at][longest]), 2), seconds)
        # Whole seconds in the stamps make a part longer than the whole; parts that are not told leave the rest open.
        clear = most >= MOSTLY * seconds
        table.append(
            (
                str(mail.queue_id),
                moment(int(arrived[at]), scan.zone),
                _text(mail.sender, "<>"),
                _text(row.recipient, ""),
                seconds,
                words[longest] if clear else "",
                most if clear else None,
                _text(row.relay, ""),
                why.get(int(row.mail), ""),
            )
        )
    return Listing(
        "slowest",
        "Slowest mails",
        f"Mails that took {SLOW:g} second or longer to their last recipient, the slowest first: the part that took "
        "at least half of it, where the log tells it, and the last reason for which they were put off.",
        ("queue id", "arrived", "sender", "last recipient", "seconds", "mostly", "of it", "next hop", "put off for"),
        tuple(table),
        total,
    )


def _text(value: Any, empty: str) -> str:
    return empty if pd.isna(value) or value == "" else str(value)


def _last_reasons(late: PutOff, mails: Any) -> dict[int, str]:
    """Return, by mail, why it was put off last."""
    some = np.flatnonzero(np.isin(late.mail, mails))
    some = some[np.argsort(late.first[some], kind="stable")]
    return {
        int(late.mail[at]): str(late.reason.values[late.reason.codes[at]])
        for at in some.tolist()
        if late.reason.codes[at] >= 0
    }
