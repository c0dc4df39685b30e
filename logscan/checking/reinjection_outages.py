"""Times at which a filter could hand no mail back: what was down is the service behind it, not the filter.

Postfix tells it as the filter's answer (421 ... Unable to connect), the filter as a connection that failed. Both are one
event, named by what was really away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from logscan.checking.outage import FLICKER, Bools, Ints, Kind, Outage, moment, nanoseconds, reasons
from logscan.correlate.codes import matched
from logscan.correlate.lives import SECOND

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings

NO_WAY_BACK = (
    r" said: [45].*?(?:(?:[Uu]nable to|[Cc]an't|[Cc]annot|[Cc]ould not|[Cc]ouldn't|[Ff]ailed to|[Ee]rror in) connect"
    r"|[Cc]onnect(?:ion)?(?: to [^ ]+)?:? (?:failed|refused)|fwd-connect)"
)
"""What filters answer when they can't hand a mail back: DSPAM client.c (ERR_CLIENT_CONNECT), amavis Out/SMTP.pm."""

OTHER_SERVICE = r"(?i)clam|virus|scanner|sql|ldap|redis|database|spamd\b"
"""What else a filter connects to: that is the filter's own trouble."""

NEAR = 2 * SECOND
"""Between the filter's line about a connection that failed and Postfix's line about the filter's answer."""


def no_way_back(replies: pa.Array) -> Bools:
    """Return which replies of a filter say that it could not hand the mail back."""
    found = matched(replies, NO_WAY_BACK, contains="onnect")
    return found & ~matched(replies, OTHER_SERVICE, contains="onnect")


def ways_back(scan: Window, settings: Settings, put_off: Sequence[Outage]) -> list[Outage]:
    """Return the outages with those of the way back named by what the filters say they could not connect to."""
    tries = _tries(scan, put_off)
    found = []
    told = np.zeros(len(tries), np.bool_)
    at = tries["at"].to_numpy()
    for each in put_off:
        if each.kind == "re-injection":
            last = each.until if not each.over else each.until - pd.Timedelta(1, "ns")
            low, high = pd.Timestamp(each.first).value - NEAR, pd.Timestamp(last).value + NEAR
            here = (at >= low) & (at <= high) & (tries["host"] == each.host).to_numpy()
            told |= here
            found.append(_named(each, tries[here], settings))
        else:
            found.append(each)
    rest = tries[~told].sort_values("at", kind="stable")
    for (host, path), part in rest.groupby(["host", "path"], observed=True, sort=False):
        found += _untold(scan, settings, str(host), str(path), part)
    return found


def _tries(scan: Window, put_off: Sequence[Outage]) -> pd.DataFrame:
    """Return the filters' lines about connections that failed, without those of a client to the filter itself."""
    errors = scan.events("filter_errors")
    own = errors[errors["kind"] == "client"]
    clients = set(zip(own["host"].astype("str"), own["pid"].astype("str"), strict=True))
    some = errors[
        (errors["kind"] == "connect") & errors["filter"].notna() & errors["path"].notna() & errors["time"].notna()
    ]
    some = some.assign(at=nanoseconds(some["time"]), host=some["host"].astype("str"))
    both = zip(some["host"], some["pid"].astype("str"), strict=True)
    client = np.fromiter((each in clients for each in both), np.bool_, len(some))
    relays = " ".join({each.relay for each in put_off if each.kind == "filter"})
    itself = some["path"].map(lambda path: str(path) in relays).to_numpy(bool) if len(some) else client
    return some[~client & ~itself]


def _named(outage: Outage, tries: pd.DataFrame, settings: Settings) -> Outage:
    """Return an outage told by a filter's answers as that of what the filter could not connect to."""
    back = settings.reinjection()
    if len(tries):
        path = str(tries["path"].astype("str").value_counts().index[0])
        first = min(outage.first, moment(int(tries["at"].min())))
        reason = reasons(tries["text"], np.zeros(len(tries), np.int64), path)[0]
        return replace(outage, relay=path, first=first, reason=reason, kind=_kind(path, settings))
    if len(back) == 1 and back[0].port:
        return replace(outage, relay=f"{back[0].address or 'localhost'}:{back[0].port}")
    return outage


def _kind(path: str, settings: Settings) -> Kind:
    """Return ``service`` where the configuration says that mail comes back by other ports than this."""
    ports = {str(each.port) for each in settings.reinjection()}
    port = path.rpartition(":")[2]
    return "service" if ports and port.isdigit() and port not in ports else "re-injection"


def _untold(scan: Window, settings: Settings, host: str, path: str, part: pd.DataFrame) -> list[Outage]:
    """Return the outages that only the filter tells of; they end with the next mail that comes out of a filter."""
    at: Ints = part["at"].to_numpy()
    entries = scan.entries
    back = (
        (entries["leg"] == "filter").to_numpy()
        & entries["first"].notna().to_numpy()
        & (entries["host"] == host).to_numpy()
    )
    came: Ints = np.sort(nanoseconds(entries["first"][back]))
    number = np.r_[0, np.cumsum((np.diff(at) > FLICKER) & (np.diff(np.searchsorted(came, at)) > 0))]
    out = []
    for one in range(int(number[-1]) + 1):
        run = part[number == one]
        first, last = int(run["at"].iloc[0]), int(run["at"].iloc[-1])
        after = int(np.searchsorted(came, last, "right"))
        over = after < len(came)
        times = moment(first), moment(int(came[after]) if over else last), over
        reason = reasons(run["text"], np.zeros(len(run), np.int64), path)[0]
        out.append(Outage(host, path, _kind(path, settings), *times, 0, 0, 0, reason, len(run)))
    return out
