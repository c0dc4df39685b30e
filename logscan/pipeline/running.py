"""From sources to a report: read → correlate → check → report. The one module that knows every stage."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logscan.envelopes.stamps import FIRST_YEAR, LAST_YEAR
from logscan.report.model import Report
from logscan.scan.options import Options
from logscan.tables.texts import literal

if TYPE_CHECKING:
    from logscan.reading.whole import Progress
    from logscan.rendering.renderers import Rendered
    from logscan.scan.scan import Scan
    from logscan.settings import Settings
    from logscan.sources.finding import Discovery
    from logscan.sources.source import ConfigFile, Source


MOST_NAMED = 8
"""Files that a note names."""


def _warm() -> None:
    """Import what the next stages need, while worker processes parse."""
    import logscan.checking.check
    import logscan.correlate
    import logscan.report.building

    logscan.checking.check.all_checks()


def read(
    *sources: str | Path,
    config: Sequence[str | Path] = (),
    dspam_home: str | Path | None = None,
    year: int | None = None,
    timezone: str | None = None,
    jobs: int | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
    stdin: Any = None,
) -> Scan:
    """Read and correlate logs; returns a :class:`logscan.scan.scan.Scan`.

    ``sources`` are what the command line takes (files, folders, globs, ``-``, ``journal:``); with none, this host's own
    mail log. Files that can't be read are named in ``scan.errors``; nothing is raised for what a log holds.
    """
    from logscan.reading.whole import read_sources
    from logscan.sources.finding import discover, order
    from logscan.sources.spool import spooled

    spool = spooled(stdin) if stdin is not None else None
    found = discover([spool.name if spool and str(source) == "-" else str(source) for source in sources])
    if spool:
        kept: list[Source | ConfigFile] = [*found.sources, *found.configs]
        for each in kept:
            if each.path == spool.name:
                each.path, each.label = "-", "stdin"
        found.errors = [("standard input" if path == spool.name else path, why) for path, why in found.errors]
        found.passed_over = [each.replace(spool.name, "standard input") for each in found.passed_over]
    logs = order(found.sources)
    got = read_sources(logs, jobs=jobs, year=year, timezone=timezone, progress=progress, meanwhile=_warm)
    from logscan.correlate import correlate
    from logscan.correlate.build import completed
    from logscan.scan.facts import facts_of
    from logscan.scan.log import Log
    from logscan.scan.scan import Scan

    options = options or Options()
    settings, inventory, notes = _configuration(found, config, dspam_home, options)
    tables = _window(_aliased(completed(got.tables), options), options, _zone(got.solution.zone))
    known = _known(settings, options, tables)
    log = Log(
        got, settings, inventory, options, notes, named=bool(sources), modes=found.modes, zone=_zone(got.solution.zone)
    )
    scan = Scan(log, correlate(tables, known), tables)
    log.facts = scan.facts = facts_of(scan)
    if spool:
        log.spool = spool
        weakref.finalize(log, spool.close)
    log.errors += [*found.errors, *((read.source.path, read.error) for read in got.sources if read.error)]
    log.errors += _foreign(sources, found, settings)
    log.notes += [*found.passed_over, *_unknown_texts(sources, found, settings), *got.solution.notes]
    for one in got.sources:
        if one.copies:
            log.notes.append(
                f"{one.label}: {one.copies} of {one.lines} lines stand in another file too and are read once"
            )
    return scan


def _unknown_texts(sources: Sequence[str | Path], found: Discovery, settings: Settings) -> list[str]:
    """Return a note on the texts in folders that are nothing that is known; DSPAM's statistics are, and tell nothing."""
    named = {str(source) for source in sources}
    label_of = {each.label: each.path for each in found.configs}
    names = [name for name in settings.unrecognised if name in label_of and label_of[name] not in named]
    names = [name for name in names if not name.endswith(".stats")]
    if not names:
        return []
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return [f"passed over, neither a log nor a configuration that is known: {', '.join(names[:MOST_NAMED])}{more}"]


def _foreign(sources: Sequence[str | Path], found: Discovery, settings: Settings) -> list[tuple[str, str]]:
    """Return the files that were named one by one and are nothing that is known: whoever names a file means it."""
    configs = {each.path: each.label for each in found.configs}
    logs = {each.path for each in found.sources}
    out = []
    for source in map(str, sources):
        label = configs.get(source)
        left = [each for each in found.passed_over if each.startswith((f"{source}:", f"{Path(source).name}:"))]
        if source in logs or not _one_file(source) or any(each.endswith(": empty") for each in left):
            continue
        if left or label in settings.unrecognised:
            why = left[0].rpartition(": ")[2] if left else "a text"
            known = "no log and no configuration that is known; `logscan formats` lists the formats"
            out.append((source, f"{why}: {known}"))
    return out


def _one_file(source: str) -> bool:
    """Whether a source is one thing to be read: a file, a device, a FIFO; no folder and no pattern."""
    path = Path(source).expanduser()
    return path.exists() and not path.is_dir()


def _zone(zone: Any) -> tzinfo:
    return zone if isinstance(zone, tzinfo) else UTC


