"""The protocol of a check, and which checks there are."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from logscan.findings import Result, Severity
from logscan.plugins import collect

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.settings import Settings
    from logscan.tables.partials import Partial

HEADINGS = (
    "What it finds",
    "Why it matters",
    "What the log shows",
    "What to do",
    "When it is wrong",
    "When it is blind",
)


Group = Literal["heart", "arrival", "reputation", "accounts", "filters", "machine"]
"""The seven at the heart; mail that doesn't arrive; refused, or our name ruined; accounts; filters; the machine and its logs."""


GROUPS: dict[Group, str] = {
    "heart": "The seven at the heart",
    "arrival": "Mail that doesn't arrive",
    "reputation": "Others refuse us, or we ruin our name",
    "accounts": "Accounts",
    "filters": "Filters",
    "machine": "The machine and its logs",
}
"""What a group is called, in the order in which groups are shown."""


@dataclass(frozen=True)
class Check:
    """A check: its metadata and its two pure functions.

    ``look(window, settings)`` returns what one window of the log shows: cases, counts by key, nothing whose size follows the
    log. ``conclude(partial, log)`` makes the answer of what all windows showed together, whatever they were cut from.
    """

    name: str
    title: str
    look: Callable[[Window, Settings], Partial]
    conclude: Callable[[Partial, Log], Result]
    causes: tuple[str, ...] = ()
    """What its findings may have as their cause; each has a small log that shows it (``tests/data/cases``)."""
    marks: Callable[[str, str], bool] | None = None
    """Which edges of the map its findings make wrong, by the keys of the nodes (:mod:`logscan.report.flow`) at both ends."""
    own_edges: bool = False
    """Whether a finding's ``places`` tell the deliveries whose edges it marks; ``marks`` is for those without."""
    settle: Callable[[Partial, int], Partial] | None = None
    """Lets go of what nothing to come can be compared with: ``settle(partial, frontier)``, where all rows of windows that are
    still to come are of ``frontier`` (UTC ns) or later. What is concluded in the end stays the same."""
    remember: Callable[[Partial, int], Partial] | None = None
    """What later runs may ask for, which see new lines only: ``remember(partial, now)`` returns the parts of a partial (of this
    run, or of this run and the past together) that tell what is usual, or what a case to come needs; bounded, and of no more
    than a horizon before ``now`` (UTC ns). ``conclude`` finds it in ``log.pasts`` (:mod:`logscan.scan.pasts`); what it
    counts and reports is of the new lines still."""
    order: int = 100
    """Place in the report: the seven at the heart come first."""
    clear: str = ""
    """The sentence that is true when this check is clear; ``{checked}`` and ``{eligible}`` stand for the counts
    (:class:`Counted`)."""
    but: str = "but for what is noted"
    """What that sentence goes on with where the check has notes, its brackets last; ``{noted}`` stands for their mails."""
    many: Mapping[str, str] = field(default_factory=dict)
    """By cause, the sentence for several findings at once: ``{"typo": "{n} aliases are misspelt"}``; else the title serves."""
    group: Group = "heart"
    """What it is about; checks of one group stand together in lists."""
    severity: Severity = "problem"
    """The gravest that its findings may be."""
    needs: tuple[str, ...] = ()
    """What it must see to decide, in words: "deliveries of Postfix", "logins of Dovecot"."""
    related: tuple[str, ...] = ()
    """Names of checks that an administrator who reads this one's findings looks at next."""
    limits: type[Any] | None = None
    """Its thresholds (:mod:`logscan.checking.limits`); None where it has none."""


@functools.cache
def all_checks() -> tuple[Check, ...]:
    """Return every check, in the order of the report."""
    return tuple(sorted(collect("logscan.checks", "CHECK", Check), key=lambda check: (check.order, check.name)))


def module_of(check: Check) -> str:
    """Return the name of the module that a check lies in."""
    return check.look.__module__


def page(check: Check) -> str:
    """Return the check's page: the docstring of its module, in Markdown."""
    return inspect.cleandoc(sys.modules[module_of(check)].__doc__ or "")
