#!/usr/bin/env python3
"""A year of daily runs: a healthy company's server, and the same with stories of things that go wrong sprinkled in.

    python benchmarks/daily_year.py [--days 365] [--seed 1] [--stories FOLDER]... [--only healthy|stories]

Each morning the log is rotated and ``logscan daily`` is run on what is there, with all that it remembers. Of the healthy server
is printed what the mails said: which findings were new, back or gone, and how often a problem was. The stories are genuine
logs, told again on three days in a row as those of another host, then no more: each finding should be new once, known then,
and gone at last.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from click.testing import CliRunner

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.year import DAY, START, TRUE, written
from logscan.cli import cli
from logscan.pipeline.memory import give_back

ROOT = Path(__file__).resolve().parent.parent

BSD = re.compile(r"([A-Z][a-z]{2} [ \d]\d) (\d\d:\d\d:\d\d) (\S+) (.*)", re.DOTALL)

EVERY = 16
"""Days between two stories: what comes and goes is gone after a week."""

TOLD = 3
"""Days on which a story is told."""


@dataclass
class Year:
    """What a year of runs said."""

    new: list[tuple[int, str, str, str]] = field(default_factory=list)
    """(day, severity, check and cause, summary)"""
    said: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    """By finding and ``new``, ``back``, ``gone``: the days."""
    names: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By finding: check and summary."""
    subjects: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    size: int = 0
    mails: int = 0


def run(days: Sequence[Sequence[str]], folder: Path) -> Year:
    """Write day after day into a log that is rotated each night, and run ``logscan daily`` each morning."""
    year, runner, logs = Year(), CliRunner(env={"TZ": "UTC"}), folder / "logs"
    logs.mkdir()
    out, state = folder / "report.json", folder / "state"
    for number, lines in enumerate(days):
        for age in range(6, 0, -1):
            old = logs / f"mail.log.{age}"
            if old.exists():
                old.rename(logs / f"mail.log.{age + 1}")
        (logs / "mail.log.7").unlink(missing_ok=True)
        if (logs / "mail.log").exists():
            (logs / "mail.log").rename(logs / "mail.log.1")
        (logs / "mail.log").write_text("".join(lines))
        words = ["daily", "--state", str(state), str(logs), "-q", "--jobs", "1", "-o", str(out), "-f", "json"]
        begun = time.process_time()
        done = runner.invoke(cli, words)
        year.seconds += time.process_time() - begun
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        if done.exit_code:
            raise SystemExit(f"day {number}: status {done.exit_code}: {done.stderr}")
        _note(year, number, json.loads(out.read_text()))
        give_back()
    year.size = sum(path.stat().st_size for path in state.rglob("*") if path.is_file())
    return year


def _note(year: Year, day: int, report: dict[str, Any]) -> None:
    memory = report["memory"]
    year.mails += report["mails"]["total"]
    found = {each["id"]: (check["name"], each) for check in report["checks"] for each in check["findings"]}
    for key, (check, each) in found.items():
        year.names.setdefault(key, (check, each["summary"]))
    for word in ("new", "back", "gone", "same"):
        for key in memory[word]:
            year.said.setdefault(key, {}).setdefault(word, []).append(day)
    first = [found[key] for key in found if each_counts(found[key][1])] if day == 0 else []
    fresh = [found[key] for key in (*memory["new"], *memory["back"]) if key in found]
    for check, each in (*first, *fresh):
        year.new.append((day, each["severity"], f"{check} {each['cause']}", each["summary"]))
    active = [each["severity"] for check, each in found.values() if each_counts(each) and check not in TRUE]
    year.subjects["problem" if "problem" in active else "warning" if "warning" in active else "nothing"] += 1


def each_counts(finding: dict[str, Any]) -> bool:
    """Whether a finding is active, and more than a note."""
    return bool(finding["state"] == "active" and finding["severity"] != "note")


def stories(folders: Sequence[Path]) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Yield each story's name and lines: ms since the midnight before its first line, and what stands behind the host."""
    for folder in folders:
        for place in sorted(folder.iterdir()):
            path = next((place / name for name in ("mail.log", "mail.log.gz") if (place / name).exists()), None)
            if path is None:
                continue
            content = path.read_bytes()
            text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8", "replace")
            lines = list(_parsed(text.splitlines(keepends=True)))
            if lines:
                yield place.name, lines


