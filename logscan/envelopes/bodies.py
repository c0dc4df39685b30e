"""What stands behind the stamp: brings every writer's form to ``host tag[pid]: text``."""

from __future__ import annotations

import re

from logscan.envelopes.prefixes import PREFIX
from logscan.envelopes.stamps import NO_TIME, STAMP, moment
from logscan.grammar.repeats import sound

DOVECOT = re.compile(
    rb"(?:master|config|log|auth|auth-worker|anvil|director|dict|dict-async|doveadm|dsync|indexer|indexer-worker|ipc|lda|lmtp"
    rb"|deliver|imap|imap-hibernate|imap-login|imap-urlauth|imap-urlauth-login|imap-urlauth-worker|pop3|pop3-login|submission"
    rb"|submission-login|managesieve|managesieve-login|old-stats|stats|replicator|aggregator|quota-status|script|script-login"
    rb"|ssl-params|welcome|postlogin|event-exporter)(?:\([^()]*\))?(?:<[^<> ]*>){0,2}: "
    rb"|[a-z0-9-]+\([^()]*\)(?:<[^<> ]*>){0,2}: "
)
"""A Dovecot prefix: ``imap-login: Info: ``, ``lmtp(bob@x)<123><SESSION>: `` (Dovecot lib/failures.c)."""

LEVELLED = re.compile(rb"(?:[a-z0-9-]+(?:\([^()]*\))?(?:<[^<> ]*>){0,2}: )+(?:Debug|Info|Warning|Error|Fatal|Panic): ")
"""A Dovecot line as it goes to stderr or its own file: there the level is always told."""

RSPAMD = re.compile(rb"#(\d{1,10})\(([^() ]*)\) ")
SPAMD = re.compile(rb"\[(\d{1,10})\] (?:dbg|info|warn|error): ")
TAGGED = re.compile(rb"(?:[A-Za-z/][^\s\[\]:]*(?:\[\d{1,10}\]:|/[a-z-]+:)|dovecot:)(?: |\Z)")
SEVERITIES = rb"emerg(?:ency)?|panic|alert|crit(?:ical)?|err(?:or)?|fatal|warn(?:ing)?|notice|info(?:rmation(?:al)?)?|debug|trace"
FACILITIES = rb"kern|user|mail|daemon|auth|syslog|lpr|news|uucp|cron|authpriv|ftp|local[0-7]"
SEVERITY = re.compile(rb"(?i:[\[(<]?(?:" + SEVERITIES + rb")[\])>]?:?) +")
"""A severity as a word in the host's place (rsyslog's and syslog-ng's templates, supervisord's children)."""

TAG = re.compile(rb"[^\s:\[\]]+(?:\[\d{1,10}\])?: ")
NO_HOST = re.compile(rb"[\[(<]")
PRIORITY = re.compile(rb"<[a-z0-9]+\.[a-z]+> ")
RFC5424 = re.compile(
    sound(r"(\S+) (\S+) (\S+) (\S+) (-|(?:\[(?:[^\]\"\\]|\\.|\"(?:[^\"\\]|\\.)*+\")*+\])+)(?: |\Z)").encode()
)

INNER = re.compile(
    rb"(?P<host>\S+) +(?:(?P<level>(?:(?:"
    + FACILITIES
    + rb") +)?(?i:[\[(<]?(?:"
    + SEVERITIES
    + rb")[\])>]?) +)(?=[^\s:\[\]]+\[\d+\]: |dovecot: )|(?P<tag>[^\s:]+): (?:(?P<solaris>\[ID \d+ [a-z0-9]+\.[a-z]+\] )"
    rb"|(?=(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-3]?\d \d\d:\d\d:\d\d"
    rb"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d))"
    rb"|(?:(?P<facility>[a-z]+[0-7]?\.[a-z]+)|(?P<second>[A-Za-z0-9][A-Za-z0-9.:-]*[A-Za-z0-9])) "
    rb"(?=[^\s:\[\]/]+/[^\s:\[\]]+\[\d+\]: |(?:dovecot|amavis|amavisd|rspamd|spamd|opendkim|opendmarc|postgrey|policyd-spf"
    rb"|dspam)(?:\[\d+\])?: )"
    rb"|(?=deliver\([^()]*\): ))"
)
"""A body with more than a host before its tag (busybox writes facility.level, a relay its own name), or whose text
starts with another stamp or with the message ID of Solaris's syslogd (log.conf, msgid), or of Dovecot 1's deliver, whose
tag is its prefix."""

LEVEL_FIRST = re.compile(rb"((?:Debug|Info|Warning|Error|Fatal|Panic): )((?:[A-Za-z0-9-]+(?:\([^()]*\))?: )?)")
"""Dovecot 1 in its own file: ``dovecot: STAMP Info: imap-login: text``."""

WORDS = re.compile(
    rb"(?:[a-z0-9][a-z0-9.-]* ){2,3}(?=[^\s:\[\]/]+/[^\s:\[\]]+\[\d{1,10}\]: |[a-z-]+: (?:Info|Warning|Error): )"
)
"""stern's pod and container, and the namespace before them, in front of a line without a stamp."""

HOSTED = re.compile(rb"\S+ +[^\s:\[\]]+(?:\[\d+\])?: ")


