"""What the machine is like that the daily run is installed on: read from its files below a root folder, and nothing else."""

from __future__ import annotations

import glob
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from logscan.installing.access import ACL, Entry, Kind, Place, Rule, rules
from logscan.sources.finding import DEFAULT_LOGS

JOURNALS = ("/var/log/journal", "/run/log/journal")
SENDMAIL = ("/usr/sbin/sendmail", "/usr/lib/sendmail")
DSPAM_CONF = (
    "/etc/dspam/dspam.conf",
    "/etc/dspam.conf",
    "/usr/local/etc/dspam.conf",
    "/usr/local/etc/dspam/dspam.conf",
)
CONFIGURATION = (
    "/etc/postfix/main.cf",
    "/etc/postfix/master.cf",
    "/etc/dovecot/dovecot.conf",
    "/etc/dovecot/conf.d/*.conf",
)
LOGROTATE_TIMERS = (
    "/lib/systemd/system/logrotate.timer",
    "/usr/lib/systemd/system/logrotate.timer",
    "/etc/systemd/system/logrotate.timer",
)
CRON_FOLDER = "/etc/cron.d"
CRON = f"{CRON_FOLDER}/logscan"
UNITS = "/etc/systemd/system"
TIMER = f"{UNITS}/logscan.timer"
SETTINGS = "/etc/logscan/logscan.toml"
ON_PATH = ("/usr/local/bin/logscan", "/usr/bin/logscan")
SYSTEMD_RUNS = "/run/systemd/system"
SYSTEMD_IS_THERE = (SYSTEMD_RUNS, "/lib/systemd/systemd", "/usr/lib/systemd/systemd")

MOST_FILES = 200
"""Files of a folder that are looked at: they are mostly alike."""

MOST_TEXT = 1 << 20
"""Bytes of a file that is read for what it says."""

HOME = re.compile(r"^[ \t]*Home[ \t]+(/\S*(?:[ \t]+\S+)*?)[ \t]*$", re.MULTILINE | re.IGNORECASE)
CRON_DAILY = re.compile(
    r"^[ \t]*(\d{1,2})[ \t]+(\d{1,2})[ \t]+\*[ \t]+\*[ \t]+\*[ \t]+root[ \t].*cron\.daily", re.MULTILINE
)


@dataclass(frozen=True)
class Machine:
    """What was found. Paths are as on the machine itself, without the root folder that it was read in."""

    logs: tuple[Place, ...]
    """The mail log's files, or the ones that were named."""
    journal: bool
    """The journal is what is read: there is no mail log."""
    zone: str
    """The time zone's name; empty where none is set."""
    sendmail: str
    """The program that takes mail; empty where there is none."""
    dspam: tuple[Place, ...]
    """DSPAM's home, where it has one here."""
    configuration: tuple[Place, ...]
    """What Postfix and Dovecot are set up by, and dspam.conf."""
    groups: Mapping[int, str]
    users: Mapping[int, str]
    systemd: bool
    """systemd is there to be used."""
    cron: bool
    logrotate_timer: bool
    """logrotate runs by a timer of systemd, just after midnight."""
    cron_daily: tuple[int, int] | None
    """Hour and minute at which cron runs the daily jobs, logrotate among them; None where it says no time."""
    on_path: bool = True
    """``logscan`` is a command that everybody finds."""
    installed: frozenset[str] = frozenset()
    """Files of earlier installations that are there."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What /etc/logscan/logscan.toml says, where it is there and can be read."""


def detected(root: Path, sources: Sequence[str] = ()) -> Machine:
    """Look at the machine below ``root``; ``sources`` are files, folders and patterns of logs that were named."""
    files = _Files(root)
    logs = tuple(files.places("log", sources or DEFAULT_LOGS))
    dspam_conf = next((path for path in DSPAM_CONF if files.there(path)), "")
    home = files.found_in(dspam_conf, HOME) or "/var/spool/dspam"
    configuration = [path for path in (*CONFIGURATION, dspam_conf) if path]
    running = files.there(SYSTEMD_RUNS) if root == Path("/") else any(files.there(each) for each in SYSTEMD_IS_THERE)
    daily = CRON_DAILY.search(files.text("/etc/crontab"))
    minute, hour = (int(daily[1]), int(daily[2])) if daily else (0, 0)
    return Machine(
        logs=logs,
        journal=not logs and not sources and any(files.there(each) for each in JOURNALS),
        zone=files.zone(),
        sendmail=next((path for path in SENDMAIL if files.there(path)), ""),
        dspam=tuple(files.places("dspam", [glob.escape(home), f"{glob.escape(home)}/data"])),
        configuration=tuple(files.places("config", configuration)),
        groups=files.names("/etc/group"),
        users=files.names("/etc/passwd"),
        systemd=running,
        cron=files.there(CRON_FOLDER),
        logrotate_timer=running and any(files.there(each) for each in LOGROTATE_TIMERS),
        cron_daily=(hour, minute) if daily and hour < 24 and minute < 60 else None,
        on_path=any(files.there(path) for path in ON_PATH),
        installed=frozenset(path for path in (CRON, TIMER, SETTINGS) if files.there(path)),
        settings=files.settings(),
    )


