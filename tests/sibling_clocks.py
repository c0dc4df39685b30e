"""Stories at other times: moved, stretched, in another zone, stamped otherwise, with long queue IDs of their moments."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from sibling_story import STAMP, YEAR, Story, each, lines, utc

IN_LINE = re.compile(r"(?<= at )[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d$")
DATED = re.compile(r"\b20\d\d-\d\d-\d\d([ T])\d\d:\d\d:\d\d")
EPOCH = re.compile(r"(?<![\w.])1[78]\d{8}(?=[\s,.}\]])(\.\d+)?")
MADE = re.compile(r"<(20\d{12})(?=\.\w+@)")
DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
LONG = re.compile(rf"\b([{DIGITS}]{{6}})([{DIGITS}]{{4}}z[{DIGITS}]{{3,}})\b")
DELAYS = re.compile(r"delay=([\d.]+), delays=([\d.]+)/([\d.]+)/")
QUEUE_ID = re.compile(r"(?: (?:[\w-]+/)+\w+\[\d+\]: )([0-9A-F]{7,12})(?=: )")
Clock = Callable[[float], float]


def _secs(text: str) -> int:
    value = 0
    for digit in text:
        value = value * 52 + DIGITS.index(digit)
    return value


def _digits(value: int, width: int) -> str:
    text = ""
    while value or len(text) < width:
        value, digit = divmod(value, 52)
        text = DIGITS[digit] + text
    return text


def timed(told: Story, clock: Clock, zone: str = "UTC", form: str = "bsd") -> Story:
    """Return a story at other times: what was at t is at clock(t), stamped with a zone's time in BSD's or ISO's form."""
    local = ZoneInfo(zone)

    def at(stamp: float) -> datetime:
        return datetime.fromtimestamp(int(clock(stamp)), UTC).astimezone(local)

    def bsd(moment: datetime) -> str:
        return f"{moment:%b} {moment.day:2} {moment:%H:%M:%S}"

    def queue_id(found: re.Match[str]) -> str:
        secs = _secs(found[1])
        return _digits(round(clock(secs)), 6) + found[2] if abs(secs - utc("Dec  1 00:00:00")) < 4e6 else found[0]

    def made(found: re.Match[str]) -> str:
        moment = datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        return f"<{datetime.fromtimestamp(round(clock(moment.timestamp())), UTC):%Y%m%d%H%M%S}"

    def delays(found: re.Match[str], stamp: float) -> str:
        late = float(found[1])
        more = clock(stamp) - clock(stamp - late) - late
        if abs(more) < 0.5:
            return found[0]
        before = max(0.0, float(found[2]) + more)
        return f"delay={max(0.0, late + more):.0f}, delays={before:.0f}/{found[3]}/"

    def line(text: str) -> str:
        head = STAMP.match(text)
        if head is None:
            return text
        stamp = utc(head[1])
        shown = at(stamp).isoformat() if form == "iso" else bsd(at(stamp))
        rest = IN_LINE.sub(lambda found: bsd(at(utc(found[0]))), text[head.end() :].rstrip("\n"))
        return f"{shown} {head[2]} {DELAYS.sub(lambda found: delays(found, stamp), rest)}\n"

    def dated(found: re.Match[str]) -> str:
        moment = datetime.fromisoformat(found[0]).replace(tzinfo=UTC)
        return at(moment.timestamp()).strftime(f"%Y-%m-%d{found[1]}%H:%M:%S")

    def text(whole: str) -> str:
        return LONG.sub(queue_id, MADE.sub(made, whole))

    def other(whole: str) -> str:
        return EPOCH.sub(
            lambda found: f"{clock(float(found[0])):.3f}" if found[1] else f"{clock(float(found[0])):.0f}", whole
        )

    told = each(lines(told, line), text)
    told = each(told, other, only=lambda name: name in ("truth.json", "postqueue.json") or name.startswith("dspam"))
    told = each(told, lambda whole: DATED.sub(dated, whole), only=lambda name: name in ("rspamd.log", "dspam-data.txt"))
    return replace(told, year=None, timezone=zone if form == "bsd" else None)


def moved(told: Story, to: str, zone: str = "UTC", form: str = "bsd") -> Story:
    """Return a story whose log begins at a moment."""
    first = STAMP.match(told.files[told.logs[0]])
    assert first is not None
    by = datetime.fromisoformat(to).replace(tzinfo=UTC).timestamp() - utc(first[1])
    out = timed(told, lambda stamp: stamp + by, zone, form)
    last = STAMP.match(told.files[told.logs[-1]].splitlines()[-1])
    assert last is not None
    end = datetime.fromtimestamp(utc(last[1]) + by, UTC).astimezone(ZoneInfo(zone))
    return replace(out, year=end.year)


def stretched(told: Story, factor: float) -> Story:
    """Return a story with other pauses: each of more than 30 seconds is so many times as long."""
    stamps = [
        utc(found[1]) for name in told.logs for line in told.files[name].splitlines() if (found := STAMP.match(line))
    ]
    old = np.unique(stamps)
    gaps = np.diff(old)
    new = old[0] + np.concatenate([[0], np.cumsum(np.where(gaps > 30, gaps * factor, gaps))])

    def clock(stamp: float) -> float:
        if stamp > old[-1]:
            return float(new[-1] + stamp - old[-1])
        return float(new[0] - old[0] + stamp if stamp < old[0] else np.interp(stamp, old, new))

    return replace(timed(told, clock), year=YEAR, timezone=told.timezone)


def long_ids(told: Story) -> Story:
    """Return a story with ``enable_long_queue_ids``: each short ID becomes the long one of its moment."""
    new: dict[str, str] = {}
    out = told
    for name in told.logs:
        kept = []
        for number, line in enumerate(told.files[name].splitlines(keepends=True)):
            stamp, found = STAMP.match(line), QUEUE_ID.search(line)
            if stamp and found and ("client=" in line or "uid=" in line or found[1] not in new):
                new[found[1]] = (
                    _digits(int(utc(stamp[1])), 6)
                    + _digits(number * 17 % 52**4, 4)
                    + "z"
                    + _digits(number + 160000, 4).replace("z", "y")
                )
            kept.append(re.sub(r"\b[0-9A-F]{7,12}\b", lambda word: new.get(word[0], word[0]), line))
        out = replace(out, files=out.files | {name: "".join(kept)})
    rest = lambda text: re.sub(r"\b[0-9A-F]{7,12}\b", lambda word: new.get(word[0], word[0]), text)  # noqa: E731
    out = each(out, rest, only=lambda file: not file.startswith("mail.log"))
    return each(out, lambda text: text.replace("enable_long_queue_ids = no", "enable_long_queue_ids = yes"))
