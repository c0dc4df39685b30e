"""Which reports are mailed: decided from plain values, so that silence is never an accident."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal, Protocol

from logscan.amounts import plural

if TYPE_CHECKING:
    from logscan.report.model import Report

Policy = Literal["always", "news", "problems"]

WEEK = timedelta(days=7)
"""A sign of life is sent when the last mail is this old: longer, and its absence would be noticed too late to matter."""


@dataclass(frozen=True)
class Facts:
    """What of a run counts for its mail, in numbers."""

    new: int = 0
    back: int = 0
    gone: int = 0
    """Findings that are new, back after they were gone, gone since the last report; acknowledged ones too: they changed."""
    problems: int = 0
    """As the headline counts them: causes to act on, without those that the administrator knows of."""
    losses: int = 0
    """Stretches of the log that were never read."""
    unread: int = 0
    """Sources that could not be read."""
    troubles: int = 0
    """Mails that could not be sent, and notes of the state's repair."""


class Remembers(Protocol):
    """What of a report's memory is used here."""

    @property
    def new(self) -> Sequence[object]:
        """Findings seen for the first time."""

    @property
    def back(self) -> Sequence[object]:
        """Findings seen again after they were gone."""

    @property
    def gone(self) -> Sequence[object]:
        """Findings that were looked for and not found."""


def facts_of(report: Report, memory: Remembers | None, *, losses: int = 0, troubles: int = 0) -> Facts:
    """Return what counts; ``memory`` is None where nothing is known of earlier reports."""
    from logscan.rendering.summary import summarise

    return Facts(
        new=len(memory.new) if memory else 0,
        back=len(memory.back) if memory else 0,
        gone=len(memory.gone) if memory else 0,
        problems=summarise(report).problems,
        losses=losses,
        unread=sum(bool(each.error) for each in report.sources),
        troubles=troubles,
    )


def wanted(policy: Policy, facts: Facts, last: date | None, today: date) -> str | None:
    """Return why a mail is to be sent, as a sentence for it; None: none is.

    ``last`` is the day of the last mail; without one, and where it lies in the future (a clock that was put back), a mail is
    sent: it shows that mail works.
    """
    if policy == "always":
        return "Every report is mailed."
    reasons = _news(facts) if policy == "news" else _problems(facts)
    if reasons:
        return f"Mailed because of {policy}: {'; '.join(reasons)}."
    if last is None:
        return "The first mail: it shows that mail from here arrives."
    if last > today:
        return f"A sign of life: the last mail is dated {last}, which is still to come."
    if today - last >= WEEK:
        return f"A sign of life: no {policy} since the last mail on {last}."
    return None


def _news(facts: Facts) -> list[str]:
    kinds = ((facts.new, "new"), (facts.back, "back"), (facts.gone, "gone"))
    told = ", ".join(f"{count} {word}" for count, word in kinds if count)
    return [*([told] if told else []), *_own(facts)]


def _problems(facts: Facts) -> list[str]:
    return [*([plural(facts.problems, "problem")] if facts.problems else []), *_own(facts)]


def _own(facts: Facts) -> list[str]:
    """Return what went wrong with the reading and mailing itself: no policy is silent about that."""
    return [
        words
        for count, words in (
            (facts.losses, f"{plural(facts.losses, 'part')} of the log {'was' if facts.losses == 1 else 'were'} lost"),
            (facts.unread, f"{plural(facts.unread, 'source')} could not be read"),
            (facts.troubles, f"{plural(facts.troubles, 'trouble')} with mail or the state"),
        )
        if count
    ]


def mailed(day: date) -> bytes:
    """Return what the state keeps under the name :data:`BLOB`: the day of the last mail."""
    return day.isoformat().encode("ascii")


def last_mailed(kept: bytes | None) -> date | None:
    """Return the day of the last mail; None where none is known, so that one is sent."""
    try:
        return date.fromisoformat((kept or b"").decode("ascii"))
    except ValueError:
        return None


BLOB = "mail"
"""The name in the state's blobs."""
