"""Puts a report beside the earlier ones of the same state, and makes of it what the next ones are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from logscan.findings import SEVERITIES, Finding, Severity, Suppression
from logscan.report.figures import WEEKS, figures_of, pasts
from logscan.report.memory import Former, Known, Memory, Status
from logscan.store.model import Judged, Remembered, Sighting, Told

if TYPE_CHECKING:
    from logscan.report.model import Report

STRIP_DAYS = 30
"""Days of the strip."""

PAST_DAYS = WEEKS * 7 + 1
"""Days whose figures are asked for."""

A_DAY = timedelta(hours=18), timedelta(hours=30)
"""What passes for a day: a run may be late. Less or more of the log is no measure of a day."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

QUIET = timedelta(days=8)
"""A finding that was gone and came back is called gone again once it stayed away so long: a week has all weekdays."""

GRAVEST = ("found", "blind", "clear", "not-applicable")
"""Which verdict stands for a day of several reports: the first of these."""

THERE = ("active", "suppressed")
"""States of what is there: the rest was mended."""


def compared(
    remembered: Sequence[Remembered],
    report: Report,
    *,
    run_number: int,
    strip: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    figures: Sequence[tuple[str, Mapping[str, float]]] = (),
    earlier: Sequence[Told] = (),
    today: date | None = None,
    previous: int | None = None,
    several: bool = False,
) -> Memory:
    """Return what the report is beside its past. ``report`` isn't changed.

    ``remembered`` are the findings of earlier runs; of those that are acknowledged, :func:`acknowledgements` makes what
    the checks' answers are to be concluded with. ``strip`` holds (day, verdict) by check, a day being ``2026-11-28``,
    ``figures`` (day, values by name) of each report of the last :data:`PAST_DAYS` days, ``earlier`` what the same run told
    before: no state has that yet. ``run_number`` is the number that this run will have, ``previous`` when the run before
    ended (UTC ns), ``today`` the report's day where it isn't that of its last line; ``several``: the run has more reports.
    """
    zone = zone_of(report)
    day = today or day_of(report)
    past = {each.sighting.id: each for each in remembered}
    there = {each.id: each for each in report.found if _stands(each)}
    verdicts = _verdicts(strip or {}, earlier)
    figures = [*figures, *((each.day, each.figures) for each in earlier)]
    patience = Patience(day, zone, verdicts)
    known = {key: _known(finding, past.get(key), run_number, patience) for key, finding in there.items()}
    gone, paused, unseen = _former(remembered, report, patience)

    def having(status: Status) -> tuple[str, ...]:
        return tuple(key for key, each in known.items() if each.status == status)

    days = tuple(day - timedelta(days=back) for back in reversed(range(STRIP_DAYS)))
    return Memory(
        run=run_number,
        day=day,
        first=run_number <= 1 and not earlier,
        new=having("new"),
        back=having("back"),
        same=having("same"),
        acknowledged=tuple(key for key, each in known.items() if each.acknowledged),
        known=known,
        gone=gone,
        paused=paused,
        unseen=unseen,
        since=report.period.first,
        until=report.period.last,
        previous=None if previous is None else _moment(previous).astimezone(zone),
        days=days,
        strip=_strip(report, verdicts, days),
        past=pasts(figures_of(report, lines=not several), figures, day) if _of_a_day(report, previous) else {},
    )


def acknowledgements(remembered: Iterable[Remembered]) -> tuple[Suppression, ...]:
    """Return what is acknowledged by name, as the checks' answers are concluded with it beside the settings' own.

    Ended ones too: where such a finding shows again, the report says that its acknowledgement ended.
    """
    return tuple(
        Suppression(
            check=each.sighting.check,
            reason=each.ack.why,
            subject=each.sighting.subject,
            cause=each.sighting.cause,
            until=date.fromisoformat(each.ack.until) if each.ack.until else None,
            by=each.ack.by or "somebody",
        )
        for each in remembered
        if each.ack is not None
    )