def _configuration(
    found: Discovery, config: Sequence[str | Path], dspam_home: str | Path | None, options: Options
) -> tuple[Settings, Any, list[str]]:
    """Read configuration texts and DSPAM's home from what was found and what was named."""
    from logscan.settings import dspam_home as homes
    from logscan.settings import read_settings

    notes: list[str] = []
    texts: list[tuple[str, str]] = []
    inventory = None
    contents = [(each.label, each.path, each.read(1 << 24)) for each in found.configs]
    for named in config:
        path = Path(named)
        inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for each in inside:
            label = str(each.relative_to(path.parent)) if path.is_dir() else each.name
            try:
                contents.append((label, str(each), _configured(each, found)))
            except OSError as error:
                found.errors.append((str(each), f"can't be read: {error.strerror}"))
    for label, _, content in contents:
        text = content.decode("utf-8", "backslashreplace")
        if homes.recognise(text) >= 0.5:
            inventory = homes.read_listing(text)
        else:
            texts.append((label, text))
    if dspam_home and not Path(dspam_home).is_dir():
        found.errors.append((str(dspam_home), "there is no such folder; it should be DSPAM's home"))
    elif dspam_home:
        inventory = homes.read_home(Path(dspam_home))
        notes += inventory.problems
    settings = read_settings(texts, domains=options.local_domains, services=options.services)
    named_so = {Path(each).name: str(each) for each in config if not Path(each).is_dir()}
    found.errors += [
        (path, "no configuration that is known") for label, path in named_so.items() if label in settings.unrecognised
    ]
    notes += [f"{problem.file}:{problem.line}: {problem.text}" for problem in settings.problems]
    return settings, inventory, notes


def _configured(path: Path, found: Discovery) -> bytes:
    """Return what a configuration file holds, up to 16 MB; a pipe such as ``<(postconf -n)`` is read as it comes."""
    from logscan.sources.pinned import Pinned

    if path.is_file():
        held = Pinned(str(path))
        found.modes.append((held.status.st_mode, held.status.st_gid))
        return held.pread(1 << 24, 0)
    with path.open("rb") as file:
        return file.read(1 << 24)


def _known(settings: Settings, options: Options, tables: dict[str, Any]) -> Any:
    from logscan.correlate.known import Known

    filters = []
    for setup in settings.filters:
        if setup.via in ("content_filter", "FILTER") and settings.reinjection():
            filters += _relays(setup.destination)
    mailboxes = []
    for name in ("virtual_transport", "mailbox_transport", "local_transport"):
        mailboxes += _relays(settings.postfix.get(name))
    known = settings.known("postfix")
    lists = ("mydestination:", "virtual_mailbox_domains:", "virtual_alias_domains:", "relay_domains:")
    whole = known and not any(each.value.startswith(lists) for each in settings.unresolved)
    return Known(
        tuple(filters),
        settings.local_domains,
        whole or bool(options.local_domains),
        tuple(mailboxes),
        frozenset({settings.postfix.get("myhostname").strip().lower()} - {""}) if known else frozenset(),
        tuple(str(net) for net in settings.networks) if known else (),
        known,
        settings.delimiters if known else "+",
    )


def _relays(destination: str) -> list[str]:
    """Return patterns for the relays by which deliveries to a ``transport:nexthop`` are logged."""
    from logscan.settings import parse_destination
    from logscan.settings.destinations import PORTS

    to = parse_destination(destination)
    if to.path:
        # Below the queue folder the path is logged as it is given; elsewhere in full.
        return [literal(f"[{to.path}]") + "$"]
    if to.host and to.transport not in ("local", "virtual", "error", "discard", "retry"):
        port = to.port or PORTS.get(to.transport)
        end = f":{port}$" if port else ":(?:24|25)$"
        return [f"^{literal(to.host)}(?:\\[[^\\]]*\\])?{end}", literal(f"[{to.host}]") + end]
    return [f"^{literal(to.transport)}$"] if to.transport and not to.host else []


def _aliased(tables: dict[str, Any], options: Options) -> dict[str, Any]:
    """Give hosts named in ``--host-alias A=B`` their one name."""
    if not options.host_aliases:
        return tables
    import pyarrow as pa

    out = {}
    for name, table in tables.items():
        hosts = table.column("host").combine_chunks()
        values = hosts.to_pylist()
        renamed = pa.array([options.host_aliases.get(value, value) for value in values], pa.string())
        out[name] = table.set_column(table.column_names.index("host"), "host", renamed.dictionary_encode())
    return out


def _window(tables: dict[str, Any], options: Options, zone: tzinfo) -> dict[str, Any]:
    """Keep the lines between ``since`` and ``until``; times without a zone are in that of the logs."""
    if options.since is None and options.until is None:
        return tables
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    def at(time: datetime | None, default: int) -> int:
        if time is None:
            return default
        if not FIRST_YEAR < time.year < LAST_YEAR:  # beyond what 64-bit nanoseconds hold
            return -(2**63) if time.year <= FIRST_YEAR else 2**63 - 1
        return int(pd.Timestamp(time if time.tzinfo else time.replace(tzinfo=zone).astimezone(UTC)).value)

    low, high = at(options.since, np.iinfo(np.int64).min), at(options.until, np.iinfo(np.int64).max)
    out = {}
    for name, table in tables.items():
        time = table.column("time").to_numpy()
        out[name] = table.filter(pa.array((time >= low) & (time < high)))
    return out


def analyse(
    scan: Scan,
    *,
    checks: Sequence[str] = (),
    skip: Sequence[str] = (),
    now: datetime | None = None,
) -> Report:
    """Run the checks (all, or those named, without those in ``skip``) and return the :class:`Report`."""
    from logscan.pipeline.pieces import Looking

    looking = Looking(scan.log, checks=checks, skip=skip)
    looking.add(scan)
    return looking.conclude(now)


def render(report: Report, name: str, **options: Any) -> Rendered:
    """Return the report as ``html``, ``text``, ``json`` ...; see :func:`logscan.rendering.renderers.render`."""
    from logscan.rendering.renderers import render as rendered

    return rendered(report, name, **options)


__all__ = ["analyse", "read", "render"]
