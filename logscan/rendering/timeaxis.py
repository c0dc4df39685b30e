"""Where the labels of a chart's time axis stand, and what they say: whole steps of the clock, none upon another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime

from logscan.rendering.wording import day

STEPS = (5, 10, 15, 30, 60, 120, 180, 360, 720, 1440)
"""Minutes from one label of the time axis to the next; the smallest that fits is taken. Then days:"""

DAYS = (2, 4, 7, 14, 28, 56, 112, 365)

LETTER, GAP, EDGE = 6.7, 9.0, 14.0
"""Points that a letter of the axis takes (DejaVu Sans, 11 points: digits 7.0, the colon 3.7), between two labels, and that a
label may reach beyond the axis."""


def ticks(hours: Sequence[datetime], width: float) -> tuple[tuple[float, str], ...]:
    """Return places on the axis with a time, or a day at midnight and at the start: as many as ``width`` points hold."""
    if not hours:
        return ()
    column = width / len(hours)
    for every in (*STEPS, *(days * 1440 for days in DAYS)):
        found = tuple(each for each in _every(hours, every) if each[0] * column + _wide(each[1]) / 2 <= width + EDGE)
        if found and _fits(found, column):
            return found
    return ((0.5, day(hours[0])),)


def _every(hours: Sequence[datetime], every: int) -> tuple[tuple[float, str], ...]:
    """Return the buckets that begin a new ``every`` minutes of the clock on the wall."""
    found: list[tuple[float, str]] = []
    before, seen = None, None
    for index, hour in enumerate(hours):
        minutes = hour.date().toordinal() * 1440 + hour.hour * 60 + hour.minute
        cell = minutes // every
        # The first bucket begins none by itself; nor does the hour that comes twice when summer time ends.
        new = minutes % every == 0 if before is None else cell > before
        before = cell if before is None else max(cell, before)
        if new:
            text = day(hour) if every >= 1440 else f"{hour:%H:%M}" + ("" if hour.date() == seen else f"\n{day(hour)}")
            seen = hour.date()
            found.append((index + 0.5, text))
    return tuple(found)


def _fits(ticks: Sequence[tuple[float, str]], column: float) -> bool:
    """Return whether no label stands upon the next, each centred at its place; ``column`` is a bucket's width in points."""
    return all(
        (place - before) * column >= (_wide(text) + _wide(other)) / 2 + GAP
        for (before, other), (place, text) in itertools.pairwise(ticks)
    )


def _wide(text: str) -> float:
    return max(map(len, text.split("\n"))) * LETTER
