"""Times at which mail could not be handed to a filter, a mailbox server or a milter, and was put off or came back.

Told by Postfix's deferrals at that relay, and by its warnings about milters and proxy filters. An outage ends with the
first mail that got through again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.compute as pc

from logscan import evidence as ev
from logscan import texts
from logscan.correlate.codes import combine, matched
from logscan.correlate.entries import SECOND
from logscan.correlate.facts import PRIVATE_RELAY
from logscan.settings import parse_destination

if TYPE_CHECKING:
    from logscan.scan import Scan
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Kind = Literal["filter", "mailbox", "milter", "service"]

SUSPENDED = "delivery temporarily suspended: "
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

FLICKER = 120 * SECOND
"""Failures nearer to each other are one outage, though a mail got through between them."""

REFUSED_IN_A_ROW = 3
"""Mails and people, none getting through between them, whose refusal is an outage of the other side."""

MAIL_AT_DOOR = ["host", "pid", "client_address", "sender", "time"]
"""What lines about one refused mail have in common."""

MILTER_SILENCE = 600 * SECOND


@dataclass(frozen=True)
class Outage:
    """One time at which hand-overs failed. ``first`` and ``until`` are aware datetimes (UTC).

    ``until`` is when the first mail got through again (``over``), else the last failure in the log.
    """

    host: str
    relay: str
    """As logged: ``host[address]:port``, ``host[socket]``, a pipe's service, a milter's ``inet:host:port``."""
    kind: Kind
    """``service``: on this host, but the log doesn't show what it does."""
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


def outages(scan: Scan, settings: Settings) -> list[Outage]:
    """Return the outages in the order of time."""
    found = [*_put_off(scan, settings), *_milters(scan)]
    return sorted(found, key=lambda each: (each.first, each.host, each.relay))


def _put_off(scan: Scan, settings: Settings) -> list[Outage]:
    deliveries = scan.deliveries
    status = deliveries["status"]
    late = status.isin(["deferred", "SOFTBOUNCE"]).to_numpy()
    bounced = np.flatnonzero((status == "bounced").to_numpy())
    died = matched(texts.arrow(deliveries["reply"].iloc[bounced]), FAILED, starts=("C", "c", "S", "s"))
    rows = np.sort(np.r_[np.flatnonzero(late), bounced[died]])
    if not len(rows):
        return []
    some = deliveries.iloc[rows]
    hop = _next_hops(some)
    kinds = _kinds(scan, settings, texts.values(hop))
    wanted = texts.where(hop, lambda names: names.isin(kinds)) & (some["entry"] >= 0).to_numpy()
    some, hop = some[wanted], hop[wanted]
    if not len(some):
        return []
    frame = some.assign(hop=hop.to_numpy(), host=_hosts(scan, some), at=_ns(some["time"]), lost=_lost(scan, some))
    good = deliveries[(status == "sent").to_numpy() & deliveries["relay"].isin(kinds).to_numpy()]
    good = pd.DataFrame({"hop": good["relay"].astype("str"), "host": _hosts(scan, good), "at": _ns(good["time"])})
    passed = {key: np.sort(part["at"].to_numpy()) for key, part in good.groupby(["host", "hop"], sort=False)}
    found: list[Outage] = []
    for (host, name), part in frame.sort_values("at", kind="stable").groupby(["host", "hop"], sort=False):
        through = passed.get((host, name), np.empty(0, np.int64))
        found += _of_relay(part, str(host), str(name), kinds[str(name)], through)
    return found


def _of_relay(part: pd.DataFrame, host: str, relay: str, kind: Kind, through: Ints) -> list[Outage]:
    """Return the outages among one relay's failures, which are in order of time; ``through``: when mail passed (UTC ns)."""
    people = texts.coded(texts.lower(part["recipient"]))[0]
    mails = combine(part["mail"].to_numpy(), np.where(part["mail"] >= 0, -1, part["entry"]))
    at = part["at"].to_numpy()
    number = _runs(part, kind, mails, people, at, through)
    kept = number >= 0
    part, mails, people, at, number = part[kept], mails[kept], people[kept], at[kept], number[kept]
    count = int(number.max(initial=-1)) + 1
    pairs = combine(mails, people)
    by_mail = _distinct(number, mails, count)
    by_recipient = _distinct(number, pairs, count)
    lost = part["lost"].to_numpy()
    returned = _distinct(number[lost], pairs[lost], count)
    begins = np.searchsorted(number, np.arange(count))
    ends = np.searchsorted(number, np.arange(count), "right")
    reasons = _reasons(part["reply"], number, relay)
    out = []
    for one in range(count):
        last = int(at[ends[one] - 1])
        after = int(np.searchsorted(through, last, "right"))
        over = after < len(through)
        times = _moment(int(at[begins[one]])), _moment(int(through[after]) if over else last), over
        counts = int(by_mail[one]), int(by_recipient[one]), int(returned[one])
        out.append(Outage(host, relay, kind, *times, *counts, reasons[one], int(ends[one] - begins[one])))
    return out


