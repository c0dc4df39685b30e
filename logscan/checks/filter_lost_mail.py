"""The filter took mail and nothing came out of it again.

## What it finds
Mail that was handed to a content filter, which answered 250, and of which nothing is seen again: no re-injection, no delivery,
no quarantine, no refusal. And mail that a before-queue filter accepted without handing it on. One finding a filter.

## Why it matters
The sender was told that the mail is there, Postfix counts it as sent, and nobody gets it. Nothing else notices.

## What the log shows
`status=sent` to the filter's relay, and no later life with that message-id and recipient; of several recipients one may be
missing alone. Before the queue: `proxy-accept: END-OF-MESSAGE: 250 …` without `queued as`, where the filter passes on Postfix's
replies to the others.

## What to do
Look for these mails in the filter's own quarantine and log at the times named. If they aren't there, tell the senders: the
mail can't be fetched back. Then see what the filter does when it can't hand a mail back (full disk, a time-out, a crash): it has
to answer 4xx, never 250 before the mail is handed on.

## When it is wrong
A filter that keeps mail without a line of its own looks like this. What it says to have kept (DSPAM's system.log, amavis, a line
with the message-id and the word quarantine or discard, such a reply) is passed over; so is what came back without being
recognised, the last minutes of the log, and the time around lost lines.

## When it is blind
When nothing came out of the filter at all (it delivers by itself, or its way out is in another log), when less than half did,
when DSPAM's system.log is missing (quarantine is its default), or when a before-queue filter doesn't pass on Postfix's reply.
It isn't applicable where no mail is handed to a filter: a milter loses none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan.amounts import plural
from logscan.checking import evidence as ev
from logscan.checking import swallowed
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.checking.own_judged import NO_FILTER, UNSEEN
from logscan.checking.swallowed import GONE, HANDED, HOSTS, LOSSES, PROXIED, STRAYS, UNNAMED, near
from logscan.correlate.lives import SECOND
from logscan.findings import Confidence, Finding, Remedy, Result
from logscan.scan import filters
from logscan.tables import cells
from logscan.tables.partials import Partial, Points, hashes

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

NAME = "filter-lost-mail"


@dataclass(frozen=True)
class Limits:
    """What makes mail lost rather than still on its way, or gone by another way."""

    settle: float = 300.0
    """Seconds that the log must go on behind the hand-over: a filter with a queue of its own needs them."""
    usual: float = 0.5
    """The share of hand-overs that must come out again: a filter of which less comes back hands the rest on by itself."""
    judged: float = 0.95
    """The share of what came out that the filter's own log must tell of, for its silence about a mail to say something."""
    torn: float = 0.005
    """The share of finished lives that lack a line of cleanup or of the queue manager: each mail has about eight lines here and
    behind the filter, any of which may be the one that is missing, so one in two hundred makes a lost mail no news."""
    lossy: float = 1800.0
    """Seconds around a note that log lines were lost: rate limiting is told of when the process speaks again, minutes later."""


def look(window: Window, settings: Settings) -> Partial:
    """Return what filters took, and what isn't seen again."""
    return Partial({**swallowed.look(window), **filters.look(window)})


def conclude(partial: Partial, log: Log) -> Result:
    """Return a finding for each filter that lost mail."""
    known = filters.concluded(partial, log.settings)
    lost = _Lost(partial, log)
    result = Result(checked=lost.checked, eligible=lost.eligible, blind_because=lost.reasons)
    result.findings = lost.findings
    if max(len(partial.frame(name)) for name in (GONE, UNNAMED)) >= swallowed.MOST:
        result.notes.append(f"of mail that isn't seen again the first {swallowed.MOST:,} recipients were looked at")
    if not lost.eligible and not result.findings:
        if known.none:
            result.not_applicable = NO_FILTER
        elif (
            known.told
            and not known.queue
            and not known.proxies
            and not any(each.via != "milter" for each in log.settings.filters)
        ):
            result.not_applicable = "No mail is handed to a filter here: milters judge it where it is, and lose none."
        else:
            result.blind_because.append(UNSEEN if known.unseen else "no mail was handed to a filter in these logs")
    return result


