"""Mail to postmaster@, abuse@ and the like, or the reports that other servers send, is refused.

## What it finds
Addresses that every mail domain is to have (RFC 2142: postmaster, abuse, hostmaster, webmaster, security, noc) and that
this server refuses as unknown, or whose mail comes back after it was accepted. And addresses to which other servers send
their DMARC or TLS reports, as this domain's DNS asks them to, and that don't exist. One finding an address.

## Why it matters
Whoever blocks this server, or sees it send spam, tells these addresses and nobody else. RFC 5321 demands postmaster; lists
of careless domains name those without it. Reports that are refused are the only word of forged mail, or of failing TLS.

## What the log shows
`NOQUEUE: reject: RCPT … 550 5.1.1 <postmaster@…>: Recipient address rejected: User unknown in … table`, or a delivery with
`to=` or `orig_to=<abuse@…>` that bounced or expired.

## What to do
A line each in the alias map: `postmaster@DOMAIN you@DOMAIN`, `abuse@DOMAIN you@DOMAIN`; or the address in the DMARC and
TLS-RPT records (rua=) one that there is.

## When it is wrong
What these addresses refuse for what it says or where it comes from is no fault. Guessers of addresses try these names too:
that they are refused is true all the same. hostmaster, webmaster, security and noc are only a note: few miss them. Who
reports is told by names that a stranger may use as well: a single report refused is a note.

## When it is blind
When no mail for such an address is in the log: `sendmail -bv postmaster@DOMAIN` tells where it would go.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking import evidence as ev
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.checking.mail_rows import event_lines, event_texts, iso, mail_rows, moment, named, taken, told
from logscan.findings import Finding, Remedy, Result, Severity
from logscan.scan import columns
from logscan.scan.addresses import addresses
from logscan.scan.pasts import DAY, chosen, newest, with_past
from logscan.tables import columns as cols
from logscan.tables.coded import Coded
from logscan.tables.columns import Column
from logscan.tables.partials import First, Keyed, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]

ROLE, REPORTS = "role-address", "report-address"

ROLES = r"(?i)^(?:postmaster|abuse|hostmaster|webmaster|security|noc)(?:\+[^@]*)?(?:@|$)"
"""RFC 2142, the names that others write to about trouble."""
DEMANDED = ("postmaster", "abuse")
REPORTERS = r"(?i)dmarc|tls-?rpt|smtp-?tls-?reporting"
"""How the senders of reports, and the addresses for them, are called (RFC 7489 7.2, RFC 8460 3)."""
UNKNOWN = (
    r"^ ?Recipient address rejected: (?:User unknown in |undeliverable address: "
    r"|(?i)[^:;]*(?:(?:no such|unknown) (?:user|mailbox|recipient)|(?:user|mailbox|recipient) (?:is )?unknown"
    r"|does(?:n't| not) exist))"
)
"""Postfix smtpd/smtpd_check.c; what access tables and policies say."""

CASES = 200
"""Cases that are listed of one address; all are counted."""


@dataclass(frozen=True)
class Limits:
    """The thresholds."""

    together: int = 10
    """Domains that lack the same name and are a finding each; more are one: they are served by one set of maps."""
    reports: int = 2
    """Reports come daily: a second one shows that somebody's DNS record asks for them."""


def look(window: Window, settings: Settings) -> Partial:
    """Take what was refused and what was taken for these addresses."""
    refused = cols.stacked([_rejects(window, settings), *_bounced(window)])
    counts = {name: refused[name] for name in ("address", "cause", "door")} | {
        "mails": np.ones(len(refused["line"]), np.int64),
        "first": refused["time"],
        "last": refused["time"],
    }
    return Partial(
        {
            "refused": First.of(refused, CASES, ("time", "line"), ("address", "cause")),
            "counts": Keyed.of(counts, sums=("mails",), least=("first",), most=("last",)),
            "taken": _taken(window),
        }
    )


NONE: dict[str, Column] = {
    **dict.fromkeys(("line", "time", "mail"), np.empty(0, np.int64)),
    **dict.fromkeys(
        ("address", "cause", "sender", "client", "message_id", "queue_id", "reply"), pa.array([], pa.string())
    ),
    "door": np.empty(0, np.bool_),
}


