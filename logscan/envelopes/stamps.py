"""Time stamps at the head of a line: read one by one, or as fixed columns of many lines at once.

A :class:`Layout` is taken from one line (its stamp's columns: digits, month, literal characters) and tried on all lines
of the chunk with numpy; what doesn't fit is tried with the next layout, at last line by line with :data:`STAMP`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

NO_TIME = np.iinfo(np.int64).min
NO_OFFSET = NO_TIME
"""The offset of a stamp that carries none."""
ZULU = 1
"""The offset of ``Z``, in nanoseconds: many write their times so wherever they are, so that it says less than ``+00:00``."""
SECOND = 10**9
DAY = 86_400 * SECOND

MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
FIRST_YEAR, LAST_YEAR = 1970, 2261
"""The years that 64-bit nanoseconds since 1970 hold entirely."""

LAST_EPOCH = 2**33
"""Seconds since 1970 (in 2242) from which on a number is no time; what they hold must fit 64-bit nanoseconds."""

STAMP = re.compile(
    rb"""(?:<(?P<pri>\d{1,3})>(?P<v5424>1[ ])?)?
    (?P<compose>[\w.-]+[ ]*\|[ ]{1,2})?
    (?P<dow>(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[ ])?
    (?:
      (?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[ ](?P<day>[ 0-3]\d|\d)[ ]
      (?:(?P<year>[12]\d{3})[ ])?
      (?P<hms>\d\d:\d\d:\d\d)(?:\.(?P<frac>\d{1,9}))?(?(dow)[ ](?P<year_after>[12]\d{3}))
    |
      (?P<iso>\d{4}-\d\d-\d\d)[T ](?P<iso_hms>\d\d:\d\d:\d\d)(?:[.,](?P<iso_frac>\d{1,9}))?
      (?:(?P<zulu>[Zz])|[ ]?(?P<sign>[+-])(?P<zone>\d\d:?\d\d)(?=[ ]))?
      (?(dow)(?:[ ](?P<name>[A-Z]{2,5}|[+-]\d\d)(?=[ ]))?)
    |
      (?P<unix>\d{9,10})\.(?P<unix_frac>\d{6})
    )[ ]+""",
    re.VERBOSE,
)
"""Any stamp this program reads, with what may stand before it: a PRI, RFC 5424's version, docker compose's service."""

_ZONES = {
    "UTC": 0, "GMT": 0, "WET": 0, "WEST": 60, "CET": 60, "CEST": 120, "EET": 120, "EEST": 180, "MSK": 180, "SAST": 120,
    "CAT": 120, "EAT": 180, "WAT": 60, "PKT": 300, "WIB": 420, "WITA": 480, "WIT": 540, "HKT": 480, "JST": 540,
    "KST": 540, "AWST": 480, "ACST": 570, "ACDT": 630, "AEST": 600, "AEDT": 660, "NZST": 720, "NZDT": 780, "NST": -210,
    "NDT": -150, "ADT": -180, "EST": -300, "EDT": -240, "MST": -420, "MDT": -360, "PDT": -420, "AKST": -540, "AKDT": -480,
    "HST": -600,
}  # fmt: skip
"""Minutes of the names of zones that are in use for one offset only (tz database 2024b). CST, IST and BST, for instance,
are not."""

_STARTS = np.concatenate(([0, 0], np.cumsum(LENGTHS)[:-1])).astype(np.int64)
_LENGTH = np.array((0, *LENGTHS), np.int64)
_MONTH_OF = np.zeros(65_536, np.int64)
for _number, _name in enumerate(MONTHS, 1):
    _MONTH_OF[_name[1] << 8 | _name[2]] = _number
_INITIAL = np.array([0, *(name[0] for name in MONTHS)], np.uint8)


def is_leap(year: int) -> bool:
    """Tell whether ``year`` has a 29 February."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


_YEARS = range(FIRST_YEAR, LAST_YEAR + 2)
YEAR_START = np.cumsum([0, *(365 + is_leap(year) for year in _YEARS)]).astype(np.int64)[:-1]
"""Days from 1970 to 1 January of ``FIRST_YEAR`` + index (int64)."""
LEAP = np.array([is_leap(year) for year in _YEARS], np.bool_)

Moment = tuple[int, int, int, int]
"""(UTC ns or NO_TIME, wall clock in ns of a leap year or -1, calendar year of the wall clock or 0, offset from UTC in ns
as the stamp tells it, :data:`ZULU` or :data:`NO_OFFSET`)."""

NEVER: Moment = (NO_TIME, -1, 0, NO_OFFSET)


def moment(found: re.Match[bytes]) -> Moment | None:
    """Return what a match of :data:`STAMP` says, or None where it names no day or time there is."""
    if found["unix"]:
        seconds = int(found["unix"])
        return (seconds * SECOND + int(found["unix_frac"]) * 1000, -1, 0, NO_OFFSET) if seconds < LAST_EPOCH else None
    if found["month"]:
        year = int(found["year"] or found["year_after"] or 0)
        month, day = MONTHS.index(found["month"]) + 1, int(found["day"])
        hms, frac = found["hms"], found["frac"]
    else:
        year, month, day = map(int, found["iso"].split(b"-"))
        hms, frac = found["iso_hms"], found["iso_frac"]
        if not year:
            return None
    clock = wall(month, day, hms)
    if clock is None or (year and not _exists(year, month, day)):
        return None
    clock += int((frac or b"0").ljust(9, b"0"))
    offset: int | None = None
    if found["zulu"]:
        offset = ZULU
    elif found["sign"]:
        zone = found["zone"].replace(b":", b"")
        offset = (int(zone[:2]) * 3600 + int(zone[2:]) * 60) * (-SECOND if found["sign"] == b"-" else SECOND)
    elif found["name"]:
        offset = named_offset(found["name"])
    if offset is None:
        return NO_TIME, clock, year, NO_OFFSET
    index = year - FIRST_YEAR
    shift = DAY if month > 2 and not LEAP[index] else 0
    return int(YEAR_START[index]) * DAY + clock - shift - (0 if offset == ZULU else offset), -1, 0, offset


def named_offset(name: bytes) -> int | None:
    """Return the offset (ns) of a zone as journalctl names it: ``CEST``, ``-03``; None where it may be several."""
    if name[:1] in (b"+", b"-"):
        return int(name) * 3600 * SECOND
    minutes = _ZONES.get(name.decode("ascii"))
    return None if minutes is None else minutes * 60 * SECOND


def wall(month: int, day: int, hms: bytes) -> int | None:
    """Return nanoseconds since 1 January of a leap year, or None for a day or time there is not."""
    hour, minute, second = int(hms[:2]), int(hms[3:5]), int(hms[6:8])
    if not (1 <= month <= 12 and 1 <= day <= LENGTHS[month - 1] and hour < 24 and minute < 60 and second <= 60):
        return None
    return ((sum(LENGTHS[: month - 1]) + day - 1) * 86_400 + hour * 3600 + minute * 60 + second) * SECOND


def _exists(year: int, month: int, day: int) -> bool:
    return FIRST_YEAR <= year <= LAST_YEAR and (month != 2 or day < 29 or is_leap(year))


@dataclass(frozen=True)
class Layout:
    """The columns of a stamp as one line has them; ``width`` bytes stand before the body."""

    width: int
    rfc5424: bool
    literal: tuple[tuple[int, int], ...]
    digits: tuple[int, ...]
    spans: dict[str, tuple[int, int]]
    named: int | None
    """Offset (ns) of the zone that the stamp names."""

    @classmethod
    def of(cls, found: re.Match[bytes]) -> Layout:
        """Return the layout of the line whose stamp ``found`` matched."""
        spans = {name: found.span(name) for name, value in found.groupdict().items() if value is not None}
        text, free, digits = found[0], set[int](), list[int]()
        for name, (start, end) in spans.items():
            if name in ("month", "sign"):
                free |= set(range(start, end))
            elif name == "compose":
                free |= set(range(start, start + len(found[name].rstrip(b"| "))))
            elif name not in ("dow", "zulu", "v5424", "name"):
                digits += [at for at in range(start, end) if text[at : at + 1].isdigit()]
        if "dow" in spans:
            free |= set(range(spans["dow"][0], spans["dow"][0] + 3))
        if "day" in spans and spans["day"][1] - spans["day"][0] == 2:
            free.add(spans["day"][0])
            digits = [at for at in digits if at != spans["day"][0]]
        literal = tuple((at, text[at]) for at in range(len(text)) if at not in free and at not in digits)
        named = named_offset(found["name"]) if found["name"] else None
        return cls(len(text), "v5424" in spans, literal, tuple(digits), spans, named)

    def read(self, data: Bytes, starts: Ints) -> tuple[npt.NDArray[np.bool_], Ints, Ints, Ints, Ints]:
        """Read the stamps at ``starts`` in ``data``; at least ``width`` bytes must follow each.

        Returns, for each line: whether it has this layout (bool), UTC nanoseconds or NO_TIME, wall clock or -1,
        calendar year or 0, offset or NO_OFFSET (int64 each; meaningless where the layout doesn't fit).
        """
        rows = np.ndarray((len(data) - self.width + 1,), f"V{self.width}", data, strides=(1,))[starts]
        columns = np.ascontiguousarray(rows.view(np.uint8).reshape(len(starts), self.width).T)
        fits = np.ones(len(starts), np.bool_)
        for at, char in self.literal:
            fits &= columns[at] == char
        # A further blank belongs to the stamp: such lines have another layout.
        after = data[np.minimum(starts + self.width, len(data) - 1)]
        fits &= after != 32
        digits = columns - np.uint8(48)
        for at in self.digits:
            fits &= digits[at] < 10
        never = np.full(len(starts), NO_TIME, np.int64)
        if "unix" in self.spans:
            seconds = self._number(digits, "unix")
            fits &= seconds < LAST_EPOCH
            time = np.where(fits, seconds, 0) * SECOND + self._number(digits, "unix_frac") * 1000
            return fits, time, np.full(len(starts), -1, np.int64), np.zeros(len(starts), np.int64), never
        iso = "iso" in self.spans
        if iso:
            start = self.spans["iso"][0]
            year = _digits(digits, start, start + 4)
            month, day = _digits(digits, start + 5, start + 7), _digits(digits, start + 8, start + 10)
            np.minimum(month, 13, out=month)
            month[month == 13] = 0
        else:
            start, end = self.spans["month"]
            code = columns[start + 1].astype(np.int64) << 8 | columns[start + 2]
            month = _MONTH_OF[code]
            fits &= _INITIAL[month] == columns[start]
            start, end = self.spans["day"]
            day = digits[end - 1].astype(np.int64)
            if end - start == 2:
                tens = digits[start]
                fits &= (tens < 10) | (columns[start] == 32)
                day += np.where(tens < 10, tens, 0).astype(np.int64) * 10
            year = self._number(digits, "year" if "year" in self.spans else "year_after")
        told = iso or "year" in self.spans or "year_after" in self.spans
        fits &= (month > 0) & (day > 0) & (day <= _LENGTH[month])
        clock = (_STARTS[month] + day - 1) * DAY + self._time_of_day(digits, fits)
        if not told:
            return fits, never, clock, year, never.copy()
        fits &= (year >= FIRST_YEAR) & (year <= LAST_YEAR)
        index = np.where(fits, year - FIRST_YEAR, 0)
        short = ~LEAP[index]
        fits &= ~(short & (month == 2) & (day == 29))
        if "zulu" not in self.spans and "sign" not in self.spans and self.named is None:
            if iso:  # nor does one end where an offset or a zone's name follows
                fits &= (after != 43) & (after != 45)
                if "dow" in self.spans and "name" not in self.spans:
                    fits &= (after < 65) | (after > 90)
            return fits, never, clock, year, never.copy()
        time = YEAR_START[index] * DAY + clock - np.where(short & (month > 2), DAY, 0)
        if "sign" in self.spans:
            offset = self._offset(columns, digits, fits)
        else:
            offset = np.full(len(starts), ZULU if self.named is None else self.named, np.int64)
        time -= np.where(offset == ZULU, 0, offset)
        return fits, time, np.full(len(starts), -1, np.int64), np.zeros(len(starts), np.int64), offset

    def _number(self, digits: Bytes, name: str) -> Ints:
        if name not in self.spans:
            return np.zeros(digits.shape[1], np.int64)
        return _digits(digits, *self.spans[name])

    def _time_of_day(self, digits: Bytes, fits: npt.NDArray[np.bool_]) -> Ints:
        start = self.spans.get("hms", self.spans.get("iso_hms", (0, 0)))[0]
        hour, minute, second = (digits[start + at] * 10 + digits[start + at + 1] for at in (0, 3, 6))
        fits &= (hour < 24) & (minute < 60) & (second <= 60)
        seconds = hour.astype(np.int32) * 3600 + minute.astype(np.int32) * 60 + second
        out: Ints = seconds.astype(np.int64) * SECOND
        frac = "frac" if "frac" in self.spans else "iso_frac"
        if frac in self.spans:
            start, end = self.spans[frac]
            out += self._number(digits, frac) * 10 ** (9 - (end - start))
        return out

    def _offset(self, columns: Bytes, digits: Bytes, fits: npt.NDArray[np.bool_]) -> Ints:
        sign = columns[self.spans["sign"][0]]
        fits &= (sign == 43) | (sign == 45)
        start, end = self.spans["zone"]
        minutes = _digits(digits, start, start + 2) * 60 + _digits(digits, end - 2, end)
        out: Ints = np.where(sign == 45, -minutes, minutes) * (60 * SECOND)
        return out


def _digits(digits: Bytes, start: int, end: int) -> Ints:
    """Return the number in columns ``start`` to ``end``; int32 is enough for nine digits and twice as quick."""
    total = digits[start].astype(np.int64 if end - start > 9 else np.int32)
    for at in range(start + 1, end):
        total *= 10
        total += digits[at]
    out: Ints = total.astype(np.int64)
    return out
