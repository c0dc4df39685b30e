"""Looks may be cut anywhere: a log in one window or in many gives the same report, to the byte of its JSON."""

from __future__ import annotations

import functools
import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import logscan
from logscan.checking.check import all_checks
from logscan.checking.judging import concluded, looked
from logscan.pipeline.pieces import Looking
from logscan.pipeline.ways import Ways
from logscan.report.model import Report
from logscan.samples import stories, story
from logscan.scan.scan import Scan
from logscan.scan.window import Window, joined, windows_of
from logscan.tables.partials import merged

NAMES = list(stories())
LAB_STORIES = Path(__file__).parent / "data" / "lab"
LAB = sorted(path.name for path in LAB_STORIES.iterdir() if path.is_dir())


@functools.cache
def scan(name: str) -> Scan:
    return logscan.read(story(name) if name in NAMES else LAB_STORIES / name)


@functools.cache
def whole(name: str) -> Report:
    return logscan.analyse(scan(name))


def windows(name: str, count: int, seed: int = 0) -> list[Window]:
    """Return the story cut at random times into ``count`` windows, some of them empty."""
    one = scan(name)
    times = one.deliveries["time"].dt.as_unit("ns").astype("int64").to_numpy()
    cuts = np.sort(np.random.default_rng(seed).choice(times, min(count - 1, len(times)), replace=False))
    return windows_of(one, lambda first: np.searchsorted(cuts, first))


def report(some: list[Window], log: Any, now: Any) -> Any:
    return logscan.render(report_of(some, log, now), "json")


def report_of(some: list[Window], log: Any, now: Any) -> Report:
    looking = Looking(log)
    for window in some:
        looking.add(window)
    return looking.conclude(now)


@pytest.mark.parametrize("name", NAMES)
def test_a_window_holds_each_row_once_and_points_to_its_own(name: str) -> None:
    one, some = scan(name), windows(name, 5)
    for table in ("entries", "deliveries", "legs", "mails", "verdicts"):
        assert sum(len(getattr(window, table)) for window in some) == len(getattr(one, table)), table
    for table, rows in one.tables.items():
        assert sum(len(window.tables[table]) for window in some) == len(rows), table
    for window in [*some, joined(some)]:
        stored = window.deliveries[window.deliveries["store_row"] >= 0]
        there = window.events("stores")["session"].to_numpy()[stored["store_row"].to_numpy()]
        assert (there == stored["session"].to_numpy()).all()
        opened = window.entries[window.entries["client_row"] >= 0]
        ids = window.events("clients")["queue_id"].to_numpy()[opened["client_row"].to_numpy()]
        assert (ids == opened["queue_id"].to_numpy()).all()
    assert sum(int((window.deliveries["verdict_row"] >= 0).sum()) for window in some) == int(
        (one.deliveries["verdict_row"] >= 0).sum()
    )


@pytest.mark.parametrize("name", [*NAMES, *LAB])
def test_each_check_says_the_same_of_one_window_and_of_many(name: str) -> None:
    one, checks = scan(name), all_checks()
    once = concluded(checks, [looked(checks, one)], one.log)
    for count, seed in ((7, 2), (40, 3)) if name == "mixed-day" else ((5, 2),):
        some = windows(name, count, seed)
        random.Random(seed).shuffle(some)
        again = concluded(checks, [looked(checks, window) for window in some], one.log)
        assert [a.name for a, b in zip(once, again, strict=True) if a != b] == [], (count, seed)


@pytest.mark.parametrize("name", NAMES)
def test_partials_are_put_together_in_any_grouping(name: str) -> None:
    one = scan(name)
    checks = all_checks()
    some = [looked(checks, window) for window in windows(name, 6, 4)]
    flat = concluded(checks, some, one.log)
    left = functools.reduce(lambda a, b: {key: a[key] + b[key] for key in a}, some)
    right = functools.reduce(lambda a, b: {key: b[key] + a[key] for key in a}, reversed(some))
    pairs = [{key: merged([a[key], b[key]]) for key in a} for a, b in zip(some[::2], some[1::2], strict=True)]
    assert concluded(checks, [left], one.log) == flat
    assert concluded(checks, [right], one.log) == flat
    assert concluded(checks, pairs, one.log) == flat


@pytest.mark.parametrize("name", ["alias-not-expanded-before-dspam", "amavis-double-alias-expansion", "mixed-day"])
def test_the_whole_ways_of_named_mails_are_told_from_windows_that_are_gone(name: str) -> None:
    told = Ways(scan(name).log)
    for window in windows(name, 4, 8)[::-1]:
        told.add(window)
    assert told.only is None
    report = replace(whole(name), paths={})
    told.fill(report)
    assert report.paths
    assert report.paths == whole(name).paths


def test_a_report_goes_without_ways_where_there_is_no_room_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    told, report = Ways(scan("mixed-day").log), replace(whole("mixed-day"), paths={}, notes=[])
    for window in windows("mixed-day", 3, 8):
        told.add(window)
    told.fill(report)
    assert not report.paths
    assert "No space left on device" in report.notes[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_report_is_the_same_to_the_byte(name: str) -> None:
    one, expected = scan(name), whole(name)
    json = logscan.render(expected, "json")
    for count, seed in ((2, 5), (30, 6)) if name == "mixed-day" else ((4, 6),):
        assert report(windows(name, count, seed), one.log, expected.generated) == json, (count, seed)
