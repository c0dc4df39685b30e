"""Lines that don't name their program: ``journalctl -o cat`` leaves it out, ``-o with-unit`` has the unit in its place.

Which program wrote such a line shows in its text: the one whose grammar takes it. A PID that was told once is known.
"""

from __future__ import annotations

import functools
import re

from logscan.grammar.formats import LogFormat
from logscan.grammar.programs import pattern_for

DAEMONS = (
    "smtpd", "qmgr", "cleanup", "smtp", "lmtp", "pickup", "bounce", "local", "virtual", "pipe", "error", "postscreen",
    "anvil", "scache", "tlsproxy", "dnsblog", "verify", "trivial-rewrite", "discard", "master", "postfix-script",
    "postsuper", "postdrop", "sendmail", "postlogd",
)  # fmt: skip
OTHERS = ("dovecot", "amavis", "rspamd", "spamd", "opendkim", "opendmarc", "postgrey", "policyd-spf", "dspam")

UNITS = {
    "amavisd": "amavis", "amavisd-new": "amavis", "spamassassin": "spamd", "spamd": "spamd", "pyspf-milter": "policyd-spf",
}  # fmt: skip
"""Units whose name isn't their program's."""

UNIT = re.compile(rb"(\S+) ([^\s@\[\]/:]+)(?:@([^\s\[\]/:]*))?\.service(?:/[^\s\[\]:]*)?(\[\d{1,10}\])?: ")

RELAY = re.compile(rb", relay=(?:([a-z-]+)|[^,\[]*\[(/|private/)?[^,]*), ")

STRONG = re.compile(
    rb"(?:dis)?connect from \S+\[[0-9a-fA-F.:]+\]"
    rb"|(?:[0-9A-Za-z]{6,20}|NOQUEUE): (?:client=|message-id=|from=<|to=<|removed\Z|uid=\d|(?:milter-)?reject: )"
    rb"|(?:imap|pop3|managesieve|submission)-login: [A-Z]|(?:lmtp|lda|imap|pop3)\([^()]+\)(?:<[^<>]*>){0,2}: "
)
"""Texts that only a mail server's log has."""

LONGEST = 16_384
"""Bytes of a text that are tried with all grammars; none of the programs writes longer lines."""

PROBES = (b"zz zz", b"4A97F54A7D9: zz zz", b"imap(a)<1><b>: zz zz", b"warning: zz zz")
"""What a format takes that takes anything."""


class Untagged:
    """Names the programs of a chunk's lines; what a PID once said is remembered."""

    def __init__(self) -> None:
        self._by_pid: dict[bytes, bytes] = {}

    def bare(self, text: bytes) -> bytes:
        """Return the body of a line that is nothing but a text."""
        tag = _daemon(text) or _other(text)
        return b"- " + tag + b": " + text if tag else b"-  : " + text

    def unit(self, body: bytes) -> bytes:
        """Return ``body`` with its program in the place of its unit."""
        found = UNIT.match(body)
        if found is None:
            return body
        host, unit, instance, pid = found[1], found[2], found[3], found[4] or b""
        text = body[found.end() :]
        if unit != b"postfix":
            name = UNITS.get(unit.decode("utf-8", "replace"), "").encode() or unit
            return host + b" " + name + pid + b": " + text
        tag = _daemon(text)
        if tag and pid and b"/" in tag:
            self._by_pid[pid] = tag
        tag = tag or self._by_pid.get(pid) or _other(text) or b"postfix/unknown"
        if instance and instance != b"-" and tag.startswith(b"postfix/"):
            tag = instance + tag[len(b"postfix") :]
        return host + b" " + tag + pid + b": " + text


def _daemon(text: bytes) -> bytes | None:
    """Return the tag of the Postfix daemon whose grammar takes the text; None where any daemon's does, or none."""
    shared = False
    for noise in (False, True):
        for daemon in DAEMONS:
            fmt = _format(f"/{daemon}", text)
            if fmt is None or (fmt.table is None) is not noise:
                continue
            if fmt.name == "postfix-delivery":
                return b"postfix/" + _agent(text)
            if "/*" not in fmt.programs:
                return b"postfix/" + daemon.encode()
            shared = True
        if shared:
            return None
    return None


def _other(text: bytes) -> bytes | None:
    for program in OTHERS:
        fmt = _format(program, text)
        if fmt is not None:
            return program.encode()
    return b"postfix/unknown" if _format("/unknown", text) else None


def _format(program: str, text: bytes) -> LogFormat | None:
    pattern = pattern_for(program)
    found = pattern.match(text) if len(text) < LONGEST else None
    if found is None or not found.lastindex:
        return None
    fmt = pattern.shapes[found.lastindex].format
    return None if fmt.name in _loose(program) else fmt


@functools.cache
def _loose(program: str) -> frozenset[str]:
    """Return the names of a program's formats that take any text."""
    pattern = pattern_for(program)
    taken = (pattern.match(probe) for probe in PROBES)
    return frozenset(pattern.shapes[found.lastindex].format.name for found in taken if found and found.lastindex)


def _agent(text: bytes) -> bytes:
    """Return the delivery agent of a delivery's line, as its relay shows it."""
    found = RELAY.search(text, 0, 4096)
    if found is None or found[1] == b"none":
        return b"smtp"
    if found[1] in (b"local", b"virtual"):
        return bytes(found[1])
    if found[1]:
        return b"pipe"
    return b"lmtp" if found[2] or text.endswith(b" Saved)") else b"smtp"
