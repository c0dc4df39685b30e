"""SPF and other policy services that Postfix asks."""

from __future__ import annotations

import pyparsing as pp

from logscan.atoms import upto
from logscan.grammar import LogFormat, Sample, rest, rx, word

_PROGRAMS = ("policyd-spf", "policy-spf", "pypolicyd-spf")

RECEIVED = LogFormat(
    name="policyd-spf-result",
    title="the SPF policy service judges a sender",
    reference="spf-engine policyd-spf; RFC 7208 9.1",
    programs=_PROGRAMS,
    table="milters",
    constants={"filter": "policyd-spf"},
    line=rx("(?:prepend )?(?:X-Comment: |Received-SPF: )?")
    + rx("(?i:pass|fail|softfail|neutral|none|temperror|permerror)")("result")
    + rx(";? ")
    + upto(" client-ip=")("text")
    + pp.Opt(" client-ip=" + word(" ;")("client_address"))
    + rx("(?:; helo=(?:(?!; envelope-from=)(?s:.))*)?")
    + pp.Opt("; envelope-from=" + upto("; receiver=")("sender"))
    + rest(),
    samples=(
        Sample(
            "prepend Received-SPF: Pass (mailfrom) identity=mailfrom; client-ip=203.0.113.9; helo=mx.example.org;"
            " envelope-from=a@example.org; receiver=b@example.com ",
            {
                "result": "Pass",
                "text": "(mailfrom) identity=mailfrom;",
                "client_address": "203.0.113.9",
                "sender": "a@example.org",
            },
        ),
        Sample(
            "Pass; identity=mailfrom; client-ip=203.0.113.9; helo=x; envelope-from=a@example.org;"
            " receiver=b@example.com",
            {
                "result": "Pass",
                "text": "identity=mailfrom;",
                "client_address": "203.0.113.9",
                "sender": "a@example.org",
            },
        ),
        Sample("Received-SPF: None (no SPF record)", {"result": "None", "text": "(no SPF record)"}),
    ),
    weight=20,
)

REFUSED = LogFormat(
    name="policyd-spf-refused",
    title="the SPF policy service has a mail refused",
    reference="spf-engine policyd-spf",
    programs=_PROGRAMS,
    table="milters",
    constants={"filter": "policyd-spf", "result": "refused"},
    line=rx("[45][0-9][0-9] (?s:.*)")("text"),
    samples=(
        Sample(
            "550 5.7.23 Message rejected due to: SPF fail - not authorized.",
            {"text": "550 5.7.23 Message rejected due to: SPF fail - not authorized."},
        ),
    ),
    weight=10,
)

NOISE = LogFormat(
    name="policyd-spf-other",
    title="other lines of the SPF policy service",
    reference="spf-engine policyd-spf",
    programs=_PROGRAMS,
    table=None,
    line=rest(),
    samples=(Sample("Starting"),),
    weight=-10,
)

CLUEBRINGER = LogFormat(
    name="cluebringer-result",
    title="PolicyD (cluebringer) judges a recipient",
    reference="PolicyD v2 cbp/modules",
    programs=("cbpolicyd",),
    table="milters",
    constants={"filter": "cbpolicyd"},
    line=rx(r"(?:\[[^\]]*\] \[[^\]]*\] [A-Z]+: )?module=")
    + word(",")("text")
    + ", action="
    + word(",")("result")
    + pp.Opt(", host=" + word(",")("client_address"))
    + pp.Opt(rx(", helo=(?:(?!, from=)(?s:.))*"))
    + pp.Opt(", from=" + upto(", to=")("sender"))
    + pp.Opt(", to=" + upto(", reason=")("recipient"))
    + rest(),
    samples=(
        Sample(
            "module=Greylisting, action=defer, host=203.0.113.9, helo=h, from=a@example.org, to=b@example.com,"
            " reason=greylisted",
            {
                "text": "Greylisting",
                "result": "defer",
                "client_address": "203.0.113.9",
                "sender": "a@example.org",
                "recipient": "b@example.com",
            },
        ),
        Sample("module=Quotas, action=pass, reason=x", {"text": "Quotas", "result": "pass"}),
    ),
)

FORMAT = (RECEIVED, REFUSED, NOISE, CLUEBRINGER)
