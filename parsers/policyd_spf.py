"""SPF and other policy services that Postfix asks."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import TELLS, queue_id, telling, upto
from logscan.grammar.formats import LogFormat, Sample, rest, rx, word

_PROGRAMS = ("policyd-spf", "policy-spf", "pypolicyd-spf", "/policy-spf", "/policyd-spf", "pyspf-milter", "spf-milter")
_START = rx(r"(?::? ?: )?(?:[0-9A-F]{6,}: )?(?:prepend )?")

RECEIVED = LogFormat(
    name="policyd-spf-result",
    title="the SPF policy service judges a sender",
    reference="spf-engine policyd-spf; RFC 7208 9.1",
    programs=_PROGRAMS,
    table="milters",
    constants={"filter": "policyd-spf"},
    line=_START
    + rx("(?:X-Comment: |Received-SPF: )?")
    + rx("(?i:pass|fail|softfail|neutral|none|temperror|permerror)")("result")
    + rx(";? ")
    + upto(" client-ip=")("text")
    + pp.Opt(" client-ip=" + word(" ;")("client_address"))
    + rx("(?:; (?:helo|mechanism|identity)=(?:(?!; envelope-from=)(?s:.))*+)?")
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

AUTHENTICATION = LogFormat(
    name="policyd-spf-authentication-results",
    title="the SPF policy service judges a sender, in an Authentication-Results header",
    reference="spf-engine policyd-spf, Header_Type = AR",
    programs=_PROGRAMS,
    table="milters",
    constants={"filter": "policyd-spf"},
    line=_START
    + rx("Authentication-Results: [^;]*; spf=")
    + rx("[a-z]+")("result")
    + upto(r" \(client-ip=")("text")
    + pp.Opt(" (client-ip=" + word(";)")("client_address"))
    + rx("(?:; helo=(?:(?!; envelope-from=)(?s:.))*+)?")
    + pp.Opt("; envelope-from=" + upto("; receiver=")("sender"))
    + rest(),
    samples=(
        Sample(
            ": prepend Authentication-Results: mx.example.com; spf=pass (sender SPF authorized) smtp.mailfrom=example.org"
            " (client-ip=203.0.113.9; helo=mx.example.org; envelope-from=a@example.org; receiver=b@example.com)",
            {
                "result": "pass",
                "text": " (sender SPF authorized) smtp.mailfrom=example.org",
                "client_address": "203.0.113.9",
                "sender": "a@example.org",
            },
        ),
    ),
    weight=19,
)

PERL = LogFormat(
    name="policyd-spf-perl-result",
    title="the SPF policy service written in Perl judges a sender",
    reference="postfix-policyd-spf-perl",
    programs=_PROGRAMS,
    table="milters",
    constants={"filter": "policyd-spf"},
    line=(
        rx("(?:Policy action=|decided action=)(?:PREPEND )?(?:X-Comment: )?Received-SPF: ")
        + rx("[a-z]+")("result")
        + " "
        + upto(r"[; ] *receiver=", " receiver=")("text")
        + rx(r"[; ]* receiver=[^; ]*[; ]+")
        + rx("(?:identity=[^; ]*[; ]+)?")
        + pp.Opt('envelope-from="' + rx('[^"]*')("sender") + '"')
        + rx(r"(?:[; ]*helo=[^; ]*)?")
        + pp.Opt(rx("[; ]*client-ip=") + word(" ;")("client_address"))
        + rest()
    )
    | (
        _START
        + "SPF "
        + rx("[a-z]+")("result")
        + rx("[: ]+(?=[(s])")
        + upto("Envelope-from: ", "HELO/EHLO", ", header_comment=")("text")
        + pp.Opt("Envelope-from: " + rest()("sender"))
        + rest()
    ),
    samples=(
        Sample(
            "Policy action=PREPEND Received-SPF: pass (example.org: 203.0.113.9 is authorized to use 'a@example.org' in"
            " 'mfrom' identity (mechanism 'mx' matched)) receiver=mx.example.com; identity=mailfrom;"
            ' envelope-from="a@example.org"; helo=mx.example.org; client-ip=203.0.113.9',
            {
                "result": "pass",
                "text": "(example.org: 203.0.113.9 is authorized to use 'a@example.org' in 'mfrom' identity (mechanism"
                " 'mx' matched))",
                "sender": "a@example.org",
                "client_address": "203.0.113.9",
            },
        ),
        Sample(
            ": SPF pass (Mechanism 'ip4:203.0.113.0/24' matched): Envelope-from: a@example.org",
            {
                "result": "pass",
                "text": "(Mechanism 'ip4:203.0.113.0/24' matched): ",
                "sender": "a@example.org",
            },
        ),
    ),
    weight=18,
)

REFUSED = LogFormat(
    name="policyd-spf-refused",
    title="the SPF policy service has a mail refused",
    reference="spf-engine policyd-spf",
    programs=_PROGRAMS,
    table="milters",
    constants={"filter": "policyd-spf", "result": "refused"},
    line=rx(r"(?:: )?(?:action=)?(?=[45][0-9][0-9] )") + rest()("text"),
    samples=(
        Sample(
            "550 5.7.23 Message rejected due to: SPF fail - not authorized.",
            {"text": "550 5.7.23 Message rejected due to: SPF fail - not authorized."},
        ),
    ),
    weight=10,
)

MENTION = LogFormat(
    name="policyd-spf-mention",
    title="the SPF policy service speaks of a mail, or refuses one",
    reference="spf-engine policyd-spf",
    programs=_PROGRAMS,
    table="milters",
    constants={"filter": "policyd-spf"},
    line=telling()("text"),
    samples=tuple(Sample(each, {"text": each}) for each in ("Action: REJECT for a@example.org",)),
    weight=-9,
)

NOISE = LogFormat(
    name="policyd-spf-other",
    title="other lines of the SPF policy service",
    reference="spf-engine policyd-spf",
    programs=_PROGRAMS,
    table=None,
    line=rx(rf"(?!(?s:.*){TELLS})") + rest(),
    samples=(Sample("Starting"),),
    weight=-10,
)

_OTHERS = (
    "/policyd-weight",
    "policyd-weight",
    "postfwd",
    "postfwd2",
    "postfwd3",
    "/policy",
    "sqlgrey",
    "gld",
    "milter-greylist",
    "cbpolicyd",
    "policyd",
    "tumgreyspf",
)
OTHERS_MENTION = LogFormat(
    name="policy-service-mention",
    title="another policy service decides, or speaks of a mail",
    reference="policyd-weight, postfwd, sqlgrey, gld, milter-greylist, cbpolicyd, policyd",
    programs=_OTHERS,
    table="milters",
    constants={"filter": "policy service"},
    line=telling()("text"),
    samples=tuple(Sample(each, {"text": each}) for each in ("decided action=PREPEND X-policyd-weight: rate: -7.6",)),
    weight=-9,
)

OTHERS = LogFormat(
    name="policy-service-other",
    title="other policy services: policyd-weight, postfwd, SQLgrey, milter-greylist and their like",
    reference="policyd-weight, postfwd, sqlgrey, gld, milter-greylist, cbpolicyd, policyd",
    programs=_OTHERS,
    table=None,
    line=rx(rf"(?!(?s:.*){TELLS})") + rest(),
    samples=(
        Sample("cache child: starting up"),
        Sample("[RULES] rule=0, id=OK, client=mx.example.org[203.0.113.9], action=DUNNO"),
    ),
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
    + pp.Opt(rx(", helo=(?:(?!, from=)(?s:.))*+"))
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

MILTER_GREYLIST = LogFormat(
    name="milter-greylist-delayed",
    title="milter-greylist puts a mail off",
    reference="milter-greylist milter-greylist.c, mlfi_envrcpt(), greylist_now()",
    programs=("milter-greylist",),
    table="milters",
    constants={"filter": "milter-greylist", "result": "greylist"},
    line=(queue_id("queue_id") | rx(r"[^:\[<]*"))
    + ": addr "
    + pp.Opt(rx(r"[^\[\]<> ]+(?=\[)")("client"))
    + rx(r"\[?")
    + rx(r"[0-9a-fA-F.:]+")("client_address")
    + rx(r"\]?")
    + " from <"
    + rx("[^<>]*")("sender")
    + "> to <"
    + rx("[^<>]*")("recipient")
    + "> delayed"
    + rest()("text"),
    samples=(
        Sample(
            "4F1A2B0001: addr mx.example.org[203.0.113.9] from <a@example.org> to <b@example.com> delayed for 00:30:00"
            " (ACL 71)",
            {
                "queue_id": "4F1A2B0001",
                "client": "mx.example.org",
                "client_address": "203.0.113.9",
                "sender": "a@example.org",
                "recipient": "b@example.com",
                "text": " for 00:30:00 (ACL 71)",
            },
        ),
        Sample(
            "(unknown qid): addr 2001:db8::9 from <> to <b@example.com> delayed for 00:04:10",
            {
                "client_address": "2001:db8::9",
                "sender": "",
                "recipient": "b@example.com",
                "text": " for 00:04:10",
            },
        ),
    ),
)

SQLGREY = LogFormat(
    name="sqlgrey-result",
    title="SQLgrey puts a mail off or lets it pass",
    reference="SQLgrey sqlgrey, smtpd_access_policy()",
    programs=("sqlgrey",),
    table="milters",
    constants={"filter": "sqlgrey"},
    line=rx("(?:grey: )?")
    + rx("new|early reconnect|throttling|reconnect ok")("result")
    + ": "
    + rx(r"[0-9a-fA-F.:]*\(")
    + rx("[0-9a-fA-F.:]+")("client_address")
    + "), "
    + rx("[^ ]*")("sender")
    + " -> "
    + rx("[^ ]*")("recipient")
    + pp.Opt(rx(r" (?=\([^ ]*\)\Z)") + rest()("text")),
    samples=(
        Sample(
            "grey: new: 203.0.113(203.0.113.9), a@example.org -> b@example.com",
            {
                "result": "new",
                "client_address": "203.0.113.9",
                "sender": "a@example.org",
                "recipient": "b@example.com",
            },
        ),
        Sample(
            "grey: reconnect ok: 203.0.113.9(203.0.113.9), a@example.org -> b@example.com (00:05:01)",
            {
                "result": "reconnect ok",
                "client_address": "203.0.113.9",
                "sender": "a@example.org",
                "recipient": "b@example.com",
                "text": "(00:05:01)",
            },
        ),
    ),
)

FORMAT = (
    RECEIVED,
    AUTHENTICATION,
    PERL,
    REFUSED,
    MENTION,
    NOISE,
    OTHERS_MENTION,
    OTHERS,
    CLUEBRINGER,
    MILTER_GREYLIST,
    SQLGREY,
)
