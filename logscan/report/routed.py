"""What a log saw of mail for an address: how often it went which way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from logscan.correlate.links import beginnings
from logscan.scan.aliases import asked, through_filter, top_rows
from logscan.tables import cells

if TYPE_CHECKING:
    from logscan.scan.window import Window

MOST = 50
"""Ways that are told; what is left is counted."""


@dataclass(frozen=True)
class Seen:
    """One way that mail for the address went: to whom, by which relay, with what outcome."""

    recipient: str
    relay: str
    outcome: str
    filtered: bool
    mails: int
    times: int
    first: str | None
    last: str | None


def _ways(scan: Window) -> tuple[np.ndarray, np.ndarray]:
    """Return, per delivery, the address it was for as it came in (object), and the delivery from which it came (int64).

    A filter hands several recipients back in one mail: each is joined to the attempt for the same address before it, and
    only where there is none to the one that the leg names.
    """
    deliveries = scan.deliveries
    came = asked(deliveries).to_numpy(dtype=object)
    entry, rows = deliveries["entry"].to_numpy(), np.arange(len(deliveries))
    before = pd.DataFrame(
        {"parent": entry, "to": deliveries["recipient"].str.lower().to_numpy(dtype=object), "row": rows}
    )
    before = before.drop_duplicates(["parent", "to"], keep="last")
    parent = np.append(scan.entries["parent"].to_numpy(), -1)[entry]
    found = (
        pd.DataFrame({"parent": parent, "to": came}).merge(before, on=["parent", "to"], how="left")["row"].to_numpy()
    )
    named = top_rows(scan)
    known = (parent >= 0) & ~np.isnan(found)
    above = np.where(known, np.nan_to_num(found), np.where(parent >= 0, named, rows)).astype(np.int64)
    return came, beginnings(above)


def seen(scan: Window, address: str) -> tuple[list[Seen], int]:
    """Return the ways of mail for an address, the most frequent first, and how many more ways there are.

    Counted is the last attempt for each recipient at the end of its way; a hand-over to a filter is none, unless what came
    out of the filter isn't in the log.
    """
    deliveries = scan.deliveries
    if not len(deliveries):
        return [], 0
    came, top = _ways(scan)
    mine = (
        (came[top] == address.lower()) & deliveries["last"].to_numpy(dtype=bool) & (deliveries["mail"].to_numpy() >= 0)
    )
    # Of a mail for several the filter's answer counts for all of them.
    handed = np.isin(
        deliveries["entry"].to_numpy(), scan.legs["parent"].to_numpy()[(scan.legs["kind"] == "filter").to_numpy()]
    )
    mine &= ~(handed & deliveries["hop"].to_numpy(dtype=bool))
    some = deliveries[mine]
    if some.empty:
        return [], 0
    filtered = through_filter(scan)[some["entry"].to_numpy()]
    told = some.assign(
        filtered=filtered,
        relay=some["relay"]
        .astype("str")
        .where(~some["hop"].to_numpy(dtype=bool), some["relay"].astype("str") + " (filter)"),
        outcome=some["outcome"].astype("str"),
        recipient=some["mailbox"]
        .astype("str")
        .where(some["mailbox"].notna() & ~some["outside"], some["recipient"].astype("str")),
    )
    out = []
    for (to, relay, outcome, by_filter), part in told.groupby(["recipient", "relay", "outcome", "filtered"], sort=True):
        times = part["time"].dropna()
        ends = [cells.moment(each) for each in (times.min(), times.max())] if len(times) else [None, None]
        out.append(
            Seen(
                str(to), str(relay), str(outcome), bool(by_filter), part["mail"].nunique(), len(part),
                *(each.astimezone(scan.zone).isoformat(timespec="seconds") if each else None for each in ends),
            )
        )  # fmt: skip
    out.sort(key=lambda each: (-each.mails, each.recipient, each.relay, each.outcome))
    return out[:MOST], len(out[MOST:])
