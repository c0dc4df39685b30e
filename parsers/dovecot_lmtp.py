"""Dovecot lmtp and lda: where a mail was stored, and what Sieve did with it."""

from __future__ import annotations

import pyparsing as pp

from logscan.atoms import dovecot, dovecot_old, message_id, quoted, upto
from logscan.grammar import LogFormat, Sample, rest, rx

_SERVICES = "lmtp|lda|dovecot-lda|deliver"
_DONE = (
    "stored mail|left message|store into|saved mail|save failed|failed to|forwarded"
    " to|discarded|discarding|[Mm]arked message"
    "|sent vacation|rejected|piped message|program '|Auto-submitted message discarded|Return-Path missing"
    "|Permanently failed"
)
_MESSAGE = (
    pp.Opt("sieve: ")
    + pp.Opt(rx(r"(?:(?!msgid=)[a-z_]+=[^,:]*[,:] )++"))
    + "msgid="
    + message_id()
    # deliver_log_format may add fields behind the Message-ID.
    + upto(f": (?:[a-z]+ action: )?(?:{_DONE})")
    + ": "
    + pp.Opt(rx("[a-z]+ action: "))
)
_NEW = "lmtp(bob@example.com)<5583><CHZxAe48A2vPFQAAMzN6MA:R2>: sieve: msgid=<a@example.net>: "
_OLD = "lmtp(7, bob@example.com): vwQ8DCqjqlqdHgAAwl8aWQ: sieve: msgid=<a@example.net>: "
_LDA = "lda(bob@example.com): msgid=<a@example.net>: "
_BOB = {"user": "bob@example.com", "message_id": "<a@example.net>"}
_SESSION = {"session": "CHZxAe48A2vPFQAAMzN6MA:R2"}


def _format(
    action: str, title: str, line: pp.ParserElement, weight: int, *texts: tuple[str, dict[str, str]]
) -> LogFormat:
    """Return the format of one action, with samples of each version made from what follows the Message-ID."""
    samples = [Sample(_NEW + text, _BOB | _SESSION | fields) for text, fields in texts]
    samples += [
        Sample(_OLD + texts[0][0], _BOB | {"session": "vwQ8DCqjqlqdHgAAwl8aWQ"} | texts[0][1]),
        Sample(_LDA + texts[-1][0], _BOB | texts[-1][1]),
    ]
    return LogFormat(
        name=f"dovecot-{action.replace(' ', '-')}",
        title=title,
        reference="Dovecot lib-lda/mail-deliver.c, Pigeonhole lib-sieve; deliver_log_format",
        programs=("dovecot",),
        table="stores",
        constants={"action": action},
        line=(dovecot(_SERVICES) + _MESSAGE + line) | (dovecot_old(_SERVICES) + _MESSAGE + line),
        samples=tuple(samples),
        weight=weight,
    )


STORED = _format(
    "stored",
    "a mail is stored in a mailbox",
    (rx("stored mail into mailbox '|left message in mailbox '|saved mail to '?"))
    + quoted(r" \([^()]*\)\Z")("mailbox")
    + pp.Opt("'" + pp.Opt(rx(r" \([^()]*\)"))),
    90,
    ("stored mail into mailbox 'INBOX'", {"mailbox": "INBOX"}),
    ("fileinto action: stored mail into mailbox 'Bob's, mail' (Bob's)", {"mailbox": "Bob's, mail"}),
    ("left message in mailbox 'Junk'", {"mailbox": "Junk"}),
    ("saved mail to INBOX", {"mailbox": "INBOX"}),
)

FAILED = _format(
    "failed",
    "a mail could not be stored, forwarded or piped",
    rx("(?:save failed|failed|Permanently failed|store into mailbox '[^']*' |program ')(?s:.*)")("text"),
    89,
    (
        "Permanently failed to send rejection: no route",
        {"text": "Permanently failed to send rejection: no route"},
    ),
    ("save failed to INBOX: Quota exceeded", {"text": "save failed to INBOX: Quota exceeded"}),
    (
        "fileinto action: failed to store into mailbox 'Junk': Mailbox doesn't exist: Junk",
        {"text": "failed to store into mailbox 'Junk': Mailbox doesn't exist: Junk"},
    ),
    ("pipe action: program 'x' not found", {"text": "program 'x' not found"}),
    ("store into mailbox 'Junk' aborted", {"text": "store into mailbox 'Junk' aborted"}),
    ("save failed to open mailbox x: Permission denied", {"text": "save failed to open mailbox x: Permission denied"}),
)

FORWARDED = _format(
    "forwarded",
    "Sieve forwards a mail",
    "forwarded to <" + upto(r">\Z", least=1)("address") + ">",
    88,
    ("redirect action: forwarded to <bob@example.org>", {"address": "bob@example.org"}),
    ("forwarded to <bob@example.org>", {"address": "bob@example.org"}),
)

DUPLICATE = _format(
    "duplicate",
    "Sieve has forwarded the same mail before and does nothing",
    "discarded duplicate forward to <" + upto(r">\Z", least=1)("address") + ">",
    87,
    ("redirect action: discarded duplicate forward to <bob@example.org>", {"address": "bob@example.org"}),
)

