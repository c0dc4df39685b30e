"""Which spam filters a server has, told once from what all windows of a log showed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from logscan.scan import coded
from logscan.scan.hops import dspam_hops, filter_hops
from logscan.scan.memo import per_window
from logscan.tables import cells
from logscan.tables.partials import Keyed

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.tables.partials import Part, Partial

KINDS, RELAYS = "kinds", "filter_relays"
"""The parts of a partial that this module makes and reads."""


@per_window
def look(window: Window) -> dict[str, Part]:
    """Return the kinds of filters that a window's lines name, and the relays that hand mail back, with their first time."""
    names = {*_used(coded.of(window.verdicts["filter"])), *_used(coded.event(window, "trainings", "filter"))}
    if dspam_hops(window).any():
        names.add("dspam")
    hops = np.flatnonzero(filter_hops(window))
    relay = coded.of(window.deliveries["relay"])
    codes, time = relay.codes[hops], cells.ns(window.deliveries["time"])[hops]
    # A missing time is the least number, and counts for nothing.
    first = np.full(len(relay.words) + 1, LATEST)
    np.minimum.at(first, codes, np.where(time == coded.MISSING, LATEST, time))
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(relay.words)))
    times = np.where(first[used] == LATEST, coded.MISSING, first[used])
    relays = {"relay": coded.told(relay.words, used), "first": coded.times(times)}
    return {
        KINDS: Keyed.of(pd.DataFrame({"kind": coded.words(sorted(names))}), once=True),
        RELAYS: Keyed.of(pd.DataFrame(relays, copy=False), least=["first"], once=True),
        "some_hop": int(len(hops) > 0),
    }


LATEST = np.iinfo(np.int64).max


def _used(column: coded.Coded) -> list[str]:
    """Return the texts that some row has."""
    used = np.unique(column.codes)
    found: list[str] = column.words.take(pa.array(used[used >= 0])).to_pylist()
    return found


@dataclass(frozen=True)
class Kinds:
    """The spam filters of a server, by its configuration and by their own lines.

    ``names``: dspam, amavis ...; ``other`` is a filter that nothing names. What only signs or checks (OpenDKIM, SPF) is none.
    """

    names: set[str]
    unnamed: str
    """Where a filter stands whose kind nothing tells: its destination, else the relay that hands mail back."""
    none: bool
    """Whether it is known that mail passes no spam filter: the configuration is at hand and names none."""

    @classmethod
    def of(cls, partial: Partial, log: Log) -> Kinds:
        """Return it for what :func:`look` found."""
        settings = log.settings
        kinds: set[str] = {setup.kind for setup in settings.filters}
        kinds |= set(partial.frame(KINDS)["kind"]) - {""}
        if "dspam" in log.read.programs:
            kinds.add("dspam")
        kinds = {"spamassassin" if kind in ("spamd", "spampd") else kind for kind in kinds}
        if not kinds and partial.count("some_hop"):
            kinds.add("other")
        told = [setup.destination for setup in settings.filters if setup.kind == "other"]
        relays = partial.frame(RELAYS).sort_values(["first", "relay"])["relay"].tolist()
        unnamed = ", ".join([*dict.fromkeys([*told, *([] if told else relays)])][:2])
        configured = settings.known("postfix") and settings.known("master")
        return cls(kinds, unnamed, configured and not kinds)
