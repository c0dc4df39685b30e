"""What Postfix's daemons warned of, failed with, or ran out of, and what Dovecot did: read once a window, counted by time.

Several checks tell from these lines what is wrong; each takes those whose text it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.copies import lines_at
from logscan.checking.gap_words import long
from logscan.findings import Evidence
from logscan.scan.columns import column, moments, number
from logscan.scan.memo import per_window
from logscan.tables import cells
from logscan.tables.coded import Coded
from logscan.tables.columns import frame_of
from logscan.tables.partials import SECOND, Keyed

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.tables.partials import Partial

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

EVENTS = ("warning", "error", "fatal", "panic", "limit", "crash")
SLOT = 600 * SECOND
"""Lines are counted by ten minutes: what goes on longer is one case from its first line to its last."""

LONGEST = 200
"""Letters of a text that are looked at: what strangers write may be of any length."""


@dataclass(frozen=True)
class Warned:
    """Lines of one window: rows of ``service_events`` with host, text, event and daemon as codes."""

    rows: Ints
    host: Coded
    text: Coded
    event: Coded
    program: Coded
    postfix: Bools
    """Which are of Postfix; the others are of Dovecot and of filters."""
    at: Ints
    place: Ints

    def __len__(self) -> int:
        """Return the number of lines."""
        return len(self.rows)

    def take(self, chosen: Bools) -> Warned:
        """Return some lines."""
        some = np.flatnonzero(chosen)
        host, text = self.host.take(some), self.text.take(some)
        event, program = self.event.take(some), self.program.take(some)
        return Warned(self.rows[some], host, text, event, program, self.postfix[some], self.at[some], self.place[some])

    def matching(self, pattern: str) -> Warned:
        """Return the lines whose text a pattern is found in (RE2, each different text looked at once)."""
        return self.take(self.text.matching(finds(pattern)))


def finds(pattern: str) -> Callable[[Any], Any]:
    """Return a test of texts for :meth:`~logscan.tables.coded.Coded.matching`: whether a pattern (RE2) is found in them."""
    return lambda words: pc.match_substring_regex(words, pattern)


@per_window
def warned(window: Window) -> Warned | None:
    """Return the lines of warnings and worse that carry a time; None where there is none, as on most days."""
    if not len(window.tables["service_events"]):
        return None
    event = column(window, "service_events", "event")
    rows = np.flatnonzero(event.is_in(*EVENTS) & (moments(window, "service_events") > 0))
    if not len(rows):
        return None
    # postfix(1) itself has no daemon behind its name.
    instance, program = (column(window, "service_events", name).take(rows) for name in ("instance", "program"))
    source, line = (number(window, "service_events", name)[rows] for name in ("source", "line"))
    short = column(window, "service_events", "text").take(rows)
    return Warned(
        rows,
        column(window, "service_events", "host").take(rows),
        short.made(lambda words: pc.utf8_slice_codeunits(words, 0, LONGEST)),
        event.take(rows),
        program,
        instance.having(bool) | program.is_in("postfix"),
        moments(window, "service_events")[rows],
        (source << 32) + line,
    )


KEYS = ("host", "kind", "subject", "slot")


def counted(
    host: Coded, at: Ints, place: Ints, kinds: Coded, subjects: Coded, more: Mapping[str, Ints] | None = None
) -> Keyed:
    """Return lines counted by ``host``, ``kind``, ``subject`` and ``slot`` of time: ``lines``, first and last time and place.

    ``more``: other sums by row.
    """
    names = {"host": host, "kind": kinds, "subject": subjects}
    texts = {name: pc.fill_null(each.texts(), "").cast(pa.large_string()) for name, each in names.items()}
    others = dict(more or {})
    columns: dict[str, Any] = {
        **texts,
        "slot": at // SLOT,
        "lines": np.ones(len(at), np.int64),
        **others,
        "first": at,
        "last": at,
        "place": place,
        "last_place": place,
    }
    return Keyed.of(frame_of(columns), sums=("lines", *others), least=("first", "place"), most=("last", "last_place"))


class Bout(NamedTuple):
    """A time in which lines of one kind and subject came on a host again and again (UTC ns)."""

    host: str
    kind: str
    subject: str
    start: int
    until: int
    lines: int
    places: tuple[int, ...]
    more: Mapping[str, int]

    def case(self) -> dict[str, Any]:
        """Return what a finding's case says of it."""
        told = {"from": iso(self.start), "until": iso(self.until), "kind": self.kind, "subject": self.subject}
        return {**told, "host": self.host, "lines": self.lines, **self.more}


def bouts(partial: Partial, name: str, apart: int) -> list[Bout]:
    """Return the bouts of a part made by :func:`counted`, in order; what is no more than ``apart`` seconds apart is one."""
    if name not in partial:
        return []
    part = partial.parts[name]
    assert isinstance(part, Keyed)
    sums = [each for each in part.sums if each != "lines"]
    out: list[Bout] = []
    open_: list[Any] = []
    frame = part.frame.sort_values(["kind", "subject", "host", "slot"], ignore_index=True)
    for row in [*frame.itertuples(index=False), None]:
        same = (
            bool(open_)
            and row is not None
            and all(getattr(row, key) == getattr(open_[0], key) for key in ("kind", "subject", "host"))
        )
        if open_ and not (same and row is not None and row.first - open_[-1].last <= apart * SECOND):
            out.append(_bout(open_, sums))
            open_ = []
        open_.append(row)
    return sorted(out, key=lambda each: (each.start, each.kind, each.subject, each.host))


def _bout(rows: Sequence[Any], sums: Iterable[str]) -> Bout:
    first = rows[0]
    more = {name: int(sum(getattr(row, name) for row in rows)) for name in sums}
    places = tuple(dict.fromkeys(int(place) for row in rows for place in (row.place, row.last_place)))
    start, until = int(first.first), int(max(row.last for row in rows))
    lines = int(sum(row.lines for row in rows))
    return Bout(str(first.host), str(first.kind), str(first.subject), start, until, lines, places[:12], more)


def by_subject(found: Iterable[Bout]) -> dict[tuple[str, str], list[Bout]]:
    """Return bouts by kind and subject, in order of their first."""
    out: dict[tuple[str, str], list[Bout]] = {}
    for each in found:
        out.setdefault((each.kind, each.subject), []).append(each)
    return out


def times(found: Sequence[Bout]) -> str:
    """Return how often something was, and how long: ``once``, ``3 times, for up to 40 minutes``."""
    often = "once" if len(found) == 1 else f"{len(found):,} times"
    longest = max(each.until - each.start for each in found)
    return f"{often}, for up to {long(longest)}" if longest >= 60 * SECOND else often


def lines_of(log: Log, found: Sequence[Bout]) -> list[Evidence]:
    """Return the first and last lines of some bouts."""
    return lines_at(log, [place for each in found for place in each.places[: 12 if len(found) == 1 else 3]])


def when(found: Sequence[Bout]) -> dict[str, Any]:
    """Return ``first`` and ``last`` for a finding."""
    return {"first": moment(min(each.start for each in found)), "last": moment(max(each.until for each in found))}


def moment(ns: int) -> Any:
    """Return a time of UTC ns as a finding has it."""
    return cells.moment(pd.Timestamp(ns, unit="ns", tz="UTC"))


def iso(ns: int) -> str:
    """Return a time of UTC ns as a case has it."""
    return str(cells.iso(pd.Timestamp(ns, unit="ns", tz="UTC")))