def place(kind: Kind, path: str, root: Path = Path("/")) -> Place | None:
    """Return a place with the folders above it, links followed; None where there is no such thing."""
    files = _Files(root)
    return next(iter(files.places(kind, [glob.escape(path)])), None)


class _Files:
    """The files of a machine whose root lies somewhere."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def there(self, path: str) -> bool:
        try:
            return self.at(path).exists() or self.at(path).is_symlink()
        except OSError:
            return False

    def text(self, path: str) -> str:
        """Return what a file says; nothing where it isn't there."""
        if not path:
            return ""
        try:
            if not self.at(path).is_file():
                return ""
            with self.at(path).open("rb") as file:
                return file.read(MOST_TEXT).decode("utf-8", "replace")
        except OSError:
            return ""

    def found_in(self, path: str, pattern: re.Pattern[str]) -> str:
        found = pattern.search(self.text(path))
        return found[1] if found else ""

    def places(self, kind: Kind, patterns: Sequence[str]) -> list[Place]:
        """Return what patterns match, each with the folders above it."""
        out: dict[str, Place] = {}
        for pattern in patterns:
            if "://" in pattern or pattern in ("-", "journal:"):
                continue
            literal = glob.escape(pattern) if self.there(pattern) else pattern
            for name in sorted(glob.glob(literal.lstrip("/"), root_dir=self.root)):  # noqa: PTH207 - links stay
                for path in (f"/{name}", *(self._inside(f"/{name}") if kind == "log" else ())):
                    way = self._way(path)
                    if way:
                        out.setdefault(path, Place(kind, way))
        return list(out.values())

    def _inside(self, path: str) -> list[str]:
        """Return the files of a folder of logs; none of a file."""
        try:
            found = sorted(each.name for each in self.at(path).iterdir() if each.is_file())
        except OSError:
            return []
        return [f"{path.rstrip('/')}/{name}" for name in found[:MOST_FILES]]

    def _way(self, path: str) -> tuple[Entry, ...]:
        """Return each folder above a path and itself, as a reader meets them: those of a link's target come behind."""
        real = os.path.realpath(self.at(path))
        inside = os.path.realpath(self.root)
        target = f"/{os.path.relpath(real, inside)}" if real.startswith(inside.rstrip("/") + "/") else path
        out: dict[str, Entry] = {}
        for each in dict.fromkeys((path, target)):
            parts = Path(each).parts
            for end in range(1, len(parts) + 1):
                step = str(Path(*parts[:end]))
                try:
                    status = self.at(step).stat()
                except OSError:
                    return ()
                out[step] = Entry(step, status.st_mode, status.st_uid, status.st_gid, self._rules(step))
        ends = {path, target}
        return (*(entry for step, entry in out.items() if step not in ends), replace(out[target], path=path))

    def _rules(self, path: str) -> tuple[Rule, ...]:
        try:
            return rules(os.getxattr(self.at(path), ACL))
        except (OSError, AttributeError):  # none, or a file system without
            return ()

    def zone(self) -> str:
        link = self.at("/etc/localtime")
        try:
            name = str(link.readlink()).partition("zoneinfo/")[2] if link.is_symlink() else ""
        except OSError:
            name = ""
        return name or self.text("/etc/timezone").strip().partition("\n")[0]

    def settings(self) -> dict[str, Any]:
        """Return what the settings say; nothing where they can't be read."""
        try:
            return tomllib.loads(self.text(SETTINGS))
        except (tomllib.TOMLDecodeError, RecursionError):
            return {}

    def names(self, path: str) -> dict[int, str]:
        """Return the names of /etc/passwd or /etc/group by number; the first of a number counts."""
        found: dict[int, str] = {}
        for line in self.text(path).splitlines():
            parts = line.split(":")
            if len(parts) > 2 and parts[2].isascii() and parts[2].isdigit():
                found.setdefault(int(parts[2]), parts[0])
        return found
