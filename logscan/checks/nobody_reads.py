"""A mailbox gets mail, and nobody logs in to read it.

## What it finds
Mailboxes that got mail for weeks while nobody fetched any of it: people who left, a function nobody took over, an archive
that was forgotten. One finding a mailbox; where there are many, one for all.

## Why it matters
Whoever writes there takes the mail for delivered and waits. The mailbox grows until it is full, and an account without its
person is the one whose misuse nobody notices.

## What the log shows
Deliveries into the mailbox, and no `imap-login: Login` or `pop3-login: Login` of that user, in a log that shows the logins of
others all that time.

## What to do
Ask whose it is. Then forward it, answer it (Sieve's vacation names who is there now), or close it, so that its senders learn
of it.

## When it is wrong
Whoever reads on the host itself, through a shared folder, or by a program that keeps its session for weeks doesn't log in.
Mailboxes whose script forwards mail are passed over. Archives are meant to lie unread.

## When it is blind
When the logs cover fewer days of logins than it takes, hold no login at all, or when those who log in are called otherwise
than the mailboxes, so that nothing tells who read which.
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
from logscan.checking.mail_rows import delivery_lines, iso, moment, named
from logscan.findings import Finding, Remedy, Result
from logscan.scan import columns
from logscan.scan.addresses import addresses
from logscan.scan.pasts import newest, with_past
from logscan.tables.coded import Coded
from logscan.tables.partials import Keyed, Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]

DAY = 86_400 * 10**9
WEEK = 7 * DAY


@dataclass(frozen=True)
class Limits:
    """The thresholds."""

    days: float = 30.0
    """Holidays last up to three weeks, and most people who read mail at all do so once a month."""
    mails: int = 20
    """As many mails in that time as show that somebody writes there, not only a list now and then."""
    named: float = 0.5
    """The share of the mailboxes with mail whose user logged in at any time: below, logins have other names than mailboxes."""
    covered: float = 0.8
    """The share of the weeks in which somebody logged in: below, files are missing, and with them who came in these weeks."""
    together: int = 10
    """Mailboxes that are a finding each; of more the list is what helps."""


def look(window: Window, settings: Settings) -> Partial:
    """Take how much mail each mailbox got by the week, and when each user logged in last."""
    return Partial(
        {
            "got": _got(window),
            **_logins(window),
            "forwards": _users(window, "stores", "action", "forwarded"),
        }
    )


PAST_DAYS = 91
"""Days that a past tells of: thirty without a login behind the last one, and mailboxes that get little mail."""

MOST_REMEMBERED, MOST_USERS = 20_000, 30_000
"""Rows that a past has, of mailboxes by the week, and of users: where there are more, there is no past."""


def remember(partial: Partial, now: int) -> Partial:
    """Return how much mail came by the week, and who logged in when."""
    since = now - PAST_DAYS * DAY
    got = partial.frame("got")
    # Its lines are gone when somebody asks for them.
    mails = Keyed.of(got.assign(line=-1), sums=("mails",), least=("first",), most=("last", "line"), once=True)
    users = {name: newest(partial.parts[name], "last", since, MOST_USERS) for name in ("logins", "forwards")}
    if any(len(each) >= MOST_USERS for each in users.values()):
        # Of whom nothing is remembered it would be said that nobody came.
        return Partial()
    weeks = newest(partial.parts["weeks"], "week", since // WEEK, MOST_REMEMBERED)
    return Partial({"got": newest(mails, "last", since, MOST_REMEMBERED), "weeks": weeks, **users})


def _got(window: Window) -> Keyed:
    """Return the mails that each mailbox got, by week (whole weeks since 1970, UTC)."""
    if len(window.deliveries):
        names = addresses(window)
        final = columns.values(window, "deliveries", "final") & ~columns.values(window, "deliveries", "outside")
        final &= (columns.values(window, "deliveries", "stored") != 0) & (names.mailbox >= 0)
        row = np.flatnonzero(final)
        time = columns.values(window, "deliveries", "time")[row]
        row, time = row[time > columns.NO_TIME], time[time > columns.NO_TIME]
        mailbox, words = names.mailbox[row], names.words
    else:
        row = time = mailbox = np.empty(0, np.int64)
        words = pa.array([], pa.string())
    week = time // WEEK
    least = int(week.min(initial=0)) if len(week) else 0
    width = int(week.max(initial=0)) - least + 1 if len(week) else 1
    code, of_row, count = np.unique(mailbox * width + (week - least), return_inverse=True, return_counts=True)
    first, last = np.full(len(code), np.iinfo(np.int64).max), np.zeros(len(code), np.int64)
    np.minimum.at(first, of_row, time)
    np.maximum.at(last, of_row, time)
    line = np.full(len(code), -1, np.int64)
    if len(row):
        np.maximum.at(line, of_row, delivery_lines(window, row))
    some = {
        "mailbox": Coded(code // width, words).texts().cast(pa.string()) if len(code) else pa.array([], pa.string()),
        "week": code % width + least,
        "mails": count.astype(np.int64),
        "first": first,
        "last": last,
        "line": line,
    }
    return Keyed.of(some, sums=("mails",), least=("first",), most=("last", "line"), once=True)


def _logins(window: Window) -> dict[str, Keyed]:
    """Return when each user logged in to read, first and last (``logins``), and in which weeks anybody did (``weeks``)."""
    table = "logins"
    if not len(window.tables[table]):
        none = _by_user(Coded(np.empty(0, np.int64), pa.array([], pa.string())), np.empty(0, np.int64))
        return {"logins": none, "weeks": Keyed.of({"week": np.empty(0, np.int64)}, once=True)}
    read = columns.column(window, table, "event").is_in("login")
    read &= ~columns.column(window, table, "protocol").is_in("submission", "managesieve", "sieve", "smtp")
    user = columns.column(window, table, "user")
    time = columns.moments(window, table)
    rows = np.flatnonzero(read & (user.codes >= 0) & (time > columns.NO_TIME))
    weeks = Keyed.of({"week": np.unique(time[rows] // WEEK)}, once=True)
    return {"logins": _by_user(user.take(rows).made(pc.utf8_lower), time[rows]), "weeks": weeks}


def _users(window: Window, table: str, column: str, word: str) -> Keyed:
    """Return when a line of one kind told of each user, first and last."""
    if not len(window.tables[table]):
        return _by_user(Coded(np.empty(0, np.int64), pa.array([], pa.string())), np.empty(0, np.int64))
    rows = np.flatnonzero(columns.column(window, table, column).is_in(word))
    user = columns.column(window, table, "user").take(rows)
    return _by_user(user.made(pc.utf8_lower), columns.moments(window, table)[rows])


def _by_user(user: Coded, time: Ints) -> Keyed:
    used = user.used()
    first, last = np.full(len(user.words) + 1, np.iinfo(np.int64).max), np.full(len(user.words) + 1, columns.NO_TIME)
    np.minimum.at(first, user.codes, time)
    np.maximum.at(last, user.codes, time)
    words = Coded(used, user.words).texts().cast(pa.string()) if len(used) else pa.array([], pa.string())
    return Keyed.of(
        {"user": words, "first": first[used], "last": last[used]}, least=("first",), most=("last",), once=True
    )


def conclude(partial: Partial, log: Log) -> Result:
    """Return a finding for each mailbox that got mail and whose user never came."""
    limit, new = limits(log, NAME, Limits), partial.frame("got")
    partial = with_past(partial, log, NAME)
    got, logins = partial.frame("got"), partial.frame("logins")
    result = Result()
    blind = _blind(got if len(new) else new, logins, partial.frame("weeks"), limit)
    part = partial.parts["logins"]
    if isinstance(part, Keyed) and part.limit < 2**64:
        blind = blind or f"more than {len(logins):,} users logged in, more than are kept"
    if blind:
        result.blind_because.append(blind)
        return result
    begun, end = int(logins["first"].min()), int(max(logins["last"].max(), got["last"].max()))
    boxes = _boxes(got, logins, begun)
    if boxes["ever"].mean() < limit.named:
        result.blind_because.append(
            f"those who log in are called otherwise than the mailboxes: of {len(boxes):,} with mail only "
            f"{int(boxes['ever'].sum()):,} are a user's who logged in"
        )
        return result
    forwarded = set(partial.frame("forwards")["user"])
    boxes = boxes[boxes["mails"] >= limit.mails]
    result.checked = result.eligible = len(boxes)
    if boxes.empty:
        result.blind_because.append(f"no mailbox got {limit.mails} mails in these logs")
    bad = boxes[(end - boxes["since"] >= limit.days * DAY) & (boxes["unread"] >= limit.mails)]
    bad = bad[~bad["mailbox"].isin(forwarded)].sort_values("mailbox")
    # It isn't over on a day without mail; what a mailbox got long ago was told by earlier runs.
    bad = bad[bad["mailbox"].isin(set(new["mailbox"])) | (end - bad["last"] < WEEK)]
    groups = (
        [("mailboxes", bad)]
        if len(bad) > limit.together
        else [(str(name), some) for name, some in bad.groupby("mailbox")]
    )
    result.findings = [_finding(name, some, got, log, end) for name, some in groups]
    return result


def _blind(got: pd.DataFrame, logins: pd.DataFrame, weeks: pd.DataFrame, limit: Limits) -> str:
    """Return why nothing can be said, if so."""
    if logins.empty:
        return "no login by IMAP or POP3 is in these logs: give Dovecot's lines of imap-login and pop3-login"
    if got.empty:
        return "no mail into a mailbox here is in these logs"
    days = (int(logins["last"].max()) - int(logins["first"].min())) / DAY
    if days < limit.days:
        return (
            f"these logs cover {days:.0f} days of logins, and {limit.days:g} are needed to say that nobody comes: give the "
            "rotated logs too"
        )
    span = int(weeks["week"].max()) - int(weeks["week"].min()) + 1
    if len(weeks) < limit.covered * span:
        return f"of {span} weeks in these logs {span - len(weeks)} have no login of anybody: give the log files that are missing"
    return ""


def _boxes(got: pd.DataFrame, logins: pd.DataFrame, begun: int) -> pd.DataFrame:
    """Return one row a mailbox: its mails, ``since`` when nobody read, and how many came after that (``unread``).

    Rather one too few is found than one too many.
    """
    last = logins.groupby("user")["last"].max().to_dict()
    names = got["mailbox"].drop_duplicates()
    # Who logs in under a name that no mailbox has is the owner of each that is called so, in whatever domain.
    other: dict[str, int] = {}
    for user in last.keys() - set(names):
        name = user.partition("@")[0]
        other[name] = max(other.get(name, last[user]), last[user])
    came = {}
    for mailbox in names:
        times = [last.get(mailbox), other.get(mailbox.partition("@")[0])]
        if known := [time for time in times if time is not None]:
            came[mailbox] = max(known)
    read = got["mailbox"].map(came)
    first = got.groupby("mailbox")["first"].transform("min")
    since = read.fillna(pd.Series(np.maximum(first, begun), index=got.index)).astype("int64")
    unread = got["mails"].where(got["first"] >= since, 0)
    by = got.assign(since=since, unread=unread, ever=read.notna()).groupby("mailbox", sort=True)
    return by.agg(
        mails=("mails", "sum"),
        unread=("unread", "sum"),
        since=("since", "first"),
        ever=("ever", "first"),
        last=("last", "max"),
    ).reset_index()


def _finding(subject: str, some: pd.DataFrame, got: pd.DataFrame, log: Log, end: int) -> Finding:
    boxes = sorted(some["mailbox"])
    mails = int(some["unread"].sum())
    since = int(some["since"].min())
    who = boxes[0] if len(boxes) == 1 else f"{len(boxes):,} mailboxes ({named(boxes)})"
    never = not some["ever"].any()
    days = round((end - int(some["since"].max())) / DAY)
    told = f"nobody has logged in for {days} days" + ("" if not never else ", as far as these logs reach")
    mine = got[got["mailbox"].isin(boxes)].sort_values(["week", "mailbox"])
    return Finding(
        cause="unread",
        subject=subject,
        summary=f"{who} got {ev.mails(mails)}, and {told}",
        severity="warning",
        confidence="medium",
        count=len(boxes),
        cases=[_case(row) for row in some.sort_values("mailbox").itertuples()],
        first=moment(since),
        last=moment(int(some["last"].max())),
        remedy=Remedy(
            f"`doveadm mailbox status -u {shlex.quote(boxes[0])} 'messages unseen' INBOX` tells how much lies there. "
            "Ask whose it is; then let a Sieve script forward or answer, or take the address out of "
            "Postfix's tables, so that senders are told."
        ),
        evidence=lines_at(log, mine["line"].tolist()[-ev.MOST_EVIDENCE :]),
        mails=mails,
        recipients=mails,
    )


def _case(row: Any) -> dict[str, Any]:
    return {
        "subject": row.mailbox,
        "user": row.mailbox,
        "mailbox": row.mailbox,
        "mails": int(row.unread),
        "time": iso(int(row.last)),
        "since": iso(int(row.since)),
    }


NAME = "nobody-reads"

CHECK = Check(
    NAME,
    "A mailbox gets mail and nobody reads it",
    look,
    conclude,
    remember=remember,
    causes=("unread",),
    order=570,
    clear="Every mailbox that gets mail has somebody who logs in ({checked:mailbox|mailboxes} looked at)",
    group="machine",
    severity="warning",
    needs=("deliveries into mailboxes", "a month of Dovecot's logins"),
    related=("mailbox-refused", "account-misused", "dead-destination"),
    limits=Limits,
)
