"""What became of mail that was handed in here: cases and counts that windows show, and what all of them tell together.

In look, :func:`look` gives what three checks share (:mod:`logscan.checking.own_cases` the rows that may be a case). In conclude,
:class:`OwnMail` knows ports, filters, the times that their logs cover and the names of the server, and so which rows are
cases and what was looked at.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.checking.own_cases import door_columns
from logscan.scan import coded, covering, filters, ports
from logscan.scan.coded import Coded
from logscan.scan.memo import per_window
from logscan.scan.mended import RELOADS, Ends, reload_times
from logscan.scan.submitted import at_home, own, own_names
from logscan.tables import cells, spans
from logscan.tables.grouping import combine
from logscan.tables.partials import Keyed, Part, Partial
from logscan.tables.spans import FOLDED, NEVER, Moments

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ORIGINS = ("authenticated-port-25", "all-filtered", "submission-filtered", "local-script")
"""How own mail came in front of the filter: the causes of findings on it."""

COUNTED = ("came", *ports.DOOR, "outside", "passed", "kind", "mute")
"""What deliveries are counted by: origin and door of their mail, whether they went outside, what the filter did with them."""


@per_window
def look(window: Window, settings: Settings) -> dict[str, Part]:
    """Return the parts that three checks share: counts by key, and what tells of ports, filters, names and reloads."""
    mine = own(window, settings)
    parts: dict[str, Part] = {"waiting": mine.waiting, RELOADS: reload_times(window)}
    known, strange = mine.judged | mine.passed, ~mine.foreign.equal("")
    for name, rows in (("own", ~strange), ("strange", strange)):
        keys = (*COUNTED, *(["foreign"] if name == "strange" else []))
        for part, of, count in (("known", known, _counted), ("open", ~known, _open)):
            some = np.flatnonzero(mine.inside & rows & of)
            parts[f"{name}.{part}"] = count(window, settings, keys, some) if len(some) else _none(part, keys)
    names = pd.DataFrame({"name": coded.words(sorted(own_names(window, settings)))})
    return {
        **parts,
        "own.names": Keyed.of(names, once=True),
        **ports.look(window, settings),
        **filters.look(window),
        **covering.look(window),
    }


TIMES = ("began", "time")


@functools.cache
def _none(part: str, keys: tuple[str, ...]) -> Part:
    """Return the part for a window that has no such row."""
    kinds = dict.fromkeys(("came", "service", "kind", "foreign"), "str") | {"process": "int64"}
    none = {name: pd.Series([], dtype=kinds.get(name, "bool")) for name in keys}
    numbers_ = pd.Series([], dtype="int64")
    if part == "known":
        none |= {name: pd.Series([], dtype="bool") for name in ("judged", "kept")} | {"n": numbers_, "time": numbers_}
        return Keyed.of(pd.DataFrame(none), sums=["n"], most=["time"])
    none |= {name: pd.Series([], dtype="str") for name in ("host", "tag")} | dict.fromkeys(TIMES, numbers_)
    return Moments.of(pd.DataFrame(none), TIMES, _folded(keys))


def _folded(keys: tuple[str, ...]) -> list[str]:
    return [name for name in ("foreign", "process") if name in keys]


def _columns(window: Window, settings: Settings, keys: tuple[str, ...], at: Ints) -> dict[str, Any]:
    """Return what some rows of own mail are counted by: texts as :class:`Coded`, ``door`` for the columns of its door."""
    mine = own(window, settings)
    every: dict[str, Any] = {"came": mine.came, "kind": mine.kind, "foreign": mine.foreign}
    every |= {"outside": mine.outside, "passed": mine.passed, "mute": mine.mute}
    found: dict[str, Any] = {"door": ports.doors(window, settings).code[mine.root[at]]}
    for name in keys:
        value = every.get(name)
        if isinstance(value, Coded):
            found[name] = Coded(value.codes[at], value.words)
        elif value is not None:
            found[name] = value[at]
    return found


def _grouped(columns: Mapping[str, Any]) -> tuple[Ints, Ints]:
    """Return the first row of each group that agrees in all columns, and the number of each row's group."""
    codes = [
        value.codes if isinstance(value, Coded) else coded.ranked(value) if name in TIMES else value.astype(np.int64)
        for name, value in columns.items()
    ]
    _, first, of_row = np.unique(combine(*codes), return_index=True, return_inverse=True)
    return first, of_row


def _told_of(
    window: Window, settings: Settings, keys: tuple[str, ...], columns: Mapping[str, Any], at: Ints
) -> dict[str, Any]:
    """Return some rows of the columns as texts and values, in the order of the keys."""
    made = door_columns(window, settings, columns["door"][at])
    for name, value in columns.items():
        if name != "door":
            made[name] = value.at(at) if isinstance(value, Coded) else value[at]
    return {name: made[name] for name in (*keys, *(name for name in columns if name not in (*keys, "door")))}


def _counted(window: Window, settings: Settings, keys: tuple[str, ...], at: Ints) -> Part:
    """Return how many deliveries there were of each kind, of which it is known that a filter met them."""
    mine = own(window, settings)
    columns = _columns(window, settings, keys, at) | {"judged": mine.judged[at], "kept": mine.held[at]}
    first, of_row = _grouped(columns)
    last = np.full(len(first), NEVER)
    np.maximum.at(last, of_row, mine.time[at])
    made = _told_of(window, settings, keys, columns, first)
    frame = pd.DataFrame({**made, "n": np.bincount(of_row), "time": last}, copy=False)
    return Keyed.of(frame, sums=["n"], most=["time"], once=True)


