"""The columns of what is found; apart, since the command line names them before anything is loaded."""

from __future__ import annotations

COLUMNS = {
    "time": "when it arrived",
    "queue_id": "queue ID of its first entry",
    "message_id": "Message-ID",
    "from": "envelope sender, empty for bounces",
    "to": "recipients who are meant",
    "others": "its other recipients, a number",
    "status": "what became of those who are meant",
    "relay": "next hop of the last attempt",
    "reason": "reply of an attempt that didn't get through",
    "user": "who logged in to send it",
    "client": "client that handed it in",
    "direction": "inbound, outbound, internal, forwarded, generated, opened-before",
    "verdict": "spam, innocent or unknown, by its filter",
    "score": "points, the highest",
    "size": "bytes",
    "delay": "seconds to the last of the ends",
    "mailbox": "mailboxes on this server",
    "folder": "folders it was stored in",
    "host": "server whose log has it",
}
"""The columns of what is found, and what each says. Those of recipients are tuples without repeats, in the log's order."""

SORTED = ("time", "from", "size", "delay", "score", "others", "host", "user")
"""Columns that mails can be sorted by."""
