"""``logscan state nagios`` and ``prometheus``: what monitoring asks of the last report, answered without reading a log."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logscan import console
from logscan.commands.state import Failed, state_option
from logscan.commands.state import command as group

if TYPE_CHECKING:
    from logscan.report.model import Report
    from logscan.store.model import Waiting

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3

NAMES = {OK: "OK", WARNING: "WARNING", CRITICAL: "CRITICAL", UNKNOWN: "UNKNOWN"}

MAX_AGE = "26h"
"""A daily run that is two hours late is late: it may have much to read, or wait for a timer's random delay."""

SECONDS = {"m": 60, "h": 3600, "d": 86400}

STUCK = 3600
"""Seconds that a report may wait for the unit that sends it; longer, and mail is broken."""


@dataclass(frozen=True)
class Standing:
    """What the state says. Times are seconds since 1970; ``report`` is None where it can't be read, ``why`` says so."""

    run: int
    ended: int
    report: Report | None
    why: str
    waiting: tuple[Waiting, ...]
    notes: tuple[str, ...] = ()

    def age(self, now: float) -> int:
        """Return the seconds since the last run; 0 where it lies in the future (a clock that was put back)."""
        return max(0, int(now) - self.ended)

    @property
    def oldest(self) -> int | None:
        """When the mail that waits longest was made."""
        return min((each.made // 10**9 for each in self.waiting), default=None)


def standing(folder: Path) -> Standing:
    """Return what the state in ``folder`` says; raises :class:`logscan.store.state.StateError`."""
    from logscan.report.read_back import report_of
    from logscan.store.state import State, StateError

    with State.read(folder) as state:
        runs = state.runs(1)
        content, waiting = state.report(), tuple(state.outbox())
        notes = tuple(state.notes)
    if not runs:
        raise StateError(f"no run is remembered in {folder} yet: `logscan daily` makes the first")
    ended = runs[0].ended // 10**9
    try:
        if content is None:
            raise ValueError("there is none")
        report = report_of(content, datetime.fromtimestamp(ended, UTC))
    except ValueError as error:
        return Standing(runs[0].number, ended, None, f"the last report can't be read: {error}", waiting, notes)
    return Standing(runs[0].number, ended, report, "", waiting, notes)


def _age(_context: click.Context, _param: click.Parameter, text: str) -> int:
    span = re.fullmatch(r"(\d{1,5})([mhd])", text.strip(), re.ASCII)
    if span is None or not int(span[1]):
        raise click.BadParameter(f"{text!r} is no time; write 26h, 90m or 2d")
    return int(span[1]) * SECONDS[span[2]]


@group.command("nagios")
@state_option
@click.option(
    "--max-age",
    default=MAX_AGE,
    show_default=True,
    callback=_age,
    metavar="TIME",
    help="UNKNOWN where the last run is older: 26h, 90m, 2d.",
)
def nagios(folder: Path, max_age: int) -> None:
    """Say in a Nagios plug-in's line what the last daily report found; no log is read.

    The status is the report's: 2 with a problem, 1 with a warning. It is at least 1 where mails have waited for an hour to be
    sent, and 3 where the last run is older than --max-age or nothing is known.
    """
    from logscan.cli import NAGIOS
    from logscan.store.state import StateError

    click.get_current_context().meta[NAGIOS] = True
    try:
        line, status = nagios_line(standing(folder), time.time(), max_age)
    except StateError as error:
        line, status = f"LOGSCAN UNKNOWN - {_plain(str(error))}\n", UNKNOWN
    console.result(line)
    sys.exit(status)


def nagios_line(told: Standing, now: float, max_age: int) -> tuple[str, int]:
    """Return the line, and the status that goes with it."""
    age, waiting = told.age(now), len(told.waiting)
    data = f"age={age}s;;{max_age} waiting_mails={waiting};0"
    said = []
    status = OK
    if told.report is None:
        sentence, status = told.why, UNKNOWN
    else:
        plugin = _plugin("nagios")
        status = plugin.exit_status(told.report)
        line = plugin.render(told.report, _options(told.report))
        sentence, _, counted = line.strip().partition(" - ")[2].rpartition("|")
        data = f"{counted} {data}"
    if waiting and now - (told.oldest or 0) > STUCK:
        last = next((each.error for each in told.waiting if each.error), "")
        said.append(f"{waiting} mail{'' if waiting == 1 else 's'} can't be sent" + (f" ({last[:80]})" if last else ""))
        status = max(status, WARNING)
    if age > max_age:
        said.append(
            f"no report since {datetime.fromtimestamp(told.ended).astimezone():%Y-%m-%d %H:%M}, {_span(age)} ago"
        )
        status = UNKNOWN
    said += [f"the state was repaired: {each}" for each in told.notes[:1]]
    words = _plain("; ".join([*said, ""])) if said else ""
    return f"LOGSCAN {NAMES[status]} - {words}{_plain(sentence) if told.report is None else sentence}|{data}\n", status


@group.command("prometheus")
@state_option
def prometheus(folder: Path) -> None:
    """Write what the last daily report found as Prometheus metrics; no log is read.

    For node_exporter's textfile collector: --state DIR > FILE.prom.new, then mv. The age of the last run is
    time() - logscan_run_ended_timestamp_seconds.
    """
    from logscan.store.state import StateError

    try:
        told = standing(folder)
    except StateError as error:
        raise Failed(str(error)) from None
    for note in (*told.notes, *([told.why] if told.why else [])):
        console.note(note)
    console.result(metrics(told))
    sys.exit(UNKNOWN if told.report is None else 0)


def metrics(told: Standing) -> str:
    """Return the exposition: the last report's, and the state's own."""
    own = {
        "logscan_run_ended_timestamp_seconds": ("When the last run ended.", told.ended),
        "logscan_outbox_mails": ("Mails that wait to be sent.", len(told.waiting)),
        "logscan_outbox_attempts": ("Attempts to send them so far.", sum(each.attempts for each in told.waiting)),
    }
    if told.oldest is not None:
        own["logscan_outbox_oldest_timestamp_seconds"] = ("When the mail that waits longest was made.", told.oldest)
    lines = [f"# HELP {name} {help_}\n# TYPE {name} gauge\n{name} {value}\n" for name, (help_, value) in own.items()]
    report = "" if told.report is None else _plugin("prometheus").render(told.report, _options(told.report))
    return "".join([report, *lines])


def _plugin(name: str) -> Any:
    """Return one renderer; the others, and the libraries that they need, aren't loaded."""
    import importlib

    return importlib.import_module(f"logscan.reports.{name}").REPORT


def _options(report: Report) -> Any:
    from logscan.rendering.renderers import RenderOptions

    memory = report.memory
    return RenderOptions(new=frozenset(memory.new) if memory is not None and not memory.first else None)


def _span(seconds: int) -> str:
    return f"{seconds // 86400} days" if seconds >= 2 * 86400 else f"{seconds // 3600} hours"


def _plain(text: str) -> str:
    """Return text that ends no sentence and starts no performance data, and that no web page runs."""
    from logscan.visible import visible, without_secrets

    shown = visible(without_secrets(text), 400)
    return shown.replace("|", "¦").replace("<", "‹").replace(">", "›").replace("&", "+")
