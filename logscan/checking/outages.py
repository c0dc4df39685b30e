"""Times at which mail could not be handed to a filter, a mailbox server or a milter, and was put off or came back.

Told by Postfix's deferrals at that relay, and by its warnings about milters and proxy filters. An outage ends with the
first mail that got through again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from logscan.checking import hand_overs, milter_outages, reinjection_outages, transports
from logscan.checking.outage import (
    FLICKER,
    IN_A_ROW,
    Ints,
    Kind,
    Outage,
    Reasons,
    distinct,
    moment,
)
from logscan.correlate.lives import SECOND
from logscan.scan.memo import per_window
from logscan.scan.pasts import past
from logscan.tables.grouping import combine
from logscan.tables.partials import Partial, Points, merged

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

SILENCE = 100 * 60 * SECOND
"""Failures further apart are two outages: Postfix tries again after at most 4000 s (maximal_backoff_time)."""

BY_NAME = re.compile(
    r"(?i)^(?!.*\[[0-9a-f.:]*\]).*(?:dspam|amavis|spam|scan|filter|clam|virus)|\]:100\d\d$",
)
"""What a service of this host is called that is a filter, where nothing else tells: a socket's path, a service of master.cf, a
port like 10024. A host's name may be a stranger's: his MX may point here."""

ROWS = ["at", "mail", "person", "lost", "source", "line"]
"""What is kept of each failure for who tells of an outage's mails."""

KINDS: Sequence[Kind] = ("filter", "mailbox", "service")
"""What a relay is, where windows know different things of it: the first of these."""


@per_window
def look(window: Window, settings: Settings) -> Partial:
    """Return the failures of a window, and when what failed is seen to work. The report's lists and a check share it."""
    return Partial(
        {
            **hand_overs.look(window, settings),
            **transports.look(window),
            **reinjection_outages.look(window),
            **milter_outages.look(window),
        }
    )


def conclude(partial: Partial, log: Log) -> list[Outage]:
    """Return the outages in the order of time.

    One that began in an earlier run begins there still, and counts what is new; of which nothing is new isn't told again.
    """
    put_off = _put_off(partial, log)
    found = [
        *reinjection_outages.ways_back(partial, log.settings, put_off),
        *milter_outages.at_the_door(partial),
    ]
    return sorted(found, key=lambda each: (each.first, each.host, each.relay))


def of_filter(outage: Outage) -> bool:
    """Return whether mail waited, or was refused, for a filter: no mailbox server, nor a milter that let it pass unseen."""
    if outage.kind in ("service", "mailbox"):
        # A filter may hand mail on to the mailbox server itself (spampd, DSPAM with a delivery agent).
        return bool(BY_NAME.search(outage.relay))
    return outage.kind in ("filter", "re-injection") or (outage.kind == "milter" and outage.mails > 0)


def outages(window: Window, settings: Settings) -> list[Outage]:
    """Return the outages of a window that is the whole log."""
    return conclude(look(window, settings), window.log)


def _put_off(partial: Partial, log: Log) -> list[Outage]:
    if hand_overs.FAILURES not in partial:
        return []
    failures = partial.frame(hand_overs.FAILURES).assign(fresh=True)
    remembered = past(log, hand_overs.FAILURES, hand_overs.WORDS, hand_overs.THROUGH)
    if remembered is not None:
        failures = pd.concat([failures, remembered.frame(hand_overs.FAILURES).assign(fresh=False)], ignore_index=True)
        told = {name: partial.parts[name] for name in remembered.parts if name in partial}
        partial = Partial({**partial.parts, **merged([Partial(told), remembered]).parts})
    failures = failures.sort_values(["at", "source", "line"], ignore_index=True)
    failures = transports.named(failures, partial, log.settings)
    reasons = Reasons(partial.frame(hand_overs.WORDS))
    passed = partial.parts.get(hand_overs.THROUGH)
    found: list[Outage] = []
    for (host, relay, back), part in failures.groupby(["host", "hop", "back"], sort=False):
        kind: Kind = "re-injection" if back else next(each for each in KINDS if (part["kind"] == each).any())
        # A service that has a name only is seen to work by the filters that mail goes to.
        relays = [str(relay)] if "[" in relay or kind != "filter" else [relay, *sorted(log.facts.filter_relays)]
        places = hand_overs.place_of([str(host)] * len(relays), relays).tolist()
        through = transports.reached([passed.times(each) for each in places] if isinstance(passed, Points) else [])
        found += _of_relay(part, str(host), str(relay), kind, through, reasons)
    return found


