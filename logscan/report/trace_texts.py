"""Traces as text for people and as JSON. Everything in them is from a log: control characters become visible escapes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from logscan.report.refusals import sentence
from logscan.report.trace_model import TAKEN_OUT, Attempt, Judgement, Life, Trace

LEG_WORDS = {
    "filter": "back from the filter",
    "bounce": "notification",
    "forward": "forwarded",
    "requeue": "requeued",
    "redirect": "redirected by Sieve",
    "list": "sent on by a list's program",
    "relay": "on the next host",
    "proxy": "through the proxy",
}

ENDINGS = {
    "deleted": "deleted by hand",
    "discarded": "thrown away by a rule",
    "canceled": "given up by the client",
    "held": "still on hold when these logs end",
    "queued": "still in the queue when these logs end",
    "vanished": "in no queue any more, though no line says why",
}
"""How a life ended, where that was not by being delivered or returned."""


def text_of(trace: Trace, verbose: bool) -> list[str]:
    """Return a mail's way in lines of plain text."""
    label = f" ({', '.join(trace.labels)})" if trace.labels else ""
    kind = trace.direction if trace.direction == "no mail" else f"{trace.direction} mail"
    out = [f"{kind}, origin: {trace.origin}{label}" if trace.lives else f"{trace.direction}{label}"]
    for life in trace.lives:
        out += _life(life, verbose)
    for each in trace.refusals:
        out.append(f"  {sentence(each)}")
        if verbose:
            out += [f"    {item.source}:{item.line}: {item.text}" for item in each.lines]
    return out


def _life(life: Life, verbose: bool) -> list[str]:
    indent = "  " * life.depth
    how = LEG_WORDS.get(life.leg, "")
    if how:
        how += f" (known by {life.known_by}, {life.confidence} confidence)"
    by = f" by {life.opened_by}" if life.opened_by else ""
    parts = [
        f"{clock(life.opened)} {life.host} {life.queue_id}",
        how,
        f"from {life.client}{by}",
        "sender unknown" if life.sender is None else f"sender <{life.sender}>",
        life.message_id or "",
    ]
    out = [indent + ", ".join(part for part in parts if part)]
    out += [f"{indent}  {each}" for each in life.events]
    out += [f"{indent}  {judged(each)}" for each in life.verdicts]
    out += [f"{indent}  {attempted(each)}" for each in life.attempts]
    if life.ending in ENDINGS and not any(TAKEN_OUT in each for each in life.events):
        out.append(f"{indent}  {ENDINGS[life.ending]}")
    if verbose:
        out += [f"{indent}    {item.source}:{item.line}: {item.text}" for item in life.lines]
    return out


def clock(text: str | None) -> str:
    """Return a time as people read it."""
    return text[:19].replace("T", " ") if text else "(no time)"


def judged(each: Judgement) -> str:
    """Return a verdict as a line of text: what the filter called it, its points, its symbols."""
    points = "" if each.score is None else f"{each.score:g}"
    if points and each.required is not None:
        points += f" of {each.required:g}"
    parts = [
        f"{clock(each.time)} {each.filter}: {each.result}",
        f"{points} points" if points else "",
        each.detail or "",
    ]
    return ", ".join(part for part in parts if part)


def attempted(each: Attempt) -> str:
    """Return an attempt as a line of text."""
    to = f"to <{each.recipient}>" + (f" (for <{each.original_recipient}>)" if each.original_recipient else "")
    spam = "" if each.spam is None else "tagged as spam" if each.spam else "not tagged"
    reply = (
        f"({each.reply})" if each.reply and each.outcome not in ("handed to the filter",) and not each.folder else ""
    )
    parts = (f"{clock(each.time)} {to}", f"{each.outcome} by {each.relay}", spam, reply)
    return ", ".join(part for part in parts if part) + (f": {each.meaning}" if each.meaning else "")


def as_text(found: Sequence[Trace], verbose: bool) -> str:
    """Return traces as text for people, control characters shown as escapes."""
    from logscan.visible import visible

    return "\n\n".join("\n".join(visible(line) for line in text_of(trace, verbose)) for trace in found)


def as_json(found: Sequence[Trace]) -> str:
    """Return traces as JSON: a list of mails; what was only refused is the last of them, with ``refusals``."""
    return json.dumps([asdict(trace) for trace in found], indent=2)
