"""Postfix as a service: start, stop, limits, dead processes, filters out of reach, postsuper, noise."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import queue_id, queue_id_or_none
from logscan.grammar.formats import LogFormat, Sample, rest, rx


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
    title="postsuper counts what it did",
    reference="Postfix postsuper/postsuper.c",
    programs=("/postsuper",),
    table="service_events",
    constants={"event": "postsuper"},
    line=rx(r"[A-Z][A-Za-z -]+: \d+ messages?\Z")("text"),
    samples=tuple(
        Sample(each, {"text": each})
        for each in ("Deleted: 1 message", "Placed on hold: 3 messages", "Force-expired: 3 messages")
    ),
)

HOSTNAME = LogFormat(
    name="postfix-hostname-noise",
    title="a client's name and address don't match",
    reference="Postfix smtpd/smtpd_peer.c",
    programs=("/smtpd", "/postscreen", "/qmqpd"),
    table=None,
    line=rx(
        "warning: (?:(?:[0-9a-f.:]+: )?(?:hostname [^ ]+ (?:does not resolve to address |verification failed)"
        "|address not listed for hostname )|numeric hostname)"
    )
    + rest(),
    samples=(
        Sample("warning: hostname dyn.example.net does not resolve to address 203.0.113.9: Name or service not known"),
        Sample("warning: numeric hostname: 203.0.113.9"),
        Sample("warning: 203.0.113.9: hostname dyn.example.net verification failed: Name or service not known"),
        Sample("warning: 203.0.113.9: address not listed for hostname dyn.example.net"),
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
    programs=("/*", "postfix"),
    table=None,
    line=rx(
        r"(?:statistics: |cache [^ ]+ (?:full|partial) cleanup: |the Postfix mail system is (?:running|not running)"
        r"|table (?s:.*) has changed --? (?:restarting|finishing)|(?:re)?starting |stopping |refreshing |waiting for |aborting "
        r"|discarding EHLO keywords|(?:See |To disable backwards compatibility )"
        r"|master exit time has arrived|ignoring (?:status update from child|DNS RR: )|(?:entering|leaving) STRESS mode "
        r"|[^ ]* cache cleanup will start |database [^ ]+: (?:using size limit|pausing after) |running: "
        r"|(?:DATA|BDAT) without valid RCPT from |host [^ ]+ offers SMTPUTF8 support|mapping DSN status "
        r"|(?:[^ \[]*\[[^\]]*\](?::\w+)?: )(?:replacing (?:server reply|command) |discarding EHLO keywords)"
        r"|set-permissions: |Postfix is running|mail system is (?:already )?(?:up|down|running)|SMTPS wrappermode "
        r"|warning: (?:to avoid this condition"
        r"|to increase the process |see https?:|for instructions see|please ))"
    )
    + rest(),
    samples=(
        Sample("statistics: max connection rate 1/60s for (smtp:198.51.100.10) at Nov 23 06:25:04"),
        Sample("table hash:/etc/postfix/virtual(0,lock|fold_fix) has changed -- restarting"),
        Sample("starting the Postfix mail system"),
        Sample("stopping the Postfix mail system"),
        Sample("refreshing the Postfix mail system"),
        Sample("waiting for the Postfix mail system to terminate"),
        Sample("discarding EHLO keywords: CHUNKING"),
        Sample("cache btree:/var/lib/postfix/verify_cache full cleanup: retained=0 dropped=1 entries"),
        Sample("cache btree:/var/lib/postfix/verify_cache partial cleanup: retained=3 dropped=1 entries"),
        Sample("table cidr:/etc/postfix/access.cidr(0,lock|fold_fix) has changed - finishing in the background"),
        Sample('To disable backwards compatibility use "postconf compatibility_level=3.7" and "postfix reload"'),
        Sample("See http://www.example.com/COMPATIBILITY_README.html for details"),
        Sample("entering STRESS mode with 90 connections"),
        Sample('unknown[203.0.113.9]: replacing command "EHLO x" with "HELO x"'),
        Sample("host mx.example.net[203.0.113.200]:25 offers SMTPUTF8 support, but not 8BITMIME"),
        Sample("the Postfix mail system is running: PID: 5"),
        Sample("warning: for instructions see the bounce(5) manual"),
        Sample("warning: to avoid this condition, increase the process count in master.cf"),
    ),
    weight=-2,
)

_VERBOSE = (
    # The SMTP dialogue, the checks, and what a function or parameter of that name says.
    r"[<>] ",
    r">>> ",
    r"====",
    r"(?:(?:before|after|flags for|begin) )?[a-z][a-z0-9]*(?:_[a-z0-9]+)++(?:[:(=\[{ ]|\Z)",
    # Attributes that go over a socket.
    r"(?:input attribute (?:name|value)|unexpected attribute|wanted attribute): ?",
    r"send attr ",
    r"[^ ]+(?: socket)?: (?:wanted attribute|terminator|non-terminator|EOF\Z)",
    # Names without an underscore, with what belongs to them.
    r"(?:mynetworks|permit|reject|defer|whatsup|fsspace|watchdog|auto|reply|event|request|queue|masquerade|setugid|dict): ",
    r"(?:level|path|fp|offset|sender|recipient|domain|local|user|extension|unmatched|owner|delivered|relay|why): ",
    r"(?:flags|name|type|wakeup|children|next|arg\[\d+\]): ",
    r"(?:source|fd|subject|issuer|export |import)[^ ]*=",
    # Milters.
    r"(?:report|query|inspect|abort|free|send|receive|disconnect event to) (?:(?!milters?\b)[a-z0-9]+ )*+milters?\b",
    r"(?:skipping (?:non-protocol )?event|skipping reply|override [^ ]+ macro|milter [^ ]+: (?:event|mail|rcpt)|report ) ?",
    # Processes and connections between them.
    r"(?:idle timeout|master disconnect|time to retire) -- ",
    r"(?:[a-z-]+ stream disconnect|(?:connection|client socket) (?:established|closed|not found)|trigger arrived)",
    r"(?:process generation: |got sigchld|request ignored|received master trigger|--- (?:start|end) request)",
    r"(?:throttl|spawn command|start conditional timer|wakeup |status_fd |chdir |chroot )",
    r"(?:connect to (?:subsystem|private|public)|connecting to|trying\.\.\.|host name lookup methods) ?",
    # Queues, addresses, files, look-ups.
    r"(?:start|begin|end|done) (?:sorted|move|[A-Za-z]+ (?:queue|address)) ",
    r"(?:initial|extracted) envelope |cleanup flags = |old-style scan |record [a-zA-Z] |pref +\d+ host ",
    r"(?:defer|enable) (?:transport|site) |site [^ ]+ to path |(?:PUT|GOT|PROBE) |forward delivered=|`",
    r"[^ ]+ asciified to |lookup [^ ]+ (?:type|session) |(?:put|delete) [^ ]+ session |skip(?:ping)? [^ ]+ ",
    r"(?:open|unlink|remove|renamed|removed|allowlisting|whitelisting|loaded|pausing to let) [^ ]+",
    r"[a-z]+:[^ ]+ (?:lookup|update|delete|sequence|successful query)",
    # SASL, TLS, Berkeley DB.
    r"(?:server features: |Using [^ ]+ PIPELINING|disposing SASL |SASL authentication (?:info|debug|trace|pass): )",
    r"(?:[^ ]+ )?TLS level: |(?:Compiled|Run-time linked) against |myhostname=",
)

VERBOSE = LogFormat(
    name="postfix-verbose",
    title="a Postfix daemon that runs with -v tells its SMTP dialogue, its look-ups and what its functions do",
    reference="Postfix, msg_info() where msg_verbose is set: util/, global/, master/, smtpd/, milter/; local/deliver_attr.c",
    programs=("/*", "postfix"),
    table=None,
    line=rx("|".join(_VERBOSE)) + rest(),
    samples=(
        Sample("> mx.example.net[203.0.113.200]:25: EHLO mx1.example.com"),
        Sample("< mx.example.net[203.0.113.200]:25: 220 mx.example.net ESMTP"),
        Sample(">>> START Recipient address RESTRICTIONS <<<"),
        Sample("match_list_match: 203.0.113.9: no match"),
        Sample("rewrite_clnt: local: alice -> alice@example.com"),
        Sample("send attr request = disconnect"),
        Sample("input attribute name: status"),
        Sample("private/anvil: wanted attribute: status"),
        Sample("report sender to all milters"),
        Sample("master disconnect -- exiting"),
        Sample("recipient: alice"),
        Sample("dict_cidr_open: add 192.0.2.0/24 permit"),
    ),
    weight=-3,
)

CYRUS = LogFormat(
    name="postfix-cyrus-sasl",
    title="the Cyrus SASL library speaks under a Postfix daemon's name",
    reference="cyrus-sasl lib/dlopen.c, plugins/: _sasl_log(), utils->log()",
    programs=("/smtpd", "/smtp", "/lmtp", "/cleanup", "/qmqpd"),
    table=None,
    line=rx(
        r"(?:NOQUEUE: )?(?:looking for plugins in |unable to dlopen |unable to open Berkeley db |auxpropfunc error|auxprop_"
        r"|sql_?(?:select option| auxprop plugin| plugin|: )|begin transaction|commit transaction|ldapdb|GSSAPI |OTP unavailable"
        r"|(?:DIGEST-MD5|CRAM-MD5|NTLM|SCRAM|PLAIN|LOGIN|SRP) (?:common|client|server)|_sasl_plugin_load failed|No worthy mechs"
        r"|Password verification failed|could not find auxprop plugin|canonuserfunc error|entry |xxx )"
    )
    + rest(),
    samples=(
        Sample("sql_select option missing"),
        Sample("DIGEST-MD5 common mech free"),
        Sample("looking for plugins in '/usr/lib/sasl2', failed to open directory, error: No such file or directory"),
    ),
    weight=-2,
)

QUEUE_OTHER = LogFormat(
    name="postfix-queue-other",
    title="a Postfix daemon says something else of a mail",
    reference="Postfix bounce/bounce_trace_service.c, smtp/smtp_chat.c, qmgr/qmgr_message.c",
    programs=("/*",),
    table="service_events",
    constants={"event": "queue"},
    line=queue_id("queue_id")
    + ": "
    + rx(
        "(?:not sending (?:trace|success)|no trace file|enabling VERP|recipient limit|replacing server reply|uncoded initial"
        "|using DSN |DSN )(?s:.*)"
    )("text"),
    samples=(
        Sample(
            "8828C54A70D: not sending trace/success notification for double-bounce message",
            {
                "queue_id": "8828C54A70D",
                "text": "not sending trace/success notification for double-bounce message",
            },
        ),
    ),
    weight=-2,
)

MAP_PROBLEM = LogFormat(
    name="postfix-map-problem",
    title="a mail is put off since a table can't be asked",
    reference="Postfix cleanup/cleanup_map1n.c, cleanup_masquerade.c",
    programs=("/cleanup",),
    table="service_events",
    constants={"event": "warning"},
    line=queue_id("queue_id") + ": " + rx(r"[^ ]+ map lookup problem(?s:.*)")("text"),
    samples=(
        Sample(
            "8828C54A70D: virtual_alias_maps map lookup problem -- message not accepted, try again later",
            {
                "queue_id": "8828C54A70D",
                "text": "virtual_alias_maps map lookup problem -- message not accepted, try again later",
            },
        ),
    ),
)

SEVERITY = LogFormat(
    name="postfix-severity-other",
    title="a Postfix daemon warns or fails",
    reference="Postfix util/msg_syslog.c",
    programs=("/*", "postfix"),
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
    VERBOSE,
    CYRUS,
    QUEUE_OTHER,
    MAP_PROBLEM,
    SEVERITY,
)
