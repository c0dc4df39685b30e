"""postgrey: mail put off until the client comes back."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import TELLS, queue_id, telling, upto
from logscan.grammar.formats import LogFormat, Sample, rest, rx

RESULT = LogFormat(
    name="postgrey-result",
    title="postgrey puts a mail off or lets it pass",
    reference="postgrey, mylog_action()",
    programs=("postgrey",),
    table="milters",
    constants={"filter": "postgrey"},
    line=pp.Opt(queue_id("queue_id") + ": ")
    + "action="
    + rx("[a-z]+")("result")
    + pp.Opt(", reason=" + upto(", (?:delay|client_name|client_address|sender|recipient)=")("text"))
    + pp.Opt(rx(r", delay=\d+"))
    + pp.Opt(", client_name=" + upto(", (?:client_address|sender|recipient)=")("client"))
    + pp.Opt(", client_address=" + rx("[^,]+")("client_address"))
    + pp.Opt(", sender=" + upto(", recipient=")("sender"))
    + pp.Opt(", recipient=" + rest()("recipient")),
    samples=(
        Sample(
            "action=greylist, reason=early-retry (271s missing), client_name=mx.example.org,"
            " client_address=203.0.113.9,"
            " sender=a@example.org, recipient=b@example.com",
            {
                "result": "greylist",
                "text": "early-retry (271s missing)",
                "client": "mx.example.org",
                "client_address": "203.0.113.9",
                "sender": "a@example.org",
                "recipient": "b@example.com",
            },
        ),
        Sample(
            "B441A5445E6: action=pass, reason=triplet found, delay=301, client_name=unknown,"
            " client_address=2001:db8::9/64,"
            " recipient=b@example.com",
            {
                "queue_id": "B441A5445E6",
                "result": "pass",
                "text": "triplet found",
                "client": "unknown",
                "client_address": "2001:db8::9/64",
                "recipient": "b@example.com",
            },
        ),
    ),
    weight=20,
)

MENTION = LogFormat(
    name="postgrey-mention",
    title="postgrey speaks of a mail, or refuses one",
    reference="postgrey",
    programs=("postgrey",),
    table="milters",
    constants={"filter": "postgrey"},
    line=telling()("text"),
    samples=tuple(Sample(each, {"text": each}) for each in ("whitelisted: rejected before, queue_id=B441A5445E6",)),
    weight=-9,
)

NOISE = LogFormat(
    name="postgrey-other",
    title="other lines of postgrey",
    reference="postgrey",
    programs=("postgrey",),
    table=None,
    line=rx(rf"(?!(?s:.*){TELLS})") + rest(),
    samples=(Sample("cleaning up old logs..."),),
    weight=-10,
)

FORMAT = (RESULT, MENTION, NOISE)
