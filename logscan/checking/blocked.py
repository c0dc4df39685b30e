"""Findings about providers that refuse mail of this server: one a provider and cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from logscan.amounts import plural
from logscan.checking import evidence as ev
from logscan.checking.copies import lines_at
from logscan.checking.providers import Answers, Course, course
from logscan.checking.refusal_remedies import REMEDIES
from logscan.checking.refusal_texts import IN_WORDS
from logscan.findings import Confidence, Finding, Remedy, Severity, State
from logscan.scan.columns import NO_TIME
from logscan.tables import cells
from logscan.visible import visible

if TYPE_CHECKING:
    from logscan.scan.log import Log

NAMED = 3
"""Domains of recipients that a sentence names."""


def clock(at: int, log: Log) -> str:
    """Return a time (UTC ns) on the server's clock, with its date."""
    moment = pd.Timestamp(at, tz="UTC")
    if moment is pd.NaT:
        return "an unknown time"
    here = moment.tz_convert(log.zone or "UTC")
    return f"{here:%H:%M} on {here.day} {here:%B %Y}"


def known(times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the times (UTC ns) that are one: not every line has a stamp."""
    out: npt.NDArray[np.int64] = times[times != NO_TIME]
    return out


def course_of(part: pd.DataFrame, answers: Answers) -> Course:
    """Return how a refusal went on at the hosts that refused; ``part`` are rows of :func:`providers.kept`."""
    pairs = part[["server", "host"]].drop_duplicates()
    times = known(np.sort(np.concatenate([part["first"].to_numpy(), part["last"].to_numpy()])))
    accepted = known(answers.times(pairs["server"].tolist(), pairs["host"].tolist()))
    return course(times, accepted) if len(times) else Course(0, 0, 0, None)


def span(part: pd.DataFrame) -> tuple[int, int]:
    """Return the first and the last time (UTC ns) of some rows; :data:`NO_TIME` where none has one."""
    times = known(np.concatenate([part["first"].to_numpy(), part["last"].to_numpy()]))
    return (int(times.min()), int(times.max())) if len(times) else (NO_TIME, NO_TIME)


def finding(
    log: Log,
    part: pd.DataFrame,
    replies: Sequence[tuple[int, str]],
    went: Course,
    *,
    subject: str,
    severity: Severity,
    confidence: Confidence,
) -> Finding:
    """Return the finding about one provider and cause from its rows, and its replies: place and text of each."""
    cause = str(part["cause"].iloc[0])
    part = part.sort_values(["first", "queue_id", "recipient"], kind="stable")
    reply = replies[0][1] if replies else ""
    mails, recipients = part["mail"].nunique(), len(part[["mail", "recipient"]].drop_duplicates())
    first, last = span(part)
    state: State = "active" if went.ended is None else "mended"
    return Finding(
        cause=cause,
        subject=subject,
        summary=_summary(log, part, went, subject, mails, recipients),
        severity=severity,
        confidence=confidence,
        count=len(part),
        cases=[_case(row, reply) for row in part.itertuples()],
        first=cells.moment_of(first),
        last=cells.moment_of(last),
        state=state,
        remedy=None if state == "mended" else Remedy(REMEDIES[cause], key=f"refused:{cause}"),
        evidence=lines_at(log, [place for place, _ in replies]),
        why=f"Its reply: {visible(reply, 300)}" if reply else "",
        mails=mails,
        recipients=recipients,
    )


def _case(row: Any, reply: str) -> dict[str, Any]:
    return {
        "message_id": row.message_id,
        "recipient": row.recipient,
        "queue_id": row.queue_id,
        "time": cells.iso(cells.moment_of(row.first)),
        "reply": reply,
    }


def _summary(log: Log, part: pd.DataFrame, went: Course, subject: str, mails: int, recipients: int) -> str:
    cause, rate = str(part["cause"].iloc[0]), part["cause"].iloc[0] == "rate"
    first, last = span(part)
    lists = sorted(set(part["list"]) - {""})
    words = IN_WORDS[cause] + (f" ({', '.join(visible(name, 80) for name in lists[:NAMED])})" if lists else "")
    held = "put off" if rate else "refused"
    when = f"from {clock(first, log)} on" if first < last else f"at {clock(first, log)}"
    said = f"{subject} {held} {ev.mails(mails, recipients)} {when}: {words}"
    domains = sorted(
        {address.rpartition("@")[2].lower() for address in part["recipient"]} - {"", str(part["provider"].iloc[0])}
    )
    if domains:
        more = " …" if len(domains) > NAMED else ""
        said += f"; for {', '.join(visible(name, 80) for name in domains[:NAMED])}{more}"
    if went.ended is not None:
        return f"{said}; it takes mail again since {clock(went.ended, log)}"
    if went.between or went.after:
        return f"{said}; it took {plural(went.between + went.after, 'mail')} all the same"
    took = f"; it took {plural(went.before, 'mail')} before" if went.before else ""
    return said + took + (f"; still so at the last attempt, {clock(last, log)}" if first < last else "")
