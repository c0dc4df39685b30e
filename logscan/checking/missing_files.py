"""Rotated files that are missing between others of their set, by the numbers and dates in their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from logscan.checking.copies import LINE_BITS
from logscan.checking.gap_lines import Gap
from logscan.sources.rotation import parse
from logscan.tables.partials import SECOND

if TYPE_CHECKING:
    from logscan.reading.reads import SourceRead
    from logscan.scan.activity import Active

DAY = 86_400 * SECOND


def missing_files(
    sources: Sequence[SourceRead], active: Sequence[Active], least: int, begun: Callable[[int], bool]
) -> list[Gap]:
    """Return the times between two files of a set that others should stand between, longer than so many seconds.

    ``host`` of such a gap is the set's name. What other files tell of that time is not missing. ``begun(moment)`` says whether
    a mail system started about then: no file with a date is written while a machine is down.
    """
    sets: dict[str, dict[tuple[int, int, int], int]] = {}
    for number, read in enumerate(sources):
        if read.bounds is not None and not read.kind.startswith(("dspam", "rspamd")):
            name = parse(read.source.path)
            sets.setdefault(name.set, {}).setdefault(name.age, number)
    found: list[Gap] = []
    for path in sorted(sets):
        files = [(age, number, sources[number]) for age, number in sorted(sets[path].items())]
        for gap in _of_set(PurePath(path).name, files, least, begun):
            same = [each for each in found if each.shows(gap.start, gap.until)]
            if not same and _silent(active, gap):
                found.append(gap)
    return found


def _of_set(
    name: str, files: Sequence[tuple[tuple[int, int, int], int, SourceRead]], least: int, begun: Callable[[int], bool]
) -> list[Gap]:
    numbers = [-age[2] for age, *_ in files]
    dates = [age[1] for age, *_ in files]
    bounds = [read.bounds for *_, read in files]
    joins = [after[0] - before[1] for before, after in pairwise(bounds) if before and after]
    steps = np.diff([date for date in dates if date < 2**63])
    usual = float(np.median(steps)) if len(steps) >= 2 else 0.0
    out = []
    for i, join in enumerate(joins):
        older, newer = bounds[i], bounds[i + 1]
        if older is None or newer is None:
            continue
        skipped = numbers[i] - numbers[i + 1] - 1
        # The first rotated file is .1, or .0 where newsyslog rotates.
        skipped -= 1 if numbers[i + 1] == 0 and skipped else 0
        if dates[i] != dates[i + 1]:
            step = dates[i + 1] - dates[i]
            skipped = round(step / usual) - 1 if usual and dates[i + 1] < 2**63 and step > 1.5 * usual else 0
            skipped = 0 if begun(newer[0]) else skipped
        others = [each for at, each in enumerate(joins) if at != i]
        longer = max(least * SECOND, 2 * int(np.median(others)) if others else 0)
        if skipped > 0 and join > longer:
            (_, before, old), (_, after, new) = files[i], files[i + 1]
            last, first = old.source.before + old.lines, new.source.before + 1
            places = (before << LINE_BITS) + last, (after << LINE_BITS) + first
            more = {"files": skipped, "between": [old.label, new.label]}
            out.append(Gap("rotated-file-missing", name, older[1], newer[0], places, more))
    return out


def _silent(active: Sequence[Active], gap: Gap) -> bool:
    """Whether some host wrote nothing for most of that time."""
    length = gap.until - gap.start
    return any(
        min(until, gap.until) - max(start, gap.start) >= 0.8 * length
        for each in active
        for start, until in each.silences(length // 2)
    )
