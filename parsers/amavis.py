"""amavis: what it found and did with a mail. A line that amavis split has been joined before it comes here."""

from __future__ import annotations

import pyparsing as pp

from logscan.atoms import address, upto
from logscan.grammar import LogFormat, Sample, rest, rx

_PROGRAMS = ("amavis", "amavisd")
_ID = rx(r"\([A-Za-z0-9-]+\) ")
_NEXT = ", (?:quarantine:? |(?:Queue-ID|Message-ID|Resent-Message-ID|mail_id|b|Hits|size): )"

VERDICT = LogFormat(
    name="amavis-verdict",
    title="amavis passes or blocks a mail",
    reference="amavisd-new Amavis.pm, $log_short_templ and $log_verbose_templ (2.7 to 2.13)",
    programs=_PROGRAMS,
    table="verdicts",
    constants={"filter": "amavis"},
    line=_ID
    + rx("(?:Passed|Blocked)(?: [A-Z][A-Z0-9-]*)?")("result")
    + pp.Opt(" (" + upto(r"\) \{", r"\), ")("text") + ")")
    + pp.Opt(" {" + rx("[^}]*")("status") + "}")
    + ","
    + rx(r"(?: (?![\[<])[^ ,<>]+)*")
    + pp.Opt(" [" + rx("(?:IPv6:)?") + rx(r"[^\]]*")("client") + "]" + rx(r"(?::\d+)?"))
    + rx(r"(?: \[[^\]]*\])*")
    + " <"
    + address(" -> <")("sender")
    + "> -> "
    + rx(rf'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^">]|>(?!{_NEXT}))*+>')("recipients")
    + pp.Opt(rx(", quarantine:? ") + upto(_NEXT))
    + pp.Opt(", Queue-ID: " + rx("[^ ,]+")("queue_id"))
    + pp.Opt(", Message-ID: " + upto(", (?:Resent-Message-ID|mail_id|b|Hits|size): ")("message_id"))
    + pp.Opt(", Resent-Message-ID: " + upto(", (?:mail_id|b|Hits|size): "))
    + pp.Opt(", mail_id: " + rx("[^ ,]+")("signature"))
    + pp.Opt(", b: " + rx("[^ ,]+"))
    + ", Hits: "
    + pp.Opt(rx(r"-?\d+(?:\.\d+)?")("score"))
    + rx("[^,]*")
    + rx(r"(?:, (?:(?:size|pt): |(?:tag2?|tag3|kill)=)[^,]*)*")
    + pp.Opt(", queued_as: " + rx("[^, ]+")("child_queue_id"))
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
    ),
    weight=50,
)

TROUBLE = LogFormat(
    name="amavis-trouble",
    title="amavis reports trouble: (!) or (!!)",
    reference="amavisd-new Amavis/Util.pm, do_log(): level -1 and below",
    programs=_PROGRAMS,
    table="filter_errors",
    constants={"filter": "amavis"},
    line=rx(r"(?:\([A-Za-z0-9-]+\) )?\(") + rx("!!?")("kind") + ")" + rest()("text"),
    samples=(
        Sample(
            "(07119-20) (!)connect to /run/clamav/clamd.ctl failed, attempt #1",
            {"kind": "!", "text": "connect to /run/clamav/clamd.ctl failed, attempt #1"},
        ),
        Sample("(!!)TROUBLE in pre_loop_hook: x", {"kind": "!!", "text": "TROUBLE in pre_loop_hook: x"}),
    ),
    weight=40,
)

START = LogFormat(
    name="amavis-start",
    title="amavis starts",
    reference="Net::Server",
    programs=_PROGRAMS,
    table="service_events",
    constants={"event": "start"},
    line=rx(r"Net::Server: (?s:.*) starting! pid\(\d+\)")("text"),
    samples=(
        Sample(
            "Net::Server: 2026/11/22-19:07:08 Amavis (type Net::Server::PreForkSimple) starting! pid(4560)",
            {"text": "Net::Server: 2026/11/22-19:07:08 Amavis (type Net::Server::PreForkSimple) starting! pid(4560)"},
        ),
    ),
)

STOP = LogFormat(
    name="amavis-stop",
    title="amavis stops",
    reference="Net::Server",
    programs=_PROGRAMS,
    table="service_events",
    constants={"event": "stop"},
    line=rx(r"Net::Server: [\d/:-]+ Server closing!")("text"),
    samples=(
        Sample(
            "Net::Server: 2026/11/22-19:07:24 Server closing!",
            {"text": "Net::Server: 2026/11/22-19:07:24 Server closing!"},
        ),
    ),
)

NOISE = LogFormat(
    name="amavis-other",
    title="other lines of amavis",
    reference="amavisd-new Amavis.pm",
    programs=_PROGRAMS,
    table=None,
    line=rx(r"(?!\([A-Za-z0-9-]+\) (?:Passed|Blocked)[ ,])") + rest(),
    samples=(
        Sample("(04570-11) Checking: AIwOBoTr914a [203.0.113.26] <tina@example.org> -> <alice@example.com>"),
        Sample("Module Amavis::Conf        2.412"),
    ),
    weight=-10,
)

FORMAT = (VERDICT, TROUBLE, START, STOP, NOISE)
