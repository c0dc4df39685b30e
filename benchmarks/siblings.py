#!/usr/bin/env python3
"""Holds the verdicts on the lab's stories to siblings of them: other names, addresses, clocks, forms and company.

    python benchmarks/siblings.py                        (all stories, all siblings: about fifteen minutes)
    python benchmarks/siblings.py --sibling names,ipv6 mail-stuck ...

Prints a row a story and a column a sibling: ``.`` where all that the truth names is found and nothing else, ``b`` where a check
that is clear of the story itself is blind of the sibling, ``u`` where the sibling's logs can't tell what is to be found
(``UNTOLD`` in tests/siblings.py), ``X`` where a verdict is wrong; what is wrong stands below. Exits with 1 for an ``X``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HERE), str(HERE / "tests")]

import logscan  # noqa: E402
from benchmarks.accuracy import told as scored  # noqa: E402

if TYPE_CHECKING:
    from sibling_story import Story

    from logscan.report.model import Report

LAB = HERE / "tests" / "data" / "lab"
TRUE_TOO = {"password-guessing": {"stale-password"}, "rspamd-learning": {"training-without-effect"}}
"""What is found beside what a story is about, and is true."""


def report(told: Story) -> Report:
    """Return what is said of a story."""
    with tempfile.TemporaryDirectory() as folder:
        read = logscan.read(told.write(Path(folder)), jobs=1, year=told.year, timezone=told.timezone)
        return logscan.analyse(read)


def wrong(told: Story, said: Report, untold: dict[str, str]) -> list[str]:
    """Return what is wrong of what is said of a story, whose truth says what is right."""
    truth, out = told.truth, []
    due = {each["check"]: each["verdict"] for each in truth.get("expected", []) if "check" in each}
    verdicts = {check.name: check.verdict for check in said.checks}
    for check in sorted(due.keys() - untold.keys()):
        if verdicts[check] != due[check]:
            out.append(f"{check} is {verdicts[check]}")
            continue
        score = scored(truth, said, check)
        if not score.perfect:
            missing, more = score.expected - score.reported, score.reported - score.expected
            out.append(f"{check}: missing {sorted(map(str, missing))}, too much {sorted(map(str, more))}")
    found = {name for name, verdict in verdicts.items() if verdict == "found"}
    extra = found - due.keys() - TRUE_TOO.get(told.name, set())
    out += [f"{check} is found" for check in sorted(extra) if "expected" in truth]
    for quiet in truth.get("quiet_cases", ()):
        for check in said.checks:
            if check.name == quiet["check"]:
                hit = {str(c.get("message_id")) for f in check.findings if f.severity != "note" for c in f.cases}
                if hit & set(quiet.get("message_ids", ())):
                    out.append(f"{check.name}: a quiet case is found ({quiet['why']})")
    return out


def main(args: list[str]) -> int:
    from sibling_story import story
    from siblings import SIBLINGS, UNTOLD

    names = list(SIBLINGS)
    if args[:1] == ["--sibling"]:
        names, args = args[1].split(","), args[2:]
    complaints = []
    print(f"{'':26}" + " ".join(names))
    for name in args or sorted(path.name for path in LAB.iterdir() if path.is_dir()):
        own = story(LAB / name)
        clear = {check.name for check in report(own).checks if check.verdict == "clear"}
        row = []
        for sibling in names:
            told, untold = SIBLINGS[sibling](own), UNTOLD.get((name, sibling), {})
            said = report(told)
            bad = wrong(told, said, untold)
            complaints += [f"{name}, {sibling}: {each}" for each in bad]
            blind = any(check.verdict == "blind" for check in said.checks if check.name in clear)
            row.append(("X" if bad else "u" if untold else "b" if blind else ".").ljust(len(sibling)))
        print(f"{name:26}" + " ".join(row), flush=True)
    print(*complaints, sep="\n")
    return int(bool(complaints))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
