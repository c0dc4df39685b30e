"""Of how much own mail it is known whether a filter tagged it, and what is missing where it isn't."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from logscan.findings import Counted, Result
from logscan.scan.filters import Filters, kinds_of, logs_to_give, name_of
from logscan.tables.spans import SECOND

if TYPE_CHECKING:
    from logscan.checking.own_mail import OwnMail

ENOUGH = 0.95
"""Share of the deliveries of which it must be known whether a filter tagged them before the rest may be called clear."""


def judged(result: Result, rows: pd.DataFrame, kept: int, own: OwnMail, nothing: str) -> None:
    """Set ``eligible`` and ``checked``; say why it isn't applicable, or what is missing where verdicts are.

    ``rows`` are of :attr:`logscan.checking.own_mail.OwnMail.counts`, but for ``kept`` deliveries that the filter kept back.
    ``nothing`` is the sentence for a log without such mail.
    """
    known = own.filters
    total = int(rows["n"].sum()) + kept + own.uncounted
    blank = rows[~rows["looked"].to_numpy(dtype=bool)]
    missing = int(blank["n"].sum()) + own.uncounted
    result.eligible, result.checked = total, total - missing
    if known.none:
        result.not_applicable = NO_FILTER
        return
    if not total:
        result.blind_because.append(nothing)
        return
    if known.unseen:
        result.checked = 0
        result.blind_because.append(UNSEEN)
    elif missing > (1 - ENOUGH) * total or blank["mute"].any():
        result.blind_because.append(_missing(blank, total, own))
    if own.uncounted:
        result.blind_because.append(
            f"{Counted(own.uncounted):delivery is|deliveries are} of more kinds than are counted one by one"
        )


NO_FILTER = "The configuration sends no mail through a spam filter, and the log shows none."

UNSEEN = (
    "no filter shows in these logs; one that works as a milter leaves no trace in Postfix's log: give main.cf and master.cf, "
    "or the log of the filter (rspamd.log; amavis's or spamd's lines)"
)


def _missing(blank: pd.DataFrame, total: int, own: OwnMail) -> str:
    known = own.filters
    passed = bool(blank["passed"].any())
    kinds = kinds_of(known, blank)
    if not passed and kinds == ["other"] and known.unknown_milters:
        return unknown_milter(known)
    names = " or ".join(name_of(kind) for kind in kinds) or "the filter"
    its = "their" if len(kinds) > 1 else "its"
    missing = int(blank["n"].sum())
    all_of_them = f"{Counted(total):delivery|deliveries}"
    if kinds == ["pmg"]:
        return (
            f"{missing} of {all_of_them} came through {names}, whose lines don't say whether a rule "
            "marked the mail as spam: look at its rules for outgoing mail"
        )
    mute = int(blank["n"][blank["mute"].to_numpy(dtype=bool)].sum())
    if mute:
        return (
            f"{mute} of {all_of_them} held spam to amavis, whose lines don't tell if it was tagged: "
            "let it log its actions ({…} in $log_templ), or look at $sa_tag2_level_deflt and @local_domains_maps in amavisd.conf"
        )
    if passed:
        why = f"went through {names}, but {its} verdicts aren't in these logs"
    elif known.log:
        why = f"came in at times that the log of {names} doesn't cover{_rounded(own.step)}: whether it judged them can't be told"
    else:
        why = f"came in by services that have {names} at the door, and {its} log isn't at hand"
    return f"{missing} of {all_of_them} {why}: give {logs_to_give(own.settings, kinds)}"


def _rounded(step: int) -> str:
    """Return by what times were counted, as more of them came up than are kept; empty where they are exact."""
    if step == 1:
        return ""
    names = {0: "all together", SECOND: "by the second", 60 * SECOND: "by the minute", 600 * SECOND: "by ten minutes"}
    return f" (counted {names.get(step, 'by the hour' if step == 3600 * SECOND else 'by the day')})"


def unknown_milter(known: Filters) -> str:
    """Return the reason for being blind where a milter is all that there is, and its address doesn't say what it is.

    Where none is configured, a filter's own lines are all that there is.
    """
    if not known.unknown_milters:
        return (
            "a filter writes lines of its own, and nothing in these logs shows which mail is handed to it: give Postfix's lines "
            "of the same time, main.cf and master.cf"
        )
    return (
        f"there is a milter at {known.unknown_milters[0]}: whether it judges spam isn't told by its address, and it leaves no "
        "trace in Postfix's log; give its own log"
    )
