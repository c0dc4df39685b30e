"""The stations of a mail's way: the service that each life of a queue ID came in by, or what sent it on.

A window tells a station by what its lines say; which port a login came in by is known when all windows are seen
(:mod:`logscan.scan.ports`). So until then a station is a text, the same in each window: a list in JSON. That of
a life that came in by a service holds :data:`FIELDS`, that of one that was sent on here holds its leg alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from logscan.scan.columns import joined
from logscan.scan.memo import per_window
from logscan.scan.ports import DOOR, doors
from logscan.tables.grouping import combine, numbered

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings

Ints = npt.NDArray[np.int64]

SENT_ON = ("forward", "redirect", "list")
"""Legs of lives that this server sent on by itself: an alias or .forward, a Sieve script, a list."""

FIELDS = ("service", "daemon", "origin", "back")
"""What a station tells; behind them, for a login, the columns that tell its port (:data:`logscan.scan.ports.DOOR`)."""


class Stations(NamedTuple):
    """The stations of a window's entries: ``code`` (int64) by entry, -1 for what came in by none; the texts by code."""

    code: Ints
    texts: list[str]


def station_of(service: str, daemon: str, origin: str, leg: str, login: Sequence[Any] = ()) -> str:
    """Return the station of a life that came in so, the door of its ``login`` told; empty for one that came in by none.

    On one port, logins and programs of this host have stations of their own.
    """
    if leg in SENT_ON:
        return json.dumps([leg])
    if not daemon or leg in ("requeue", "bounce"):
        return ""
    return json.dumps([service, daemon, origin, leg == "filter", *login])


@per_window
def stations(window: Window, settings: Settings) -> Stations:
    """Return the station of each entry."""
    columns = [joined(window, "entries", name) for name in ("service", "program", "origin", "leg")]
    codes = [column.codes for column in columns]
    names = [[*map(str, column.values), ""] for column in columns]
    door, kinds = doors(window, settings)
    of_entry, first = numbered(combine(*codes, door))
    ways = kinds[list(DOOR)].to_dict("split")["data"]
    known: dict[str, int] = {}
    of_kind = np.full(len(first), -1, np.int64)
    for kind, row in enumerate(first.tolist()):
        service, daemon, origin, leg = (names[at][codes[at][row]] for at in range(4))
        login = ways[door[row]] if origin == "authenticated" and door[row] >= 0 else []
        text = station_of(service, daemon, origin, leg, login)
        if not text:
            continue
        of_kind[kind] = known.setdefault(text, len(known))
    code: Ints = of_kind[of_entry] if len(first) else np.empty(0, np.int64)
    return Stations(code, list(known))