def _rejects(window: Window, settings: Settings) -> dict[str, Column]:
    """Return what was refused at RCPT since there is no such address."""
    table = "rejects"
    if not len(window.tables[table]):
        return NONE
    at = columns.column(window, table, "action").is_in("reject")
    at &= columns.column(window, table, "stage").is_in("RCPT") & (columns.column(window, table, "recipient").codes >= 0)
    at &= columns.column(window, table, "program").is_in("smtpd")
    rows = np.flatnonzero(at)
    recipient = columns.column(window, table, "recipient").take(rows)
    role = recipient.matching(lambda words: pc.match_substring_regex(words, ROLES))
    report = recipient.matching(lambda words: pc.match_substring_regex(words, REPORTERS))
    report |= (
        columns.column(window, table, "sender")
        .take(rows)
        .matching(lambda words: pc.match_substring_regex(words, REPORTERS))
    )
    kept = role | report
    rows, role = rows[kept], role[kept]
    if not len(rows):
        return NONE
    text = columns.column(window, table, "text").take(rows).made(_without_addresses)
    unknown = text.matching(lambda words: pc.match_substring_regex(words, UNKNOWN))
    in_table = text.matching(lambda words: pc.match_substring(words, "User unknown in "))
    own = window.correlated.local_domains | settings.local_domains
    mine = columns.column(window, table, "recipient").take(rows).having(lambda each: _domain(each) in own)
    kept = unknown & (in_table | mine)
    rows, role = rows[kept], role[kept]
    size, line = len(rows), event_lines(window, table, rows)
    names, hosts = (event_texts(window, table, name, rows) for name in ("client", "client_address"))
    return {
        "line": line,
        "time": columns.moments(window, table)[rows],
        "mail": -1 - line,
        "address": pc.utf8_lower(event_texts(window, table, "recipient", rows)),
        "cause": pa.array(np.where(role, ROLE, REPORTS), pa.string()),
        "sender": event_texts(window, table, "sender", rows),
        "client": pc.binary_join_element_wise(names, "[", hosts, "]", ""),
        "message_id": pa.array([""] * size, pa.string()),
        "queue_id": pa.array([""] * size, pa.string()),
        "reply": event_texts(window, table, "text", rows),
        "door": np.ones(size, np.bool_),
    }


