"""Moves that no training call followed: whether the logs would show one, or can't tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.scan import coded
from logscan.scan.called import AFTER, BEFORE, Moves, seconds_of
from logscan.scan.judged import HandOvers
from logscan.scan.memo import empty_once, per_window
from logscan.scan.moves import local_part, pipe_sources, trigger
from logscan.tables.partials import Keyed

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings
    from logscan.tables.partials import Part, Partial

LATE = 26 * 3600
"""Seconds after which a job that trains once a day has run."""


TELLING, PIPING = "telling", "piping"
"""The parts of a partial that :func:`look` makes."""


@per_window
def look(window: Window) -> dict[str, Part]:
    """Return the sources (by number) in which a call leaves its trace."""
    return {TELLING: _telling(window), PIPING: pipe_sources(window)}


@empty_once("verdicts", "trainings")
def _telling(window: Window) -> Keyed:
    """Return the sources in which a call leaves its trace: DSPAM's own logs, rspamd's, and spamd's where it told one.

    sa-learn writes no log; spamd tells a call only where `spamc -L` makes it.
    """
    verdicts, calls = window.verdicts, {name: coded.event(window, "trainings", name) for name in ("program", "filter")}
    own = ["dspam.system", "dspam.user"]
    judging = coded.of(verdicts["program"]).equal(*own) | coded.of(verdicts["filter"]).equal("rspamd")
    calling = calls["program"].equal(*own) | calls["filter"].equal("rspamd", "spamd")
    told = [verdicts["source"].to_numpy()[judging], coded.numbers(window, "trainings", "source")[calling]]
    return Keyed.of(pd.DataFrame({"source": np.unique(np.concatenate(told))}), once=True)


@dataclass(frozen=True)
class Uncalled:
    """Moves that no training call followed: those of which that is known, and those of which it can't be."""

    bad: pd.DataFrame
    undecided: int
    reason: str
    """What would tell (a clause); empty where nothing is undecided."""
    sure: bool
    """Whether other moves made their calls themselves."""


def uncalled(partial: Partial, log: Log, found: Moves, handed: HandOvers, kinds: set[str]) -> Uncalled:
    """Return the moves that no call followed.

    Where moves make their calls themselves, one without is known at once; a job that trains once a day has to have run,
    and whom it trained at all it didn't forget: a mail may be gone again by then.
    """
    frame, settings = found.frame, log.settings
    open_moves = frame[(frame["called"] == "").to_numpy() & _are(frame["signed"], True, None)]
    known = open_moves[_are(open_moves["signed"], True)]
    if known.empty:
        lonely = len(open_moves) and not (frame["called"] != "").any()
        reason = (
            "the mails that were moved came before these logs begin: whether the filter had signed them isn't known"
        )
        return Uncalled(known, len(open_moves) if lonely else 0, reason if lonely else "", found.at_once)
    covered = _covered(known, _bounds(partial, log, found.piped), handed)
    decided = covered.copy()
    reason = ""
    if not found.at_once and not trigger(settings):
        seconds = np.asarray(seconds_of(known))
        if (frame["called"] == "late").any():
            trained = set(frame.loc[frame["called"] == "late", "user"].astype("str").map(local_part))
            decided &= (np.searchsorted(found.calls, seconds) < len(found.calls)) & ~known["user"].astype("str").map(
                local_part
            ).isin(trained).to_numpy()
        else:
            ends = [source.bounds[1] for source in log.read.sources if source.bounds]
            decided &= seconds + LATE <= max(ends, default=0) / 1e9
            reason = "no call follows up to the end of these logs, and a job that trains once a day would come later"
    left = int(np.count_nonzero(~decided))
    if left and not covered.all():
        reason = _where(kinds, settings)
    return Uncalled(known[decided], left if reason else 0, reason if left else "", found.at_once)


def _are(signed: pd.Series, *wanted: bool | None) -> npt.NDArray[np.bool_]:
    return np.asarray([any(each is one for one in wanted) for each in signed], np.bool_)


def _where(kinds: set[str], settings: Settings) -> str:
    """Return which log of this server would tell a training call."""
    if "dspam" in kinds:
        return f"DSPAM's system.log ({settings.dspam.home}/system.log, `SystemLog on`) for that time tells a call that works"
    if "rspamd" in kinds:
        return "rspamd.log (/var/log/rspamd/rspamd.log) for that time tells what was learned"
    if kinds - {"other"}:
        return (
            "sa-learn writes no log of its own: let the script that calls it write a line (logger -t learn), or use "
            "`spamc -L`, which spamd logs"
        )
    return "which filter the moves train isn't known; its own log for that time tells what it learned"


def _bounds(partial: Partial, log: Log, piped: int) -> list[tuple[int, int]]:
    """Return the times (UTC ns) over which a log goes in which a training call would stand."""
    told = set(partial.frame(TELLING)["source"].tolist())
    if piped:
        told |= set(partial.frame(PIPING)["source"].tolist())
    every = [log.read.sources[number].bounds for number in sorted(told)]
    return [bounds for bounds in every if bounds is not None]


def _covered(frame: pd.DataFrame, bounds: list[tuple[int, int]], handed: HandOvers) -> npt.NDArray[np.bool_]:
    """Return which times of ``frame`` a log covers in which a call would stand.

    Beyond a log's last line it is still known to have gone on where the mails that DSPAM was handed before and after
    stand in it: nothing else would have.
    """
    time = frame["time"].dt.as_unit("ns").astype("int64").to_numpy()
    inside = np.zeros(len(time), np.bool_)
    if not bounds:
        return inside
    for low, high in bounds:
        inside |= (time >= low - BEFORE * 10**9) & (time <= high + AFTER * 10**9)
    if len(handed):
        inside |= handed.going_on(time)
    return inside
