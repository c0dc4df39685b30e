"""OpenDMARC: the result for a mail's From domain."""

from __future__ import annotations

from logscan.atoms import queue_id
from logscan.grammar import LogFormat, Sample, rest, rx, word

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

NOISE = LogFormat(
    name="opendmarc-other",
    title="other lines of OpenDMARC",
    reference="OpenDMARC opendmarc/opendmarc.c",
    programs=("opendmarc",),
    table=None,
    line=rest(),
    samples=(
        Sample("B441A5445E6: SPF(mailfrom): example.org pass"),
        Sample("ignoring Authentication-Results at 1 from x"),
    ),
    weight=-10,
)

FORMAT = (RESULT, NOISE)
