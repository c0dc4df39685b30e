"""Which spam filters a server has, told once from what all windows of a log showed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from logscan.scan.hops import dspam_hops, filter_hops
from logscan.tables import texts
from logscan.tables.latest import repeated
from logscan.tables.partials import Keyed

if TYPE_CHECKING:
    from logscan.scan.log import Log
    from logscan.scan.window import Window
    from logscan.tables.partials import Part, Partial

KINDS, RELAYS = "kinds", "filter_relays"
"""The parts of a partial that this module makes and reads."""


def look(window: Window) -> dict[str, Part]:
    """Return the kinds of filters that a window's lines name, and the relays that hand mail back, with their first time."""
    names = [texts.used(window.verdicts["filter"]), texts.used(window.events("trainings")["filter"])]
    if dspam_hops(window).any():
        names.append(pd.Series(["dspam"], dtype="str"))
    kinds = pd.DataFrame({"kind": pd.concat(names)})
    hops = window.deliveries.loc[filter_hops(window), ["relay", "time"]]
    relays = pd.DataFrame({"relay": repeated(hops["relay"]), "first": hops["time"]}).dropna(subset=["relay"])
    hop = {"some_hop": int(len(hops) > 0)}
    return {KINDS: Keyed.of(kinds), RELAYS: Keyed.of(relays, least=["first"]), **hop}


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