class _Lost:
    """What is lost, and what can't be told, filter by filter."""

    def __init__(self, partial: Partial, log: Log) -> None:
        self.partial, self.log, self.limits = partial, log, limits(log, NAME, Limits)
        self.checked = self.eligible = 0
        self.reasons: list[str] = []
        self.findings: list[Finding] = []
        hosts = partial.frame(HOSTS).set_index("host")
        self.latest = hosts["latest"].to_dict()
        # No filter says anything here: none would tell of its quarantine.
        self.mute = partial.frame("filters.kinds").empty
        self.torn = set(hosts.index[hosts["torn"] > self.limits.torn * hosts["whole"]])
        strays, losses = partial.parts[STRAYS], partial.parts[LOSSES]
        assert isinstance(strays, Points)
        assert isinstance(losses, Points)
        self.strays, self.losses = strays, losses
        self._behind()
        self._before()

    def _behind(self) -> None:
        """Judge the filters behind the queue."""
        counts = self.partial.frame(HANDED).sort_values(["host", "relay", "outside"], ignore_index=True)
        gone = self.partial.frame(GONE).sort_values(["time", "row", "recipient"], kind="stable", ignore_index=True)
        gone = self._still_gone(gone)
        several = counts["host"].nunique() > 1
        for (host, relay), some in counts.groupby(["host", "relay"], sort=True):
            mine = gone[(gone["host"] == host) & (gone["relay"] == relay)]
            where = f"{relay} on {host}" if several else str(relay)
            total, back, judged = (int(some[name].sum()) for name in ("n", "back", "judged"))
            missing = total - back
            told = judged >= self.limits.judged * back
            self.eligible += total
            # Who never got mail back this way gets none: the filter delivers it by itself.
            ways = set(some["outside"][some["back"] >= self.limits.usual * some["n"]])
            unclear = mine[~mine["outside"].isin(ways)]
            mine = mine[mine["outside"].isin(ways)]
            if len(unclear):
                self._blind(len(unclear), f"{where}: {OTHER_WAY.format(back=back, total=total)}")
            silent = mine["dspam"].to_numpy(dtype=np.bool_) & (not told)
            if silent.any():
                self._blind(int(silent.sum()), f"{where}: {QUARANTINE}")
            mine = mine[~silent]
            doubtful = mine["unsure"].to_numpy(dtype=np.bool_)
            if doubtful.sum() > (1 - ev.COVERED) * max(total, 1):
                self._blind(int(doubtful.sum()), f"{where}: {DOUBTFUL}")
            self.checked += total - len(unclear) - int(silent.sum()) - int(doubtful.sum())
            mine = mine[~doubtful]
            if len(mine):
                sure: Confidence = "low" if self.mute else "high" if told else "medium"
                self.findings.append(self._finding("lost-behind-queue", where, mine, missing, total, sure))

    def _blind(self, count: int, why: str) -> None:
        self.reasons.append(f"{plural(count, 'recipient')} of mail handed to {why}")

    def _still_gone(self, gone: pd.DataFrame) -> pd.DataFrame:
        """Return the hand-overs of which nothing is seen again in any window; ``unsure`` where the log can't tell."""
        if gone.empty:
            return gone.assign(unsure=pd.Series([], dtype="bool"))
        time = gone["time"].to_numpy()
        back = near(self.strays, gone["key"].to_numpy(), time, BEFORE, FOR_EVER) & ~gone["unnamed"].to_numpy(
            dtype=np.bool_
        )
        for name in ("by_sender", "by_id"):
            back |= near(self.strays, gone[name].to_numpy(), time, BEFORE, self.limits.settle)
        unsure = self._unsure(gone) | gone["queued"].to_numpy(dtype=np.bool_)
        return gone.assign(unsure=unsure)[~back & ~gone["kept"].to_numpy(dtype=np.bool_)]

    def _unsure(self, rows: pd.DataFrame) -> np.ndarray:
        """Return which rows lie at the log's end, or where lines of it were lost: said so, or seen by what other mails lack."""
        time = rows["time"].to_numpy()
        end = rows["host"].map(self.latest).to_numpy(np.int64)
        lossy = near(self.losses, hashes(rows["host"]), time, self.limits.lossy, self.limits.lossy)
        out: np.ndarray = (
            (time + int(self.limits.settle * SECOND) > end) | lossy | rows["host"].isin(self.torn).to_numpy()
        )
        return out

    def _before(self) -> None:
        """Judge the filters before the queue."""
        counts = self.partial.frame(PROXIED).sort_values(["host", "service"], ignore_index=True)
        rows = self.partial.frame(UNNAMED).sort_values(["time", "row"], kind="stable", ignore_index=True)
        several = counts["host"].nunique() > 1
        for one in counts.itertuples():
            self.eligible += int(one.n) + int(one.kept)
            where = f"the before-queue filter of {one.service}/smtpd" + (f" on {one.host}" if several else "")
            if one.named < self.limits.usual * one.n or not one.named:
                if one.n:
                    self.reasons.append(f"{plural(int(one.n), 'mail')} taken by {where}: {OWN_REPLY}")
                continue
            mine = rows[(rows["host"] == one.host) & (rows["service"] == one.service)]
            back = near(self.strays, mine["key"].to_numpy(), mine["time"].to_numpy(), BEFORE, self.limits.settle)
            unsure = self._unsure(mine) & ~back if len(mine) else back
            self.checked += int(one.n) + int(one.kept) - int(unsure.sum())
            mine = mine[~back & ~unsure]
            if len(mine):
                self.findings.append(
                    self._finding("lost-before-queue", where, mine, len(mine), int(one.n) + int(one.kept), "medium")
                )

    def _finding(
        self, cause: str, where: str, rows: pd.DataFrame, missing: int, total: int, sure: Confidence
    ) -> Finding:
        behind = cause == "lost-behind-queue"
        mails = rows["mail"].nunique() if behind else len(rows)
        cases = [_case(row, behind) for row in rows.itertuples()]
        what = f"handed to the filter at {where}" if behind else f"taken by {where}"
        summary = f"{ev.mails(mails, len(rows))} {what} came out nowhere (of {plural(total, 'hand-over')})"
        times = pd.to_datetime(rows["time"], unit="ns", utc=True)
        return Finding(
            cause=cause,
            subject=where,
            summary=summary,
            severity="warning" if sure == "low" else "problem",
            confidence=sure,
            count=len(cases),
            cases=cases,
            first=cells.moment(times.min()),
            last=cells.moment(times.max()),
            remedy=Remedy(BEHIND if behind else BEFORE_QUEUE, key=f"{NAME}-{cause}"),
            evidence=lines_at(self.log, rows["row"].tolist()),
            why=WHY.get(sure, ""),
            mails=mails,
            recipients=len(rows),
        )


