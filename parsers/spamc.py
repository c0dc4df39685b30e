"""spamc, the client by which mail goes to spamd: where it gets no answer, it hands the mail on as it is."""

from __future__ import annotations

from logscan.grammar.atoms import upto
from logscan.grammar.formats import LogFormat, Sample, rest, rx

AWAY = LogFormat(
    name="spamc-connect",
    title="spamc can't reach spamd",
    reference="SpamAssassin spamc/libspamc.c, _try_to_connect_tcp(), _try_to_connect_unix()",
    programs=("spamc",),
    table="filter_errors",
    constants={"filter": "spamc", "kind": "connect"},
    line=(
        "connect to spamd on " + upto(" failed, retrying ")("path") + rx(" failed, retrying [^:]*: ") + rest()("text")
    )
    | ("connect(AF_UNIX) to spamd using --socket='" + upto("' failed: ")("path") + "' failed: " + rest()("text"))
    | rx(r"connect\(AF_INET\) to spamd at (?s:.*)")("text"),
    samples=(
        Sample(
            "connect to spamd on 127.0.0.1 failed, retrying (#1 of 3): Connection refused",
            {"path": "127.0.0.1", "text": "Connection refused"},
        ),
        Sample(
            "connect(AF_UNIX) to spamd using --socket='/run/spamd.sock' failed: No such file or directory",
            {"path": "/run/spamd.sock", "text": "No such file or directory"},
        ),
        Sample(
            "connect(AF_INET) to spamd at 127.0.0.1 failed, retrying (#1 of 3): Connection refused",
            {"text": "connect(AF_INET) to spamd at 127.0.0.1 failed, retrying (#1 of 3): Connection refused"},
        ),
    ),
)

GAVE_UP = LogFormat(
    name="spamc-gave-up",
    title="spamc gives up on spamd; without -x the mail goes on unjudged",
    reference="SpamAssassin spamc/libspamc.c, _try_to_connect_tcp()",
    programs=("spamc",),
    table="filter_errors",
    constants={"filter": "spamc", "kind": "delivered unfiltered"},
    line=rx("connection attempt to spamd aborted after (?s:.*)")("text"),
    samples=(
        Sample(
            "connection attempt to spamd aborted after 3 retries",
            {"text": "connection attempt to spamd aborted after 3 retries"},
        ),
    ),
)

TOO_BIG = LogFormat(
    name="spamc-too-big",
    title="a mail is too big for spamc, and goes on unjudged",
    reference="SpamAssassin spamc/libspamc.c, _message_read_raw()",
    programs=("spamc",),
    table="filter_errors",
    constants={"filter": "spamc", "kind": "too big"},
    line=rx("skipped message, greater than max message size (?s:.*)")("text"),
    samples=(
        Sample(
            "skipped message, greater than max message size (512000 bytes)",
            {"text": "skipped message, greater than max message size (512000 bytes)"},
        ),
    ),
)

OTHER = LogFormat(
    name="spamc-other",
    title="spamc reports trouble",
    reference="SpamAssassin spamc/libspamc.c, spamc/spamc.c: libspamc_log()",
    programs=("spamc",),
    table="filter_errors",
    constants={"filter": "spamc", "kind": "error"},
    line=rest()("text"),
    samples=(
        Sample("spamd responded with bad string 'x'", {"text": "spamd responded with bad string 'x'"}),
        Sample(
            "could not resolve any hosts (spamd.example.org): no such host",
            {"text": "could not resolve any hosts (spamd.example.org): no such host"},
        ),
    ),
    weight=-5,
)

FORMAT = (AWAY, GAVE_UP, TOO_BIG, OTHER)
