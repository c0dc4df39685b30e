"""A check's thresholds: one small dataclass a check, each number with its reason, settable in ``logscan.toml``."""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from logscan.scan.log import Log

Limits = TypeVar("Limits")


def limits(log: Log, check: str, kind: type[Limits]) -> Limits:
    """Return the thresholds of a check: those of ``[checks.NAME]`` in the settings, the others as ``kind`` gives them.

    ``kind`` is a frozen dataclass of numbers whose fields all have a default.
    """
    told: dict[str, Any] = log.options.limits.get(check, {})
    own: Any = kind()
    names = {each.name for each in fields(own)}
    found: Limits = replace(own, **{name: value for name, value in told.items() if name in names})
    return found


class Threshold(NamedTuple):
    """One threshold: its name, what it is unless the settings say otherwise, and why."""

    name: str
    default: Any
    reason: str


def thresholds(kind: type[Any] | None) -> list[Threshold]:
    """Return the thresholds of a dataclass with their reasons, which are the texts below its fields; none without one."""
    if kind is None:
        return []
    own, reasons = kind(), _reasons(kind)
    return [Threshold(each.name, getattr(own, each.name), reasons.get(each.name, "")) for each in fields(own)]


def _reasons(kind: type[Any]) -> dict[str, str]:
    """Return the text below each field, as it stands in the source; nothing where that isn't at hand."""
    try:
        (made,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    found, name = {}, ""
    for each in made.body if isinstance(made, ast.ClassDef) else ():
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            name = each.target.id
        elif name and isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant):
            found[name] = inspect.cleandoc(str(each.value.value)).replace("\n", " ")
            name = ""
    return found


def fault(default: Any, value: Any) -> str:
    """Return what is wrong with a value in the place of a threshold; empty where it is one."""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "takes true or false"
    if isinstance(default, int):
        good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return "" if good else "takes a whole number, 0 or more"
    if isinstance(default, float):
        good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
        return "" if good else "takes a number, 0 or more"
    if isinstance(default, str):
        return "" if isinstance(value, str) else "takes a text"
    good = isinstance(value, list) and all(isinstance(each, str) for each in value)
    return "" if good else "takes a list of texts"


def taken(default: Any, value: Any) -> Any:
    """Return a good value as the type that the threshold has."""
    return tuple(value) if isinstance(value, list) else type(default)(value)
