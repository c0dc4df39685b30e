"""MailScanner: takes held mail out of Postfix's queue, judges it, and puts it into the incoming queue under a new ID.

Its number of a mail is Postfix's queue ID, a dot and a few digits that tell lives of one ID apart (Postfix.pm).
"""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import queue_id
from logscan.grammar.formats import LogFormat, Sample, rest, rx

_PROGRAMS = ("MailScanner", "mailscanner")
_NUMBER = queue_id("queue_id") + rx(r"(?:\.[0-9A-F]{4,6})?")
# The sender may hold what looks like the rest: the last place that MailScanner can have written counts.
_FROM = r"\) to [^ ]+ is (?:(?:not )?spam\b|whitelisted|too big)"
_HEAD = (
    "Message "
    + _NUMBER
    + " from "
    + rx("[0-9A-Fa-f.:]*")("client")
    + " ("
    + rx(rf"(?s:.*)(?={_FROM})")("sender")
    + rx(r"\) to [^ ]+ is ")
)


def _verdict(name: str, title: str, words: str, spam: bool, *reports: tuple[str, dict[str, str]]) -> LogFormat:
    """Return the format of a verdict that begins with ``words``, and then tells how it came about."""
    head = {"queue_id": "B441A5445E6", "client": "203.0.113.9", "sender": "ann@example.org"}
    line = _HEAD + rx(words)("result") + rx("[, ]*")
    report = rx(r"(?=(?s:.*)score=)") + pp.FollowedBy(
        rx(r"(?:(?!score=)(?s:.))*+score=")
        + rx(r"-?\d+(?:\.\d+)?")("score")
        + rx(", required ")
        + rx(r"-?\d+(?:\.\d+)?")("required")
    )
    return LogFormat(
        name=f"mailscanner-{name}",
        title=title,
        reference="MailScanner Message.pm, IsSpam()",
        programs=_PROGRAMS,
        table="verdicts",
        constants={"filter": "mailscanner", **({"spam": "true"} if spam else {})},
        line=line + pp.Opt(report) + rest()("text"),
        samples=tuple(
            Sample(
                f"Message B441A5445E6.A1B2C from 203.0.113.9 (ann@example.org) to example.com is {text}", head | fields
            )
            for text, fields in reports
        ),
        weight=50,
    )


SPAM = _verdict(
    "spam",
    "MailScanner takes a mail for spam",
    r"spam\b",
    True,
    (
        "spam, SpamAssassin (not cached, score=12.3, required 5, BAYES_99 3.50)",
        {
            "result": "spam",
            "score": "12.3",
            "required": "5",
            "text": "SpamAssassin (not cached, score=12.3, required 5, BAYES_99 3.50)",
        },
    ),
    ("spam (blacklisted)", {"result": "spam", "text": "(blacklisted)"}),
)
HAM = _verdict(
    "ham",
    "MailScanner takes a mail for clean, or doesn't look",
    r"not spam\b|whitelisted|too big for spam checks",
    False,
    (
        "not spam, SpamAssassin (score=-1.9, required 5, BAYES_00 -1.90)",
        {
            "result": "not spam",
            "score": "-1.9",
            "required": "5",
            "text": "SpamAssassin (score=-1.9, required 5, BAYES_00 -1.90)",
        },
    ),
    (
        "too big for spam checks (250001 > 200000 bytes)",
        {"result": "too big for spam checks", "text": "(250001 > 200000 bytes)"},
    ),
)

WHITELISTED = LogFormat(
    name="mailscanner-whitelisted",
    title="MailScanner doesn't look at a mail whose sender is known",
    reference="MailScanner Message.pm, IsSpam()",
    programs=_PROGRAMS,
    table="verdicts",
    constants={"filter": "mailscanner", "result": "whitelisted"},
    line="Message "
    + _NUMBER
    + " from "
    + rx("[0-9A-Fa-f.:]*")("client")
    + " ("
    + rx(r"(?s:.*)(?=\) (?:is whitelisted|ignored whitelist))")("sender")
    + rx(r"\) (?=is whitelisted|ignored whitelist)")
    + rest()("text"),
    samples=(
        Sample(
            "Message B441A5445E6.A1B2C from 203.0.113.9 (ann@example.org) is whitelisted",
            {
                "queue_id": "B441A5445E6",
                "client": "203.0.113.9",
                "sender": "ann@example.org",
                "text": "is whitelisted",
            },
        ),
    ),
    weight=45,
)

