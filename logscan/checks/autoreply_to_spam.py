"""Automatic answers go to spam, to lists, or to delivery reports.

## What it finds
Users whose vacation answer (Sieve) goes out to mail that the filter took for spam, to what comes from a mailing list or a
bulk sender, or to delivery reports. One finding a user and cause; where it happens to many users, one for all.

## Why it matters
Senders of spam are forged: the answer reaches a stranger, who reports it, and tells the spammer of an address that is read.
Answers to lists and bulk senders get the user unsubscribed, and servers that answer so onto lists of backscatterers.

## What the log shows
Dovecot's `vacation action: sent vacation response to <…>`, and of the mail of that session the filter's verdict and the
envelope sender.

## What to do
Have spam filed before users' scripts run, by `sieve_before` with `stop` (or `discard`), or let the vacation rule stand
behind the one for spam.

## When it is wrong
A mail that the filter took for spam may be none: then the answer was welcome. Whether something comes from a list is told
by the sender's address (owner-, -bounces, -request): a single one is a note.

## When it is blind
When no automatic answer is in Dovecot's lines, or no filter's verdict on the mail that was answered. Other programs that
answer don't tell which mail they answer.
"""

from __future__ import annotations

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
from logscan.checking.mail_rows import event_lines, event_texts, iso, moment, named, taken, told
from logscan.findings import Finding, Remedy, Result, Severity
from logscan.scan import columns
from logscan.tables import texts
from logscan.tables.columns import Column
from logscan.tables.partials import First, Keyed, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]

SPAM, LISTS, REPORTS = "answers-spam", "answers-lists", "answers-reports"

BULK = r"(?i)^(?:owner-[^@]*|[^@]*-owner|[^@]*-bounces?(?:[+=-][^@]*)?|bounces?[+=-][^@]*|[^@]*-request|listserv|majordomo)@"
"""How the envelope senders of lists and bulk mail begin (RFC 5230 4.6; Mailman, Sympa, VERP)."""
DAEMON = r"(?i)^(?:mailer-daemon(?:@.*)?|)$"

CASES = 200
"""Cases that are listed of one user and cause; all are counted."""


@dataclass(frozen=True)
class Limits:
    """The thresholds."""

    together: int = 10
    """Users with the same fault that are a finding each; more are one: the server's own script is to be looked at."""
    lists: int = 2
    """Answers to what looks like a list by its address: a single one may be a person's odd address."""


def look(window: Window, settings: Settings) -> Partial:
    """Take the vacation answers, and of the mail that each answers who sent it and what the filter said."""
    rows = _answers(window)
    bad = {name: pc.filter(column, rows["cause_set"]) if isinstance(column, pa.Array) else column[rows["is_bad"]]
           for name, column in rows.items() if name not in ("cause_set", "is_bad", "known")}  # fmt: skip
    counts = {name: bad[name] for name in ("user", "cause")} | {
        "mails": np.ones(len(bad["line"]), np.int64),
        "first": bad["time"],
        "last": bad["time"],
    }
    stores = window.tables["stores"]
    return Partial(
        {
            "answers": len(rows["line"]),
            "known": int(np.count_nonzero(rows["known"])),
            "stores": len(stores),
            "bad": First.of(bad, CASES, ("time", "line"), ("user", "cause")),
            "counts": Keyed.of(counts, sums=("mails",), least=("first",), most=("last",)),
        }
    )


_EMPTY = pa.array([], pa.string())
NONE: dict[str, Column] = {
    **dict.fromkeys(("line", "time"), np.empty(0, np.int64)),
    **dict.fromkeys(("user", "message_id", "queue_id", "sender", "cause"), _EMPTY),
    "cause_set": pa.array([], pa.bool_()),
    **dict.fromkeys(("is_bad", "known"), np.empty(0, np.bool_)),
}


