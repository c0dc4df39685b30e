"""What stands before a line's own stamp: terminal colours, the names of containers, stamps of rarer kinds."""

from __future__ import annotations

import re

from logscan.envelopes.stamps import LAST_EPOCH, NEVER, NO_OFFSET, SECOND, Moment

ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[@-Z\\^-~])")
"""Terminal control sequences (ECMA-48: CSI, OSC, the rest of two or more characters); one without its end is none."""

_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_BEGINS = (
    rb"(?:<\d{1,3}>)?(?:\d{4}-\d\d-\d\d[T ]\d\d:|(?:[A-Z][a-z]{2} )?" + _MONTH + rb" [ 0-3]?\d |@4[0-9a-f]{15}|\{ ?\")"
)

PREFIX = re.compile(
    rb"\[(?:pod/)?[\w.-]+(?:[/ ][\w.-]+)?\] (?!\d*\])"
    rb"|[\w.@-]+ *\| {1,2}"
    rb"|dovecot: (?=" + _BEGINS + rb")"
    rb"|(?:[A-Za-z0-9][\w.@/-]* ){1,3}(?=" + _BEGINS + rb")"
)
"""Names before a line: ``[pod/NAME/CONTAINER]`` of kubectl --prefix, ``[POD CONTAINER]`` of kubetail, ``NAME |`` of docker
compose, docker service and foreman, ``POD CONTAINER`` of stern (and the namespace before them), ``NAME`` of podman
--names; Dovecot 1 puts its own before the stamp of its own file."""

TAI64N = re.compile(rb"@(4[0-9a-f]{15})([0-9a-f]{8})? +")
"""multilog's and svlogd's stamp: 2**62 and ten seconds more than 1970, then nanoseconds (daemontools, timestamp.c)."""

SINCE_BOOT = re.compile(rb"\[ {0,10}\d{1,12}\.\d{6}(?: <[ \d.]{1,30}[ *]>| {16})?\] +")
"""journalctl -o short-monotonic and short-delta (systemd, shared/logs-show.c): no time of day is told."""

JOURNALCTL = re.compile(rb"-- (?:Boot |Reboot --|Logs begin at |Journal begins at |No entries --|cursor: )")
"""What journalctl says itself."""


def sane(text: bytes) -> bytes:
    """Return ``text`` without terminal control sequences."""
    return ESCAPES.sub(b"", text) if b"\x1b" in text else text


def rare_stamp(line: bytes) -> tuple[int, Moment] | None:
    """Return where a stamp of a rarer kind at the head of ``line`` ends, and its moment; None where there is none."""
    found = TAI64N.match(line)
    if found:
        seconds = int(found[1], 16) - 2**62 - 10
        nanoseconds = int(found[2] or b"0", 16)
        if not 0 <= seconds < LAST_EPOCH or nanoseconds >= SECOND:
            return None
        return found.end(), (seconds * SECOND + nanoseconds, -1, 0, NO_OFFSET)
    found = SINCE_BOOT.match(line)
    return (found.end(), NEVER) if found else None
