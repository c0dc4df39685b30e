"""The checks: one a file, each a documentation page, one metadata constant ``CHECK`` and one pure function."""

from __future__ import annotations

import functools
import inspect
import sys

from logscan.findings import Check
from logscan.plugins import collect

HEADINGS = (
    "What it finds",
    "Why it matters",
    "What the log shows",
    "What to do",
    "When it is wrong",
    "When it is blind",
)


@functools.cache
def all_checks() -> tuple[Check, ...]:
    """Return every check, in the order of the report."""
    return tuple(sorted(collect("logscan.checks", "CHECK", Check), key=lambda check: (check.order, check.name)))


def page(check: Check) -> str:
    """Return the check's page: the docstring of its module, in Markdown."""
    module = sys.modules[check.run.__module__]
    return inspect.cleandoc(module.__doc__ or "")
