"""Dovecot lmtp and lda by any deliver_log_format: what was done with a mail, wherever its fields stand in the line.

What a stranger writes (Message-ID, subject, sender) may stand on both sides of what was done, and Dovecot only takes
control characters out of it. So the last action of a line counts; where a field's name follows an earlier one, the line can
be read in two ways and stays unknown.
"""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import DONE
from logscan.grammar.formats import LogFormat, Sample, rx

_ENDINGS = r" \((?:permanent|temporary) (?:failure|error)\)\Z"
"""What a line ends with that quotes another server's reply."""

_FIELD = r"[,:;]? [(\[]?[A-Za-z_-]+="
"""A field behind the action, as in ``saved mail to INBOX (subject=x size=1)``."""

_PHRASES = "|".join(DONE.values())
_FAILED, _SCRIPT = DONE["failed"], DONE["script"]

_DONE = rf"(?<= )(?:{_PHRASES})"
_AFTER = rf"[:,]? (?:{_PHRASES})"
_NAME = r"(?<![A-Za-z_-])(?:msgid|[Mm]essage-?[Ii][Dd]|MSGID)(?:=|: ?)"
_FIRST = rf"(?:(?!{_DONE})(?s:.))*+"

# One reading only: no field's name between two actions.
_CLEAR = rx(rf"(?!{_FIRST}(?:{_DONE})(?:(?![ ,(\[][A-Za-z_-]+=)(?s:.))*+[ ,(\[][A-Za-z_-]+=(?s:.*){_DONE})")
_OPEN = r"""(?:['"](?=(?:<[^<>]*>|[^<>:, ()'"]*)['"][:,;)]?(?: |\Z)))?"""
"""A quotation mark that a deliver_log_format has around the value: ``msgid='%m'``."""

_ID = (
    r"""<[^<>]*>(?=['"]?[:,;)]?(?: |\Z))"""
    rf"""(?:(?=['"]?[:,;)]?(?: [(\[]?[A-Za-z_-]+=|\Z))|(?!(?s:.*){_DONE}(?s:.*){_DONE}))"""
    r"""|(?<=['"])[^<>:, ()'"]*(?=['"][:,;)]?(?: |\Z))"""
    r"|[^<>:, ()]*(?=[:,;)]?(?: |\Z))"
    rf"|(?>(?s:.*)(?<![:,])(?=[:,]? [a-z]+ action: (?:{_PHRASES})))(?!(?:[:,]? [a-z]+ action: )(?:{_PHRASES})(?s:.*){_AFTER})"
    rf"|(?s:.*)(?<![:,])(?={_AFTER})"
)


def _message_id(value: str) -> pp.ParserElement:
    """Return an element that looks ahead for a Message-ID, wherever its name stands; named twice, neither is believed."""
    return pp.Opt(
        pp.FollowedBy(rx(rf"(?:(?!{_NAME})(?s:.))*+{_NAME}(?!(?s:.*){_NAME}){_OPEN}") + rx(value)("message_id"))
    )


_LEVELS = "Info|Debug|Error|Warning|Fatal|Panic"


def _prefix(levels: str) -> pp.ParserElement:
    """Return Dovecot's prefix by many a mail_log_prefix, with a level that is one of ``levels`` wherever it stands."""
    line = rx(rf"(?:(?:{levels}): )?(?:lmtp|LMTP|lda|LDA|dovecot-lda|deliver|DELIVER)(?:\[\d*\])?")
    line += "(" + pp.Opt(rx(r"\d+, ")) + rx("[^(),]*")("user") + rx("(?:,[^()]*)?") + ")"
    # 2.2 tells the session behind the prefix.
    before = rf"(?: ?[<\[(]\d*[>\])])?(?: ?(?:session=)?<|: (?:(?:{levels}): )?(?=[A-Za-z0-9+/]{{22}}(?::\w+)?: ))"
    line += pp.Opt(rx(before) + rx("[^<>: ]*(?::[A-Za-z0-9]+)?")("session") + rx(">?"))
    level = rf"(?:(?:{levels}): )?+"
    return line + rx(rf"(?: ?[<\[(]\d*[>\])])?+:? {level}(?:sieve: )?+{level}(?!(?:{_LEVELS}): )")


