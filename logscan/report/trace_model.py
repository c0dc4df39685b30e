"""The way of a mail as data: its lives, the attempts to deliver it, what filters said."""

from __future__ import annotations

from dataclasses import dataclass, field

from logscan.findings import Evidence
from logscan.report.refusals import Refusal

TAKEN_OUT = "MailScanner took it out of the queue"
"""It is on hold no longer, though no line of Postfix tells."""


@dataclass(frozen=True)
class Attempt:
    """One attempt for one recipient. ``status`` is Postfix', ``outcome`` says in words what it was."""

    time: str | None
    recipient: str
    original_recipient: str | None
    relay: str
    status: str
    outcome: str
    reply: str | None
    delay: float | None
    mailbox: str | None
    folder: str | None
    spam: bool | None
    signature: str | None
    meaning: str | None = None
    """What a reply that refuses or puts off means, in plain words; where that was asked for."""


@dataclass(frozen=True)
class Judgement:
    """A filter's verdict. ``detail`` holds its symbols, tests or actions, where it tells them."""

    time: str | None
    filter: str
    result: str
    spam: bool | None
    score: float | None
    required: float | None
    detail: str | None


@dataclass
class Life:
    """One life of a queue ID within a mail; ``depth`` counts the legs before it."""

    host: str
    queue_id: str
    depth: int
    leg: str
    known_by: str
    confidence: str
    opened: str | None
    opened_by: str
    client: str
    sender: str | None
    message_id: str | None
    size: int | None
    removed: bool
    ending: str = ""
    """How it ended (see the column of the same name in ``entries``)."""
    events: list[str] = field(default_factory=list)
    """What was done to it beside deliveries: held, discarded, refused at its end, expired, requeued."""
    verdicts: list[Judgement] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    lines: list[Evidence] = field(default_factory=list)


@dataclass
class Trace:
    """A mail: what it is in one line, and its lives in the order of the legs; or, without lives, what was only refused."""

    direction: str
    origin: str
    labels: list[str]
    lives: list[Life]
    refusals: list[Refusal] = field(default_factory=list)
