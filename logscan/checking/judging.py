"""Runs the checks over the windows of a log: each looks at every window, and concludes once from all that it saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from logscan.checking.check import Check, all_checks
from logscan.checking.suppressing import suppress
from logscan.findings import SEVERITIES, Counted, Finding, Remedy, Result
from logscan.scan.pasts import fitting
from logscan.tables.partials import Partial, merged

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.tables.partials import Part


ANOTHER = "what earlier runs remembered for {} is of another version of these checks: their past begins anew"


def wanted(names: Sequence[str] = (), skip: Sequence[str] = ()) -> list[Check]:
    """Return the checks named, or all, without those to be skipped, in the order of the report."""
    return [each for each in all_checks() if (not names or each.name in names) and each.name not in skip]


def looked(checks: Sequence[Check], window: Window) -> dict[str, Partial]:
    """Return what each check sees in a window."""
    return {each.name: each.look(window, window.settings) for each in checks}


def settled(checks: Sequence[Check], partials: Sequence[dict[str, Partial]], frontier: int) -> dict[str, Partial]:
    """Return what several windows showed as one, without what nothing from ``frontier`` (UTC ns) on is compared with."""
    whole = together(checks, partials)
    return {
        each.name: each.settle(whole[each.name], frontier) if each.settle is not None else whole[each.name]
        for each in checks
    }


def together(checks: Sequence[Check], partials: Sequence[dict[str, Partial]]) -> dict[str, Partial]:
    """Return what several windows showed as one, by check; parts that checks share are put together, and kept, once."""
    made: dict[tuple[int, ...], Part] = {}
    out = {}
    for check in checks:
        parts: dict[str, list[Part]] = {}
        for each in partials:
            for name, part in each[check.name].parts.items():
                parts.setdefault(name, []).append(part)
        whole = {}
        for name, some in parts.items():
            shared = tuple(map(id, some))
            if isinstance(some[0], int) or shared not in made:
                made[shared] = merged(Partial({name: part}) for part in some).parts[name]
            whole[name] = made[shared]
        out[check.name] = Partial(whole)
    return out


def concluded(
    checks: Sequence[Check], partials: Sequence[dict[str, Partial]], log: Log, today: date | None = None
) -> list[Result]:
    """Return the checks' answers; ``today`` is the day that suppressions are measured by."""
    results = []
    whole = together(checks, partials)
    if log.pasts:
        log.pasts, strange = fitting(log.pasts, whole)
        log.notes += [ANOTHER.format(", ".join(strange))] if strange else []
    for check in checks:
        result = check.conclude(whole[check.name], log)
        result.name, result.title, result.many = check.name, check.title, check.many
        suppress(result, log.options.suppressions, today or datetime.now(log.zone).date())
        result.clear_title = clear_title(check, result)
        seen = {(each.cause, each.subject.lower()) for each in result.findings}
        result.predictions = [
            replace(each, seen=(each.cause, each.subject.lower()) in seen) for each in result.predictions
        ]
        for finding in result.findings:
            finding.check = check.name
            unbidden(finding)
            finding.cases.sort(key=_case_rank)
        result.findings.sort(key=_rank)
        results.append(result)
    return results


def clear_title(check: Check, result: Result) -> str:
    """Return the sentence that is true of the check if it is clear.

    What was mended did happen, only not since; what is a note did happen, only nothing is to be done about it.
    """
    sentence = check.clear.format(checked=Counted(result.checked), eligible=Counted(result.eligible))
    words, bracket, looked_at = sentence.rpartition(" (")
    if not bracket:
        words, looked_at = sentence, ""
    states = {finding.state for finding in result.findings if finding.severity != "note"} - {"active"}
    if "suppressed" in states:
        known = [finding.suppressed for finding in result.findings if finding.suppressed is not None]
        named = [each for each in known if each.by]
        how = "what the settings suppress" if not named else "what is acknowledged or suppressed"
        words = f"{check.title}: only {'what is acknowledged' if len(named) == len(known) > 0 else how}"
    elif states:
        late = "since then only late cases of before" if "residual" in states else "no case since"
        words = f"{check.title}: mended, and {late}"
    noted = sum(finding.mails or finding.count for finding in result.findings if finding.severity == "note")
    if noted:
        words += f", {check.but.format(noted=Counted(noted))}"
    return words + bracket + looked_at


def unbidden(finding: Finding) -> None:
    """Leave words of a note's remedy: a diff, beside changes that are to be made, would be taken for one of them."""
    cure = finding.remedy
    if finding.severity == "note" and cure is not None and (cure.diff or cure.needs):
        text = f"Nothing has to be done. Who wants it otherwise: {cure.text}"
        finding.remedy = Remedy(text, cure.file, cure.line, key=f"{cure.key}-noted" if cure.key else "")


def _rank(finding: Finding) -> tuple[bool, int, int, str, str]:
    """Findings to act on first, the gravest and most frequent before others; the same order whatever the lines' order."""
    return (
        not finding.counts,
        SEVERITIES.index(finding.severity),
        -finding.count,
        finding.cause,
        finding.subject,
    )


def _case_rank(case: dict[str, Any]) -> tuple[str, ...]:
    """Cases in the order of time; those of one second in an order of their own, not the lines'."""
    names = ("time", "message_id", "queue_id", "recipient", "mailbox", "signature")
    return tuple(str(case.get(name) or "") for name in names)