def told_of(
    report: Report, json: bytes, *, today: date | None = None, several: bool = False, last: bool = True
) -> Told:
    """Return what is remembered of a report; ``json`` is its own form as JSON.

    Lines are counted by run: where it has ``several`` reports, they are told of with the ``last`` one, and are no day's figure.
    """
    return Told(
        day=(today or day_of(report)).isoformat(),
        since=_ns(report.period.first),
        until=_ns(report.period.last),
        sightings=tuple(sighted(each) for each in report.found),
        judged=tuple(Judged(each.name, each.verdict, each.checked, each.eligible) for each in report.checks),
        figures=figures_of(report, lines=not several),
        json=json,
        lines=sum(each.lines - each.copies for each in report.sources) if last else 0,
    )


def sighted(finding: Finding) -> Sighting:
    """Return a finding as it is remembered."""
    return Sighting(
        id=finding.id,
        check=finding.check,
        cause=finding.cause,
        subject=finding.subject,
        summary=finding.summary,
        severity=finding.severity,
        state=finding.state,
        confidence=finding.confidence,
        count=finding.count,
        mails=finding.mails,
        recipients=finding.recipients,
        first=_ns(finding.first),
        last=_ns(finding.last or finding.first),
    )


def remembered_after(
    remembered: Sequence[Remembered], report: Report, *, run_number: int, ended: int
) -> list[Remembered]:
    """Return what is remembered once this report is, too: the next report of the same run is compared with that.

    ``ended`` is when the run ends (UTC ns). The state does the same when it takes in a run.
    """
    found = {each.id: sighted(each) for each in report.found}
    looked = _looked(report)
    out = []
    for each in remembered:
        sighting = found.pop(each.sighting.id, None)
        if sighting is not None:
            gone = None if sighting.state in THERE else each.gone_run or run_number
            back = run_number if each.gone_run is not None and gone is None else each.back_run
            out.append(replace(each, sighting=sighting, last_run=run_number, gone_run=gone, back_run=back))
        elif each.gone_run is None and each.sighting.check in looked:
            out.append(replace(each, gone_run=run_number))
        else:
            out.append(each)
    until = _ns(report.period.last)
    first = ended if until is None else min(ended, until)
    return out + [
        Remembered(each, run_number, run_number, None if each.state in THERE else run_number, first)
        for each in found.values()
    ]


def zone_of(report: Report) -> tzinfo:
    """Return the server's zone."""
    known = report.period.last or report.period.first or report.generated
    return known.tzinfo or UTC


def day_of(report: Report) -> date:
    """Return the day of the report's last line, in the server's zone; where none had a time, the day it was made."""
    return (report.period.last or report.generated).astimezone(zone_of(report)).date()


def _stands(finding: Finding) -> bool:
    """Whether a finding counts, or would if the administrator didn't know of it."""
    return finding.severity != "note" and finding.state in THERE


def _stood(sighting: Sighting) -> bool:
    return sighting.severity != "note" and sighting.state in THERE


@dataclass(frozen=True)
class Patience:
    """How long what comes and goes may stay away before it is called gone: else each weekend would be news, and each Monday."""

    day: date
    zone: tzinfo
    verdicts: Mapping[str, Mapping[str, str]]
    """By check and day."""

    def waits(self, each: Remembered) -> bool:
        """Whether a finding that isn't there is not called gone yet."""
        last = _day(each.sighting.last, self.zone)
        return each.back_run is not None and last is not None and self.day - last < QUIET

    def said(self, each: Remembered) -> bool:
        """Whether an earlier report called a finding gone."""
        absent = each.gone_run is not None or not _stood(each.sighting)
        last = _day(each.sighting.last, self.zone)
        if each.back_run is None or last is None or not absent:
            return absent
        looked = [day for day, verdict in self.verdicts.get(each.sighting.check, {}).items() if verdict != "blind"]
        return bool(looked) and date.fromisoformat(max(looked)) - last >= QUIET


def _known(finding: Finding, past: Remembered | None, run_number: int, patience: Patience) -> Known:
    """Return what is known of a finding. One that was a note before is new to whoever acts.

    What is acknowledged from the first is no news.
    """
    acknowledged = finding.state == "suppressed"
    if past is None or past.sighting.severity == "note":
        return Known("same" if acknowledged else "new", acknowledged=acknowledged)
    return Known(
        "back" if patience.said(past) and not acknowledged else "same",
        since=_day(past.first_seen, patience.zone),
        reports=max(1, run_number - past.first_run + 1),
        seen=_day(past.sighting.last, patience.zone),
        acknowledged=acknowledged,
        comes_and_goes=past.back_run is not None,
    )


