"""Arrays as pandas columns: what all the joined tables are made with."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from logscan.correlate.codes import Ints


def moments(values: Ints) -> pd.Series:
    """Return UTC nanoseconds as times."""
    return pd.to_datetime(pd.Series(values), unit="ns", utc=True)


def words(values: pa.Array) -> pd.Series:
    """Return a string array as a column of dtype str."""
    return pd.Series(values.to_pandas(), dtype="str") if len(values) else pd.Series([], dtype="str")
