"""The protocol of a check, and which checks there are."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from logscan.findings import Result
from logscan.plugins import collect

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings

HEADINGS = (
    "What it finds",
    "Why it matters",
    "What the log shows",
    "What to do",
    "When it is wrong",
    "When it is blind",
)


@dataclass(frozen=True)
class Check:
    """A check: its metadata and its one pure function ``run(scan, settings) -> Result``."""

    name: str
    title: str
    groups_by: Literal["mail", "user", "client", "host"]
    run: Callable[[Window, Settings], Result]
    order: int = 100
    """Place in the report: the seven at the heart come first."""
    clear: str = ""
    """The sentence that is true when this check is clear; ``{checked}`` and ``{eligible}`` stand for the counts
    (:class:`Counted`)."""
    but: str = "but for what is noted"
    """What that sentence goes on with where the check has notes, its brackets last; ``{noted}`` stands for their mails."""


@functools.cache
def all_checks() -> tuple[Check, ...]:
    """Return every check, in the order of the report."""
    return tuple(sorted(collect("logscan.checks", "CHECK", Check), key=lambda check: (check.order, check.name)))


def page(check: Check) -> str:
    """Return the check's page: the docstring of its module, in Markdown."""
    module = sys.modules[check.run.__module__]
    return inspect.cleandoc(module.__doc__ or "")
