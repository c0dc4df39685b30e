"""Dovecot lmtp and lda as they come: where a mail was stored, and what Sieve did with it.

These are the lines that fill logs, by the default deliver_log_format and without anything odd in them. All others are read
in :mod:`logscan.parsers.dovecot_deliver`.
"""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import dovecot, dovecot_old
from logscan.grammar.formats import LogFormat, Sample, rest, rx

_SERVICES = "lmtp|lda|dovecot-lda|deliver"
_MESSAGE = (
    pp.Opt("sieve: ")
    + "msgid="
    # Nothing odd: behind it stands one action, which ends the line.
    + rx("<[^<>]*>(?=: )|[^<>:, ]*(?=: )")("message_id")
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
        name=f"dovecot-{action}",
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
    rx("stored mail into mailbox '|left message in mailbox '|saved mail to (?!(?s:.*) saved mail to )'?")
    + rx("[^':=]*")("mailbox")
    + pp.Opt("'" + pp.Opt(rx(r" \((?!permanent|temporary)[^():']*\)"))),
    90,
    ("stored mail into mailbox 'INBOX'", {"mailbox": "INBOX"}),
    ("fileinto action: stored mail into mailbox 'Bob, mail' (Bob)", {"mailbox": "Bob, mail"}),
    ("left message in mailbox 'Junk'", {"mailbox": "Junk"}),
    ("saved mail to INBOX", {"mailbox": "INBOX"}),
)

FORWARDED = _format(
    "forwarded",
    "Sieve forwards a mail",
    "forwarded to <" + rx("[^<>]+")("address") + ">",
    88,
    ("redirect action: forwarded to <bob@example.org>", {"address": "bob@example.org"}),
    ("forwarded to <bob@example.org>", {"address": "bob@example.org"}),
)

DISCARDED = _format(
    "discarded",
    "Sieve throws a mail away",
    rx(
        r"[Mm]arked message to be discarded if not explicitly delivered \(discard action\)|discarded message(?: \(discard"
        r" action\))?"
    )("text"),
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

PIPED = _format(
    "piped",
    "Sieve hands a mail to a program",
    rx("piped message to program [`']?") + rx("[^':=]*")("text") + rx("'?"),
    82,
    ("pipe action: piped message to program 'learn.sh'", {"text": "learn.sh"}),
)

SESSION = LogFormat(
    name="dovecot-lmtp-session",
    title="an LMTP session begins or ends",
    reference="Dovecot lmtp/lmtp-client.c",
    programs=("dovecot",),
    table=None,
    line=rx(r"lmtp(?:\([^()]*\))?(?:<[^<>]*>)*+: (?:Info: )?(?:<[^<>]*>: )?(?:Connect from |Disconnect from )")
    + rest(),
    samples=(
        Sample("lmtp(5583): Connect from local"),
        Sample("lmtp(5583): Disconnect from local: Logged out (state=READY)"),
        Sample("lmtp(5583): Info: Disconnect from 192.0.2.7: Successful quit"),
    ),
    weight=95,
)

PROXIED = LogFormat(
    name="dovecot-lmtp-proxied",
    title="an LMTP proxy hands a mail on to the server that holds the mailbox",
    reference="Dovecot lmtp/lmtp-proxy.c",
    programs=("dovecot",),
    table="stores",
    constants={"action": "handed on"},
    line=rx(r"lmtp(?:\([^()]*\))?: (?:Info: )?<")
    + rx("[^<>]*")("session")
    + ">: Sent message to <"
    + rx("[^<>]*")("address")
    + "> at "
    + rest()("text"),
    samples=(
        Sample(
            "lmtp(5583): <CHZxAe48A2vPFQAAMzN6MA>: Sent message to <bob@example.com> at 192.0.2.7:24: 250 2.0.0 Saved"
            " (1/1 at 12 ms)",
            {
                "session": "CHZxAe48A2vPFQAAMzN6MA",
                "address": "bob@example.com",
                "text": "192.0.2.7:24: 250 2.0.0 Saved (1/1 at 12 ms)",
            },
        ),
    ),
    weight=80,
)

FORMAT = (STORED, FORWARDED, DISCARDED, PIPED, PROXIED, SESSION)