_CALM = _prefix("Info|Debug") + rx(rf"(?!(?s:.*){_ENDINGS})") + _CLEAR + _message_id(_ID) + rx(rf"(?s:.*)(?={_DONE})")
_PLAIN = r"""<[^<>]*>|(?<=['"])[^<>:, ()'"]*(?=['"])|[^<>:, ()]*"""
# A remote server's reply stands in such a line: it says nothing but that something failed.
_BAD = "(?:Error|Warning|Fatal|Panic): "
_TROUBLE = (
    rx(
        rf"(?={_BAD}|[A-Za-z-]+(?:\[\d*\])?\([^()]*\)[^ ]*(?: [<\[(s][^ ]*)*+:? (?:[A-Za-z0-9+/]{{22}}(?::\w+)?: )?"
        rf"(?:sieve: )?{_BAD})"
    )
    + _prefix("Error|Warning|Fatal|Panic")
    + _message_id(_PLAIN)
)
_CAUSE = rx(rf"(?!(?s:.*){_ENDINGS})(?s:.*)(?<= )(?={_FAILED}|{_SCRIPT})")
_REPLIED = rx(rf"(?s:.*)(?<= )(?=failed to (?s:.*){_ENDINGS})")
_REPLY = _prefix("Info|Debug") + _message_id(_PLAIN) + _REPLIED

_NEW = "lmtp(bob@example.com)<5583><CHZxAe48A2vPFQAAMzN6MA:R2>: "
_OLD = "lmtp(7, bob@example.com): vwQ8DCqjqlqdHgAAwl8aWQ: "
_BOB = {"user": "bob@example.com", "message_id": "<a@example.net>"}
_SESSION = {"session": "CHZxAe48A2vPFQAAMzN6MA:R2"}
_REFERENCE = "Dovecot lib-lda/mail-deliver.c, lda/main.c; Pigeonhole lib-sieve, lda-sieve-plugin.c"

_OFTEN = ("forwarded", "discarded", "piped")

Told = tuple[str, dict[str, str]]


def _format(action: str, title: str, line: pp.ParserElement, *told: Told) -> LogFormat:
    """Return the format of one action, whose samples stand behind ``msgid=<a@example.net>: ``."""
    head = "sieve: msgid=<a@example.net>: "
    samples = [Sample(_NEW + head + text, _BOB | _SESSION | fields) for text, fields in told]
    text, fields = told[0]
    samples.append(Sample(_OLD + head + text, _BOB | {"session": "vwQ8DCqjqlqdHgAAwl8aWQ"} | fields))
    samples.append(Sample(f"lda(bob@example.com): {text}", {"user": "bob@example.com"} | fields))
    return LogFormat(
        # What comes often is also read in dovecot_lmtp, where it comes as by default.
        name=f"dovecot-{action.replace(' ', '-')}{'-otherwise' if action in _OFTEN else ''}",
        title=title,
        reference=_REFERENCE,
        programs=("dovecot",),
        table="stores",
        constants={"action": action},
        line=_CALM + line,
        samples=tuple(samples),
        weight=-3,
    )


def _text(action: str, title: str, *texts: str) -> LogFormat:
    """Return the format of an action of which the whole text is told."""
    line = rx(rf"(?:{DONE[action]})(?s:.*)")("text")
    return _format(
        action, title, line, *((text.split(" action: ")[-1], {"text": text.split(" action: ")[-1]}) for text in texts)
    )


def _address(action: str, title: str, begins: str, text: str, ends: str = r">\Z") -> LogFormat:
    """Return the format of an action that tells an address, up to what ``ends`` it."""
    line = begins + rx(rf"[^>]*+(?:>(?!{ends[1:]})[^>]*+)*+")("address") + rx(rf"{ends}(?s:.*)")
    return _format(action, title, line, (text, {"address": text.partition("<")[2].partition(">")[0]}))


