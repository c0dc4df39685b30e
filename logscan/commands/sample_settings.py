"""The settings file with every option as a comment, made from the commands' own options and the checks' thresholds."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

import click

from logscan.commands.settings_file import COMMAND_LINE_ONLY

WIDTH = 100

HEAD = """\
# Settings of logscan, with every option. What is a comment is what holds without it, or an example. Options have the names that
# they have on the command line, which goes before. `logscan explain NAME` says more of a check.
#
# Looked for in logscan.toml of the current folder (not by root), ~/.config/logscan/ and /etc/logscan/; the first one counts.
# A file that others can write is not followed.
"""

ONE_RUN = ("since", "until", "no-send", "send-only", "overdue", "catch-up")
"""Options that belong to one run, and make no sense in every one."""

EXAMPLES: dict[str, Any] = {
    "timezone": "Europe/Berlin", "year": 2026, "config": ["/etc/postfix"], "dspam-home": "/var/spool/dspam",
    "local-domain": ["example.org"], "service": ["postfix/smtpd=25"], "host-alias": ["mx1=mx1.example.org"], "jobs": 1,
    "check": ["mail-stuck"], "skip": ["volume-unusual"], "format": ["html"], "output": ["/var/cache/logscan/report.html"],
    "tables": "/var/lib/logscan/tables", "mail-to": ["postmaster@example.org"], "mail-from": "logscan@example.org",
    "smtp": "mail.example.org:587", "smtp-user": "logscan", "smtp-password-file": "/etc/logscan/password",
    "state": "/var/lib/logscan", "keep": "90d", "notify-command": "logger -p mail.err",
}  # fmt: skip
"""Values of options that have no default."""

COMMANDS = ("daily", "analyse")
"""Commands whose options stand in the file, those of the first in their own table."""


def sample_settings(group: click.Group) -> str:
    """Return the file. Without its comments' signs it is a settings file that every command takes."""
    context = click.Context(group)
    commands = {name: found for name in COMMANDS if (found := group.get_command(context, name)) is not None}
    options = {name: dict(_options(command)) for name, command in commands.items()}
    shared = [key for key in options["analyse"] if all(key in each for each in options.values()) and key in READ]
    parts = [HEAD, *(_entry(key, options["analyse"][key]) for key in shared)]
    for name, each in options.items():
        own = [_entry(key, param) for key, param in each.items() if key not in shared]
        parts += [f"\n[{name}]\n", *own]
    parts += [*_thresholds(), SUPPRESS]
    return "\n".join(parts)


READ = frozenset({
    "timezone", "year", "config", "dspam-home", "local-domain", "service", "host-alias", "jobs", "quiet", "no-progress",
})  # fmt: skip
"""What says how to read; it stands at the top, for all commands."""

SUPPRESS = """
# Findings that are known and accepted: they stay in the report, as suppressed.
# [[suppress]]
# check = "certificate-refused"
# subject = "backup.example.org"
# until = 2027-01-31
# reason = "their renewal is under way"
"""


def _options(command: click.Command) -> Iterator[tuple[str, click.Option]]:
    for param in command.params:
        if isinstance(param, click.Option):
            key = next(each for each in param.opts if each.startswith("--")).lstrip("-")
            if key not in COMMAND_LINE_ONLY and key not in ONE_RUN:
                yield key, param


def _entry(key: str, param: click.Option) -> str:
    """Return an option's help and its line, as comments."""
    said = textwrap.wrap(param.help or _kind(param), WIDTH, initial_indent="#: ", subsequent_indent="#: ")
    return "\n".join([*said, f"# {key} = {toml(_value(key, param))}", ""])


def _kind(param: click.Option) -> str:
    return f"One of {', '.join(param.type.choices)}." if isinstance(param.type, click.Choice) else "See --help."


def _value(key: str, param: click.Option) -> Any:
    """Return what an option is without being set, else an example."""
    default = param.default if isinstance(param.default, str | int | float | bool) else None
    if param.is_flag:
        return bool(default)
    if default is not None and not param.multiple:
        return default
    if key in EXAMPLES:
        return EXAMPLES[key]
    if isinstance(param.type, click.Choice):
        choice = param.type.choices[0]
        return [choice] if param.multiple else choice
    if isinstance(param.type, click.types.IntParamType):
        return 1
    shown = (param.metavar or "TEXT").strip("[]").lower()
    return [shown] if param.multiple else shown


def _thresholds() -> Iterator[str]:
    from logscan.checking.check import all_checks
    from logscan.checking.limits import thresholds

    yield "\n# What the checks go by.\n"
    for check in all_checks():
        told = thresholds(check.limits)
        if not told:
            continue
        lines = [f"# [checks.{check.name}]"]
        for each in told:
            lines += textwrap.wrap(each.reason, WIDTH, initial_indent="#: ", subsequent_indent="#: ")
            lines.append(f"# {each.name} = {toml(each.default)}")
        yield "\n".join([*lines, ""])


def toml(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(toml(each) for each in value)}]"
    return json.dumps(value, ensure_ascii=False)


def uncommented(text: str) -> str:
    """Return the sample with its options in force: the sign taken off lines that hold one."""
    return "\n".join(
        line[2:] if line.startswith("# ") and _is_setting(line[2:]) else line for line in text.splitlines()
    )


def _is_setting(line: str) -> bool:
    key = line.partition(" = ")[0]
    return line.startswith("[") or (" = " in line and key.replace("-", "").replace("_", "").isalnum())
