"""Where Python keeps its parser of patterns to itself, every line is matched by itself: slower, the same, and said."""

from __future__ import annotations

import pytest

import logscan
from logscan.matching import walking
from logscan.samples import story


def test_without_columns_the_report_is_the_same_and_a_note_says_why_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
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
