"""Postfix postscreen: clients that it lets through, turns away or catches misbehaving."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import address, last
from logscan.grammar.formats import LogFormat, Sample, rest, rx

_CLIENT = "[" + rx(r"[^\]]+")("client_address") + "]" + pp.Opt(rx(r":\d+"))

REJECT = LogFormat(
    name="postscreen-reject",
    title="postscreen refuses a command or a connection",
    reference="Postfix postscreen/postscreen_smtpd.c, psc_rcpt_cmd(); postscreen/postscreen.c",
    programs=("/postscreen",),
    table="rejects",
    line=pp.Opt(rx("NOQUEUE")("queue_id") + ": ")
    + "reject: "
    + rx("[A-Z]+|connect")("stage")
    + " from "
    + _CLIENT
    + ": "
    + pp.Opt(rx(r"[245]\d\d(?= )")("code") + " ")
    + pp.Opt(rx(r"[245]\.\d{1,3}\.\d{1,3}(?= )")("dsn") + " ")
    + last("; from=<")("text")
    + pp.Opt("; from=<" + address(", to=<")("sender") + ">")
    + pp.Opt(", to=<" + address(", proto=")("recipient") + ">")
    + pp.Opt(", proto=" + rx("[^,]+")("proto"))
    + pp.Opt(", helo=<" + address(r"\Z")("helo") + ">"),
    constants={"action": "reject"},
    samples=(
        Sample(
            "NOQUEUE: reject: RCPT from [203.0.113.9]:51234: 550 5.7.1 Service unavailable; client [203.0.113.9]"
            " blocked using"
            " bl.example; from=<a@example.org>, to=<b@example.com>, proto=ESMTP, helo=<h>",
            {
                "queue_id": "NOQUEUE",
                "stage": "RCPT",
                "client_address": "203.0.113.9",
                "code": "550",
                "dsn": "5.7.1",
                "text": "Service unavailable; client [203.0.113.9] blocked using bl.example",
                "sender": "a@example.org",
                "recipient": "b@example.com",
                "proto": "ESMTP",
                "helo": "h",
            },
        ),
        Sample(
            "NOQUEUE: reject: CONNECT from [2001:db8::9]:51234: all server ports busy",
            {
                "queue_id": "NOQUEUE",
                "stage": "CONNECT",
                "client_address": "2001:db8::9",
                "text": "all server ports busy",
            },
        ),
        Sample(
            "reject: connect from [203.0.113.9]:51234: all screening ports busy",
            {"stage": "connect", "client_address": "203.0.113.9", "text": "all screening ports busy"},
        ),
    ),
    weight=60,
)

CONNECT = LogFormat(
    name="postscreen-connect",
    title="a client reaches postscreen",
    reference="Postfix postscreen/postscreen.c",
    programs=("/postscreen",),
    table="sessions",
    constants={"event": "connect"},
    line="CONNECT from " + _CLIENT + " to " + rest(),
    samples=(
        Sample("CONNECT from [203.0.113.9]:51234 to [198.51.100.10]:25", {"client_address": "203.0.113.9"}),
        Sample("CONNECT from [2001:db8::9]:51234 to [2001:db8::1]:25", {"client_address": "2001:db8::9"}),
    ),
    weight=100,
)

DISCONNECT = LogFormat(
    name="postscreen-disconnect",
    title="postscreen ends a connection",
    reference="Postfix postscreen/postscreen_misc.c",
    programs=("/postscreen",),
    table="sessions",
    constants={"event": "disconnect"},
    line="DISCONNECT " + _CLIENT,
    samples=(Sample("DISCONNECT [203.0.113.9]:51234", {"client_address": "203.0.113.9"}),),
    weight=90,
)

PASS = LogFormat(
    name="postscreen-pass",
    title="postscreen lets a client through",
    reference="Postfix postscreen/postscreen_early.c; ALLOWLISTED since 3.6",
    programs=("/postscreen",),
    table="sessions",
    constants={"event": "pass"},
    line=rx("PASS (?:NEW|OLD)|(?:ALLOW|WHITE)LISTED")("text") + " " + _CLIENT,
    samples=(
        Sample("PASS OLD [203.0.113.9]:51234", {"text": "PASS OLD", "client_address": "203.0.113.9"}),
        Sample("PASS NEW [203.0.113.9]:51234", {"text": "PASS NEW", "client_address": "203.0.113.9"}),
        Sample("WHITELISTED [203.0.113.9]:51234", {"text": "WHITELISTED", "client_address": "203.0.113.9"}),
        Sample("ALLOWLISTED [203.0.113.9]:51234", {"text": "ALLOWLISTED", "client_address": "203.0.113.9"}),
    ),
    weight=80,
)

CAUGHT = LogFormat(
    name="postscreen-caught",
    title="a client fails one of postscreen's tests",
    reference="Postfix postscreen/postscreen_early.c, postscreen_smtpd.c",
    programs=("/postscreen",),
    table="sessions",
    constants={"event": "caught"},
    line=rx(
        r"PREGREET \d+ after [\d.]+(?= from )|DNSBL rank \d+(?= for )|(?:DENY|BLACK)LISTED(?= )|(?:ALLOW|WHITE)LIST"
        r" VETO(?= )"
        r"|HANGUP after [\d.]+(?= from )|COMMAND (?:PIPELINING|(?:TIME|COUNT|LENGTH) LIMIT)(?= from )|NON-SMTP"
        r" COMMAND(?= from )"
        r"|BARE NEWLINE(?= from )"
    )("text")
    + rx(" (?:from |for )?")
    + _CLIENT
    + rest(),
    samples=tuple(
        Sample(f"{text}{between}[203.0.113.9]:51234{end}", {"text": text, "client_address": "203.0.113.9"})
        for text, between, end in (
            ("PREGREET 14 after 0.06", " from ", ": EHLO ylmf-pc\\r\\n"),
            ("DNSBL rank 4", " for ", ""),
            ("DENYLISTED", " ", ""),
            ("BLACKLISTED", " ", ""),
            ("ALLOWLIST VETO", " ", ""),
            ("WHITELIST VETO", " ", ""),
            ("HANGUP after 0.2", " from ", " in tests before SMTP handshake"),
            ("COMMAND PIPELINING", " from ", " after EHLO: MAIL"),
            ("COMMAND TIME LIMIT", " from ", " after CONNECT"),
            ("NON-SMTP COMMAND", " from ", " after CONNECT: GET /"),
            ("BARE NEWLINE", " from ", " after DATA"),
        )
    ),
    weight=70,
)

DNSBLOG = LogFormat(
    name="dnsblog",
    title="a DNS blocklist has an answer for an address: a listing, or an error",
    reference="Postfix dnsblog/dnsblog.c, dnsblog_query()",
    programs=("/dnsblog",),
    table="sessions",
    constants={"event": "listed"},
    line="addr " + rx("[^ ]+")("client_address") + " listed by domain " + rx(r"[^ ]+ as [0-9a-f.:]+\Z")("text"),
    samples=(
        Sample(
            "addr 203.0.113.9 listed by domain zen.example.org as 127.0.0.4",
            {"client_address": "203.0.113.9", "text": "zen.example.org as 127.0.0.4"},
        ),
    ),
)

FORMAT = (REJECT, CONNECT, DISCONNECT, PASS, CAUGHT, DNSBLOG)
