"""Makes a report of its own JSON: what monitoring asks of the state is said by the same renderers. What isn't there is empty."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeVar, get_args

from logscan.findings import SEVERITIES, Confidence, Finding, Remedy, Result, Suppression
from logscan.report.memory import Former, Known, Memory
from logscan.report.model import Period, Report, SourceCount

T = TypeVar("T")

CONFIDENCES: tuple[Confidence, ...] = get_args(Confidence)


def report_of(content: bytes, generated: datetime) -> Report:
    """Return the report that ``content`` tells of, as far as counts, verdicts, findings and memory go; no traffic, no map.

    Raises ValueError where it is no report of logscan's. ``generated`` is when it was made, which JSON doesn't say.
    """
    try:
        page = json.loads(content)
        return _report(page, generated)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is no report: {type(error).__name__}") from None


def _report(page: Mapping[str, Any], generated: datetime) -> Report:
    period, checks = page["period"], [_check(each) for each in page["checks"]]
    memory = _memory(page["memory"], page["runs"], generated) if "memory" in page else None
    if memory is not None:  # an id is made of the subject as it was; JSON may have it without a password
        told = [each["id"] for check in page["checks"] for each in check["findings"]]
        ours = [each.id for check in checks for each in check.findings]
        memory = memory.renamed(dict(zip(told, ours, strict=True)))
    return Report(
        version=str(page["logscan"]["version"]),
        generated=generated,
        period=Period(_moment(period["first"]), _moment(period["last"]), zone=str(period.get("zone", "UTC"))),
        hosts=[str(each) for each in page["hosts"]],
        sources=[
            SourceCount(
                str(each["path"]),
                str(each["kind"]),
                int(each["lines"]),
                int(each["understood"]),
                int(each["noise"]),
                int(each["unknown"]),
                int(each["undecodable"]),
                int(each.get("copies", 0)),
                str(each.get("error", "")),
            )
            for each in page["sources"]
        ],
        unknown=[],
        mails={str(name): int(value) for name, value in page["mails"].items() if not isinstance(value, Mapping)},
        open_recipients={str(name): int(value) for name, value in page["mails"].get("open_recipients", {}).items()},
        checks=checks,
        concerns=[str(each) for each in page.get("concerns", [])],
        audit=bool(page.get("audit")),
        memory=memory,
    )


def _check(told: Mapping[str, Any]) -> Result:
    name = str(told["name"])
    return Result(
        checked=int(told["checked"]),
        eligible=int(told["eligible"]),
        findings=[_finding(name, each) for each in told["findings"]],
        blind_because=[str(each) for each in told["blind_because"]],
        name=name,
        title=str(told.get("title", "")),
        not_applicable=str(told.get("not_applicable", "")),
    )


def _finding(check: str, told: Mapping[str, Any]) -> Finding:
    remedy, known = told.get("remedy"), told.get("suppressed")
    return Finding(
        cause=str(told["cause"]),
        subject=str(told["subject"]),
        summary=str(told["summary"]),
        severity=_one_of(SEVERITIES, told["severity"]),
        confidence=_one_of(CONFIDENCES, told["confidence"]),
        count=int(told["count"]),
        cases=[],
        state=told["state"],
        remedy=Remedy(remedy["text"], remedy["file"], remedy["line"], remedy["diff"], key=remedy["key"])
        if remedy
        else None,
        check=check,
        mails=int(told["mails"]),
        recipients=int(told["recipients"]),
        suppressed=Suppression(check, str(known["reason"]), by=str(known.get("by", ""))) if known else None,
    )


def _memory(told: Mapping[str, Any], runs: Mapping[str, Any], generated: datetime) -> Memory:
    def formers(ids: list[str]) -> tuple[Former, ...]:
        return tuple(
            Former(
                str(each["id"]),
                str(each["check"]),
                "",
                "",
                _one_of(SEVERITIES, each["severity"]),
                str(each["summary"]),
                _day(each["since"]),
                _day(each["last"]),
            )
            for each in told["former"]
            if each["id"] in ids
        )

    return Memory(
        run=int(runs["number"]),
        day=_day(told["days"][-1]) or generated.date() if told["days"] else generated.date(),
        first=bool(told.get("first", runs["number"] == 1)),
        new=tuple(told["new"]),
        back=tuple(told["back"]),
        same=tuple(told["same"]),
        acknowledged=tuple(told["acknowledged"]),
        known={
            key: Known(each["status"], _day(each["since"]), int(each["reports"]), _day(each["last"]))
            for key, each in told["known"].items()
        },
        gone=formers(told["gone"]),
        paused=formers(told.get("paused", [])),
        unseen=formers(told["unseen"]),
        since=_moment(runs["from"]),
        until=_moment(runs["until"]),
        previous=_moment(runs["previous"]),
    )


def _one_of(words: Sequence[T], text: Any) -> T:
    """Return the word; raises ValueError for one that a later logscan may know."""
    for each in words:
        if each == text:
            return each
    raise ValueError(f"this logscan doesn't know {text!r}")


def _given(made: Callable[[str], T], text: Any) -> T | None:
    return made(text) if isinstance(text, str) else None


def _moment(text: Any) -> datetime | None:
    moment = _given(datetime.fromisoformat, text)
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _day(text: Any) -> date | None:
    return _given(date.fromisoformat, text)
