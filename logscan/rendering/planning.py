"""Tells the one change of a report: as plain values for JSON, and as lines of text from which patch(1) can be fed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from logscan.plans import Plan

Kind = Literal["head", "text", "command", "patch", "blank"]


def as_json(plan: Plan | None) -> dict[str, Any] | None:
    """Return the plan as the JSON report holds it; None without one."""
    if plan is None:
        return None

    def steps(some: tuple[Any, ...]) -> list[dict[str, Any]]:
        return [{"key": each.key, "text": each.text, "commands": list(each.commands)} for each in some]

    return {
        "findings": list(plan.findings),
        "patches": [{"file": each.file, "program": each.program, "diff": each.diff} for each in plan.patches],
        "steps": steps(plan.steps),
        "undo": steps(plan.undo),
        "by_hand": [{"findings": list(each.findings), "text": each.text} for each in plan.by_hand],
    }


def lines(plan: Plan) -> Iterator[tuple[Kind, str]]:
    """Yield the plan line by line, each with what it is: steps in order, the patches, the way back.

    Lines of patches are to be shown as they are, with no indentation and with their tabs: they are copied into a file.
    """
    yield "text", "All changes above as one: a patch for each program, to be applied as a whole, in this order."
    for number, step in enumerate(plan.steps, 1):
        yield "text", f"{number}. {step.text}"
        for command in step.commands:
            yield "command", command
    for program in dict.fromkeys(each.program for each in plan.patches):
        yield "blank", ""
        yield "head", f"The patch for {program.capitalize()}:"
        for line in plan.diff(program).rstrip("\n").split("\n"):
            yield "patch", line
    yield "blank", ""
    yield "head", "To take it back:"
    for step in plan.undo:
        yield "text", step.text
        for command in step.commands:
            yield "command", command
    if plan.by_hand:
        yield "blank", ""
        yield "text", f"Not in the patch, but told in words with their findings: {', '.join(_by_hand(plan))}."


def _by_hand(plan: Plan) -> Iterator[str]:
    for each in plan.by_hand:
        yield from each.findings
