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

from logscan.checking.outage import (
    FLICKER,
    Bools,
    Ints,
    Kind,
    Outage,
    Reasons,
    hashed,
    moment,
    nanoseconds,
    said,
)
from logscan.correlate.codes import matched
from logscan.correlate.lives import SECOND
from logscan.tables.partials import Keyed, Points, Rows, hashes

if TYPE_CHECKING:
    from logscan.scan.window import Window
    from logscan.settings import Settings
    from logscan.tables.partials import Part, Partial

NO_WAY_BACK = (
    r" said: [45].*?(?:(?:[Uu]nable to|[Cc]an't|[Cc]annot|[Cc]ould not|[Cc]ouldn't|[Ff]ailed to|[Ee]rror in) connect"
    r"|[Cc]onnect(?:ion)?(?: to [^ ]+)?:? (?:failed|refused)|fwd-connect)"
)
"""What filters answer when they can't hand a mail back: DSPAM client.c (ERR_CLIENT_CONNECT), amavis Out/SMTP.pm."""

OTHER_SERVICE = r"(?i)clam|virus|scanner|sql|ldap|redis|database|spamd\b"
"""What else a filter connects to: that is the filter's own trouble."""

TRIES, CLIENTS, WORDS, CAME = "tries", "tries: clients", "tries: words", "came back"
"""Parts of the partial: filters' lines, the processes that are clients, the lines' texts by hash, mail out of filters."""

NEAR = 2 * SECOND
"""Between the filter's line about a connection that failed and Postfix's line about the filter's answer."""


def no_way_back(replies: pa.Array) -> Bools:
    """Return which replies of a filter say that it could not hand the mail back."""
    found = matched(replies, NO_WAY_BACK, contains="onnect")
    return found & ~matched(replies, OTHER_SERVICE, contains="onnect")


def look(window: Window) -> dict[str, Part]:
    """Return the filters' lines about connections that failed, and when mail came out of a filter."""
    return {**_tries(window), **_came(window)}


def _tries(window: Window) -> dict[str, Part]:
    errors = window.events("filter_errors")
    own = errors.loc[(errors["kind"] == "client").to_numpy(), ["host", "pid"]]
    some = errors[(errors["kind"] == "connect").to_numpy() & errors["filter"].notna().to_numpy()]
    some = some[some["path"].notna().to_numpy() & some["time"].notna().to_numpy()]
    frame = pd.DataFrame(
        {
            "host": some["host"].astype("str"),
            "pid": _pid(some),
            "path": some["path"].astype("str"),
            "at": nanoseconds(some["time"]),
            "words": hashed(some["text"]),
            "source": some["source"],
            "line": some["line"],
        }
    )
    clients = pd.DataFrame({"host": own["host"].astype("str"), "pid": _pid(own)})
    return {TRIES: Rows.of(frame), CLIENTS: Keyed.of(clients), WORDS: said(some["text"])}


def _pid(rows: pd.DataFrame) -> pd.Series:
    return rows["pid"].fillna(-1).astype("int64")


def _came(window: Window) -> dict[str, Part]:
    entries = window.entries
    back = entries[["host", "first"]][(entries["leg"] == "filter").to_numpy() & entries["first"].notna().to_numpy()]
    return {CAME: Points.of(pd.DataFrame({"key": hashed(back["host"]), "at": nanoseconds(back["first"])}))}


def ways_back(partial: Partial, settings: Settings, put_off: Sequence[Outage]) -> list[Outage]:
    """Return the outages with those of the way back named by what the filters say they could not connect to."""
    if TRIES not in partial:
        return list(put_off)
    tries, reasons = _other_tries(partial, put_off), Reasons(partial.frame(WORDS))
    found = []
    told = np.zeros(len(tries), np.bool_)
    at = tries["at"].to_numpy()
    for each in put_off:
        if each.kind == "re-injection":
            last = each.until if not each.over else each.until - pd.Timedelta(1, "ns")
            low, high = pd.Timestamp(each.first).value - NEAR, pd.Timestamp(last).value + NEAR
            here = (at >= low) & (at <= high) & (tries["host"] == each.host).to_numpy()
            told |= here
            found.append(_named(each, tries[here], settings, reasons))
        else:
            found.append(each)
    came = partial.parts[CAME]
    assert isinstance(came, Points)
    for (host, path), part in tries[~told].groupby(["host", "path"], sort=False):
        through = came.times(int(hashes([str(host)])[0]))
        found += _untold(part, str(host), str(path), settings, through, reasons)
    return found


def _other_tries(partial: Partial, put_off: Sequence[Outage]) -> pd.DataFrame:
    """Return the filters' lines in order of time, without those of a client to the filter itself."""
    tries = partial.frame(TRIES).sort_values(["at", "source", "line"], ignore_index=True)
    clients = pd.MultiIndex.from_frame(partial.frame(CLIENTS)[["host", "pid"]])
    client = pd.MultiIndex.from_frame(tries[["host", "pid"]]).isin(clients)
    relays = " ".join({each.relay for each in put_off if each.kind == "filter"})
    itself = tries["path"].map(lambda path: path in relays).to_numpy(bool) if len(tries) else client
    return tries[~client & ~itself]


def _named(outage: Outage, tries: pd.DataFrame, settings: Settings, reasons: Reasons) -> Outage:
    """Return an outage told by a filter's answers as that of what the filter could not connect to."""
    back = settings.reinjection()
    if len(tries):
        codes, paths = pd.factorize(tries["path"])
        path = str(paths[np.bincount(codes).argmax()])
        first = min(outage.first, moment(int(tries["at"].min())))
        reason = reasons.most(tries["words"], path)
        return replace(outage, relay=path, first=first, reason=reason, kind=_kind(path, settings))
    if len(back) == 1 and back[0].port:
        return replace(outage, relay=f"{back[0].address or 'localhost'}:{back[0].port}")
    return outage


def _kind(path: str, settings: Settings) -> Kind:
    """Return ``service`` where the configuration says that mail comes back by other ports than this."""
    ports = {str(each.port) for each in settings.reinjection()}
    port = path.rpartition(":")[2]
    return "service" if ports and port.isdigit() and port not in ports else "re-injection"


def _untold(part: pd.DataFrame, host: str, path: str, settings: Settings, came: Ints, reasons: Reasons) -> list[Outage]:
    """Return the outages that only the filter tells of; they end with the next mail that comes out of a filter."""
    at: Ints = part["at"].to_numpy()
    number = np.r_[0, np.cumsum((np.diff(at) > FLICKER) & (np.diff(np.searchsorted(came, at)) > 0))]
    out = []
    for one in range(int(number[-1]) + 1):
        run = part[number == one]
        first, last = int(run["at"].iloc[0]), int(run["at"].iloc[-1])
        after = int(np.searchsorted(came, last, "right"))
        over = after < len(came)
        times = moment(first), moment(int(came[after]) if over else last), over
        reason = reasons.most(run["words"], path)
        out.append(Outage(host, path, _kind(path, settings), *times, 0, 0, 0, reason, len(run)))
    return out