def _answers(window: Window) -> dict[str, Column]:
    """Return one row for each vacation answer; ``known``: a filter judged the mail that it answers."""
    if not len(window.tables["stores"]):
        return NONE
    rows = np.flatnonzero(columns.column(window, "stores", "action").is_in("vacation"))
    if not len(rows):
        return NONE
    delivery = _deliveries(window, rows)
    there = delivery >= 0
    entry = np.full(len(rows), -1, np.int64)
    entry[there] = columns.values(window, "deliveries", "entry")[delivery[there]]
    judged, spam = (np.zeros(len(rows), np.bool_) for _ in range(2))
    judged[there] = columns.values(window, "deliveries", "verdict_row")[delivery[there]] >= 0
    spam[there] = columns.values(window, "deliveries", "spam")[delivery[there]]
    address = event_texts(window, "stores", "address", rows)
    sender = address.to_numpy(zero_copy_only=False).astype(object)
    mine = entry >= 0
    root = columns.values(window, "entries", "root")[entry[mine]]
    sender[mine] = taken(window, "entries", "sender", root).to_numpy(zero_copy_only=False)
    senders = pa.array(sender, pa.string())
    bulk = pc.match_substring_regex(senders, BULK).to_numpy(zero_copy_only=False)
    daemon = pc.match_substring_regex(senders, DAEMON).to_numpy(zero_copy_only=False)
    cause = np.select([spam, daemon, bulk], [SPAM, REPORTS, LISTS], "")
    queue_id = np.full(len(rows), "", object)
    queue_id[mine] = taken(window, "entries", "queue_id", root).to_numpy(zero_copy_only=False)
    return {
        "line": event_lines(window, "stores", rows),
        "time": columns.moments(window, "stores")[rows],
        "user": pc.utf8_lower(event_texts(window, "stores", "user", rows)),
        "message_id": event_texts(window, "stores", "message_id", rows),
        "queue_id": pa.array(queue_id, pa.string()),
        "sender": senders,
        "cause": pa.array(cause.tolist(), pa.string()),
        "cause_set": pa.array(cause != ""),
        "is_bad": cause != "",
        "known": judged,
    }


def _deliveries(window: Window, rows: Ints) -> Ints:
    """Return the delivery whose session each of Dovecot's lines is of, else the one of that Message-ID and user; -1 for none."""
    if not len(window.deliveries):
        return np.full(len(rows), -1, np.int64)
    session = event_texts(window, "stores", "session", rows)
    all_sessions = texts.arrow(window.deliveries["session"])
    found: Ints = pc.fill_null(pc.index_in(session, all_sessions.cast(session.type)), -1).to_numpy().astype(np.int64)
    found[np.asarray(pc.equal(session, ""), np.bool_)] = -1
    left = np.flatnonzero(found < 0)
    if len(left):
        found[left] = _by_message_id(window, rows[left])
    return found


def _by_message_id(window: Window, rows: Ints) -> Ints:
    """Return the delivery of the same Message-ID to the same mailbox, -1 for none."""
    ids, users = (event_texts(window, "stores", name, rows) for name in ("message_id", "user"))
    entry = columns.values(window, "deliveries", "entry")
    of_entry = texts.arrow(window.entries["message_id"]).cast(pa.string())
    wanted = pc.is_in(of_entry, ids).to_numpy(zero_copy_only=False)
    some = np.flatnonzero(np.append(wanted, False)[entry] & columns.values(window, "deliveries", "final"))
    told = pd.DataFrame(
        {
            "row": some,
            "id": of_entry.take(pa.array(entry[some])).to_numpy(zero_copy_only=False),
            "user": taken(window, "deliveries", "mailbox", some).to_numpy(zero_copy_only=False),
        }
    ).drop_duplicates(["id", "user"])
    asked = pd.DataFrame(
        {"id": ids.to_numpy(zero_copy_only=False), "user": pc.utf8_lower(users).to_numpy(zero_copy_only=False)}
    )
    both = asked[asked["id"] != ""].reset_index().merge(told, on=["id", "user"])
    out = np.full(len(rows), -1, np.int64)
    out[both["index"].to_numpy(np.int64)] = both["row"].to_numpy(np.int64)
    return out


