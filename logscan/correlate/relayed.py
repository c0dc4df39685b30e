"""Mail that was taken from elsewhere without a login and sent on elsewhere, to the address as it was given.

Postfix relays for clients that it trusts, and into the domains that it relays for (smtpd_relay_restrictions). So such mail is a
trusted host's own, or this host is a gateway or a second MX on its way in. Without a configuration the log tells them apart:
into a domain of the second kind strangers of many domains send, and all of it goes on by one next hop, often a private one.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from logscan import texts
from logscan.correlate.codes import Bools, Ints
from logscan.correlate.facts import PRIVATE_ADDRESS, PRIVATE_RELAY

CHANGED = ("forward", "redirect")
"""Legs by which a mail goes to another address than it was sent to."""


def relayed(entries: pd.DataFrame, deliveries: pd.DataFrame, root: Ints) -> Bools:
    """Return, per entry, whether it began a mail that a trusted client had relayed.

    ``entries`` has ``origin``, ``client_address``, ``sender`` and ``leg``, ``deliveries`` has ``outside``.
    """
    size = len(entries)
    out = np.zeros(size, np.bool_)
    strange = (entries["origin"] == "outside").to_numpy()
    entry = deliveries["entry"].to_numpy()
    top = np.append(root, -1)[entry]
    away = deliveries["outside"].to_numpy() & deliveries["last"].to_numpy() & ~deliveries["hop"].to_numpy() & (top >= 0)
    rows = np.flatnonzero(away & np.append(strange, False)[top])
    if not len(rows):
        return out
    changed = np.zeros(size + 1, np.bool_)
    changed[top[deliveries["original_recipient"].notna().to_numpy()]] = True
    changed[root[entries["leg"].isin(CHANGED).to_numpy()]] = True
    rows = rows[~changed[top[rows]]]
    if not len(rows):
        return out
    some, first = deliveries.iloc[rows], entries.iloc[top[rows]]
    frame = pd.DataFrame(
        {
            "top": top[rows],
            "client": texts.coded(first["client_address"])[0],
            "domain": _domain(some["recipient"]),
            "sender": _domain(first["sender"]),
            "hop": some["relay"].astype("str").where(some["relay"] != "none").to_numpy(),
            "inward": _private_hop(some["relay"]) & ~_private(first["client_address"]),
        }
    )
    domains = frame.groupby("domain")
    many = (domains["client"].nunique() > 1) & (domains["sender"].nunique() > 1) & (domains["hop"].nunique() < 2)
    gateway = many | domains["inward"].any()
    direct = frame[~frame["domain"].map(gateway).to_numpy(dtype=np.bool_)]
    out[frame.loc[frame["client"].isin(direct["client"]), "top"].to_numpy()] = True
    return out


def _domain(addresses: pd.Series) -> Ints:
    codes, values = texts.coded(addresses.fillna(""))
    if not len(values):
        return codes
    names = values.str.lower().str.replace(r"^.*@", "", regex=True)
    found: Ints = texts.coded(names)[0][codes]
    return found


def _private_hop(relay: pd.Series) -> Bools:
    return texts.where(relay, lambda each: each.str.contains(f"{PRIVATE_RELAY}|{PRIVATE_ADDRESS}", na=False))


def _private(addresses: pd.Series) -> Bools:
    """Return which addresses are of private networks, or this host's."""
    return texts.where(
        addresses, lambda each: ("[" + each).str.contains(f"{PRIVATE_RELAY}|{PRIVATE_ADDRESS}", na=False)
    )
