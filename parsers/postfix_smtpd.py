"""Postfix smtpd: the client of a mail, the sessions, refused logins, refused and otherwise handled commands."""

from __future__ import annotations

import pyparsing as pp

from logscan.atoms import client, context, queue_id_or_none, upto
from logscan.grammar import LogFormat, Sample, rest, rx, word

_SASL = upto(", sasl_", ", orig_")

CLIENT = LogFormat(
    name="postfix-client",
    title="smtpd opens a mail for a client",
    reference="Postfix smtpd/smtpd.c, log_whatsup() and smtpd_sasl_mail_log()",
    programs=("/smtpd", "/qmqpd"),
    table="clients",
    line=queue_id_or_none("queue_id")
    + ": client="
    + client(port="client_port")
    + pp.Opt(", sasl_method=" + _SASL("sasl_method"))
    + pp.Opt(", sasl_username=" + upto(", sasl_sender=", ", orig_")("sasl_username"))
    + pp.Opt(", sasl_sender=" + _SASL("sasl_sender"))
    + pp.Opt(", orig_queue_id=" + queue_id_or_none("orig_queue_id"))
    + pp.Opt(", orig_client=" + rest()("orig_client")),
    samples=(
        Sample(
            "B441A5445E6: client=mail.example.org[203.0.113.26]",
            {"queue_id": "B441A5445E6", "client": "mail.example.org", "client_address": "203.0.113.26"},
        ),
        Sample(
            "3pJjgB6dpKz1JBPW: client=relay.example.net[2001:db8::1]:51234, sasl_method=PLAIN, sasl_username=a,"
            " b@example.com"
            ", sasl_sender=c@example.com, orig_queue_id=3pJjg82Vycz1JBJG, orig_client=mail.example.org[203.0.113.26]",
            {
                "queue_id": "3pJjgB6dpKz1JBPW",
                "client": "relay.example.net",
                "client_address": "2001:db8::1",
                "client_port": "51234",
                "sasl_method": "PLAIN",
                "sasl_username": "a, b@example.com",
                "sasl_sender": "c@example.com",
                "orig_queue_id": "3pJjg82Vycz1JBJG",
                "orig_client": "mail.example.org[203.0.113.26]",
            },
        ),
        Sample(
            "NOQUEUE: client=unknown[unknown]",
            {"queue_id": "NOQUEUE", "client": "unknown", "client_address": "unknown"},
        ),
        Sample(
            "B441A5445E6: client=unknown[203.0.113.26]:unknown",
            {"queue_id": "B441A5445E6", "client": "unknown", "client_address": "203.0.113.26"},
        ),
    ),
    weight=100,
)

CONNECT = LogFormat(
    name="postfix-connect",
    title="a client connects",
    reference="Postfix smtpd/smtpd.c, smtpd_proto()",
    programs=("/smtpd", "/qmqpd"),
    table="sessions",
    constants={"event": "connect"},
    line="connect from " + client(),
    samples=(
        Sample(
            "connect from mx1.example.com[198.51.100.10]",
            {"client": "mx1.example.com", "client_address": "198.51.100.10"},
        ),
        Sample(
            "connect from mx[2001:db8::1]:51234",
            {"client": "mx", "client_address": "2001:db8::1"},
        ),
    ),
    weight=102,
)

DISCONNECT = LogFormat(
    name="postfix-disconnect",
    title="a client leaves, with what it did (since Postfix 3.0)",
    reference="Postfix smtpd/smtpd.c, smtpd_format_cmd_stats()",
    programs=("/smtpd", "/qmqpd"),
    table="sessions",
    constants={"event": "disconnect"},
    line="disconnect from " + client() + pp.Opt(" " + rx(r"[a-z_]+=(?s:.+)")("commands")),
    samples=(
        Sample(
            "disconnect from unknown[203.0.113.92]",
            {"client": "unknown", "client_address": "203.0.113.92"},
        ),
        Sample(
            "disconnect from mail.example.net[203.0.113.25] ehlo=1 mail=1 rcpt=1/2 data=1 quit=1 commands=5/6",
            {
                "client": "mail.example.net",
                "client_address": "203.0.113.25",
                "commands": "ehlo=1 mail=1 rcpt=1/2 data=1 quit=1 commands=5/6",
            },
        ),
    ),
    weight=101,
)

