"""The past of a check: what earlier runs remembered of what they saw, for a run that sees only lines that are new.

``remember`` cuts parts down with :func:`newest`; ``conclude`` puts them behind its own with :func:`with_past`. Lines of the past
are told by places that may lead nowhere (:mod:`logscan.checking.remembering`): evidence skips those.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.tables import columns
from logscan.tables.latest import Latest
from logscan.tables.partials import Keyed, Part, Partial, Points, Rows, merged
from logscan.tables.recent import Recent

if TYPE_CHECKING:
    from logscan.scan.log import Log

Ints = npt.NDArray[np.int64]

Cut = Callable[[Partial, int], dict[str, Part]]
"""Returns what later runs may ask for of a partial, by part; the number is now, in UTC ns."""

DAY = 86_400 * 10**9


def past(log: Log, *parts: str) -> Partial | None:
    """Return what earlier runs remembered of these parts, by whichever check shares them; None where none did."""
    found = (each for each in log.pasts.values() if all(name in each for name in parts))
    one = next(found, None)
    return None if one is None else Partial({name: one.parts[name] for name in parts})


def with_past(partial: Partial, log: Log, name: str) -> Partial:
    """Return what a check saw and, behind it, all that was remembered for it; the same partial where nothing was."""
    remembered = log.pasts.get(name)
    return partial if remembered is None else merged([partial, remembered])


def fitting(pasts: Mapping[str, Partial], seen: Mapping[str, Partial]) -> tuple[dict[str, Partial], list[str]]:
    """Return the pasts that go together with what was seen now, and the names of the checks whose past doesn't.

    A newer version of a check may keep other columns. Its past begins anew then.
    """
    kept, strange = {}, []
    for name, remembered in pasts.items():
        now = seen.get(name, Partial())
        both = [part for part in remembered.parts if part in now]
        if all(_alike(remembered.parts[part], now.parts[part]) for part in both):
            kept[name] = remembered
        else:
            strange.append(name)
    return kept, strange


def _alike(one: Part, other: Part) -> bool:
    """Whether two parts are of one kind and have the same columns; what has no row tells nothing of their values."""
    if type(one) is not type(other) or isinstance(one, int) or isinstance(other, int):
        return type(one) is type(other)
    frames = [part.empty if isinstance(part, Recent) else part.frame for part in (one, other)]
    told = [{str(name): _values(kind) for name, kind in frame.dtypes.items()} for frame in frames]
    return told[0].keys() == told[1].keys() and (not all(map(len, frames)) or told[0] == told[1])


def _values(kind: Any) -> str:
    """Return which kind of values a column has."""
    return kind.kind if isinstance(kind, np.dtype) and kind.kind in "iufb" else "M" if kind.kind == "M" else "text"


def shared(*names: str) -> Callable[[Cut], Cut]:
    """Return a decorator for what cuts some parts down: checks that share the parts share what is remembered of them.

    Where one of the parts isn't there, nothing is remembered.
    """

    def decorated(cut: Cut) -> Cut:
        known: list[tuple[list[Part | None], int, dict[str, Part]]] = []

        @functools.wraps(cut)
        def remember(partial: Partial, now: int) -> dict[str, Part]:
            asked = [partial.parts.get(name) for name in names]
            if any(part is None for part in asked):
                return {}
            if not known or known[0][1] != now or any(a is not b for a, b in zip(known[0][0], asked, strict=True)):
                known[:] = [(asked, now, cut(partial, now))]
            return dict(known[0][2])

        return remember

    return decorated


def chosen(partial: Partial, names: Iterable[str]) -> dict[str, Part]:
    """Return some parts of a partial, as far as there are any."""
    return {name: partial.parts[name] for name in names if name in partial}


def newest(part: Part, by: str, since: int, most: int) -> Any:
    """Return the rows of a part whose time is ``since`` (UTC ns) or later; of more than ``most`` the newest ones.

    ``by`` is the column of that time: whole numbers of ns, or datetime64. Of rows of one time all are kept or none, so that
    what is kept follows from the rows alone. What a part says of rows it left out before holds no longer.
    """
    if isinstance(part, Latest):
        return _latest(part, by, since, most)
    if isinstance(part, Rows):
        frame = part.frame
        return Rows.of(frame[_newest(_ns(frame[by]), since, most)])
    assert isinstance(part, (Keyed, Points))
    rows = np.flatnonzero(_newest(_ns(part.columns[by]), since, most))
    kept = {name: columns.taken(column, rows) for name, column in part.columns.items()}
    if isinstance(part, Points):
        return replace(part, columns=kept)
    return Keyed(kept, part.sums, part.least, part.most, 2**64, (0,) * len(part.sums))


def _latest(part: Latest, by: str, since: int, most: int) -> Latest:
    """Return the latest rows, which go together with those of a run as if they were all there are of that time."""
    frame = part.frame
    kept = frame[_newest(_ns(frame[by]), since, most)].reset_index(drop=True)
    for name in kept.columns:
        if isinstance(kept[name].dtype, pd.CategoricalDtype):
            kept[name] = kept[name].cat.remove_unused_categories()
    return Latest((kept,), part.time)


def _ns(column: Any) -> Ints:
    """Return times as UTC ns; the least number for one that is missing."""
    if isinstance(column, np.ndarray) and column.dtype.kind in "iu":
        return column.astype(np.int64)
    times = pd.Series(column)
    kind = times.dtype
    if kind.kind == "M":
        times = times.dt.as_unit("ns")
    out: Ints = times.astype("int64").to_numpy()
    return out


def _newest(times: Ints, since: int, most: int) -> npt.NDArray[np.bool_]:
    keep: npt.NDArray[np.bool_] = times >= since
    if np.count_nonzero(keep) > most:
        keep = times > np.partition(times, len(times) - most - 1)[len(times) - most - 1]
    return keep


def new_rows(frame: pd.DataFrame, remembered: pd.DataFrame | None, count: str) -> pd.DataFrame:
    """Return the rows of both, with ``fresh``: how much of the sum ``count`` is of this run; the past has none."""
    own = frame.assign(fresh=frame[count])
    if remembered is None or not len(remembered):
        return own
    return pd.concat([own, remembered.assign(fresh=0)], ignore_index=True)
