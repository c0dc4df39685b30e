"""Postfix bounce: the notifications that a mail gives rise to."""

from __future__ import annotations

from logscan.grammar.atoms import queue_id
from logscan.grammar.formats import LogFormat, Sample, rx

FORMAT = LogFormat(
    name="postfix-notification",
    title="bounce makes a notification about a mail",
    reference="Postfix bounce/bounce_notify_service.c and its neighbours",
    programs=("/bounce", "/defer", "/trace"),
    table="notifications",
    line=queue_id("queue_id")
    + ": "
    + rx("sender (?:non-delivery|delay|delivery status)|postmaster (?:non-delivery|delay)")("kind")
    + " notification: "
    + queue_id("child_queue_id"),
    samples=tuple(
        Sample(
            f"8828C54A70D: {kind} notification: E155D54A4FF",
            {"queue_id": "8828C54A70D", "kind": kind, "child_queue_id": "E155D54A4FF"},
        )
        for kind in (
            "sender non-delivery",
            "sender delay",
            "sender delivery status",
            "postmaster non-delivery",
            "postmaster delay",
        )
    ),
    weight=100,
)
