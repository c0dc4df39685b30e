"""Where mail goes to: the domain of a recipient, and the next hop of a delivery, also where only the reply names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from logscan.scan.columns import joined, some_joined, values
from logscan.scan.memo import per_window
from logscan.tables.coded import Coded, either

if TYPE_CHECKING:
    from logscan.scan.window import Window

Ints = npt.NDArray[np.int64]

SUSPENDED = "delivery temporarily suspended: "
"""What Postfix puts before a reason that it knows from another mail (qmgr/qmgr_defer.c)."""

NAMED = (
    rf"^(?:{SUSPENDED})?(?:connect to|conversation with|lost connection with|host) "
    r"(?P<hop>[^ \[]*\[[^ \]]*\](?::\d{1,5})?)"
)
"""Where a deferral's text names the host, when ``relay=none`` doesn't (Postfix smtp_connect.c, smtp_trouble.c)."""


@per_window
def left(window: Window) -> Ints:
    """Return the rows of deliveries that went to somebody outside and arrived there."""
    return np.flatnonzero(values(window, "deliveries", "final") & values(window, "deliveries", "outside"))


def domains(window: Window, rows: Ints) -> Coded:
    """Return the domain of the recipient of some deliveries, in lower case; an address without one is its own."""
    return some_joined(window, "deliveries", "recipient", rows).made(_domain)


def _domain(addresses: pa.Array) -> pa.Array:
    return pc.utf8_lower(pc.struct_field(pc.extract_regex(addresses, r"(?s)(?P<domain>[^@]*)$"), [0]))


def next_hops(window: Window, rows: Ints) -> Coded:
    """Return the next hop of some deliveries: the relay, else the host that the reply names, else an empty text."""
    relay = joined(window, "deliveries", "relay").take(rows)
    none = relay.is_in("none") | (relay.codes < 0)
    if not none.any():
        return relay
    named = np.flatnonzero(none)
    hosts = np.full(len(rows), -1, np.int64)
    of_reply = some_joined(window, "deliveries", "reply", rows[named]).made(_named)
    hosts[named] = of_reply.codes
    return either(relay, Coded(hosts, of_reply.words), none)


def _named(replies: pa.Array) -> pa.Array:
    return pc.fill_null(pc.struct_field(pc.extract_regex(replies, NAMED), [0]), "")
