"""What an outage is, and the small sums that all ways of finding one share."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.compute as pc

from logscan.correlate.lives import SECOND
from logscan.tables import cells, texts
from logscan.tables.coded import Coded
from logscan.tables.grouping import combine
from logscan.tables.partials import Keyed, hashes

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
MOST_TEXT = 1000
"""Characters of a reply that are kept: more than are shown."""

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
    rows: pd.DataFrame | None = field(default=None, compare=False, repr=False)
    """The lines that tell it, in order of time: ``at`` (UTC ns), ``source``, ``line``; of hand-overs also the hashes ``mail``
    and ``person``, and ``lost`` where that recipient never got it. What tells of it is no part of it."""
    refused: pd.DataFrame | None = field(default=None, compare=False, repr=False)
    """Mails refused at the door meanwhile: ``at`` (UTC ns), ``session`` (``postfix/smtpd[123]``), ``client``, ``sender``,
    empty where unknown."""
    failing: float | None = None
    """Seconds from the first failure to the last, where some were in earlier runs and so are none of ``rows``."""


def nanoseconds(time: pd.Series) -> Ints:
    """Return the times as UTC nanoseconds."""
    return cells.ns(time)


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


def hashed(column: pd.Series) -> Ints:
    """Return a 64-bit hash of each text, 0 where there is none."""
    codes, words = texts.coded(column)
    return np.append(hashes(words), 0)[codes]


def said(words: Coded) -> Keyed:
    """Return the texts by their hash, for :class:`Reasons`."""
    used = Coded(words.used(), words.words)
    text = pc.utf8_slice_codeunits(used.texts(), 0, MOST_TEXT)
    return Keyed.of({"words": used.hashed(), "text": text}, once=True)


class Reasons:
    """What Postfix and filters said, by the hash that rows carry."""

    def __init__(self, words: pd.DataFrame) -> None:
        """``words`` has the columns ``words`` (the hash) and ``text``."""
        self.text = dict(zip(words["words"].tolist(), words["text"].tolist(), strict=True))

    def of(self, words: pd.Series, number: Ints, relay: str) -> list[str]:
        """Return, by outage, the most frequent reason, the first of several; rows are in order of time."""
        codes, hashes = pd.factorize(words)
        counts = pd.DataFrame({"n": number, "code": codes}).value_counts(sort=False).reset_index()
        best = counts.sort_values(["n", "count", "code"], ascending=[True, False, True]).drop_duplicates("n")
        return [_reason(self.text.get(int(hashes[code]), ""), relay) for code in best["code"]]

    def most(self, words: pd.Series, relay: str) -> str:
        """Return the most frequent reason of all rows, which are in order of time."""
        return self.of(words, np.zeros(len(words), np.int64), relay)[0]


def _reason(text: str, relay: str) -> str:
    text = text.removeprefix(SUSPENDED)
    for prefix in (f"connect to {relay}: ", f"host {relay} "):
        text = text.removeprefix(prefix)
    return text[:300]
