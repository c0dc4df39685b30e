"""``logscan search``: the mails that a query means."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logscan import console
from logscan.commands import completing
from logscan.commands.common import reading_of, reading_options
from logscan.commands.complaints import complain
from logscan.query.fields import FIELDS
from logscan.query.hits_columns import COLUMNS, SORTED

if TYPE_CHECKING:
    from logscan.query.hits import Found
    from logscan.query.model import Node

SHOWN = ("time", "from", "to", "status", "how")
"""Columns of the table for people, unless others are asked for."""

HELP = "\n".join(f"{each.name + ':':<11}{each.meaning}" for each in FIELDS.values())


def _columns(_ctx: click.Context, _param: click.Parameter, given: str | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    names = tuple(dict.fromkeys(each.strip() for each in given.split(",") if each.strip()))
    for name in names:
        if name not in COLUMNS and name != "how":
            raise click.BadParameter(f"there is no column {name!r}; there are {', '.join((*COLUMNS, 'how'))}")
    if not names:
        raise click.BadParameter(f"name some of {', '.join((*COLUMNS, 'how'))}")
    return names


@click.command("search", epilog=f"\b\nFields:\n{HELP}")
@click.argument("query", metavar="QUERY")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...", shell_complete=completing.files)
@click.option("--format", "-f", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@click.option(
    "--columns", metavar="NAME,NAME", callback=_columns, help=f"What is shown of a mail: {', '.join(COLUMNS)}."
)
@click.option(
    "--sort",
    type=click.Choice([sign + name for name in SORTED for sign in ("", "-")]),
    default="-time",
    show_default=True,
    metavar="[-]COLUMN",
    help=f"By which column, - for the greatest first: {', '.join(SORTED)}.",
)
@click.option("--most", type=click.IntRange(1), default=100, show_default=True, help="Mails shown at most.")
@click.option(
    "--state",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Search what `logscan daily` keeps there; so it is too where there is a state and no SOURCE is named.",
)
@reading_options
def command(
    reading: dict[str, Any],
    folder: Path | None,
    query: str,
    sources: tuple[str, ...],
    form: str,
    columns: tuple[str, ...] | None,
    sort: str,
    most: int,
) -> None:
    """Show the mails that a query means, one line each.

    QUERY is made of conditions such as 'to:@example.com status:bounced not (size:>5M or from:news*)'. Those beside each other
    must all hold; there are and, or, not, brackets, quotes and the wildcard *. Letters' case doesn't matter. A mail is found
    when all of it holds for one of its recipients.
    """  # fmt: skip
    tree = _parsed(query, reading)
    if folder is not None and sources:
        raise click.UsageError("name a SOURCE or --state, not both")
    from logscan.query.hits import Found

    shown = columns or (SHOWN if form == "table" else tuple(COLUMNS))
    wanted = {"relay", "reason", "others", *shown}
    found = Found(columns=wanted)
    if folder is None and not sources:
        folder = _there()
    if folder is not None:
        status, zone = _in_state(found, tree, folder, reading, sort, most)
    else:
        status, zone = _in_logs(found, tree, sources, reading, sort, most)
    _tell(found, form, shown, zone, status)
    sys.exit(status)


def _there() -> Path | None:
    """Return the folder of the state where there is one that this user may look at."""
    from logscan.store.folders import state_folder
    from logscan.store.places import DATABASE

    folder = state_folder()
    try:
        return folder if (folder / DATABASE).is_file() else None
    except OSError:
        return None


def _in_state(found: Found, tree: Node, folder: Path, reading: dict[str, Any], sort: str, most: int) -> tuple[int, Any]:
    """Search a state, some days at a time; return the exit status and the zone of times."""
    import pyarrow as pa

    from logscan.clocks.solving import host_timezone
    from logscan.clocks.zones import named
    from logscan.commands.common import moment
    from logscan.commands.state import opened
    from logscan.query.model import And, Moment, Term
    from logscan.store.searching import Searching
    from logscan.store.tables import why

    zone = (named(reading["timezone"]) if reading["timezone"] else None) or host_timezone()
    limits = [Term(name, Moment(moment(reading[name], zone))) for name in ("since", "until") if reading[name]]
    query = And((tree, *limits)) if limits else tree
    with opened(folder) as state:
        searching = Searching(state, query, zone)
        try:
            for rows in searching:
                found.add(query, rows, zone, sort, most)
                del rows
        except (OSError, ValueError, pa.ArrowException) as error:
            searching.errors.append((str(folder), f"a table of past days can't be read: {why(error)}"))
    days = f"{searching.known[0]} to {searching.known[-1]}" if searching.known else "no day yet"
    if not reading["quiet"]:
        console.note(f"searched the state in {folder} ({days}): mails that are closed; name a SOURCE to search logs")
    for path, message in dict.fromkeys(searching.errors):
        console.say(f"{path}: {message} (`logscan state verify` looks at all of them)")
    return (3 if searching.errors else 0), zone


def _parsed(query: str, reading: dict[str, Any]) -> Node:
    from logscan.clocks.zones import named
    from logscan.query.language import parse
    from logscan.query.model import QueryError
    from logscan.query.written import pointed

    try:
        return parse(query, named(reading["timezone"]) if reading["timezone"] else None)
    except QueryError as error:
        console.told(f"Error: {pointed(error)}")
        sys.exit(2)


def _in_logs(
    found: Found, tree: Node, sources: tuple[str, ...], reading: dict[str, Any], sort: str, most: int
) -> tuple[int, Any]:
    """Search logs window by window; return the exit status and the server's zone."""
    from logscan.pipeline.running import stream
    from logscan.query.rows import of_tables

    with reading_of(sources, reading) as arguments:
        windows = stream(*sources, **arguments)
        for window in windows:
            rows = of_tables(window.mails, window.deliveries, window.verdicts, window.entries)
            found.add(tree, rows, windows.log.zone, sort, most)
            del window, rows  # not held while the next one is made
    return complain(windows.log, bool(reading["quiet"])), windows.log.zone


def _tell(found: Found, form: str, columns: tuple[str, ...], zone: Any, status: int) -> None:
    from logscan.query.written import as_csv, as_json, as_table, counted, unclear

    frame = found.table
    with suppress(BrokenPipeError):  # what is said on stderr, and the status, hold all the same
        if form == "json":
            about = {"count": found.count, "unclear": found.unclear, "unclear_fields": sorted(found.why)}
            console.result(as_json(frame, columns, about))
        elif form == "csv":
            console.result(as_csv(frame, columns))
        elif found.count:
            console.result(as_table(frame, columns, zone))
            console.out(counted(found.count, len(frame)))
        if not found.count and status == 0:
            said = (
                "no mail is meant by this query in these logs; what was refused never became a mail (`logscan trace`)"
            )
            (console.out if form == "table" else console.say)(said)
    if form != "table" and found.count > len(frame):
        console.say(counted(found.count, len(frame)))
    if found.unclear:
        console.say(unclear(found.unclear, found.why))
