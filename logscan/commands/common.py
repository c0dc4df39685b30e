"""What commands share: the options that say what to read and how, times as people write them, progress."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from logscan.scan import Scan

SETTINGS = ("logscan.toml", "~/.config/logscan/logscan.toml", "/etc/logscan/logscan.toml")
"""Where settings are looked for, the first one counts."""


def load_settings(ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path | None:
    """Make a settings file the options' defaults: the same names, ``local-domain = ["example.com"]``.

    Names may stand at the top or in a table of the command's name. Raises :class:`click.UsageError` with the file's name
    for what can't be read and for names that are no options.
    """
    import tomllib

    places = [value] if value else [Path(place).expanduser() for place in SETTINGS]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        if value:
            raise click.UsageError(f"{value}: there is no such settings file")
        return None
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.UsageError(f"{path}: {error}") from None
    names = {option.lstrip("-"): param.name for param in ctx.command.params for option in param.opts}
    own = content.get(ctx.info_name or "", {})
    flat = {key: item for key, item in content.items() if not isinstance(item, dict)} | (
        own if isinstance(own, dict) else {}
    )
    defaults = {}
    for key, item in flat.items():
        if key not in names:
            if key in own:
                raise click.UsageError(
                    f"{path}: {key!r} is no option of {ctx.info_name}; see logscan {ctx.info_name} --help"
                )
            continue
        defaults[str(names[key])] = item
    ctx.default_map = {**(ctx.default_map or {}), **defaults}
    return path


READING = (
    click.option("--settings", type=click.Path(path_type=Path), metavar="FILE", is_eager=True, expose_value=False,
                 callback=load_settings, help="Settings file; default: logscan.toml here, in ~/.config/logscan or /etc/logscan."),
    click.option("--since", metavar="TIME", help="From this time on: 2026-11-22, '2026-11-22 07:00', yesterday, -2h."),
    click.option("--until", metavar="TIME", help="Up to, but without, this time."),
    click.option("--timezone", metavar="ZONE", help="Zone of stamps without one: Europe/Berlin, +02:00."),
    click.option("--year", type=click.IntRange(1970, 9999), help="Year of the last line, for stamps without one."),
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
    """Read a time as people write it, in ``zone``; raises :class:`click.BadParameter`, which lists the forms.

    Without a zone, a time of day stays without one: it is the server's, which the logs tell.
    """
    from logscan.clock import host_timezone

    now = now or datetime.now(zone or host_timezone())
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=zone)
    words = {
        "now": now,
        "today": midnight,
        "yesterday": midnight - timedelta(days=1),
        "tomorrow": midnight + timedelta(days=1),
    }
    low = text.strip().lower()
    if low in words:
        return words[low]
    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    if low[:1] == "-" and low[1:-1].isdigit() and low[-1] in units and len(low) < 10:
        return now - timedelta(**{units[low[-1]]: int(low[1:-1])})
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time; write 2026-11-22, '2026-11-22 07:00', today, yesterday, -30m, -2h or -3d"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=zone)


def pairs(texts: tuple[str, ...], what: str) -> dict[str, str]:
    """Split ``A=B`` texts; raises :class:`click.BadParameter`."""
    out = {}
    for text in texts:
        name, sign, value = text.rpartition("=")
        if not sign or not name or not value:
            raise click.BadParameter(f"{text!r}: write {what}")
        out[name] = value
    return out


def scan_of(sources: tuple[str, ...], reading: dict[str, Any]) -> Scan:
    """Read and correlate what the options say."""
    from logscan.clock_zones import named
    from logscan.options import Options
    from logscan.pipeline import read

    zone_text = reading["timezone"]
    zone = named(zone_text) if zone_text else None
    if zone_text and zone is None:
        raise click.BadParameter(
            f"{zone_text!r} is no time zone; give a name such as Europe/Berlin or an offset such as +02:00",
            param_hint="--timezone",
        )
    ports = pairs(reading["services"], "NAME=PORT, e.g. postfix/smtpd=25")
    for name, port in ports.items():
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise click.BadParameter(f"{name}={port}: a port is a number from 1 to 65535", param_hint="--service")
    times = {key: moment(reading[key], zone) if reading[key] else None for key in ("since", "until")}
    options = Options(
        since=times["since"],
        until=times["until"],
        local_domains=reading["local_domains"],
        services={name: int(port) for name, port in ports.items()},
        host_aliases=pairs(reading["host_aliases"], "A=B"),
    )
    progress = None if reading["quiet"] or reading["no_progress"] or not sys.stderr.isatty() else Progress()
    try:
        return read(
            *sources,
            config=reading["config"],
            dspam_home=reading["dspam_home"],
            year=reading["year"],
            timezone=zone_text,
            jobs=reading["jobs"],
            options=options,
            progress=progress,
            stdin=sys.stdin.buffer if "-" in sources else None,
        )
    finally:
        if progress:
            progress.done()


class Progress:
    """A line on stderr for what takes longer than a second: bytes, lines and rate."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.shown = 0.0

    def __call__(self, done: int, lines: int, total: int) -> None:
        """Show how far it is, at most five times a second."""
        now = time.monotonic()
        if now - self.start > 1 and now - self.shown > 0.2:
            self.shown = now
            rate = lines / (now - self.start)
            left = f", {(total - done) * (now - self.start) / done:.0f} s left" if total > done > 0 else ""
            shown = f"{done / 1e6:,.0f} MB, {lines:,} lines, {rate:,.0f} lines/s{left}"
            click.echo(f"\r{shown:<70}", err=True, nl=False)

    def done(self) -> None:
        """Clear the line."""
        if self.shown:
            click.echo("\r" + " " * 70 + "\r", err=True, nl=False)


def complain(scan: Scan, quiet: bool) -> int:
    """Say on stderr what couldn't be read; returns the exit status (0 or 3)."""
    for path, message in scan.errors:
        click.echo(f"logscan: {path}: {message}", err=True)
    lines = sum(read.lines for read in scan.sources)
    if not lines and not scan.named:
        click.echo(
            "logscan: no mail log on this host (/var/log/mail.log*, /var/log/maillog*, the journal): name a file or a folder",
            err=True,
        )
        return 3
    known = sum(read.understood + read.noise for read in scan.sources)
    if lines and not known:
        click.echo(
            f"logscan: not one of {lines} lines was recognised: is this a mail log? `logscan formats` lists what is known, "
            "`logscan formats --check FILE` shows how each line is read",
            err=True,
        )
        return 3
    if not quiet:
        for note in scan.notes:
            click.echo(f"logscan: note: {note}", err=True)
    return 3 if scan.errors else 0
