"""The manual page, logscan(1), made from the commands' own help."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

SECTIONS = {
    "EXIT STATUS": (
        ("0", "It ran; there may be findings."),
        ("1", "There are findings at or above --fail-on."),
        ("2", "Wrong usage."),
        ("3", "A source that was named could not be read, or there were lines and none was recognised. What could be read "
              "is reported all the same."),
        ("4", "A mail was not sent; it waits in the outbox, and the next daily run tries again."),
    ),
    "FILES": (
        ("/etc/logscan/logscan.toml", "Settings: options by their names, thresholds of checks, known findings."),
        ("~/.config/logscan/logscan.toml", "The user's own, in place of those."),
        ("logscan.toml", "In the current folder, before both; root doesn't follow it. A file that others can write is never "
                         "followed."),
        ("/var/lib/logscan", "What the daily run remembers, of root and of the account that this folder belongs to. Others "
                             "have it in ~/.local/state/logscan."),
        ("/etc/systemd/system/logscan.timer, /etc/cron.d/logscan", "What starts the daily run; see logscan setup."),
    ),
    "ENVIRONMENT": (
        ("LOGSCAN_SMTP_USER, LOGSCAN_SMTP_PASSWORD", "The login at the server of --smtp."),
        ("LOGSCAN_TRACEBACK", "1 shows where in the program a fault happened."),
        ("NO_COLOR", "No colours, whatever its value."),
        ("TZ", "The zone of stamps that name none, unless --timezone says it."),
        ("STATE_DIRECTORY", "The daily run's folder, as systemd sets it."),
    ),
}  # fmt: skip
"""What stands behind the commands: term and explanation."""


def manual(group: click.Group) -> str:
    """Return the page as troff; every text in it is taken literally."""
    first, _, rest = _help(group).partition("\n\n")
    parts = [
        r".\" Made from the program itself: docs/make.py",
        ".TH LOGSCAN 1",
        ".SH NAME",
        rf"logscan \- {roff(first[:1].lower() + first[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        r"\fBlogscan\fR [\fICOMMAND\fR] [\fIOPTION\fR]... [\fISOURCE\fR]...",
        ".SH DESCRIPTION",
        *_paragraphs(rest),
        ".PP",
        r"Without a command, \fBanalyse\fR is meant.",
        ".SH COMMANDS",
        *_commands(group, click.Context(group, info_name="logscan")),
    ]
    for title, entries in SECTIONS.items():
        parts.append(f".SH {title}")
        for term, said in entries:
            parts += [".TP", rf"\fB{roff(term)}\fR", roff(said)]
    return "\n".join(parts) + "\n"


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        yield f'.SS "{roff(inner.command_path)} {roff(" ".join(command.collect_usage_pieces(inner)))}"'
        yield from _paragraphs(_help(command))
        if isinstance(command, click.Group):
            yield from _commands(command, inner)
            continue
        for param in command.get_params(inner):
            record = param.get_help_record(inner) if isinstance(param, click.Option) else None
            if record and "--help" not in param.opts:
                yield ".TP"
                yield _option(record[0])
                yield roff(record[1]) or r"\&"


def _option(text: str) -> str:
    r"""Return ``-f, --format TEXT`` with the names in bold: ``\fB\-f\fR, \fB\-\-format\fR TEXT``."""
    return re.sub(r"(?<![\w\\])(?:\\-)+[\w]+(?:\\-\w+)*", lambda match: rf"\fB{match[0]}\fR", roff(text))


def _help(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "").replace("\b\n", "")


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in filter(None, text.split("\n\n")):
        yield ".PP"
        yield roff(" ".join(paragraph.split()))


def roff(text: str) -> str:
    r"""Return a text of one line that troff prints as it is.

    A backslash, a hyphen and the quotes that troff makes round ones of are named; a dot or quote at the start of a line would
    be a request.
    """
    for sign, name in (("\\", "\\(rs"), ("-", "\\-"), ("'", "\\(aq"), ("`", "\\(ga"), ("^", "\\(ha"), ("~", "\\(ti"),
                       ('"', "\\(dq")):  # fmt: skip
        text = text.replace(sign, name)
    text = "".join(sign if sign.isascii() else f"\\[u{ord(sign):04X}]" for sign in " ".join(text.split()))
    return f"\\&{text}" if text.startswith(".") else text
