"""Which deliveries hand a mail to a filter, and which filters a server has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from logscan.scan.columns import joined, values
from logscan.scan.memo import per_window
from logscan.tables import texts

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings

DSPAM_REPLY = "> Message accepted for delivery"
"""DSPAM's LMTP answer, `250 2.6.0 <rcpt> Message accepted for delivery` (dspam src/daemon.c)."""


@per_window
def dspam_hops(window: Window) -> npt.NDArray[np.bool_]:
    """Return, per delivery row, whether it hands a mail to a filter that learns per recipient (DSPAM).

    A relay that gave one answer of DSPAM's is DSPAM for all of its hand-overs.
    """
    relay = joined(window, "deliveries", "relay")
    found: npt.NDArray[np.bool_] = values(window, "deliveries", "hop") & relay.is_in(*window.facts.dspam_relays)
    return found


def dspam_relays(window: Window) -> frozenset[str]:
    """Return the relays that show themselves as DSPAM: by an answer, by a verdict, by their name."""
    deliveries = window.deliveries
    hop = deliveries["hop"].to_numpy()
    reply = deliveries["reply"].str.contains(DSPAM_REPLY, regex=False, na=False).to_numpy()
    rows = deliveries["verdict_row"].to_numpy()
    is_dspam = np.r_[(window.verdicts["filter"] == "dspam").to_numpy(), False][rows]
    relay = texts.where(deliveries["relay"], lambda relay: relay.str.contains("dspam", case=False, na=False))
    named = hop & (reply | is_dspam | relay)
    return frozenset(deliveries["relay"][named].dropna().astype("str").unique())


def filter_relays(window: Window) -> frozenset[str]:
    """Return the relays by which mail went to a filter."""
    return frozenset(window.deliveries["relay"][filter_hops(window)].dropna().astype("str").unique())


def mailbox_relays(window: Window) -> frozenset[str]:
    """Return the relays by which mail came into mailboxes here: servers and programs that keep them."""
    deliveries = window.deliveries
    stored = deliveries["final"] & ~deliveries["outside"] & ~deliveries["program"].isin(["local", "virtual"])
    return frozenset(deliveries["relay"][stored].dropna().astype("str").unique())


NAMES = {
    "dspam": "DSPAM",
    "spamd": "SpamAssassin",
    "spampd": "spampd",
    "spamassassin": "SpamAssassin",
    "mailscanner": "MailScanner",
    "pmg": "Proxmox Mail Gateway",
}
"""How filters are called in a sentence; the others are called as they are."""


def filter_kinds(window: Window, settings: Settings) -> set[str]:
    """Return the spam filters that this server has, by its configuration and by their own lines: dspam, amavis ...

    ``other`` is a filter that nothing names. What only signs or checks (OpenDKIM, SPF) is none.
    """
    kinds: set[str] = {setup.kind for setup in settings.filters}
    kinds |= set(window.verdicts["filter"].dropna().astype("str"))
    calls = window.events("trainings")["filter"].dropna()
    kinds |= set(calls.astype("str")) - {""}
    if dspam_hops(window).any() or "dspam" in window.log.read.programs:
        kinds.add("dspam")
    kinds = {"spamassassin" if kind in ("spamd", "spampd") else kind for kind in kinds}
    if not kinds and filter_hops(window).any():
        kinds.add("other")
    return kinds


def unnamed_filter(window: Window, settings: Settings) -> str:
    """Return where a filter stands whose kind nothing tells: its destination, else the relay that hands mail back."""
    told = [setup.destination for setup in settings.filters if setup.kind == "other"]
    relays = window.deliveries["relay"][filter_hops(window)].dropna().astype("str")
    return ", ".join([*dict.fromkeys([*told, *([] if told else relays)])][:2])


def no_filter(window: Window, settings: Settings) -> bool:
    """Whether it is known that mail passes no spam filter: the configuration is at hand and names none."""
    known = settings.known("postfix") and settings.known("master")
    return known and not filter_kinds(window, settings)


@per_window
def entry_has_hop(window: Window) -> npt.NDArray[np.bool_]:
    """Return, per entry, whether a delivery of it was handed to a filter."""
    out = np.zeros(len(window.entries) + 1, np.bool_)
    out[values(window, "deliveries", "entry")[filter_hops(window)]] = True
    return out[:-1]


@per_window
def filter_hops(window: Window) -> npt.NDArray[np.bool_]:
    """Return, per delivery, whether it is a hand-over to a filter, not to another host or life of ours."""
    hop: npt.NDArray[np.bool_] = values(window, "deliveries", "hop")
    if not len(window.legs) or not hop.any():
        return hop
    moved = values(window, "legs", "delivery")[joined(window, "legs", "kind").is_in("relay", "forward")]
    other = np.zeros(len(hop) + 1, np.bool_)
    other[moved] = True
    return hop & ~other[:-1]
