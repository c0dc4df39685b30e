"""A rich report made by hand, as of a server with each of the seven faults, and the same with hostile strings in it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from logscan.findings import Evidence, Finding, Prediction, Remedy, Result
from logscan.plans import ByHand, Patch, Plan, Step
from logscan.report.model import (
    Flow,
    FlowEdge,
    FlowNode,
    Listing,
    Period,
    ProgramCount,
    Report,
    Series,
    SourceCount,
    Traffic,
    Unknown,
)

START = datetime(2026, 11, 22, 19, 0, tzinfo=UTC)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


SMTPD = "Nov 22 19:02:20 mx1 postfix/smtpd[8103]: "

TRAINING = Finding(
    check="training-misses-hash",
    cause="login-without-domain",
    subject="alice",
    summary="16 training calls of alice looked under data/local/alice, where nothing was ever learned",
    severity="problem",
    confidence="high",
    count=16,
    first=at(0.05),
    last=at(21.3),
    cases=[
        {
            "time": at(0.05 + index * 1.3),
            "signature": f"6b033c608331924991{2720 + index * 97}",
            "path": "/var/lib/dspam/data/local/alice",
            "class": None,
            "belongs_to": "alice@example.com",
            "causes": ["login-without-domain"],
        }
        for index in range(16)
    ],
    why="antispam_dspam_args passes %u, which is the bare login, and Dovecot accepts logins without a domain: "
    "auth_default_realm is not set.",
    remedy=Remedy(
        text="Spell the domain in the arguments of the plug-in. This suits a server of one domain; the stray "
        "dictionary data/local/alice may be removed afterwards.",
        file="conf.d/90-plugin.conf",
        line=14,
        diff="--- conf.d/90-plugin.conf\n+++ conf.d/90-plugin.conf\n@@ -14 +14 @@\n"
        "-  antispam_dspam_args = --deliver=;--client;--user;%u\n"
        "+  antispam_dspam_args = --deliver=;--client;--user;%n@example.com\n",
    ),
    evidence=[
        Evidence(
            "mail.log",
            603 + index * 6,
            f"Nov 22 19:03:0{5 + index} mx1 dspam[8331]: Unable to open file for reading: /var/lib/dspam/data/local/"
            f"alice/alice.sig/6b033c608331924991{2720 + index * 97}.sig: No such file or directory",
        )
        for index in range(4)
    ],
)

DUPLICATE = Finding(
    check="duplicate-delivery",
    cause="double-alias-expansion",
    subject="root@example.com",
    summary="Mail to root@example.com is stored twice in 2 mailboxes",
    severity="problem",
    confidence="high",
    count=6,
    first=at(0.06),
    last=at(13.2),
    mails=3,
    recipients=6,
    cases=[
        {
            "message_id": f"<0009{5 + index}.4628b9968{index}@example.org>",
            "mailbox": ("alice@example.com", "dave@example.com")[index % 2],
            "copies": 2,
            "queue_ids": ["C9C13554332", "8926D554163"] if index < 2 else [f"7C8FE55438{index}"],
            "time": at(0.06 + index * 2.6),
        }
        for index in range(6)
    ],
    why="Aliases are expanded before the filter and again behind it: no_address_mappings stands on neither side, and "
    "root@example.com lists itself.",
    remedy=Remedy(
        text="Expand aliases once, before the filter: add no_address_mappings to the options that the re-injection "
        "service has already. All other options stay.",
        file="master.cf",
        line=12,
        diff="--- master.cf\n+++ master.cf\n@@ -10,3 +10,3 @@\n"
        " 127.0.0.1:10026 inet n - n - 10 smtpd\n   -o content_filter=\n"
        "-  -o receive_override_options=no_unknown_recipient_checks,no_header_body_checks,no_milters\n"
        "+  -o receive_override_options=no_unknown_recipient_checks,no_header_body_checks,no_milters,"
        "no_address_mappings\n",
    ),
    evidence=[
        Evidence(
            "mail.log",
            307,
            "Nov 22 19:03:26 mx1 postfix/lmtp[10616]: C9C13554332: to=<alice@example.com>, orig_to=<root@example.com>, "
            "relay=mx1.example.com[private/dovecot-lmtp], delay=0.15, delays=0.14/0/0/0.01, dsn=2.0.0, status=sent "
            "(250 2.0.0 <alice@example.com> oDfTNn48A2t5KQAAMzN6MA Saved)",
        ),
        Evidence(
            "mail.log",
            359,
            "Nov 22 19:03:27 mx1 postfix/lmtp[10620]: 7C8FE554380: to=<alice@example.com>, orig_to=<root@example.com>, "
            "relay=mx1.example.com[private/dovecot-lmtp], delay=0.14, delays=0.13/0/0/0.01, dsn=2.0.0, status=sent "
            "(250 2.0.0 <alice@example.com> sBe/I388A2t5KQAAMzN6MA Saved)",
        ),
    ],
)


def port_25(user: str, address: str, count: int, tagged: int) -> Finding:
    name = user.partition("@")[0].capitalize()
    return Finding(
        check="authenticated-port-25",
        cause="submission-on-port-25",
        subject=user,
        summary=f"{user} submits mail on port 25: {count} mails went through the filter, {tagged} were tagged",
        severity="problem" if tagged else "warning",
        confidence="high",
        count=count,
        first=at(0.04),
        last=at(20.5),
        cases=[
            {
                "message_id": f"<00{110 + index}.c5cd154e6@example.com>",
                "sender": user,
                "recipients": ["partner7@example.org", "info@example.net"][: 1 + index % 2],
                "client": f"unknown[{address}]",
                "queue_id": f"C5CD154E6C{index:X}",
                "filtered": True,
                "tagged": index < tagged,
            }
            for index in range(count)
        ],
        why="The smtpd on port 25 offers AUTH (smtpd_sasl_auth_enable=yes in main.cf) and has the content_filter.",
        remedy=Remedy(
            text=f"Ask {name} to use port 587. After all users moved: smtpd_sasl_auth_enable=no on the port-25 "
            "service, and refuse unauthenticated mail from own domains.",
            file="master.cf",
            line=1,
            message=f"Dear {name},\n\nyour mail program sends through port 25 of mx1.example.com. Mail sent that way "
            "is examined by our spam filter\nand can be marked as spam at the recipient. Please open the account "
            "settings of your mail program and change\nthe outgoing server (SMTP):\n\n    Server:     "
            "mx1.example.com\n    Port:       587 (now: 25)\n    Security:   STARTTLS\n    User name:  "
            f"{user}\n\nNothing else changes. Thank you!\n",
        ),
        evidence=[
            Evidence(
                "mail.log",
                311 + index * 8,
                f"{SMTPD}C5CD154E6C{index:X}: client=unknown[{address}], sasl_method=PLAIN, sasl_username={user}",
            )
            for index in range(min(count, 3))
        ],
    )


OUTGOING = Finding(
    check="outgoing-tagged-spam",
    cause="local-script",
    subject="newsletter@example.com",
    summary="12 mails of newsletter@example.com left for outside tagged as spam",
    severity="problem",
    confidence="high",
    count=12,
    first=at(6.1),
    last=at(22.9),
    cases=[
        {
            "message_id": f"<0008{index:02}.cd2f45e678@example.com>",
            "sender": "newsletter@example.com",
            "recipient": f"info{20 + index}@example.net",
            "user": None,
            "client": "localhost[127.0.0.1]",
            "origin": "local-script",
            "relay": "mx.example.net[203.0.113.200]:25",
            "signature": f"6b033c61833113863173{index:02}",
        }
        for index in range(12)
    ],
    why="A script submits on 127.0.0.1:25, which is the same smtpd that has the content_filter.",
    remedy=Remedy(
        text="Replace the wildcard smtp line by one per address, the filter only on the outer ones; none of it where "
        "fetchmail hands in foreign mail on 127.0.0.1.",
        file="master.cf",
        line=1,
        diff="--- master.cf\n+++ master.cf\n@@ -1,2 +1,4 @@\n-smtp inet n - n - - smtpd\n"
        "+127.0.0.1:smtp inet n - n - - smtpd\n+  -o content_filter=\n+198.51.100.10:smtp inet n - n - - smtpd\n"
        "   -o content_filter=lmtp:unix:/var/run/dspam/dspam.sock\n",
    ),
    evidence=[
        Evidence(
            "dspam/system.log",
            81,
            "1795374198\tS\tnewsletter@example.com\t6b033c6183311386317308\tWin a prize: our winter sale\t0.98\t"
            "info28@example.net\tDelivered\t<00081.cd2f45e678@example.com>",
        ),
        Evidence(
            "mail.log",
            18,
            "Nov 23 06:25:04 mx1 postfix/smtp[8095]: 83B7D54A7C5: to=<info28@example.net>, relay=mx.example.net"
            "[203.0.113.200]:25, delay=0.15, delays=0.13/0.01/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
        ),
    ],
)

LOCAL = Finding(
    check="local-mail-filtered",
    cause="loopback-through-filter",
    subject="127.0.0.1:25",
    summary="38 mails from scripts on this host went through the filter",
    severity="warning",
    confidence="medium",
    count=38,
    first=at(0.1),
    last=at(23.4),
    cases=[
        {
            "message_id": f"<l{index:03}@example.com>",
            "client": "localhost[127.0.0.1]",
            "queue_id": f"6455554A7{index:02X}",
        }
        for index in range(38)
    ],
    why="127.0.0.1:25 is served by the wildcard smtp line of master.cf, which has the content_filter.",
    remedy=Remedy(text="The change for newsletter@example.com above mends this too."),
    evidence=[
        Evidence("mail.log", 8, "Nov 23 06:25:04 mx1 postfix/smtpd[8085]: 6455554A79D: client=localhost[127.0.0.1]")
    ],
)

MENDED = Finding(
    check="alias-owns-hash",
    cause="alias-not-expanded",
    subject="sales@example.com",
    summary="Mail to sales@example.com was learned under the alias until the reload at 12:00",
    severity="problem",
    confidence="high",
    count=9,
    first=at(2),
    last=at(4.9),
    cases=[{"message_id": f"<s{index}@example.org>", "mailboxes": ["alice@example.com"]} for index in range(9)],
    state="mended",
)

NOTE = Finding(
    check="duplicate-delivery",
    cause="overlapping-aliases",
    subject="monitoring@example.com",
    summary="dave@example.com gets mail twice that is sent to root and monitoring at once: he is in both",
    severity="note",
    confidence="high",
    count=2,
    first=at(7),
    last=at(9),
    cases=[
        {"message_id": "<m1@example.org>", "mailbox": "dave@example.com", "copies": 2, "queue_ids": ["9D4CC54A0FC"]}
    ],
)


def checks() -> list[Result]:
    return [
        Result(27, 27, [TRAINING], [
            Prediction(
                "login-without-domain",
                "carol",
                "carol logs in without a domain: her first training call will miss",
                "conf.d/90-plugin.conf",
                14,
            )
        ], [], "training-misses-hash", "Training misses the dictionary"),
        Result(104, 104, [MENDED], [], [], "alias-owns-hash", "An alias owns a dictionary"),
        Result(104, 104, [DUPLICATE, NOTE], [
            Prediction(
                "double-alias-expansion",
                "monitoring@example.com",
                "every mail to monitoring@example.com will be stored twice for root@example.com",
                "master.cf",
                12,
            )
        ], [], "duplicate-delivery", "One mail stored more than once"),
        Result(71, 71, [port_25("bob@example.com", "198.51.100.102", 8, 2),
                        port_25("carol@example.com", "198.51.100.103", 3, 0)],
               [], [], "authenticated-port-25", "Users submit mail on port 25"),
        Result(58, 58, [OUTGOING], [], [], "outgoing-tagged-spam", "Outgoing mail tagged as spam"),
        Result(38, 38, [LOCAL], [], [], "local-mail-filtered", "Mail of this host's own scripts is filtered"),
        Result(31, 32, [], [], [], "internal-tagged-spam", "Mail between own users tagged as spam",
               "No mail between own users was tagged as spam (31 of 32 looked at)"),
        Result(212, 212, [], [], [], "filter-lost-mail", "Mail lost in the filter",
               "Whatever went into the filter came back (212 hand-overs looked at)"),
        Result(212, 212, [], [], [], "filter-unreachable", "The filter could not be reached"),
        Result(40, 40, [], [], [], "filter-bypassed", "Mail from outside not filtered"),
        Result(160, 160, [], [], [], "mail-stuck", "Mail stuck in the queue"),
        Result(160, 160, [], [], [], "mail-loop", "Mail in a loop"),
        Result(1840, 1840, [], [], [], "password-guessing", "Passwords guessed"),
        Result(0, 0, [], [], ["No DSPAM home was given: point --dspam-home at /var/lib/dspam, or add the output of "
                              "find /var/lib/dspam to the folder."], "dictionary-full", "Dictionaries full"),
        Result(0, 68, [], [], ["Dovecot does not log moves between folders: add mail_log to mail_plugins of protocol "
                               "imap and mail_log_events = copy."], "stray-dictionary", "Stray dictionaries"),
        Result(0, 0, [], [], [], "mailbox-refused", "Mailboxes that refuse mail"),
        Result(0, 0, [], [], [], "training-without-effect", "Training has no effect",
               not_applicable="No filter of this server learns by calls that can fail alone: DSPAM's misses are told above."),
    ]  # fmt: skip


def wave(base: int, swing: int, peak: int) -> tuple[int, ...]:
    return tuple(max(0, base + swing - abs((hour - peak + 12) % 24 - 12) * max(1, swing) // 5) for hour in range(24))


def traffic() -> Traffic:
    # Hours of the day start at 19:00 (START); the peak at 10:00 is bucket 15.
    return Traffic(
        hours=tuple(at(hour) for hour in range(24)),
        by_direction=(
            Series("inbound", wave(18, 90, 15)),
            Series("outbound", wave(4, 48, 16)),
            Series("internal", wave(2, 22, 17)),
            Series("forwarded", wave(1, 5, 14)),
            Series("generated", tuple(6 if hour in {9, 11, 12} else 2 for hour in range(24))),
        ),
        tagged=(
            Series("tagged", wave(9, 28, 13)),
            Series("untagged", wave(20, 110, 15)),
            Series("unknown", wave(0, 4, 20)),
        ),
        tagged_by_origin=(
            ("from outside", 412, 1307),
            ("authenticated, port 587", 0, 388),
            ("authenticated, port 25", 2, 9),
            ("local script", 12, 26),
        ),
        findings=(
            Series("training-misses-hash", tuple(1 if hour % 3 else 0 for hour in range(24))),
            Series("duplicate-delivery", tuple(2 if hour in {0, 6, 13} else 0 for hour in range(24))),
            Series("authenticated-port-25", tuple(1 if 12 <= hour <= 20 else 0 for hour in range(24))),
            Series("outgoing-tagged-spam", tuple(4 if hour in {6, 14, 22} else 0 for hour in range(24))),
        ),
        listings=(
            Listing(
                "senders", "Top senders", "Envelope senders by number of mails; <> are bounces and receipts.",
                ("sender", "mails", "recipients", "MB"),
                (
                    ("newsletter@example.com", 312, 312, 4.25), ("peter@example.org", 88, 140, 12.5),
                    ("<>", 61, 61, 0.4), ("bob@example.com", 43, 51, 88.25), ("sam@example.org", 40, 77, 3.125),
                    ("quinn@example.org", 31, 31, 1.5), ("erin@example.com", 17, 20, 9.75),
                    *((f"guest{number}@example.net", 16 - number, 16 - number, number / 8) for number in range(1, 9)),
                ), 1204,
            ),
            Listing(
                "recipients", "Top recipients", "Final recipients by number of deliveries.",
                ("recipient", "deliveries", "tagged", "bounced"),
                (
                    ("alice@example.com", 402, 61, 0), ("dave@example.com", 300, 44, 0),
                    ("bob@example.com", 211, 90, 0), ("root@example.com", 160, 0, 0), ("info28@example.net", 12, 12, 0),
                ), 341,
            ),
            Listing(
                "delays", "Delays by relay",
                "Seconds from arrival to the end: a before the queue manager, b in the queue, c connecting, d sending.",
                ("relay", "deliveries", "median", "90 %", "99 %", "a", "b", "c", "d"),
                (
                    ("private/dovecot-lmtp", 1012, 0.15, 0.2, 0.9, 0.14, 0.0, 0.0, 0.01),
                    ("/var/run/dspam/dspam.sock", 940, 0.67, 1.8, 4.1, 0.02, 0.43, 0.0, 0.23),
                    ("mx.example.net[203.0.113.200]:25", 240, 0.4, 2.2, 31.0, 0.1, 0.05, 0.1, 0.15),
                ),
            ),
            Listing(
                "rejects", "Refused before the queue", "Recipients refused by smtpd, by reason.",
                ("reason", "recipients", "clients"),
                (
                    ("554 5.7.1 Relay access denied", 44, 9), ("550 5.1.1 User unknown", 31, 22),
                    ("450 4.1.8 Domain not found", 7, 5),
                ),
            ),
        ),
    )  # fmt: skip


def flow() -> Flow:
    double, scripts, bob = DUPLICATE.id, LOCAL.id, port_25("bob@example.com", "", 1, 1).id
    return Flow(
        nodes=(
            FlowNode("world", "Other servers", "source"),
            FlowNode("users", "Users", "source", "authenticated"),
            FlowNode("scripts", "Scripts", "generator", "this host"),
            FlowNode("smtp", "smtpd, port 25", "listener", "postfix/smtpd"),
            FlowNode("submission", "smtpd, port 587", "listener", "postfix/submission"),
            FlowNode("pickup", "pickup", "listener", "sendmail command"),
            FlowNode("dspam", "DSPAM", "filter", "/var/run/dspam/dspam.sock"),
            FlowNode("reinject", "Re-injection", "reinjection", "127.0.0.1:10026"),
            FlowNode("dovecot", "Mailboxes", "store", "private/dovecot-lmtp"),
            FlowNode("outside", "Outside", "outside", "smtp"),
        ),
        edges=(
            FlowEdge("world", "smtp", 1719, mails=1402),
            FlowEdge("users", "smtp", 11, "authenticated", (bob,), 9),
            FlowEdge("users", "submission", 388, "authenticated"),
            FlowEdge("scripts", "smtp", 38, "127.0.0.1", (scripts,)),
            FlowEdge("scripts", "pickup", 21),
            FlowEdge("smtp", "dspam", 1768, "content_filter"),
            FlowEdge("submission", "dovecot", 96),
            FlowEdge("submission", "outside", 292),
            FlowEdge("pickup", "dovecot", 21),
            FlowEdge("dspam", "reinject", 1768),
            FlowEdge("reinject", "dovecot", 1701),
            FlowEdge("reinject", "dovecot", 29, "expanded again", (double,)),
            FlowEdge("reinject", "outside", 38),
        ),
    )


def plan() -> Plan:
    assert DUPLICATE.remedy is not None
    return Plan(
        findings=(DUPLICATE.id,),
        patches=(Patch("master.cf", "postfix", str(DUPLICATE.remedy.diff)),),
        steps=(
            Step("empty-queue", "Let the queue run empty: stop what takes mail in from outside.",
                 ("postconf -e 'master_service_disable = smtp.inet submission.inet'", "postfix reload", "mailq")),
            Step("patch", "Apply the patch in /etc/postfix.", ("patch -p0 < logscan-postfix.diff", "postfix check")),
        ),
        undo=(Step("undo", "Apply the patch the other way round.", ("patch -R -p0 < logscan-postfix.diff",)),),
        by_hand=(ByHand((TRAINING.id,), "The training call is told in words."),),
    )  # fmt: skip


PATHS = {
    "8926D554163": [
        f"{SMTPD}8926D554163: client=mail.example.org[203.0.113.26]",
        "Nov 22 19:03:25 mx1 postfix/cleanup[10622]: 8926D554163: message-id=<00095.4628b99688@example.org>",
        "Nov 22 19:03:25 mx1 postfix/qmgr[10607]: 8926D554163: from=<peter@example.org>, size=1377, nrcpt=3",
        "    1795374205\tI\tpeter@example.org\t6b033c60833192499\tMinutes of Monday\t0.1\talice@example.com\t"
        "Delivered\t<00095>",
        "Nov 22 19:03:26 mx1 postfix/lmtp[10620]: 8926D554163: to=<alice@example.com>, orig_to=<root@example.com>, "
        "relay=mx1.example.com[/var/run/dspam/dspam.sock], conn_use=6, delay=1.4, dsn=2.6.0, status=sent",
        "  → C9C13554332",
        "    Nov 22 19:03:26 mx1 postfix/smtpd[10619]: C9C13554332: client=localhost[127.0.0.1]",
        "    Nov 22 19:03:26 mx1 postfix/lmtp[10616]: C9C13554332: to=<alice@example.com>, orig_to=<root@example.com>, "
        "relay=mx1.example.com[private/dovecot-lmtp], dsn=2.0.0, status=sent",
    ],
    "C5CD154E6C0": [
        f"{SMTPD}C5CD154E6C0: client=unknown[198.51.100.102], sasl_method=PLAIN, sasl_username=bob@example.com",
        "Nov 22 19:02:20 mx1 postfix/qmgr[8102]: C5CD154E6C0: from=<bob@example.com>, size=1360, nrcpt=1",
    ],
}


def sample() -> Report:
    """A bad day of a server that seems to work."""
    return Report(
        version="0.1.0",
        generated=datetime(2026, 11, 23, 19, 30, tzinfo=UTC),
        period=Period(
            at(0),
            at(23.93),
            year_inferred=True,
            zone="UTC",
            zone_inferred=True,
            notes=("The year 2026 is from the signatures of DSPAM.", "The zone was fitted to DSPAM's system.log."),
        ),
        hosts=["mx1"],
        sources=[
            SourceCount("mail.log", "syslog-bsd", 14730, 14021, 706, 3, 0),
            SourceCount("mail.iso.log", "syslog-iso", 14730, 14021, 706, 3, 0, copies=14730),
            SourceCount("dspam/system.log", "dspam-system-log", 1733, 1733, 0, 0, 0),
            SourceCount("mail.log.2.gz", "syslog-bsd", 3120, 2980, 138, 0, 2, error="ends early: truncated gzip"),
        ],
        unknown=[
            Unknown("postfix/foo", "frobnicated * in * s", 2, "mail.log", 77, "foo[12]: frobnicated 3 in 0.2 s"),
            Unknown("opendkim", "* no signature data", 1, "mail.log", 912, "opendkim[99]: C5CD154E6C: no signature"),
        ],
        mails={
            "total": 2158, "inbound": 1719, "outbound": 330, "internal": 96, "forwarded": 5, "generated": 8,
            "entries": 3926, "filter_legs": 1768, "delivered": 2124, "deferred": 9, "bounced": 14, "rejected": 82,
        },
        checks=checks(),
        traffic=traffic(),
        flow=flow(),
        programs=[
            ProgramCount("postfix/smtpd", 5210, 120, 0), ProgramCount("postfix/qmgr", 4300, 0, 0),
            ProgramCount("dovecot", 3200, 510, 0), ProgramCount("dspam", 1021, 40, 0),
            ProgramCount("postfix/foo", 0, 0, 2), ProgramCount("opendkim", 0, 0, 1),
        ],
        notes=["14,730 lines of mail.iso.log were read already from mail.log."],
        paths=PATHS,
        plan=plan(),
    )  # fmt: skip


def empty(lines: int = 0) -> Report:
    """A report of nothing: no source, or one of which no line was recognised."""
    return Report(
        version="0.1.0",
        generated=datetime(2026, 11, 23, tzinfo=UTC),
        period=Period(None, None),
        hosts=[],
        sources=[SourceCount("x.log", "text", lines, 0, 0, lines, 0)] if lines else [],
        unknown=[],
        mails={},
        checks=[Result(name="duplicate-delivery", title="One mail stored more than once")],
    )


def healthy() -> Report:
    """A report of a server with no fault."""
    report = sample()
    report.checks = [replace(each, findings=[], predictions=[]) for each in report.checks]
    report.flow = Flow(report.flow.nodes, tuple(replace(edge, problem=()) for edge in report.flow.edges))
    report.traffic = replace(report.traffic, findings=())
    report.plan = None
    return report


HOSTILE: tuple[str, ...] = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "\x1b]0;owned\x07\x1b[2J\x9b31m",
    "=cmd|'/c calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "x\r\nBcc: victim@example.com\r\n\r\nbody",
    "{{7*7}}{% raise %}",
    "[bold red]markup[/bold red] [link=http://evil.example/]x[/link] :smile:",
    "\u202egnp.exe\u2066\u200b\u2028",
    "a" * 100_000,
    "nul\x00nul",
    "lone\udc80\ud83dsurrogates",
    "\\x1b\\u202e \\",
    "&lt;b&gt; ' \" `<b onmouseover='alert(3)'>",
    "javascript:alert(4)",
    "pipe|a=1;2 $(id) %n",
    "--></style><style>*{display:none}</style>",
    "a" * 300 + "é",
    "]]><x>\ufffe",
)


def hostile() -> Report:
    """The sample with each free string replaced by a hostile one; the values that are ours (verdicts) are kept."""
    turn = iter(range(10**6))
    kept = {"severity", "confidence", "state", "zone"}

    def spoil(value: Any, name: str = "") -> Any:
        if isinstance(value, str):
            return value if name in kept else HOSTILE[next(turn) % len(HOSTILE)]
        if isinstance(value, dict):
            return {spoil(key) if name == "paths" else key: spoil(each) for key, each in value.items()}
        if isinstance(value, list):
            return [spoil(each, name) for each in value]
        if isinstance(value, tuple):
            return tuple(spoil(each, name) for each in value)
        if is_dataclass(value) and not isinstance(value, type):
            same = {"key", "source", "target", "problem"} if isinstance(value, FlowNode | FlowEdge) else set()
            changed = {
                each.name: spoil(getattr(value, each.name), each.name)
                for each in fields(value)
                if each.name not in same
            }
            return replace(value, **changed)
        return value

    report: Report = spoil(sample())
    return report


def hostile_by(text: str) -> Report:
    """The sample with each free string replaced by ``text``."""
    global HOSTILE  # noqa: PLW0603 - the generator above reads it
    before, HOSTILE = HOSTILE, (text,)
    try:
        return hostile()
    finally:
        HOSTILE = before


def large(findings: int = 400, cases: int = 3000) -> Report:
    """A report as of a log of a million lines: many findings with many cases, long lists, long paths."""
    report = sample()
    many = []
    for index in range(findings):
        user = f"user{index:05}@example.com"
        base = port_25(user, f"198.51.{index // 250}.{index % 250}", 5, 2)
        base.cases = base.cases * (cases // 5) if index < 20 else base.cases * 4
        base.evidence = base.evidence * 40
        many.append(base)
    report.checks[3].findings = many
    report.paths = {f"C5CD154E6C{index:X}": PATHS["8926D554163"] * 30 for index in range(16)}
    report.unknown = [replace(report.unknown[0], template=f"t{index} *") for index in range(2000)]
    rows = tuple((f"someone{index}@example.org", index, index * 2, index / 7) for index in range(1000))
    report.traffic = replace(
        report.traffic,
        listings=tuple(replace(each, rows=rows, columns=("who", "a", "b", "c")) for each in report.traffic.listings)
        * 3,
        hours=tuple(at(hour) for hour in range(24 * 31)),
        by_direction=tuple(replace(each, values=each.values * 31) for each in report.traffic.by_direction),
        tagged=tuple(replace(each, values=each.values * 31) for each in report.traffic.tagged),
        findings=tuple(replace(each, values=each.values * 31) for each in report.traffic.findings),
    )
    return report
