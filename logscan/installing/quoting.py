"""Words in a systemd unit and in a crontab line: quoted so that they mean themselves, or refused."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
"""What means itself in a unit. An asterisk does too, but isn't needed often."""

LONGEST_LINE = 900
"""Bytes of a command in a crontab; cron cuts, or refuses, what has 1000."""


class Unquotable(ValueError):  # noqa: N818 - it says what is wrong with the word
    """A word that can't stand there; the message says which, and why."""


def _refused(word: str) -> None:
    if not word.isprintable():
        raise Unquotable(f"{word!r} holds a character that can't be printed: give it another name")
    if not word:
        raise Unquotable("an empty word can't be meant")


def unit_word(word: str, *, expanded: bool = True) -> str:
    """Return a word for a unit file; ``expanded``: in a command line, where ``$`` stands for a variable.

    Raises :class:`Unquotable` for line ends and other characters that can't be printed.
    """
    _refused(word)
    if PLAIN.fullmatch(word):
        return word
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text.replace("$", "$$") if expanded else text}"'


def unit_command(words: Sequence[str]) -> str:
    """Return a command for ``ExecStart=``. Its program must be an absolute path without quotes, ``$`` and prefixes.

    Raises :class:`Unquotable`.
    """
    program, *rest = words
    _refused(program)
    if not program.startswith("/") or any(sign in program for sign in "$\"'\\"):
        raise Unquotable(f"{program!r} can't be started by systemd: install logscan in a path without quotes and '$'")
    return " ".join([unit_word(program, expanded=False), *(unit_word(word) for word in rest)])


def cron_command(words: Sequence[str]) -> str:
    """Return a command for a crontab, which hands it to ``/bin/sh`` after it has looked for ``%``.

    Raises :class:`Unquotable`, also for backslashes, of which crons make different things, and for what is too long.
    """
    for word in words:
        _refused(word)
        if "\\" in word:
            raise Unquotable(
                f"{word!r} holds a backslash, which crons read in different ways: use systemd, or rename it"
            )
    line = shlex.join(words).replace("%", "\\%")
    if len(line.encode()) > LONGEST_LINE:
        raise Unquotable(f"the command has {len(line.encode())} bytes, and cron takes fewer than 1000: name folders")
    return line


def with_values(text: str, values: dict[str, str | None]) -> str:
    """Return a unit with other values of some settings, in each line ``NAME=``; None takes the lines away.

    Raises :class:`KeyError` for a setting that the unit doesn't have: it would be lost without a word.
    """
    left, out = set(values), []
    for line in text.splitlines():
        name, sign, _ = line.partition("=")
        if sign and name in values:
            left.discard(name)
            value = values[name]
            if value is None:
                continue
            line = f"{name}={value}"  # noqa: PLW2901 - the line, as it shall be
        out.append(line)
    if left:
        raise KeyError(f"the unit has no {', '.join(sorted(left))}")
    return "\n".join(out) + "\n"
