"""Mail that was taken from elsewhere without a login and sent on elsewhere, to the address as it was given.

Postfix relays for clients that it trusts, and into the domains that it relays for (smtpd_relay_restrictions). So such mail is a
trusted host's own, or this host is a gateway or a second MX on its way in. Without a configuration the log tells them apart as
far as it goes: strangers of unrelated domains reach nothing but such a domain, its next hop is often a private one, and whom
Postfix or a policy server looked at closely, or refused, is no trusted host.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from logscan.correlate.codes import Bools, Ints, plain
from logscan.correlate.facts import PRIVATE_ADDRESS, PRIVATE_RELAY
from logscan.correlate.frames import Draft, frame
from logscan.correlate.learnt import Learning
from logscan.tables import texts

CHANGED = ("forward", "redirect", "list")
"""Legs by which a mail goes to another address than it was sent to."""

FAR = 3
"""Unrelated next hops by which a client is known that sends to anybody: gateways have fewer."""


def relayed(entries: Draft, deliveries: Draft, root: Ints, tables: dict[str, pa.Table], learning: Learning) -> Bools:
    """Return, per entry, whether it began a mail that a trusted client had relayed.

    ``entries`` has ``origin``, ``client``, ``client_address``, ``sender`` and ``leg``, ``deliveries`` has ``outside``.
    """
    size = len(root)
    out = np.zeros(size, np.bool_)
    if learning.fixed is not None and not learning.fixed.relaying:
        return out
    strange = entries["origin"].equal("outside")
    top = np.append(root, -1)[deliveries["entry"]]
    away = deliveries["outside"] & deliveries["last"] & ~deliveries["hop"] & (top >= 0)
    away &= deliveries["program"].equal("smtp")
    rows = np.flatnonzero(away & np.append(strange, False)[top])
    if not len(rows):
        return out
    changed = np.zeros(size + 1, np.bool_)
    changed[top[deliveries["original_recipient"].known()]] = True
    changed[root[entries["leg"].equal(*CHANGED)]] = True
    rows = rows[~changed[top[rows]]]
    if not len(rows):
        return out
    trusted = learning.fact("relaying", lambda: _trusted(entries, deliveries, rows, top[rows], tables))
    address = pc.fill_null(entries["client_address"].of(top[rows]).array(), "")
    known = pc.is_in(address, pa.array(list(trusted), pa.string())).to_numpy(zero_copy_only=False)
    out[top[rows[known]]] = True
    return out


def _trusted(entries: Draft, deliveries: Draft, rows: Ints, top: Ints, tables: dict[str, pa.Table]) -> set[str]:
    """Return the addresses of the clients whose mail is relayed: ``top`` are the entries that the rows' mails began as."""
    first = frame({name: entries[name] for name in ("client", "client_address", "sender")}, top)
    some = frame({name: deliveries[name] for name in ("recipient", "relay")}, rows)
    hop = some["relay"].astype("str").where(some["relay"] != "none").str.replace(r"\[.*$", "", regex=True)
    mails = pd.DataFrame(
        {
            "address": first["client_address"].fillna("").to_numpy(),
            "client": texts.coded(first["client_address"])[0],
            "house": _house(first["client"], first["client_address"]),
            "domain": _domain(some["recipient"]),
            "sender": _domain(first["sender"]),
            "hop": _related(hop.fillna("")).to_numpy(),
            "inward": _private_hop(some["relay"]) & ~_private(first["client_address"]),
            "stranger": first["client_address"].isin(_looked_at(tables)).to_numpy(),
        }
    )
    far = mails[mails["hop"] != ""].groupby("client")["hop"].nunique() >= FAR
    far = mails["client"].map(far).eq(True).to_numpy(dtype=np.bool_)
    domains = mails[~far].groupby("domain")
    gateway = (domains["house"].nunique() > 1) & (domains["sender"].nunique() > 1)
    gateway |= domains["inward"].any() | domains["stranger"].any()
    behind = mails["domain"].map(gateway).eq(True).to_numpy(dtype=np.bool_)
    direct = mails[far | ~(behind | mails["stranger"].to_numpy())]
    return set(direct.loc[~direct["stranger"], "address"])


def _looked_at(tables: dict[str, pa.Table]) -> set[str]:
    """Return the client addresses that were refused, or that a policy server (SPF, greylisting) had a look at."""
    found: set[str] = set()
    for name in ("rejects", "milters"):
        table = tables[name]
        column = plain(table.column("client_address"))
        if name == "milters":
            policy = pc.is_in(plain(table.column("filter")), pa.array(["policyd-spf", "postgrey"]))
            column = column.filter(pc.fill_null(policy, False))
        found.update(value for value in column.unique().to_pylist() if value)
    return found


def _related(names: pd.Series) -> pd.Series:
    """Return of each host's name the last two labels: hosts of one house share them."""
    return texts.each(
        names, lambda each: each.str.lower().str.extract(r"([^.]+\.[^.]+)\.?$", expand=False).fillna(each)
    )


def _house(client: pd.Series, address: pd.Series) -> Ints:
    """Return a code for whose a client is, by its name, else by its address."""
    unnamed = client.isna() | client.isin(("unknown", ""))
    found: Ints = texts.coded(_related(client.where(~unnamed, address).fillna("")))[0]
    return found


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
