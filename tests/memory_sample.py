"""The sample report beside a made-up past of some weeks: new, back, gone, known, acknowledged; the same with hostile strings."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import report_sample

from logscan.checking.suppressing import suppress
from logscan.findings import Finding, Suppression
from logscan.report.comparing import acknowledgements, compared, sighted
from logscan.report.figures import figures_of
from logscan.report.memory import Former
from logscan.report.model import Report
from logscan.store.model import Acknowledgement, Remembered, Sighting

DAY = date(2026, 11, 23)
RUN = 41

GONE = Sighting(
    "0badcafe", "mail-stuck", "relay-down", "relay.example.net", "57 mails wait for relay.example.net since 3 days", "problem",
    "active", "high", 57, 57, 60, None, None,
)  # fmt: skip
UNSEEN = replace(
    GONE,
    id="0badbeef",
    check="internal-tagged-spam",
    subject="dave@example.com",
    summary="Mail of dave@example.com is tagged",
)


PAUSED = replace(
    GONE, id="0badfeed", subject="erin", summary="erin trained 2 times in vain", check="training-misses-hash"
)


def ns(day: date, hour: int = 6) -> int:
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=UTC).timestamp()) * 10**9


def past_of(finding: Finding, first: date, last: date, *, gone: bool = False, why: str | None = None) -> Remembered:
    sighting = replace(sighted(finding), last=ns(last))
    ack = Acknowledgement(finding.id, "2026-12-31", why, "root", ns(last)) if why is not None else None
    return Remembered(sighting, RUN - (DAY - first).days, RUN - 1, RUN - 3 if gone else None, ns(first), ack)


def verdicts(report: Report) -> dict[str, list[tuple[str, str]]]:
    """Four weeks: a healthy server whose faults began one after the other, without reports on three of the days."""
    off = {DAY - timedelta(days=back) for back in (11, 12, 20)}
    days = [DAY - timedelta(days=back) for back in range(1, 30)]
    found: dict[str, list[tuple[str, str]]] = {}
    for number, check in enumerate(report.checks):
        told = found.setdefault(check.name, [])
        for back, day in enumerate(days, 1):
            if day in off:
                continue
            there = check.verdict == "found" and back <= 2 + number * 3 and (number != 1 or back % 4)
            blind = check.verdict == "blind" or (number % 3 == 2 and back in (8, 9))
            told.append((day.isoformat(), "found" if there else "blind" if blind else "clear"))
    found["mail-stuck"] = [
        ((DAY - timedelta(days=back)).isoformat(), "found" if back < 5 else "clear") for back in range(1, 16)
    ]
    return found


def figures(report: Report) -> list[tuple[str, dict[str, float]]]:
    """Eight weeks of Mondays and what lies between, about as today, but for bounces and mails in all."""
    today = figures_of(report)
    return [
        (
            (DAY - timedelta(days=back)).isoformat(),
            {
                name: value * (0.9 + back % 5 / 20) / (3 if name in ("mails.bounced", "mails.total") else 1)
                for name, value in today.items()
            },
        )
        for back in range(1, 57)
    ]


def remembering() -> Report:
    """The bad day of :func:`report_sample.sample`, of which some is known."""
    report = deepcopy(report_sample.sample())  # its findings are marked below
    report.mails["open"] = 3
    report.open_recipients = {"deferred": 4}
    ours = [each for each in report.found if each.counts]
    remembered = [
        past_of(ours[1], date(2026, 11, 3), date(2026, 11, 19), gone=True),
        past_of(ours[2], date(2026, 11, 12), DAY - timedelta(days=1)),
        past_of(ours[3], date(2025, 12, 12), DAY - timedelta(days=1)),
        past_of(ours[4], date(2026, 11, 12), DAY - timedelta(days=1), why="the printer is replaced in December"),
        Remembered(replace(GONE, last=ns(DAY - timedelta(days=2))), 33, 40, None, ns(date(2026, 11, 14))),
        Remembered(replace(PAUSED, last=ns(DAY - timedelta(days=3))), 30, 39, 40, ns(date(2026, 11, 12)), back_run=35),
        Remembered(UNSEEN, 38, 40, None, ns(date(2026, 11, 20))),
    ]
    blind = next(each for each in report.checks if each.verdict == "blind")
    remembered[-1] = replace(remembered[-1], sighting=replace(UNSEEN, check=blind.name))
    for check in report.checks:
        suppress(check, acknowledgements(remembered), DAY)
    report.memory = compared(
        remembered,
        report,
        run_number=RUN,
        strip=verdicts(report),
        figures=figures(report),
        today=DAY,
        previous=ns(DAY - timedelta(days=1), 19),
    )
    return report


def first() -> Report:
    """The same as the first report of a state."""
    report = report_sample.sample()
    report.memory = compared([], report, run_number=1, today=DAY)
    return report


def quiet() -> Report:
    """A healthy day after a healthy month."""
    report = report_sample.healthy()
    report.memory = compared([], report, run_number=RUN, strip=verdicts(report), figures=figures(report), today=DAY)
    return report


def hostile() -> Report:
    """The sample beside a past of hostile strings: what is gone, checks that are no more, reasons, and who gave them."""
    report = remembering()
    memory = report.memory
    assert memory is not None
    strings = report_sample.HOSTILE

    def spoilt(some: tuple[Former, ...]) -> tuple[Former, ...]:
        return tuple(
            replace(each, id=f"{each.id[:6]}{number:02x}", check=one, cause=one, subject=one, summary=one)
            for each in some
            for number, one in enumerate(strings)
        )

    for number, each in enumerate(finding for finding in report.found if finding.counts or finding.suppressed):
        one = strings[number % len(strings)]
        each.state, each.suppressed = "suppressed", Suppression(each.check, one, each.subject, each.cause, None, one)
    verdicts = list(memory.strip.values())
    strip = {one: verdicts[number % len(verdicts)] for number, one in enumerate(strings)}
    report.memory = replace(
        memory, gone=spoilt(memory.gone), paused=spoilt(memory.paused), unseen=spoilt(memory.unseen), strip=strip
    )
    return report
