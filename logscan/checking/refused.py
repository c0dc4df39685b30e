"""What other hosts made of a window's mail to somebody outside: which attempts they refused, and why, and which they took."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logscan.checking.refusals import HEAD, Refusal, folded, host_name, judged
from logscan.scan.columns import joined, some_joined, values
from logscan.scan.memo import per_window
from logscan.tables.coded import Coded

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FAILED = ("bounced", "expired", "deferred")
"""Outcomes of attempts that another host may have refused."""


class Refused(NamedTuple):
    """The attempts that another host refused, one a row."""

    row: Ints
    """Of deliveries."""
    host: Coded
    """The host's name in lower case."""
    why: Coded
    """Its values are :class:`Refusal`."""

    def take(self, rows: Ints | Bools) -> Refused:
        """Return some rows."""
        return Refused(self.row[rows], self.host.take(rows), self.why.take(rows))

    def having(self, *causes: str) -> Bools:
        """Return which were refused for one of these causes."""
        return self.why.having(lambda why: why.cause in causes)


@per_window
def refused(window: Window) -> Refused:
    """Return the attempts for somebody outside that another host refused, whatever became of the mail."""
    rows = np.flatnonzero(
        values(window, "deliveries", "outside")
        & ~values(window, "deliveries", "hop")
        & ~values(window, "deliveries", "final")
        & (values(window, "deliveries", "mail") >= 0)
    )
    rows = rows[joined(window, "deliveries", "outcome").take(rows).is_in(*FAILED)]
    reply = some_joined(window, "deliveries", "reply", rows)
    used = reply.used()
    if not len(used):
        return Refused(rows[:0], Coded(rows[:0], []), Coded(rows[:0], []))
    found = pc.extract_regex(reply.texts().take(pa.array(_firsts(reply, used))), HEAD)
    host, said = _spread(reply, used, found.field("host")), _spread(reply, used, folded(found.field("said")))
    why = said.changed(_told(said.values).get)
    there = why.codes >= 0
    return Refused(rows[there], host.changed(host_name).take(there), why.take(there))


_KNOWN: dict[str, Refusal | None] = {}
"""What was judged before: hosts say the same in each window."""

MOST_KNOWN = 4096
"""Texts that are remembered."""


def _told(words: Sequence[str]) -> dict[str, Refusal | None]:
    """Return what each text means."""
    new = [each for each in words if each not in _KNOWN]
    made = dict(zip(new, judged(new), strict=True)) if new else {}
    whole = {each: _KNOWN[each] if each in _KNOWN else made[each] for each in words}
    if len(_KNOWN) + len(made) <= MOST_KNOWN:
        _KNOWN.update(made)
    return whole


def _firsts(coded: Coded, used: Ints) -> Ints:
    """Return a row of each used code."""
    place = np.empty(len(coded.words), np.int64)
    place[coded.codes[::-1]] = np.arange(len(coded) - 1, -1, -1)
    return place[used]


def _spread(coded: Coded, used: Ints, words: pa.Array) -> Coded:
    """Return, by row, what was made of each used value; missing where it is null."""
    whole = words.dictionary_encode()
    of_value = np.full(len(coded.words) + 1, -1, np.int64)
    of_value[used] = pc.fill_null(whole.indices, -1).to_numpy(zero_copy_only=False)
    return Coded(of_value[coded.codes], whole.dictionary.to_pylist())


class Taken(NamedTuple):
    """The attempts that reached somebody outside by another host, one a row."""

    row: Ints
    """Of deliveries."""
    host: Coded
    """The host's name in lower case; missing where the next hop is none (a pipe, a program)."""


NEXT_HOP = re.compile(r"(?P<host>[^\s\[\]]+)\[[0-9A-Fa-f.:%]+\](?::\d+)?")


def next_host(relay: str) -> str | None:
    """Return the name of the host that a relay column names, in lower case; None for sockets, pipes and none."""
    found = NEXT_HOP.fullmatch(relay)
    return host_name(found["host"]) if found else None


@per_window
def taken(window: Window) -> Taken:
    """Return the attempts for somebody outside that another host took the mail of."""
    rows = np.flatnonzero(values(window, "deliveries", "outside") & values(window, "deliveries", "final"))
    host = joined(window, "deliveries", "relay").take(rows).changed(next_host)
    there = host.codes >= 0
    return Taken(rows[there], host.take(there))
