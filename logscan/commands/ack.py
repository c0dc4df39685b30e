"""``logscan ack``: a finding of the daily report is known, until a day and for a reason."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from logscan import console
from logscan.commands import completing
from logscan.commands.state import opened, state_option, wait_option

if TYPE_CHECKING:
    from logscan.store.model import Acknowledgement, Remembered

LONGEST = 3650
"""Days that an acknowledgement may last with an end: further off, it has none."""

MOST_WHY = 500
MOST_NAMED = 8


_SPAN = re.compile(r"\+?(\d{1,5})([dw])", re.ASCII)


@click.command("ack")
@click.argument("finding", required=False, metavar="[FINDING]", shell_complete=completing.findings)
@click.option("--until", metavar="DATE", help="The last day it holds: 2026-12-31, +30d, +6w. Default: for good.")
@click.option("--why", default="", metavar="TEXT", help="Why the finding may stay, for whoever reads the report.")
@click.option("--remove", is_flag=True, help="Take an acknowledgement back.")
@click.option("--list", "listed", is_flag=True, help="List the findings that are known, and what is acknowledged.")
@wait_option
@state_option
def command(
    finding: str | None, until: str | None, why: str, remove: bool, listed: bool, folder: Path, wait: float
) -> None:
    """Acknowledge a finding of the daily report: it is shown as such from the next report on, and counts for nothing.

    FINDING is its id as the report has it, or the beginning of it. It is never hidden: reports show it with the reason until it
    is gone, and when the acknowledgement ends it counts again. For findings by pattern, use [[suppress]] in logscan.toml.
    """
    if listed == (finding is not None):
        raise click.UsageError("name one finding by its id, or ask for them with --list")
    if listed and (remove or until or why):
        raise click.UsageError("--list goes with none of --remove, --until and --why")
    if remove and (until or why):
        raise click.UsageError("--remove goes with neither --until nor --why")
    today = date.today()
    if listed:
        _list(folder, today)
    elif remove:
        _remove(folder, wait, finding or "")
    else:
        _acknowledge(folder, wait, finding or "", "" if until is None else day_of(until, today), reason_of(why))


def day_of(text: str, today: date) -> str:
    """Return the day that ``text`` means, as ``2026-12-31``; raises :class:`click.BadParameter`."""
    span = _SPAN.fullmatch(text.strip())
    days = int(span[1]) * (7 if span[2] == "w" else 1) if span else 0
    try:
        day = today + timedelta(days=min(days, LONGEST + 1)) if span else date.fromisoformat(text.strip())
    except ValueError:
        raise click.BadParameter(f"{text!r} is no day; write 2026-12-31, +30d or +6w", param_hint="--until") from None
    if day < today:
        raise click.BadParameter(f"{day} is past", param_hint="--until")
    if day > today + timedelta(days=LONGEST):
        raise click.BadParameter(f"{text!r} is more than ten years off: leave --until away", param_hint="--until")
    return day.isoformat()


def reason_of(text: str) -> str:
    """Return the reason on one line; raises :class:`click.BadParameter` for one that is too long."""
    # What the shell gave and is no UTF-8 is kept as visible escapes.
    line = " ".join(text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").split())
    if len(line) > MOST_WHY:
        raise click.BadParameter(f"{len(line)} characters are too many: {MOST_WHY} at most", param_hint="--why")
    return line


def found(remembered: Sequence[Remembered], text: str) -> Remembered:
    """Return the finding whose id is, or begins with, ``text``; raises :class:`click.BadParameter`, which names near ones."""
    wanted = text.strip().casefold()
    exact = [each for each in remembered if each.sighting.id == wanted]
    fitting = exact or [each for each in remembered if wanted and each.sighting.id.startswith(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise click.BadParameter(f"{text!r} begins {len(fitting)} ids: {_named(fitting)}", param_hint="FINDING")
    near = _near(remembered, wanted)
    more = f"; near it {'is' if len(near) == 1 else 'are'} {_named(near)}" if near else ""
    hint = "logscan ack --list shows those there are" if remembered else "no report with a finding is remembered yet"
    raise click.BadParameter(f"there is no finding {text!r} in this state{more}; {hint}", param_hint="FINDING")


def _near(remembered: Sequence[Remembered], wanted: str) -> list[Remembered]:
    from difflib import get_close_matches

    ids = {each.sighting.id: each for each in remembered}
    return [ids[key] for key in get_close_matches(wanted, ids, 3, 0.6)]


def _named(some: Sequence[Remembered]) -> str:
    named = "; ".join(f"{each.sighting.id} ({each.sighting.summary[:80]})" for each in some[:MOST_NAMED])
    return named + (f" and {len(some) - MOST_NAMED} more" if len(some) > MOST_NAMED else "")


def _acknowledge(folder: Path, wait: float, text: str, until: str, why: str) -> None:
    with opened(folder) as known:  # a wrong id needs no lock
        found(known.remembered(), text)
    with opened(folder, wait) as state:
        one = found(state.remembered(), text)
        key = one.sighting.id
        state.acknowledge(key, until, why, whoami(), time.time_ns())
    end = f"until {until}" if until else "for good"
    console.out(f"{key} is acknowledged {end}: {one.sighting.summary}")
    if one.gone_run is not None:
        console.out("It is gone at the moment; should it come back, that will be no news.")
    if not why:
        console.note("no reason is given: --why TEXT says it to whoever reads the report")


def _remove(folder: Path, wait: float, text: str) -> None:
    with opened(folder) as known:
        told = found(known.remembered(), text).sighting
        if told.id not in {each.id for each in known.acknowledgements()}:
            raise click.BadParameter(f"{told.id} isn't acknowledged: {told.summary[:200]}", param_hint="FINDING")
    with opened(folder, wait) as state:
        one = found(state.remembered(), text)
        state.unacknowledge(one.sighting.id)
    console.out(f"{one.sighting.id} is no longer acknowledged: {one.sighting.summary}")


def _list(folder: Path, today: date) -> None:
    with opened(folder) as state:
        remembered = state.remembered()
        acks = {each.id: each for each in state.acknowledgements()}
    shown = [each for each in remembered if each.gone_run is None or each.sighting.id in acks]
    shown = [each for each in shown if each.sighting.severity != "note" or each.sighting.id in acks]
    for each in sorted(shown, key=lambda each: (each.gone_run is not None, each.sighting.severity != "problem")):
        told = each.sighting
        how = "gone" if each.gone_run is not None else told.severity if told.state == "active" else told.state
        console.out(f"{told.id}  {how:10} since {_day(each.first_seen)}  {told.check}: {told.summary[:200]}")
        if told.id in acks:
            console.out(f"{'':10}{said(acks[told.id], today)}")
    if not shown:
        console.out("No finding is known, and none is acknowledged.")
    hidden = len(remembered) - len(shown)
    if hidden:
        console.note(f"{hidden} more {'is' if hidden == 1 else 'are'} gone, or notes")


def said(ack: Acknowledgement, today: date) -> str:
    """Return who acknowledged a finding, until when, and why."""
    end = f"until {ack.until}" if ack.until else "for good"
    if ack.until and ack.until < today.isoformat():
        end = f"until {ack.until}, which is past"
    return f"acknowledged by {ack.by} on {_day(ack.at)}, {end}: {ack.why or 'no reason given'}"


def whoami() -> str:
    """Return the name of whoever runs this: the user behind sudo, else the account. It is told, and decides nothing."""
    user = os.environ.get("SUDO_USER", "")
    if re.fullmatch(r"[\w.-]{1,64}", user):
        return user
    try:
        import pwd

        return pwd.getpwuid(os.geteuid()).pw_name
    except (ImportError, KeyError):
        return "somebody"


def _day(ns: int) -> str:
    return datetime.fromtimestamp(ns // 10**9, UTC).astimezone().date().isoformat()
