"""What differs between two reports: findings new, gone, more and fewer, verdicts, and figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from logscan.findings import SEVERITIES
from logscan.report.documents import CheckRecord, Document, FindingRecord

ABSENT = "absent"
"""The verdict of a check that a report hasn't: an older logscan, --check, --skip."""


@dataclass(frozen=True)
class FindingChange:
    """A finding that differs; ``before`` is None for a new one, ``after`` for one that is gone."""

    before: FindingRecord | None
    after: FindingRecord | None
    remarks: tuple[str, ...] = ()

    @property
    def finding(self) -> FindingRecord:
        """The newer of both."""
        found = self.after or self.before
        assert found is not None
        return found


@dataclass(frozen=True)
class VerdictChange:
    """A check whose verdict differs; :data:`ABSENT` where a report hasn't the check."""

    check: str
    before: str
    after: str
    because: tuple[str, ...]


@dataclass(frozen=True)
class FigureChange:
    """A figure that differs; None where a report hasn't it."""

    name: str
    before: int | float | None
    after: int | float | None


@dataclass(frozen=True)
class Difference:
    """All that differs from A to B."""

    a: Document
    b: Document
    new: tuple[FindingChange, ...]
    gone: tuple[FindingChange, ...]
    more: tuple[FindingChange, ...]
    fewer: tuple[FindingChange, ...]
    changed: tuple[FindingChange, ...]
    """As many, but of another state or severity."""
    unchanged: int
    verdicts: tuple[VerdictChange, ...]
    figures: tuple[FigureChange, ...]
    notes: tuple[str, ...]

    @property
    def none(self) -> bool:
        """Whether nothing differs."""
        return not (self.new or self.gone or self.more or self.fewer or self.changed or self.verdicts or self.figures)

    @property
    def alarming(self) -> tuple[FindingChange, ...]:
        """The new findings that somebody has to look at: neither notes, nor mended, nor suppressed."""
        return tuple(each for each in self.new if _counts(each.finding))


def _counts(finding: FindingRecord) -> bool:
    return finding.severity != "note" and finding.state in ("active", "") and not finding.suppressed


def differing(a: Document, b: Document) -> Difference:
    """Compare two reports; of findings with the same check, cause and subject in one report the counts are summed."""
    before, after = _by_key(_in_order(a)), _by_key(_in_order(b))
    both = [FindingChange(before[key], after[key], _remarks(before[key], after[key])) for key in after if key in before]
    more = [each for each in both if _grown(each) > 0]
    fewer = [each for each in both if _grown(each) < 0]
    same = [each for each in both if _grown(each) == 0]
    changed = [each for each in same if each.remarks]
    return Difference(
        a=a,
        b=b,
        new=tuple(FindingChange(None, after[key], _new(key[0], a)) for key in after if key not in before),
        gone=tuple(FindingChange(before[key], None, _gone(key[0], b)) for key in before if key not in after),
        more=tuple(more),
        fewer=tuple(fewer),
        changed=tuple(changed),
        unchanged=len(same) - len(changed),
        verdicts=tuple(_verdicts(a, b)),
        figures=tuple(_figures(a, b)),
        notes=(*a.notes, *b.notes, *_notes(a, b)),
    )


def _in_order(document: Document) -> list[FindingRecord]:
    """Return findings, the gravest first, else as the report has them."""
    order: dict[str, int] = {name: number for number, name in enumerate(SEVERITIES)}
    return sorted(document.findings, key=lambda each: order.get(each.severity, len(order)))


def _by_key(findings: Iterable[FindingRecord]) -> dict[tuple[str, str, str], FindingRecord]:
    out: dict[tuple[str, str, str], FindingRecord] = {}
    for each in findings:
        other = out.get(each.key)
        out[each.key] = each if other is None else _together(other, each)
    return out


def _together(one: FindingRecord, other: FindingRecord) -> FindingRecord:
    mails, recipients = _sum(one.mails, other.mails), _sum(one.recipients, other.recipients)
    return replace(one, count=one.count + other.count, mails=mails, recipients=recipients)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _grown(each: FindingChange) -> int:
    assert each.before is not None
    assert each.after is not None
    return each.after.count - each.before.count


def _remarks(before: FindingRecord, after: FindingRecord) -> tuple[str, ...]:
    """Return what else than the count differs."""
    pairs = (
        ("severity", before.severity, after.severity),
        ("state", before.state, after.state),
        ("suppressed", "no" if not before.suppressed else "yes", "no" if not after.suppressed else "yes"),
    )
    return tuple(f"{name}: {old or '(none)'} → {new or '(none)'}" for name, old, new in pairs if old != new)


def _new(check: str, a: Document) -> tuple[str, ...]:
    there = a.checks.get(check)
    if there is None:
        return ("the first report hasn’t this check: it may not be new",)
    if there.verdict == "blind":
        return (f"the check was blind in the first report: it may not be new{_why(there)}",)
    return ()


def _gone(check: str, b: Document) -> tuple[str, ...]:
    there = b.checks.get(check)
    if there is None:
        return ("the second report hasn’t this check: whether it is gone can’t be told",)
    if there.verdict == "blind":
        return (f"the check is blind in the second report: whether it is gone can’t be told{_why(there)}",)
    if there.verdict == "not-applicable":
        return ("nothing of the kind happened in the second report: whether it is mended can’t be told",)
    return ()


def _why(check: CheckRecord) -> str:
    return f" ({'; '.join(check.blind_because)})" if check.blind_because else ""


def _verdicts(a: Document, b: Document) -> Iterable[VerdictChange]:
    for name in dict.fromkeys((*a.checks, *b.checks)):
        one, other = a.checks.get(name), b.checks.get(name)
        before, after = one.verdict if one else ABSENT, other.verdict if other else ABSENT
        if before != after:
            blind = other if after == "blind" else one if before == "blind" else None
            yield VerdictChange(name, before, after, blind.blind_because if blind else ())


def _figures(a: Document, b: Document) -> Iterable[FigureChange]:
    for name in dict.fromkeys((*a.figures, *b.figures)):
        before, after = a.figures.get(name), b.figures.get(name)
        if before != after:
            yield FigureChange(name, before, after)


def _notes(a: Document, b: Document) -> Iterable[str]:
    if a.hosts and b.hosts and not set(a.hosts) & set(b.hosts):
        yield f"the reports are of different hosts: {', '.join(a.hosts)}; {', '.join(b.hosts)}"
    if a.schema != b.schema:
        yield (
            f"the reports have versions {a.schema} and {b.schema} of the schema: checks, causes and figures that one of them "
            "doesn’t know seem new or gone"
        )
    begun, ended = _moment(a.first), _moment(b.last)
    if begun and ended and begun > ended:
        yield "the first report is of a later time than the second: new and gone are from the first to the second all the same"


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
