"""What programs say themselves of lines that are missing or misdated: rate limits, loggers that stop, clocks that step."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.compute as pc

from logscan.checking.copies import lines_at
from logscan.findings import Evidence
from logscan.scan.columns import column, moments
from logscan.tables.partials import SECOND, First, Keyed, Partial

if TYPE_CHECKING:
    from logscan.scan.activity import Active
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.tables.partials import Part

Ints = npt.NDArray[np.int64]

MOST = 2_000
"""Lines kept of each host and event: a server that loses lines all day says so thousands of times; they are counted."""

LOSSES, LOST, CLOCKS, STARTS = "losses", "lost lines", "clock lines", "starts"
_CLOCK = r"ime (?:just )?moved (?:forward|backward)|backward time jump detected"
_MOVED = re.compile(r"ime (?:just )?moved (forward|backward)s? by (\d{1,12}(?:\.\d{1,6})?)")
_INTERVAL = re.compile(r"allowed within (\d{1,6}) seconds")
_PROCESS = re.compile(
    r"\A([a-z0-9_-]{1,40})(?: lost \d+ messages from pid (\d+)| begins? to drop messages from pid (\d+))?"
)
_PID = re.compile(r"\[pid:? (\d+)(?:, name: ([^\]]{1,60}))?\]")


class Gap(NamedTuple):
    """A time of which lines are missing or misdated (UTC ns), with the lines that tell it, as places."""

    kind: str
    host: str
    start: int
    until: int
    places: tuple[int, ...] = ()
    more: Mapping[str, Any] = MappingProxyType({})
    """What else its case says."""
    text: str = ""
    """The cause in words, where it matters."""

    def shows(self, start: int, until: int, slack: int = 0) -> bool:
        """Whether this gap lies over most of a time, or touches it with so much slack."""
        if slack:
            return self.start - slack <= until and start <= self.until + slack
        shared = min(self.until, until) - max(self.start, start)
        return shared * 2 > until - start


def look(window: Window) -> dict[str, Part]:
    """Return the lines of a window that tell of lost lines, of loggers and clocks, and starts of Postfix and Dovecot."""
    parts: dict[str, Part] = {}
    if len(window.tables["losses"]):
        event = column(window, "losses", "event")
        rows = np.flatnonzero(event.is_in("lost", "losing", "started", "stopped"))
        if len(rows):
            told = _rows(window, "losses", rows, "event", "text")
            count = window.rows("losses", rows, "count")["count"].fillna(-1).clip(-1, 10**9)
            told["count"] = count.to_numpy(np.int64)
            parts[LOSSES] = First.of(told, MOST, ("at", "place"), ("host", "event"))
            lost = told[told["event"] == "lost"]
            sums = {"host": lost["host"], "lines": lost["count"].clip(lower=0), "times": 1}
            parts[LOST] = Keyed.of(pd.DataFrame(sums), sums=("lines", "times"))
    if len(window.tables["service_events"]):
        event = column(window, "service_events", "event")
        rows = np.flatnonzero(event.is_in("start"))
        if len(rows):
            parts[STARTS] = First.of(_rows(window, "service_events", rows), MOST, ("at", "place"), ("host",))
        rows = np.flatnonzero(event.is_in("warning", "fatal", "error"))
        if len(rows):
            text = column(window, "service_events", "text").take(rows)
            rows = rows[text.matching(_says(_CLOCK))]
            # Steps of less than a second that Dovecot tells are many where a machine is busy: they say nothing.
            told = _rows(window, "service_events", rows, "text")
            told = told[~told["text"].str.contains(r"moved (?:forward|backward)s? by \d\.", regex=True)]
            parts[CLOCKS] = First.of(told, MOST, ("at", "place"), ("host",))
    return parts


def _says(pattern: str) -> Callable[[Any], Any]:
    return lambda words: pc.match_substring_regex(words, pattern)


def _rows(window: Window, table: str, rows: Ints, *columns: str) -> pd.DataFrame:
    """Return some rows with ``host``, ``at`` (UTC ns), ``place`` and other columns; those without a time are left out."""
    at = moments(window, table)[rows]
    rows, at = rows[at > 0], at[at > 0]
    frame = window.rows(table, rows, "host", "source", "line", *columns)
    place = (frame["source"].to_numpy(np.int64) << 32) + frame["line"].to_numpy(np.int64)
    told = {name: frame[name].astype("str").str.slice(0, 300).array for name in columns}
    return pd.DataFrame({"host": frame["host"].astype("str").array, "at": at, "place": place, **told})


def told(partial: Partial, name: str) -> dict[str, list[Any]]:
    """Return the rows of a part by host, each in order of time."""
    out: dict[str, list[Any]] = {}
    if name in partial:
        for row in partial.frame(name).sort_values(["at", "place"], ignore_index=True).itertuples():
            out.setdefault(str(row.host), []).append(row)
    return out


def dropped(host: str, rows: Iterable[Any], apart: int) -> list[Gap]:
    """Return the bursts in which a host's logger threw lines away; those nearer than so many seconds are one."""
    losing: dict[tuple[str, str], list[int]] = {}
    bursts: list[dict[str, Any]] = []
    interval = 0
    for row in rows:
        if row.event not in ("lost", "losing"):
            continue
        key, name = _process(str(row.text))
        if told := _INTERVAL.search(str(row.text)):
            interval = int(told[1]) * SECOND
        begun = losing.pop(key, None) if row.event == "lost" else None
        if begun:
            burst = bursts[begun[0]]
            burst["lost"] = (burst["lost"] or 0) + max(int(row.count), 0)
            burst["until"] = max(burst["until"], min(int(row.at), begun[1] + (interval or int(row.at))))
            burst["places"].append(int(row.place))
            continue
        if not bursts or int(row.at) - bursts[-1]["last"] > apart * SECOND:
            bursts.append({"start": int(row.at), "until": int(row.at), "lost": None, "places": [], "names": set()})
        burst = bursts[-1]
        burst["last"] = burst["until"] = max(burst["until"], int(row.at))
        burst["places"].append(int(row.place))
        burst["text"] = str(row.text)
        burst["names"] |= {name} if name else set()
        if row.event == "losing":
            losing[key] = [len(bursts) - 1, int(row.at)]
        elif int(row.count) > 0:
            burst["lost"] = (burst["lost"] or 0) + int(row.count)
    return [
        Gap(
            "rate-limiting",
            host,
            each["start"],
            each["until"],
            tuple(each["places"]),
            {"lost": each["lost"], "processes": sorted(each["names"])},
            each["text"],
        )
        for each in bursts
    ]


