"""What ``analyse`` does with a log: check names, look at its windows, write the outputs asked for, decide the exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logscan import console

if TYPE_CHECKING:
    from logscan.pipeline.streaming import Stream
    from logscan.report.anonymise import Anonymiser
    from logscan.report.model import Report
    from logscan.scan.exporting import TableWriter
    from logscan.scan.log import Log

Plan = list[tuple[str, str]]
"""(format, path) pairs; ``-`` is stdout."""

NOT_WRITTEN, NOT_SENT = 2, 4
"""Exit statuses: an output can't be written where it was asked for; a mail could not be sent."""

FAILED = {NOT_WRITTEN: "not all was written", 3: "not all could be read", NOT_SENT: "the mail was not sent"}
"""What Nagios' line says of an exit status."""


def wanted(formats: tuple[str, ...], outputs: tuple[str, ...], *, mailed: bool = False) -> Plan:
    """Pair formats with outputs; raises :class:`click.UsageError` where they don't fit.

    Without either it is the text on stdout; nothing where the report is ``mailed`` (cron would mail stdout again).
    """
    if not formats and not outputs:
        return [] if mailed else [("text", "-")]
    if not formats:
        return [(_by_suffix(path), path) for path in outputs]
    if not outputs and len(formats) == 1:
        return [(formats[0], "-")]
    if len(formats) != len(outputs):
        raise click.UsageError(
            f"{len(formats)} times --format and {len(outputs)} times -o: give them in pairs, e.g. "
            "--format html -o report.html --format json -o -"
        )
    if list(outputs).count("-") > 1:
        raise click.UsageError("only one output can go to stdout (-o -)")
    return list(zip(formats, outputs, strict=True))


def _by_suffix(path: str) -> str:
    if path == "-":
        return "text"
    from logscan.rendering.renderers import by_suffix

    known = by_suffix()
    suffix = Path(path).suffix.lower()
    found = known.get(".html" if suffix == ".htm" else suffix)
    if found is None:
        raise click.UsageError(f"{path}: say with --format what to write ({', '.join(sorted(known.values()))})")
    return found


def check_names(names: tuple[str, ...]) -> None:
    """Raise :class:`click.BadParameter` for a check there isn't."""
    from logscan.checking.check import all_checks

    known = [check.name for check in all_checks()]
    for name in names:
        if name not in known:
            raise click.BadParameter(f"there is no check {name!r}; there are {', '.join(known)}")


def colours(choice: str) -> bool:
    """Decide on colours: ``always``, or on a terminal unless NO_COLOR is set (https://no-color.org)."""
    if choice == "auto":
        terminal = sys.stdout is not None and sys.stdout.isatty()
        return terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return choice == "always"


@dataclass
class Made:
    """What became of a log: the report, names replaced where that was asked for, and what holds its tables."""

    report: Report
    log: Log
    names: Anonymiser | None = None
    tables: TableWriter | None = None


def made(stream: Stream, options: dict[str, Any], held: ExitStack) -> Made:
    """Look at all windows, whose tables are written aside meanwhile; ``held`` takes away at the end what lay aside."""
    from logscan.pipeline.memory import give_back
    from logscan.pipeline.pieces import Looking
    from logscan.report.anonymise import Anonymiser
    from logscan.scan.exporting import TableWriter

    looking = Looking(stream.log, checks=options["checks"], skip=options["skip"])
    names = Anonymiser(stream.log) if options.get("anonymise") else None
    writer = None
    if options.get("tables"):
        writer = TableWriter()
        held.callback(writer.close)
    for window in stream:
        looking.add(window, stream.frontier, stream.crew)
        if names is not None:
            names.learn(window)
        if writer is not None:
            writer.add(window)
        del window  # nor may it live while the next one is made
        give_back()
    report = looking.conclude()
    if names is not None:
        report = names.learnt().report(report)
    return Made(report, stream.log, names, writer)


def finish(found: Made, plan: Plan, options: dict[str, Any], quiet: bool, status: int) -> int:
    """Write everything; returns the exit status of the contract.

    An output that fails, or whose reader went away, keeps none of the others from being written, nor the mail from
    being sent.
    """
    report = found.report
    if found.names is not None:
        options = options | {"show_subjects": False}
    nagios = by_format(report, plan)
    # Nagios reads what stands on stdout together with the status: that comes when all else is known to have gone well.
    files = [(name, path) for name, path in plan if nagios is None or path != "-"]
    failed = max(
        status,
        *(_attempt(write, report, name, path, options, quiet, found.log.readers) for name, path in files),
        _attempt(tables, found, options["tables"]) if found.tables is not None else 0,
        _attempt(mail, report, options, otherwise=NOT_SENT) if options.get("mail_to") else 0,
    )
    if nagios is not None:
        return _for_nagios(report, plan, nagios, failed)
    return failed or failing(report, options["fail_on"])