INFECTED = LogFormat(
    name="mailscanner-infected",
    title="MailScanner finds a virus",
    reference="MailScanner SweepViruses.pm, MergeReports()",
    programs=_PROGRAMS,
    table="verdicts",
    constants={"filter": "mailscanner", "result": "infected"},
    line="Infected message " + _NUMBER + " came from " + rx("[0-9A-Fa-f.:]*")("client"),
    samples=(
        Sample(
            "Infected message B441A5445E6.A1B2C came from 203.0.113.9",
            {"queue_id": "B441A5445E6", "client": "203.0.113.9"},
        ),
    ),
    weight=30,
)

REQUEUE = LogFormat(
    name="mailscanner-requeue",
    title="MailScanner puts a mail into the queue again, under a new ID",
    reference="MailScanner PFDiskStore.pm",
    programs=_PROGRAMS,
    table="requeues",
    constants={"action": "requeued"},
    line="Requeue: " + _NUMBER + " to " + queue_id("child_queue_id"),
    samples=(
        Sample(
            "Requeue: B441A5445E6.A1B2C to C27A85484F5",
            {"queue_id": "B441A5445E6", "child_queue_id": "C27A85484F5"},
        ),
    ),
    weight=60,
)

ACTIONS = LogFormat(
    name="mailscanner-actions",
    title="what MailScanner does with a mail: deliver, store, delete, forward ...",
    reference="MailScanner Message.pm, HandleHamAndSpam(), DeliverOrDelete()",
    programs=_PROGRAMS,
    table="milters",
    constants={"filter": "mailscanner"},
    line=rx("(?:[A-Za-z-]+ )*+Actions: message ")
    + _NUMBER
    + rx(" actions are ")
    + rx("[^ ]*")("result")
    + rest()("text"),
    samples=(
        Sample(
            "Spam Actions: message B441A5445E6.A1B2C actions are store,delete",
            {"queue_id": "B441A5445E6", "result": "store,delete", "text": ""},
        ),
    ),
    weight=30,
)

OTHER = LogFormat(
    name="mailscanner-other",
    title="MailScanner says something else of a mail, or finds something in it",
    reference="MailScanner Message.pm, SweepContent.pm, SweepOther.pm",
    programs=_PROGRAMS,
    table="milters",
    constants={"filter": "mailscanner"},
    line=rx(
        r"(?=(?s:.*)(?:[Mm]essages? [0-9A-Za-z]{6,}|\b[0-9A-F]{9,14}\.[0-9A-F]{4,6}\b|::INFECTED::|[Ff]ound (?!\d+ messages)"
        r"|Filename Checks: |Filetype Checks: |Delivered \d|[Rr]eject))"
    )
    + rest()("text"),
    samples=(
        Sample("Uninfected: Delivered 3 messages", {"text": "Uninfected: Delivered 3 messages"}),
        Sample(
            "Filename Checks: Windows/DOS Executable (B441A5445E6.A1B2C x.exe)",
            {"text": "Filename Checks: Windows/DOS Executable (B441A5445E6.A1B2C x.exe)"},
        ),
    ),
    weight=-5,
)

NOISE = LogFormat(
    name="mailscanner-noise",
    title="MailScanner's batches and processes",
    reference="MailScanner bin/MailScanner, Postfix.pm",
    programs=_PROGRAMS,
    table=None,
    line=rest(),
    samples=(
        Sample("New Batch: Scanning 1 messages, 2109 bytes"),
        Sample("MailScanner child dying of old age"),
    ),
    weight=-10,
)

FORMAT = (SPAM, HAM, WHITELISTED, INFECTED, REQUEUE, ACTIONS, OTHER, NOISE)
