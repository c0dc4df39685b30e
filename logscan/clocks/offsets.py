"""The server's own zone, from the offsets that its stamps carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

import numpy as np

from logscan.clocks.zones import Steps, fixed, offset_name
from logscan.envelopes.stamps import DAY, ZULU
from logscan.sources import rotation

Offsets = tuple[int, int, int, int]
"""Offset (ns, or :data:`logscan.envelopes.stamps.ZULU`), first and last UTC time (ns), number of lines."""

FEW = 100
"""One line in so many may stand among those of another offset: it is late, or a relay's."""


@dataclass(frozen=True)
class Told:
    """What stamps tell of the zone: ``zone``, or None; ``others`` are offsets that stand beside it at the same time.

    ``weak`` says that it is only the ``Z`` of programs that write UTC wherever they are. ``sets`` has the zone of each
    rotated set that tells one.
    """

    zone: tzinfo | None
    sets: Mapping[str, tzinfo]
    weak: bool = False
    others: tuple[str, ...] = ()

    def of(self, path: str) -> tzinfo | None:
        """Return the zone of a source that itself tells none: its set's, else the common one."""
        return self.sets.get(rotation.parse(path).set) or (None if self.weak else self.zone)


def told_zone(offsets: Mapping[int, Sequence[Offsets]], paths: Mapping[int, str]) -> Told:
    """Return what the sources' stamps tell of their zone; ``paths`` are by the same key as ``offsets``."""
    sets: dict[str, list[Offsets]] = {}
    for key, runs in offsets.items():
        strong = [run for run in runs if run[0] != ZULU]
        if strong:
            sets.setdefault(rotation.parse(paths.get(key, str(key))).set, []).extend(strong)
    if not sets:
        return Told(UTC if offsets else None, {}, weak=True)
    by_set = {name: _zone(runs) for name, runs in sets.items()}
    every = [run for runs in sets.values() for run in runs]
    steps = _steps(every)
    if steps is not None:
        return Told(steps, by_set)
    most = max(sets, key=lambda name: sum(run[3] for run in sets[name]))
    zone = by_set[most]
    own = {run[0] for run in sets[most]} if isinstance(zone, Steps) else {_commonest(sets[most])}
    others = tuple(offset_name(each) for each in sorted({run[0] for run in every} - own))
    return Told(zone, by_set, others=others)


def _commonest(runs: Sequence[Offsets]) -> int:
    lines: dict[int, int] = {}
    for offset, _, _, count in runs:
        lines[offset] = lines.get(offset, 0) + count
    return max(lines, key=lambda offset: (lines[offset], -offset))


def _zone(runs: Sequence[Offsets]) -> tzinfo:
    return _steps(runs) or fixed(_commonest(runs))


def _steps(runs: Sequence[Offsets]) -> tzinfo | None:
    """Return the zone in which one offset follows the other; None where they stand side by side."""
    few = sum(run[3] for run in runs) // FEW
    ordered: list[tuple[int, int, int]] = []
    for offset, first, last, count in sorted(runs, key=lambda run: run[1:3]):
        before, low, high = ordered[-1] if ordered else (offset, first, first)
        if offset == before:
            ordered[-1:] = [(offset, low, max(high, last))]
        elif last > high:
            ordered.append((offset, first, last))
        elif count > few:
            return None
    begins = np.array([run[1] for run in ordered], np.int64)
    ends = np.array([run[2] for run in ordered], np.int64)
    if len(ordered) == 1:
        return fixed(ordered[0][0])
    at = np.concatenate((begins[:1] - 366 * DAY, ends[:-1] + (begins[1:] - ends[:-1]) // 2)).astype(np.int64)
    if np.any(np.diff(at[1:]) < DAY):
        return None
    return Steps(at, np.array([run[0] for run in ordered], np.int64))
