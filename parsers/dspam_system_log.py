"""DSPAM's system.log (nine columns) and user logs (seven): each verdict and each training that succeeded.

The program is called ``dspam.system`` and ``dspam.user``; a user log's record comes with the user in front of it.
Records longer than DSPAM's buffer lack their last columns.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyparsing as pp

from logscan.grammar.formats import LogFormat, Sample, rest, rx

_FIELD = r"[^\t]*"


def _columns(names: tuple[str, ...]) -> pp.ParserElement:
    """Return an element for columns that each may be the one in which the record was cut; no name, no field."""
    name, *others = names
    if not others:
        return rest()(name)  # a folded Message-ID may hold a TAB
    if name == "seconds":
        first: pp.ParserElement = pp.Opt(rx(r"[0-9]+\.?[0-9]*")(name))
    else:
        first = rx(_FIELD)(name) if name else rx(_FIELD)
    return first + pp.Opt("\t" + _columns(tuple(others)))


def _record(letters: str, sender: str, subject: str, status: str, seconds: str, keep: bool) -> pp.ParserElement:
    """Return an element for a record of either log with one of the class ``letters``."""
    letter = rx(f"[{letters}](?=\t|\\Z)")
    head = rx(r"\d+\t") + (letter("result") if keep else letter)
    system = (sender, "signature", subject, seconds, "user", status, "message_id")
    user = (sender, "signature", subject, status, "message_id")
    return (head + pp.Opt("\t" + _columns(system))) | (
        rx(r"\d*+[^\d\t][^\t]*+")("user") + "\t" + head + pp.Opt("\t" + _columns(user))
    )


def _samples(letter: str, status: str, dropped: tuple[str, ...] = ()) -> tuple[Sample, ...]:
    """Return a sample of each log, and one that was cut; ``dropped`` are the columns that give no field."""

    def sample(text: str, fields: Mapping[str, str]) -> Sample:
        return Sample(text, {name: value for name, value in fields.items() if name not in dropped})

    common = {
        "result": letter,
        "sender": "Cheap <a@spam.example>",
        "signature": "6955b93b1234511874207",
        "subject": "You won",
    }
    start = f"1767225723\t{letter}\tCheap <a@spam.example>\t6955b93b1234511874207\tYou won\t"
    ends = {"user": "bob@example.org", "status": status, "message_id": "<x1@spam.example>"}
    return (
        sample(
            f"{start}0.034512\tbob@example.org\t{status}\t<x1@spam.example>", common | {"seconds": "0.034512"} | ends
        ),
        sample(f"{start}0.034512\tbob@exam", common | {"seconds": "0.034512", "user": "bob@exam"}),
        sample(f"bob@example.org\t{start}{status}\t<x1@spam.example>", common | ends),
    )


VERDICT = LogFormat(
    name="dspam-verdict",
    title="DSPAM judges a mail for a user",
    reference="DSPAM src/dspam.c, log_events()",
    programs=("dspam.system", "dspam.user"),
    table="verdicts",
    constants={"filter": "dspam"},
    line=_record("A-BD-EG-LO-Z", "sender", "subject", "status", "seconds", True),
    samples=(
        *_samples("S", "Tagged"),
        *_samples("I", "Delivered"),
        *_samples("E", "Delivery Failed (No error provided)"),
        Sample(
            "1767225723\tW\t<None Specified>\t\tx\t0.1\tbob\tAuto-Whitelisted\t<x1@\tspam.example>",
            {
                "result": "W",
                "sender": "<None Specified>",
                "signature": "",
                "subject": "x",
                "seconds": "0.1",
                "user": "bob",
                "status": "Auto-Whitelisted",
                "message_id": "<x1@\tspam.example>",
            },
        ),
    ),
    weight=100,
)


def _training(letter: str, kind: str, title: str, status: str, weight: int) -> LogFormat:
    """Return the format of the records that tell of one kind of training."""
    return LogFormat(
        name=f"dspam-learned-{kind}",
        title=title,
        reference="DSPAM src/dspam.c, log_events()",
        programs=("dspam.system", "dspam.user"),
        table="trainings",
        constants={"filter": "dspam", "outcome": "learned", "class": kind},
        line=_record(letter, "", "", "text", "", False),
        samples=tuple(
            Sample(each.text, {"text" if name == "status" else name: value for name, value in each.fields.items()})
            for each in _samples(letter, status, ("result", "sender", "subject", "seconds"))
        ),
        weight=weight,
    )


FORMAT = (
    VERDICT,
    _training("M", "spam", "a missed spam is learned", "Retrained", 40),
    _training("F", "innocent", "a false positive is learned", "Retrained", 39),
    _training("C", "corpus", "a mail of a corpus is learned", "", 30),
    _training("N", "inoculation", "an inoculation is learned", "Retrained", 10),
)
