"""Dovecot's mail_log and imapsieve: a user copies, removes or trains a mail."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import before_last, dovecot, level, quoted, upto
from logscan.grammar.formats import LogFormat, Sample, rest, rx

_USER = dovecot("imap|pop3|lmtp|lda|doveadm|submission|indexer-worker|imap-hibernate")
_NEXT = ", (?:uid|msgid|size|vsize|psize|from|subject|flags)="
# A stranger's Message-ID: where only what Dovecot counts stands behind it, that is read from the line's end.
_COUNTED = r", size=(?:\d+|error)(?:, vsize=(?:\d+|error))?(?:, flags=\([^()]*\))?\Z"
_HEADER = rx(
    rf"[^,]*(?={_COUNTED})|(?!(?s:.*), (?:from|subject)=)(?s:.*)(?={_COUNTED})"
    r"|[^,]*+(?:(?!, (?:size|vsize|psize|from|subject|flags)=),[^,]*+)*+"
)("message_id")
_FIELDS = (
    pp.Opt("box=" + upto(_NEXT)("mailbox") + pp.Opt(", "))
    + pp.Opt("uid=" + rx(r"\d+|error|")("uid") + pp.Opt(", "))
    + pp.Opt("msgid=" + _HEADER + pp.Opt(", "))
    + pp.Opt("size=" + rx(r"\d+(?=, |\Z)")("size") + pp.Opt(", "))
    + pp.Opt(rx("(?:size|vsize|psize|from|subject|flags)=(?s:.*)")("text"))
)

_EVENTS = "delete|undelete|expunge|autoexpunge|save|flag_change"
_EVENT_BOX = upto(rf": (?:UID \d+: )?(?:{_EVENTS}): ")("mailbox")
# Since 2.4 the UID may stand in the prefix, in the fields, or in both.
_UID = rx(r"(?:UID \d+: )?")
_IN_FIELDS = "uid=" + rx(r"\d+|error|")("uid") + pp.Opt(", ")
_IN_PREFIX = pp.Opt("UID " + rx(r"\d+")("uid") + ": ")
_COPY = "copy from " + upto(": (?:uid|msgid|size)=")("source_mailbox") + ": "
_MORE = pp.Opt("msgid=" + _HEADER + pp.Opt(", ")) + pp.Opt("size=" + rx(r"\d+")("size")) + rx(r"(?:, (?s:.*))?")

COPY = LogFormat(
    name="dovecot-copy",
    title="a user copies or moves a mail to another folder",
    reference="Dovecot plugins/mail-log/mail-log-plugin.c, mail_log_mail_copy()",
    programs=("dovecot",),
    table="moves",
    constants={"event": "copy"},
    line=(_USER + "copy from " + upto(": (?:box|uid|msgid|size)=")("source_mailbox") + ": " + _FIELDS)
    | (_USER + "Mailbox " + upto(r": (?:UID \d+: )?copy from ")("mailbox") + ": " + _UID + _COPY + _IN_FIELDS + _MORE)
    | (_USER + "Mailbox " + upto(r": (?:UID \d+: )?copy from ")("mailbox") + ": " + _IN_PREFIX + _COPY + _MORE),
    samples=(
        Sample(
            "imap(alice)<10433><I+vNI+Jg9cnGM2Rl>: copy from INBOX: box=Junk, uid=3,"
            " msgid=<00083.373ea12dc0@example.net>,"
            " size=1930",
            {
                "user": "alice",
                "session": "I+vNI+Jg9cnGM2Rl",
                "source_mailbox": "INBOX",
                "mailbox": "Junk",
                "uid": "3",
                "message_id": "<00083.373ea12dc0@example.net>",
                "size": "1930",
            },
        ),
        Sample(
            "imap(alice): copy from A, b: box=C: d, uid=error, msgid=<52805BF0@online.cos..., size=error, subject=x,"
            " size=1",
            {
                "user": "alice",
                "source_mailbox": "A, b",
                "mailbox": "C: d",
                "uid": "error",
                "message_id": "<52805BF0@online.cos...",
                "text": "size=error, subject=x, size=1",
            },
        ),
        Sample(
            "imap(alice)<10433><I+vNI+Jg9cnGM2Rl>: Info: Mailbox Junk: copy from INBOX: uid=3,"
            " msgid=<a@example.net>, size=5",
            {
                "user": "alice",
                "session": "I+vNI+Jg9cnGM2Rl",
                "mailbox": "Junk",
                "source_mailbox": "INBOX",
                "uid": "3",
                "message_id": "<a@example.net>",
                "size": "5",
            },
        ),
        Sample(
            "imap(alice)<10433><I+vNI+Jg9cnGM2Rl>: Info: Mailbox Junk: UID 3: copy from INBOX: msgid=<a@example.net>, size=5",
            {
                "user": "alice",
                "session": "I+vNI+Jg9cnGM2Rl",
                "mailbox": "Junk",
                "source_mailbox": "INBOX",
                "uid": "3",
                "message_id": "<a@example.net>",
                "size": "5",
            },
        ),
    ),
    weight=60,
)

EVENT = LogFormat(
    name="dovecot-mail-event",
    title="a user stores, marks or removes a mail",
    reference="Dovecot plugins/mail-log/mail-log-plugin.c",
    programs=("dovecot",),
    table="moves",
    line=(_USER + rx("delete|undelete|expunge|autoexpunge|save|flag_change")("event") + ": " + _FIELDS)
    | (_USER + "Mailbox " + _EVENT_BOX + ": " + _UID + rx(_EVENTS)("event") + ": " + _IN_FIELDS + _MORE)
    | (_USER + "Mailbox " + _EVENT_BOX + ": " + _IN_PREFIX + rx(_EVENTS)("event") + ": " + _MORE),
    samples=(
        Sample(
            "imap(alice)<10433><I+vNI+Jg9cnGM2Rl>: expunge: box=INBOX, uid=1, msgid=<00083.373ea12dc0@example.net>,"
            " size=1930",
            {
                "user": "alice",
                "session": "I+vNI+Jg9cnGM2Rl",
                "event": "expunge",
                "mailbox": "INBOX",
                "uid": "1",
                "message_id": "<00083.373ea12dc0@example.net>",
                "size": "1930",
            },
        ),
        Sample(
            "imap(user@test.ro)<51452><fffff>: flag_change: box=Drafts, uid=2942, msgid=, size=7, flags=(\\Seen)",
            {
                "user": "user@test.ro",
                "session": "fffff",
                "event": "flag_change",
                "mailbox": "Drafts",
                "uid": "2942",
                "message_id": "",
                "size": "7",
                "text": "flags=(\\Seen)",
            },
        ),
        Sample(
            "imap(alice)<10433><fffff>: Mailbox Junk: UID 3: expunge: msgid=<a@example.net>, size=5",
            {
                "user": "alice",
                "session": "fffff",
                "mailbox": "Junk",
                "event": "expunge",
                "uid": "3",
                "message_id": "<a@example.net>",
                "size": "5",
            },
        ),
        Sample(
            "imap(alice)<10433><fffff>: Mailbox Junk: save: uid=3, msgid=<a@example.net>, size=5, vsize=6",
            {
                "user": "alice",
                "session": "fffff",
                "mailbox": "Junk",
                "event": "save",
                "uid": "3",
                "message_id": "<a@example.net>",
                "size": "5",
            },
        ),
    ),
    weight=59,
)

MAILBOX = LogFormat(
    name="dovecot-mailbox-event",
    title="a folder is created, removed or renamed",
    reference="Dovecot plugins/mail-log/mail-log-plugin.c",
    programs=("dovecot",),
    table=None,
    line=rx(
        r"[a-z-]+\([^()]*\)(?:<[^<>]*>)*+: (?:Info: )?Mailbox (?:(?s:.*): Mailbox"
        r" )?(?:created|deleted|renamed|subscribed|unsubscribed)"
    )
    + rest(),
    samples=(
        Sample("imap(alice)<10433><fffff>: Mailbox renamed: A -> B"),
        Sample("imap(alice): Mailbox created: Junk"),
        Sample("imap(alice)<10433><fffff>: Mailbox Junk: Mailbox created"),
    ),
    weight=5,
)

_IMAP = dovecot("imap|doveadm")
_PHRASES = (
    "piped message to program |left message in mailbox '|failed to pipe message|failed to execute "
    "|program [`'][^`']*' not found|[Ee]xecution of script "
)
_SIEVE = (
    _IMAP
    + pp.Opt("imapsieve: ")
    + "sieve: "
    + level()
    + pp.Opt("uid=" + rx(r"\d+")("uid") + ": ")
    # The last of what was done counts: a Message-ID may tell another.
    + pp.Opt("msgid=" + rx(before_last(_PHRASES))("message_id") + ": ")
    + pp.Opt(rx("[a-z]+ action: "))
)

PIPED = LogFormat(
    name="dovecot-imapsieve-pipe",
    title="moving a mail hands it to a program, as a rule to train a filter",
    reference="Pigeonhole plugins/imapsieve, sieve-extprograms/cmd-pipe.c",
    programs=("dovecot",),
    table="moves",
    constants={"event": "pipe"},
    line=_SIEVE + "piped message to program " + rx("[`']?") + rx("[^']*")("text") + rx("'?"),
    samples=(
        Sample(
            "imap(bob@example.com)<51452><fffff>: Debug: sieve: uid=4: pipe action: piped message to program"
            " 'learn-spam.sh'",
            {"user": "bob@example.com", "session": "fffff", "uid": "4", "text": "learn-spam.sh"},
        ),
        Sample(
            "imap(bob@example.com): sieve: msgid=<a@example.net>: piped message to program `learn-spam.sh'",
            {"user": "bob@example.com", "message_id": "<a@example.net>", "text": "learn-spam.sh"},
        ),
    ),
    weight=20,
)

KEPT = LogFormat(
    name="dovecot-imapsieve-keep",
    title="a mail stays in the folder it was moved to",
    reference="Pigeonhole lib-sieve/sieve-actions.c",
    programs=("dovecot",),
    table="moves",
    constants={"event": "keep"},
    line=_SIEVE + "left message in mailbox '" + quoted(r" \(")("mailbox") + "'" + rx(r"(?: \((?s:.*))?"),
    samples=(
        Sample(
            "imap(bob@example.com)<51452><fffff>: sieve: uid=4: left message in mailbox 'Junk'",
            {"user": "bob@example.com", "session": "fffff", "uid": "4", "mailbox": "Junk"},
        ),
    ),
    weight=19,
)

PIPE_FAILED = LogFormat(
    name="dovecot-imapsieve-failed",
    title="the program that should have been given a moved mail failed, or the script that gives it",
    reference="Pigeonhole plugins/sieve-extprograms/cmd-pipe.c, plugins/imapsieve/imap-sieve.c",
    programs=("dovecot",),
    table="moves",
    constants={"event": "pipe failed"},
    line=_SIEVE
    + rx("(?:failed to pipe message|failed to execute |program [`']|[Ee]xecution of script )(?s:.*)")("text"),
    samples=(
        Sample(
            "imap(bob@example.com)<51452><fffff>: sieve: Execution of script '/x.sieve' was aborted due to temporary failure",
            {
                "user": "bob@example.com",
                "session": "fffff",
                "text": "Execution of script '/x.sieve' was aborted due to temporary failure",
            },
        ),
        Sample(
            "imap(bob@example.com)<51452><fffff>: Error: sieve: uid=4: pipe action: failed to pipe message to"
            " program 'x.sh'",
            {
                "user": "bob@example.com",
                "session": "fffff",
                "uid": "4",
                "text": "failed to pipe message to program 'x.sh'",
            },
        ),
        Sample(
            "imap(bob@example.com)<51452><fffff>: sieve: msgid=<a>: left message in mailbox 'x': pipe action: failed to execute"
            " to program 'x.sh'",
            {
                "user": "bob@example.com",
                "session": "fffff",
                "message_id": "<a>: left message in mailbox 'x'",
                "text": "failed to execute to program 'x.sh'",
            },
        ),
        Sample(
            "imap(bob@example.com)<51452><fffff>: sieve: msgid=<a@example.net>: program 'x.sh' not found",
            {
                "user": "bob@example.com",
                "session": "fffff",
                "message_id": "<a@example.net>",
                "text": "program 'x.sh' not found",
            },
        ),
    ),
)

FORMAT = (COPY, EVENT, MAILBOX, PIPED, KEPT, PIPE_FAILED)
