"""What commands share: the options that say what to read and how, times as people write them, progress."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from logscan import console
from logscan.clocks import moments
from logscan.clocks.moments import NEWEST, OLDEST, whole
from logscan.commands.progress import Progress
from logscan.commands.settings_file import LIMITS, SUPPRESSIONS, load_settings

READING = (
    click.option("--settings", type=click.Path(path_type=Path), metavar="FILE", is_eager=True, expose_value=False,
                 callback=load_settings,
                 help="Settings file; default: logscan.toml here (not for root), in ~/.config/logscan or /etc/logscan."),
    click.option("--since", metavar="TIME", help="From this time on: 2026-11-22, '2026-11-22 07:00', yesterday, -2h."),
    click.option("--until", metavar="TIME", help="Up to, but without, this time."),
    click.option("--timezone", metavar="ZONE", help="Zone of stamps without one: Europe/Berlin, +02:00."),
    click.option("--year", type=click.IntRange(OLDEST, NEWEST), help="Year of the last line, for stamps without one."),
    click.option("--config", "config", multiple=True, type=click.Path(path_type=Path), metavar="PATH",
                 help="Configuration beside the logs: a file or a folder; repeatable."),
    click.option("--dspam-home", type=click.Path(path_type=Path, file_okay=False), metavar="PATH",
                 help="DSPAM's home on this host."),
    click.option("--local-domain", "local_domains", multiple=True, metavar="DOMAIN",
                 help="A domain whose mailboxes are here; repeatable."),
    click.option("--service", "services", multiple=True, metavar="NAME=PORT",
                 help="The port behind a service's log name, e.g. 'postfix/smtpd=25'; repeatable."),
    click.option("--host-alias", "host_aliases", multiple=True, metavar="A=B", help="Host A is host B; repeatable."),
    click.option("--jobs", type=click.IntRange(1, 256), help="Worker processes; the default suits the logs' size."),
    click.option("--quiet", "-q", is_flag=True, help="No notes and no progress on stderr."),
    click.option("--no-progress", is_flag=True, help="No progress on stderr."),
)  # fmt: skip


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of :data:`READING`; the command gets them as one dictionary, ``reading``."""
    names = ("since", "until", "timezone", "year", "config", "dspam_home", "local_domains", "services", "host_aliases",
             "jobs", "quiet", "no_progress")  # fmt: skip

    @functools.wraps(command)
    def inner(**kwargs: Any) -> Any:
        reading = {name: kwargs.pop(name) for name in names}
        return command(reading=reading, **kwargs)

    for option in reversed(READING):
        inner = option(inner)
    return inner


def moment(text: str, zone: Any, now: datetime | None = None) -> datetime:
    """Read a time as people write it (:func:`logscan.clocks.moments.moment`); raises :class:`click.BadParameter`."""
    try:
        return moments.moment(text, zone, now)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def pairs(texts: tuple[str, ...], what: str) -> dict[str, str]:
    """Split ``A=B`` texts; raises :class:`click.BadParameter`."""
    out = {}
    for text in texts:
        name, sign, value = text.rpartition("=")
        if not sign or not name or not value:
            raise click.BadParameter(f"{text!r}: write {what}")
        out[name] = value
    return out


@contextmanager
def reading_of(sources: tuple[str, ...], reading: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the arguments of ``logscan.read`` and ``logscan.stream`` that the options say; progress shows meanwhile."""
    from logscan.clocks.zones import named
    from logscan.scan.options import Options

    zone_text = reading["timezone"]
    zone = named(zone_text) if zone_text else None
    if zone_text and zone is None:
        raise click.BadParameter(
            f"{zone_text!r} is no time zone; give a name such as Europe/Berlin or an offset such as +02:00",
            param_hint="--timezone",
        )
    ports = pairs(reading["services"], "NAME=PORT, e.g. postfix/smtpd=25")
    for name, port in ports.items():
        if not whole(port, 65535):
            raise click.BadParameter(f"{name}={port}: a port is a number from 1 to 65535", param_hint="--service")
    times = {key: moment(reading[key], zone) if reading[key] else None for key in ("since", "until")}
    context = click.get_current_context(silent=True)
    said = context.meta if context is not None else {}
    options = Options(
        since=times["since"],
        until=times["until"],
        local_domains=reading["local_domains"],
        services={name: int(port) for name, port in ports.items()},
        host_aliases=pairs(reading["host_aliases"], "A=B"),
        limits=said.get(LIMITS, {}),
        suppressions=said.get(SUPPRESSIONS, ()),
    )
    shown = not reading["quiet"] and not reading["no_progress"] and console.on_terminal()
    progress = Progress() if shown else None
    try:
        yield {
            "config": reading["config"],
            "dspam_home": reading["dspam_home"],
            "year": reading["year"],
            "timezone": zone_text,
            "jobs": reading["jobs"],
            "options": options,
            "progress": progress,
            "stdin": console.standard_input() if "-" in sources else None,
        }
    finally:
        if progress:
            progress.done()
