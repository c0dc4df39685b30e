"""The fields that a query may name: what each asks for, and how its value is written."""

from __future__ import annotations

from dataclasses import dataclass

OUTCOMES = ("delivered", "deferred", "bounced", "expired", "held", "discarded")
"""What became of a recipient: the ends that reports count by."""

DIRECTIONS = ("inbound", "outbound", "internal", "forwarded", "generated", "opened-before")
VERDICTS = ("spam", "innocent", "unknown")


@dataclass(frozen=True)
class Field:
    """One field: its kind (address, name, text, words, number, size, span, time, switch) and what it asks for."""

    name: str
    kind: str
    meaning: str
    words: tuple[str, ...] = ()


FIELDS = {
    each.name: each
    for each in (
        Field("from", "address", "envelope sender; from:\"\" are bounces"),
        Field("to", "address", "recipient, before or after aliases, or the mailbox it led to"),
        Field("rcpt", "address", "recipient after aliases, as it was delivered to"),
        Field("user", "address", "who logged in to send it"),
        Field("client", "name", "client that handed it in: name, domain, address or network (192.0.2.0/24)"),
        Field("relay", "name", "next hop: host, domain or address"),
        Field("status", "words", "what became of the recipient, or its status code (5.1.1, 5.*)", OUTCOMES),
        Field("reason", "text", "a part of the reply of an attempt that didn't get through"),
        Field("verdict", "words", "what the filter said for the recipient", VERDICTS),
        Field("score", "number", "points a filter gave it: score:>5"),
        Field("mailbox", "address", "mailbox on this server"),
        Field("folder", "text", "folder it was stored in, or a part of its name"),
        Field("size", "size", "bytes: size:>5M (K, M, G are 1024-fold)"),
        Field("delay", "span", "from arrival to the recipient's end: delay:>10m (s, m, h, d, w)"),
        Field("since", "time", "arrived then or later: 2026-11-22, '2026-11-22 07:00', yesterday, -2h"),
        Field("until", "time", "arrived before then"),
        Field("direction", "words", "which way it went", DIRECTIONS),
        Field("host", "name", "server whose log has it"),
        Field("tls", "words", "whether it was handed in over TLS", ("yes", "no")),
    )
}  # fmt: skip

ALSO = {
    "sender": "from", "recipient": "to", "login": "user", "sasl": "user", "ip": "client", "state": "status",
    "outcome": "status", "reply": "reason", "after": "since", "before": "until", "spam": "verdict", "domain": "from",
    "subject": "", "id": "",
}  # fmt: skip
"""Names that people may try, and the field that is meant; empty where there is none like it."""

SAME = {
    "status": {"sent": "delivered", "returned": "bounced", "hold": "held", "stored": "delivered", "waiting": "deferred"},
    "verdict": {"ham": "innocent", "clean": "innocent", "none": "unknown"},
    "direction": {"in": "inbound", "out": "outbound", "incoming": "inbound", "outgoing": "outbound"},
    "tls": {"true": "yes", "false": "no"},
}  # fmt: skip
"""Words that mean another, by field."""
