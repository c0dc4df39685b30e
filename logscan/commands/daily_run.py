"""One daily run: the state opened, the logs gone on in, reports made, remembered in one transaction, and only then mailed."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Any

import click

from logscan import console
from logscan.commands import mail_policy, outputs, sending
from logscan.commands.common import reading_of
from logscan.commands.complaints import nothing
from logscan.commands.failing import tell_of_failure
from logscan.commands.mail_options import Mailing, mailing_of
from logscan.commands.mail_policy import Facts
from logscan.commands.notifying import Mailed, notify, short_text, told_of
from logscan.commands.outbox import flush, mail_of, send_now, troubles
from logscan.store.folders import state_folder
from logscan.store.model import Outgoing, Run, Told
from logscan.store.state import BusyError, State, StateError
from logscan.version import __version__

if TYPE_CHECKING:
    from logscan.pipeline.daily import Daily, Made
    from logscan.report.model import Report

UNREAD = 3
"""The exit status of a run that could not read all, or not remember what it read."""

KEEP = re.compile(r"([1-9]\d{0,4})\s*([dwy])", re.ASCII)
MOST_FILES = 24
"""Files of a table and a day; more are made one. A run a day writes two or three, one every five minutes hundreds."""

DAYS = {"d": 1, "w": 7, "y": 365}


def run(sources: tuple[str, ...], reading: dict[str, Any], options: dict[str, Any]) -> int:
    """Do what ``logscan daily`` was asked for; returns the exit status. Raises :class:`click.ClickException`."""
    mailing = mailing_of(options)
    plan = outputs.wanted(options["formats"], options["outputs"], mailed=bool(mailing.to))
    outputs.check_names((*options["checks"], *options["skip"]))
    keep = _days(options["keep"])
    overdue = sending.span(options["overdue"]) if options["overdue"] else None
    _refuse(sources, reading)
    folder = options["state"] or state_folder()
    with ExitStack() as held:
        try:
            state = held.enter_context(_state(folder, options["wait"], send_only=options["send_only"]))
        except UnusableError as error:
            _tell(error, mailing, None, options)
            raise
        if options["send_only"]:
            return sending.send_only(state, mailing, now=time_ns(), overdue=overdue)
        job = _Job(state, mailing, plan, options, reading)
        try:
            job.make(sources)
            status = job.remember(keep)
        except Exception as error:
            job.abandon()
            _tell(error, mailing, state, options)
            raise
        return _as_asked(max(status, job.send()), plan)


def _as_asked(status: int, plan: outputs.Plan) -> int:
    """Return the exit status; Nagios knows 0 to 3, the last for whatever went wrong."""
    return min(status, UNREAD) if ("nagios", "-") in plan else status


def _tell(error: Exception, mailing: Mailing, state: State | None, options: dict[str, Any]) -> None:
    """Say by mail and to the program that wants to be told that the analysis failed."""
    command = f"LOGSCAN_TRACEBACK=1 {shlex.join(['logscan', *sys.argv[1:]])}"
    tell_of_failure(error, mailing, state, command=command, hold=options["no_send"], say=console.say)


@dataclass
class _Job:
    """One run under way."""

    state: State
    mailing: Mailing
    plan: outputs.Plan
    options: dict[str, Any]
    reading: dict[str, Any]
    begun: int = field(default_factory=time_ns)
    status: int = 0
    told: list[Told] = field(default_factory=list)
    mails: list[Outgoing] = field(default_factory=list)
    facts: Facts = field(default_factory=Facts)
    mailed: date | None = None
    """The day of the last mail, of this run or before."""
    daily: Daily | None = None
    report: Report | None = None
    """The last one."""
    notes: list[str] = field(default_factory=list)
    """What it says of mails that did not get out."""
    number: int = 1
    lost: bool = False
    """Whether nothing of it could be remembered."""

    def make(self, sources: Sequence[str]) -> None:
        """Make the reports: written where they were asked for, told and mailed once they are remembered."""
        from logscan.pipeline.daily import Daily
        from logscan.pipeline.memory import frugal
        from logscan.report.comparing import acknowledgements

        frugal()
        state, options = self.state, self.options
        notes = state.clear_leftovers()
        before = state.runs(1)
        self.number = before[0].number + 1 if before else 1
        self.mailed = mail_policy.last_mailed(state.blob(mail_policy.BLOB))
        remembered = state.remembered()
        with reading_of(tuple(sources), self.reading) as arguments:
            known = arguments["options"]
            known = replace(known, suppressions=(*known.suppressions, *acknowledgements(remembered)))
            self.daily = Daily(
                state,
                sources,
                config=arguments["config"],
                dspam_home=arguments["dspam_home"],
                options=known,
                jobs=arguments["jobs"],
                year=arguments["year"],
                timezone=arguments["timezone"],
                ran=before[0].ended if before else None,
                progress=arguments["progress"],
                checks=options["checks"],
                skip=options["skip"],
                anonymise=options["anonymise"],
                notes=notes,
            )
            for made in self.daily.reports(by_day=options["catch_up"], now=datetime.now(UTC)):
                remembered = self._take(made, remembered, before[0].ended if before else None)
        self.status = max(self.status, self._complain())

    def _take(self, made: Made, remembered: list[Any], previous: int | None) -> list[Any]:
        """Put a report beside what is remembered, and make of it what is shown, mailed and told."""
        from logscan.rendering.renderers import render
        from logscan.report import comparing

        assert self.daily is not None
        report = made.report
        several = bool(self.told) or not made.last
        report.memory = comparing.compared(
            remembered,
            report,
            run_number=self.number,
            strip=self.state.strip(comparing.STRIP_DAYS),
            figures=self.state.figures(comparing.PAST_DAYS),
            earlier=self.told,
            previous=previous,
            several=several,
        )
        json = render(report, "json")
        assert isinstance(json, str)
        self.told.append(comparing.told_of(report, json.encode("ascii"), several=several, last=made.last))
        after = comparing.remembered_after(remembered, report, run_number=self.number, ended=time_ns())
        lost = sum(each.kind != "window" for each in self.daily.losses)
        trouble = troubles(self.state, now=self.begun)
        self.facts = mail_policy.facts_of(
            report, report.memory, losses=lost, troubles=len(trouble) + len(self.state.notes)
        )
        shown = self.daily.names.learnt().report(report) if self.daily.names is not None else report
        self.report = shown
        today = datetime.now(report.generated.tzinfo).date()
        why = mail_policy.wanted(self.mailing.when, self.facts, self.mailed, today)
        self.notes = trouble
        mails = mail_of(shown, self.mailing, why=why, number=self.number, notes=trouble)
        if mails:
            self.mails += mails
            self.mailed = today
        self._write(shown, last=made.last)
        return after

    def _write(self, report: Report, *, last: bool) -> None:
        """Write a report where it was asked for; those of earlier days beside the last one's files, their day in the name."""
        assert self.daily is not None
        plan = self.plan if last else [(name, _dated(path, report)) for name, path in self.plan]
        found = outputs.Made(report, self.daily.log, self.daily.names)
        options = self.options | {"mail_to": ()}
        self.status = max(self.status, outputs.finish(found, plan, options, self.reading["quiet"], 0))

    def _complain(self) -> int:
        """Say what could not be read; returns the exit status. No new line is no fault."""
        assert self.daily is not None
        log = self.daily.log
        for path, message in log.errors:
            console.say(f"{path}: {message}")
        lines = sum(read.lines for read in log.read.sources)
        why = nothing(log) if lines or not self.daily.opened.found.sources else ""
        if why:
            console.say(why)
        if not self.reading["quiet"]:
            for note in log.notes:
                console.note(note)
        return UNREAD if log.errors or why else 0

    def remember(self, keep: int) -> int:
        """Make the run live, all of it at once; where that fails, it is said, and the mails are sent at once."""
        from logscan.store.upkeep import merged

        assert self.daily is not None
        blobs = {mail_policy.BLOB: mail_policy.mailed(self.mailed)} if self.mailed is not None else {}
        if self.options["no_send"] and self.mailing.notify and self.report is not None:
            blobs[sending.NOTICE] = sending.notice(short_text(self.report, self.notes), self._told_of("waiting"))
        try:
            parts = self.daily.partitions()
            made = Run(
                self.begun,
                time_ns(),
                __version__,
                self.told,
                self.daily.cursors,
                self.daily.blobs() | blobs,
                parts,
                self.daily.losses,
                self.mails,
            )
            if self.state.folder is not None:
                self.state.commit(made)
                self.daily.kept()
        except (StateError, OSError) as error:
            self.daily.abandon()
            self.lost = True
            console.say(
                f"what this run found can't be remembered, and the next one reads the same lines again: {error}"
            )
            return max(self.status, UNREAD)
        if self.state.folder is None:
            self.lost = True
            return max(self.status, UNREAD)
        try:
            for note in self.state.retain(keep, time_ns()):
                if not self.reading["quiet"]:
                    console.note(note)
            for note in merged(self.state, MOST_FILES)[1]:
                console.say(note)
        except (StateError, OSError) as error:
            console.say(f"what is older than {self.options['keep']} can't be removed: {error}")
        return self.status

    def send(self) -> int:
        """Send what waits, and tell the program that wants to be told; returns the exit status."""
        say = console.say
        if self._left_to_others:
            status = 0
        elif self.lost:
            status = send_now(self.mails, self.mailing, say)
        elif self.mailing.to or self.state.outbox():
            status = flush(self.state, self.mailing.server, now=time_ns(), say=say, sender=self.mailing.bare_sender)
        else:
            status = 0
        if self.mailing.notify and self.report is not None and not self._left_to_others:
            text = short_text(self.report, self.notes)
            told = self._told_of("failed" if status else "sent")
            status = max(status, notify(self.mailing.notify, text, told, say=say))
        return status

    @property
    def _left_to_others(self) -> bool:
        """Whether sending and telling are another program's: this one may not even be able to."""
        return bool(self.options["no_send"]) and not self.lost

    def _told_of(self, mailed: Mailed) -> dict[str, str]:
        assert self.report is not None
        mail: Mailed = mailed if self.mails or mailed == "failed" else "none"
        return told_of(self.report, self.facts, number=self.number, mail=mail, path=_page(self.plan))

    def abandon(self) -> None:
        """Take away what was written."""
        if self.daily is not None:
            self.daily.abandon()