def _for_nagios(report: Report, plan: Plan, status: int, failed: int) -> int:
    """Write Nagios' line; where anything failed it doesn't say that all is well, nor how bad it is."""
    from logscan.rendering.renderers import render

    content = str(render(report, next(name for name, path in plan if path == "-")))
    if failed:
        content = f"LOGSCAN UNKNOWN - {FAILED[failed]}: {content.partition(' - ')[2]}"
    done = _attempt(_result, content)
    return 3 if failed or done else status


def _result(content: str) -> None:
    """Write to stdout; raises :class:`click.ClickException`, or BrokenPipeError where nobody reads."""
    try:
        console.result(content)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise click.ClickException(f"-: {error.strerror}") from None


def _attempt(step: Callable[..., None], *args: Any, otherwise: int = NOT_WRITTEN) -> int:
    """Take a step; returns 0, or its exit status where it fails, said on stderr. A reader that went away is no failure."""
    try:
        step(*args)
    except click.ClickException as error:
        console.say(error.format_message(), "Error: ")
        return otherwise
    except BrokenPipeError:
        pass
    return 0


def write(report: Report, name: str, path: str, options: dict[str, Any], quiet: bool, readers: int = 0o666) -> None:
    """Write one output; a file is replaced only once it is whole. ``readers``: the mode a new file has at most."""
    import shutil

    from logscan.rendering.renderers import RenderError, for_stdout, render
    from logscan.writing import save

    try:
        content = render(
            report,
            name,
            color=name == "text" and path == "-" and colours(options["color"]),
            width=shutil.get_terminal_size((100, 24)).columns if path == "-" else 100,
            show_subjects=options.get("show_subjects", False),
        )
        if path == "-":
            shown = for_stdout(content, name)
            end = "" if isinstance(shown, bytes) or shown.endswith("\n") else "\n"
            console.result(shown if isinstance(shown, bytes) else shown + end)
        else:
            save(content, Path(path), readers)
            if not quiet:
                console.say(f"wrote {path}")
    except (RenderError, OSError) as error:
        if isinstance(error, BrokenPipeError) and path == "-":
            raise
        reason = error.strerror or str(error) if isinstance(error, OSError) else error
        raise click.ClickException(f"{path}: {reason}") from None


def tables(found: Made, folder: Path) -> None:
    """Put the correlated tables in their folder; raises :class:`click.ClickException`."""
    assert found.tables is not None
    try:
        found.tables.put(folder, found.log.readers, found.names.table if found.names else None)
    except OSError as error:
        why = error.strerror or error
        raise click.ClickException(f"{folder}: the tables can't be written: {why}") from None


def mail(report: Report, options: dict[str, Any]) -> None:
    """Send the report; raises :class:`click.ClickException`, which says what to do."""
    from logscan.commands.mail_options import mailing_of
    from logscan.commands.mailing import Envelope, MailError, deliver
    from logscan.rendering.renderers import RenderError, render

    mailing = mailing_of(options)
    try:
        content = render(report, "email", mail_from=mailing.sender, mail_to=mailing.to, attach_page=mailing.attach_page)
        assert isinstance(content, bytes)
        deliver(content, Envelope(mailing.bare_sender, mailing.recipients), mailing.server)
    except (MailError, RenderError) as error:
        raise click.ClickException(str(error)) from None


def by_format(report: Report, plan: Plan) -> int | None:
    """Return the exit status that the readers of what goes to stdout expect (Nagios), None where they expect none."""
    from logscan.rendering.renderers import exit_status

    for name, path in plan:
        status = exit_status(report, name) if path == "-" else None
        if status is not None:
            return status
    return None


def failing(report: Report, level: str) -> int:
    """Return 1 for active findings at or above ``level``; in an audit, for faults that the configuration foretells."""
    if report.audit and level != "never":
        return int(bool(report.predictions))
    bad = {"problem": {"problem"}, "warning": {"problem", "warning"}}.get(level, set())
    return int(any(f.state == "active" and f.severity in bad for f in report.found))
