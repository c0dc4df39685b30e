"""Arrays as pandas columns: what all the joined tables are made with."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from logscan.correlate.codes import Ints
from logscan.tables import texts


def moments(values: Ints) -> pd.Series:
    """Return UTC nanoseconds as times."""
    return pd.Series(pd.DatetimeIndex(values.astype("M8[ns]"), tz="UTC"))


def words(values: pa.Array) -> pd.Series:
    """Return a string array as a column of dtype str."""
    return texts.series(values)
