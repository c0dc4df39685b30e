"""Postfix smtpd: the client of a mail, the sessions, refused logins."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import client, queue_id_or_none, upto
from logscan.grammar.formats import LogFormat, Sample, rest, rx

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
    + rx(r"SASL [^ ]+ authentication (?:failed|aborted)(?:(?!, sasl_username=)(?s:.))*+")("text")
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

FORMAT = (CLIENT, CONNECT, DISCONNECT, LOST, SASL_FAILED, PIPELINING, LIMIT)
