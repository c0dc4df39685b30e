"""What the settings file says of checks: thresholds in ``[checks.NAME]``, findings that are known in ``[[suppress]]``."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from logscan.checking.check import Check
    from logscan.findings import Suppression

CHECKS, SUPPRESS = "checks", "suppress"
"""Names at the top of the settings file that are no options."""

KEYS = ("check", "subject", "cause", "until", "reason")

MOST_NAMED = 60


def limits_of(path: Path, content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the thresholds that are set, by check and name; raises :class:`click.UsageError` for what can't be one."""
    told = content.get(CHECKS, {})
    if not isinstance(told, dict):
        raise click.UsageError(f"{path}: {CHECKS} must be tables: write [{CHECKS}.NAME] and the thresholds below it")
    return {name: _limits(path, name, values) for name, values in told.items()}


def _limits(path: Path, name: str, values: Any) -> dict[str, Any]:
    from logscan.checking.limits import fault, taken, thresholds

    if not isinstance(values, dict):
        raise click.UsageError(
            f"{path}: {CHECKS}.{name} must be a table: write [{CHECKS}.{name}] and the thresholds below it"
        )
    where = f"{path}: [{CHECKS}.{_shown(name)}]"
    known = {each.name: each for each in thresholds(_check(where, name).limits)}
    if not known:
        raise click.UsageError(f"{where}: this check has no threshold")
    found = {}
    for key, value in values.items():
        if key not in known:
            raise click.UsageError(f"{where}: there is no threshold {_shown(key)!r}; there are {', '.join(known)}")
        wrong = fault(known[key].default, value)
        if wrong:
            raise click.UsageError(
                f"{where}: {key} {wrong}, not {_shown(value)}; without it {known[key].default!r} holds"
            )
        found[key] = taken(known[key].default, value)
    return found


def suppressions_of(path: Path, content: dict[str, Any]) -> tuple[Suppression, ...]:
    """Return the suppressions; raises :class:`click.UsageError` for what can't be one."""
    told = content.get(SUPPRESS, [])
    if not isinstance(told, list) or not all(isinstance(each, dict) for each in told):
        raise click.UsageError(
            f"{path}: {SUPPRESS} must be a list of tables: write [[{SUPPRESS}]] and its keys below it"
        )
    return tuple(_suppression(f"{path}: [[{SUPPRESS}]] number {number}", each) for number, each in enumerate(told, 1))


def _suppression(where: str, told: dict[str, Any]) -> Suppression:
    from logscan.findings import Suppression

    for key in told:
        if key not in KEYS:
            raise click.UsageError(f"{where}: there is no key {_shown(key)!r}; there are {', '.join(KEYS)}")
    for key in ("check", "reason"):
        if key not in told:
            raise click.UsageError(f"{where}: {key} is missing: {NEEDED[key]}")
    for key in ("check", "subject", "cause", "reason"):
        if key in told and (not isinstance(told[key], str) or not told[key].strip() or "\0" in told[key]):
            raise click.UsageError(f"{where}: {key} takes a text, not {_shown(told[key])}")
    until = told.get("until")
    if until is not None and (not isinstance(until, date) or isinstance(until, datetime)):
        raise click.UsageError(f"{where}: until takes a day, written 2027-01-31 without quotes, not {_shown(until)}")
    check, cause = _check(where, told["check"]), told.get("cause", "*")
    if not any(sign in cause for sign in "*?[") and cause not in check.causes:
        raise click.UsageError(
            f"{where}: {check.name} has no cause {_shown(cause)!r}; there are {', '.join(check.causes)}"
        )
    return Suppression(check.name, told["reason"].strip(), told.get("subject", "*"), cause, until)


NEEDED = {
    "check": "the name of a check (logscan checks lists them)",
    "reason": "why the finding may stay, for whoever reads the report",
}


def _check(where: str, name: str) -> Check:
    from logscan.checking.check import all_checks

    checks = {check.name: check for check in all_checks()}
    if name not in checks:
        raise click.UsageError(f"{where}: there is no check {_shown(name)!r}; there are {', '.join(checks)}")
    return checks[name]


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= MOST_NAMED else f"{text[:MOST_NAMED]}…"
