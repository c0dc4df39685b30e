"""postsrsd: senders of forwarded mail that it rewrites (SRS)."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import queue_id
from logscan.grammar.formats import LogFormat, Sample, rest, rx

RESULT = LogFormat(
    name="postsrsd-result",
    title="postsrsd rewrites a sender, or leaves it",
    reference="postsrsd 1 postsrsd.c, handle_forward(), handle_reverse(); postsrsd 2 src/main.c",
    programs=("postsrsd",),
    table="milters",
    constants={"filter": "postsrsd"},
    line=rx("(?:(?:srs_(?:forward|reverse)|info|debug|warn|error): )?")
    + pp.Opt(queue_id("queue_id") + ": ")
    + "<"
    + rx(r'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"(?=[@>]))?+[^<>]*+')("sender")
    + "> "
    + rx("(?:not )?rewritten(?: as)?|forwarded as|reversed? (?:to|as)|not forwarded|not reversed")("result")
    + pp.Opt(": ")
    + rest()("text"),
    samples=(
        Sample(
            "srs_forward: <vera@example.org> rewritten as <SRS0=B+bm=JW=example.org=vera@example.com>",
            {
                "sender": "vera@example.org",
                "result": "rewritten as",
                "text": " <SRS0=B+bm=JW=example.org=vera@example.com>",
            },
        ),
        Sample(
            "srs_forward: <SRS0=B+bm=JW=example.org=vera@example.com> not rewritten: Domain excluded by policy",
            {
                "sender": "SRS0=B+bm=JW=example.org=vera@example.com",
                "result": "not rewritten",
                "text": "Domain excluded by policy",
            },
        ),
        Sample(
            "B441A5445E6: <vera@example.org> not rewritten: all recipients are in local domains",
            {
                "queue_id": "B441A5445E6",
                "sender": "vera@example.org",
                "result": "not rewritten",
                "text": "all recipients are in local domains",
            },
        ),
    ),
    weight=20,
)

OTHER = LogFormat(
    name="postsrsd-other",
    title="other lines of postsrsd",
    reference="postsrsd 1 postsrsd.c, main(); postsrsd 2 src/util.c",
    programs=("postsrsd",),
    table="service_events",
    constants={"event": "postsrsd"},
    line=rest()("text"),
    samples=(Sample("error: cannot read secrets from /x", {"text": "error: cannot read secrets from /x"}),),
    weight=-10,
)

FORMAT = (RESULT, OTHER)
