"""Wall clocks, which have neither year nor zone, as UTC once both are known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo

import numpy as np
import numpy.typing as npt

from logscan.clocks.zones import transitions
from logscan.envelopes.stamps import DAY, FIRST_YEAR, LAST_YEAR, LEAP, NO_TIME, SECOND, YEAR_START

NEVER = NO_TIME
"""UTC time of a line that has none."""

Ints = npt.NDArray[np.int64]

MARCH = 60 * DAY
"""1 March in a leap year's wall clock."""

STEP_BACK = 600 * SECOND
"""Within a repeated hour a clock that falls by this much has been set back; late lines are never that late."""


def naive(clock: Ints, turn: npt.NDArray[np.int16], base_year: int) -> Ints:
    """Return the wall clock as ns since 1970, as if it were UTC (int64). 29 February in a common year is 1 March."""
    index = np.clip(turn.astype(np.int64) + (base_year - FIRST_YEAR), 0, LAST_YEAR - FIRST_YEAR)
    shift = ~LEAP[index] & (clock >= MARCH)
    out: Ints = YEAR_START[index] * DAY + clock - np.where(shift, DAY, 0)
    return out


@dataclass
class Pass:
    """Where a log that is read piece by piece stands, so that the hour repeated at summer time's end is told as in one go.

    ``previous`` is the UTC time (ns) of the line before, None at the log's beginning. ``hour`` names the repeated hour that
    the last such line was in by the transition's UTC time, ``local`` is that line's wall clock (ns since 1970, as if it
    were UTC), and ``second`` says whether it was in the second pass.
    """

    previous: int | None = None
    hour: int | None = None
    local: int = 0
    second: bool = False


def to_utc(
    clock: Ints, turn: npt.NDArray[np.int16], base_year: int, zone: tzinfo, *, state: Pass | None = None
) -> Ints:
    """Return UTC nanoseconds (int64) of wall clocks (ns within a leap year, int64) whose turn 0 is ``base_year``.

    Lines are taken in file order: in the hour that the end of summer time repeats, they belong to the first pass until
    the clock steps back, then to the second. ``state`` is carried on where a log is converted piece by piece. A negative
    clock gives :data:`NEVER`.
    """
    state = state or Pass()
    local = naive(clock, turn, base_year)
    if not len(local):
        return local
    there = clock >= 0
    if not there.all():
        out = np.full(len(local), NEVER, np.int64)
        if there.any():
            out[there] = to_utc(clock[there], turn[there], base_year, zone, state=state)
        return out
    at, offset = transitions(zone, int(local.min()) - DAY, int(local.max()) + DAY)
    out = np.asarray(local - offset[0], np.int64) if len(at) == 1 else _passes(local, at, offset, state)
    state.previous = int(out[-1])
    return out


def beginning(local: Ints, zone: tzinfo) -> Pass | None:
    """Return the state before a log's first lines; None where more of them are needed to tell their pass.

    ``local`` are wall clocks (ns since 1970, as if they were UTC) from the log's first on.
    """
    if not len(local):
        return None
    at, offset = transitions(zone, int(local.min()) - DAY, int(local.max()) + DAY)
    first, second, later = _both(local, at, offset)
    runs = _hours(first, second, later)
    if not runs or runs[0][0] != 0:
        return Pass()
    rows = runs[0]
    if len(rows) == len(local) and not np.any(np.diff(local) <= -STEP_BACK):
        return None
    passed = _second_pass(local, first, second, rows, None)
    return Pass(None, int(at[later[0]]), int(local[0]), bool(passed[0]))


def _both(local: Ints, at: Ints, offset: Ints) -> tuple[Ints, Ints, Ints]:
    """Return UTC (ns) in the first and in the second pass, the same where there is one, and each one's later transition."""
    begins = at + offset
    begins[0] = np.iinfo(np.int64).min
    later = np.searchsorted(begins, local, side="right") - 1
    ends = np.append(at[1:] + offset[:-1], np.iinfo(np.int64).max)
    first = local - offset[np.minimum(np.searchsorted(ends, local, side="right"), len(at) - 1)]
    return first, local - offset[later], later


def _hours(first: Ints, second: Ints, later: Ints) -> list[Ints]:
    """Return the rows of each repeated hour."""
    twice = np.flatnonzero(second > first)
    return np.split(twice, np.flatnonzero(np.diff(later[twice]) != 0) + 1) if len(twice) else []


def _passes(local: Ints, at: Ints, offset: Ints, state: Pass) -> Ints:
    """Convert where the offset changes: ``offset[i]`` (ns, int64) holds from UTC ``at[i]`` on."""
    first, second, later = _both(local, at, offset)
    out = second.copy()
    for rows in _hours(first, second, later):
        hour = int(at[later[rows[0]]])
        goes_on = state.hour == hour
        passed = _goes_on(local[rows], state) if goes_on else _second_pass(local, first, second, rows, state.previous)
        out[rows] = np.where(passed, second[rows], first[rows])
        state.hour, state.local, state.second = hour, int(local[rows[-1]]), bool(passed[-1])
    return out


def _goes_on(local: Ints, state: Pass) -> npt.NDArray[np.bool_]:
    """Tell which lines belong to the second pass of the repeated hour that the piece before was in (bool)."""
    if state.second:
        return np.ones(len(local), np.bool_)
    back = np.flatnonzero(np.diff(local, prepend=state.local) <= -STEP_BACK)
    return np.arange(len(local)) >= (back[0] if len(back) else len(local))


def _second_pass(local: Ints, first: Ints, second: Ints, rows: Ints, previous: int | None) -> npt.NDArray[np.bool_]:
    """Tell which of ``rows``, all in one repeated hour, belong to its second pass (bool)."""
    start = int(rows[0])
    before = previous if start == 0 else int(second[start - 1])
    if before is not None and first[start] < before - STEP_BACK and second[start] >= before - STEP_BACK:
        return np.ones(len(rows), np.bool_)
    back = np.flatnonzero(np.diff(local[rows]) <= -STEP_BACK)
    if len(back):
        return np.asarray(np.arange(len(rows)) > back[0], np.bool_)
    # A log that starts within the hour and leaves it with neither a step back nor a gap is from the second pass.
    end = int(rows[-1])
    leaves = end + 1 < len(local) and 0 <= local[end + 1] - local[end] < STEP_BACK
    return np.full(len(rows), before is None and leaves, np.bool_)


def naive_at(clock: int, year: int) -> int:
    """Return one wall clock of that year as ns since 1970, as if it were UTC."""
    index = min(max(year - FIRST_YEAR, 0), LAST_YEAR - FIRST_YEAR)
    return int(YEAR_START[index]) * DAY + clock - (DAY if clock >= MARCH and not LEAP[index] else 0)