def _ns(time: pd.Series) -> Ints:
    """Return the times as UTC nanoseconds."""
    found: Ints = time.dt.as_unit("ns").astype("int64").to_numpy()
    return found


def _hosts(scan: Scan, rows: pd.DataFrame) -> npt.NDArray[np.object_]:
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


def _kinds(scan: Scan, settings: Settings, names: set[str]) -> dict[str, Kind]:
    """Return what each relay is, for those that filter, keep mailboxes or at least run on this host."""
    deliveries = scan.deliveries
    filters = set(deliveries["relay"][ev.filter_hops(scan)].astype("str").unique())
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

    A mail that got through ends one. What the other side answered to a mail or two is those mails' trouble.
    """
    before = np.searchsorted(through, at, "right")
    new = np.r_[True, (before[1:] != before[:-1]) | (np.diff(at) > SILENCE)]
    run = np.cumsum(new) - 1
    count = int(run[-1]) + 1
    answered = matched(texts.arrow(part["reply"]), ANSWERED, contains=(" said: ", "ommand output: "))
    unheard = np.bincount(run[~answered], minlength=count) > 0
    alike = _distinct(run, mails, count)
    if kind != "filter":
        alike = np.minimum(alike, _distinct(run, people, count))
    kept = np.flatnonzero((unheard | (alike >= REFUSED_IN_A_ROW))[run])
    if not len(kept):
        return np.full(len(run), -1, np.int64)
    starts = np.r_[True, (run[kept][1:] != run[kept][:-1]) & (np.diff(at[kept]) > FLICKER)]
    out = np.full(len(run), -1, np.int64)
    out[kept] = np.cumsum(starts) - 1
    return out


def _distinct(group: Ints, value: Ints, count: int) -> Ints:
    """Return, by group, how many different values it holds."""
    if not len(group):
        return np.zeros(count, np.int64)
    first = np.unique(combine(group, value), return_index=True)[1]
    return np.bincount(group[first], minlength=count)


def _moment(ns: int) -> datetime:
    found: datetime = pd.Timestamp(ns, tz="UTC").to_pydatetime(warn=False)
    return found


def _lost(scan: Scan, rows: pd.DataFrame) -> Bools:
    """Return for which of these attempts the same entry ended without reaching that recipient: sent back, or expired."""
    deliveries = scan.deliveries
    ends = deliveries[deliveries["last"] & deliveries["entry"].isin(rows["entry"].unique())]
    expired = scan.entries["expired"].to_numpy()[ends["entry"].to_numpy()]
    gone = ends[(ends["status"] == "bounced").to_numpy() | ((ends["status"] != "sent").to_numpy() & expired)]
    both = pd.concat([rows[["entry", "recipient"]], gone[["entry", "recipient"]]])
    key = combine(both["entry"].to_numpy(), texts.coded(texts.lower(both["recipient"]))[0])
    found: Bools = np.isin(key[: len(rows)], key[len(rows) :])
    return found


def _reasons(replies: pd.Series, number: Ints, relay: str) -> list[str]:
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


def _milters(scan: Scan) -> list[Outage]:
    """Return the times at which milters and proxy filters were out of reach: mail is refused at the door, or passes unseen."""
    errors = scan.events("filter_errors")
    some = errors[(errors["kind"] == "connect") & errors["path"].str.contains(":", regex=False, na=False)]
    some = some[~some["text"].str.startswith("rejected", na=False)]
    if some.empty:
        return []
    rejects = scan.events("rejects")
    refused = rejects[
        (rejects["action"] == "milter-reject")
        & rejects["code"].astype("str").str.startswith("4").fillna(False)
        & rejects["text"].str.contains("Service unavailable", regex=False, na=False)
        & rejects["sender"].notna()
    ]
    refused = refused.assign(at=_ns(refused["time"]), mail=refused.groupby(MAIL_AT_DOOR, observed=True).ngroup())
    newest = int(_ns(scan.events("clients")["time"]).max()) if len(scan.events("clients")) else 0
    found = []
    ordered = some.assign(at=_ns(some["time"])).sort_values("at", kind="stable")
    for (host, path), part in ordered.groupby(["host", "path"], observed=True):
        number = (part["at"].diff() > MILTER_SILENCE).cumsum()
        for _, run in part.groupby(number):
            first, last = int(run["at"].iloc[0]), int(run["at"].iloc[-1])
            away = refused[(refused["host"] == host) & refused["at"].between(first, last + FLICKER)]
            over = newest > last + MILTER_SILENCE
            # A proxy filter's smtpd answers without a line of its own: each warning is one mail.
            milter = str(path).split(":")[0] in ("inet", "inet6", "unix", "local")
            mails = away["mail"].nunique() if milter else len(run)
            to = int(away["recipient"].notna().sum()) if milter else 0
            what: Kind = "milter" if milter else "filter"
            times = _moment(first), _moment(last), over
            reason = _reasons(run["text"], np.zeros(len(run), np.int64), str(path))[0]
            found.append(Outage(str(host), str(path), what, *times, mails, to, 0, reason, len(run)))
    return found
