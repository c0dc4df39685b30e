"""The report as data: what every renderer places, with no markup in it. Strings are as hostile as the log they are from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

from logscan.findings import Finding, Prediction, Result
from logscan.plans import Plan
from logscan.report.memory import Memory

SCHEMA = 2
"""Version of the JSON page of the contract."""


@dataclass(frozen=True)
class Period:
    """When the lines were written: aware datetimes in the server's zone; None when nothing had a time."""

    first: datetime | None
    last: datetime | None
    year_inferred: bool = False
    zone: str = "UTC"
    """How times are shown: a zone's name or an offset."""
    zone_inferred: bool = False
    notes: tuple[str, ...] = ()
    """How year and zone were found, in sentences."""


@dataclass(frozen=True)
class SourceCount:
    """One file: its kind (syslog-bsd, syslog-iso, dspam-system-log ...) and what became of its lines."""

    path: str
    kind: str
    lines: int
    understood: int
    noise: int
    unknown: int
    undecodable: int
    copies: int = 0
    """Lines read already from another source."""
    error: str = ""
    """Why it could not be read (to its end)."""


@dataclass(frozen=True)
class Unknown:
    """Lines nobody knows, by template (numbers and names folded), with one example."""

    program: str
    template: str
    count: int
    source: str
    line: int
    text: str


@dataclass(frozen=True)
class ProgramCount:
    """How much of a program's lines was recognised."""

    program: str
    understood: int
    noise: int
    unknown: int


@dataclass(frozen=True)
class Series:
    """Counts along :attr:`Traffic.hours`, one name for each line or band of a chart."""

    name: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class Listing:
    """A table of the traffic part: title, column heads, rows of str, int or float; ``help`` says how to read it."""

    key: str
    title: str
    help: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    total: int = 0
    """Rows there were before the list was cut."""
    part: str = "traffic"
    """``waiting`` for what mail waited for (outages, deferrals, delays), which stands apart."""


@dataclass(frozen=True)
class Traffic:
    """The charts' and tables' data. ``hours`` are aware datetimes, one a bucket of ``step`` minutes."""

    hours: tuple[datetime, ...] = ()
    step: int = 60
    by_direction: tuple[Series, ...] = ()
    """Mails by direction: inbound, outbound, internal, forwarded, generated."""
    tagged: tuple[Series, ...] = ()
    """Verdicts per recipient: tagged, untagged, no verdict."""
    tagged_by_origin: tuple[tuple[str, int, int], ...] = ()
    """(origin: from outside, authenticated, local script ..., tagged, untagged), per recipient."""
    findings: tuple[Series, ...] = ()
    """Cases over time, one series a check that found something."""
    put_off: tuple[Series, ...] = ()
    """Attempts put off over time, by what kept the mail: the filter, hosts elsewhere, this server."""
    listings: tuple[Listing, ...] = ()


@dataclass(frozen=True)
class FlowNode:
    """A place mail passes.

    ``kind``: source, generator, listener, filter, reinjection, forward, or where a way ends: store, outside, waiting,
    bounced, expired, held, discarded, refused, open (the log doesn't tell).
    """

    key: str
    label: str
    kind: str
    detail: str = ""


@dataclass(frozen=True)
class FlowEdge:
    """Mail that went from one node to another; ``problem`` holds the ids of the findings that mark it wrong."""

    source: str
    target: str
    count: int
    """Recipients, as they are at the end of their way (after aliases): what goes into a place also leaves it."""
    label: str = ""
    problem: tuple[str, ...] = ()
    mails: int = 0
    """Mails that these recipients belong to, each counted once; 0 where that isn't known (refused before the queue)."""


@dataclass(frozen=True)
class Flow:
    """The way mail really takes through this server, drawn from the logs: from sources to ends, one unit throughout."""

    nodes: tuple[FlowNode, ...] = ()
    edges: tuple[FlowEdge, ...] = ()


@dataclass
class Report:
    """Everything a renderer shows."""

    version: str
    generated: datetime
    period: Period
    hosts: list[str]
    sources: list[SourceCount]
    unknown: list[Unknown]
    mails: dict[str, int]
    checks: list[Result]
    traffic: Traffic = field(default_factory=Traffic)
    flow: Flow = field(default_factory=Flow)
    programs: list[ProgramCount] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What the reader should know: copies skipped, files passed over, a configuration that disagrees ..."""
    concerns: list[str] = field(default_factory=list)
    """What went wrong by the numbers and no check judges, in short sentences: with one of them nothing is all clear."""
    paths: dict[str, list[str]] = field(default_factory=dict)
    """A mail's whole way in lines of text, by queue ID, for the mails named in cases."""

    open_recipients: dict[str, int] = field(default_factory=dict)
    """Of the daily run: the recipients of mails still open, by their last status; these mails count when they are closed."""

    audit: bool = False
    """Whether there was no log at all, so that the configuration alone speaks."""
    configuration: list[tuple[str, str]] = field(default_factory=list)
    """The configuration files that were read, each with the kind it was recognised as."""

    plan: Plan | None = None
    """The one change that holds all diffs of the findings; None where there is no diff."""

    memory: Memory | None = None
    """What earlier reports had; None where nothing is remembered."""

    @property
    def findings(self) -> pd.DataFrame:
        """One row per finding: check, id, severity, confidence, state, cause, subject, summary, count, mails, recipients ..."""
        import pandas as pd

        names = (
            "check",
            "id",
            "severity",
            "confidence",
            "state",
            "cause",
            "subject",
            "summary",
            "count",
            "mails",
            "recipients",
            "first",
            "last",
        )
        rows = [[getattr(finding, name) for name in names] for finding in self.found]
        return pd.DataFrame(rows, columns=list(names))

    @property
    def predictions(self) -> list[tuple[Result, Prediction]]:
        """What the configuration says must happen, each with its check."""
        return [(check, each) for check in self.checks for each in check.predictions]

    @property
    def found(self) -> list[Finding]:
        """All findings, the checks' order kept."""
        return [finding for check in self.checks for finding in check.findings]
