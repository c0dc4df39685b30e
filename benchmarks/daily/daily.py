"""``logscan daily`` under the harness: how it is run, and what its state says."""

from __future__ import annotations

import email
import email.policy
import json
import re
import shutil
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.daily.driving import UNDISTURBED, Done, Fault, Job, Stable
from benchmarks.daily.world import World

RECIPIENTS = ("recipients", "delivered", "deferred", "bounced", "expired", "held", "discarded", "rejected")
"""Counts of which the open mails have their own, in ``mails.open_recipients``."""
COUNTS = ("total", "inbound", "outbound", "internal", "forwarded", "generated", "entries", "filter_legs", *RECIPIENTS)
"""Counts of closed mails that are compared."""


@dataclass(frozen=True)
class Facts:
    """What a state holds, and what was mailed; two that are equal remember the same."""

    lines: int
    """Lines that were read, by all runs."""
    counts: dict[str, int]
    """Closed mails of all runs."""
    open: dict[str, int]
    """Mails that are open after the last run, and their recipients by last status."""
    cursors: tuple[str, ...]
    rows: dict[str, tuple[int, ...]]
    """Partitions: digests of the rows by table."""
    findings: dict[str, str]
    losses: tuple[str, ...]
    cuts: int
    """Reports that say that a log was copied and cut, so that lines may be in neither."""
    blobs: dict[str, int]
    waiting: int
    """Mails in the outbox."""
    leftovers: tuple[str, ...]
    """Files that no row names, and rows that no file has."""
    notes: tuple[str, ...]
    runs: int

    @property
    def sums(self) -> dict[str, int]:
        """Closed mails of all runs and those that are open: what one pass over all lines counts."""
        return {name: self.counts.get(name, 0) + self.open.get(name, 0) for name in ("total", *RECIPIENTS)}

    def differences(self, other: Facts) -> list[str]:
        """Return what isn't the same, by name."""
        return [
            f"{each.name}: {_short(mine)} ≠ {_short(theirs)}"
            for each in fields(self)
            if (mine := getattr(self, each.name)) != (theirs := getattr(other, each.name))
        ]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 160 else f"{text[:150]}…"


class Daily:
    """Runs ``logscan daily`` in a stable."""

    name = "logscan daily"

    def __init__(self, stable: Stable, folder: Path, *options: str) -> None:
        self.stable = stable
        self.options = options
        """More options of the command."""
        self.folder = folder
        """Where it is run, and where its report goes."""
        (folder / "out").mkdir(exist_ok=True)
        self.sendmail = folder / "bin" / "sendmail"
        self.sendmail.parent.mkdir(exist_ok=True)
        # Takes what it is given, as Postfix' does, also when whoever gives it dies on the way.
        self.sendmail.write_text('#!/bin/sh\nexec cat > "$(mktemp "$SPOOL/XXXXXXXX")"\n')
        self.sendmail.chmod(0o755)

    def arguments(self, world: World, state: Path) -> tuple[str, ...]:
        """Return the command line."""
        source = "journal:" if world.journal else str(world.folder)
        output = str(self.folder / "out" / "report.json")
        options = ("--jobs", "1", "--format", "json", "-o", output, "--mail-to", "postmaster@example.com", "--quiet")
        return ("daily", "--state", str(state / "state"), *options, *self.options, source)

    def job(self, world: World, state: Path, fault: Fault = UNDISTURBED, record: str = "") -> Job:
        """Return the job of one run; the mails it sends are put beside the state."""
        spool = state / "spool"
        spool.mkdir(parents=True, exist_ok=True)
        environment = {"SPOOL": str(spool), "HOME": str(self.folder), "FAKE_SENDMAIL": str(self.sendmail)}
        if world.journal:
            environment["PATH"] = f"{world.journal.program.parent}:/usr/sbin:/usr/bin:/bin"
        watched = (str(state / "state"),) if fault.error else (str(state / "state"), str(self.folder / "out"))
        return Job(self.arguments(world, state), str(self.folder), watched, fault, record, environment)

    def run(self, world: World, state: Path, fault: Fault = UNDISTURBED, record: str = "") -> Done:
        """Run it once."""
        return self.stable.run(self.job(world, state, fault, record))

    def acknowledge(self, state: Path, ident: str) -> None:
        """Say that a finding is known of."""
        arguments = ("ack", ident, "--why", "a trial", "--state", str(state / "state"))
        done = self.stable.run(Job(arguments, str(self.folder), (), environment={"HOME": str(self.folder)}))
        assert done.status == 0, done.err

    def analysed(self, lines: bytes) -> dict[str, int]:
        """Return the counts of one undisturbed pass over these lines."""
        path, out = self.folder / "all.log", self.folder / "all.json"
        path.write_bytes(lines)
        arguments = ("analyse", "--jobs", "1", "--format", "json", "-o", str(out), "--quiet", str(path))
        done = self.stable.run(Job(arguments, str(self.folder), (), environment={"HOME": str(self.folder)}))
        assert done.status == 0, done.err
        return {name: json.loads(out.read_text())["mails"][name] for name in ("total", *RECIPIENTS)}


