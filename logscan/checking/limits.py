"""A check's thresholds: one small dataclass a check, each number with its reason, settable in ``logscan.toml``."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

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
