"""Which deliveries hand a mail to a filter, and which filters a server has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from logscan.tables import texts

if TYPE_CHECKING:
    from logscan.scan.scan import Scan
    from logscan.settings import Settings

DSPAM_REPLY = "> Message accepted for delivery"
"""DSPAM's LMTP answer, `250 2.6.0 <rcpt> Message accepted for delivery` (dspam src/daemon.c)."""


def dspam_hops(scan: Scan) -> npt.NDArray[np.bool_]:
    """Return, per delivery row, whether it hands a mail to a filter that learns per recipient (DSPAM)."""
    cache: npt.NDArray[np.bool_] | None = scan.__dict__.get("_dspam_hops")
    if cache is None:
        cache = scan.__dict__["_dspam_hops"] = _dspam_hops(scan)
    return cache


def _dspam_hops(scan: Scan) -> npt.NDArray[np.bool_]:
    deliveries = scan.deliveries
    hop = deliveries["hop"].to_numpy()
    reply = deliveries["reply"].str.contains(DSPAM_REPLY, regex=False, na=False).to_numpy()
    rows = deliveries["verdict_row"].to_numpy()
    is_dspam = np.r_[(scan.verdicts["filter"] == "dspam").to_numpy(), False][rows]
    relay = texts.where(deliveries["relay"], lambda relay: relay.str.contains("dspam", case=False, na=False))
    named: npt.NDArray[np.bool_] = hop & (reply | is_dspam | relay)
    # A relay that gave one such answer is DSPAM for all of its hand-overs.
    relays = deliveries["relay"].cat.codes.to_numpy()
    known = np.unique(relays[named])
    found: npt.NDArray[np.bool_] = hop & np.isin(relays, known[known >= 0])
    return found


NAMES = {
    "dspam": "DSPAM",
    "spamd": "SpamAssassin",
    "spampd": "spampd",
    "spamassassin": "SpamAssassin",
    "mailscanner": "MailScanner",
    "pmg": "Proxmox Mail Gateway",
}
"""How filters are called in a sentence; the others are called as they are."""


def filter_kinds(scan: Scan, settings: Settings) -> set[str]:
    """Return the spam filters that this server has, by its configuration and by their own lines: dspam, amavis ...

    ``other`` is a filter that nothing names. What only signs or checks (OpenDKIM, SPF) is none.
    """
    kinds: set[str] = {setup.kind for setup in settings.filters}
    kinds |= set(scan.verdicts["filter"].dropna().astype("str"))
    calls = scan.events("trainings")["filter"].dropna()
    kinds |= set(calls.astype("str")) - {""}
    if dspam_hops(scan).any() or "dspam" in scan.read.programs:
        kinds.add("dspam")
    kinds = {"spamassassin" if kind in ("spamd", "spampd") else kind for kind in kinds}
    if not kinds and filter_hops(scan).any():
        kinds.add("other")
    return kinds


def unnamed_filter(scan: Scan, settings: Settings) -> str:
    """Return where a filter stands whose kind nothing tells: its destination, else the relay that hands mail back."""
    told = [setup.destination for setup in settings.filters if setup.kind == "other"]
    relays = scan.deliveries["relay"][filter_hops(scan)].dropna().astype("str")
    return ", ".join([*dict.fromkeys([*told, *([] if told else relays)])][:2])


def no_filter(scan: Scan, settings: Settings) -> bool:
    """Whether it is known that mail passes no spam filter: the configuration is at hand and names none."""
    known = settings.known("postfix") and settings.known("master")
    return known and not filter_kinds(scan, settings)


def entry_has_hop(scan: Scan) -> npt.NDArray[np.bool_]:
    """Return, per entry, whether a delivery of it was handed to a filter."""
    out = np.zeros(len(scan.entries) + 1, np.bool_)
    deliveries = scan.deliveries
    out[deliveries["entry"].to_numpy()[filter_hops(scan)]] = True
    return out[:-1]


def filter_hops(scan: Scan) -> npt.NDArray[np.bool_]:
    """Return, per delivery, whether it is a hand-over to a filter, not to another host or life of ours."""
    deliveries = scan.deliveries
    hop: npt.NDArray[np.bool_] = deliveries["hop"].to_numpy()
    legs = scan.legs
    moved = legs.loc[legs["kind"].isin(["relay", "forward"]), "delivery"].to_numpy()
    other = np.zeros(len(hop) + 1, np.bool_)
    other[moved] = True
    return hop & ~other[:-1]
