"""A mailbox here takes no mail, or its Sieve script fails.

## What it finds
Mail that was accepted and that the user's mailbox then refused: full, unknown to the mailbox server, switched off, its
files not accessible, no space, an internal error. And Sieve scripts that don't compile or fail at run time, so that the
user's rules aren't followed. One finding a cause and mailbox; where a cause holds for many mailboxes at once, one for all.
Of a mailbox that is full the last mail that found room is listed too.

## Why it matters
What is refused after it was accepted goes back to its sender, days later where the refusal is a temporary one. The user
learns of neither, nor of a script that fails: the mail then lies in INBOX, unsorted, not forwarded, not answered.

## What the log shows
Postfix: `status=bounced` or `deferred` with the reply of the mailbox server (`552 5.2.2 … Quota exceeded`, `550 5.1.1 …
User doesn't exist`, `451 4.2.0 … Internal error occurred`), or what local(8), virtual(8) or pipe(8) say. At RCPT:
`Recipient address rejected: … Mailbox is full`. Dovecot: `save failed to INBOX: …`, `Failed to compile script`,
`Execution of script … failed, but implicit keep was successful`.

## What to do
By cause: more quota or less mail; the address out of Postfix's map, or into Dovecot's; owner and mode of the files, whose
path Dovecot tells; for a script `sievec -d PATH`, and the errors in the log file beside it.

## When it is wrong
What a user's own script discards, refuses or answers is meant so and passed over, as are unknown recipients refused at
RCPT, a mailbox server that doesn't answer at all, and refusals for what is in the mail. So are delivery
reports to an address that only sends (a newsletter's), and that no mailbox belongs to. What was delivered later, or a
mailbox that took mail again, is mended.

## When it is blind
When no mail for a mailbox here is in the log. Scripts that fail show in Dovecot's lines only: without these, nothing is
said of scripts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from logscan.checking import evidence as ev
from logscan.checking import mailbox_refusals
from logscan.checking import mailbox_replies as replies
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.checking.mail_rows import iso, moment, named, told
from logscan.checking.mailbox_cures import cure
from logscan.findings import Finding, Remedy, Result, Severity, State
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

SECOND = 10**9


@dataclass(frozen=True)
class Limits:
    """The thresholds."""

    together: int = 10
    """Mailboxes of one cause that are a finding each; where more suffer from the same, the cause lies in the server."""
    quiet_hours: float = 24.0
    """A script that failed at run time meets the mail it fails at again within a day, if it ever does: so long it must go
    right, and as long as it failed, to be taken for mended."""
    near_seconds: float = 60.0
    """Dovecot tells why within the second; clocks of two hosts in one log differ by seconds."""


def look(window: Window, settings: Settings) -> Partial:
    """Take what mailboxes refused, what Dovecot says of it, and when each took a mail."""
    return Partial(mailbox_refusals.look(window))


def conclude(partial: Partial, log: Log) -> Result:
    """Return a finding for each mailbox and cause."""
    limit = limits(log, NAME, Limits)
    here, told_of = partial.count("here"), partial.count("told")
    result = Result(checked=here or told_of, eligible=here or told_of)
    if not result.checked:
        result.blind_because.append(
            "no mail for a mailbox on this server is in these logs: give Postfix's log (deliveries by lmtp, local, virtual "
            "or pipe), or Dovecot's of lmtp and lda"
        )
    elif not told_of:
        result.notes.append("Dovecot's lines of lmtp or lda aren't in these logs: Sieve scripts that fail don't show.")
    refused = _refined(partial, limit) if here else _by_dovecot(partial)
    # Reports to an address that only ever sends, and that nobody has, are missed by nobody.
    written = refused.groupby(["cause", "mailbox"])["written"].transform("sum") > 0
    refused = refused[written | (refused["cause"] != replies.UNKNOWN)]
    found = [*_refusals(partial, log, refused, limit), *_scripts(partial, log, limit)]
    result.findings.extend(found)
    return result


def _refined(partial: Partial, limit: Limits) -> pd.DataFrame:
    """Return what was refused by mailbox and cause, an internal error by what Dovecot says is behind it."""
    refused = partial.frame("refusals").copy()
    causes = partial.frame("causes")
    # That a script's run was refused says less than why.
    rank = causes["cause"].map({replies.INTERNAL: 2, replies.REFUSING: 1}).fillna(0).astype("int64")
    causes = causes.assign(rank=rank, often=-causes["mails"])[rank < 2].sort_values(["rank", "often", "user", "cause"])
    near, own = int(limit.near_seconds * SECOND), dict[tuple[str, str], str]()
    for row in refused[refused["cause"] == replies.INTERNAL].itertuples():
        user = causes["user"]
        same = causes[(user == row.mailbox) | ((user + "@") == row.mailbox.partition("@")[0] + "@")]
        same = same[(same["first"] <= row.last + near) & (same["last"] >= row.first - near)]
        if len(same):
            own[row.mailbox, row.relay] = str(same["cause"].iloc[0])
    refused["told"] = refused["cause"]
    refused["cause"] = [
        own.get((row.mailbox, row.relay), row.cause) if row.cause == replies.INTERNAL else row.cause
        for row in refused.itertuples()
    ]
    return refused


def _by_dovecot(partial: Partial) -> pd.DataFrame:
    """Return what was refused where only Dovecot's log is at hand."""
    causes = partial.frame("causes").rename(columns={"user": "mailbox"})
    rank = causes["cause"].isin([replies.INTERNAL, replies.REFUSING])
    causes = causes[~rank | ~causes["mailbox"].isin(set(causes["mailbox"][~rank]))]
    return causes.assign(relay="Dovecot", failed=0, written=1, told="")


