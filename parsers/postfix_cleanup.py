"""Postfix cleanup: the Message-ID, what header, body and milter checks did, transactions given up."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import address, client, context, queue_id
from logscan.grammar.formats import LogFormat, Sample, rest, rx

MESSAGE_ID = LogFormat(
    name="postfix-message-id",
    title="cleanup sees the Message-ID",
    reference="Postfix cleanup/cleanup_message.c, cleanup_header_callback()",
    programs=("/cleanup",),
    table="message_ids",
    line=queue_id("queue_id") + ": " + pp.Opt(rx("resent-")("resent")) + "message-id=" + rest()("message_id"),
    samples=(
        Sample(
            "B441A5445E6: message-id=<00001.0a817f6e23@example.org>",
            {"queue_id": "B441A5445E6", "message_id": "<00001.0a817f6e23@example.org>"},
        ),
        Sample("B441A5445E6: message-id=<>", {"queue_id": "B441A5445E6", "message_id": "<>"}),
        Sample(
            "4dhRlh0sf8z9HdB: resent-message-id=no brackets? at all",
            {"queue_id": "4dhRlh0sf8z9HdB", "resent": "resent-", "message_id": "no brackets? at all"},
        ),
    ),
    weight=100,
)

_FROM = r" from (?:[^ \[;]+\[[^\]]+\](?::\d+)?|local); (?:from=<|to=<|proto=)"
CHECK = LogFormat(
    name="postfix-header-check",
    title="a header or body check acts on a mail",
    reference="Postfix cleanup/cleanup_message.c, cleanup_act_log(); smtp/smtp_proto.c for smtp_header_checks",
    programs=("/cleanup", "/smtp", "/lmtp"),
    table="rejects",
    line=queue_id("queue_id")
    + ": "
    + rx("milter-(?:header|body)-[a-z]+|[a-z]+(?=: (?:mime-)?(?:header|body|content|error) )")("action")
    + ": "
    + rx("mime-error|header|body|content")("stage")
    + " "
    # The line quoted is a stranger's, and so are the addresses behind it: only one place can be Postfix's own context.
    + rx(
        rf"(?!(?s:.*){_FROM}(?s:.*){_FROM})(?s:.*)(?={_FROM})|(?!(?s:.*){_FROM})(?s:.*)(?= from [^ ]+;\Z)"
        rf"|(?s:.*)"
    )("text")
    + pp.Opt(
        " from "
        + rx(r"[^ \[;]+")("client")
        + pp.Opt("[" + rx(r"[^\]]+")("client_address") + "]" + pp.Opt(rx(r":\d+")))
        + ";"
        + pp.Opt(" from=<" + address(" (?:to=<|proto=|helo=<|sasl_)", ": ", r"\Z")("sender") + ">")
        + pp.Opt(" to=<" + address(" (?:proto=|helo=<|sasl_)", ": ", r"\Z")("recipient") + ">")
        + pp.Opt(" proto=" + rx("[^ :]+")("proto"))
        + pp.Opt(" helo=<" + address(": ", r"\Z")("helo") + ">")
        + pp.Opt(": " + rest())
    ),
    samples=(
        Sample(
            "B441A5445E6: warning: header Subject: x from y; from=<z> from mail.example.org[203.0.113.26];"
            " from=<sam@example.org> to=<alice@example.com> proto=ESMTP helo=<h>: looks odd",
            {
                "queue_id": "B441A5445E6",
                "action": "warning",
                "stage": "header",
                "text": "Subject: x from y; from=<z>",
                "client": "mail.example.org",
                "client_address": "203.0.113.26",
                "sender": "sam@example.org",
                "recipient": "alice@example.com",
                "proto": "ESMTP",
                "helo": "h",
            },
        ),
        Sample(
            "B441A5445E6: reject: mime-error improper use of 8-bit data in message header: x from local; from=<a>"
            " to=<b>",
            {
                "queue_id": "B441A5445E6",
                "action": "reject",
                "stage": "mime-error",
                "text": "improper use of 8-bit data in message header: x",
                "client": "local",
                "sender": "a",
                "recipient": "b",
            },
        ),
        Sample(
            "B441A5445E6: milter-header-hold: header X-Spam: yes from unknown[203.0.113.9]:4711;",
            {
                "queue_id": "B441A5445E6",
                "action": "milter-header-hold",
                "stage": "header",
                "text": "X-Spam: yes",
                "client": "unknown",
                "client_address": "203.0.113.9",
            },
        ),
        Sample(
            "B441A5445E6: replace: header Received: from localhost: Received: by nobody",
            {
                "queue_id": "B441A5445E6",
                "action": "replace",
                "stage": "header",
                "text": "Received: from localhost: Received: by nobody",
            },
        ),
    ),
    weight=40,
)

_MILTER_PLAIN, _MILTER_ODD = context(
    queue_id("queue_id")
    + ": "
    + rx("milter-(?:reject|hold|discard)")("action")
    + ": "
    + rx("[A-Z][A-Z-]*")("stage")
    + " from "
    + client()
    + ": "
    + pp.Opt(rx(r"[245]\.\d{1,3}\.\d{1,3}(?= )")("dsn") + " ")
)
MILTER = LogFormat(
    name="postfix-cleanup-milter",
    title="a milter refuses, holds or discards a mail at its end",
    reference="Postfix cleanup/cleanup_milter.c, cleanup_milter_apply()",
    programs=("/cleanup",),
    table="rejects",
    line=_MILTER_PLAIN,
    samples=(
        Sample(
            "B441A5445E6: milter-reject: END-OF-MESSAGE from mail.example.org[203.0.113.26]: 5.7.1 Spam message"
            " rejected;"
            " from=<sam@example.org> to=<dave@example.com> proto=ESMTP helo=<mail.example.org>",
            {
                "queue_id": "B441A5445E6",
                "action": "milter-reject",
                "stage": "END-OF-MESSAGE",
                "client": "mail.example.org",
                "client_address": "203.0.113.26",
                "dsn": "5.7.1",
                "text": "Spam message rejected",
                "sender": "sam@example.org",
                "recipient": "dave@example.com",
                "proto": "ESMTP",
                "helo": "mail.example.org",
            },
        ),
        Sample(
            "B441A5445E6: milter-discard: END-OF-MESSAGE from localhost[127.0.0.1]:4711: milter triggers DISCARD"
            " action;",
            {
                "queue_id": "B441A5445E6",
                "action": "milter-discard",
                "stage": "END-OF-MESSAGE",
                "client": "localhost",
                "client_address": "127.0.0.1",
                "text": "milter triggers DISCARD action",
            },
        ),
    ),
    weight=50,
)

MILTER_ODD = LogFormat(
    name="postfix-cleanup-milter-odd",
    title="by a stranger's words: a milter refuses, holds or discards a mail at its end",
    reference="Postfix cleanup/cleanup_milter.c, cleanup_milter_apply()",
    programs=("/cleanup",),
    table="rejects",
    line=_MILTER_ODD,
    samples=(
        *(
            Sample(
                f"B441A5445E6: milter-reject: END-OF-MESSAGE from unknown[203.0.113.9]: {text}; from=<{sender}>"
                f" to=<b@example.com> proto=ESMTP helo=<{helo}>",
                {
                    "queue_id": "B441A5445E6",
                    "action": "milter-reject",
                    "stage": "END-OF-MESSAGE",
                    "client": "unknown",
                    "client_address": "203.0.113.9",
                    **fields,
                },
            )
            for text, sender, helo, fields in (
                (
                    "no",
                    '"; from=<x> to=<y>"@example.org',
                    "h",
                    {
                        "text": "no",
                        "sender": '"; from=<x> to=<y>"@example.org',
                        "recipient": "b@example.com",
                        "proto": "ESMTP",
                        "helo": "h",
                    },
                ),
                (
                    "no; from=<x> to=<y>",
                    "a@b",
                    "h",
                    {
                        "text": "no; from=<x> to=<y>",
                        "sender": "a@b",
                        "recipient": "b@example.com",
                        "proto": "ESMTP",
                        "helo": "h",
                    },
                ),
                (
                    "no",
                    "a@b",
                    "x; from=<y> to=<z>",
                    {"text": "no; from=<a@b> to=<b@example.com> proto=ESMTP helo=<x; from=<y> to=<z>>"},
                ),
            )
        ),
    ),
    weight=-1,
)

REMOVED = LogFormat(
    name="postfix-cleanup-removed",
    title="cleanup throws a mail away (since Postfix 3.10)",
    reference="Postfix cleanup/cleanup_api.c, cleanup_flush()",
    programs=("/cleanup",),
    table="removals",
    line=queue_id("queue_id") + ": removed (" + rx("canceled|discarded")("reason") + ")",
    samples=(
        Sample("B441A5445E6: removed (canceled)", {"queue_id": "B441A5445E6", "reason": "canceled"}),
        Sample("B441A5445E6: removed (discarded)", {"queue_id": "B441A5445E6", "reason": "discarded"}),
    ),
    weight=60,
)

FORMAT = (MESSAGE_ID, CHECK, MILTER, MILTER_ODD, REMOVED)
