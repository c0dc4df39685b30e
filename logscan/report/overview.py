"""What a report says first: mails and recipients in numbers, hosts, the period."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from logscan.correlate.build import summary
from logscan.report.accounts import ENDS, ends, refusals
from logscan.report.model import Period
from logscan.scan.columns import NO_TIME, column, moments
from logscan.tables.partials import Keyed, Part, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window


def look(window: Window) -> Partial:
    """Return the counts of ``mails`` as numbers by their names, ``hosts``, and ``times``: the first and the last (UTC ns)."""
    found = ends(window)
    untried = int(found.weight[found.kind == ENDS.index("untried")].sum())
    counts = _with_untried(summary(window.correlated, len(refusals(window).rows)), untried)
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
    for name, table in window.tables.items():
        if len(table):
            host = column(window, name, "host")
            names.update(host.values[code] for code in host.used().tolist())
    return Keyed.of({"host": pa.array(sorted(names - {"", "-"}), pa.string())})


def _times(window: Window) -> Keyed:
    every = [moments(window, name) for name, table in window.tables.items() if len(table)]
    dated = [some for some in (time[time > NO_TIME] for time in every) if len(some)]
    first, last = ([min(map(np.min, dated))], [max(map(np.max, dated))]) if dated else ([], [])
    rows = {"first": np.array(first, np.int64), "last": np.array(last, np.int64)}
    return Keyed.of(rows, least=("first",), most=("last",))


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
