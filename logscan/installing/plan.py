"""What an installation comes to on a machine: files, and the commands around them. Nothing is written or run here."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Literal

from logscan.installing.access import Access, Hidden, Place, advice, granted, letters, shut_by
from logscan.installing.machine import CRON, CRON_FOLDER, ON_PATH, SETTINGS, TIMER, UNITS, Machine
from logscan.installing.presetting import missing, preset
from logscan.installing.quoting import Unquotable, cron_command, unit_command, unit_word, with_values
from logscan.installing.templates import template
from logscan.store.folders import STATE

USER = "logscan"
"""Who analyses: an account that owns nothing but the state."""

READERS_ANYWHERE = frozenset({"adm", "systemd-journal"})
"""Groups that may read the journal, and the logs that Debian's loggers write."""

CACHE = "/var/cache/logscan"
"""Where matplotlib keeps what it found out about fonts; without it, it complains every morning."""

SHARE = "/usr/local/share"
"""Where man and the shells look for what isn't the distribution's."""

SYSUSERS = "/etc/sysusers.d/logscan.conf"

AFTER_TIMER = (6, 40)
"""When to run where a timer rotates at midnight: long after that, and before people come to work."""

WAITS = 35
"""Minutes to wait behind cron.daily: on Debian without systemd, apt's job in it sleeps for up to 30 before logrotate's turn."""

OVERDUE = "4h"
"""How old the last run may be when the mail is sent: the analysis may take three hours (TimeoutStartSec)."""

ADDRESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9.!#&'*+/=?^_`{|}~-]*(?:@[A-Za-z0-9.-]+|@\[[0-9A-Fa-f:.]+\])?")
"""An address, or the name of an account here, for which sendmail knows the domain."""


class CantInstall(Exception):  # noqa: N818 - it says why not
    """It can't be installed as asked; the message says what to change."""


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    how: Literal["systemd", "cron"]
    program: tuple[str, ...]
    """What starts logscan, the absolute path first."""
    mail_to: tuple[str, ...] = ()
    state: str = str(STATE)
    sources: tuple[str, ...] = ()
    """Logs elsewhere than at the usual places; absolute."""


@dataclass(frozen=True)
class File:
    """A file to write."""

    path: str
    content: str
    why: str
    ours: bool = True
    """False: the administrator's, once it is there; it is never written again."""
    kept: bool = True
    """Whether another version of it is kept beside it; a shell would read that one too, and nobody writes it by hand."""


@dataclass(frozen=True)
class Aside:
    """A file of another way of installing, which would run logscan a second time: it is renamed."""

    path: str
    why: str


@dataclass(frozen=True)
class Command:
    """A command to run."""

    words: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        """Return it as a shell takes it."""
        return shlex.join(self.words)


Step = File | Aside | Command


@dataclass(frozen=True)
class Plan:
    """What to do, in order, and what has to be known of it."""

    steps: tuple[Step, ...]
    access: Access
    when: str
    """When it will run, and why then."""
    warnings: tuple[str, ...] = field(default=())
    """What stays blind or won't work, with what mends it."""
    nothing_to_read: bool = False
    """The own user can read none of the log."""


