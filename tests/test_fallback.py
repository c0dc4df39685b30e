"""Without the machine, or Python's parser of patterns, every line is matched by itself: slower, the same, and said."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import logscan
from logscan.matching import walking
from logscan.samples import story


def test_without_the_machine_the_report_is_the_same_and_a_note_says_why_it_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick = logscan.analyse(logscan.read(story("mixed-day"), jobs=1))
    monkeypatch.setattr(walking, "AVAILABLE", False)
    called: list[object] = []
    monkeypatch.setattr(walking, "run", lambda *args: called.append(args))
    slow = logscan.analyse(logscan.read(story("mixed-day"), jobs=1), now=quick.generated)
    assert called == []
    said = [note for note in slow.notes if "line by line" in note]
    assert len(said) == 1
    assert not any("line by line" in note for note in quick.notes)
    slow.notes.remove(said[0])
    assert logscan.render(slow, "json") == logscan.render(quick, "json")


def test_who_asks_for_no_compiled_part_gets_the_same_report() -> None:
    reports = []
    for pure in ("0", "1"):
        command = [sys.executable, "-m", "logscan", "analyse", str(story("mixed-day")), "--format", "json"]
        done = subprocess.run(command, capture_output=True, env={**os.environ, "LOGSCAN_PURE": pure}, check=False)
        reports.append(json.loads(done.stdout))
    said = [note for note in reports[1]["notes"] if "LOGSCAN_PURE=1 asks for it" in str(note)]
    assert len(said) == 1
    reports[1]["notes"].remove(said[0])
    assert reports[0] == reports[1]
