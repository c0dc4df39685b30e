"""Postfix qmgr: a mail enters the active queue, is given up, leaves the queue; postsuper removes mail the same way."""

from __future__ import annotations

from logscan.grammar.atoms import address, queue_id
from logscan.grammar.formats import LogFormat, Sample, rx

QUEUED = LogFormat(
    name="postfix-queued",
    title="qmgr takes a mail into the active queue",
    reference="Postfix global/opened.c",
    programs=("/qmgr", "/oqmgr", "/nqmgr"),
    table="queued",
    line=queue_id("queue_id")
    + ": from=<"
    + address(r", size=\d")("sender")
    + ">, size="
    + rx(r"\d+")("size")
    + ", nrcpt="
    + rx(r"\d+")("nrcpt")
    + " (queue "
    + rx("[^)]+")("queue")
    + ")",
    samples=(
        Sample(
            "B441A5445E6: from=<sam@example.org>, size=1416, nrcpt=1 (queue active)",
            {
                "queue_id": "B441A5445E6",
                "sender": "sam@example.org",
                "size": "1416",
                "nrcpt": "1",
                "queue": "active",
            },
        ),
        Sample(
            '4dhRlh0sf8z9HdB: from=<"a>, size=1, b"@example.org>, size=20, nrcpt=3 (queue active)',
            {
                "queue_id": "4dhRlh0sf8z9HdB",
                "sender": '"a>, size=1, b"@example.org',
                "size": "20",
                "nrcpt": "3",
                "queue": "active",
            },
        ),
    ),
    weight=100,
)

REMOVED = LogFormat(
    name="postfix-removed",
    title="a mail leaves the queue",
    reference="Postfix qmgr/qmgr_active.c, postsuper/postsuper.c",
    programs=("/qmgr", "/oqmgr", "/nqmgr", "/postsuper"),
    table="removals",
    line=queue_id("queue_id") + ": removed",
    samples=(Sample("B441A5445E6: removed", {"queue_id": "B441A5445E6"}),),
    weight=99,
)

EXPIRED = LogFormat(
    name="postfix-expired",
    title="qmgr gives up and returns a mail to its sender",
    reference="Postfix qmgr/qmgr_active.c; force-expired since 3.5",
    programs=("/qmgr", "/oqmgr", "/nqmgr"),
    table="expirations",
    line=queue_id("queue_id")
    + ": from=<"
    + address(", status=")("sender")
    + ">, status="
    + rx("(?:force-)?expired")("status")
    + ", returned to sender",
    samples=(
        Sample(
            "8828C54A70D: from=<erin@example.com>, status=expired, returned to sender",
            {"queue_id": "8828C54A70D", "sender": "erin@example.com", "status": "expired"},
        ),
        Sample(
            "8828C54A70D: from=<>, status=force-expired, returned to sender",
            {"queue_id": "8828C54A70D", "sender": "", "status": "force-expired"},
        ),
    ),
    weight=50,
)

STILL_DELIVERED = LogFormat(
    name="postfix-still-delivered",
    title="qmgr passes over a mail that is still being delivered",
    reference="Postfix qmgr/qmgr_message.c",
    programs=("/qmgr", "/oqmgr", "/nqmgr"),
    table="service_events",
    constants={"event": "skipped"},
    line=queue_id("queue_id") + ": " + rx("skipped, still being delivered")("text"),
    samples=(
        Sample(
            "8828C54A70D: skipped, still being delivered",
            {"queue_id": "8828C54A70D", "text": "skipped, still being delivered"},
        ),
    ),
)

FORMAT = (QUEUED, REMOVED, EXPIRED, STILL_DELIVERED)