def _of_relay(part: pd.DataFrame, host: str, relay: str, kind: Kind, through: Ints, reasons: Reasons) -> list[Outage]:
    """Return the outages among one relay's failures, which are in order of time; ``fresh``: not of an earlier run.

    ``through``: when mails passed (UTC ns), each once, in order.
    """
    number = _runs(part, kind, through)
    part = part[number >= 0]
    number = number[number >= 0]
    mails, people = (pd.factorize(part[name])[0].astype(np.int64) for name in ("mail", "person"))
    at = part["at"].to_numpy()
    count = int(number.max(initial=-1)) + 1
    pairs = combine(mails, people)
    fresh = part["fresh"].to_numpy(dtype=np.bool_)
    by_mail = distinct(number[fresh], mails[fresh], count)
    by_recipient = distinct(number[fresh], pairs[fresh], count)
    lost = part["lost"].to_numpy(dtype=np.bool_) & fresh
    returned = distinct(number[lost], pairs[lost], count)
    begins = np.searchsorted(number, np.arange(count))
    ends = np.searchsorted(number, np.arange(count), "right")
    words = reasons.of(part["words"], number, relay)
    out = []
    spent, kept = part["spent"].to_numpy(), part[ROWS]
    for one in np.unique(number[fresh]).tolist():
        last = int(at[ends[one] - 1])
        after = int(np.searchsorted(through, last, "right"))
        over = after < len(through)
        # A first attempt that waited in vain began before its line; what got through by then was before the outage.
        good = int(np.searchsorted(through, at[begins[one]], "right"))
        began = int(at[begins[one]] - spent[begins[one]])
        began = max(began, int(through[good - 1])) if good else began
        times = moment(began), moment(int(through[after]) if over else last), over
        counts = int(by_mail[one]), int(by_recipient[one]), int(returned[one])
        rows, new = kept.iloc[begins[one] : ends[one]], fresh[begins[one] : ends[one]]
        failing = None if new.all() else (last - int(at[begins[one]])) / SECOND
        rows = rows if new.all() else rows[new]
        out.append(Outage(host, relay, kind, *times, *counts, words[one], len(rows), rows, failing=failing))
    return out


def _runs(part: pd.DataFrame, kind: Kind, through: Ints) -> Ints:
    """Number the outages among failures in order of time, from 0; -1 for what is none.

    A mail that got through ends one, or :data:`IN_A_ROW` of them where failures follow at once. What the other side
    answered to a mail or two is those mails' trouble, unless it says that it can't hand mail back.
    """
    at = part["at"].to_numpy()
    mails, people = (pd.factorize(part[name])[0].astype(np.int64) for name in ("mail", "person"))
    before = np.searchsorted(through, at, "right")
    new = np.r_[True, (before[1:] != before[:-1]) | (np.diff(at) > SILENCE)]
    run = np.cumsum(new) - 1
    count = int(run[-1]) + 1
    answered = part["answered"].to_numpy() & (kind != "re-injection")
    unheard = np.bincount(run[~answered], minlength=count) > 0
    alike = distinct(run, mails, count)
    if kind not in ("filter", "re-injection"):
        alike = np.minimum(alike, distinct(run, people, count))
    kept = np.flatnonzero((unheard | (alike >= IN_A_ROW))[run])
    if not len(kept):
        return np.full(len(run), -1, np.int64)
    apart = (np.diff(at[kept]) > FLICKER) | (np.diff(before[kept]) >= IN_A_ROW)
    starts = np.r_[True, (run[kept][1:] != run[kept][:-1]) & apart]
    out = np.full(len(run), -1, np.int64)
    out[kept] = np.cumsum(starts) - 1
    return out
