"""What all checks remember from one run to the next, as one blob; and what it is when it comes back.

A place (a line as one number: its source's and its own, :func:`logscan.checking.copies.places`) is of one run only, as the
numbers of sources are. In what comes back, each is moved to the source it has now, or to where no source is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.checking.copies import LINE_BITS
from logscan.checking.judging import together
from logscan.scan.pasts import fitting
from logscan.tables.partials import Part, Partial, Rows, mixed
from logscan.tables.recent import Recent
from logscan.tables.storing import packed, unpacked

if TYPE_CHECKING:
    from logscan.checking.check import Check

Ints = npt.NDArray[np.int64]

PLACES = frozenset({"place", "row", "entry", "root", "top"})
"""Columns of remembered parts that hold places; a number below 0 is none."""

SOURCE, LINE = "source", "line"
"""Columns of those that hold the numbers of a source and of its line."""

NOWHERE = 2**62
"""From here on a place leads to no line; one for each line that there was, so that they still tell rows apart."""

_BETWEEN = "\t"
"""Between a check's name and a part's; neither has a tab."""


def remembered(
    checks: Sequence[Check], partials: Mapping[str, Partial], pasts: Mapping[str, Partial], now: int
) -> bytes:
    """Return what is to be remembered of a run and of what was remembered before, as bytes; ``now`` is in UTC ns.

    ``partials`` are what the checks saw in this run's closed windows, by name. Of checks that didn't run, the past is kept as
    it is.
    """
    pasts, _ = fitting(pasts, partials)
    mine = [check for check in checks if check.remember is not None and check.name in partials]
    seen = {check.name: _cut(check, partials[check.name], now) for check in mine}
    whole = together(mine, [seen, {check.name: pasts.get(check.name, Partial()) for check in mine}])
    kept = {check.name: _cut(check, whole[check.name], now) for check in mine}
    every = {**{name: each for name, each in pasts.items() if name not in kept}, **kept}
    parts = {f"{name}{_BETWEEN}{part}": value for name in sorted(every) for part, value in every[name].parts.items()}
    return packed(Partial(parts))


def _cut(check: Check, partial: Partial, now: int) -> Partial:
    """Return what a check remembers of a partial; nothing where there is none, as after a past that was too large."""
    return check.remember(partial, now) if check.remember is not None and partial.parts else Partial()


def pasts_of(blob: bytes, sources: Mapping[int, int] | None = None) -> dict[str, Partial]:
    """Return what was remembered, by check. ValueError where it is damaged, or of a version that isn't this one.

    ``sources`` says which number each source of the run that wrote it has now; lines of the others are no longer at hand.
    """
    salt = int.from_bytes(hashlib.blake2b(blob, digest_size=8).digest(), "little")
    moved_parts: dict[int, Part] = {}
    out: dict[str, dict[str, Part]] = {}
    for name, part in unpacked(blob).parts.items():
        check, _, inside = name.partition(_BETWEEN)
        if id(part) not in moved_parts or isinstance(part, int):
            moved_parts[id(part)] = _moved(part, sources or {}, salt)
        out.setdefault(check, {})[inside] = moved_parts[id(part)]
    return {check: Partial(parts) for check, parts in out.items()}


def moved(partial: Partial, sources: Mapping[int, int], salt: int = 0) -> Partial:
    """Return a partial with the lines of each source moved to another; those of sources that aren't named lead nowhere.

    ``salt`` tells runs apart: their sources have the same numbers.
    """
    return Partial({name: _moved(part, sources, salt) for name, part in partial.parts.items()})


def sources_of(pasts: Mapping[str, Partial]) -> set[int]:
    """Return the numbers of the sources that lines of the past are of: only these need to be remembered."""
    out: set[int] = set()
    for partial in pasts.values():
        for part in partial.parts.values():
            if isinstance(part, int):
                continue
            frame = part.frame
            for name in frame.columns:
                if name in PLACES:
                    place = frame[name].to_numpy(np.int64)
                    out.update(np.unique(place[(place >= 0) & (place < NOWHERE)] >> LINE_BITS).tolist())
                elif name == SOURCE and LINE in frame and frame[name].dtype.kind in "iu":
                    out.update(each for each in np.unique(frame[name].to_numpy()).tolist() if each >= 0)
    return out


def _moved(part: Part, sources: Mapping[int, int], salt: int) -> Part:
    if isinstance(part, int):
        return part
    if isinstance(part, Recent):
        return part.changed(lambda columns: _columns(columns, sources, salt))
    if isinstance(part, Rows):
        frames = tuple(each.assign(**_changed(each, sources, salt)) for each in part.frames)
        return replace(part, frames=frames)
    own: Any = getattr(part, "columns", None)
    if own is None:
        return part
    made: Any = replace(part, columns=_columns(own, sources, salt))  # type: ignore[type-var]
    whole: Part = made
    return whole


def _changed(frame: pd.DataFrame, sources: Mapping[int, int], salt: int) -> dict[str, Any]:
    names = [name for name in frame if name in PLACES or name in (SOURCE, LINE)]
    return _columns({name: frame[name].to_numpy() for name in names}, sources, salt)


def _columns(columns: Mapping[str, Any], sources: Mapping[int, int], salt: int) -> dict[str, Any]:
    """Return columns, those that tell lines moved."""
    out = dict(columns)
    for name, column in columns.items():
        numbers = isinstance(column, np.ndarray) and column.dtype.kind in "iu"
        if name == SOURCE and numbers and LINE in columns:
            used, of_row = np.unique(column, return_inverse=True)
            out[name] = np.array([sources.get(each, -1) for each in used.tolist()], column.dtype)[of_row]
        elif name in PLACES and numbers:
            out[name] = _places(column, sources, salt)
    return out


def _places(place: Ints, sources: Mapping[int, int], salt: int) -> Ints:
    """Return places moved; what leads nowhere keeps its line's number, in a source that none is and that the run tells apart."""
    at = (place >= 0) & (place < NOWHERE)
    used, of_row = np.unique(place[at] >> LINE_BITS, return_inverse=True)
    run = np.full(len(used), np.uint64(salt % 2**64)).view(np.int64)
    nowhere = (NOWHERE >> LINE_BITS) | (mixed(used, run) & ((NOWHERE >> LINE_BITS) - 1))
    now = np.array([sources.get(each, -1) for each in used.tolist()], np.int64)
    out = place.copy()
    out[at] = np.where(now < 0, nowhere, now)[of_row] << LINE_BITS | (place[at] & (2**LINE_BITS - 1))
    return out