def _open(window: Window, settings: Settings, keys: tuple[str, ...], at: Ints) -> Moments:
    """Return the rows that no filter is known to have met: whether one did follows from the times that its log covers."""
    mine = own(window, settings)
    root = mine.root[at]
    host = coded.of(window.entries["host"])
    columns = _columns(window, settings, keys, at)
    columns |= {"host": Coded(host.codes[root], host.words), "tag": covering.free_tags(window, settings, root)}
    columns |= {"began": _ns(window.entries["first"])[root], "time": np.maximum(mine.time[at], NEVER)}
    first, of_row = _grouped(columns)
    frame = pd.DataFrame({**_told_of(window, settings, keys, columns, first), "n": np.bincount(of_row)}, copy=False)
    counted = Moments(frame, TIMES, tuple(_folded(keys)), spans.MOST_MOMENTS)
    return counted if len(frame) <= counted.size else counted.merged(())


def _ns(times: pd.Series) -> Ints:
    found: Ints = np.maximum(cells.ns(times), NEVER)
    return found


@dataclass(frozen=True)
class OwnMail:
    """What all windows told of own mail."""

    settings: Settings
    log: Log
    filters: filters.Filters
    ports: ports.Ports
    ends: Ends
    waiting: int
    uncounted: int
    """Deliveries of more kinds (:data:`COUNTED`) than are counted one by one."""
    step: int
    """What times are rounded down to (ns) where no filter is known to have met a mail; 0: to none."""
    counts: pd.DataFrame
    """Deliveries of mail with an origin inside: :data:`COUNTED`, ``origin`` (as the contract names it), ``fetched`` (strangers'
    mail, if it stays here), ``looked``, ``filtered``, ``kept``, ``time`` (UTC ns, the latest of those counted), ``n``."""
    cases: pd.DataFrame
    """Rows of :func:`cases` in the order of time, with ``port``, ``origin``, ``fetched``; ``outside`` is final."""

    @classmethod
    def of(cls, partial: Partial, log: Log) -> OwnMail:
        """Return what is known when all windows are seen."""
        settings = log.settings
        names = frozenset(partial.frame("own.names")["name"].tolist())
        known, doors = filters.concluded(partial, settings), ports.concluded(partial, log)
        counts = _counts(partial, settings, names, known, doors)
        rows = pd.concat([partial.frame("cases"), partial.frame("doubtful")], ignore_index=True)
        at_home_ = (rows["kept"] != "").to_numpy() & at_home(rows["recipient"], names)
        rows = _told(settings, doors, rows).assign(fetched=_fetched(rows["foreign"], names))
        rows["outside"] = rows["outside"].to_numpy(dtype=np.bool_) & ~at_home_
        order = ["at_door", "time", "done_source", "done_line", "stopped_source", "stopped_line", "recipient"]
        rows = rows.sort_values(order, kind="stable", ignore_index=True)
        return cls(
            settings,
            log,
            known,
            doors,
            Ends.of(partial, log),
            partial.count("waiting"),
            *_bounds(partial),
            counts,
            rows,
        )


def _bounds(partial: Partial) -> tuple[int, int]:
    """Return what wasn't counted, and the coarsest step of times."""
    known = partial.parts["own.known"]
    steps = [part.step for part in partial.parts.values() if isinstance(part, Moments)]
    return sum(known.rest) if isinstance(known, Keyed) else 0, 0 if 0 in steps else max(steps)


def _counts(
    partial: Partial, settings: Settings, names: frozenset[str], known: filters.Filters, doors: ports.Ports
) -> pd.DataFrame:
    covers = covering.Covering(partial, settings)
    parts = []
    for name in ("own", "strange"):
        sure, left = partial.frame(f"{name}.known"), partial.frame(f"{name}.open")
        seen = np.ones(len(left), np.bool_)
        if known.door:
            seen = covers.covered(left["host"], left["began"].to_numpy()) | covers.spared(left["tag"])
        parts += [
            sure.assign(looked=sure["judged"].to_numpy(dtype=np.bool_), filtered=True),
            left.assign(looked=seen, filtered=False, kept=False),
        ]
    frame = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    strange = frame["foreign"].fillna("") if "foreign" in frame else pd.Series("", index=frame.index, dtype="str")
    return _told(settings, doors, frame).assign(fetched=_fetched(strange, names))


def _fetched(strange: pd.Series, names: frozenset[str]) -> Bools:
    """Return which rows are foreign mail handed in from this host (fetchmail), all names of the server known."""
    given = (strange != "").to_numpy(dtype=np.bool_)
    found: Bools = given & ~((strange != FOLDED).to_numpy(dtype=np.bool_) & at_home(strange.astype("str"), names))
    return found


def _told(settings: Settings, doors: ports.Ports, frame: pd.DataFrame) -> pd.DataFrame:
    """Add ``port`` and ``origin`` (as the contract names it)."""
    port = doors.of(frame).port
    everything = settings.known("postfix") and bool(settings.postfix.get("content_filter").strip())
    came = frame["came"].to_numpy(dtype=object)
    login = came == "authenticated"
    here = np.isin(came, ["local", "network"])
    whole = np.full(len(frame), everything)
    origin = np.select(
        [login & (port == 25), (login | here) & whole, login, here],
        ORIGINS,
        came,
    )
    return frame.assign(port=port, origin=pd.Series(origin, index=frame.index, dtype="str"))
