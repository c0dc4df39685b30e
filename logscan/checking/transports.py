"""Services of master.cf that don't run: mail waits as ``mail transport unavailable``, and only a warning names the service."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from logscan.checking.outage import Ints
from logscan.scan.columns import column
from logscan.scan.memo import empty_once
from logscan.settings import parse_destination
from logscan.tables.partials import Keyed

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings
    from logscan.tables.partials import Part, Partial

NO_TRANSPORT = "mail transport unavailable"
"""What qmgr says of a service that doesn't run (Postfix qmgr/qmgr_transport.c); it doesn't name the service."""

NAMED = re.compile(r"^connect to transport (?:private/)?([^ /:]+): ")
"""The warning that does (Postfix qmgr/qmgr_transport.c; older ones without the folder)."""

TRANSPORTS = "transports away"
"""The part of the partial: ``host`` and ``name``."""

NONE = Keyed.of({"host": pa.array([], pa.string()), "name": pa.array([], pa.string())})


@empty_once("service_events")
def look(window: Window) -> dict[str, Part]:
    """Return which services Postfix's queue manager could not reach."""
    text = column(window, "service_events", "text")
    rows = np.flatnonzero(column(window, "service_events", "program").is_in("qmgr"))
    rows = rows[text.take(rows).having(NAMED.match)] if len(rows) else rows
    if not len(rows):
        return {TRANSPORTS: NONE}
    name = text.take(rows).changed(lambda each: NAMED.sub(r"\1\0", each).partition("\0")[0])
    return {
        TRANSPORTS: Keyed.of(
            {"host": column(window, "service_events", "host").take(rows).texts(), "name": name.texts()}
        )
    }


def named(failures: pd.DataFrame, partial: Partial, settings: Settings) -> pd.DataFrame:
    """Return the failures with the service's name as their ``hop`` where a host has one that is away; ``kind`` by settings."""
    if TRANSPORTS not in partial or not (failures["hop"] == NO_TRANSPORT).any():
        return failures
    known = partial.frame(TRANSPORTS).drop_duplicates("host", keep=False).set_index("host")["name"]
    mine = (failures["hop"] == NO_TRANSPORT) & failures["host"].isin(known.index)
    filters = {
        parse_destination(each.destination).transport
        for each in settings.filters
        if each.via in ("content_filter", "FILTER")
    }
    hop = failures["hop"].where(~mine, failures["host"].map(known))
    kind = failures["kind"].mask(mine & hop.isin(filters - {"smtp", "lmtp", "relay"}), "filter")
    return failures.assign(hop=hop, kind=kind)


def reached(times: list[Ints]) -> Ints:
    """Return when any of several relays was reached, in order."""
    return np.unique(np.concatenate([np.empty(0, np.int64), *times]))
