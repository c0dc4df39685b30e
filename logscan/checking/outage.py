"""What an outage is, and the small sums that all ways of finding one share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.correlate.codes import combine
from logscan.correlate.lives import SECOND
from logscan.tables import texts

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Kind = Literal["filter", "re-injection", "mailbox", "milter", "service"]

SUSPENDED = "delivery temporarily suspended: "

FLICKER = 120 * SECOND
"""Failures nearer to each other are one outage, though a mail or two got through between them."""

IN_A_ROW = 3
"""Mails, and people, whose refusal is an outage of the other side when none gets through between them. As many that do get
through end an outage however short the time."""


@dataclass(frozen=True)
class Outage:
    """One time at which hand-overs failed. ``first`` and ``until`` are aware datetimes (UTC).

    ``until`` is when the first mail got through again (``over``), else the last failure in the log.
    """

    host: str
    relay: str
    """As logged: ``host[address]:port``, ``host[socket]``, a pipe's service, a milter's ``inet:host:port``; of a
    re-injection, where the filter connects to."""
    kind: Kind
    """``service``: on this host, but the log doesn't show what it does; ``re-injection``: the filter could hand no mail
    back."""
    first: datetime
    until: datetime
    over: bool
    mails: int
    """Mails that were put off or sent back for it; of a milter or proxy filter, those refused at the door."""
    recipients: int
    """Their recipients, as far as they were told by then."""
    returned: int
    """Recipients among them whom the mail never reached: sent back, or expired."""
    reason: str
    """What Postfix says most often, without the relay's name."""
    attempts: int = 0
    """Hand-overs that failed: each mail is tried again and again."""


def nanoseconds(time: pd.Series) -> Ints:
    """Return the times as UTC nanoseconds."""
    found: Ints = time.dt.as_unit("ns").astype("int64").to_numpy()
    return found


def distinct(group: Ints, value: Ints, count: int) -> Ints:
    """Return, by group, how many different values it holds."""
    if not len(group):
        return np.zeros(count, np.int64)
    first = np.unique(combine(group, value), return_index=True)[1]
    return np.bincount(group[first], minlength=count)


def moment(ns: int) -> datetime:
    """Return the aware datetime (UTC) of UTC nanoseconds."""
    found: datetime = pd.Timestamp(ns, tz="UTC").to_pydatetime(warn=False)
    return found


def reasons(replies: pd.Series, number: Ints, relay: str) -> list[str]:
    """Return, by outage, the most frequent reason."""
    codes, words = texts.coded(replies)
    counts = pd.DataFrame({"n": number, "code": codes}).value_counts(sort=False).reset_index()
    best = counts.sort_values(["n", "count", "code"], ascending=[True, False, True]).drop_duplicates("n")
    return [_reason(words.iloc[code] if code >= 0 else "", relay) for code in best["code"]]


def _reason(text: str, relay: str) -> str:
    text = text.removeprefix(SUSPENDED)
    for prefix in (f"connect to {relay}: ", f"host {relay} "):
        text = text.removeprefix(prefix)
    return text[:300]
