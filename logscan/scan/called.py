"""Which training call followed each move.

A call leaves its own trace: in DSPAM's system.log where it works and in syslog where it fails, in rspamd's log, in spamd's,
or as a line of imapsieve. A move and the call that it makes lie within a minute; a job that trains once a day comes later.
"""

from __future__ import annotations

import bisect
import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.scan.judged import Mails, Signatures, bare
from logscan.scan.moves import INNOCENT, local_part, moves, piped
from logscan.tables.latest import hashed

if TYPE_CHECKING:
    from logscan.tables.latest import Hashes
    from logscan.tables.partials import Partial

BEFORE, AFTER = 5, 60
"""Seconds before and after a move within which the call lies that the move itself made."""


@dataclass
class Moves:
    """Moves that should train, one row each, and the calls there are.

    ``frame``: ``time``, ``user``, ``class`` (spam, innocent), ``message_id``, ``ident``, ``source``, ``line``, ``signed``
    (the filter gave the mail a signature: True, False, None where the log doesn't tell), ``called`` (at once, late, or
    empty).
    """

    frame: pd.DataFrame
    failed: pd.DataFrame
    """A training program that failed, one row a call, in the order of time."""
    piped: int
    """Calls that imapsieve tells of, failed ones included."""
    calls: npt.NDArray[np.float64]
    """When there were calls of any kind (seconds), in order."""

    @property
    def at_once(self) -> bool:
        """Whether a move made its call itself, at least once."""
        return bool((self.frame["called"] == "at once").any())


def followed(partial: Partial, calls: pd.DataFrame, signatures: Signatures) -> Moves:
    """Return the moves with what followed each; ``calls`` are those of :func:`logscan.scan.trainings.told`."""
    frame = moves(partial)
    pipes = piped(partial)
    made = _Calls(calls, signatures, pipes)
    frame["signed"] = pd.Series(Mails(partial).signed(frame["ident"].to_numpy()), index=frame.index, dtype="object")
    frame["called"] = pd.Series(made.of(frame), index=frame.index, dtype="str")
    failed = pipes[(pipes["event"] == "pipe failed").to_numpy()].reset_index(drop=True)
    return Moves(frame, failed, len(pipes), np.asarray(sorted(made.every), np.float64))


class _Calls:
    """Training calls by mail and class, and by user and class, in the order of time (seconds); the class may be empty."""

    def __init__(self, calls: pd.DataFrame, signatures: Signatures, piped: pd.DataFrame) -> None:
        self.by_mail: dict[tuple[int, str], list[float]] = {}
        self.last: dict[tuple[int, str, str], float] = {}
        """By mail, class and user: the last call."""
        self.by_user: dict[tuple[str, str], deque[float]] = {}
        self.every: list[float] = []
        for at, ident, user, kind in sorted([*_told(calls, signatures), *_of_pipes(piped)]):
            name = local_part(user)
            self.every.append(at)
            if ident:
                self.by_mail.setdefault((ident, kind), []).append(at)
                self.last[ident, kind, name] = at
            else:
                self.by_user.setdefault((name, kind), deque()).append(at)

    def of(self, frame: pd.DataFrame) -> list[str]:
        """Return, by move (in the order of time), whether its call came at once, late, or (empty) not at all."""
        out = []
        columns = [frame[name].tolist() for name in ("ident", "user", "class")]
        for at, ident, user, kind in zip(seconds_of(frame), *columns, strict=True):
            name = local_part(user)
            # At once another name may stand in the call: then it misses, which is something else than no call.
            if (ident and self._of_mail(at, ident, kind)) or self._of_user(at, name, kind):
                out.append("at once")
            else:
                calls = (self.last.get((ident, each, who), 0.0) for each in (kind, "") for who in (name, ""))
                out.append("late" if ident and max(calls) > at else "")
        return out

    def _of_mail(self, at: float, ident: int, kind: str) -> bool:
        for each in (kind, ""):
            calls = self.by_mail.get((ident, each), [])
            place = bisect.bisect_left(calls, at - BEFORE)
            if place < len(calls) and calls[place] <= at + AFTER:
                return True
        return False

    def _of_user(self, at: float, name: str, kind: str) -> bool:
        """Whether there is a call that names no mail at that time, which no move has taken yet; takes it."""
        for key in itertools.product((name, ""), (kind, "")):  # DSPAM's SQL drivers name no user
            calls = self.by_user.get(key, deque())
            while calls and calls[0] < at - BEFORE:
                calls.popleft()
            if calls and calls[0] <= at + AFTER:
                calls.popleft()
                return True
        return False


Call = tuple[float, int, str, str]
"""When (seconds), the message-id's hash, user, class; what isn't told is 0 or empty."""


def _told(calls: pd.DataFrame, signatures: Signatures) -> Iterable[Call]:
    """Return the calls that filters tell of; a mail's message-id also by way of its signature."""
    calls = calls[calls["time"].notna()]
    own = calls["ident"].to_numpy()
    ident: Hashes = np.where(own > 0, own, signatures.idents(calls["signature"]))
    users, classes = (calls[name].astype("str").fillna("").tolist() for name in ("user", "class"))
    for at, mail, user, kind in zip(seconds_of(calls), ident.tolist(), users, classes, strict=True):
        yield at, mail, user, "innocent" if kind == "ham" else kind


def _of_pipes(piped: pd.DataFrame) -> Iterable[Call]:
    idents = hashed(bare(piped["message_id"])).tolist()
    users, programs = (piped[name].astype("str").fillna("").tolist() for name in ("user", "text"))
    for at, mail, user, text in zip(seconds_of(piped), idents, users, programs, strict=True):
        yield at, mail, user, "innocent" if INNOCENT.search(text) else "spam"


def seconds_of(frame: pd.DataFrame) -> list[float]:
    """Return the times of rows, seconds since 1970."""
    found: list[float] = (frame["time"].dt.as_unit("ns").astype("int64").to_numpy() / 1e9).tolist()
    return found
