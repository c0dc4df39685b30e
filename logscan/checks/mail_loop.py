"""Mail goes round in circles: between hosts, aliases or automatic answers.

## What it finds
Mail that comes back to where it was: a domain whose mail is for this host by DNS but not by Postfix, two hosts that forward
one address to each other, aliases that name each other, a forward that comes back to the address it left, two automatic answers
that answer each other, and mail that comes in, or is refused elsewhere, with too many hops. One finding a circle.

## Why it matters
The mail never arrives, and each round costs both sides; two autoresponders go on until somebody stops one. Mail refused with
451 for an alias circle is tried again for days.

## What the log shows
`mail for DOMAIN loops back to myself`, `mail forwarding loop for ADDRESS`, `unreasonable virtual_alias_maps map nesting`,
`message rejected: hopcount exceeded`, another host's `too many hops`. Two hosts: one message-id comes in and leaves for the same
address again and again, larger each time, or to the very host that it came from. Autoresponders: two addresses write to each
other strictly in turn, one answering within seconds, each mail with a message-id of its own.

## What to do
Break the circle at one place: take the address out of one of the two maps, list the domain where its mail belongs
(`mydestination`, `virtual_mailbox_domains`, `relay_domains`) or correct its MX, switch one automatic answer off and let it
answer each sender once a day (vacation's `:days`), never mail that says `Auto-Submitted` or has an empty sender.

## When it is wrong
A mailing list that sends the author's mail back, a busy conversation, and mail with many hops that arrives are none. Mail with
forged Received or Delivered-To headers looks as if it looped: one that nothing else confirms is a note or of low confidence. A
program that answers each of another program's mails within seconds looks like a circle where those come every minute: a probe
that asks an echo address, say.

## When it is blind
When there is no mail. Two automatic answers of which neither comes within seconds are not told from people.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from logscan.checking import evidence as ev
from logscan.checking import in_turn, loops
from logscan.checking.check import Check
from logscan.checking.copies import lines_at
from logscan.checking.limits import limits
from logscan.correlate.lives import SECOND
from logscan.findings import Confidence, Finding, Remedy, Result, Severity
from logscan.scan.columns import NO_TIME
from logscan.tables import cells
from logscan.tables.partials import Partial

if TYPE_CHECKING:
    from datetime import datetime

    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings

WORDS = {
    "loops-back-to-this-host": "Mail for {subject} is for this host by its MX, but Postfix doesn't take it for its own",
    "two-host-loop": "Mail to {subject} goes round between two hosts",
    "alias-circle": "Aliases lead {subject} back to itself",
    "forwarding-loop": "Mail to {subject} comes back to it",
    "automatic-answers": "{subject} answer each other automatically",
    "too-many-hops": "Mail from {subject} came with too many hops: it loops elsewhere",
    "refused-as-loop": "Hosts of {subject} refuse mail that went through too many hops",
}

MOST_SUBJECTS, MANY = 20, "many of them"
"""Subjects of a cause that are told apart; more are one finding: a stranger can send mail with many hops from anywhere."""

BRACKETED = re.compile(r"\[([^\[\]]*)\]")
"""Addresses of relays."""

REMEDIES = {
    "loops-back-to-this-host": "If the domain's mail belongs here, list it: mydestination (users of this system), "
    "virtual_mailbox_domains, virtual_alias_domains or relay_domains with a transport to the next host, in main.cf; then "
    "`postfix reload`. If not, its MX record is wrong: correct it where the domain's DNS is kept. Behind NAT, name the outer "
    "address in proxy_interfaces.",
    "two-host-loop": "One of both hosts must keep the mail: take the address out of virtual_alias_maps (or the Sieve redirect, "
    "or .forward) on one side. `postmap -q ADDRESS` on each of the maps that `postconf virtual_alias_maps` names shows where it "
    "leads.",
    "alias-circle": "Follow the address through the maps that `postconf virtual_alias_maps canonical_maps` names "
    "(`postmap -q ADDRESS MAP`), and let one of the entries lead to a mailbox; then `postmap` that file.",
    "forwarding-loop": "Look where the address is forwarded to (aliases(5), .forward, Sieve), and where that forwards to: take "
    "it out of one of both.",
    "automatic-answers": "Switch one of both automatic answers off. One that is right answers each sender once in some days "
    "(Sieve: vacation :days 7), sends with an empty envelope sender (MAIL FROM:<>), says `Auto-Submitted: auto-replied`, and "
    "answers no mail that has one of them (RFC 3834).",
    "too-many-hops": "Nothing is to be done here unless the address is forwarded to the host it came from: ask that host's "
    "administrator where it sends the mail round.",
    "refused-as-loop": "Look whether the other side forwards the address back to this server; else tell its administrator.",
}


@dataclass(frozen=True)
class Limits:
    """When mail counts as going round."""

    rounds: int = 5
    """Times that one mail is forwarded to one address: resending and lists make two or three, Postfix stops at 50 hops."""
    seconds_apart: float = 3600.0
    """Mean seconds between two rounds, at most: hosts that loop send at once, a device with one message-id for all now and
    then."""
    least_growth: int = 40
    """Bytes by which a mail grows with each round, at least: the shortest Received header of a hop."""
    most_growth: int = 8000
    """Bytes by which it grows with each round, at most: all that the largest providers add (ARC, DKIM, their own)."""
    straight: float = 0.85
    """How straight the size rises with time, at least (1 is a line): the same headers come with each round."""
    answers: int = 20
    """Mails of a pair strictly in turn: ten answers on each side, none left out and none twice."""
    quick_seconds: float = 20.0
    """Within these the quicker side answers, half of the time: nobody reads and writes a mail in less."""
    slow_seconds: float = 120.0
    """Within these the slower side answers, half of the time: longer pauses are those of people, or of a clock that one side
    only reports to."""


def look(window: Window, settings: Settings) -> Partial:
    """Take what is said of loops, mail that was forwarded, and who wrote to whom when."""
    allowed = limits(window.log, "mail-loop", Limits)
    return Partial(
        {
            "mails": len(window.mails),
            **loops.look_at(window, int(allowed.rounds)),
            **in_turn.look_at(window, int(allowed.answers)),
        }
    )


def conclude(partial: Partial, log: Log) -> Result:
    """Return one finding for each circle."""
    allowed = limits(log, "mail-loop", Limits)
    looked_at = partial.count("mails")
    result = Result(checked=looked_at, eligible=looked_at)
    if not looked_at:
        result.blind_because.append("no mail in these logs")
    rounds = _rounds(partial, allowed)
    told = _told(partial, rounds)
    circles: dict[str, list[Any]] = {}
    for row in rounds[rounds["loop"]].sort_values(["subject", "first", "message_id"]).itertuples():
        circles.setdefault(str(row.subject), []).append(row)
    ends: dict[str, list[Any]] = {}
    for row in told[told["loop"] != ""].itertuples():
        ends.setdefault(str(row.loop), []).append(row)
    for subject, some in circles.items():
        result.findings.append(_two_hosts(subject, some, ends.get(subject, []), log))
    for (cause, subject), rows in _by_subject(told[told["loop"] == ""]).items():
        result.findings.append(_said(cause, subject, rows, log))
    answers: dict[str, list[pd.DataFrame]] = {}
    for run in in_turn.in_turn(partial):
        if _automatic(run, allowed):
            pair = sorted({*run["sender"].str.lower(), *run["recipient"].str.lower()})
            answers.setdefault(" and ".join(pair), []).append(run)
    for subject, runs in answers.items():
        result.findings.append(_answers(subject, pd.concat(runs, ignore_index=True), log))
    return result


def _rounds(partial: Partial, allowed: Limits) -> pd.DataFrame:
    """Return mails by how often each was forwarded to one address: with ``subject``, ``relays``, and ``loop``: it goes round."""
    if loops.ROUNDS not in partial:
        none: dict[str, Any] = {name: [] for name in ("message_id", "subject", "first", "last", "relays")}
        return pd.DataFrame(none | {"loop": np.empty(0, np.bool_)})
    ways = partial.frame(loops.ROUNDS).sort_values(["message_id", "asked", "recipient", "relay"], kind="stable")
    found = ways.groupby(["message_id", "asked", "recipient"], as_index=False).agg(
        rounds=("rounds", "sum"), back=("back", "sum"), first=("first", "min"), last=("last", "max"),
        least=("least", "min"), most=("most", "max"), row=("row", "min"), end=("end", "max"), relays=("relay", " ".join),
        queue_id=("queue_id", "min"),
        **{name: (name, "sum") for name in loops.MOMENTS},
    )  # fmt: skip
    steps = (found["rounds"] - 1).clip(lower=1)
    growth = (found["most"] - found["least"]) / steps
    # Each hop adds a header: one after the other is larger. A stranger's mails of one message-id are so by chance.
    grows = growth.between(allowed.least_growth, allowed.most_growth) & (loops.rises(found) >= allowed.straight)
    quick = (found["last"] - found["first"]) / SECOND <= allowed.seconds_apart * steps
    loop = (found["rounds"] >= allowed.rounds) & grows & ((2 * found["back"] >= found["rounds"]) | quick)
    same = found["asked"] == found["recipient"]
    subject = found["recipient"].where(same, found["asked"] + " (by way of " + found["recipient"] + ")")
    return found.assign(subject=subject, loop=loop.astype(np.bool_))


def _told(partial: Partial, rounds: pd.DataFrame) -> pd.DataFrame:
    """Return what is said of loops, in order of time: with ``loop``, the circle between two hosts that a row is the end of.

    ``genuine`` is also what this server is seen to have sent out before.
    """
    if loops.TOLD not in partial:
        return pd.DataFrame({"cause": [], "subject": [], "loop": []})
    told = loops.with_clients(partial)
    sent = set(rounds["message_id"])
    circles = rounds[rounds["loop"]]
    by_id = dict(zip(circles["message_id"], circles["subject"], strict=True))
    by_id_only = pd.Series([by_id.get(ident, "") for ident in told["message_id"]], told.index, "str")
    by_client = pd.Series(_stopped(told, circles), told.index, "str")
    of = by_id_only.where(by_id_only != "", by_client.where(told["cause"].eq("too-many-hops"), ""))
    kept = told["cause"].isin(["too-many-hops", "forwarding-loop", "refused-as-loop"])
    return told.assign(loop=of.where(kept, ""), genuine=(told["genuine"] > 0) | told["message_id"].isin(sent))


def _stopped(told: pd.DataFrame, circles: pd.DataFrame) -> list[str]:
    """Return, for each row of what is said, the first circle whose mail came by its client just before; empty: none."""
    rows: dict[str, list[int]] = {}
    for number, client in enumerate(told["client"]):
        if client:
            rows.setdefault(client, []).append(number)
    at, out = told["at"].to_numpy(np.int64), np.full(len(told), "", object)
    last, subjects = circles["last"].tolist(), circles["subject"].tolist()
    # From the last circle to the first, so that the first stays; the rows are in order of time.
    times = {client: at[some] for client, some in rows.items()}
    numbers = {client: np.array(some, np.int64) for client, some in rows.items()}
    for circle, relays in reversed(list(enumerate(circles["relays"]))):
        for client in set(BRACKETED.findall(relays)) & times.keys():
            begin = np.searchsorted(times[client], last[circle])
            end = np.searchsorted(times[client], last[circle] + in_turn.PAUSE, "right")
            out[numbers[client][begin:end]] = subjects[circle]
    found: list[str] = out.tolist()
    return found


def _two_hosts(subject: str, some: list[Any], ends: list[Any], log: Log) -> Finding:
    """Return the finding for an address whose mail goes round; ``ends`` are the rows by which it was stopped."""
    cases: list[dict[str, Any]] = [
        {
            "message_id": row.message_id,
            "recipient": row.asked,
            "queue_id": row.queue_id,
            "rounds": int(row.rounds),
            "time": cells.iso(_moment(row.first)),
        }
        for row in some
    ]
    most = max(int(row.rounds) for row in some)
    back = all(2 * row.back >= row.rounds for row in some)
    return Finding(
        cause="two-host-loop",
        subject=subject,
        summary=f"{_words('two-host-loop', subject)}: {ev.mails(len(cases))}, up to {most} times",
        severity="problem",
        confidence="high" if back or len(ends) else "medium",
        count=len(cases),
        cases=cases,
        first=_moment(some[0].first),
        last=_moment(max([*(row.last for row in some), *(row.at for row in ends)])),
        remedy=Remedy(REMEDIES["two-host-loop"], key="mail-loop-two-host-loop"),
        evidence=lines_at(log, [*(r.row for r in some[:4]), *(r.end for r in some[:4]), *(r.row for r in ends)]),
        why="Each round the mail comes back from the host that it was sent to."
        if back
        else "The mail grows with each round.",
        mails=len(cases),
        recipients=len(cases),
    )


def _by_subject(told: pd.DataFrame) -> dict[tuple[str, str], list[Any]]:
    """Return what is said of loops by cause and subject; of a cause with very many subjects as one."""
    out: dict[tuple[str, str], list[Any]] = {}
    for row in told.itertuples():
        out.setdefault((row.cause, row.subject), []).append(row)
    number = Counter(cause for cause, _ in out)
    many: dict[str, list[Any]] = {cause: [] for cause, count in number.items() if count > MOST_SUBJECTS}
    for (cause, _), rows in out.items():
        if cause in many:
            many[cause] += rows
    few = {key: rows for key, rows in sorted(out.items()) if key[0] not in many}
    return few | {(cause, MANY): sorted(rows, key=lambda row: row.Index) for cause, rows in sorted(many.items())}


def _said(cause: str, subject: str, some: list[Any], log: Log) -> Finding:
    """Return the finding for what Postfix or another host says of a loop; ``some`` are rows in order of time."""
    genuine = any(row.genuine for row in some)
    severity: Severity = "problem" if cause in ("loops-back-to-this-host", "alias-circle") else "warning"
    confidence: Confidence = "high" if severity == "problem" else "medium" if cause == "refused-as-loop" else "low"
    if cause == "forwarding-loop":
        # Whoever forges a Delivered-To header gets this answer too.
        severity, confidence = ("problem", "high") if genuine else ("note", "low")
    cases = [
        {
            "message_id": row.message_id or None,
            "recipient": row.recipient or None,
            "queue_id": row.queue_id,
            "client": row.client or None,
            "time": cells.iso(_moment(row.at)),
        }
        for row in some
    ]
    mails = len({row.queue_id for row in some})
    return Finding(
        cause=cause,
        subject=subject,
        summary=f"{_words(cause, subject)}: {ev.mails(mails, len(some))}",
        severity=severity,
        confidence=confidence,
        count=len(cases),
        cases=cases,
        first=_moment(some[0].at),
        last=_moment(some[-1].at),
        remedy=Remedy(REMEDIES[cause], key=f"mail-loop-{cause}"),
        evidence=lines_at(log, [row.row for row in some]),
        mails=mails,
        recipients=len(some),
    )


def _automatic(run: pd.DataFrame, allowed: Limits) -> bool:
    """Whether both sides of a run answer as fast as machines do."""
    pauses = np.diff(run["at"].to_numpy()) / SECOND
    sides = sorted(float(np.median(pauses[at::2])) for at in range(2))
    return sides[0] <= allowed.quick_seconds and sides[1] <= allowed.slow_seconds


def _answers(subject: str, mails: pd.DataFrame, log: Log) -> Finding:
    """Return the finding for two addresses that answer each other; its cases are the mails that came in from outside, if any."""
    came = mails[~mails["away"].to_numpy(dtype=np.bool_)]
    came = came if 0 < len(came) < len(mails) else mails
    return Finding(
        cause="automatic-answers",
        subject=subject,
        summary=f"{_words('automatic-answers', subject)}: {len(mails):,} mails in turn",
        severity="problem",
        confidence="medium",
        count=len(came),
        cases=[
            {
                "message_id": cells.text(row.message_id) or None,
                "recipient": row.recipient,
                "queue_id": row.queue_id,
                "time": cells.iso(_moment(row.at)),
            }
            for row in came.itertuples()
        ],
        first=_moment(mails["at"].min()),
        last=_moment(mails["at"].max()),
        remedy=Remedy(REMEDIES["automatic-answers"], key="mail-loop-automatic-answers"),
        evidence=lines_at(log, mails["row"].tolist()),
        mails=len(mails),
        recipients=len(mails),
    )


def _words(cause: str, subject: str) -> str:
    return WORDS[cause].format(subject=subject)


def _moment(ns: int) -> datetime | None:
    return cells.moment(pd.Timestamp(int(ns), tz="UTC")) if ns > NO_TIME else None


CHECK = Check(
    "mail-loop",
    "Mail goes round in circles",
    look,
    conclude,
    causes=tuple(WORDS),
    settle=lambda partial, frontier: in_turn.settle(loops.settle(partial, frontier), frontier),
    order=125,
    clear="No mail goes round in circles ({checked:mail|mails} looked at)",
    but="but for {noted:mail|mails} that only claim to",
    group="arrival",
    severity="problem",
    needs=("Postfix's deliveries", "cleanup's message-ids"),
    related=("duplicate-delivery", "autoreply-to-spam", "dead-destination"),
    limits=Limits,
)
