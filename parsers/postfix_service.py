"""Postfix as a service: start, stop, limits, dead processes, filters out of reach, postsuper, noise."""

from __future__ import annotations

import pyparsing as pp

from logscan.atoms import queue_id, queue_id_or_none
from logscan.grammar import LogFormat, Sample, rest, rx


def _event(event: str, title: str, programs: tuple[str, ...], words: str, *texts: str, prefix: str = "") -> LogFormat:
    """Return the format of one event in Postfix's life; ``prefix`` is the severity in front of the text."""
    return LogFormat(
        name=f"postfix-{event}",
        title=title,
        reference="Postfix master/, conf/postfix-script",
        programs=programs,
        table="service_events",
        constants={"event": event},
        line=prefix + rx(words)("text") if prefix else rx(words)("text"),
        samples=tuple(Sample(prefix + each, {"text": each}) for each in texts),
    )


START = _event(
    "start",
    "Postfix starts",
    ("/master",),
    "daemon started(?s:.*)",
    "daemon started -- version 3.7.11, configuration /etc/postfix",
)
STOP = _event("stop", "Postfix stops", ("/master",), "terminating on signal [0-9]+", "terminating on signal 15")
RELOAD = _event(
    "reload",
    "Postfix reads its configuration again",
    ("/master",),
    "reload(?s:.*)",
    "reload -- version 3.7.11, configuration /etc/postfix",
)
CRASH = _event(
    "crash",
    "a Postfix process dies",
    ("/master",),
    r"process [^ ]+ pid \d+ killed by signal \d+(?s:.*)",
    "process /usr/lib/postfix/sbin/smtpd pid 4711 killed by signal 11",
    prefix="warning: ",
)
PROCESS_LIMIT = _event(
    "limit",
    "a Postfix service has no process left for new clients",
    ("/master",),
    r'service "(?s:.*) has reached its process limit (?s:.*)',
    'service "smtp" (25) has reached its process limit "100": new clients may experience noticeable delays',
    prefix="warning: ",
)

SIZE_LIMIT = LogFormat(
    name="postfix-size-limit",
    title="a mail is larger than a queue file may be",
    reference="Postfix smtpd/smtpd.c, cleanup/cleanup_out.c",
    programs=("/smtpd", "/cleanup"),
    table="service_events",
    constants={"event": "limit"},
    line="warning: "
    + queue_id_or_none("queue_id")
    + ": "
    + rx("queue file size limit exceeded|uncaught queue file size limit|message rejected: hopcount exceeded")("text"),
    samples=(
        Sample(
            "warning: B441A5445E6: queue file size limit exceeded",
            {"queue_id": "B441A5445E6", "text": "queue file size limit exceeded"},
        ),
        Sample(
            "warning: B441A5445E6: message rejected: hopcount exceeded",
            {"queue_id": "B441A5445E6", "text": "message rejected: hopcount exceeded"},
        ),
    ),
)

FILTER_DOWN = LogFormat(
    name="postfix-filter-unreachable",
    title="Postfix can't reach a milter, a proxy filter or a policy service",
    reference="Postfix milter/milter8.c, smtpd/smtpd_proxy.c, global/attr_clnt.c",
    programs=("/smtpd", "/cleanup", "/qmqpd"),
    table="filter_errors",
    constants={"kind": "connect"},
    line="warning: "
    + rx(
        "connect to (?:Milter service|proxy filter|policy service) |milter |problem talking to (?:server|service)"
        " |proxy "
    )
    + rx(r"[^ ]+?(?=:? )")("path")
    + rx(":? ")
    + rest()("text"),
    samples=(
        Sample(
            "warning: connect to Milter service inet:127.0.0.1:8891: Connection refused",
            {"path": "inet:127.0.0.1:8891", "text": "Connection refused"},
        ),
        Sample(
            "warning: milter unix:/run/rspamd.sock: can't read SMFIC_BODYEOB reply packet header: Connection reset"
            " by peer",
            {
                "path": "unix:/run/rspamd.sock",
                "text": "can't read SMFIC_BODYEOB reply packet header: Connection reset by peer",
            },
        ),
        Sample(
            "warning: connect to proxy filter 127.0.0.1:10024: Connection refused",
            {"path": "127.0.0.1:10024", "text": "Connection refused"},
        ),
        Sample(
            "warning: problem talking to server private/policy-spf: Connection timed out",
            {"path": "private/policy-spf", "text": "Connection timed out"},
        ),
        Sample(
            'warning: proxy 127.0.0.1:10024 rejected "MAIL FROM:<a@example.org>": "451 busy"',
            {"path": "127.0.0.1:10024", "text": 'rejected "MAIL FROM:<a@example.org>": "451 busy"'},
        ),
    ),
)