LOST = LogFormat(
    name="postfix-session-lost",
    title="a session ends before its time",
    reference="Postfix smtpd/smtpd.c, smtpd_proto(); the queue ID since 3.10, bare <LF> since 3.8.5",
    programs=("/smtpd",),
    table="sessions",
    line=pp.Opt(queue_id_or_none("queue_id") + ": ")
    + rx("lost connection|timeout|too many errors|bare <LF> received")("event")
    + " after "
    + upto(r" \(\d+ bytes\) from ", " from ")("stage")
    + pp.Opt(" (" + rx(r"\d+ bytes")("text") + ")")
    + " from "
    + client(),
    samples=(
        Sample(
            "lost connection after CONNECT from mx1.example.com[198.51.100.10]",
            {
                "event": "lost connection",
                "stage": "CONNECT",
                "client": "mx1.example.com",
                "client_address": "198.51.100.10",
            },
        ),
        Sample(
            "4dhRlh0sf8z9HdB: timeout after DATA (32 bytes) from mail.example.net[203.0.113.25]",
            {
                "queue_id": "4dhRlh0sf8z9HdB",
                "event": "timeout",
                "stage": "DATA",
                "text": "32 bytes",
                "client": "mail.example.net",
                "client_address": "203.0.113.25",
            },
        ),
        Sample(
            "bare <LF> received after DATA (1200 bytes) from unknown[203.0.113.93]",
            {
                "event": "bare <LF> received",
                "stage": "DATA",
                "text": "1200 bytes",
                "client": "unknown",
                "client_address": "203.0.113.93",
            },
        ),
        Sample(
            "too many errors after END-OF-MESSAGE from unknown[203.0.113.93]",
            {
                "event": "too many errors",
                "stage": "END-OF-MESSAGE",
                "client": "unknown",
                "client_address": "203.0.113.93",
            },
        ),
    ),
    weight=60,
)

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

SASL_FAILED = LogFormat(
    name="postfix-sasl-failed",
    title="somebody fails to log in at smtpd",
    reference="Postfix smtpd/smtpd_sasl_glue.c; sasl_username= since 3.9",
    programs=("/smtpd",),
    table="sessions",
    constants={"event": "auth failed"},
    line="warning: "
    + client()
    + ": "
    + rx(r"SASL [^ ]+ authentication (?:failed|aborted)(?:(?!, sasl_username=)(?s:.))*")("text")
    + pp.Opt(", sasl_username=" + rest()("sasl_username")),
    samples=(
        Sample(
            "warning: unknown[203.0.113.93]: SASL LOGIN authentication failed: (reason unavailable),"
            " sasl_username=erin@example.com",
            {
                "client": "unknown",
                "client_address": "203.0.113.93",
                "text": "SASL LOGIN authentication failed: (reason unavailable)",
                "sasl_username": "erin@example.com",
            },
        ),
        Sample(
            "warning: unknown[192.0.2.9]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
            {
                "client": "unknown",
                "client_address": "192.0.2.9",
                "text": "SASL LOGIN authentication failed: UGFzc3dvcmQ6",
            },
        ),
        Sample(
            "warning: unknown[192.0.2.9]: SASL PLAIN authentication aborted",
            {"client": "unknown", "client_address": "192.0.2.9", "text": "SASL PLAIN authentication aborted"},
        ),
    ),
    weight=50,
)

PIPELINING = LogFormat(
    name="postfix-improper-pipelining",
    title="a client sends commands without waiting",
    reference="Postfix smtpd/smtpd.c, smtpd_proto()",
    programs=("/smtpd",),
    table="sessions",
    constants={"event": "improper pipelining"},
    line=pp.Opt(queue_id_or_none("queue_id") + ": ")
    + "improper command pipelining after "
    + upto(" from ")("stage")
    + " from "
    + client()
    + pp.Opt(":" + pp.Opt(" ") + rest()("text")),
    samples=(
        Sample(
            "improper command pipelining after EHLO from unknown[203.0.113.93]: MAIL FROM:<a@example.org>?",
            {
                "stage": "EHLO",
                "client": "unknown",
                "client_address": "203.0.113.93",
                "text": "MAIL FROM:<a@example.org>?",
            },
        ),
        Sample(
            "improper command pipelining after DATA from unknown[203.0.113.93]:",
            {"stage": "DATA", "client": "unknown", "client_address": "203.0.113.93", "text": ""},
        ),
    ),
    weight=10,
)

LIMIT = LogFormat(
    name="postfix-client-limit",
    title="a client exceeds a rate or concurrency limit",
    reference="Postfix smtpd/smtpd.c, with anvil",
    programs=("/smtpd",),
    table="sessions",
    constants={"event": "limit"},
    line="warning: "
    + rx("[A-Z][A-Za-z ]+ limit exceeded: [0-9]+")("text")
    + " from "
    + client()
    + " for service "
    + rest(),
    samples=(
        Sample(
            "warning: Connection rate limit exceeded: 61 from unknown[203.0.113.93] for service smtp",
            {
                "text": "Connection rate limit exceeded: 61",
                "client": "unknown",
                "client_address": "203.0.113.93",
            },
        ),
    ),
    weight=10,
)

FORMAT = (CLIENT, CONNECT, DISCONNECT, LOST, REJECT, REJECT_ODD, PROXY, PROXY_ODD, SASL_FAILED, PIPELINING, LIMIT)
