"""spampd, an SMTP and LMTP proxy with SpamAssassin in it: its verdict on a mail."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.formats import LogFormat, Sample, rest, rx

# Message-IDs are cleaned of blanks and brackets; a sender's or recipient's quoted local part may hold anything.
_ADDRESS = r'<(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^<>"]*+|[^<>"]*+)>'
_MESSAGE_ID = rx(r"<[^ <>]*>|\(unknown\)|[^ <>]+")("message_id")


def _verdict(words: str, spam: str) -> LogFormat:
    """Return the format of a verdict; a log that names no process's own child says nothing else of it."""
    name = words.split(maxsplit=1)[0]
    return LogFormat(
        name=f"spampd-{name}",
        title="spampd takes a mail for spam" if spam else "spampd takes a mail for clean",
        reference="spampd spampd.pl, audit_smtp_message()",
        programs=("spampd",),
        table="verdicts",
        constants={"filter": "spampd", "result": words, **({"spam": spam} if spam else {})},
        line=f"{words} "
        + _MESSAGE_ID
        + " ("
        + rx(r"-?\d+(?:\.\d+)?|-?nan|-?inf")("score")
        + "/"
        + rx(r"-?\d+(?:\.\d+)?|-?nan|-?inf")("required")
        + ")"
        + pp.Opt(
            " from "
            + (("<" + rx(_ADDRESS[1:-1])("sender") + ">") | rx(r"\(unknown\)"))
            + " for "
            + rx(rf"{_ADDRESS}(?:, ?{_ADDRESS})*+|\(unknown\)")("recipients")
        )
        + rx(" in ")
        + rx(r"\d+(?:\.\d+)?")("seconds")
        + rx(r" ?s(?:, )?")
        + rest()("text"),
        samples=(
            Sample(
                f"{words} <CAK1@mail.example.org> (-0.10/5.00) from <ann@example.org> for <user1@example.com>,"
                "<user2@example.com> in 1.90s, 4987 bytes.",
                {
                    "message_id": "<CAK1@mail.example.org>",
                    "score": "-0.10",
                    "required": "5.00",
                    "sender": "ann@example.org",
                    "recipients": "<user1@example.com>,<user2@example.com>",
                    "seconds": "1.90",
                    "text": "4987 bytes.",
                },
            ),
            Sample(
                f'{words} (unknown) (7.20/5.00) from <"a> for <b"@example.org> for <c@example.com> in 0.20s, 12 bytes, with'
                " rules v1900000",
                {
                    "message_id": "(unknown)",
                    "score": "7.20",
                    "required": "5.00",
                    "sender": '"a> for <b"@example.org',
                    "recipients": "<c@example.com>",
                    "seconds": "0.20",
                    "text": "12 bytes, with rules v1900000",
                },
            ),
            Sample(
                f"{words} <a@example.org> (1.00/5.00) in 2s, 12 bytes.",
                {
                    "message_id": "<a@example.org>",
                    "score": "1.00",
                    "required": "5.00",
                    "seconds": "2",
                    "text": "12 bytes.",
                },
            ),
        ),
        weight=50,
    )


PROCESSING = LogFormat(
    name="spampd-processing",
    title="spampd begins with a mail",
    reference="spampd spampd.pl, audit_smtp_message()",
    programs=("spampd",),
    table="milters",
    constants={"filter": "spampd", "result": "processing"},
    line="processing message " + rest()("text"),
    samples=(
        Sample(
            "processing message <CAK1@mail.example.org> for <user1@example.com>,<user2@example.com>",
            {"text": "<CAK1@mail.example.org> for <user1@example.com>,<user2@example.com>"},
        ),
    ),
    weight=40,
)

PASSED = LogFormat(
    name="spampd-skipped",
    title="spampd lets a mail pass that is too large for it",
    reference="spampd spampd.pl, audit_smtp_message(); --maxsize",
    programs=("spampd",),
    table="milters",
    constants={"filter": "spampd", "result": "skipped"},
    line=rx(r"skipped large message \([^)]*\)")("text"),
    samples=(Sample("skipped large message (512.5KB)", {"text": "skipped large message (512.5KB)"}),),
    weight=30,
)

TROUBLE = LogFormat(
    name="spampd-trouble",
    title="spampd reports trouble",
    reference="spampd spampd.pl",
    programs=("spampd",),
    table="filter_errors",
    constants={"filter": "spampd", "kind": "error"},
    line=rx(r"(?:(?:WARNING|ERROR|CONFIG )(?s:.*)|(?s:.*)(?:[Cc]ouldn't|[Cc]an't|[Tt]imed out|[Ff]ailed)(?s:.*))")(
        "text"
    ),
    samples=(
        Sample(
            "WARNING!! SpamAssassin error on message <a@b>: Timed out!",
            {"text": "WARNING!! SpamAssassin error on message <a@b>: Timed out!"},
        ),
        Sample("Couldn't open socket: x", {"text": "Couldn't open socket: x"}),
    ),
    weight=20,
)

RULES = LogFormat(
    name="spampd-rules",
    title="the rules that a mail hit (--rh)",
    reference="spampd spampd.pl, audit_smtp_message()",
    programs=("spampd",),
    table="milters",
    constants={"filter": "spampd", "result": "rules"},
    line="rules hit for " + rest()("text"),
    samples=(Sample("rules hit for <a@b>: A,B", {"text": "<a@b>: A,B"}),),
    weight=30,
)

NOISE = LogFormat(
    name="spampd-other",
    title="spampd starts, stops and counts its processes",
    reference="spampd spampd.pl; Net::Server",
    programs=("spampd",),
    table=None,
    line=rx(
        r"(?:\d{4}/\d\d/\d\d-|Process Backgrounded|Binding to |Setting [gu]id |(?:Group|User) Not Defined|Loading config"
        r"|SpamPD |spampd |Net::Server|Child |Starting |Server closing|HUP|Beginning |Running|Received a SIG|Resolved )"
    )
    + rest(),
    samples=(
        Sample("2026/02/19-18:07:19 SpamPD (type Net::Server::PreForkSimple) starting! pid(2571)"),
        Sample("Process Backgrounded"),
        Sample("Binding to TCP port 10025 on host 127.0.0.1 with IPv4"),
    ),
    weight=-10,
)

FORMAT = (_verdict("clean message", ""), _verdict("identified spam", "true"), PROCESSING, PASSED, RULES, TROUBLE, NOISE)
