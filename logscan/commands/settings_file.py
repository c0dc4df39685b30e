"""The settings file: options' defaults, taken only from a place that nobody else can write."""

from __future__ import annotations

import errno
import os
import stat
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import click

from logscan import console, trust
from logscan.cli import NAGIOS
from logscan.commands.settings_checks import CHECKS, SUPPRESS, limits_of, suppressions_of
from logscan.store.folders import is_root

HERE = "logscan.toml"
"""In the folder that the command runs in; root doesn't follow it: a folder somebody led root into must not steer root."""

SETTINGS = (HERE, "~/.config/logscan/logscan.toml", "/etc/logscan/logscan.toml")
"""Where settings are looked for, the first one counts."""

MOST = 1 << 20
"""Bytes of a settings file."""

COMMAND_LINE_ONLY = frozenset({"help", "settings", "version"})
"""Options that mean nothing in a settings file."""

LIMITS, SUPPRESSIONS = "logscan.limits", "logscan.suppressions"
"""Where a context's ``meta`` holds what the settings file says of checks."""

PLAIN = (str, int, float, bool, date, datetime, time)
"""What an option's value can be in TOML; a list of these for an option that can be repeated."""


def load_settings(ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path | None:
    """Make a settings file the options' defaults: the same names, ``local-domain = ["example.com"]``.

    Names may stand at the top or in a table of the command's name. Thresholds of checks stand in ``[checks.NAME]``, findings
    that are known in ``[[suppress]]``; the context's ``meta`` holds them. A file that others can write is passed over with a
    note, and refused where it was named. Raises :class:`click.UsageError` with the file's name for what can't be read.
    """
    path = None if ctx.resilient_parsing else _named(value) if value else _found()
    if path is None:
        return None
    content = _content(path)
    ctx.meta[LIMITS] = limits_of(path, content)
    ctx.meta[SUPPRESSIONS] = suppressions_of(path, content)
    defaults = _defaults(ctx, path, content)
    if "nagios" in (defaults.get("formats") or ()):
        ctx.meta[NAGIOS] = True
    ctx.default_map = {**(ctx.default_map or {}), **defaults}
    return path


def _named(path: Path) -> Path:
    try:
        why = trust.doubt(path, named=True)
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        what = "there is no such settings file" if missing else f"it can't be read: {error.strerror}"
        raise click.UsageError(f"{path}: {what}") from None
    if why:
        raise click.UsageError(f"{path}: these settings are not followed, since {why}; chmod and chown mend it")
    return path


def _found() -> Path | None:
    """Return the first settings file there is; one that others can write doesn't count, nor, for root, one that lies here."""
    places: tuple[str, ...] = SETTINGS
    if is_root():
        places = tuple(place for place in SETTINGS if place != HERE)
        _passed_over(Path(HERE), places)
    for place in places:
        path = Path(place)
        try:
            path = path.expanduser()
            if not path.is_file():
                continue
            why = trust.doubt(path)
        except (OSError, RuntimeError):  # no home, a folder that may not be entered: there are no settings there
            continue
        if not why:
            return path
        console.note(f"{path}: these settings are not followed, since {why}")
    return None


def _passed_over(here: Path, places: tuple[str, ...]) -> None:
    """Say that root doesn't follow the settings in this folder, unless it is one that root's settings lie in."""
    try:
        if not here.is_file():
            return
        others = [Path(place).expanduser() for place in places]
        if any(each.exists() and each.samefile(here) for each in others):
            return
        why = trust.doubt(here)
    except (OSError, RuntimeError):
        return
    because = f", since {why}" if why else ": root follows ~/.config/logscan and /etc/logscan only"
    named = "" if why else "; --settings logscan.toml names it"
    console.note(f"{here.absolute()}: these settings are not followed{because}{named}")


def _content(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise click.UsageError(f"{path}: this is no file")
            data = file.read(MOST + 1)
    except OSError as error:
        raise click.UsageError(f"{path}: it can't be read: {error.strerror}") from None
    if len(data) > MOST:
        raise click.UsageError(f"{path}: a settings file has 1 MB at most")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise click.UsageError(f"{path}: this is not TOML: {error}") from None


def _defaults(ctx: click.Context, path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Return the values by the options' own names."""
    command = ctx.info_name or ""
    params = {option.lstrip("-"): param for param in ctx.command.params for option in param.opts}
    content = {key: item for key, item in content.items() if key not in (CHECKS, SUPPRESS)}
    own = content.get(command, {})
    if not isinstance(own, dict):
        raise click.UsageError(f"{path}: {command} must be a table: write [{command}] and the options below it")
    flat = {key: item for key, item in content.items() if not isinstance(item, dict)} | own
    defaults = {}
    for key, item in flat.items():
        if key in COMMAND_LINE_ONLY:
            raise click.UsageError(f"{path}: {key} can be given on the command line only")
        param = params.get(key)
        if param is None or not isinstance(param, click.Option):
            if key in own:
                raise click.UsageError(f"{path}: {key!r} is no option of {command}; see logscan {command} --help")
            continue
        defaults[str(param.name)] = _value(path, key, item, param)
    return defaults


def _value(path: Path, key: str, item: Any, param: click.Option) -> Any:
    """Return one option's value; raises :class:`click.UsageError` where it can't be one."""
    items = item if isinstance(item, list) else [item]
    if isinstance(item, list) and not param.multiple:
        raise click.UsageError(f"{path}: {key} takes one value, not a list")
    for each in items:
        if not isinstance(each, PLAIN) or (isinstance(each, str) and "\0" in each):
            raise click.UsageError(f"{path}: {key} can't be {each!r}")
        if isinstance(param.type, click.types.IntParamType) and isinstance(each, float):
            raise click.UsageError(f"{path}: {key} takes a whole number, not {each!r}")
        if isinstance(each, bool) != bool(param.is_flag):
            wanted = "true or false" if param.is_flag else "a value"
            raise click.UsageError(f"{path}: {key} takes {wanted}, not {each!r}")
    return [str(each) for each in items] if param.multiple else item