DISCARDED = _format(
    "discarded",
    "Sieve throws a mail away",
    rx("(?:[Mm]arked message to be discarded|discarded message)(?s:.*)")("text"),
    86,
    (
        "discard action: Marked message to be discarded if not explicitly delivered (discard action)",
        {"text": "Marked message to be discarded if not explicitly delivered (discard action)"},
    ),
    (
        "marked message to be discarded if not explicitly delivered (discard action)",
        {"text": "marked message to be discarded if not explicitly delivered (discard action)"},
    ),
)

VACATION = _format(
    "vacation",
    "Sieve answers with a vacation notice",
    "sent vacation response to <" + upto(r">\Z")("address") + ">",
    85,
    ("vacation action: sent vacation response to <ann@example.org>", {"address": "ann@example.org"}),
)

NO_VACATION = _format(
    "vacation withheld",
    "Sieve withholds a vacation notice",
    rx("discard(?:ed|ing) (?:duplicate )?(?:vacation|reject)(?s:.*)")("text"),
    84,
    (
        "vacation action: discarded duplicate vacation response to <ann@example.org>",
        {"text": "discarded duplicate vacation response to <ann@example.org>"},
    ),
    (
        "discarding vacation response for implicitly delivered message; no known (envelope) recipient address found",
        {
            "text": "discarding vacation response for implicitly delivered message; no known (envelope) recipient"
            " address"
            " found"
        },
    ),
    ("discarded reject to <>", {"text": "discarded reject to <>"}),
)

REJECTED = _format(
    "rejected",
    "a mail is refused after it was accepted",
    rx("(?:rejected(?: message from|:)|Auto-submitted message discarded|Return-Path missing)(?s:.*)")("text"),
    83,
    (
        "reject action: rejected message from <ann@example.org> (reject)",
        {"text": "rejected message from <ann@example.org> (reject)"},
    ),
    ("Return-Path missing, rejection reason: full", {"text": "Return-Path missing, rejection reason: full"}),
    ("rejected: Quota exceeded", {"text": "rejected: Quota exceeded"}),
)

PIPED = _format(
    "piped",
    "Sieve hands a mail to a program",
    rx("piped message to program [`']?") + rx("[^']*")("text") + rx("'?"),
    82,
    ("pipe action: piped message to program 'learn.sh'", {"text": "learn.sh"}),
)

_SCRIPT = (
    pp.Opt("sieve: ")
    + pp.Opt("msgid=" + message_id() + ": ")
    + rx("(?:Execution of script|Failed to (?:compile|open|execute)|Aborted)(?s:.*)|[^ ]+: line \\d+: (?s:.*)")("text")
)

SCRIPT = LogFormat(
    name="dovecot-script",
    title="a Sieve script failed",
    reference="Pigeonhole lda-sieve-plugin.c",
    programs=("dovecot",),
    table="stores",
    constants={"action": "script"},
    line=(dovecot(_SERVICES) + _SCRIPT) | (dovecot_old(_SERVICES) + _SCRIPT),
    samples=(
        Sample(
            "lmtp(bob@example.com)<5583><CHZxAe48A2vPFQAAMzN6MA>: Error: sieve: msgid=<a@example.net>: Execution of"
            " script"
            " /home/bob/.dovecot.sieve failed, but implicit keep was successful",
            _BOB
            | {
                "session": "CHZxAe48A2vPFQAAMzN6MA",
                "text": "Execution of script /home/bob/.dovecot.sieve failed, but implicit keep was successful",
            },
        ),
        Sample(
            "lmtp(bob@example.com)<5583><CHZxAe48A2vPFQAAMzN6MA>: sieve: Failed to compile script `x'",
            {
                "user": "bob@example.com",
                "session": "CHZxAe48A2vPFQAAMzN6MA",
                "text": "Failed to compile script `x'",
            },
        ),
        Sample(
            "lmtp(bob@example.com): vwQ8DCqjqlqdHgAAwl8aWQ: sieve: Execution of script x was aborted due to"
            " temporary failure",
            {
                "user": "bob@example.com",
                "session": "vwQ8DCqjqlqdHgAAwl8aWQ",
                "text": "Execution of script x was aborted due to temporary failure",
            },
        ),
    ),
)

SESSION = LogFormat(
    name="dovecot-lmtp-session",
    title="an LMTP session begins or ends",
    reference="Dovecot lmtp/lmtp-client.c",
    programs=("dovecot",),
    table=None,
    line=rx(
        r"lmtp(?:\([^()]*\))?(?:<[^<>]*>)*: (?:Info: )?(?:<[^<>]*>: )?(?:Connect from |Disconnect from |Sent message"
        r" to )"
    )
    + rest(),
    samples=(
        Sample("lmtp(5583): Connect from local"),
        Sample("lmtp(5583): Disconnect from local: Logged out (state=READY)"),
        Sample("lmtp(5583): Info: Disconnect from 192.0.2.7: Successful quit"),
        Sample(
            "lmtp(5583): <CHZxAe48A2vPFQAAMzN6MA>: Sent message to <bob@example.com> at 192.0.2.7:24: 250 2.0.0 Saved"
            " (1/1 at 12 ms)"
        ),
    ),
    weight=95,
)

FORMAT = (STORED, FAILED, FORWARDED, DUPLICATE, DISCARDED, VACATION, NO_VACATION, REJECTED, PIPED, SCRIPT, SESSION)
