"""Postfix pickup: mail handed in with sendmail(1) on the host itself."""

from __future__ import annotations

import pyparsing as pp

from logscan.grammar.atoms import address, queue_id
from logscan.grammar.formats import LogFormat, Sample, rx

FORMAT = LogFormat(
    name="postfix-pickup",
    title="pickup takes a local mail",
    reference="Postfix pickup/pickup.c, pickup_copy()",
    programs=("/pickup",),
    table="clients",
    line=queue_id("queue_id")
    + ": uid="
    + rx(r"\d+")("uid")
    + " from=<"
    + address(" orig_id=", r"\Z")("sender")
    + ">"
    + pp.Opt(" orig_id=" + queue_id("orig_id")),
    samples=(
        Sample(
            "A8AC95447B5: uid=0 from=<www-data@example.com>",
            {"queue_id": "A8AC95447B5", "uid": "0", "sender": "www-data@example.com"},
        ),
        Sample(
            "94D3C762A0C: uid=105 from=<> orig_id=A89EB7629C3",
            {"queue_id": "94D3C762A0C", "uid": "105", "sender": "", "orig_id": "A89EB7629C3"},
        ),
    ),
    weight=100,
)
