"""The pieces that log-line formats share: queue IDs, clients, addresses, text up to a marker, Dovecot's prefix.

Everything here is read from left to right. Texts in a log line are written by strangers, so a field ends at the first
marker that can follow it, never at one found by searching the line.
"""

from __future__ import annotations

import re

import pyparsing as pp

from logscan.grammar.formats import rx

__all__ = [
    "DONE",
    "TELLS",
    "address",
    "before_last",
    "client",
    "client_or_name",
    "context",
    "dovecot",
    "dovecot_old",
    "either",
    "last",
    "last_before",
    "level",
    "message_id",
    "queue_id",
    "queue_id_or_none",
    "quoted",
    "reply",
    "telling",
    "upto",
]

LONG_DIGITS = "0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-"
QUEUE_ID = (
    r"[0-9A-E][0-9A-F]{5,20}\b"
    rf"|[{LONG_DIGITS}z]{{10,}}z[{LONG_DIGITS}y]+\b"
    r"|F(?:[0-3][0-9A-F]{4,19}|4[01][0-9A-F]{3,18}|42[0-3][0-9A-F]{2,17})\b"
)
"""Short: five hexadecimal digits of microseconds (below 1000000, so at most F423F), then the inode. Long: base 52
without vowels, six or more digits of seconds and four of microseconds, ``z``, the inode in base 51 (which has no ``z``,
so the last one divides). Postfix global/mail_queue.h."""


_FAILED = (
    "save failed to |(?<!anently )failed to (?:store into|redirect message|send |pipe message|check for duplicate)"
    "|failed to (?:read input|execute )"
    r"|store into mailbox '[^']*'(?: \([^()]*\))? aborted|Permanently failed|no means to send mail"
    r"|[a-z]+ action has no means to send mail|[a-z]+ action aborted: |program [`'][^']*' not found"
)
_SCRIPT = r"[Ee]xecution of script|Failed to (?:re-)?(?:compile|open|execute|access) |Aborted |[^ :]{1,200}: line \d+: "

DONE = {
    "stored": "stored mail into mailbox '|left message in mailbox '|saved mail to ",
    "failed": _FAILED,
    "skipped": r"store into mailbox '[^']*'(?: \([^()]*\))? skipped",
    "forwarded": "forwarded to <",
    "duplicate": "discarded duplicate forward to <",
    "loop": "not forwarding message to <",
    "discarded": "[Mm]arked message to be discarded if |discarded message",
    "vacation": "sent vacation response to <",
    "vacation withheld": "discard(?:ed|ing) (?:duplicate )?vacation re|not sending vacation re",
    # Also as a subject: only where it is what the line says.
    "rejected": "rejected message from <|(?<=[:,] )rejected: |Auto-submitted message discarded|Return-Path missing",
    "rejected silently": "not sending reject message to <>|discarded reject to <>",
    "reject withheld": r"not sending reject message \(",
    "report": "sent [`'][^']*' report to <",
    "notification": "sent mail notification to ",
    "notification withheld": "discarded mail notification to ",
    "piped": "piped message to program ",
    "script": _SCRIPT,
}
"""Patterns of what an action of Dovecot's delivery begins with, behind a blank, by the action (see ``stores``)."""


_TOLD = (r"[Mm]essage-?[Ii][Dd]|msgid|queue[-_]?id|[Rr]eject|REJECT|[Rr]efuse|DEFER|[Bb]locked", r"\b[45]\d\d [45]\.\d")
TELLS = f"(?:{'|'.join(_TOLD)}|action=(?!DUNNO|dunno))"
"""What a line says that no format of noise may take: of which mail it speaks, or that something was refused."""


def queue_id(name: str = "") -> pp.ParserElement:
    """Return an element for a queue ID, short or long; a format that is noise names no field."""
    return rx(QUEUE_ID)(name) if name else rx(QUEUE_ID)


def queue_id_or_none(name: str) -> pp.ParserElement:
    """Return an element for a queue ID or ``NOQUEUE``."""
    return rx(f"{QUEUE_ID}|NOQUEUE")(name)


def either(*words: str) -> str:
    """Return the pattern of one of several literal texts, the longest first."""
    return "|".join(re.escape(each) for each in sorted(words, key=len, reverse=True))


