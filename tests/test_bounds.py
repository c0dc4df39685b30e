"""What grows with a log has a bound, and a report says where it was reached, the same however the log is cut."""

from __future__ import annotations

import numpy as np
import pytest

import logscan
from logscan.checking.judging import looked, settled, wanted
from logscan.pipeline.pieces import Looking
from logscan.report.model import Report
from logscan.samples import story
from logscan.scan.window import Window, windows_of
from logscan.tables import partials


def told(windows: list[Window]) -> Report:
    looking = Looking(windows[0].log, checks=["authenticated-port-25"])
    for window in windows:
        looking.add(window)
    return looking.conclude()


def test_a_report_says_what_was_more_than_is_counted_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    one = logscan.read(story("mixed-day"))
    middle = int(np.median(one.deliveries["time"].dt.as_unit("ns").astype("int64").to_numpy()))
    assert not any("shows a part only" in note for note in told([one]).notes)
    monkeypatch.setattr(partials, "MOST_KEYS", 6)
    once, twice = told([one]), told(windows_of(one, lambda first: (first > middle).astype(np.int64))[::-1])
    notes = [[note for note in each.notes if "shows a part only" in note] for each in (once, twice)]
    assert any("the map of the mail's way" in note for note in notes[0])
    assert notes[0] == notes[1]
    assert once.flow == twice.flow


def test_what_several_checks_keep_is_kept_once() -> None:
    one = logscan.read(story("mixed-day"))
    checks = wanted(["outgoing-tagged-spam", "internal-tagged-spam", "local-mail-filtered"])
    middle = int(np.median(one.deliveries["time"].dt.as_unit("ns").astype("int64").to_numpy()))
    windows = windows_of(one, lambda first: (first > middle).astype(np.int64))
    whole = settled(checks, [looked(checks, window) for window in windows], 0)
    for name in ("own.known", "own.open"):
        first, *others = (whole[check.name].parts[name] for check in checks)
        assert all(part is first for part in others)
    cases = [whole[check.name].parts["cases"] for check in checks]
    assert cases[0] is not cases[1], "each has cases of its own"