def _refusals(partial: Partial, log: Log, refused: pd.DataFrame, limit: Limits) -> list[Finding]:
    if refused.empty:
        return []
    cases = partial.frame("refused").sort_values(["time", "line", "recipient"], kind="stable")
    reasons = partial.frame("reasons").sort_values(["time", "line"], kind="stable")
    taken = partial.frame("good").set_index("mailbox", drop=False)
    good = (-taken["back"]).to_dict()
    for user, time in partial.frame("served").set_index("user")["last"].to_dict().items():
        good[user] = max(good.get(user, time), time)
    findings = []
    for cause, of_cause in refused.sort_values(["cause", "mailbox", "relay"]).groupby("cause", sort=True):
        latest = of_cause.groupby("mailbox")["last"].transform("max")
        open_ = of_cause[of_cause["mailbox"].map(good).fillna(-1) <= latest]
        whole = open_["mailbox"].nunique() > limit.together
        groups = [(_where(open_), open_)] if whole else list(open_.groupby("mailbox"))
        groups += list(of_cause.drop(open_.index).groupby("mailbox"))
        for subject, some in groups:
            findings.append(_finding(log, str(cause), str(subject), some, cases, reasons, good))
            if cause == replies.OVER_QUOTA:
                _add_last_taken(findings[-1], some, taken)
    return findings


def _add_last_taken(finding: Finding, some: pd.DataFrame, taken: pd.DataFrame) -> None:
    """Add the last mail that a full mailbox took before it refused the first one, and none since: it left no room."""
    for box, first in some.groupby("mailbox")["first"].min().items():
        if box in taken.index and -taken.at[box, "back"] <= first:
            last = taken.loc[box]
            finding.cases.append(
                {
                    "message_id": last["message_id"] or None,
                    "recipient": last["recipient"],
                    "mailbox": box,
                    "queue_id": last["queue_id"],
                    "time": iso(-last["back"]),
                    "reply": "stored: the last mail that found room",
                }
            )
            finding.count += 1


def _where(some: pd.DataFrame) -> str:
    """Return the mailbox server that most of these were refused by."""
    relays = some.groupby("relay")["mails"].sum()
    return f"mailboxes at {min(relays.index[relays == relays.max()])}"