def _parsed(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    first: datetime | None = None
    for line in lines:
        found = BSD.fullmatch(line)
        if found is None:
            continue
        at = datetime.strptime(f"2026 {found[1]} {found[2]}", "%Y %b %d %H:%M:%S").replace(tzinfo=UTC)
        first = first or at
        if at < first - timedelta(days=200):
            at = at.replace(year=2027)
        start = first.replace(hour=0, minute=0, second=0)
        yield int((at - start).total_seconds() * 1000), found[4]


def sprinkled(days: list[list[str]], told: Sequence[tuple[str, list[tuple[int, str]]]]) -> list[list[str]]:
    """Return the days with the stories in them: each on three days in a row, with other Message-IDs each time."""
    out = [list(lines) for lines in days]
    for number, (name, lines) in enumerate(told):
        begin = 20 + number * EVERY
        for turn in range(TOLD):
            for at, text in lines:
                day = begin + turn + at // (DAY * 1000)
                if day >= len(out):
                    continue
                moment = START + (begin + turn) * DAY + at // 1000
                stamp = datetime.fromtimestamp(moment, UTC).isoformat()
                other = re.sub(r"((?:msgid|message-id)=<)", rf"\g<1>t{turn}.", text)
                out[day].append(f"{stamp} {name[:40]} {other}")
    for each in out:
        each.sort(key=lambda line: line[:19])
    return out


def print_healthy(year: Year, days: int) -> int:
    """Print what the healthy year said; returns 1 for more than one false problem a month."""
    false = [each for each in year.new if each[2].partition(" ")[0] not in TRUE]
    problems = [each for each in false if each[1] == "problem"]
    print(f"  mails by the gravest that is false: {dict(year.subjects)}")
    print(
        f"  new or back: {len(year.new)}, of these false problems {len(problems)}, false warnings {len(false) - len(problems)}"
    )
    for (what, severity), count in Counter((each[2], each[1]) for each in year.new).most_common():
        print(f"    {count:4} {severity:8} {what}{' (true)' if what.partition(' ')[0] in TRUE else ''}")
    for day, severity, what, summary in false[:10]:
        print(f"      day {day}: {severity} {what}: {summary[:160]}")
    return int(len(problems) > max(1.0, days / 30))


def print_stories(year: Year, healthy: Year, told: Sequence[str]) -> None:
    """Print what became of each story's findings: the days on which they were new, known, back and gone."""
    for number, name in enumerate(told):
        begin = 20 + number * EVERY
        print(f"  {name}: told on days {begin} to {begin + TOLD - 1}")
        for key, words in year.said.items():
            mine = words.get("new", [])
            if key in healthy.said or not any(begin <= day <= begin + TOLD for day in mine):
                continue
            check, summary = year.names.get(key, ("", ""))
            days = ", ".join(
                f"{word} {_short(words[word])}" for word in ("new", "same", "back", "gone") if word in words
            )
            print(f"      {check}: {days}: {summary[:90]}")


def _short(days: Sequence[int]) -> str:
    return ", ".join(map(str, days[:4])) + (f" … {days[-1]}" if len(days) > 4 else "")


def main() -> int:
    """Run it; returns 1 where a problem was found on the healthy server more often than once a month."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stories", type=Path, action="append", metavar="FOLDER")
    parser.add_argument("--only", choices=["healthy", "stories"])
    args = parser.parse_args()
    days, bad = written(args.seed, args.days), 0
    told = list(stories(args.stories or [ROOT / "tests" / "data" / "lab", ROOT / "sample_logs"]))
    years = []
    for what, some in (("healthy", days), ("stories", sprinkled(days, told))):
        if args.only not in (None, what):
            years.append(Year())
            continue
        folder = Path(tempfile.mkdtemp(prefix="logscan-year-"))
        try:
            year = run(some, folder)
        finally:
            shutil.rmtree(folder)
        years.append(year)
        print(f"{what}: {args.days} runs, {sum(map(len, some)):,} lines, {year.mails:,} mails, {year.seconds:.0f} s of CPU, "
              f"state {year.size / 1e6:.1f} MB")  # fmt: skip
        bad |= print_healthy(year, args.days) if what == "healthy" else 0
    if args.only != "healthy":
        shown = [name for number, (name, _) in enumerate(told) if 20 + number * EVERY + TOLD < args.days]
        print_stories(years[1], years[0], shown)
    return bad


if __name__ == "__main__":
    sys.exit(main())
