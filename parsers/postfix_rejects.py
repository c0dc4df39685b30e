"""Postfix smtpd: commands that are refused, held, discarded or redirected, and what a before-queue filter said."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import client, context, queue_id_or_none
from logscan.grammar.formats import LogFormat, Sample, rx, word

_REJECT_PLAIN, _REJECT_ODD = context(
    pp.Opt(queue_id_or_none("queue_id") + ": ")
    + rx("(?:milter-)?(?:reject_warning|reject|hold|discard)|permit|hangup|info|warn|filter|redirect|bcc|delay|defer")(
        "action"
    )
    + ": "
    + rx(r"[A-Za-z](?:(?! from )[A-Za-z -])*+")("stage")
    + " from "
    + client()
    + ": "
    + pp.Opt(rx(r"[245]\d\d(?= )")("code") + " ")
    + pp.Opt(rx(r"[245]\.\d{1,3}\.\d{1,3}(?= )")("dsn") + " ")
)
REJECT = LogFormat(
    name="postfix-reject",
    title="smtpd or a milter refuses, holds, discards or redirects",
    reference="Postfix smtpd/smtpd_check.c, log_whatsup(); smtpd/smtpd.c, check_milter_reply()",
    programs=("/smtpd",),
    table="rejects",
    # Before Postfix 2.0 without a queue ID.
    line=_REJECT_PLAIN,
    samples=(
        Sample(
            "NOQUEUE: reject: RCPT from mail.example.net[203.0.113.25]: 550 5.1.1 <nobody@example.com>: Recipient"
            " address"
            " rejected: User unknown in virtual mailbox table; from=<peter@example.net> to=<nobody@example.com>"
            " proto=ESMTP"
            " helo=<mail.example.net>",
            {
                "queue_id": "NOQUEUE",
                "action": "reject",
                "stage": "RCPT",
                "client": "mail.example.net",
                "client_address": "203.0.113.25",
                "code": "550",
                "dsn": "5.1.1",
                "text": "<nobody@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
                "sender": "peter@example.net",
                "recipient": "nobody@example.com",
                "proto": "ESMTP",
                "helo": "mail.example.net",
            },
        ),
        Sample(
            "6910F54E46C: milter-hold: END-OF-MESSAGE from unknown[203.0.113.9]: milter triggers HOLD action; from=<>"
            ' to=<"a> to=<b"@example.com> proto=ESMTP helo=<h> sasl_method=PLAIN sasl_username=al ice sasl_sender=x',
            {
                "queue_id": "6910F54E46C",
                "action": "milter-hold",
                "stage": "END-OF-MESSAGE",
                "client": "unknown",
                "client_address": "203.0.113.9",
                "text": "milter triggers HOLD action",
                "sender": "",
                "recipient": '"a> to=<b"@example.com',
                "proto": "ESMTP",
                "helo": "h",
                "sasl_username": "al ice",
            },
        ),
        Sample(
            "NOQUEUE: reject: CONNECT from unknown[203.0.113.9]: 554 5.7.1 Service unavailable; Client host"
            " [203.0.113.9]"
            " blocked using bl.example; see https://bl.example/?q=1;2; proto=SMTP",
            {
                "queue_id": "NOQUEUE",
                "action": "reject",
                "stage": "CONNECT",
                "client": "unknown",
                "client_address": "203.0.113.9",
                "code": "554",
                "dsn": "5.7.1",
                "text": "Service unavailable; Client host [203.0.113.9] blocked using bl.example; see"
                " https://bl.example/?q=1;2",
                "proto": "SMTP",
            },
        ),
        Sample(
            "9277A566187: reject: DATA content from mx[203.0.113.9]: 421 4.3.0 mx1.example.com Server local data error",
            {
                "queue_id": "9277A566187",
                "action": "reject",
                "stage": "DATA content",
                "client": "mx",
                "client_address": "203.0.113.9",
                "code": "421",
                "dsn": "4.3.0",
                "text": "mx1.example.com Server local data error",
            },
        ),
        Sample(
            "NOQUEUE: filter: RCPT from unknown[203.0.113.9]: <x@example.com>: Recipient address triggers FILTER"
            " smtp:[127.0.0.1]:10024; from=<a@example.org> to=<x@example.com> proto=ESMTP helo=<h>",
            {
                "queue_id": "NOQUEUE",
                "action": "filter",
                "stage": "RCPT",
                "client": "unknown",
                "client_address": "203.0.113.9",
                "text": "<x@example.com>: Recipient address triggers FILTER smtp:[127.0.0.1]:10024",
                "sender": "a@example.org",
                "recipient": "x@example.com",
                "proto": "ESMTP",
                "helo": "h",
            },
        ),
    ),
    weight=80,
)

REJECT_ODD = LogFormat(
    name="postfix-reject-odd",
    title="by a stranger's words: smtpd or a milter refuses, holds, discards or redirects",
    reference="Postfix smtpd/smtpd_check.c, log_whatsup(); smtpd/smtpd.c, check_milter_reply()",
    programs=("/smtpd",),
    table="rejects",
    # Before Postfix 2.0 without a queue ID.
    line=_REJECT_ODD,
    samples=(
        # Addresses of a stranger: what they say is no context; a HELO name that could be one leaves it open.
        Sample(
            "NOQUEUE: reject: RCPT from unknown[203.0.113.9]: 554 5.7.1 <h>: Helo command rejected: no;"
            ' from=<"; from=<x> to=<y> proto=SMTP helo=<z>"@example.org> to=<b@example.com> proto=ESMTP helo=<h>',
            {
                "queue_id": "NOQUEUE",
                "action": "reject",
                "stage": "RCPT",
                "client": "unknown",
                "client_address": "203.0.113.9",
                "code": "554",
                "dsn": "5.7.1",
                "text": "<h>: Helo command rejected: no",
                "sender": '"; from=<x> to=<y> proto=SMTP helo=<z>"@example.org',
                "recipient": "b@example.com",
                "proto": "ESMTP",
                "helo": "h",
            },
        ),
        Sample(
            "NOQUEUE: reject: RCPT from unknown[203.0.113.9]: 450 4.7.1 see; from=<x> to=<y>; from=<a@example.org>"
            " to=<b@example.com> proto=ESMTP helo=<h>",
            {
                "queue_id": "NOQUEUE",
                "action": "reject",
                "stage": "RCPT",
                "client": "unknown",
                "client_address": "203.0.113.9",
                "code": "450",
                "dsn": "4.7.1",
                "text": "see; from=<x> to=<y>",
                "sender": "a@example.org",
                "recipient": "b@example.com",
                "proto": "ESMTP",
                "helo": "h",
            },
        ),
        Sample(
            "NOQUEUE: reject: RCPT from unknown[203.0.113.9]: 450 4.7.1 no; from=<a@b> to=<b@c> proto=SMTP"
            " helo=<x; from=<y> to=<z> proto=SMTP helo=<q>",
            {
                "queue_id": "NOQUEUE",
                "action": "reject",
                "stage": "RCPT",
                "client": "unknown",
                "client_address": "203.0.113.9",
                "code": "450",
                "dsn": "4.7.1",
                "text": "no; from=<a@b> to=<b@c> proto=SMTP helo=<x; from=<y> to=<z> proto=SMTP helo=<q>",
            },
        ),
    ),
    weight=-1,
)

_PROXY_PLAIN, _PROXY_ODD = context(
    pp.Opt(queue_id_or_none("queue_id") + ": ")
    + rx("proxy-accept|proxy-reject")("action")
    + ": "
    + word(":")("stage")
    + ": "
    + pp.Opt(rx(r"[245]\d\d(?= )")("code") + " ")
    + pp.Opt(rx(r"[245]\.\d{1,3}\.\d{1,3}(?= )")("dsn") + " ")
)
PROXY = LogFormat(
    name="postfix-proxy",
    title="a before-queue filter accepts or refuses",
    reference="Postfix smtpd/smtpd.c, end of data with smtpd_proxy_filter",
    programs=("/smtpd",),
    table="rejects",
    line=_PROXY_PLAIN,
    samples=(
        Sample(
            "proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as 7949396087; from=<jdoe@example.org>"
            " to=<jane.doe@example.org> proto=ESMTP helo=<mx.example.org>",
            {
                "action": "proxy-accept",
                "stage": "END-OF-MESSAGE",
                "code": "250",
                "dsn": "2.0.0",
                "text": "Ok: queued as 7949396087",
                "sender": "jdoe@example.org",
                "recipient": "jane.doe@example.org",
                "proto": "ESMTP",
                "helo": "mx.example.org",
            },
        ),
        Sample(
            "NOQUEUE: proxy-reject: END-OF-MESSAGE: ; from=<a@example.org> to=<b@example.com> proto=SMTP helo=<h>",
            {
                "queue_id": "NOQUEUE",
                "action": "proxy-reject",
                "stage": "END-OF-MESSAGE",
                "text": "",
                "sender": "a@example.org",
                "recipient": "b@example.com",
                "proto": "SMTP",
                "helo": "h",
            },
        ),
        Sample(
            "proxy-reject: END-OF-MESSAGE: 554 Blocked;",
            {"action": "proxy-reject", "stage": "END-OF-MESSAGE", "code": "554", "text": "Blocked"},
        ),
        Sample(
            "proxy-accept: END-OF-MESSAGE: 250 Ok; from=<a@example.org> proto=ESMTP helo=<h> sasl_method=LOGIN"
            " sasl_username=alice sasl_sender=a@example.org",
            {
                "action": "proxy-accept",
                "stage": "END-OF-MESSAGE",
                "code": "250",
                "text": "Ok",
                "sender": "a@example.org",
                "proto": "ESMTP",
                "helo": "h",
                "sasl_username": "alice",
            },
        ),
    ),
    weight=30,
)

PROXY_ODD = LogFormat(
    name="postfix-proxy-odd",
    title="by a stranger's words: a before-queue filter accepts or refuses",
    reference="Postfix smtpd/smtpd.c, end of data with smtpd_proxy_filter",
    programs=("/smtpd",),
    table="rejects",
    line=_PROXY_ODD,
    samples=(
        Sample(
            'proxy-reject: RCPT TO: 554 no; from=<"; to=<x"@example.org> to=<b@example.com> proto=ESMTP helo=<h>',
            {
                "action": "proxy-reject",
                "stage": "RCPT TO",
                "code": "554",
                "text": "no",
                "sender": '"; to=<x"@example.org',
                "recipient": "b@example.com",
                "proto": "ESMTP",
                "helo": "h",
            },
        ),
        Sample(
            "proxy-reject: RCPT TO: 554 see; from=<x> to=<y>; from=<a@example.org> to=<b@example.com> proto=ESMTP helo=<h>",
            {
                "action": "proxy-reject",
                "stage": "RCPT TO",
                "code": "554",
                "text": "see; from=<x> to=<y>",
                "sender": "a@example.org",
                "recipient": "b@example.com",
                "proto": "ESMTP",
                "helo": "h",
            },
        ),
        Sample(
            "proxy-reject: RCPT TO: 554 no; from=<a@b> to=<b@c> proto=SMTP helo=<x; from=<y> to=<z> proto=SMTP helo=<q>",
            {
                "action": "proxy-reject",
                "stage": "RCPT TO",
                "code": "554",
                "text": "no; from=<a@b> to=<b@c> proto=SMTP helo=<x; from=<y> to=<z> proto=SMTP helo=<q>",
            },
        ),
    ),
    weight=-1,
)

FORMAT = (REJECT, REJECT_ODD, PROXY, PROXY_ODD)
