"""Compares what the survey fixed with what all lines say: a contradiction is a note, since what was told can't be taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from logscan.clocks import solving
from logscan.clocks.anchors import witnesses
from logscan.clocks.model import Solution
from logscan.clocks.wall import naive_at
from logscan.clocks.zones import offset_name, offsets_at
from logscan.envelopes.stamps import SECOND, ZULU, is_leap
from logscan.reading.ledger import Ledger

FEW = 50
"""One in so many may disagree: a line can be late, a Message-ID forged."""

WEAK = frozenset({"name", "set", "mtime", "now", "absolute", "before"})
"""Ways to a year that another source, or another line, may prove wrong."""


class Doubts:
    """Collects contradictions to a solution while the log is read."""

    def __init__(self, solution: Solution) -> None:
        self.solution = solution
        self.told: dict[int, int] = {}
        """By source: lines looked at that tell their time by something else than their stamp."""
        self.against: dict[int, list[int]] = {}
        """By source: how many of those contradict, and the first one's time (UTC ns)."""

    def look(self, number: int, tables: dict[str, pa.Table]) -> None:
        """Look at a chunk of a source; its tables still have ``clock`` and ``turn``."""
        base = self.solution.base_year.get(number)
        found = witnesses(tables) if base is not None else []
        if not found or base is None:
            return
        zone = self.solution.zones.get(number, self.solution.zone)
        utc = np.array([each.utc for each in found], np.int64)
        offset = np.array([naive_at(each.clock, base + each.turn) for each in found], np.int64) - utc
        low = offset - np.array([each.slack_after for each in found], np.int64) - SECOND
        high = offset + np.array([each.slack_before for each in found], np.int64) + SECOND
        there = offsets_at(zone, utc)
        wrong = (there < low) | (there > high)
        self.told[number] = self.told.get(number, 0) + len(found)
        if wrong.any():
            count, first = self.against.get(number, [0, int(utc[wrong].min())])
            self.against[number] = [count + int(wrong.sum()), min(first, int(utc[wrong].min()))]

    def notes(self, ledger: Ledger, year: int | None, timezone: str | None) -> list[str]:
        """Return sentences about what turned out otherwise, once all is read."""
        out = []
        for number, read in enumerate(ledger.reads):
            count, first = self.against.get(number, (0, 0))
            if FEW * count > self.told.get(number, 0):
                out.append(
                    f"{read.label}: {count:,} of {self.told[number]:,} lines that show their time contradict the year and the "
                    f"zone that a sample told, from {_day(first)} on: times there may be wrong."
                )
        return [*out, *self._years(ledger, year, timezone), *self._stamps(ledger)]

    def _years(self, ledger: Ledger, year: int | None, timezone: str | None) -> list[str]:
        out = []
        clocks = {}
        for number, read in enumerate(ledger.reads):
            base = self.solution.base_year.get(number)
            if read.clock is None or base is None:
                continue
            if read.clock.year and read.clock.year != base and self.solution.year_from.get(number) in WEAK:
                out.append(
                    f"{read.label}: its lines tell the year {read.clock.year} where a sample of them was taken to be of {base}: "
                    "times there may be wrong."
                )
            elif not all(is_leap(base + turn) for turn in read.clock.leap_turns):
                out.append(
                    f"{read.label}: it has a 29 February in a year that a sample told to have none: times may be wrong."
                )
            else:
                told = self.solution.year_from.get(number) not in WEAK
                clocks[number] = replace(read.clock, year=base) if told else read.clock
        spans = [read.utc for read in ledger.reads if read.utc]
        if clocks and any(self.solution.year_from.get(number) in WEAK for number in clocks):
            again = solving.solve(clocks, [], spans, year=year, timezone=timezone)
            for number, base in again.base_year.items():
                if base != self.solution.base_year[number]:
                    out.append(
                        f"{ledger.reads[number].label}: all its lines together would begin in {base}, a sample was taken to "
                        f"begin in {self.solution.base_year[number]}: times there may be wrong."
                    )
        return out

    def _stamps(self, ledger: Ledger) -> list[str]:
        """Compare the offsets in stamps with the zone that was taken from them for lines that have none."""
        if "stamps" not in self.solution.zone_from.values():
            return []
        zone = self.solution.zone
        lines = wrong = 0
        others: set[str] = set()
        for read in ledger.reads:
            for offset, first, last, count in read.offsets:
                if offset == ZULU:
                    continue
                lines += count
                if np.any(offsets_at(zone, np.array([first, last], np.int64)) != offset):
                    wrong += count
                    others.add(offset_name(offset))
        if FEW * wrong <= lines:
            return []
        return [
            f"Stamps tell {', '.join(sorted(others)[:3])} at times for which a sample told another zone: lines without a zone "
            "may be wrong by that."
        ]


def _day(time: int) -> str:
    return f"{datetime.fromtimestamp(time // SECOND, UTC):%Y-%m-%d}"