def planned(
    machine: Machine,
    wish: Wish,
    programs: Sequence[Place],
    sample: str,
    shared: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Return the plan; ``programs`` are places that the own user has to reach, ``sample`` the settings with all options.

    ``shared`` are texts by where they go below :data:`SHARE`. Raises :class:`CantInstall`.
    """
    _checked(machine, wish)
    for each in programs:
        if found := shut_by(each, frozenset()):
            raise CantInstall(advice(Hidden(each, found[0], letters(found[1])), USER, machine.groups))
    access = granted([*machine.logs, *machine.dspam, *machine.configuration], machine.groups, machine.users, USER)
    groups = list(access.groups)
    if not machine.logs and not wish.sources:  # the journal is read, until there is a log
        groups = sorted({*groups, *(READERS_ANYWHERE & set(machine.groups.values()))})
    access = Access(tuple(groups), access.hidden)
    hour, minute, when = time_of(machine)
    try:
        make = _systemd if wish.how == "systemd" else _cron
        steps = make(machine, wish, access, hour, minute)
    except Unquotable as error:
        raise CantInstall(str(error)) from None
    hidden = {place.path for place in (each.place for each in access.hidden)}
    logs = [each for each in machine.logs if not each.entry.folder] or machine.logs
    nothing = bool(logs) and all(each.path in hidden for each in logs)
    if SETTINGS not in machine.installed:
        text = preset(sample, *_presets(machine, wish))
        steps = (File(SETTINGS, text, "settings: yours from now on, setup never writes over them", ours=False), *steps)
    steps = (*steps, *_for_people(machine, wish, shared))
    return Plan(steps, access, when, tuple(_warnings(machine, wish, access)), nothing)


def _for_people(machine: Machine, wish: Wish, shared: Mapping[str, str]) -> list[Step]:
    """Return what makes ``logscan`` a command like others: on the path, with a manual page and completion."""
    steps: list[Step] = [
        File(f"{SHARE}/{path}", text, "the manual page, completion in shells", kept=False)
        for path, text in shared.items()
    ]
    if not machine.on_path and len(wish.program) == 1:
        steps.append(Command(("ln", "-s", wish.program[0], ON_PATH[0]), "logscan as a command for everybody"))
    return steps


def time_of(machine: Machine) -> tuple[int, int, str]:
    """Return hour and minute, and a sentence that says why then: behind the rotation of the logs."""
    if machine.logrotate_timer or machine.cron_daily is None:
        hour, minute = AFTER_TIMER
        timer = "logrotate.timer rotates the logs shortly after midnight"
        rotated = timer if machine.logrotate_timer else "when the logs are rotated isn't known"
        return hour, minute, f"at {hour:02}:{minute:02}: {rotated}; yesterday is complete at any time after midnight"
    daily = machine.cron_daily[0] * 60 + machine.cron_daily[1]
    at = (daily + WAITS) % (24 * 60)
    hour, minute = divmod(at, 60)
    rotated = f"cron.daily rotates the logs at {daily // 60:02}:{daily % 60:02} or up to half an hour later"
    return hour, minute, f"at {hour:02}:{minute:02}: {rotated}"


def _checked(machine: Machine, wish: Wish) -> None:
    for address in wish.mail_to:
        if not ADDRESS.fullmatch(address):
            raise CantInstall(f"{address!r} is no plain mail address: write root or name@example.org")
    if not wish.state.startswith("/") or posixpath.normpath(wish.state) in ("/", "/var", "/var/lib", "/etc", "/usr"):
        raise CantInstall(f"--state {wish.state}: name a folder of its own, from the root: {STATE}")
    if wish.how == "systemd" and not machine.systemd:
        raise CantInstall("systemd isn't running here: --cron")
    if wish.how == "cron" and not machine.cron:
        raise CantInstall(f"there is no {CRON_FOLDER}, so no cron that reads it: install cron, or --systemd")


def _presets(machine: Machine, wish: Wish) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the settings say from the first day on: at the top, and below ``[daily]``.

    Logs that were named may be another host's: then this one's DSPAM isn't theirs.
    """
    top = {"dspam-home": machine.dspam[0].path} if machine.dspam and not wish.sources else {}
    return top, {"mail-to": list(wish.mail_to)} if wish.mail_to else {}


def _daily(wish: Wish, *more: str, state: bool) -> list[str]:
    """Return the command of the daily run."""
    named = ["--state", wish.state] if state else []
    return [
        *wish.program,
        "daily",
        *more,
        *named,
        *(["--", *wish.sources] if wish.sources and "--send-only" not in more else []),
    ]


def _account(machine: Machine, wish: Wish, groups: Sequence[str]) -> list[Step]:
    """Return the steps that make the own user; ``groups`` it is put into by name, where no unit gives them."""
    why = f"an account of its own, {USER}, which may read the logs and write its state"
    steps: list[Step] = []
    if machine.systemd:
        text = template("logscan.sysusers").replace(str(STATE), _sysusers_word(wish.state))
        text += "".join(f"m {USER} {group}\n" for group in groups)
        return [File(SYSUSERS, text, why), Command(("systemd-sysusers", SYSUSERS), "make that account")]
    if USER not in machine.users.values():
        made = ("useradd", "--system", "--user-group", "--home-dir", wish.state, "--no-create-home")
        steps.append(Command((*made, "--shell", "/usr/sbin/nologin", USER), why))
    if groups:
        steps.append(Command(("usermod", "--append", "--groups", ",".join(groups), USER), "who may read the logs"))
    return steps


def _sysusers_word(path: str) -> str:
    """Return a path as sysusers.d takes it, which knows fewer quotes."""
    if not re.fullmatch(r"[A-Za-z0-9_@+=:,./-]+", path):
        raise Unquotable(
            f"{path!r} can't be an account's home: a state folder is named with letters, digits, '.', '_', '-'"
        )
    return path


def _systemd(machine: Machine, wish: Wish, access: Access, hour: int, minute: int) -> tuple[Step, ...]:
    normal = posixpath.normpath(wish.state)
    below = normal.startswith("/var/lib/")
    state: dict[str, str | None] = {"StateDirectory": unit_word(normal.removeprefix("/var/lib/"), expanded=False)}
    steps: list[Step] = _account(machine, wish, ())
    if not below:
        state = {
            "StateDirectory": None,
            "StateDirectoryMode": f"0700\nReadWritePaths={unit_word(normal, expanded=False)}",
        }
        steps.append(
            Command(
                ("install", "-d", "-o", USER, "-g", USER, "-m", "0700", normal), "the state, which only it may read"
            )
        )
    home = _home(wish, machine)
    named = normal != str(STATE)
    analysis = with_values(
        template("logscan.service"),
        {
            "ExecStart": unit_command(_daily(wish, "--no-send", state=named)),
            "SupplementaryGroups": " ".join(access.groups) or None,
            "ProtectHome": home,
            **state,
        },
    )
    mail = with_values(
        template("logscan-mail.service"),
        {
            "ExecStart": unit_command(_daily(wish, "--send-only", "--overdue", OVERDUE, state=named)),
            "ProtectHome": home,
            **state,
        },
    )
    timer = with_values(template("logscan.timer"), {"OnCalendar": f"*-*-* {hour:02}:{minute:02}:00"})
    if CRON in machine.installed:
        steps.append(Aside(CRON, "cron would run it a second time"))
    return (
        *steps,
        File(f"{UNITS}/logscan.service", analysis, "the analysis: reads logs, reaches nothing else, fills the outbox"),
        File(f"{UNITS}/logscan-mail.service", mail, "sends what lies in the outbox"),
        File(TIMER, timer, "starts both every morning"),
        Command(("systemctl", "daemon-reload"), "systemd reads the new units"),
        Command(("systemctl", "enable", "--now", "logscan.timer"), "from now on"),
    )


def _home(wish: Wish, machine: Machine) -> str:
    """Return what the units see of people's homes: nothing, unless something that they need lies there."""
    needed = (wish.state, *wish.sources, *wish.program, *(each.path for each in machine.dspam))
    inside = any(PurePosixPath(each).is_relative_to(home) for each in needed for home in ("/home", "/root"))
    return "read-only" if inside else "yes"


def _cron(machine: Machine, wish: Wish, access: Access, hour: int, minute: int) -> tuple[Step, ...]:
    command = cron_command(_daily(wish, "--quiet", state=True))
    lines = template("logscan.cron").splitlines()
    lines[-1] = f"{minute} {hour} * * * {USER} {command}"
    steps: list[Step] = []
    if TIMER in machine.installed:
        steps.append(
            Command(("systemctl", "disable", "--now", "logscan.timer"), "the timer would run it a second time")
        )
    return (
        *_account(machine, wish, access.groups),
        Command(
            ("install", "-d", "-o", USER, "-g", USER, "-m", "0700", wish.state, CACHE),
            "the state, which only it may read",
        ),
        *steps,
        File(CRON, "\n".join(lines) + "\n", "starts it every morning"),
    )


def _warnings(machine: Machine, wish: Wish, access: Access) -> list[str]:
    found = [advice(each, USER, machine.groups) for each in access.hidden]
    if not machine.logs and not machine.journal:
        what = "no log at the places named" if wish.sources else "no mail log in /var/log, and no journal"
        found.append(f"there is {what} yet: until there is one, the report says that there was nothing to read")
    if wish.mail_to and not machine.sendmail:
        found.append(
            f'there is no sendmail here: name a server that takes mail in {SETTINGS}, smtp = "mail.example.org"'
        )
    if SETTINGS in machine.installed:
        lines = missing(machine.settings, *_presets(machine, wish))
        found += [f"{SETTINGS} is there and stays as it is: write {line}" for line in lines]
    elif not wish.mail_to:
        found.append(f"nobody is named to mail the report to: --mail-to, or mail-to in {SETTINGS}")
    if wish.sources:
        found.append(
            "logs were named, which may be another host's: if they are this one's, name its configuration and DSPAM's home in "
            f'{SETTINGS}, config = ["/etc/postfix/main.cf", "/etc/postfix/master.cf"] and dspam-home'
        )
    if wish.how == "cron" and "dspam" in access.groups:
        found.append(
            f"with cron, {USER} may also write in DSPAM's home, being in its group; the units of --systemd let it read only"
        )
    return found
