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
    moment,
    said,
)
from logscan.correlate.codes import matched
from logscan.correlate.lives import SECOND
from logscan.scan.columns import NO_TIME, column, joined, moments, number, values
from logscan.tables import columns
from logscan.tables.coded import Coded
from logscan.tables.partials import Keyed, Points, Rows, hashes

if TYPE_CHECKING:
    from logscan.scan.columns import NO_TIME, column, joined, moments, number, values
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
    if not len(window.tables["filter_errors"]):
        return NO_TRIES
    kind, name, host, path, text = (
        column(window, "filter_errors", each) for each in ("kind", "filter", "host", "path", "text")
    )
    at, pid = moments(window, "filter_errors"), number(window, "filter_errors", "pid")
    own = np.flatnonzero(kind.is_in("client"))
    clients = Keyed.of({"host": host.take(own).texts(), "pid": pid[own]}) if len(own) else NO_TRIES[CLIENTS]
    rows = np.flatnonzero(kind.is_in("connect") & (name.codes >= 0) & (path.codes >= 0) & (at > NO_TIME))
    if not len(rows):
        return {**NO_TRIES, CLIENTS: clients}
    frame = columns.frame_of(
        {
            "host": host.take(rows).texts(),
            "pid": pid[rows],
            "path": path.take(rows).texts(),
            "at": at[rows],
            "words": text.take(rows).hashed(),
            "source": number(window, "filter_errors", "source")[rows],
            "line": number(window, "filter_errors", "line")[rows],
        }
    )
    return {TRIES: Rows.of(frame), CLIENTS: clients, WORDS: said(text.take(rows))}


def _came(window: Window) -> dict[str, Part]:
    first = values(window, "entries", "first")
    back = np.flatnonzero(joined(window, "entries", "leg").is_in("filter") & (first > NO_TIME))
    key = joined(window, "entries", "host").take(back).hashed()
    return {CAME: Points.of({"key": key, "at": first[back]})}


NO_TEXT, NO_NUMBER = pa.array([], pa.string()), np.empty(0, np.int64)
NO_TRIES: dict[str, Part] = {
    TRIES: Rows.of(
        columns.frame_of(
            dict.fromkeys(("host", "path"), NO_TEXT)
            | dict.fromkeys(("pid", "at", "words", "source", "line"), NO_NUMBER)
        )
    ),
    CLIENTS: Keyed.of({"host": NO_TEXT, "pid": NO_NUMBER}),
    WORDS: said(Coded(NO_NUMBER, [])),
}
"""What most windows have."""


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
