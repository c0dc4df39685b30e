"""Correlation window by window gives what one go gives, and carries only what is open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import logscan
from logscan.correlate import windows
from logscan.correlate.delays import PARTS
from logscan.correlate.outcomes import ENDS
from logscan.pipeline.known import known_of
from logscan.samples import story as story_folder
from logscan.scan.scan import Scan

DELAYS = ("total_delay", *PARTS)

STORIES = ("healthy", "double-alias-expansion", "dspam-crash", "amavis-healthy")

_SCANS: dict[str, Scan] = {}


def scan_of(story: str) -> Scan:
    if story not in _SCANS:
        _SCANS[story] = logscan.read(story_folder(story), jobs=1)
    return _SCANS[story]


def rows(frame: pd.DataFrame, columns: list[str]) -> list[tuple[str, ...]]:
    return sorted(tuple(map(str, row)) for row in frame[columns].itertuples(index=False))


VIEWS: dict[str, Callable[[Any], list[tuple[str, ...]]]] = {
    "entries": lambda c: rows(
        c.entries, ["host", "queue_id", "life", "first", "leg", "sender", "message_id", "origin", "ending"]
    ),
    "legs": lambda c: rows(c.legs, ["parent_queue_id", "child_queue_id", "kind"]),
    "deliveries": lambda c: rows(
        c.deliveries,
        ["queue_id", "recipient", "status", "hop", "outcome", "mailbox", "spam", "outside", "last", "arrived", *DELAYS],
    ),
    "mails": lambda c: rows(c.mails, ["queue_id", "direction", "recipients", *ENDS, "deferrals", "verdict", "lives"]),
}


def bounds(scan: Scan) -> tuple[int, int]:
    times = np.concatenate([table.column("time").to_numpy() for table in scan.tables.values()])
    return int(times.min()), int(times.max())


def in_windows(scan: Scan, edges: list[int]) -> tuple[windows.Closed, list[int]]:
    known = known_of(scan.settings, scan.options)
    work = windows.Windows(known)
    pieces, carried = [], []
    for part in windows.split_by_time(scan.tables, edges):
        pieces.append(work.feed(part))
        carried.append(work.open_rows)
    return windows.joined([*pieces, work.finish()]), carried


@pytest.mark.parametrize("story", STORIES)
@settings(max_examples=6, deadline=None)
@given(cuts=st.lists(st.floats(0, 1), min_size=1, max_size=5), settle=st.sampled_from([60, 600, 3600]))
def test_windows_cut_anywhere_give_the_tables_of_one_go(story: str, cuts: list[float], settle: int) -> None:
    scan = scan_of(story)
    low, high = bounds(scan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "SETTLE", settle * 10**9)
        found, _ = in_windows(scan, [low + int((high - low) * cut) for cut in cuts])
    for name, view in VIEWS.items():
        assert view(found) == view(scan.correlated), name


def test_numbers_go_on_from_window_to_window() -> None:
    scan = scan_of("healthy")
    low, high = bounds(scan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "SETTLE", 2 * 10**9)
        found, _ = in_windows(scan, [(low + high) // 2])
    assert list(found.entries.index) == list(range(len(found.entries)))
    queue_ids = found.entries["queue_id"].to_numpy()
    legs = found.legs
    assert list(queue_ids[legs["child"]]) == list(legs["child_queue_id"])
    assert list(queue_ids[legs["parent"]]) == list(legs["parent_queue_id"])
    assert list(queue_ids[found.deliveries["entry"]]) == list(found.deliveries["queue_id"])


def test_only_open_mail_is_carried() -> None:
    """A day of quiet behind a window leaves nothing to carry but what never ended."""
    scan = scan_of("mixed-day")
    low, high = bounds(scan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "SETTLE", 120 * 10**9)
        _, carried = in_windows(scan, [low + (high - low) * n // 20 for n in range(1, 20)])
    every = sum(len(table) for table in scan.tables.values())
    assert max(carried) < every / 4
