"""Single values of a frame as plain Python ones, a missing one as None."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd


def moment(value: Any) -> datetime | None:
    """Return a datetime (UTC) or None for NaT."""
    if value is None or value is pd.NaT or pd.isna(value):
        return None
    stamp = pd.Timestamp(value)
    stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
    found: datetime = stamp.to_pydatetime(warn=False)
    return found


def iso(value: Any) -> str | None:
    """Return an ISO time in UTC, whole seconds; None for NaT."""
    found = moment(value)
    return found.replace(microsecond=0).isoformat() if found else None


def text(value: Any) -> str | None:
    """Return a str, None for a missing value."""
    return None if value is None or pd.isna(value) else str(value)
