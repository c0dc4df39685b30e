"""What is known of earlier reports, beside what this one says: new, back, gone, the same; the past of figures. Plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Literal

from logscan.findings import Finding, Severity

Status = Literal["new", "back", "same"]


@dataclass(frozen=True)
class Known:
    """What is known of a finding that stands in the report."""

    status: Status
    since: date | None = None
    """The day after which no report was without knowing of it; None where it is new."""
    reports: int = 1
    """Reports since then, this one among them."""
    seen: date | None = None
    """The day of its last case before this report; None where it is new, or no case had a time."""
    acknowledged: bool = False
    comes_and_goes: bool = False
    """Whether it was gone before, and came back."""


@dataclass(frozen=True)
class Former:
    """A finding of earlier reports that this one doesn't have."""

    id: str
    check: str
    cause: str
    subject: str
    severity: Severity
    summary: str
    """As the last report with it had it."""
    since: date | None
    last: date | None
    """The day of its last case."""
    mended: bool = False
    """Whether this report shows that the same situation went right since."""

    def finding(self) -> Finding:
        """Return it as a finding without cases."""
        return Finding(self.cause, self.subject, self.summary, self.severity, "high", 0, [], check=self.check)


@dataclass(frozen=True)
class Past:
    """A figure beside its own past."""

    name: str
    today: float
    median: float
    low: float
    high: float
    """From ``low`` to ``high`` it usually lies."""
    days: int
    """Days of the past that it is compared with."""
    weekday: bool
    """Whether these are days of the same weekday."""
    odd: bool
    """Whether today's lies far outside."""


@dataclass(frozen=True)
class Memory:
    """A report beside the earlier ones of the same state. Ids are :attr:`logscan.findings.Finding.id`.

    Each finding that would count is in one of ``new``, ``back`` and ``same``; what is acknowledged is in ``same``.
    """

    run: int
    """The run's number, from 1."""
    day: date
    """The report's day, in the server's zone."""
    first: bool = False
    """Whether there is no earlier report to compare with: then nothing is called new in words."""
    new: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()
    """Those that the administrator knows of, by ``logscan ack`` or by the settings file."""
    known: Mapping[str, Known] = field(default_factory=dict)
    """By id, of all in ``new``, ``back`` and ``same``."""
    gone: tuple[Former, ...] = ()
    """Looked for, and no longer found."""
    paused: tuple[Former, ...] = ()
    """Those that come and go and aren't there this time, too short to be called gone."""
    unseen: tuple[Former, ...] = ()
    """Those whose check is blind this time: neither gone nor the same."""
    since: datetime | None = None
    until: datetime | None = None
    """The first and the last line of the run."""
    previous: datetime | None = None
    """When the run before ended; None where there was none, or nobody said."""
    days: tuple[date, ...] = ()
    """The days of the strip, this report's last."""
    strip: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    """By check, the verdict of each of the days; None where there was no report."""
    past: Mapping[str, Past] = field(default_factory=dict)
    """By the figure's name; only those with enough of a past."""

    @property
    def news(self) -> bool:
        """Whether anything is new, back or gone; the first report of a state is news where it found something."""
        return bool(self.new or self.back or self.gone)

    @property
    def quiet(self) -> int:
        """Days since the run before this one, 0 where it isn't known."""
        if self.previous is None:
            return 0
        return max(0, (self.day - self.previous.date()).days)

    def renamed(self, names: Mapping[str, str]) -> Memory:
        """Return the same with other ids, as of a report in which names are replaced; an id without another stays."""

        def other(ids: Iterable[str]) -> tuple[str, ...]:
            return tuple(names.get(each, each) for each in ids)

        return replace(
            self,
            new=other(self.new),
            back=other(self.back),
            same=other(self.same),
            acknowledged=other(self.acknowledged),
            known={names.get(each, each): known for each, known in self.known.items()},
        )
