"""OpenDMARC: the result for a mail's From domain."""

from __future__ import annotations

from logscan.grammar.atoms import TELLS, queue_id, telling
from logscan.grammar.formats import LogFormat, Sample, rest, rx, word

RESULT = LogFormat(
    name="opendmarc-result",
    title="OpenDMARC judges a mail",
    reference="OpenDMARC opendmarc/opendmarc.c, mlfi_eom()",
    programs=("opendmarc",),
    table="milters",
    constants={"filter": "opendmarc"},
    line=queue_id("queue_id") + ": " + word()("domain") + " " + rx("pass|fail|none|temperror|permerror")("result"),
    samples=tuple(
        Sample(
            f"B441A5445E6: example.org {result}", {"queue_id": "B441A5445E6", "domain": "example.org", "result": result}
        )
        for result in ("pass", "fail", "none")
    ),
    weight=20,
)

OTHER = LogFormat(
    name="opendmarc-mail-other",
    title="OpenDMARC says something else of a mail",
    reference="OpenDMARC opendmarc/opendmarc.c",
    programs=("opendmarc",),
    table="milters",
    constants={"filter": "opendmarc"},
    line=queue_id("queue_id") + ": " + rest()("text"),
    samples=(
        Sample(
            "B441A5445E6: SPF(mailfrom): example.org pass",
            {"queue_id": "B441A5445E6", "text": "SPF(mailfrom): example.org pass"},
        ),
    ),
    weight=-5,
)

MENTION = LogFormat(
    name="opendmarc-mention",
    title="OpenDMARC speaks of a mail, or refuses one",
    reference="OpenDMARC opendmarc/opendmarc.c",
    programs=("opendmarc",),
    table="milters",
    constants={"filter": "opendmarc"},
    line=telling()("text"),
    samples=tuple(Sample(each, {"text": each}) for each in ("rejected by DMARC policy for example.org",)),
    weight=-9,
)

NOISE = LogFormat(
    name="opendmarc-other",
    title="other lines of OpenDMARC",
    reference="OpenDMARC opendmarc/opendmarc.c",
    programs=("opendmarc",),
    table=None,
    line=rx(rf"(?!(?s:.*){TELLS})") + rest(),
    samples=(Sample("ignoring Authentication-Results at 1 from x"),),
    weight=-10,
)

FORMAT = (RESULT, OTHER, MENTION, NOISE)
