"""Between which times all that a query may mean has arrived."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd

from logscan.query.model import And, Moment, Node, Not, Or, Term

Bounds = tuple[int | None, int | None]


def nanoseconds(time: datetime, zone: Any) -> int:
    """Return a time as UTC ns; one without a zone is in ``zone``."""
    return int(pd.Timestamp(time if time.tzinfo else time.replace(tzinfo=zone)).as_unit("ns").value)


def bounds(node: Node, zone: Any) -> Bounds:
    """Return the first time (UTC ns) that may be meant and the first that no longer is; None where nothing bounds it."""
    match node:
        case Term(field, Moment(time)):
            at = nanoseconds(time, zone)
            return (at, None) if field == "since" else (None, at)
        case And(parts):
            both = [bounds(each, zone) for each in parts]
            low, high = ([each[side] for each in both if each[side] is not None] for side in (0, 1))
            return max(low, default=None), min(high, default=None)  # type: ignore[type-var]
        case Or(parts):
            both = [bounds(each, zone) for each in parts]
            low, high = ([each[side] for each in both] for side in (0, 1))
            return (
                None if None in low else min(low),  # type: ignore[type-var]
                None if None in high else max(high),  # type: ignore[type-var]
            )
        case Not() | Term():
            return None, None