def telling() -> pp.ParserElement:
    """Return an element for a whole text that holds what no format of noise may take."""
    return rx(rf"(?=(?s:.*){TELLS})(?s:.*)")


def upto(*markers: str, least: int = 0) -> pp.ParserElement:
    """Return an element for the text before the first of the ``markers``, patterns that start with a literal character.

    Without any marker in the line it takes everything. ``least=1`` refuses the empty text.
    """
    heads = "".join(sorted({each[1] if each.startswith("\\") else each[0] for each in markers}))
    heads = re.escape(heads)
    some = f"(?=[^{heads}])" if least else ""
    return rx(f"{some}[^{heads}]*+(?:(?!{'|'.join(markers)})[{heads}][^{heads}]*+)*+")


def last(*markers: str) -> pp.ParserElement:
    """Return an element for the text before the last place where the first of the ``markers`` found in it matches.

    The markers are patterns that start with a literal character. For a stranger's text behind which only the program
    itself writes. Without any marker it takes everything.
    """
    tries = []
    for marker in markers:
        head = marker[:2] if marker.startswith("\\") else marker[0]
        here = rf"(?:(?!{marker})|(?={head}(?s:.*){marker})){head}"
        tries.append(rf"[^{head}]*+(?:{here}[^{head}]*+)*+")
    # Without its marker a try takes the whole line: only the last one may do that.
    sure = [rf"(?=(?s:.*){marker}){each}" for marker, each in zip(markers, tries[:-1], strict=False)]
    return rx("|".join([*sure, tries[-1]]))


def before_last(phrases: str) -> str:
    """Return the pattern of a text before the last ``: PHRASE``, with Sieve's ``fileinto action: `` between them or not.

    For a stranger's text that is followed by what the program did; ``phrases`` is a pattern. It looks from the line's end,
    once: linear in the line's length.
    """
    action = r": [a-z]+ action: "
    return (
        rf"(?>(?s:.*)(?={action}(?:{phrases})))(?!{action}(?:{phrases})(?s:.*): (?:{phrases}))"
        rf"|(?s:.*)(?=: (?:{phrases}))"
    )


def last_before(stop: str, follow: str) -> str:
    """Return the pattern of a text up to the last place before the first ``stop`` where ``follow`` matches.

    Only repeats of single characters go back in it: those need no memory, a repeated group some kilobytes a character.
    """
    neither = rf"(?:(?!{follow}|{stop})(?s:.))*+"
    return (
        rf"(?!(?s:.*){stop})(?s:.*)(?={follow})"
        rf"|(?!{neither}{stop})(?s:.*?)(?={follow})(?=(?s:.){neither}{stop})"
    )


def address(*markers: str) -> pp.ParserElement:
    """Return an element for an address after ``<``, up to a ``>`` that one of the ``markers`` (patterns) follows.

    A quoted local part may hold anything, also what looks like the marker.
    """
    follow = "|".join(markers)
    return rx(rf'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"(?=[@>]))?+[^>]*+(?:>(?!{follow})[^>]*+)*+')


_CONTEXT = "; (?:from=<|to=<|proto=)"
_STRICT = r'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"(?=[@>]))?+[^<>"]*+'