def _finding(
    log: Log,
    cause: str,
    subject: str,
    some: pd.DataFrame,
    cases: pd.DataFrame,
    reasons: pd.DataFrame,
    good: dict[str, int],
) -> Finding:
    boxes = sorted(set(some["mailbox"]))
    mine = cases[cases["mailbox"].isin(boxes) & cases["cause"].isin(set(some["told"]))]
    why = reasons[reasons["user"].isin({*boxes, *(each.partition("@")[0] for each in boxes)})]
    why = why[(why["cause"] == cause) | (mine.empty & (len(boxes) > 0))]
    if mine.empty:
        shown = [_dovecot_case(row) for row in why[why["cause"] == cause].itertuples()]
    else:
        shown = [_case(row) for row in mine.itertuples()]
    last = int(some["last"].max())
    mended = all(good.get(box, -1) > time for box, time in some.groupby("mailbox")["last"].max().items())
    mails, failed = int(some["mails"].sum()), int(some["failed"].sum())
    state: State = "mended" if mended else "active"
    who = subject if len(boxes) == 1 else f"{len(boxes):,} mailboxes ({named(boxes)})"
    lost = f", {failed:,} of them for good" if 0 < failed < mails else ""
    summary = WORDS[cause].format(who=who, mails=ev.mails(mails)) + lost
    if mended:
        summary += "; it takes mail again" if len(boxes) == 1 else "; they take mail again"
    return Finding(
        cause=cause,
        subject=subject,
        summary=summary,
        severity="problem" if failed or not mended else "warning",
        confidence="high",
        count=mails,
        cases=shown,
        first=moment(int(some["first"].min())),
        last=moment(last),
        state=state,
        remedy=None if mended else Remedy(cure(cause, subject, boxes)),
        evidence=ev.merged(
            lines_at(log, mine["line"].head(4).tolist()),
            lines_at(log, why["line"].head(3).tolist()),
            lines_at(log, mine["line"].tail(2).tolist()),
        ),
        why=_why(cause, why),
        mails=mails,
        recipients=mails,
    )


def _case(row: Any) -> dict[str, Any]:
    case = {
        "message_id": row.message_id or None,
        "recipient": row.recipient,
        "mailbox": row.mailbox,
        "queue_id": row.queue_id,
        "sender": row.sender,
        "time": iso(row.time),
        "reply": row.reply[:400],
    }
    return {"message_id": case["message_id"], **told(case)}


def _dovecot_case(row: Any) -> dict[str, Any]:
    return {
        "message_id": row.message_id or None,
        "recipient": row.user,
        "mailbox": row.user,
        "time": iso(row.time),
        "reply": row.text[:400],
    }


def _why(cause: str, why: pd.DataFrame) -> str:
    """Return what Dovecot says is behind it."""
    mine = why[why["cause"] == cause]
    return f"Dovecot says: {mine['text'].iloc[0][:300]}" if len(mine) else ""