def divided(body: bytes) -> tuple[bytes, bytes]:
    """Return ``host tag[pid]`` and the text; where no tag follows the host, ``host`` with a blank and all the rest.

    Not every colon ends a tag: syslogd itself writes ``mx1 last message repeated 2 times``.
    """
    whole, colon, text = body.partition(b": ")
    if not colon and whole[-1:] == b":":
        whole, colon = whole[:-1], b":"
    if colon:
        head, bracket, pid = whole.partition(b"[")
        words = head.split(b" ")
        if len(words) == 2 and words[0]:
            return whole, text
        words = [word for word in words if word]
        if len(words) == 2:
            return b" ".join(words) + bracket + pid, text
    host, blank, text = body.partition(b" ")
    return (host + b" ", text.lstrip(b" ")) if blank and host else (b"- ", body.lstrip(b" "))


def inner(body: bytes, found: re.Match[bytes]) -> tuple[bytes, int]:
    """Return the inner body of a line :data:`INNER` matched, and the inner UTC time (ns) or NO_TIME."""
    rest = body[found.end() :]
    if found["facility"]:
        return found["host"] + b" " + rest, NO_TIME
    if found["level"]:
        return found["host"] + b" " + rest, NO_TIME
    if found["second"]:
        return found["second"] + b" " + rest, NO_TIME
    if not found["tag"]:
        return found["host"] + b" dovecot: " + rest, NO_TIME
    if found["solaris"]:
        return found["host"] + b" " + found["tag"] + b": " + rest, NO_TIME
    stamp = STAMP.match(rest)
    when = moment(stamp) if stamp else None
    if stamp is None or when is None:
        return body, NO_TIME
    text = rest[stamp.end() :]
    old = LEVEL_FIRST.match(text) if found["tag"] == b"dovecot" else None
    if old:
        return found["host"] + b" dovecot: " + old[2] + old[1] + text[old.end() :], when[0]
    settled = Settler("")(text)
    if settled.startswith(b"- "):
        return found["host"] + settled[1:], when[0]
    return (settled, when[0]) if HOSTED.match(settled) else (body, NO_TIME)


def rfc5424(rest: bytes) -> bytes | None:
    """Rewrite what follows the stamp of RFC 5424 (host, app, procid, msgid, data, text), or None if it is not that."""
    found = RFC5424.match(rest)
    if found is None:
        return None
    host, app, pid = found[1], found[2], found[3]
    text = rest[found.end() :].removeprefix(b"\xef\xbb\xbf")
    return host + b" " + app + (b": " if pid == b"-" else b"[" + pid + b"]: ") + text


class Settler:
    """Gives every body a host: those that lack one are told from their first word, which is remembered."""

    def __init__(self, kind: str) -> None:
        self._dovecot = kind == "dovecot"
        self._hosts: set[bytes] = set()

    def is_host(self, word: bytes) -> bool:
        """Tell whether ``word`` can be a host: no tag, no Dovecot prefix, no rspamd worker."""
        return not (word[:1] == b"#" or word[-1:] == b":" or NO_HOST.search(word) or SEVERITY.fullmatch(word + b" "))

    def __call__(self, body: bytes) -> bytes:
        """Return ``body`` with a host before the tag."""
        word = body.partition(b" ")[0]
        if word in self._hosts:
            return body
        if self.is_host(word):
            if len(self._hosts) < 10_000:
                self._hosts.add(word)
            return body
        found = PRIORITY.match(body)
        if found:  # once: what stands behind it may be anything
            body = body[found.end() :]
            if self.is_host(body.partition(b" ")[0]):
                return body
        return self._headless(body) or (b"- dovecot: " + body if self._dovecot else body)

    def _headless(self, body: bytes) -> bytes | None:
        old = LEVEL_FIRST.match(body)
        if old and (old[2] or self._dovecot):
            return b"- dovecot: " + old[2] + old[1] + body[old.end() :]
        found = SEVERITY.match(body)
        if found:
            rest = body[found.end() :]
            if TAG.match(rest):
                return b"- " + rest
            if HOSTED.match(rest):
                return rest
            body = rest
        found = RSPAMD.match(body)
        if found:
            return b"- rspamd[%b]: (%b) %b" % (found[1], found[2], body[found.end() :])
        found = SPAMD.match(body)
        if found:
            return b"- spamd[%b]: %b" % (found[1], body[found.end() :])
        if TAGGED.match(body):
            return b"- " + body
        if DOVECOT.match(body):
            return b"- dovecot: " + body
        return None

    def bare(self, line: bytes) -> bytes | None:
        """Return the body of a line without a stamp (a container's), or None if it isn't a log line."""
        text = line
        start = PREFIX.match(line) or (None if TAGGED.match(line) else WORDS.match(line))
        if start:
            text = line[start.end() :]
        found = SEVERITY.match(text)
        if found and TAGGED.match(text, found.end()):
            text = text[found.end() :]
        old = LEVEL_FIRST.match(text)
        if old and old[2]:
            return b"- dovecot: " + old[2] + old[1] + text[old.end() :]
        if LEVELLED.match(text):
            return b"- dovecot: " + text
        return b"- " + text if TAGGED.match(text) else None
