"""What ``analyse`` and ``demo`` do with a scan: check names, write the outputs asked for, decide the exit status."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from logscan.report import Report
    from logscan.scan import Scan

SUFFIXES = {".html": "html", ".htm": "html", ".json": "json", ".txt": "text", ".prom": "prometheus", ".eml": "email"}

Plan = list[tuple[str, str]]
"""(format, path) pairs; ``-`` is stdout."""


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
    found = SUFFIXES.get(Path(path).suffix.lower())
    if found is None:
        raise click.UsageError(f"{path}: say with --format what to write ({', '.join(sorted(set(SUFFIXES.values())))})")
    return found


def check_names(names: tuple[str, ...]) -> None:
    """Raise :class:`click.BadParameter` for a check there isn't."""
    from logscan.checks import all_checks

    known = [check.name for check in all_checks()]
    for name in names:
        if name not in known:
            raise click.BadParameter(f"there is no check {name!r}; there are {', '.join(known)}")


def colours(choice: str) -> bool:
    """Decide on colours: ``always``, or on a terminal unless NO_COLOR is set (https://no-color.org)."""
    if choice == "auto":
        return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return choice == "always"


def finish(scan: Scan, plan: Plan, options: dict[str, Any], reading: dict[str, Any], status: int) -> int:
    """Analyse and write everything; returns the exit status of the contract."""
    from logscan.pipeline import analyse

    check_names((*options["checks"], *options["skip"]))
    report = analyse(scan, checks=options["checks"], skip=options["skip"])
    if options.get("anonymise"):
        from logscan.anonymise import anonymise

        report = anonymise(report)
    for name, path in plan:
        write(report, name, path, options, reading["quiet"])
    if options.get("tables"):
        try:
            scan.write_tables(options["tables"])
        except OSError as error:
            raise click.ClickException(f"{options['tables']}: the tables can't be written: {error.strerror}") from None
    if options.get("mail_to"):
        mail(report, options)
    return status or by_format(report, plan) or failing(report, options["fail_on"])


def write(report: Report, name: str, path: str, options: dict[str, Any], quiet: bool) -> None:
    """Write one output; a file is replaced only once it is whole."""
    import shutil

    from logscan.rendering import RenderError, for_stdout, render, save

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
            if isinstance(shown, bytes):
                sys.stdout.buffer.write(shown)
            else:
                click.echo(shown, nl=not shown.endswith("\n"), color=True)
            sys.stdout.flush()
        else:
            save(content, Path(path))
            if not quiet:
                click.echo(f"logscan: wrote {path}", err=True)
    except (RenderError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        reason = error.strerror if isinstance(error, OSError) else error
        raise click.ClickException(f"{path}: {reason}") from None


def mail(report: Report, options: dict[str, Any]) -> None:
    """Send the report; raises :class:`click.ClickException`, which says what to do."""
    from email import message_from_bytes, policy
    from email.message import EmailMessage

    from logscan.mailer import MailError, Server, send
    from logscan.rendering import RenderError, render

    host, _, port = (options.get("smtp") or "").rpartition(":")
    if not port.isdigit() or not host:
        host, port = options.get("smtp") or "", "0"
    try:
        content = render(
            report,
            "email",
            mail_from=options.get("mail_from") or _sender(options["mail_to"]),
            mail_to=tuple(options["mail_to"]),
            attach_page=options.get("attach_page", False),
        )
        as_made = policy.default.clone(refold_source="none")
        mail = message_from_bytes(content if isinstance(content, bytes) else b"", EmailMessage, policy=as_made)
        server = Server(
            host=host.strip("[]"),
            port=int(port),
            tls=options.get("smtp_tls") or "starttls",
            user=options.get("smtp_user") or "",
            password_file=options.get("smtp_password_file"),
        )
        send(mail, server)
    except (MailError, RenderError) as error:
        raise click.ClickException(str(error)) from None


def _sender(recipients: tuple[str, ...]) -> str:
    """Return logscan at this host, whose name a mail server accepts only when it is a full one."""
    import socket

    name = socket.getfqdn()
    if "." not in name or name.startswith("localhost"):
        name = recipients[0].rpartition("@")[2].strip(" <>") if "@" in recipients[0] else name
    return f"logscan@{name}"


def by_format(report: Report, plan: Plan) -> int:
    """Return the exit status that an output's readers expect (Nagios), else 0."""
    from logscan.rendering import exit_status

    for name, path in plan:
        status = exit_status(report, name) if path == "-" else None
        if status is not None:
            return status
    return 0


def failing(report: Report, level: str) -> int:
    """Return 1 for active findings at or above ``level``."""
    bad = {"problem": {"problem"}, "warning": {"problem", "warning"}}.get(level, set())
    return int(any(f.state == "active" and f.severity in bad for f in report.found))
