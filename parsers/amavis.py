"""amavis: what it found and did with a mail. A line that amavis split has been joined before it comes here."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import address, upto
from logscan.grammar.formats import LogFormat, Sample, rest, rx

_PROGRAMS = ("amavis", "amavisd")
_ID = rx(r"\([A-Za-z0-9-]+\) ")
_NEXT = r", (?:quarantine:? |(?:Queue-ID|Message-ID|Resent-Message-ID|mail_id|b|Hits|size|tls): |\()"
_RESULT = (
    rx("(?:Passed|Blocked)(?: [A-Z][A-Z0-9-]*)?")("result")
    + pp.Opt(" (" + upto(r"\) \{", r"\), ")("text") + ")")
    + pp.Opt(" {" + rx("[^}]*")("status") + "}")
    + ","
)
_RECIPIENTS = rx(rf'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^">]|>(?!{_NEXT}))*+>')("recipients")

# A Message-ID is a stranger's and stands left of what amavis tells: with a blank or comma in it, the last that can be
# amavis's counts. A subject behind that is a stranger's too: then the line must be readable in one way only.
_JUDGED = ", mail_id: [^ ,]+(?:, b: [^ ,]+)?, Hits: "
_RESENT = ", Resent-Message-ID: "
_ONE_HITS = "(?!(?s:.*), Hits: (?s:.*), Hits: )"
_SUBJECT = "(?s:.*), Subject: "
_FREE = (
    rf"[^ ,]*(?=, (?:Resent-Message-ID|mail_id|b|Hits|size): ){_ONE_HITS}"
    rf"|[^ ,]*(?=, (?:Resent-Message-ID|mail_id|b): )(?={_SUBJECT})(?!(?s:.*){_JUDGED}(?s:.*){_JUDGED})"
    rf"|(?:(?!{_RESENT})(?s:.))*+(?={_RESENT})(?!(?s:.*){_RESENT}(?s:.*){_RESENT}){_ONE_HITS}"
    rf"|(?!{_SUBJECT})(?>(?s:.*)(?={_JUDGED}))(?!{_JUDGED}(?s:.*), Hits: )"
    rf"|{_ONE_HITS}(?s:.*)(?={_JUDGED})|(?:{_ONE_HITS}|(?!{_SUBJECT}))(?s:.*)(?=, Hits: )"
)

# What stands before it may be a stranger's, a subject or a sender: nothing but amavis's own follows.
_TAIL = r", \d+ ms(?:, Tests: \[[^\[\]]*\])?\Z"

VERDICT = LogFormat(
    name="amavis-verdict",
    title="amavis passes or blocks a mail",
    reference="amavisd-new Amavis.pm, $log_short_templ and $log_verbose_templ (2.7 to 2.13)",
    programs=_PROGRAMS,
    table="verdicts",
    constants={"filter": "amavis"},
    line=_ID
    + _RESULT
    + rx(r"(?: (?![\[<])[^ ,<>/]+(?:/[^ ,<>/]*[a-z.][^ ,<>/]*)*+(?= [\[<A-Z/]))*+")
    + pp.Opt(" [" + rx("(?:IPv6:)?") + rx(r"[^\]]*")("client") + "]" + rx(r"(?::\d+)?"))
    + rx(r"(?: \[[^\]]*\])*+")
    + pp.Opt(rx(" [A-Z0-9]*/[A-Z0-9]*(?= <)"))
    + " <"
    + address(" -> <")("sender")
    + "> -> "
    + _RECIPIENTS
    + pp.Opt(rx(r", \([^()]*\)"))
    + pp.Opt(", tls: " + upto(_NEXT))
    + pp.Opt(rx(", quarantine:? ") + upto(_NEXT))
    + pp.Opt(", Queue-ID: " + rx("[^ ,]+")("queue_id"))
    + pp.Opt(", Message-ID: " + rx(_FREE)("message_id"))
    + pp.Opt(_RESENT + rx(_FREE))
    + pp.Opt(", mail_id: " + rx("[^ ,]+")("signature"))
    + pp.Opt(", b: " + rx("[^ ,]+"))
    + ", Hits: "
    + pp.Opt(rx(r"-?\d+(?:\.\d+)?")("score"))
    + rx("[^,]*")
    + rx(r"(?:, (?:(?:size|pt): |(?:tag2?|tag3|kill)=)[^,]*)*+")
    + pp.Opt(", queued_as: " + rx("[0-9A-Za-z/]{6,}(?=,|\\Z)")("child_queue_id"))
    + pp.Opt(rx(rf"(?>(?s:.*), dkim_new=)(?=[^ ]+(?:, rss=\d+)?{_TAIL})") + rx("[^ ,]+(?:,[^ ,]+)*+")("dkim"))
    + rest(),
    samples=(
        Sample(
            "(04570-01) Passed SPAMMY {RelayedTaggedInbound}, [203.0.113.77]:36589 [203.0.113.77]"
            " <win47@example.org> ->"
            " <erin@example.com>, Queue-ID: F1C2154858C, Message-ID: <00002.a385f68d6b@example.org>, mail_id:"
            " xWVrdSLrNXqJ,"
            " Hits: 11.277, size: 1362, queued_as: 2D260548590, 194 ms",
            {
                "result": "Passed SPAMMY",
                "status": "RelayedTaggedInbound",
                "client": "203.0.113.77",
                "sender": "win47@example.org",
                "recipients": "<erin@example.com>",
                "queue_id": "F1C2154858C",
                "message_id": "<00002.a385f68d6b@example.org>",
                "signature": "xWVrdSLrNXqJ",
                "score": "11.277",
                "child_queue_id": "2D260548590",
            },
        ),
        Sample(
            "(07119-20-2) Blocked BANNED (.exe,.exe-ms,a.exe) {DiscardedInbound,Quarantined}, MYNETS LOCAL"
            " [127.0.0.1] <> ->"
            ' <"a>, b"@example.com>,<c@example.com>, quarantine: x/banned-1.gz, Queue-ID: 4dhRlh0sf8z9HdB, mail_id:'
            " a-_b,"
            ' b: c, Hits: -, size: 1315, pt: 1, Subject: "x, queued_as: ABCDEF", 149 ms',
            {
                "result": "Blocked BANNED",
                "text": ".exe,.exe-ms,a.exe",
                "status": "DiscardedInbound,Quarantined",
                "client": "127.0.0.1",
                "sender": "",
                "recipients": '<"a>, b"@example.com>,<c@example.com>',
                "queue_id": "4dhRlh0sf8z9HdB",
                "signature": "a-_b",
            },
        ),
        Sample(
            "(3186-16) Passed, <a@example.org> -> <b@example.com>, quarantine IJHkgliCm2Ia, Message-ID: <x@example.org>, Hits: -",
            {
                "result": "Passed",
                "sender": "a@example.org",
                "recipients": "<b@example.com>",
                "message_id": "<x@example.org>",
            },
        ),
        Sample(
            "(03186-16) Blocked SPAM, [IPv6:2001:db8::9] [203.0.113.10] <a@example.org> -> <b@example.com>, Hits: 1",
            {
                "result": "Blocked SPAM",
                "client": "2001:db8::9",
                "sender": "a@example.org",
                "recipients": "<b@example.com>",
                "score": "1",
            },
        ),
        Sample(
            "(03186-16) Blocked SPAM, DEFAULT/am.bank LOCAL [203.0.113.9] [203.0.113.10] <a@example.org> -> <b@example.com>,"
            " Hits: 12.019, tag=0, tag2=20, kill=20, queued_as: F2DFE30045, L/Y/0/0",
            {
                "result": "Blocked SPAM",
                "client": "203.0.113.9",
                "sender": "a@example.org",
                "recipients": "<b@example.com>",
                "score": "12.019",
                "child_queue_id": "F2DFE30045",
            },
        ),
        Sample(
            "(07119-20) Passed CLEAN, <a@example.org> -> <b@example.com>, Message-ID: <x, y>, Resent-Message-ID:"
            " <z>, mail_id:"
            " q, Hits: -1.9+0.5, size: 20, queued_as: C27A85484F5/C3BCF5484FD, 7 ms",
            {
                "result": "Passed CLEAN",
                "sender": "a@example.org",
                "recipients": "<b@example.com>",
                "message_id": "<x, y>",
                "signature": "q",
                "score": "-1.9",
                "child_queue_id": "C27A85484F5/C3BCF5484FD",
            },
        ),
        Sample(
            "(234687-13) Passed CLEAN {RelayedInbound}, ORIGINATING LOCAL [203.0.113.209]:48736 [203.0.113.209] ESMTP/ESMTP"
            " <ann@example.org> -> <bob@example.com>, (ESMTPS://[203.0.113.209]:48736 < ESMTPS://203.0.113.122), tls: TLSv1.3"
            " with cipher X, Queue-ID: 4PbHgT3NYTz3tBr, Message-ID: <a1@example.org>, mail_id: FA9oR2gGK5AT, b: cUic,"
            ' Hits: -0.1, size: 2109, queued_as: 4PbHgV0abcz3tG3, Subject: "Hello, Hits: 3", From: <ann@example.org>,'
            " helo=mail.example.org, Tests: [A=0.1,B=-0.1], autolearn=no autolearn_force=no, 812 ms",
            {
                "result": "Passed CLEAN",
                "status": "RelayedInbound",
                "client": "203.0.113.209",
                "sender": "ann@example.org",
                "recipients": "<bob@example.com>",
                "queue_id": "4PbHgT3NYTz3tBr",
                "message_id": "<a1@example.org>",
                "signature": "FA9oR2gGK5AT",
                "score": "-0.1",
                "child_queue_id": "4PbHgV0abcz3tG3",
            },
        ),
        Sample(
            "(28123-05) Passed CLEAN {RelayedOutbound}, ORIGINATING LOCAL [203.0.113.209]:48736 <ann@example.com> ->"
            " <bob@example.org>, Message-ID: <a2@example.com>, mail_id: tnIDXRGW, Hits: -0.428, size: 316, queued_as:"
            ' 58A90DFC34, Subject: "x, dkim_new=a:b, 7 ms", Tests: [ALL_TRUSTED=-1], dkim_new=dkim:example.com, 162 ms',
            {
                "result": "Passed CLEAN",
                "status": "RelayedOutbound",
                "client": "203.0.113.209",
                "sender": "ann@example.com",
                "recipients": "<bob@example.org>",
                "message_id": "<a2@example.com>",
                "signature": "tnIDXRGW",
                "score": "-0.428",
                "child_queue_id": "58A90DFC34",
                "dkim": "dkim:example.com",
            },
        ),
        Sample(
            "(234687-13) Passed CLEAN {RelayedInbound}, /ESMTP <ann@example.org> -> <bob@example.com>, (), Message-ID:"
            " <x>, mail_id: bad, Hits: 99, size: 1, queued_as: FACADE0001>, mail_id: good, Hits: 1.5, size: 20, queued_as:"
            " C27A85484F5, 7 ms",
            {
                "result": "Passed CLEAN",
                "status": "RelayedInbound",
                "sender": "ann@example.org",
                "recipients": "<bob@example.com>",
                "message_id": "<x>, mail_id: bad, Hits: 99, size: 1, queued_as: FACADE0001>",
                "signature": "good",
                "score": "1.5",
                "child_queue_id": "C27A85484F5",
            },
        ),
    ),
    weight=50,
)

# Quoted text is passed over, so that what a subject says isn't taken for a field.
_PAST = r'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)|(?!{name})(?s:.))*+{name}'

# A name that comes again may be a stranger's, and neither is believed; but for what stands in the quotes of the one subject
# of the line. Where a subject tells another, its quotes may not be amavis's.
_SUBJECT_ONCE = "(?!(?s:.*)Subject: (?s:.*)Subject: )"
_SUBJECT_TEXT = r'Subject: "[^"\\]*+(?:\\.[^"\\]*+)*+"(?=,|\Z)'


def _named(field: str, names: str, value: str) -> pp.ParserElement:
    """Return an element that looks ahead for a field by its names; told twice, neither is believed."""
    name = rf"(?<![A-Za-z0-9_-])(?:{names})(?:=|: ?)"
    past = _PAST.format(name=name)
    once = rf"{_SUBJECT_ONCE}{past}(?!(?:{_SUBJECT_TEXT}|(?!{name})(?s:.))*+{name})"
    return pp.Opt(pp.FollowedBy(rx(rf"(?:{once}|{past}(?!(?s:.*){name}))") + rx(value)(field)))


_ADDRESS = r'<(?:"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)|[^"<>])*+>'
_TO = rf"(?:(?!{_ADDRESS} -> <)(?s:.))*+<"
_BRACKET = r"(?<=[, =])\[(?:IPv6:)?(?=[0-9A-Fa-f.:]+\])"


def _fields() -> pp.ParserElement:
    """Return an element that looks ahead for all fields, and reads the addresses."""
    return (
        _named("queue_id", "Queue-ID|queue-id|queue_id|[Qq]id|QID", "[0-9A-Za-z]{6,}")
        + _named(
            "message_id",
            "(?<!Resent-)Message-ID|(?<!Resent-)[Mm]essage-[Ii]d|message_id|[Mm]sg-?id|mid",
            "<[^<> ]*>|[^ ,<>]+",
        )
        + _named("signature", "mail_id", "[^ ,]+")
        + _named("score", "Hits|hits|[Ss]core", r"-?\d+(?:\.\d+)?")
        + _named("child_queue_id", "queued_as|queued as", "[0-9A-Za-z/]{6,}")
        + pp.Opt(pp.FollowedBy(rx(_PAST.format(name=_BRACKET)) + rx("[0-9A-Fa-f.:]+")("client")))
        + pp.FollowedBy(
            pp.Opt(rx(_TO) + address(" -> <")("sender") + "> -> " + rx(rf"{_ADDRESS}(?:,{_ADDRESS})*+")("recipients"))
        )
    )


# Before what was done stand amavis's own numbers and words only: a stranger's text there could tell of another mail.
_CATEGORY = "(?:CLEAN|SPAM|SPAMMY|INFECTED|BANNED|BAD-HEADER(?:-[0-9])?|UNCHECKED(?:-ENCRYPTED)?|OVERSIZED|MTA-BLOCKED|TEMPFAIL)"
_DID = rf"(?:Passed|Blocked) {_CATEGORY}(?=[ ,])"
_BEFORE = (
    r'(?=[A-Za-z0-9_-]+(?:: |=)(?![A-Za-z0-9_-]+(?:: |=)))(?:(?!Subject|From|[Mm]essage|mid|(?:Passed|Blocked) )[^"<])++'
    rf"(?<=[,;|] )(?={_DID}(?! \())(?!(?s:.)(?s:.*){_DID})"
)

OTHERWISE = LogFormat(
    name="amavis-verdict-otherwise",
    title="amavis passes or blocks a mail, by a $log_templ of its own",
    reference="amavisd-new README.customize; fields by their names, wherever they stand",
    programs=_PROGRAMS,
    table="verdicts",
    constants={"filter": "amavis"},
    line=(
        _ID
        + rx("(?:Passed|Blocked)(?: [A-Z][A-Z0-9-]*)?(?=[ ,])")("result")
        + pp.Opt(" (" + upto(r"\) \{", r"\), ")("text") + ")")
        + pp.Opt(" {" + rx("[^}]*")("status") + "}")
        + _fields()
        + rest()
    )
    | (
        _ID
        + pp.FollowedBy(rx(_BEFORE))
        + _fields()
        + rx(_BEFORE)
        + rx(_DID)("result")
        + pp.Opt(" {" + rx("[^}]*")("status") + "}")
        + rest()
    ),
    samples=(
        Sample(
            '(234687-13) Passed SPAM {RelayedInbound}, Subject: "x, queued_as: FACADE0001", Hits: 8.1, Tests: [A=1],'
            " queued_as: C27A85484F5, [203.0.113.9]:25 <ann@example.org> -> <bob@example.com>,<c@example.com>, mail_id: q-1,"
            " Message-ID: <a@example.org>, Queue-ID: 4PbHgT3NYTz3tBr, 7 ms",
            {
                "result": "Passed SPAM",
                "status": "RelayedInbound",
                "queue_id": "4PbHgT3NYTz3tBr",
                "message_id": "<a@example.org>",
                "signature": "q-1",
                "score": "8.1",
                "child_queue_id": "C27A85484F5",
                "client": "203.0.113.9",
                "sender": "ann@example.org",
                "recipients": "<bob@example.com>,<c@example.com>",
            },
        ),
        Sample(
            "(234687-13) Passed SPAMMY, Hits: 7.1, size: 4200, Queue-ID: 4PbHgT3NYTz3tBr, <ann@example.org> -> <bob@example.com>,"
            ' queued_as: C27A85484F5, Subject: "Hits: -3, queued_as: no0000", Tests: [A=3.5], 734 ms',
            {
                "result": "Passed SPAMMY",
                "queue_id": "4PbHgT3NYTz3tBr",
                "score": "7.1",
                "child_queue_id": "C27A85484F5",
                "sender": "ann@example.org",
                "recipients": "<bob@example.com>",
            },
        ),
        # Two subjects: whose quotes are whose can't be told.
        Sample(
            '(234687-13) Passed CLEAN, Hits: 7.1, Message-ID: <", Subject: ">, queued_as: C27A85484F5, Subject: ", Hits: -9"',
            {"result": "Passed CLEAN", "child_queue_id": "C27A85484F5"},
        ),
        Sample(
            "(234687-13) Hits: 7.1, Tests: [A=3.5,B=0.1], Passed SPAMMY {RelayedTaggedInbound}, <ann@example.org> ->"
            " <bob@example.com>, Queue-ID: 4PbHgT3NYTz3tBr, queued_as: C27A85484F5, 22 ms",
            {
                "result": "Passed SPAMMY",
                "status": "RelayedTaggedInbound",
                "queue_id": "4PbHgT3NYTz3tBr",
                "score": "7.1",
                "child_queue_id": "C27A85484F5",
                "sender": "ann@example.org",
                "recipients": "<bob@example.com>",
            },
        ),
        Sample(
            "(234687-13) Blocked SPAM {DiscardedInbound}, score=12.5 msgid=<a@example.org>",
            {
                "result": "Blocked SPAM",
                "status": "DiscardedInbound",
                "message_id": "<a@example.org>",
                "score": "12.5",
            },
        ),
    ),
    weight=-1,
)  # fmt: skip

HANDED_BACK = LogFormat(
    name="amavis-handed-back",
    title="amavis hands a mail back or on (log level 1)",
    reference="amavisd-new Amavis/Out/SMTP.pm, mail_via_smtp()",
    programs=_PROGRAMS,
    table="service_events",
    constants={"event": "handed on"},
    line=_ID
    + rx("(?:[A-Za-z0-9_+-]+ )?(?:FWD|SEND) ")
    + pp.FollowedBy(rx("(?s:.*)queued as ") + rx(r"[0-9A-Za-z]{6,}")("queue_id"))
    + rest()("text"),
    samples=(
        Sample(
            "(04570-11) AIwOBoTr914a FWD from <a@example.org> -> <b@example.com>, 250 2.0.0 from MTA(smtp:[127.0.0.1]:25): 250"
            " Ok: queued as C27A85484F5",
            {
                "queue_id": "C27A85484F5",
                "text": "from <a@example.org> -> <b@example.com>, 250 2.0.0 from MTA(smtp:[127.0.0.1]:25): 250"
                " Ok: queued as C27A85484F5",
            },
        ),
    ),
)


FORMAT = (VERDICT, OTHERWISE, HANDED_BACK)