def _scripts(partial: Partial, log: Log, limit: Limits) -> list[Finding]:
    """Return a finding for each user's script and cause; a script that fails for several users is one."""
    runs = _unexplained(partial, limit)
    if runs.empty:
        return []
    cases = partial.frame("scripts").sort_values(["time", "line"], kind="stable")
    served = partial.frame("served").set_index("user")["last"].to_dict()
    users = runs.groupby(["cause", "script"])["user"].transform("nunique")
    subject = runs["user"].where((users < 2) | (runs["script"] == "") | (runs["script"] == STORAGE), runs["script"])
    findings = []
    for (cause, name), some in runs.assign(subject=subject).groupby(["cause", "subject"], sort=True):
        mine = cases[(cases["cause"] == cause) & cases["user"].isin(set(some["user"]))]
        mine = mine[mine["script"].isin(set(some["script"]))]
        quiet = int(limit.quiet_hours * 3600 * SECOND) if cause == replies.FAILED else int(limit.near_seconds * SECOND)
        mended = all(_over(row, served.get(row.user, -1), quiet, cause) for row in some.itertuples())
        mails = int(some["mails"].sum())
        scripts = [each for each in sorted(set(some["script"])) if each]
        boxes = sorted(set(some["user"]))
        who = name if len(boxes) == 1 else f"{len(boxes):,} users ({named(boxes)})"
        severity: Severity = "warning"
        findings.append(
            Finding(
                cause=str(cause),
                subject=str(name),
                summary=WORDS[str(cause)].format(who=who, mails=ev.mails(mails))
                + ("; it has gone right since" if mended else ""),
                severity=severity,
                confidence="high",
                count=mails,
                cases=[_script_case(row) for row in mine.itertuples()],
                first=moment(int(some["first"].min())),
                last=moment(int(some["last"].max())),
                state="mended" if mended else "active",
                remedy=None if mended else Remedy(cure(str(cause), scripts[0] if scripts else "SCRIPT", boxes)),
                evidence=lines_at(log, mine["line"].tolist()),
                why=mine["text"].iloc[0][:300] if len(mine) else "",
                mails=mails,
                recipients=mails,
            )
        )
    return findings


def _unexplained(partial: Partial, limit: Limits) -> pd.DataFrame:
    """Return the scripts that failed, but for those that couldn't be reached while the mailbox refused mail."""
    runs, near = partial.frame("runs"), int(limit.near_seconds * SECOND)
    if runs.empty:
        return runs
    refused = partial.frame("refusals").rename(columns={"mailbox": "user"})
    other = pd.concat([frame[["user", "first", "last"]] for frame in (refused, partial.frame("causes"))])
    explained = [
        row.maybe and bool(((other["user"] == row.user) & (other["first"] <= row.last + near)
                            & (other["last"] >= row.first - near)).any())
        for row in runs.itertuples()
    ]  # fmt: skip
    return runs[~pd.Series(explained, index=runs.index, dtype="bool")]


STORAGE = "user's personal storage"


def _over(row: Any, served: int, quiet: int, cause: object) -> bool:
    """Whether a user's mail was stored without a failure long enough after the last one."""
    return bool(served > row.last + (max(quiet, row.last - row.first) if cause == replies.FAILED else quiet))


def _script_case(row: Any) -> dict[str, Any]:
    return {
        "message_id": row.message_id or None,
        "recipient": row.user,
        "mailbox": row.user,
        **told({"script": row.script}),
        "time": iso(row.time),
        "reply": row.text[:400],
    }


WORDS = {
    replies.OVER_QUOTA: "The mailbox of {who} is full and refused {mails}",
    replies.UNKNOWN: "Mail for {who} is accepted, and the mailbox server doesn't know it: {mails}",
    replies.DISABLED: "The mailbox of {who} is switched off and refused {mails}",
    replies.PERMISSION: "The mailbox of {who} can't be written, permission denied: {mails}",
    replies.NO_SPACE: "There is no space left to store mail of {who}: {mails}",
    replies.INTERNAL: "The mailbox server failed to store mail of {who}: {mails}",
    replies.REFUSING: "The Sieve script of {who} fails, and the mail with it: {mails}",
    replies.BROKEN: "The Sieve script of {who} doesn't compile: {mails} came without its rules",
    replies.FAILED: "The Sieve script of {who} fails at run time: {mails}",
}


NAME = "mailbox-refused"

CHECK = Check(
    NAME,
    "Mailboxes refuse mail",
    look,
    conclude,
    causes=tuple(WORDS),
    order=135,
    clear="No mailbox here refused mail ({checked:delivery|deliveries} looked at)",
    group="arrival",
    severity="problem",
    needs=("deliveries of Postfix to mailboxes", "Dovecot's lines of lmtp or lda, for scripts"),
    related=("mail-stuck", "backscatter", "disk-filling", "authentication-down"),
    limits=Limits,
)