def _process(text: str) -> tuple[tuple[str, str], str]:
    """Return what tells the process that a logger's line is about, and the process's name where it is told."""
    found = _PROCESS.match(text)
    if found is None:
        return ("", ""), ""
    told = _PID.search(text)
    pid = told[1] if told else found[2] or found[3] or ""
    return (found[1], pid), (told[2] or "") if told else ""


def stopped(
    active: Active, rows: Iterable[Any], starts: Ints, *, known: int, unknown: int, boot: int
) -> tuple[list[Gap], list[Gap]]:
    """Return the times in which a host's logger was away, and those in which all of it was: it started with Postfix.

    ``known``: seconds between its end and its start that are no restart; ``unknown``: seconds without a line before a start
    whose end nothing tells; ``boot``: seconds between its start and the mail system's.
    """
    away: list[Gap] = []
    down: list[Gap] = []
    end: Any = None
    for row in rows:
        if row.event == "stopped":
            end = row
        elif row.event == "started":
            at = int(row.at)
            before, places = (
                (int(end.at), (int(end.place), int(row.place))) if end is not None else (None, (int(row.place),))
            )
            least = known if end is not None else unknown
            if before is None:
                before = active.before(at)
            end = None
            if before is not None and at - before >= least * SECOND:
                near = bool(len(starts)) and bool((np.abs(starts - at) <= boot * SECOND).any())
                kind = "machine-down" if near else "logger-stopped"
                sure = {"told": least == known}
                (down if near else away).append(Gap(kind, active.host, before, at, places, {}, str(sure["told"])))
    return away, down


def stepped(active: Active | None, host: str, rows: Iterable[Any], least: int, apart: int) -> list[Gap]:
    """Return the steps of a host's clock by at least so many seconds, lines nearer than ``apart`` seconds being of one step."""
    steps: list[dict[str, Any]] = []
    for row in rows:
        text, at = str(row.text), int(row.at)
        found = _MOVED.search(text)
        forward = bool(found) and found is not None and found[1] == "forward"
        size = float(found[2]) if found else 0.0
        last = steps[-1] if steps else None
        if last is None or last["forward"] != forward or at - last["last"] > apart * SECOND:
            last = {"forward": forward, "at": at, "size": 0.0, "places": []}
            steps.append(last)
        last["last"], last["size"] = at, max(last["size"], size)
        last["places"].append(int(row.place))
    out = []
    for step in steps:
        size = step["size"] or _by_order(active, step["at"], step["places"][0])
        if size < least:
            continue
        ns = int(size * SECOND)
        kind = "clock-step-forward" if step["forward"] else "clock-step-backward"
        start = step["at"] - ns if step["forward"] else step["at"] + ns
        more = {"seconds": round(size if step["forward"] else -size)}
        out.append(Gap(kind, host, start, step["at"], tuple(step["places"]), more))
    return out


NEXT = 3
"""Lines of qmgr before its complaint that are looked at: one or two may be dated by the new clock already."""


def _by_order(active: Active | None, at: int, said: int) -> float:
    """Return by how many seconds qmgr's last lines before this one, of its file, are dated later; 0 where none is."""
    if active is None:
        return 0.0
    time, place = active.order
    before = np.flatnonzero((place >> 32 == said >> 32) & (place < said))
    last = before[np.argsort(place[before])][-NEXT:]
    return max(0.0, float(time[last].max() - at) / SECOND) if len(last) else 0.0


def evidence(log: Log, gaps: Iterable[Gap]) -> list[Evidence]:
    """Return the lines that tell some gaps."""
    return lines_at(log, [place for gap in gaps for place in gap.places[:4]])
