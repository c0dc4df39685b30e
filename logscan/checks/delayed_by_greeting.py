"""Good senders are put off by postscreen or by greylisting for hours, or for ever.

## What it finds
Mail from servers that come again and again and are put off each time, by postscreen's tests after the greeting or by a
greylisting service: mail that got in hours after it was first offered, and mail that never did. One finding for each
provider whose servers are kept waiting.

## Why it matters
Putting newcomers off costs bots their mail, and honest servers some minutes. A large provider tries each time from
another address, so that each is a newcomer: mail is late by hours, codes and invitations expire, and some is given up.

## What the log shows
postscreen's `450 4.3.2 Service currently unavailable`, a refusal for now that speaks of greylisting (postgrey, SQLgrey,
gld, milter-greylist, rspamd), or the services' own lines, and for the same sender and recipient a mail that was taken
later, or none.

## What to do
Have the provider's servers pass: with postscreen, no tests behind the greeting (they are what puts off), or its networks
in postscreen_access_list; with greylisting, its domain in the service's whitelist.

## When it is wrong
Bots don't come back: what never got in counts only where it came at least three times in hours, from one provider's
servers, and mail of that sender or from these servers was taken otherwise. What was turned away once and came again after
hours waited for its own server: it is a note, as is a single late mail. Pairs that were known before are passed over.

## When it is blind
When nothing but the last hours shows what was put off, or no mail from outside is in the log. Where nothing puts newcomers
off, it isn't applicable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan.checking import evidence as ev
from logscan.checking import put_offs
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.checking.mail_rows import iso, moment
from logscan.findings import Confidence, Finding, Remedy, Result, Severity
from logscan.tables.partials import Keyed, Partial, hashes

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

HOUR = 3600 * 10**9


@dataclass(frozen=True)
class Limits:
    """The thresholds."""

    hours: float = 2.0
    """Mail servers come again within an hour at most (Postfix after 5, Exchange after 10 minutes, sendmail after an hour): who
    got in only after two was turned away more than once."""
    tries: int = 3
    """Bots that come again at all do so once, at once or after the usual five minutes."""
    mails: int = 2
    """Late mails of one provider: a single one may be its own queue's fault."""


def look(window: Window, settings: Settings) -> Partial:
    """Take what was put off, by sender and recipient, and when such a pair was taken."""
    return Partial(put_offs.look(window))


def conclude(partial: Partial, log: Log) -> Result:
    """Return a finding for each provider whose mail was kept waiting."""
    limit = limits(log, NAME, Limits)
    result = Result()
    rows = _pairs(partial)
    if rows.empty:
        if partial.count("from_outside"):
            result.not_applicable = (
                "Nothing puts newcomers off here: neither postscreen nor a greylisting service refused one for now."
            )
        else:
            result.blind_because.append("no mail from outside is in these logs, neither taken nor put off")
        return result
    end = int(partial.frame("end")["last"].max())
    late, never, looked = _judged(partial, rows, limit, end)
    result.checked = result.eligible = looked
    if not looked:
        result.blind_because.append(
            f"what was put off was so in the last {limit.hours:g} hours of these logs only, so that it may still come: give "
            "more of the log"
        )
    came = late["delay"].dropna()
    if len(came):
        result.notes.append(
            f"{len(came):,} senders that were put off got in with the same recipient later, half of them within "
            f"{_span(int(came.median()))}."
        )
    cases = pd.concat([late[late["delay"] >= limit.hours * HOUR], never])
    result.findings = _findings(cases, log, limit, int(came.median()) if len(came) else 0)
    return result


def _pairs(partial: Partial) -> pd.DataFrame:
    """Return one row for each sender and recipient put off: by Postfix's refusals, else by what the services say."""
    put_off, told = partial.frame("put_off"), partial.frame("told")
    told = told[~told["pair"].isin(put_off["pair"])]
    rows = pd.concat([put_off, told]) if len(told) else put_off
    rows = rows[rows["sender"] != ""].sort_values(["first", "line", "kind", "pool"], kind="stable")
    if rows.empty:
        return rows
    by = rows.groupby("pair", sort=False)
    one = by[["sender", "recipient", "kind", "pool", "line", "first"]].first()
    named = rows[rows["pool"] != ""].groupby("pair")["pool"].nunique()
    return one.assign(
        tries=by["tries"].sum(),
        last=by["last"].max(),
        pools=named.reindex(one.index).fillna(0).astype("int64"),
        several=by["one"].min() != by["other"].max(),
    ).reset_index()