def facts(state: Path) -> Facts:
    """Read a state (a copy of it: looking leaves no trace)."""
    from logscan.store.state import State

    copy = state / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(state / "state", copy)
    try:
        with State.read(copy) as opened:
            return _facts(opened, copy)
    finally:
        shutil.rmtree(copy)


def _facts(state: Any, folder: Path) -> Facts:
    runs = sorted(state.runs(1000), key=lambda run: run.number)
    reports = [json.loads(state.report(run.number)) for run in runs]
    counts: Counter[str] = Counter()
    for report in reports:
        counts.update({name: report["mails"][name] for name in COUNTS})
    named = {each.path for each in state.partitions()}
    there = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and len(path.relative_to(folder).parts) > 1
    }
    beside = {path.name for path in folder.iterdir() if path.is_file()} - {
        "logscan.db",
        "logscan.db-wal",
        "logscan.db-shm",
        "lock",
    }
    journal = any(each.path == "journal:" for each in state.cursors())
    return Facts(
        lines=sum(run.lines for run in runs),
        counts=dict(counts),
        open=_opened(reports[-1]["mails"]) if reports else {},
        cursors=tuple(sorted(repr(each) for each in state.cursors())),
        rows=_rows(state.partitions(), folder),
        findings={
            each.sighting.id: f"{each.sighting.summary} ({each.sighting.count}, {each.sighting.state}, gone: {each.gone_run})"
            for each in state.remembered()
        },
        losses=tuple(sorted(repr(each) for each in state.losses())),
        cuts=sum("(copytruncate)" in note for report in reports for note in report["notes"]),
        # journalctl gives the fields of a record in an order that changes from call to call.
        blobs={name: hash(state.blob(name)) for name in state.blobs() if not (journal and name == "open lines")},
        waiting=len(state.outbox()),
        leftovers=tuple(sorted(named ^ there) + sorted(beside)),
        notes=tuple(state.notes),
        runs=len(runs),
    )


def _opened(mails: Any) -> dict[str, int]:
    return {"total": mails["open"]} | {name: mails["open_recipients"].get(name, 0) for name in RECIPIENTS}


DIGESTS: dict[tuple[str, int], list[int]] = {}
"""Of the rows of files that were read already; their names are random, and nobody writes to them again."""


def _rows(partitions: Any, folder: Path) -> dict[str, tuple[int, ...]]:
    found: dict[str, list[int]] = {}
    for each in partitions:
        path = folder / each.path
        if path.exists():
            found.setdefault(f"{each.table} {each.day}", []).extend(_digests(path))
    return {name: tuple(sorted(digests)) for name, digests in sorted(found.items())}


def _digests(path: Path) -> list[int]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    key = (path.name, path.stat().st_size)
    if key not in DIGESTS:
        try:
            DIGESTS[key] = [hash(repr(row)) for row in pq.read_table(path).to_pylist()]
        except (OSError, pa.ArrowInvalid):
            return [0]  # it isn't what it is to be
    return DIGESTS[key]


def mails(state: Path) -> tuple[Counter[str], list[str]]:
    """Return how often each Message-ID was sent, and what is wrong with mails: cut ones, two of one Message-ID that differ."""
    found: Counter[str] = Counter()
    texts: dict[str, bytes] = {}
    wrong = []
    for path in sorted((state / "spool").iterdir()):
        content = path.read_bytes()
        ident = str(email.message_from_bytes(content, policy=email.policy.default)["Message-ID"])
        if ident == "None" or not content.endswith(b"\n"):
            wrong.append(f"a mail was cut after {len(content)} bytes")
            continue
        found[ident] += 1
        # Of a run that could not remember its mail, the next makes it anew, at another time.
        content = re.sub(rb"^Date: .*\n", b"", content, count=1, flags=re.M)
        if texts.setdefault(ident, content) != content:
            wrong.append(f"two mails with the Message-ID {ident} differ")
    return found, wrong
