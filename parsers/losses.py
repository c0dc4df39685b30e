"""What the logging system itself lost, or wrote once instead of several times."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.formats import LogFormat, Sample, rest, rx

_LOGGERS = (
    "rsyslogd",
    "rsyslogd-2177",
    "syslogd",
    "syslog-ng",
    "systemd-journald",
    "systemd-journal",
    "journal",
    "newsyslog",
)
_ANY = (
    "/*",
    "dovecot",
    "imap",
    "dspam",
    "amavis",
    "rspamd",
    "spamd",
    "opendkim",
    "opendmarc",
    "postgrey",
    "policyd-spf",
)

LOST = LogFormat(
    name="lines-lost",
    title="the logging system threw lines away",
    reference="rsyslog runtime/ratelimit.c; systemd src/journal/journald-server.c, journald-syslog.c",
    programs=_LOGGERS,
    table="losses",
    constants={"event": "lost"},
    line=pp.FollowedBy(rx(r"(?:(?!\d+ messages[ .])(?s:.))*+") + rx(r"\d+(?= messages[ .])")("count"))
    + rx(
        r"(?:[^ ]+ lost \d+ messages |Suppressed \d+ messages |Forwarding to syslog missed \d+ messages"
        r"|(?:(?!\d+ messages )(?s:.))*+\d+ messages lost due to )(?s:.*)"
    )("text"),
    samples=(
        Sample(
            "imuxsock lost 231 messages from pid 4711 due to rate-limiting",
            {"count": "231", "text": "imuxsock lost 231 messages from pid 4711 due to rate-limiting"},
        ),
        Sample(
            "imuxsock[pid: 7]: 5 messages lost due to rate-limiting (200 allowed within 5 seconds)",
            {
                "count": "5",
                "text": "imuxsock[pid: 7]: 5 messages lost due to rate-limiting (200 allowed within 5 seconds)",
            },
        ),
        Sample(
            "Suppressed 12 messages from postfix.service",
            {"count": "12", "text": "Suppressed 12 messages from postfix.service"},
        ),
        Sample(
            "Forwarding to syslog missed 5 messages.",
            {"count": "5", "text": "Forwarding to syslog missed 5 messages."},
        ),
    ),
)

DROPPING = LogFormat(
    name="lines-being-lost",
    title="the logging system begins to throw lines away; how many, it tells later, or never",
    reference="rsyslog runtime/ratelimit.c, withinRatelimit()",
    programs=_LOGGERS,
    table="losses",
    constants={"event": "losing"},
    line=rx(r"(?:(?! begins? to drop messages )(?s:.))*+ begins? to drop messages (?s:.*)")("text"),
    samples=tuple(
        Sample(each, {"text": each})
        for each in (
            "imuxsock[pid: 7, name: qmgr] from <mx:postfix>: begin to drop messages due to rate-limiting",
            "imuxsock begins to drop messages from pid 4711 due to rate-limiting",
        )
    ),
)

LAST_REPEATED = LogFormat(
    name="last-line-repeated",
    title="the host's last line was written several times",
    reference="sysklogd, BSD syslogd; the line has no tag",
    programs=("", "last", *_LOGGERS),
    table="losses",
    constants={"event": "repeated"},
    line=rx("(?:last )?message repeated ") + rx(r"\d+")("count") + " time" + rx(r"s?\Z"),
    samples=(
        Sample("last message repeated 3 times", {"count": "3"}),
        Sample("message repeated 1 time", {"count": "1"}),
    ),
)

REPEATED = LogFormat(
    name="line-repeated",
    title="a program's line was written several times",
    reference="rsyslog runtime/ratelimit.c",
    programs=_ANY,
    table="losses",
    constants={"event": "repeated"},
    line="message repeated "
    + rx(r"\d+")("count")
    + " times: [ "
    + rx(r"[^\]]*+(?:\](?!\Z)[^\]]*+)*+")("text")
    + pp.Opt("]"),
    samples=(
        Sample(
            "message repeated 3 times: [ warning: unknown[192.0.2.9]: SASL LOGIN authentication failed: x]",
            {"count": "3", "text": "warning: unknown[192.0.2.9]: SASL LOGIN authentication failed: x"},
        ),
        Sample("message repeated 2 times: [ cut", {"count": "2", "text": "cut"}),
    ),
)

SUPPRESSED = LogFormat(
    name="line-suppressed",
    title="a program's line was written several times",
    reference="syslog-ng lib/logwriter.c, suppress()",
    programs=_ANY,
    table="losses",
    constants={"event": "repeated"},
    line=rx(r"Last message '(?=(?s:.*)' repeated \d+ times, suppressed)")
    + rx(r"(?s:.*)(?=' repeated )")("text")
    + "' repeated "
    + rx(r"\d+")("count")
    + " times, suppressed by syslog-ng on "
    + rest(),
    samples=(
        Sample(
            "Last message 'warning: unknown[192' repeated 2 times, suppressed by syslog-ng on mx1",
            {"count": "2", "text": "warning: unknown[192"},
        ),
    ),
)

BLOB = LogFormat(
    name="line-unprintable",
    title="journalctl left out a line with bytes it doesn't print",
    reference="systemd src/shared/logs-show.c",
    programs=_ANY,
    table="losses",
    constants={"event": "unprintable"},
    line=rx(r"\[[0-9.]+[BKMG]* blob data\]")("text"),
    samples=(
        Sample("[42B blob data]", {"text": "[42B blob data]"}),
        Sample("[1.2K blob data]", {"text": "[1.2K blob data]"}),
    ),
)

_ORIGIN = r"(?:\[origin [^\]]*\] )?"

STARTED = LogFormat(
    name="logger-started",
    title="the logging system starts",
    reference="rsyslog tools/rsyslogd.c; syslog-ng lib/mainloop.c; systemd src/journal/journald-server.c; FreeBSD"
    " usr.sbin/syslogd/syslogd.c",
    programs=_LOGGERS,
    table="losses",
    constants={"event": "started"},
    line=rx(_ORIGIN + r"start\Z|syslog-ng starting up;(?s:.*)|Journal started\Z|kernel boot file is (?s:.*)")("text"),
    samples=tuple(
        Sample(each, {"text": each})
        for each in (
            '[origin software="rsyslogd" swVersion="8.2302.0" x-pid="5033" x-info="https://www.rsyslog.com"] start',
            "syslog-ng starting up; version='3.38.1'",
            "Journal started",
            "kernel boot file is /boot/kernel/kernel",
        )
    ),
)

STOPPED = LogFormat(
    name="logger-stopped",
    title="the logging system stops",
    reference="rsyslog tools/rsyslogd.c; syslog-ng lib/mainloop.c; systemd src/journal/journald-server.c; FreeBSD"
    " usr.sbin/syslogd/syslogd.c",
    programs=_LOGGERS,
    table="losses",
    constants={"event": "stopped"},
    line=rx(_ORIGIN + r"exiting on signal (?s:.*)|syslog-ng shutting down;(?s:.*)|Journal stopped\Z")("text"),
    samples=tuple(
        Sample(each, {"text": each})
        for each in (
            '[origin software="rsyslogd" swVersion="8.2302.0" x-pid="5033" x-info="https://www.rsyslog.com"] exiting on'
            " signal 15.",
            "exiting on signal 15",
            "syslog-ng shutting down; version='3.38.1'",
            "Journal stopped",
        )
    ),
)

NOISE = LogFormat(
    name="logger-noise",
    title="the logging system reopens its files, or speaks of itself",
    reference="rsyslog tools/rsyslogd.c; syslog-ng lib/mainloop.c, lib/stats/stats-log.c; FreeBSD usr.sbin/newsyslog/newsyslog.c,"
    " log_trim(), and usr.sbin/syslogd/syslogd.c",
    programs=_LOGGERS,
    table=None,
    line=rx(
        r"(?:\[origin |Configuration reload (?:request received|finished)|"
        "New configuration initialized|Termination"
        " requested via signal|Log statistics;|rsyslogd was HUPed|rsyslogd's |imuxsock: |imjournal|action"
        r" '|environment "
        "variable TZ|Runtime Journal|System Journal|Received (?:SIG|client request)|Time"
        " spent on "
        "flushing|File |Collecting audit|logfile (?:turned over|first created)|restart\\Z"
        "|hostname changed, )"
    )
    + rest(),
    samples=(
        Sample(
            '[origin software="rsyslogd" swVersion="8.2302.0" x-pid="5033" x-info="https://www.rsyslog.com"] rsyslogd was'
            " HUPed"
        ),
        Sample("rsyslogd was HUPed"),
        Sample("rsyslogd's groupid changed to 4"),
        Sample("logfile turned over due to size>1000K"),
        Sample("Configuration reload request received, reloading configuration;"),
    ),
    weight=-5,
)

MARK = LogFormat(
    name="logger-mark",
    title="the logging system shows that it is alive, or starts",
    reference="sysklogd syslogd.c; the line has no tag",
    programs=("", *_LOGGERS),
    table=None,
    line=rx(r"-- MARK --|syslogd [^:]*: restart\b(?s:.*)"),
    samples=(Sample("-- MARK --"), Sample("syslogd 1.4.1: restart."), Sample("syslogd (GNU inetutils 1.9): restart")),
    weight=-5,
)

FORMAT = (LOST, DROPPING, STARTED, STOPPED, LAST_REPEATED, REPEATED, SUPPRESSED, BLOB, NOISE, MARK)
