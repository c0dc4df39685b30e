"""Narrows event tables to what was asked for: hosts under one name, the lines between two times."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any

from logscan.envelopes.stamps import FIRST_YEAR, LAST_YEAR
from logscan.scan.options import Options


def zone_of(zone: Any) -> tzinfo:
    """Return the zone that a clock was solved to, UTC where none was."""
    return zone if isinstance(zone, tzinfo) else UTC


def aliased(tables: dict[str, Any], options: Options) -> dict[str, Any]:
    """Give hosts named in ``--host-alias A=B`` their one name."""
    if not options.host_aliases:
        return tables
    import pyarrow as pa

    out = {}
    for name, table in tables.items():
        hosts = table.column("host").combine_chunks()
        values = hosts.to_pylist()
        renamed = pa.array([options.host_aliases.get(value, value) for value in values], pa.string())
        out[name] = table.set_column(table.column_names.index("host"), "host", renamed.dictionary_encode())
    return out


def between(tables: dict[str, Any], options: Options, zone: tzinfo) -> dict[str, Any]:
    """Keep the lines between ``since`` and ``until``; times without a zone are in that of the logs."""
    if options.since is None and options.until is None:
        return tables
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    def at(time: datetime | None, default: int) -> int:
        if time is None:
            return default
        if not FIRST_YEAR < time.year < LAST_YEAR:  # beyond what 64-bit nanoseconds hold
            return -(2**63) if time.year <= FIRST_YEAR else 2**63 - 1
        return int(pd.Timestamp(time if time.tzinfo else time.replace(tzinfo=zone).astimezone(UTC)).value)

    low, high = at(options.since, np.iinfo(np.int64).min), at(options.until, np.iinfo(np.int64).max)
    out = {}
    for name, table in tables.items():
        time = table.column("time").to_numpy()
        out[name] = table.filter(pa.array((time >= low) & (time < high)))
    return out
