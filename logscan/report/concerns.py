"""What went wrong by the numbers alone, though no check judges it: with one of these a report is not all clear."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from logscan.amounts import percent, plural
from logscan.checking.outages import of_filter
from logscan.checking.refused import refused
from logscan.report.deferrals import PutOff, own_services, put_off
from logscan.scan.columns import column, values
from logscan.tables.grouping import numbered
from logscan.tables.partials import Keyed, Part, Partial

Ints = npt.NDArray[np.int64]

if TYPE_CHECKING:
    from logscan.checking.outage import Outage
    from logscan.scan.window import Window

KINDS = {
    "mailbox": "the mailbox server",
    "milter": "a milter",
    "service": "a service of this host",
}

MANY_PUT_OFF, SHARE_PUT_OFF = 10, 0.05
"""Mails put off, and their share of all, from which the deferrals are more than greylisting and a few dead hosts."""

MANY_REFUSED = 3
"""Recipients elsewhere whose hosts refuse this server for policy: one mail may just look like spam."""

MANY_BOUNCED, SHARE_BOUNCED = 5, 0.05
"""Recipients that bounced, and their share of all, from which they are more than a few wrong addresses."""

LONG_WAIT = 600.0
"""Seconds that mail may wait for a service of this host."""


def look(window: Window) -> Partial:
    """Return what one window has that one may be concerned about, as numbers and counts by key."""
    late = put_off(window)
    return Partial(
        {
            "put off.mails": len(numbered(late.mail)[1]),
            "put off.attempts": len(late.rows),
            "refused elsewhere": _refused_elsewhere(window),
            **_waited(late),
            **_unfiltered(window),
        }
    )


def concerns(partial: Partial, mails: Mapping[str, int], outages: Sequence[Outage], every: int) -> list[str]:
    """Return short sentences' halves that go on behind "but": ``46 attempts for 20 mails were put off``.

    ``mails`` are the report's counts, ``every`` all mails that were looked at.
    """
    said = [
        _outages(outages),
        _were_put_off(partial, every),
        "" if outages else _waited_long(partial),
        _bounced(mails),
        _refused_for_policy(partial),
        _trouble(partial),
    ]
    return [each for each in said if each]


def _outages(outages: Sequence[Outage]) -> str:
    """Return which outages there were, but for those that filter-unreachable finds."""
    others = [each for each in outages if not of_filter(each)]
    if not others:
        return ""
    kinds = Counter(KINDS.get(each.kind, each.kind) for each in others)
    return (
        "there were " * (len(others) > 1)
        + "there was " * (len(others) == 1)
        + " and ".join(f"{plural(count, 'outage')} of {name}" for name, count in sorted(kinds.items()))
    )


def _were_put_off(partial: Partial, every: int) -> str:
    mails, attempts = partial.count("put off.mails"), partial.count("put off.attempts")
    if mails < MANY_PUT_OFF or mails < SHARE_PUT_OFF * every:
        return ""
    return f"{plural(mails, 'mail')} of {every:,} ({percent(mails / every)}) were put off, {attempts:,} attempts in all"


def _refused_elsewhere(window: Window) -> int:
    """Return the recipients elsewhere whose hosts refuse for good, for their policy: by the rule of delivery-blocked."""
    found = refused(window)
    ended = values(window, "deliveries", "last")[found.row]
    return int((ended & found.why.having(lambda why: why.for_policy)).sum())


def _refused_for_policy(partial: Partial) -> str:
    """Return how many were refused: too few of one host for delivery-blocked may be many together."""
    count = partial.count("refused elsewhere")
    return (
        f"{plural(count, 'recipient')} elsewhere refused this server’s mail for policy" if count >= MANY_REFUSED else ""
    )


def _waited(late: PutOff) -> dict[str, Part]:
    """Return recipients whose mail waited long for a service of this server, and the longest time in seconds."""
    code = np.unique(late.recipient[own_services(late)])
    code = code[late.waited[code] >= LONG_WAIT]
    longest = {"longest": late.waited[code].astype(np.float64)}
    return {"waited": len(code), "waited longest": Keyed.of(longest, most=("longest",))}


def _waited_long(partial: Partial) -> str:
    """Return whose mail waited long for a service of this server; an outage says it itself."""
    count = partial.count("waited")
    if not count:
        return ""
    longest = float(partial.frame("waited longest")["longest"].max())
    return (
        f"mail to {plural(count, 'recipient')} waited up to {plural(round(longest / 60), 'minute')} for "
        "this server’s own services"
    )


def _bounced(mails: Mapping[str, int]) -> str:
    count, every = mails["bounced"] + mails["expired"], mails["recipients"]
    if count < MANY_BOUNCED or count < SHARE_BOUNCED * every:
        return ""
    return f"{plural(count, 'recipient')} of {every:,} ({percent(count / every)}) bounced or expired"


TROUBLE = ("delivered unfiltered", "crash")


def _unfiltered(window: Window) -> dict[str, Part]:
    kind = column(window, "filter_errors", "kind")
    return {name: int(kind.is_in(name).sum()) for name in TROUBLE}


def _trouble(partial: Partial) -> str:
    parts = [f"{partial.count(name):,} times {name}" for name in TROUBLE if partial.count(name)]
    return f"the filter reports trouble ({', '.join(parts)})" if parts else ""
