"""What went wrong by the numbers alone, though no check judges it: with one of these a report is not all clear."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from logscan.amounts import percent, plural
from logscan.checking.outages import of_filter
from logscan.checking.refused import refused
from logscan.report.deferrals import PutOff, own_services, put_off
from logscan.report.keyed import counted
from logscan.report.tallies import groups
from logscan.scan.columns import column, joined, number, some_joined, values
from logscan.scan.memo import per_window
from logscan.tables.coded import Coded
from logscan.tables.grouping import numbered
from logscan.tables.partials import Keyed, Part, Partial
from logscan.visible import visible

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

LOOPS = ("too many hops", "mail forwarding loop", "loops back to myself")
"""What Postfix says of mail that comes again and again (cleanup, local, smtp)."""

BUSY_MAILS, BUSY_NETWORKS = 40, 4
"""Mails that one account hands in within a day, and networks that it does so from, that make one wonder who it is."""

MANY_FAILED = 50
"""Failed logins: a user with a wrong password makes fewer."""

MANY_REFUSED = 3
"""Recipients elsewhere whose hosts refuse this server for policy: one mail may just look like spam."""

MANY_BOUNCED, SHARE_BOUNCED = 5, 0.05
"""Recipients that bounced, and their share of all, from which they are more than a few wrong addresses."""

FULL = re.compile(r"\b[45]\.2\.2\b|\bquota exceeded|\bover ?quota|mailbox (?:for user )?is full|mailbox full", re.I)
"""A full mailbox (X.2.2, RFC 3463; Dovecot, Postfix virtual)."""

LONG_WAIT = 600.0
"""Seconds that mail may wait for a service of this host."""

DAY = 24 * 3600 * 10**9


def look(window: Window) -> Partial:
    """Return what one window has that one may be concerned about, as numbers and counts by key."""
    late = put_off(window)
    return Partial(
        {
            "put off.mails": len(numbered(late.mail)[1]),
            "put off.attempts": len(late.rows),
            "refused elsewhere": _refused_elsewhere(window),
            "loops": _loops(window),
            "failed logins": _failed_logins(window),
            "full": _full(window),
            "busy": _busy(window),
            **_waited(late),
            **_unfiltered(window),
            **_lost_lines(window),
        }
    )


def concerns(partial: Partial, mails: Mapping[str, int], outages: Sequence[Outage]) -> list[str]:
    """Return short sentences' halves that go on behind "but": ``46 attempts for 20 mails were put off``.

    ``mails`` are the report's counts.
    """
    said = [
        _outages(outages),
        _were_put_off(partial, mails["total"]),
        "" if outages else _waited_long(partial),
        _bounced(mails),
        _are_full(partial),
        _count(
            partial, "refused elsewhere", "recipient", "elsewhere refused this server’s mail for policy", MANY_REFUSED
        ),
        _looped(partial),
        _busy_account(partial),
        _count(partial, "failed logins", "login", "failed", MANY_FAILED),
        _trouble(partial),
        _lines_lost(partial),
    ]
    return [each for each in said if each]


def _count(partial: Partial, name: str, noun: str, words: str, least: int) -> str:
    count = partial.count(name)
    return f"{plural(count, noun)} {words}" if count >= least else ""


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


@per_window
def _not_reached(window: Window) -> Ints:
    """Return the attempts for recipients of mails that didn't reach them."""
    return np.flatnonzero((values(window, "deliveries", "mail") >= 0) & ~values(window, "deliveries", "final"))


def _failed(window: Window, *, outside: bool) -> Ints:
    """Return the attempts at other hosts, or here, that were put off or given up."""
    rows = _not_reached(window)
    rows = rows[joined(window, "deliveries", "outcome").take(rows).is_in("bounced", "expired", "deferred")]
    here: Ints = rows[values(window, "deliveries", "outside")[rows] == outside]
    return here


