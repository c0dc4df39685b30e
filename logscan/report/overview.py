"""What a report says first: mails and recipients in numbers, hosts, the period."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from logscan.correlate.build import summary
from logscan.report.accounts import ENDS, ends, refusals
from logscan.report.model import Period
from logscan.tables.partials import Keyed, Part, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window

NONE = np.iinfo(np.int64).min
"""The time of a line that tells none."""


def look(window: Window) -> Partial:
    """Return the counts of ``mails`` as numbers by their names, ``hosts``, and ``times``: the first and the last (UTC ns)."""
    found = ends(window)
    untried = int(found.weight[found.kind == ENDS.index("untried")].sum())
    counts = _with_untried(summary(window.correlated, len(refusals(window))), untried)
    parts: dict[str, Part] = {f"mails.{name}": count for name, count in counts.items()}
    return Partial({**parts, "hosts": _hosts(window), "times": _times(window)})


def _with_untried(mails: dict[str, int], untried: int) -> dict[str, int]:
    """Return the counts with those among ``deferred`` of whom the log has no attempt, behind it."""
    out: dict[str, int] = {}
    for name, count in mails.items():
        out[name] = count
        if name == "deferred":
            out["deferred_not_tried"] = untried
    return out


def _hosts(window: Window) -> Keyed:
    names: set[str] = set()
    for table in window.tables.values():
        names.update(value for value in table.column("host").unique().to_pylist() if value and value != "-")
    return Keyed.of(pd.DataFrame({"host": pd.Series(sorted(names), dtype="str")}))


def _times(window: Window) -> Keyed:
    low, high = [], []
    for table in window.tables.values():
        time = table.column("time")
        ends_of = pc.min_max(time.filter(pc.greater(time, NONE)))
        if ends_of["min"].is_valid:
            low.append(ends_of["min"].as_py())
            high.append(ends_of["max"].as_py())
    first, last = [min(low)] if low else [], [max(high)] if high else []
    frame = pd.DataFrame({"first": np.array(first, np.int64), "last": np.array(last, np.int64)})
    return Keyed.of(frame, least=("first",), most=("last",))


def mails(partial: Partial) -> dict[str, int]:
    """Return mails by direction, recipients by outcome and so on, by name."""
    names = [name for name in partial.parts if name.startswith("mails.")]
    return {name.removeprefix("mails."): partial.count(name) for name in names}


def hosts(partial: Partial) -> list[str]:
    """Return the names of the hosts that wrote lines."""
    return sorted(partial.frame("hosts")["host"].tolist())


def period(partial: Partial, log: Log) -> Period:
    """Return when the lines were written."""
    times = partial.frame("times")
    zone = log.zone or UTC

    def at(name: str) -> datetime | None:
        return None if times.empty else datetime.fromtimestamp(int(times[name].iat[0]) // 10**9, UTC).astimezone(zone)

    solution = log.read.solution
    return Period(
        at("first"), at("last"), solution.inferred_year, str(zone), solution.inferred_zone, tuple(solution.notes)
    )
