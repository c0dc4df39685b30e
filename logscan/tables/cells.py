"""Single values of a frame as plain Python ones, a missing one as None."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


def moment(value: Any) -> datetime | None:
    """Return a datetime (UTC) or None for NaT."""
    if value is None or value is pd.NaT or pd.isna(value):
        return None
    stamp = pd.Timestamp(value)
    stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
    found: datetime = stamp.to_pydatetime(warn=False)
    return found


def moment_of(ns: int) -> datetime | None:
    """Return the datetime (UTC) of UTC ns."""
    return moment(pd.Timestamp(ns, tz="UTC"))


def iso(value: Any) -> str | None:
    """Return an ISO time in UTC, whole seconds; None for NaT."""
    found = moment(value)
    return found.replace(microsecond=0).isoformat() if found else None


def text(value: Any) -> str | None:
    """Return a str, None for a missing value."""
    return None if value is None or pd.isna(value) else str(value)


def ns(times: pd.Series) -> npt.NDArray[np.int64]:
    """Return times (datetime64 of any unit, UTC) as UTC ns; those missing are the least whole number."""
    array: Any = times.array
    out: npt.NDArray[np.int64] = array.as_unit("ns").asi8.copy()
    return out