POSTSUPER = LogFormat(
    name="postfix-postsuper",
    title="postsuper acts on a mail",
    reference="Postfix postsuper/postsuper.c",
    programs=("/postsuper",),
    table="requeues",
    line=queue_id("queue_id") + ": " + rx("requeued|placed on hold|released from hold|expired")("action"),
    samples=tuple(
        Sample(f"B441A5445E6: {action}", {"queue_id": "B441A5445E6", "action": action})
        for action in ("requeued", "placed on hold", "released from hold", "expired")
    ),
)

POSTSUPER_TOTAL = LogFormat(
    name="postfix-postsuper-total",
    title="postsuper counts",
    reference="Postfix postsuper/postsuper.c",
    programs=("/postsuper",),
    table=None,
    line=rx(r"[A-Z][A-Za-z ]+: \d+ messages?\Z"),
    samples=(Sample("Deleted: 1 message"), Sample("Placed on hold: 3 messages")),
)

HOSTNAME = LogFormat(
    name="postfix-hostname-noise",
    title="a client's name and address don't match",
    reference="Postfix smtpd/smtpd_peer.c",
    programs=("/smtpd", "/postscreen", "/qmqpd"),
    table=None,
    line=rx(
        "warning: (?:hostname [^ ]+ does not resolve to address |hostname [^ ]+ verification failed|numeric hostname)"
    )
    + rest(),
    samples=(
        Sample("warning: hostname dyn.example.net does not resolve to address 203.0.113.9: Name or service not known"),
        Sample("warning: numeric hostname: 203.0.113.9"),
    ),
    weight=20,
)

CLIENT_FAULT = LogFormat(
    name="postfix-client-fault",
    title="a client breaks the protocol",
    reference="Postfix smtpd/smtpd.c",
    programs=("/smtpd",),
    table=None,
    line=rx(
        "warning: (?:Illegal address syntax|non-SMTP command|non-ESMTP command|no queue ID|[^ ]+ sent (?:non-)?SMTP )"
    )
    + rest(),
    samples=(
        Sample("warning: Illegal address syntax from unknown[203.0.113.9] in MAIL command: <a"),
        Sample("warning: non-SMTP command from unknown[203.0.113.9]: GET / HTTP/1.1"),
    ),
    weight=15,
)

NOISE = LogFormat(
    name="postfix-noise",
    title="lines of any Postfix daemon that carry nothing for the analysis",
    reference="Postfix master/multi_server.c and others; anvil, scache: statistics",
    programs=("/*",),
    table=None,
    line=rx(
        "(?:statistics: |cache [^ ]+ full cleanup: |the Postfix mail system is running|table [^ ]+ has changed --"
        " restarting|(?:re)?starting |stopping |refreshing |waiting for "
        "|using backwards-compatible |discarding EHLO keywords"
        "|warning: (?:to avoid this condition"
        "|to increase the process |see https?:|for instructions see|please ))"
    )
    + rest(),
    samples=(
        Sample("statistics: max connection rate 1/60s for (smtp:198.51.100.10) at Nov 23 06:25:04"),
        Sample("table hash:/etc/postfix/virtual(0,lock|fold_fix) has changed -- restarting"),
        Sample("starting the Postfix mail system"),
        Sample("stopping the Postfix mail system"),
        Sample("refreshing the Postfix mail system"),
        Sample("waiting for the Postfix mail system to terminate"),
        Sample("using backwards-compatible default setting append_dot_mydomain=yes to rewrite x to y"),
        Sample("discarding EHLO keywords: CHUNKING"),
        Sample("cache btree:/var/lib/postfix/verify_cache full cleanup: retained=0 dropped=1 entries"),
        Sample("the Postfix mail system is running: PID: 5"),
        Sample("warning: for instructions see the bounce(5) manual"),
        Sample("warning: to avoid this condition, increase the process count in master.cf"),
    ),
    weight=-2,
)

SEVERITY = LogFormat(
    name="postfix-severity-other",
    title="a Postfix daemon warns or fails",
    reference="Postfix util/msg_syslog.c",
    programs=("/*",),
    table="service_events",
    line=rx("warning|error|fatal|panic")("event") + ": " + pp.Opt(queue_id("queue_id") + ": ") + rest()("text"),
    samples=(
        Sample(
            "warning: B441A5445E6: write queue file: No space left on device",
            {"event": "warning", "queue_id": "B441A5445E6", "text": "write queue file: No space left on device"},
        ),
        Sample(
            "fatal: the Postfix mail system is not running",
            {"event": "fatal", "text": "the Postfix mail system is not running"},
        ),
        Sample("error: open /x: Permission denied", {"event": "error", "text": "open /x: Permission denied"}),
        Sample("panic: myfree: corrupt memory block", {"event": "panic", "text": "myfree: corrupt memory block"}),
    ),
    weight=-5,
)

FORMAT = (
    START,
    STOP,
    RELOAD,
    CRASH,
    PROCESS_LIMIT,
    SIZE_LIMIT,
    FILTER_DOWN,
    POSTSUPER,
    POSTSUPER_TOTAL,
    HOSTNAME,
    CLIENT_FAULT,
    NOISE,
    SEVERITY,
)
