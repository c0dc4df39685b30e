"""Filters that no format knows by name: a line that says that a mail was kept back, and which.

Filters that a site wrote itself, and small proxies, log what they keep in words of their own; those that name the Message-ID
are understood by any program's name. What is behind the words is the filter's business.
"""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.formats import LogFormat, Sample, rest, rx

_KEPT = r"[Qq](?:uarantin|UARANTIN)"
_THROWN = r"[Dd](?:iscard|ISCARD)|[Bb](?:lackhol|LACKHOL)"
_ID = r"(?:[Mm](?:sg|essage)[-_]?[Ii][Dd]|\bmid)[=:] ?<"
# No "<" before the word, or none behind it: what a stranger wrote stands in angle brackets.
_WORDS = rf"(?:(?!{_KEPT}|{_THROWN})[^<>])*+"
_TO = r"(?:\bto|\brcpts?|\brecipients?)[=:] ?<"


def _up_to(what: str) -> str:
    return rf"(?:(?!{what})(?s:.))*+{what}"


def _kept(name: str, title: str, word: str, status: str, *samples: Sample) -> LogFormat:
    """Return the format of lines that name the mail's Message-ID, and perhaps its recipients, behind ``word`` or before it.

    What stands there twice may be a stranger's: then it isn't read.
    """
    said = rx(rf"(?:{word})[A-Za-z]*")("result")
    identity = rx(_up_to(_ID)) + rx(r"[^<> ]*")("message_id") + rx(rf"(?!{_up_to(_ID)})")
    recipients = (
        rx(rf"(?:(?!{_ID}|{_TO})(?s:.))*+{_TO}")
        + rx(r"[^<> ]*(?:>, ?<[^<> ]*)*+")("recipients")
        + rx(rf"(?!{_up_to(_TO)})")
    )
    return LogFormat(
        name=f"other-filter-{name}",
        title=title,
        reference="no one program's: a word for it, Message-ID, recipient, as content filters log them",
        programs=("",),
        table="verdicts",
        constants={"filter": "other", "status": status},
        line=(rx(_WORDS) + said + pp.Opt(recipients) + identity + rest())
        | (identity + rx(rf">{_WORDS}") + said + rx(r"[^<>]*\Z")),
        samples=samples,
    )


FORMAT = (
    _kept(
        "quarantine",
        "a filter lays a mail aside",
        _KEPT,
        "Quarantined",
        Sample(
            "485b08fd: quarantined as /var/spool/q/485b08fd.eml, from=<a@example.org>, to=<b@example.com>, msgid=<x@example.org>",
            {"result": "quarantined", "recipients": "b@example.com", "message_id": "x@example.org"},
        ),
        Sample(
            "<a@example.org> -> <b@example.com>, msgid=<x@example.org> (quarantine)",
            {"result": "quarantine", "message_id": "x@example.org"},
        ),
        Sample(
            "mail quarantined, message-id=<x@example.org>", {"result": "quarantined", "message_id": "x@example.org"}
        ),
    ),
    _kept(
        "discard",
        "a filter throws a mail away",
        _THROWN,
        "Discarded",
        Sample(
            "discarding (virus) rcpt: <b@example.com>,<c@example.com> Message-ID: <x@example.org> size=1200",
            {"result": "discarding", "recipients": "b@example.com>,<c@example.com", "message_id": "x@example.org"},
        ),
        Sample(
            "7f: from=<a@example.org> to=<b@example.com> mid=<x@example.org>: discarded, virus",
            {"result": "discarded", "message_id": "x@example.org"},
        ),
    ),
)
