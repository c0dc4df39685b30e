"""SpamAssassin's spamd: its result for a mail, what it was taught."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import TELLS
from logscan.grammar.formats import LogFormat, Sample, rest, rx, word

_PREFIX = rx("(?:spamd: )?")

VERDICT = LogFormat(
    name="spamd-verdict",
    title="spamd judges a mail",
    reference="SpamAssassin spamd/spamd.raw, log_result()",
    programs=("spamd",),
    table="verdicts",
    constants={"filter": "spamd"},
    line=_PREFIX
    + "result: "
    + rx("[Y.]")("result")
    + rx(" +")
    + rx(r"-?\d+")("score")
    + " - "
    + rx("[^ ]*")("status")
    + " scantime="
    + rx(r"[\d.]+")("seconds")
    + rx(r",size=\d+,user=")
    + word(",")("user")
    + rx(",uid=[^,]*,required_score=")
    + rx(r"-?[\d.]+")("required")
    + rx(",rhost=[^,]*")
    + pp.Opt(",raddr=" + word(",")("client"))
    + pp.Opt(rx(",rport=[^,]*"))
    + pp.Opt(",mid=" + rx("[^,]*")("message_id"))
    + rest(),
    samples=(
        Sample(
            "spamd: result: Y 12 - BAYES_99,HTML_MESSAGE scantime=0.5,size=1234,user=bob,uid=1000,required_score=5.0,"
            "rhost=localhost,raddr=127.0.0.1,rport=4711,mid=<a_b@example.org>,bayes=0.999999,autolearn=no",
            {
                "result": "Y",
                "score": "12",
                "status": "BAYES_99,HTML_MESSAGE",
                "seconds": "0.5",
                "user": "bob",
                "required": "5.0",
                "client": "127.0.0.1",
                "message_id": "<a_b@example.org>",
            },
        ),
        Sample(
            "result: .  1 -  scantime=2,size=9,user=(unknown),uid=0,required_score=5,rhost=localhost",
            {
                "result": ".",
                "score": "1",
                "status": "",
                "seconds": "2",
                "user": "(unknown)",
                "required": "5",
            },
        ),
    ),
    weight=50,
)

LEARNED = LogFormat(
    name="spamd-learned",
    title="spamd is taught a mail",
    reference="SpamAssassin spamd/spamd.raw, dotell()",
    programs=("spamd",),
    table="trainings",
    constants={"filter": "spamd", "outcome": "learned"},
    line=_PREFIX + "Tell: " + rx("(?:(?! for )(?s:.))*+")("text") + " for " + word(":")("user") + ":" + rest(),
    samples=(
        Sample(
            "spamd: Tell: Setting local for bob:1000 in 0.1 seconds, 1234 bytes",
            {"text": "Setting local", "user": "bob"},
        ),
    ),
    weight=20,
)

SPOKEN = LogFormat(
    name="spamd-message",
    title="spamd takes a mail up, and is done with it",
    reference="SpamAssassin spamd/spamd.raw, check()",
    programs=("spamd",),
    table="milters",
    constants={"filter": "spamd"},
    line=_PREFIX
    + rx("processing message|checking message|clean message|identified spam|skipped message")("result")
    + rx("[ ,]")
    + rest()("text"),
    samples=(
        Sample(
            "spamd: clean message (-1.9/5.0) for bob:1000 in 0.5 seconds, 1234 bytes.",
            {"result": "clean message", "text": "(-1.9/5.0) for bob:1000 in 0.5 seconds, 1234 bytes."},
        ),
        Sample(
            "spamd: processing message <a@example.org> for bob:1000",
            {"result": "processing message", "text": "<a@example.org> for bob:1000"},
        ),
    ),
    weight=30,
)

NOT_LEARNED = LogFormat(
    name="spamd-not-learned",
    title="spamd refuses to learn: --allow-tell isn't given",
    reference="SpamAssassin spamd/spamd.raw, dotell(), service_unavailable_error()",
    programs=("spamd",),
    table="trainings",
    constants={"filter": "spamd", "outcome": "failed"},
    line=_PREFIX + rx("service unavailable: TELL commands are not enabled(?s:.*)")("text"),
    samples=(
        Sample(
            "spamd: service unavailable: TELL commands are not enabled, set the --allow-tell switch.",
            {"text": "service unavailable: TELL commands are not enabled, set the --allow-tell switch."},
        ),
    ),
    weight=10,
)

BAYES = LogFormat(
    name="spamd-bayes",
    title="spamd can't open what its Bayes has learned",
    reference="SpamAssassin lib/Mail/SpamAssassin/BayesStore/DBM.pm, tie_db_readonly(), tie_db_writable()",
    programs=("spamd",),
    table="filter_errors",
    constants={"filter": "spamd", "kind": "bayes"},
    line=_PREFIX + rx("bayes: cannot open bayes databases (?s:.*)")("text"),
    samples=(
        Sample(
            "bayes: cannot open bayes databases /var/lib/spamassassin/bayes_* R/O: tie failed: Permission denied",
            {
                "text": "bayes: cannot open bayes databases /var/lib/spamassassin/bayes_* R/O: tie failed: Permission denied"
            },
        ),
    ),
    weight=10,
)

NOISE = LogFormat(
    name="spamd-other",
    title="other lines of spamd",
    reference="SpamAssassin spamd/spamd.raw",
    programs=("spamd",),
    table=None,
    line=rx(rf"(?!(?:spamd: )?result: |(?s:.*){TELLS})") + rest(),
    samples=(
        Sample("spamd: connection from localhost [127.0.0.1]:4711 to port 783, fd 5"),
        Sample("prefork: child states: II"),
    ),
    weight=-10,
)

FORMAT = (VERDICT, LEARNED, NOT_LEARNED, SPOKEN, BAYES, NOISE)
