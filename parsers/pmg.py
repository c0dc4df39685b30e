"""Proxmox Mail Gateway's filter: what its rules did with a mail, recipient by recipient.

It numbers a mail by itself and names that number in its reply to Postfix: ``250 2.5.0 OK (1F2E3D4C5B6A7)``.
"""

from __future__ import annotations

from logscan.grammar.atoms import queue_id
from logscan.grammar.formats import LogFormat, Sample, rest, rx

_PROGRAMS = ("pmg-smtp-filter",)
_NUMBER = rx("[0-9A-F]{8,40}(?=: )")("signature") + rx(": ")
_RULE = r" \(rule: "
_ID = "1F2E3D4C5B6A7"


def _to(follow: str) -> str:
    """A quoted local part may hold what follows: the last place counts, since rules' names are the administrator's."""
    return rf"(?s:.*)(?=>{follow})"


ACCEPT = LogFormat(
    name="pmg-accept",
    title="a rule of Proxmox Mail Gateway lets a mail through: it goes back to Postfix",
    reference="pmg-api src/PMG/RuleDB/Accept.pm, execute()",
    programs=_PROGRAMS,
    table="verdicts",
    constants={"filter": "pmg", "result": "accept"},
    line=_NUMBER
    + "accept mail to <"
    + rx(_to(rf" \([0-9A-Za-z]+\){_RULE}"))("recipients")
    + "> ("
    + queue_id("child_queue_id")
    + ") (rule: "
    + rx(r"(?s:.*)(?=\)\Z)")("text")
    + ")",
    samples=(
        Sample(
            f"{_ID}: accept mail to <bob@example.com> (3B09FA0002) (rule: default-accept)",
            {
                "signature": _ID,
                "recipients": "bob@example.com",
                "child_queue_id": "3B09FA0002",
                "text": "default-accept",
            },
        ),
    ),
    weight=50,
)

BLOCK = LogFormat(
    name="pmg-block",
    title="a rule of Proxmox Mail Gateway throws a mail away (or refuses it, with ndr_on_block)",
    reference="pmg-api src/PMG/RuleDB/Block.pm, execute(); src/PMG/SMTP.pm, loop()",
    programs=_PROGRAMS,
    table="verdicts",
    constants={"filter": "pmg", "result": "block", "status": "Discarded"},
    line=_NUMBER
    + "block mail to <"
    + rx(_to(_RULE))("recipients")
    + "> (rule: "
    + rx(r"(?s:.*)(?=\)\Z)")("text")
    + ")",
    samples=(
        Sample(
            f"{_ID}: block mail to <bob@example.com> (rule: Block Spam (Level 10))",
            {"signature": _ID, "recipients": "bob@example.com", "text": "Block Spam (Level 10)"},
        ),
    ),
    weight=50,
)


def _quarantine(kind: str, spam: bool) -> LogFormat:
    """Return the format of a mail that goes into one of the quarantines."""
    return LogFormat(
        name=f"pmg-{kind}-quarantine",
        title=f"a rule of Proxmox Mail Gateway puts a mail into its {kind} quarantine",
        reference="pmg-api src/PMG/RuleDB/Quarantine.pm, execute()",
        programs=_PROGRAMS,
        table="verdicts",
        constants={
            "filter": "pmg",
            "result": f"{kind} quarantine",
            "status": "Quarantined",
            **({"spam": "true"} if spam else {}),
        },
        line=_NUMBER
        + "moved mail for <"
        + rx(_to(rf" to {kind} quarantine - "))("recipients")
        + f"> to {kind} quarantine - "
        + rx("[^ ]+")
        + " (rule: "
        + rx(r"(?s:.*)(?=\)\Z)")("text")
        + ")",
        samples=(
            Sample(
                f"{_ID}: moved mail for <bob@example.com> to {kind} quarantine - 1F2E3D4C5B6B0 (rule: Quarantine/Mark it)",
                {"signature": _ID, "recipients": "bob@example.com", "text": "Quarantine/Mark it"},
            ),
        ),
        weight=50,
    )


OTHER = LogFormat(
    name="pmg-other",
    title="Proxmox Mail Gateway says something else of a mail: its Message-ID, points, changed headers, times",
    reference="pmg-api src/bin/pmg-smtp-filter, handle_smtp(); src/PMG/RuleDB/*.pm",
    programs=_PROGRAMS,
    table="milters",
    constants={"filter": "pmg"},
    line=rx("(?=[0-9A-F]{8,40}: |reject mail )") + rest()("text"),
    samples=(
        Sample(
            f"{_ID}: new mail message-id=<a@example.org>#012",
            {"text": f"{_ID}: new mail message-id=<a@example.org>#012"},
        ),
        Sample(
            f"{_ID}: SA score=9/5 time=1.234 bayes=0.99 autolearn=no hits=BAYES_99(3.5)",
            {"text": f"{_ID}: SA score=9/5 time=1.234 bayes=0.99 autolearn=no hits=BAYES_99(3.5)"},
        ),
        Sample(
            f"{_ID}: processing time: 1.432 seconds (1.2, 0.1, 0)",
            {"text": f"{_ID}: processing time: 1.432 seconds (1.2, 0.1, 0)"},
        ),
    ),
    weight=-5,
)

NOISE = LogFormat(
    name="pmg-noise",
    title="Proxmox Mail Gateway's filter starts, reloads, keeps its database",
    reference="pmg-api src/bin/pmg-smtp-filter",
    programs=_PROGRAMS,
    table=None,
    line=rest(),
    samples=(Sample("starting database maintenance"), Sample("Filter daemon (re)started (max. 7 processes)")),
    weight=-10,
)

FORMAT = (ACCEPT, BLOCK, _quarantine("spam", True), _quarantine("virus", False), OTHER, NOISE)
