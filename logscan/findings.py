"""What a check says: a verdict, its findings, and what proves and mends them. Plain values, no markup."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from logscan.settings import Settings

Verdict = Literal["found", "clear", "blind", "not-applicable"]
Severity = Literal["problem", "warning", "note"]
Confidence = Literal["high", "medium", "low"]
State = Literal["active", "mended", "residual", "suppressed"]

SEVERITIES: tuple[Severity, ...] = ("problem", "warning", "note")


@dataclass(frozen=True)
class Evidence:
    """One log line: the file's label, the line's number from 1, and the line itself."""

    source: str
    line: int
    text: str


@dataclass(frozen=True)
class Edit:
    """Replaces ``text[begin:end]`` of a configuration file."""

    file: str
    begin: int
    end: int
    text: str


Need = Literal["users", "empty-queue", "restart"]
"""What a change needs besides a reload: users told first, an empty queue, Postfix stopped and started."""


@dataclass(frozen=True)
class Remedy:
    """The change that mends a finding. ``diff`` is set only where it is safe to apply as printed.

    ``message`` is a text to send to the user whom the finding is about.
    """

    text: str
    file: str | None = None
    line: int | None = None
    diff: str | None = None
    message: str | None = None
    key: str = ""
    """The same for all findings that this change mends."""
    needs: tuple[Need, ...] = ()
    edits: tuple[Edit, ...] = field(default=(), compare=False, repr=False)
    """What the diff does; not part of a report."""
    again: Callable[[Settings], Remedy] | None = field(default=None, compare=False, repr=False)
    """Makes the same remedy for another state of the configuration; not part of a report."""
    absent: bool = False
    """Whether the configuration given doesn't show the fault, so that there is nothing to change in it."""


@dataclass(frozen=True)
class Prediction:
    """What the configuration says must happen; never changes a verdict."""

    cause: str
    subject: str
    text: str
    file: str | None = None
    line: int | None = None
    remedy: Remedy | None = None
    """The change after which the configuration no longer says so."""
    seen: bool = False
    """Whether the check found it in the log too: this cause, of this subject."""


class Place(NamedTuple):
    """A way out of this server that a finding is about: the life that was delivered, by how it came in, and where it went."""

    service: str
    program: str
    origin: str
    leg: str
    port: int
    """That a login came in by; 0 without one, or where nothing tells."""
    away: bool
    """The recipient is outside."""
    stopped: bool = False
    """The mail never came into the queue, so that no way leads out."""


@dataclass(frozen=True)
class Suppression:
    """Findings that the administrator knows of: one ``[[suppress]]`` of the settings file, or what ``logscan ack`` was told.

    ``*`` stands for anything, in the settings.
    """

    check: str
    reason: str
    subject: str = "*"
    cause: str = "*"
    until: date | None = None
    """The last day on which it holds; None: without an end."""
    by: str = ""
    """Who acknowledged the one finding with this subject and cause, which are no patterns then; empty: the settings file."""


@dataclass
class Finding:
    """One thing to act on: a user, an alias or a cause, with the single cases inside it."""

    cause: str
    subject: str
    summary: str
    severity: Severity
    confidence: Confidence
    count: int
    """Cases; what one case is, the check's page says."""
    cases: list[dict[str, Any]]
    first: datetime | None = None
    last: datetime | None = None
    state: State = "active"
    remedy: Remedy | None = None
    evidence: list[Evidence] = field(default_factory=list)
    why: str = ""
    """Why the configuration makes this happen, where it is known."""
    places: frozenset[Place] = frozenset()
    """From where the cases' mails were delivered, where that is what they are about: it marks the map; not part of a report."""
    check: str = ""
    """Name of the check, set when its result is taken in."""
    mails: int = 0
    """Mails that the cases are about, each counted once; 0 where they are about none."""
    recipients: int = 0
    """Recipients of these mails that the cases are about, each counted once a mail; 0 where they are about none."""
    suppressed: Suppression | None = None
    """By what it is, where its state is ``suppressed``: the administrator knows of it."""

    @property
    def id(self) -> str:
        """The same in each run for the same check, cause and subject: eight hex digits."""
        key = "\0".join((self.check, self.cause, self.subject))
        return hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()[:8]

    @property
    def counts(self) -> bool:
        """Whether this finding makes the verdict ``found``."""
        return self.severity != "note" and self.state == "active"


@dataclass
class Result:
    """A check's answer. ``eligible`` cases should have been looked at, ``checked`` could be."""

    checked: int = 0
    eligible: int = 0
    findings: list[Finding] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    blind_because: list[str] = field(default_factory=list)
    name: str = ""
    title: str = ""
    clear_title: str = ""
    """The sentence that is true of a clear check, its counts filled in."""
    notes: list[str] = field(default_factory=list)
    """What a reader of the report should know of this answer: bounds that were reached."""
    many: Mapping[str, str] = field(default_factory=dict, compare=False)
    """By cause, the sentence for several findings of it at once; ``{n}`` stands for how many."""
    not_applicable: str = ""
    """Why nothing of this kind can happen to this server, as one sentence; empty where it can."""

    @property
    def verdict(self) -> Verdict:
        """``found`` with an active problem or warning, else ``not-applicable``, ``blind`` without evidence, or ``clear``."""
        if any(finding.counts for finding in self.findings):
            return "found"
        if self.not_applicable:
            return "not-applicable"
        return "blind" if self.blind_because or not self.checked else "clear"


class Counted(int):
    """A count that brings its noun along: ``{checked:mail|mails}`` is "1 mail", "1,204 mails"; without one the number."""

    def __format__(self, nouns: str) -> str:
        """Return the number with commas, and the noun that fits."""
        one, _, many = nouns.partition("|")
        return f"{int(self):,}" + (f" {one if self == 1 else many or one}" if nouns else "")
