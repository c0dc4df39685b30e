"""Tells by the first lines what wrote a file."""

from __future__ import annotations

import re

from logscan.envelopes.bodies import HOSTED, INNER, LEVEL_FIRST, LEVELLED, RSPAMD, SPAMD, TAGGED, Settler
from logscan.envelopes.containers import CRI
from logscan.envelopes.json_lines import json_line, sent, shipped
from logscan.envelopes.prefixes import PREFIX, rare_stamp, sane
from logscan.envelopes.records import DSPAM_NOTE, VERBOSE, verbose_head
from logscan.envelopes.stamps import STAMP, moment
from logscan.envelopes.untagged import STRONG

LINES = 60
"""Lines looked at."""

MAILERS = re.compile(rb"\S+ (?:dovecot|amavis|amavisd|rspamd|spamd|opendkim|opendmarc|postgrey|policyd-spf|dspam)[\[:]")
"""A program of mail in a record without a PID: any other program's log may be JSON too."""

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
    lines = sane(text).split(b"\n")
    if len(lines) > 1 and not whole:
        lines.pop()
    lines = [line for line in lines if line.strip()][:LINES]
    if len(lines) > 1 and lines[0].rstrip() == b"{" and lines[1].lstrip()[:1] == b'"':
        return "json-pretty" if _pretty(text) else "text"
    if len(lines) > 1 and verbose_head(lines[0]) and VERBOSE.match(lines[1]):
        return "journal-verbose"
    counts: dict[str, int] = {}
    for line in lines:
        kind = line_kind(line.rstrip())
        counts[kind] = counts.get(kind, 0) + 1
    logs = {kind: count for kind, count in counts.items() if kind}
    if logs and sum(logs.values()) * 3 >= len(lines):
        return max(logs, key=lambda kind: logs[kind])
    odd = len(head) - len(head.translate(None, CONTROL))
    return "binary" if odd * 50 > len(head) else "text"


def line_kind(line: bytes, *, inside: bool = False) -> str:
    """Return the kind of log that ``line`` is from, or an empty string; ``inside`` is what a container's name stands before."""
    line = sent(line)
    if line.startswith(b"{"):
        if b'"log"' in line and b'"stream"' in line:
            return "docker-json"
        if b'REALTIME_TIMESTAMP"' in line:
            return "journal-json" if json_line(line) else ""
        record = json_line(line)
        if record is None:
            return ""
        if b'"worker_type"' in line:
            return "rspamd-json"
        return "syslog-json" if TAGGED.match(record[0].partition(b" ")[2]) or MAILERS.match(record[0]) else ""
    record = shipped(line)
    if record is not None:
        return "fluentd" if TAGGED.match(record[0].partition(b" ")[2]) or MAILERS.match(record[0]) else ""
    found = STAMP.match(line)
    if found:
        return _stamped(line, found)
    if re.match(rb"\d{9,10}\t[A-Z]\t", line):
        return "dspam-system-log" if line.count(b"\t") >= 7 else "dspam-user-log"
    if line.startswith(b"dovecot: ") and STAMP.match(line[9:]):
        return "dovecot"
    if DSPAM_NOTE.match(line):
        return "dspam-debug"
    rare = rare_stamp(line)
    if rare:
        return _rare(line, rare[0])
    prefix = None if inside else PREFIX.match(line)
    if prefix and (Settler("").bare(line) or line_kind(line[prefix.end() :], inside=True)):
        return "docker-compose"
    body = Settler("").bare(line)
    text = body[2:] if body else b""
    if LEVELLED.match(line) or (TAGGED.match(text) and (b"/" in text[:40] or text[:9] == b"dovecot: ")):
        return "bare"
    return "journal-cat" if STRONG.match(line) else ""


def _pretty(text: bytes) -> bool:
    """Tell whether the first record of several lines is one of a log."""
    end = text.find(b"\n}")
    return end > 0 and json_line(text[: end + 2]) is not None


def _rare(line: bytes, end: int) -> str:
    rest = line[end:]
    if line[:1] == b"@":
        return "multilog" if TAGGED.match(rest) or HOSTED.match(rest) or LEVELLED.match(rest) else ""
    # The kernel's own messages look like it, but for the host and the PID.
    return "journal-monotonic" if re.match(rb"\S+ [^\s:\[\]]+\[\d+\]: ", rest) else ""


def _stamped(line: bytes, found: re.Match[bytes], *, inside: bool = False) -> str:
    rest = line[found.end() :]
    if moment(found) is None:
        return ""
    second = None if inside or found["v5424"] else STAMP.match(rest)
    if second:
        kind = _stamped(rest, second, inside=True)
        return "docker-compose" if kind and found["compose"] else kind
    if found["v5424"]:
        return "syslog-5424"
    if CRI.match(line):
        return "cri"
    if RSPAMD.match(rest):
        return "rspamd"
    if SPAMD.match(rest):
        return "spamd"
    old = LEVEL_FIRST.match(rest)
    if LEVELLED.match(rest) or (old and old[2]):
        return "docker-compose" if found["compose"] else "dovecot"
    if not (
        HOSTED.match(rest)
        or HOSTED.match(Settler("")(rest))
        or TAGGED.match(rest)
        or REPEATED.match(rest)
        or INNER.match(rest)
    ):
        return ""
    if found["compose"]:
        return "docker-compose"
    if found["unix"]:
        return "journal-short-unix"
    return "syslog-bsd" if found["month"] else "syslog-iso"