def context(before: pp.ParserElement) -> tuple[pp.ParserElement, pp.ParserElement]:
    """Return what smtpd and cleanup say of a command behind ``before``: a text, then ``; from=<…> to=<…> proto=… helo=<…>``.

    Sender, recipient, HELO name and parts of the text are a stranger's, and each may look like the others. The first of the
    two takes lines in which nothing does, the second, to be tried later, any: where a line can be read in two ways, all
    behind ``before`` is text.
    """
    tail = (
        pp.Opt(" from=<" + rx(_STRICT)("sender") + ">")
        + pp.Opt(" to=<" + rx(_STRICT)("recipient") + ">")
        + pp.Opt(" proto=" + rx("[^ :<>;]+")("proto"))
        + pp.Opt(
            " helo=<"
            + rx(r"[^<>]*(?=>(?: sasl_|\Z))|(?:(?! (?:to=<|proto=|helo=<|sasl_)|>\Z)(?s:.))*+(?=>\Z)")("helo")
            + ">"
        )
        # Not within a HELO name: that ends in a bracket.
        + pp.Opt(rx(r" sasl_method=(?!(?s:.*)>\Z)[^ ]+"))
        + pp.Opt(rx(r" sasl_username=(?!(?s:.*)>\Z)") + upto(" sasl_sender=")("sasl_username"))
        + pp.Opt(" sasl_sender=" + rx("(?s:.*)"))
    )
    once = before + rx(rf"(?!(?s:.*){_CONTEXT}(?s:.*){_CONTEXT})") + last(_CONTEXT, r";\Z")("text") + pp.Opt(";") + tail
    # Addresses in the text are complete, so what is within them is no context.
    first = before + rx(rf'(?:[^<>;"]|<{_STRICT}>|;(?! (?:from=<|to=<|proto=)))*+(?=;)')("text") + ";" + tail
    # The text has no HELO name and no quoted address that could hold the context found last.
    latest = before + rx(rf'(?![^"]*+"(?s:.*){_CONTEXT})(?:{last_before(" helo=<", _CONTEXT)})')("text") + ";" + tail
    return once, first | latest | (before + rx("(?s:.*)")("text"))


def client(name: str = "client", ip: str = "client_address", port: str = "") -> pp.ParserElement:
    """Return an element for ``name[address]``, with ``:port`` where smtpd_client_port_logging is on."""
    line = rx(r"[^\[\]]*")(name) + "[" + rx(r"[^\]]+")(ip) + "]"
    number = rx(r"\d+")
    return line + (pp.Opt(":" + number(port)) + pp.Opt(":unknown") if port else pp.Opt(rx(r":(?:\d+|unknown)")))


def client_or_name(name: str = "client", ip: str = "client_address") -> pp.ParserElement:
    """Return an element for ``name[address]:port`` or a name alone, up to a colon and a blank."""
    line = rx(r"[^\[\]: ]*")(name) + pp.Opt("[" + rx(r"[^\]]+")(ip) + "]")
    return line + pp.Opt(rx(r":(?:\d+|unknown)"))


def reply() -> pp.ParserElement:
    """Return an element for a text in parentheses that may hold parentheses, without the last ``)`` of the line."""
    return rx(r"[^)]*+(?:\)(?!\Z)[^)]*+)*+")


def quoted(*follow: str) -> pp.ParserElement:
    """Return an element for a text in single quotes, up to a ``'`` that one of the patterns or the end follows."""
    ends = "|".join((*follow, r"\Z"))
    return rx(rf"[^']*+(?:'(?!{ends})[^']*+)*+")


def level() -> pp.ParserElement:
    """Return an element for Dovecot's word for the level. Syslog has none for Info, Dovecot's own files always one."""
    return pp.Opt(rx("Info: |Debug: |Warning: |Error: "))


def dovecot(services: str) -> pp.ParserElement:
    """Return Dovecot's prefix (2.3 and 2.4: ``imap(user)<pid><session>: ``; 2.2: ``imap(user): ``)."""
    line = rx(services) + "(" + pp.Opt(rx(r"\d+, ")) + rx(r"[^(),]*")("user") + rx(r"(?:,[^()]*)?") + ")"
    return line + pp.Opt(rx(r"<\d*>")) + pp.Opt("<" + rx(r"[^>]*")("session") + ">") + ": " + level()


def dovecot_old(services: str) -> pp.ParserElement:
    """Return the prefix of Dovecot 2.2's LMTP, where the session comes after it: ``lmtp(user): SESSION: ``."""
    line = rx(services) + "(" + pp.Opt(rx(r"\d+, ")) + rx(r"[^()]*")("user") + "): " + level()
    return line + rx(r"[A-Za-z0-9+/]{22}(?::\w+)?")("session") + ": "


def message_id(name: str = "message_id") -> pp.ParserElement:
    """Return an element for a Message-ID: up to its ``>``, or without brackets up to a colon or comma and a blank."""
    return rx(r"<[^>]*+(?:>(?![:,;]|\Z)[^>]*+)*+>(?=[:,;]|\Z)|[^:,]*+(?:[:,](?! )[^:,]*+)*+")(name)
