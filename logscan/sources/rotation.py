"""What the name of a rotated file tells: the set it belongs to, its age within the set, the date in it."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePath

COMPRESSED = re.compile(r"\.(?:gz|bz2|xz|lzma|zst|zstd|Z|lz4)\Z", re.IGNORECASE)
DATED = re.compile(
    r"(?P<sep>[-._]?)(?P<year>20\d\d)(?:(?P<dash>[-._]?)(?P<month>0[1-9]|1[0-2])(?:(?P=dash)(?P<day>[0-2]\d|3[01]))?)?"
    r"(?:[-._T]?\d{2,10})?(?=\Z|[-._])",
    re.ASCII,
)
NUMBERED = re.compile(r"\.(\d{1,4})\Z", re.ASCII)


@dataclass(frozen=True)
class Rotation:
    """A name taken apart: ``set`` is equal for the files of one rotated set; ``age`` sorts them, oldest first.

    ``until`` is the end of the day, month or year in the name, in UTC nanoseconds, or None.
    """

    set: str
    age: tuple[int, int, int]
    until: int | None


@functools.lru_cache(4096)
def parse(name: str) -> Rotation:
    """Take the name of a file apart: ``mail.log.4.gz``, ``maillog-20261122``, ``mail-2026-11.log.xz``."""
    path = PurePath(name)
    base = path.name
    while (shorter := COMPRESSED.sub("", base)) != base:
        base = shorter
    number = 0
    if found := NUMBERED.search(base):
        number = int(found[1]) + 1
        base = base[: found.start()]
        if 2000 <= number - 1 <= 2100:
            base, number = base + found[0], 0
    until: int | None = None
    for found in DATED.finditer(base):
        end = _end(int(found["year"]), int(found["month"] or 0), int(found["day"] or 0))
        if end is not None and (found["sep"] or found.start() == 0):
            until = end
            base = base[: found.start()] + base[found.end() :]
            break
    dated = until if until is not None else 2**63
    return Rotation(str(path.parent / base), (0, dated, -number), until)


def _end(year: int, month: int, day: int) -> int | None:
    try:
        if day:
            end = datetime(year, month, day, tzinfo=UTC) + timedelta(days=1)
        elif month:
            end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        else:
            end = datetime(year + 1, 1, 1, tzinfo=UTC)
    except ValueError:
        return None
    return int(end.timestamp()) * 10**9
