"""rspamd: its result for a mail, what it was taught, its own life."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import last, upto
from logscan.grammar.formats import LogFormat, Sample, rest, rx

_PROGRAMS = ("rspamd",)
_PREFIX = rx(r"(?:\([^()]*\) )?(?:<[^<>]*>; )?")
_NEXT = r" (?:qid: <|ip: [0-9a-f.:]+,|user: |from: <|\()"

_JUDGED = r" \([a-z0-9_-]+: [TFS] \([^()]*\): \["
_COUNTED = r"\]\), len: \d+, time: [^,]+, dns req: \d+, digest: <[0-9a-f]*>"
_WRITES = "[a-z_]+; rspamd_task_write_log: id: "
_VERDICT = (
    rx(r" \([^ ]+: [TFS] \(")
    + upto(r"\): \[")("result")
    + "): ["
    + rx(r"-?[\d.]+|-?nan|-?inf")("score")
    + "/"
    + rx(r"-?[\d.]+|-?nan|-?inf")("required")
    + "] ["
)
# Addresses, Message-ID and options are a stranger's: with two verdicts in it a line stays unknown.
_ONCE = rf"(?!(?s:.*){_JUDGED}(?s:.*){_JUDGED})"
_PLAIN = (
    _PREFIX
    + rx(_WRITES + _ONCE)
    + rx("<[^<>, ]*>(?=,)|[^<>, ]+(?=,)")("message_id")
    + ","
    + pp.Opt(" qid: <" + rx("[0-9A-Za-z]+")("queue_id") + ">,")
    + pp.Opt(" ip: " + rx("[0-9a-f.:]+")("client") + ",")
    + pp.Opt(" user: " + rx("[^<>, ]*")("user") + ",")
    + pp.Opt(" from: <" + rx('[^<>", ]*')("sender") + ">,")
    + _VERDICT
)
_TWICE = "|".join(f"(?s:.*), {name}(?s:.*), {name}" for name in ("qid: <", "ip: ", "user: ", "from: <"))
_ODD = (
    _PREFIX
    + rx(rf"{_WRITES}{_ONCE}(?!{_TWICE})")
    + rx(rf"<[^>]*+(?:>(?!,{_NEXT})[^>]*+)*+>|[^,]*+(?:,(?!{_NEXT})[^,]*+)*+")("message_id")
    + ","
    + pp.Opt(" qid: <" + rx("[^>]*")("queue_id") + ">,")
    + pp.Opt(" ip: " + rx("[^,]*")("client") + ",")
    + pp.Opt(" user: " + upto(r", (?:from: <|\()")("user") + ",")
    + pp.Opt(" from: <" + upto(r">, \([a-z0-9_-]+: [TFS] \(")("sender") + ">,")
    + _VERDICT
)
_JUDGEMENT = (
    # A symbol's options may hold anything that stood in the mail.
    rx(rf"(?!(?s:.*){_COUNTED}(?s:.*){_COUNTED})")
    + last(r"\]\), len: ")("status")
    # The line may be cut before that.
    + rx(r"(?:\]\), len: \d+(?:, (?:time|dns|dns req): [^,]+(?:, [\d.]+ms virtual)?)*+)?")
    + pp.Opt(", digest: <" + rx("[0-9a-f]*")("signature") + ">")
    + pp.Opt(", rcpts: <" + upto(">, (?:mime_rcpts|file|forced|settings_id): ", r">\Z")("recipients") + ">")
    + pp.Opt(rx(", (?:mime_rcpts|file|forced|settings_id): ") + rest())
)

VERDICT = LogFormat(
    name="rspamd-verdict",
    title="rspamd judges a mail",
    reference="rspamd libserver/task.c, rspamd_task_write_log(); conf/logging.inc",
    programs=_PROGRAMS,
    table="verdicts",
    constants={"filter": "rspamd"},
    line=(_PLAIN + _JUDGEMENT)
    | (_ODD + _JUDGEMENT)
    | (_ODD + rx(rf"(?=(?s:.*){_COUNTED}(?s:.*){_COUNTED})") + rest()("status")),
    samples=(
        Sample(
            "(normal) <a36e0f>; task; rspamd_task_write_log: id: <00002.a9817f1ca8@example.org>, qid: <00BF5544337>,"
            " ip:"
            " 203.0.113.77, from: <win24@example.org>, (default: T (add header): [7.90/100.00] [LAB_PILLS(8.00){},"
            "MIME_GOOD(-0.10){text/plain;}]), len: 1165, time: 2.476ms, dns req: 0, digest:"
            " <6229d585e9c571aafff2513590326903>, rcpts: <erin@example.com>, mime_rcpts: <erin@example.com>",
            {
                "message_id": "<00002.a9817f1ca8@example.org>",
                "queue_id": "00BF5544337",
                "client": "203.0.113.77",
                "sender": "win24@example.org",
                "result": "add header",
                "score": "7.90",
                "required": "100.00",
                "status": "LAB_PILLS(8.00){},MIME_GOOD(-0.10){text/plain;}",
                "signature": "6229d585e9c571aafff2513590326903",
                "recipients": "erin@example.com",
            },
        ),
        Sample(
            "<a36e0f>; proxy; rspamd_task_write_log: id: undef, qid: <4dhRlh0sf8z9HdB>, ip: 2001:db8::1, user:"
            " bob@example.com, from: <>, (default: F (no action): [-0.10/nan] [X(0.0){a]), len: 5;}]), len: 1165, time:"
            " 54.1ms real, 20ms virtual, dns req: 0, digest: <62>, rcpts: <a@example.com,b@example.com>",
            {
                "message_id": "undef",
                "queue_id": "4dhRlh0sf8z9HdB",
                "client": "2001:db8::1",
                "user": "bob@example.com",
                "sender": "",
                "result": "no action",
                "score": "-0.10",
                "required": "nan",
                "status": "X(0.0){a]), len: 5;}",
                "signature": "62",
                "recipients": "a@example.com,b@example.com",
            },
        ),
        Sample(
            "(controller) <a36e0f>; csession; rspamd_task_write_log: id: <a>, ip: b@c>, (default: S (soft reject):"
            " [0.00/15.00] []), len: 1",
            {
                "message_id": "<a>, ip: b@c>",
                "result": "soft reject",
                "score": "0.00",
                "required": "15.00",
                "status": "",
            },
        ),
        Sample(
            "<a36e0f>; proxy; rspamd_task_write_log: id: <a>, (default: F (no action): [1/2] [A(1){]), len: 5, time: 1ms, dns"
            " req: 0, digest: <6>}]), len: 10, time: 2ms, dns req: 0, digest: <62>",
            {
                "message_id": "<a>",
                "result": "no action",
                "score": "1",
                "required": "2",
                "status": "A(1){]), len: 5, time: 1ms, dns req: 0, digest: <6>}]), len: 10, time: 2ms, dns req: 0, digest: <62>",
            },
        ),
        Sample(
            "<a36e0f>; proxy; rspamd_task_write_log: id: <a@example.org>, qid: <4dhRlh0sf8z9HdB>, ip: 192.0.2.9, from:"
            " <a@example.org>, (default: F (no action): [1.50/15.00] [MIME_GOOD(-0.10){text/plain;},ASN(0.00){asn:64",
            {
                "message_id": "<a@example.org>",
                "queue_id": "4dhRlh0sf8z9HdB",
                "client": "192.0.2.9",
                "sender": "a@example.org",
                "result": "no action",
                "score": "1.50",
                "required": "15.00",
                "status": "MIME_GOOD(-0.10){text/plain;},ASN(0.00){asn:64",
            },
        ),
    ),
    weight=50,
)


def _learned(word: str, kind: str) -> LogFormat:
    """Return the format of the line that tells that a mail was learned in one class."""
    return LogFormat(
        name=f"rspamd-learned-{word}",
        title=f"rspamd learns a mail as {word}",
        reference="rspamd controller.c, rspamd_controller_learn_fin_task()",
        programs=_PROGRAMS,
        table="trainings",
        constants={"filter": "rspamd", "outcome": "learned", "class": kind},
        line=_PREFIX + rx("[a-z_]+; [a-z_]+: <[^<>]*> learned message as ") + f"{word}: " + rest()("message_id"),
        samples=(
            Sample(
                "(controller) <eb7984>; csession; rspamd_controller_learn_fin_task: <192.0.2.9> learned message as"
                f" {word}: <a@example.org>",
                {"message_id": "<a@example.org>"},
            ),
            Sample(
                f"csession; rspamd_controller_learn_fin_task: <::1> learned message as {word}: a",
                {"message_id": "a"},
            ),
        ),
        weight=20,
    )


NOT_LEARNED = LogFormat(
    name="rspamd-not-learned",
    title="rspamd can't learn a mail",
    reference="rspamd controller.c; libstat/stat_process.c",
    programs=_PROGRAMS,
    table="trainings",
    constants={"filter": "rspamd", "outcome": "failed"},
    line=_PREFIX
    + rx("[a-z_]+; [a-z_]+: (?:<[^<>]*>:? )?cannot learn <")
    + upto(">: ")("message_id")
    + ">: "
    + rest()("text"),
    samples=(
        Sample(
            "(controller) <eb7984>; csession; rspamd_controller_learn_fin_task: cannot learn <a@example.org>:"
            " already learned",
            {"message_id": "a@example.org", "text": "already learned"},
        ),
    ),
    weight=10,
)

AUTOLEARNED = LogFormat(
    name="rspamd-autolearned",
    title="rspamd learns a mail by its own verdict",
    reference="rspamd libstat/stat_process.c, rspamd_stat_check_autolearn()",
    programs=_PROGRAMS,
    table="trainings",
    constants={"filter": "rspamd", "outcome": "autolearned"},
    line=_PREFIX
    + rx("[a-z_]+; [a-z_]+: ")
    + upto(": autolearn ")("message_id")
    + ": autolearn "
    + rx("[a-z]+")("class")
    + " for classifier "
    + rest()("text"),
    samples=(
        Sample(
            "(normal) <eb7984>; task; rspamd_stat_check_autolearn: <a@example.org>: autolearn ham for classifier"
            " 'bayes' as"
            " message's score is negative: -5.40",
            {
                "message_id": "<a@example.org>",
                "class": "ham",
                "text": "'bayes' as message's score is negative: -5.40",
            },
        ),
    ),
    weight=10,
)

START = LogFormat(
    name="rspamd-start",
    title="rspamd starts",
    reference="rspamd rspamd.c, main()",
    programs=_PROGRAMS,
    table="service_events",
    constants={"event": "start"},
    line=_PREFIX + rx("main; main: ") + rx("rspamd [^ ]+ is (?:starting|loading configuration)(?s:.*)")("text"),
    samples=(
        Sample(
            "(main) <ab12cd>; main; main: rspamd 3.4 is loading configuration, build id: release",
            {"text": "rspamd 3.4 is loading configuration, build id: release"},
        ),
        Sample(
            "(main) <ab12cd>; main; main: rspamd 3.4 is starting, build id: release",
            {"text": "rspamd 3.4 is starting, build id: release"},
        ),
    ),
)

STOP = LogFormat(
    name="rspamd-stop",
    title="rspamd is told to stop",
    reference="rspamd rspamd.c, rspamd_term_handler()",
    programs=_PROGRAMS,
    table="service_events",
    constants={"event": "stop"},
    line=_PREFIX + rx("main; rspamd_term_handler: ") + rest()("text"),
    samples=(
        Sample(
            "(main) <ab12cd>; main; rspamd_term_handler: catch termination signal, waiting for 4 children",
            {"text": "catch termination signal, waiting for 4 children"},
        ),
    ),
)

_SPEAKS = "queue-id: <|[Mm]essage-[Ii][Dd]|; id: <|rejected|refused"
_QUEUE = "; queue-id: <"
LOADED = LogFormat(
    name="rspamd-message",
    title="rspamd takes a mail up, or speaks of one",
    reference="rspamd libmime/message.c, rspamd_message_parse(); libserver/milter.c",
    programs=_PROGRAMS,
    table="milters",
    constants={"filter": "rspamd"},
    line=_PREFIX
    + rx(r"(?=(?s:.*)(?:" + _SPEAKS + r"))(?![a-z_]+; rspamd_task_write_log: )")
    + pp.Opt(
        pp.FollowedBy(rx(rf"(?:(?!{_QUEUE})(?s:.))*+{_QUEUE}(?!(?s:.*){_QUEUE})") + rx("[0-9A-Za-z]+")("queue_id"))
    )
    + rest()("text"),
    samples=(
        Sample(
            "(rspamd_proxy) <a36e0f>; proxy; rspamd_message_parse: loaded message; id: <a@example.org>; queue-id:"
            " <00BF5544337>; size: 1165; checksum: <6229d585e9c571aafff2513590326903>",
            {
                "queue_id": "00BF5544337",
                "text": "proxy; rspamd_message_parse: loaded message; id: <a@example.org>; queue-id: <00BF5544337>;"
                " size: 1165; checksum: <6229d585e9c571aafff2513590326903>",
            },
        ),
    ),
    weight=-5,
)

NOISE = LogFormat(
    name="rspamd-other",
    title="other lines of rspamd",
    reference="rspamd libserver/logger",
    programs=_PROGRAMS,
    table=None,
    line=rx(r"(?!(?s:.*)(?:; rspamd_task_write_log: |" + _SPEAKS + "))") + rest(),
    samples=(
        Sample("(rspamd_proxy) <a36e0f>; proxy; proxy_milter_finish_handler: finished milter connection"),
        Sample("(main) rspamd_url_init: start compiling of 7 TLD suffixes; it might take a long time"),
    ),
    weight=-10,
)

FORMAT = (
    VERDICT,
    _learned("spam", "spam"),
    _learned("ham", "innocent"),
    NOT_LEARNED,
    AUTOLEARNED,
    START,
    STOP,
    LOADED,
    NOISE,
)