_QUOTED = rf"(?: \((?!(?:permanent|temporary) )[^()]*\)\Z|(?={_FIELD})|\Z)"
STORED = LogFormat(
    name="dovecot-stored-otherwise",
    title="a mail is stored in a mailbox, by any deliver_log_format",
    reference=_REFERENCE,
    programs=("dovecot",),
    table="stores",
    constants={"action": "stored"},
    line=(
        _CALM
        + rx("(?:stored mail into|left message in) mailbox '|saved mail to '")
        + rx(rf"[^']*+(?:'(?!{_QUOTED})[^']*+)*+")("mailbox")
        + rx(rf"'{_QUOTED}(?:{_FIELD}(?s:.*))?")
    )
    | (
        _CALM
        + rx("saved mail to (?!')")
        + rx(rf"(?:(?!{_FIELD})(?s:.))*+")("mailbox")
        + rx(rf"(?:{_FIELD}(?s:.*))?")
    ),
    samples=(
        Sample(
            _NEW + "sieve: msgid=<a@example.net>: fileinto action: stored mail into mailbox 'Bob's, mail' (Bob's)",
            _BOB | _SESSION | {"mailbox": "Bob's, mail"},
        ),
        Sample(
            _NEW + "sieve: msgid=<a@example.net>: left message in mailbox 'a: b'", _BOB | _SESSION | {"mailbox": "a: b"}
        ),
        Sample(
            _NEW + "sieve: from=Ann Other <ann@example.org>, envelope_sender=ann@example.org, subject=Meeting: Monday,"
            " 9 h, msgid=<a@example.net>, size=1000, stored mail into mailbox 'INBOX'",
            _BOB | _SESSION | {"mailbox": "INBOX"},
        ),
        Sample(
            _NEW + "msgid=<a@example.net> from=<ann@example.org> size=1000 vsize=1020 session=12ms: saved mail to INBOX",
            _BOB | _SESSION | {"mailbox": "INBOX"},
        ),
        Sample(
            _NEW + "mail from ann@example.org: msgid=<a@example.net> saved mail to INBOX",
            _BOB | _SESSION | {"mailbox": "INBOX"},
        ),
        Sample(
            _NEW + "from=ann@example.org msgid=<a@example.net>: saved mail to INBOX (subject=Hello size=1000)",
            _BOB | _SESSION | {"mailbox": "INBOX"},
        ),
        # A stranger's Message-ID tells an action of its own.
        Sample(
            _NEW + "sieve: msgid=<a>: marked message to be discarded if not explicitly delivered (discard action): stored"
            " mail into mailbox 'INBOX'",
            _SESSION
            | {
                "user": "bob@example.com",
                "message_id": "<a>: marked message to be discarded if not explicitly delivered (discard action)",
                "mailbox": "INBOX",
            },
        ),
        Sample(
            "Info: LMTP[5583](bob@example.com) session=<CHZxAe48A2vPFQAAMzN6MA:R2>: saved mail to INBOX msgid=<a@example.net>",
            _BOB | _SESSION | {"mailbox": "INBOX"},
        ),
        Sample(_OLD + "sieve: msgid=unspecified: stored mail into mailbox 'x' (y: z)", {
            "user": "bob@example.com", "session": "vwQ8DCqjqlqdHgAAwl8aWQ", "message_id": "unspecified", "mailbox": "x",
        }),
        Sample(_NEW + "sieve: from='ann@example.org', subject='Re: a', msgid='<a@example.net>', size=1: stored mail into"
               " mailbox 'x'", _BOB | _SESSION | {"mailbox": "x"}),
        Sample(_NEW + 'msgid="unspecified" size=1: saved mail to INBOX', _SESSION | {
            "user": "bob@example.com", "message_id": "unspecified", "mailbox": "INBOX",
        }),
        Sample("lda(bob@example.com): stored mail into mailbox 'INBOX', size=5", {
            "user": "bob@example.com", "mailbox": "INBOX",
        }),
    ),
    weight=-3,
)  # fmt: skip

FAILED = LogFormat(
    name="dovecot-failed",
    title="a mail could not be stored, forwarded, answered or piped",
    reference=_REFERENCE,
    programs=("dovecot",),
    table="stores",
    constants={"action": "failed"},
    line=(_CALM + rx(rf"(?:{_FAILED})(?s:.*)")("text"))
    | (_REPLY + rx("(?s:.*)")("text"))
    | (_TROUBLE + _REPLIED + rx("(?s:.*)")("text"))
    | (_TROUBLE + _CAUSE + rx(rf"(?:{_FAILED})(?s:.*)")("text")),
    samples=(
        *(
            Sample(_NEW + f"{level}sieve: msgid=<a@example.net>: {action}{text}", _BOB | _SESSION | {"text": text})
            for level, action, text in (
                ("", "", "Permanently failed to send rejection: no route"),
                ("", "", "save failed to INBOX: Quota exceeded"),
                ("", "", "save failed to open mailbox x: Permission denied"),
                ("", "fileinto action: ", "failed to store into mailbox 'Junk': Mailbox doesn't exist: Junk"),
                ("", "fileinto action: ", "store into mailbox 'Junk' aborted"),
                ("", "pipe action: ", "program 'x' not found"),
                (
                    "Info: ",
                    "",
                    "failed to redirect message to <a@example.org>: : stored mail into mailbox 'x' (permanent failure)",
                ),
                (
                    "Error: ",
                    "",
                    "failed to redirect message to <a@example.org>: x: saved mail to y (temporary failure)",
                ),
                ("Warning: ", "vacation action: ", "vacation action aborted: envelope recipient is <>"),
            )
        ),
        Sample(
            "lmtp(bob@example.com)<817><iQBSCwulE1ZXMwAA0J78UA>: Info: stime=161 msgid=<a@example.net>: save failed to INBOX:"
            " Quota exceeded",
            _BOB | {"session": "iQBSCwulE1ZXMwAA0J78UA", "text": "save failed to INBOX: Quota exceeded"},
        ),
    ),
    weight=-3,
)

