"""Postfix delivery agents: one attempt to deliver to one recipient, and what they say on the way."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import address, queue_id, reply
from logscan.grammar.formats import LogFormat, Sample, rest, rx, word

_RELAY = (
    "relay="
    + word(",")("relay")
    + pp.Opt(", conn_use=" + rx(r"\d+")("conn_use"))
    + ", delay="
    + rx(r"[\d.]+")("delay")
    + pp.Opt(", delays=" + rx(r"[\d./]+")("delays"))
    + pp.Opt(", tls=" + rx("[^,]*")("tls"))
    + pp.Opt(", dsn=" + rx(r"[\d.]+")("dsn"))
    + ", status="
    + rx("[A-Za-z-]+")("status")
    + " ("
    + reply()("reply")
    + pp.Opt(")")
)

DELIVERY = LogFormat(
    name="postfix-delivery",
    title="one attempt to deliver to one recipient",
    reference="Postfix global/log_adhoc.c; tls= since 3.11, delays= and dsn= since 2.3, conn_use= since 2.5",
    programs=("/*",),
    table="deliveries",
    line=queue_id("queue_id")
    + ": to=<"
    + address(", (?:relay=|orig_to=<)")("recipient")
    + ">, "
    + pp.Opt("orig_to=<" + address(", relay=")("original_recipient") + ">, ")
    + _RELAY,
    samples=(
        Sample(
            "7311C554A28: to=<alice@example.com>, orig_to=<root@example.com>, relay=mx1.example.com[/run/dspam.sock],"
            " conn_use=19, delay=4, delays=0/3.3/0/0.67, dsn=2.6.0, status=sent (250 2.6.0 <alice@example.com> Message"
            " accepted for delivery)",
            {
                "queue_id": "7311C554A28",
                "recipient": "alice@example.com",
                "original_recipient": "root@example.com",
                "relay": "mx1.example.com[/run/dspam.sock]",
                "conn_use": "19",
                "delay": "4",
                "delays": "0/3.3/0/0.67",
                "dsn": "2.6.0",
                "status": "sent",
                "reply": "250 2.6.0 <alice@example.com> Message accepted for delivery",
            },
        ),
        Sample(
            '4dhRlh0sf8z9HdB: to=<"a>, relay=evil, b"@example.net>, relay=mx.example.net[203.0.113.200]:25, delay=0.5,'
            " delays=0/0/0.1/0.4, tls=dane, dsn=4.7.1, status=deferred (host mx.example.net[203.0.113.200] said: 450"
            " 4.7.1"
            " status=sent (250 ok) (in reply to RCPT TO command))",
            {
                "queue_id": "4dhRlh0sf8z9HdB",
                "recipient": '"a>, relay=evil, b"@example.net',
                "relay": "mx.example.net[203.0.113.200]:25",
                "delay": "0.5",
                "delays": "0/0/0.1/0.4",
                "tls": "dane",
                "dsn": "4.7.1",
                "status": "deferred",
                "reply": "host mx.example.net[203.0.113.200] said: 450 4.7.1 status=sent (250 ok) (in reply to RCPT"
                " TO command)",
            },
        ),
        Sample(
            "218855441C6: to=<a, b c>d@example.com>, relay=local, delay=1, status=sent (cut (before its end",
            {
                "queue_id": "218855441C6",
                "recipient": "a, b c>d@example.com",
                "relay": "local",
                "delay": "1",
                "status": "sent",
                "reply": "cut (before its end",
            },
        ),
        Sample(
            "218855441C6: to=<>, relay=none, delay=0, delays=0/0/0/0, dsn=5.0.0, status=SOFTBOUNCE ()",
            {
                "queue_id": "218855441C6",
                "recipient": "",
                "relay": "none",
                "delay": "0",
                "delays": "0/0/0/0",
                "dsn": "5.0.0",
                "status": "SOFTBOUNCE",
                "reply": "",
            },
        ),
    ),
    weight=90,
)

BARE = LogFormat(
    name="postfix-delivery-bare",
    title="one attempt to deliver to one recipient, whose address has lost its angle brackets",
    reference="Postfix global/log_adhoc.c; the brackets are missing where a log went through a web page",
    programs=("/*",),
    table="deliveries",
    line=queue_id("queue_id")
    + ": to="
    + rx("[^<, ][^, ]*")("recipient")
    + ", "
    + pp.Opt("orig_to=" + rx("[^<, ][^, ]*")("original_recipient") + ", ")
    + _RELAY,
    samples=(
        Sample(
            "2A22C263F6: to=alice@example.com, orig_to=root@example.com, relay=local, delay=0.07, delays=0.04/0/0/0.03,"
            " dsn=2.0.0, status=sent (delivered to mailbox)",
            {
                "queue_id": "2A22C263F6",
                "recipient": "alice@example.com",
                "original_recipient": "root@example.com",
                "relay": "local",
                "delay": "0.07",
                "delays": "0.04/0/0/0.03",
                "dsn": "2.0.0",
                "status": "sent",
                "reply": "delivered to mailbox",
            },
        ),
    ),
)

FAILED_DAEMON = LogFormat(
    name="postfix-delivery-without-recipient",
    title="a delivery is put off because a Postfix daemon failed",
    reference="Postfix global/bounce.c, global/abounce.c",
    programs=("/*",),
    table="service_events",
    constants={"event": "warning"},
    line=queue_id("queue_id") + ": " + rx(r"status=deferred \((?s:.*)")("text"),
    samples=(
        Sample(
            "8828C54A70D: status=deferred (bounce failed)",
            {"queue_id": "8828C54A70D", "text": "status=deferred (bounce failed)"},
        ),
    ),
)

PASSING = LogFormat(
    name="postfix-passing",
    title="local passes a recipient to another transport",
    reference="Postfix global/deliver_pass.c, since 3.6",
    programs=("/local", "/virtual", "/error", "/retry"),
    table="service_events",
    constants={"event": "passing"},
    line=queue_id("queue_id") + ": " + rx("passing <(?s:.*)")("text"),
    samples=(
        Sample(
            "8828C54A70D: passing <alice@example.com> to transport=lmtp",
            {"queue_id": "8828C54A70D", "text": "passing <alice@example.com> to transport=lmtp"},
        ),
    ),
)

_HOST = rx(r"[^ \[\]]*")("client") + pp.Opt("[" + rx(r"[^\]]+")("client_address") + "]") + rx(r"(?::\d+)?")


def _trouble(event: str, title: str, line: pp.ParserElement, *told: tuple[str, dict[str, str]]) -> LogFormat:
    """Return the format of what went wrong with one next hop where another will be tried: there is no status."""
    return LogFormat(
        name=f"postfix-{event.replace(' ', '-')}",
        title=title,
        reference="Postfix smtp/smtp_trouble.c, smtp_proto.c: msg_info() where the server isn't the final one",
        programs=("/smtp", "/lmtp"),
        table="sessions",
        constants={"event": event},
        line=queue_id("queue_id") + ": " + line,
        samples=tuple(Sample(f"8828C54A70D: {text}", {"queue_id": "8828C54A70D"} | fields) for text, fields in told),
        weight=5,
    )


_MX = {"client": "mx.example.net", "client_address": "203.0.113.200"}
TROUBLE = (
    _trouble(
        "next hop refused",
        "a next hop refuses a mail for now, another one will be tried",
        "host " + _HOST + rx(" (?=said: |refused to talk to me: )") + rest()("text"),
        (
            "host mx.example.net[203.0.113.200]:25 said: 450 4.2.0 Greylisted (in reply to RCPT TO command)",
            _MX | {"text": "said: 450 4.2.0 Greylisted (in reply to RCPT TO command)"},
        ),
        (
            "host mx.example.net[203.0.113.200] refused to talk to me: 421 busy",
            _MX | {"text": "refused to talk to me: 421 busy"},
        ),
    ),
    _trouble(
        "next hop lost",
        "the connection to a next hop is lost, another one will be tried",
        "lost connection with " + _HOST + " " + rest()("text"),
        (
            "lost connection with mx.example.net[203.0.113.200] while sending RCPT TO",
            _MX | {"text": "while sending RCPT TO"},
        ),
    ),
    _trouble(
        "next hop timed out",
        "a next hop doesn't answer in time, another one will be tried",
        "conversation with " + _HOST + " " + rest()("text"),
        (
            "conversation with mx.example.net[203.0.113.200] timed out while receiving the initial greeting",
            _MX | {"text": "timed out while receiving the initial greeting"},
        ),
    ),
    _trouble(
        "next hop without tls",
        "TLS fails with a next hop, or isn't what was asked for",
        rx("(?:Cannot start TLS: |TLS is required, |Server certificate |Protocol error: )(?s:.*)")("text"),
        ("Cannot start TLS: handshake failure", {"text": "Cannot start TLS: handshake failure"}),
        (
            "TLS is required, but was not offered by host mx.example.net[203.0.113.200]",
            {"text": "TLS is required, but was not offered by host mx.example.net[203.0.113.200]"},
        ),
        ("Server certificate not trusted", {"text": "Server certificate not trusted"}),
    ),
    _trouble(
        "next hop treated",
        "a next hop is treated in a special way",
        rx("(?:enabling PIX |breaking line > )(?s:.*)")("text"),
        (
            "enabling PIX workarounds: disable_esmtp delay_dotcrlf for mx.example.net[203.0.113.200]:25",
            {"text": "enabling PIX workarounds: disable_esmtp delay_dotcrlf for mx.example.net[203.0.113.200]:25"},
        ),
        (
            "breaking line > 998 bytes with <CR><LF>SPACE to prevent protocol error",
            {"text": "breaking line > 998 bytes with <CR><LF>SPACE to prevent protocol error"},
        ),
    ),
)

SASL_FAILED = LogFormat(
    name="postfix-smtp-sasl-failed",
    title="Postfix can't log in at a next hop",
    reference="Postfix smtp/smtp_sasl_glue.c",
    programs=("/smtp", "/lmtp"),
    table="service_events",
    constants={"event": "warning"},
    line=queue_id("queue_id") + ": " + rx(r"SASL (?:\[CACHED\] )?authentication (?s:.*)")("text"),
    samples=(
        Sample(
            "8828C54A70D: SASL authentication failed; server mx.example.net[203.0.113.200] said: 535 5.7.8 Error",
            {
                "queue_id": "8828C54A70D",
                "text": "SASL authentication failed; server mx.example.net[203.0.113.200] said: 535 5.7.8 Error",
            },
        ),
    ),
    weight=4,
)

UNREACHABLE = LogFormat(
    name="postfix-unreachable",
    title="a next hop can't be reached",
    reference="Postfix smtp/smtp_connect.c",
    programs=("/smtp", "/lmtp"),
    table="sessions",
    constants={"event": "connect failed"},
    line="connect to "
    + rx(r"[^\[\]]+")("client")
    + "["
    + rx(r"[^\]]+")("client_address")
    + "]"
    + rx(r"(?::\d+)?(?::| server) ")
    + rest()("text"),
    samples=(
        Sample(
            "connect to mx.example.net[203.0.113.250] server dropped connection without sending the initial greeting",
            {
                "client": "mx.example.net",
                "client_address": "203.0.113.250",
                "text": "dropped connection without sending the initial greeting",
            },
        ),
        Sample(
            "connect to mx.dead.example.net[203.0.113.250]:25: Connection refused",
            {"client": "mx.dead.example.net", "client_address": "203.0.113.250", "text": "Connection refused"},
        ),
        Sample(
            "connect to mx1.example.com[private/dovecot-lmtp]: No such file or directory",
            {
                "client": "mx1.example.com",
                "client_address": "private/dovecot-lmtp",
                "text": "No such file or directory",
            },
        ),
    ),
    weight=8,
)

FORMAT = (DELIVERY, BARE, FAILED_DAEMON, PASSING, *TROUBLE, SASL_FAILED, UNREACHABLE)