def _state(folder: Path, wait: int, *, send_only: bool) -> State:
    """Return the state; where it can't be used, one in memory, so that there is a report all the same."""
    try:
        return State.open(folder, wait=wait)
    except BusyError as error:
        raise UnusableError(str(error)) from None
    except StateError as error:
        if send_only:
            raise UnusableError(str(error)) from None
        console.say(str(error))
        return State.volatile(str(error), folder)


class UnusableError(click.ClickException):
    """There is no state to work with."""

    exit_code = UNREAD


def _refuse(sources: Sequence[str], reading: dict[str, Any]) -> None:
    if "-" in sources:
        raise click.UsageError("daily can't go on in standard input: name files, folders or journal:")
    for name in ("since", "until"):
        if reading[name]:
            raise click.UsageError(
                f"daily takes no --{name}: it reads what is new since its last run; logscan analyse looks at any period"
            )


def _days(text: str) -> int:
    found = KEEP.fullmatch(text.strip().lower())
    if found is None:
        raise click.BadParameter(f"{text!r}: write 90d, 12w or 1y", param_hint="--keep")
    return int(found[1]) * DAYS[found[2]]


def _dated(path: str, report: Report) -> str:
    """Return the path of an earlier day's report: ``report.html`` becomes ``report-2026-11-27.html``."""
    if path == "-":
        return path
    place, day = Path(path), report.period.last or report.generated
    return str(place.with_name(f"{place.stem}-{day:%Y-%m-%d}{place.suffix}"))


def _page(plan: outputs.Plan) -> Path | None:
    """Return where the report lies for people to read, if it does."""
    paths = [path for name, path in plan if path != "-" and name in ("html", "text")]
    return Path(paths[0]).absolute() if paths else None