def _case(row: Any, behind: bool) -> dict[str, Any]:
    known = {
        "message_id": cells.text(row.message_id) if behind and not row.unnamed else None,
        "recipient": cells.text(row.recipient),
        "sender": cells.text(row.sender),
        "time": cells.iso(pd.Timestamp(row.time, tz="UTC")),
    }
    return {**known, "queue_id": row.queue_id} if behind else {**known, "session": row.session}


WHY = {
    "high": "The filter answered 250, and its own log says nothing of them.",
    "low": "The filter answered 250. It says nothing at all in these logs: what it keeps in a quarantine looks the same.",
}

FOR_EVER = 366 * 86_400.0
"""Seconds: what comes out with the same message-id and recipient is that mail, however late (released from a quarantine)."""

BEFORE = 120.0
"""Seconds by which a mail may come out before the line that hands it over: that is written when all is done."""

OTHER_WAY = (
    "of {total} hand-overs {back} came out again here, none or less than half of those to people like these; the filter delivers "
    "the others by itself, or by a host or service whose log isn't here, or it loses them"
)

QUARANTINE = (
    "nothing came out, and DSPAM's system.log of these days isn't here to tell what lies in its quarantine (SystemLog on in "
    "dspam.conf)"
)

DOUBTFUL = "lines of what came out may be missing: the log ends there, or the logging system lost lines (log-gap)"

OWN_REPLY = "it answers in its own words, without Postfix's reply (queued as …), so nothing tells what it handed on"

BEHIND = (
    "Look for these mails in the filter's own log and quarantine, by message-id and time. What isn't there is lost: ask the "
    "senders for it. Then find out why: the filter must answer 250 only when the mail is handed on or kept, and 4xx when it "
    "can't hand it on (its disk was full, it timed out, it crashed)."
)

BEFORE_QUEUE = (
    "Look for these mails in the filter's own log and quarantine, by sender, recipient and time. What isn't there is lost: ask "
    "the senders for it. A before-queue filter must pass on the reply of the smtpd behind it, and answer 250 of its own only to "
    "what it keeps on purpose."
)


def marks(source: str, target: str) -> bool:
    """Whether mail goes this way into a filter and nowhere."""
    return source.startswith("filter:") and target == "open"


CHECK = Check(
    NAME,
    "The filter lost mail",
    look,
    conclude,
    causes=("lost-behind-queue", "lost-before-queue"),
    marks=marks,
    order=110,
    clear="All mail that went into a filter came out, or is known to be kept ({checked:recipient|recipients} looked at)",
    group="arrival",
    severity="problem",
    needs=("deliveries of Postfix to the filter and what it hands back, or its proxy-accept lines",),
    related=("filter-unreachable", "mail-vanished", "log-gap"),
    limits=Limits,
)