Formers = tuple[Former, ...]


def _former(remembered: Sequence[Remembered], report: Report, patience: Patience) -> tuple[Formers, Formers, Formers]:
    """Return what is gone, what stays away for a while, and what nobody could look for.

    What was gone before is none of it, nor is what is a note now.
    """
    now = {each.id: each for each in report.found}
    looked = _looked(report)
    gone: list[Former] = []
    paused: list[Former] = []
    unseen: list[Former] = []
    for each in sorted(remembered, key=_rank):
        old = each.sighting
        if old.severity == "note" or (old.id in now and _stands(now[old.id])) or patience.said(each):
            continue
        seen = now.get(old.id)
        noted = seen is not None and seen.severity == "note"
        if seen is not None and noted and seen.state in THERE:
            continue  # it is among the notes: there still, and nothing to do
        if seen is None and old.check not in looked:
            unseen.append(_former_of(each, patience.zone))
        else:
            mended = seen is not None and seen.state in ("mended", "residual")
            former = replace(_former_of(each, patience.zone), mended=mended)
            (paused if patience.waits(each) and not noted else gone).append(former)
    return tuple(gone), tuple(paused), tuple(unseen)


def _looked(report: Report) -> set[str]:
    """Return the checks that could look. Without a new line none could: mails still open say nothing of what isn't there."""
    return {each.name for each in report.checks if each.verdict != "blind"} if report.period.last else set()


def _rank(each: Remembered) -> tuple[int, str, str]:
    """The gravest first."""
    return SEVERITIES.index(_severity(each.sighting.severity)), each.sighting.check, each.sighting.id


def _former_of(each: Remembered, zone: tzinfo) -> Former:
    old = each.sighting
    return Former(
        old.id,
        old.check,
        old.cause,
        old.subject,
        _severity(old.severity),
        old.summary,
        _day(each.first_seen, zone),
        _day(old.last, zone),
    )


def _of_a_day(report: Report, previous: int | None) -> bool:
    """Whether the report is of about a day: since the run before, or from its first line to its last."""
    first, last = report.period.first, report.period.last
    spans = [last - first] if first and last else []
    spans += [report.generated - _moment(previous)] if previous is not None else []
    return any(A_DAY[0] <= span <= A_DAY[1] for span in spans)


def _verdicts(strip: Mapping[str, Sequence[tuple[str, str]]], earlier: Sequence[Told]) -> dict[str, dict[str, str]]:
    """Return the verdicts by check and day, the gravest of several."""
    found = {name: dict(some) for name, some in strip.items()}
    for told in earlier:
        for each in told.judged:
            _judged(found.setdefault(each.check, {}), told.day, each.verdict)
    return found


def _judged(days: dict[str, str], day: str, verdict: str) -> None:
    days[day] = min((verdict, days.get(day, verdict)), key=_gravity)


def _strip(
    report: Report, verdicts: Mapping[str, Mapping[str, str]], days: Sequence[date]
) -> dict[str, tuple[str | None, ...]]:
    """Return the verdicts by check, the report's order kept; checks that are no more, behind them.

    Of several reports of its day, the gravest verdict stands.
    """
    found = {name: dict(some) for name, some in verdicts.items()}
    for each in report.checks:
        _judged(found.setdefault(each.name, {}), days[-1].isoformat(), each.verdict)
    order = [each.name for each in report.checks]
    return {
        name: tuple(found[name].get(day.isoformat()) for day in days)
        for name in [*order, *sorted(found.keys() - set(order))]
    }


def _gravity(verdict: str) -> int:
    return GRAVEST.index(verdict) if verdict in GRAVEST else len(GRAVEST)


def _severity(text: str) -> Severity:
    return next((each for each in SEVERITIES if each == text), "warning")


def _moment(ns: int) -> datetime:
    return EPOCH + timedelta(microseconds=ns // 1000)


def _day(ns: int | None, zone: tzinfo) -> date | None:
    return None if ns is None else _moment(ns).astimezone(zone).date()


def _ns(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - EPOCH) // timedelta(microseconds=1) * 1000
