"""OpenDKIM: signatures made and verified."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import TELLS, queue_id, telling
from logscan.grammar.formats import LogFormat, Sample, rest, rx

_PROGRAMS = ("opendkim",)
_ID = queue_id("queue_id") + ": "


def _result(
    name: str, result: str, title: str, line: pp.ParserElement, samples: dict[str, dict[str, str]]
) -> LogFormat:
    """Return the format of one result."""
    return LogFormat(
        name=f"opendkim-{name}",
        title=title,
        reference="OpenDKIM opendkim/opendkim.c",
        programs=_PROGRAMS,
        table="milters",
        constants={"filter": "opendkim", "result": result},
        line=_ID + line,
        samples=tuple(
            Sample(f"4dhRlh0sf8z9HdB: {text}", {"queue_id": "4dhRlh0sf8z9HdB"} | fields)
            for text, fields in samples.items()
        ),
        weight=20,
    )


def _event(event: str, title: str, words: str, *texts: str) -> LogFormat:
    return LogFormat(
        name=f"opendkim-{event}",
        title=title,
        reference="OpenDKIM opendkim/opendkim.c, main()",
        programs=_PROGRAMS,
        table="service_events",
        constants={"event": event},
        line=rx(words)("text"),
        samples=tuple(Sample(each, {"text": each}) for each in texts),
    )


OTHER = LogFormat(
    name="opendkim-mail-other",
    title="OpenDKIM says something else of a mail",
    reference="OpenDKIM opendkim/opendkim.c",
    programs=_PROGRAMS,
    table="milters",
    constants={"filter": "opendkim"},
    line=_ID + rest()("text"),
    samples=(
        Sample(
            "B441A5445E6: mail.example.org [203.0.113.26] not internal",
            {"queue_id": "B441A5445E6", "text": "mail.example.org [203.0.113.26] not internal"},
        ),
        Sample("B441A5445E6: not authenticated", {"queue_id": "B441A5445E6", "text": "not authenticated"}),
    ),
    weight=-5,
)

MENTION = LogFormat(
    name="opendkim-mention",
    title="OpenDKIM speaks of a mail, or refuses one",
    reference="OpenDKIM opendkim/opendkim.c",
    programs=_PROGRAMS,
    table="milters",
    constants={"filter": "opendkim"},
    line=telling()("text"),
    samples=tuple(
        Sample(each, {"text": each}) for each in ("can't parse From: header value `x'; message-id=<a@example.org>",)
    ),
    weight=-9,
)

NOISE = LogFormat(
    name="opendkim-other",
    title="other lines of OpenDKIM",
    reference="OpenDKIM opendkim/opendkim.c",
    programs=_PROGRAMS,
    table=None,
    line=rx(rf"(?!(?s:.*){TELLS})") + rest(),
    samples=(Sample("unknown-jobid: x"), Sample("configuration reloaded from /etc/opendkim.conf")),
    weight=-10,
)

FORMAT = (
    MENTION,
    _result(
        "signed",
        "signed",
        "a mail is signed",
        rx(r"\"?DKIM-Signature\"? (?:field|header) added")
        + pp.Opt(rx(r" \(s=[^,]*, d=") + rx("[^)]*")("domain") + ")"),
        {
            "DKIM-Signature field added (s=mail, d=example.com)": {"domain": "example.com"},
            "DKIM-Signature header added": {},
        },
    ),
    _result(
        "pass",
        "pass",
        "a signature is good",
        rx("DKIM verification successful")("text"),
        {"DKIM verification successful": {"text": "DKIM verification successful"}},
    ),
    _result(
        "none",
        "none",
        "a mail has no signature",
        rx("no signature data")("text"),
        {"no signature data": {"text": "no signature data"}},
    ),
    _result(
        "unsigned",
        "unsigned",
        "no key fits the sender of a mail that should have been signed",
        rx("(?:no signing (?:table|domain) match for '|no signing keylist)(?s:.*)")("text"),
        {"no signing table match for 'a@example.com'": {"text": "no signing table match for 'a@example.com'"}},
    ),
    _result(
        "mismatch",
        "fail",
        "a signature doesn't fit its mail",
        rx("s=[^ ]* d=") + rx("[^ ]*")("domain") + " " + rx("(?:a=[^ ]* )?SSL [^ ](?s:.*)")("text"),
        {
            "s=mail d=example.org SSL error:04091068:rsa routines": {
                "domain": "example.org",
                "text": "SSL error:04091068:rsa routines",
            }
        },
    ),
    _result(
        "bad",
        "fail",
        "a signature is bad",
        rx("(?:bad signature data|signature verification failed)(?s:.*)")("text"),
        {"bad signature data": {"text": "bad signature data"}},
    ),
    _result(
        "temperror",
        "temperror",
        "the key of a signature can't be had",
        rx(r"key retrieval failed \(s=[^,]*, d=") + rx("[^)]*")("domain") + ")" + rest()("text"),
        {
            "key retrieval failed (s=mail, d=example.org): 'mail._domainkey.example.org' query timed out": {
                "domain": "example.org",
                "text": ": 'mail._domainkey.example.org' query timed out",
            }
        },
    ),
    LogFormat(
        name="opendkim-signature-seen",
        title="OpenDKIM has looked at a signature and found no fault with it",
        reference="OpenDKIM opendkim/opendkim.c, dkimf_log_ssl_errors() with an empty error text",
        programs=_PROGRAMS,
        table="milters",
        constants={"filter": "opendkim"},
        line=_ID + rx("s=[^ ]* d=") + rx("[^ ]*")("domain") + rx(r"(?: a=[^ ]*)? SSL ?\Z"),
        samples=(
            Sample("B441A5445E6: s=mail d=example.org SSL ", {"queue_id": "B441A5445E6", "domain": "example.org"}),
            Sample(
                "B441A5445E6: s=mail d=example.org a=rsa-sha256 SSL",
                {"queue_id": "B441A5445E6", "domain": "example.org"},
            ),
        ),
        weight=10,
    ),
    LogFormat(
        name="opendkim-signature",
        title="the result of one signature",
        reference="OpenDKIM opendkim/opendkim.c, LogResults",
        programs=_PROGRAMS,
        table="milters",
        constants={"filter": "opendkim"},
        line=_ID
        + rx("signature=[^ ]* domain=")
        + rx("[^ ]*")("domain")
        + rx(' selector=[^ ]* result="')
        + rx('[^"]*')("result")
        + '"'
        + rest(),
        samples=(
            Sample(
                'B441A5445E6: signature=AbCd domain=example.org selector=mail result="no error"',
                {"queue_id": "B441A5445E6", "domain": "example.org", "result": "no error"},
            ),
        ),
        weight=10,
    ),
    _event(
        "start",
        "OpenDKIM starts",
        "OpenDKIM Filter v[^ ]* starting(?s:.*)",
        "OpenDKIM Filter v2.11.0 starting (args: -f)",
    ),
    _event(
        "stop",
        "OpenDKIM stops",
        "OpenDKIM Filter v[^ ]* terminating(?s:.*)",
        "OpenDKIM Filter v2.11.0 terminating with status 0, errno = 0",
    ),
    OTHER,
    NOISE,
)