SCRIPT = LogFormat(
    name="dovecot-script",
    title="a Sieve script failed",
    reference="Pigeonhole lda-sieve-plugin.c",
    programs=("dovecot",),
    table="stores",
    constants={"action": "script"},
    line=(_CALM + rx(rf"(?:{_SCRIPT})(?s:.*)")("text")) | (_TROUBLE + _CAUSE + rx(rf"(?:{_SCRIPT})(?s:.*)")("text")),
    samples=(
        Sample(
            _NEW
            + "Error: sieve: msgid=<a@example.net>: Execution of script /x failed, but implicit keep was successful",
            _BOB | _SESSION | {"text": "Execution of script /x failed, but implicit keep was successful"},
        ),
        Sample(
            _NEW
            + "Error: sieve: Execution of script /x was aborted due to temporary failure (user logfile x may reveal)",
            _SESSION
            | {
                "user": "bob@example.com",
                "text": "Execution of script /x was aborted due to temporary failure (user logfile x may reveal)",
            },
        ),
        Sample(
            _NEW + "sieve: Failed to compile script `x'",
            _SESSION | {"user": "bob@example.com", "text": "Failed to compile script `x'"},
        ),
        Sample(
            _OLD + "sieve: Error: main script: line 3: error: unknown command",
            {
                "user": "bob@example.com",
                "session": "vwQ8DCqjqlqdHgAAwl8aWQ",
                "text": "script: line 3: error: unknown command",
            },
        ),
    ),
    weight=-3,
)

FORMAT = (
    STORED,
    FAILED,
    SCRIPT,
    _text("skipped", "Sieve would have stored a mail, had it not been told otherwise", "store into mailbox 'Junk' skipped"),
    _address("forwarded", "Sieve forwards a mail, by any deliver_log_format", "forwarded to <",
             "forwarded to <b@example.org>, size=5", ends=rf">(?:\Z|{_FIELD})"),
    _text("discarded", "Sieve throws a mail away, by any deliver_log_format", "discarded message (x: y)"),
    _format("piped", "Sieve hands a mail to a program, by any deliver_log_format", rx("piped message to program [`']?")
            + rx("[^']*")("text") + rx("(?:'(?s:.*))?"), ("piped message to program 'a: b'", {"text": "a: b"})),
    _address("duplicate", "Sieve has forwarded the same mail before and does nothing", "discarded duplicate forward to <",
             "discarded duplicate forward to <bob@example.org>"),
    _address("loop", "Sieve doesn't forward a mail that it has forwarded before: a loop", "not forwarding message to <",
             "not forwarding message to <bob@example.net>: the 'x-sieve-redirected-from' header indicates a mail loop",
             ends=r">: the 'x-sieve-redirected-from' header"),
    _address("vacation", "Sieve answers with a vacation notice", "sent vacation response to <",
             "sent vacation response to <ann@example.org>"),
    _text(
        "vacation withheld", "Sieve withholds a vacation notice", "not sending vacation reply (skipped)",
        "not sending vacation response to system address <bounce@example.net>", "discarded vacation reply to <>",
        "discarded vacation reply to own address <bob@example.com> (as specified using :addresses argument)",
        "discarded duplicate vacation response to <ann@example.org>",
        "discarding vacation response to mailinglist recipient <list@example.net>",
        "discarding vacation response for implicitly delivered message; no known (envelope) recipient address found",
    ),
    _text("rejected", "a mail is refused after it was accepted", "rejected message from <ann@example.org> (reject)",
          "Return-Path missing, rejection reason: full"),
    _text("rejected silently", "Sieve refuses a mail without an answer: it is thrown away", "not sending reject message to <>",
          "discarded reject to <>"),
    _text("reject withheld", "Sieve doesn't refuse a mail as the script asked", "not sending reject message (skipped)",
          "not sending reject message (would cause second response to sender)"),
    _format("report", "Sieve reports a mail, as abuse or as something else",
            rx("sent [`'][^']*' report to <") + rx(r"[^>]*+(?:>(?!\Z)[^>]*+)*+")("address") + rx(r">\Z(?s:.*)"),
            ("sent 'abuse' report to <abuse@example.net>", {"address": "abuse@example.net"}),
            ("sent `not-spam' report to <b@example.net>", {"address": "b@example.net"})),
    _text("notification", "Sieve notifies somebody of a mail", "sent mail notification to <bob@example.net>"),
    _text("notification withheld", "Sieve withholds a notification", "discarded mail notification to <bob@example.net>"),
)  # fmt: skip
