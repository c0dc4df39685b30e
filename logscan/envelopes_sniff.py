"""Tells by the first lines what wrote a file."""

from __future__ import annotations

import re

from logscan.envelopes_bodies import HOSTED, INNER, LEVELLED, RSPAMD, SPAMD, TAGGED, Settler
from logscan.envelopes_records import CRI, DSPAM_NOTE, json_line
from logscan.envelopes_stamps import STAMP, moment

LINES = 60
"""Lines looked at."""

REPEATED = re.compile(rb"\S+ (?:last message repeated|-- MARK --)")
CONTROL = bytes({*range(32), 127} - {9, 10, 12, 13, 27})


def sniff(head: bytes, *, whole: bool = False) -> str:
    """Return what ``head``, the first bytes of a file, is.

    A kind of log (``syslog-bsd``, ``journal-json`` ... see :func:`line_kind`), or ``empty``, ``binary``, ``mbox`` or
    ``text``. Most lines decide. ``whole`` says that nothing follows, so that the last line counts too.
    """
    text = head.translate(None, b"\0")
    if not text:
        return "empty" if not head else "binary"
    if head.startswith(b"__CURSOR="):
        return "journal-export"
    if text.startswith(b"From ") and b"\n" in text:
        return "mbox"
    lines = text.split(b"\n")
    if len(lines) > 1 and not whole:
        lines.pop()
    lines = [line for line in lines if line.strip()][:LINES]
    counts: dict[str, int] = {}
    for line in lines:
        kind = line_kind(line.rstrip(b"\r"))
        counts[kind] = counts.get(kind, 0) + 1
    logs = {kind: count for kind, count in counts.items() if kind}
    if logs and sum(logs.values()) * 3 >= len(lines):
        return max(logs, key=lambda kind: logs[kind])
    odd = len(head) - len(head.translate(None, CONTROL))
    return "binary" if odd * 50 > len(head) else "text"


def line_kind(line: bytes) -> str:
    """Return the kind of log that ``line`` is from, or an empty string."""
    if line.startswith(b"{"):
        if b'"log"' in line and b'"stream"' in line:
            return "docker-json"
        if b'REALTIME_TIMESTAMP"' in line:
            return "journal-json" if json_line(line) else ""
        return "rspamd-json" if b'"ts"' in line and json_line(line) else ""
    found = STAMP.match(line)
    if found:
        return _stamped(line, found)
    if re.match(rb"\d{9,10}\t[A-Z]\t", line):
        return "dspam-system-log" if line.count(b"\t") >= 7 else "dspam-user-log"
    if line.startswith(b"dovecot: ") and STAMP.match(line[9:]):
        return "dovecot"
    if DSPAM_NOTE.match(line):
        return "dspam-debug"
    if re.match(rb"[\w.-]+ *\| {1,2}", line) and Settler("").bare(line):
        return "docker-compose"
    return (
        "bare"
        if LEVELLED.match(line) or (TAGGED.match(line) and (b"/" in line[:40] or line[:9] == b"dovecot: "))
        else ""
    )


def _stamped(line: bytes, found: re.Match[bytes]) -> str:
    rest = line[found.end() :]
    if moment(found) is None:
        return ""
    if found["v5424"]:
        return "syslog-5424"
    if CRI.match(line):
        return "cri"
    if RSPAMD.match(rest):
        return "rspamd"
    if SPAMD.match(rest):
        return "spamd"
    if LEVELLED.match(rest):
        return "docker-compose" if found["compose"] else "dovecot"
    if not (HOSTED.match(rest) or TAGGED.match(rest) or REPEATED.match(rest) or INNER.match(rest)):
        return ""
    if found["compose"]:
        return "docker-compose"
    if found["unix"]:
        return "journal-short-unix"
    return "syslog-bsd" if found["month"] else "syslog-iso"