def _without_addresses(words: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(words, "<[^<>]*>:?", "")


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()


def _asked(window: Window) -> Coded:
    """Return the addresses here that have one of these names, by delivery."""
    names = addresses(window)
    found = Coded(names.asked, names.words)
    role = np.flatnonzero(found.matching(lambda words: pc.match_substring_regex(words, ROLES)))
    own = window.correlated.local_domains | window.settings.local_domains
    mine = role[found.take(role).having(lambda each: "@" not in each or _domain(each) in own)]
    codes = np.full(len(found), -1, np.int64)
    codes[mine] = found.codes[mine]
    return Coded(codes, names.words)


def _bounced(window: Window) -> list[dict[str, Column]]:
    """Return deliveries to such an address that came back."""
    if not len(window.deliveries):
        return []
    asked = _asked(window)
    rows = np.flatnonzero(asked.codes >= 0)
    own = window.correlated.local_domains | window.settings.local_domains
    rows = rows[asked.take(rows).having(lambda each: _domain(each) in own or "@" not in each)]
    rows = rows[
        columns.values(window, "deliveries", "last")[rows] & (columns.values(window, "deliveries", "mail")[rows] >= 0)
    ]
    rows = rows[columns.joined(window, "deliveries", "outcome").take(rows).is_in("bounced", "expired")]
    if not len(rows):
        return []
    found = mail_rows(window, rows)
    root = columns.values(window, "entries", "root")[columns.values(window, "deliveries", "entry")[rows]]
    return [
        {
            **{name: found[name] for name in ("line", "time", "mail")},
            "address": asked.take(rows).texts().cast(pa.string()),
            "cause": pa.array([ROLE] * len(rows), pa.string()),
            "sender": found["sender"],
            "client": taken(window, "entries", "client", root),
            "message_id": found["message_id"],
            "queue_id": found["queue_id"],
            "reply": taken(window, "deliveries", "reply", rows),
            "door": np.zeros(len(rows), np.bool_),
        }
    ]


def _taken(window: Window) -> Keyed:
    """Return how often mail to such an address arrived, and when last."""
    if not len(window.deliveries):
        rows, asked = np.empty(0, np.int64), Coded(np.empty(0, np.int64), pa.array([], pa.string()))
        words = pa.array([], pa.string())
    else:
        asked = _asked(window)
        rows = np.flatnonzero((asked.codes >= 0) & columns.values(window, "deliveries", "final"))
        words = asked.take(rows).texts().cast(pa.string())
    some = {"address": words, "mails": np.ones(len(rows), np.int64)}
    some["last"] = columns.values(window, "deliveries", "time")[rows] if len(rows) else np.empty(0, np.int64)
    return Keyed.of(some, sums=("mails",), most=("last",))


PAST_DAYS, MOST_REMEMBERED = 30, 3_000
"""Days that a past tells of, as reports come once a day or once a week; and how many addresses."""


def remember(partial: Partial, now: int) -> Partial:
    """Return how often each address was refused."""
    return Partial({"counts": newest(partial.parts["counts"], "last", now - PAST_DAYS * DAY, MOST_REMEMBERED)})


def conclude(partial: Partial, log: Log) -> Result:
    """Return a finding for each address."""
    limit = limits(log, NAME, Limits)
    arrived = partial.frame("taken").set_index("address")
    counts = partial.frame("counts")
    result = Result()
    result.checked = result.eligible = int(arrived["mails"].sum()) + int(counts["mails"].sum())
    if not result.checked:
        result.blind_because.append(
            "no mail to postmaster@, abuse@ or the like is in these logs: `sendmail -bv postmaster@DOMAIN` tells where it "
            "would go"
        )
    if counts.empty:
        return result
    good = arrived["last"].to_dict()
    cases = partial.frame("refused").sort_values(["time", "line"], kind="stable")
    whole = counts.groupby(["cause", "address"], sort=True).agg(
        mails=("mails", "sum"), first=("first", "min"), last=("last", "max"), door=("door", "max")
    ).reset_index()  # fmt: skip
    ever = with_past(Partial(chosen(partial, ["counts"])), log, NAME).frame("counts")
    ever = ever.groupby(["cause", "address"], as_index=False)["mails"].sum().rename(columns={"mails": "ever"})
    whole = whole.merge(ever, on=["cause", "address"], how="left")
    whole = whole.assign(
        name=whole["address"].str.partition("@")[0].str.partition("+")[0],
        mended=[good.get(row.address, -1) > row.last for row in whole.itertuples()],
    )
    many = whole[~whole["mended"]].groupby(["cause", "name"])["address"].transform("nunique") > limit.together
    whole["subject"] = whole["address"].where(~many.reindex(whole.index, fill_value=False), whole["name"] + "@")
    for (cause, subject), some in whole.groupby(["cause", "subject"], sort=True):
        result.findings.append(_finding(str(cause), str(subject), some, cases, log, limit))
    return result


def _finding(cause: str, subject: str, some: pd.DataFrame, cases: pd.DataFrame, log: Log, limit: Limits) -> Finding:
    mine = cases[(cases["cause"] == cause) & cases["address"].isin(set(some["address"]))]
    mails, mended = int(some["mails"].sum()), bool(some["mended"].all())
    several = some["address"].nunique() > 1
    who = (
        f"{subject} of {some['address'].nunique():,} domains ({named(sorted(some['address']))})" if several else subject
    )
    how = "is refused: there is no such address" if some["door"].all() else "comes back"
    what = "Reports of other servers" if cause == REPORTS else "Mail"
    if cause == REPORTS:
        how = how.replace("is refused", "are refused")
    weighty = int(some["ever"].sum()) >= limit.reports if cause == REPORTS else some["name"].isin(DEMANDED).any()
    severity: Severity = "warning" if weighty else "note"
    first = str(some["address"].iloc[0])
    return Finding(
        cause=cause,
        subject=subject,
        summary=f"{what} to {who} {how} ({ev.mails(mails)})" + ("; since then it was taken" if mended else ""),
        severity=severity,
        confidence="medium" if cause == REPORTS else "high",
        count=mails,
        cases=[_case(row) for row in mine.itertuples()],
        first=moment(int(some["first"].min())),
        last=moment(int(some["last"].max())),
        state="mended" if mended else "active",
        remedy=None if mended else Remedy(_cure(cause, first, bool(some["door"].all()))),
        evidence=lines_at(log, mine["line"].tolist()),
        mails=mails,
        recipients=mails,
    )


def _case(row: Any) -> dict[str, Any]:
    case = {
        "recipient": row.address,
        "sender": row.sender,
        "client": row.client,
        "queue_id": row.queue_id,
        "time": iso(row.time),
        "reply": row.reply[:400],
    }
    return {"message_id": row.message_id or None, **told(case)}


def _cure(cause: str, address: str, door: bool) -> str:
    if cause == REPORTS:
        return (
            f"Somebody's DNS names {address} for reports: `dig +short TXT _dmarc.DOMAIN` and `dig +short TXT "
            "_smtp._tls.DOMAIN` show which record (rua=). Make the address (a line in virtual_alias_maps, `postmap`), or "
            "write one into the record that there is."
        )
    if not door:
        return (
            f"Follow where {address} leads (`postalias -q` or `postmap -q` in alias_maps and virtual_alias_maps) and let it "
            "end in a mailbox that somebody reads."
        )
    return (
        f"A line `{address} YOU@YOUR.DOMAIN` in the table that virtual_alias_maps names, then `postmap` it; for a domain in "
        f"mydestination a line `{address.partition('@')[0]}: YOU` in aliases(5), then `newaliases`. "
        f"`sendmail -bv {shlex.quote(address)}` shows whether it goes."
    )


NAME = "role-address-refused"

CHECK = Check(
    NAME,
    "postmaster@, abuse@ or reports are refused",
    look,
    conclude,
    remember=remember,
    causes=(ROLE, REPORTS),
    order=145,
    clear="Mail to postmaster, abuse and the like was taken ({checked:mail|mails} looked at)",
    group="arrival",
    severity="warning",
    needs=("mail to such addresses, refused or delivered",),
    related=("mailbox-refused", "dead-destination"),
    limits=Limits,
)