def conclude(partial: Partial, log: Log) -> Result:
    """Return a finding for each user and cause."""
    limit = limits(log, NAME, Limits)
    answers, known = partial.count("answers"), partial.count("known")
    result = Result(checked=known, eligible=answers)
    if not answers:
        result.blind_because.append(
            "no vacation answer is in Dovecot's lines; what else may answer doesn't tell which mail it answers"
            if partial.count("stores")
            else "Dovecot's lines of lmtp or lda, which tell of automatic answers, aren't in these logs"
        )
        return result
    if ev.too_few(result):
        result.blind_because.append(
            f"whether {answers - known:,} of {answers:,} automatic answers went to spam isn't known: no filter's verdict on the "
            "mail they answer is in these logs"
        )
    counts, cases = partial.frame("counts"), partial.frame("bad").sort_values(["time", "line"], kind="stable")
    if counts.empty:
        return result
    many = counts.groupby("cause")["user"].transform("nunique") > limit.together
    counts = counts.assign(subject=counts["user"].where(~many, "several users"))
    for (cause, subject), some in counts.groupby(["cause", "subject"], sort=True):
        mine = cases[(cases["cause"] == cause) & cases["user"].isin(set(some["user"]))]
        result.findings.append(_finding(str(cause), str(subject), some, mine, log, limit))
    return result


def _finding(cause: str, subject: str, some: pd.DataFrame, mine: pd.DataFrame, log: Log, limit: Limits) -> Finding:
    users, mails = sorted(set(some["user"])), int(some["mails"].sum())
    who = f"the vacation answer of {users[0]}" if len(users) == 1 else f"vacation answers of {named(users)}"
    verb = "goes" if len(users) == 1 else "go"
    severity: Severity = "note" if cause == LISTS and mails < limit.lists else "warning"
    return Finding(
        cause=cause,
        subject=subject,
        summary=f"{who[0].upper()}{who[1:]} {verb} {WORDS[cause]}: {ev.mails(mails)}",
        severity=severity,
        confidence="medium" if cause == LISTS else "high",
        count=mails,
        cases=[_case(row) for row in mine.itertuples()],
        first=moment(int(some["first"].min())),
        last=moment(int(some["last"].max())),
        remedy=Remedy(CURES[cause]),
        evidence=lines_at(log, mine["line"].tolist()),
        mails=mails,
        recipients=mails,
    )


def _case(row: Any) -> dict[str, Any]:
    case = {
        "recipient": row.user,
        "user": row.user,
        "sender": row.sender,
        "queue_id": row.queue_id,
        "time": iso(row.time),
    }
    return {"message_id": row.message_id or None, **told(case)}


WORDS = {
    SPAM: "to mail that the filter took for spam",
    LISTS: "to what mailing lists and bulk senders send",
    REPORTS: "to delivery reports",
}

_BEFORE = "A script that runs before the users' (sieve_before in 90-sieve.conf; Dovecot 2.4: a sieve_script of `type = before`) "

CURES = {
    SPAM: _BEFORE
    + 'and files what the filter tagged: `if header :is "X-Spam-Flag" "YES" { fileinto "Junk"; stop; }` (the header '
    "that your filter writes). `stop` alone doesn't keep the next script from running: `fileinto` cancels the implicit keep, "
    "which ends the sequence. Or the user moves the vacation rule behind the one for spam, which ends with `stop`.",
    LISTS: "Sieve's vacation answers nothing with List-* headers or `Precedence: bulk`, and only what names the user in To or "
    "Cc: see that the script doesn't name the list's address in :addresses, and that nothing takes these headers out.",
    REPORTS: "Sieve's vacation never answers an empty sender: see whether something rewrites it (a fetchmail, a forwarder "
    "that puts an own address in), and have reports stopped before the vacation rule.",
}

NAME = "autoreply-to-spam"

CHECK = Check(
    NAME,
    "Automatic answers go to spam or lists",
    look,
    conclude,
    causes=tuple(WORDS),
    order=260,
    clear="No automatic answer went to spam, to lists or to delivery reports ({checked:answer|answers} looked at)",
    group="reputation",
    severity="warning",
    needs=("Dovecot's lines of lmtp or lda", "verdicts of the filter"),
    related=("backscatter", "forwards-spam"),
    limits=Limits,
)