def _refused_elsewhere(window: Window) -> int:
    """Return the recipients elsewhere whose hosts refuse for good, for their policy: by the rule of delivery-blocked."""
    found = refused(window)
    ended = values(window, "deliveries", "last")[found.row]
    return int((ended & found.why.having(lambda why: why.for_policy)).sum())


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


def _full(window: Window) -> Keyed:
    """Return the mailboxes here that take no mail because they are full."""
    rows = _failed(window, outside=False)
    rows = rows[some_joined(window, "deliveries", "reply", rows).having(FULL.search)]
    return counted(groups(some_joined(window, "deliveries", "mailbox", rows)), ("mailbox",), {})


def _are_full(partial: Partial) -> str:
    count = len(partial.frame("full"))
    return (
        f"{plural(count, 'mailbox', 'mailboxes')} here {'is' if count == 1 else 'are'} full and refused mail"
        if count
        else ""
    )


def _loops(window: Window) -> int:
    rows = _not_reached(window)
    reply = some_joined(window, "deliveries", "reply", rows[values(window, "deliveries", "last")[rows]])
    return int(reply.matching(lambda texts: pc.match_substring_regex(texts, "|".join(LOOPS))).sum())


def _looped(partial: Partial) -> str:
    count = partial.count("loops")
    return f"the mail of {plural(count, 'recipient')} went in a loop" if count else ""


def _busy(window: Window) -> Keyed:
    """Return mails by account, day (of UTC) and network (of /24 and /48)."""
    login = joined(window, "mails", "sasl_username")
    rows = np.flatnonzero(login.codes >= 0)
    network = joined(window, "mails", "client_address").take(rows).changed(_network)
    days = values(window, "mails", "first")[rows] // DAY
    code, first = numbered(days)
    by = groups(login.take(rows), Coded(code, days[first]), network)
    return counted(by, ("user", "day", "network"), {"mails": by.count()})


def _busy_account(partial: Partial) -> str:
    """Return the account that handed in much within a day, from many networks."""
    frame = partial.frame("busy")
    if frame.empty:
        return ""
    known = (frame["network"] != "").astype("int64")
    by = frame.assign(networks=known).groupby(["user", "day"])[["mails", "networks"]].sum().reset_index()
    wild = by[(by["mails"] >= BUSY_MAILS) & (by["networks"] >= BUSY_NETWORKS)]
    if wild.empty:
        return ""
    worst = wild.sort_values(["networks", "mails", "user", "day"], ascending=[False, False, True, True]).iloc[0]
    name, count = visible(str(worst["user"]), 100), int(worst["mails"])
    return f"{name} handed in {plural(count, 'mail')} within a day, from {int(worst['networks'])} networks"


def _network(address: str) -> str:
    """Return the first three numbers of an IPv4 address, the first three groups of an IPv6 one."""
    return ":".join(address.split(":")[:3]) if ":" in address else address.rpartition(".")[0]


def _failed_logins(window: Window) -> int:
    count = int(column(window, "sessions", "event").is_in("auth failed").sum())
    return count + int(column(window, "logins", "event").is_in("failed").sum())


TROUBLE = ("delivered unfiltered", "crash")


def _unfiltered(window: Window) -> dict[str, Part]:
    kind = column(window, "filter_errors", "kind")
    return {name: int(kind.is_in(name).sum()) for name in TROUBLE}


def _trouble(partial: Partial) -> str:
    parts = [f"{partial.count(name):,} times {name}" for name in TROUBLE if partial.count(name)]
    return f"the filter reports trouble ({', '.join(parts)})" if parts else ""


def _lost_lines(window: Window) -> dict[str, Part]:
    lost = column(window, "losses", "event").is_in("lost")
    lines = int(np.maximum(number(window, "losses", "count")[lost], 0).sum()) if lost.any() else 0
    return {"losses": int(lost.sum()), "lost lines": lines}


def _lines_lost(partial: Partial) -> str:
    if not partial.count("losses"):
        return ""
    lines = partial.count("lost lines")
    return f"the logging system lost {plural(lines, 'line')}" if lines else "the logging system lost lines"
