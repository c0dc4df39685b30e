"""Times at which mail could not be handed to a filter, a mailbox server or a milter, and was put off or came back.

Told by Postfix's deferrals at that relay, and by its warnings about milters and proxy filters. An outage ends with the
first mail that got through again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.compute as pc

from logscan.checking.milter_outages import at_the_door
from logscan.checking.outage import (
    FLICKER,
    IN_A_ROW,
    SUSPENDED,
    Bools,
    Ints,
    Kind,
    Outage,
    distinct,
    moment,
    nanoseconds,
    reasons,
)
from logscan.checking.reinjection_outages import no_way_back, ways_back
from logscan.correlate.codes import combine, matched
from logscan.correlate.facts import PRIVATE_RELAY
from logscan.correlate.lives import SECOND
from logscan.scan.hops import filter_hops
from logscan.settings import parse_destination
from logscan.tables import texts

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings

NEXT_HOP = (
    rf"^(?:{SUSPENDED})?(?:connect to|conversation with|lost connection with|host) "
    r"(?P<hop>[^ \[]*\[[^ \]]*\](?::\d{1,5})?)"
)
"""Where a deferral's text names the host, when ``relay=none`` doesn't (Postfix smtp_connect.c, smtp_trouble.c)."""

NO_TRANSPORT = "mail transport unavailable"
"""What qmgr says of a service that doesn't run (Postfix qmgr/qmgr_transport.c); it doesn't name the service."""

ANSWERED = r" said: [45]|[Cc]ommand output: "
"""The other side was there and refused this mail: trouble with one mail or mailbox, until it is with all."""

FAILED = r"^(?:[Cc]ommand died|[Ss]ervice unavailable)"
"""A pipe's command that died: Postfix may send the mail back at once (pipe/pipe.c)."""

SILENCE = 100 * 60 * SECOND
"""Failures further apart are two outages: Postfix tries again after at most 4000 s (maximal_backoff_time)."""


def outages(scan: Window, settings: Settings) -> list[Outage]:
    """Return the outages in the order of time."""
    found = [*ways_back(scan, settings, _put_off(scan, settings)), *at_the_door(scan)]
    return sorted(found, key=lambda each: (each.first, each.host, each.relay))


def _put_off(scan: Window, settings: Settings) -> list[Outage]:
    deliveries = scan.deliveries
    status = deliveries["status"]
    late = status.isin(["deferred", "SOFTBOUNCE"]).to_numpy()
    bounced = np.flatnonzero((status == "bounced").to_numpy())
    died = matched(texts.arrow(deliveries["reply"].iloc[bounced]), FAILED, starts=("C", "c", "S", "s"))
    rows = np.sort(np.r_[np.flatnonzero(late), bounced[died]])
    rows = rows[deliveries["time"].notna().to_numpy()[rows]]
    if not len(rows):
        return []
    some = deliveries.iloc[rows]
    hop = _next_hops(some)
    kinds = _kinds(scan, settings, texts.values(hop))
    wanted = texts.where(hop, lambda names: names.isin(kinds)) & (some["entry"] >= 0).to_numpy()
    some, hop = some[wanted], hop[wanted]
    if not len(some):
        return []
    frame = some.assign(
        hop=hop.to_numpy(), host=_hosts(scan, some), at=nanoseconds(some["time"]), lost=_lost(scan, some)
    )
    frame["back"] = no_way_back(texts.arrow(frame["reply"])) & (frame["hop"].map(kinds) == "filter").to_numpy()
    good = deliveries[
        (status == "sent").to_numpy()
        & deliveries["time"].notna().to_numpy()
        & deliveries["relay"].isin(kinds).to_numpy()
    ]
    hops, hosts = good["relay"].astype("str"), _hosts(scan, good)
    good = pd.DataFrame({"hop": hops, "host": hosts, "at": nanoseconds(good["time"]), "entry": good["entry"]})
    good = good.sort_values("at", kind="stable").drop_duplicates(["host", "hop", "entry"])
    passed = {key: part["at"].to_numpy() for key, part in good.groupby(["host", "hop"], sort=False)}
    found: list[Outage] = []
    for (host, name, back), part in frame.sort_values("at", kind="stable").groupby(["host", "hop", "back"], sort=False):
        through = passed.get((host, name), np.empty(0, np.int64))
        found += _of_relay(part, str(host), str(name), "re-injection" if back else kinds[str(name)], through)
    return found