def _judged(partial: Partial, rows: pd.DataFrame, limit: Limits, end: int) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Return those that got in later with their ``delay`` (ns), those that never did though they should, and how many both are.

    A pair that was taken before it was put off is no newcomer, and when its mail came isn't known.
    """
    part = partial.parts["taken"]
    assert isinstance(part, Keyed)
    taken = part.frame
    if part.limit < 2**64:
        # Of more pairs than are kept, those left out by their hashes aren't judged.
        kept = pd.util.hash_pandas_object(rows[["pair"]], index=False).to_numpy(dtype=np.uint64) < part.limit
        rows = rows[kept]
    both = rows.merge(taken[["pair", "first"]].rename(columns={"first": "got"}), on="pair", how="left")
    late = both[both["got"] > both["first"]]
    late = late.assign(delay=late["got"] - late["first"])
    open_ = both[both["got"].isna() & (end - both["first"] >= limit.hours * HOUR)]
    good = open_["pool"].isin(set(partial.frame("pools")["pool"]))
    good |= np.isin(hashes(open_["sender"]), taken["sender"])
    good &= (open_["pools"] == 1) & (open_["tries"] >= limit.tries)
    good &= open_["last"] - open_["first"] >= limit.hours * HOUR
    return late, open_[good].assign(delay=np.nan), len(late) + len(open_)


def _findings(cases: pd.DataFrame, log: Log, limit: Limits, usual: int) -> list[Finding]:
    if cases.empty:
        return []
    domain = cases["sender"].str.rpartition("@")[2]
    cases = cases.assign(subject=cases["pool"].where(cases["pool"] != "", domain))
    cases = cases.sort_values(["first", "line", "sender", "recipient"], kind="stable")
    return [
        _finding(str(cause), str(subject), some, log, limit, usual)
        for (cause, subject), some in cases.groupby(["kind", "subject"], sort=True)
    ]


def _finding(cause: str, subject: str, some: pd.DataFrame, log: Log, limit: Limits, usual: int) -> Finding:
    lost = int(some["delay"].isna().sum())
    delays = some["delay"].dropna()
    parts = []
    if len(delays):
        least, most = _span(int(delays.min())), _span(int(delays.max()))
        told = least if least == most else f"{least} to {most}"
        parts.append(f"{ev.mails(len(delays))} came {told} late" + (f" (usual here: {_span(usual)})" if usual else ""))
    if lost:
        parts.append(f"{ev.mails(lost)} never got in")
    turned_away = some["delay"].notna() & ((some["tries"] >= limit.tries) | (some["several"] & (some["tries"] > 1)))
    severity: Severity = "problem" if lost else "warning" if int(turned_away.sum()) >= limit.mails else "note"
    confidence: Confidence = "high" if bool(some["several"].any()) and bool((some["pool"] != "").all()) else "medium"
    # The recipients of one mail are put off within one session.
    mails = len(some.assign(minute=some["first"] // (60 * 10**9)).drop_duplicates(["sender", "minute"]))
    return Finding(
        cause=cause,
        subject=subject,
        summary=f"Mail from {subject} is kept waiting by {WORDS[cause]}: {', '.join(parts)}",
        severity=severity,
        confidence=confidence,
        count=len(some),
        cases=[_case(row) for row in some.itertuples()],
        first=moment(int(some["first"].min())),
        last=moment(int(some["last"].max())),
        remedy=Remedy(CURES[cause].format(subject=subject)),
        evidence=lines_at(log, some["line"].tolist()),
        why="It comes from several addresses, each of which is new here." if some["several"].any() else "",
        mails=mails,
        recipients=len(some),
    )


def _case(row: Any) -> dict[str, Any]:
    case = {
        "message_id": None,
        "sender": row.sender,
        "recipient": row.recipient,
        "time": iso(row.first),
        "until": iso(row.last if pd.isna(row.delay) else int(row.first + row.delay)),
        "tries": int(row.tries),
        "delivered": not pd.isna(row.delay),
    }
    if not pd.isna(row.delay):
        case["seconds"] = int(row.delay // 10**9)
    return case


def _span(ns: int) -> str:
    """Return a duration in words."""
    minutes = max(1, round(ns / 60e9))
    if minutes < 120:
        return f"{minutes} min"
    hours = ns / HOUR
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"


WORDS = {put_offs.POSTSCREEN: "postscreen", put_offs.GREYLISTING: "greylisting"}

CURES = {
    put_offs.POSTSCREEN: "postscreen puts a newcomer off only after its tests behind the greeting: without "
    "postscreen_pipelining_enable, postscreen_non_smtp_command_enable and postscreen_bare_newline_enable (all three are off "
    "by default) it never does, and its DNSBL and pregreet tests remain. Or let {subject} pass: its networks (its SPF record "
    "lists them: postwhite makes such a file) as `permit` in a cidr: table named in postscreen_access_list, or "
    "postscreen_dnsbl_allowlist_threshold = -1 (before 3.6: postscreen_dnsbl_whitelist_threshold) with a list of good "
    "servers, list.dnswl.org=127.0.[0..255].[1..3]*-2, in postscreen_dnsbl_sites.",
    put_offs.GREYLISTING: "Have {subject} pass: in postgrey's whitelist_clients, SQLgrey's clients_fqdn_whitelist.local, "
    "milter-greylist's `racl whitelist domain`, rspamd's whitelisted_ip and whitelist_domains_url "
    "(local.d/greylist.conf). Greylisting by network instead of by address (postgrey --lookup-by-subnet, its default) helps "
    "against pools of one network only.",
}

NAME = "delayed-by-greeting"

CHECK = Check(
    NAME,
    "Good senders are kept waiting",
    look,
    conclude,
    causes=tuple(WORDS),
    order=140,
    clear="No good sender was kept waiting by postscreen or greylisting ({checked:sender and recipient|senders and recipients} "
    "put off looked at)",
    group="arrival",
    severity="problem",
    needs=("what Postfix refused for now (postscreen, smtpd, a milter)", "mail taken from outside"),
    related=("correspondent-refused", "blocklist-answers-error"),
    limits=Limits,
)
