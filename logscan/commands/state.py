"""``logscan state``: what the daily run remembers, whether it is sound, and how to get rid of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logscan import console
from logscan.amounts import plural

if TYPE_CHECKING:
    from logscan.store.state import State

MOST = 10
"""Runs that are shown."""


class Failed(click.ClickException):
    """The state can't be used."""

    exit_code = 3


def _place(_ctx: click.Context, _param: click.Parameter, given: Path | None) -> Path:
    from logscan.store.folders import state_folder

    return given or state_folder()


def state_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--state DIR``; the command gets a path, ``folder``."""
    option = click.option(
        "--state",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        callback=_place,
        help="Where it lies; default: /var/lib/logscan for root, else the user's state folder.",
    )
    return option(command)


wait_option = click.option(
    "--wait", type=click.FloatRange(0), default=60, show_default=True, metavar="SECONDS", help="For another run to end."
)


@contextmanager
def opened(folder: Path, wait: float | None = None) -> Iterator[State]:
    """Open a state, to be changed where ``wait`` is given; what had to be mended is said. Raises :class:`Failed`."""
    from logscan.store.state import State, StateError

    try:
        if wait is not None and not folder.is_dir():
            raise StateError(f"there is no state in {folder}: `logscan daily` makes one (or say which, --state DIR)")
        with State.read(folder) if wait is None else State.open(folder, wait=wait) as state:
            try:
                yield state
            finally:
                for note in state.notes:
                    console.say(note)
    except StateError as error:
        raise Failed(str(error)) from None
    except OSError as error:
        raise Failed(f"{error.filename or folder}: {error.strerror or error}") from None


@click.group("state")
def command() -> None:
    """Look after what `logscan daily` remembers: one database, and the tables of past days beside it."""


@command.command("show")
@state_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(folder: Path, as_json: bool) -> None:
    """Show what is there: runs, days, findings, acknowledgements, mails that wait, sizes."""
    from logscan.store.describing import described

    with opened(folder) as state:
        found = described(state)
    if as_json:
        console.result(json.dumps(found, indent=2) + "\n")
        return
    for line in _shown(found):
        console.out(line)


@command.command("verify")
@state_option
def verify(folder: Path) -> None:
    """Read all of it and say what isn't as it was written; status 3 where something isn't.

    The database is checked, and each table of past days is read whole. Nothing is changed: what can be mended, the next
    `logscan daily` mends.
    """
    from logscan.store.upkeep import verified

    with opened(folder) as state:
        wrong = verified(state)
        count = len(state.partitions())
    for each in wrong:
        console.out(each)
    if wrong:
        console.out(f"{plural(len(wrong), 'thing')} wrong in {folder}")
        sys.exit(3)
    console.out(f"{folder} is sound: the database, and {plural(count, 'table')} of past days")


@command.command("compact")
@state_option
@wait_option
def compact(folder: Path, wait: float) -> None:
    """Make one file of each table's several files of a day, and give back what was deleted."""
    from logscan.store.upkeep import compacted

    with opened(folder, wait) as state:
        said = compacted(state)
    for each in said:
        console.out(each)


@command.command("reset")
@state_option
@wait_option
@click.option("--yes", is_flag=True, help="Don't ask.")
def reset(folder: Path, wait: float, yes: bool) -> None:
    """Forget everything: remove the database, the tables of past days and what was set aside.

    The next `logscan daily` begins as the first one did, with all the lines that the logs still have.
    """
    from logscan.store import upkeep
    from logscan.store.state import StateError

    if not yes:
        click.confirm(f"Remove all that logscan remembers in {console.safe(str(folder))}?", abort=True, err=True)
    try:
        stays = upkeep.reset(folder, wait)
    except StateError as error:
        raise Failed(str(error)) from None
    for each in stays:
        console.say(each)
    console.out(f"{folder} is empty" if not stays else f"what logscan remembered in {folder} is removed")


@command.command("export")
@state_option
@click.argument("target", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
def export(folder: Path, target: Path) -> None:
    """Write it into DIR for other programs: the database as SQL, what it knows as JSON, each table as one Parquet file."""
    from logscan.store.exporting import exported

    with opened(folder) as state:
        paths = exported(state, target)
    console.out(f"{plural(len(paths), 'file')} in {target}")


@command.command("forget")
@state_option
@wait_option
@click.argument("address", metavar="ADDRESS")
def forget(folder: Path, wait: float, address: str) -> None:
    """Put "(forgotten)" in the place of ADDRESS wherever it is remembered: findings, reports, open mails, tables.

    ADDRESS is one address, whatever its case, with any extension; or, without @, a user's name. The logs themselves stay
    as they are: what is in them still, `logscan analyse` finds again.
    """
    from logscan.store.forgetting import forget as forget_address

    address = address.strip()
    if not address.strip("@") or address.startswith("@") or address.endswith("@"):
        raise click.BadParameter(
            "an address such as alice@example.com is meant, or a user's name", param_hint="ADDRESS"
        )
    with opened(folder, wait) as state:
        said = forget_address(state, address)
    for each in said:
        console.out(each)


def _shown(found: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of ``show``."""
    sizes, runs = found["sizes"], found["runs"]
    yield f"{found['folder']}: version {found['version']} of the tables"
    yield f"{plural(found['counts']['runs'], 'run')} remembered" + (", the last:" if runs else "")
    for each in runs:
        period = f"{_time(each['since'])} to {_time(each['until'])}" if each["since"] is not None else "no new line"
        yield f"  {each['number']:5}  {_time(each['ended'])}  {each['lines']:,} lines, {period}"
    days = found["days"]
    span = "" if not days else f", {days[0]}" if len(days) == 1 else f", {days[0]} to {days[-1]}"
    yield f"{plural(len(days), 'day')} with tables{span}"
    for name, table in found["tables"].items():
        yield f"  {name:14} {table['rows']:12,} rows  {table['bytes']:12,} bytes in {plural(table['files'], 'file')}"
    findings = found["findings"]
    yield f"{plural(findings['there'], 'finding')} there, {findings['gone']:,} gone, {findings['acknowledged']:,} acknowledged"
    for each in found["acknowledgements"]:
        until = f"until {each['until']}" if each["until"] else "for good"
        yield f"  {each['id']}  {until}, by {each['by']}: {each['why']}"
    yield f"{plural(len(found['outbox']), 'mail')} waiting to be sent"
    for each in found["outbox"]:
        failed = f", {plural(each['attempts'], 'attempt')} failed: {each['error']}" if each["attempts"] else ""
        yield f"  {each['message_id']} to {', '.join(each['recipients'])}, made {_time(each['made'])}{failed}"
    yield f"{plural(found['counts']['cursors'], 'file')} known by where reading was left off"
    yield f"{plural(found['counts']['losses'], 'loss', 'losses')} of lines remembered"
    carried = ", ".join(f"{name} {size:,}" for name, size in found["carried"].items())
    yield f"carried to the next run, in bytes: {carried or 'nothing'}"
    mails = (
        f"; {sizes['per_mail']:,.0f} a mail ({plural(found['counts']['mails'], 'mail')})" if sizes["per_mail"] else ""
    )
    yield f"{sizes['database']:,} bytes of database, {sizes['tables']:,} bytes of tables{mails}"
    for name, size in found["set_aside"].items():
        yield f"set aside: {name}, {size:,} bytes; remove it when nobody needs to look at it"


def _time(number: int | None) -> str:
    return "?" if number is None else f"{datetime.fromtimestamp(number / 10**9, UTC):%Y-%m-%d %H:%M:%S}Z"