def _of_relay(part: pd.DataFrame, host: str, relay: str, kind: Kind, through: Ints) -> list[Outage]:
    """Return the outages among one relay's failures, which are in order of time.

    ``through``: when mails passed (UTC ns), each once, in order.
    """
    people = texts.coded(texts.lower(part["recipient"]))[0]
    mails = combine(part["mail"].to_numpy(), np.where(part["mail"] >= 0, -1, part["entry"]))
    at = part["at"].to_numpy()
    number = _runs(part, kind, mails, people, at, through)
    kept = number >= 0
    part, mails, people, at, number = part[kept], mails[kept], people[kept], at[kept], number[kept]
    count = int(number.max(initial=-1)) + 1
    pairs = combine(mails, people)
    by_mail = distinct(number, mails, count)
    by_recipient = distinct(number, pairs, count)
    lost = part["lost"].to_numpy()
    returned = distinct(number[lost], pairs[lost], count)
    begins = np.searchsorted(number, np.arange(count))
    ends = np.searchsorted(number, np.arange(count), "right")
    words = reasons(part["reply"], number, relay)
    out = []
    for one in range(count):
        last = int(at[ends[one] - 1])
        after = int(np.searchsorted(through, last, "right"))
        over = after < len(through)
        times = moment(int(at[begins[one]])), moment(int(through[after]) if over else last), over
        counts = int(by_mail[one]), int(by_recipient[one]), int(returned[one])
        out.append(Outage(host, relay, kind, *times, *counts, words[one], int(ends[one] - begins[one])))
    return out


def _hosts(scan: Window, rows: pd.DataFrame) -> npt.NDArray[np.object_]:
    names = np.asarray(scan.entries["host"].astype("str").to_numpy(), dtype=object)
    found: npt.NDArray[np.object_] = np.append(names, "")[rows["entry"].to_numpy()]
    return found


def _next_hops(rows: pd.DataFrame) -> pd.Series:
    """Return each deferral's relay, or the one that its text names."""
    relay = rows["relay"].astype("str")
    named = texts.each(rows["reply"], _named)
    return relay.where(relay != "none", named)


def _named(replies: pd.Series) -> pd.Series:
    found = pc.struct_field(pc.extract_regex(texts.arrow(replies), NEXT_HOP), [0])
    named = texts.series(found, replies)
    return named.where(~replies.str.endswith(NO_TRANSPORT), NO_TRANSPORT)


def _kinds(scan: Window, settings: Settings, names: set[str]) -> dict[str, Kind]:
    """Return what each relay is, for those that filter, keep mailboxes or at least run on this host."""
    deliveries = scan.deliveries
    filters = set(deliveries["relay"][filter_hops(scan)].astype("str").unique())
    stored = deliveries["final"] & ~deliveries["outside"] & ~deliveries["program"].isin(["local", "virtual"])
    mailboxes = set(deliveries["relay"][stored].astype("str").unique())
    declared = [re.compile(each) for each in _declared(settings)]
    out: dict[str, Kind] = {}
    for name in names:
        if name in filters or any(each.search(name) for each in declared):
            out[name] = "filter"
        elif name in mailboxes:
            out[name] = "mailbox"
        elif name == NO_TRANSPORT or re.search(PRIVATE_RELAY, name):
            out[name] = "service"
    return out


def _declared(settings: Settings) -> list[str]:
    """Return patterns of the relays that the configuration names as filters."""
    found = []
    for setup in settings.filters:
        if setup.via in ("content_filter", "FILTER"):
            to = parse_destination(setup.destination)
            if to.path:
                found.append(re.escape(f"[{to.path}]") + "$")
            elif to.host and to.port:
                found.append(rf"(?:^|\[){re.escape(to.host)}(?:\[[^\]]*\]|\])?:{to.port}$")
            elif to.transport:
                found.append(f"^{re.escape(to.transport)}$")
    return found


def _runs(part: pd.DataFrame, kind: Kind, mails: Ints, people: Ints, at: Ints, through: Ints) -> Ints:
    """Number the outages among failures in order of time, from 0; -1 for what is none.

    A mail that got through ends one, or :data:`IN_A_ROW` of them where failures follow at once. What the other side
    answered to a mail or two is those mails' trouble, unless it says that it can't hand mail back.
    """
    before = np.searchsorted(through, at, "right")
    new = np.r_[True, (before[1:] != before[:-1]) | (np.diff(at) > SILENCE)]
    run = np.cumsum(new) - 1
    count = int(run[-1]) + 1
    answered = matched(texts.arrow(part["reply"]), ANSWERED, contains=(" said: ", "ommand output: "))
    answered &= kind != "re-injection"
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


def _lost(scan: Window, rows: pd.DataFrame) -> Bools:
    """Return for which of these attempts the same entry ended without reaching that recipient: sent back, or expired."""
    deliveries = scan.deliveries
    ends = deliveries[deliveries["last"] & deliveries["entry"].isin(rows["entry"].unique())]
    expired = scan.entries["expired"].to_numpy()[ends["entry"].to_numpy()]
    gone = ends[(ends["status"] == "bounced").to_numpy() | ((ends["status"] != "sent").to_numpy() & expired)]
    both = pd.concat([rows[["entry", "recipient"]], gone[["entry", "recipient"]]])
    key = combine(both["entry"].to_numpy(), texts.coded(texts.lower(both["recipient"]))[0])
    found: Bools = np.isin(key[: len(rows)], key[len(rows) :])
    return found
